//! SQLite: one file, several programs.
//!
//! # Layout
//! A sample is one row: its values are a JSON array, and `layout` names metric and item of each position once for all
//! samples that have the same. So a reading costs its digits and a comma, and any `sqlite3` reads the view
//! `reading(host, metric, item, at, value)`. Boots, host names with probe versions (`maker`) and lists of faults are
//! kept once too and named by number. Times are milliseconds since 1970.
//!
//! `host` points to the newest attempt and sample of each host, so that the state of the fleet is one look-up a host.
//! The newest sample is the one that arrived last; inside a boot it never goes back to a lower sequence. A sample whose
//! clock is more than five minutes ahead stands in series at the time of its receipt (`at`), with its own time beside
//! it (`taken`). Keeping goes by the time of receipt, so that no host's clock makes its rows stay or vanish.
//!
//! `hourly` is made of samples when their hour is over, by pruning or, of what comes later, as it arrives: of a host, every
//! sample of an hour before `host.rolled` counts in its hour once, wherever the program is killed. Before `host.gone` only
//! the hours are complete, from there on all samples are whole.
//!
//! **Replays.** `sample_key` makes a key one row. When samples are pruned, their boot remembers the highest sequence
//! (`boot.pruned`): nothing at or under it is taken as new. A boot is forgotten when nothing of it came for longer than
//! `keep` and `keep-hourly`.
//!
//! **Texts.** Facts of a host are rows of their own, one for each change (`fact`). The processes that took most are a
//! list of numbers for each sample (`top`) over names that each host has once (`process`); a name goes a day after the
//! oldest sample that is left. People read both through `fact` and the view `top_process`.
//!
//! **Turns.** A host names the attempt of its last visit (`host.turn`), from which a sweep is planned, and counts the
//! failures for which it is left alone (`strikes`). `lease` says who is at a host now; a visit that is recorded ends it in
//! the same transaction.
//!
//! # Rules
//! Writers begin IMMEDIATE, because a transaction that starts as a reader and then writes fails at once when another
//! wrote in between; readers see one snapshot in a deferred transaction. WAL, synchronous FULL: what returned is on the
//! disk. Files have mode 0600 whatever the umask. A damaged file is set aside, never deleted (see `open.rs`): a file up
//! to 8 MiB is checked whole at each opening; where a call meets damage in a greater one, `<db>.suspect` makes the next
//! opening check it. `<db>.ballast` is room kept back for the alerter on a full disk.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, TransactionBehavior};

use super::{Backend, Place, Result, Span, Store, StoreError};
use crate::model::alert::{Ack, Evaluation, Event, Incident, Mail, Pause, Plan, RuleState, Subject, Told};
use crate::model::fleet::{Attempt, Consent, Grain, Heartbeat, HostFact, HostNow, Point, Pruned, Row, Series, Sweep};
use crate::model::sample::{Process, Sample, SampleKey};
use crate::model::silence::Silence;
use crate::model::spec::StoreSpec;
use crate::model::turn::{Begun, Claim, Leased, Standing};

mod ballast;
mod care;
mod codec;
mod copy;
mod error;
mod export;
mod look;
mod migrate;
mod open;
mod outbox;
mod people;
mod roll;
mod samples;
mod texts;
mod truth;
mod turns;
mod upkeep;

/// The backend `sqlite:PATH`.
pub const BACKEND: Backend = Backend {
    name: "sqlite",
    open: |spec: &StoreSpec| Ok(Box::new(Sqlite::open(Path::new(&spec.location))?)),
    open_reading: |spec: &StoreSpec| {
        let path = Path::new(&spec.location);
        let conn = open::open_reading(path)?;
        Ok(Box::new(Sqlite { conn, path: path.to_path_buf(), file: open::identity(path) }))
    },
    release: |spec: &StoreSpec| ballast::release(Path::new(&spec.location)),
    condition: |spec: &StoreSpec| look::condition(Path::new(&spec.location)),
    faults: |spec: &StoreSpec| look::faults(Path::new(&spec.location)),
    query: |spec: &StoreSpec, sql: &str| look::query(Path::new(&spec.location), sql),
    begun: |spec: &StoreSpec| Path::new(&spec.location).exists(),
};

/// An open database.
#[derive(Debug)]
pub struct Sqlite {
    conn: Connection,
    path: PathBuf,
    file: Option<(u64, u64)>,
}

impl Sqlite {
    /// Opens the database, creating and migrating as needed; sets a damaged one aside.
    ///
    /// # Errors
    /// [`StoreError`]: locked, not writable, of a newer program, or not a store.
    pub fn open(path: &Path) -> Result<Self> {
        let conn = open::open(path)?;
        ballast::hold(path);
        Ok(Self { conn, path: path.to_path_buf(), file: open::identity(path) })
    }

    fn fail(&self, error: &rusqlite::Error) -> StoreError {
        let error = error::translate(&self.path, error);
        if let StoreError::Corrupt { text, .. } = &error {
            // The next opening looks through the whole file.
            let mark = open::beside(&self.path, ".suspect");
            let private = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(mark);
            let _ = private.and_then(|mut mark| mark.write_all(text.as_bytes()));
        }
        error
    }

    /// One snapshot for all that a call reads.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let run = || {
            let tx = self.conn.unchecked_transaction()?;
            work(&tx)
        };
        run().map_err(|error| self.fail(&error))
    }

    /// One transaction that is durable when this returns.
    fn write<T>(&mut self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let conn = &mut self.conn;
        let run = || {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&tx)?;
            tx.commit()?;
            Ok(result)
        };
        run().map_err(|error| self.fail(&error))
    }
}

impl Store for Sqlite {
    fn begin(&mut self, sweep: &Begun) -> Result<i64> {
        self.write(|c| turns::begin(c, sweep))
    }
    fn end_sweep(&mut self, sweep: i64, ended: DateTime<Utc>, failed: u32) -> Result<()> {
        self.write(|c| turns::end(c, sweep, ended, failed))
    }
    fn sweeps(&self, limit: usize) -> Result<Vec<Sweep>> {
        self.read(|c| turns::sweeps(c, limit))
    }
    fn last_sweeps(&self) -> Result<Vec<Sweep>> {
        self.read(turns::last)
    }
    fn lease(&mut self, claim: &Claim, hosts: &[&str]) -> Result<Vec<Leased>> {
        self.write(|c| turns::lease(c, claim, hosts))
    }
    fn standings(&self) -> Result<Vec<Standing>> {
        self.read(turns::standings)
    }
    fn record_all(&mut self, sweep: i64, visits: &[(&Attempt, &[Sample])]) -> Result<Vec<usize>> {
        self.write(|c| visits.iter().map(|(attempt, list)| samples::record(c, sweep, attempt, list)).collect())
    }
    fn settle(&mut self, sweep: i64, attempts: &[Attempt]) -> Result<()> {
        self.write(|c| attempts.iter().try_for_each(|attempt| samples::settle(c, sweep, attempt)))
    }
    fn rows_after(&self, after: i64, limit: usize) -> Result<Vec<Row>> {
        self.read(|c| samples::rows_after(c, after, limit))
    }
    fn now(&self) -> Result<Vec<HostNow>> {
        self.read(|c| samples::now(c, None, None))
    }
    fn latest(&self, metrics: &[&str]) -> Result<Vec<HostNow>> {
        self.read(|c| samples::now(c, Some(metrics), None))
    }
    fn newest(&self, host: &str) -> Result<Option<HostNow>> {
        Ok(self.read(|c| samples::now(c, None, Some(host)))?.pop())
    }
    fn tried(&self) -> Result<Vec<Attempt>> {
        self.read(samples::tried)
    }
    fn attempts(&self, host: &str, limit: usize) -> Result<Vec<Attempt>> {
        self.read(|c| samples::attempts(c, host, limit))
    }
    fn series(&self, host: &str, metric: &str, span: Span, grain: Grain) -> Result<Vec<Series>> {
        self.read(|c| samples::series(c, host, metric, span, grain))
    }
    fn edge(&self, host: &str, grain: Grain) -> Result<Option<DateTime<Utc>>> {
        self.read(|c| samples::edge(c, host, grain))
    }
    fn part(
        &self,
        host: &str,
        span: (DateTime<Utc>, DateTime<Utc>),
        wanted: &dyn Fn(&str) -> bool,
        place: &mut Place,
        each: &mut dyn FnMut(&str, &str, Point),
    ) -> Result<bool> {
        self.read(|c| export::part(c, host, span, wanted, place, each))
    }
    fn samples(
        &self,
        host: &str,
        metrics: &[&str],
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<(DateTime<Utc>, Sample)>> {
        self.read(|c| samples::samples(c, host, metrics, since, until))
    }
    fn before(&self, host: &str, key: &SampleKey, metrics: &[&str]) -> Result<Option<Sample>> {
        self.read(|c| samples::before(c, host, key, metrics))
    }
    fn facts(&self, host: &str) -> Result<Vec<HostFact>> {
        self.read(|c| texts::facts(c, host))
    }
    fn facts_now(&self, names: &[&str]) -> Result<Vec<(String, HostFact)>> {
        self.read(|c| texts::facts_now(c, names))
    }
    fn at(&self, host: &str, at: DateTime<Utc>) -> Result<Option<(DateTime<Utc>, Sample)>> {
        self.read(|c| samples::at(c, host, at))
    }
    fn top(&self, host: &str, at: DateTime<Utc>) -> Result<Option<(DateTime<Utc>, Vec<Process>)>> {
        self.read(|c| texts::top(c, host, at))
    }
    fn cursor(&self) -> Result<i64> {
        self.read(|c| truth::number(c, "cursor"))
    }
    fn states(&self) -> Result<Vec<(Subject, RuleState)>> {
        self.read(truth::states)
    }
    fn open_incidents(&self) -> Result<Vec<Incident>> {
        self.read(truth::open_incidents)
    }
    fn incidents(&self, limit: usize) -> Result<Vec<Incident>> {
        self.read(|c| truth::incidents(c, limit))
    }
    fn incident(&self, id: i64) -> Result<Option<Incident>> {
        self.read(|c| truth::one(c, id))
    }
    fn closed_since(&self, at: DateTime<Utc>) -> Result<Vec<Incident>> {
        self.read(|c| truth::closed_since(c, at))
    }
    fn ended(&self, host: Option<&str>, span: Span, before: Option<i64>, limit: usize) -> Result<Vec<Incident>> {
        self.read(|c| truth::ended(c, host, span, before, limit))
    }
    fn incidents_of(&self, host: &str, since: DateTime<Utc>, until: DateTime<Utc>) -> Result<Vec<Incident>> {
        self.read(|c| truth::incidents_of(c, host, since, until))
    }
    fn last_incident(&self) -> Result<i64> {
        self.read(|c| truth::number(c, "incident"))
    }
    fn events(&self, incident: i64) -> Result<Vec<Event>> {
        self.read(|c| truth::events(c, incident))
    }
    fn commit_evaluation(&mut self, evaluation: &Evaluation<'_>) -> Result<()> {
        self.write(|c| truth::commit_evaluation(c, evaluation))
    }
    fn told(&self) -> Result<Vec<(Told, Incident)>> {
        self.read(truth::told)
    }
    fn told_since(&self, at: DateTime<Utc>) -> Result<Vec<Told>> {
        self.read(|c| truth::told_since(c, at))
    }
    fn commit_plan(&mut self, plan: &Plan) -> Result<()> {
        self.write(|c| truth::commit_plan(c, plan))
    }
    fn queued(&self) -> Result<Vec<Mail>> {
        self.read(outbox::queued)
    }
    fn update_mail(&mut self, mail: &Mail) -> Result<()> {
        self.write(|c| outbox::update(c, mail))
    }
    fn rewrite_mail(&mut self, mail: &Mail) -> Result<()> {
        self.write(|c| outbox::rewrite(c, mail))
    }
    fn mails_telling(&self, incident: i64) -> Result<Vec<Mail>> {
        self.read(|c| outbox::telling(c, incident))
    }
    fn pauses(&self) -> Result<Vec<Pause>> {
        self.read(outbox::pauses)
    }
    fn pause(&mut self, pause: &Pause) -> Result<()> {
        self.write(|c| outbox::pause(c, pause))
    }
    fn summaries(&self) -> Result<Vec<(String, String, DateTime<Utc>)>> {
        self.read(outbox::summaries)
    }
    fn acknowledge(&mut self, ack: &Ack, event: &Event) -> Result<()> {
        self.write(|c| care::acknowledge(c, ack, event))
    }
    fn acks(&self) -> Result<Vec<Ack>> {
        self.read(care::acks)
    }
    fn add_silence(&mut self, silence: &Silence) -> Result<i64> {
        self.write(|c| care::add_silence(c, silence))
    }
    fn end_silence(&mut self, id: i64, at: DateTime<Utc>) -> Result<bool> {
        self.write(|c| care::end_silence(c, id, at))
    }
    fn silences(&self) -> Result<Vec<Silence>> {
        self.read(care::silences)
    }
    fn changes(&self) -> Result<i64> {
        if open::identity(&self.path) != self.file {
            let text = "another file took its place; it is opened anew".to_owned();
            return Err(StoreError::Other { location: self.path.display().to_string(), text });
        }
        self.read(|c| c.query_row("PRAGMA data_version", [], |row| row.get(0)))
    }
    fn beat(&mut self, beat: &Heartbeat) -> Result<()> {
        self.write(|c| people::beat(c, beat))
    }
    fn beats(&self) -> Result<Vec<Heartbeat>> {
        self.read(people::beats)
    }
    fn grant(&mut self, consent: &Consent) -> Result<()> {
        self.write(|c| people::grant(c, consent))
    }
    fn revoke(&mut self, host: &str, at: DateTime<Utc>) -> Result<bool> {
        self.write(|c| people::revoke(c, host, at))
    }
    fn consented(&self, host: &str) -> Result<bool> {
        self.read(|c| people::consented(c, host))
    }
    fn consents(&self) -> Result<Vec<Consent>> {
        self.read(people::consents)
    }
    fn forget(&mut self, host: &str) -> Result<u64> {
        // Freed pages are overwritten, and the WAL that held them is emptied, so that the content is gone from the files.
        let secure = |c: &Connection, on: bool| c.pragma_update(None, "secure_delete", on);
        secure(&self.conn, true).map_err(|e| self.fail(&e))?;
        let result = self.write(|c| people::forget(c, host));
        secure(&self.conn, false).map_err(|e| self.fail(&e))?;
        if result.is_ok() {
            let emptied = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get::<_, i64>(0));
            if !matches!(emptied, Ok(0)) {
                log::warn!("{}: others read the store; its log is emptied later", self.path.display());
            }
        }
        result
    }
    fn prune(&mut self, now: DateTime<Utc>, keep: Duration, keep_hourly: Duration) -> Result<Pruned> {
        upkeep::prune(&mut self.conn, now, keep, keep_hourly, false).map_err(|e| self.fail(&e))
    }
    fn would_prune(&mut self, now: DateTime<Utc>, keep: Duration, keep_hourly: Duration) -> Result<Pruned> {
        upkeep::prune(&mut self.conn, now, keep, keep_hourly, true).map_err(|e| self.fail(&e))
    }
    fn backup(&self, target: &Path) -> Result<()> {
        copy::copy(&self.path, target, copy::Replace::No)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_others_write_is_noticed_and_so_is_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.db");
        let (mut writes, reads) = (Sqlite::open(&path).unwrap(), Sqlite::open(&path).unwrap());
        let before = reads.changes().unwrap();
        assert_eq!(reads.changes().unwrap(), before);
        writes.begin_sweep(DateTime::UNIX_EPOCH, 1).unwrap();
        assert_ne!(reads.changes().unwrap(), before);
        std::fs::rename(&path, dir.path().join("old.db")).unwrap();
        assert!(reads.changes().unwrap_err().to_string().contains("another file"));
    }

    #[test]
    fn the_mark_of_a_suspect_is_its_owners_alone_and_goes_with_the_next_opening() {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.db");
        let store = Sqlite::open(&path).unwrap();
        let damage = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        let error = store.fail(&rusqlite::Error::SqliteFailure(damage, None));
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        let mark = open::beside(&path, ".suspect");
        assert_eq!(std::fs::metadata(&mark).unwrap().permissions().mode() & 0o777, 0o600);
        drop(store);
        drop(Sqlite::open(&path).unwrap());
        assert!(!mark.exists(), "looked through and found whole");
    }
}
