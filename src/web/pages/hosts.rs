//! The table of hosts: sorted, and a page at a time, so that five thousand are no more work to look at than fifty.

use chrono::{DateTime, Utc};
use serde::Serialize;
use std::cmp::Ordering;

use super::parts::{Address, Figure, Moment, path, word};
use crate::model::level::Level;
use crate::model::natural::Natural;
use crate::model::snapshot::{HostRow, Problem, State};
use crate::web::request::Params;

/// Rows on a page of the table.
const ROWS: usize = 100;
/// Sentences on a row; the host's own page has all.
const SENTENCES: usize = 2;

/// A column: its name in addresses, its heading, and what it sorts by.
struct Column {
    name: &'static str,
    text: &'static str,
    key: Key,
}

enum Key {
    /// Smallest first.
    Text(fn(&HostRow) -> Natural<'_>),
    /// Greatest first; hosts without it last either way.
    Number(fn(&HostRow) -> Option<f64>),
    /// The snapshot's own order.
    Worst,
    /// Cannot be sorted by.
    None,
}

const COLUMNS: &[Column] = &[
    Column { name: "level", text: "Level", key: Key::Worst },
    Column { name: "host", text: "Host", key: Key::Text(|host| Natural(&host.name)) },
    Column { name: "group", text: "Group", key: Key::Text(|host| Natural(group(host))) },
    Column { name: "cpu", text: "CPU", key: Key::Number(|host| host.value("cpu.used")) },
    Column { name: "memory", text: "Memory", key: Key::Number(|host| host.value("memory.used")) },
    Column { name: "load", text: "Load", key: Key::Number(|host| host.value("load.1m")) },
    Column { name: "disk", text: "Disk", key: Key::Number(|host| host.fullest().map(|(_, used)| used)) },
    Column { name: "mount", text: "Fullest", key: Key::None },
    Column { name: "age", text: "Seen", key: Key::Number(|host| host.age) },
    Column { name: "problem", text: "Problems", key: Key::None },
];

#[derive(Debug, Serialize)]
struct Head {
    text: &'static str,
    number: bool,
    sorted: &'static str,
    href: String,
}

#[derive(Debug, Serialize)]
struct Said {
    text: String,
    tags: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    level: &'static str,
    href: String,
    name: String,
    group: String,
    group_href: String,
    cpu: Figure,
    memory: Figure,
    load: Figure,
    disk: Figure,
    mount: String,
    seen: Option<Moment>,
    state: &'static str,
    problems: Vec<Said>,
    more: usize,
}

/// Which rows are shown, and where the others are.
#[derive(Debug, Serialize)]
pub struct Pager {
    all: usize,
    page: usize,
    last: usize,
    first_row: usize,
    last_row: usize,
    before: String,
    after: String,
}

/// The table, ready for its template.
#[derive(Debug, Serialize)]
pub struct Table {
    columns: Vec<Head>,
    order: String,
    rows: Vec<Row>,
    pager: Pager,
}

/// The table of hosts, which come worst first. `sort=cpu` (greatest first) or `sort=-cpu`, as the links of its headings say.
#[must_use]
pub fn table(mut hosts: Vec<&HostRow>, now: DateTime<Utc>, query: &Params, address: &Address) -> Table {
    let asked = query.get("sort").unwrap_or_default();
    let (asked, turned) = asked.strip_prefix('-').map_or((asked, false), |name| (name, true));
    let column = COLUMNS.iter().find(|column| column.name == asked && !matches!(column.key, Key::None));
    let column = column.or(COLUMNS.first());
    let order = column.map_or_else(String::new, |column| {
        sort(&mut hosts, &column.key, turned);
        let way = match (&column.key, turned) {
            (Key::Worst, false) => return "worst first".to_owned(),
            (Key::Worst, true) => return "best first".to_owned(),
            (Key::Text(_), false) => "a to z",
            (Key::Text(_), true) => "z to a",
            (_, false) => "greatest first",
            (_, true) => "least first",
        };
        format!("by {}, {way}", column.text)
    });
    let columns = COLUMNS.iter().map(|it| head(it, column.map_or("", |column| column.name), turned, address)).collect();
    let pager = pager(hosts.len(), query, address);
    let shown = hosts.iter().skip((pager.page - 1) * ROWS).take(ROWS);
    Table { columns, order, rows: shown.map(|host| row(host, now)).collect(), pager }
}

fn sort(hosts: &mut [&HostRow], key: &Key, turned: bool) {
    match key {
        Key::Worst | Key::None if turned => hosts.reverse(),
        Key::Worst | Key::None => {}
        Key::Text(key) => {
            hosts.sort_by(|a, b| key(a).cmp(&key(b)));
            if turned {
                hosts.reverse();
            }
        }
        Key::Number(key) => hosts.sort_by(|a, b| match (key(a), key(b)) {
            (Some(a), Some(b)) if turned => a.total_cmp(&b),
            (Some(a), Some(b)) => b.total_cmp(&a),
            (a, b) => a.is_none().cmp(&b.is_none()).then(Ordering::Equal),
        }),
    }
}

fn head(column: &Column, shown: &str, turned: bool, address: &Address) -> Head {
    let here = column.name == shown;
    let number = matches!(column.key, Key::Number(_));
    // What a screen reader says: numbers and levels begin with the greatest, texts with the smallest.
    let sorted = match (here, matches!(column.key, Key::Text(_)) == turned) {
        (false, _) => "",
        (true, true) => "descending",
        (true, false) => "ascending",
    };
    let next = if here && !turned { format!("-{}", column.name) } else { column.name.to_owned() };
    let href = match column.key {
        Key::None => String::new(),
        Key::Worst if !here || turned => address.with(&[("sort", ""), ("page", "")]),
        _ => address.with(&[("sort", &next), ("page", "")]),
    };
    Head { text: column.text, number, sorted, href }
}

fn pager(all: usize, query: &Params, address: &Address) -> Pager {
    let last = all.div_ceil(ROWS).max(1);
    // A page that is no longer there is the last one, not an error: the filter leaves fewer.
    let page = query.get("page").and_then(|text| text.parse().ok()).unwrap_or(1).clamp(1, last);
    let link = |to: usize| address.with(&[("page", if to == 1 { String::new() } else { to.to_string() }.as_str())]);
    Pager {
        all,
        page,
        last,
        first_row: (page - 1) * ROWS + 1,
        last_row: (page * ROWS).min(all),
        before: if page > 1 { link(page - 1) } else { String::new() },
        after: if page < last { link(page + 1) } else { String::new() },
    }
}

/// The innermost group.
#[must_use]
pub fn group(host: &HostRow) -> &str {
    host.groups.last().map_or("", String::as_str)
}

/// The worst of the open problems about a metric, its derived ones too.
#[must_use]
pub fn about(host: &HostRow, family: &str, item: Option<&str>) -> Option<Level> {
    let fits = |it: &&Problem| {
        let subject = &it.incident.subject;
        subject.rule.starts_with(family) && item.is_none_or(|item| subject.item == item)
    };
    host.problems.iter().filter(fits).map(|it| it.incident.level).max()
}

/// What people did about a problem.
#[must_use]
pub fn tags(problem: &Problem) -> Vec<String> {
    let ack = problem.ack.as_ref().map(|ack| format!("taken by {}", ack.by));
    ack.into_iter().chain(problem.silenced.as_ref().map(|_| "silenced".to_owned())).collect()
}

fn row(host: &HostRow, now: DateTime<Utc>) -> Row {
    let mut problems: Vec<Said> = Vec::new();
    if let Some((cause, text)) = host.untold() {
        let text = if text.is_empty() { cause.word().to_owned() } else { format!("{}: {text}", cause.word()) };
        problems.push(Said { text, tags: Vec::new() });
    }
    let open = host.problems.iter().map(|it| Said { text: it.incident.text.clone(), tags: tags(it) });
    problems.extend(open);
    let known = match host.state {
        State::Never => Some(format!("never collected; try: fleet hosts test {}", host.name)),
        State::Stale => Some("old: nothing was collected since; see: fleet health".to_owned()),
        State::Fresh | State::Failed => None,
    };
    problems.extend(known.map(|text| Said { text, tags: Vec::new() }));
    let more = problems.len().saturating_sub(SENTENCES);
    problems.truncate(SENTENCES);
    let fullest = host.fullest();
    let group = group(host);
    Row {
        level: word(host.level),
        href: path("host", &host.name),
        name: host.name.clone(),
        group: group.to_owned(),
        group_href: path("group", group),
        cpu: Figure::share(host.value("cpu.used")).at(about(host, "cpu.", None)),
        memory: Figure::share(host.value("memory.used")).at(about(host, "memory.", None)),
        load: Figure::load(host.value("load.1m")).at(about(host, "load.", None)),
        disk: Figure::share(fullest.map(|(_, used)| used)).at(about(
            host,
            "filesystem.",
            fullest.map(|(item, _)| item),
        )),
        mount: fullest.map(|(mount, _)| mount.to_owned()).unwrap_or_default(),
        seen: host.received.map(|at| Moment::new(at, now)),
        state: host.state.word(),
        problems,
        more,
    }
}
