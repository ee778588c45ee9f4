//! The fleet, or one group of it: counts, heat map, table.

use serde::Serialize;

use super::choose::{self, Choosing};
use super::frame::Frame;
use super::heat::{self, Heat};
use super::hosts::{self, Table};
use super::parts::{Address, Figure, Moment, path, word};
use crate::model::filter::Filter;
use crate::model::level::Level;
use crate::model::snapshot::{HostRow, Snapshot, State, rank};
use crate::web::request::Request;
use crate::web::response::{Answer, Response, Trouble};
use crate::web::site::Site;
use crate::web::source::Source;

/// Values of the query that the page knows.
const KNOWN: &[&str] = &["filter", "sort", "page", "map"];

#[derive(Debug, Serialize)]
struct Count {
    word: &'static str,
    count: usize,
    href: String,
    here: bool,
}

#[derive(Debug, Serialize)]
struct Sweep {
    at: Moment,
    text: String,
}

#[derive(Debug, Serialize)]
struct Page {
    heading: String,
    under: String,
    tally: Vec<Count>,
    sweep: Option<Sweep>,
    hosts: usize,
    #[serde(flatten)]
    choosing: Choosing,
    heat: Option<Heat>,
    table: Table,
}

/// The fleet. `?host=NAME` leads to that host, with the times that the address names.
///
/// # Errors
/// The source's.
pub fn fleet(site: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    if let Some(host) = request.query.get("host").filter(|host| !host.is_empty()) {
        let times = Address::new(&path("host", host), &request.query, &["from", "to", "span", "at"]);
        return Ok(Response::see_other(&times.with(&[])));
    }
    page(site, request, source, "")
}

/// One group.
///
/// # Errors
/// 404 where there is none of that name, and the source's.
pub fn group(site: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    page(site, request, source, request.capture("name"))
}

fn page(site: &Site, request: &Request, source: &mut dyn Source, group: &str) -> Answer {
    let address = if group.is_empty() { "/".to_owned() } else { path("group", group) };
    let address = Address::new(&address, &request.query, KNOWN);
    let (filter, choosing) = choose::read(request, &address);
    let fleet = source.fleet(filter.as_ref().unwrap_or(&Filter::default()))?;
    let inside = |host: &&HostRow| group.is_empty() || host.groups.iter().any(|it| it == group);
    let all: Vec<&HostRow> = fleet.hosts.iter().filter(inside).collect();
    if all.is_empty() && !group.is_empty() {
        return Err(Trouble::missing(format!("there is no group {group}; see which there are: /groups")));
    }
    let chosen: Vec<&HostRow> = filter
        .as_ref()
        .map(|filter| all.iter().copied().filter(|host| filter.host(host)).collect())
        .unwrap_or_default();
    let map = request.query.get("map").unwrap_or_default();
    let sweep = source.health()?.sweeps.into_iter().next().map(|sweep| {
        let well = sweep.hosts.saturating_sub(sweep.failed);
        let text = match (sweep.ended, sweep.failed) {
            (None, _) => format!("{} under way", counted(sweep.hosts)),
            (_, 0) => format!("{} answered", counted(sweep.hosts)),
            (_, failed) => format!("{} answered, {failed} did not", counted(well)),
        };
        Sweep { at: Moment::new(sweep.ended.unwrap_or(sweep.started), fleet.now), text }
    });
    let page = Page {
        heading: if group.is_empty() { "Fleet".to_owned() } else { group.to_owned() },
        under: if group.is_empty() { String::new() } else { format!("group of {}", counted(all.len())) },
        tally: tally(&all, &choosing.filter, &address),
        sweep,
        hosts: all.len(),
        heat: (!chosen.is_empty()).then(|| heat::heat(&chosen, map, &address)),
        table: hosts::table(chosen, fleet.now, &request.query, &address),
        choosing,
    };
    let frame = Frame::new(site, request, source, &fleet)?;
    site.pages.page("fleet.html", &page.heading, &frame, &page)
}

fn counted(hosts: impl TryInto<u64>) -> String {
    match hosts.try_into() {
        Ok(1) => "1 host".to_owned(),
        hosts => format!("{} hosts", hosts.unwrap_or(u64::MAX)),
    }
}

/// How many hosts are at each level; each count leads to those hosts.
fn tally(hosts: &[&HostRow], filter: &str, address: &Address) -> Vec<Count> {
    let levels = [Some(Level::Critical), Some(Level::Warning), None, Some(Level::Ok)];
    let counts = levels.into_iter().map(|level| {
        let chosen = format!("level={}", word(level));
        let here = filter == chosen;
        Count {
            word: word(level),
            count: hosts.iter().filter(|host| rank(host.level) == rank(level)).count(),
            href: address.with(&[("filter", if here { "" } else { &chosen }), ("page", "")]),
            here,
        }
    });
    counts.filter(|it| it.count > 0 || it.word != "unknown").collect()
}

#[derive(Debug, Serialize)]
struct Group {
    level: &'static str,
    href: String,
    name: String,
    hosts: usize,
    /// Those that answered: what follows of values is about them.
    answered: usize,
    critical: usize,
    warning: usize,
    unknown: usize,
    cpu: Figure,
    memory: Figure,
    disk: Figure,
}

#[derive(Debug, Serialize)]
struct Groups {
    rows: Vec<Group>,
}

/// Every group, worst first.
///
/// # Errors
/// The source's.
pub fn groups(site: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    let fleet = source.fleet(&Filter::default())?;
    let page = Groups { rows: rows(&fleet) };
    let frame = Frame::new(site, request, source, &fleet)?;
    site.pages.page("groups.html", "Groups", &frame, &page)
}

fn rows(fleet: &Snapshot) -> Vec<Group> {
    let mut names: Vec<&str> = Vec::new();
    let mut found: std::collections::HashMap<&str, Vec<&HostRow>> = std::collections::HashMap::new();
    for host in &fleet.hosts {
        for group in &host.groups {
            found.entry(group).or_insert_with(|| (names.push(group), Vec::new()).1).push(host);
        }
    }
    let mut rows: Vec<(u8, Group)> = names
        .into_iter()
        .map(|name| {
            let hosts = found.remove(name).unwrap_or_default();
            let count = |wanted: u8| hosts.iter().filter(|host| rank(host.level) == wanted).count();
            let worst = hosts.iter().max_by_key(|host| rank(host.level)).and_then(|host| host.level);
            // What a host said before it fell silent is no part of how the group fares now.
            let answered: Vec<&HostRow> = hosts.iter().copied().filter(|host| host.state == State::Fresh).collect();
            let mean = |metric: &str| {
                let values: Vec<f64> = answered.iter().filter_map(|host| host.value(metric)).collect();
                (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
            };
            let fullest = answered.iter().filter_map(|host| Some(host.fullest()?.1)).max_by(f64::total_cmp);
            let group = Group {
                level: word(worst),
                href: path("group", name),
                name: name.to_owned(),
                hosts: hosts.len(),
                answered: answered.len(),
                critical: count(3),
                warning: count(2),
                unknown: count(1),
                cpu: Figure::share(mean("cpu.used")),
                memory: Figure::share(mean("memory.used")),
                disk: Figure::share(fullest),
            };
            (rank(worst), group)
        })
        .collect();
    rows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
    rows.into_iter().map(|(_, group)| group).collect()
}
