//! What is judged of a host besides its metrics: whether it answers, since when it is silent, and its clock.

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Ready, World, at_once, samples, two};
use crate::alert::fold::{Observation, Windows};
use crate::alert::words::{CLOCK_SKEW, PROBE_STALE, SILENT, UNREACHABLE};
use crate::model::alert::Verdict;
use crate::model::cause::Cause;
use crate::model::fleet::{Outcome, Row};

/// A clock that is off by more is told.
const SKEW: f64 = 300.0;
/// And one that is off by less is right again.
const SKEW_ENDS: f64 = 150.0;

/// The verdict of rules that only know well and not well.
pub(super) fn verdict(bad: bool, critical: bool, well: bool) -> Verdict {
    Verdict { warning: bad, critical: bad && critical, clear_warning: well, clear_critical: well }
}

/// Not tried, or this side's failure: that says nothing of the host. A key or password that cannot be used is of this side
/// too, but keeps the host unwatched until a person mends it.
pub(super) fn says_nothing(cause: Cause) -> bool {
    matches!(cause, Cause::BackOff | Cause::NoConsent | Cause::SweepDeadline | Cause::Store | Cause::Internal)
}

impl World<'_> {
    /// A rule that leaves no trace until it is bad for the first time.
    pub(super) fn flag(
        &mut self,
        track: usize,
        (rule, item): (&str, &str),
        windows: &Windows,
        seen: &Observation,
        text: &str,
    ) {
        let known = self.tracks[track].find(rule, item).filter(|slot| !self.tracks[track].slots[*slot].gone);
        if known.is_none() && !seen.verdict.warning {
            return;
        }
        let slot = self.slot(track, rule, item);
        self.observe(track, slot, windows, seen, |_, _| text.to_owned());
        if seen.verdict.warning {
            self.reword(track, slot, seen.at, text);
        }
    }

    pub(super) fn reach(&mut self, track: usize, row: &Row) {
        let Some(host) = self.tracks[track].host else { return };
        let (interval, at) = (self.interval, row.attempt.at);
        self.pass(track, row);
        let mut stale = None;
        let mut windows = two(interval);
        let (failed, text) = match &row.attempt.outcome {
            Outcome::Failed { cause, .. } if says_nothing(*cause) => return,
            Outcome::Collected => (false, Cow::Borrowed("answers again")),
            // It answered, with nothing but what it had measured before.
            Outcome::Failed { cause: Cause::BadEnvelope, text } if !row.samples.is_empty() => {
                stale = Some(format!(
                    "answers with old samples only: {text}; look at the probe: fleet hosts test {}",
                    host.name
                ));
                (false, Cow::Borrowed("answers again"))
            }
            Outcome::Failed { cause, text } => {
                if matches!(cause, Cause::HostKeyChanged | Cause::HostKeyRevoked) {
                    windows = at_once(interval);
                }
                let remedy = cause.remedy().replace("HOST", &host.name);
                (true, Cow::Owned(format!("cannot be collected: {cause}: {text}; {remedy}")))
            }
        };
        let seen = |bad: bool, critical| Observation {
            at,
            value: f64::from(u8::from(bad)),
            verdict: verdict(bad, critical, !bad),
        };
        self.flag(track, (UNREACHABLE, ""), &windows, &seen(failed, true), &text);
        if !failed {
            let text = stale.as_deref().unwrap_or("its probe measures again");
            self.flag(track, (PROBE_STALE, ""), &two(interval), &seen(stale.is_some(), false), text);
        }
    }

    /// The time since a sample arrived, at a row.
    pub(super) fn silence(&mut self, track: usize, row: &Row) {
        let arrived = row.attempt.outcome == Outcome::Collected || !row.samples.is_empty();
        let known = self.tracks[track].find(SILENT, "");
        if known.is_none() && !arrived {
            return;
        }
        let slot = known.unwrap_or_else(|| self.slot(track, SILENT, ""));
        let value = if arrived { 0.0 } else { self.silent_for(track, slot, row.attempt.at).unwrap_or_default() };
        self.silent(track, slot, row.attempt.at, value);
    }

    fn silent(&mut self, track: usize, slot: usize, at: DateTime<Utc>, value: f64) {
        let Some(&Ready { rule, judge, .. }) = self.judged(&self.tracks[track].slots[slot]) else { return };
        let seen = Observation { at, value, verdict: judge.verdict(value) };
        let windows = at_once(self.interval);
        self.observe(track, slot, &windows, &seen, |_, level| samples::said(rule, "", value, level));
    }

    fn silent_for(&self, track: usize, slot: usize, at: DateTime<Utc>) -> Option<f64> {
        let state = &self.tracks[track].slots[slot].state;
        Some(((at - state.last?).as_seconds_f64() + state.value).max(0.0))
    }

    /// Where no rows come of a host while others are collected, only the wall clock can tell; but not of hosts that nobody
    /// collects from now.
    pub(super) fn quiet_hosts(&mut self, now: DateTime<Utc>, left_alone: &dyn Fn(&str) -> bool) {
        for track in 0..self.tracks.len() {
            let Some(slot) = self.tracks[track].find(SILENT, "") else { continue };
            if self.tracks[track].host.is_some_and(|host| left_alone(&host.name)) {
                continue;
            }
            let it = &self.tracks[track].slots[slot];
            let (Some(Ready { judge, .. }), false) = (self.judged(it), it.gone) else { continue };
            let Some(value) = self.silent_for(track, slot, now) else { continue };
            let verdict = judge.verdict(value);
            // Only rows end a silence, and nothing is written unless a level changes.
            let level = self.tracks[track].slots[slot].state.level.number();
            if u8::from(verdict.warning) + u8::from(verdict.critical) > level {
                self.silent(track, slot, now, value);
            }
        }
    }

    /// How far the host's clock is off: ahead in any sample, behind in the one just measured.
    pub(super) fn skew(&mut self, track: usize, row: &Row) {
        let off = |taken: DateTime<Utc>| (taken - row.attempt.at).as_seconds_f64();
        let ahead = row.samples.iter().map(|sample| off(sample.taken)).fold(0.0, f64::max);
        let behind = match row.attempt.outcome {
            // It was measured during the visit.
            Outcome::Collected => row.samples.last().map_or(0.0, |sample| {
                off(sample.taken) + TimeDelta::from_std(row.attempt.took).unwrap_or_default().as_seconds_f64()
            }),
            Outcome::Failed { .. } => 0.0,
        };
        if row.samples.is_empty() {
            return;
        }
        let value = if ahead > -behind { ahead } else { behind.min(0.0) };
        let size = value.abs();
        if size < SKEW && self.tracks[track].find(CLOCK_SKEW, "").is_none() {
            return;
        }
        let windows = Windows { raise: 2, of: 3, fall: 2, ..at_once(self.interval) };
        let seen = Observation { at: row.attempt.at, value, verdict: verdict(size >= SKEW, false, size < SKEW_ENDS) };
        let way = if value < 0.0 { "behind" } else { "ahead" };
        let text = if size >= SKEW_ENDS {
            format!("its clock is {size:.0} s {way}; check its time synchronisation")
        } else {
            "its clock is right again".to_owned()
        };
        // Each sample has another number of seconds: no reason to word it anew.
        let slot = self.slot(track, CLOCK_SKEW, "");
        self.observe(track, slot, &windows, &seen, |_, _| text);
    }
}
