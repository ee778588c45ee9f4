//! The keeper's side of a sweep: decrypts, checks and commits; only then may a host delete what it handed over.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::aside::Aside;
use super::crew::{Answers, Crew, Dialers, Heard, Until, WORDS};
use super::feed::{Feed, Given};
use super::plan::{Plan, Skip};
use super::report::{HostResult, Progress, SweepResult};
use crate::app::clock;
use crate::model::cause::Cause;
use crate::model::fleet::{Attempt, Outcome};
use crate::model::job::{FromDialer, ToDialer, Traffic};
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

/// Visits that are committed together at most: one commit costs as much as the rest of what is done for a host.
const BATCH: usize = 64;
/// Samples that wait for a commit at most; a host may hand over many.
const BATCH_SAMPLES: usize = 128;
/// How long the first of a commit waits for others, where others are to come: a tenth of what a visit takes on a near line.
const GATHER: Duration = Duration::from_millis(10);

/// Makes one sweep, `dialers` visiting each host. Returns what became of every host; the counts add up to the hosts planned.
pub fn sweep(
    spec: &FleetSpec,
    plan: Plan<'_>,
    identities: &[String],
    dialers: Dialers,
    store: &mut dyn Store,
    stop: &Arc<AtomicBool>,
    progress: &mut Progress,
) -> Result<SweepResult> {
    let begun = Instant::now();
    let id = store.begin(&plan.begun)?;
    let mut keeper = Keeper {
        id,
        store,
        identities,
        spec,
        visits: HashMap::new(),
        rows: Vec::new(),
        results: Vec::with_capacity(plan.visits.len() + plan.skipped.len()),
        elsewhere: Vec::new(),
        costs: Vec::new(),
        broken: Arc::new(AtomicBool::new(false)),
        down: None,
        error: None,
    };
    for skip in &plan.skipped {
        keeper.failed(&skip.host, skip.cause, skip.text.clone(), Duration::ZERO, Traffic::default());
    }
    keeper.run(Feed::new(plan, &spec.collector), dialers, stop, progress);
    let result = SweepResult {
        id,
        hosts: keeper.results,
        elsewhere: keeper.elsewhere,
        took: begun.elapsed(),
        stopped: stop.load(Ordering::Relaxed),
        down: keeper.down,
    };
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
    /// Its attempt waits for the next commit.
    waits: bool,
    /// Its dialer died: it waits until all others had their first try, and takes no room from them.
    again: bool,
    /// Set once the attempt is written; what it cost is added when the visit is over.
    attempt: Option<(Attempt, usize)>,
}

/// What the next commit writes.
struct Row {
    attempt: Attempt,
    samples: Vec<Sample>,
    /// What the host may delete then; `None` where no visit waits to hear of it.
    settled: Option<Vec<String>>,
}

struct Keeper<'a> {
    id: i64,
    store: &'a mut dyn Store,
    identities: &'a [String],
    spec: &'a FleetSpec,
    /// Those that are handed out.
    visits: HashMap<String, Visit>,
    rows: Vec<Row>,
    results: Vec<HostResult>,
    /// Hosts that other collectors see to, each with a text for people.
    elsewhere: Vec<(String, String)>,
    /// Attempts that are written and now have their costs: one commit for all, because no acknowledgement waits for it.
    costs: Vec<Attempt>,
    /// Seen by the crew: a store that takes nothing makes further visits pointless.
    broken: Arc<AtomicBool>,
    /// Why no dialer could be had.
    down: Option<String>,
    error: Option<StoreError>,
}

impl Keeper<'_> {
    fn run(&mut self, mut feed: Feed<'_>, dialers: Dialers, stop: &Arc<AtomicBool>, progress: &mut Progress) {
        let begun = Instant::now();
        let ends = begun + self.spec.collector.deadline;
        let nobody_waits_after = ends + self.spec.collector.timeout + GRACE;
        let (out, heard) = mpsc::sync_channel(WORDS);
        let (asked, broken) = (Arc::clone(stop), Arc::clone(&self.broken));
        let stop_now = Arc::new(move || asked.load(Ordering::Relaxed) || broken.load(Ordering::Relaxed));
        let until = Until { ends, stop: stop_now };
        let width = self.spec.collector.jobs.min(feed.len());
        let mut crew = Crew::start(width, until.clone(), dialers, &out)
            .inspect_err(|error| log::error!("no thread could be started: {error}"))
            .ok();
        // The crew holds the senders now: the channel ends with the last of it.
        drop(out);
        loop {
            let over = until.is_over();
            if !over {
                self.hand_out(&mut feed, crew.as_mut());
            }
            if let Some(crew) = crew.as_mut().filter(|_| over || feed.is_empty()) {
                crew.no_more();
            }
            self.commit();
            progress.set(self.results.len() + self.elsewhere.len());
            if self.visits.is_empty() && (over || feed.is_empty()) {
                break;
            }
            let wakes = if over { nobody_waits_after } else { feed.wakes().min(nobody_waits_after) };
            match heard.recv_timeout(wakes.saturating_duration_since(Instant::now())) {
                Ok(first) => {
                    self.hear(first, stop);
                    let until = Instant::now() + GATHER;
                    // Nobody else is to come where all who can be visited at once wait for this commit.
                    let most = BATCH.min(self.spec.collector.jobs);
                    while self.rows.len() < most && self.samples() < BATCH_SAMPLES {
                        let gather = !self.rows.is_empty() && self.more_to_come();
                        let wait =
                            if gather { until.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
                        let Ok(next) = heard.recv_timeout(wait) else { break };
                        self.hear(next, stop);
                    }
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() < nobody_waits_after => {}
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
        self.without_turn(&mut feed, stop);
        self.commit();
        progress.set(self.results.len() + self.elsewhere.len());
    }

    /// Claims hosts and gives them to the crew, as far as there is room.
    fn hand_out(&mut self, feed: &mut Feed<'_>, mut crew: Option<&mut Crew>) {
        // What is written with it ends leases of ours and tells others that these hosts are done.
        self.commit();
        // A store that took nothing would keep the next call waiting for as long again.
        if self.error.is_some() {
            return;
        }
        let held = self.visits.iter().filter(|(_, visit)| visit.attempt.is_none()).map(|(host, _)| host.as_str());
        let given = feed.renew(self.id, self.store, held, clock::now());
        // Bounded, for a fleet in which many hosts kill dialers.
        let put_back = self.visits.values().filter(|visit| visit.again).count().min(self.spec.collector.jobs);
        let out = self.visits.len() - put_back;
        match given.and_then(|()| feed.next(self.id, self.store, out, clock::now())) {
            Ok(given) => given.into_iter().for_each(|given| self.give(given, crew.as_deref_mut())),
            Err(error) => self.give_up(error),
        }
    }

    fn give(&mut self, given: Given, crew: Option<&mut Crew>) {
        match given {
            Given::Job(job) => {
                let nonce = job.nonce.clone();
                let visit =
                    Visit { nonce, answers: None, sealed: Vec::new(), waits: false, again: false, attempt: None };
                self.visits.insert(job.host.clone(), visit);
                // Where nobody is left to take it, it is told at the end.
                if let Some(crew) = crew {
                    crew.give(*job);
                }
            }
            Given::Skip(Skip { host, cause, text }) => {
                self.failed(&host, cause, text, Duration::ZERO, Traffic::default());
            }
            Given::Elsewhere(host, text) => self.elsewhere.push((host, text)),
            Given::Late(host) => {
                let text = "the sweep ended before its turn".to_owned();
                self.failed(&host, Cause::SweepDeadline, text, Duration::ZERO, Traffic::default());
            }
        }
    }

    /// Hosts that were never handed out. A person who ends a sweep says nothing of them, and no row makes them look
    /// unreachable.
    fn without_turn(&mut self, feed: &mut Feed<'_>, stop: &AtomicBool) {
        if self.error.is_none() && !stop.load(Ordering::Relaxed) {
            match feed.rest(self.id, self.store, clock::now()) {
                Ok(given) => given.into_iter().for_each(|given| self.give(given, None)),
                Err(error) => self.give_up(error),
            }
        }
        let text =
            if self.error.is_some() { "the store took nothing" } else { "a signal ended the sweep before its turn" };
        for host in feed.abandon() {
            self.result_only(&host, Cause::SweepDeadline, text, Duration::ZERO, Traffic::default());
        }
    }

    fn hear(&mut self, heard: Heard, stop: &AtomicBool) {
        match heard {
            Heard::Started(host, answers) => {
                if let Some(visit) = self.visits.get_mut(&host) {
                    visit.answers = Some(answers);
                    visit.again = false;
                    // Of a dialer that died in the middle; they come again.
                    visit.sealed.clear();
                }
            }
            Heard::Again(host) => {
                if let Some(visit) = self.visits.get_mut(&host) {
                    visit.again = true;
                }
            }
            Heard::Down(text) => self.down = Some(text),
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

    /// Everything of a host is here: open and check it, and tell the host what it may delete once that is committed.
    fn pulled(&mut self, host: &str, left: u32, dropped: u64, took: Duration) {
        let Some(visit) = self.visits.get_mut(host) else { return };
        let nonce = visit.nonce.clone();
        visit.waits = true;
        let sealed = std::mem::take(&mut visit.sealed);
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
        self.rows.push(Row { attempt, samples: opened.samples, settled: Some(opened.settled) });
    }

    /// Writes what waits in one transaction, and only then lets the hosts delete what they handed over. After a first
    /// failure nothing more is tried: each try may wait for a lock as long as the store does, and the samples are safe on
    /// their hosts.
    fn commit(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return;
        }
        let visits: Vec<(&Attempt, &[Sample])> =
            rows.iter().map(|row| (&row.attempt, row.samples.as_slice())).collect();
        let written = match self.error {
            Some(_) => None,
            None => self.store.record_all(self.id, &visits).map_err(|error| self.give_up(error)).ok(),
        };
        for (number, Row { attempt, settled, .. }) in rows.into_iter().enumerate() {
            let stored = written.as_ref().and_then(|counts| counts.get(number)).copied();
            let (Some(settled), Some(visit)) = (settled, self.visits.get_mut(&attempt.host)) else { continue };
            visit.waits = false;
            if let Some(answers) = &visit.answers {
                let acknowledged = if stored.is_some() { settled } else { Vec::new() };
                answers.send(ToDialer { host: attempt.host.clone(), acknowledged });
            }
            visit.attempt = stored.map(|stored| (attempt, stored));
        }
    }

    /// Whether there are visits that have nothing written and nothing to write yet.
    fn more_to_come(&self) -> bool {
        self.visits.values().any(|visit| !visit.waits && visit.attempt.is_none())
    }

    /// Samples that wait for the next commit.
    fn samples(&self) -> usize {
        self.rows.iter().map(|row| row.samples.len()).sum()
    }

    /// Whether the host may be measured still: its owner may have ended the consent since the sweep was planned.
    fn consented(&self, host: &str) -> Result<bool> {
        if !self.spec.consent_required {
            return Ok(true);
        }
        self.store.consented(host)
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
        let Some(visit) = self.over(host) else { return };
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

    /// Takes out a visit that has ended. Where it did not wait for its commit, that is made up for: whether it was written
    /// decides what became of it.
    fn over(&mut self, host: &str) -> Option<Visit> {
        if self.visits.get(host).is_some_and(|visit| visit.waits) {
            self.commit();
        }
        self.visits.remove(host)
    }

    /// A visit that came to no good end.
    fn end(&mut self, host: &str, cause: Cause, text: String, traffic: Traffic, took: Duration) {
        let Some(visit) = self.over(host) else { return };
        match visit.attempt {
            // The samples are committed: that the rest of the visit failed costs nothing.
            Some((attempt, stored)) => self.results.push(HostResult::new(attempt, stored)),
            None => self.failed(host, cause, text, took, traffic),
        }
    }

    fn failed(&mut self, host: &str, cause: Cause, text: String, took: Duration, traffic: Traffic) {
        let outcome = Outcome::Failed { cause, text };
        let attempt = Attempt { host: host.to_owned(), at: clock::now(), took, outcome, traffic };
        self.rows.push(Row { attempt: attempt.clone(), samples: Vec::new(), settled: None });
        if self.rows.len() >= BATCH {
            self.commit();
        }
        self.results.push(HostResult::new(attempt, 0));
    }

    fn result_only(&mut self, host: &str, cause: Cause, text: &str, took: Duration, traffic: Traffic) {
        let outcome = Outcome::Failed { cause, text: text.to_owned() };
        let attempt = Attempt { host: host.to_owned(), at: clock::now(), took, outcome, traffic };
        self.results.push(HostResult::new(attempt, 0));
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
