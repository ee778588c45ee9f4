//! What the rules of a host say of a sample: measured values, what is derived from the sample before it, forecasts, and
//! what is absent. The past comes from the store for the first row of a run, then from memory.

use std::collections::{BTreeMap, HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::past;
use crate::model::alert::{Subject, Verdict};
use crate::model::derive::{self, Derived, Formula, Totals, UPTIME};
use crate::model::fleet::Row;
use crate::model::pattern::matches;
use crate::model::rule::{Condition, Role, RuleKind};
use crate::model::sample::Sample;
use crate::model::spec::{FleetSpec, HostSpec, RuleSpec};
use crate::model::{catalogue, forecast};
use crate::rule;
use crate::store::{Result, Store};

/// One value under the rule that is right for it.
pub struct Judged<'a> {
    /// The rule.
    pub rule: &'a RuleSpec,
    /// Host, rule and item.
    pub subject: Subject,
    /// In the unit of the rule.
    pub value: f64,
    /// What the rule says.
    pub verdict: Verdict,
}

/// Metric, item and value.
type Value = (&'static str, String, f64);
/// What is left of something, by item: (seconds, value), oldest first.
type Left = BTreeMap<String, VecDeque<(f64, f64)>>;

/// What is known of each host's past.
#[derive(Default)]
pub struct Readings {
    hosts: HashMap<String, Known>,
}

#[derive(Default)]
struct Known {
    /// What the host's rules name and no host sends.
    wanted: Vec<Derived>,
    inputs: Vec<&'static str>,
    last: Option<Totals>,
    /// By the metric that a forecast is made from; only once some item of the host needs one.
    left: BTreeMap<&'static str, Left>,
}

impl Known {
    fn of(host: &HostSpec) -> Self {
        let mut known = Self::default();
        let named = host.rules.iter().flat_map(|rule| {
            let conditions = rule.conditions.iter().map(|condition| condition.metric.as_str());
            std::iter::once(rule.metric.as_str()).filter(|_| rule.kind != RuleKind::Absent).chain(conditions)
        });
        for metric in named {
            let Some(derived) = past::derived(metric) else { continue };
            if matches!(derived.formula, Formula::Forecast(_)) || known.wanted.contains(&derived) {
                continue;
            }
            known.inputs.extend(derived.formula.inputs());
            known.wanted.push(derived);
        }
        known.inputs.sort_unstable();
        known.inputs.dedup();
        known
    }
}

impl Readings {
    /// Reads from the store what the row's samples are judged beside, where it is not known from an earlier row.
    ///
    /// # Errors
    /// The store's.
    pub fn prepare(&mut self, store: &dyn Store, spec: &FleetSpec, row: &Row) -> Result<()> {
        let (Some(host), Some(first)) = (spec.host(&row.attempt.host), row.samples.first()) else { return Ok(()) };
        if !self.hosts.contains_key(&host.name) {
            let mut known = Known::of(host);
            if !known.inputs.is_empty() {
                let metrics: Vec<&str> = known.inputs.iter().copied().chain([UPTIME]).collect();
                let before = store.before(&host.name, &first.key, &metrics)?;
                known.last = before.map(|sample| Totals::of(&sample, &known.inputs));
            }
            self.hosts.insert(host.name.clone(), known);
        }
        let Some(known) = self.hosts.get_mut(&host.name) else { return Ok(()) };
        for (rule, left) in forecasts(host) {
            if known.left.contains_key(left) || !row.samples.iter().any(|sample| worth(rule, sample, None)) {
                continue;
            }
            let span = TimeDelta::milliseconds((forecast::SPAN * 1000.0) as i64);
            let since = first.taken.checked_sub_signed(span).unwrap_or(first.taken);
            let series = store.series(&host.name, left, since, first.taken)?.into_iter();
            let points = series.map(|series| {
                let points = series.points.iter().map(|point| (seconds(point.at), point.mean));
                (series.item, points.collect())
            });
            known.left.insert(left, points.collect());
        }
        Ok(())
    }

    /// What the host's rules say of a sample that stands at a time. `missing` tells how long a subject has been missing,
    /// in seconds, if it is missing now; `blind` whether the sample says that it could not look.
    pub fn judged<'a>(
        &mut self,
        host: &'a HostSpec,
        sample: &Sample,
        at: DateTime<Utc>,
        missing: &dyn Fn(&Subject) -> f64,
        blind: &dyn Fn(&str, &str) -> bool,
    ) -> Vec<Judged<'a>> {
        let known = self.hosts.entry(host.name.clone()).or_insert_with(|| Known::of(host));
        let mut made = known.derive(sample);
        made.extend(known.foretell(host, sample, at));
        let other = |condition: &Condition, item: &str| {
            let item = condition.item.as_deref().unwrap_or(item);
            let found = made.iter().find(|(metric, of, _)| *metric == condition.metric && of == item);
            found.map(|(_, _, value)| *value).or_else(|| {
                let gauge = past::derived(&condition.metric).is_none();
                sample.value(&condition.metric, item).filter(|_| gauge)
            })
        };
        let mut out: Vec<Judged<'a>> = Vec::new();
        let mut judge = |rule: &'a RuleSpec, item: &str, value: f64| {
            let subject = Subject { host: host.name.clone(), rule: rule.name.clone(), item: item.to_owned() };
            let verdict = rule::judge_beside(value, rule, &|condition| {
                // A condition on one value for a whole host is asked without an item.
                let whole = catalogue::find(&condition.metric).is_some_and(|metric| metric.item.is_empty());
                other(condition, if whole { "" } else { item })
            });
            out.push(Judged { rule, subject, value, verdict });
        };
        let mut run: (&str, Vec<&'a RuleSpec>) = ("", Vec::new());
        for reading in &sample.readings {
            // Readings of one metric follow each other: its rules are looked for once.
            if run.0 != reading.metric {
                run = (&reading.metric, of_metric(host, &reading.metric));
                run.1.retain(|rule| matches!(rule.kind, RuleKind::Above | RuleKind::Below));
            }
            for rule in fitting(&run.1, &reading.item) {
                judge(rule, &reading.item, reading.value);
            }
        }
        for (metric, item, value) in &made {
            let rules =
                of_metric(host, metric).into_iter().filter(|rule| rule.kind != RuleKind::Absent).collect::<Vec<_>>();
            for rule in fitting(&rules, item) {
                judge(rule, item, *value);
            }
        }
        for rule in host.rules.iter().filter(|rule| rule.kind == RuleKind::Absent) {
            for pattern in &rule.items {
                let item = if pattern == "*" { "" } else { pattern };
                let there =
                    |found: &str| matches(pattern, found) && !rule.not_items.iter().any(|not| matches(not, found));
                let present = sample.readings.iter().any(|r| r.metric == rule.metric && there(&r.item));
                if !present && blind(&rule.metric, item) {
                    continue;
                }
                let subject = Subject { host: host.name.clone(), rule: rule.name.clone(), item: item.to_owned() };
                let value = if present { 0.0 } else { missing(&subject) };
                judge(rule, item, value);
            }
        }
        out
    }
}

impl Known {
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

fn of_metric<'a>(host: &'a HostSpec, metric: &str) -> Vec<&'a RuleSpec> {
    host.rules.iter().filter(|rule| rule.metric == metric).collect()
}

fn fits(rule: &RuleSpec, item: &str) -> bool {
    rule.items.iter().any(|pattern| matches(pattern, item)) && !rule.not_items.iter().any(|not| matches(not, item))
}

/// The first rule of each kind that fits the item; the configuration puts the most specific first.
fn fitting<'a>(rules: &[&'a RuleSpec], item: &str) -> Vec<&'a RuleSpec> {
    let mut found: Vec<&'a RuleSpec> = Vec::new();
    for rule in rules.iter().filter(|rule| fits(rule, item)) {
        if found.iter().all(|other| other.kind != rule.kind) {
            found.push(rule);
        }
    }
    found
}

/// The rule that a subject is judged by; `None` where the configuration has none any more.
pub fn governing<'a>(host: &'a HostSpec, subject: &Subject) -> Option<&'a RuleSpec> {
    host.rules.iter().filter(|rule| rule.name == subject.rule).find(|rule| match rule.kind {
        RuleKind::Absent => rule.items.iter().any(|pattern| *pattern == subject.item || subject.item.is_empty()),
        _ => fits(rule, &subject.item),
    })
}

/// Whether a subject has no value only because it could not be derived from this sample: what it is made of is there.
pub fn held(sample: &Sample, subject: &Subject) -> bool {
    let inputs = past::derived(&subject.rule).and_then(|derived| derived.formula.inputs().next());
    inputs.is_some_and(|input| sample.value(input, &subject.item).is_some())
}
