//! What a person or a script hears of a sweep. Under cron a sweep is silent: the alerter tells what is wrong.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::app::context::Common;
use crate::app::exit::{self, Exit, Failure, Outcome as Ended};
use crate::model::figure::counted;
use crate::model::fleet::{Attempt, Outcome};

/// What became of one host.
pub struct HostResult {
    attempt: Attempt,
    stored: usize,
}

impl HostResult {
    /// An attempt, and how many samples of it were new.
    pub fn new(attempt: Attempt, stored: usize) -> Self {
        Self { attempt, stored }
    }

    fn is_failed(&self) -> bool {
        self.attempt.outcome != Outcome::Collected
    }

    fn sentence(&self) -> String {
        let attempt = &self.attempt;
        match &attempt.outcome {
            Outcome::Collected => {
                let plural = if self.stored == 1 { "" } else { "s" };
                format!("{}: {} sample{plural}{}", attempt.host, self.stored, self.cost())
            }
            Outcome::Failed { cause, text } => {
                let remedy = cause.remedy().replace("HOST", &attempt.host);
                format!("{}: {cause}: {text}; {remedy}", attempt.host)
            }
        }
    }

    fn cost(&self) -> String {
        let cost = self.attempt.traffic;
        let shipped = if cost.shipped { ", probe shipped" } else { "" };
        format!(
            " in {:.2} s, {} round trips, {} bytes sent, {} received{shipped}",
            self.attempt.took.as_secs_f64(),
            cost.round_trips,
            cost.sent,
            cost.received
        )
    }

    fn json(&self) -> serde_json::Value {
        let attempt = &self.attempt;
        let (outcome, cause, text) = match &attempt.outcome {
            Outcome::Collected => ("collected", None, None),
            Outcome::Failed { cause, text } => ("failed", Some(cause.word()), Some(text)),
        };
        json!({
            "host": attempt.host,
            "outcome": outcome,
            "cause": cause,
            "text": text,
            "samples": self.stored,
            "seconds": attempt.took.as_secs_f64(),
            "sent_bytes": attempt.traffic.sent,
            "received_bytes": attempt.traffic.received,
            "round_trips": attempt.traffic.round_trips,
            "probe_shipped": attempt.traffic.shipped,
        })
    }
}

/// What became of a sweep.
pub struct SweepResult {
    /// Its number.
    pub id: i64,
    /// One for each host but those of the next list.
    pub hosts: Vec<HostResult>,
    /// Hosts that another collector sees to, each with a text for people.
    pub elsewhere: Vec<(String, String)>,
    /// How long it took.
    pub took: Duration,
    /// Whether a signal ended it early.
    pub stopped: bool,
    /// Why no dialer could be had, if so.
    pub down: Option<String>,
}

impl SweepResult {
    /// Hosts that failed.
    pub fn failed(&self) -> usize {
        self.hosts.iter().filter(|host| host.is_failed()).count()
    }

    /// Why the collector did not do its job, or nothing: hosts that fail are not the collector's fault.
    pub fn trouble(&self) -> String {
        let late = |host: &&HostResult| matches!(&host.attempt.outcome, Outcome::Failed { cause, .. } if *cause == crate::model::cause::Cause::SweepDeadline);
        if let Some(text) = &self.down {
            return text.clone();
        }
        match (self.stopped, self.hosts.iter().filter(late).count()) {
            (true, _) => "the sweep was ended by a signal".to_owned(),
            (false, 0) => String::new(),
            (false, n) => format!("{n} hosts had no turn within deadline= of <collector>"),
        }
    }

    /// The exit code. That there is no dialer was said when it happened.
    pub fn exit(&self) -> Ended {
        Ok(match (&self.down, self.failed()) {
            (Some(_), _) => Exit::Failed,
            (None, 0) => Exit::Done,
            (None, _) => Exit::Partly,
        })
    }
}

/// A bar on a terminal; nothing elsewhere.
pub struct Progress(pub(super) Option<ProgressBar>);

impl Progress {
    /// Starts it.
    pub fn new(common: &Common, hosts: usize) -> Self {
        let wanted = io::stderr().is_terminal() && !common.quiet && common.verbose == 0;
        Self(wanted.then(|| {
            let bar = ProgressBar::new(hosts as u64);
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} hosts, {elapsed}") {
                bar.set_style(style);
            }
            bar
        }))
    }

    /// Hosts that are done.
    pub fn set(&self, done: usize) {
        if let Some(bar) = &self.0 {
            bar.set_position(done as u64);
        }
    }

    /// Takes it off the screen.
    pub fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Prints the result: JSON where asked; on a terminal failures and a summary; else only with `-v`.
pub fn print(common: &Common, sweep: &SweepResult, as_json: bool) -> Result<(), Failure> {
    let mut out = String::new();
    let mut hosts: Vec<&HostResult> = sweep.hosts.iter().collect();
    hosts.sort_by(|a, b| (b.is_failed(), &a.attempt.host).cmp(&(a.is_failed(), &b.attempt.host)));
    let failed = sweep.failed();
    if as_json {
        let others =
            sweep.elsewhere.iter().map(|(host, text)| json!({"host": host, "outcome": "elsewhere", "text": text}));
        let hosts: Vec<serde_json::Value> = hosts.iter().map(|host| host.json()).chain(others).collect();
        let seconds = sweep.took.as_secs_f64();
        let all = json!({"version": 1, "sweep": sweep.id, "seconds": seconds, "failed": failed, "hosts": hosts});
        out = format!("{all:#}\n");
    } else if common.verbose > 0 || (io::stdout().is_terminal() && !common.quiet) {
        for host in hosts.iter().filter(|host| host.is_failed() || common.verbose > 0) {
            out.push_str(&host.sentence());
            out.push('\n');
        }
        for (host, text) in sweep.elsewhere.iter().filter(|_| common.verbose > 0) {
            out.push_str(&format!("{host}: {text}\n"));
        }
        let collected = sweep.hosts.len() - failed;
        let seconds = sweep.took.as_secs_f64();
        let others = match sweep.elsewhere.len() {
            0 => String::new(),
            others => format!("{others} of other collectors, "),
        };
        let (id, hosts) = (sweep.id, counted(collected, "host"));
        out.push_str(&format!("sweep {id}: {hosts} collected, {failed} failed, {others}{seconds:.1} s\n"));
    }
    exit::print(&out).map(drop)
}
