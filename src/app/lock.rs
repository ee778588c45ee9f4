//! The lock that keeps runs apart: an advisory lock on a file that the kernel drops with the process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::clock;
use super::exit::{Exit, Failure};
use crate::model::shard::Shard;

/// The lock of the collector of a part of the fleet, or of all of it. Collectors of other parts are kept off the same host
/// by the store's leases.
#[must_use]
pub fn of_collector(state_dir: &Path, shard: Option<Shard>) -> PathBuf {
    let part = shard.map_or_else(String::new, |shard| format!("-{shard}").replace('/', "-of-"));
    state_dir.join(format!("collector{part}.lock"))
}

/// The locks of all collectors that ever ran with this state folder.
#[must_use]
pub fn of_collectors(state_dir: &Path) -> Vec<PathBuf> {
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("collector") && name.ends_with(".lock")
    };
    let entries = std::fs::read_dir(state_dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_one).collect();
    found.sort();
    found
}

/// Held until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run holds it.
    #[error("another run holds the lock{}", .since.map_or_else(String::new, |since| format!(" since {}", since.to_rfc3339())))]
    Busy {
        /// Its process number, where it wrote one.
        pid: Option<u32>,
        /// When it started, where it wrote it.
        since: Option<DateTime<Utc>>,
    },
    /// The file cannot be used.
    #[error("{0}")]
    Io(String),
}

impl LockError {
    /// How a run ends that could not get the lock: quietly, unless the holder is older than three intervals and so
    /// probably stuck.
    #[must_use]
    pub fn failure(&self, program: &str, interval: Duration) -> Failure {
        match self {
            Self::Io(text) => Failure::new(Exit::Failed, text.clone()),
            Self::Busy { pid, since } => {
                let age = since.and_then(|since| (clock::now() - since).to_std().ok()).unwrap_or_default();
                if age <= interval * 3 {
                    return Failure::new(Exit::Busy, "");
                }
                let pid = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
                let text = format!(
                    "a run{pid} of the {program} has not ended for {} s; look what it waits for",
                    age.as_secs()
                );
                Failure::new(Exit::Busy, text)
            }
        }
    }
}

/// Takes the lock without waiting and writes process number and start into the file (mode 0600).
///
/// # Errors
/// [`LockError`].
pub fn acquire(path: &Path) -> Result<Lock, LockError> {
    let failed = |error: std::io::Error| LockError::Io(format!("{}: {error}", path.display()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // What it says is for people only; a half-written line is no error.
            let _ = file.take(100).read_to_string(&mut text);
            let mut words = text.split_whitespace();
            let pid = words.next().and_then(|word| word.parse().ok());
            let since = words.next().and_then(|word| DateTime::parse_from_rfc3339(word).ok()).map(|at| at.to_utc());
            return Err(LockError::Busy { pid, since });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // Over the old words, so that a full disk has room for it; what it says is for people, the lock holds without.
    let text = format!("{} {}\n", std::process::id(), clock::now().to_rfc3339());
    let said = file.write_all(text.as_bytes()).and_then(|()| file.set_len(text.len() as u64));
    if let Err(error) = said {
        log::debug!("{}: {error}", path.display());
    }
    Ok(Lock { _file: file })
}

/// As [`acquire`], waiting for the run that holds the lock; nothing where no run ever made the file.
///
/// # Errors
/// [`LockError`]; `Busy` when it is still held after so long.
pub fn wait(path: &Path, longest: Duration) -> Result<Option<Lock>, LockError> {
    let until = Instant::now() + longest;
    loop {
        // Not made here: it must belong to the user who runs the programs.
        if !path.exists() {
            return Ok(None);
        }
        match acquire(path) {
            Err(LockError::Busy { .. }) if Instant::now() < until => std::thread::sleep(Duration::from_millis(100)),
            other => return other.map(Some),
        }
    }
}

/// Whether the file is there and no run holds it. Looks for a moment only; a run that starts in this very moment would
/// leave as if another were under way.
#[must_use]
pub fn is_free(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock_shared().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let lock = acquire(&path).unwrap();
        let Err(LockError::Busy { pid, since }) = acquire(&path) else { panic!("taken twice") };
        assert_eq!(pid, Some(std::process::id()));
        assert!(since.is_some());
        assert!(!is_free(&path));
        drop(lock);
        assert!(is_free(&path) && !is_free(&folder.path().join("none")));
        acquire(&path).unwrap();
        assert!(wait(&folder.path().join("none"), Duration::ZERO).unwrap().is_none());
        let held = wait(&path, Duration::ZERO).unwrap().unwrap();
        assert!(matches!(wait(&path, Duration::from_millis(150)), Err(LockError::Busy { .. })));
        let path = &path;
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| wait(path, Duration::from_secs(30)).unwrap().is_some());
            std::thread::sleep(Duration::from_millis(150));
            drop(held);
            assert!(waiting.join().unwrap());
        });
    }
}
