//! Attempts and their samples, in memory.

use super::{Kept, Memory, cut, micros};
use crate::model::fleet::{Attempt, HostFact};
use crate::model::sample::{Fact, Sample};
use crate::store::shape::{HOUR_MS, arrange, event_ms, fact_changes, ms};

impl Memory {
    fn newest_key(&self, host: &str) -> Option<(&str, u64)> {
        let id = self.hosts.get(host)?.sample?;
        let kept = self.samples.get(&id)?;
        Some((kept.sample.key.boot.as_str(), kept.sample.key.sequence))
    }

    fn known(&self, host: &str, sample: &Sample) -> bool {
        // Nothing of a boot is known before its first sample.
        let Some(boot) = self.boots.get(&(host.to_string(), sample.key.boot.clone())) else { return false };
        boot.pruned.is_some_and(|highest| sample.key.sequence <= highest)
            || self.samples.values().any(|kept| kept.host == host && kept.sample.key == sample.key)
    }

    fn note(&mut self, host: &str, at: i64, facts: &[Fact]) {
        let of = |(key, list): (&(String, String, String), &Vec<HostFact>)| {
            let last = list.last().filter(|_| key.0 == host)?;
            Some(((key.1.clone(), key.2.clone()), (last.text.clone(), ms(last.since))))
        };
        let known = self.facts.iter().filter_map(of).collect();
        for change in fact_changes(&known, facts, at) {
            let key = (host.to_string(), change.name.clone(), change.item.clone());
            self.facts.entry(key).or_default().push(change);
        }
    }

    /// Returns how many samples were new.
    pub(super) fn put(&mut self, sweep: i64, attempt: &Attempt, samples: &[Sample]) -> usize {
        let host = attempt.host.clone();
        self.last_attempt += 1;
        let row = self.last_attempt;
        let received = ms(attempt.at);
        let stored = Attempt { at: cut(attempt.at), took: micros(attempt.took), ..attempt.clone() };
        self.attempts.insert(row, (sweep, stored));
        self.was_tried(sweep, row, attempt);
        let mut added = 0;
        for sample in arrange(samples) {
            if self.known(&host, sample) {
                continue;
            }
            let boot = self.boots.entry((host.clone(), sample.key.boot.clone())).or_default();
            boot.seen = boot.seen.max(received);
            let newer = self.newest_key(&host).is_none_or(|(b, s)| b != sample.key.boot || s < sample.key.sequence);
            self.last_sample += 1;
            let mut sample = sample.clone();
            sample.taken = cut(sample.taken);
            sample.readings.retain(|reading| reading.value.is_finite());
            sample.top.retain(|process| process.value.is_finite());
            sample.top.sort_by_key(|process| process.by);
            let facts = std::mem::take(&mut sample.facts);
            let at = event_ms(ms(sample.taken), received);
            let kept = Kept { attempt: row, host: host.clone(), at, sample };
            if self.rolled.get(&host).is_some_and(|rolled| at.div_euclid(HOUR_MS) < *rolled) {
                self.count(&kept);
            }
            self.samples.insert(self.last_sample, kept);
            if newer {
                self.note(&host, at, &facts);
                self.hosts.entry(host.clone()).or_default().sample = Some(self.last_sample);
            }
            added += 1;
        }
        added
    }
}
