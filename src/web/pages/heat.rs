//! The heat map: every host a cell, a strip for each group, in an order that stays, so that eyes learn the places.

use std::collections::BTreeMap;
use std::fmt::Write;

use minijinja::{HtmlEscape, Value};
use serde::Serialize;

use super::hosts::group;
use super::parts::{Address, Choice, path, word};
use crate::model::level::Level;
use crate::model::natural::Natural;
use crate::model::snapshot::{HostRow, State};

/// From so many hosts on, cells are small.
const MANY: usize = 600;

/// A group's cells.
#[derive(Debug, Serialize)]
struct Strip {
    name: String,
    href: String,
    count: usize,
    cells: Value,
}

/// What a sign means.
#[derive(Debug, Serialize)]
struct Key {
    class: &'static str,
    text: &'static str,
}

const LEGEND: &[Key] = &[
    Key { class: "k", text: "critical" },
    Key { class: "w", text: "warning" },
    Key { class: "u", text: "never measured" },
    Key { class: "s", text: "old or out of reach" },
    Key { class: "o", text: "ok" },
];

/// What cells may show besides levels: its word in addresses, its name, its value as a share.
type Shade = (&'static str, &'static str, fn(&HostRow) -> Option<f64>);
const SHADES: &[Shade] = &[
    ("cpu", "CPU", |host| host.value("cpu.used")),
    ("memory", "Memory", |host| host.value("memory.used")),
    ("disk", "Fullest disk", |host| host.fullest().map(|(_, used)| used)),
];

/// The heat map, ready for its template.
#[derive(Debug, Serialize)]
pub struct Heat {
    strips: Vec<Strip>,
    many: bool,
    shade: &'static str,
    legend: &'static [Key],
    maps: Vec<Choice>,
}

/// The heat map of these hosts. `map=cpu` shows a value instead of levels.
#[must_use]
pub fn heat(hosts: &[&HostRow], map: &str, address: &Address) -> Heat {
    let shade = SHADES.iter().find(|(name, ..)| *name == map);
    let mut groups: BTreeMap<Natural, (&str, Vec<&HostRow>)> = BTreeMap::new();
    for host in hosts {
        let name = group(host);
        groups.entry(Natural(name)).or_insert((name, Vec::new())).1.push(host);
    }
    let strips = groups.into_values().map(|(name, mut hosts)| {
        hosts.sort_by_key(|host| Natural(&host.name));
        let mut cells = String::with_capacity(hosts.len() * 96);
        for host in &hosts {
            cell(&mut cells, host, shade);
        }
        Strip {
            name: if name.is_empty() { "no group".to_owned() } else { name.to_owned() },
            href: if name.is_empty() { String::new() } else { path("group", name) },
            count: hosts.len(),
            cells: Value::from_safe_string(cells),
        }
    });
    let plain = Choice { href: address.with(&[("map", "")]), text: "Level".to_owned(), here: shade.is_none() };
    let maps = SHADES.iter().map(|(name, text, _)| Choice {
        href: address.with(&[("map", name)]),
        text: (*text).to_owned(),
        here: shade.is_some_and(|(shown, ..)| shown == name),
    });
    Heat {
        strips: strips.collect(),
        many: hosts.len() > MANY,
        shade: shade.map_or("", |(_, text, _)| text),
        legend: LEGEND,
        maps: std::iter::once(plain).chain(maps).collect(),
    }
}

/// Written by hand: a template would take most of the time of a page of thousands.
fn cell(out: &mut String, host: &HostRow, shade: Option<&Shade>) {
    let value = shade.and_then(|(_, name, value)| Some((name, value(host)?)));
    let mut class = match (shade, value) {
        (Some(_), Some((_, value))) => format!("n{}", (value * 10.0).clamp(0.0, 9.0) as u8),
        (Some(_), None) => "u".to_owned(),
        (None, _) => sign(host).to_owned(),
    };
    let taken = host.problems.iter().all(|it| it.ack.is_some() || it.silenced.is_some());
    if shade.is_none() && !host.problems.is_empty() && taken {
        class.push_str(" q");
    }
    let mut says = format!("{}: {}", host.name, word(host.level));
    if let Some((name, value)) = value {
        let _ = write!(says, ", {name} {:.0}%", value * 100.0);
    } else if let Some(worst) = host.problems.first() {
        let _ = write!(says, ", {}", worst.incident.text);
    } else if host.state != State::Fresh {
        let _ = write!(says, ", {}", host.state.word());
    }
    let text = value.map(|(_, value)| format!("{:.0}", (value * 100.0).clamp(0.0, 99.0))).unwrap_or_default();
    // Into a string: it cannot fail.
    let _ = write!(
        out,
        "<a class=\"c {class}\" href=\"{}\" tabindex=\"-1\" aria-label=\"{}\">{text}</a>",
        path("host", &host.name),
        HtmlEscape(&says)
    );
}

fn sign(host: &HostRow) -> &'static str {
    match (host.level, host.state) {
        (Some(Level::Critical), _) => "k",
        (None, _) => "u",
        (_, State::Stale | State::Failed) if host.problems.is_empty() => "s",
        (Some(Level::Warning), _) => "w",
        (Some(Level::Ok), _) => "o",
    }
}
