//! A clock that was ahead and is set right: what it left behind must not make all that comes now old news.

use chrono::{DateTime, Utc};

use super::World;
use crate::alert::ahead::{SKEW, is_ahead};
use crate::model::alert::RuleState;
use crate::model::fleet::{FUTURE, Heartbeat, Sweep};
use crate::store::{self, Store};

/// Sweeps among which one is looked for that began before the clock was wrong.
const SWEEPS: usize = 10_000;

/// The newest sweep of each collector and part of the fleet; where that began in the future, the newest that did not, so
/// that a collector that died since is missed. One that a run saw in its future stays there when its time comes round: what
/// is to be written down for that comes second.
///
/// # Errors
/// The store's.
pub fn last_sweeps(
    store: &dyn Store,
    beats: &[Heartbeat],
    now: DateTime<Utc>,
) -> store::Result<(Vec<Sweep>, Option<Heartbeat>)> {
    let mark = beats.iter().find(|beat| beat.role == FUTURE);
    let mark = mark.and_then(|beat| Some((beat.at, beat.text.parse::<i64>().ok()?)));
    let is_wrong = |sweep: &Sweep| {
        is_ahead(sweep.started, now) || mark.is_some_and(|(at, id)| sweep.id <= id && is_ahead(sweep.started, at))
    };
    let mut last = store.last_sweeps()?;
    let newest = last.iter().filter(|sweep| is_ahead(sweep.started, now)).map(|sweep| sweep.id).max();
    let newest = newest.filter(|id| mark.is_none_or(|(_, known)| *id > known));
    if last.iter().any(is_wrong) {
        let all = store.sweeps(SWEEPS)?;
        for sweep in last.iter_mut().filter(|sweep| is_wrong(sweep)) {
            let same = |it: &&Sweep| {
                !it.asked && (&it.collector, it.shard) == (&sweep.collector, sweep.shard) && !is_wrong(it)
            };
            match all.iter().find(same) {
                Some(before) => *sweep = before.clone(),
                None => sweep.started = sweep.started.max(now + SKEW * 2),
            }
        }
    }
    let seen = |id: i64| Heartbeat { role: FUTURE.to_owned(), at: now, ok: true, text: id.to_string() };
    Ok((last, newest.map(seen)))
}

impl World<'_> {
    /// Times of the future become those of an interval ago: what was collected since then is news.
    pub fn set_right(&mut self, now: DateTime<Utc>) {
        let back = now - self.interval;
        for (t, track) in self.tracks.iter_mut().enumerate() {
            for (s, slot) in track.slots.iter_mut().enumerate() {
                let RuleState { warning_since, critical_since, last, missed, bad, .. } = &mut slot.state;
                let mut moved = false;
                for time in [warning_since, critical_since, last, missed, bad] {
                    if time.is_some_and(|at| is_ahead(at, now)) {
                        (*time, moved) = (Some(back), true);
                    }
                }
                if moved && !slot.dirty.replace(true) {
                    self.dirty.push((t, s));
                }
            }
        }
    }
}
