//! Processes by state.

use super::out::Out;
use super::root::Root;
use super::text::{keyed, whole, words};
use crate::model::sample::FaultKind;

const MAX_PROCESSES: u64 = 100_000;

#[derive(Debug, Default)]
struct Counts {
    all: u64,
    running: u64,
    blocked: u64,
    zombies: u64,
    threads: u64,
    odd: u64,
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
    let entries = match root.list("/proc") {
        Ok(entries) => entries,
        Err(error) => return out.unread("", "/proc", &error),
    };
    let own = rustix::process::getpid().as_raw_nonzero().get().to_string();
    let mut counts = Counts::default();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().filter(|name| name.bytes().all(|b| b.is_ascii_digit())) else { continue };
        if counts.all == MAX_PROCESSES {
            out.fault("", FaultKind::Cut, format!("more than {MAX_PROCESSES} processes"));
            break;
        }
        // Gone since it was listed: not a fault.
        let Ok(stat) = root.read_at_most(format!("/proc/{pid}/stat"), 4096) else { continue };
        if !stat.is_empty() {
            counts.add(parse(&stat), pid == own);
        }
    }
    out.whole("process.count", "", counts.all);
    out.whole("process.running", "", counts.running);
    out.whole("process.blocked", "", counts.blocked);
    out.whole("process.zombies", "", counts.zombies);
    out.whole("process.threads", "", counts.threads);
    if counts.odd > 0 {
        out.malformed("", format!("/proc/*/stat: {} lines not understood", counts.odd));
    }
}

impl Counts {
    fn add(&mut self, stat: Option<(u8, u64)>, own: bool) {
        self.all += 1;
        let Some((state, threads)) = stat else {
            self.odd += 1;
            return;
        };
        self.threads = self.threads.saturating_add(threads);
        match state {
            // The probe itself always runs while it looks.
            b'R' if !own => self.running += 1,
            b'D' => self.blocked += 1,
            b'Z' => self.zombies += 1,
            _ => {}
        }
    }
}

/// State and threads. The name in parentheses may hold blanks, parentheses and line breaks: the last `)` ends it.
fn parse(stat: &[u8]) -> Option<(u8, u64)> {
    let end = stat.iter().rposition(|&b| b == b')')?;
    let mut words = words(stat.get(end + 1..)?);
    let state = *words.next()?.first()?;
    Some((state, whole(words.nth(16)?)?))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn names_cannot_fool_it() {
        let tail = " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 42 18 19";
        for name in ["sh", "a) R 1 (b", "x\ny) Z 0", ")", "((("] {
            assert_eq!(parse(format!("77 ({name}) S{tail}").as_bytes()), Some((b'S', 42)), "{name}");
        }
        for bad in [&b""[..], b"77 (x", b"77 (x)", b"77 (x) S 1 2", b"\xff)\xff"] {
            assert_eq!(parse(bad), None);
        }
    }
}
