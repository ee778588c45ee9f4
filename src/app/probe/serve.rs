//! The collector's use: a task comes in, files go out, what is acknowledged is deleted.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::time::Duration;

use super::aside;
use super::fail::Fail;
use super::guard::Alarm;
use super::places;
use super::sample::{self, Checks};
use super::spool::{Pending, Spool};
use super::state::State;
use crate::app::exit::{Exit, Failure, Outcome};
use crate::check;
use crate::measure::{self, MAX_PROCESSES_FILE, Past, Processes, Root, Totals};
use crate::model::cause::Cause;
use crate::model::clean::clean;
use crate::model::order;
use crate::model::sample::{Fault, FaultKind, Sample};
use crate::wire::task::{MAX_TASK, Task};
use crate::wire::{frame, is_nonce, seal, v1};

/// What is left of the host's time for login, sealing and handing over, when all checks are slow.
const RESERVE: Duration = Duration::from_secs(4);
/// Checks get this much even of a short time.
const LEAST: Duration = Duration::from_secs(1);
/// Room of a spool that only this machine's own cron fills.
const OWN_SPOOL_BYTES: u64 = 4 << 20;
/// What processes had used, in the spool.
const PROCESSES: &str = "processes";

/// Does the task on standard input. The exit status proves nothing: the end marker does. Without `plugins` it starts no
/// program that the task names, whoever has sent it.
pub fn serve(root: &Root, dir: &Path, plugins: bool) -> Outcome {
    let alarm = Alarm::start();
    let mut input = BufReader::new(io::stdin().lock());
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let mut line = Vec::new();
    let limit = MAX_TASK as u64 + 1;
    input.by_ref().take(limit).read_until(b'\n', &mut line).map_err(|error| broken("standard input", &error))?;
    let line = String::from_utf8_lossy(&line);
    let line = line.trim_end();
    let task = match Task::decode(line) {
        Ok(task) if plugins => task,
        Ok(task) => without_plugins(task),
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
        Ok(wanted) => {
            if wanted {
                aside::start(dir);
            }
            Ok(Exit::Done)
        }
        Err(Stop::Line(error)) => Err(broken("the collector", &error)),
        Err(Stop::Fail(fail)) => {
            frame::write_fail(&mut out, fail.cause, &fail.text).map_err(|error| broken("standard output", &error))?;
            Err(Failure::new(Exit::Failed, fail.text))
        }
    }
}

/// Measures into the spool, for this machine's own cron.
pub fn spool_only(root: &Root, dir: &Path, recipients: &[String], command_lines: bool) -> Outcome {
    let _alarm = Alarm::start();
    let failed = |fail: Fail| Failure::new(Exit::Failed, format!("{}; {}", fail.text, fail.cause.remedy()));
    let spool = Spool::open(dir).map_err(failed)?;
    let checks = Checks::default();
    let fresh =
        measure_into(root, Ok(&spool), (None, recipients), OWN_SPOOL_BYTES, checks, command_lines).map_err(failed)?;
    drop(spool);
    if fresh.ask_aside {
        aside::start(dir);
    }
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

/// True where something that takes long is to be asked now.
fn pull(root: &Root, dir: &Path, task: &Task, input: &mut impl BufRead, out: &mut impl Write) -> Result<bool, Stop> {
    let own = Spool::open(dir);
    let time = Duration::from_secs(u64::from(task.deadline_secs)).saturating_sub(RESERVE).max(LEAST);
    let memory = own.as_ref().map(Spool::memory).unwrap_or_default();
    let checks = Checks { orders: task.checks.clone(), memory, time };
    let recipients = (Some(task.nonce.as_str()), &task.recipients[..]);
    let fresh = measure_into(root, own.as_ref(), recipients, task.spool_bytes, checks, task.command_lines)?;
    // A spool that cannot be opened on a full or read-only disk keeps what it has; the new sample goes without it.
    let mut spools: Vec<Spool> = own.into_iter().collect();
    spools.extend(places::elsewhere(dir));
    let waiting = gather(&spools, &fresh)?;
    let (chosen, mut left) = choose(&waiting, &fresh, task);
    let mut sent = 0;
    for file in &chosen {
        match spools.get(file.spool).and_then(|spool| spool.read(&file.pending.name)) {
            Some(bytes) => {
                frame::write_file(out, &file.pending.name, &bytes).map_err(Stop::Line)?;
                sent += 1;
            }
            None => left += 1,
        }
    }
    if let Some(bytes) = &fresh.unkept {
        frame::write_file(out, &fresh.name, bytes).map_err(Stop::Line)?;
        sent += 1;
    }
    let mut states: Vec<State> = spools.iter().map(Spool::state).collect();
    let dropped = states.iter().fold(0, |sum: u64, state| sum.saturating_add(state.dropped));
    frame::write_end(out, &task.nonce, sent, left, dropped).map_err(Stop::Line)?;
    let acknowledged = frame::read_answer(input).map_err(Stop::Line)?;
    for file in chosen.iter().filter(|file| acknowledged.contains(&file.pending.name)) {
        if let Some(spool) = spools.get(file.spool) {
            spool.remove(&file.pending.name);
        }
    }
    if acknowledged.is_empty() {
        return Ok(fresh.ask_aside);
    }
    for (spool, state) in spools.iter().zip(&mut states).filter(|(_, state)| state.dropped > 0) {
        state.dropped = 0;
        spool.set_state(state)?;
    }
    Ok(fresh.ask_aside)
}

/// What was just measured.
struct Fresh {
    name: String,
    /// The sealed bytes, where no disk could keep them.
    unkept: Option<Vec<u8>>,
    /// Whether the answers to what takes long have grown old.
    ask_aside: bool,
}

/// Measures, seals, writes. The sequence is durable before it is used. Where the disk is full or read-only the
/// collector, who waits for it, has the sample all the same, with a fault that says so: that is when it matters most.
fn measure_into(
    root: &Root,
    spool: Result<&Spool, &Fail>,
    (nonce, recipients): (Option<&str>, &[String]),
    room: u64,
    checks: Checks,
    command_lines: bool,
) -> Result<Fresh, Fail> {
    let ordered = !checks.orders.is_empty();
    let boot = measure::boot_id(root);
    let mut state = spool.map(Spool::state).unwrap_or_default();
    let uptime = measure::uptime_millis(root);
    let totals = state.advance(&boot, uptime);
    let (past, ask_aside) = spool.map(|spool| remembered(root, spool, totals, &state, uptime)).unwrap_or_default();
    let taken = sample::take(root, Past { command_lines, ..past }, state.sequence, checks);
    if let (Ok(spool), Some(processes)) = (spool, &taken.processes) {
        spool.keep(PROCESSES, &processes.bytes());
    }
    if let Some(totals) = &taken.totals {
        state.keep(totals);
    }
    if let Some(restarts) = taken.restarts {
        state.restarts = restarts;
    }
    let mut sample = taken.sample;
    let name = format!("{}-{:010}.age", boot.get(..8).unwrap_or("00000000"), state.sequence);
    let sealed = sealed(nonce, &sample, recipients)?;
    let kept = match spool {
        Ok(spool) => keep(spool, &mut state, &name, &sealed, room),
        Err(fail) => Err(fail.clone()),
    };
    match kept {
        Ok(()) => {
            // Losing it costs one more run of each check; the sample is kept.
            if let (Ok(spool), true) = (spool, ordered) {
                spool.set_memory(&taken.memory);
            }
            Ok(Fresh { name, unkept: None, ask_aside })
        }
        Err(fail) if nonce.is_some() && matches!(fail.cause, Cause::DiskFull | Cause::ReadOnly) => {
            let text = clean(&format!("sent without being kept: {}; {}", fail.cause, fail.text));
            let item = String::new();
            sample.faults.push(Fault { section: "spool".to_owned(), item, kind: FaultKind::Denied, text });
            Ok(Fresh { name, unkept: Some(self::sealed(nonce, &sample, recipients)?), ask_aside })
        }
        Err(fail) => Err(fail),
    }
}

/// What the last run left for this one, and whether the answers to what takes long have grown old.
fn remembered(root: &Root, spool: &Spool, totals: Option<Totals>, state: &State, uptime: u64) -> (Past, bool) {
    // The file of processes is of the state's boot, or of none.
    let processes = totals.as_ref().and_then(|_| spool.kept(PROCESSES, MAX_PROCESSES_FILE));
    let processes = processes.and_then(|bytes| Processes::parse(&bytes));
    let (updates, smart) = (spool.aside(aside::last_updates), spool.aside(aside::last_smart));
    let answers = spool.aside(aside::last_answers);
    let now = crate::app::clock::now().timestamp();
    let old = !updates.as_ref().is_some_and(|updates| updates.is_fresh(now))
        || measure::disks_wait(root, smart.as_ref(), now)
        || measure::questions_wait(root, answers.as_ref(), now);
    (
        Past { totals, processes, restarts: state.restarts.clone(), updates, smart, answers, ..Past::default() },
        state.is_visited_again(uptime) && old,
    )
}

fn sealed(nonce: Option<&str>, sample: &Sample, recipients: &[String]) -> Result<Vec<u8>, Fail> {
    let failed = |error: seal::SealError| Fail::new(Cause::ProbeFailed, error.to_string());
    seal::seal(recipients, &v1::encode(nonce, sample)).map_err(failed)
}

fn keep(spool: &Spool, state: &mut State, name: &str, sealed: &[u8], room: u64) -> Result<(), Fail> {
    // Room first: on a full disk what goes may be what makes the rest possible.
    state.dropped = state.dropped.saturating_add(spool.make_room(room, sealed.len() as u64)?);
    spool.set_state(state)?;
    spool.write(name, sealed)
}

/// A file that waits, and in which of the spools.
struct Waiting {
    spool: usize,
    pending: Pending,
}

/// What waits in all spools, oldest first. Of files with one name the others wait for another run: names are what is
/// acknowledged.
fn gather(spools: &[Spool], fresh: &Fresh) -> Result<Vec<Waiting>, Fail> {
    let mut all = Vec::new();
    for (spool, place) in spools.iter().enumerate() {
        all.extend(place.pending()?.into_iter().map(|pending| Waiting { spool, pending }));
    }
    order::sort_by(&mut all, |a, b| (a.pending.age, &a.pending.name).cmp(&(b.pending.age, &b.pending.name)));
    let mut names = HashSet::new();
    if fresh.unkept.is_some() {
        names.insert(fresh.name.clone());
    }
    all.retain(|file| names.insert(file.pending.name.clone()));
    Ok(all)
}

/// The oldest within the task's limits, and always the newest; and how many stay.
fn choose<'a>(waiting: &'a [Waiting], fresh: &Fresh, task: &Task) -> (Vec<&'a Waiting>, u32) {
    let newest = waiting.iter().find(|file| file.pending.name == fresh.name);
    let unkept = fresh.unkept.as_ref().map_or(0, |bytes| bytes.len() as u64);
    let mut bytes = newest.map_or(unkept, |file| file.pending.size);
    let mut chosen: Vec<&Waiting> = Vec::new();
    let most = (task.pull_files as usize).saturating_sub(1);
    for file in waiting.iter().filter(|file| file.pending.name != fresh.name) {
        if chosen.len() >= most || bytes.saturating_add(file.pending.size) > task.pull_bytes {
            break;
        }
        bytes += file.pending.size;
        chosen.push(file);
    }
    chosen.extend(newest);
    let left = u32::try_from(waiting.len() - chosen.len()).unwrap_or(u32::MAX);
    (chosen, left)
}

/// What runs a program is refused where its result would stand; all else is done.
fn without_plugins(mut task: Task) -> Task {
    for order in task.checks.iter_mut().filter(|order| order.kind == check::PLUGIN) {
        let text = "the key of this host may start no program (--no-plugins in its authorized_keys)";
        order.refused = Some(text.to_owned());
    }
    task
}

fn nonce_of(line: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    value.get("nonce")?.as_str().filter(|nonce| is_nonce(nonce)).map(str::to_owned)
}

fn broken(place: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{place}: {error}"))
}
