//! A machine at a moment: what people look at first, and every value in rows for programs.

use crate::model::alert::Incident;
use crate::model::catalogue;
use crate::model::clean::clean;
use crate::model::fleet::HostFact;
use crate::model::sample::{Process, Reading};

use super::units::cell;
use super::{Cell, Column, Page, Place, column, table, top};

/// What is known of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Gauges and what is derived.
    pub readings: &'a [Reading],
    /// The processes that took most.
    pub processes: &'a [Process],
    /// What it was.
    pub facts: &'a [HostFact],
    /// What was wrong, worst first.
    pub problems: &'a [Incident],
}

const COLUMNS: &[Column] = &[
    column("section", "SECTION", Place::Left),
    column("name", "NAME", Place::Left),
    column("item", "ITEM", Place::Left),
    column("value", "VALUE", Place::Right),
    column("text", "TEXT", Place::Left),
];

/// Metrics without items that are shown to people, in this order.
const FIRST: &[&str] = &[
    "cpu.used",
    "cpu.iowait",
    "cpu.steal",
    "load.1m",
    "load.5m",
    "load.15m",
    "memory.used",
    "memory.total",
    "memory.available",
    "swap.used",
    "process.count",
    "process.blocked",
    "process.zombies",
    "systemd.units.failed",
    "time.offset",
    "reboot.required",
    "uptime",
];

/// Metrics with items that are shown to people: one table for each list, a column for each metric.
const TABLES: &[(&str, &[Column])] = &[
    (
        "Filesystems",
        &[
            column("", "MOUNT", Place::Left),
            column("filesystem.used", "USED", Place::Right),
            column("filesystem.size", "SIZE", Place::Right),
            column("filesystem.available", "AVAILABLE", Place::Right),
            column("filesystem.inodes.used", "INODES", Place::Right),
        ],
    ),
    (
        "Disks",
        &[
            column("", "DISK", Place::Left),
            column("disk.utilization", "BUSY", Place::Right),
            column("disk.read.rate", "READ", Place::Right),
            column("disk.write.rate", "WRITTEN", Place::Right),
            column("disk.write.await", "WAIT", Place::Right),
        ],
    ),
    (
        "Network",
        &[
            column("", "INTERFACE", Place::Left),
            column("network.receive.rate", "RECEIVED", Place::Right),
            column("network.transmit.rate", "SENT", Place::Right),
            column("network.errors.ratio", "ERRORS", Place::Right),
        ],
    ),
    (
        "Checks",
        &[
            column("", "CHECK", Place::Left),
            column("check.ok", "OK", Place::Right),
            column("check.seconds", "TOOK", Place::Right),
            column("check.age", "AGE", Place::Right),
        ],
    ),
];

/// Every value in a row of its own: problems, readings, processes, facts.
#[must_use]
pub fn rows(known: &Known<'_>) -> Page {
    let text = |text: &str| if text.is_empty() { Cell::Empty } else { Cell::Text(text.to_owned()) };
    let mut rows = Vec::new();
    for it in known.problems {
        let (rule, item) = (&it.subject.rule, &it.subject.item);
        let value = if it.value.is_finite() { Cell::Number(it.value) } else { Cell::Empty };
        rows.push(vec![text("problem"), text(rule), text(item), value, text(&format!("{}: {}", it.level, it.text))]);
    }
    for it in known.readings {
        let value = cell(catalogue::find(&it.metric), it.value);
        rows.push(vec![text("reading"), text(&it.metric), text(&it.item), value, Cell::Empty]);
    }
    for it in known.processes {
        let who = format!("{} {} {}", it.pid, it.user, it.unit);
        let (by, value) = (it.by.word(), top::amount(it.by, it.value));
        rows.push(vec![text("process"), text(by), text(&it.comm), value, text(who.trim_end())]);
    }
    for it in known.facts {
        rows.push(vec![text("fact"), text(&it.name), text(&it.item), Cell::Empty, text(&it.text)]);
    }
    Page { columns: COLUMNS, rows }
}

/// What people look at first.
#[must_use]
pub fn people(known: &Known<'_>, width: usize, color: bool) -> String {
    let mut out = String::new();
    if known.problems.is_empty() {
        out.push_str("No problem was open.\n");
    }
    for it in known.problems {
        let name = format!("{} {}", it.subject.rule, it.subject.item);
        let since = it.opened.format("%m-%d %H:%M");
        out.push_str(&clean(&format!("{} {} (problem {}, since {since})", it.level.tag(), name.trim_end(), it.id)));
        out.push_str(&format!("\n  {}\n", clean(&it.text)));
    }
    let value = |metric: &str, item: &str| {
        let found = known.readings.iter().find(|it| it.metric == metric && it.item == item)?;
        // A check's answer is no amount.
        let flag = || Cell::Flag(found.value > 0.0);
        Some(if metric == "check.ok" { flag() } else { cell(catalogue::find(metric), found.value) })
    };
    const PAIR: &[Column] = &[column("metric", "METRIC", Place::Left), column("value", "VALUE", Place::Right)];
    let first = FIRST.iter().filter_map(|metric| Some(vec![Cell::Text((*metric).to_owned()), value(metric, "")?]));
    section(&mut out, "", &Page { columns: PAIR, rows: first.collect() }, width, color);
    for (title, columns) in TABLES {
        let mut items: Vec<&str> = Vec::new();
        for it in known.readings {
            if columns.iter().any(|column| column.name == it.metric) && !items.contains(&it.item.as_str()) {
                items.push(&it.item);
            }
        }
        let cells = |item: &str| {
            let one = |column: &Column| value(column.name, item).unwrap_or(Cell::Empty);
            let rest = columns.iter().skip(1).map(one);
            std::iter::once(Cell::Text(item.to_owned())).chain(rest).collect()
        };
        let rows = items.into_iter().map(cells).collect();
        section(&mut out, title, &Page { columns, rows }, width, color);
    }
    section(&mut out, "Processes", &processes(known.processes), width, color);
    const FACT: &[Column] = &[
        column("fact", "FACT", Place::Left),
        column("item", "ITEM", Place::Left),
        column("text", "TEXT", Place::Left),
    ];
    let fact = |it: &HostFact| [&it.name, &it.item, &it.text].map(|text| Cell::Text(text.clone())).to_vec();
    section(&mut out, "", &Page { columns: FACT, rows: known.facts.iter().map(fact).collect() }, width, color);
    out
}

/// The processes of one host, without its name.
fn processes(list: &[Process]) -> Page {
    let rows = top::merged("", list).into_iter().map(|(_, row)| row.into_iter().skip(1).collect()).collect();
    Page { columns: top::COLUMNS.get(1..top::MERGED).unwrap_or_default(), rows }
}

fn section(out: &mut String, title: &str, page: &Page, width: usize, color: bool) {
    if page.rows.is_empty() {
        return;
    }
    out.push('\n');
    if !title.is_empty() {
        out.push_str(&format!("{title}:\n"));
    }
    out.push_str(&table::render(page, width, color));
}
