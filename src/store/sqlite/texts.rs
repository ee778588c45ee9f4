//! What is not a number. A fact is a row for each change of its text. The processes that took most are a list for each
//! sample: for each [`By`] in order, `pid, name, value` over and over, with the names of the host kept once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};

use super::error::malformed;
use super::samples::host_id;
use crate::model::fleet::HostFact;
use crate::model::sample::{By, Fact, Process};
use crate::store::shape::{self, ms, time};

/// A name is marked as seen at most so often, in milliseconds; it stays this much longer than the last sample with it.
const SEEN_MS: i64 = 86_400_000;

/// Writes what changed at `at`, the time of the host's newest sample.
pub(super) fn note(conn: &Connection, host: i64, at: i64, facts: &[Fact]) -> rusqlite::Result<()> {
    if facts.is_empty() {
        return Ok(());
    }
    let mut statement =
        conn.prepare_cached("SELECT name, item, text, since FROM fact WHERE host = ?1 ORDER BY name, item, since")?;
    let rows = statement.query_map([host], |row| {
        Ok(((row.get::<_, String>(0)?, row.get::<_, String>(1)?), (row.get(2)?, row.get(3)?)))
    })?;
    let known = rows.collect::<rusqlite::Result<_>>()?;
    for change in shape::fact_changes(&known, facts, at) {
        conn.prepare_cached("INSERT INTO fact (host, name, item, since, text) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![host, change.name, change.item, ms(change.since), change.text])?;
    }
    Ok(())
}

/// The changes of a host's facts, by name and item, oldest first.
pub(super) fn facts(conn: &Connection, host: &str) -> rusqlite::Result<Vec<HostFact>> {
    let Some(host) = host_id(conn, host)? else { return Ok(Vec::new()) };
    conn.prepare_cached("SELECT name, item, text, since FROM fact WHERE host = ?1 ORDER BY name, item, since")?
        .query_map([host], |row| {
            Ok(HostFact { name: row.get(0)?, item: row.get(1)?, text: row.get(2)?, since: time(row.get(3)?) })
        })?
        .collect()
}

/// The last of each of these facts of every host, by host; what is no longer said is left out.
pub(super) fn facts_now(conn: &Connection, names: &[&str]) -> rusqlite::Result<Vec<(String, HostFact)>> {
    // Of the columns beside max() SQLite gives those of the row that has it.
    let sql = "SELECT h.name, f.item, f.text, max(f.since) FROM host AS h JOIN fact AS f ON f.host = h.id
               WHERE f.name = ?1 GROUP BY h.id, f.item";
    let mut statement = conn.prepare_cached(sql)?;
    let mut found: Vec<(String, HostFact)> = Vec::new();
    for &name in names {
        let rows = statement.query_map([name], |row| {
            let (item, text, since) = (row.get(1)?, row.get(2)?, time(row.get(3)?));
            Ok((row.get(0)?, HostFact { name: name.to_owned(), item, text, since }))
        })?;
        for row in rows {
            found.push(row?);
        }
    }
    found.retain(|(_, fact)| !fact.text.is_empty());
    found.sort_by(|a, b| (&a.0, &a.1.name, &a.1.item).cmp(&(&b.0, &b.1.name, &b.1.item)));
    Ok(found)
}

/// Stores the processes of a sample.
pub(super) fn put_top(conn: &Connection, host: i64, sample: i64, at: i64, top: &[Process]) -> rusqlite::Result<()> {
    if top.is_empty() {
        return Ok(());
    }
    let mut list = String::with_capacity(top.len() * 16 + 8);
    for &by in By::ALL {
        list.push_str(if list.is_empty() { "[[" } else { "],[" });
        let mut first = true;
        for process in top.iter().filter(|process| process.by == by && process.value.is_finite()) {
            let name = name(conn, host, at, process)?;
            // Writing to a String cannot fail.
            let _ = write!(list, "{}{},{name},", if first { "" } else { "," }, process.pid);
            list.push_str(&shortest(process.value));
            first = false;
        }
    }
    list.push_str("]]");
    conn.prepare_cached("INSERT INTO top (sample, list) VALUES (?1, ?2)")?.execute(params![sample, list])?;
    Ok(())
}

/// `123000000` is shorter as `1.23e8`.
fn shortest(value: f64) -> String {
    let (plain, short) = (format!("{value}"), format!("{value:e}"));
    if short.len() < plain.len() { short } else { plain }
}

/// The number of a process's name on its host.
fn name(conn: &Connection, host: i64, at: i64, it: &Process) -> rusqlite::Result<i64> {
    let found: Option<(i64, i64)> = conn
        .prepare_cached(
            "SELECT id, seen FROM process WHERE host = ?1 AND user = ?2 AND comm = ?3 AND unit = ?4 AND command = ?5",
        )?
        .query_row(params![host, it.user, it.comm, it.unit, it.command], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((id, seen)) = found else {
        conn.prepare_cached(
            "INSERT INTO process (host, user, comm, unit, command, seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![host, it.user, it.comm, it.unit, it.command, at])?;
        return Ok(conn.last_insert_rowid());
    };
    if at.saturating_sub(seen) > SEEN_MS {
        conn.prepare_cached("UPDATE process SET seen = ?2 WHERE id = ?1")?.execute([id, at])?;
    }
    Ok(id)
}

/// The processes of the host's last sample at or before a time, and that sample's time.
pub(super) fn top(
    conn: &Connection,
    host: &str,
    at: DateTime<Utc>,
) -> rusqlite::Result<Option<(DateTime<Utc>, Vec<Process>)>> {
    let Some(host) = host_id(conn, host)? else { return Ok(None) };
    let found: Option<(i64, Option<String>)> = conn
        .prepare_cached(
            "SELECT s.at, t.list FROM sample AS s LEFT JOIN top AS t ON t.sample = s.id
             WHERE s.host = ?1 AND s.at <= ?2 ORDER BY s.at DESC, s.id DESC LIMIT 1",
        )?
        .query_row([host, ms(at)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((at, list)) = found else { return Ok(None) };
    let list = list.map_or(Ok(Vec::new()), |list| read_top(conn, &list, &mut HashMap::new()))?;
    Ok(Some((time(at), list)))
}

/// Names that were looked up in one call.
pub(super) type Names = HashMap<i64, Process>;

/// The processes of a stored list.
pub(super) fn read_top(conn: &Connection, list: &str, names: &mut Names) -> rusqlite::Result<Vec<Process>> {
    let inner = list.strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]"));
    let inner = inner.ok_or_else(|| malformed("top", "not a list of lists"))?;
    let mut top = Vec::new();
    for (&by, part) in By::ALL.iter().zip(inner.split("],[")) {
        let mut numbers = part.split(',').filter(|word| !word.is_empty());
        while let (Some(pid), Some(id), Some(value)) = (numbers.next(), numbers.next(), numbers.next()) {
            let number = |word: &str| word.parse::<f64>().map_err(|error| malformed("top", error));
            let (pid, id, value) = (number(pid)?, number(id)?, number(value)?);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float to a number saturates")]
            let (pid, id) = (pid as u32, id as i64);
            let known = match names.entry(id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(who(conn, id)?),
            };
            top.push(Process { by, pid, value, ..known.clone() });
        }
    }
    Ok(top)
}

/// Who a number stands for; the rest of it means nothing.
fn who(conn: &Connection, id: i64) -> rusqlite::Result<Process> {
    let sql = "SELECT user, comm, unit, command FROM process WHERE id = ?1";
    conn.prepare_cached(sql)?.query_row([id], |row| {
        let (user, comm, unit, command) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(Process { by: By::Cpu, pid: 0, user, comm, unit, command, value: 0.0 })
    })
}

/// Removes what no sample of the host names any more, and facts that were replaced or gone before `oldest`.
pub(super) fn drop_old(conn: &Connection, host: i64, oldest: i64) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "DELETE FROM process WHERE host = ?1 AND seen < (SELECT min(at) FROM sample WHERE host = ?1) - ?2",
    )?
    .execute([host, SEEN_MS])?;
    conn.prepare_cached(
        "DELETE FROM fact WHERE host = ?1 AND since < ?2 AND (text = '' OR EXISTS (
             SELECT 1 FROM fact AS later WHERE later.host = fact.host AND later.name = fact.name
             AND later.item = fact.item AND later.since > fact.since AND later.since < ?2))",
    )?
    .execute([host, oldest])?;
    Ok(())
}
