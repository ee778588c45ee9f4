//! Sweeps, what is remembered of each host's turns, and leases: one transaction at a time writes, so no host is ours and
//! another collector's at once.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::samples::whole;
use crate::model::cause::Cause;
use crate::model::fleet::Sweep;
use crate::model::turn::{Begun, Claim, Leased, Standing, Strikes, Turn, Visited};
use crate::store::shape::{ms, time};

const SWEEP: &str = "id, started, ended, hosts, failed, collector, shard, asked";

pub(super) fn begin(conn: &Connection, sweep: &Begun) -> rusqlite::Result<i64> {
    let shard = sweep.shard.map_or_else(String::new, |shard| shard.to_string());
    conn.execute(
        "INSERT INTO sweep (started, hosts, failed, collector, shard, asked) VALUES (?1, ?2, 0, ?3, ?4, ?5)",
        params![ms(sweep.started), sweep.hosts, sweep.collector, shard, sweep.asked],
    )?;
    Ok(conn.last_insert_rowid())
}

pub(super) fn end(conn: &Connection, sweep: i64, ended: DateTime<Utc>, failed: u32) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM lease WHERE sweep = ?1", [sweep])?;
    let sql = "UPDATE sweep SET ended = ?2, failed = ?3 WHERE id = ?1";
    conn.execute(sql, params![sweep, ms(ended), failed]).map(|_| ())
}

fn sweep(row: &Row<'_>) -> rusqlite::Result<Sweep> {
    Ok(Sweep {
        id: row.get(0)?,
        started: time(row.get(1)?),
        ended: row.get::<_, Option<i64>>(2)?.map(time),
        hosts: row.get(3)?,
        failed: row.get(4)?,
        collector: row.get(5)?,
        shard: row.get_ref(6)?.as_str()?.parse().ok(),
        asked: row.get(7)?,
    })
}

pub(super) fn sweeps(conn: &Connection, limit: usize) -> rusqlite::Result<Vec<Sweep>> {
    let sql = format!("SELECT {SWEEP} FROM sweep ORDER BY id DESC LIMIT ?1");
    conn.prepare_cached(&sql)?.query_map([whole(limit as u64)], sweep)?.collect()
}

pub(super) fn last(conn: &Connection) -> rusqlite::Result<Vec<Sweep>> {
    let newest = "SELECT max(id) FROM sweep WHERE asked = 0 GROUP BY collector, shard";
    let sql = format!("SELECT {SWEEP} FROM sweep WHERE id IN ({newest}) ORDER BY id DESC");
    conn.prepare_cached(&sql)?.query_map([], sweep)?.collect()
}

/// The number of a host, made where it is new, and its strikes so far.
pub(super) fn host(conn: &Connection, name: &str) -> rusqlite::Result<(i64, Strikes)> {
    let found = conn
        .prepare_cached("SELECT id, strikes, refused FROM host WHERE name = ?1")?
        .query_row([name], |row| Ok((row.get(0)?, Strikes { count: row.get(1)?, refused: row.get(2)? })))
        .optional()?;
    if let Some(found) = found {
        return Ok(found);
    }
    conn.prepare_cached("INSERT INTO host (name) VALUES (?1)")?.execute([name])?;
    Ok((conn.last_insert_rowid(), Strikes::default()))
}

/// A host's newest attempt, and its strikes after it where it was a turn.
pub(super) fn took(conn: &Connection, host: i64, attempt: i64, strikes: Option<Strikes>) -> rusqlite::Result<()> {
    let Some(Strikes { count, refused }) = strikes else {
        let sql = "UPDATE host SET attempt = ?2 WHERE id = ?1";
        return conn.prepare_cached(sql)?.execute([host, attempt]).map(|_| ());
    };
    let sql = "UPDATE host SET attempt = ?2, turn = ?2, strikes = ?3, refused = ?4 WHERE id = ?1";
    conn.prepare_cached(sql)?.execute(params![host, attempt, count, refused]).map(|_| ())
}

pub(super) fn release(conn: &Connection, sweep: i64, host: &str) -> rusqlite::Result<()> {
    let sql = "DELETE FROM lease WHERE host = ?1 AND sweep = ?2";
    conn.prepare_cached(sql)?.execute(params![host, sweep]).map(|_| ())
}

fn cause(word: &str) -> Cause {
    Cause::from_word(word).unwrap_or(Cause::Internal)
}

pub(super) fn standings(conn: &Connection) -> rusqlite::Result<Vec<Standing>> {
    let sql = "SELECT h.name, a.at, a.took, a.cause, h.strikes, h.refused
               FROM host AS h LEFT JOIN attempt AS a ON a.id = h.turn ORDER BY h.name";
    conn.prepare_cached(sql)?
        .query_map([], |row| {
            let turn = match row.get::<_, Option<i64>>(1)? {
                None => None,
                Some(at) => Some(Turn {
                    at: time(at),
                    took: Duration::from_micros(row.get::<_, i64>(2)?.unsigned_abs()),
                    cause: row.get_ref(3)?.as_str_or_null()?.map(cause),
                }),
            };
            Ok(Standing { host: row.get(0)?, turn, strikes: Strikes { count: row.get(4)?, refused: row.get(5)? } })
        })?
        .collect()
}

/// Sees to each host in turn: who is at it, who was at it lately, and else it is ours.
pub(super) fn lease(conn: &Connection, claim: &Claim, hosts: &[&str]) -> rusqlite::Result<Vec<Leased>> {
    let (ours, shard): (String, String) = conn
        .prepare_cached("SELECT collector, shard FROM sweep WHERE id = ?1")?
        .query_row([claim.sweep], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .unwrap_or_default();
    // A run of the same collector and part has the same lock as ours: it is dead, and its leases hold nobody.
    let mut held = conn.prepare_cached(
        "SELECT l.until, coalesce(s.collector, '') FROM lease AS l LEFT JOIN sweep AS s ON s.id = l.sweep
         WHERE l.host = ?1 AND l.sweep <> ?2
           AND NOT (?3 <> '' AND coalesce(s.collector, '') = ?3 AND coalesce(s.shard, '') = ?4)",
    )?;
    let mut done = conn.prepare_cached(
        "SELECT a.at, s.collector, a.cause
         FROM host AS h JOIN attempt AS a ON a.id = h.turn JOIN sweep AS s ON s.id = a.sweep WHERE h.name = ?1",
    )?;
    let mut take = conn.prepare_cached("INSERT OR REPLACE INTO lease VALUES (?1, ?2, ?3)")?;
    let found = |row: &Row<'_>| -> rusqlite::Result<(DateTime<Utc>, String)> { Ok((time(row.get(0)?), row.get(1)?)) };
    let visited = |row: &Row<'_>| -> rusqlite::Result<Visited> {
        let (at, collector) = found(row)?;
        Ok(Visited { at, collector, cause: row.get_ref(2)?.as_str_or_null()?.map(cause) })
    };
    let each = |host: &&str| {
        let holder = held.query_row(params![host, claim.sweep, ours, shard], found).optional()?;
        let visit = done.query_row([host], visited).optional()?;
        let answer = claim.answer(&ours, holder, visit);
        if answer == Leased::Ours {
            take.execute(params![host, claim.sweep, ms(claim.until)])?;
        }
        Ok(answer)
    };
    hosts.iter().map(each).collect()
}
