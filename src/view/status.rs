//! The fleet, worst first: one row a host, its problems under it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::model::alert::Incident;
use crate::model::fleet::{HostNow, Outcome};
use crate::model::level::Level;
use crate::model::sample::Sample;

use super::{Cell, Column, Facts, Needs, Place, View, column};

const COLUMNS: &[Column] = &[
    column("host", "HOST", Place::Left),
    column("level", "LEVEL", Place::Left),
    column("age", "AGE", Place::Right),
    column("cpu", "CPU", Place::Right),
    column("memory", "MEM", Place::Right),
    column("load", "LOAD", Place::Right),
    column("filesystem", "FULLEST", Place::Left),
    column("filesystem_used", "USED", Place::Right),
    column("uptime", "UP", Place::Right),
    column("problem", "PROBLEM", Place::Below),
    column("received", "", Place::Left),
    column("attempt", "", Place::Left),
    column("cause", "", Place::Left),
    column("incidents", "", Place::Left),
];

/// A row for each host that is asked for: what is stored of it and its open incidents.
pub const VIEW: View =
    View { name: "status", help: "The fleet in a table, worst first", needs: Needs::Store, columns: COLUMNS, rows };

fn rows(facts: &Facts) -> Vec<Vec<Cell>> {
    let stored: HashMap<&str, &HostNow> = facts.stored.iter().map(|known| (known.host.as_str(), known)).collect();
    let mut problems: HashMap<&str, Vec<&Incident>> = HashMap::new();
    for incident in facts.incidents.iter().filter(|incident| incident.closed.is_none()) {
        problems.entry(&incident.subject.host).or_default().push(incident);
    }
    let mut rows: Vec<(u8, &str, Vec<Cell>)> = facts
        .hosts
        .iter()
        .map(|host| {
            let host = host.name.as_str();
            let known = stored.get(host).copied();
            let mut open = problems.remove(host).unwrap_or_default();
            open.sort_by_key(|incident| (std::cmp::Reverse(incident.level), incident.id));
            let level = level(known, &open);
            // What was never collected stands before what is well: somebody is waiting for it.
            let rank = level.map_or(1, |level| if level == Level::Ok { 0 } else { level.number() + 1 });
            (rank, host, row(facts.now, host, level, known, &open))
        })
        .collect();
    rows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    rows.into_iter().map(|(_, _, row)| row).collect()
}

/// The worst open incident; a failed last attempt is at least a warning; `None` where nothing was tried.
fn level(known: Option<&HostNow>, open: &[&Incident]) -> Option<Level> {
    let told = open.iter().map(|incident| incident.level).max();
    let tried = known.and_then(|known| known.attempt.as_ref()).map(|attempt| match attempt.outcome {
        Outcome::Collected => Level::Ok,
        Outcome::Failed { .. } => Level::Warning,
    });
    told.max(tried).or_else(|| known.and_then(|known| known.sample.as_ref()).map(|_| Level::Ok))
}

fn row(now: DateTime<Utc>, host: &str, level: Option<Level>, known: Option<&HostNow>, open: &[&Incident]) -> Vec<Cell> {
    let attempt = known.and_then(|known| known.attempt.as_ref());
    let (received, sample) = match known.and_then(|known| known.sample.as_ref()) {
        Some((received, sample)) => (Some(*received), Some(sample)),
        None => (None, None),
    };
    let value = |metric: &str| sample.and_then(|sample| sample.value(metric, ""));
    let fullest = sample.and_then(fullest);
    let mut problems: Vec<String> = Vec::new();
    let mut cause = Cell::Empty;
    if let Some(Outcome::Failed { cause: why, text }) = attempt.map(|attempt| &attempt.outcome) {
        cause = Cell::Text(why.word().to_owned());
        let remedy = why.remedy().replace("HOST", host);
        let said = if text.is_empty() { String::new() } else { format!("{text}; ") };
        problems.push(format!("{}: {said}{remedy}.", why.word()));
    }
    problems.extend(open.iter().map(|incident| format!("{}: {}", incident.level.tag(), incident.text)));
    if attempt.is_none() && sample.is_none() {
        problems.push(format!("never collected; try: fleet hosts test {host}"));
    }
    let or_empty = |cell: Option<Cell>| cell.unwrap_or(Cell::Empty);
    vec![
        Cell::Text(host.to_owned()),
        Cell::Level(level),
        // A sample from the future (the clock was set back) is new, not negative.
        or_empty(received.map(|at| Cell::Seconds(((now - at).num_seconds().max(0)) as f64))),
        or_empty(value("cpu.used").map(Cell::Ratio)),
        or_empty(value("memory.used").map(Cell::Ratio)),
        or_empty(value("load.1m").map(Cell::Number)),
        or_empty(fullest.map(|(mount, _)| Cell::Text(mount.to_owned()))),
        or_empty(fullest.map(|(_, used)| Cell::Ratio(used))),
        or_empty(value("uptime").map(Cell::Seconds)),
        if problems.is_empty() { Cell::Empty } else { Cell::Text(problems.join(" ")) },
        or_empty(received.map(Cell::Time)),
        or_empty(attempt.map(|attempt| Cell::Time(attempt.at))),
        cause,
        Cell::Number(open.len() as f64),
    ]
}

fn fullest(sample: &Sample) -> Option<(&str, f64)> {
    sample
        .readings
        .iter()
        .filter(|reading| reading.metric == "filesystem.used")
        .max_by(|a, b| a.value.total_cmp(&b.value))
        .map(|reading| (reading.item.as_str(), reading.value))
}
