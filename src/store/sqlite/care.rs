//! What people do about problems: acknowledgements and silences.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::truth::{self, level};
use crate::model::alert::{Ack, Event};
use crate::model::silence::{Calendar, Scope, Silence, When};
use crate::store::shape::{ms, time};

/// In the caller's transaction; the event is what the incident's history shows of it.
pub(super) fn acknowledge(conn: &Connection, it: &Ack, event: &Event) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT OR REPLACE INTO ack VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
        it.incident,
        it.by,
        ms(it.at),
        it.until.map(ms),
        it.sticky,
        it.level.number(),
        it.note
    ])?;
    conn.prepare_cached("INSERT INTO event (incident, at, level, value, text) VALUES (?1,?2,?3,?4,?5)")?
        .execute(params![event.incident, ms(event.at), event.level.number(), event.value, event.text])
        .map(|_| ())
}

/// Of open incidents: closing ends an acknowledgement.
pub(super) fn acks(conn: &Connection) -> rusqlite::Result<Vec<Ack>> {
    let sql = "SELECT a.incident, a.by, a.at, a.until, a.sticky, a.level, a.note FROM ack AS a
               JOIN incident AS i ON i.id = a.incident WHERE i.closed IS NULL ORDER BY a.incident";
    conn.prepare_cached(sql)?
        .query_map([], |row| {
            Ok(Ack {
                incident: row.get(0)?,
                by: row.get(1)?,
                at: time(row.get(2)?),
                until: truth::when(row, 3)?,
                sticky: row.get(4)?,
                level: level(row, 5)?,
                note: row.get(6)?,
            })
        })?
        .collect()
}

pub(super) fn add_silence(conn: &Connection, it: &Silence) -> rusqlite::Result<i64> {
    let (mut once, mut weekly) = (None, None);
    match &it.when {
        When::Once { from, until } => once = Some((ms(*from), ms(*until))),
        When::Weekly(calendar) => weekly = Some(calendar),
    }
    conn.prepare_cached(
        "INSERT INTO silence (hosts, groups, services, rules, starts, ends, days, from_minute, until_minute, zone,
         by, reason, created, ended) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)",
    )?
    .execute(params![
        it.scope.hosts.join(" "),
        it.scope.groups.join(" "),
        it.scope.services.join(" "),
        it.scope.rules.join(" "),
        once.map(|(from, _)| from),
        once.map(|(_, until)| until),
        weekly.map(|calendar| calendar.days),
        weekly.map(|calendar| calendar.from),
        weekly.map(|calendar| calendar.until),
        weekly.map(|calendar| &calendar.zone),
        it.by,
        it.reason,
        ms(it.created),
        it.ended.map(ms),
    ])?;
    Ok(conn.last_insert_rowid())
}

/// False where there is none of that number that has not ended.
pub(super) fn end_silence(conn: &Connection, id: i64, at: DateTime<Utc>) -> rusqlite::Result<bool> {
    let sql = "UPDATE silence SET ended = ?2 WHERE id = ?1 AND ended IS NULL AND (ends IS NULL OR ends > ?2)";
    Ok(conn.execute(sql, params![id, ms(at)])? > 0)
}

pub(super) fn silences(conn: &Connection) -> rusqlite::Result<Vec<Silence>> {
    let sql = "SELECT id, hosts, groups, services, rules, starts, ends, days, from_minute, until_minute, zone, by,
               reason, created, ended FROM silence ORDER BY id";
    conn.prepare_cached(sql)?
        .query_map([], |row| {
            let words = |place: usize| {
                let text: String = row.get(place)?;
                Ok::<_, rusqlite::Error>(text.split_whitespace().map(str::to_owned).collect())
            };
            let when = match truth::when(row, 5)?.zip(truth::when(row, 6)?) {
                Some((from, until)) => When::Once { from, until },
                None => When::Weekly(Calendar {
                    days: row.get(7)?,
                    from: row.get(8)?,
                    until: row.get(9)?,
                    zone: row.get(10)?,
                }),
            };
            Ok(Silence {
                id: row.get(0)?,
                scope: Scope { hosts: words(1)?, groups: words(2)?, services: words(3)?, rules: words(4)? },
                when,
                by: row.get(11)?,
                reason: row.get(12)?,
                created: time(row.get(13)?),
                ended: truth::when(row, 14)?,
            })
        })?
        .collect()
}
