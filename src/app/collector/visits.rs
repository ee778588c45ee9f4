//! The visits that the dialer is on, and what it may say of each. It is not trusted: a dialer that was taken over by a
//! host must not name others, hand over more than was asked for, or say what only the keeper can know.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::model::cause::Cause;
use crate::model::clean::is_hostile;
use crate::model::job::{FromDialer, Job, Traffic};
use crate::wire::frame::{Limits, is_file_name};

/// The dialer promises an end a second after a job's timeout, on a machine that has nothing else to do. Where another
/// program takes the processor, a dialer that is ended too early would cost all hosts under way.
const GRACE: Duration = Duration::from_secs(30);
/// The longest text of a cause, in bytes (design/trust.md, A15).
const MAX_REASON: usize = 512;
/// What no visit costs, in bytes: whoever says so makes numbers up.
const MAX_TRAFFIC: u64 = 1 << 40;
/// What the keeper and nobody else finds out.
const OURS: &[Cause] =
    &[Cause::NoConsent, Cause::BackOff, Cause::KillsDialer, Cause::Undecryptable, Cause::Store, Cause::SweepDeadline];

/// A visit under way.
pub struct Visit {
    /// What the dialer was told, to tell it once more if need be.
    pub job: Job,
    /// Its time is shorter than it should be: the sweep ends before.
    cut: bool,
    /// In which try it is, from 1.
    pub tries: usize,
    /// Everything of the host was handed over: a dialer that dies now costs nothing.
    pub pulled: bool,
    /// When it began.
    pub since: Instant,
    files: Vec<String>,
    bytes: u64,
}

/// All that are under way, by host.
#[derive(Default)]
pub struct Visits(HashMap<String, Visit>);

impl Visits {
    /// Takes note of a visit that begins.
    pub fn begin(&mut self, job: Job, cut: bool, tries: usize, now: Instant) {
        let host = job.host.clone();
        self.0.insert(host, Visit { job, cut, tries, pulled: false, since: now, files: Vec::new(), bytes: 0 });
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// What was told of a host under way.
    pub fn job(&self, host: &str) -> Option<&Job> {
        self.0.get(host).map(|visit| &visit.job)
    }

    /// How often the hosts under way were tried, this time included; all the same.
    pub fn tries(&self) -> Option<usize> {
        self.0.values().next().map(|visit| visit.tries)
    }

    /// Takes note of what the dialer says, and returns how long the visit took until then, and the time that it had if that
    /// was cut; after its last word a visit is no longer under way.
    ///
    /// # Errors
    /// The rule that it broke.
    pub fn hear(
        &mut self,
        said: &FromDialer,
        took: Duration,
        now: Instant,
    ) -> Result<(Duration, Option<Duration>), String> {
        let (host, last) = match said {
            FromDialer::Sealed { host, .. } | FromDialer::Pulled { host, .. } => (host, false),
            FromDialer::Finished { host, .. } | FromDialer::Failed { host, .. } => (host, true),
        };
        let Some(visit) = self.0.get_mut(host) else {
            return Err("it spoke of a host that it was not told to visit".to_owned());
        };
        visit.hear(said).map_err(|rule| format!("{host}: {rule}"))?;
        let most = now.saturating_duration_since(visit.since);
        let short = visit.cut.then_some(visit.job.timeout);
        if last {
            self.0.remove(host);
        }
        Ok((took.min(most), short))
    }

    /// Whether some should have ended long ago; these are in try `number` from now on.
    pub fn doubt_overdue(&mut self, now: Instant, number: usize) -> bool {
        let mut late = false;
        for visit in self.0.values_mut() {
            if now.saturating_duration_since(visit.since) > visit.job.timeout + GRACE {
                visit.tries = visit.tries.max(number);
                late = true;
            }
        }
        late
    }

    /// Ends all.
    pub fn take_all(&mut self) -> Vec<Visit> {
        std::mem::take(&mut self.0).into_values().collect()
    }
}

impl Visit {
    fn hear(&mut self, said: &FromDialer) -> Result<(), &'static str> {
        match said {
            FromDialer::Sealed { .. } | FromDialer::Pulled { .. } | FromDialer::Failed { .. } if self.pulled => {
                Err("it went on after the last file")
            }
            FromDialer::Sealed { name, bytes, .. } => self.file(name, bytes.len()),
            FromDialer::Pulled { .. } => {
                self.pulled = true;
                Ok(())
            }
            FromDialer::Finished { .. } if !self.pulled => Err("it finished without the last file"),
            FromDialer::Finished { traffic, .. } => plausible(*traffic),
            FromDialer::Failed { cause, .. } if OURS.contains(cause) => Err("it named a cause that it cannot know"),
            FromDialer::Failed { text, .. } if text.len() > MAX_REASON || text.chars().any(is_hostile) => {
                Err("it gave a reason that is none")
            }
            FromDialer::Failed { traffic, .. } => plausible(*traffic),
        }
    }

    fn file(&mut self, name: &str, size: usize) -> Result<(), &'static str> {
        let limits = Limits::of(self.job.pull_bytes, self.job.pull_files);
        self.bytes = self.bytes.saturating_add(size as u64);
        if !is_file_name(name) {
            return Err("it handed over a file with a name that none has");
        }
        if self.files.iter().any(|known| known == name) {
            return Err("it handed over a file twice");
        }
        self.files.push(name.to_owned());
        let more = size > limits.file || self.bytes > limits.total || self.files.len() > limits.files as usize;
        if more { Err("it handed over more than was asked for") } else { Ok(()) }
    }
}

fn plausible(traffic: Traffic) -> Result<(), &'static str> {
    let fits = traffic.sent <= MAX_TRAFFIC && traffic.received <= MAX_TRAFFIC && traffic.round_trips <= 1_000_000;
    if fits { Ok(()) } else { Err("it named costs that no visit has") }
}

#[cfg(test)]
#[path = "visits_tests.rs"]
mod tests;
