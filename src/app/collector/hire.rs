//! Starts the dialer: this very program once more, as a process that has nothing of the keeper but the line to it.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::app::context::{Common, LogFormat};

/// Between two looks whether it has ended.
const GLANCE: Duration = Duration::from_millis(2);
/// A line that ends ends with its process, within a moment.
const MOMENT: Duration = Duration::from_millis(500);

/// A dialer that was started.
pub struct Hired {
    /// The line to it.
    pub line: UnixStream,
    process: Option<Child>,
}

/// Starts a dialer.
pub type Hire = Box<dyn FnMut() -> io::Result<Hired> + Send>;

/// Starts processes of this program with the given environment.
pub fn processes(common: &Common, environment: Vec<(OsString, OsString)>) -> Hire {
    let mut flags = vec!["--dial"];
    flags.extend(std::iter::repeat_n("-v", usize::from(common.verbose)));
    flags.extend(common.quiet.then_some("--quiet"));
    flags.extend((common.log_format == LogFormat::Json).then_some("--log-format=json"));
    Box::new(move || {
        let (line, far) = UnixStream::pair()?;
        // Not by its path: the file may have been replaced since we were started from it.
        #[allow(clippy::disallowed_methods, reason = "the home of the dialer's process")]
        let mut command = Command::new("/proc/self/exe");
        command.arg0("fleet-collector").args(&flags).env_clear().envs(environment.iter().cloned());
        command.stdin(Stdio::from(OwnedFd::from(far))).stdout(Stdio::null());
        // A group of its own: the terminal's signals are for us, who end the sweep in order.
        let process = command.process_group(0).spawn()?;
        log::debug!("the dialer is process {}", process.id());
        Ok(Hired { line, process: Some(process) })
    })
}

impl Hired {
    /// One that is no process: a test is at the other end.
    #[cfg(test)]
    pub fn played(line: UnixStream) -> Self {
        Self { line, process: None }
    }

    /// How it ended by itself, for people.
    pub fn ending(&mut self) -> Option<String> {
        let process = self.process.as_mut()?;
        let until = Instant::now() + MOMENT;
        loop {
            match process.try_wait() {
                Ok(Some(status)) => return Some(status.to_string()),
                Ok(None) if Instant::now() < until => std::thread::sleep(GLANCE),
                _ => return None,
            }
        }
    }
}

impl Drop for Hired {
    fn drop(&mut self) {
        let _ = self.line.shutdown(std::net::Shutdown::Both);
        if let Some(process) = &mut self.process {
            // It has nothing to put in order, and could be anybody's.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
