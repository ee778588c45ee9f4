//! Whether the programs do their job, judged as a Nagios plugin does.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::alert::Mail;
use crate::model::fleet::{Heartbeat, Sweep};
use crate::model::level::Level;

use super::{Cell, Column, Page, Place, column, units};

/// Mail that waits for longer is a person not told.
const MAIL_WAITS: f64 = 15.0 * 60.0;

/// One line with a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// `collector`, `alerter`, `outbox` or `store`.
    pub name: &'static str,
    /// How bad.
    pub level: Level,
    /// For people, cleaned where it is printed.
    pub text: String,
}

const COLUMNS: &[Column] =
    &[column("part", "PART", Place::Left), column("level", "LEVEL", Place::Left), column("text", "TEXT", Place::Below)];

/// A row for each part.
#[must_use]
pub fn page(parts: &[Part]) -> Page {
    let row = |part: &Part| {
        vec![Cell::Text(part.name.to_owned()), Cell::Level(Some(part.level)), Cell::Text(part.text.clone())]
    };
    Page { columns: COLUMNS, rows: parts.iter().map(row).collect() }
}

/// Judges every part: heartbeats (late by 2 and 3 intervals, or not ok), the outbox, and damage of the store.
#[must_use]
pub fn judge(
    now: DateTime<Utc>,
    interval: Duration,
    beats: &[Heartbeat],
    sweep: Option<&Sweep>,
    queued: &[Mail],
) -> Vec<Part> {
    let mut parts = vec![beat(now, interval, "collector", beats), beat(now, interval, "alerter", beats)];
    if let Some(sweep) = sweep {
        parts[0].text.push_str(&format!(" ({}, {} failed)", units::counted(sweep.hosts, "host"), sweep.failed));
    }
    parts.push(outbox(now, queued));
    // Written where damage was found; it stays until a program writes that the store is whole again.
    if let Some(beat) = beats.iter().find(|beat| beat.role == "store" && !beat.ok) {
        parts.push(Part { name: "store", level: Level::Critical, text: format!("store damaged: {}", beat.text) });
    }
    parts
}

/// The worst level and the line: `OK - collector 3m ago (20 hosts, 0 failed), alerter 2m ago, outbox empty`.
#[must_use]
pub fn line(parts: &[Part]) -> (Level, String) {
    let level = parts.iter().map(|part| part.level).max().unwrap_or_default();
    let word = match level {
        Level::Ok => "OK",
        Level::Warning => "WARNING",
        Level::Critical => "CRITICAL",
    };
    let mut sorted: Vec<&Part> = parts.iter().collect();
    sorted.sort_by_key(|part| std::cmp::Reverse(part.level));
    let texts: Vec<&str> = sorted.iter().map(|part| part.text.as_str()).collect();
    // A bar would start performance data, a line break a second line.
    let clean = |c: char| if crate::model::clean::is_hostile(c) || c == '|' { '?' } else { c };
    (level, format!("{word} - {}", texts.join(", ")).chars().map(clean).collect())
}

fn beat(now: DateTime<Utc>, interval: Duration, role: &'static str, beats: &[Heartbeat]) -> Part {
    let Some(beat) = beats.iter().find(|beat| beat.role == role) else {
        let text = format!("{role} never ran; put it into cron: fleet-{role}");
        return Part { name: role, level: Level::Critical, text };
    };
    let age = ((now - beat.at).num_milliseconds() as f64 / 1000.0).max(0.0);
    let late = age / interval.as_secs_f64().max(1.0);
    let level = if late > 3.0 {
        Level::Critical
    } else if late > 2.0 || !beat.ok {
        Level::Warning
    } else {
        Level::Ok
    };
    let mut text = format!("{role} {} ago", units::seconds(age.floor()));
    if !beat.ok {
        text.push_str(&format!(": {}", if beat.text.is_empty() { "did not do all it should" } else { &beat.text }));
    }
    Part { name: role, level, text }
}

fn outbox(now: DateTime<Utc>, queued: &[Mail]) -> Part {
    let Some(oldest) = queued.iter().min_by_key(|mail| mail.created) else {
        return Part { name: "outbox", level: Level::Ok, text: "outbox empty".to_owned() };
    };
    let age = ((now - oldest.created).num_milliseconds() as f64 / 1000.0).max(0.0);
    let level = if age > MAIL_WAITS { Level::Critical } else { Level::Ok };
    let mut text = format!("outbox {} queued, oldest {}", queued.len(), units::seconds(age.floor()));
    if level != Level::Ok && !oldest.error.is_empty() {
        text.push_str(&format!(": {}", oldest.error));
    }
    Part { name: "outbox", level, text }
}
