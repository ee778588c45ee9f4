//! The heat map: every host a cell, a strip for each group, in an order that stays, so that eyes learn the places.

use std::collections::BTreeMap;
use std::fmt::Write;

use minijinja::{HtmlEscape, Value};
use serde::Serialize;

use super::hosts::group;
use super::parts::{Address, Choice, path, word};
use crate::model::figure;
use crate::model::level::Level;
use crate::model::natural::Natural;
use crate::model::snapshot::{HostRow, State};

/// From so many hosts on, cells are small.
const MANY: usize = 600;
/// Up to so many hosts, cells are tiles with names.
const FEW: usize = 60;
/// How wide the block of a group is, in cells, by how many hosts it has at most: about twice as wide as high.
const WIDE: &[(usize, &str)] = &[(15, "w5"), (60, ""), (250, "w20"), (1000, "w40")];

/// A group's cells.
#[derive(Debug, Serialize)]
struct Strip {
    name: String,
    href: String,
    count: usize,
    wide: &'static str,
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
/// Cells with a border inside.
const TAKEN: Key = Key { class: "w q", text: "taken or silenced" };

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
    size: &'static str,
    shade: &'static str,
    /// Whether any cell is old.
    old: bool,
    legend: Vec<&'static Key>,
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
    let few = hosts.len() <= FEW;
    let strips = groups.into_values().map(|(name, mut hosts)| {
        hosts.sort_by_key(|host| Natural(&host.name));
        let mut cells = String::with_capacity(hosts.len() * 96);
        for host in &hosts {
            cell(&mut cells, host, shade, few);
        }
        let wide = WIDE.iter().find(|(most, _)| hosts.len() <= *most).map_or("w80", |(_, wide)| wide);
        Strip {
            name: if name.is_empty() { "no group".to_owned() } else { name.to_owned() },
            href: if name.is_empty() { String::new() } else { path("group", name) },
            count: hosts.len(),
            wide,
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
        size: match hosts.len() {
            _ if few => "few",
            many if many > MANY => "many",
            _ => "",
        },
        shade: shade.map_or("", |(_, text, _)| text),
        old: hosts.iter().any(|host| matches!(host.state, State::Stale | State::Failed)),
        // What is not there needs no explanation.
        legend: LEGEND
            .iter()
            .filter(|key| hosts.iter().any(|host| sign(host) == key.class))
            .chain(hosts.iter().any(|host| taken(host)).then_some(&TAKEN))
            .collect(),
        maps: std::iter::once(plain).chain(maps).collect(),
    }
}

/// Written by hand: a template would take most of the time of a page of thousands.
fn cell(out: &mut String, host: &HostRow, shade: Option<&Shade>, few: bool) {
    let value = shade.and_then(|(_, name, value)| Some((name, value(host)?)));
    let old = matches!(host.state, State::Stale | State::Failed);
    let mut class = match (shade, value) {
        // How much it was once is not how much it is.
        (Some(_), Some(_)) if old => "s".to_owned(),
        (Some(_), Some((_, value))) => format!("n{}", (value * 10.0).clamp(0.0, 9.0) as u8),
        (Some(_), None) => "u".to_owned(),
        (None, _) => sign(host).to_owned(),
    };
    if shade.is_none() && taken(host) {
        class.push_str(" q");
    }
    let mut says = format!("{}: {}", host.name, word(host.level));
    if let Some((name, value)) = value {
        let _ = write!(says, ", {name} {:.0}%", value * 100.0);
    } else if let Some(worst) = host.problems.first() {
        let _ = write!(says, ", {}", worst.incident.text);
    }
    if host.state != State::Fresh {
        let _ = write!(says, ", {}", host.state.word());
    }
    if let Some(age) = host.age.filter(|_| old) {
        let _ = write!(says, ", seen {} ago", figure::seconds(age));
    }
    // A small cell has no room to say that its number is old.
    let text = value.filter(|_| few || !old).map(|(_, value)| format!("{:.0}", (value * 100.0).clamp(0.0, 99.0)));
    let text = match (few, text) {
        (false, text) => text.unwrap_or_default(),
        (true, None) => HtmlEscape(&host.name).to_string(),
        (true, Some(text)) => format!("<b>{text}</b>{}", HtmlEscape(&host.name)),
    };
    // Into a string: it cannot fail.
    let _ = write!(
        out,
        "<a class=\"c {class}\" href=\"{}\" tabindex=\"-1\" aria-label=\"{}\">{text}</a>",
        path("host", &host.name),
        HtmlEscape(&says)
    );
}

/// Somebody knows of each of its problems.
fn taken(host: &HostRow) -> bool {
    !host.problems.is_empty() && host.problems.iter().all(|it| it.ack.is_some() || it.silenced.is_some())
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
