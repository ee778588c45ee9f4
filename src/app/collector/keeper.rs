//! The keeper's side of a sweep: decrypts, checks and commits; only then may a host delete what it handed over.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::aside::Aside;
use super::crew::{Answers, Crew, Dialers, Heard, Until, WORDS};
use super::plan::Planned;
use super::report::{HostResult, Progress, SweepResult};
use crate::app::clock;
use crate::model::cause::Cause;
use crate::model::fleet::{Attempt, Outcome};
use crate::model::job::{FromDialer, Job, ToDialer, Traffic};
use crate::model::sample::{Fact, Fault, FaultKind, Sample};
use crate::model::spec::FleetSpec;
use crate::store::{Result, Store, StoreError};
use crate::wire::{seal, v1};

/// The dialer promises an end a second after a job's timeout; a host that is silent beyond this is given up.
const GRACE: Duration = Duration::from_secs(10);
/// A clock that is off by more is said (design/trust.md, A8).
const SKEW_SECONDS: i64 = 120;

/// What a host says it is called; the store keeps when it changed.
const NAME: &str = "host.name";

/// Makes one sweep, `dialers` visiting each host. Returns what became of every host; the counts add up to the hosts planned.
pub fn sweep(
    spec: &FleetSpec,
    planned: Vec<Planned>,
    identities: &[String],
    dialers: Dialers,
    store: &mut dyn Store,
    stop: &Arc<AtomicBool>,
    progress: &mut Progress,
) -> Result<SweepResult> {
    let begun = Instant::now();
    let hosts = u32::try_from(planned.len()).unwrap_or(u32::MAX);
    let id = store.begin_sweep(clock::now(), hosts)?;
    let mut keeper = Keeper {
        id,
        store,
        identities,
        spec,
        visits: HashMap::new(),
        results: Vec::with_capacity(planned.len()),
        costs: Vec::new(),
        broken: Arc::new(AtomicBool::new(false)),
        error: None,
    };
    let jobs = keeper.skip_or_keep(planned);
    keeper.run(jobs, dialers, stop, progress);
    let result =
        SweepResult { id, hosts: keeper.results, took: begun.elapsed(), stopped: stop.load(Ordering::Relaxed) };
    let (costs, error) = (keeper.costs, keeper.error);
    match error {
        Some(error) => Err(error),
        None => {
            store.settle(id, &costs)?;
            store.end_sweep(id, clock::now(), u32::try_from(result.failed()).unwrap_or(u32::MAX))?;
            Ok(result)
        }
    }
}

/// A visit under way.
struct Visit {
    nonce: String,
    answers: Option<Answers>,
    sealed: Vec<(String, Vec<u8>)>,
    /// Set once the attempt is written; what it cost is added when the visit is over.
    attempt: Option<(Attempt, usize)>,
}

struct Keeper<'a> {
    id: i64,
    store: &'a mut dyn Store,
    identities: &'a [String],
    spec: &'a FleetSpec,
    visits: HashMap<String, Visit>,
    results: Vec<HostResult>,
    /// Attempts that are written and now have their costs: one commit for all, because no acknowledgement waits for it.
    costs: Vec<Attempt>,
    /// Seen by the crew: a store that takes nothing makes further visits pointless.
    broken: Arc<AtomicBool>,
    error: Option<StoreError>,
}

impl Keeper<'_> {
    /// Writes down hosts that are not visited; returns the jobs of the others.
    fn skip_or_keep(&mut self, planned: Vec<Planned>) -> Vec<Job> {
        let mut jobs = Vec::new();
        for entry in planned {
            match entry {
                Planned::Visit(job) => jobs.push(*job),
                Planned::Skip { host, cause, text } => {
                    self.failed(&host, cause, text, Duration::ZERO, Traffic::default())
                }
            }
        }
        jobs
    }

    fn run(&mut self, jobs: Vec<Job>, dialers: Dialers, stop: &Arc<AtomicBool>, progress: &mut Progress) {
        let total = self.results.len() + jobs.len();
        let begun = Instant::now();
        let ends = Instant::now() + self.spec.collector.deadline;
        let nobody_waits_after = ends + self.spec.collector.timeout + GRACE;
        let (out, heard) = mpsc::sync_channel(WORDS);
        for job in &jobs {
            let visit = Visit { nonce: job.nonce.clone(), answers: None, sealed: Vec::new(), attempt: None };
            self.visits.insert(job.host.clone(), visit);
        }
        let (asked, broken) = (Arc::clone(stop), Arc::clone(&self.broken));
        let over = Arc::new(move || asked.load(Ordering::Relaxed) || broken.load(Ordering::Relaxed));
        let crew = Crew::start(jobs, self.spec.collector.jobs, Until { ends, stop: over }, dialers, &out)
            .inspect_err(|error| log::error!("no thread could be started: {error}"));
        // The crew holds the senders now: the channel ends with the last of it.
        drop(out);
        while self.results.len() < total {
            progress.set(self.results.len());
            let left = nobody_waits_after.saturating_duration_since(Instant::now());
            match heard.recv_timeout(left) {
                Ok(heard) => self.hear(heard, stop),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        // In this order: the crew may wait for us to hear something.
        drop(heard);
        drop(crew);
        let lost: Vec<String> = self.visits.keys().cloned().collect();
        for host in lost {
            let text = "no answer of the dialer".to_owned();
            self.end(&host, Cause::Internal, text, Traffic::default(), begun.elapsed());
        }
        progress.set(self.results.len());
    }

    fn hear(&mut self, heard: Heard, stop: &AtomicBool) {
        match heard {
            Heard::Started(host, answers) => {
                if let Some(visit) = self.visits.get_mut(&host) {
                    visit.answers = Some(answers);
                    // Of a dialer that died in the middle; they come again.
                    visit.sealed.clear();
                }
            }
            // A person ended the sweep: that says nothing of the host, and no row makes it look unreachable.
            Heard::NoTurn(host) if stop.load(Ordering::Relaxed) => {
                self.visits.remove(&host);
                let text = "a signal ended the sweep before its turn";
                self.result_only(&host, Cause::SweepDeadline, text, Duration::ZERO, Traffic::default());
            }
            Heard::NoTurn(host) => {
                let text = "the sweep ended before its turn".to_owned();
                self.end(&host, Cause::SweepDeadline, text, Traffic::default(), Duration::ZERO);
            }
            Heard::Said(FromDialer::Sealed { host, name, bytes }, _) => {
                if let Some(visit) = self.visits.get_mut(&host) {
                    visit.sealed.push((name, bytes));
                }
            }
            Heard::Said(FromDialer::Pulled { host, left, dropped }, took) => self.pulled(&host, left, dropped, took),
            Heard::Said(FromDialer::Finished { host, traffic }, took) => self.finished(&host, traffic, took),
            Heard::Said(FromDialer::Failed { host, cause, text, traffic }, took) => {
                self.end(&host, cause, text, traffic, took)
            }
        }
    }

    /// Everything of a host is here: open, check, commit, and tell the host what it may delete.
    fn pulled(&mut self, host: &str, left: u32, dropped: u64, took: Duration) {
        let Some(visit) = self.visits.get_mut(host) else { return };
        let nonce = visit.nonce.clone();
        let (sealed, answers) = (std::mem::take(&mut visit.sealed), visit.answers.clone());
        if dropped > 0 {
            log::warn!("{host}: its spool was full; {dropped} old samples are gone for ever");
        }
        if left > 0 {
            log::info!("{host}: {left} more files wait for the next sweep");
        }
        let opened = match self.consented(host) {
            Ok(true) => self.open(host, &nonce, sealed),
            Ok(false) => Opened::refused(),
            Err(error) => {
                self.give_up(error);
                Opened::default()
            }
        };
        let attempt = Attempt {
            host: host.to_owned(),
            at: clock::now(),
            took,
            outcome: opened.outcome(),
            traffic: Traffic::default(),
        };
        let stored = self.record(&attempt, &opened.samples);
        let acknowledged = if stored.is_some() { opened.settled } else { Vec::new() };
        if let Some(answers) = answers {
            answers.send(ToDialer { host: host.to_owned(), acknowledged });
        }
        if let (Some(visit), Some(stored)) = (self.visits.get_mut(host), stored) {
            visit.attempt = Some((attempt, stored));
        }
    }

    /// Whether the host may be measured still: its owner may have ended the consent since the sweep was planned.
    fn consented(&self, host: &str) -> Result<bool> {
        if !self.spec.consent_required {
            return Ok(true);
        }
        Ok(self.store.consents()?.iter().any(|consent| consent.host == host && consent.revoked.is_none()))
    }

    /// Decrypts and decodes what a host sent.
    fn open(&self, host: &str, nonce: &str, sealed: Vec<(String, Vec<u8>)>) -> Opened {
        let mut opened = Opened::default();
        let mut aside = Aside::of(&self.spec.collector.state_dir, host);
        for (name, bytes) in sealed {
            let read = seal::open(self.identities, &bytes)
                .map_err(|error| (Cause::Undecryptable, error.to_string()))
                .and_then(|plain| v1::decode(&plain).map_err(|error| (Cause::BadEnvelope, error.to_string())));
            match read {
                Ok((came, mut sample)) => {
                    if came.as_deref() == Some(nonce) {
                        opened.fresh = true;
                        skew(host, &mut sample);
                    }
                    named(&mut sample);
                    opened.samples.push(sample);
                    opened.settled.push(name);
                }
                // It may be good for another key or a newer program: it leaves its host only for a safe place.
                Err((cause, error)) => {
                    log::info!("{host}: {name}: {error}");
                    let what_now = match aside.put(&name, &bytes) {
                        Ok(()) => {
                            opened.settled.push(name);
                            "the sealed file was set aside".to_owned()
                        }
                        Err(why) => format!("the sealed file stays on the host: {why}"),
                    };
                    opened.worst = Some((cause, format!("{error}; {what_now}")));
                }
            }
        }
        opened
    }

    fn finished(&mut self, host: &str, traffic: Traffic, took: Duration) {
        let Some(visit) = self.visits.remove(host) else { return };
        match visit.attempt {
            Some((mut attempt, stored)) => {
                attempt.traffic = traffic;
                attempt.took = took;
                self.costs.push(attempt.clone());
                self.results.push(HostResult::new(attempt, stored));
            }
            None if self.error.is_some() => {
                self.result_only(host, Cause::Store, "the store took nothing", took, traffic);
            }
            None => {
                let text = "the visit ended without its stats".to_owned();
                self.failed(host, Cause::Internal, text, took, traffic);
            }
        }
    }

    /// A visit that came to no good end.
    fn end(&mut self, host: &str, cause: Cause, text: String, traffic: Traffic, took: Duration) {
        let Some(visit) = self.visits.remove(host) else { return };
        match visit.attempt {
            // The samples are committed: that the rest of the visit failed costs nothing.
            Some((attempt, stored)) => self.results.push(HostResult::new(attempt, stored)),
            None => self.failed(host, cause, text, took, traffic),
        }
    }

    fn failed(&mut self, host: &str, cause: Cause, text: String, took: Duration, traffic: Traffic) {
        let outcome = Outcome::Failed { cause, text };
        let attempt = Attempt { host: host.to_owned(), at: clock::now(), took, outcome, traffic };
        let _ = self.record(&attempt, &[]);
        self.results.push(HostResult::new(attempt, 0));
    }

    fn result_only(&mut self, host: &str, cause: Cause, text: &str, took: Duration, traffic: Traffic) {
        let outcome = Outcome::Failed { cause, text: text.to_owned() };
        let attempt = Attempt { host: host.to_owned(), at: clock::now(), took, outcome, traffic };
        self.results.push(HostResult::new(attempt, 0));
    }

    /// Commits an attempt; `None` where the store did not take it. After a first failure nothing more is tried: each
    /// try may wait for a lock as long as the store does, and the samples are safe on their hosts.
    fn record(&mut self, attempt: &Attempt, samples: &[Sample]) -> Option<usize> {
        if self.error.is_some() {
            return None;
        }
        match self.store.record(self.id, attempt, samples) {
            Ok(stored) => Some(stored),
            Err(error) => {
                self.give_up(error);
                None
            }
        }
    }

    fn give_up(&mut self, error: StoreError) {
        self.broken.store(true, Ordering::Relaxed);
        self.error.get_or_insert(error);
    }
}

/// What came out of a host's files.
#[derive(Default)]
struct Opened {
    samples: Vec<Sample>,
    /// Names that the host may delete once the samples are committed.
    settled: Vec<String>,
    /// Whether the sample measured in this very run is among them.
    fresh: bool,
    worst: Option<(Cause, String)>,
}

impl Opened {
    /// Nothing was looked at; the files stay on their host.
    fn refused() -> Self {
        let text = "the owner's consent ended during the visit; nothing was stored".to_owned();
        Self { worst: Some((Cause::NoConsent, text)), ..Self::default() }
    }

    fn outcome(&self) -> Outcome {
        if self.fresh {
            return Outcome::Collected;
        }
        match self.worst.clone() {
            Some((cause, text)) => Outcome::Failed { cause, text },
            None => Outcome::Failed {
                cause: Cause::BadEnvelope,
                text: "what came was not measured in this run (a replay, or the probe did not measure)".to_owned(),
            },
        }
    }
}

/// A wrong clock stands in the sample as a fault; a line in the log would be a mail of cron for each sweep.
fn skew(host: &str, sample: &mut Sample) {
    let off = (sample.taken - clock::now()).num_seconds();
    if off.abs() > SKEW_SECONDS {
        let text = format!("the clock is off by {off} s; check the time synchronisation");
        log::info!("{host}: {text}");
        sample.faults.push(Fault { section: "clock".into(), item: "skew".into(), kind: FaultKind::Malformed, text });
    }
}

/// The name of the sample becomes the fact, whatever facts the host sends: a change of it can be seen for ever.
fn named(sample: &mut Sample) {
    sample.facts.retain(|fact| fact.name != NAME);
    if !sample.hostname.is_empty() {
        sample.facts.push(Fact { name: NAME.into(), item: String::new(), text: sample.hostname.clone() });
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
