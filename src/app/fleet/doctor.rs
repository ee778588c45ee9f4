//! `fleet doctor`: looks at all that must be right for the fleet to be watched, and says for each fault what to type next.
//! Every look has its thread; one that hangs is named, and the others are told all the same.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::show;
use crate::app::clock;
use crate::app::context::Common;
use crate::app::exit::{self, Exit, Outcome};
use crate::config;
use crate::model::clean::clean;
use crate::model::level::Level;
use crate::model::spec::FleetSpec;
use crate::view::{Cell, Column, Page, Place, column, units};

mod hosts;
mod keys;
mod machine;
mod mail;
mod runs;
mod store;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Wait no longer than this for what does not answer
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = units::span)]
    timeout: Duration,
    #[command(flatten)]
    format: show::FormatArgs,
}

const COLUMNS: &[Column] = &[
    column("level", "LEVEL", Place::Left),
    column("part", "PART", Place::Left),
    column("finding", "FINDING", Place::Left),
    column("next", "NEXT", Place::Left),
];

/// Where texts begin: under the first word of the finding.
const INDENT: &str = "                     ";

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    part: &'static str,
    level: Level,
    text: String,
    /// What to type or do; empty where all is well.
    next: String,
}

/// What a look starts from.
#[derive(Clone)]
struct Look {
    spec: Arc<FleetSpec>,
    now: DateTime<Utc>,
    /// How long a single server may take.
    patience: Duration,
    part: &'static str,
    tell: Sender<Said>,
}

enum Said {
    Found(Finding),
    /// The look of this part is over.
    Done(&'static str),
}

impl Look {
    fn say(&self, level: Level, text: impl Into<String>, next: impl Into<String>) {
        let finding = Finding { part: self.part, level, text: text.into(), next: next.into() };
        // Nobody listens any more after the deadline.
        let _ = self.tell.send(Said::Found(finding));
    }

    fn good(&self, text: impl Into<String>) {
        self.say(Level::Ok, text, "");
    }

    /// A fault whose text says, as ours do, what to type at its end.
    fn fault(&self, level: Level, text: &str, otherwise: &str) {
        let marks = ["type: ", "with: ", "run: ", "try: "];
        let typed = marks.iter().filter_map(|mark| Some((text.rfind(mark)?, mark.len()))).max();
        let (text, next) = match typed.and_then(|(at, mark)| Some((text.get(..at)?, text.get(at + mark..)?))) {
            Some((before, next)) => (before.rsplit_once(';').map_or(before, |(what, _)| what), next),
            None => (text, otherwise),
        };
        self.say(level, text, next);
    }
}

/// Looks at one part and says what it finds.
type Work = fn(&Look);

/// Every look, in the order in which equals are shown.
const LOOKS: &[(&str, Work)] = &[
    ("keys", keys::look),
    ("store", store::look),
    ("hosts", hosts::look),
    ("mail", mail::look),
    ("runs", runs::look),
    ("schedule", runs::schedule),
    ("clock", machine::clock),
    ("disk", machine::disk),
    ("probes", machine::probes),
];

pub fn run(common: &Common, args: Args) -> Outcome {
    let mut found = Vec::new();
    match configuration(common, &mut found) {
        None => {}
        Some(spec) => found.extend(looks(&Arc::new(spec), args.timeout)),
    }
    // The worst first; what is alike stays in its order.
    found.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    if common.quiet {
        found.retain(|finding| finding.level > Level::Ok);
    }
    let worst = found.iter().map(|finding| finding.level).max().unwrap_or_default();
    let format = args.format.format();
    if format == show::Format::Table {
        let color = show::color(common);
        exit::print(&found.iter().map(|finding| sentence(finding, show::width(), color)).collect::<String>())?;
        return Ok(Exit::Nagios(worst.number()));
    }
    let row = |finding: Finding| {
        let text = |text: String| if text.is_empty() { Cell::Empty } else { Cell::Text(clean(&text)) };
        let part = Cell::Text(finding.part.to_owned());
        vec![Cell::Level(Some(finding.level)), part, text(finding.text), text(finding.next)]
    };
    let rows = found.into_iter().map(row).collect();
    show::page(common, format, &Page { columns: COLUMNS, rows })?;
    Ok(Exit::Nagios(worst.number()))
}

/// `CRIT  mail  smtp a:25: failed at connect ...`, and under it what to do next.
fn sentence(finding: &Finding, width: usize, color: bool) -> String {
    let code = match finding.level {
        Level::Ok => 32,
        Level::Warning => 33,
        Level::Critical => 31,
    };
    let tag = format!("{:<4}", finding.level.tag());
    let tag = if color { format!("\u{1b}[{code}m{tag}\u{1b}[0m") } else { tag };
    let mut out = format!("{tag}  {:<13}  ", finding.part);
    let next = if finding.next.is_empty() { String::new() } else { format!("next: {}", finding.next) };
    for (n, text) in [finding.text.clone(), next].iter().filter(|text| !text.is_empty()).enumerate() {
        if n > 0 {
            out.push_str(INDENT);
        }
        let mut column = INDENT.len();
        for (n, word) in text.split(' ').filter(|word| !word.is_empty()).map(clean).enumerate() {
            let length = word.chars().count();
            if n > 0 && column + 1 + length > width {
                out.push_str(&format!("\n{INDENT}"));
                column = INDENT.len();
            } else if n > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(&word);
            column += length;
        }
        out.push('\n');
    }
    out
}

/// Without a configuration nothing else can be looked at.
fn configuration(common: &Common, found: &mut Vec<Finding>) -> Option<FleetSpec> {
    let mut say = |level, text: String, next: String| found.push(Finding { part: "configuration", level, text, next });
    let file = match common.config_file() {
        Ok(file) => file,
        Err(failure) => {
            say(Level::Critical, failure.text, "fleet init, or name the file: fleet --config FILE doctor".to_owned());
            return None;
        }
    };
    let (shown, check) = (file.display().to_string(), format!("fleet check-config --config '{}'", file.display()));
    match config::read(&file) {
        Err(report) => {
            let first = report.to_string().lines().next().unwrap_or_default().to_owned();
            say(Level::Critical, format!("{shown} cannot be used: {first}"), check);
            None
        }
        Ok(loaded) => {
            if let Some(warnings) = &loaded.warnings {
                let first = warnings.to_string().lines().next().unwrap_or_default().to_owned();
                say(Level::Warning, first, check);
            }
            if loaded.spec.hosts.is_empty() {
                say(Level::Warning, format!("{shown} names no host"), "fleet hosts add USER@HOST".to_owned());
            } else {
                say(
                    Level::Ok,
                    format!("{shown} names {}", units::counted(loaded.spec.hosts.len(), "host")),
                    String::new(),
                );
            }
            Some(loaded.spec)
        }
    }
}

/// All looks beside each other, up to the deadline.
fn looks(spec: &Arc<FleetSpec>, timeout: Duration) -> Vec<Finding> {
    let (tell, told) = mpsc::channel();
    let (now, deadline) = (clock::now(), Instant::now() + timeout);
    for (part, work) in LOOKS {
        // A server that hangs must leave time to say so.
        let patience = timeout.mul_f64(0.7).max(Duration::from_millis(100));
        let look = Look { spec: Arc::clone(spec), now, patience, part, tell: tell.clone() };
        std::thread::spawn(move || {
            work(&look);
            let _ = look.tell.send(Said::Done(look.part));
        });
    }
    drop(tell);
    let mut found = Vec::new();
    let mut open: Vec<&'static str> = LOOKS.iter().map(|(part, _)| *part).collect();
    while !open.is_empty() {
        match told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Said::Found(finding)) => found.push(finding),
            Ok(Said::Done(part)) => open.retain(|other| *other != part),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    let order = |part: &str| LOOKS.iter().position(|(name, _)| *name == part);
    for part in open {
        let text =
            format!("no answer within {}; what is told of it here is not all", units::seconds(timeout.as_secs_f64()));
        let next = format!("fleet doctor --timeout {}", units::seconds(timeout.as_secs_f64() * 10.0));
        found.push(Finding { part, level: Level::Critical, text, next });
    }
    found.sort_by_key(|finding| order(finding.part));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_command_is_taken_from_a_text_that_ends_with_it() {
        let (tell, told) = mpsc::channel();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.xml");
        std::fs::write(&file, "<fleet-health version=\"1\"/>").unwrap();
        let spec = Arc::new(config::load(&file).map_err(|report| report.to_string()).unwrap());
        let look = Look { spec, now: clock::now(), patience: Duration::ZERO, part: "keys", tell };
        look.fault(Level::Warning, "x: mode 0644; type: chmod 600 'x'", "");
        look.fault(Level::Warning, "nothing to type", "look");
        let next = |said| match said {
            Said::Found(finding) => finding.next,
            Said::Done(_) => String::new(),
        };
        assert_eq!((next(told.recv().unwrap()), next(told.recv().unwrap())), ("chmod 600 'x'".into(), "look".into()));
    }
}
