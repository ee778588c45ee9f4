//! Visits one host: connects, starts (and where missing ships) the probe, hands over what is pending.

use std::io::{self, Cursor, ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::descriptors;
use super::secrets;
use crate::model::cause::Cause;
use crate::model::clean::is_hostile;
use crate::model::job::{FromDialer, Job, ToDialer, Traffic};
use crate::model::spec::{SshSpec, Transport};
use crate::ssh::{self, Bastions, Secrets, SshError, Stream, deploy, local};
use crate::wire::frame::{self, FrameError, Item, Limits, Reader};

pub mod fence;
mod fields;
pub mod frames;
pub mod message;
pub mod serve;

/// The longest text of a cause, in bytes (design/trust.md, A15).
const MAX_REASON: usize = 512;

/// What may arrive beyond the files themselves: banners, frames, SSH's own.
const OVERHEAD: u64 = 1024 * 1024;

/// How long it may take to hand over the answer; that the probe deletes by it is not waited for.
const FAREWELL: Duration = Duration::from_secs(1);

/// Visits one host, as [`visit`] does.
pub type Dial = Box<dyn Fn(&Job, &mut dyn FnMut(FromDialer), &Receiver<ToDialer>) + Send + Sync>;

/// What the visits of one run share.
#[derive(Default)]
pub struct Run {
    /// Each is read once.
    pub secrets: secrets::Secrets,
    /// Each is tried until it fails.
    pub bastions: Bastions,
    /// Those of the folder that was looked at last; looking costs more than the login's arithmetic.
    probes: Mutex<Option<(PathBuf, Probes)>>,
}

/// What can be shipped.
type Probes = Arc<Vec<deploy::Probe>>;

impl Run {
    /// The probes of a folder, as they were when a visit first asked for them.
    fn probes(&self, folder: &Path) -> Result<Probes, SshError> {
        let mut known = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, probes)) = known.as_ref().filter(|(place, _)| place == folder) {
            return Ok(Arc::clone(probes));
        }
        let probes = Arc::new(deploy::probes(folder)?);
        *known = Some((folder.to_path_buf(), Arc::clone(&probes)));
        Ok(probes)
    }
}

/// Visits one host. Says [`FromDialer::Sealed`] for each file, then `Pulled`, waits for the answer, then `Finished`;
/// or `Failed` at any point before `Pulled`. Exactly one of `Finished` and `Failed` is said, whatever happens, and no
/// later than a second after the job's timeout.
pub fn visit(job: &Job, run: &Run, say: &mut dyn FnMut(FromDialer), answer: &Receiver<ToDialer>) {
    let mut pulled = false;
    let outcome = catch_unwind(AssertUnwindSafe(|| converse(job, run, say, answer, &mut pulled)));
    let host = job.host.clone();
    let last = match outcome {
        Ok(Ok(traffic)) => FromDialer::Finished { host, traffic },
        Ok(Err(error)) if pulled => FromDialer::Finished { host, traffic: error.traffic },
        Ok(Err(error)) => {
            FromDialer::Failed { host, cause: error.cause, text: one_line(&error.text), traffic: error.traffic }
        }
        Err(_) if pulled => FromDialer::Finished { host, traffic: Traffic::default() },
        Err(_) => FromDialer::Failed {
            host,
            cause: Cause::Internal,
            text: "the visit ended in a defect of fleet-health".to_owned(),
            traffic: Traffic::default(),
        },
    };
    say(last);
}

/// One line without control characters, at most [`MAX_REASON`] bytes.
fn one_line(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().map(|c| if is_hostile(c) { ' ' } else { c }) {
        if out.len() + c.len_utf8() > MAX_REASON {
            break;
        }
        out.push(c);
    }
    out.trim().to_owned()
}

/// The secrets of a host and of the bastions before it, read where its configuration says they are, before the deadline.
///
/// # Errors
/// A text that names the source.
pub fn secrets_of(spec: &SshSpec, secrets: &secrets::Secrets, deadline: Instant) -> Result<Secrets, String> {
    let read = |source: &Option<_>| source.as_ref().map(|source| secrets.get(source, deadline)).transpose();
    let hops = spec.jumps.iter().map(|hop| secrets_of(&hop.ssh, secrets, deadline)).collect::<Result<_, _>>()?;
    Ok(Secrets { password: read(&spec.password)?, passphrase: read(&spec.passphrase)?, hops })
}

/// A host that gives more than was asked for is not listened to.
fn limits(job: &Job) -> Limits {
    Limits::of(job.pull_bytes, job.pull_files)
}

fn converse(
    job: &Job,
    run: &Run,
    say: &mut dyn FnMut(FromDialer),
    answer: &Receiver<ToDialer>,
    pulled: &mut bool,
) -> Result<Traffic, SshError> {
    let deadline = Instant::now() + job.timeout;
    let allowance = limits(job).total + OVERHEAD;
    if !descriptors::wait(deadline) {
        let text = "no file descriptors were free until the deadline; raise the limit (ulimit -n) or lower jobs=";
        return Err(SshError::new(Cause::LocalSetup, text));
    }
    match &job.transport {
        Transport::Local => {
            let mut stream = local::start(&job.probes, deadline, allowance)?;
            talk(job, &[], &mut stream, deadline, say, answer, pulled)
        }
        Transport::Ssh(spec) => {
            let probes = run.probes(&job.probes)?;
            let secrets =
                secrets_of(spec, &run.secrets, deadline).map_err(|text| SshError::new(Cause::LocalSetup, text))?;
            let mut session = ssh::connect(spec, &secrets, &run.bastions, deadline)?;
            session.exec(&deploy::command(&job.nonce, &probes))?;
            session.bound(deadline, allowance);
            log::debug!("{}: {}", job.host, session.agreed());
            talk(job, &probes, &mut session, deadline, say, answer, pulled)
        }
    }
}

fn talk(
    job: &Job,
    probes: &[deploy::Probe],
    stream: &mut dyn Stream,
    deadline: Instant,
    say: &mut dyn FnMut(FromDialer),
    answer: &Receiver<ToDialer>,
    pulled: &mut bool,
) -> Result<Traffic, SshError> {
    let host = &job.host;
    let (begun, shipped) = match deploy::start(stream, &job.nonce, job.task.expose(), probes) {
        Ok(found) => found,
        Err(error) => return Err(broken(stream, false, &error)),
    };
    let outcome = {
        let mut reader = Reader::new(Cursor::new(begun).chain(&mut *stream), &job.nonce, limits(job));
        loop {
            match reader.next() {
                Ok(Item::File { name, bytes }) => say(FromDialer::Sealed { host: host.clone(), name, bytes }),
                Ok(Item::End { left, dropped }) => break Ok((left, dropped)),
                Err(error) => break Err((error, reader.noise())),
            }
        }
    };
    let (left, dropped) = outcome.map_err(|(error, noise)| misread(stream, shipped, error, &noise))?;
    *pulled = true;
    say(FromDialer::Pulled { host: host.clone(), left, dropped });
    let until = deadline.saturating_duration_since(Instant::now());
    if let Ok(ToDialer { acknowledged, .. }) = answer.recv_timeout(until) {
        // A lost answer only means that the files come once more; the store knows them.
        let until = deadline.min(Instant::now() + FAREWELL);
        stream.bound(until, 64 * 1024);
        let _ = frame::write_answer(&mut &mut *stream, &acknowledged).and_then(|()| stream.part());
    }
    Ok(Traffic { shipped, ..stream.traffic() })
}

/// What a stream's error means after login.
fn broken(stream: &dyn Stream, shipped: bool, error: &io::Error) -> SshError {
    let (cause, text) = match error.kind() {
        ErrorKind::TimedOut => (Cause::Deadline, "the host did not finish before the deadline".to_owned()),
        ErrorKind::NetworkDown => (Cause::Jump, error.to_string()),
        ErrorKind::FileTooLarge => (Cause::Oversize, error.to_string()),
        ErrorKind::InvalidData => (Cause::BadEnvelope, error.to_string()),
        _ => (Cause::Disconnected, format!("the connection broke: {error}")),
    };
    SshError { cause, text: with_complaint(text, stream, ""), traffic: Traffic { shipped, ..stream.traffic() } }
}

fn misread(stream: &mut dyn Stream, shipped: bool, error: FrameError, noise: &str) -> SshError {
    let (cause, text) = match error {
        FrameError::Io(error) => return broken(stream, shipped, &error),
        FrameError::Noise(_) | FrameError::Oversize(_) => (Cause::Oversize, error.to_string()),
        FrameError::Malformed(_) => (Cause::BadEnvelope, error.to_string()),
        FrameError::Reported { cause, text } => {
            return SshError { cause, text, traffic: Traffic { shipped, ..stream.traffic() } };
        }
        FrameError::Ended => {
            let how = stream.ending();
            if String::from_utf8_lossy(stream.complaint()).contains("kernel too old") {
                (Cause::NoProbe, "the probe's libc runs on no older Linux; one that is built with musl does".to_owned())
            } else {
                // 126: the shell found the probe and could not run it.
                let cause = if how.as_deref() == Some("exit status 126") { unfit(stream) } else { Cause::ProbeFailed };
                let how = how.map(|how| format!(" ({how})")).unwrap_or_default();
                (cause, format!("the command ended without the probe's end marker{how}"))
            }
        }
    };
    SshError { cause, text: with_complaint(text, stream, noise), traffic: Traffic { shipped, ..stream.traffic() } }
}

/// Whether the program is none for the machine, or may not run where it lies.
fn unfit(stream: &dyn Stream) -> Cause {
    let complaint = String::from_utf8_lossy(stream.complaint()).to_lowercase();
    if complaint.contains("exec format") || complaint.contains("cannot execute") {
        Cause::NoProbe
    } else {
        Cause::NoExec
    }
}

/// Adds what the host had to say for itself.
fn with_complaint(text: String, stream: &dyn Stream, noise: &str) -> String {
    let bytes = stream.complaint();
    let complaint = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_REASON)]);
    let said = if complaint.trim().is_empty() { noise.trim() } else { complaint.trim() };
    if said.is_empty() { text } else { format!("{text}; the host says: {said}") }
}
