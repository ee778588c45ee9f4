//! A clock that was ahead and is set right: what it left behind must not make all that comes now old news.

use chrono::{DateTime, Utc};

use super::World;
use crate::alert::ahead::is_ahead;
use crate::model::alert::RuleState;
use crate::model::fleet::Sweep;
use crate::store::{self, Store};

/// Sweeps among which one is looked for that began before the clock was wrong.
const SWEEPS: usize = 10_000;

/// The newest sweep of each collector and part of the fleet; where that began in the future, the newest that did not, so
/// that a collector that died since is missed.
///
/// # Errors
/// The store's.
pub fn last_sweeps(store: &dyn Store, now: DateTime<Utc>) -> store::Result<Vec<Sweep>> {
    let mut last = store.last_sweeps()?;
    if last.iter().any(|sweep| is_ahead(sweep.started, now)) {
        let all = store.sweeps(SWEEPS)?;
        for sweep in last.iter_mut().filter(|sweep| is_ahead(sweep.started, now)) {
            let same = |it: &&Sweep| {
                !it.asked && (&it.collector, it.shard) == (&sweep.collector, sweep.shard) && !is_ahead(it.started, now)
            };
            if let Some(before) = all.iter().find(same) {
                *sweep = before.clone();
            }
        }
    }
    Ok(last)
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
