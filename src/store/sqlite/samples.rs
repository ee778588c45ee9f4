//! Attempts and samples: written in one transaction, read in order of id or of time.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use super::codec::{self, COLUMNS, Decoder};
use super::{roll, texts, turns};
use crate::model::cause::Cause;
use crate::model::fleet::{Attempt, Grain, HostNow, Outcome, Row, Series};
use crate::model::job::Traffic;
use crate::model::sample::{Sample, SampleKey};
use crate::store::Span;
use crate::store::series::{Gathered, UPTIME, boot_hours};
use crate::store::shape::{HOUR_MS, arrange, event_ms, first_hour, ms, time};

const ATTEMPT: &str = "h.name, a.at, a.took, a.cause, a.text, a.sent, a.received, a.round_trips, a.shipped";

pub(super) fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn micros(took: Duration) -> i64 {
    i64::try_from(took.as_micros()).unwrap_or(i64::MAX)
}

fn attempt(row: &SqlRow<'_>, from: usize) -> rusqlite::Result<Attempt> {
    let cause: Option<String> = row.get(from + 3)?;
    let outcome = match cause {
        None => Outcome::Collected,
        Some(word) => {
            let cause = Cause::from_word(&word).unwrap_or(Cause::Internal);
            Outcome::Failed { cause, text: row.get::<_, Option<String>>(from + 4)?.unwrap_or_default() }
        }
    };
    Ok(Attempt {
        host: row.get(from)?,
        at: time(row.get(from + 1)?),
        took: Duration::from_micros(row.get::<_, i64>(from + 2)?.unsigned_abs()),
        outcome,
        traffic: Traffic {
            sent: row.get::<_, i64>(from + 5)?.unsigned_abs(),
            received: row.get::<_, i64>(from + 6)?.unsigned_abs(),
            round_trips: row.get(from + 7)?,
            shipped: row.get(from + 8)?,
        },
    })
}

pub(super) fn host_id(conn: &Connection, host: &str) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT id FROM host WHERE name = ?1")?.query_row([host], |row| row.get(0)).optional()
}

/// One attempt with its samples; the caller's transaction makes it durable.
pub(super) fn record(conn: &Connection, sweep: i64, it: &Attempt, samples: &[Sample]) -> rusqlite::Result<usize> {
    let (host, strikes) = turns::host(conn, &it.host)?;
    let (cause, text) = match &it.outcome {
        Outcome::Collected => (None, None),
        Outcome::Failed { cause, text } => (Some(cause.word()), Some(text)),
    };
    let t = &it.traffic;
    conn.prepare_cached(
        "INSERT INTO attempt (sweep, host, at, took, cause, text, sent, received, round_trips, shipped)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        sweep,
        host,
        ms(it.at),
        micros(it.took),
        cause,
        text,
        whole(t.sent),
        whole(t.received),
        t.round_trips,
        t.shipped
    ])?;
    let row = conn.last_insert_rowid();
    turns::took(conn, host, row, strikes.after(&it.outcome))?;
    turns::release(conn, sweep, &it.host)?;
    let (mut newest, rolled) = conn
        .prepare_cached(
            "SELECT h.rolled, s.boot, s.sequence FROM host AS h LEFT JOIN sample AS s ON s.id = h.sample
             WHERE h.id = ?1",
        )?
        .query_row([host], |r| {
            let newest: Option<i64> = r.get(1)?;
            Ok((newest.map(|boot| Ok::<_, rusqlite::Error>((boot, r.get::<_, i64>(2)?))).transpose()?, r.get(0)?))
        })?;
    let mut added = 0;
    for sample in arrange(samples) {
        let sequence = whole(sample.key.sequence);
        let Some(boot) = boot(conn, host, &sample.key.boot, sequence, ms(it.at))? else { continue };
        let id = insert(conn, Place { host, boot, sequence, attempt: row, received: ms(it.at), rolled }, sample)?;
        added += 1;
        if newest.is_none_or(|(b, s)| b != boot || s < sequence) {
            conn.prepare_cached("UPDATE host SET sample = ?2 WHERE id = ?1")?.execute([host, id])?;
            newest = Some((boot, sequence));
            texts::note(conn, host, event_ms(ms(sample.taken), ms(it.at)), &sample.facts)?;
        }
    }
    Ok(added)
}

/// The number of a boot; none where the sample is stored, or was before it was pruned.
fn boot(conn: &Connection, host: i64, name: &str, sequence: i64, seen: i64) -> rusqlite::Result<Option<i64>> {
    let found: Option<(i64, Option<i64>)> = conn
        .prepare_cached("SELECT id, pruned FROM boot WHERE host = ?1 AND name = ?2")?
        .query_row(params![host, name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((id, pruned)) = found else {
        conn.prepare_cached("INSERT INTO boot (host, name, seen) VALUES (?1, ?2, ?3)")?
            .execute(params![host, name, seen])?;
        return Ok(Some(conn.last_insert_rowid()));
    };
    if pruned.is_some_and(|highest| sequence <= highest) {
        return Ok(None);
    }
    let known =
        conn.prepare_cached("SELECT 1 FROM sample WHERE boot = ?1 AND sequence = ?2")?.exists([id, sequence])?;
    if known {
        return Ok(None);
    }
    conn.prepare_cached("UPDATE boot SET seen = max(seen, ?2) WHERE id = ?1")?.execute([id, seen])?;
    Ok(Some(id))
}

/// Where a sample belongs.
struct Place {
    host: i64,
    boot: i64,
    sequence: i64,
    attempt: i64,
    received: i64,
    /// What `host.rolled` says.
    rolled: Option<i64>,
}

fn insert(conn: &Connection, place: Place, sample: &Sample) -> rusqlite::Result<i64> {
    let Place { host, boot, sequence, attempt, received, rolled } = place;
    let (readings, names) = codec::encode(&sample.readings);
    let layout = codec::layout(conn, &names)?;
    let fault = codec::faults(conn, &sample.faults)?;
    let maker = codec::maker(conn, &sample.hostname, &sample.probe)?;
    let taken = ms(sample.taken);
    let at = event_ms(taken, received);
    conn.prepare_cached(
        "INSERT INTO sample (host, boot, sequence, attempt, at, taken, layout, maker, fault, readings)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        host,
        boot,
        sequence,
        attempt,
        at,
        (taken != at).then_some(taken),
        layout,
        maker,
        fault,
        readings
    ])?;
    let id = conn.last_insert_rowid();
    let hour = at.div_euclid(HOUR_MS);
    if rolled.is_some_and(|rolled| hour < rolled) {
        roll::late(conn, host, hour, layout, &readings)?;
    }
    texts::put_top(conn, host, id, at, &sample.top)?;
    Ok(id)
}

pub(super) fn settle(conn: &Connection, sweep: i64, it: &Attempt) -> rusqlite::Result<()> {
    let t = &it.traffic;
    conn.prepare_cached(
        "UPDATE attempt SET took = ?3, sent = ?4, received = ?5, round_trips = ?6, shipped = ?7 WHERE id = (
             SELECT a.id FROM attempt AS a INDEXED BY attempt_host JOIN host AS h ON h.id = a.host
             WHERE h.name = ?1 AND a.sweep = ?2 ORDER BY a.id DESC LIMIT 1)",
    )?
    .execute(params![it.host, sweep, micros(it.took), whole(t.sent), whole(t.received), t.round_trips, t.shipped])
    .map(|_| ())
}

pub(super) fn rows_after(conn: &Connection, after: i64, limit: usize) -> rusqlite::Result<Vec<Row>> {
    let sql = format!(
        "SELECT a.id, a.sweep, {ATTEMPT} FROM attempt AS a JOIN host AS h ON h.id = a.host
         WHERE a.id > ?1 ORDER BY a.id LIMIT ?2"
    );
    let mut rows: Vec<Row> = conn
        .prepare_cached(&sql)?
        .query_map([after, whole(limit as u64)], |row| {
            Ok(Row { id: row.get(0)?, sweep: row.get(1)?, attempt: attempt(row, 2)?, samples: Vec::new() })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let (Some(first), Some(last)) = (rows.first().map(|r| r.id), rows.last().map(|r| r.id)) else { return Ok(rows) };
    let places: HashMap<i64, usize> = rows.iter().enumerate().map(|(place, row)| (row.id, place)).collect();
    let sql = format!(
        "SELECT s.attempt, {COLUMNS} FROM sample AS s WHERE s.attempt BETWEEN ?1 AND ?2 ORDER BY s.attempt, s.id"
    );
    let mut decoder = Decoder::new(conn);
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = statement.query([first, last])?;
    while let Some(row) = found.next()? {
        let place = places.get(&row.get(0)?).copied();
        if let Some(target) = place.and_then(|place| rows.get_mut(place)) {
            target.samples.push(decoder.sample(row, 1)?);
        }
    }
    Ok(rows)
}

/// Whole samples, or only their readings of these metrics; of every host, or only of one.
pub(super) fn now(conn: &Connection, metrics: Option<&[&str]>, host: Option<&str>) -> rusqlite::Result<Vec<HostNow>> {
    let sql = format!(
        "SELECT h.name, a.id, r.at, s.id, {ATTEMPT}, {COLUMNS} FROM host AS h
         LEFT JOIN attempt AS a ON a.id = h.attempt
         LEFT JOIN sample AS s ON s.id = h.sample
         LEFT JOIN attempt AS r ON r.id = s.attempt
         WHERE ?1 IS NULL OR h.name = ?1
         ORDER BY h.name"
    );
    let mut decoder = metrics.map_or_else(|| Decoder::new(conn), |metrics| Decoder::only(conn, metrics));
    conn.prepare_cached(&sql)?
        .query_map([host], |row| {
            let tried = row.get::<_, Option<i64>>(1)?.is_some();
            let arrived = row.get::<_, Option<i64>>(3)?.is_some();
            Ok(HostNow {
                host: row.get(0)?,
                attempt: if tried { Some(attempt(row, 4)?) } else { None },
                sample: match arrived {
                    false => None,
                    true => Some((time(row.get(2)?), decoder.sample(row, 13)?)),
                },
            })
        })?
        .collect()
}

pub(super) fn tried(conn: &Connection) -> rusqlite::Result<Vec<Attempt>> {
    let sql = format!("SELECT {ATTEMPT} FROM host AS h JOIN attempt AS a ON a.id = h.attempt ORDER BY h.name");
    conn.prepare_cached(&sql)?.query_map([], |row| attempt(row, 0))?.collect()
}

pub(super) fn attempts(conn: &Connection, host: &str, limit: usize) -> rusqlite::Result<Vec<Attempt>> {
    let sql = format!(
        "SELECT {ATTEMPT} FROM host AS h JOIN attempt AS a INDEXED BY attempt_host ON a.host = h.id
         WHERE h.name = ?1 ORDER BY a.id DESC LIMIT ?2"
    );
    conn.prepare_cached(&sql)?.query_map(params![host, whole(limit as u64)], |row| attempt(row, 0))?.collect()
}

/// Reads only what is asked for out of each row: the positions come from its layout.
pub(super) fn series(
    conn: &Connection,
    host: &str,
    metric: &str,
    (since, until): Span,
    grain: Grain,
) -> rusqlite::Result<Vec<Series>> {
    let Some(host) = host_id(conn, host)? else { return Ok(Vec::new()) };
    let mut found = Gathered::default();
    let hours = hours_before(conn, host, grain)?;
    let (first, end) = (first_hour(ms(since)), first_hour(ms(until)).min(hours));
    let whole_since = ms(since).max(hours.saturating_mul(HOUR_MS));
    let sql = "SELECT n.item, h.hour, h.min, h.mean, h.max FROM name AS n JOIN hourly AS h ON h.name = n.id
                 WHERE n.metric = ?1 AND h.host = ?2 AND h.hour >= ?3 AND h.hour < ?4 ORDER BY n.item, h.hour";
    let mut statement = conn.prepare_cached(sql)?;
    let uptimes = statement
        .query_map(params![UPTIME, host, first, end], |row| Ok((row.get(1)?, row.get(2)?, row.get(4)?)))?
        .collect::<rusqlite::Result<Vec<(i64, f64, f64)>>>()?;
    let boots = boot_hours(uptimes.into_iter());
    let mut rows = statement.query(params![metric, host, first, end])?;
    while let Some(row) = rows.next()? {
        found.hour(row.get(0)?, row.get(1)?, (row.get(2)?, row.get(3)?, row.get(4)?), &boots);
    }
    let mut positions: HashMap<i64, Vec<(usize, String)>> = HashMap::new();
    let whole = "SELECT s.at, s.layout, s.readings, s.boot FROM sample AS s
                 WHERE s.host = ?1 AND s.at >= ?2 AND s.at < ?3 ORDER BY s.at, s.id";
    let mut statement = conn.prepare_cached(whole)?;
    let mut rows = statement.query([host, whole_since, ms(until)])?;
    while let Some(row) = rows.next()? {
        let layout: i64 = row.get(1)?;
        let wanted = match positions.entry(layout) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => new.insert(positions_of(conn, layout, metric)?),
        };
        let (at, boot) = (time(row.get(0)?), row.get(3)?);
        let mut list = codec::values(row.get_ref(2)?.as_str()?);
        let mut next = 0;
        for (position, item) in wanted.iter() {
            let Some(value) = list.nth(position - next) else { break };
            next = position + 1;
            found.reading(item, at, value?, boot);
        }
    }
    Ok(found.series())
}

pub(super) fn edge(conn: &Connection, host: &str, grain: Grain) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let Some(host) = host_id(conn, host)? else { return Ok(None) };
    let hour = hours_before(conn, host, grain)?;
    Ok((hour > i64::MIN).then(|| time(hour.saturating_mul(HOUR_MS))))
}

/// The hour before which hours are read, and from which on whole samples.
pub(super) fn hours_before(conn: &Connection, host: i64, grain: Grain) -> rusqlite::Result<i64> {
    let sql = match grain {
        Grain::Whole => "SELECT gone FROM host WHERE id = ?1",
        Grain::Hours => "SELECT rolled FROM host WHERE id = ?1",
    };
    let found: Option<i64> = conn.prepare_cached(sql)?.query_row([host], |row| row.get(0))?;
    Ok(found.unwrap_or(i64::MIN))
}

pub(super) fn samples(
    conn: &Connection,
    host: &str,
    metrics: &[&str],
    since: DateTime<Utc>,
    until: DateTime<Utc>,
) -> rusqlite::Result<Vec<(DateTime<Utc>, Sample)>> {
    let Some(host) = host_id(conn, host)? else { return Ok(Vec::new()) };
    let sql = format!(
        "SELECT s.at, {COLUMNS} FROM sample AS s
         WHERE s.host = ?1 AND s.at >= ?2 AND s.at < ?3 ORDER BY s.at, s.id"
    );
    let mut decoder = Decoder::only(conn, metrics);
    conn.prepare_cached(&sql)?
        .query_map([host, ms(since), ms(until)], |row| Ok((time(row.get(0)?), decoder.sample(row, 1)?)))?
        .collect()
}

pub(super) fn before(
    conn: &Connection,
    host: &str,
    key: &SampleKey,
    metrics: &[&str],
) -> rusqlite::Result<Option<Sample>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM host AS h JOIN boot AS b ON b.host = h.id JOIN sample AS s ON s.boot = b.id
         WHERE h.name = ?1 AND b.name = ?2 AND s.sequence < ?3 ORDER BY s.sequence DESC LIMIT 1"
    );
    let mut decoder = Decoder::only(conn, metrics);
    conn.prepare_cached(&sql)?
        .query_row(params![host, key.boot, whole(key.sequence)], |row| decoder.sample(row, 0))
        .optional()
}

/// The last sample of a host at or before a time, and when it stands in a series.
pub(super) fn at(
    conn: &Connection,
    host: &str,
    at: DateTime<Utc>,
) -> rusqlite::Result<Option<(DateTime<Utc>, Sample)>> {
    let Some(host) = host_id(conn, host)? else { return Ok(None) };
    let sql = format!(
        "SELECT s.at, {COLUMNS} FROM sample AS s
         WHERE s.host = ?1 AND s.at <= ?2 ORDER BY s.at DESC, s.id DESC LIMIT 1"
    );
    let mut decoder = Decoder::new(conn);
    conn.prepare_cached(&sql)?
        .query_row([host, ms(at)], |row| Ok((time(row.get(0)?), decoder.sample(row, 1)?)))
        .optional()
}

/// Where the items of a metric stand in a layout, ascending; of an item that is there twice, the first counts.
fn positions_of(conn: &Connection, layout: i64, metric: &str) -> rusqlite::Result<Vec<(usize, String)>> {
    let mut list: Vec<(usize, String)> = Vec::new();
    for (position, (name, item)) in codec::names(conn, layout)?.into_iter().enumerate() {
        if name == metric && !list.iter().any(|(_, known)| *known == item) {
            list.push((position, item));
        }
    }
    Ok(list)
}
