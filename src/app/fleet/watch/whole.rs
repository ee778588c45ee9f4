//! A host in full, a problem in full and a metric over time, as the screen shows them.

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::{past, then};
use crate::model::derive::Formula;
use crate::model::derived::DERIVED;
use crate::model::fleet::Grain;
use crate::model::level::Level;
use crate::model::rule::RuleKind;
use crate::model::sample::Reading;
use crate::model::spec::{FleetSpec, HostSpec};
use crate::store::{Result, Store};
use crate::view::screen::data::{Graph, Host, Limit, Past, Story};

/// Tries that are shown.
const ATTEMPTS: usize = 5;
/// Dots of a chart on a wide terminal.
const DOTS: usize = 400;
/// How far back the newest value of a forecast may lie.
const LATELY: TimeDelta = TimeDelta::hours(1);

/// The host as it is now.
///
/// # Errors
/// The store's.
pub fn host(spec: &FleetSpec, store: &dyn Store, name: &str, now: DateTime<Utc>) -> Result<Host> {
    let attempts = store.attempts(name, ATTEMPTS)?;
    let mut host = Host { name: name.to_owned(), attempts, ..Host::default() };
    let Some(it) = then::read(store, name, now, spec.collector.interval)? else { return Ok(host) };
    (host.readings, host.faults, host.facts, host.top) = (it.readings, it.faults, it.facts, it.processes);
    for foretold in DERIVED.iter().filter(|derived| matches!(derived.formula, Formula::Forecast(_))) {
        let metric = foretold.metric.name;
        for series in past::series(store, name, metric, (now - LATELY, now), Grain::Whole)? {
            let newest = series.points.last().map(|point| point.mean);
            host.readings.extend(newest.map(|value| Reading { metric: metric.to_owned(), item: series.item, value }));
        }
    }
    Ok(host)
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
    let mut series = past::series(store, &past.host, &past.metric, (since, now), Grain::of(now - since, DOTS))?;
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
