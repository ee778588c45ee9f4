//! A metric of a host over time, as people and rules mean it: a gauge as it was measured, a counter as its rate, a derived
//! metric as its formula makes it. Every command, mail and rule that looks back does it here.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::derive::{self, AGE, BESIDE, Derived, Formula, Totals, UPTIME};
use crate::model::fleet::{Grain, Point, Series};
use crate::model::sample::{Sample, SampleKey};
use crate::model::{catalogue, forecast};
use crate::store::{Result, Span, Store};

/// A sample this long before the first point may still be the one that it is derived from.
const LEAD: TimeDelta = TimeDelta::hours(1);
/// What makes a metric's values, where they are not those that were measured.
pub fn derived(metric: &str) -> Option<Derived> {
    derive::find(metric).copied().or_else(|| derive::rate_of(catalogue::measured(metric)?))
}

/// The newest value of a metric and item, where it was measured within a day. What the store cannot tell is not known.
pub fn newest(store: &dyn Store, host: &str, metric: &str, item: &str, now: DateTime<Utc>) -> Option<f64> {
    let (since, until) = (now - TimeDelta::days(1), now + TimeDelta::minutes(5));
    let samples = store.samples(host, &[metric], since, until).ok()?;
    samples.iter().rev().find_map(|(_, sample)| sample.value(metric, item))
}

/// When, of which item, and the value.
type Reading<'a> = (DateTime<Utc>, &'a str, f64);

/// The values in `[since, until)`, a series for each item, oldest first; hourly as [`Grain`] says.
///
/// # Errors
/// The store's.
pub fn series(store: &dyn Store, host: &str, metric: &str, (since, until): Span, grain: Grain) -> Result<Vec<Series>> {
    let Some(derived) = derived(metric) else { return store.series(host, metric, (since, until), grain) };
    let mut inputs: Vec<&'static str> = derived.formula.inputs().collect();
    if let Formula::Forecast(_) = derived.formula {
        return forecasts(store, host, &inputs, (since, until), grain);
    }
    inputs.extend(BESIDE);
    let first = since.checked_sub_signed(LEAD).unwrap_or(since);
    let edge = store.edge(host, grain)?.map_or(first, |edge| edge.clamp(first, until));
    let samples = store.samples(host, &inputs, edge, until)?;
    let hours = hours(store, host, &inputs, (first, edge), grain)?;
    Ok(Steps::new(hours, &samples, &inputs).of(&derived, since))
}

/// As [`series`] for several metrics, in their order. Every sample is read once, and not once for each metric: a page of
/// charts wants twenty. Before which points a boot stands it does not tell.
///
/// # Errors
/// The store's.
pub fn all(
    store: &dyn Store,
    host: &str,
    metrics: &[&str],
    (since, until): Span,
    grain: Grain,
) -> Result<Vec<Vec<Series>>> {
    let made: Vec<Option<Derived>> = metrics.iter().map(|metric| derived(metric)).collect();
    let mut inputs: Vec<&'static str> = made.iter().flatten().flat_map(|derived| derived.formula.inputs()).collect();
    inputs.extend(BESIDE);
    inputs.sort_unstable();
    inputs.dedup();
    let wanted: Vec<&str> = metrics.iter().copied().chain(inputs.iter().map(|input| -> &str { input })).collect();
    let first = since.checked_sub_signed(LEAD).unwrap_or(since);
    let edge = store.edge(host, grain)?.map_or(first, |edge| edge.clamp(first, until));
    let samples = store.samples(host, &wanted, edge, until)?;
    let steps = match made.iter().flatten().next() {
        Some(_) => Steps::new(hours(store, host, &inputs, (first, edge), grain)?, &samples, &inputs),
        None => Steps::default(),
    };
    let mut told: HashMap<&str, Vec<Reading<'_>>> = HashMap::new();
    for (at, sample) in samples.iter().filter(|(at, _)| *at >= since) {
        for it in &sample.readings {
            told.entry(&it.metric).or_default().push((*at, &it.item, it.value));
        }
    }
    let one = |(metric, made): (&&str, &Option<Derived>)| match made {
        Some(Derived { formula: Formula::Forecast(_), .. }) => series(store, host, metric, (since, until), grain),
        Some(derived) => Ok(steps.of(derived, since)),
        None => {
            // A gauge: hours up to the edge, and what the samples say from there on.
            let hours = if edge > since { store.series(host, metric, (since, edge), grain)? } else { Vec::new() };
            Ok(joined(hours, told.get(metric).map(Vec::as_slice).unwrap_or_default()))
        }
    };
    metrics.iter().zip(&made).map(one).collect()
}

/// Hours, and behind them what was read.
fn joined(hours: Vec<Series>, told: &[Reading<'_>]) -> Vec<Series> {
    let mut found: BTreeMap<String, Vec<Point>> =
        hours.into_iter().map(|series| (series.item, series.points)).collect();
    for &(at, item, value) in told {
        match found.get_mut(item) {
            // Of an item that a sample has twice, the first counts.
            Some(points) if points.last().is_some_and(|last| last.at == at) => {}
            Some(points) => points.push(Point::new(at, value)),
            None => drop(found.insert(item.to_owned(), vec![Point::new(at, value)])),
        }
    }
    found.into_iter().map(|(item, points)| Series { item, points }).collect()
}

/// The totals of a stretch, from which formulas make their values: those of hours, then those of samples.
#[derive(Default)]
struct Steps {
    hours: Vec<Totals>,
    samples: Vec<(DateTime<Utc>, Totals)>,
}

impl Steps {
    fn new(hours: Vec<Totals>, samples: &[(DateTime<Utc>, Sample)], inputs: &[&'static str]) -> Self {
        let samples = samples.iter().map(|(at, sample)| (*at, Totals::of(sample, inputs))).collect();
        Self { hours, samples }
    }

    /// What a formula makes of each step from one to the next.
    fn of(&self, derived: &Derived, since: DateTime<Utc>) -> Vec<Series> {
        let mut found: BTreeMap<String, Vec<Point>> = BTreeMap::new();
        let mut put = |before: &Totals, after: &Totals, at: DateTime<Utc>, hour: bool| {
            for (item, value) in derive::between(derived, before, after) {
                found.entry(item).or_default().push(Point { hour, ..Point::new(at, value) });
            }
        };
        for pair in self.hours.windows(2) {
            if let [before, after] = pair
                && after.taken >= since
            {
                put(before, after, after.taken, true);
            }
        }
        for pair in self.samples.windows(2) {
            if let [(_, before), (at, after)] = pair
                && *at >= since
            {
                put(before, after, *at, false);
            }
        }
        found.into_iter().map(|(item, points)| Series { item, points }).collect()
    }
}

/// What is left of samples that were rolled up: an hour's mean of a total stands for its middle, so the growth from one
/// hour's mean to the next is the growth of an hour.
fn hours(store: &dyn Store, host: &str, inputs: &[&'static str], span: Span, grain: Grain) -> Result<Vec<Totals>> {
    let mut found: BTreeMap<DateTime<Utc>, (Totals, bool)> = BTreeMap::new();
    for &input in inputs {
        for series in store.series(host, input, span, grain)? {
            for point in series.points {
                let key = SampleKey { boot: String::new(), sequence: 0 };
                let blank = || {
                    (Totals { key, taken: point.at, up: None, ages: BTreeMap::new(), values: BTreeMap::new() }, false)
                };
                let (totals, boot) = found.entry(point.at).or_insert_with(blank);
                *boot |= point.boot;
                if input == UPTIME {
                    totals.up = Some(point.mean);
                }
                if input == AGE {
                    totals.ages.insert(series.item.clone(), point.mean);
                }
                totals.values.entry(input).or_default().insert(series.item.clone(), point.mean);
            }
        }
    }
    let mut boots = 0;
    let list = found.into_values().zip(1..).map(|((totals, boot), sequence)| {
        boots += u32::from(boot);
        Totals { key: SampleKey { boot: boots.to_string(), sequence }, ..totals }
    });
    Ok(list.collect())
}

/// What would have been foretold at each of the points.
fn forecasts(
    store: &dyn Store,
    host: &str,
    inputs: &[&'static str],
    (since, until): Span,
    grain: Grain,
) -> Result<Vec<Series>> {
    let span = TimeDelta::milliseconds((forecast::SPAN * 1000.0) as i64);
    let first = since.checked_sub_signed(span).unwrap_or(since);
    let Some(left) = inputs.first() else { return Ok(Vec::new()) };
    let known = store.series(host, left, (first, until), grain)?.into_iter();
    let foretold = known.map(|series| {
        let all: Vec<(f64, f64)> =
            series.points.iter().map(|point| (point.at.timestamp_millis() as f64 / 1000.0, point.mean)).collect();
        let points = series.points.iter().enumerate().filter(|(_, point)| point.at >= since);
        let points = points.filter_map(|(n, point)| {
            let value = forecast::until_zero(all.get(..=n)?)?;
            Some(Point { hour: point.hour, ..Point::new(point.at, value) })
        });
        Series { item: series.item, points: points.collect() }
    });
    Ok(foretold.filter(|series| !series.points.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::fleet::{Attempt, Outcome};
    use crate::model::job::Traffic;
    use crate::model::sample;
    use crate::store::memory::Memory;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_789_992_000 + minutes * 60, 0).unwrap()
    }

    fn record(store: &mut Memory, minutes: i64, boot: &str, up: f64, list: &[(&str, &str, f64)]) {
        let mut readings: Vec<sample::Reading> = Vec::new();
        for (metric, item, value) in list.iter().chain(&[(UPTIME, "", up)]) {
            readings.push(sample::Reading { metric: (*metric).into(), item: (*item).into(), value: *value });
        }
        let sample = Sample {
            key: SampleKey { boot: boot.into(), sequence: minutes as u64 },
            taken: at(minutes),
            hostname: "a".into(),
            probe: "1".into(),
            readings,
            faults: Vec::new(),
            facts: Vec::new(),
            top: Vec::new(),
        };
        let attempt = Attempt {
            host: "a".into(),
            at: at(minutes),
            took: Duration::ZERO,
            outcome: Outcome::Collected,
            traffic: Traffic::default(),
        };
        store.record(1, &attempt, &[sample]).unwrap();
    }

    /// A steady 10 bytes a second for six hours, a boot after two, hours where whole samples are gone.
    fn eth0(pruned: bool) -> Vec<f64> {
        let mut store = Memory::default();
        for minutes in (0..=360).step_by(5) {
            let (boot, since) = if minutes < 120 { ("x", 0) } else { ("y", 118) };
            let up = (minutes - since) as f64 * 60.0;
            record(&mut store, minutes, boot, up, &[("network.receive.bytes", "eth0", up * 10.0)]);
        }
        if pruned {
            store.commit_evaluation(&crate::model::alert::Evaluation { cursor: 1000, ..Default::default() }).unwrap();
            store.prune(at(360), Duration::from_secs(7200), Duration::from_secs(864_000)).unwrap();
        }
        let mut list = series(&store, "a", "network.receive.rate", (at(0), at(400)), Grain::Whole).unwrap();
        let counter = series(&store, "a", "network.receive.bytes", (at(0), at(400)), Grain::Whole).unwrap();
        assert_eq!(counter, list);
        assert_eq!(list.len(), 1);
        list.remove(0).points.iter().map(|point| point.mean).collect()
    }

    #[test]
    fn a_rate_is_exact_over_whole_samples_and_over_hours() {
        let whole = eth0(false);
        assert_eq!(whole.len(), 71, "72 steps but the one over the boot");
        assert!(whole.iter().all(|rate| (rate - 10.0).abs() < 1e-9), "{whole:?}");
        let pruned = eth0(true);
        assert!(pruned.len() < 40, "{pruned:?}");
        assert!(pruned.iter().all(|rate| (rate - 10.0).abs() < 1e-9), "{pruned:?}");
    }

    /// Whole samples and the hours that are left of them: a check that runs every three hours makes no spikes.
    #[test]
    fn a_slow_check_counts_over_its_own_time() {
        for pruned in [false, true] {
            let mut store = Memory::default();
            for minutes in (0..=1440).step_by(10) {
                let ran = minutes / 180 * 180;
                let list = [
                    ("redis.evicted", "cache", ran as f64 * 60.0),
                    ("check.age", "cache/redis", (minutes - ran) as f64 * 60.0),
                ];
                record(&mut store, minutes, "x", minutes as f64 * 60.0 + 1.0, &list);
            }
            if pruned {
                let done = crate::model::alert::Evaluation { cursor: 1000, ..Default::default() };
                store.commit_evaluation(&done).unwrap();
                store.prune(at(1440), Duration::from_secs(7200), Duration::from_secs(864_000)).unwrap();
            }
            let list = series(&store, "a", "redis.evicted.rate", (at(0), at(1500)), Grain::Whole).unwrap();
            let rates: Vec<f64> = list[0].points.iter().map(|point| point.mean).collect();
            assert!(rates.len() >= 7, "{rates:?}");
            assert!(rates.iter().all(|rate| (rate - 1.0).abs() < 1e-6), "{pruned}: {rates:?}");
        }
    }

    /// Hours and whole samples, gauges, rates and forecasts: together they are what each is alone.
    #[test]
    fn several_metrics_at_once_are_what_each_is_alone() {
        for pruned in [false, true] {
            let mut store = Memory::default();
            for minutes in (0..=600).step_by(5) {
                let (boot, since) = if minutes < 200 { ("x", 0) } else { ("y", 198) };
                let up = (minutes - since) as f64 * 60.0;
                let list = [
                    ("cpu.used", "", (minutes % 37) as f64 / 37.0),
                    ("filesystem.used", "/", 0.5),
                    ("filesystem.used", "/var", (minutes % 11) as f64 / 11.0),
                    ("filesystem.available", "/", (10_000 - minutes) as f64),
                    ("network.receive.bytes", "eth0", up * (10 + minutes % 7) as f64),
                    ("disk.io.seconds", "sda", up * 0.3),
                ];
                record(&mut store, minutes, boot, up, &list);
            }
            if pruned {
                let done = crate::model::alert::Evaluation { cursor: 1000, ..Default::default() };
                store.commit_evaluation(&done).unwrap();
                store.prune(at(600), Duration::from_secs(7200), Duration::from_secs(864_000)).unwrap();
            }
            let metrics = [
                "filesystem.used",
                "cpu.used",
                "network.receive.rate",
                "nothing.of.the.kind",
                "disk.utilization",
                "filesystem.full-in",
            ];
            for (grain, span) in [
                (Grain::Whole, (at(0), at(601))),
                (Grain::Hours, (at(0), at(601))),
                (Grain::Hours, (at(90), at(300))),
                (Grain::Whole, (at(500), at(540))),
                (Grain::Hours, (at(900), at(950))),
            ] {
                let plain = |list: Vec<Series>| {
                    let points = |it: Series| {
                        let all = it.points.into_iter().map(|point| Point { boot: false, ..point });
                        Series { item: it.item, points: all.collect() }
                    };
                    list.into_iter().map(points).collect::<Vec<_>>()
                };
                let together = all(&store, "a", &metrics, span, grain).unwrap();
                assert_eq!(together.len(), metrics.len());
                for (metric, list) in metrics.iter().zip(together) {
                    let alone = series(&store, "a", metric, span, grain).unwrap();
                    assert_eq!(plain(list), plain(alone), "{metric} {grain:?} {span:?} pruned: {pruned}");
                }
            }
        }
    }

    #[test]
    fn a_forecast_is_told_for_every_point_that_has_an_hour_before_it() {
        let mut store = Memory::default();
        for minutes in (0..=120).step_by(10) {
            let left = (1000 - minutes) as f64;
            record(&mut store, minutes, "x", 1.0, &[("filesystem.available", "/var", left)]);
        }
        let list = series(&store, "a", "filesystem.full-in", (at(50), at(121)), Grain::Whole).unwrap();
        assert_eq!((list[0].item.as_str(), list[0].points.len()), ("/var", 7));
        assert!((list[0].points[6].mean - 880.0 * 60.0).abs() < 1e-6, "{:?}", list[0].points[6]);
    }
}
