//! Opens the file: with the right mode, the right settings, and a damaged one set aside.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags};

use super::error::{WAIT, file, translate};
use super::migrate::{MIGRATIONS, migrate, version};
use crate::store::{Result, StoreError};

/// SQLite before this one can lose rows of a WAL that is reset while it is written.
const OLDEST: i32 = 3_051_003;
/// A file up to this size is checked whole at each opening; a greater one when a call found damage in it.
pub(super) const CHECKED: u64 = 8 << 20;
/// Statements that are kept prepared. Recording one visit takes eighteen, in the same order each time: with fewer places
/// than that each would push out the one that comes next.
const PREPARED: usize = 64;
/// How an SQLite file begins.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// The application id that the first migration sets.
const APPLICATION: u32 = 1_179_406_420;
/// What the name of a damaged file begins with, after the database's.
const ASIDE: &str = ".corrupt-";

/// Opens, creates, migrates; a damaged file is set aside and replaced.
pub(super) fn open(path: &Path) -> Result<Connection> {
    refuse_old(rusqlite::version_number(), path)?;
    let kind = kind(path);
    // Before anything is done to it, its mode too: a mistyped url= may name any file.
    if kind == Kind::Other {
        return Err(not_ours(path, "no database"));
    }
    match attempt(path) {
        Err(StoreError::Corrupt { text, .. }) if kind == Kind::Database => Err(not_ours(path, &text)),
        Err(StoreError::Corrupt { text, .. }) => replace(path, &text),
        Ok(conn) => {
            old_news(&conn, path);
            Ok(conn)
        }
        other => other,
    }
}

/// What stands where the store should be, as far as a damaged file still tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A store of ours, perhaps damaged, or nothing yet.
    Ours,
    /// A database, perhaps another program's.
    Database,
    /// Neither.
    Other,
}

/// By its first bytes, and by what only we put beside a store.
fn kind(path: &Path) -> Kind {
    let mut head = [0; 72];
    let read = File::open(path).and_then(|mut file| {
        // A pipe would hold us, and a folder fails as it always did.
        if file.metadata()?.is_file() { file.read(&mut head) } else { Ok(0) }
    });
    let beside_it = |suffix: &str| beside(path, suffix).exists();
    match read {
        Ok(0) | Err(_) => Kind::Ours,
        Ok(_) if beside_it(".ballast") || beside_it(".suspect") => Kind::Ours,
        Ok(72) if head.starts_with(MAGIC) && head[68..] == APPLICATION.to_be_bytes() => Kind::Ours,
        Ok(_) if head.starts_with(MAGIC) => Kind::Database,
        // The first page is gone, and its log is there.
        Ok(_) if beside_it("-wal") => Kind::Ours,
        Ok(_) => Kind::Other,
    }
}

fn not_ours(path: &Path, why: &str) -> StoreError {
    let text = format!("is no store of fleet-health ({why}) and is left as it is; mend url= of <store>");
    StoreError::Other { location: path.display().to_string(), text }
}

/// The news of a damaged store is over when a person has taken the damaged files away.
fn old_news(conn: &Connection, path: &Path) {
    let told = conn.query_row("SELECT 1 FROM heartbeat WHERE role = 'store' AND ok = 0", [], |_| Ok(()));
    if told.is_err() || !aside(path).is_ok_and(|left| left.is_empty()) {
        return;
    }
    // Where others write now, the next opening does it.
    if let Err(error) = conn.execute("DELETE FROM heartbeat WHERE role = 'store'", []) {
        log::debug!("{}: {error}", path.display());
    }
}

/// The damaged files that were set aside and are still there.
pub(super) fn aside(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let start = beside(Path::new(path.file_name().unwrap_or_default()), ASIDE);
    let start = start.as_os_str().as_encoded_bytes();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder(path))? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(start) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn refuse_old(number: i32, path: &Path) -> Result<()> {
    if number >= OLDEST {
        return Ok(());
    }
    let text =
        format!("SQLite {number} is linked; before {OLDEST} it can lose rows (WAL reset); build with the bundled");
    Err(StoreError::Other { location: path.display().to_string(), text })
}

/// Which file stands at a path now, by device and number.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// The name of a file beside the database.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

fn attempt(path: &Path) -> Result<Connection> {
    create(path)?;
    match connect(path, false) {
        // On a full disk the shared index of the WAL cannot be made; alone, SQLite keeps it in memory: old rows stay
        // readable.
        Err(StoreError::Full { .. }) => connect(path, true),
        other => other,
    }
}

/// SQLite gives -wal and -shm the mode of the database, so this one mode is the mode of all three.
fn create(path: &Path) -> Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        // A read-only folder may still hold a readable database.
        Err(error) if path.exists() => log::debug!("{}: {error}", path.display()),
        Err(error) => return Err(file(path, &error)),
    }
    for suffix in ["", "-wal", "-shm"] {
        let name = beside(path, suffix);
        let Ok(found) = std::fs::metadata(&name) else { continue };
        if found.is_file() && found.permissions().mode() & 0o077 != 0 {
            log::warn!("{}: was open to other users; now 0600", name.display());
            std::fs::set_permissions(&name, Permissions::from_mode(0o600)).map_err(|e| file(&name, &e))?;
        }
    }
    Ok(())
}

fn connect(path: &Path, alone: bool) -> Result<Connection> {
    let sql = |error: rusqlite::Error| translate(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(sql)?;
    conn.set_prepared_statement_cache_capacity(PREPARED);
    conn.busy_timeout(WAIT).map_err(sql)?;
    if alone {
        conn.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(sql)?;
    }
    conn.pragma_update(None, "foreign_keys", true).map_err(sql)?;
    conn.pragma_update(None, "synchronous", "FULL").map_err(sql)?;
    conn.pragma_update(None, "journal_size_limit", 32 << 20).map_err(sql)?;
    // A damaged file must not run code that stands in its schema.
    conn.pragma_update(None, "trusted_schema", false).map_err(sql)?;
    let found = version(&conn).map_err(sql)?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(StoreError::Newer { location: path.display().to_string(), found, known });
    }
    if found == 0 {
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(sql)?;
    }
    wal(&conn, path)?;
    look_through(&conn, path)?;
    migrate(&mut conn, path, MIGRATIONS)?;
    Ok(conn)
}

/// Opens what is there for reading only; a damaged file stays where it is.
pub(super) fn open_reading(path: &Path) -> Result<Connection> {
    let sql = |error: rusqlite::Error| translate(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(sql)?;
    conn.set_prepared_statement_cache_capacity(PREPARED);
    conn.busy_timeout(WAIT).map_err(sql)?;
    conn.pragma_update(None, "query_only", true).map_err(sql)?;
    conn.pragma_update(None, "trusted_schema", false).map_err(sql)?;
    let (found, known) = (version(&conn).map_err(sql)?, MIGRATIONS.len() as i64);
    let location = path.display().to_string();
    match found {
        found if found > known => Err(StoreError::Newer { location, found, known }),
        found if found < known => {
            let text =
                format!("has schema {found}, this program wants {known}; the next fleet-collector brings it there");
            Err(StoreError::Other { location, text })
        }
        _ => Ok(conn),
    }
}

/// Two programs that open a new file at once get "busy" here without SQLite waiting.
fn wal(conn: &Connection, path: &Path) -> Result<()> {
    let started = Instant::now();
    loop {
        match conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                let text = format!("journal mode is {mode}, not wal; this file system cannot hold a store");
                return Err(StoreError::Other { location: path.display().to_string(), text });
            }
            Err(error) => match translate(path, &error) {
                StoreError::Busy { .. } if started.elapsed() < WAIT => {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                other => return Err(other),
            },
        }
    }
}

/// Small files whole; others only after a call met damage, which leaves a mark beside the file.
fn look_through(conn: &Connection, path: &Path) -> Result<()> {
    let mark = beside(path, ".suspect");
    let marked = mark.exists();
    if marked || std::fs::metadata(path).is_ok_and(|m| m.len() <= CHECKED) {
        let said: String =
            conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|e| translate(path, &e))?;
        if said != "ok" {
            return Err(StoreError::Corrupt { location: path.display().to_string(), text: said });
        }
        if marked {
            let _ = std::fs::remove_file(&mark);
        }
    }
    Ok(())
}

/// Moves the damaged files away and starts a new one, which carries the news in its heartbeats.
fn replace(path: &Path, text: &str) -> Result<Connection> {
    let folder = folder(path);
    // One program at a time; it ends with the descriptor, so with the process too.
    let guard = File::open(folder).map_err(|e| file(folder, &e))?;
    rustix::fs::flock(&guard, rustix::fs::FlockOperation::LockExclusive).map_err(|e| file(folder, &e.into()))?;
    // Another program may have replaced it while we waited.
    match attempt(path) {
        Err(StoreError::Corrupt { .. }) => {}
        other => return other,
    }
    let aside = set_aside(path).map_err(|e| file(path, &e))?;
    let news = format!(
        "{} was damaged ({text}); it is kept as {} and a new store was begun; a copy by fleet backup can take its \
         place; move the damaged file to another folder and this news ends",
        path.display(),
        aside.display()
    );
    log::error!("{news}");
    let conn = attempt(path)?;
    // The time of day is what the new file has; the store has no clock of its own.
    let at = modified(path).map_err(|e| file(path, &e))?;
    conn.execute("INSERT OR REPLACE INTO heartbeat VALUES ('store', ?1, 0, ?2)", (at.timestamp_millis(), news))
        .map_err(|e| translate(path, &e))?;
    let _ = std::fs::remove_file(beside(path, ".suspect"));
    Ok(conn)
}

fn modified(path: &Path) -> std::io::Result<DateTime<Utc>> {
    Ok(DateTime::from(std::fs::metadata(path)?.modified()?))
}

fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let stamp = modified(path)?.format("%Y%m%dT%H%M%SZ").to_string();
    let mut name = beside(path, &format!("{ASIDE}{stamp}"));
    let mut number = 1;
    while name.symlink_metadata().is_ok() {
        number += 1;
        name = beside(path, &format!("{ASIDE}{stamp}-{number}"));
    }
    // The WAL first: were we killed between, a database without its WAL is damaged still and found again, while a
    // new database beside an old WAL would mix the two.
    for suffix in ["-wal", "-shm", ""] {
        match std::fs::rename(beside(path, suffix), beside(&name, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_ours_is_set_aside_and_other_files_keep_their_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.xml");
        let listed = || {
            let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let foreign = || {
            let error = open(&path).unwrap_err().to_string();
            assert!(error.contains("no store of fleet-health") && error.contains("url="), "{error}");
        };
        for text in [&b"<fleet-health version=\"1\"/>"[..], &[0; 4096], b"x"] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
            foreign();
            assert_eq!(std::fs::read(&path).unwrap(), text);
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        }
        // Another program's database that is damaged.
        std::fs::remove_file(&path).unwrap();
        let theirs = Connection::open(&path).unwrap();
        theirs.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (zeroblob(9000))").unwrap();
        drop(theirs);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[100..600].fill(0xff);
        std::fs::write(&path, &bytes).unwrap();
        foreign();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(listed(), ["config.xml"]);

        // Ours is known by its head, its log or its ballast.
        let ours = dir.path().join("fleet.db");
        drop(open(&ours).unwrap());
        assert_eq!(kind(&ours), Kind::Ours);
        let whole = std::fs::read(&ours).unwrap();
        assert_eq!(whole[68..72], APPLICATION.to_be_bytes());
        std::fs::write(&ours, vec![0; whole.len()]).unwrap();
        assert_eq!(kind(&ours), Kind::Other);
        for suffix in [".ballast", ".suspect", "-wal"] {
            std::fs::write(beside(&ours, suffix), "").unwrap();
            assert_eq!(kind(&ours), Kind::Ours, "{suffix}");
            std::fs::remove_file(beside(&ours, suffix)).unwrap();
        }
        let mut damaged = whole.clone();
        damaged[100..whole.len()].fill(0xff);
        std::fs::write(&ours, damaged).unwrap();
        drop(open(&ours).unwrap());
        assert!(listed().iter().any(|name| name.to_string_lossy().contains(".corrupt-")), "{:?}", listed());
    }

    #[test]
    fn an_old_sqlite_is_refused_and_ours_is_not() {
        assert!(refuse_old(3_051_002, Path::new("x")).is_err());
        assert!(refuse_old(rusqlite::version_number(), Path::new("x")).is_ok());
    }
}
