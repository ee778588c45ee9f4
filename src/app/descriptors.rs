//! File descriptors are few: how many visits fit beside each other, and waiting while there are none.

use std::fs::{self, File};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most that one visit has open at once: the connection, libssh2's socket pair, an agent, a resolver, a file; or the
/// pipes of a local probe while it is started.
const VISIT: u64 = 9;
/// Kept for the store, its journals, logs, and files that are set aside.
const OTHERS: u64 = 12;
/// Between two looks whether there are some again.
const PAUSE: Duration = Duration::from_millis(50);

/// How many of the wanted visits fit into this process's limit, at least one; raises the limit as far as it may.
pub fn visits(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let open = fs::read_dir("/proc/self/fd").map_or(16, |list| list.count() as u64);
    let need = (wanted as u64).saturating_mul(VISIT).saturating_add(open + OTHERS);
    let mut have = limit.current.unwrap_or(u64::MAX);
    if have < need {
        let raised = limit.maximum.map_or(need, |most| most.min(need));
        if raised > have && setrlimit(Resource::Nofile, Rlimit { current: Some(raised), ..limit }).is_ok() {
            have = raised;
        }
    }
    fitting(wanted, have, open)
}

fn fitting(wanted: usize, have: u64, open: u64) -> usize {
    let fit = have.saturating_sub(open + OTHERS) / VISIT;
    usize::try_from(fit).unwrap_or(usize::MAX).clamp(1, wanted.max(1))
}

/// Waits until a visit's descriptors can be had, at most until the deadline; other trouble shows where they are used.
pub fn wait(deadline: Instant) {
    while Instant::now() + PAUSE < deadline {
        let probed: io::Result<Vec<File>> = (0..VISIT).map(|_| File::open("/dev/null")).collect();
        match probed {
            Err(error) if exhausted(&error) => thread::sleep(PAUSE),
            _ => return,
        }
    }
}

fn exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let number = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE].iter().any(|known| number == Some(known.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_visits_as_fit_and_never_none() {
        assert_eq!(fitting(16, 1024, 10), 16);
        assert_eq!(fitting(16, 64, 10), 4);
        assert_eq!(fitting(16, 8, 10), 1);
        assert_eq!(fitting(0, 1024, 10), 1);
        assert!(visits(4) >= 1);
    }
}
