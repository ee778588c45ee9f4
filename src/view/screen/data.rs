//! What the screen is given to show, and what it asks for. Whoever reads the store answers in his own time: the screen
//! never waits.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::alert::{Event, Incident, Told};
use crate::model::filter::Filter;
use crate::model::fleet::{Attempt, HostFact, Series};
use crate::model::level::Level;
use crate::model::sample::{Fault, Process, Reading};
use crate::model::snapshot::Snapshot;
use crate::view::health::Part;

/// What should be read now, and again whenever the store changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Want {
    /// A filter that compares the metrics which rows must have.
    pub filter: Filter,
    /// A host in full.
    pub host: Option<String>,
    /// A problem in full.
    pub problem: Option<i64>,
    /// A metric over time.
    pub past: Option<Past>,
    /// Grows when somebody asks to read anew.
    pub again: u32,
}

/// A metric of a host over time, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The host.
    pub host: String,
    /// The metric.
    pub metric: String,
    /// How far back.
    pub span: TimeDelta,
}

/// What was read.
#[derive(Clone, Debug)]
pub enum News {
    /// All that was wanted is read.
    Done,
    /// The fleet.
    Fleet(Arc<Fleet>),
    /// The host that was asked for.
    Host(Box<Host>),
    /// The problem that was asked for.
    Problem(Box<Story>),
    /// The metric that was asked for.
    Past(Box<Graph>),
    /// It cannot be read, and why. What is shown stays.
    Trouble(String),
}

/// The fleet at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    /// Hosts and open problems.
    pub snapshot: Snapshot,
    /// The last problems that ended, newest first.
    pub ended: Vec<Incident>,
    /// Whether the programs do their job.
    pub health: Vec<Part>,
}

/// A host in full, beside its row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// All that it measured, counters as what is derived from them.
    pub readings: Vec<Reading>,
    /// What could not be measured.
    pub faults: Vec<Fault>,
    /// What it is; those that hold.
    pub facts: Vec<HostFact>,
    /// What took most.
    pub top: Vec<Process>,
    /// The last tries, newest first.
    pub attempts: Vec<Attempt>,
}

/// A problem in full.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    /// It.
    pub incident: Incident,
    /// What happened, oldest first.
    pub events: Vec<Event>,
    /// Who was told what.
    pub told: Vec<Told>,
}

/// A metric of a host over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// What was asked for.
    pub past: Past,
    /// Start.
    pub since: DateTime<Utc>,
    /// End.
    pub until: DateTime<Utc>,
    /// A series for each item.
    pub series: Vec<Series>,
    /// Thresholds with the patterns of items that they hold for.
    pub limits: Vec<Limit>,
}

/// A threshold in a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// What it raises.
    pub level: Level,
    /// In the metric's base unit.
    pub value: f64,
    /// Items that it holds for.
    pub items: Vec<String>,
    /// Items that it does not hold for.
    pub not_items: Vec<String>,
}
