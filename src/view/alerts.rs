//! Problems: open ones worst first, ended ones newest first; and silences.

use chrono::{DateTime, Utc};

use crate::model::alert::{Ack, Ending, Incident};
use crate::model::silence::{Calendar, Silence, When};

use super::{Cell, Column, Page, Place, column};

const COLUMNS: &[Column] = &[
    column("id", "ID", Place::Right),
    column("level", "LEVEL", Place::Left),
    column("problem", "PROBLEM", Place::Left),
    column("age", "SINCE", Place::Right),
    column("state", "STATE", Place::Left),
    column("text", "TEXT", Place::Below),
    column("host", "", Place::Left),
    column("rule", "", Place::Left),
    column("item", "", Place::Left),
    column("worst", "", Place::Left),
    column("value", "", Place::Left),
    column("opened", "", Place::Left),
    column("changed", "", Place::Left),
    column("closed", "", Place::Left),
    column("ending", "", Place::Left),
    column("acknowledged_by", "", Place::Left),
];

/// One problem as it is listed.
#[derive(Clone, Debug)]
pub struct Listed {
    /// It.
    pub incident: Incident,
    /// `web01 disk /var`.
    pub name: String,
    /// One word or a few: `told`, `silenced`, `waits`.
    pub state: String,
    /// Who took it.
    pub ack: Option<Ack>,
}

/// A row for each problem, in this order.
#[must_use]
pub fn view(now: DateTime<Utc>, list: &[Listed]) -> Page {
    let rows = list.iter().map(|listed| {
        let it = &listed.incident;
        let text = |text: &str| if text.is_empty() { Cell::Empty } else { Cell::Text(text.to_owned()) };
        vec![
            Cell::Number(it.id as f64),
            Cell::Level(Some(it.level)),
            Cell::Text(listed.name.clone()),
            Cell::Seconds(((now - it.opened).num_seconds().max(0)) as f64),
            text(&listed.state),
            text(&it.text),
            text(&it.subject.host),
            text(&it.subject.rule),
            text(&it.subject.item),
            Cell::Level(Some(it.worst)),
            if it.value.is_finite() { Cell::Number(it.value) } else { Cell::Empty },
            Cell::Time(it.opened),
            Cell::Time(it.changed),
            it.closed.map_or(Cell::Empty, Cell::Time),
            it.ending.map_or(Cell::Empty, |ending: Ending| text(ending.word())),
            listed.ack.as_ref().map_or(Cell::Empty, |ack| text(&ack.by)),
        ]
    });
    Page { columns: COLUMNS, rows: rows.collect() }
}

const SILENCES: &[Column] = &[
    column("id", "ID", Place::Left),
    column("covers", "COVERS", Place::Left),
    column("when", "WHEN", Place::Left),
    column("state", "STATE", Place::Left),
    column("by", "BY", Place::Left),
    column("reason", "REASON", Place::Below),
    column("from", "", Place::Left),
    column("until", "", Place::Left),
    column("created", "", Place::Left),
    column("ended", "", Place::Left),
];

/// `mon-fri 08:00-18:00 Europe/Paris`.
#[must_use]
pub fn calendar(it: &Calendar) -> String {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let named: Vec<&str> =
        DAYS.iter().enumerate().filter(|(n, _)| it.days >> n & 1 == 1).map(|(_, day)| *day).collect();
    let days = match it.days {
        127 => "daily".to_owned(),
        31 => "mon-fri".to_owned(),
        _ => named.join(" "),
    };
    let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    format!("{days} {}-{} {}", clock(it.from), clock(it.until), it.zone)
}

/// `host=web* rule=cpu.used`, or `everything`.
#[must_use]
pub fn covers(silence: &Silence) -> String {
    let scope = &silence.scope;
    let lists =
        [("host", &scope.hosts), ("group", &scope.groups), ("service", &scope.services), ("rule", &scope.rules)];
    let given: Vec<String> = lists
        .iter()
        .filter(|(_, all)| !all.is_empty())
        .map(|(name, all)| format!("{name}={}", all.join(",")))
        .collect();
    if given.is_empty() { "everything".to_owned() } else { given.join(" ") }
}

/// A row for each silence with its state: `holds`, `waits`, `over` or `ended`.
#[must_use]
pub fn silences(list: &[(Silence, &'static str)]) -> Page {
    let rows = list.iter().map(|(it, state)| {
        let when = match &it.when {
            When::Once { from, until } => {
                format!("{} to {} UTC", from.format("%m-%d %H:%M"), until.format("%m-%d %H:%M"))
            }
            When::Weekly(weekly) => calendar(weekly),
        };
        let stored = it.id > 0;
        let (from, until) = match it.when {
            When::Once { from, until } => (Cell::Time(from), Cell::Time(until)),
            When::Weekly(_) => (Cell::Empty, Cell::Empty),
        };
        vec![
            if stored { Cell::Number(it.id as f64) } else { Cell::Text("config.xml".to_owned()) },
            Cell::Text(covers(it)),
            Cell::Text(when),
            Cell::Text((*state).to_owned()),
            Cell::Text(it.by.clone()),
            if it.reason.is_empty() { Cell::Empty } else { Cell::Text(it.reason.clone()) },
            from,
            until,
            if stored { Cell::Time(it.created) } else { Cell::Empty },
            it.ended.map_or(Cell::Empty, Cell::Time),
        ]
    });
    Page { columns: SILENCES, rows: rows.collect() }
}
