//! A machine as it was at a moment: its readings, processes, facts and open problems then.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use crate::model::alert::Incident;
use crate::model::catalogue;
use crate::model::derive::{self, Derived, Formula, Totals, UPTIME};
use crate::model::derived::DERIVED;
use crate::model::fleet::{Grain, HostFact};
use crate::model::level::Level;
use crate::model::metric::Kind;
use crate::model::sample::{Fault, Process, Reading, Sample};
use crate::store::{Result, Store};

/// From what a moment is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The last sample at or before it.
    Sample,
    /// The means of its hour: whole samples of then are gone, and with them the processes.
    Hour,
}

/// What is known of a host at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Then {
    /// From what.
    pub source: Source,
    /// When the sample was measured, or the hour began.
    pub at: DateTime<Utc>,
    /// Gauges as they were measured, and what is derived from the sample before; no totals.
    pub readings: Vec<Reading>,
    /// What could not be measured.
    pub faults: Vec<Fault>,
    /// The processes that took most.
    pub processes: Vec<Process>,
    /// What the host was, each with the time since when.
    pub facts: Vec<HostFact>,
    /// Problems that were open, with the level that they had then.
    pub problems: Vec<Incident>,
}

/// What is known of a host at a moment; none where nothing of then is stored. A sample that is much older than `interval`
/// stands for the moment only where there is nothing nearer: the host was silent then.
///
/// # Errors
/// The store's.
pub fn read(store: &dyn Store, host: &str, moment: DateTime<Utc>, interval: Duration) -> Result<Option<Then>> {
    let near = TimeDelta::from_std(interval * 3).unwrap_or_default().max(TimeDelta::hours(1));
    let sample = store.at(host, moment)?;
    let old = sample.as_ref().is_none_or(|(at, _)| moment - *at > near);
    let (source, at, readings, faults, processes) = match (old.then(|| hour(store, host, moment)).transpose()?, sample)
    {
        (Some(Some((at, readings))), _) => (Source::Hour, at, readings, Vec::new(), Vec::new()),
        (_, Some((at, sample))) => {
            let readings = readings(store, host, &sample)?;
            (Source::Sample, at, readings, sample.faults, sample.top)
        }
        (_, None) => return Ok(None),
    };
    let facts = facts(store, host, moment)?;
    Ok(Some(Then { source, at, readings, faults, processes, facts, problems: problems(store, host, moment)? }))
}

/// The means of the hour in which a moment lies.
fn hour(store: &dyn Store, host: &str, moment: DateTime<Utc>) -> Result<Option<(DateTime<Utc>, Vec<Reading>)>> {
    let start = moment.duration_trunc(TimeDelta::hours(1)).unwrap_or(moment);
    let mut all = Vec::new();
    for metric in catalogue::METRICS.iter().filter(|metric| metric.kind == Kind::Gauge) {
        for series in store.series(host, metric.name, (start, start + TimeDelta::hours(1)), Grain::Whole)? {
            let mean = series.points.first().map(|point| point.mean);
            all.extend(mean.map(|value| Reading { metric: metric.name.to_owned(), item: series.item, value }));
        }
    }
    Ok((!all.is_empty()).then_some((start, all)))
}

/// The gauges of a sample, and what its totals make with those of the sample before.
fn readings(store: &dyn Store, host: &str, sample: &Sample) -> Result<Vec<Reading>> {
    let gauge = |name: &str| catalogue::measured(name).is_none_or(|metric| metric.kind == Kind::Gauge);
    let mut all: Vec<Reading> = sample.readings.iter().filter(|reading| gauge(&reading.metric)).cloned().collect();
    let made: Vec<&Derived> =
        DERIVED.iter().filter(|derived| !matches!(derived.formula, Formula::Forecast(_))).collect();
    let mut inputs: Vec<&'static str> = made.iter().flat_map(|derived| derived.formula.inputs()).collect();
    inputs.push(UPTIME);
    inputs.sort_unstable();
    inputs.dedup();
    if let Some(before) = store.before(host, &sample.key, &inputs)? {
        let (before, after) = (Totals::of(&before, &inputs), Totals::of(sample, &inputs));
        for derived in made {
            let values = derive::between(derived, &before, &after).into_iter();
            all.extend(values.map(|(item, value)| Reading { metric: derived.metric.name.to_owned(), item, value }));
        }
    }
    Ok(all)
}

/// The facts that held at a moment.
fn facts(store: &dyn Store, host: &str, moment: DateTime<Utc>) -> Result<Vec<HostFact>> {
    let mut held: BTreeMap<(String, String), HostFact> = BTreeMap::new();
    // By name, item and time: the last that began before holds.
    for fact in store.facts(host)?.into_iter().filter(|fact| fact.since <= moment) {
        held.insert((fact.name.clone(), fact.item.clone()), fact);
    }
    Ok(held.into_values().filter(|fact| !fact.text.is_empty()).collect())
}

fn problems(store: &dyn Store, host: &str, moment: DateTime<Utc>) -> Result<Vec<Incident>> {
    let mut open = store.incidents_of(host, moment, moment)?;
    // What ended at the moment was over.
    open.retain(|incident| incident.closed.is_none_or(|closed| closed > moment));
    for incident in &mut open {
        let events = store.events(incident.id)?;
        if let Some(last) = events.iter().rfind(|event| event.at <= moment && event.level > Level::Ok) {
            incident.level = last.level;
            incident.text.clone_from(&last.text);
        } else if incident.level == Level::Ok {
            incident.level = incident.worst;
        }
    }
    open.sort_by_key(|incident| (std::cmp::Reverse(incident.level), incident.id));
    Ok(open)
}
