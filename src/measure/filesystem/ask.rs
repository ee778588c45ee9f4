//! Asks filesystems how full they are where one that never answers can be left behind.
//!
//! A task that waits for a dead server cannot be ended, and neither can the process that it belongs to: it would keep
//! the spool locked and the channel to the collector open. So what may hang is asked by another process, which holds
//! nothing of ours but two pipes. What lies on disks of the machine is asked by a thread, which costs nothing.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::super::root::Root;
use super::super::text::{whole, words};
use super::table::Mount;

/// The argument that makes the probe the other process.
pub const ASK: &str = "--ask-mounts";
/// The argument before the folder in which such processes take turns.
const SPOOL: &str = "--spool";
/// The most bytes of questions.
const MAX_QUESTIONS: u64 = 4 << 20;

/// What statvfs says, in bytes and inodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) size: u64,
    pub(super) free: u64,
    pub(super) available: u64,
    pub(super) inodes: u64,
    pub(super) inodes_free: u64,
}

pub(super) type Answer = io::Result<Space>;
pub(super) type Ask = fn(&Path) -> Answer;

/// Answers that are under way, in the order of the questions.
pub(super) struct Answers {
    receiver: Receiver<Answer>,
    child: Option<Child>,
}

impl Answers {
    pub(super) fn next(&self, patience: Duration) -> Result<Answer, RecvTimeoutError> {
        self.receiver.recv_timeout(patience)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Where it cannot be killed now it ends when its question is answered; waiting for it would hang us.
            let _ = child.kill();
            let _ = child.try_wait();
        }
    }
}

fn path_of(root: &Root, mount: &Mount) -> PathBuf {
    root.path(PathBuf::from(OsString::from_vec(mount.point.clone())))
}

/// A thread that asks one after the other.
pub(super) fn by_thread(root: &Root, mounts: &[Mount], ask: Ask) -> io::Result<Answers> {
    let paths: Vec<PathBuf> = mounts.iter().map(|mount| path_of(root, mount)).collect();
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().stack_size(128 * 1024).spawn(move || {
        for path in paths {
            if sender.send(ask(&path)).is_err() {
                return;
            }
        }
    })?;
    Ok(Answers { receiver, child: None })
}

/// Another process that asks one after the other.
pub(super) fn by_process(
    root: &Root,
    mounts: &[Mount],
    (program, spool): (&Path, Option<&Path>),
) -> io::Result<Answers> {
    #[allow(clippy::disallowed_methods, reason = "the home of the process that may hang")]
    let mut command = Command::new(program);
    // Nothing of ours stays in use: no folder, no terminal, no channel.
    command.arg(ASK).env_clear().current_dir("/").stderr(Stdio::null()).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.args(spool.map(|_| SPOOL)).args(spool);
    let mut child = command.spawn()?;
    let (sender, receiver) = mpsc::channel();
    let mut questions = Vec::new();
    for mount in mounts {
        questions.extend_from_slice(&mount.device);
        questions.push(b' ');
        questions.extend(path_of(root, mount).into_os_string().into_vec());
        questions.push(0);
    }
    let pipes = child.stdin.take().zip(child.stdout.take());
    let answers = Answers { receiver, child: Some(child) };
    let Some((mut input, output)) = pipes else { return Err(io::ErrorKind::BrokenPipe.into()) };
    input.write_all(&questions)?;
    drop(input);
    std::thread::Builder::new().stack_size(64 * 1024).spawn(move || {
        for line in BufReader::with_capacity(512, output).split(b'\n').map_while(Result::ok) {
            if sender.send(read(&line)).is_err() {
                return;
            }
        }
    })?;
    Ok(answers)
}

/// The other process's part: questions come in, each ended by a zero byte, answers go out. Each device is asked in its turn,
/// which lasts as long as what is returned for it; without one the answer is why there is none.
///
/// # Errors
/// Those of the two streams, and `TimedOut` of what waits for a turn.
pub fn answer<T>(input: impl Read, mut output: impl Write, turn: impl Fn(&[u8]) -> io::Result<T>) -> io::Result<()> {
    let mut questions = Vec::new();
    input.take(MAX_QUESTIONS).read_to_end(&mut questions)?;
    for question in questions.split(|&b| b == 0).filter(|question| !question.is_empty()) {
        let blank = question.iter().position(|&b| b == b' ').unwrap_or(0);
        let (device, path) = question.split_at(blank);
        let path = PathBuf::from(OsString::from_vec(path.get(1..).unwrap_or_default().to_vec()));
        let answer = match turn(device) {
            Ok(_turn) => statvfs(&path),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(error),
            Err(error) => Err(error),
        };
        output.write_all(write(&answer).as_bytes())?;
        output.flush()?;
    }
    Ok(())
}

fn write(answer: &Answer) -> String {
    match answer {
        Ok(Space { size, free, available, inodes, inodes_free }) => {
            format!("{size} {free} {available} {inodes} {inodes_free}\n")
        }
        Err(error) => format!("! {}\n", error.raw_os_error().unwrap_or_default()),
    }
}

fn read(line: &[u8]) -> Answer {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "an answer that is none");
    let mut words = words(line);
    let mut number = |word: Option<&[u8]>| word.or_else(|| words.next()).and_then(whole).ok_or_else(wrong);
    if let Some(error) = line.strip_prefix(b"! ") {
        let code = i32::try_from(number(Some(error))?).map_err(|_| wrong())?;
        return Err(io::Error::from_raw_os_error(code));
    }
    let mut next = || number(None);
    Ok(Space { size: next()?, free: next()?, available: next()?, inodes: next()?, inodes_free: next()? })
}

pub(super) fn statvfs(path: &Path) -> Answer {
    let answer = rustix::fs::statvfs(path)?;
    Ok(Space {
        size: answer.f_blocks.saturating_mul(answer.f_frsize),
        free: answer.f_bfree.saturating_mul(answer.f_frsize),
        available: answer.f_bavail.saturating_mul(answer.f_frsize),
        inodes: answer.f_files,
        inodes_free: answer.f_ffree,
    })
}

/// How long one mount may take, and until when all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    pub(super) each: Duration,
    pub(super) end: Instant,
}

/// What became of a question.
pub(super) enum Outcome {
    Answered(Answer),
    Hung,
    /// Others took all the time.
    NotAsked,
    /// What asks could not be started, or ended.
    Broken(io::Error),
}

/// Asks all; what hangs is left behind and what asks is started anew for the rest.
pub(super) fn all(
    mounts: &[Mount],
    start: impl Fn(&[Mount]) -> io::Result<Answers>,
    deadline: Deadline,
    mut tell: impl FnMut(&Mount, Outcome),
) {
    let mut under_way: Option<Answers> = None;
    for (at, mount) in mounts.iter().enumerate() {
        let left = deadline.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            tell(mount, Outcome::NotAsked);
            continue;
        }
        let answers = match under_way.take().map_or_else(|| start(&mounts[at..]), Ok) {
            Ok(answers) => answers,
            Err(error) => {
                tell(mount, Outcome::Broken(error));
                continue;
            }
        };
        match answers.next(deadline.each.min(left)) {
            Ok(answer) => {
                under_way = Some(answers);
                tell(mount, Outcome::Answered(answer));
            }
            Err(RecvTimeoutError::Timeout) => tell(mount, Outcome::Hung),
            Err(RecvTimeoutError::Disconnected) => {
                tell(mount, Outcome::Broken(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended too early")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_survive_the_pipe() {
        let space = Space { size: u64::MAX, free: 3, available: 2, inodes: 0, inodes_free: 1 };
        assert_eq!(read(write(&Ok(space)).trim_end().as_bytes()).unwrap(), space);
        let denied = read(write(&Err(io::Error::from_raw_os_error(13))).trim_end().as_bytes()).unwrap_err();
        assert_eq!(denied.kind(), io::ErrorKind::PermissionDenied);
        for bad in [&b""[..], b"1 2 3 4", b"1 2 3 4 x", b"!", b"! x", b"! 99999999999", b"\xff"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_other_process_answers_each_question() {
        let mut output = Vec::new();
        answer(&b"0:1 /\x000:2 /does/not/exist\x00\x00x\x00"[..], &mut output, |_| Ok(())).unwrap();
        let lines: Vec<_> = output.split(|&b| b == b'\n').filter(|line| !line.is_empty()).map(read).collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].as_ref().unwrap().size > 0);
        assert_eq!(lines[1].as_ref().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(lines[2].is_err());
        let mut output = Vec::new();
        answer(&b"0:1 /\x00"[..], &mut output, |_| Err::<(), _>(rustix::io::Errno::NOLCK.into())).unwrap();
        assert_eq!(output, b"! 37\n");
        assert!(answer(&b"0:1 /\x00"[..], &mut output, |_| Err::<(), _>(io::ErrorKind::TimedOut.into())).is_err());
    }
}
