//! Samples: each reading to its slot, and what is missing.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};

use super::super::readings::{self, Beyond, Judged};
use super::{Behind, Ready, World, at_once, delta};
use crate::alert::ahead::is_ahead;
use crate::alert::fold::{self, Observation, Windows};
use crate::alert::words::{self, BUILT_IN, SILENT};
use crate::app::past;
use crate::model::alert::{Ending, RuleState, Subject};
use crate::model::catalogue::only_bad;
use crate::model::derive::{Derived, Formula};
use crate::model::level::Level;
use crate::model::rule::RuleKind;
use crate::model::sample::{FaultKind, Sample};
use crate::model::spec::{HostSpec, RuleSpec};
use crate::rule::{self, Judge};

/// Until then a machine is still starting, and what it does is not what it usually does.
const YOUNG: f64 = 300.0;
/// Layouts that are remembered for all hosts.
const LAYOUTS: usize = 64;

/// Whether the values of a rule are changes over time.
pub(super) fn is_rate(rule: &str) -> bool {
    let forecast = |derived: Derived| matches!(derived.formula, Formula::Forecast(_));
    matches!(rule, "cpu.used" | "cpu.iowait" | "cpu.steal") || past::derived(rule).is_some_and(|it| !forecast(it))
}

pub(super) fn windows(rule: &RuleSpec, interval: TimeDelta) -> Windows {
    if rule.kind == RuleKind::Absent {
        // Its levels say how long: no further sample has to confirm it.
        return at_once(interval);
    }
    Windows { raise: rule.raise, of: rule.of.min(64), fall: rule.fall, hold: rule.hold.map(delta), interval }
}

/// What a rule says of a value, with the threshold of the level.
pub(super) fn said(rule: &RuleSpec, item: &str, value: f64, level: Level) -> String {
    rule::sentence(rule, item, value, level, &|value| words::amount(&rule.name, value))
}

/// Whether the sample says that it could not look: then a missing item means nothing.
fn blind(sample: &Sample, rule: &str, item: &str) -> bool {
    sample.faults.iter().any(|fault| {
        fault.kind != FaultKind::Absent
            && rule.starts_with(fault.section.as_str())
            && (fault.item.is_empty() || fault.item == item)
    })
}

fn same(layout: &[(String, String)], sample: &Sample) -> bool {
    layout.len() == sample.readings.len()
        && layout.iter().zip(&sample.readings).all(|((metric, item), it)| it.metric == *metric && it.item == *item)
}

impl<'a> World<'a> {
    pub(super) fn sample(&mut self, track: usize, sample: &Sample, received: DateTime<Utc>) {
        let at = if is_ahead(sample.taken, received) { received } else { sample.taken };
        if !self.tracks[track].layout.as_ref().is_some_and(|layout| same(layout, sample)) {
            self.lay(track, sample);
        }
        let beyond = self.beyond(track, sample, at);
        let young = sample.value("uptime", "").is_some_and(|uptime| uptime < YOUNG);
        for (place, reading) in sample.readings.iter().enumerate() {
            let Some(slot) = self.tracks[track].places.get(place).copied().flatten() else { continue };
            let it = &self.tracks[track].slots[slot];
            let Some(&Ready { rule, judge, windows }) = self.judged(it) else { continue };
            if young && it.rate {
                continue;
            }
            let sized = rule::sized(rule, |metric| sample.value(metric, &reading.item));
            let judge = if matches!(sized, Cow::Owned(_)) { Judge::new(&sized) } else { judge };
            let verdict = beyond.verdict(&judge, &sized, sample, &reading.item, reading.value);
            let seen = Observation { at, value: reading.value, verdict };
            self.observe(track, slot, &windows, &seen, |_, level| said(&sized, &reading.item, seen.value, level));
        }
        let mut seen = BTreeSet::new();
        for Judged { rule, item, value, verdict } in beyond.judged {
            let slot = self.slot(track, &rule.name, &item);
            let it = &self.tracks[track].slots[slot];
            let Some(&Ready { windows, .. }) = self.judged(it) else { continue };
            if seen.insert(slot) && !(young && it.rate) {
                let judged = Observation { at, value, verdict };
                self.observe(track, slot, &windows, &judged, |_, level| said(rule, &item, value, level));
            }
        }
        for n in 0..self.tracks[track].beyond.len() {
            let Some(&slot) = self.tracks[track].beyond.get(n) else { break };
            if !seen.contains(&slot) && !readings::held(sample, &self.tracks[track].slots[slot].subject) {
                self.missing(track, slot, sample, at);
            }
        }
        for n in 0..self.tracks[track].absent.len() {
            let Some(&slot) = self.tracks[track].absent.get(n) else { break };
            self.missing(track, slot, sample, at);
        }
    }

    /// What is judged of the sample besides its readings.
    fn beyond(&mut self, number: usize, sample: &Sample, at: DateTime<Utc>) -> Beyond<'a> {
        let it = &mut self.tracks[number];
        let (Some(host), Behind::Past(_)) = (it.host, &it.behind) else { return Beyond::default() };
        let Behind::Past(mut past) = std::mem::take(&mut it.behind) else { return Beyond::default() };
        let track = &self.tracks[number];
        let missing = |rule: &str, item: &str| {
            let state = track.find(rule, item).map(|slot| &track.slots[slot]).filter(|slot| !slot.gone);
            let since = state.and_then(|slot| Some((at - slot.state.last?).as_seconds_f64() + slot.state.value));
            since.unwrap_or_default().max(0.0)
        };
        let beyond = past.beyond(host, sample, at, &missing, &|rule, item| blind(sample, rule, item));
        self.tracks[number].behind = Behind::Past(past);
        beyond
    }

    fn missing(&mut self, track: usize, slot: usize, sample: &Sample, at: DateTime<Utc>) {
        let it = &self.tracks[track].slots[slot];
        if it.gone {
            return;
        }
        let blind = blind(sample, &it.subject.rule, &it.subject.item);
        let state = &it.state;
        // Once it is well and nothing bad is remembered of it, it is forgotten like any other.
        let matters = state.level > Level::Ok || (state.warning_bits | state.critical_bits) != 0;
        let ready = self.judged(it).copied().filter(|_| matters && only_bad::is_well(sample, &it.subject.rule, blind));
        if let Some(Ready { rule, judge, windows }) = ready {
            let seen = Observation { at, value: 0.0, verdict: judge.verdict(0.0) };
            self.observe(track, slot, &windows, &seen, |slot, level| said(rule, &slot.subject.item, 0.0, level));
            return;
        }
        if blind {
            return;
        }
        let it = &mut self.tracks[track].slots[slot];
        let (next, gone) = fold::missed(&it.state, at);
        if next == it.state {
            return;
        }
        it.state = next;
        if !it.dirty.replace(true) {
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
            let judged = metric != SILENT && !BUILT_IN.contains(&metric.as_str()) && past::derived(metric).is_none();
            let ruled = |host: &&HostSpec| readings::governing(host, metric, item).is_some();
            let host = self.tracks[track].host.filter(|host| judged && ruled(host));
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
        let own = |n: &usize| {
            let rule = track.slots[*n].subject.rule.as_str();
            !track.beyond.contains(n) && rule != SILENT && !BUILT_IN.contains(&rule)
        };
        track.absent = (0..track.slots.len()).filter(|n| !present.contains(n) && own(n)).collect();
        track.places = places;
        track.layout = Some(layout);
    }
}
