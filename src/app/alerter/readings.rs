//! What the rules of a host say of a sample: measured values, what is derived from the sample before it, forecasts, and
//! what is absent. The past comes from the store for the first row of a run, then from memory.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::past;
use crate::model::alert::{Subject, Verdict};
use crate::model::derive::{self, BESIDE, Derived, Formula, Totals};
use crate::model::fleet::{Grain, Row};
use crate::model::pattern::matches;
use crate::model::rule::{Condition, Role, RuleKind};
use crate::model::sample::Sample;
use crate::model::spec::{HostSpec, RuleSpec};
use crate::model::{catalogue, forecast};
use crate::rule::{self, Judge};
use crate::store::{Result, Store};

/// One value under the rule that is right for it.
pub struct Judged<'a> {
    /// The rule.
    pub rule: &'a RuleSpec,
    /// The item, or empty.
    pub item: String,
    /// In the unit of the rule.
    pub value: f64,
    /// What the rule says.
    pub verdict: Verdict,
}

/// What a sample says besides its own readings.
#[derive(Default)]
pub struct Beyond<'a> {
    /// Derived values, forecasts and what is absent, under their rules.
    pub judged: Vec<Judged<'a>>,
    made: Vec<Value>,
}

impl Beyond<'_> {
    /// What a value of the sample means beside the conditions of its rule.
    pub fn verdict(&self, judge: &Judge, rule: &RuleSpec, sample: &Sample, item: &str, value: f64) -> Verdict {
        judge.beside(value, &rule.conditions, &|condition| other(&self.made, sample, condition, item))
    }
}

/// The value that a condition is about.
fn other(made: &[Value], sample: &Sample, condition: &Condition, item: &str) -> Option<f64> {
    let item = match &condition.item {
        Some(item) => item,
        None if catalogue::find(&condition.metric)?.item.is_empty() => "",
        None => item,
    };
    match past::derived(&condition.metric) {
        Some(_) => made.iter().find(|(metric, of, _)| *metric == condition.metric && of == item).map(|it| it.2),
        None => sample.value(&condition.metric, item),
    }
}

/// Metric, item and value.
type Value = (&'static str, String, f64);
/// What is left of something, by item: (seconds, value), oldest first.
type Left = BTreeMap<String, VecDeque<(f64, f64)>>;

/// What is known of one host's past, as far as its rules look beyond a sample's own readings.
pub struct Past {
    /// What the host's rules name and no host sends.
    wanted: Vec<Derived>,
    inputs: Vec<&'static str>,
    /// Whether the store was asked for what came before.
    asked: bool,
    last: Option<Totals>,
    /// By the metric that a forecast is made from; only once some item of the host needs one.
    left: BTreeMap<&'static str, Left>,
}

impl Past {
    /// Of a host that nothing is known of yet; `None` where nothing but a sample's own readings is judged.
    pub fn of(host: &HostSpec) -> Option<Self> {
        let (mut wanted, mut inputs) = (Vec::new(), Vec::new());
        let named = host.rules.iter().flat_map(|rule| {
            let conditions = rule.conditions.iter().map(|condition| condition.metric.as_str());
            std::iter::once(rule.metric.as_str()).filter(|_| rule.kind != RuleKind::Absent).chain(conditions)
        });
        for metric in named {
            let Some(derived) = past::derived(metric) else { continue };
            if matches!(derived.formula, Formula::Forecast(_)) || wanted.contains(&derived) {
                continue;
            }
            inputs.extend(derived.formula.inputs());
            wanted.push(derived);
        }
        inputs.sort_unstable();
        inputs.dedup();
        let looks = !wanted.is_empty() || host.rules.iter().any(|rule| !direct(rule) || !rule.conditions.is_empty());
        looks.then(|| Self { wanted, inputs, asked: false, last: None, left: BTreeMap::new() })
    }

    /// Reads from the store what the row's samples are judged beside, where it is not known from an earlier row.
    ///
    /// # Errors
    /// The store's.
    pub fn recall(&mut self, store: &dyn Store, host: &HostSpec, row: &Row) -> Result<()> {
        let Some(first) = row.samples.first() else { return Ok(()) };
        if !self.asked && !self.inputs.is_empty() {
            let metrics: Vec<&str> = self.inputs.iter().copied().chain(BESIDE).collect();
            let before = store.before(&host.name, &first.key, &metrics)?;
            self.last = before.map(|sample| Totals::of(&sample, &self.inputs));
        }
        self.asked = true;
        for (rule, left) in forecasts(host) {
            if self.left.contains_key(left) || !row.samples.iter().any(|sample| worth(rule, sample, None)) {
                continue;
            }
            let span = TimeDelta::milliseconds((forecast::SPAN * 1000.0) as i64);
            let since = first.taken.checked_sub_signed(span).unwrap_or(first.taken);
            let series = store.series(&host.name, left, (since, first.taken), Grain::Whole)?.into_iter();
            let points = series.map(|series| {
                let points = series.points.iter().map(|point| (seconds(point.at), point.mean));
                (series.item, points.collect())
            });
            self.left.insert(left, points.collect());
        }
        Ok(())
    }

    /// What the host's rules say of a sample that stands at a time, but for what [`direct`] rules say of its readings.
    /// `missing` tells how long a subject has been missing, in seconds, if it is missing now; `blind` whether the sample
    /// says that it could not look for a metric and item.
    pub fn beyond<'a>(
        &mut self,
        host: &'a HostSpec,
        sample: &Sample,
        at: DateTime<Utc>,
        missing: &dyn Fn(&str, &str) -> f64,
        blind: &dyn Fn(&str, &str) -> bool,
    ) -> Beyond<'a> {
        let mut beyond = Beyond { judged: Vec::new(), made: self.derive(sample) };
        let foretold = self.foretell(host, sample, at);
        beyond.made.extend(foretold);
        let mut judged: Vec<Judged<'a>> = Vec::new();
        let mut judge = |rule: &'a RuleSpec, item: &str, value: f64| {
            let verdict = beyond.verdict(&Judge::new(rule), rule, sample, item, value);
            judged.push(Judged { rule, item: item.to_owned(), value, verdict });
        };
        for (metric, item, value) in &beyond.made {
            let rules = host.rules.iter().filter(|rule| {
                rule.metric == *metric && rule.kind != RuleKind::Absent && rule.kind != RuleKind::Average
            });
            for rule in fitting(rules, item) {
                judge(rule, item, *value);
            }
        }
        for rule in host.rules.iter().filter(|rule| indirect(rule)) {
            for reading in sample.readings.iter().filter(|reading| reading.metric == rule.metric) {
                let same = host.rules.iter().filter(|other| other.name == rule.name);
                if fitting(same, &reading.item).first().is_some_and(|first| std::ptr::eq(*first, rule)) {
                    judge(rule, &reading.item, reading.value);
                }
            }
        }
        for rule in host.rules.iter().filter(|rule| rule.kind == RuleKind::Absent) {
            for pattern in &rule.items {
                let item = if pattern == "*" { "" } else { pattern };
                let there =
                    |found: &str| matches(pattern, found) && !rule.not_items.iter().any(|not| matches(not, found));
                let present = sample.readings.iter().any(|r| r.metric == rule.metric && there(&r.item));
                if present || !blind(&rule.metric, item) {
                    judge(rule, item, if present { 0.0 } else { missing(&rule.name, item) });
                }
            }
        }
        beyond.judged = judged;
        beyond
    }

    fn derive(&mut self, sample: &Sample) -> Vec<Value> {
        if self.wanted.is_empty() {
            return Vec::new();
        }
        let after = Totals::of(sample, &self.inputs);
        let mut made = Vec::new();
        if let Some(before) = &self.last {
            if before.key.boot == after.key.boot && before.key.sequence >= after.key.sequence {
                // Late: what came after it was judged already.
                return made;
            }
            for derived in &self.wanted {
                let values = derive::between(derived, before, &after).into_iter();
                made.extend(values.map(|(item, value)| (derived.metric.name, item, value)));
            }
        }
        self.last = Some(after);
        made
    }

    fn foretell(&mut self, host: &HostSpec, sample: &Sample, at: DateTime<Utc>) -> Vec<Value> {
        let now = seconds(at);
        for (metric, items) in &mut self.left {
            for reading in sample.readings.iter().filter(|reading| reading.metric == *metric) {
                let points = items.entry(reading.item.clone()).or_default();
                if points.back().is_none_or(|(last, _)| *last < now) {
                    points.push_back((now, reading.value));
                }
                while points.front().is_some_and(|(first, _)| *first < now - forecast::SPAN) {
                    points.pop_front();
                }
            }
        }
        let mut made: Vec<Value> = Vec::new();
        for (rule, left) in forecasts(host) {
            let Some(derived) = derive::find(&rule.metric) else { continue };
            for reading in sample.readings.iter().filter(|reading| reading.metric == left) {
                let same = |(metric, item, _): &Value| *metric == derived.metric.name && *item == reading.item;
                if made.iter().any(same) {
                    continue;
                }
                // Where it does not matter yet, nothing is worked out: it is not filling up as far as anybody cares.
                let value = if worth(rule, sample, Some(&reading.item)) {
                    let points = self.left.get_mut(left).and_then(|items| items.get_mut(&reading.item));
                    points.and_then(|points| forecast::until_zero(points.make_contiguous()))
                } else {
                    Some(forecast::FAR)
                };
                made.extend(value.map(|value| (derived.metric.name, reading.item.clone(), value)));
            }
        }
        made
    }
}

fn seconds(at: DateTime<Utc>) -> f64 {
    at.timestamp_millis() as f64 / 1000.0
}

/// The forecast rules of a host, each with the metric of what is left.
fn forecasts(host: &HostSpec) -> impl Iterator<Item = (&RuleSpec, &'static str)> {
    let rules = host.rules.iter().filter(|rule| rule.kind == RuleKind::Forecast);
    rules.filter_map(|rule| Some((rule, derive::find(&rule.metric)?.formula.inputs().next()?)))
}

/// Whether a forecast could be a problem by the rule's measured conditions, for an item or for any.
fn worth(rule: &RuleSpec, sample: &Sample, item: Option<&str>) -> bool {
    rule.conditions.iter().filter(|condition| condition.role == Role::And).all(|condition| {
        let Some(metric) = catalogue::measured(&condition.metric) else { return true };
        let kind = rule::of(RuleKind::of(metric));
        let asked = condition.item.as_deref().or(item).filter(|_| !metric.item.is_empty());
        sample
            .readings
            .iter()
            .filter(|reading| reading.metric == condition.metric && asked.is_none_or(|item| item == reading.item))
            .any(|reading| kind.breaches(reading.value, condition.threshold))
    })
}

/// Whether a rule holds for an item.
pub fn fits(rule: &RuleSpec, item: &str) -> bool {
    rule.items.iter().any(|pattern| matches(pattern, item)) && !rule.not_items.iter().any(|not| matches(not, item))
}

/// The first rule of each kind that fits the item; the configuration puts the most specific first.
fn fitting<'a>(rules: impl Iterator<Item = &'a RuleSpec>, item: &str) -> Vec<&'a RuleSpec> {
    let mut found: Vec<&'a RuleSpec> = Vec::new();
    for rule in rules.filter(|rule| fits(rule, item)) {
        if found.iter().all(|other| other.kind != rule.kind) {
            found.push(rule);
        }
    }
    found
}

/// Whether a rule judges readings as they are: the metric's own kind, and no counter.
pub fn direct(rule: &RuleSpec) -> bool {
    matches!(rule.kind, RuleKind::Above | RuleKind::Below) && rule.name == rule.metric
}

/// Whether a rule judges readings as they are, but in the other direction than the metric's own.
fn indirect(rule: &RuleSpec) -> bool {
    matches!(rule.kind, RuleKind::Above | RuleKind::Below)
        && rule.name != rule.metric
        && past::derived(&rule.metric).is_none()
}

/// The rule that a subject is judged by; `None` where the configuration has none any more.
pub fn governing<'a>(host: &'a HostSpec, rule: &str, item: &str) -> Option<&'a RuleSpec> {
    host.rules.iter().filter(|known| known.name == rule).find(|rule| match rule.kind {
        RuleKind::Absent => rule.items.iter().any(|pattern| pattern == item || (pattern == "*" && item.is_empty())),
        _ => fits(rule, item),
    })
}

/// Whether a subject has no value only because it could not be derived from this sample: what it is made of is there.
pub fn held(sample: &Sample, subject: &Subject) -> bool {
    let inputs = past::derived(&subject.rule).and_then(|derived| derived.formula.inputs().next());
    inputs.is_some_and(|input| sample.value(input, &subject.item).is_some())
}
