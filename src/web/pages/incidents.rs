//! Problems: those that are open, those that ended lately, one in full, and the silences.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::charts;
use super::choose::{self, Choosing};
use super::frame::Frame;
use super::parts::{Address, Moment, lasted, path, stamp};
use crate::model::back;
use crate::model::filter::{Chosen, Filter};
use crate::model::level::Level;
use crate::model::silence::When;
use crate::model::snapshot::{HostRow, Problem};
use crate::web::request::Request;
use crate::web::response::{Answer, Trouble};
use crate::web::site::Site;
use crate::web::source::{Hush, Letter, Listed, Source, Which};

/// How many that ended are shown at once.
const SHOWN: usize = 100;

/// An incident in a table.
#[derive(Debug, Serialize)]
pub struct Line {
    id: i64,
    level: &'static str,
    /// Behind the level of one that ended: ` ended`.
    was: &'static str,
    rule: String,
    item: String,
    host: String,
    host_href: String,
    text: String,
    tags: Vec<String>,
    opened: Moment,
    lasted: String,
}

impl Line {
    /// As lists show it. One that ended shows the worst that it was.
    #[must_use]
    pub fn new(it: &Listed, now: DateTime<Utc>) -> Self {
        let incident = &it.incident;
        let subject = &incident.subject;
        let ack = it.ack.as_ref().map(|ack| format!("taken by {}", ack.by));
        let state = ack.is_none().then(|| it.state.clone());
        Self {
            id: incident.id,
            level: incident.shown().word(),
            was: if incident.closed.is_some() { ", ended" } else { "" },
            rule: subject.rule.clone(),
            item: subject.item.clone(),
            host: subject.host.clone(),
            host_href: path("host", &subject.host),
            text: incident.text.clone(),
            tags: ack.into_iter().chain(state).collect(),
            opened: Moment::new(incident.opened, now),
            lasted: lasted(incident.opened, incident.closed.unwrap_or(now)),
        }
    }
}

#[derive(Debug, Serialize)]
struct Silenced {
    id: i64,
    state: &'static str,
    covers: String,
    when: String,
    by: String,
    reason: String,
}

impl Silenced {
    fn new(hush: &Hush) -> Self {
        let it = &hush.silence;
        let scope = &it.scope;
        let lists =
            [("", &scope.hosts), ("group ", &scope.groups), ("service ", &scope.services), ("rule ", &scope.rules)];
        let covers = lists.iter().filter(|(_, list)| !list.is_empty());
        let covers: Vec<String> = covers.map(|(word, list)| format!("{word}{}", list.join(" "))).collect();
        Self {
            id: it.id,
            state: hush.state,
            covers: if covers.is_empty() { "everything".to_owned() } else { covers.join(", ") },
            when: match &it.when {
                When::Once { from, until } => format!("{} – {}", short(*from), short(*until)),
                When::Weekly(week) => weekly(week),
            },
            by: it.by.clone(),
            reason: it.reason.clone(),
        }
    }
}

fn short(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn weekly(week: &crate::model::silence::Calendar) -> String {
    let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let days: Vec<&str> =
        names.iter().enumerate().filter(|(n, _)| week.days >> n & 1 == 1).map(|(_, name)| *name).collect();
    let days = if days.len() == 7 { "every day".to_owned() } else { days.join(" ") };
    let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    format!("{days} {}–{} {}", clock(week.from), clock(week.until), week.zone)
}

#[derive(Debug, Serialize)]
struct Page {
    #[serde(flatten)]
    choosing: Choosing,
    host: String,
    host_href: String,
    open: Vec<Line>,
    silences: Vec<Silenced>,
    ended: Ended,
}

/// Those that ended, from a number back.
#[derive(Debug, Default, Serialize)]
struct Ended {
    rows: Vec<Line>,
    /// How many there are, or were looked through.
    said: String,
    /// Why there are none, though older ones were not looked through.
    cut: String,
    /// Where the newest are; empty where these are.
    newest: String,
    /// Where older ones are; empty where there are none.
    older: String,
}

impl Ended {
    fn new(back: &back::Back<Listed>, before: Option<i64>, address: &Address, now: DateTime<Utc>) -> Self {
        let (count, looked) = (back.found.len(), back.looked);
        let from = before.map(|number| format!("before #{number}"));
        let said = match (&from, back.older) {
            (None, _) if back.cut => format!("{count} among the newest {looked}"),
            (Some(from), _) if back.cut => format!("{count} among {looked} {from}"),
            (None, Some(_)) => format!("the newest {count}"),
            (Some(from), _) => format!("{count} {from}"),
            (None, None) if count == 0 => String::new(),
            (None, None) => count.to_string(),
        };
        let cut = format!("None of the {looked} that were looked through fits; there are older ones.");
        let link = |before: &str| address.with(&[("before", before)]);
        Self {
            rows: back.found.iter().map(|it| Line::new(it, now)).collect(),
            said,
            cut: if back.cut { cut } else { String::new() },
            newest: before.map_or_else(String::new, |_| link("")),
            older: back.older.map_or_else(String::new, |number| link(&number.to_string())),
        }
    }
}

/// The list. `host=` limits it to a host, `from=` and `to=` to what was open in that time; `before=` goes back through
/// those that ended.
///
/// # Errors
/// The source's.
pub fn incidents(site: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    let address = Address::new("/incidents", &request.query, &["filter", "host", "from", "to", "before"]);
    let (filter, choosing) = choose::read(request, &address);
    let fleet = source.fleet(filter.as_ref().unwrap_or(&Filter::default()))?;
    let host = request.query.get("host").unwrap_or_default();
    let (from, to) = (request.query.moment("from")?, request.query.moment("to")?);
    let before = request.query.number("before", 1, i64::MAX)?;
    let only = Some(host).filter(|host| !host.is_empty());
    let all = Which { host: only, since: from, until: to, ..Which::default() };
    let (mut open, mut ended) = (Vec::new(), Ended::default());
    // A filter that is not understood chooses nothing.
    if let Some(filter) = &filter {
        let hosts = fleet.by_name();
        open = source.incidents(all)?;
        open.retain(|it| fits(filter, it, &hosts));
        let part = |before: Option<i64>, most| {
            source.incidents(Which { before: Some(before.unwrap_or(i64::MAX)), most, ..all })
        };
        let back = back::look(before, SHOWN, part, |it| it.incident.id, |it| fits(filter, it, &hosts))?;
        ended = Ended::new(&back, before, &address, fleet.now);
    }
    let page = Page {
        choosing,
        host: host.to_owned(),
        host_href: path("host", host),
        open: open.iter().map(|it| Line::new(it, fleet.now)).collect(),
        silences: source.silences()?.iter().map(Silenced::new).collect(),
        ended,
    };
    let frame = Frame::new(site, request, source, &fleet)?;
    site.pages.page("incidents.html", "Incidents", &frame, &page)
}

fn fits(filter: &Filter, it: &Listed, hosts: &HashMap<&str, &HostRow>) -> bool {
    let host = hosts.get(it.incident.subject.host.as_str()).copied();
    let problem = Problem { incident: it.incident.clone(), ack: it.ack.clone(), silenced: None };
    filter.any(&Chosen { host, service: None, problem: Some(&problem) })
}

#[derive(Debug, Serialize)]
struct Happened {
    at: Moment,
    level: &'static str,
    text: String,
}

#[derive(Debug, Serialize)]
struct Mail {
    at: Moment,
    to: String,
    state: &'static str,
    text: String,
    error: String,
}

impl Mail {
    fn new(it: &Letter, now: DateTime<Utc>) -> Self {
        let to = if it.recipient == it.destination || it.recipient.is_empty() {
            it.destination.clone()
        } else {
            format!("{} ({})", it.recipient, it.destination)
        };
        Self { at: Moment::new(it.at, now), to, state: it.state, text: it.subject.clone(), error: it.error.clone() }
    }
}

#[derive(Debug, Serialize)]
struct Taken {
    by: String,
    at: Moment,
    until: Option<Moment>,
    sticky: bool,
    note: String,
}

#[derive(Debug, Serialize)]
struct One {
    it: Line,
    name: String,
    worst: &'static str,
    state: String,
    closed: Option<Moment>,
    ending: &'static str,
    ack: Option<Taken>,
    why: Vec<String>,
    around: String,
    chart: Option<charts::Shown>,
    charts_href: String,
    usual: String,
    events: Vec<Happened>,
    letters: Vec<Mail>,
}

/// One in full.
///
/// # Errors
/// 404 where there is none of that number, and the source's.
pub fn incident(site: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    let id = request.capture("id");
    let missing =
        || Trouble::missing(format!("there is no incident {id}, or it is too old to be kept; see /incidents"));
    let number = id.parse::<i64>().map_err(|_| missing())?;
    let fleet = source.fleet(&Filter::default())?;
    let story = source.incident(number)?.ok_or_else(missing)?;
    let now = fleet.now;
    let listed = &story.listed;
    let incident = &listed.incident;
    let end = incident.closed.unwrap_or(now);
    // Some of the time before it began, and after it ended.
    let margin = ((end - incident.opened) / 4).max(chrono::TimeDelta::minutes(30));
    let from = incident.opened.checked_sub_signed(margin).unwrap_or(incident.opened);
    let to = end.checked_add_signed(margin).unwrap_or(end).min(now);
    let around = fleet.host(&incident.subject.host).map(|host| {
        format!("{}?from={}&to={}&at={}", path("host", &host.name), stamp(from), stamp(to), stamp(incident.opened))
    });
    let host = source.host(&incident.subject.host)?;
    let sample = host.as_ref().and_then(|host| host.sample.as_ref());
    let chart = sample.and_then(|sample| charts::about(sample, &incident.subject.rule));
    // While it is open, its chart goes on.
    let until = incident.closed.map(|_| format!("&to={}", stamp(to)));
    let usual = format!("from={}{}", stamp(from), until.unwrap_or_default());
    let ack = listed.ack.as_ref().map(|ack| Taken {
        by: ack.by.clone(),
        at: Moment::new(ack.at, now),
        until: ack.until.map(|at| Moment::new(at, now)),
        sticky: ack.sticky,
        note: ack.note.clone(),
    });
    let page = One {
        it: Line::new(listed, now),
        name: listed.name.clone(),
        worst: incident.worst.word(),
        state: listed.state.clone(),
        closed: incident.closed.map(|at| Moment::new(at, now)),
        ending: incident.ending.map_or("", crate::model::alert::Ending::word),
        ack,
        why: story.why.clone(),
        around: around.unwrap_or_default(),
        chart,
        charts_href: format!("{}/charts", path("host", &incident.subject.host)),
        usual,
        events: story.events.iter().map(|it| Happened::new(it.at, it.level, &it.text, now)).collect(),
        letters: story.letters.iter().map(|it| Mail::new(it, now)).collect(),
    };
    let frame = Frame::new(site, request, source, &fleet)?;
    site.pages.page("incident.html", &format!("#{id} {}", page.name), &frame, &page)
}

impl Happened {
    fn new(at: DateTime<Utc>, level: Level, text: &str, now: DateTime<Utc>) -> Self {
        Self { at: Moment::new(at, now), level: level.word(), text: text.to_owned() }
    }
}
