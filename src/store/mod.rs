//! Where samples, incidents and mail are kept: one trait, several backends, one contract suite for all.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::alert::{Ack, Evaluation, Event, Incident, Mail, Pause, Plan, RuleState, Subject, Told};
use crate::model::fleet::{Attempt, Consent, Grain, Heartbeat, HostFact, HostNow, Point, Pruned, Row, Series, Sweep};
use crate::model::sample::{Process, Sample, SampleKey};
use crate::model::silence::Silence;
use crate::model::spec::StoreSpec;
use crate::model::turn::{Begun, Claim, Leased, Standing};

pub mod memory;
mod series;
mod shape;
pub mod sqlite;

#[cfg(test)]
mod contract;

/// What went wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process kept it locked for longer than the store waits.
    #[error("{location}: locked by another program for over {waited:?}; try again, or see who: fuser {location}")]
    Busy {
        /// Path or url, without secrets.
        location: String,
        /// How long was waited.
        waited: Duration,
    },
    /// No space, quota or permission to write.
    #[error("{location}: cannot be written: {text}")]
    Full {
        /// Path or url.
        location: String,
        /// The backend's words.
        text: String,
    },
    /// The content is damaged.
    #[error("{location}: damaged: {text}")]
    Corrupt {
        /// Path or url.
        location: String,
        /// The backend's words.
        text: String,
    },
    /// A newer program wrote it.
    #[error("{location}: has schema {found}, this program knows up to {known}; upgrade fleet-health")]
    Newer {
        /// Path or url.
        location: String,
        /// Schema number found.
        found: i64,
        /// Schema number known.
        known: i64,
    },
    /// Everything else.
    #[error("{location}: {text}")]
    Other {
        /// Path or url.
        location: String,
        /// The backend's words.
        text: String,
    },
}

/// The result of every call.
pub type Result<T> = std::result::Result<T, StoreError>;
/// From a moment on, and until just before another.
pub type Span = (DateTime<Utc>, DateTime<Utc>);

/// A backend. Several processes may have it open at once; each call is one transaction.
pub trait Store: Send {
    /// Starts a sweep; returns its number.
    fn begin(&mut self, sweep: &Begun) -> Result<i64>;
    /// As [`Store::begin`], of the whole fleet by a collector without a name.
    fn begin_sweep(&mut self, started: DateTime<Utc>, hosts: u32) -> Result<i64> {
        self.begin(&Begun::plain(started, hosts))
    }
    /// Ends it, and its leases.
    fn end_sweep(&mut self, sweep: i64, ended: DateTime<Utc>, failed: u32) -> Result<()>;
    /// The newest sweeps, newest first.
    fn sweeps(&self, limit: usize) -> Result<Vec<Sweep>>;
    /// The newest sweep of each collector and part of the fleet that no person asked for, newest first.
    fn last_sweeps(&self) -> Result<Vec<Sweep>>;
    /// Takes hosts for a sweep, so that no other collector visits them meanwhile; one answer for each, in their order.
    fn lease(&mut self, claim: &Claim, hosts: &[&str]) -> Result<Vec<Leased>>;
    /// What is remembered of the visits of every host, by name.
    fn standings(&self) -> Result<Vec<Standing>>;
    /// Writes an attempt and its samples in one durable transaction; once it returns, the samples may be acknowledged.
    /// Samples whose (host, key) is known are left out. The facts of the host's newest sample become the host's.
    /// Returns how many were new. The sweep's lease of the host ends.
    fn record(&mut self, sweep: i64, attempt: &Attempt, samples: &[Sample]) -> Result<usize> {
        Ok(self.record_all(sweep, &[(attempt, samples)])?.pop().unwrap_or_default())
    }
    /// As [`Store::record`], several in one transaction and in their order: all of them, or none.
    fn record_all(&mut self, sweep: i64, visits: &[(&Attempt, &[Sample])]) -> Result<Vec<usize>>;
    /// Replaces what attempts cost, once the visits are over.
    fn settle(&mut self, sweep: i64, attempts: &[Attempt]) -> Result<()>;
    /// Rows with an id greater than `after`, in order, at most `limit`, each with its samples.
    fn rows_after(&self, after: i64, limit: usize) -> Result<Vec<Row>>;

    /// The last attempt and newest sample of every host, by name.
    fn now(&self) -> Result<Vec<HostNow>>;
    /// As [`Store::now`], each sample with its readings of these metrics only and without faults and processes: what a
    /// view of thousands of hosts can afford.
    fn latest(&self, metrics: &[&str]) -> Result<Vec<HostNow>>;
    /// As [`Store::now`], of one host; `None` where nothing is known of it.
    fn newest(&self, host: &str) -> Result<Option<HostNow>>;
    /// The last attempt of every host that was tried, by the host's name.
    fn tried(&self) -> Result<Vec<Attempt>>;
    /// The last attempts of a host, newest first.
    fn attempts(&self, host: &str, limit: usize) -> Result<Vec<Attempt>>;
    /// A metric of a host in `[since, until)`, a series for each item: hourly points before [`Store::edge`], samples from
    /// there on.
    fn series(&self, host: &str, metric: &str, span: Span, grain: Grain) -> Result<Vec<Series>>;
    /// The moment before which a host's past is read from hours, and from which on from whole samples; `None` where nothing
    /// was rolled up.
    fn edge(&self, host: &str, grain: Grain) -> Result<Option<DateTime<Utc>>>;

    /// The next part of all that is kept of a host in `[since, until)`, of the metrics that are wanted: metric, item and
    /// point. Hours come before whole samples; inside of both a metric and item comes in the order of time. False after
    /// the last part.
    fn part(
        &self,
        host: &str,
        span: Span,
        wanted: &dyn Fn(&str) -> bool,
        place: &mut Place,
        each: &mut dyn FnMut(&str, &str, Point),
    ) -> Result<bool>;

    /// The samples of a host in `[since, until)` that are still whole, in the order of the time by which they stand in a
    /// series, each with its readings of these metrics only and without its faults.
    fn samples(
        &self,
        host: &str,
        metrics: &[&str],
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<(DateTime<Utc>, Sample)>>;
    /// The last sample of the same boot with a lower sequence, as [`Store::samples`] gives it.
    fn before(&self, host: &str, key: &SampleKey, metrics: &[&str]) -> Result<Option<Sample>>;
    /// What a host is: the last of a name and item holds, those before are its history. By name, item and time.
    fn facts(&self, host: &str) -> Result<Vec<HostFact>>;
    /// What holds now of every host, of the facts of these names: host and fact, by host.
    fn facts_now(&self, names: &[&str]) -> Result<Vec<(String, HostFact)>>;
    /// The processes that took most in the host's last sample at or before a time, with that sample's time; none where
    /// there is no such sample.
    fn top(&self, host: &str, at: DateTime<Utc>) -> Result<Option<(DateTime<Utc>, Vec<Process>)>>;

    /// The host's last sample at or before a time, whole but for its facts, with the time by which it stands in a series;
    /// none where there is no such sample.
    fn at(&self, host: &str, at: DateTime<Utc>) -> Result<Option<(DateTime<Utc>, Sample)>>;

    /// The id of the last row that the alerter treated; 0 at first.
    fn cursor(&self) -> Result<i64>;
    /// The fold's memory.
    fn states(&self) -> Result<Vec<(Subject, RuleState)>>;
    /// Open incidents.
    fn open_incidents(&self) -> Result<Vec<Incident>>;
    /// The newest incidents, open or not, newest first.
    fn incidents(&self, limit: usize) -> Result<Vec<Incident>>;
    /// One incident.
    fn incident(&self, id: i64) -> Result<Option<Incident>>;
    /// Incidents that closed after a moment, oldest number first.
    fn closed_since(&self, at: DateTime<Utc>) -> Result<Vec<Incident>>;
    /// Incidents that ended and were open at some time in `[since, until)`, of one host or of all, the newest number first;
    /// only those with a number before `before`, so that a reader can go on.
    fn ended(&self, host: Option<&str>, span: Span, before: Option<i64>, limit: usize) -> Result<Vec<Incident>>;
    /// Incidents of a host that were open at some time in `[since, until]`, by number.
    fn incidents_of(&self, host: &str, since: DateTime<Utc>, until: DateTime<Utc>) -> Result<Vec<Incident>>;
    /// The greatest incident number given so far; 0 at first.
    fn last_incident(&self) -> Result<i64>;
    /// What happened to an incident, oldest first.
    fn events(&self, incident: i64) -> Result<Vec<Event>>;
    /// Commits an evaluation. The incidents it names that are unknown are created with the id they carry.
    fn commit_evaluation(&mut self, evaluation: &Evaluation<'_>) -> Result<()>;
    /// Everything told of incidents that are open, or that were told at a level above ok.
    fn told(&self) -> Result<Vec<(Told, Incident)>>;
    /// What was told of incidents that closed after a moment.
    fn told_since(&self, at: DateTime<Utc>) -> Result<Vec<Told>>;
    /// Commits a plan.
    fn commit_plan(&mut self, plan: &Plan) -> Result<()>;
    /// Outbox rows that are queued, in order of id.
    fn queued(&self) -> Result<Vec<Mail>>;
    /// Replaces one outbox row's state, attempts, maybe, unclear, next, error and created.
    fn update_mail(&mut self, mail: &Mail) -> Result<()>;
    /// As [`Store::update_mail`], and gives the row other bytes under another Message-ID in its place of the queue.
    fn rewrite_mail(&mut self, mail: &Mail) -> Result<()>;
    /// Mails that tell of an incident, whatever became of them, oldest first.
    fn mails_telling(&self, incident: i64) -> Result<Vec<Mail>>;
    /// Ways that are paused, by name.
    fn pauses(&self) -> Result<Vec<Pause>>;
    /// Starts, changes or (with no failures) ends a pause.
    fn pause(&mut self, pause: &Pause) -> Result<()>;
    /// When each recipient was given the last summary of the day: (destination, recipient, at).
    fn summaries(&self) -> Result<Vec<(String, String, DateTime<Utc>)>>;

    /// Records that somebody took a problem, with the event that its history shows.
    fn acknowledge(&mut self, ack: &Ack, event: &Event) -> Result<()>;
    /// Acknowledgements of open incidents.
    fn acks(&self) -> Result<Vec<Ack>>;
    /// Adds a silence; returns its number.
    fn add_silence(&mut self, silence: &Silence) -> Result<i64>;
    /// Ends one before its time; false if there is none of that number that could still hold.
    fn end_silence(&mut self, id: i64, at: DateTime<Utc>) -> Result<bool>;
    /// All silences, ended ones too, by number.
    fn silences(&self) -> Result<Vec<Silence>>;

    /// A number that is another one once another program has written: whoever shows the store reads it again then.
    ///
    /// # Errors
    /// Another file stands in the store's place: it must be opened anew.
    fn changes(&self) -> Result<i64>;

    /// Writes down that a program ran.
    fn beat(&mut self, beat: &Heartbeat) -> Result<()>;
    /// The last run of each program.
    fn beats(&self) -> Result<Vec<Heartbeat>>;

    /// Records a consent; replaces an earlier one of the host.
    fn grant(&mut self, consent: &Consent) -> Result<()>;
    /// Ends a host's consent; false if there was none in force.
    fn revoke(&mut self, host: &str, at: DateTime<Utc>) -> Result<bool>;
    /// Whether a host has a consent in force.
    fn consented(&self, host: &str) -> Result<bool>;
    /// All consents, revoked ones too, by host.
    fn consents(&self) -> Result<Vec<Consent>>;
    /// Removes everything that was stored of a host but its consents, also mail that tells of it or may (a summary). What
    /// of that is queued stays as a row without subject and body, to be taken back by the next plan. Returns the samples
    /// removed.
    fn forget(&mut self, host: &str) -> Result<u64>;

    /// Rolls samples older than `keep` up to hours and removes them; removes hours older than `keep_hourly`.
    /// Rows that the alerter has not treated stay whole, and so does the newest sample of each host. Age is counted from
    /// receipt. Mail that is not queued goes after `keep`; sweeps, closed incidents and
    /// facts that were replaced go after the longer of the two.
    fn prune(&mut self, now: DateTime<Utc>, keep: Duration, keep_hourly: Duration) -> Result<Pruned>;
    /// What [`Store::prune`] would take away and write, changing nothing.
    fn would_prune(&mut self, now: DateTime<Utc>, keep: Duration, keep_hourly: Duration) -> Result<Pruned>;
    /// Writes a consistent copy with mode 0600; refuses to replace a file.
    fn backup(&self, target: &Path) -> Result<()>;
}

/// How far [`Store::part`] came; it begins with the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The hour from which on samples are handed over, as it was when the export began.
    edge: Option<i64>,
    hours_are_done: bool,
    name: i64,
    sample: Option<(i64, i64)>,
}

/// The condition of a store, as far as it can be told without changing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its schema number.
    pub schema: i64,
    /// The schema number that this program brings.
    pub known: i64,
    /// Size of the file.
    pub bytes: u64,
    /// Size of the log that is not yet part of it.
    pub log_bytes: u64,
    /// Whether it is small enough to be checked whole, and set aside where it is damaged, at each opening.
    pub is_checked: bool,
    /// Damaged files that were set aside and are still there.
    pub set_aside: Vec<PathBuf>,
}

/// A value of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// None.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// A text, possibly from a host.
    Text(String),
    /// So many bytes that are no text.
    Blob(usize),
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Each as long as `columns`.
    pub rows: Vec<Vec<Value>>,
}

/// A backend by name.
pub struct Backend {
    /// The scheme in `<store url="...">`.
    pub name: &'static str,
    /// Opens it, creating and migrating as needed.
    pub open: fn(&StoreSpec) -> Result<Box<dyn Store>>,
    /// Opens it for reading only: nothing is created, migrated or set aside, and every write fails.
    pub open_reading: fn(&StoreSpec) -> Result<Box<dyn Store>>,
    /// Gives up what it keeps back for a full disk; false where there is nothing.
    pub release: fn(&StoreSpec) -> bool,
    /// Tells its condition; quick.
    pub condition: fn(&StoreSpec) -> Result<Condition>,
    /// Reads all of it and tells what is damaged.
    pub faults: fn(&StoreSpec) -> Result<Vec<String>>,
    /// Answers a query in its own language that changes nothing.
    pub query: fn(&StoreSpec, &str) -> Result<Answer>,
    /// Whether there is something to open; otherwise opening begins it.
    pub begun: fn(&StoreSpec) -> bool,
}

/// Every backend.
pub const STORES: &[Backend] = &[sqlite::BACKEND, memory::BACKEND];

/// Gives up the room that a backend keeps back for a full disk, so that what is small and matters can still be written.
/// False where there is none.
#[must_use]
pub fn release(spec: &StoreSpec) -> bool {
    STORES.iter().find(|backend| backend.name == spec.backend).is_some_and(|backend| (backend.release)(spec))
}

/// Whether the store of a configuration was begun; an unknown backend is left to [`open`] to complain of.
#[must_use]
pub fn begun(spec: &StoreSpec) -> bool {
    STORES.iter().find(|backend| backend.name == spec.backend).is_none_or(|backend| (backend.begun)(spec))
}

/// Opens the store of a configuration.
///
/// # Errors
/// [`StoreError`]; an unknown backend is `Other` with the list of known ones.
pub fn open(spec: &StoreSpec) -> Result<Box<dyn Store>> {
    (backend(spec)?.open)(spec)
}

/// Opens the store of a configuration for reading only; there must be one.
///
/// # Errors
/// As [`open`].
pub fn open_reading(spec: &StoreSpec) -> Result<Box<dyn Store>> {
    (backend(spec)?.open_reading)(spec)
}

/// The backend of a configuration.
///
/// # Errors
/// `Other` with the list of known ones.
pub fn backend(spec: &StoreSpec) -> Result<&'static Backend> {
    STORES.iter().find(|backend| backend.name == spec.backend).ok_or_else(|| {
        let known: Vec<&str> = STORES.iter().map(|backend| backend.name).collect();
        let text = format!("no such backend; this program has: {}", known.join(", "));
        StoreError::Other { location: spec.backend.clone(), text }
    })
}
