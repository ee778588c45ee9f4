//! Mail under way, ways that are paused, and when the summary of the day was given.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};
use serde_json::{Value, json};

use super::error::malformed;
use crate::model::alert::{Mail, MailState, Pause, Tells, Told};
use crate::model::level::Level;
use crate::store::shape::{ms, time};

/// What is stored of "maybe": 0, or 1 and how often a send ended unclear.
fn doubt(mail: &Mail) -> u32 {
    if mail.maybe { mail.unclear.saturating_add(1) } else { 0 }
}

pub(super) fn add(conn: &Connection, mail: &Mail) -> rusqlite::Result<()> {
    let tells = mail.tells.iter().map(|it| {
        let before = it.before.as_ref().map(|t| {
            json!([
                t.incident,
                t.destination,
                t.recipient,
                t.level.number(),
                ms(t.at),
                t.reminders,
                t.flapping,
                t.thread
            ])
        });
        json!([it.incident, it.action, it.level.number(), before])
    });
    conn.prepare_cached(
        "INSERT INTO mail (destination, recipient, message_id, subject, body, created, state, attempts, maybe, next,
         error, before, short) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)",
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
        doubt(mail),
        ms(mail.next),
        mail.error,
        Value::from(tells.collect::<Vec<_>>()).to_string(),
        mail.short,
    ])
    .map(|_| ())
}

pub(super) fn update(conn: &Connection, mail: &Mail) -> rusqlite::Result<()> {
    let Mail { id, state, attempts, next, error, created, .. } = mail;
    let sql =
        "UPDATE mail SET state = ?2, attempts = ?3, maybe = ?4, next = ?5, error = ?6, created = ?7 WHERE id = ?1";
    conn.prepare_cached(sql)?
        .execute(params![id, state.word(), attempts, doubt(mail), ms(*next), error, ms(*created)])
        .map(|_| ())
}

/// Other bytes under another Message-ID in the same place of the queue.
pub(super) fn rewrite(conn: &Connection, mail: &Mail) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE mail SET message_id = ?2, subject = ?3, body = ?4, short = ?5 WHERE id = ?1")?
        .execute(params![mail.id, mail.message_id, mail.subject, mail.body, mail.short])?;
    update(conn, mail)
}

type Before = (i64, String, String, u8, i64, u32, bool, i64);
type Telling = (i64, String, u8, Option<Before>);

const COLUMNS: &str = "id, destination, recipient, message_id, subject, body, created, attempts, maybe, next, error,
    before, short, state";

fn mail(row: &Row<'_>) -> rusqlite::Result<Mail> {
    let text: String = row.get(11)?;
    let tells: Vec<Telling> = serde_json::from_str(&text).map_err(|error| malformed("mail", error))?;
    let tells = tells.into_iter().map(|(incident, action, level, before)| {
        let before = before.map(|(incident, destination, recipient, level, at, reminders, flapping, thread)| Told {
            incident,
            destination,
            recipient,
            level: Level::from_number(level),
            at: time(at),
            reminders,
            flapping,
            thread,
        });
        Tells { incident, action, level: Level::from_number(level), before }
    });
    let doubt: u32 = row.get(8)?;
    Ok(Mail {
        id: row.get(0)?,
        destination: row.get(1)?,
        recipient: row.get(2)?,
        message_id: row.get(3)?,
        subject: row.get(4)?,
        body: row.get(5)?,
        created: time(row.get(6)?),
        state: MailState::from_word(&row.get::<_, String>(13)?).unwrap_or(MailState::Dead),
        attempts: row.get(7)?,
        maybe: doubt > 0,
        unclear: doubt.saturating_sub(1),
        next: time(row.get(9)?),
        error: row.get(10)?,
        tells: tells.collect(),
        short: row.get(12)?,
    })
}

pub(super) fn queued(conn: &Connection) -> rusqlite::Result<Vec<Mail>> {
    let sql = format!("SELECT {COLUMNS} FROM mail WHERE state = 'queued' ORDER BY id");
    conn.prepare_cached(&sql)?.query_map([], mail)?.collect()
}

/// Mails that tell of an incident, oldest first.
pub(super) fn telling(conn: &Connection, incident: i64) -> rusqlite::Result<Vec<Mail>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM mail WHERE EXISTS (SELECT 1 FROM json_each(mail.before) AS each
         WHERE json_extract(each.value, '$[0]') = ?1) ORDER BY id"
    );
    conn.prepare_cached(&sql)?.query_map([incident], mail)?.collect()
}

pub(super) fn pause(conn: &Connection, it: &Pause) -> rusqlite::Result<()> {
    if it.failures == 0 {
        return conn.execute("DELETE FROM pause WHERE what = ?1", [&it.what]).map(|_| ());
    }
    conn.prepare_cached("INSERT OR REPLACE INTO pause VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![it.what, ms(it.since), it.failures, ms(it.until), it.error])
        .map(|_| ())
}

pub(super) fn pauses(conn: &Connection) -> rusqlite::Result<Vec<Pause>> {
    conn.prepare_cached("SELECT what, since, failures, until, error FROM pause ORDER BY what")?
        .query_map([], |row| {
            Ok(Pause {
                what: row.get(0)?,
                since: time(row.get(1)?),
                failures: row.get(2)?,
                until: time(row.get(3)?),
                error: row.get(4)?,
            })
        })?
        .collect()
}

pub(super) fn summaries(conn: &Connection) -> rusqlite::Result<Vec<(String, String, DateTime<Utc>)>> {
    conn.prepare_cached("SELECT destination, recipient, at FROM summary ORDER BY destination, recipient")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, time(row.get(2)?))))?
        .collect()
}
