//! The other process of the probe, which asks mounts that may never answer.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::spool;
use crate::app::exit::{Exit, Failure, Outcome};
use crate::measure;

/// Whoever wants an answer has gone by then.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a file by which turns are taken is called, before the device.
const NAME: &str = "ask-";

/// Answers the questions on standard input. Processes of this user take turns: in the spool, or where there is none or it
/// cannot be written to, in memory.
pub fn answer(spool: Option<&Path>) -> Outcome {
    let user = format!("fleet-health-{}", rustix::process::geteuid().as_raw());
    let spool = spool.map(|dir| Place { path: dir.to_owned(), make: false });
    let memory = ["/dev/shm", "/run"].map(|dir| Place { path: Path::new(dir).join(&user), make: true });
    let places: Vec<Place> = spool.into_iter().chain(memory).collect();
    places.iter().for_each(sweep);
    measure::answer_mounts(io::stdin(), io::stdout(), |device| my_turn(&places, device))
        .map(|()| Exit::Done)
        .map_err(|error| Failure::new(Exit::Failed, format!("a pipe: {error}")))
}

/// A folder in which turns may be taken.
struct Place {
    path: PathBuf,
    /// It is made for that, and goes once it is empty.
    make: bool,
}

/// A locked file, which nobody else can lock; gone once it is not needed.
struct Turn {
    path: PathBuf,
    _lock: File,
    made: Option<PathBuf>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        if let Some(made) = &self.made {
            let _ = fs::remove_dir(made);
        }
    }
}

/// One process a user asks a device at a time: while one hangs, the next waits here, where it can be killed, and stuck
/// processes do not pile up. Where no place takes a lock the device is not asked, with the error [`Errno::NOLCK`].
fn my_turn(places: &[Place], device: &[u8]) -> io::Result<Option<Turn>> {
    let named = (1..=32).contains(&device.len()) && device.iter().all(|b| b.is_ascii_digit() || *b == b':');
    if !named {
        return Ok(None);
    }
    let name = format!("{NAME}{}", String::from_utf8_lossy(device));
    let end = Instant::now() + PATIENCE;
    loop {
        let taken = places.iter().find_map(|place| {
            let dir = spool::safe_dir(&place.path, place.make).ok()?;
            Some((spool::turn(&dir, &name).ok()?, dir, place.make))
        });
        match taken {
            Some((Some(lock), dir, made)) => {
                return Ok(Some(Turn { path: dir.join(name), _lock: lock, made: made.then_some(dir) }));
            }
            Some(_) if Instant::now() >= end => return Err(io::ErrorKind::TimedOut.into()),
            Some(_) => std::thread::sleep(Duration::from_millis(20)),
            None => return Err(Errno::NOLCK.into()),
        }
    }
}

/// Removes what those left that were killed; what somebody holds stays.
fn sweep(place: &Place) {
    let Ok(dir) = spool::safe_dir(&place.path, false) else { return };
    for entry in fs::read_dir(&dir).into_iter().flatten().flatten().take(10_000) {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(NAME)) else { continue };
        if let Ok(Some(lock)) = spool::turn(&dir, name) {
            let _ = fs::remove_file(dir.join(name));
            drop(lock);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &Path, make: bool) -> Place {
        Place { path: path.to_owned(), make }
    }

    #[test]
    fn turns_are_taken_by_device_and_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_owned();
        let first = my_turn(&[place(&dir, false)], b"250:1").unwrap();
        assert!(first.is_some() && my_turn(&[place(&dir, false)], b"250:2").unwrap().is_some());
        let waiting =
            std::thread::spawn(move || my_turn(&[place(&dir, false)], b"250:1").is_ok_and(|turn| turn.is_some()));
        std::thread::sleep(Duration::from_millis(60));
        assert!(!waiting.is_finished());
        drop(first);
        assert!(waiting.join().unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    /// Then each visit left one more process that hung.
    #[test]
    fn without_a_spool_turns_are_taken_elsewhere_and_without_any_place_nothing_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, memory) = (folder.path().join("missing/spool"), folder.path().join("memory"));
        let places = [place(&missing, false), place(&memory, true)];
        let first = my_turn(&places, b"0:1").unwrap();
        assert!(memory.join("ask-0:1").exists());
        let dir = spool::safe_dir(&memory, false).unwrap();
        assert!(spool::turn(&dir, "ask-0:1").unwrap().is_none(), "it is held");
        drop(first);
        assert!(!memory.exists(), "it was made for that");
        let none = my_turn(&[place(&missing, false), place(&missing, true)], b"0:1").err();
        assert_eq!(none.and_then(|error| error.raw_os_error()), Some(Errno::NOLCK.raw_os_error()));
        for device in ["../x", ""] {
            assert!(my_turn(&places, device.as_bytes()).unwrap().is_none(), "{device}");
        }
    }

    #[test]
    fn files_of_those_that_were_killed_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let here = [place(folder.path(), false)];
        let _held = my_turn(&here, b"0:1").unwrap();
        fs::write(folder.path().join("ask-0:2"), "").unwrap();
        fs::write(folder.path().join("answers"), "").unwrap();
        sweep(&here[0]);
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        left.sort();
        assert_eq!(left, ["answers", "ask-0:1"]);
    }
}
