//! The processes that take most: processor time and I/O between two looks, memory at the second.

use std::io;

use super::super::SERVES;
use super::super::out::Out;
use super::super::root::Root;
use super::super::text::keyed;
use super::scan::{Place, Scan, Seen};
use super::{Known, Processes, who};
use crate::model::sample::{By, FaultKind, Process};

/// The most processes that are shown of each kind.
const MOST: usize = 5;
/// Less than this share of a core is not worth a line.
const LEAST_CPU: f64 = 0.001;
/// Less I/O than this, in bytes a second, is not worth a line.
const LEAST_IO: f64 = 1024.0;

/// Bytes read and written, of those that used time since the last look: without it there is no I/O either.
pub(super) fn read_io(place: &Place, scan: &mut Scan, out: &mut Out) {
    let mut denied = false;
    for seen in scan.list.iter_mut().filter(|seen| !seen.stat.kernel && seen.stat.state != b'Z') {
        let before = out.past.processes.as_ref().and_then(|known| known.find(seen.pid, seen.stat.start));
        seen.io = match before {
            Some(known) if known.ticks == seen.stat.ticks => known.io,
            _ => match io_of(place, seen.pid) {
                Ok(bytes) => bytes,
                Err(error) => {
                    denied |= error.kind() == io::ErrorKind::PermissionDenied;
                    None
                }
            },
        };
    }
    if denied {
        // Without their number: a store keeps each list of faults once, and that of a quiet machine must not be new each time.
        let text = "/proc/PID/io: the I/O of others is shown only to root with CAP_SYS_PTRACE";
        out.fault("io", FaultKind::Denied, text);
    }
}

fn io_of(place: &Place, pid: u32) -> io::Result<Option<u64>> {
    let text = place.try_read(pid, "io")?;
    let (read, written) = (keyed(&text, "read_bytes"), keyed(&text, "write_bytes"));
    Ok(read.zip(written).map(|(read, written)| read.saturating_add(written)))
}

/// Looks again where no earlier sample serves, and names those that take most.
pub(in super::super) fn finish(root: &Root, out: &mut Out, wait: impl FnOnce()) {
    let Some(mut scan) = out.scan.take() else { return };
    let serves = |known: &&Processes| SERVES.contains(&scan.at_millis.saturating_sub(known.at_millis));
    let before = match out.past.processes.as_ref().filter(serves) {
        Some(known) => known.clone(),
        None => {
            let first = remembered(&scan);
            wait();
            let Ok(place) = Place::open(root) else { return };
            let mut again = place.scan(root);
            carry_over(&place, &first, &mut again);
            scan = again;
            first
        }
    };
    show(root, &scan, &before, out);
    out.kept = Some(remembered(&scan));
}

/// What the second look need not ask again.
fn carry_over(place: &Place, first: &Processes, again: &mut Scan) {
    for seen in &mut again.list {
        let before = first.find(seen.pid, seen.stat.start);
        seen.blocked = match before {
            Some(known) if seen.stat.state == b'D' && known.blocked > 0 => known.blocked,
            _ if seen.stat.state == b'D' => again.at_millis,
            _ => 0,
        };
        // Nobody who denied it a moment ago is asked again.
        seen.io = match before {
            Some(known) if known.ticks == seen.stat.ticks || known.io.is_none() => known.io,
            Some(_) => io_of(place, seen.pid).ok().flatten(),
            None => None,
        };
    }
}

fn remembered(scan: &Scan) -> Processes {
    let list = scan.list.iter().map(|seen| {
        let Seen { pid, stat, io, blocked } = *seen;
        Known { pid, start: stat.start, ticks: stat.ticks, io, blocked }
    });
    Processes::new(scan.at_millis, list.collect())
}

/// What a process used since the earlier look; all of it where it began since.
fn used(seen: &Seen, scan: &Scan, before: &Processes) -> (Option<u64>, Option<u64>) {
    match before.find(seen.pid, seen.stat.start) {
        Some(known) => {
            let io = seen.io.zip(known.io).and_then(|(now, then)| now.checked_sub(then));
            (seen.stat.ticks.checked_sub(known.ticks), io)
        }
        // A tick is coarser than the time of the look.
        None if scan.millis(seen.stat.start.saturating_add(1)) > before.at_millis => (Some(seen.stat.ticks), seen.io),
        None => (None, None),
    }
}

#[allow(clippy::cast_precision_loss, reason = "differences are far below 2^53; five digits are shown")]
fn show(root: &Root, scan: &Scan, before: &Processes, out: &mut Out) {
    let seconds = scan.at_millis.saturating_sub(before.at_millis) as f64 / 1000.0;
    let mut best: [Best; 3] = Default::default();
    let page = rustix::param::page_size() as f64;
    for seen in scan.list.iter().filter(|seen| seen.pid != scan.own) {
        let (ticks, io) = used(seen, scan, before);
        if seconds > 0.0 {
            let cpu = ticks.map_or(0.0, |ticks| scan.millis(ticks) as f64 / 1000.0 / seconds);
            best[0].offer(seen.pid, round(cpu, 3), LEAST_CPU);
            best[2].offer(seen.pid, io.map_or(0.0, |io| io as f64 / seconds), LEAST_IO);
        }
        best[1].offer(seen.pid, seen.stat.pages as f64 * page, 1.0);
    }
    if best.iter().all(|best| best.0.is_empty()) {
        return;
    }
    let Ok(place) = Place::open(root) else { return };
    let passwd = root.read("/etc/passwd").unwrap_or_default();
    // Often the same few take most of each.
    let mut named: Vec<Process> = Vec::new();
    for (&by, best) in By::ALL.iter().zip(best) {
        for (pid, value) in best.0 {
            let value = if by == By::Cpu { value } else { three_digits(value) };
            let before = named.iter().find(|process| process.pid == pid).cloned();
            // Ended meanwhile: what it took is not lost to the totals, only its name.
            let Some(process) = before.or_else(|| look(root, &place, &passwd, pid, out.past.command_lines)) else {
                continue;
            };
            named.push(process.clone());
            out.process(Process { by, value, ..process });
        }
    }
}

/// What a process is called, with no more of it yet than that.
fn look(root: &Root, place: &Place, passwd: &[u8], pid: u32, command_line: bool) -> Option<Process> {
    let line = place.read(pid, "stat")?;
    Some(Process {
        by: By::Cpu,
        pid,
        user: place.owner(pid).map_or_else(String::new, |uid| who::user(passwd, uid)),
        comm: super::stat::name(&line),
        unit: who::unit(&place.read(pid, "cgroup").unwrap_or_default()),
        command: if command_line { who::command(root, pid) } else { String::new() },
        value: 0.0,
    })
}

/// The greatest, in order.
#[derive(Default)]
struct Best(Vec<(u32, f64)>);

impl Best {
    fn offer(&mut self, pid: u32, value: f64, least: f64) {
        let full = self.0.len() == MOST;
        if value < least || full && self.0.last().is_some_and(|(_, last)| *last >= value) {
            return;
        }
        let at = self.0.partition_point(|(_, other)| *other >= value);
        self.0.insert(at, (pid, value));
        self.0.truncate(MOST);
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// `123456789` as `123000000`: nobody needs more, and it is kept in less room.
fn three_digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_are_kept_in_order() {
        let mut best = Best::default();
        for (pid, value) in [(1, 0.5), (2, 3.0), (3, 0.0001), (4, 3.0), (5, 1.0), (6, 2.0), (7, 0.7), (8, 9.0)] {
            best.offer(pid, value, 0.001);
        }
        assert_eq!(best.0, [(8, 9.0), (2, 3.0), (4, 3.0), (6, 2.0), (5, 1.0)]);
    }

    #[test]
    fn values_are_short() {
        assert_eq!((three_digits(123_456_789.0), three_digits(0.0), three_digits(7.0)), (123_000_000.0, 0.0, 7.0));
        assert_eq!(round(0.123_456, 3), 0.123);
    }
}
