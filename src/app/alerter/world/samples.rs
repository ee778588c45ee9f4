//! Samples: each reading to its slot, and what is missing.

use std::collections::BTreeSet;
use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Slot, World, delta, rule_for};
use crate::alert::fold::{self, Observation, Windows};
use crate::alert::words::{self, BUILT_IN, SILENT};
use crate::model::alert::{Ending, RuleState, Subject};
use crate::model::catalogue;
use crate::model::level::Level;
use crate::model::metric::Kind;
use crate::model::sample::{FaultKind, Sample};
use crate::model::spec::RuleSpec;
use crate::rule;

/// A clock that is further ahead than this is not believed.
const SKEW: TimeDelta = TimeDelta::minutes(5);
/// Until then a machine is still starting, and what it does is not what it usually does.
const YOUNG: f64 = 300.0;
/// Layouts that are remembered for all hosts.
const LAYOUTS: usize = 64;

/// Whether a metric is a change over time.
pub(super) fn is_rate(metric: &str) -> bool {
    matches!(metric, "cpu.used" | "cpu.iowait" | "cpu.steal")
        || catalogue::find(metric).is_some_and(|metric| metric.kind == Kind::Counter)
}

pub(super) fn windows(rule: &RuleSpec, interval: TimeDelta) -> Windows {
    Windows { raise: rule.raise, of: rule.of.min(64), fall: rule.fall, hold: rule.hold.map(delta), interval }
}

/// `filesystem.used of /var is 95 % (critical above 90 %)`.
pub(super) fn sentence(slot: &Slot<'_>, value: f64, level: Level) -> String {
    let Slot { subject, rule, .. } = slot;
    let item = if subject.item.is_empty() { String::new() } else { format!(" of {}", subject.item) };
    let limit = rule.as_ref().map_or_else(String::new, |(rule, ..)| {
        let threshold = if level == Level::Critical { rule.critical } else { rule.warning };
        let way = rule::of(&rule.metric).name();
        threshold.map_or_else(String::new, |threshold| {
            format!(" ({level} {way} {})", words::amount(&rule.metric, threshold))
        })
    });
    format!("{}{item} is {}{limit}", subject.rule, words::amount(&subject.rule, value))
}

/// Whether the sample says that it could not look: then a missing item means nothing.
fn blind(sample: &Sample, subject: &Subject) -> bool {
    sample.faults.iter().any(|fault| {
        fault.kind != FaultKind::Absent
            && subject.rule.starts_with(fault.section.as_str())
            && (fault.item.is_empty() || fault.item == subject.item)
    })
}

fn same(layout: &[(String, String)], sample: &Sample) -> bool {
    layout.len() == sample.readings.len()
        && layout.iter().zip(&sample.readings).all(|((metric, item), it)| it.metric == *metric && it.item == *item)
}

impl World<'_> {
    pub(super) fn sample(&mut self, track: usize, sample: &Sample, received: DateTime<Utc>) {
        let at = if sample.taken > received + SKEW { received } else { sample.taken };
        if !self.tracks[track].layout.as_ref().is_some_and(|layout| same(layout, sample)) {
            self.lay(track, sample);
        }
        let young = sample.value("uptime", "").is_some_and(|uptime| uptime < YOUNG);
        for (place, reading) in sample.readings.iter().enumerate() {
            let Some(slot) = self.tracks[track].places.get(place).copied().flatten() else { continue };
            let it = &self.tracks[track].slots[slot];
            let Some((_, judge, windows)) = it.rule else { continue };
            if young && it.rate {
                continue;
            }
            let seen = Observation { at, value: reading.value, verdict: judge.verdict(reading.value) };
            self.observe(track, slot, &windows, &seen, |slot, level| sentence(slot, seen.value, level));
        }
        for n in 0..self.tracks[track].absent.len() {
            let Some(&slot) = self.tracks[track].absent.get(n) else { break };
            self.missing(track, slot, sample, at);
        }
    }

    fn missing(&mut self, track: usize, slot: usize, sample: &Sample, at: DateTime<Utc>) {
        let it = &mut self.tracks[track].slots[slot];
        if it.gone || blind(sample, &it.subject) {
            return;
        }
        let (next, gone) = fold::missed(&it.state, at);
        if next == it.state {
            return;
        }
        it.state = next;
        if !it.dirty {
            it.dirty = true;
            self.dirty.push((track, slot));
        }
        if gone {
            self.end(track, slot, at, Ending::Gone);
        }
    }

    /// Finds the slot of each reading, and the slots that no reading is for.
    fn lay(&mut self, track: usize, sample: &Sample) {
        let known = self.layouts.iter().find(|layout| same(layout, sample)).cloned();
        let layout = known.unwrap_or_else(|| {
            let names = sample.readings.iter().map(|it| (it.metric.clone(), it.item.clone()));
            let layout = Rc::new(names.collect::<Vec<_>>());
            // Hosts with layouts of their own must not make this list grow for ever.
            if self.layouts.len() >= LAYOUTS {
                self.layouts.clear();
            }
            self.layouts.push(Rc::clone(&layout));
            layout
        });
        let mut present = BTreeSet::new();
        let mut places = Vec::with_capacity(layout.len());
        for (metric, item) in layout.iter() {
            let judged = metric != SILENT && !BUILT_IN.contains(&metric.as_str());
            let host = self.tracks[track].host.filter(|host| judged && rule_for(host, metric, item).is_some());
            let slot = host.map(|host| {
                self.tracks[track].find(metric, item).unwrap_or_else(|| {
                    let subject = Subject { host: host.name.clone(), rule: metric.clone(), item: item.clone() };
                    self.add(track, subject, RuleState::default())
                })
            });
            // The first of two readings with one name counts.
            places.push(slot.filter(|slot| present.insert(*slot)));
        }
        let track = &mut self.tracks[track];
        let own = |slot: &Slot<'_>| slot.subject.rule != SILENT && !BUILT_IN.contains(&slot.subject.rule.as_str());
        track.absent = (0..track.slots.len()).filter(|n| !present.contains(n) && own(&track.slots[*n])).collect();
        track.places = places;
        track.layout = Some(layout);
    }
}
