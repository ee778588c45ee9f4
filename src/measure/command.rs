//! Runs a program of the host: bounded in time and output, without our environment, and ended with all its children.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process};

use super::boot::boot_id;
use super::process::started;
use super::root::Root;

/// The most bytes of output that are kept, and that are read.
const MAX_OUTPUT: usize = 1 << 20;
const MAX_READ: u64 = 64 << 20;
/// The most bytes of complaints.
const MAX_COMPLAINT: usize = 1024;
/// How long one that was killed may take to end.
const LAST_PATIENCE: Duration = Duration::from_millis(200);
/// Where a program finds others; nothing of the user's own.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// What a program said.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The last 1 MiB of its standard output: of a log that is what is new.
    pub(super) output: Vec<u8>,
    /// Whether there was more.
    pub(super) cut: bool,
    /// The start of its standard error.
    pub(super) complaint: Vec<u8>,
    /// Its exit status; `None` where a signal ended it.
    pub(super) status: Option<i32>,
}

/// A program took too long.
#[derive(Debug)]
struct Late {
    /// The mark of its process where no signal ended it; else empty.
    left: String,
}

impl std::error::Error for Late {}

impl std::fmt::Display for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no answer in time")
    }
}

/// The mark of the process that this error left behind, because no signal ends it; empty where it left none.
pub(super) fn left(error: &io::Error) -> String {
    error.get_ref().and_then(|late| late.downcast_ref::<Late>()).map(|late| late.left.clone()).unwrap_or_default()
}

/// The number of the process with this mark; empty where there is no mark.
pub(super) fn pid(mark: &str) -> &str {
    mark.split(' ').next().unwrap_or_default()
}

/// Whether the process with this mark still lives.
pub(super) fn lives(mark: &str) -> bool {
    pid(mark).parse().ok().and_then(self::mark).is_some_and(|now| now == mark)
}

/// The number, start and boot of a process that lives: numbers are given again. It runs on this machine, whatever stands
/// for `/`.
pub(super) fn mark(pid: u32) -> Option<String> {
    let root = Root::default();
    let start = match started(&root, pid) {
        Some(start) => start.to_string(),
        // Ended, but nobody has looked after it.
        None if root.read_at_most(format!("/proc/{pid}/stat"), 1).is_ok() => return None,
        // Where /proc hides the processes of others (hidepid) sudo's is known by its number alone.
        None => {
            let found = test_kill_process(Pid::from_raw(i32::try_from(pid).ok()?)?);
            (found == Err(Errno::PERM)).then(|| "-".to_owned())?
        }
    };
    Some(format!("{pid} {start} {}", boot_id(&root)))
}

/// The first of some programs that is there.
pub(super) fn find(root: &Root, programs: &[&'static str]) -> Option<&'static str> {
    programs.iter().copied().find(|program| root.path(program).is_file())
}

/// Runs a program of the machine to its end.
///
/// # Errors
/// `NotFound` where it is not there, `TimedOut` where it took too long; it is ended then, or [`left`] behind.
pub(super) fn run(root: &Root, program: &str, arguments: &[&str], patience: Duration) -> io::Result<Said> {
    let end = Instant::now() + patience;
    let (mut errors, far) = io::pipe()?;
    // It is looked at in the end only: who complains more than a pipe holds waits for nobody, and neither do we.
    fcntl_setfl(&errors, OFlags::NONBLOCK)?;
    fcntl_setfl(&far, OFlags::NONBLOCK)?;
    #[allow(clippy::disallowed_methods, reason = "the home of the host's own programs")]
    let mut command = Command::new(root.path(Path::new(program)));
    command.args(arguments).env_clear().env("PATH", PATH).env("LC_ALL", "C").current_dir("/");
    // A group of its own, so that what it starts can be ended with it.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(far).process_group(0);
    let mut child = Running { child: root.start(&mut command)?, given_up: false };
    let Some(output) = child.child.stdout.take() else { return Err(io::ErrorKind::BrokenPipe.into()) };
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().stack_size(64 * 1024).spawn(move || {
        // Nobody listens any more where the time was over.
        let _ = sender.send(last(output.take(MAX_READ)));
    })?;
    let Ok(read) = receiver.recv_timeout(end.saturating_duration_since(Instant::now())) else {
        return Err(child.late());
    };
    let (output, cut) = read?;
    loop {
        if let Some(status) = child.child.try_wait()? {
            let mut complaint = vec![0; MAX_COMPLAINT];
            let length = errors.read(&mut complaint).unwrap_or(0);
            complaint.truncate(length);
            return Ok(Said { output, cut, complaint, status: status.code() });
        }
        if Instant::now() >= end {
            return Err(child.late());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What comes last, and whether there was more.
fn last(mut from: impl Read) -> io::Result<(Vec<u8>, bool)> {
    let (mut bytes, mut cut) = (Vec::new(), false);
    while from.by_ref().take(MAX_OUTPUT as u64).read_to_end(&mut bytes)? > 0 {
        let more = bytes.len().saturating_sub(MAX_OUTPUT);
        cut |= more > 0;
        bytes.drain(..more);
    }
    Ok((bytes, cut))
}

/// A child that does not outlive the question.
struct Running {
    child: Child,
    given_up: bool,
}

impl Running {
    fn late(&mut self) -> io::Error {
        self.end();
        let left = match self.child.try_wait() {
            Ok(None) => mark(self.child.id()).unwrap_or_default(),
            _ => String::new(),
        };
        io::Error::new(io::ErrorKind::TimedOut, Late { left })
    }

    fn end(&mut self) {
        if !self.given_up && matches!(self.child.try_wait(), Ok(None)) {
            if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = self.child.kill();
            // One that waits for a broken disk does not die, and root's own (sudo's) we may not kill: it is left behind.
            let end = Instant::now() + LAST_PATIENCE;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        self.given_up = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, patience: Duration) -> io::Result<Said> {
        run(&Root::default(), "/bin/sh", &["-c", script], patience)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn output_and_status_come_back_and_nothing_of_our_environment_goes() {
        let said = sh("echo \"$HOME-$LC_ALL\"; exit 3", LONG).unwrap();
        assert_eq!((said.output.as_slice(), said.status), (b"-C\n".as_slice(), Some(3)));
        assert_eq!(sh("kill -9 $$", LONG).unwrap().status, None);
        let missing = run(&Root::default(), "/nowhere/x", &[], LONG).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_takes_too_long_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let late = folder.path().join("late");
        let script = format!("(sleep 1; touch {}) & sleep 9", late.display());
        let begin = Instant::now();
        let error = sh(&script, Duration::from_millis(200)).unwrap_err();
        assert_eq!((error.kind(), left(&error).as_str()), (io::ErrorKind::TimedOut, ""));
        assert!(begin.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(1500));
        assert!(!late.exists(), "a child lived on");
    }

    #[test]
    fn a_process_is_known_again_and_not_taken_for_the_next_of_its_number() {
        #[allow(clippy::disallowed_methods, reason = "a process to look at")]
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let mark = mark(child.id()).unwrap();
        assert!(lives(&mark), "{mark}");
        let words: Vec<&str> = mark.split(' ').collect();
        assert!(!lives(&format!("{} 1 {}", words[0], words[2])), "another start");
        assert!(!lives(&format!("{} {} another-boot", words[0], words[1])));
        assert!(!lives("") && !lives("x") && !lives("0 1 2") && !lives("4294967295 1 x"));
        child.kill().unwrap();
        // Ended and not looked after, as one whose parent never asks.
        let end = Instant::now() + LONG;
        while lives(&mark) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(!lives(&mark), "a zombie");
        child.wait().unwrap();
        assert!(!lives(&mark));
    }

    /// A log that is longer than what is kept ends with what is new, and its program with its own status.
    #[test]
    fn of_long_output_the_end_is_kept_and_endless_output_ends() {
        let said = sh("echo first; head -c 3000000 /dev/zero; echo last; exit 4", LONG).unwrap();
        assert!(said.cut && said.output.len() == MAX_OUTPUT && said.output.ends_with(b"\0last\n"));
        assert_eq!(said.status, Some(4));
        let said = sh("yes", LONG).unwrap();
        assert!(said.cut && said.output.len() == MAX_OUTPUT && said.status != Some(0));
        let said = sh("echo one; echo two >&2; yes no | head -c 200000 >&2; exit 3", LONG).unwrap();
        assert!(!said.cut && said.complaint.starts_with(b"two\n") && said.complaint.len() == MAX_COMPLAINT);
        assert_eq!((said.output.as_slice(), said.status), (b"one\n".as_slice(), Some(3)));
    }
}
