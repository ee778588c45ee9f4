//! How programs end: exit codes that scripts rely on, and a text for the person.

use std::io::Write;
use std::process::ExitCode;

/// The exit codes of design/config.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done,
    /// Something unexpected.
    Failed,
    /// The command line is wrong.
    Usage,
    /// Partly done: some hosts failed. Of a table: something that it shows is wrong.
    Partly,
    /// The store cannot be read or written.
    Store,
    /// Another run holds the lock.
    Busy,
    /// The configuration is wrong.
    Config,
    /// The code of a Nagios plugin: 0 ok, 1 warning, 2 critical, 3 unknown.
    Nagios(u8),
}

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Partly => 3,
            Self::Store => 74,
            Self::Busy => 75,
            Self::Config => 78,
            Self::Nagios(code) => code,
        }
    }
}

/// An end that is not a success: what happened, where, and what to do next, in one text.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// For the person; empty where all was said already.
    pub text: String,
}

impl Failure {
    /// A failure with a text.
    pub fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into() }
    }
}

/// The result of every command.
pub type Outcome = std::result::Result<Exit, Failure>;

/// Ends the process unless it is dropped in time: for what can hang beyond every timeout.
#[derive(Debug)]
pub struct Watchdog {
    _alive: std::sync::mpsc::Sender<()>,
}

/// Starts a watchdog.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "a thread that hangs cannot return an exit code")]
pub fn watchdog(program: &'static str, after: std::time::Duration) -> Watchdog {
    let (alive, ended) = std::sync::mpsc::channel::<()>();
    let watch = move || {
        if ended.recv_timeout(after) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            complain(&format!("{program}: not done after {} s; ended, the next run goes on", after.as_secs()));
            std::process::exit(i32::from(Exit::Failed.code()));
        }
    };
    // Where no thread can be begun the run goes on as well as it can.
    if let Err(error) = std::thread::Builder::new().name("watchdog".to_owned()).spawn(watch) {
        log::warn!("nobody watches this run: {error}");
    }
    Watchdog { _alive: alive }
}

/// Prints a failure to standard error and turns the outcome into the process's exit code.
#[must_use]
pub fn finish(program: &str, outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(failure) => {
            if !failure.text.is_empty() {
                complain(&format!("{program}: {}", failure.text));
            }
            ExitCode::from(failure.exit.code())
        }
    }
}

/// Writes a line to standard error; where nobody can be told, nobody is.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Writes to standard output; a reader that has seen enough (`| head`) is no failure.
///
/// # Errors
/// [`Exit::Failed`] where it cannot be written, a full disk for example.
pub fn print(text: &str) -> Outcome {
    stream(text).map(|_| Exit::Done)
}

/// As [`print()`], a piece of what is long: false where nobody reads any more, so that the rest need not be made.
///
/// # Errors
/// As [`print()`].
pub fn stream(text: &str) -> Result<bool, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(Exit::Failed, format!("standard output: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Set for the process that is watched.
    const WATCHED: &str = "FLEET_TEST_WATCHED";

    #[test]
    #[allow(clippy::disallowed_methods, reason = "what ends its process is tried in another one")]
    fn who_hangs_is_ended_with_a_word_and_who_is_done_is_not() {
        match std::env::var(WATCHED).as_deref() {
            Ok("hangs") => {
                let _dog = watchdog("fleet-x", Duration::from_millis(50));
                std::thread::sleep(Duration::from_secs(3600));
            }
            Ok(_) => {
                drop(watchdog("fleet-x", Duration::from_millis(50)));
                std::thread::sleep(Duration::from_millis(400));
            }
            Err(_) => {
                let run = |does: &str| {
                    let name = "app::exit::tests::who_hangs_is_ended_with_a_word_and_who_is_done_is_not";
                    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
                    let done = command.args(["--exact", name, "--nocapture"]).env(WATCHED, does).output().unwrap();
                    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
                };
                let (code, said) = run("hangs");
                assert_eq!(code, Some(1), "{said}");
                assert!(said.contains("fleet-x: not done after 0 s; ended, the next run goes on"), "{said}");
                assert_eq!(run("is done").0, Some(0));
            }
        }
    }
}
