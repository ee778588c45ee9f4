//! The alerter's side: states, incidents, what was told, and the outbox.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::outbox;
use crate::model::alert::{Ending, Evaluation, Event, Incident, Plan, RuleState, Subject, Told};
use crate::model::level::Level;
use crate::store::Span;
use crate::store::shape::{ms, time};

pub(super) fn number(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    let found = conn
        .prepare_cached("SELECT value FROM number WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or(0))
}

fn set_number(conn: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT OR REPLACE INTO number VALUES (?1, ?2)")?.execute(params![name, value]).map(|_| ())
}

pub(super) fn level(row: &Row<'_>, place: usize) -> rusqlite::Result<Level> {
    Ok(Level::from_number(row.get(place)?))
}

pub(super) fn when(row: &Row<'_>, place: usize) -> rusqlite::Result<Option<DateTime<Utc>>> {
    Ok(row.get::<_, Option<i64>>(place)?.map(time))
}

/// SQLite keeps NaN as NULL.
fn real(row: &Row<'_>, place: usize) -> rusqlite::Result<f64> {
    Ok(row.get::<_, Option<f64>>(place)?.unwrap_or(f64::NAN))
}

pub(super) fn states(conn: &Connection) -> rusqlite::Result<Vec<(Subject, RuleState)>> {
    let sql = "SELECT host, rule, item, level, warning_bits, critical_bits, seen, below_warning, below_critical,
               warning_since, critical_since, last, missing, value, incident, bad, missed FROM state ORDER BY host, rule, item";
    conn.prepare_cached(sql)?
        .query_map([], |row| {
            let subject = Subject { host: row.get(0)?, rule: row.get(1)?, item: row.get(2)? };
            let state = RuleState {
                level: level(row, 3)?,
                // 64 bits, kept as the integer that has the same bits.
                warning_bits: row.get::<_, i64>(4)?.cast_unsigned(),
                critical_bits: row.get::<_, i64>(5)?.cast_unsigned(),
                seen: row.get(6)?,
                below_warning: row.get(7)?,
                below_critical: row.get(8)?,
                warning_since: when(row, 9)?,
                critical_since: when(row, 10)?,
                last: when(row, 11)?,
                missing: row.get(12)?,
                value: real(row, 13)?,
                incident: row.get(14)?,
                bad: when(row, 15)?,
                missed: when(row, 16)?,
            };
            Ok((subject, state))
        })?
        .collect()
}

const INCIDENT: &str =
    "i.id, i.host, i.rule, i.item, i.level, i.worst, i.opened, i.changed, i.closed, i.ending, i.value, i.text";

fn incident(row: &Row<'_>, from: usize) -> rusqlite::Result<Incident> {
    Ok(Incident {
        id: row.get(from)?,
        subject: Subject { host: row.get(from + 1)?, rule: row.get(from + 2)?, item: row.get(from + 3)? },
        level: level(row, from + 4)?,
        worst: level(row, from + 5)?,
        opened: time(row.get(from + 6)?),
        changed: time(row.get(from + 7)?),
        closed: when(row, from + 8)?,
        ending: row.get::<_, Option<String>>(from + 9)?.and_then(|word| Ending::from_word(&word)),
        value: real(row, from + 10)?,
        text: row.get(from + 11)?,
    })
}

pub(super) fn open_incidents(conn: &Connection) -> rusqlite::Result<Vec<Incident>> {
    let sql = format!("SELECT {INCIDENT} FROM incident AS i WHERE i.closed IS NULL ORDER BY i.id");
    conn.prepare_cached(&sql)?.query_map([], |row| incident(row, 0))?.collect()
}

pub(super) fn incidents(conn: &Connection, limit: usize) -> rusqlite::Result<Vec<Incident>> {
    let sql = format!("SELECT {INCIDENT} FROM incident AS i ORDER BY i.id DESC LIMIT ?1");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    conn.prepare_cached(&sql)?.query_map([limit], |row| incident(row, 0))?.collect()
}

pub(super) fn events(conn: &Connection, incident: i64) -> rusqlite::Result<Vec<Event>> {
    let sql = "SELECT incident, at, level, value, text FROM event WHERE incident = ?1 ORDER BY id";
    conn.prepare_cached(sql)?
        .query_map([incident], |row| {
            Ok(Event {
                incident: row.get(0)?,
                at: time(row.get(1)?),
                level: level(row, 2)?,
                value: real(row, 3)?,
                text: row.get(4)?,
            })
        })?
        .collect()
}

pub(super) fn commit_evaluation(conn: &Connection, it: &Evaluation<'_>) -> rusqlite::Result<()> {
    set_number(conn, "cursor", it.cursor)?;
    let mut remove = conn.prepare_cached("DELETE FROM state WHERE host = ?1 AND rule = ?2 AND item = ?3")?;
    let mut put = conn.prepare_cached(
        "INSERT OR REPLACE INTO state VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17)",
    )?;
    for (subject, state) in &it.states {
        let Some(s) = state else {
            remove.execute(params![subject.host, subject.rule, subject.item])?;
            continue;
        };
        put.execute(params![
            subject.host,
            subject.rule,
            subject.item,
            s.level.number(),
            s.warning_bits.cast_signed(),
            s.critical_bits.cast_signed(),
            s.seen,
            s.below_warning,
            s.below_critical,
            s.warning_since.map(ms),
            s.critical_since.map(ms),
            s.last.map(ms),
            s.missing,
            s.value,
            s.incident,
            s.bad.map(ms),
            s.missed.map(ms),
        ])?;
    }
    let mut put =
        conn.prepare_cached("INSERT OR REPLACE INTO incident VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)")?;
    let mut last = number(conn, "incident")?;
    for i in &it.incidents {
        put.execute(params![
            i.id,
            i.subject.host,
            i.subject.rule,
            i.subject.item,
            i.level.number(),
            i.worst.number(),
            ms(i.opened),
            ms(i.changed),
            i.closed.map(ms),
            i.ending.map(Ending::word),
            i.value,
            i.text,
        ])?;
        last = last.max(i.id);
    }
    // Kept by itself: numbers are not given twice even after old incidents are gone.
    set_number(conn, "incident", last)?;
    let mut put =
        conn.prepare_cached("INSERT INTO event (incident, at, level, value, text) VALUES (?1,?2,?3,?4,?5)")?;
    for e in &it.events {
        put.execute(params![e.incident, ms(e.at), e.level.number(), e.value, e.text])?;
    }
    let mut remove = conn.prepare_cached("DELETE FROM ack WHERE incident = ?1")?;
    for incident in &it.unacked {
        remove.execute([incident])?;
    }
    Ok(())
}

/// Incidents that closed after a moment, in the order of their numbers.
pub(super) fn closed_since(conn: &Connection, at: DateTime<Utc>) -> rusqlite::Result<Vec<Incident>> {
    let sql = format!("SELECT {INCIDENT} FROM incident AS i WHERE i.closed > ?1 ORDER BY i.id");
    conn.prepare_cached(&sql)?.query_map([ms(at)], |row| incident(row, 0))?.collect()
}

/// Incidents of a host that were open at some time in `[since, until]`, in the order of their numbers.
pub(super) fn incidents_of(
    conn: &Connection,
    host: &str,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
) -> rusqlite::Result<Vec<Incident>> {
    let sql = format!(
        "SELECT {INCIDENT} FROM incident AS i
         WHERE i.host = ?1 AND i.opened <= ?3 AND (i.closed IS NULL OR i.closed >= ?2) ORDER BY i.id"
    );
    conn.prepare_cached(&sql)?.query_map(params![host, ms(since), ms(until)], |row| incident(row, 0))?.collect()
}

/// Incidents that ended before a number, the newest number first: only so many are read however many there are.
pub(super) fn ended(
    conn: &Connection,
    host: Option<&str>,
    (since, until): Span,
    before: Option<i64>,
    limit: usize,
) -> rusqlite::Result<Vec<Incident>> {
    // Of one host its index serves. Of all the numbers do, read backwards; but where only the last ended in a time, they
    // would be read to the first one, and the ends serve.
    let (number, of_host) = match host {
        Some(_) => ("i.id", "AND i.host = ?5"),
        None if since > DateTime::UNIX_EPOCH => ("+i.id", ""),
        None => ("i.id", ""),
    };
    let sql = format!(
        "SELECT {INCIDENT} FROM incident AS i
         WHERE i.closed >= ?1 AND i.opened < ?2 AND {number} < ?3 {of_host} ORDER BY i.id DESC LIMIT ?4"
    );
    let (since, until, before) = (ms(since), ms(until), before.unwrap_or(i64::MAX));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut query = conn.prepare_cached(&sql)?;
    match host {
        Some(host) => query.query_map(params![since, until, before, limit, host], |row| incident(row, 0))?.collect(),
        None => query.query_map(params![since, until, before, limit], |row| incident(row, 0))?.collect(),
    }
}

pub(super) fn one(conn: &Connection, id: i64) -> rusqlite::Result<Option<Incident>> {
    let sql = format!("SELECT {INCIDENT} FROM incident AS i WHERE i.id = ?1");
    conn.prepare_cached(&sql)?.query_row([id], |row| incident(row, 0)).optional()
}

const TOLD: &str = "t.incident, t.destination, t.recipient, t.level, t.at, t.reminders, t.flapping, t.thread";

fn telling(row: &Row<'_>) -> rusqlite::Result<Told> {
    Ok(Told {
        incident: row.get(0)?,
        destination: row.get(1)?,
        recipient: row.get(2)?,
        level: level(row, 3)?,
        at: time(row.get(4)?),
        reminders: row.get(5)?,
        flapping: row.get(6)?,
        thread: row.get(7)?,
    })
}

/// What was told of incidents that closed after a moment.
pub(super) fn told_since(conn: &Connection, at: DateTime<Utc>) -> rusqlite::Result<Vec<Told>> {
    let sql = format!(
        "SELECT {TOLD} FROM incident AS i JOIN told AS t ON t.incident = i.id WHERE i.closed > ?1
         ORDER BY t.incident, t.destination, t.recipient"
    );
    conn.prepare_cached(&sql)?.query_map([ms(at)], telling)?.collect()
}

pub(super) fn told(conn: &Connection) -> rusqlite::Result<Vec<(Told, Incident)>> {
    let sql = format!(
        "SELECT {TOLD}, {INCIDENT} FROM told AS t JOIN incident AS i ON i.id = t.incident
         WHERE i.closed IS NULL OR t.level > 0 ORDER BY t.incident, t.destination, t.recipient"
    );
    conn.prepare_cached(&sql)?.query_map([], |row| Ok((telling(row)?, incident(row, 8)?)))?.collect()
}

pub(super) fn commit_plan(conn: &Connection, plan: &Plan) -> rusqlite::Result<()> {
    let mut put = conn.prepare_cached("INSERT OR REPLACE INTO told VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    for t in &plan.told {
        let level = t.level.number();
        let (to, address) = (&t.destination, &t.recipient);
        put.execute(params![t.incident, to, address, level, ms(t.at), t.reminders, t.flapping, t.thread])?;
    }
    let mut remove =
        conn.prepare_cached("DELETE FROM told WHERE incident = ?1 AND destination = ?2 AND recipient = ?3")?;
    for (incident, destination, recipient) in &plan.untold {
        remove.execute(params![incident, destination, recipient])?;
    }
    for mail in &plan.mails {
        if mail.id == 0 { outbox::add(conn, mail)? } else { outbox::update(conn, mail)? }
    }
    for pause in &plan.pauses {
        outbox::pause(conn, pause)?;
    }
    let mut put = conn.prepare_cached("INSERT OR REPLACE INTO summary VALUES (?1, ?2, ?3)")?;
    for (destination, recipient, at) in &plan.summaries {
        put.execute(params![destination, recipient, ms(*at)])?;
    }
    Ok(())
}
