//! The monitoring machine itself, without SSH: the probe as a child process, the same conversation.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{MAX_COMPLAINT, SshError, Stream};
use crate::model::cause::Cause;
use crate::model::job::Traffic;

/// A probe that runs as our child; killed with all it started when it is dropped.
pub struct Local {
    child: Child,
    pipe: UnixStream,
    errors: UnixStream,
    complaint: Vec<u8>,
    deadline: Instant,
    allowance: u64,
    traffic: Traffic,
    owed: bool,
}

/// Starts the probe of this machine's architecture.
///
/// # Errors
/// [`Cause::NoProbe`] or [`Cause::LocalSetup`].
pub fn start(probes: &Path, deadline: Instant, receive: u64) -> Result<Local, SshError> {
    let machine = rustix::system::uname().machine().to_string_lossy().into_owned();
    let file = probes.join(format!("{}-linux/fleet-probe", super::deploy::arch_of(&machine)));
    if !file.is_file() {
        return Err(SshError::new(
            Cause::NoProbe,
            format!("{}: is not there; build it with: make build", file.display()),
        ));
    }
    let spool = spool().map_err(|text| SshError::new(Cause::LocalSetup, text))?;
    let setup = |error: io::Error| SshError::new(Cause::LocalSetup, format!("{}: {error}", file.display()));
    let (pipe, far) = UnixStream::pair().map_err(setup)?;
    let (errors, far_errors) = UnixStream::pair().map_err(setup)?;
    errors.set_nonblocking(true).map_err(setup)?;
    let output = far.try_clone().map_err(setup)?;
    #[allow(clippy::disallowed_methods, reason = "the home of the local probe")]
    let mut command = Command::new(&file);
    command.arg("--serve").arg("--spool").arg(&spool).process_group(0);
    // Secrets in our environment are none of the probe's business.
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"));
    command.stdin(Stdio::from(OwnedFd::from(far))).stdout(Stdio::from(OwnedFd::from(output)));
    command.stderr(Stdio::from(OwnedFd::from(far_errors)));
    let child = command.spawn().map_err(setup)?;
    let traffic = Traffic::default();
    Ok(Local { child, pipe, errors, complaint: Vec::new(), deadline, allowance: receive, traffic, owed: false })
}

/// Removes what the probe left on this machine; the directory, if there was one.
///
/// # Errors
/// A text for people.
pub fn erase() -> Result<Option<PathBuf>, String> {
    let folder = cache()?.join("fleet-health");
    let ours = fs::symlink_metadata(&folder)
        .is_ok_and(|facts| facts.is_dir() && facts.uid() == rustix::process::geteuid().as_raw());
    if !ours {
        return Ok(None);
    }
    fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(Some(folder))
}

fn cache() -> Result<PathBuf, String> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .ok_or_else(|| "neither HOME nor XDG_CACHE_HOME is set".to_owned())
}

/// `~/.cache/fleet-health/spool`, as on every other host; its parent is ours alone.
fn spool() -> Result<PathBuf, String> {
    let cache = cache()?;
    let folder = cache.join("fleet-health");
    let say = |error: io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&cache).map_err(say)?;
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(say(error)),
        _ => {}
    }
    let facts = fs::symlink_metadata(&folder).map_err(say)?;
    if !facts.is_dir() || facts.uid() != rustix::process::geteuid().as_raw() || facts.mode() & 0o022 != 0 {
        return Err(format!("{}: must be a directory of ours that others cannot write to", folder.display()));
    }
    Ok(folder.join("spool"))
}

impl Local {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left < Duration::from_millis(1) { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    fn drain_complaint(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        while let Ok(count) = self.errors.read(&mut buffer) {
            let room = MAX_COMPLAINT - self.complaint.len();
            self.complaint.extend_from_slice(&buffer[..count.min(room)]);
            if count > room {
                return Err(io::Error::new(ErrorKind::FileTooLarge, "over 16 KiB on standard error"));
            }
            if count == 0 {
                break;
            }
        }
        Ok(())
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait()
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Read for Local {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.owed) {
            self.traffic.round_trips += 1;
        }
        loop {
            self.drain_complaint()?;
            // Short waits, so that standard error is drained meanwhile.
            self.pipe.set_read_timeout(Some(self.left()?.min(Duration::from_millis(250))))?;
            match self.pipe.read(buffer) {
                Ok(count) => {
                    self.traffic.received += count as u64;
                    let over = || io::Error::new(ErrorKind::FileTooLarge, "more bytes than allowed");
                    self.allowance = self.allowance.checked_sub(count as u64).ok_or_else(over)?;
                    return Ok(count);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(0),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Write for Local {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pipe.set_write_timeout(Some(self.left()?))?;
        let count = match self.pipe.write(bytes) {
            // A probe that has died already tells how by its end, which the next read meets.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => bytes.len(),
            other => other?,
        };
        self.traffic.sent += count as u64;
        self.owed = true;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Local {
    fn bound(&mut self, deadline: Instant, receive: u64) {
        self.deadline = deadline;
        self.allowance = receive;
    }

    fn traffic(&self) -> Traffic {
        self.traffic
    }

    fn complaint(&self) -> &[u8] {
        &self.complaint
    }

    fn part(&mut self) -> io::Result<()> {
        self.pipe.shutdown(Shutdown::Write)?;
        // Dropping kills it, so it is let end first; deleting a few files takes it no time.
        let mut rest = [0; 1024];
        while self.read(&mut rest)? > 0 {}
        Ok(())
    }

    fn ending(&mut self) -> Option<String> {
        let until = self.deadline.min(Instant::now() + Duration::from_millis(500));
        loop {
            let _ = self.drain_complaint();
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return None,
                Ok(Some(status)) => {
                    let signal = status.signal().map(|number| format!("signal {number}"));
                    return signal.or_else(|| status.code().map(|code| format!("exit status {code}")));
                }
                _ if Instant::now() >= until => return None,
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}
