//! The keeper's side of the line: hands out jobs, hears what comes of them, and starts another dialer where one dies.
//!
//! A dialer that dies costs no host more than time. Those under way are tried again once all others are done: a few at
//! once, and whoever was there when it dies a second time once more alone. So a host that kills dialers harms itself.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::hire::{Hire, Hired};
use super::refusals::Refusals;
use super::visits::Visits;
use crate::app::descriptors;
use crate::app::dialer::Dial;
use crate::app::dialer::fence::Fence;
use crate::app::dialer::frames::{Frames, framed};
use crate::app::dialer::message::{MAX_SAID, Malformed, Order, READY, SET, Said};
use crate::app::dialer::serve::turn;
use crate::model::cause::Cause;
use crate::model::job::{FromDialer, Job, ToDialer, Traffic};
use crate::model::spec::Transport;

/// How many hosts are visited at once in the first, second and third try.
const AT_ONCE: [usize; 3] = [usize::MAX, 16, 1];
/// What the dialer does not take within this time it will not take any more: it reads always.
const PATIENCE: Duration = Duration::from_secs(10);
/// For a dialer to come up, on a machine that has much else to do.
const START: Duration = Duration::from_secs(30);
/// How long at most until an end of the sweep is noticed.
const GLANCE: Duration = Duration::from_millis(200);
/// So much before its time a visit may end because of it: the system waits in whole milliseconds.
const EARLY: Duration = Duration::from_millis(5);
/// Before a dialer that could not be started is started once more.
const PAUSE: Duration = Duration::from_millis(500);
/// Words that wait for the keeper; with more the dialer has to wait.
pub const WORDS: usize = 256;

/// What the keeper hears.
pub enum Heard {
    /// A visit begins, perhaps once more; answers for the host go there.
    Started(String, Answers),
    /// The dialer says something, so long after the visit began. How long the keeper then needs is none of the host's
    /// matter.
    Said(FromDialer, Duration),
    /// The host's dialer died: it is visited once more, after those that had no visit yet.
    Again(String),
    /// The host's turn did not come before the sweep's end.
    NoTurn(String),
    /// No dialer comes up, and no more hosts are visited; for people.
    Down(String),
}

/// Where the keeper's answer to a host goes.
#[derive(Clone)]
pub enum Answers {
    /// To the dialer.
    Line(Arc<Line>),
    /// To a thread that visits this machine.
    Thread(Sender<ToDialer>),
}

impl Answers {
    /// Hands it over. A visit that ended meanwhile hears nothing; its files come again and are recognised.
    pub fn send(&self, answer: ToDialer) {
        match self {
            Self::Line(line) => drop(line.tell(&Order::Answer(answer))),
            Self::Thread(thread) => drop(thread.send(answer)),
        }
    }
}

/// The writing half of the line to a dialer.
pub struct Line(Mutex<UnixStream>);

impl Line {
    fn tell(&self, order: &Order) -> io::Result<()> {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        line.write_all(&framed(&order.encode())).inspect_err(|_| {
            // Half a message may have gone: nothing can follow it.
            let _ = line.shutdown(std::net::Shutdown::Both);
        })
    }
}

/// Who visits: a dialer for all hosts over SSH, a thread of our own for this machine, which needs no C and no stranger's
/// bytes, but the rights that the dialer gives away.
pub struct Dialers {
    /// Starts a dialer.
    pub hire: Hire,
    /// What the dialer must not touch.
    pub fence: Fence,
    /// Visits this machine.
    pub local: Dial,
}

/// When no host is begun any more.
#[derive(Clone)]
pub struct Until {
    /// From then on.
    pub ends: Instant,
    /// Or when it says so.
    pub stop: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Until {
    /// Whether that is so now.
    pub fn is_over(&self) -> bool {
        (self.stop)() || Instant::now() >= self.ends
    }

    /// The job with no more time than there is, and whether that is less than it should have.
    fn bound(&self, job: Job) -> (Job, bool) {
        let left = self.ends.saturating_duration_since(Instant::now());
        (Job { timeout: job.timeout.min(left), ..job }, left < job.timeout)
    }
}

/// The threads that visit this machine and lead the dialer; dropping it ends the dialer.
pub struct Crew {
    /// To the thread that visits this machine, and to the dialer's leader; `None` once no more jobs come.
    jobs: Option<(Sender<Job>, Sender<Job>)>,
    gone: Arc<AtomicBool>,
    leader: Option<JoinHandle<()>>,
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
        self.no_more();
        if let Some(leader) = self.leader.take() {
            let _ = leader.join();
        }
    }
}

impl Crew {
    /// Begins to visit, at most `width` hosts at once; of every job one end is heard. The receiver must be dropped before
    /// the crew.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(wanted: usize, until: Until, dialers: Dialers, out: &SyncSender<Heard>) -> io::Result<Self> {
        let width = descriptors::visits(wanted);
        if width < wanted {
            // Not a warning: cron would mail it for each sweep, and nothing is lost but time.
            log::info!("{width} hosts at once instead of {wanted}: the limit of open files is low (ulimit -n)");
        }
        let gone = Arc::new(AtomicBool::new(false));
        let ((near, nearer), (far, farther)) = (mpsc::channel(), mpsc::channel());
        let (here, heard, local) = (until.clone(), out.clone(), dialers.local);
        thread::Builder::new().name("local".to_owned()).spawn(move || locally(nearer, &local, &here, &heard))?;
        let leader = Leader {
            jobs: farther,
            waiting: Default::default(),
            more: true,
            visits: Visits::default(),
            refusals: Refusals::default(),
            ready: false,
            width,
            until,
            hire: dialers.hire,
            fence: dialers.fence,
            out: out.clone(),
            gone: Arc::clone(&gone),
        };
        let leader = thread::Builder::new().name("dialers".to_owned()).spawn(move || leader.lead())?;
        Ok(Self { jobs: Some((near, far)), gone, leader: Some(leader) })
    }

    /// Hands a job over; after [`Crew::no_more`] nobody takes it.
    pub fn give(&mut self, job: Job) {
        let Some((near, far)) = &self.jobs else { return };
        let to = if matches!(job.transport, Transport::Local) { near } else { far };
        let _ = to.send(job);
    }

    /// Lets everybody go home once the last visit is over.
    pub fn no_more(&mut self) {
        self.jobs = None;
    }
}

/// Visits this machine, under however many names it has.
fn locally(jobs: Receiver<Job>, local: &Dial, until: &Until, out: &SyncSender<Heard>) {
    for job in jobs {
        if until.is_over() {
            let _ = out.send(Heard::NoTurn(job.host));
            continue;
        }
        let (answers, answer) = mpsc::channel();
        let (job, cut) = until.bound(job);
        let short = cut.then_some(job.timeout);
        let _ = out.send(Heard::Started(job.host.clone(), Answers::Thread(answers)));
        turn(&job, local, &answer, &mut |said, took| drop(out.send(fair(said, took, short))));
    }
}

/// A visit that used up its time and failed had no whole turn where the sweep's end made that time `short`: it says
/// nothing of the host.
fn fair(said: FromDialer, took: Duration, short: Option<Duration>) -> Heard {
    match said {
        FromDialer::Failed { host, .. } if short.is_some_and(|most| took + EARLY >= most) => Heard::NoTurn(host),
        said => Heard::Said(said, took),
    }
}

struct Leader {
    jobs: Receiver<Job>,
    /// Whether more jobs may come.
    more: bool,
    /// Hosts that wait for their first, second and third try.
    waiting: [VecDeque<Job>; 3],
    visits: Visits,
    /// Bastions that refused this dialer or one before it.
    refusals: Refusals,
    /// The dialer has come up, and may be told hosts.
    ready: bool,
    width: usize,
    until: Until,
    hire: Hire,
    fence: Fence,
    out: SyncSender<Heard>,
    gone: Arc<AtomicBool>,
}

impl Leader {
    fn lead(mut self) {
        let mut unready = false;
        loop {
            self.take_in(GLANCE);
            self.end_if_over();
            let Some(probes) = self.waiting.iter().flatten().next().map(|job| job.probes.clone()) else {
                if self.more && !self.gone.load(Ordering::Relaxed) {
                    continue;
                }
                return;
            };
            // A machine that is short of processes for a moment may have one the next.
            let hired = (self.hire)().or_else(|error| {
                log::info!("the dialer cannot be started: {error}; once more");
                thread::sleep(PAUSE);
                (self.hire)()
            });
            let mut dialer = match hired {
                Ok(dialer) => dialer,
                Err(error) => return self.give_up(&format!("the dialer cannot be started: {error}")),
            };
            self.ready = false;
            let done = self.work(&mut dialer, probes);
            drop(dialer);
            match done {
                Ok(()) => return,
                Err(why) if self.ready => {
                    unready = false;
                    self.bury(&why);
                }
                Err(why) if !unready => {
                    unready = true;
                    log::info!("the dialer did not come up: {why}; once more");
                    thread::sleep(PAUSE);
                }
                // No host had a part in it: a third one would fare no better.
                Err(why) => return self.give_up(&format!("the dialer did not come up: {why}")),
            }
        }
    }

    /// Takes in the jobs that are there; where there is nothing to do, waits a while for one.
    fn take_in(&mut self, patience: Duration) {
        let idle = self.waiting.iter().all(VecDeque::is_empty) && self.visits.count() == 0;
        let mut wait = if idle { patience } else { Duration::ZERO };
        while self.more {
            match self.jobs.recv_timeout(wait) {
                Ok(job) => self.waiting[0].push_back(job),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => self.more = false,
            }
            wait = Duration::ZERO;
        }
    }

    /// Leads a dialer until all is done or nobody listens any more; otherwise why it is of no use any more.
    fn work(&mut self, dialer: &mut Hired, probes: PathBuf) -> Result<(), String> {
        let broke = |error: &io::Error| format!("the line to it broke: {error}");
        let line =
            dialer.line.set_read_timeout(Some(GLANCE)).and_then(|()| dialer.line.set_write_timeout(Some(PATIENCE)));
        let line = line.and_then(|()| dialer.line.try_clone()).map_err(|error| broke(&error))?;
        let line = Arc::new(Line(Mutex::new(line)));
        let mut handed = Ok(());
        let (begun, mut came_up) = (Instant::now(), false);
        // How long the line was listened to since it brought something whole: a message that drips is none.
        let mut quiet = Duration::ZERO;
        let wrong = |error: Malformed| format!("it said what is no message: {error}");
        let mut frames = Frames::new(MAX_SAID);
        loop {
            // An idle dialer is not waited for: the next job is.
            self.take_in(if self.ready { GLANCE } else { Duration::ZERO });
            self.end_if_over();
            if self.ready {
                handed = handed.and_then(|()| self.hand_out(&line));
            } else if begun.elapsed() > START {
                return Err("it said nothing".to_owned());
            }
            let idle = self.ready && handed.is_ok() && self.visits.count() == 0;
            if self.gone.load(Ordering::Relaxed) || (idle && !self.more) {
                return Ok(());
            }
            if idle {
                continue;
            }
            let listens = Instant::now();
            let filled = frames.fill(&mut dialer.line);
            quiet += listens.elapsed();
            let ended = match filled {
                Ok(0) => Some("it closed the line".to_owned()),
                Ok(_) => None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => handed.as_ref().err().map(broke),
                Err(error) => Some(broke(&error)),
            };
            while let Some(bytes) = frames.next().map_err(wrong)? {
                quiet = Duration::ZERO;
                if self.ready {
                    self.hear(Said::decode(bytes).map_err(wrong)?)?;
                } else if came_up && bytes == SET {
                    self.ready = true;
                } else if !came_up && bytes == READY {
                    came_up = true;
                    // Not before it reads: a fence around many files is more than the line holds.
                    let width = u32::try_from(self.at_once(self.next_try())).unwrap_or(u32::MAX);
                    handed = line.tell(&Order::Begin { width, probes: probes.clone(), fence: self.fence.clone() });
                } else {
                    return Err("it is none".to_owned());
                }
            }
            if let Some(why) = ended {
                return Err(dialer.ending().unwrap_or(why));
            }
            // Only then: what waited in the line while the keeper stood still may be the end of a visit.
            if quiet >= GLANCE {
                self.look_for_late()?;
            }
        }
    }

    /// The number of the next try; hosts that are tried again do not meet those that are tried for the first time.
    fn next_try(&self) -> usize {
        self.visits
            .tries()
            .or_else(|| self.waiting.iter().position(|jobs| !jobs.is_empty()).map(|at| at + 1))
            .unwrap_or(1)
    }

    fn at_once(&self, tries: usize) -> usize {
        AT_ONCE.get(tries - 1).map_or(1, |most| self.width.min(*most))
    }

    fn hand_out(&mut self, line: &Arc<Line>) -> io::Result<()> {
        let tries = self.next_try();
        // Those that were not tried yet may have come meanwhile.
        if self.waiting.iter().take(tries - 1).any(|jobs| !jobs.is_empty()) {
            return Ok(());
        }
        while self.visits.count() < self.at_once(tries) {
            let Some(job) = self.waiting.get_mut(tries - 1).and_then(VecDeque::pop_front) else { break };
            if let Some((cause, text)) = self.refusals.known(&job) {
                self.failed(&job.host, cause, &text, Duration::ZERO);
                continue;
            }
            let (job, cut) = self.until.bound(job);
            self.visits.begin(job.clone(), cut, tries, Instant::now());
            self.tell(Heard::Started(job.host.clone(), Answers::Line(Arc::clone(line))));
            line.tell(&Order::Visit(Box::new(job)))?;
        }
        // Where all of a try were answered for, the next one begins.
        let more = self.visits.count() == 0 && self.waiting.iter().any(|jobs| !jobs.is_empty());
        if more { self.hand_out(line) } else { Ok(()) }
    }

    fn hear(&mut self, Said { what, took }: Said) -> Result<(), String> {
        let failed = match &what {
            FromDialer::Failed { host, cause, text, .. } => {
                self.visits.job(host).cloned().map(|job| (job, *cause, text.clone()))
            }
            _ => None,
        };
        let (took, short) = self.visits.hear(&what, took, Instant::now())?;
        if let Some((job, cause, text)) = failed {
            self.refusals.note(&job, cause, &text);
        }
        self.tell(fair(what, took, short));
        Ok(())
    }

    /// A visit that does not end shows that the dialer does not work any more. Whose fault that is shows who is late when
    /// visited alone: another second try of all of them would take as long once more.
    fn look_for_late(&mut self) -> Result<(), String> {
        if self.visits.doubt_overdue(Instant::now(), AT_ONCE.len() - 1) {
            return Err("it did not end a visit in time".to_owned());
        }
        Ok(())
    }

    /// What a dialer leaves behind that is of no use any more.
    fn bury(&mut self, why: &str) {
        let mut again = 0;
        for visit in self.visits.take_all() {
            let waiting = self.waiting.get_mut(visit.tries);
            match waiting {
                // What it handed over is with the keeper; only the farewell is missing.
                _ if visit.pulled => self.failed(&visit.job.host, Cause::Internal, why, visit.since.elapsed()),
                Some(waiting) => {
                    let host = visit.job.host.clone();
                    waiting.push_back(visit.job);
                    self.tell(Heard::Again(host));
                    again += 1;
                }
                None => {
                    let text = format!("every dialer that visited this host died; the last: {why}");
                    self.failed(&visit.job.host, Cause::KillsDialer, &text, visit.since.elapsed());
                }
            }
        }
        // Where that happens, somebody should hear of it: cron mails it.
        log::warn!("the dialer died ({why}); {again} hosts are tried again, the others go on");
    }

    fn end_if_over(&mut self) {
        if self.until.is_over() {
            for job in self.waiting.iter_mut().flat_map(std::mem::take).collect::<Vec<_>>() {
                self.tell(Heard::NoTurn(job.host));
            }
        }
    }

    fn give_up(&mut self, text: &str) {
        // Who ends the sweep may have ended the dialer too, before it knew of signals.
        let over = self.until.is_over();
        if !over {
            log::error!("{text}; no host is visited over SSH any more in this sweep");
            self.tell(Heard::Down(text.to_owned()));
        }
        let mut waiting: VecDeque<Job> = self.waiting.iter_mut().flat_map(std::mem::take).collect();
        // Nor is there anybody for those that are still to come.
        while let Some(job) = waiting.pop_front().or_else(|| self.jobs.recv().ok()) {
            if over {
                self.tell(Heard::NoTurn(job.host));
            } else {
                self.failed(&job.host, Cause::Internal, text, Duration::ZERO);
            }
        }
    }

    fn failed(&mut self, host: &str, cause: Cause, text: &str, took: Duration) {
        let (host, text, traffic) = (host.to_owned(), text.to_owned(), Traffic::default());
        self.tell(Heard::Said(FromDialer::Failed { host, cause, text, traffic }, took));
    }

    fn tell(&mut self, heard: Heard) {
        if self.out.send(heard).is_err() {
            self.gone.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
#[path = "crew_tests.rs"]
mod tests;
