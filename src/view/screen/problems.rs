//! The problems: open ones worst first, then those that ended, and one of them in full.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::model::alert::{Ending, Incident};
use crate::model::filter::{Chosen, Filter};
use crate::model::level::Level;
use crate::model::snapshot::{HostRow, Problem};
use crate::model::{next, rule};
use crate::view::units;

use super::data::{Fleet, Story};
use super::paint::{self, FAINT, left, right};
use super::rows::{Row, Target};

/// What a problem is about: `web01 filesystem.used /var`.
#[must_use]
pub fn subject(it: &Incident) -> String {
    let host = if it.subject.host.is_empty() { "fleet" } else { &it.subject.host };
    format!("{host} {} {}", it.subject.rule, it.subject.item).trim_end().to_owned()
}

/// What people did about it: `taken by ann`, `silenced until 14:00`, or nothing.
#[must_use]
pub fn state(problem: &Problem, now: DateTime<Utc>) -> String {
    let mut all = Vec::new();
    if let Some(ack) = &problem.ack {
        all.push(format!("taken by {}", paint::safe(&ack.by)));
    }
    if let Some((until, why)) = &problem.silenced {
        let left = units::seconds((*until - now).num_seconds().max(0) as f64);
        let why = if why.is_empty() { String::new() } else { format!(" ({})", paint::safe(why)) };
        all.push(format!("silenced for {left}{why}"));
    }
    all.join(", ")
}

/// Open problems that a filter chooses, worst first; the oldest of a level first.
fn open<'a>(fleet: &'a Fleet, filter: &Filter) -> Vec<(&'a Problem, Option<&'a HostRow>)> {
    let own = fleet.snapshot.fleet.iter().map(|problem| (problem, None));
    let hosts = fleet.snapshot.hosts.iter();
    let theirs = hosts.flat_map(|host| host.problems.iter().map(move |problem| (problem, Some(host))));
    let mut all: Vec<_> = own
        .chain(theirs)
        .filter(|(problem, host)| filter.any(&Chosen { host: *host, service: None, problem: Some(problem) }))
        .collect();
    all.sort_by_key(|(it, _)| (Reverse(it.incident.level), it.incident.opened, it.incident.id));
    all
}

/// The page; `ended`: those that ended, too.
#[must_use]
pub fn rows(fleet: &Fleet, filter: &Filter, ended: bool, now: DateTime<Utc>, width: usize) -> Vec<Row> {
    let mut out = Vec::new();
    let room = width.saturating_sub(2);
    let listed = open(fleet, filter);
    out.push(Row::heading(&format!("{} OPEN", listed.len())));
    if listed.is_empty() {
        let text = if filter.is_empty() { " nothing is wrong" } else { " none that the filter chooses" };
        out.push(Row::plain(text));
    }
    for (problem, _) in listed {
        let it = &problem.incident;
        let more = state(problem, now);
        let text = if more.is_empty() { it.text.clone() } else { format!("[{more}] {}", it.text) };
        out.push(entry(it, paint::tag(Some(it.level)), paint::level(Some(it.level)), now - it.opened, &text, room));
    }
    if ended {
        out.push(Row::heading("ENDED LATELY"));
        let known = |it: &Incident| filter.incident(it, fleet.snapshot.host(&it.subject.host));
        for it in fleet.ended.iter().filter(|it| known(it)) {
            let closed = it.closed.unwrap_or(it.changed);
            let text = format!("{}; {}", end(it), it.text);
            out.push(entry(it, "ENDED", FAINT, now - closed, &text, room));
        }
    }
    out
}

fn end(it: &Incident) -> &'static str {
    it.ending.map_or("open", Ending::word)
}

fn entry(it: &Incident, tag: &str, look: Style, since: chrono::TimeDelta, text: &str, room: usize) -> Row {
    let since = units::seconds(since.num_seconds().max(0) as f64);
    let name = subject(it);
    let wide = (room.saturating_sub(14)).clamp(8, 34);
    let spans = vec![
        Span::styled(left(tag, 6), look),
        Span::raw(format!("{} ", right(&since, 5))),
        Span::raw(format!("{} ", left(&name, wide))),
        Span::raw(paint::safe(text)),
    ];
    Row::of(spans, Some(Target::Problem(it.id)))
}

/// A problem in full.
#[must_use]
pub fn story(story: &Story, open: Option<&Problem>, now: DateTime<Utc>, width: usize) -> Vec<Row> {
    let it = &story.incident;
    let mut out = Vec::new();
    let mut say = |text: &str, look: Style| {
        for line in paint::wrap(text, width.saturating_sub(3)) {
            out.push(Row::of(vec![Span::styled(format!(" {line}"), look)], None));
        }
    };
    let stamp = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M:%S").to_string();
    let shown = open.map(|open| open.incident.level).or(it.closed.is_none().then_some(it.level));
    match shown {
        Some(level) => say(&format!("{}: {}", level.tag(), it.text), paint::level(Some(level))),
        None => say(&format!("{}, was {}: {}", end(it), it.worst.tag(), it.text), Style::new()),
    }
    let ago = units::seconds((now - it.opened).num_seconds().max(0) as f64);
    say(&format!("since {} UTC, {ago} ago; at its worst {}", stamp(it.opened), it.worst.tag()), Style::new());
    if let Some(closed) = it.closed {
        say(&format!("ended {} UTC: {}", stamp(closed), end(it)), Style::new());
    }
    if let Some(text) = open.map(|open| state(open, now)).filter(|text| !text.is_empty()) {
        say(&text, Style::new());
    }
    if let Some(note) = open.and_then(|open| open.ack.as_ref()).map(|ack| &ack.note).filter(|note| !note.is_empty()) {
        say(&format!("note: {note}"), Style::new());
    }
    if !it.subject.host.is_empty() {
        let host = Target::Host(it.subject.host.clone());
        out.push(Row::of(vec![Span::raw(format!(" host {}", paint::safe(&it.subject.host)))], Some(host)));
        if let Some((metric, _)) = rule::parse(&it.subject.rule) {
            let past = Target::Past { metric: metric.name.to_owned(), item: it.subject.item.clone() };
            out.push(Row::of(vec![Span::raw(format!(" history of {}", metric.name))], Some(past)));
        }
    }
    out.push(Row::heading("WHAT TO TYPE"));
    for (what, command) in next::commands(it, open.is_none() && it.closed.is_some()) {
        // Whole, so that it can be copied.
        let lines = paint::wrap(&command, width.saturating_sub(20));
        for (n, line) in lines.iter().enumerate() {
            let what = if n == 0 { what.to_lowercase() } else { String::new() };
            out.push(Row::plain(&format!(" {} {line}", left(&what, 17))));
        }
    }
    out.push(Row::heading("WHAT HAPPENED (UTC)"));
    for event in &story.events {
        let spans = vec![
            Span::raw(format!(" {}  ", stamp(event.at))),
            Span::styled(left(event.level.tag(), 5), paint::level(Some(event.level))),
            Span::raw(paint::safe(&event.text)),
        ];
        out.push(Row::of(spans, None));
    }
    out.push(Row::heading("WHO WAS TOLD (UTC)"));
    if story.told.is_empty() {
        out.push(Row::plain(" nobody yet"));
    }
    for told in &story.told {
        let what = if told.level == Level::Ok { "that it ended" } else { told.level.word() };
        let whom = format!("{} <{}>", told.destination, told.recipient);
        out.push(Row::plain(&format!(" {}  {}  {what}", stamp(told.at), paint::safe(&whom))));
    }
    out
}

/// The first line of a problem's page.
#[must_use]
pub fn title(it: &Incident) -> Line<'static> {
    Line::raw(format!("problem {}  {}", it.id, paint::safe(&subject(it))))
}
