//! The other process of the probe, which asks mounts that may never answer.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::spool;
use crate::app::exit::{Exit, Failure, Outcome};
use crate::measure;

/// Whoever wants an answer has gone by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers the questions on standard input. With a spool, processes of this user take turns.
pub fn answer(spool: Option<&Path>) -> Outcome {
    let dir = spool.and_then(|dir| spool::safe_dir(dir, false).ok());
    measure::answer_mounts(io::stdin(), io::stdout(), |device| my_turn(dir.as_deref(), device))
        .map(|()| Exit::Done)
        .map_err(|error| Failure::new(Exit::Failed, format!("a pipe: {error}")))
}

/// A locked file of the spool, which nobody else can lock; gone once it is not needed.
struct Turn {
    path: PathBuf,
    _lock: File,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// One process a user asks a device at a time: while one hangs, the next waits here, where it can be killed, and stuck
/// processes do not pile up.
fn my_turn(dir: Option<&Path>, device: &[u8]) -> io::Result<Option<Turn>> {
    let named = (1..=32).contains(&device.len()) && device.iter().all(|b| b.is_ascii_digit() || *b == b':');
    let Some(dir) = dir.filter(|_| named) else { return Ok(None) };
    let name = format!("ask-{}", String::from_utf8_lossy(device));
    let end = Instant::now() + PATIENCE;
    loop {
        match spool::turn(dir, &name) {
            Ok(Some(lock)) => return Ok(Some(Turn { path: dir.join(name), _lock: lock })),
            Ok(None) if Instant::now() >= end => return Err(io::ErrorKind::TimedOut.into()),
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            // Without a way to take turns: ask all the same.
            Err(_) => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_taken_by_device_and_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_owned();
        let first = my_turn(Some(&dir), b"250:1").unwrap();
        assert!(first.is_some() && my_turn(Some(&dir), b"250:2").unwrap().is_some());
        let waiting = std::thread::spawn(move || my_turn(Some(&dir), b"250:1").is_ok_and(|turn| turn.is_some()));
        std::thread::sleep(Duration::from_millis(60));
        assert!(!waiting.is_finished());
        drop(first);
        assert!(waiting.join().unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn who_can_take_no_turn_asks_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        for (dir, device) in
            [(None, "0:1"), (Some(missing.as_path()), "0:1"), (Some(folder.path()), "../x"), (Some(folder.path()), "")]
        {
            assert!(my_turn(dir, device.as_bytes()).unwrap().is_none(), "{dir:?} {device}");
        }
    }
}
