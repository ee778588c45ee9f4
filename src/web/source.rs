//! What pages and programs ask: the store behind a few questions, and the few things that a person may do.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::response::Trouble;
use crate::model::alert::{Ack, Event, Incident};
use crate::model::filter::Filter;
use crate::model::fleet::{Attempt, Heartbeat, HostFact, HostNow, Series, Sweep};
use crate::model::level::Level;
use crate::model::sample::{Process, Sample};
use crate::model::silence::Silence;
use crate::model::snapshot::{HostRow, Snapshot};
use crate::model::spec::HostSpec;

/// What a question is answered with.
pub type Told<T> = Result<T, Trouble>;

/// One host in full.
#[derive(Clone, Debug)]
pub struct Host {
    /// As lists show it, with its open problems.
    pub row: HostRow,
    /// As it is configured.
    pub spec: HostSpec,
    /// Its newest sample whole: every reading and fault, and the processes that took most.
    pub sample: Option<Sample>,
    /// What it is; the last of a name and item holds, those before are its history.
    pub facts: Vec<HostFact>,
    /// Its last attempts, newest first.
    pub attempts: Vec<Attempt>,
}

/// A stretch of metrics.
#[derive(Clone, Debug)]
pub struct Stretch<'a> {
    /// The host.
    pub host: &'a str,
    /// The metrics, derived ones too; a counter is told as its rate.
    pub metrics: &'a [&'a str],
    /// Only this item.
    pub item: Option<&'a str>,
    /// From here,
    pub since: DateTime<Utc>,
    /// to here, not included.
    pub until: DateTime<Utc>,
    /// At most so many points for each item: as many as pixels. Points that share one keep least, mean and greatest.
    pub most: usize,
}

/// Which incidents.
#[derive(Clone, Copy, Debug, Default)]
pub struct Which<'a> {
    /// Only of this host.
    pub host: Option<&'a str>,
    /// Only those that were open at some time from here,
    pub since: Option<DateTime<Utc>>,
    /// to here, not included.
    pub until: Option<DateTime<Utc>>,
    /// Those that ended too, newest first.
    pub ended: bool,
    /// Goes on: only those that ended, with numbers before this.
    pub before: Option<i64>,
    /// At most so many that ended.
    pub most: usize,
}

/// An incident as lists show it, open or not.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The incident.
    pub incident: Incident,
    /// What it is about, in short: `disk /var`.
    pub name: String,
    /// `told`, `not told`, `taken`, `silenced`, `held back`, or how it ended.
    pub state: String,
    /// Who took it.
    pub ack: Option<Ack>,
}

/// A mail that tells of an incident.
#[derive(Clone, Debug)]
pub struct Letter {
    /// When it was planned.
    pub at: DateTime<Utc>,
    /// Name of the destination.
    pub destination: String,
    /// Mail address, directory or url.
    pub recipient: String,
    /// Its subject.
    pub subject: String,
    /// `queued`, `sent`, `dead` or `superseded`.
    pub state: &'static str,
    /// The last error, or empty.
    pub error: String,
}

/// An incident in full.
#[derive(Clone, Debug)]
pub struct Story {
    /// As lists show it.
    pub listed: Listed,
    /// What happened, oldest first.
    pub events: Vec<Event>,
    /// Who was told, oldest first.
    pub letters: Vec<Letter>,
    /// Why it is in its state, in sentences.
    pub why: Vec<String>,
}

/// A silence and how it stands.
#[derive(Clone, Debug)]
pub struct Hush {
    /// The silence; those of the configuration have the number 0.
    pub silence: Silence,
    /// `holds`, `waits`, `over` or `ended`.
    pub state: &'static str,
}

/// One part of the health of our own programs.
#[derive(Clone, Debug)]
pub struct Part {
    /// `collector`, `alerter`, `outbox` or `store`.
    pub name: &'static str,
    /// How bad.
    pub level: Level,
    /// For people.
    pub text: String,
}

/// Whether our own programs do their job.
#[derive(Clone, Debug)]
pub struct Health {
    /// The worst part.
    pub level: Level,
    /// All in one line.
    pub line: String,
    /// Part by part.
    pub parts: Vec<Part>,
    /// Newest first.
    pub sweeps: Vec<Sweep>,
    /// The last run of each program.
    pub beats: Vec<Heartbeat>,
    /// Mails that wait.
    pub queued: usize,
}

/// Somebody takes problems.
#[derive(Clone, Debug)]
pub struct AckOrder {
    /// Which.
    pub ids: Vec<i64>,
    /// Who.
    pub by: String,
    /// A span (`2h`) or a moment; `None`: until it ends.
    pub until: Option<String>,
    /// Even when it gets worse.
    pub sticky: bool,
    /// For the others.
    pub note: String,
}

/// Somebody silences something.
#[derive(Clone, Debug, Default)]
pub struct SilenceOrder {
    /// Patterns of hosts.
    pub hosts: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Patterns of services.
    pub services: Vec<String>,
    /// Patterns of rules.
    pub rules: Vec<String>,
    /// Who.
    pub by: String,
    /// For how long from now: `2h`.
    pub span: String,
    /// Why.
    pub reason: String,
}

/// Where answers come from. Every text of a host in them is cleaned, none is escaped.
pub trait Source {
    /// The fleet, not older than a few seconds, with the metrics that the filter compares. The filter itself is not
    /// applied: whoever shows part of the fleet counts the rest too.
    ///
    /// # Errors
    /// 503: the store does not answer.
    fn fleet(&mut self, filter: &Filter) -> Told<Arc<Snapshot>>;
    /// The last attempt of every host that was ever tried, and its newest sample with only these metrics, as they were
    /// measured.
    ///
    /// # Errors
    /// As [`Source::fleet`].
    fn latest(&mut self, metrics: &[&str]) -> Told<Vec<HostNow>>;
    /// What holds now of every host, of the facts of these names.
    ///
    /// # Errors
    /// As [`Source::fleet`].
    fn facts_now(&mut self, names: &[&str]) -> Told<Vec<(String, HostFact)>>;
    /// One host; `None` where the configuration has none of that name.
    ///
    /// # Errors
    /// As [`Source::fleet`].
    fn host(&mut self, name: &str) -> Told<Option<Host>>;
    /// Metrics over time, in their order: of each a series for every item.
    ///
    /// # Errors
    /// As [`Source::fleet`].
    fn series(&mut self, stretch: &Stretch<'_>) -> Told<Vec<Vec<Series>>>;
    /// The processes that took most in the last sample at or before a moment.
    ///
    /// # Errors
    /// As [`Source::fleet`].
    fn top(&mut self, host: &str, at: DateTime<Utc>) -> Told<Option<(DateTime<Utc>, Vec<Process>)>>;
    /// Incidents: open ones worst first, then those that ended.
    ///
    /// # Errors
    /// As [`Source::fleet`].
    fn incidents(&mut self, which: Which<'_>) -> Told<Vec<Listed>>;
    /// One incident in full.
    ///
    /// # Errors
    /// As [`Source::fleet`].
    fn incident(&mut self, id: i64) -> Told<Option<Story>>;
    /// Silences that hold or will.
    ///
    /// # Errors
    /// As [`Source::fleet`].
    fn silences(&mut self) -> Told<Vec<Hush>>;
    /// Whether collector and alerter do their job.
    ///
    /// # Errors
    /// As [`Source::fleet`].
    fn health(&mut self) -> Told<Health>;
    /// Takes problems, as `fleet ack` does.
    ///
    /// # Errors
    /// 422 with what is wrong with the order; 503.
    fn acknowledge(&mut self, order: &AckOrder) -> Told<()>;
    /// Adds a silence, as `fleet silence add` does; returns its number.
    ///
    /// # Errors
    /// As [`Source::acknowledge`].
    fn silence(&mut self, order: &SilenceOrder) -> Told<i64>;
    /// Ends a silence.
    ///
    /// # Errors
    /// As [`Source::acknowledge`].
    fn end_silence(&mut self, id: i64) -> Told<()>;
}
