//! Two machines side by side, what differs first.

use std::collections::BTreeMap;

use crate::model::catalogue;
use crate::model::fleet::HostFact;
use crate::model::sample::Reading;

use super::units::cell;
use super::{Cell, Column, Page, Place, column};

const COLUMNS: &[Column] = &[
    column("name", "WHAT", Place::Left),
    column("item", "ITEM", Place::Left),
    column("first", "FIRST", Place::Left),
    column("second", "SECOND", Place::Left),
    column("kind", "", Place::Left),
    column("differs", "", Place::Left),
];

/// Two values are alike where they differ by less than this share of the greater: no two machines agree to the digit.
const ALIKE: f64 = 0.1;
/// Metrics that say nothing of the machine: what the probe itself took.
const SKIPPED: &[&str] = &["probe."];

/// What is compared of one machine.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Of the configuration: a name, and what is written.
    pub settings: &'a [(&'static str, String)],
    /// What it is.
    pub facts: &'a [HostFact],
    /// Gauges and what is derived.
    pub readings: &'a [Reading],
}

/// One line: its rank, by which what differs most stands first, and its cells.
struct Line {
    rank: (u8, f64),
    cells: Vec<Cell>,
    differs: bool,
}

/// A row for everything that differs: configuration, facts, then values by how much they differ. What is alike follows
/// where `all` is asked for; the count is that of the lines that are alike.
#[must_use]
pub fn page(first: Side<'_>, second: Side<'_>, all: bool) -> (Page, usize) {
    let mut lines = Vec::new();
    let settings = |side: &Side<'_>| -> BTreeMap<(String, String), String> {
        side.settings.iter().map(|(name, text)| (((*name).to_owned(), String::new()), text.clone())).collect()
    };
    let facts = |side: &Side<'_>| -> BTreeMap<(String, String), String> {
        side.facts.iter().map(|it| ((it.name.clone(), it.item.clone()), it.text.clone())).collect()
    };
    lines.extend(texts("setting", &settings(&first), &settings(&second)));
    lines.extend(texts("fact", &facts(&first), &facts(&second)));
    lines.extend(values(first.readings, second.readings));
    let alike = lines.iter().filter(|line| !line.differs).count();
    lines.retain(|line| all || line.differs);
    lines.sort_by(|a, b| {
        let rank = |line: &Line| (!line.differs, line.rank.0);
        rank(a).cmp(&rank(b)).then_with(|| b.rank.1.total_cmp(&a.rank.1))
    });
    (Page { columns: COLUMNS, rows: lines.into_iter().map(|line| line.cells).collect() }, alike)
}

/// By name and item.
type Texts = BTreeMap<(String, String), String>;

fn text(text: &str) -> Cell {
    if text.is_empty() { Cell::Empty } else { Cell::Text(text.to_owned()) }
}

fn texts(kind: &'static str, first: &Texts, second: &Texts) -> Vec<Line> {
    let mut keys: Vec<&(String, String)> = first.keys().chain(second.keys()).collect();
    keys.sort();
    keys.dedup();
    let line = |key: &(String, String)| {
        let (one, other) = (first.get(key), second.get(key));
        let differs = one != other;
        let side = |it: Option<&String>| it.map_or(Cell::Empty, |it| text(it));
        let cells = vec![text(&key.0), text(&key.1), side(one), side(other), text(kind), Cell::Flag(differs)];
        Line { rank: (u8::from(kind == "fact"), 0.0), cells, differs }
    };
    keys.into_iter().map(line).collect()
}

fn values(first: &[Reading], second: &[Reading]) -> Vec<Line> {
    let by_name = |list: &[Reading]| -> BTreeMap<(String, String), f64> {
        let shown = list.iter().filter(|it| !SKIPPED.iter().any(|skipped| it.metric.starts_with(skipped)));
        shown.map(|it| ((it.metric.clone(), it.item.clone()), it.value)).collect()
    };
    let (first, second) = (by_name(first), by_name(second));
    let mut keys: Vec<&(String, String)> = first.keys().chain(second.keys()).collect();
    keys.sort();
    keys.dedup();
    let line = |key: &(String, String)| {
        let (one, other) = (first.get(key).copied(), second.get(key).copied());
        let metric = catalogue::find(&key.0);
        let apart = one.zip(other).map(|(one, other)| apart(one, other));
        let differs = apart.is_none_or(|apart| apart >= ALIKE);
        let side = |value: Option<f64>| value.map_or(Cell::Empty, |value| cell(metric, value));
        let cells = vec![text(&key.0), text(&key.1), side(one), side(other), text("reading"), Cell::Flag(differs)];
        // What only one of them has comes after what both have.
        Line { rank: if apart.is_some() { (2, apart.unwrap_or(0.0)) } else { (3, 0.0) }, cells, differs }
    };
    keys.into_iter().map(line).collect()
}

/// How far two values are from each other, as a share of the greater: 0 to 2.
fn apart(one: f64, other: f64) -> f64 {
    let greater = one.abs().max(other.abs());
    if greater == 0.0 || one == other { 0.0 } else { (one / greater - other / greater).abs() }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn what_differs_most_stands_first_and_what_is_alike_only_where_it_is_asked_for() {
        let fact = |name: &str, text: &str| HostFact {
            name: name.into(),
            item: String::new(),
            text: text.into(),
            since: chrono::DateTime::default(),
        };
        let reading = |metric: &str, item: &str, value| Reading { metric: metric.into(), item: item.into(), value };
        let one = [
            reading("cpu.used", "", 0.2),
            reading("memory.used", "", 0.5),
            reading("load.1m", "", 1.0),
            reading("filesystem.used", "/data", 0.5),
            reading("probe.cpu", "", 1.0),
        ];
        let other = [reading("cpu.used", "", 0.8), reading("memory.used", "", 0.52), reading("load.1m", "", 9.0)];
        let (old, new) =
            ([fact("host.kernel", "6.1"), fact("host.os", "x")], [fact("host.kernel", "6.2"), fact("host.os", "x")]);
        let groups = |text: &str| [("groups", text.to_owned())];
        let (ga, gb) = (groups("web"), groups("data"));
        let first = Side { settings: &ga, facts: &old, readings: &one };
        let second = Side { settings: &gb, facts: &new, readings: &other };
        let names = |all| {
            let (page, alike) = page(first, second, all);
            assert_eq!(alike, 2);
            page.rows.iter().map(|row| table::text(&row[0])).collect::<Vec<_>>()
        };
        assert_eq!(names(false), ["groups", "host.kernel", "load.1m", "cpu.used", "filesystem.used"]);
        assert_eq!(names(true)[5..], ["host.os", "memory.used"]);
        assert_eq!((apart(0.0, 0.0), apart(-1.0, 1.0), apart(f64::MAX, f64::MIN)), (0.0, 2.0, 2.0));
    }
}
