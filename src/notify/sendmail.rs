//! The machine's own mail program, as sendmail, postfix, exim, msmtp and others bring it.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::message::address;
use super::{Channel, Class, Parcel, Refusal, Say, Session, Setup};
use crate::model::clean::{clean, clean_bytes};
use crate::model::spec::ChannelSpec;

/// What is heard of its complaints.
const MOST: u64 = 4096;
/// Between two looks whether it has ended.
const STEP: Duration = Duration::from_millis(5);

pub struct Sendmail;

struct Runner {
    program: PathBuf,
    from: String,
    timeout: Duration,
}

impl Channel for Sendmail {
    fn name(&self) -> &'static str {
        "sendmail"
    }

    fn recipients(&self, channel: &ChannelSpec) -> Option<Vec<String>> {
        match channel {
            ChannelSpec::Sendmail(it) => Some(it.addresses.clone()),
            _ => None,
        }
    }

    fn open(&self, setup: &Setup<'_>, _say: Say<'_>) -> Result<Box<dyn Session>, Refusal> {
        let ChannelSpec::Sendmail(it) = setup.channel else {
            return Err(refuse(Class::Configuration, "this destination has no sendmail=".to_owned()));
        };
        let from = address(&it.from).to_owned();
        Ok(Box::new(Runner { program: it.program.clone(), from, timeout: setup.timeout * 2 }))
    }

    fn reach(&self, setup: &Setup<'_>, say: Say<'_>) -> Result<(), Refusal> {
        let ChannelSpec::Sendmail(it) = setup.channel else { return self.open(setup, say).map(drop) };
        rustix::fs::access(&it.program, rustix::fs::Access::EXEC_OK).map_err(|error| {
            refuse(Class::Configuration, format!("{}: {error}; mend sendmail= of <to>", it.program.display()))
        })
    }
}

fn refuse(class: Class, text: String) -> Refusal {
    Refusal { class, stage: "sendmail", text }
}

/// What an exit says (sysexits.h).
fn sort(status: ExitStatus) -> Option<Class> {
    match status.code() {
        Some(0) => None,
        // No such user, no such host.
        Some(67 | 68) => Some(Class::RowDead),
        Some(65) => Some(Class::Content),
        Some(75) => Some(Class::RowTemporary),
        // Usage, no permission, wrong configuration, nothing to run.
        Some(64 | 77 | 78 | 126 | 127) => Some(Class::Configuration),
        Some(_) => Some(Class::Transport),
        // Killed on its way: nobody knows how far it was.
        None => Some(Class::Ambiguous),
    }
}

/// Local programs take the line ends of this system.
fn local(bytes: &[u8]) -> Vec<u8> {
    let crlf = |n: usize, b: u8| b == b'\r' && bytes.get(n + 1) == Some(&b'\n');
    bytes.iter().enumerate().filter(|&(n, &b)| !crlf(n, b)).map(|(_, &b)| b).collect()
}

#[allow(clippy::disallowed_methods, reason = "one of the places that start programs")]
fn start(program: &Path, from: &str, to: &str) -> std::io::Result<Child> {
    Command::new(program)
        // A line with a point alone does not end the mail.
        .args(["-i", "-f", from, "--", to])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // So that what it started ends with it.
        .process_group(0)
        .spawn()
}

/// Waits for its end; `None` if it took too long and was ended.
fn wait(child: &mut Child, timeout: Duration) -> std::io::Result<Option<ExitStatus>> {
    let until = Instant::now() + timeout;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            if let Ok(pid) = i32::try_from(child.id()).map(Pid::from_raw)
                && let Some(pid) = pid
            {
                // If it ended by itself meanwhile, all the better.
                let _ = kill_process_group(pid, Signal::KILL);
            }
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(STEP);
    }
}

impl Session for Runner {
    fn send(&mut self, parcel: &Parcel<'_>, say: Say<'_>) -> Result<(), Refusal> {
        let shown = self.program.display().to_string();
        say(&format!("{shown} -i -f {} -- {}", clean(&self.from), clean(parcel.recipient)));
        let failed = |error: std::io::Error| refuse(Class::Configuration, format!("{shown}: {error}"));
        let mut child = start(&self.program, &self.from, parcel.recipient).map_err(failed)?;
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        let bytes = local(parcel.bytes);
        // One that does not read must not hold us, nor one whose children keep its pipes open.
        std::thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(&bytes)));
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut words = Vec::new();
            if let Some(pipe) = stderr {
                // What could not be read is not told.
                let _ = pipe.take(MOST).read_to_end(&mut words);
            }
            // Nobody may be waiting any more.
            let _ = tell.send(clean_bytes(&words));
        });
        let status = wait(&mut child, self.timeout).map_err(failed)?;
        let Some(status) = status else {
            let text = format!("{shown} took over {:?} and was ended", self.timeout);
            return Err(refuse(Class::Ambiguous, text));
        };
        let words = told.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
        let Some(class) = sort(status) else { return Ok(()) };
        let ended = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit {code}"),
            (None, signal) => format!("ended by signal {}", signal.unwrap_or_default()),
        };
        let words = if words.trim().is_empty() { String::new() } else { format!(": {}", words.trim()) };
        Err(refuse(class, format!("{shown}: {ended}{words}")))
    }

    fn close(&mut self, _say: Say<'_>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_are_sorted() {
        let exit = |code: i32| sort(ExitStatus::from_raw(code << 8));
        assert_eq!(
            [0, 67, 68, 65, 75].map(exit),
            [None, Some(Class::RowDead), Some(Class::RowDead), Some(Class::Content), Some(Class::RowTemporary)]
        );
        assert_eq!([64, 77, 78, 127].map(exit), [Some(Class::Configuration); 4]);
        assert_eq!([1, 69, 71, 74].map(exit), [Some(Class::Transport); 4]);
        assert_eq!(sort(ExitStatus::from_raw(9)), Some(Class::Ambiguous));
        assert_eq!(local(b"a\r\nb\rc\n"), b"a\nb\rc\n");
    }
}
