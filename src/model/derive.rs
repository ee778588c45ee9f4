//! Metrics that are derived at home, on reading, from the exact totals of two samples of one boot. So the average between
//! two sweeps is exact however far apart they are, and a reboot, a reset or a wrap makes no spike: it makes no value.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::derived::DERIVED;
use super::metric::{Kind, Metric};
use super::sample::{Sample, SampleKey};

/// The metric by which the time between two samples is told: no change of the host's clock moves it.
pub const UPTIME: &str = "uptime";
/// The metric that tells how old the readings of a check with an interval of its own are: they travel again until it runs
/// anew, and are of the time when it ran.
pub const AGE: &str = "check.age";
/// What has to be known besides the totals.
pub const BESIDE: [&str; 2] = [UPTIME, AGE];
/// Ages are whole seconds by the host's clock: two readings that are nearer to each other by them are one.
const SAME: f64 = 2.0;
/// Two samples that are nearer to each other, in seconds, say nothing of a rate.
const NEAREST: f64 = 1.0;

/// A derived metric: a gauge like any other, but never sent by a host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Derived {
    /// Its definition.
    pub metric: Metric,
    /// What makes it.
    pub formula: Formula,
}

/// How a metric is made of counters that have the same items, item by item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Formula {
    /// What they grew by together, each second.
    Rate(&'static [&'static str]),
    /// What they grew by together.
    Increase(&'static [&'static str]),
    /// The share of the time in which a counter of seconds ran; at most 1.
    Busy(&'static [&'static str]),
    /// What counters of seconds grew by each second: how much of it went on at the same time.
    Parallel(&'static [&'static str]),
    /// What some grew by over what others grew by: a share of errors, or a mean time where seconds stand over a count.
    Over {
        /// Above the line.
        part: &'static [&'static str],
        /// Below the line.
        whole: &'static [&'static str],
        /// The lower side is never less: with it one error of two packets is no share of a half.
        least: f64,
    },
    /// What each item grew by over what all items of the counter grew by together.
    Share(&'static [&'static str]),
    /// Seconds until a gauge of what is left arrives at zero, by a fit over hours (see `forecast`).
    Forecast(&'static [&'static str]),
}

impl Formula {
    /// The metrics it is made of.
    pub fn inputs(&self) -> impl Iterator<Item = &'static str> + use<> {
        let (some, more): (&'static [&'static str], &'static [&'static str]) = match *self {
            Self::Rate(all) | Self::Increase(all) | Self::Busy(all) | Self::Parallel(all) => (all, &[]),
            Self::Share(all) | Self::Forecast(all) => (all, &[]),
            Self::Over { part, whole, .. } => (part, whole),
        };
        some.iter().chain(more).copied()
    }

    /// In words, for help and documentation.
    #[must_use]
    pub fn words(&self) -> String {
        let sum = |all: &[&str]| all.join(" + ");
        match self {
            Self::Rate(all) | Self::Parallel(all) => format!("growth of {} each second", sum(all)),
            Self::Increase(all) => format!("growth of {} since the sample before", sum(all)),
            Self::Busy(all) => format!("growth of {} each second, at most 1", sum(all)),
            Self::Over { part, whole, least } if *least > 0.0 => {
                format!("growth of {} over growth of {}, of at least {least}", sum(part), sum(whole))
            }
            Self::Over { part, whole, .. } => format!("growth of {} over growth of {}", sum(part), sum(whole)),
            Self::Share(all) => format!("growth of {} over its growth for all items", sum(all)),
            Self::Forecast(all) => format!("a robust line through {} of the last six hours", sum(all)),
        }
    }
}

/// The definition of a derived metric by its name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Derived> {
    DERIVED.iter().find(|derived| derived.metric.name == name)
}

/// The rate of a counter as a metric of the counter's name; `None` for a gauge.
#[must_use]
pub fn rate_of(metric: &'static Metric) -> Option<Derived> {
    (metric.kind == Kind::Counter).then(|| Derived {
        metric: Metric { kind: Kind::Gauge, unit: metric.unit.per_second(), ..*metric },
        formula: Formula::Rate(std::slice::from_ref(&metric.name)),
    })
}

/// The totals of one sample, as much of it as formulas want.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    /// Only totals of one boot can be compared.
    pub key: SampleKey,
    /// When they were read, by the host's clock.
    pub taken: DateTime<Utc>,
    /// Time since boot, in seconds.
    pub up: Option<f64>,
    /// Check, as `service/check` -> age of its readings in seconds; none of those that run with every sample.
    pub ages: BTreeMap<String, f64>,
    /// Metric -> item -> total.
    pub values: BTreeMap<&'static str, BTreeMap<String, f64>>,
}

impl Totals {
    /// What a sample says of the metrics.
    #[must_use]
    pub fn of(sample: &Sample, inputs: &[&'static str]) -> Self {
        let mut values: BTreeMap<&'static str, BTreeMap<String, f64>> = BTreeMap::new();
        let (mut up, mut ages) = (None, BTreeMap::new());
        for reading in &sample.readings {
            if reading.metric == UPTIME && reading.item.is_empty() {
                up = up.or(Some(reading.value));
            }
            if reading.metric == AGE {
                ages.entry(reading.item.clone()).or_insert(reading.value);
            }
            if let Some(input) = inputs.iter().find(|input| **input == reading.metric) {
                // Of what is there twice, the first counts, as in a series.
                values.entry(input).or_default().entry(reading.item.clone()).or_insert(reading.value);
            }
        }
        Self { key: sample.key.clone(), taken: sample.taken, up, ages, values }
    }

    /// The age of a check's reading; 0 where it was read for this sample.
    fn age(&self, metric: &Metric, item: &str) -> f64 {
        if self.ages.is_empty() {
            return 0.0;
        }
        // Behind the service stands the check's name, where it has one, and last a part of what is checked, where the metric
        // has parts.
        let mut words = item.splitn(3, '/');
        let (service, second, third) = (words.next().unwrap_or_default(), words.next(), words.next());
        let name = second.filter(|_| third.is_some() || !metric.item.contains('/'));
        let check = name.or_else(|| metric.name.split('.').next()).unwrap_or_default();
        self.ages.get(&format!("{service}/{check}")).copied().unwrap_or(0.0)
    }

    fn get(&self, metric: &str, item: &str) -> Option<f64> {
        self.values.get(metric)?.get(item).copied()
    }
}

/// What a derived metric is between two samples: a value for each item. Nothing where they are not of one boot and in
/// this order, or where a total went back.
#[must_use]
pub fn between(derived: &Derived, before: &Totals, after: &Totals) -> Vec<(String, f64)> {
    let Some(seconds) = apart(before, after) else { return Vec::new() };
    let Some(first) = derived.formula.inputs().next() else { return Vec::new() };
    let Some(items) = after.values.get(first) else { return Vec::new() };
    // Readings of services may be older than their sample: then it is the time between these that counts.
    let service = super::catalogue::measured(first).filter(|metric| metric.is_of_service());
    let seconds = |item: &str| -> Option<f64> {
        let Some((then, now)) = service.map(|metric| (before.age(metric, item), after.age(metric, item))) else {
            return Some(seconds);
        };
        let own = seconds + then - now;
        (now == 0.0 && then == 0.0 || own >= SAME).then_some(own)
    };
    let grown = |all: &[&str], item: &str| -> Option<f64> {
        all.iter().try_fold(0.0, |sum, metric| {
            let step = after.get(metric, item)? - before.get(metric, item)?;
            (step >= 0.0).then_some(sum + step)
        })
    };
    let value = |item: &str| {
        let seconds = seconds(item)?;
        match derived.formula {
            Formula::Rate(all) | Formula::Parallel(all) => Some(grown(all, item)? / seconds),
            Formula::Increase(all) => grown(all, item),
            Formula::Busy(all) => Some((grown(all, item)? / seconds).min(1.0)),
            Formula::Over { part, whole, least } => over(grown(part, item)?, grown(whole, item)?.max(least)),
            Formula::Share(all) => {
                let sum = items.keys().try_fold(0.0, |sum, other| Some(sum + grown(all, other)?))?;
                over(grown(all, item)?, sum)
            }
            Formula::Forecast(_) => None,
        }
    };
    items.keys().filter_map(|item| Some((item.clone(), value(item)?))).filter(|(_, value)| value.is_finite()).collect()
}

/// Nothing of nothing is nothing; something of nothing is not known.
fn over(part: f64, whole: f64) -> Option<f64> {
    if whole > 0.0 { Some(part / whole) } else { (part == 0.0).then_some(0.0) }
}

/// Seconds between two samples of one boot.
fn apart(before: &Totals, after: &Totals) -> Option<f64> {
    if before.key.boot != after.key.boot || before.key.sequence >= after.key.sequence {
        return None;
    }
    let clock = (after.taken - before.taken).as_seconds_f64();
    let seconds = before.up.zip(after.up).map_or(clock, |(before, after)| after - before);
    (seconds >= NEAREST).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::catalogue;
    use super::super::metric::Unit;
    use super::super::sample::Reading;
    use super::*;

    const BYTES: &str = "network.receive.bytes";

    fn sample(boot: &str, sequence: u64, second: i64, up: Option<f64>, totals: &[(&str, &str, f64)]) -> Sample {
        let reading = |&(metric, item, value): &(&str, &str, f64)| Reading {
            metric: metric.to_owned(),
            item: item.to_owned(),
            value,
        };
        let mut readings: Vec<Reading> = totals.iter().map(reading).collect();
        readings.extend(up.map(|up| Reading { metric: UPTIME.into(), item: String::new(), value: up }));
        let key = SampleKey { boot: boot.into(), sequence };
        let (hostname, probe) = ("h".into(), "1".into());
        let (faults, facts, top) = (Vec::new(), Vec::new(), Vec::new());
        Sample { key, taken: at(second), hostname, probe, readings, faults, facts, top }
    }
    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }
    fn rate(before: &Sample, after: &Sample) -> Vec<(String, f64)> {
        let derived = rate_of(catalogue::find(BYTES).unwrap()).unwrap();
        between(&derived, &Totals::of(before, &[BYTES]), &Totals::of(after, &[BYTES]))
    }

    #[test]
    fn every_formula_is_made_of_counters_that_hosts_send() {
        for derived in DERIVED {
            let Metric { name, kind, item, unit, .. } = derived.metric;
            assert_eq!(kind, Kind::Gauge, "{name}");
            for input in derived.formula.inputs() {
                let input = catalogue::measured(input).unwrap_or_else(|| panic!("{name} wants {input}"));
                let gauge = matches!(derived.formula, Formula::Forecast(_));
                assert_eq!(input.kind == Kind::Gauge, gauge, "{name}: {}", input.name);
                assert_eq!(input.item, item, "{name}: {}", input.name);
            }
            let first = catalogue::measured(derived.formula.inputs().next().unwrap()).unwrap();
            match derived.formula {
                Formula::Rate(_) => assert_eq!(first.unit.per_second(), unit, "{name}"),
                Formula::Increase(_) => assert_eq!(first.unit, unit, "{name}"),
                Formula::Busy(_) => assert_eq!((first.unit, unit), (Unit::Seconds, Unit::Ratio), "{name}"),
                Formula::Parallel(_) => assert_eq!((first.unit, unit), (Unit::Seconds, Unit::Count), "{name}"),
                Formula::Share(_) => assert_eq!(unit, Unit::Ratio, "{name}"),
                Formula::Forecast(_) => assert_eq!(unit, Unit::Seconds, "{name}"),
                Formula::Over { whole, .. } => {
                    let below = catalogue::measured(whole[0]).unwrap().unit;
                    let of = if below == first.unit { Unit::Ratio } else { first.unit };
                    assert_eq!(unit, of, "{name}");
                }
            }
        }
    }

    #[test]
    fn a_rate_is_growth_over_the_hosts_own_time() {
        let before = sample("a", 1, 0, Some(100.0), &[(BYTES, "eth0", 1000.0), (BYTES, "eth1", 5.0)]);
        // The clock was set back by an hour in between.
        let after = sample("a", 2, -3300, Some(400.0), &[(BYTES, "eth0", 4000.0), (BYTES, "eth2", 7.0)]);
        assert_eq!(rate(&before, &after), [("eth0".to_owned(), 10.0)]);
        let later = sample("a", 9, 60, None, &[(BYTES, "eth0", 1600.0)]);
        assert_eq!(rate(&before, &later), [("eth0".to_owned(), 10.0)]);
    }

    /// A check with an interval of its own was read at once what six hours had brought, as if in five minutes.
    #[test]
    fn an_old_reading_is_of_the_time_when_it_was_made() {
        let list = |total: f64, age: f64| {
            [
                ("redis.evicted", "s", total),
                ("redis.evicted", "s/b", total),
                ("postgres.commits", "s/orders", total),
                ("postgres.commits", "s/b/orders", total),
                ("check.age", "s/redis", age),
                ("check.age", "s/orders", 7777.0),
                ("check.age", "s/postgres", age),
            ]
        };
        let of = |metric: &'static str, before: &Sample, after: &Sample| {
            let derived = rate_of(catalogue::find(metric).unwrap()).unwrap();
            between(&derived, &Totals::of(before, &[metric]), &Totals::of(after, &[metric]))
        };
        let first = sample("a", 1, 0, Some(1e5), &list(1000.0, 21_000.0));
        let kept = sample("a", 2, 300, Some(1e5 + 300.4), &list(1000.0, 21_301.0));
        let fresh = sample("a", 3, 600, Some(1e5 + 600.0), &list(3160.0, 0.0));
        // What runs with every sample is as ever; of what was not read anew nothing is known.
        assert_eq!(of("redis.evicted", &first, &kept), [("s/b".to_owned(), 0.0)]);
        let found = of("redis.evicted", &kept, &fresh);
        assert!((found[0].1 - 0.1).abs() < 1e-3 && found[1].1 > 7.0, "{found:?}");
        let found = of("postgres.commits", &kept, &fresh);
        assert_eq!((found[0].0.as_str(), found[1].0.as_str()), ("s/b/orders", "s/orders"));
        assert!(found[0].1 > 7.0 && (found[1].1 - 0.1).abs() < 1e-3, "{found:?}");
    }

    #[test]
    fn a_reboot_a_reset_and_a_wrap_make_no_value() {
        let before = sample("a", 8, 0, Some(900.0), &[(BYTES, "eth0", 4_294_967_000.0)]);
        for after in [
            sample("b", 9, 300, Some(1200.0), &[(BYTES, "eth0", 9e12)]),
            sample("a", 9, 300, Some(1200.0), &[(BYTES, "eth0", 12.0)]),
            sample("a", 8, 300, Some(1200.0), &[(BYTES, "eth0", 9e12)]),
            sample("a", 7, 300, Some(1200.0), &[(BYTES, "eth0", 9e12)]),
            sample("a", 9, 300, Some(900.2), &[(BYTES, "eth0", 9e12)]),
            sample("a", 9, 300, Some(20.0), &[(BYTES, "eth0", 9e12)]),
        ] {
            assert_eq!(rate(&before, &after), [], "{after:?}");
        }
    }

    #[test]
    fn shares_and_ratios() {
        let (reads, seconds) = ("disk.reads", "disk.io.seconds");
        let mean = Derived {
            formula: Formula::Over { part: &["disk.io.seconds"], whole: &["disk.reads"], least: 0.0 },
            ..rate_of(catalogue::find(seconds).unwrap()).unwrap()
        };
        let totals = |sequence, n: f64, spent: f64| {
            let disk = sample("a", sequence, sequence as i64 * 60, None, &[(reads, "sda", n), (seconds, "sda", spent)]);
            Totals::of(&disk, &[reads, seconds])
        };
        assert_eq!(between(&mean, &totals(1, 10.0, 1.0), &totals(2, 20.0, 3.0)), [("sda".to_owned(), 0.2)]);
        assert_eq!(between(&mean, &totals(1, 10.0, 1.0), &totals(2, 10.0, 1.0)), [("sda".to_owned(), 0.0)]);
        assert_eq!(between(&mean, &totals(1, 10.0, 1.0), &totals(2, 10.0, 3.0)), []);
        let floor = Derived {
            formula: Formula::Over { part: &["disk.io.seconds"], whole: &["disk.reads"], least: 100.0 },
            ..mean
        };
        assert_eq!(between(&floor, &totals(1, 10.0, 1.0), &totals(2, 12.0, 3.0)), [("sda".to_owned(), 0.02)]);

        let share = find("cpu.share").unwrap();
        let cpu = |sequence, user: f64, idle: f64| {
            let list = [("cpu.seconds", "user", user), ("cpu.seconds", "idle", idle)];
            Totals::of(&sample("a", sequence, sequence as i64 * 60, None, &list), &["cpu.seconds"])
        };
        let shares = between(share, &cpu(1, 5.0, 100.0), &cpu(2, 20.0, 145.0));
        assert_eq!(shares, [("idle".to_owned(), 0.75), ("user".to_owned(), 0.25)]);
    }

    proptest! {
        // However seldom a check runs and however unevenly sweeps come, a steady growth is a steady rate, and adds up.
        #[test]
        fn no_interval_of_a_check_makes_a_spike(
            every in 1i64..30_000, speed in 0.1..1e6, gaps in prop::collection::vec(1.0..4000.0, 2..60),
        ) {
            let evicted = rate_of(catalogue::find("redis.evicted").unwrap()).unwrap();
            let (mut now, mut run, mut last): (f64, f64, Option<(Totals, f64)>) = (0.25, f64::MIN, None);
            for (n, gap) in gaps.into_iter().enumerate() {
                now += gap;
                // As the probe: whole seconds of its clock.
                if now.floor() - run.floor() >= every as f64 {
                    run = now;
                }
                let (total, age) = (run * speed, now.floor() - run.floor());
                let list = [("redis.evicted", "s", total), (AGE, "s/redis", age)];
                let next = Totals::of(&sample("a", n as u64, now as i64, Some(now), &list), &["redis.evicted"]);
                if let Some((last, earlier)) = &last {
                    let found = between(&evicted, last, &next);
                    // A second more or less, for that is how exact ages are.
                    let apart = run - earlier;
                    prop_assert!(found.len() == 1 || apart < 4.0, "{found:?} after {apart}");
                    for (_, rate) in found {
                        let wrong: f64 = rate - speed;
                        prop_assert!(wrong.abs() <= speed * 2.0 / (apart - 2.0).max(2.0) + 1e-6, "{rate} after {apart}");
                    }
                }
                last = Some((next, run));
            }
        }

        // Whatever a host counts, resets and reboots, no rate is greater than what it truly did in a step.
        #[test]
        fn no_history_of_reboots_and_resets_makes_a_spike(
            steps in prop::collection::vec((0u8..10, 0u32..1000, 1i64..2000), 1..40),
        ) {
            let (mut boot, mut up, mut total, mut now) = (0, 50.0, 1e6, 0);
            let mut last: Option<Sample> = None;
            for (n, (what, grown, seconds)) in steps.into_iter().enumerate() {
                match what {
                    0 => { boot += 1; (up, total) = (0.0, 0.0); }
                    1 => total = 0.0,
                    2 => total %= 4096.0,
                    _ => {}
                }
                total += f64::from(grown);
                up += seconds as f64;
                now += seconds;
                let next = sample(&boot.to_string(), n as u64, now, Some(up), &[(BYTES, "eth0", total)]);
                if let Some(last) = &last {
                    for (_, rate) in rate(last, &next) {
                        prop_assert!(rate >= 0.0 && rate <= f64::from(grown) / seconds as f64 + 1e-9);
                    }
                }
                last = Some(next);
            }
        }
    }
}
