//! Where samples, incidents and mail are kept: one trait, several backends, one contract suite for all.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::alert::{Evaluation, Event, Incident, Mail, Plan, RuleState, Subject, Told};
use crate::model::fleet::{Attempt, Consent, Heartbeat, HostNow, Pruned, Row, Series, Sweep};
use crate::model::sample::Sample;
use crate::model::spec::StoreSpec;

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

/// A backend. Several processes may have it open at once; each call is one transaction.
pub trait Store: Send {
    /// Starts a sweep; returns its number.
    fn begin_sweep(&mut self, started: DateTime<Utc>, hosts: u32) -> Result<i64>;
    /// Ends it.
    fn end_sweep(&mut self, sweep: i64, ended: DateTime<Utc>, failed: u32) -> Result<()>;
    /// The newest sweeps, newest first.
    fn sweeps(&self, limit: usize) -> Result<Vec<Sweep>>;
    /// Writes an attempt and its samples in one durable transaction; once it returns, the samples may be acknowledged.
    /// Samples whose (host, key) is known are left out. Returns how many were new.
    fn record(&mut self, sweep: i64, attempt: &Attempt, samples: &[Sample]) -> Result<usize>;
    /// Replaces what attempts cost, once the visits are over.
    fn settle(&mut self, sweep: i64, attempts: &[Attempt]) -> Result<()>;
    /// Rows with an id greater than `after`, in order, at most `limit`, each with its samples.
    fn rows_after(&self, after: i64, limit: usize) -> Result<Vec<Row>>;

    /// The last attempt and newest sample of every host, by name.
    fn now(&self) -> Result<Vec<HostNow>>;
    /// The last attempts of a host, newest first.
    fn attempts(&self, host: &str, limit: usize) -> Result<Vec<Attempt>>;
    /// A metric of a host in `[since, until)`, a series for each item; hourly points where whole samples are gone.
    fn series(&self, host: &str, metric: &str, since: DateTime<Utc>, until: DateTime<Utc>) -> Result<Vec<Series>>;

    /// The id of the last row that the alerter treated; 0 at first.
    fn cursor(&self) -> Result<i64>;
    /// The fold's memory.
    fn states(&self) -> Result<Vec<(Subject, RuleState)>>;
    /// Open incidents.
    fn open_incidents(&self) -> Result<Vec<Incident>>;
    /// The newest incidents, open or not, newest first.
    fn incidents(&self, limit: usize) -> Result<Vec<Incident>>;
    /// The greatest incident number given so far; 0 at first.
    fn last_incident(&self) -> Result<i64>;
    /// What happened to an incident, oldest first.
    fn events(&self, incident: i64) -> Result<Vec<Event>>;
    /// Commits an evaluation. The incidents it names that are unknown are created with the id they carry.
    fn commit_evaluation(&mut self, evaluation: &Evaluation) -> Result<()>;
    /// Everything told of incidents that are open, or that were told at a level above ok.
    fn told(&self) -> Result<Vec<(Told, Incident)>>;
    /// Commits a plan.
    fn commit_plan(&mut self, plan: &Plan) -> Result<()>;
    /// Outbox rows that are queued, in order of id.
    fn queued(&self) -> Result<Vec<Mail>>;
    /// Replaces one outbox row's state, attempts, maybe, next and error.
    fn update_mail(&mut self, mail: &Mail) -> Result<()>;

    /// Writes down that a program ran.
    fn beat(&mut self, beat: &Heartbeat) -> Result<()>;
    /// The last run of each program.
    fn beats(&self) -> Result<Vec<Heartbeat>>;

    /// Records a consent; replaces an earlier one of the host.
    fn grant(&mut self, consent: &Consent) -> Result<()>;
    /// Ends a host's consent; false if there was none in force.
    fn revoke(&mut self, host: &str, at: DateTime<Utc>) -> Result<bool>;
    /// All consents, revoked ones too, by host.
    fn consents(&self) -> Result<Vec<Consent>>;
    /// Removes everything that was stored of a host but its consents; returns the samples removed.
    fn forget(&mut self, host: &str) -> Result<u64>;

    /// Rolls samples older than `keep` up to hours and removes them; removes hours older than `keep_hourly`.
    /// Rows that the alerter has not treated stay whole, and so does the newest sample of each host. Age is counted from
    /// receipt. Mail that is not queued goes after `keep`; sweeps and closed incidents after the longer of the two.
    fn prune(&mut self, now: DateTime<Utc>, keep: Duration, keep_hourly: Duration) -> Result<Pruned>;
    /// What [`Store::prune`] would take away and write, changing nothing.
    fn would_prune(&mut self, now: DateTime<Utc>, keep: Duration, keep_hourly: Duration) -> Result<Pruned>;
    /// Writes a consistent copy with mode 0600; refuses to replace a file.
    fn backup(&self, target: &Path) -> Result<()>;
}

/// A backend by name.
pub struct Backend {
    /// The scheme in `<store url="...">`.
    pub name: &'static str,
    /// Opens it, creating and migrating as needed.
    pub open: fn(&StoreSpec) -> Result<Box<dyn Store>>,
    /// Gives up what it keeps back for a full disk; false where there is nothing.
    pub release: fn(&StoreSpec) -> bool,
}

/// Every backend.
pub const STORES: &[Backend] = &[sqlite::BACKEND, memory::BACKEND];

/// Gives up the room that a backend keeps back for a full disk, so that what is small and matters can still be written.
/// False where there is none.
#[must_use]
pub fn release(spec: &StoreSpec) -> bool {
    STORES.iter().find(|backend| backend.name == spec.backend).is_some_and(|backend| (backend.release)(spec))
}

/// Opens the store of a configuration.
///
/// # Errors
/// [`StoreError`]; an unknown backend is `Other` with the list of known ones.
pub fn open(spec: &StoreSpec) -> Result<Box<dyn Store>> {
    match STORES.iter().find(|backend| backend.name == spec.backend) {
        Some(backend) => (backend.open)(spec),
        None => {
            let known: Vec<&str> = STORES.iter().map(|backend| backend.name).collect();
            let text = format!("no such backend; this program has: {}", known.join(", "));
            Err(StoreError::Other { location: spec.backend.clone(), text })
        }
    }
}
