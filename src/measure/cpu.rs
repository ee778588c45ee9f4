//! Processor time.

use std::io;

use super::boot::uptime_millis;
use super::out::Out;
use super::root::Root;
use super::text::{lines, whole, words};

const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const IDLE: usize = 3;
const IOWAIT: usize = 4;
const STEAL: usize = 7;

/// Processor time of all processors since boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Clock ticks: user, nice, system, idle, iowait, irq, softirq, steal. Guests are within user and nice.
    pub ticks: [u64; 8],
    /// Milliseconds since boot when they were read.
    pub at_millis: u64,
    cores: u32,
}

/// Shares of the processor time between two totals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    used: f64,
    iowait: f64,
    steal: f64,
}

impl Totals {
    /// Totals that were kept from an earlier run.
    #[must_use]
    pub fn kept(ticks: [u64; 8], at_millis: u64) -> Self {
        Self { ticks, at_millis, cores: 0 }
    }

    /// The shares since earlier totals; `None` where time stood still or the totals went back.
    #[allow(clippy::cast_precision_loss, reason = "differences of ticks are far below 2^53")]
    pub(super) fn since(&self, earlier: &Self) -> Option<Shares> {
        let mut spent = [0_u64; 8];
        for (mode, (spent, (now, before))) in spent.iter_mut().zip(self.ticks.iter().zip(&earlier.ticks)).enumerate() {
            *spent = match now.checked_sub(*before) {
                Some(ticks) => ticks,
                // The kernel says itself that idle and iowait may go back a little.
                None if mode == IOWAIT || mode == IDLE => 0,
                None => return None,
            };
        }
        let total = spent.iter().try_fold(0_u64, |sum, ticks| sum.checked_add(*ticks)).filter(|total| *total > 0)?;
        let share = |ticks: u64| ticks as f64 / total as f64;
        let [_, _, _, idle, iowait, _, _, steal] = spent;
        Some(Shares { used: 1.0 - share(idle) - share(iowait), iowait: share(iowait), steal: share(steal) })
    }
}

impl Shares {
    pub(super) fn put(self, out: &mut Out) {
        out.share("cpu.used", "", self.used);
        out.share("cpu.iowait", "", self.iowait);
        out.share("cpu.steal", "", self.steal);
    }
}

/// The totals now.
pub(super) fn read(root: &Root) -> io::Result<Totals> {
    let at_millis = uptime_millis(root);
    let (ticks, cores) = parse(&root.read("/proc/stat")?)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no line of processor times"))?;
    Ok(Totals { ticks, at_millis, cores })
}

pub(super) fn collect(root: &Root, out: &mut Out) {
    let totals = match read(root) {
        Ok(totals) => totals,
        Err(error) => return out.unread("", "/proc/stat", &error),
    };
    #[allow(clippy::cast_precision_loss, reason = "ticks since boot are far below 2^53")]
    for (mode, ticks) in MODES.iter().zip(totals.ticks) {
        out.seconds("cpu.seconds", mode, ticks as f64 / rustix::param::clock_ticks_per_second() as f64);
    }
    if totals.cores > 0 {
        out.whole("cpu.count", "", u64::from(totals.cores));
        out.cores = Some(totals.cores);
    } else {
        out.malformed("", "/proc/stat names no processor");
    }
    out.totals = Some(totals);
}

/// Ticks by mode (older kernels print fewer) and the number of processors.
fn parse(stat: &[u8]) -> Option<([u64; 8], u32)> {
    let mut ticks = None;
    let mut cores = 0;
    for line in lines(stat) {
        let mut words = words(line);
        match words.next() {
            Some(b"cpu") => {
                let mut all = [0; 8];
                let mut read = 0;
                for (place, word) in all.iter_mut().zip(words) {
                    *place = whole(word)?;
                    read += 1;
                }
                ticks = (read > IDLE).then_some(all);
            }
            Some(word) if word.starts_with(b"cpu") => cores += 1,
            _ => {}
        }
    }
    const { assert!(STEAL + 1 == MODES.len()) };
    ticks.map(|ticks| (ticks, cores))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_modes_and_cores_are_read() {
        let text = b"cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu1 0 0 0 0\nintr 5\n";
        assert_eq!(parse(text), Some(([1, 2, 3, 4, 5, 6, 7, 8], 2)));
        assert_eq!(parse(b"cpu  1 2 3 4\n"), Some(([1, 2, 3, 4, 0, 0, 0, 0], 0)));
        for bad in [&b""[..], b"cpu\n", b"cpu 1 2 3\n", b"cpu 1 2 x 4\n", b"\xff\xfe"] {
            assert_eq!(parse(bad), None);
        }
    }

    #[test]
    fn shares_are_of_the_time_between() {
        let before = Totals::kept([100, 0, 0, 100, 100, 0, 0, 0], 0);
        let now = Totals::kept([110, 0, 10, 160, 110, 0, 0, 10], 0);
        let shares = now.since(&before).unwrap();
        assert!((shares.used - 0.3).abs() < 1e-9 && (shares.iowait - 0.1).abs() < 1e-9);
        assert!((shares.steal - 0.1).abs() < 1e-9);
        assert_eq!(now.since(&now), None);
        assert_eq!(before.since(&now), None);
    }

    #[test]
    fn iowait_that_goes_back_is_no_reason_to_give_up() {
        let before = Totals::kept([0, 0, 0, 100, 50, 0, 0, 0], 0);
        let now = Totals::kept([50, 0, 0, 150, 49, 0, 0, 0], 0);
        assert!((now.since(&before).unwrap().used - 0.5).abs() < 1e-9);
    }
}
