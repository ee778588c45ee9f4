//! A host in full, a problem in full and a metric over time, as the screen shows them.

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::past;
use crate::model::catalogue;
use crate::model::derive::{self, Formula, Totals, UPTIME};
use crate::model::derived::DERIVED;
use crate::model::level::Level;
use crate::model::metric::Kind;
use crate::model::rule::RuleKind;
use crate::model::sample::{Reading, Sample};
use crate::model::spec::{FleetSpec, HostSpec};
use crate::store::{Result, Store};
use crate::view::screen::data::{Graph, Host, Limit, Past, Story};

/// Tries that are shown.
const ATTEMPTS: usize = 5;
/// How far back the newest value of a forecast may lie.
const LATELY: TimeDelta = TimeDelta::hours(1);

/// The host as it is now.
///
/// # Errors
/// The store's.
pub fn host(store: &dyn Store, name: &str, now: DateTime<Utc>) -> Result<Host> {
    let mut facts = store.facts(name)?;
    // The last of a name and item holds, unless the host no longer says it.
    facts.dedup_by(|later, held| {
        let same = later.name == held.name && later.item == held.item;
        if same {
            std::mem::swap(later, held);
        }
        same
    });
    facts.retain(|fact| !fact.text.is_empty());
    let attempts = store.attempts(name, ATTEMPTS)?;
    let mut host = Host { name: name.to_owned(), facts, attempts, ..Host::default() };
    // A clock that was set back leaves samples that are newer than now.
    let Some((_, sample)) = store.at(name, DateTime::<Utc>::MAX_UTC)? else { return Ok(host) };
    host.taken = Some(sample.taken);
    host.readings = readings(store, name, &sample, now)?;
    host.faults = sample.faults;
    host.top = sample.top;
    Ok(host)
}

/// Gauges as they were measured, counters as what they grew by since the sample before, and what is derived of both.
fn readings(store: &dyn Store, name: &str, sample: &Sample, now: DateTime<Utc>) -> Result<Vec<Reading>> {
    let counter = |metric: &str| catalogue::measured(metric).filter(|metric| metric.kind == Kind::Counter);
    let mut all: Vec<Reading> = sample.readings.iter().filter(|it| counter(&it.metric).is_none()).cloned().collect();
    let mut inputs: Vec<&'static str> = catalogue::METRICS.iter().filter(|it| it.kind == Kind::Counter).map(|it| it.name).collect();
    inputs.push(UPTIME);
    if let Some(before) = store.before(name, &sample.key, &inputs)? {
        let (before, after) = (Totals::of(&before, &inputs), Totals::of(sample, &inputs));
        let rates = inputs.iter().filter_map(|name| derive::rate_of(counter(name)?));
        for it in DERIVED.iter().copied().chain(rates) {
            let values = derive::between(&it, &before, &after).into_iter();
            all.extend(values.map(|(item, value)| Reading { metric: it.metric.name.to_owned(), item, value }));
        }
    }
    for it in DERIVED.iter().filter(|it| matches!(it.formula, Formula::Forecast(_))) {
        for series in past::series(store, name, it.metric.name, now - LATELY, now)? {
            let newest = series.points.last().map(|point| point.mean);
            all.extend(newest.map(|value| Reading { metric: it.metric.name.to_owned(), item: series.item, value }));
        }
    }
    Ok(all)
}

/// A problem with its history; `None` where there is none of that number.
///
/// # Errors
/// The store's.
pub fn problem(store: &dyn Store, id: i64) -> Result<Option<Story>> {
    let Some(incident) = store.incident(id)? else { return Ok(None) };
    let mut told: Vec<_> = store.told()?.into_iter().map(|(told, _)| told).filter(|told| told.incident == id).collect();
    if told.is_empty() {
        told = store.told_since(incident.opened)?.into_iter().filter(|told| told.incident == id).collect();
    }
    Ok(Some(Story { events: store.events(id)?, incident, told }))
}

/// A metric up to now, with the thresholds that hold for it.
///
/// # Errors
/// The store's.
pub fn past(spec: &FleetSpec, store: &dyn Store, past: &Past, now: DateTime<Utc>) -> Result<Graph> {
    let since = now - past.span;
    let mut series = past::series(store, &past.host, &past.metric, since, now)?;
    series.retain(|series| !series.points.is_empty());
    let limits = spec.host(&past.host).map(|host| limits(host, &past.metric)).unwrap_or_default();
    Ok(Graph { past: past.clone(), since, until: now, series, limits })
}

/// Thresholds that are values of the metric itself.
fn limits(host: &HostSpec, metric: &str) -> Vec<Limit> {
    let own = |kind: RuleKind| !matches!(kind, RuleKind::Absent | RuleKind::Average);
    let rules = host.rules.iter().filter(|rule| rule.metric == metric && own(rule.kind));
    let both = rules.flat_map(|rule| {
        let of = |level: Level, value: Option<f64>| {
            Some(Limit { level, value: value?, items: rule.items.clone(), not_items: rule.not_items.clone() })
        };
        [of(Level::Critical, rule.critical), of(Level::Warning, rule.warning)]
    });
    both.flatten().collect()
}
