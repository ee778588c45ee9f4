//! What gets old, in memory: the plain form of what `sqlite/upkeep.rs` does in batches.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Kept, Memory};
use crate::model::alert::MailState;
use crate::model::fleet::{Attempt, Pruned};
use crate::model::level::Level;
use crate::model::silence::When;
use crate::store::shape::{HOUR_MS, Hour, before, first_hour, ms, rolled_until};

impl Memory {
    /// Rolls up what is over, then drops what is older than `keep` (samples) and `keep_hourly` (hours).
    pub(super) fn tidy(&mut self, now: DateTime<Utc>, keep: Duration, keep_hourly: Duration) -> Pruned {
        let bound = before(now, keep);
        let waits = |(id, (_, attempt)): &(&i64, &(i64, Attempt))| **id > self.cursor && ms(attempt.at) < bound;
        let untreated = self.attempts.iter().filter(waits).count() as u64;
        let mut done = Pruned { untreated, ..Pruned::default() };
        let first = (!keep_hourly.is_zero()).then(|| first_hour(before(now, keep_hourly)));
        let hosts: Vec<String> = self.hosts.keys().cloned().collect();
        let until = rolled_until(now, keep);
        for host in hosts {
            match first {
                Some(first) => done.hours_written += self.roll_up(&host, first, until),
                None => {
                    self.rolled.remove(&host);
                    self.gone.remove(&host);
                }
            }
            self.drop_old(&host, bound, first.is_some(), &mut done);
        }
        let had = self.hours.len();
        self.hours.retain(|key, _| first.is_some_and(|first| key.3 >= first));
        done.hours_removed = (had - self.hours.len()) as u64;
        self.drop_history(bound, before(now, keep.max(keep_hourly)));
        done
    }

    /// Counts what was not counted yet in its hours, up to the hour `until`; returns how many hours are new.
    pub(super) fn roll_up(&mut self, host: &str, kept: i64, until: i64) -> u64 {
        let from = self.rolled.get(host).copied().unwrap_or(i64::MIN);
        let hour = |at: i64| at.div_euclid(HOUR_MS);
        let counts = |it: &&Kept| it.host == host && hour(it.at) >= from.max(kept) && hour(it.at) < until;
        let mut fresh: Vec<Kept> = self.samples.values().filter(counts).cloned().collect();
        fresh.sort_by_key(|it| it.at);
        let new = fresh.iter().map(|it| self.count(it)).sum();
        self.rolled.insert(host.to_string(), from.max(until));
        new
    }

    /// Counts a sample in its hours; returns how many of them are new.
    pub(super) fn count(&mut self, it: &Kept) -> u64 {
        let mut new = 0;
        for reading in &it.sample.readings {
            let key = (it.host.clone(), reading.metric.clone(), reading.item.clone(), it.at.div_euclid(HOUR_MS));
            match self.hours.get_mut(&key) {
                Some(known) => known.add(reading.value),
                None => {
                    new += 1;
                    self.hours.insert(key, Hour::new(reading.value));
                }
            }
        }
        new
    }

    pub(super) fn drop_old(&mut self, host: &str, bound: i64, hourly: bool, done: &mut Pruned) {
        let newest = self.hosts.get(host).cloned().unwrap_or_default();
        let mut old: Vec<(i64, i64)> = self
            .attempts
            .iter()
            .filter(|(id, (_, a))| a.host == host && ms(a.at) < bound && **id <= self.cursor)
            .map(|(id, (_, a))| (ms(a.at), *id))
            .collect();
        old.sort_unstable();
        for (_, attempt) in old {
            let mut stays = newest.attempt == Some(attempt);
            let ids: Vec<i64> = self.samples_of(attempt).map(|(id, _)| id).collect();
            for id in ids {
                if newest.sample == Some(id) {
                    stays = true;
                    continue;
                }
                let Some(kept) = self.samples.remove(&id) else { continue };
                done.samples += 1;
                let boot = self.boots.entry((host.to_string(), kept.sample.key.boot.clone())).or_default();
                boot.pruned = boot.pruned.max(Some(kept.sample.key.sequence));
                if hourly {
                    let gone = self.gone.entry(host.to_string()).or_insert(i64::MIN);
                    *gone = (*gone).max(kept.at.div_euclid(HOUR_MS) + 1);
                }
            }
            if !stays {
                done.attempts += 1;
                self.attempts.remove(&attempt);
            }
        }
    }

    pub(super) fn drop_history(&mut self, samples: i64, oldest: i64) {
        self.sweeps.retain(|_, sweep| ms(sweep.started) >= oldest);
        self.leases.retain(|_, (_, until)| ms(*until) >= oldest);
        self.mails.retain(|_, mail| mail.state == MailState::Queued || ms(mail.created) >= samples);
        for list in self.facts.values_mut() {
            let last = list.iter().rposition(|fact| ms(fact.since) < oldest);
            list.drain(..last.unwrap_or(0));
            if list.first().is_some_and(|fact| fact.text.is_empty() && ms(fact.since) < oldest) {
                list.remove(0);
            }
        }
        self.facts.retain(|_, list| !list.is_empty());
        let kept = &self.samples;
        self.boots.retain(|(host, boot), it| {
            it.seen >= oldest || kept.values().any(|k| k.host == *host && k.sample.key.boot == *boot)
        });
        let told = &self.told;
        let gone: Vec<i64> = self
            .incidents
            .values()
            .filter(|incident| incident.closed.is_some_and(|at| ms(at) < oldest))
            .filter(|incident| !told.values().any(|t| t.incident == incident.id && t.level > Level::Ok))
            .map(|incident| incident.id)
            .collect();
        self.incidents.retain(|id, _| !gone.contains(id));
        self.events.retain(|event| !gone.contains(&event.incident));
        let left = &self.incidents;
        self.told.retain(|(id, ..), t| t.level > Level::Ok || left.contains_key(id));
        self.acks.retain(|id, _| left.get(id).is_some_and(|incident| incident.closed.is_none()));
        self.silences.retain(|_, silence| {
            let until = match silence.when {
                When::Once { until, .. } => Some(until),
                When::Weekly(_) => None,
            };
            silence.ended.into_iter().chain(until).min().is_none_or(|end| ms(end) >= oldest)
        });
    }
}
