//! What the store knows: attempts, samples and what views show of them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::cause::Cause;
use super::job::Traffic;
use super::sample::Sample;
use super::shard::Shard;

/// How an attempt to collect from a host ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At least the sample just measured arrived.
    Collected,
    /// It failed; samples that were spooled earlier may have arrived all the same.
    Failed {
        /// Why.
        cause: Cause,
        /// For people, cleaned.
        text: String,
    },
}

/// One attempt for one host in one sweep, as it is written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The host.
    pub host: String,
    /// When the attempt ended, by the collector's clock: this orders rows.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// What it cost.
    pub traffic: Traffic,
}

/// An attempt and the samples it brought that were not stored before.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Grows with each row; the alerter's cursor.
    pub id: i64,
    /// The sweep it belongs to.
    pub sweep: i64,
    /// The attempt.
    pub attempt: Attempt,
    /// In the order of boot and sequence as they were taken.
    pub samples: Vec<Sample>,
}

/// One run of the collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Number of the sweep.
    pub id: i64,
    /// Start.
    pub started: DateTime<Utc>,
    /// End; `None` while it runs, or for ever where it was killed.
    pub ended: Option<DateTime<Utc>>,
    /// Hosts to visit.
    pub hosts: u32,
    /// Hosts that failed.
    pub failed: u32,
    /// The collector that made it, as it calls itself; empty where that is not known.
    pub collector: String,
    /// The part of the fleet that it was for.
    pub shard: Option<Shard>,
    /// Whether a person asked for some hosts.
    pub asked: bool,
}

/// What is known of one host now.
#[derive(Clone, Debug, PartialEq)]
pub struct HostNow {
    /// The host.
    pub host: String,
    /// The last attempt.
    pub attempt: Option<Attempt>,
    /// The newest sample that arrived, and when it was received.
    pub sample: Option<(DateTime<Utc>, Sample)>,
}

/// One point of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When it was measured (or the start of the hour).
    pub at: DateTime<Utc>,
    /// The value, or the hour's least.
    pub min: f64,
    /// The value, or the hour's mean.
    pub mean: f64,
    /// The value, or the hour's greatest.
    pub max: f64,
    /// The host booted since the point before, or may have: no rate of a counter can be told between the two.
    pub boot: bool,
    /// It stands for an hour, not for one sample.
    pub hour: bool,
}

impl Point {
    /// One value, of the same boot as the one before.
    #[must_use]
    pub fn new(at: DateTime<Utc>, value: f64) -> Self {
        Self { at, min: value, mean: value, max: value, boot: false, hour: false }
    }
}

/// Two points that are farther apart than this many steps are not joined: nothing was measured between them.
const GAP: f64 = 2.5;

/// For how long the points of a series speak. A long past has hours before samples: neither are all of its points worth
/// the same, nor is one distance between two of them usual for all.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    hour: TimeDelta,
    sample: TimeDelta,
}

impl Steps {
    /// Of each kind the distance between neighbours that is in the middle of all; more than an hour where points were
    /// merged, or are measured seldom.
    #[must_use]
    pub fn of(points: &[Point]) -> Self {
        let middle = |hour: bool| {
            let pairs = points.windows(2).filter_map(|pair| Some((pair.first()?, pair.last()?)));
            let alike = pairs.filter(|(before, after)| before.hour == hour && after.hour == hour);
            let mut steps: Vec<TimeDelta> = alike.map(|(before, after)| after.at - before.at).collect();
            steps.sort_unstable();
            steps.get(steps.len().saturating_sub(1) / 2).copied().filter(|step| *step > TimeDelta::zero())
        };
        let hour = middle(true).unwrap_or_default().max(TimeDelta::hours(1));
        Self { hour, sample: middle(false).unwrap_or(hour) }
    }

    /// How long a point speaks for.
    #[must_use]
    pub fn step(&self, point: &Point) -> TimeDelta {
        if point.hour { self.hour } else { self.sample }
    }

    /// What a point counts in a mean: a sample once.
    #[must_use]
    pub fn weight(&self, point: &Point) -> f64 {
        self.step(point).as_seconds_f64() / self.sample.as_seconds_f64()
    }

    /// The mean over time; none of no point.
    #[must_use]
    pub fn mean(&self, points: &[Point]) -> Option<f64> {
        let all: f64 = points.iter().map(|point| self.weight(point)).sum();
        (all > 0.0).then(|| points.iter().map(|point| point.mean * self.weight(point)).sum::<f64>() / all)
    }

    /// Whether nothing was measured between two neighbours, as far as can be told.
    #[must_use]
    pub fn apart(&self, before: &Point, after: &Point) -> bool {
        let step = self.step(before).max(self.step(after));
        (after.at - before.at).as_seconds_f64() > step.as_seconds_f64() * GAP
    }
}

/// How finely the past is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// Samples as long as they are whole, and hours before that.
    Whole,
    /// Hours as soon as they are rolled up: many times quicker over weeks.
    Hours,
}

impl Grain {
    /// What serves a chart of at most `most` points over a span: hours, if they give at least half as many.
    #[must_use]
    pub fn of(span: chrono::TimeDelta, most: usize) -> Self {
        let hours = usize::try_from(span.num_hours()).unwrap_or_default();
        if hours.saturating_mul(2) >= most { Self::Hours } else { Self::Whole }
    }
}

/// The values of one metric and item over time, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The item, or empty.
    pub item: String,
    /// Oldest first.
    pub points: Vec<Point>,
}

/// What a host is, and since when; the last of a name and item holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFact {
    /// Dotted words.
    pub name: String,
    /// Which of several, or empty.
    pub item: String,
    /// The text; empty where the host no longer says it.
    pub text: String,
    /// Time of the first sample that said so.
    pub since: DateTime<Utc>,
}

/// The role under which the alerter remembers since when it holds mail back for sweeps that are under way.
pub const PLAN: &str = "plan";
/// The row that tells of sweeps that began by a clock that was ahead: the newest that a run saw in its future, and when.
pub const FUTURE: &str = "future";

/// The last run of a program, so that others see whether it does its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// `collector`, for a part of the fleet `collector 2/5`, or `alerter`.
    pub role: String,
    /// End of the last run.
    pub at: DateTime<Utc>,
    /// Whether that run did all it should.
    pub ok: bool,
    /// For people, when it did not.
    pub text: String,
}

/// A recorded consent of a machine's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// The host.
    pub host: String,
    /// Who agreed.
    pub by: String,
    /// What for.
    pub purpose: String,
    /// When.
    pub granted: DateTime<Utc>,
    /// When it ended, if it did.
    pub revoked: Option<DateTime<Utc>>,
}

/// What an upkeep run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Samples taken away.
    pub samples: u64,
    /// Attempts taken away.
    pub attempts: u64,
    /// Hourly points written.
    pub hours_written: u64,
    /// Hourly points taken away.
    pub hours_removed: u64,
    /// Attempts that are old enough to go and stay, because the alerter has not treated them.
    pub untreated: u64,
}
