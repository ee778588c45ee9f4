//! Whether the programs do their job, judged as a Nagios plugin does.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::alert::Mail;
use crate::model::fleet::{FUTURE, Heartbeat, Sweep};
use crate::model::level::Level;
use crate::model::shard::{self, Shard};

use super::{Cell, Column, Page, Place, column, units};

/// Mail that waits for longer is a person not told.
const MAIL_WAITS: f64 = 15.0 * 60.0;
/// A heartbeat that is further ahead says nothing of now: whoever gave it may be dead since the clock was set right.
const AHEAD: TimeDelta = TimeDelta::minutes(5);

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

/// Sweeps that are enough to judge by.
pub const SWEEPS: usize = 64;

/// Judges every part: heartbeats (late by 2 and 3 intervals, or not ok), the outbox, and damage of the store. `sweeps` come
/// newest first.
#[must_use]
pub fn judge(
    now: DateTime<Utc>,
    interval: Duration,
    beats: &[Heartbeat],
    sweeps: &[Sweep],
    queued: &[Mail],
) -> Vec<Part> {
    let alerter = beats.iter().find(|beat| beat.role == "alerter");
    let mut parts = vec![
        collectors(now, interval, beats, sweeps),
        beat(now, interval, "alerter", ("alerter", "fleet-alerter"), alerter),
    ];
    parts.push(outbox(now, queued));
    // Written where damage was found; it stays until a program writes that the store is whole again.
    if let Some(beat) = beats.iter().find(|beat| beat.role == "store" && !beat.ok) {
        parts.push(Part { name: "store", level: Level::Critical, text: format!("store damaged: {}", beat.text) });
    }
    parts
}

/// The part of the fleet that a collector's heartbeat is of.
fn shard_of(beat: &Heartbeat) -> Option<Shard> {
    beat.role.strip_prefix("collector ").and_then(|part| part.parse().ok())
}

/// The heartbeats that still tell something: of collectors only those of the parts into which the fleet is divided now.
#[must_use]
pub fn current(mut beats: Vec<Heartbeat>) -> Vec<Heartbeat> {
    let ours: Vec<&Heartbeat> = beats.iter().filter(|beat| beat.role.starts_with("collector")).collect();
    let running = shard::running(&ours, |beat| shard_of(beat), |beat| beat.at);
    let runs = |role: &str| running.iter().any(|(_, beat)| beat.is_some_and(|beat| beat.role == role));
    let lost: Vec<String> = ours.iter().filter(|beat| !runs(&beat.role)).map(|beat| beat.role.clone()).collect();
    beats.retain(|beat| beat.role != FUTURE && !lost.contains(&beat.role));
    beats
}

/// Whether the fleet was divided into so many parts less than an interval ago, as far as sweeps tell: a part that never
/// ran has its turn yet then.
fn just_divided(now: DateTime<Utc>, interval: Duration, of: u32, sweeps: &[Sweep]) -> bool {
    let regular = || sweeps.iter().filter(|sweep| !sweep.asked);
    let ours = || regular().take_while(|sweep| sweep.shard.is_some_and(|shard| shard.of() == of));
    // Where these are all that was read, there may be more of them before.
    let is_whole = sweeps.len() < SWEEPS || ours().count() < regular().count();
    is_whole && ours().last().is_some_and(|first| age(now, first.started) < interval.as_secs_f64())
}

/// The one collector, or those of all parts of the fleet, of which each must run.
fn collectors(now: DateTime<Utc>, interval: Duration, beats: &[Heartbeat], sweeps: &[Sweep]) -> Part {
    let ours: Vec<&Heartbeat> = beats.iter().filter(|beat| beat.role.starts_with("collector")).collect();
    let running = shard::running(&ours, |beat| shard_of(beat), |beat| beat.at);
    // Those of the last sweep of each.
    let swept = |wanted: Option<Shard>| {
        let sweep = sweeps.iter().find(|it| it.ended.is_some() && !it.asked && it.shard == wanted)?;
        Some((sweep.hosts, sweep.failed))
    };
    let hosts: Option<Vec<(u32, u32)>> = running.iter().map(|(shard, _)| swept(*shard)).collect();
    let hosts = hosts.filter(|each| !each.is_empty()).map_or_else(String::new, |each| {
        let (hosts, failed) = each.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        format!(" ({}, {failed} failed)", units::counted(hosts, "host"))
    });
    let waits = |part: &Option<Shard>, last: &Option<&&Heartbeat>| {
        last.is_none() && part.is_some_and(|part| just_divided(now, interval, part.of(), sweeps))
    };
    let waiting = running.iter().filter(|(part, last)| waits(part, last)).count();
    let mut each: Vec<Part> = running
        .iter()
        .filter(|(part, last)| !waits(part, last))
        .map(|(shard, last)| {
            let part = shard.map_or_else(String::new, |shard| format!(" {shard}"));
            let option = shard.map_or_else(String::new, |shard| format!(" --shard {shard}"));
            let names = (format!("collector{part}"), format!("fleet-collector{option}"));
            beat(now, interval, "collector", (&names.0, &names.1), last.copied())
        })
        .collect();
    each.sort_by_key(|part| std::cmp::Reverse(part.level));
    match &each[..] {
        [] => beat(now, interval, "collector", ("collector", "fleet-collector"), None),
        [one] if waiting == 0 => Part { text: format!("{}{hosts}", one.text), ..one.clone() },
        [worst, ..] => {
            let bad: Vec<&str> = each.iter().filter(|it| it.level > Level::Ok).map(|it| it.text.as_str()).collect();
            let oldest = running.iter().filter_map(|(_, beat)| Some(beat.as_ref()?.at)).min().unwrap_or(now);
            let text = match bad.is_empty() {
                true => {
                    let last = units::seconds(age(now, oldest).floor());
                    let yet = if waiting > 0 { format!(", {waiting} yet to run") } else { String::new() };
                    let all = units::counted(u64::try_from(each.len()).unwrap_or(u64::MAX), "collector");
                    format!("{all}, the last {last} ago{yet}")
                }
                false => bad.join(", "),
            };
            Part { text: format!("{text}{hosts}"), ..worst.clone() }
        }
    }
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

fn age(now: DateTime<Utc>, at: DateTime<Utc>) -> f64 {
    ((now - at).num_milliseconds() as f64 / 1000.0).max(0.0)
}

fn beat(
    now: DateTime<Utc>,
    interval: Duration,
    name: &'static str,
    (role, program): (&str, &str),
    beat: Option<&Heartbeat>,
) -> Part {
    let Some(beat) = beat else {
        let text = format!("{role} never ran; put it into cron: {program}");
        return Part { name, level: Level::Critical, text };
    };
    if beat.at - now > AHEAD {
        let at = beat.at.format("%Y-%m-%d %H:%M UTC");
        let text = format!("{role} ran last at {at}, which is still to come; set the clock right, then: {program}");
        return Part { name, level: Level::Warning, text };
    }
    let age = age(now, beat.at);
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
    Part { name, level, text }
}

fn outbox(now: DateTime<Utc>, queued: &[Mail]) -> Part {
    let Some(oldest) = queued.iter().min_by_key(|mail| mail.created) else {
        return Part { name: "outbox", level: Level::Ok, text: "outbox empty".to_owned() };
    };
    let age = age(now, oldest.created);
    let level = if age > MAIL_WAITS { Level::Critical } else { Level::Ok };
    let mut text = format!("outbox {} queued, oldest {}", queued.len(), units::seconds(age.floor()));
    if level != Level::Ok && !oldest.error.is_empty() {
        text.push_str(&format!(": {}", oldest.error));
    }
    Part { name: "outbox", level, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(beats: &[(&str, i64)], sweeps: &[(&str, u32)]) -> String {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let beat = |(role, minutes): &(&str, i64)| Heartbeat {
            role: (*role).to_owned(),
            at: now - TimeDelta::minutes(*minutes),
            ok: true,
            text: String::new(),
        };
        let sweep = |(shard, hosts): &(&str, u32)| Sweep {
            id: 1,
            started: now,
            ended: Some(now),
            hosts: *hosts,
            failed: 1,
            collector: String::new(),
            shard: shard.parse().ok(),
            asked: *hosts == 1,
        };
        let (beats, sweeps): (Vec<_>, Vec<_>) = (beats.iter().map(beat).collect(), sweeps.iter().map(sweep).collect());
        let part = collectors(now, Duration::from_secs(300), &beats, &sweeps);
        format!("{}: {}", part.level.word(), part.text)
    }

    #[test]
    fn each_part_of_a_divided_fleet_must_have_its_collector() {
        let sweeps = [("", 1), ("2/2", 30), ("1/2", 20), ("", 50)];
        assert_eq!(said(&[], &[]), "critical: collector never ran; put it into cron: fleet-collector");
        assert_eq!(said(&[("collector", 3)], &sweeps), "ok: collector 3m ago (50 hosts, 1 failed)");
        let both = [("collector 1/2", 3), ("collector 2/2", 4), ("collector", 90)];
        assert_eq!(said(&both, &sweeps), "ok: 2 collectors, the last 4m ago (50 hosts, 2 failed)");
        let ahead = "collector ran last at 1970-01-02 01:00 UTC, which is still to come; set the clock right, then: fleet-collector";
        assert_eq!(said(&[("collector", -60)], &[]), format!("warning: {ahead}"));
        assert_eq!(said(&[("collector", -4)], &[]), "ok: collector 0s ago");
        let dead = [("collector 1/2", 3), ("collector 2/2", 16)];
        assert_eq!(said(&dead, &[]), "critical: collector 2/2 16m ago");
        let never = "critical: collector 1/2 never ran; put it into cron: fleet-collector --shard 1/2";
        assert_eq!(said(&[("collector 2/2", 4)], &[]), never);
        // The first of the others began just now: this one has its turn yet. So it has not where it was so long ago.
        let young = "ok: 1 collector, the last 4m ago, 1 yet to run";
        assert_eq!(said(&[("collector 2/2", 4)], &[("2/2", 30), ("", 50)]), young);
        let many: Vec<(&str, u32)> = (0..SWEEPS).map(|_| ("2/2", 30)).collect();
        assert_eq!(said(&[("collector 2/2", 4)], &many), never, "who knows what was before these");
        // Divided anew, or no more: what was before is no part.
        assert_eq!(said(&[("collector", 2), ("collector 1/2", 90)], &[]), "ok: collector 2m ago");
    }

    #[test]
    fn heartbeats_of_parts_that_are_no_more_tell_nothing() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let left = |beats: &[(&str, i64)]| -> Vec<String> {
            let beat = |(role, minutes): &(&str, i64)| Heartbeat {
                role: (*role).to_owned(),
                at: now - TimeDelta::minutes(*minutes),
                ok: true,
                text: String::new(),
            };
            current(beats.iter().map(beat).collect()).into_iter().map(|beat| beat.role).collect()
        };
        let divided =
            [("alerter", 1), ("collector", 900), ("collector 1/2", 2), ("collector 2/2", 99), ("collector 3/3", 800)];
        assert_eq!(left(&divided), ["alerter", "collector 1/2", "collector 2/2"]);
        assert_eq!(left(&[("collector 1/2", 9), ("collector", 1), ("store", 7)]), ["collector", "store"]);
    }
}
