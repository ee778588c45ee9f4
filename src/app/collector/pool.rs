//! The dialer's side: bounded threads that visit hosts one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::app::descriptors;
use crate::model::cause::Cause;
use crate::model::job::{FromDialer, Job, ToDialer, Traffic};

/// Enough for libssh2 and the age stream; thousands of threads then cost address space, not memory.
const STACK: usize = 512 * 1024;
/// The first hosts of the workers start spread over this long, so that a shared switch or bastion meets no burst.
const SPREAD: Duration = Duration::from_millis(300);

/// What the keeper hears.
pub enum Heard {
    /// A visit begins; answers for the host go to the sender.
    Started(String, Sender<ToDialer>),
    /// The dialer says something, so long after the visit began. How long the keeper then needs is none of the host's
    /// matter.
    Said(FromDialer, Duration),
    /// The host's turn did not come before the sweep's end.
    NoTurn(String),
}

/// Visits one host, as `dialer::visit` does.
pub type Dial = Box<dyn Fn(&Job, &mut dyn FnMut(FromDialer), &Receiver<ToDialer>) + Send + Sync>;

/// What all workers share.
pub struct Pool {
    queue: Mutex<Receiver<Job>>,
    ends: Instant,
    stop: Box<dyn Fn() -> bool + Send + Sync>,
    dial: Dial,
}

impl Pool {
    /// Starts at most `threads` workers over the jobs as they come; they end by themselves once no more can come.
    /// No job starts after `ends`, or once `stop` says so; what still comes is reported as [`Heard::NoTurn`].
    pub fn start(
        jobs: Receiver<Job>,
        wanted: usize,
        ends: Instant,
        stop: Box<dyn Fn() -> bool + Send + Sync>,
        dial: Dial,
        out: &Sender<Heard>,
    ) -> std::io::Result<()> {
        let threads = descriptors::visits(wanted);
        if threads < wanted {
            // Not a warning: cron would mail it for each sweep, and nothing is lost but time.
            log::info!("{threads} hosts at once instead of {wanted}: the limit of open files is low (ulimit -n)");
        }
        let pool = Arc::new(Self { queue: Mutex::new(jobs), ends, stop, dial });
        for number in 0..threads {
            let (mine, out) = (Arc::clone(&pool), out.clone());
            let wait = SPREAD.mul_f64(number as f64 / threads as f64);
            let started = std::thread::Builder::new().stack_size(STACK).spawn(move || {
                std::thread::sleep(wait);
                mine.work(&out);
            });
            match started {
                Ok(_) => {}
                // Fewer threads than asked for (a limit of the system) only make the sweep slower.
                Err(error) if number > 0 => {
                    log::info!("{number} threads instead of {threads}: {error}");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn work(&self, out: &Sender<Heard>) {
        while let Some(mut job) = self.next() {
            let left = self.ends.saturating_duration_since(Instant::now());
            if left.is_zero() || (self.stop)() {
                let _ = out.send(Heard::NoTurn(job.host));
                continue;
            }
            job.timeout = job.timeout.min(left);
            visit(&job, out, &self.dial);
        }
    }

    fn next(&self) -> Option<Job> {
        // One worker waits for the next job, the others for their turn to wait.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
    }
}

/// One visit; whatever happens in it, exactly one end is heard.
fn visit(job: &Job, out: &Sender<Heard>, dial: impl FnOnce(&Job, &mut dyn FnMut(FromDialer), &Receiver<ToDialer>)) {
    let (answers, answer): (_, Receiver<_>) = std::sync::mpsc::channel();
    // The keeper gone means the process is ending: there is nobody left to tell.
    let _ = out.send(Heard::Started(job.host.clone(), answers));
    let begun = Instant::now();
    let mut ended = false;
    let mut say = |said: FromDialer| {
        ended |= matches!(said, FromDialer::Finished { .. } | FromDialer::Failed { .. });
        let _ = out.send(Heard::Said(said, begun.elapsed()));
    };
    let result = catch_unwind(AssertUnwindSafe(|| dial(job, &mut say, &answer)));
    if !ended {
        let text = if result.is_err() { "the visit panicked" } else { "the visit ended without a word" };
        let (host, text) = (job.host.clone(), text.to_owned());
        let failed = FromDialer::Failed { host, cause: Cause::Internal, text, traffic: Traffic::default() };
        let _ = out.send(Heard::Said(failed, begun.elapsed()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::Secret;
    use crate::model::spec::Transport;

    fn job(host: &str) -> Job {
        let (host, timeout) = (host.to_owned(), Duration::from_secs(1));
        let (nonce, task, probes) = (String::new(), Secret::new(String::new()), std::path::PathBuf::new());
        Job { host, transport: Transport::Local, nonce, task, pull_bytes: 1, pull_files: 1, probes, timeout }
    }

    #[test]
    fn o18_a_panic_is_one_hosts_matter_and_told_once() {
        let (out, heard) = std::sync::mpsc::channel();
        visit(&job("a"), &out, |_, _, _| panic!("a defect"));
        visit(&job("b"), &out, |_, _, _| {});
        visit(&job("c"), &out, |job, say, _| {
            say(FromDialer::Finished { host: job.host.clone(), traffic: Traffic::default() });
            panic!("too late to matter");
        });
        drop(out);
        let ends: Vec<(String, Option<Cause>)> = heard
            .iter()
            .filter_map(|heard| match heard {
                Heard::Said(FromDialer::Failed { host, cause, .. }, _) => Some((host, Some(cause))),
                Heard::Said(FromDialer::Finished { host, .. }, _) => Some((host, None)),
                _ => None,
            })
            .collect();
        let internal = Some(Cause::Internal);
        assert_eq!(ends, [("a".into(), internal), ("b".into(), internal), ("c".into(), None)]);
    }
}
