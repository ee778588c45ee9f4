//! The processes that took most when each host was last looked at, over the whole fleet.

use std::collections::BTreeMap;

use crate::model::sample::{By, Process};

use super::{Cell, Column, Facts, Needs, Place, View, column};

/// Of one process.
pub const COLUMNS: &[Column] = &[
    column("host", "HOST", Place::Left),
    column("process", "PROCESS", Place::Left),
    column("cpu", "CPU", Place::Right),
    column("memory", "MEM", Place::Right),
    column("io", "DISK I/O", Place::Right),
    column("pid", "PID", Place::Right),
    column("user", "USER", Place::Left),
    column("unit", "UNIT", Place::Left),
    column("command", "", Place::Left),
];

/// A row for each process, the hungriest for processors first; what a process was not among the first of is empty.
pub const VIEW: View = View {
    note,
    limit: Some(20),
    ..View::new("top", "The processes that take most, over all hosts", Needs::Processes, COLUMNS, rows)
};

fn rows(facts: &Facts) -> Vec<Vec<Cell>> {
    let mut all: Vec<(f64, Vec<Cell>)> = facts.processes.iter().flat_map(|(host, list)| merged(host, list)).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.into_iter().map(|(_, row)| row).collect()
}

/// The processes of one host with what each takes of processors, memory and disks; by processors and then by memory.
#[must_use]
pub fn merged(host: &str, list: &[Process]) -> Vec<(f64, Vec<Cell>)> {
    let mut found: BTreeMap<(u32, &str), (&Process, [Option<f64>; 3])> = BTreeMap::new();
    for process in list {
        let (_, taken) = found.entry((process.pid, &process.comm)).or_insert((process, [None; 3]));
        taken[By::ALL.iter().position(|by| *by == process.by).unwrap_or(0)] = Some(process.value);
    }
    let mut all: Vec<(&Process, [Option<f64>; 3])> = found.into_values().collect();
    all.sort_by(|(_, a), (_, b)| {
        let key = |taken: &[Option<f64>; 3], n: usize| taken[n].unwrap_or(-1.0);
        key(b, 0).total_cmp(&key(a, 0)).then(key(b, 1).total_cmp(&key(a, 1))).then(key(b, 2).total_cmp(&key(a, 2)))
    });
    let text = |text: &str| if text.is_empty() { Cell::Empty } else { Cell::Text(text.to_owned()) };
    let row = |(it, [cpu, memory, io]): (&Process, [Option<f64>; 3])| {
        let or_empty = |value: Option<f64>, cell: fn(f64) -> Cell| value.map_or(Cell::Empty, cell);
        let row = vec![
            text(host),
            text(&it.comm),
            or_empty(cpu, Cell::Ratio),
            or_empty(memory, Cell::Bytes),
            or_empty(io, |value| Cell::Rate(Box::new(Cell::Bytes(value)))),
            Cell::Number(f64::from(it.pid)),
            text(&it.user),
            text(&it.unit),
            text(&it.command),
        ];
        (cpu.unwrap_or(0.0), row)
    };
    all.into_iter().map(row).collect()
}

fn note(facts: &Facts) -> String {
    let all = facts.processes.len();
    if facts.processes.iter().all(|(_, list)| list.is_empty()) {
        return "no host has told of its processes yet\n".to_owned();
    }
    format!("from the newest samples of {all} host{}\n", if all == 1 { "" } else { "s" })
}
