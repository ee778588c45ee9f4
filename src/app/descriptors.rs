//! File descriptors are few: how many visits fit beside each other, and waiting while there are none.

use std::fs::{self, File};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most that one visit has open at once: the connection, libssh2's socket pairs for the host and two
/// bastions, an agent, a resolver, a file; or the
/// pipes of a local probe while it is started.
const VISIT: u64 = 13;
/// What every visit has open.
const NEEDED: usize = 4;
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

/// Waits until the descriptors that every visit needs can be had; false if there were none until the deadline. Other
/// trouble than their lack shows where they are used.
pub fn wait(deadline: Instant) -> bool {
    wait_for(deadline, || (0..NEEDED).map(|_| File::open("/dev/null")).collect::<io::Result<Vec<_>>>().map(drop))
}

fn wait_for(deadline: Instant, mut open: impl FnMut() -> io::Result<()>) -> bool {
    loop {
        match open() {
            Err(error) if exhausted(&error) => {}
            _ => return true,
        }
        if Instant::now() + PAUSE >= deadline {
            return false;
        }
        thread::sleep(PAUSE);
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
        assert_eq!(fitting(16, 64, 10), 3);
        assert_eq!(fitting(16, 8, 10), 1);
        assert_eq!(fitting(0, 1024, 10), 1);
        assert!(visits(4) >= 1);
    }

    #[test]
    fn their_lack_is_waited_for_and_nothing_else() {
        let soon = || Instant::now() + Duration::from_millis(300);
        let mut lacks = 2;
        let lacking = || {
            lacks -= 1;
            if lacks < 0 { Ok(()) } else { Err(rustix::io::Errno::MFILE.into()) }
        };
        assert!(wait_for(soon(), lacking));
        assert_eq!(lacks, -1);
        assert!(!wait_for(soon(), || Err(rustix::io::Errno::NFILE.into())));
        assert!(wait_for(soon(), || Err(rustix::io::Errno::NOENT.into())));
        assert!(wait(soon()));
    }
}
