//! Processes: how many in which state, how near to the limits, and which take most.

mod known;
mod scan;
mod stat;
mod top;
mod who;

use std::collections::BTreeMap;

use known::Known;
pub(crate) use known::MAX_BYTES as MAX_PROCESSES_FILE;
pub use known::Processes;
use scan::Place;
pub(super) use scan::Scan;
pub(super) use top::finish;
pub(super) use who::unit as unit_of;

use super::out::Out;
use super::root::Root;
use super::text::{keyed, whole};
use crate::model::sample::FaultKind;

/// A zombie or a blocked process is worth a word once it is so old, in milliseconds.
const WORTH_A_WORD: u64 = 60_000;
/// Files are only set against the limit of processes that hold this many: the usual limit is 1024.
const MANY_FILES: u64 = 64;
/// A share of the open files that is worth a word.
const NEARLY_ALL: f64 = 0.8;
/// The most processes that are named in one text.
const MAX_NAMED: usize = 8;

#[derive(Debug, Default)]
struct Counts {
    running: u64,
    sleeping: u64,
    stopped: u64,
    blocked: u64,
    zombies: u64,
    threads: u64,
}

/// The name of a user of the machine, or the number where /etc/passwd does not know it.
#[must_use]
pub fn user_name(root: &Root, uid: u32) -> String {
    who::user(&root.read("/etc/passwd").unwrap_or_default(), uid)
}

/// When a process that lives started, in clock ticks after boot.
pub(super) fn started(root: &Root, pid: u32) -> Option<u64> {
    let stat = stat::parse(&root.read_at_most(format!("/proc/{pid}/stat"), 4096).ok()?)?;
    (!matches!(stat.state, b'Z' | b'X')).then_some(stat.start)
}

pub(super) fn collect(root: &Root, out: &mut Out) {
    match root.read("/proc/stat").map(|stat| keyed(&stat, "processes")) {
        Ok(Some(forks)) => out.whole("process.forks", "", forks),
        Ok(None) => out.malformed("", "/proc/stat: no line of processes"),
        Err(error) => out.unread("", "/proc/stat", &error),
    }
    // Without the first process the others of other users are hidden too: a count would be a lie.
    if let Err(error) = root.read_at_most("/proc/1/stat", 64) {
        let text = format!("/proc/1/stat: {error}; /proc seems mounted with hidepid, which shows only own processes");
        return out.fault("", FaultKind::Denied, text);
    }
    let place = match Place::open(root) {
        Ok(place) => place,
        Err(error) => return out.unread("", "/proc", &error),
    };
    let mut scan = place.scan(root);
    if scan.cut {
        out.fault("", FaultKind::Cut, format!("more than {} processes", scan::MAX_PROCESSES));
    }
    if scan.odd > 0 {
        out.malformed("", format!("/proc/*/stat: {} lines not understood", scan.odd));
    }
    let counts = count(&scan);
    out.whole("process.count", "", scan.list.len() as u64 + scan.odd);
    out.whole("process.running", "", counts.running);
    out.whole("process.sleeping", "", counts.sleeping);
    out.whole("process.stopped", "", counts.stopped);
    out.whole("process.blocked", "", counts.blocked);
    out.whole("process.zombies", "", counts.zombies);
    out.whole("process.threads", "", counts.threads);
    limits(root, counts.threads, out);
    blocked(&place, &mut scan, out);
    zombies(&place, &scan, out);
    files(&place, &scan, out);
    top::read_io(&place, &mut scan, out);
    out.scan = Some(scan);
}

fn count(scan: &Scan) -> Counts {
    let mut counts = Counts::default();
    for seen in &scan.list {
        counts.threads = counts.threads.saturating_add(seen.stat.threads);
        match seen.stat.state {
            // The probe itself always runs while it looks.
            b'R' if seen.pid != scan.own => counts.running += 1,
            b'S' | b'I' => counts.sleeping += 1,
            b'T' | b't' => counts.stopped += 1,
            b'D' => counts.blocked += 1,
            b'Z' => counts.zombies += 1,
            _ => {}
        }
    }
    counts
}

/// Threads against what the kernel allows.
fn limits(root: &Root, threads: u64, out: &mut Out) {
    for (metric, path) in
        [("process.threads.used", "/proc/sys/kernel/threads-max"), ("process.pids.used", "/proc/sys/kernel/pid_max")]
    {
        match root.read_at_most(path, 64).map(|text| whole(text.trim_ascii())) {
            #[allow(clippy::cast_precision_loss, reason = "limits are far below 2^53")]
            Ok(Some(limit)) if limit > 0 => out.share(metric, "", threads as f64 / limit as f64),
            Ok(_) => out.malformed("", format!("{path}: not a number")),
            Err(error) => out.unread("", path, &error),
        }
    }
}

/// Since when processes do nothing: they were blocked at the last sample too and used no time since.
fn blocked(place: &Place, scan: &mut Scan, out: &mut Out) {
    let mut longest = 0;
    let mut stuck = Vec::new();
    for seen in scan.list.iter_mut().filter(|seen| seen.stat.state == b'D') {
        let before = out.past.processes.as_ref().and_then(|known| known.find(seen.pid, seen.stat.start));
        let since = before.filter(|known| known.blocked > 0 && known.ticks == seen.stat.ticks).map(|one| one.blocked);
        seen.blocked = since.unwrap_or(scan.at_millis).max(1);
        let age = scan.at_millis.saturating_sub(seen.blocked);
        longest = longest.max(age);
        if age >= WORTH_A_WORD && stuck.len() < MAX_NAMED {
            let place_of_wait = place.read(seen.pid, "wchan").unwrap_or_default();
            let wait = String::from_utf8_lossy(&place_of_wait).trim().to_owned();
            let wait = if wait.is_empty() || wait == "0" { String::new() } else { format!(" in {wait}") };
            stuck.push(format!("{}[{}]{wait}", place.name(seen.pid), seen.pid));
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "a few days in milliseconds")]
    out.seconds("process.blocked.longest", "", longest as f64 / 1000.0);
    out.fact("process.blocked", "", &stuck.join(", "));
}

/// Old zombies, by the parent that does not wait for them.
fn zombies(place: &Place, scan: &Scan, out: &mut Out) {
    let mut parents: BTreeMap<u32, u64> = BTreeMap::new();
    for seen in scan.list.iter().filter(|seen| seen.stat.state == b'Z') {
        if scan.at_millis.saturating_sub(scan.millis(seen.stat.start)) >= WORTH_A_WORD {
            *parents.entry(seen.stat.parent).or_default() += 1;
        }
    }
    let named: Vec<String> = parents
        .iter()
        .take(MAX_NAMED)
        .map(|(parent, count)| format!("{count} of {}[{parent}]", place.name(*parent)))
        .collect();
    out.fact("process.zombies", "", &named.join(", "));
}

/// The greatest share of open files, and who comes near to the limit.
fn files(place: &Place, scan: &Scan, out: &mut Out) {
    let (mut greatest, mut cut, mut closed) = (None, false, false);
    let mut near = Vec::new();
    for seen in scan.list.iter().filter(|seen| !seen.stat.kernel && seen.stat.state != b'Z') {
        let open = match place.open_files(seen.pid) {
            Ok(open) => open,
            // Ended since it was listed.
            Err(error) if gone(&error) => continue,
            Err(_) => {
                closed = true;
                continue;
            }
        };
        greatest = greatest.max(Some(0));
        cut |= open == scan::MAX_FILES;
        if open < MANY_FILES {
            continue;
        }
        let limit = place.read(seen.pid, "limits").as_deref().and_then(soft_limit);
        let Some(limit) = limit.filter(|limit| *limit > 0) else { continue };
        // In millionths, to compare.
        let share = open.saturating_mul(1_000_000) / limit;
        greatest = greatest.max(Some(share));
        #[allow(clippy::cast_precision_loss, reason = "millionths are few")]
        if share as f64 >= NEARLY_ALL * 1e6 && near.len() < MAX_NAMED {
            near.push(format!("{}[{}]", place.name(seen.pid), seen.pid));
        }
    }
    // Where the kernel tells the number, what cannot be opened has no files open. Else the greatest of our own processes
    // would stand for that of all.
    if closed && !place.tells_open_files(scan.own) {
        let text = "before Linux 6.2 only root may count the open files of other users' processes";
        out.fault("files", FaultKind::Denied, text);
    } else if let Some(greatest) = greatest {
        #[allow(clippy::cast_precision_loss, reason = "millionths are few")]
        out.share("process.files.used", "", greatest as f64 / 1e6);
    }
    out.fact("process.files", "", &near.join(", "));
    if cut {
        out.fault("files", FaultKind::Cut, format!("open files of one process are counted up to {}", scan::MAX_FILES));
    }
}

fn gone(error: &std::io::Error) -> bool {
    let kind = rustix::io::Errno::from_io_error(error);
    matches!(kind, Some(rustix::io::Errno::NOENT | rustix::io::Errno::SRCH))
}

/// `Max open files            1024                 524288               files`.
fn soft_limit(limits: &[u8]) -> Option<u64> {
    let line = super::text::lines(limits).find_map(|line| line.strip_prefix(b"Max open files"))?;
    whole(super::text::words(line).next()?)
}

#[cfg(test)]
mod tests;
