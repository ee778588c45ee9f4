//! Heartbeats, consents, and forgetting a host.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use crate::model::fleet::{Consent, Heartbeat};
use crate::store::shape::{ms, time};

pub(super) fn beat(conn: &Connection, beat: &Heartbeat) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO heartbeat VALUES (?1, ?2, ?3, ?4)";
    conn.execute(sql, params![beat.role, ms(beat.at), beat.ok, beat.text]).map(|_| ())
}

pub(super) fn beats(conn: &Connection) -> rusqlite::Result<Vec<Heartbeat>> {
    conn.prepare_cached("SELECT role, at, ok, text FROM heartbeat ORDER BY role")?
        .query_map([], |row| {
            Ok(Heartbeat { role: row.get(0)?, at: time(row.get(1)?), ok: row.get(2)?, text: row.get(3)? })
        })?
        .collect()
}

pub(super) fn grant(conn: &Connection, c: &Consent) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO consent VALUES (?1, ?2, ?3, ?4, ?5)";
    conn.execute(sql, params![c.host, c.by, c.purpose, ms(c.granted), c.revoked.map(ms)]).map(|_| ())
}

pub(super) fn revoke(conn: &Connection, host: &str, at: DateTime<Utc>) -> rusqlite::Result<bool> {
    let sql = "UPDATE consent SET revoked = ?2 WHERE host = ?1 AND revoked IS NULL";
    Ok(conn.execute(sql, params![host, ms(at)])? > 0)
}

pub(super) fn consented(conn: &Connection, host: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM consent WHERE host = ?1 AND revoked IS NULL")?.exists([host])
}

pub(super) fn consents(conn: &Connection) -> rusqlite::Result<Vec<Consent>> {
    conn.prepare_cached("SELECT host, by, purpose, granted, revoked FROM consent ORDER BY host")?
        .query_map([], |row| {
            Ok(Consent {
                host: row.get(0)?,
                by: row.get(1)?,
                purpose: row.get(2)?,
                granted: time(row.get(3)?),
                revoked: row.get::<_, Option<i64>>(4)?.map(time),
            })
        })?
        .collect()
}

/// In the caller's transaction; what only this host's samples named goes too.
pub(super) fn forget(conn: &Connection, host: &str) -> rusqlite::Result<u64> {
    let id = super::samples::host_id(conn, host)?;
    let samples = match id {
        Some(id) => {
            let samples = conn.execute("DELETE FROM sample WHERE host = ?1", [id])?;
            // Attempts, boots and hours go with it, by their foreign keys.
            conn.execute("DELETE FROM host WHERE id = ?1", [id])?;
            samples
        }
        None => 0,
    };
    conn.execute("DELETE FROM lease WHERE host = ?1", [host])?;
    conn.execute("DELETE FROM state WHERE host = ?1", [host])?;
    for table in ["event", "told", "ack"] {
        let sql = format!("DELETE FROM {table} WHERE incident IN (SELECT id FROM incident WHERE host = ?1)");
        conn.execute(&sql, [host])?;
    }
    // A summary of the day names no incident, and may name any host.
    let names = "(before = '[]' OR EXISTS (SELECT 1
                 FROM json_each(mail.before) AS each JOIN incident AS i ON i.id = json_extract(each.value, '$[0]')
                 WHERE i.host = ?1))";
    conn.execute(&format!("DELETE FROM mail WHERE state <> 'queued' AND {names}"), [host])?;
    // What waits loses its content only: a plan has yet to take back what it would have told of others.
    let emptied = format!("UPDATE mail SET subject = '', body = x'', error = '' WHERE state = 'queued' AND {names}");
    conn.execute(&emptied, [host])?;
    conn.execute("DELETE FROM incident WHERE host = ?1", [host])?;
    super::upkeep::drop_unused(conn)?;
    super::upkeep::drop_names(conn)?;
    Ok(samples as u64)
}
