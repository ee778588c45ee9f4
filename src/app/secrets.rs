//! Reads secrets where the configuration says they are; they go nowhere but to the one that needs them.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use crate::model::secret::{Secret, SecretSource};

/// No password is longer.
const MAX_SECRET: u64 = 4096;
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// Reads a secret.
///
/// # Errors
/// A text for people that names the source, never the secret.
pub fn read(source: &SecretSource) -> Result<Secret, String> {
    within(source, COMMAND_LIMIT)
}

/// What is known of a source; `None` while somebody reads it.
type Known = (SecretSource, Option<Result<Secret, String>>);

/// The secrets of a run, for all threads: each source is read once, however many hosts share it.
#[derive(Default)]
pub struct Secrets {
    known: Mutex<Vec<Known>>,
    news: Condvar,
}

impl Secrets {
    /// Reads a secret, or waits for the thread that does, not beyond the deadline.
    ///
    /// # Errors
    /// As [`read`].
    pub fn get(&self, source: &SecretSource, deadline: Instant) -> Result<Secret, String> {
        let left = || deadline.saturating_duration_since(Instant::now());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match known.iter().find(|(its, _)| its == source) {
                Some((_, Some(result))) => return result.clone(),
                Some((_, None)) if left().is_zero() => {
                    return Err("the command for a secret did not end before the deadline".to_owned());
                }
                Some((_, None)) => {
                    known = self.news.wait_timeout(known, left()).unwrap_or_else(PoisonError::into_inner).0;
                }
                None => break,
            }
        }
        known.push((source.clone(), None));
        drop(known);
        let limit = left().min(COMMAND_LIMIT);
        let result = within(source, limit);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(its, _)| its != source);
        // Who had less time than the limit and failed says nothing about those who have more.
        if result.is_ok() || limit == COMMAND_LIMIT {
            known.push((source.clone(), Some(result.clone())));
        }
        self.news.notify_all();
        result
    }
}

fn within(source: &SecretSource, limit: Duration) -> Result<Secret, String> {
    match source {
        SecretSource::Inline(secret) => Ok(secret.clone()),
        SecretSource::File(path) => file(path, true),
        SecretSource::Environment(name) => match std::env::var(name) {
            Ok(value) => first_line(value.as_bytes(), &format!("the variable {name}")),
            Err(_) => Err(format!("the variable {name} is not set; export it where this program is started")),
        },
        SecretSource::Command(line) => command(line, limit),
        SecretSource::Credential(name) => match std::env::var_os("CREDENTIALS_DIRECTORY") {
            // systemd keeps the folder itself to the service; the files are 0400 or 0440 by its version.
            Some(folder) => file(&PathBuf::from(folder).join(name), false),
            None => Err(format!(
                "credential {name}: $CREDENTIALS_DIRECTORY is not set; the unit needs LoadCredential={name}:FILE"
            )),
        },
    }
}

/// The first line of a file that only its owner can read. Mode and text are of the same open file.
fn file(path: &Path, ours: bool) -> Result<Secret, String> {
    let shown = path.display();
    let said = |error: std::io::Error| format!("the secret in {shown} cannot be read: {error}");
    // Before opening: a pipe without a writer would hold us for ever.
    if !std::fs::metadata(path).map_err(said)?.is_file() {
        return Err(format!("{shown} is not a regular file"));
    }
    let file = File::open(path).map_err(said)?;
    let meta = file.metadata().map_err(said)?;
    // root may lend a file to a service by its group: 0440 root:fleet.
    let lent = meta.uid() == 0 && meta.mode() & 0o037 == 0;
    if ours && meta.mode() & 0o077 != 0 && !lent {
        return Err(format!(
            "{shown} can be read by others (mode {:04o}); type: chmod 600 {shown}",
            meta.mode() & 0o7777
        ));
    }
    let mut bytes = Vec::new();
    file.take(MAX_SECRET + 1).read_to_end(&mut bytes).map_err(said)?;
    first_line(&bytes, &format!("the file {shown}"))
}

fn first_line(bytes: &[u8], from: &str) -> Result<Secret, String> {
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() as u64 > MAX_SECRET {
        return Err(format!("the first line of {from} is over {MAX_SECRET} bytes: that is no password"));
    }
    match std::str::from_utf8(line) {
        Ok("") => Err(format!("the first line of {from} is empty; the secret stands there")),
        Ok(text) if text.contains('\0') => Err(format!("the first line of {from} holds a zero byte")),
        Ok(text) => Ok(Secret::new(text.to_owned())),
        Err(_) => Err(format!("the first line of {from} is not UTF-8")),
    }
}

/// Starts the command that is its first argument. What it has as standard input is a line to us: where that ends without a
/// word we were killed, and nobody else would end the command. A signal of the kernel (PDEATHSIG) can only be asked for
/// by the child itself. Who watches is no child of the command, which may wait for all that it has.
const WATCHED: &str = "exec 3<&0 </dev/null\n\
                       ( { read -r _ <&3 || kill -KILL 0; } >/dev/null 2>&1 & )\n\
                       exec 3<&-\n\
                       exec /bin/sh -c \"$1\"";

/// The first line that a command prints. Its standard error is the person's.
#[allow(clippy::disallowed_methods, reason = "one of the places that start programs")]
fn command(line: &str, limit: Duration) -> Result<Secret, String> {
    use std::os::unix::process::CommandExt;
    let mut child = Command::new("/bin/sh")
        .args(["-c", WATCHED, "sh", line])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // A group of its own, so that what the shell started ends with it.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("the command for a secret cannot be started: {error}"))?;
    let Some(output) = child.stdout.take() else {
        return Err("the command for a secret has no output".to_owned());
    };
    let watch = child.stdin.take();
    let (say, heard) = mpsc::channel();
    // Reads on its own, for a read cannot be given a deadline; it ends with the command.
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let done = output.take(MAX_SECRET + 1).read_to_end(&mut bytes).map(|_| bytes);
        let _ = say.send(done);
    });
    let bytes = heard.recv_timeout(limit);
    let mut ended = None;
    if bytes.is_ok() {
        // Output is closed; a moment for the status.
        for _ in 0..100 {
            ended = child.try_wait().ok().flatten();
            if ended.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    if ended.is_none() {
        if let Ok(id) = i32::try_from(child.id())
            && let Some(group) = rustix::process::Pid::from_raw(id)
        {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    // What it left behind in good order stays.
    let _ = watch.map(|mut watch| watch.write_all(b"\n"));
    match (bytes, ended) {
        (Err(_), _) => Err(format!(
            "the command for a secret did not end within {:.0} s; it was killed",
            limit.as_secs_f64().ceil()
        )),
        (Ok(Err(error)), _) => Err(format!("the command for a secret: {error}")),
        (Ok(Ok(_)), Some(status)) if !status.success() => {
            Err(format!("the command for a secret failed ({status}); run it by hand to see why"))
        }
        (Ok(Ok(bytes)), _) => first_line(&bytes, "the output of the command"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pw");
        std::fs::write(&path, "hunter2\r\nrest\n").unwrap();
        for (mode, good) in [(0o600, true), (0o400, true), (0o644, false), (0o604, false), (0o620, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match read(&SecretSource::File(path.clone())) {
                Ok(secret) => assert!(good && secret.expose() == "hunter2", "{mode:o}"),
                Err(text) => {
                    assert!(!good, "{mode:o} {text}");
                    assert!(text.contains("chmod 600") && !text.contains("hunter2"));
                }
            }
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "\n").unwrap();
        assert!(read(&SecretSource::File(path)).is_err());
        assert!(read(&SecretSource::File(dir.path().join("none"))).is_err());
        assert!(read(&SecretSource::File(dir.path().to_owned())).is_err());
    }

    #[test]
    fn commands_are_bounded_and_must_succeed() {
        let run = |line: &str| command(line, Duration::from_millis(400));
        assert_eq!(run("echo hunter2").unwrap().expose(), "hunter2");
        assert!(run("echo hunter2; exit 1").unwrap_err().contains("failed"));
        assert!(run("true").is_err());
        let waits = "exec perl -e '1 while wait() != -1; print \"hunter2\\n\"'";
        assert_eq!(command(waits, COMMAND_LIMIT).unwrap().expose(), "hunter2", "it has no child that it did not start");
        let start = Instant::now();
        assert!(run("sleep 30 & sleep 30").unwrap_err().contains("killed"));
        assert!(run("yes | tr -d '\\n'").is_err());
        assert!(run("read line; echo \"$?\"").unwrap().expose() == "1", "nobody types anything");
        assert!(start.elapsed() < Duration::from_secs(8));
    }

    #[test]
    fn what_a_command_leaves_behind_in_good_order_stays() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("late");
        let line = format!("(sleep 0.5; echo >{}) >/dev/null 2>&1 & echo hunter2", file.display());
        assert_eq!(command(&line, COMMAND_LIMIT).unwrap().expose(), "hunter2");
        let until = Instant::now() + COMMAND_LIMIT;
        while !file.exists() {
            assert!(Instant::now() < until, "it was killed");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_source_that_many_share_is_read_once_and_none_waits_beyond_its_deadline() {
        let dir = tempfile::tempdir().unwrap();
        let count = dir.path().join("count");
        let line = format!("echo x >>{}; sleep 0.3; echo hunter2", count.display());
        let (source, secrets) = (SecretSource::Command(line), Secrets::default());
        let soon = Instant::now() + Duration::from_secs(9);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(secrets.get(&source, soon).unwrap().expose(), "hunter2"));
            }
        });
        assert_eq!(std::fs::read_to_string(&count).unwrap(), "x\n");

        let slow = SecretSource::Command("sleep 1; echo late".to_owned());
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| assert!(secrets.get(&slow, begun + Duration::from_millis(200)).is_err()));
            }
        });
        // That it was too slow for them is not held against those who have time.
        assert_eq!(secrets.get(&slow, begun + Duration::from_secs(60)).unwrap().expose(), "late");
    }

    #[test]
    fn a_missing_variable_is_named() {
        let text = read(&SecretSource::Environment("FLEET_TEST_NOT_SET".to_owned())).unwrap_err();
        assert!(text.contains("FLEET_TEST_NOT_SET"));
    }
}
