//! Brings a database to the schema of this program.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::translate;
use crate::store::{Result, StoreError};

/// In order; number N is what `user_version` N has. Only ever appended.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../../../sql/sqlite/0001_start.sql"),
    include_str!("../../../sql/sqlite/0002_texts.sql"),
    include_str!("../../../sql/sqlite/0003_engine.sql"),
    include_str!("../../../sql/sqlite/0004_roll.sql"),
    include_str!("../../../sql/sqlite/0005_turns.sql"),
];

/// The schema number of a database.
pub(super) fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Runs what is missing: each migration in one transaction, the first after a copy of a database that is not new.
pub(super) fn migrate(conn: &mut Connection, path: &Path, migrations: &[&str]) -> Result<()> {
    let sql = |error: rusqlite::Error| translate(path, &error);
    let known = migrations.len() as i64;
    let mut copied = false;
    loop {
        let found = version(conn).map_err(sql)?;
        if found > known {
            return Err(StoreError::Newer { location: path.display().to_string(), found, known });
        }
        if found == known {
            return Ok(());
        }
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
        // Another program may have been quicker.
        let found = version(&tx).map_err(sql)?;
        let Some(step) = usize::try_from(found).ok().and_then(|n| migrations.get(n)) else { continue };
        if found == 0 {
            let tables: i64 = tx.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).map_err(sql)?;
            if tables > 0 {
                let text = "is a database of another program; name another file in <store url=...>".to_string();
                return Err(StoreError::Other { location: path.display().to_string(), text });
            }
            // What is made here and now needs no copy before its next step.
            copied = true;
        } else if !copied {
            let mut name = path.as_os_str().to_os_string();
            name.push(format!(".before-{}", found + 1));
            // While we hold the write lock nobody changes what is copied.
            super::copy::copy(path, Path::new(&name), super::copy::Replace::Yes)?;
            copied = true;
        }
        tx.execute_batch(step).map_err(sql)?;
        tx.pragma_update(None, "user_version", found + 1).map_err(sql)?;
        tx.commit().map_err(sql)?;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn shape(conn: &Connection) -> Vec<(String, String, String)> {
        let mut statement =
            conn.prepare("SELECT type, name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name").unwrap();
        let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).unwrap();
        rows.map(std::result::Result::unwrap).collect()
    }

    #[test]
    fn the_schema_file_is_the_sum_of_the_migrations() {
        let one = Connection::open_in_memory().unwrap();
        one.execute_batch(include_str!("../../../sql/sqlite/schema.sql")).unwrap();
        let two = Connection::open_in_memory().unwrap();
        for step in MIGRATIONS {
            two.execute_batch(step).unwrap();
        }
        assert_eq!(shape(&one), shape(&two));
    }

    #[test]
    fn an_older_database_is_copied_and_then_changed_and_a_failing_step_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let mut conn = Connection::open(&path).unwrap();
        let first = "CREATE TABLE a (x); INSERT INTO a VALUES (7);";
        migrate(&mut conn, &path, &[first]).unwrap();
        let broken = migrate(&mut conn, &path, &[first, "CREATE TABLE b (y); SELECT nothing FROM nowhere;"]);
        assert!(broken.is_err());
        assert_eq!(version(&conn).unwrap(), 1);
        assert_eq!(shape(&conn).len(), 1, "the half step is gone");
        migrate(&mut conn, &path, &[first, "CREATE TABLE b (y);", "DROP TABLE a;"]).unwrap();
        assert_eq!(version(&conn).unwrap(), 3);
        let before = dir.path().join("a.db.before-2");
        assert_eq!(std::fs::metadata(&before).unwrap().permissions().mode() & 0o777, 0o600);
        let fresh = dir.path().join("fresh.db");
        migrate(&mut Connection::open(&fresh).unwrap(), &fresh, &[first, "CREATE TABLE b (y);"]).unwrap();
        assert!(!dir.path().join("fresh.db.before-2").exists(), "nothing was there before");
        let old = Connection::open(&before).unwrap();
        assert_eq!(version(&old).unwrap(), 1);
        assert_eq!(old.query_row("SELECT x FROM a", [], |r| r.get::<_, i64>(0)).unwrap(), 7);
        assert!(!dir.path().join("a.db.before-3").exists(), "one copy for one upgrade");
        let newer = migrate(&mut conn, &path, &[first]);
        assert!(matches!(newer, Err(StoreError::Newer { found: 3, known: 1, .. })), "{newer:?}");
    }

    #[test]
    fn hosts_keep_their_last_turn_and_their_hours_when_a_database_of_schema_three_is_brought_up_to_date() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.db");
        let mut conn = Connection::open(&path).unwrap();
        migrate(&mut conn, &path, &MIGRATIONS[..3]).unwrap();
        let mut attempts = 0;
        for (host, name, causes) in [
            (1, "collected", &[Some("refused"), None][..]),
            (2, "waits", &[Some("authentication"), Some("back-off"), Some("back-off")]),
            (3, "no-turn-yet", &[Some("sweep-deadline")]),
            (4, "new", &[]),
        ] {
            conn.execute("INSERT INTO host (id, name) VALUES (?1, ?2)", (host, name)).unwrap();
            for cause in causes {
                attempts += 1;
                conn.execute(
                    "INSERT INTO attempt (id, sweep, host, at, took, cause, sent, received, round_trips, shipped)
                     VALUES (?1, 1, ?2, ?1 * 1000, 5, ?3, 0, 0, 0, 0)",
                    (attempts, host, cause),
                )
                .unwrap();
            }
        }
        conn.execute_batch(
            "INSERT INTO sweep (id, started, hosts, failed) VALUES (1, 1000, 4, 3);
             INSERT INTO hourly VALUES
                 (1, 1, 490000, 1, 2, 3, 4), (1, 2, 490007, 1, 2, 3, 4), (2, 1, 490003, 1, 2, 3, 4);",
        )
        .unwrap();
        migrate(&mut conn, &path, MIGRATIONS).unwrap();
        let mut asked = conn.prepare("SELECT turn, strikes, refused, rolled, gone FROM host ORDER BY id").unwrap();
        type Row = (Option<i64>, i64, i64, Option<i64>, Option<i64>);
        let rows = asked.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?))).unwrap();
        let hosts: Vec<Row> = rows.map(std::result::Result::unwrap).collect();
        let hours = |hour| (Some(hour), Some(hour));
        let expected =
            [(Some(2), hours(490_007)), (Some(3), hours(490_003)), (None, (None, None)), (None, (None, None))];
        assert_eq!(hosts, expected.map(|(turn, (rolled, gone))| (turn, 0, 0, rolled, gone)));
        let sweep: (String, String, i64) = conn
            .query_row("SELECT collector, shard, asked FROM sweep", [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
            .unwrap();
        assert_eq!(sweep, (String::new(), String::new(), 0));
        let hourly =
            |conn: &Connection| -> i64 { conn.query_row("SELECT count(*) FROM hourly", [], |r| r.get(0)).unwrap() };
        let before = dir.path().join("fleet.db.before-4");
        assert_eq!(std::fs::metadata(&before).unwrap().permissions().mode() & 0o777, 0o600);
        let old = Connection::open(&before).unwrap();
        assert_eq!((version(&old).unwrap(), hourly(&old), hourly(&conn)), (3, 3, 3));
        assert!(!dir.path().join("fleet.db.before-5").exists(), "one copy for one upgrade");
    }

    #[test]
    fn a_database_of_another_program_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let mut conn = Connection::open(&path).unwrap();
        conn.execute_batch("CREATE TABLE theirs (x)").unwrap();
        let error = migrate(&mut conn, &path, MIGRATIONS).unwrap_err();
        assert!(error.to_string().contains("another program"), "{error}");
        assert_eq!(shape(&conn).len(), 1);
    }
}
