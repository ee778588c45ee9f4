//! Processor time, of all and of each core.

use std::io;

use super::boot::uptime_millis;
use super::out::Out;
use super::root::Root;
use super::text::{lines, whole, words};
use crate::model::sample::FaultKind;

const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const IDLE: usize = 3;
const IOWAIT: usize = 4;
const MAX_CORES: usize = 256;

/// Processor time since boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Clock ticks of all processors: user, nice, system, idle, iowait, irq, softirq, steal. Guests are within user
    /// and nice.
    pub ticks: [u64; 8],
    /// Milliseconds since boot when they were read.
    pub at_millis: u64,
    /// Each core online: its number, its ticks neither idle nor waiting for I/O, and all its ticks; at most 256.
    pub cores: Vec<[u64; 3]>,
}

/// Shares of the processor time between two totals.
#[derive(Clone, Debug, PartialEq)]
pub struct Shares {
    modes: [f64; 8],
    cores: Vec<(u64, f64)>,
}

impl Totals {
    /// Totals that were kept from an earlier run.
    #[must_use]
    pub fn kept(ticks: [u64; 8], at_millis: u64) -> Self {
        Self { ticks, at_millis, cores: Vec::new() }
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
        let modes = spent.map(|ticks| ticks as f64 / total as f64);
        let mut cores = Vec::with_capacity(self.cores.len());
        for [number, used, all] in &self.cores {
            // A core that came, or came back, since then has no share yet.
            let Some([_, used_before, all_before]) = earlier.cores.iter().find(|core| core[0] == *number) else {
                continue;
            };
            match (used.checked_sub(*used_before), all.checked_sub(*all_before)) {
                (Some(used), Some(all)) if all > 0 => cores.push((*number, used as f64 / all as f64)),
                _ => {}
            }
        }
        Some(Shares { modes, cores })
    }
}

impl Shares {
    /// Before all other values: they are known last and matter most.
    pub(super) fn put(&self, out: &mut Out) {
        let from = out.values();
        let [user, nice, system, idle, iowait, irq, softirq, steal] = self.modes;
        for (metric, share) in [
            ("cpu.used", 1.0 - idle - iowait),
            ("cpu.user", user),
            ("cpu.nice", nice),
            ("cpu.system", system),
            ("cpu.iowait", iowait),
            ("cpu.irq", irq),
            ("cpu.softirq", softirq),
            ("cpu.steal", steal),
        ] {
            out.share(metric, "", share);
        }
        for (core, share) in &self.cores {
            out.share("cpu.core.used", &core.to_string(), *share);
        }
        out.lead_with(from);
    }
}

/// The totals now.
pub(super) fn read(root: &Root) -> io::Result<Totals> {
    let at_millis = uptime_millis(root);
    parse(&root.read("/proc/stat")?)
        .and_then(|stat| stat.totals(at_millis))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no line of processor times"))
}

pub(super) fn collect(root: &Root, out: &mut Out) {
    let at_millis = uptime_millis(root);
    let bytes = match root.read("/proc/stat") {
        Ok(bytes) => bytes,
        Err(error) => return out.unread("", "/proc/stat", &error),
    };
    let stat = parse(&bytes);
    let Some((stat, totals)) = stat.and_then(|stat| stat.totals(at_millis).map(|totals| (stat, totals))) else {
        return out.malformed("", "/proc/stat: no line of processor times");
    };
    #[allow(clippy::cast_precision_loss, reason = "ticks since boot are far below 2^53")]
    let seconds = |ticks: u64| ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    for (mode, ticks) in MODES.iter().zip(totals.ticks) {
        out.seconds("cpu.seconds", mode, seconds(ticks));
    }
    if let Some(ticks) = stat.guest {
        out.seconds("cpu.guest.seconds", "", seconds(ticks));
    }
    for (metric, value) in [
        ("cpu.context-switches", stat.switches),
        ("cpu.interrupts", stat.interrupts),
        ("cpu.softirqs", stat.softirqs),
        ("load.blocked", stat.blocked),
    ] {
        match value {
            Some(value) => out.whole(metric, "", value),
            None => out.fault("", FaultKind::Unsupported, format!("/proc/stat says nothing of {metric}")),
        }
    }
    match u32::try_from(stat.online) {
        Ok(online) if online > 0 => {
            out.whole("cpu.count", "", stat.online);
            out.cores = Some(online);
        }
        _ => out.malformed("", "/proc/stat names no processor"),
    }
    if stat.online > totals.cores.len() as u64 {
        let text = format!("{} processors, {} of them one by one", stat.online, totals.cores.len());
        out.fault("cores", FaultKind::Cut, text);
    }
    out.totals = Some(totals);
}

/// What /proc/stat says; `None` where a line is not there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stat {
    all: Option<[u64; 8]>,
    guest: Option<u64>,
    online: u64,
    cores: Vec<[u64; 3]>,
    switches: Option<u64>,
    interrupts: Option<u64>,
    softirqs: Option<u64>,
    blocked: Option<u64>,
}

impl Stat {
    fn totals(&self, at_millis: u64) -> Option<Totals> {
        self.all.map(|ticks| Totals { ticks, at_millis, cores: self.cores.clone() })
    }
}

/// `None` where the line of all processors is damaged.
fn parse(bytes: &[u8]) -> Option<Stat> {
    let mut stat = Stat::default();
    for line in lines(bytes) {
        let mut words = words(line);
        let Some(key) = words.next() else { continue };
        match key {
            b"cpu" => {
                let (ticks, guest) = ticks(words)?;
                (stat.all, stat.guest) = (Some(ticks), guest);
            }
            b"intr" => stat.interrupts = words.next().and_then(whole),
            b"softirq" => stat.softirqs = words.next().and_then(whole),
            b"ctxt" => stat.switches = words.next().and_then(whole),
            b"procs_blocked" => stat.blocked = words.next().and_then(whole),
            _ => {
                let Some(number) = key.strip_prefix(b"cpu").and_then(whole) else { continue };
                stat.online += 1;
                if let Some((ticks, _)) = ticks(words).filter(|_| stat.cores.len() < MAX_CORES) {
                    let all = ticks.iter().fold(0_u64, |sum, ticks| sum.saturating_add(*ticks));
                    let idle = ticks[IDLE].saturating_add(ticks[IOWAIT]);
                    stat.cores.push([number, all.saturating_sub(idle), all]);
                }
            }
        }
    }
    Some(stat)
}

/// Ticks by mode (older kernels print fewer), and those of guests where the kernel tells them.
fn ticks<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Option<([u64; 8], Option<u64>)> {
    let mut all = [0; 8];
    let mut read = 0;
    for (place, word) in all.iter_mut().zip(words.by_ref()) {
        *place = whole(word)?;
        read += 1;
    }
    let guest = words.next().and_then(whole);
    let nice = words.next().and_then(whole).unwrap_or(0);
    (read > IDLE).then_some((all, guest.map(|guest| guest.saturating_add(nice))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Linux 6.18, 2 processors, shortened.
    const NEW: &[u8] = b"cpu  367787 1340 96870 1888912 11567 0 1214 247 30 4\n\
        cpu0 174113 533 43176 962906 2805 0 229 109 0 0\ncpu1 193674 807 53694 926006 8762 0 984 137 0 0\n\
        intr 3761335 0 0 0 1\nctxt 6937271\nbtime 1795000000\nprocesses 33871\nprocs_running 2\nprocs_blocked 1\n\
        softirq 2059874 0 292134 8 22 5\n";
    /// Linux 2.6.18: eight modes, no softirq line.
    const OLD: &[u8] = b"cpu  10 20 30 40 50 60 70 80\ncpu0 10 20 30 40 50 60 70 80\nintr 100 99 0\nctxt 7\n\
        btime 1\nprocesses 9\nprocs_running 1\nprocs_blocked 0\n";

    #[test]
    fn two_kernels() {
        let new = parse(NEW).unwrap();
        assert_eq!(new.all, Some([367_787, 1340, 96_870, 1_888_912, 11_567, 0, 1214, 247]));
        assert_eq!((new.guest, new.online), (Some(34), 2));
        assert_eq!((new.switches, new.interrupts), (Some(6_937_271), Some(3_761_335)));
        assert_eq!((new.softirqs, new.blocked), (Some(2_059_874), Some(1)));
        assert_eq!(new.cores[1], [1, 193_674 + 807 + 53_694 + 984 + 137, 1_184_064]);
        let old = parse(OLD).unwrap();
        assert_eq!((old.guest, old.softirqs, old.online), (None, None, 1));
        assert_eq!(old.cores, [[0, 270, 360]]);
    }

    #[test]
    fn fewer_modes_are_read_and_damage_is_none() {
        assert_eq!(parse(b"cpu  1 2 3 4\n").unwrap().all, Some([1, 2, 3, 4, 0, 0, 0, 0]));
        for bad in [&b"cpu\n"[..], b"cpu 1 2 3\n", b"cpu 1 2 x 4\n", b"cpu 99999999999999999999 1 1 1"] {
            assert_eq!(parse(bad), None);
        }
        for none in [&b""[..], b"\xff\xfe"] {
            assert_eq!(parse(none).unwrap().totals(0), None);
        }
    }

    #[test]
    fn shares_are_of_the_time_between() {
        let before = Totals::kept([100, 0, 0, 100, 100, 0, 0, 0], 0);
        let now = Totals::kept([110, 0, 10, 160, 110, 0, 0, 10], 0);
        let mut out = Out::default();
        out.whole("uptime", "", 1);
        now.since(&before).unwrap().put(&mut out);
        let got = out.into_measured();
        assert_eq!((got.readings[0].metric.as_str(), got.readings.len()), ("cpu.used", 9));
        let value = |metric: &str| got.readings.iter().find(|r| r.metric == metric).unwrap().value;
        assert_eq!((value("cpu.used"), value("cpu.iowait"), value("cpu.steal")), (0.3, 0.1, 0.1));
        assert_eq!((value("cpu.user"), value("cpu.system"), value("cpu.softirq")), (0.1, 0.1, 0.0));
        assert_eq!(now.since(&now), None);
        assert_eq!(before.since(&now), None);
    }

    #[test]
    fn iowait_that_goes_back_is_no_reason_to_give_up() {
        let before = Totals::kept([0, 0, 0, 100, 50, 0, 0, 0], 0);
        let now = Totals::kept([50, 0, 0, 150, 49, 0, 0, 0], 0);
        assert!((now.since(&before).unwrap().modes[0] - 0.5).abs() < 1e-9);
    }

    #[test]
    fn cores_that_come_go_or_start_again_have_no_share() {
        let of = |cores: &[[u64; 3]]| Totals { cores: cores.to_vec(), ..Totals::kept([cores.len() as u64; 8], 0) };
        let before = of(&[[0, 10, 100], [2, 50, 100], [3, 5, 5]]);
        let now = of(&[[0, 60, 200], [1, 7, 7], [2, 1, 2], [3, 5, 5], [4, 0, 0]]);
        assert_eq!(now.since(&before).unwrap().cores, [(0, 0.5)]);
    }

    #[test]
    fn more_cores_than_are_kept_are_counted_and_told() {
        let text: String = (0..300).map(|i| format!("cpu{i} 1 1 1 1\n")).collect();
        let stat = parse(format!("cpu 1 1 1 1\n{text}").as_bytes()).unwrap();
        assert_eq!((stat.online, stat.cores.len()), (300, MAX_CORES));
    }

    proptest! {
        #[test]
        fn no_text_stops_it(bytes in proptest::collection::vec(any::<u8>(), 0..200), now: [u64; 8], then: [u64; 8]) {
            let _ = parse(&[b"cpu0 ".as_slice(), &bytes].concat());
            if let Some(shares) = Totals::kept(now, 0).since(&Totals::kept(then, 0)) {
                prop_assert!(shares.modes.iter().all(|share| (0.0..=1.0).contains(share)));
            }
        }
    }
}
