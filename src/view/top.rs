//! The processes that took most when each host was last looked at, over the whole fleet.

use std::collections::{BTreeMap, HashMap};

use crate::model::sample::{By, Process};

use super::{Cell, Column, Facts, Needs, Place, View, column, units};

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
    column("age", "AGE", Place::Right),
];
/// So many of the columns are about the process itself.
pub const MERGED: usize = 9;

/// What a process takes, in the order of [`By`].
type Taken = [Option<f64>; 3];

/// A row for each process, the hungriest for processors first; what a process was not among the first of is empty.
pub const VIEW: View = View {
    note,
    limit: Some(20),
    ..View::new("top", "The processes that take most, over all hosts", Needs::Processes, COLUMNS, rows)
};

fn rows(facts: &Facts) -> Vec<Vec<Cell>> {
    let ages: HashMap<&str, f64> =
        facts.hosts().filter_map(|host| Some((host.name.as_str(), host.age?.floor()))).collect();
    let of_host = |(host, list): &(&str, Vec<Process>)| {
        let age = ages.get(host).map_or(Cell::Empty, |age| Cell::Seconds(*age));
        let with = move |(cpu, row): (f64, Vec<Cell>)| (cpu, row.into_iter().chain([age.clone()]).collect());
        merged(host, list).into_iter().map(with).collect::<Vec<(f64, Vec<Cell>)>>()
    };
    let mut all: Vec<(f64, Vec<Cell>)> = facts.processes.iter().flat_map(of_host).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.into_iter().map(|(_, row)| row).collect()
}

/// The processes of one host with what each takes of processors, memory and disks; by processors and then by memory.
#[must_use]
pub fn merged(host: &str, list: &[Process]) -> Vec<(f64, Vec<Cell>)> {
    let mut found: BTreeMap<(u32, &str), (&Process, Taken)> = BTreeMap::new();
    for process in list {
        let (_, taken) = found.entry((process.pid, &process.comm)).or_insert((process, [None; 3]));
        taken[By::ALL.iter().position(|by| *by == process.by).unwrap_or(0)] = Some(process.value);
    }
    let mut all: Vec<(&Process, Taken)> = found.into_values().collect();
    all.sort_by(|(_, a), (_, b)| {
        let key = |taken: &Taken, n: usize| taken[n].unwrap_or(-1.0);
        key(b, 0).total_cmp(&key(a, 0)).then(key(b, 1).total_cmp(&key(a, 1))).then(key(b, 2).total_cmp(&key(a, 2)))
    });
    let text = |text: &str| if text.is_empty() { Cell::Empty } else { Cell::Text(text.to_owned()) };
    let row = |(it, [cpu, memory, io]): (&Process, Taken)| {
        let or_empty = |by: By, value: Option<f64>| value.map_or(Cell::Empty, |value| amount(by, value));
        let row = vec![
            text(host),
            text(&it.comm),
            or_empty(By::Cpu, cpu),
            or_empty(By::Memory, memory),
            or_empty(By::Io, io),
            Cell::Number(f64::from(it.pid)),
            text(&it.user),
            text(&it.unit),
            text(&it.command),
        ];
        (cpu.unwrap_or(0.0), row)
    };
    all.into_iter().map(row).collect()
}

/// What a process takes, as people read it.
#[must_use]
pub fn amount(by: By, value: f64) -> Cell {
    match by {
        By::Cpu => Cell::Ratio(value),
        By::Memory => Cell::Bytes(value),
        By::Io => Cell::Rate(Box::new(Cell::Bytes(value))),
    }
}

fn note(facts: &Facts) -> String {
    let all = facts.processes.len();
    if facts.processes.iter().all(|(_, list)| list.is_empty()) {
        return "no host has told of its processes yet\n".to_owned();
    }
    format!("from the newest samples of {}\n", units::counted(all, "host"))
}
