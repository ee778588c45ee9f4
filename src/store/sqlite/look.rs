//! Looks at a database without changing it: its condition for `fleet doctor`, answers for `fleet sql`.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::error::translate;
use super::migrate::{MIGRATIONS, version};
use super::open::{CHECKED, aside, beside};
use crate::store::{Answer, Condition, Result, StoreError, Value};

/// A person does not wait as long as a sweep does.
const WAIT: Duration = Duration::from_secs(5);
/// Faults of a damaged file that are told.
const MOST: usize = 5;

fn open(path: &Path) -> Result<Connection> {
    let location = || path.display().to_string();
    if !path.exists() {
        let text = "is not there yet; the first sweep makes it: fleet-collector".to_owned();
        return Err(StoreError::Other { location: location(), text });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(WAIT)?;
        conn.pragma_update(None, "query_only", true)?;
        conn.pragma_update(None, "trusted_schema", false)?;
        Ok(conn)
    };
    open().map_err(|error: rusqlite::Error| translate(path, &error))
}

/// Size, schema, and what was set aside.
pub(super) fn condition(path: &Path) -> Result<Condition> {
    let conn = open(path)?;
    let size = |suffix: &str| std::fs::metadata(beside(path, suffix)).map_or(0, |meta| meta.len());
    Ok(Condition {
        schema: version(&conn).map_err(|error| translate(path, &error))?,
        known: MIGRATIONS.len() as i64,
        bytes: size(""),
        log_bytes: size("-wal"),
        is_checked: size("") <= CHECKED,
        set_aside: aside(path).unwrap_or_default(),
    })
}

/// What SQLite finds wrong with the file; empty where it is whole. It reads all of it.
pub(super) fn faults(path: &Path) -> Result<Vec<String>> {
    let conn = open(path)?;
    let read = || {
        let mut statement = conn.prepare(&format!("PRAGMA quick_check({MOST})"))?;
        let said: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok(said.into_iter().filter(|line| line != "ok").collect())
    };
    read().map_err(|error: rusqlite::Error| translate(path, &error))
}

/// The answer to one statement that changes nothing.
pub(super) fn query(path: &Path, sql: &str) -> Result<Answer> {
    let conn = open(path)?;
    let refused = |text: &str| StoreError::Other { location: path.display().to_string(), text: text.to_owned() };
    let failed = |error: rusqlite::Error| match &error {
        rusqlite::Error::MultipleStatement => refused("one statement at a time"),
        error => translate(path, error),
    };
    let mut statement = conn.prepare(sql).map_err(failed)?;
    if !statement.readonly() {
        return Err(refused("the store is only read here; that statement would change it"));
    }
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = Vec::new();
    let mut found = statement.query([]).map_err(failed)?;
    while let Some(row) = found.next().map_err(failed)? {
        let value = |n| {
            Ok(match row.get_ref(n)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number) => Value::Integer(number),
                ValueRef::Real(number) => Value::Real(number),
                ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
                ValueRef::Blob(bytes) => Value::Blob(bytes.len()),
            })
        };
        rows.push((0..columns.len()).map(value).collect::<rusqlite::Result<_>>().map_err(failed)?);
    }
    Ok(Answer { columns, rows })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::Sqlite;

    #[test]
    fn nothing_that_is_asked_changes_the_store_or_makes_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.db");
        drop(Sqlite::open(&path).unwrap());
        let copy = dir.path().join("copy.db");
        let shown = copy.display();
        for sql in [
            "DELETE FROM host".to_owned(),
            "CREATE TABLE x (a)".to_owned(),
            "PRAGMA user_version = 9".to_owned(),
            "PRAGMA journal_mode = DELETE".to_owned(),
            format!("VACUUM INTO '{shown}'"),
            format!("ATTACH '{shown}' AS other"),
            "SELECT 1; SELECT 2".to_owned(),
        ] {
            let said = query(&path, &sql);
            assert!(said.is_err(), "{sql}: {said:?}");
        }
        assert!(!copy.exists());
        let one = query(&path, "SELECT 1 AS a, 'x' AS b, NULL, 0.5, x'00ff'").unwrap();
        assert_eq!(one.columns[..2], ["a", "b"]);
        let values = vec![Value::Integer(1), Value::Text("x".into()), Value::Null, Value::Real(0.5), Value::Blob(2)];
        assert_eq!(one.rows, [values]);
        assert_eq!(condition(&path).unwrap().schema, MIGRATIONS.len() as i64);
        assert!(faults(&path).unwrap().is_empty());
        assert!(query(&dir.path().join("none.db"), "SELECT 1").unwrap_err().to_string().contains("fleet-collector"));
    }

    #[test]
    fn a_page_of_another_place_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.db");
        drop(Sqlite::open(&path).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        let end = bytes.len();
        bytes[end - 8192..end - 4096].fill(0xff);
        std::fs::write(&path, bytes).unwrap();
        assert!(faults(&path).map_or(true, |found| !found.is_empty()));
    }
}
