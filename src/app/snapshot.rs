//! The fleet at one moment, from configuration and store: what every table, the screen and the dashboard start from.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use super::alerter::about;
use super::past;
use crate::alert::hush;
use crate::model::alert::{Ack, Incident};
use crate::model::catalogue;
use crate::model::derive::{self, Derived, Formula, Totals, UPTIME};
use crate::model::filter::Filter;
use crate::model::fleet::{Grain, HostNow, Outcome};
use crate::model::level::Level;
use crate::model::metric::Kind;
use crate::model::sample::{Reading, Sample};
use crate::model::service::ServiceSpec;
use crate::model::snapshot::{Health, HostRow, KEY_METRICS, Limits, Problem, ServiceRow, Snapshot, State};
use crate::model::spec::{FleetSpec, HostSpec};
use crate::store::{Result, Store};

/// What is older than this many intervals is stale: two sweeps may be missed.
const STALE_AFTER: i32 = 3;
/// How far back a forecast's newest value may lie.
const LATELY: TimeDelta = TimeDelta::hours(1);

/// Every host of the configuration, worst first, with the metrics that the filter compares. The filter itself is not
/// applied: whoever shows part of it counts the rest too.
///
/// # Errors
/// The store's.
pub fn read(
    spec: &FleetSpec,
    store: &dyn Store,
    now: DateTime<Utc>,
    filter: &Filter,
    limits: Limits,
) -> Result<Snapshot> {
    let extra: BTreeSet<&str> = filter.metrics().filter(|metric| !KEY_METRICS.contains(metric)).collect();
    let derived: Vec<Derived> = extra.iter().filter_map(|metric| past::derived(metric)).collect();
    let mut metrics: Vec<&str> = KEY_METRICS.iter().chain(&extra).copied().collect();
    for it in &derived {
        metrics.extend(it.formula.inputs().map(|input| -> &str { input }));
    }
    let mut stored: HashMap<String, HostNow> =
        store.latest(&metrics)?.into_iter().map(|known| (known.host.clone(), known)).collect();
    let mut problems = problems(spec, store, now)?;
    let mut hosts: Vec<HostRow> = Vec::with_capacity(spec.hosts.len());
    for host in &spec.hosts {
        let known = stored.remove(&host.name);
        let open = problems.remove(host.name.as_str()).unwrap_or_default();
        let mut row = row(spec, host, known.as_ref(), open, now);
        if let Some((_, sample)) = known.and_then(|known| known.sample) {
            row.hostname = sample.hostname.clone();
            row.readings = readings(store, host, &sample, &extra, &derived, now)?;
        }
        row.services = host.services.iter().map(|service| serves(service, &row, limits)).collect();
        hosts.push(row);
    }
    hosts.sort_by(|a, b| a.order().cmp(&b.order()));
    let mut fleet = problems.remove("").unwrap_or_default();
    fleet.sort_by_key(order);
    Ok(Snapshot { now, interval: spec.collector.interval, hosts, fleet })
}

/// Every host of the configuration as if nothing were stored of any: for what the configuration alone tells.
#[must_use]
pub fn configured(spec: &FleetSpec, now: DateTime<Utc>) -> Snapshot {
    let row = |host: &HostSpec| {
        let mut row = row(spec, host, None, Vec::new(), now);
        row.services = host.services.iter().map(|service| serves(service, &row, Limits::default())).collect();
        row
    };
    let hosts = spec.hosts.iter().map(row).collect();
    Snapshot { now, interval: spec.collector.interval, hosts, fleet: Vec::new() }
}

fn order(problem: &Problem) -> (std::cmp::Reverse<Level>, i64) {
    (std::cmp::Reverse(problem.incident.level), problem.incident.id)
}

/// Open problems by host, those of the fleet under an empty name.
fn problems(spec: &FleetSpec, store: &dyn Store, now: DateTime<Utc>) -> Result<HashMap<String, Vec<Problem>>> {
    let open: Vec<Incident> = store.open_incidents()?;
    if open.is_empty() {
        return Ok(HashMap::new());
    }
    let mut acks: BTreeMap<i64, Ack> = store.acks()?.into_iter().map(|ack| (ack.incident, ack)).collect();
    let silences = store.silences()?;
    let windows = hush::windows(silences.iter().chain(&spec.silences), now);
    let groups: HashMap<&str, &[String]> =
        spec.hosts.iter().map(|host| (host.name.as_str(), host.groups.as_slice())).collect();
    let mut found: HashMap<String, Vec<Problem>> = HashMap::new();
    for incident in open {
        let of_host = groups.get(incident.subject.host.as_str()).copied().unwrap_or_default();
        let why = about::silenced(spec, &windows, &incident.subject, of_host);
        let silenced = match why {
            Some(hush::Why::Silenced { until, text }) => Some((until, text)),
            _ => None,
        };
        let ack = acks.remove(&incident.id).filter(|ack| ack.holds(incident.level, now));
        found.entry(incident.subject.host.clone()).or_default().push(Problem { incident, ack, silenced });
    }
    Ok(found)
}

fn row(
    spec: &FleetSpec,
    host: &HostSpec,
    known: Option<&HostNow>,
    mut open: Vec<Problem>,
    now: DateTime<Utc>,
) -> HostRow {
    open.sort_by_key(order);
    let attempt = known.and_then(|known| known.attempt.clone());
    let received = known.and_then(|known| known.sample.as_ref()).map(|(received, _)| *received);
    // A sample from the future (the clock was set back) is new, not negative.
    let age = received.map(|at| (now - at).as_seconds_f64().max(0.0));
    let old = spec.collector.interval.as_secs_f64() * f64::from(STALE_AFTER);
    let state = match (&attempt, age) {
        (None, None) => State::Never,
        (Some(attempt), _) if attempt.outcome != Outcome::Collected => State::Failed,
        (_, age) if age.is_none_or(|age| age > old) => State::Stale,
        _ => State::Fresh,
    };
    let least = match state {
        State::Fresh => Some(Level::Ok),
        State::Stale | State::Failed => Some(Level::Warning),
        State::Never => None,
    };
    HostRow {
        name: host.name.clone(),
        groups: host.groups.clone(),
        labels: host.labels.clone(),
        level: open.first().map(|worst| worst.incident.level).max(least),
        state,
        attempt,
        received,
        age,
        hostname: String::new(),
        readings: Vec::new(),
        problems: open,
        services: Vec::new(),
    }
}

/// Key metrics and gauges as they were measured, and what is derived from the sample before.
fn readings(
    store: &dyn Store,
    host: &HostSpec,
    sample: &Sample,
    extra: &BTreeSet<&str>,
    derived: &[Derived],
    now: DateTime<Utc>,
) -> Result<Vec<Reading>> {
    let measured = |name: &str| {
        KEY_METRICS.contains(&name)
            || (extra.contains(name) && catalogue::measured(name).is_none_or(|metric| metric.kind == Kind::Gauge))
    };
    let mut all: Vec<Reading> = sample.readings.iter().filter(|reading| measured(&reading.metric)).cloned().collect();
    for it in derived {
        let name = it.metric.name;
        if matches!(it.formula, Formula::Forecast(_)) {
            for series in past::series(store, &host.name, name, (now - LATELY, now), Grain::Whole)? {
                let newest = series.points.last().map(|point| point.mean);
                all.extend(newest.map(|value| Reading { metric: name.to_owned(), item: series.item, value }));
            }
            continue;
        }
        let mut inputs: Vec<&'static str> = it.formula.inputs().collect();
        inputs.push(UPTIME);
        let Some(before) = store.before(&host.name, &sample.key, &inputs)? else { continue };
        let (before, after) = (Totals::of(&before, &inputs), Totals::of(sample, &inputs));
        let values = derive::between(it, &before, &after).into_iter();
        all.extend(values.map(|(item, value)| Reading { metric: name.to_owned(), item, value }));
    }
    Ok(all)
}

/// How a service fares on a host.
fn serves(service: &ServiceSpec, host: &HostRow, limits: Limits) -> ServiceRow {
    let of_service = |item: &str| item.split('/').next() == Some(service.name.as_str());
    let mut why = Vec::new();
    match host.state {
        State::Never => why.push("never collected".to_owned()),
        State::Failed => {
            why.push(
                host.failure().map_or_else(String::new, |(cause, _)| format!("does not answer: {}", cause.word())),
            );
        }
        State::Stale => why.push("stale".to_owned()),
        State::Fresh => {}
    }
    let mut bad = matches!(host.state, State::Failed | State::Stale);
    for (what, metric, limit) in [("cpu", "cpu.used", limits.cpu), ("memory", "memory.used", limits.memory)] {
        if let Some(value) = host.value(metric).filter(|value| *value > limit) {
            bad = true;
            why.push(format!("{what} {:.0}%", value * 100.0));
        }
    }
    for (item, _) in host.values("check.ok").filter(|(item, value)| of_service(item) && *value < 1.0) {
        bad = true;
        why.push(format!("check {} failed", item.split_once('/').map_or(item, |(_, check)| check)));
    }
    let mut unsure = host.state == State::Never;
    for (item, _) in host.values("check.unknown").filter(|(item, value)| of_service(item) && *value > 0.0) {
        unsure = true;
        why.push(format!("check {} cannot tell", item.split_once('/').map_or(item, |(_, check)| check)));
    }
    let health = match (bad, unsure) {
        (true, _) => Health::Unhealthy,
        (false, true) => Health::Unknown,
        (false, false) => Health::Healthy,
    };
    let memory = ["unit.memory", "process.watched.memory"]
        .iter()
        .map(|metric| host.values(metric).filter(|(item, _)| of_service(item)).map(|(_, value)| value).sum::<f64>())
        .find(|sum| *sum > 0.0);
    ServiceRow { name: service.name.clone(), health, why, min_healthy: service.min_healthy, memory }
}
