//! The fleet, worst first: one row a host, its problems under it.

use crate::model::snapshot::{HostRow, Problem, counts};

use super::{Cell, Column, Facts, Needs, Place, View, column, table, units};

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
    column("state", "", Place::Left),
    column("groups", "", Place::Left),
    column("acknowledged", "", Place::Left),
    column("silenced", "", Place::Left),
];
/// Sentences under a row; with more of them one host would fill the screen.
const SENTENCES: usize = 4;

/// A row for each host that is asked for: what is stored of it and its open incidents.
pub const VIEW: View =
    View { note, fleet: true, ..View::new("status", "The fleet in a table, worst first", Needs::Store, COLUMNS, rows) };

fn rows(facts: &Facts) -> Vec<Vec<Cell>> {
    facts.hosts().map(row).collect()
}

fn row(host: &HostRow) -> Vec<Cell> {
    let or_empty = |cell: Option<Cell>| cell.unwrap_or(Cell::Empty);
    let value = |metric: &str, cell: fn(f64) -> Cell| or_empty(host.value(metric).map(cell));
    let count = |is: fn(&Problem) -> bool| Cell::Number(host.problems.iter().filter(|it| is(it)).count() as f64);
    let fullest = host.fullest();
    let mut said = host.sentences();
    if said.len() > SENTENCES {
        let more = said.len() - SENTENCES + 1;
        said.truncate(SENTENCES - 1);
        said.push(format!("And {more} more: fleet explain {}", host.name));
    }
    vec![
        Cell::Text(host.name.clone()),
        Cell::Level(host.level),
        or_empty(host.age.map(|age| Cell::Seconds(age.floor()))),
        value("cpu.used", Cell::Ratio),
        value("memory.used", Cell::Ratio),
        value("load.1m", Cell::Number),
        or_empty(fullest.map(|(mount, _)| Cell::Text(mount.to_owned()))),
        or_empty(fullest.map(|(_, used)| Cell::Ratio(used))),
        value("uptime", Cell::Seconds),
        if said.is_empty() { Cell::Empty } else { Cell::Sentences(said) },
        or_empty(host.received.map(Cell::Time)),
        or_empty(host.attempt.as_ref().map(|attempt| Cell::Time(attempt.at))),
        or_empty(host.failure().map(|(cause, _)| Cell::Text(cause.word().to_owned()))),
        count(|_| true),
        Cell::Text(host.state.word().to_owned()),
        Cell::List(host.groups.clone()),
        count(|it| it.ack.is_some()),
        count(|it| it.silenced.is_some()),
    ]
}

/// `5 hosts: 1 critical, 4 ok`, and what is wrong with the fleet as a whole.
fn note(facts: &Facts) -> String {
    let counts = counts(facts.hosts());
    let all: usize = counts.iter().sum();
    let words = ["critical", "warning", "new", "ok"];
    let said: Vec<String> = counts
        .iter()
        .zip(words)
        .filter(|(count, _)| **count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let mut out = match all {
        0 => "no host fits\n".to_owned(),
        _ => format!("{}: {}\n", units::counted(all, "host"), said.join(", ")),
    };
    for problem in &facts.fleet.fleet {
        let it = &problem.incident;
        let text = format!("fleet {}: {}: {}", it.subject.rule, it.level.tag(), it.text);
        out.push_str(&table::text(&Cell::Text(text)));
        out.push('\n');
    }
    out
}
