//! The alerter's side: states, incidents, what was told, and the outbox.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};

use super::error::malformed;
use crate::model::alert::{Ending, Evaluation, Event, Incident, Mail, MailState, Plan, RuleState, Subject, Told};
use crate::model::level::Level;
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

fn level(row: &Row<'_>, place: usize) -> rusqlite::Result<Level> {
    Ok(Level::from_number(row.get(place)?))
}

fn when(row: &Row<'_>, place: usize) -> rusqlite::Result<Option<DateTime<Utc>>> {
    Ok(row.get::<_, Option<i64>>(place)?.map(time))
}

/// SQLite keeps NaN as NULL.
fn real(row: &Row<'_>, place: usize) -> rusqlite::Result<f64> {
    Ok(row.get::<_, Option<f64>>(place)?.unwrap_or(f64::NAN))
}

pub(super) fn states(conn: &Connection) -> rusqlite::Result<Vec<(Subject, RuleState)>> {
    let sql = "SELECT host, rule, item, level, warning_bits, critical_bits, seen, below_warning, below_critical,
               warning_since, critical_since, last, missing, value, incident FROM state ORDER BY host, rule, item";
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

pub(super) fn commit_evaluation(conn: &Connection, it: &Evaluation) -> rusqlite::Result<()> {
    set_number(conn, "cursor", it.cursor)?;
    let mut remove = conn.prepare_cached("DELETE FROM state WHERE host = ?1 AND rule = ?2 AND item = ?3")?;
    let mut put = conn
        .prepare_cached("INSERT OR REPLACE INTO state VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)")?;
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
    Ok(())
}

pub(super) fn told(conn: &Connection) -> rusqlite::Result<Vec<(Told, Incident)>> {
    let sql = format!(
        "SELECT t.incident, t.destination, t.level, t.at, t.reminders, {INCIDENT}
         FROM told AS t JOIN incident AS i ON i.id = t.incident WHERE i.closed IS NULL OR t.level > 0
         ORDER BY t.incident, t.destination"
    );
    conn.prepare_cached(&sql)?
        .query_map([], |row| {
            let told = Told {
                incident: row.get(0)?,
                destination: row.get(1)?,
                level: level(row, 2)?,
                at: time(row.get(3)?),
                reminders: row.get(4)?,
            };
            Ok((told, incident(row, 5)?))
        })?
        .collect()
}

pub(super) fn commit_plan(conn: &Connection, plan: &Plan) -> rusqlite::Result<()> {
    let mut put = conn.prepare_cached("INSERT OR REPLACE INTO told VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for t in &plan.told {
        put.execute(params![t.incident, t.destination, t.level.number(), ms(t.at), t.reminders])?;
    }
    let mut remove = conn.prepare_cached("DELETE FROM told WHERE incident = ?1 AND destination = ?2")?;
    for (incident, destination) in &plan.untold {
        remove.execute(params![incident, destination])?;
    }
    for mail in &plan.mails {
        if mail.id == 0 { add_mail(conn, mail)? } else { update_mail(conn, mail)? }
    }
    Ok(())
}

fn add_mail(conn: &Connection, mail: &Mail) -> rusqlite::Result<()> {
    let before: Vec<Value> = mail
        .before
        .iter()
        .map(|(incident, told)| {
            let told =
                told.as_ref().map(|t| json!([t.incident, t.destination, t.level.number(), ms(t.at), t.reminders]));
            json!([incident, told])
        })
        .collect();
    conn.prepare_cached(
        "INSERT INTO mail (destination, recipient, message_id, subject, body, created, state, attempts, maybe, next,
         error, before) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)",
    )?
    .execute(params![
        mail.destination,
        mail.recipient,
        mail.message_id,
        mail.subject,
        mail.body,
        ms(mail.created),
        mail.state.word(),
        mail.attempts,
        mail.maybe,
        ms(mail.next),
        mail.error,
        Value::from(before).to_string(),
    ])
    .map(|_| ())
}

pub(super) fn update_mail(conn: &Connection, mail: &Mail) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE mail SET state = ?2, attempts = ?3, maybe = ?4, next = ?5, error = ?6 WHERE id = ?1")?
        .execute(params![mail.id, mail.state.word(), mail.attempts, mail.maybe, ms(mail.next), mail.error])
        .map(|_| ())
}

type Before = (i64, Option<(i64, String, u8, i64, u32)>);

pub(super) fn queued(conn: &Connection) -> rusqlite::Result<Vec<Mail>> {
    let sql = "SELECT id, destination, recipient, message_id, subject, body, created, attempts, maybe, next, error,
               before FROM mail WHERE state = 'queued' ORDER BY id";
    conn.prepare_cached(sql)?
        .query_map([], |row| {
            let text: String = row.get(11)?;
            let before: Vec<Before> = serde_json::from_str(&text).map_err(|error| malformed("mail", error))?;
            let before = before.into_iter().map(|(incident, told)| {
                let told = told.map(|(incident, destination, level, at, reminders)| Told {
                    incident,
                    destination,
                    level: Level::from_number(level),
                    at: time(at),
                    reminders,
                });
                (incident, told)
            });
            Ok(Mail {
                id: row.get(0)?,
                destination: row.get(1)?,
                recipient: row.get(2)?,
                message_id: row.get(3)?,
                subject: row.get(4)?,
                body: row.get(5)?,
                created: time(row.get(6)?),
                state: MailState::Queued,
                attempts: row.get(7)?,
                maybe: row.get(8)?,
                next: time(row.get(9)?),
                error: row.get(10)?,
                before: before.collect(),
            })
        })?
        .collect()
}
