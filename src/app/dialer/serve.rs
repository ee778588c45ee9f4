//! The dialer as a process of its own: it visits whom the keeper names, and holds no key, no store and no password but
//! those of SSH. It ends with the keeper.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::frames::{Frames, framed};
use super::message::{MAX_ORDER, Order, READY, SET, Said};
use super::{Dial, Run, visit};
use crate::app::exit::{Exit, Failure, Outcome};
use crate::app::harden;
use crate::model::cause::Cause;
use crate::model::job::{FromDialer, Job, ToDialer, Traffic};
use crate::ssh::deploy;

/// Enough for libssh2 and the age stream; thousands of threads then cost address space, not memory.
const STACK: usize = 512 * 1024;
/// The first visits start spread over this long, so that a shared switch or bastion meets no burst.
const SPREAD: Duration = Duration::from_millis(300);
/// Files of a host are kept back until there is so much to say, because each word costs both sides a system call.
const BATCH: usize = 64 * 1024;

/// What `fleet-collector` is when the keeper has started it as its dialer: the line is its standard input.
///
/// # Errors
/// [`Exit::Usage`] where a person started it; [`Exit::Failed`] where the line breaks.
pub fn main() -> Outcome {
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("as the dialer: {error}"));
    let line = line().ok_or_else(|| {
        Failure::new(Exit::Usage, "--dial is what the collector starts its own second process with; leave it out")
    })?;
    harden::confine().map_err(|error| failed(&error))?;
    // They are for the keeper, which ends the sweep in order and us with it.
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))).map_err(|error| failed(&error))?;
    }
    let run = Run::default();
    serve(line, Box::new(move |job, say, answer| visit(job, &run, say, answer))).map_err(|error| failed(&error))?;
    Ok(Exit::Done)
}

/// Standard input, if it is a socket.
fn line() -> Option<UnixStream> {
    let input = io::stdin().as_fd().try_clone_to_owned().ok()?;
    let facts = rustix::fs::fstat(&input).ok()?;
    let socket = rustix::fs::FileType::from_raw_mode(facts.st_mode) == rustix::fs::FileType::Socket;
    socket.then(|| UnixStream::from(input))
}

/// Visits whom the other end of the line names, until it is closed.
///
/// # Errors
/// The line's, and what comes that is no message.
pub fn serve(mut line: UnixStream, dial: Dial) -> io::Result<()> {
    line.write_all(&framed(READY))?;
    let desk = Arc::new(Desk {
        waiting: Mutex::default(),
        news: Condvar::new(),
        answers: Mutex::default(),
        out: Mutex::new(line.try_clone()?),
        dial,
    });
    let ended = desk.listen(&mut line);
    // Those who wait for a job, or for an answer, need wait no more.
    desk.waiting().over = true;
    desk.news.notify_all();
    desk.answers().clear();
    ended
}

struct Desk {
    waiting: Mutex<Waiting>,
    news: Condvar,
    /// Where the keeper's word for a host under way goes.
    answers: Mutex<HashMap<String, Sender<ToDialer>>>,
    out: Mutex<UnixStream>,
    dial: Dial,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<(Job, Receiver<ToDialer>)>,
    /// Threads there are, and how many of them wait for a job.
    threads: u32,
    idle: usize,
    /// How many visits there will be at once.
    width: u32,
    over: bool,
}

impl Desk {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, Sender<ToDialer>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(self: &Arc<Self>, line: &mut UnixStream) -> io::Result<()> {
        let wrong = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let mut frames = Frames::new(MAX_ORDER);
        loop {
            while let Some(bytes) = frames.next().map_err(wrong)? {
                match Order::decode(bytes).map_err(wrong)? {
                    Order::Begin { width, probes, fence } => {
                        self.waiting().width = width;
                        // Read and hashed before the first host's time begins; what is wrong with them is said for each.
                        let _ = deploy::probes(&probes);
                        // Not a warning: cron would mail it for each sweep. SECURITY.md tells who has no fence.
                        match fence.put_up() {
                            Ok(true) => {}
                            Ok(false) => {
                                log::info!("this kernel knows too little of Landlock to keep the dialer from all files")
                            }
                            Err(text) => log::info!("{text}"),
                        }
                        self.out.lock().unwrap_or_else(PoisonError::into_inner).write_all(&framed(SET))?;
                    }
                    Order::Visit(job) => self.take(*job),
                    Order::Answer(answer) => {
                        let visit = self.answers().get(&answer.host).cloned();
                        // A visit that ended meanwhile hears nothing; its files come again and are recognised.
                        let _ = visit.map(|visit| visit.send(answer));
                    }
                }
            }
            match frames.fill(line) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives the job to a thread that waits for one, or to a new one.
    fn take(self: &Arc<Self>, job: Job) {
        let (answers, answer) = mpsc::channel();
        self.answers().insert(job.host.clone(), answers);
        let mut waiting = self.waiting();
        waiting.jobs.push_back((job, answer));
        if waiting.idle >= waiting.jobs.len() {
            self.news.notify_one();
            return;
        }
        let (mine, number, width) = (Arc::clone(self), waiting.threads, waiting.width);
        let wait = if number < width { SPREAD.mul_f64(f64::from(number) / f64::from(width)) } else { Duration::ZERO };
        let started = thread::Builder::new().stack_size(STACK).spawn(move || {
            thread::sleep(wait);
            mine.work();
        });
        match started {
            Ok(_) => waiting.threads += 1,
            // Fewer threads than asked for (a limit of the system) only make the sweep slower.
            Err(error) if waiting.threads > 0 => log::info!("{} threads and no more: {error}", waiting.threads),
            Err(error) => {
                let jobs = std::mem::take(&mut waiting.jobs);
                drop(waiting);
                for (job, _) in jobs {
                    let text = format!("no thread could be started: {error}");
                    let what = failed(&job, Cause::LocalSetup, &text);
                    self.say(&job.host, &mut Vec::new(), Said { what, took: Duration::ZERO });
                }
            }
        }
    }

    fn work(&self) {
        while let Some((job, answer)) = self.next() {
            let mut batch = Vec::new();
            turn(&job, &self.dial, &answer, &mut |what, took| self.say(&job.host, &mut batch, Said { what, took }));
        }
    }

    fn next(&self) -> Option<(Job, Receiver<ToDialer>)> {
        let mut waiting = self.waiting();
        loop {
            if waiting.over {
                return None;
            }
            if let Some(job) = waiting.jobs.pop_front() {
                return Some(job);
            }
            waiting.idle += 1;
            waiting = self.news.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.idle -= 1;
        }
    }

    fn say(&self, host: &str, batch: &mut Vec<u8>, said: Said) {
        batch.extend_from_slice(&framed(&said.encode()));
        match said.what {
            FromDialer::Sealed { .. } if batch.len() < BATCH => return,
            FromDialer::Sealed { .. } | FromDialer::Pulled { .. } => {}
            // Before the word: once it is heard, the keeper may name the host again.
            FromDialer::Finished { .. } | FromDialer::Failed { .. } => drop(self.answers().remove(host)),
        }
        // The keeper gone means that we are about to end.
        let _ = self.out.lock().unwrap_or_else(PoisonError::into_inner).write_all(batch);
        batch.clear();
    }
}

fn failed(job: &Job, cause: Cause, text: &str) -> FromDialer {
    FromDialer::Failed { host: job.host.clone(), cause, text: text.to_owned(), traffic: Traffic::default() }
}

/// One visit; whatever happens in it, exactly one end is said. With each word goes how long the visit took until then.
pub fn turn(job: &Job, dial: &Dial, answer: &Receiver<ToDialer>, say: &mut dyn FnMut(FromDialer, Duration)) {
    let begun = Instant::now();
    let mut ended = false;
    let mut tell = |what: FromDialer| {
        ended |= matches!(what, FromDialer::Finished { .. } | FromDialer::Failed { .. });
        say(what, begun.elapsed());
    };
    let result = catch_unwind(AssertUnwindSafe(|| dial(job, &mut tell, answer)));
    if !ended {
        let text = if result.is_err() { "the visit panicked" } else { "the visit ended without a word" };
        say(failed(job, Cause::Internal, text), begun.elapsed());
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
