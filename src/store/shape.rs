//! What every backend does alike: precision of times, order and selection of samples, hours.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::fleet::HostFact;
use crate::model::sample::{Fact, Sample};

/// A sample this much ahead of its receipt counts as taken when it was received; its own time is kept beside it.
const AHEAD_MS: i64 = 300_000;
/// One hour.
pub(super) const HOUR_MS: i64 = 3_600_000;

/// Stored precision of all times.
pub(super) fn ms(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis()
}

/// The reverse; what no calendar can hold becomes 1970.
pub(super) fn time(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

/// The time by which a sample stands in a series.
pub(super) fn event_ms(taken: i64, received: i64) -> i64 {
    if taken > received.saturating_add(AHEAD_MS) { received } else { taken }
}

/// `now - span`, for bounds.
pub(super) fn before(now: DateTime<Utc>, span: Duration) -> i64 {
    ms(now).saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}

/// The first hour that begins at or after a time.
pub(super) fn first_hour(ms: i64) -> i64 {
    ms.saturating_add(HOUR_MS - 1).div_euclid(HOUR_MS)
}

/// The hour before which pruning rolls up: hours that are over, and whatever it takes away, which may bear a time somewhat
/// after that of its receipt.
pub(super) fn rolled_until(now: DateTime<Utc>, keep: Duration) -> i64 {
    let over = ms(now).div_euclid(HOUR_MS);
    let goes = before(now, keep).saturating_add(AHEAD_MS).div_euclid(HOUR_MS).saturating_add(1);
    over.max(goes)
}

/// The samples of one visit in the order in which they were taken: boots by their earliest sample, inside a boot by
/// sequence. Each key once. A sequence over 2^63 was never counted by anybody: it is left out.
pub(super) fn arrange(samples: &[Sample]) -> Vec<&Sample> {
    let mut first: HashMap<&str, DateTime<Utc>> = HashMap::new();
    for sample in samples {
        let at = first.entry(sample.key.boot.as_str()).or_insert(sample.taken);
        *at = (*at).min(sample.taken);
    }
    let mut seen = HashSet::new();
    let mut list: Vec<&Sample> = samples
        .iter()
        .filter(|sample| i64::try_from(sample.key.sequence).is_ok() && seen.insert(&sample.key))
        .collect();
    list.sort_by_key(|s| (first.get(s.key.boot.as_str()).copied(), s.key.boot.as_str(), s.key.sequence));
    list
}

/// Only what a caller asked for of a sample.
pub(super) fn only(mut sample: Sample, metrics: &[&str]) -> Sample {
    sample.readings.retain(|reading| metrics.contains(&reading.metric.as_str()));
    sample.faults.clear();
    sample.top.clear();
    sample
}

/// What is new in a sample's facts: texts that differ from the last known, and what is no longer said. A sample without
/// any fact is of an older probe and says nothing of them.
pub(super) fn fact_changes(
    known: &BTreeMap<(String, String), (String, i64)>,
    facts: &[Fact],
    at: i64,
) -> Vec<HostFact> {
    let mut said: BTreeMap<(String, String), &str> = BTreeMap::new();
    for fact in facts.iter().filter(|fact| !fact.text.is_empty()) {
        said.entry((fact.name.clone(), fact.item.clone())).or_insert(&fact.text);
    }
    if said.is_empty() {
        return Vec::new();
    }
    let mut changes = Vec::new();
    for key in said.keys().chain(known.keys().filter(|key| !said.contains_key(*key))) {
        let text = said.get(key).copied().unwrap_or_default();
        let (before, since) = known.get(key).map_or(("", i64::MIN), |(text, since)| (text.as_str(), *since));
        if text != before {
            // A clock that went back does not put the new under the old.
            let since = time(at.max(since.saturating_add(1)));
            changes.push(HostFact { name: key.0.clone(), item: key.1.clone(), text: text.to_owned(), since });
        }
    }
    changes
}

/// What remains of one hour of one metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hour {
    pub min: f64,
    pub mean: f64,
    pub max: f64,
    pub count: i64,
}

impl Hour {
    /// An hour with one value.
    pub fn new(value: f64) -> Self {
        Self { min: value, mean: value, max: value, count: 1 }
    }

    /// One value more; written so that no intermediate overflows.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let n = self.count as f64;
        self.mean = self.mean - self.mean / n + value / n;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }
}
