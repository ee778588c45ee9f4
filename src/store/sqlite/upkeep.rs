//! What gets old: samples that are counted in their hours go, and later the hours. A batch is one transaction, so that
//! others get their turn.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::roll;
use crate::model::fleet::Pruned;
use crate::store::shape::{HOUR_MS, before, first_hour, rolled_until};

/// Attempts in one transaction: a day of one host.
const BATCH: i64 = 288;

/// What a run goes by.
#[derive(Clone, Copy)]
struct Bounds {
    samples: i64,
    hours: i64,
    hourly: bool,
    dry: bool,
}

/// Prunes, or with `dry` only counts.
pub(super) fn prune(
    conn: &mut Connection,
    now: DateTime<Utc>,
    keep: Duration,
    keep_hourly: Duration,
    dry: bool,
) -> rusqlite::Result<Pruned> {
    let bounds = Bounds {
        samples: before(now, keep),
        hours: first_hour(before(now, keep_hourly)),
        hourly: !keep_hourly.is_zero(),
        dry,
    };
    let hosts: Vec<i64> =
        conn.prepare("SELECT id FROM host ORDER BY id")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let until = rolled_until(now, keep);
    let mut done = Pruned { untreated: untreated(conn, bounds.samples)?, ..Pruned::default() };
    for host in hosts {
        if bounds.hourly {
            done.hours_written += roll::up(conn, host, bounds.hours, until, dry)?;
        } else if !dry {
            conn.execute("UPDATE host SET rolled = NULL, gone = NULL WHERE id = ?1", [host])?;
        }
        let mut place = (i64::MIN, 0);
        while let Some(next) = batch(conn, host, place, bounds, &mut done)? {
            place = next;
        }
        done.hours_removed += old_hours(conn, host, bounds)?;
        if !dry {
            super::texts::drop_old(conn, host, before(now, keep.max(keep_hourly)))?;
        }
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // A dry run's batches too gave names, to hours that they did not write.
    drop_names(&tx)?;
    if dry {
        tx.commit()?;
    } else {
        let oldest = before(now, keep.max(keep_hourly));
        drop_unused(&tx)?;
        drop_history(&tx, bounds.samples, oldest)?;
        tx.commit()?;
        // Pages go back to the file system in bounded steps.
        let free = |conn: &Connection| conn.query_row("PRAGMA freelist_count", [], |r| r.get::<_, i64>(0));
        let mut left = free(conn)?;
        while left > 0 {
            conn.execute_batch("PRAGMA incremental_vacuum(2000)")?;
            let now = free(conn)?;
            if now >= left {
                break;
            }
            left = now;
        }
    }
    Ok(done)
}

/// Rows that the alerter has not treated though they are that old; those past its cursor are few unless it is dead.
fn untreated(conn: &Connection, bound: i64) -> rusqlite::Result<u64> {
    let cursor = super::truth::number(conn, "cursor")?;
    let sql = "SELECT count(*) FROM attempt WHERE id > ?1 AND at < ?2";
    Ok(conn.query_row(sql, [cursor, bound], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// Shared texts that no sample names any more.
pub(super) fn drop_unused(conn: &Connection) -> rusqlite::Result<()> {
    for table in ["layout", "maker", "fault"] {
        let sql =
            format!("DELETE FROM {table} WHERE NOT EXISTS (SELECT 1 FROM sample WHERE sample.{table} = {table}.id)");
        conn.execute(&sql, [])?;
    }
    Ok(())
}

/// Names that no hour has any more; by way of the hosts, along the primary key of the hours, which may be very many.
pub(super) fn drop_names(conn: &Connection) -> rusqlite::Result<()> {
    let unused = "DELETE FROM name WHERE NOT EXISTS
                  (SELECT 1 FROM host CROSS JOIN hourly ON hourly.host = host.id AND hourly.name = name.id)";
    conn.execute(unused, []).map(|_| ())
}

fn drop_history(conn: &Connection, samples: i64, oldest: i64) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM sweep WHERE started < ?1", [oldest])?;
    conn.execute("DELETE FROM lease WHERE until < ?1", [oldest])?;
    conn.execute("DELETE FROM mail WHERE state <> 'queued' AND created < ?1", [samples])?;
    conn.execute(
        "DELETE FROM boot WHERE seen < ?1 AND NOT EXISTS (SELECT 1 FROM sample WHERE boot = boot.id)",
        [oldest],
    )?;
    let gone = "closed < ?1 AND NOT EXISTS (SELECT 1 FROM told WHERE told.incident = incident.id AND told.level > 0)";
    conn.execute(&format!("DELETE FROM event WHERE incident IN (SELECT id FROM incident WHERE {gone})"), [oldest])?;
    conn.execute(&format!("DELETE FROM incident WHERE {gone}"), [oldest])?;
    conn.execute("DELETE FROM ack WHERE incident NOT IN (SELECT id FROM incident WHERE closed IS NULL)", [])?;
    conn.execute("DELETE FROM silence WHERE coalesce(min(ended, ends), ended, ends) < ?1", [oldest])?;
    conn.execute("DELETE FROM told WHERE level = 0 AND incident NOT IN (SELECT id FROM incident)", []).map(|_| ())
}

type Place = (i64, i64);

/// One batch of a host; returns where the next begins, none at the end.
fn batch(
    conn: &mut Connection,
    host: i64,
    after: Place,
    bounds: Bounds,
    done: &mut Pruned,
) -> rusqlite::Result<Option<Place>> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let cursor = super::truth::number(&tx, "cursor")?;
    let pins: Option<(Option<i64>, Option<i64>)> = tx
        .prepare_cached("SELECT attempt, sample FROM host WHERE id = ?1")?
        .query_row([host], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let Some((newest_attempt, newest_sample)) = pins else { return Ok(None) };
    let rows: Vec<Place> = tx
        .prepare_cached(
            "SELECT at, id FROM attempt INDEXED BY attempt_at WHERE host = ?1 AND at < ?2 AND id <= ?3
             AND (at, id) > (?4, ?5) ORDER BY at, id LIMIT ?6",
        )?
        .query_map(params![host, bounds.samples, cursor, after.0, after.1, BATCH], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let Some(&last) = rows.last() else { return Ok(None) };
    let mut gone = i64::MIN;
    for (_, attempt) in rows {
        let mut stays = newest_attempt == Some(attempt);
        let mut statement =
            tx.prepare_cached("SELECT id, boot, sequence, at FROM sample WHERE attempt = ?1 ORDER BY id")?;
        let mut samples = statement.query([attempt])?;
        while let Some(row) = samples.next()? {
            let id: i64 = row.get(0)?;
            if newest_sample == Some(id) {
                stays = true;
                continue;
            }
            gone = gone.max(row.get::<_, i64>(3)?.div_euclid(HOUR_MS) + 1);
            done.samples += 1;
            if !bounds.dry {
                tx.prepare_cached("UPDATE boot SET pruned = max(coalesce(pruned, -1), ?2) WHERE id = ?1")?
                    .execute(params![row.get::<_, i64>(1)?, row.get::<_, i64>(2)?])?;
                tx.prepare_cached("DELETE FROM sample WHERE id = ?1")?.execute([id])?;
            }
        }
        if !stays {
            done.attempts += 1;
            if !bounds.dry {
                tx.prepare_cached("DELETE FROM attempt WHERE id = ?1")?.execute([attempt])?;
            }
        }
    }
    if bounds.hourly && !bounds.dry && gone > i64::MIN {
        tx.prepare_cached("UPDATE host SET gone = max(coalesce(gone, ?2), ?2) WHERE id = ?1")?.execute([host, gone])?;
    }
    tx.commit()?;
    Ok(Some(last))
}

/// Removes (or counts) the hours of a host that are too old, name by name along the primary key.
fn old_hours(conn: &mut Connection, host: i64, bounds: Bounds) -> rusqlite::Result<u64> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let bound = if bounds.hourly { bounds.hours } else { i64::MAX };
    let mut name = i64::MIN;
    let mut removed = 0;
    loop {
        let next = tx
            .prepare_cached("SELECT name FROM hourly WHERE host = ?1 AND name > ?2 ORDER BY name LIMIT 1")?
            .query_row([host, name], |row| row.get::<_, i64>(0))
            .optional()?;
        let Some(next) = next else { break };
        name = next;
        removed += if bounds.dry {
            let sql = "SELECT count(*) FROM hourly WHERE host = ?1 AND name = ?2 AND hour < ?3";
            tx.prepare_cached(sql)?.query_row([host, name, bound], |row| row.get::<_, i64>(0))?.unsigned_abs()
        } else {
            let sql = "DELETE FROM hourly WHERE host = ?1 AND name = ?2 AND hour < ?3";
            tx.prepare_cached(sql)?.execute([host, name, bound])? as u64
        };
    }
    tx.commit()?;
    Ok(removed)
}
