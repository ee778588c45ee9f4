//! `fleet explain HOST`: each rule with its value, threshold and samples so far, what keeps it back, and who was told.

use serde_json::{Value, json};

use super::alerts::{Present, stamp};
use crate::alert::words;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::past;
use crate::config::{show_duration, show_level, suggest};
use crate::model::alert::{RuleState, Subject};
use crate::model::catalogue;
use crate::model::clean::clean;
use crate::model::fleet::Outcome as Ended;
use crate::model::level::Level;
use crate::model::metric::Unit;
use crate::model::spec::RuleSpec;
use crate::rule;
use crate::view::json;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The host's name in the configuration
    #[arg(value_name = "HOST")]
    host: String,
    /// Only rules (metrics) that match
    #[arg(long, value_name = "PATTERN")]
    rule: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Samples that are drawn.
const DRAWN: u32 = 12;

pub fn run(common: &Common, args: Args) -> Outcome {
    let spec = common.spec()?;
    let store = open_store(&spec)?;
    let Some(host) = spec.host(&args.host) else {
        let names = spec.hosts.iter().map(|host| host.name.as_str());
        let mend = suggest(&args.host, names, "see which there are: fleet hosts list");
        return Err(Failure::new(Exit::Usage, format!("no host \"{}\"; {mend}", clean(&args.host))));
    };
    let present = Present::read(&spec, store.as_ref())?;
    let quiet = present.quiet(&spec);
    let wanted = |name: &str| args.rule.as_ref().is_none_or(|glob| crate::model::pattern::matches(glob, name));
    let mut rows: Vec<Value> = Vec::new();
    let mut text = format!("{}: ", host.name);
    match store.attempts(&host.name, 1)?.first() {
        None => text.push_str(&format!("never collected; try: fleet hosts test {}\n", host.name)),
        Some(attempt) => match &attempt.outcome {
            Ended::Collected => text.push_str(&format!("last collected on {}.\n", stamp(attempt.at))),
            Ended::Failed { cause, text: why } => {
                text.push_str(&format!("the last try on {} failed: {cause}: {why}\n", stamp(attempt.at)));
            }
        },
    }
    for (subject, state, rule) in present.world.subjects(&host.name) {
        if !wanted(&subject.rule) {
            continue;
        }
        let beside = |metric: &str| past::newest(store.as_ref(), &host.name, metric, &subject.item, present.now);
        let sized = rule.map(|rule| rule::sized(rule, beside));
        let rule = sized.as_deref();
        let incident = state.incident.and_then(|id| present.world.incidents.get(&id));
        let mut sentences = vec![judged(subject, state, rule)];
        if !words::BUILT_IN.contains(&subject.rule.as_str()) {
            sentences.push(samples(state));
        }
        if let Some(incident) = incident {
            sentences.push(format!(
                "{} since {} (problem {}).",
                capital(state.level),
                stamp(incident.opened),
                incident.id
            ));
            sentences.extend(present.why(&quiet, incident));
        } else if let Some(why) = quiet.why(subject) {
            sentences.push(format!("If it became a problem, it would not be told: {}.", why.sentence()));
        }
        text.push_str(&format!("\n[{}] {}\n", state.level.tag(), words::name(subject)));
        text.extend(sentences.iter().map(|sentence| format!("  {sentence}\n")));
        rows.push(json!({
            "host": subject.host, "rule": subject.rule, "item": subject.item, "level": state.level.word(),
            "value": state.value, "warning": rule.and_then(|rule| rule.warning),
            "critical": rule.and_then(|rule| rule.critical), "last": state.last.map(|at| at.to_rfc3339()),
            "incident": state.incident, "sentences": sentences,
        }));
    }
    let judged: Vec<&str> = rows.iter().filter_map(|row| row["rule"].as_str()).collect();
    let idle: Vec<&str> =
        host.rules.iter().map(|rule| rule.metric.as_str()).filter(|name| !judged.contains(name)).collect();
    let idle: std::collections::BTreeSet<&str> = idle.into_iter().filter(|name| wanted(name)).collect();
    if !idle.is_empty() {
        text.push_str(&format!(
            "\nRules that no sample was judged by yet: {}\n",
            idle.iter().copied().collect::<Vec<_>>().join(", ")
        ));
    }
    if args.json {
        let all = json!({"version": 1, "host": host.name, "rows": rows, "not_judged": idle});
        return exit::print(&json::text(&all));
    }
    exit::print(&text.lines().map(|line| clean(line) + "\n").collect::<String>())
}

fn capital(level: Level) -> &'static str {
    match level {
        Level::Ok => "Ok",
        Level::Warning => "Warning",
        Level::Critical => "Critical",
    }
}

/// `filesystem.used is 91.2 %; warning above 80%, critical above 90% (config.xml:12), on 2 of 3 samples.`
fn judged(subject: &Subject, state: &RuleState, spec: Option<&RuleSpec>) -> String {
    let Some(spec) = spec else {
        let since = state.bad.map_or_else(String::new, |at| format!("; the last time that it was bad: {}", stamp(at)));
        return format!("A rule that is built in{since}.");
    };
    let unit = catalogue::find(&spec.metric).map_or(Unit::Count, |metric| metric.unit);
    let way = spec.kind.word();
    let limit = |level: &str, threshold: Option<f64>| {
        let threshold = threshold?;
        let origin = spec.origins.get(level).filter(|origin| origin.line > 0);
        let file = origin.and_then(|origin| origin.file.file_name()).map(|name| name.to_string_lossy().into_owned());
        let place = origin.zip(file).map_or_else(String::new, |(origin, file)| format!(" ({file}:{})", origin.line));
        Some(format!("{level} {way} {}{place}", show_level(threshold, unit)))
    };
    let limits: Vec<String> =
        [limit("warning", spec.warning), limit("critical", spec.critical)].into_iter().flatten().collect();
    let opens = match spec.hold {
        Some(hold) if hold.is_zero() => "at once".to_owned(),
        Some(hold) => format!("when all samples of {} are", show_duration(hold)),
        None => format!("on {} of {} samples", spec.raise, spec.of),
    };
    let value = words::amount(&subject.rule, state.value);
    format!("{} is {value}; {}, {opens}; ends after {} better ones.", subject.rule, limits.join(", "), spec.fall)
}

/// The last samples as letters, the newest at the right.
fn samples(state: &RuleState) -> String {
    let count = state.seen.min(DRAWN);
    if count == 0 {
        return "No sample of it since it ended.".to_owned();
    }
    let letter = |n: u32| match (state.critical_bits >> n & 1, state.warning_bits >> n & 1) {
        (1, _) => 'C',
        (_, 1) => 'W',
        _ => '.',
    };
    let drawn: String = (0..count).rev().map(letter).collect();
    let last = state.last.map_or_else(String::new, |at| format!(", the last on {}", stamp(at)));
    format!("Samples so far, newest right: {drawn} (C critical, W warning){last}.")
}
