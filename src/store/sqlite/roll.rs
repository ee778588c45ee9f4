//! Hours: least, mean and greatest of a metric's samples, made when the hour is over, so that a chart over a month reads
//! hours and not samples. Every sample of an hour before a host's `rolled` is counted in its hour exactly once: here when
//! the hour is over, or as it arrives when it comes later.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::codec;
use crate::store::shape::{HOUR_MS, Hour};

/// Hours of one host in one transaction, so that others get their turn.
const BATCH: i64 = 24;

/// Rolls up what a host measured before the hour `until` and was not rolled up yet; of hours before `kept` only that they
/// are done with. Returns how many hours are new; with `dry` writes none.
pub(super) fn up(conn: &mut Connection, host: i64, kept: i64, until: i64, dry: bool) -> rusqlite::Result<u64> {
    let mut new = 0;
    let mut counted = HashSet::new();
    let mut from = i64::MIN;
    while from < until {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Some(rolled) = rolled(&tx, host)? else { break };
        from = from.max(rolled.unwrap_or(i64::MIN));
        let first: Option<i64> = tx
            .prepare_cached("SELECT min(at) FROM sample WHERE host = ?1 AND at >= ?2")?
            .query_row([host, from.saturating_mul(HOUR_MS)], |row| row.get(0))?;
        let hour = first.map_or(until, |at| at.div_euclid(HOUR_MS));
        let next = hour.saturating_add(BATCH).min(until).max(from);
        let mut work = Work::default();
        let sql = "SELECT at, layout, readings FROM sample WHERE host = ?1 AND at >= ?2 AND at < ?3 ORDER BY at, id";
        let mut statement = tx.prepare_cached(sql)?;
        let since = hour.max(kept).max(from);
        let mut samples = statement.query([host, since.saturating_mul(HOUR_MS), next.saturating_mul(HOUR_MS)])?;
        while let Some(row) = samples.next()? {
            let hour = row.get::<_, i64>(0)?.div_euclid(HOUR_MS);
            work.add(&tx, host, hour, row.get(1)?, row.get_ref(2)?.as_str()?)?;
        }
        drop(samples);
        drop(statement);
        new += work.write(&tx, host, dry, &mut counted)?;
        if !dry {
            tx.prepare_cached("UPDATE host SET rolled = ?2 WHERE id = ?1")?.execute([host, next])?;
        }
        tx.commit()?;
        from = next;
    }
    Ok(new)
}

/// Counts a sample that arrived when its hour was over.
pub(super) fn late(conn: &Connection, host: i64, hour: i64, layout: i64, readings: &str) -> rusqlite::Result<()> {
    let mut work = Work::default();
    work.add(conn, host, hour, layout, readings)?;
    work.write(conn, host, false, &mut HashSet::new()).map(|_| ())
}

/// The hour before which everything of a host is counted in its hours; the outer `None` for a host that is gone.
fn rolled(conn: &Connection, host: i64) -> rusqlite::Result<Option<Option<i64>>> {
    conn.prepare_cached("SELECT rolled FROM host WHERE id = ?1")?.query_row([host], |row| row.get(0)).optional()
}

/// The hours that a batch touches.
#[derive(Default)]
struct Work {
    names: Vec<i64>,
    places: HashMap<(String, String), usize>,
    layouts: HashMap<i64, Vec<usize>>,
    /// By position in `names` and hour: the hour, and whether it is new.
    hours: BTreeMap<(usize, i64), (Hour, bool)>,
}

impl Work {
    fn add(&mut self, conn: &Connection, host: i64, hour: i64, layout: i64, readings: &str) -> rusqlite::Result<()> {
        if !self.layouts.contains_key(&layout) {
            let mut places = Vec::new();
            for pair in codec::names(conn, layout)? {
                places.push(self.place(conn, pair)?);
            }
            self.layouts.insert(layout, places);
        }
        let places = self.layouts.get(&layout).map(Vec::as_slice).unwrap_or_default();
        for (value, &place) in codec::values(readings).zip(places) {
            let value = value?;
            match self.hours.get_mut(&(place, hour)) {
                Some((known, _)) => known.add(value),
                None => {
                    let name = self.names.get(place).copied().unwrap_or_default();
                    let entry = match stored(conn, host, name, hour)? {
                        Some(mut known) => {
                            known.add(value);
                            (known, false)
                        }
                        None => (Hour::new(value), true),
                    };
                    self.hours.insert((place, hour), entry);
                }
            }
        }
        Ok(())
    }

    /// The position of a metric and item in `names`.
    fn place(&mut self, conn: &Connection, pair: (String, String)) -> rusqlite::Result<usize> {
        if let Some(&place) = self.places.get(&pair) {
            return Ok(place);
        }
        conn.prepare_cached("INSERT OR IGNORE INTO name (metric, item) VALUES (?1, ?2)")?
            .execute([&pair.0, &pair.1])?;
        let id = conn
            .prepare_cached("SELECT id FROM name WHERE metric = ?1 AND item = ?2")?
            .query_row([&pair.0, &pair.1], |row| row.get(0))?;
        self.names.push(id);
        self.places.insert(pair, self.names.len() - 1);
        Ok(self.names.len() - 1)
    }

    fn write(
        self,
        conn: &Connection,
        host: i64,
        dry: bool,
        counted: &mut HashSet<(usize, i64)>,
    ) -> rusqlite::Result<u64> {
        let mut new = 0;
        for ((place, hour), (it, fresh)) in self.hours {
            let name = self.names.get(place).copied().unwrap_or_default();
            let key = (usize::try_from(name).unwrap_or_default(), hour);
            // A dry run writes nothing, so an hour over two batches would look new twice.
            new += u64::from(fresh && counted.insert(key));
            if !dry {
                conn.prepare_cached("INSERT OR REPLACE INTO hourly VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
                    .execute(params![host, name, hour, it.min, it.mean, it.max, it.count])?;
            }
        }
        Ok(new)
    }
}

fn stored(conn: &Connection, host: i64, name: i64, hour: i64) -> rusqlite::Result<Option<Hour>> {
    conn.prepare_cached("SELECT min, mean, max, count FROM hourly WHERE host = ?1 AND name = ?2 AND hour = ?3")?
        .query_row([host, name, hour], |r| {
            Ok(Hour { min: r.get(0)?, mean: r.get(1)?, max: r.get(2)?, count: r.get(3)? })
        })
        .optional()
}
