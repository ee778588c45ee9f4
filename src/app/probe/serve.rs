//! The collector's use: a task comes in, files go out, what is acknowledged is deleted.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::time::Duration;

use super::fail::Fail;
use super::guard::{self, Alarm};
use super::sample::{self, Checks};
use super::spool::{Pending, Spool};
use crate::app::exit::{Exit, Failure, Outcome};
use crate::measure::{self, Root};
use crate::model::cause::Cause;
use crate::wire::task::{MAX_TASK, Task};
use crate::wire::{frame, is_nonce, seal, v1};

/// What is left of the host's time for login, sealing and handing over, when all checks are slow.
const RESERVE: Duration = Duration::from_secs(4);
/// Checks get this much even of a short time.
const LEAST: Duration = Duration::from_secs(1);
/// Room of a spool that only this machine's own cron fills.
const OWN_SPOOL_BYTES: u64 = 4 << 20;

/// Does the task on standard input. The exit status proves nothing: the end marker does.
pub fn serve(root: &Root, dir: &Path) -> Outcome {
    guard::limit();
    let alarm = Alarm::start();
    let mut input = BufReader::new(io::stdin().lock());
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let mut line = Vec::new();
    let limit = MAX_TASK as u64 + 1;
    input.by_ref().take(limit).read_until(b'\n', &mut line).map_err(|error| broken("standard input", &error))?;
    let line = String::from_utf8_lossy(&line);
    let line = line.trim_end();
    let task = match Task::decode(line) {
        Ok(task) => task,
        Err(error) => {
            let text = format!("the task is not understood: {error}");
            // A collector of another version still learns why, if its nonce can be found.
            if let Some(nonce) = nonce_of(line) {
                frame::write_start(&mut out, &nonce)
                    .and_then(|()| frame::write_fail(&mut out, Cause::ProbeFailed, &text))
                    .map_err(|error| broken("standard output", &error))?;
            }
            return Err(Failure::new(Exit::Usage, text));
        }
    };
    alarm.set(u64::from(task.deadline_secs) + 5);
    frame::write_start(&mut out, &task.nonce).map_err(|error| broken("standard output", &error))?;
    match pull(root, dir, &task, &mut input, &mut out) {
        Ok(()) => Ok(Exit::Done),
        Err(Stop::Line(error)) => Err(broken("the collector", &error)),
        Err(Stop::Fail(fail)) => {
            frame::write_fail(&mut out, fail.cause, &fail.text).map_err(|error| broken("standard output", &error))?;
            Err(Failure::new(Exit::Failed, fail.text))
        }
    }
}

/// Measures into the spool, for this machine's own cron.
pub fn spool_only(root: &Root, dir: &Path, recipients: &[String]) -> Outcome {
    guard::limit();
    let _alarm = Alarm::start();
    let failed = |fail: Fail| Failure::new(Exit::Failed, format!("{}; {}", fail.text, fail.cause.remedy()));
    let spool = Spool::open(dir).map_err(failed)?;
    measure_into(root, &spool, None, recipients, OWN_SPOOL_BYTES, Checks::default()).map_err(failed)?;
    Ok(Exit::Done)
}

enum Stop {
    Fail(Fail),
    Line(io::Error),
}

impl From<Fail> for Stop {
    fn from(fail: Fail) -> Self {
        Self::Fail(fail)
    }
}

fn pull(root: &Root, dir: &Path, task: &Task, input: &mut impl BufRead, out: &mut impl Write) -> Result<(), Stop> {
    let spool = Spool::open(dir)?;
    let time = Duration::from_secs(u64::from(task.deadline_secs)).saturating_sub(RESERVE).max(LEAST);
    let checks = Checks { orders: task.checks.clone(), memory: spool.memory(), time };
    let newest = measure_into(root, &spool, Some(&task.nonce), &task.recipients, task.spool_bytes, checks)?;
    let waiting = spool.pending()?;
    let (chosen, mut left) = choose(&waiting, &newest, task);
    let mut sent = 0;
    for file in chosen {
        match spool.read(&file.name) {
            Some(bytes) => {
                frame::write_file(out, &file.name, &bytes).map_err(Stop::Line)?;
                sent += 1;
            }
            None => left += 1,
        }
    }
    let mut state = spool.state();
    frame::write_end(out, &task.nonce, sent, left, state.dropped).map_err(Stop::Line)?;
    let acknowledged = frame::read_answer(input).map_err(Stop::Line)?;
    for name in &acknowledged {
        spool.remove(name);
    }
    if state.dropped > 0 && !acknowledged.is_empty() {
        state.dropped = 0;
        spool.set_state(&state)?;
    }
    Ok(())
}

/// Measures, seals, writes; returns the file's name. The sequence is durable before it is used.
fn measure_into(
    root: &Root,
    spool: &Spool,
    nonce: Option<&str>,
    recipients: &[String],
    room: u64,
    checks: Checks,
) -> Result<String, Fail> {
    let ordered = !checks.orders.is_empty();
    let boot = measure::boot_id(root);
    let mut state = spool.state();
    let earlier = state.advance(&boot, measure::uptime_millis(root));
    let taken = sample::take(root, earlier.as_ref(), state.sequence, checks);
    if let Some(totals) = &taken.totals {
        state.keep(totals);
    }
    let plain = v1::encode(nonce, &taken.sample);
    let sealed = seal::seal(recipients, &plain).map_err(|error| Fail::new(Cause::ProbeFailed, error.to_string()))?;
    // Room first: on a full disk what goes may be what makes the rest possible.
    state.dropped = state.dropped.saturating_add(spool.make_room(room, sealed.len() as u64)?);
    spool.set_state(&state)?;
    let name = format!("{}-{:010}.age", boot.get(..8).unwrap_or("00000000"), state.sequence);
    spool.write(&name, &sealed)?;
    if ordered {
        spool.set_memory(&taken.memory)?;
    }
    Ok(name)
}

/// The oldest within the task's limits, and always the newest; and how many stay.
fn choose<'a>(waiting: &'a [Pending], newest: &str, task: &Task) -> (Vec<&'a Pending>, u32) {
    let fresh = waiting.iter().find(|file| file.name == newest);
    let mut bytes = fresh.map_or(0, |file| file.size);
    let mut chosen: Vec<&Pending> = Vec::new();
    let most = (task.pull_files as usize).saturating_sub(usize::from(fresh.is_some()));
    for file in waiting.iter().filter(|file| file.name != newest) {
        if chosen.len() >= most || bytes.saturating_add(file.size) > task.pull_bytes {
            break;
        }
        bytes += file.size;
        chosen.push(file);
    }
    chosen.extend(fresh);
    let left = u32::try_from(waiting.len() - chosen.len()).unwrap_or(u32::MAX);
    (chosen, left)
}

fn nonce_of(line: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    value.get("nonce")?.as_str().filter(|nonce| is_nonce(nonce)).map(str::to_owned)
}

fn broken(place: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{place}: {error}"))
}
