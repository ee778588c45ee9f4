//! Memory, and what the kernel does when there is little of it.

use super::cgroup;
use super::out::Out;
use super::root::Root;
use super::text::{keyed, lines, whole, words};
use crate::model::sample::FaultKind;

const ARC: &str = "/proc/spl/kstat/zfs/arcstats";

/// Metric and its line of /proc/meminfo.
const FIELDS: [(&str, &str); 13] = [
    ("memory.free", "MemFree"),
    ("memory.buffers", "Buffers"),
    ("memory.cached", "Cached"),
    ("memory.shared", "Shmem"),
    ("memory.dirty", "Dirty"),
    ("memory.writeback", "Writeback"),
    ("memory.anonymous", "AnonPages"),
    ("memory.slab", "Slab"),
    ("memory.slab.fixed", "SUnreclaim"),
    ("memory.page-tables", "PageTables"),
    ("swap.cached", "SwapCached"),
    ("memory.committed", "Committed_AS"),
    ("memory.commit-limit", "CommitLimit"),
];

/// Metric and its counters of /proc/vmstat, which are added up; a counter of memory zones has one for each.
const EVENTS: [(&str, &str, Key); 6] = [
    ("swap.in", "pswpin", Key::Whole),
    ("swap.out", "pswpout", Key::Whole),
    ("vm.major-faults", "pgmajfault", Key::Whole),
    // Since Linux 4.13.
    ("vm.oom-kills", "oom_kill", Key::Whole),
    ("vm.allocation-stalls", "allocstall", Key::Zones),
    ("vm.direct-scans", "pgscan_direct", Key::Zones),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    /// The line of this name.
    Whole,
    /// That, or those of the zones behind an underline: `allocstall_normal`.
    Zones,
}

pub(super) fn collect(root: &Root, out: &mut Out) {
    let cache = cache(root, out);
    match root.read("/proc/meminfo") {
        Ok(bytes) => {
            let total = keyed(&bytes, "MemTotal").map(bytes_of);
            let own = total.and_then(|total| cgroup::own(root, total));
            meminfo(&bytes, cache, own, out);
        }
        Err(error) => out.unread("", "/proc/meminfo", &error),
    }
    match root.read("/proc/vmstat") {
        Ok(bytes) => vmstat(&bytes, out),
        Err(error) => {
            for section in ["swap", "vm"] {
                out.section(section);
                out.unread("", "/proc/vmstat", &error);
            }
        }
    }
}

fn bytes_of(kilobytes: u64) -> u64 {
    kilobytes.saturating_mul(1024)
}

/// The cache of ZFS: what it holds, and what it never gives back.
fn cache(root: &Root, out: &mut Out) -> Option<(u64, u64)> {
    // No ZFS is the usual case and no fault.
    let bytes = root.read_at_most(ARC, 64 * 1024).ok()?;
    let Some((size, least)) = arc(&bytes) else {
        out.malformed("zfs", format!("{ARC}: neither size nor c_min"));
        return None;
    };
    out.whole("memory.zfs-cache", "", size);
    out.whole("memory.zfs-cache.least", "", least);
    Some((size, least))
}

/// `size  4  123456`: name, type, value.
fn arc(bytes: &[u8]) -> Option<(u64, u64)> {
    let value = |key: &[u8]| {
        lines(bytes).find_map(|line| {
            let mut words = words(line);
            (words.next()? == key).then(|| words.nth(1).and_then(whole))?
        })
    };
    Some((value(b"size")?, value(b"c_min")?))
}

#[allow(clippy::cast_precision_loss, reason = "a share of five digits")]
fn meminfo(bytes: &[u8], cache: Option<(u64, u64)>, own: Option<cgroup::Own>, out: &mut Out) {
    let Some(total) = keyed(bytes, "MemTotal").filter(|total| *total > 0).map(bytes_of) else {
        return out.malformed("", "/proc/meminfo: no MemTotal");
    };
    let available = keyed(bytes, "MemAvailable").map(bytes_of);
    match (own, available) {
        // The machine is a container: what it may use is what it has.
        (Some(own), _) => {
            let available = own.limit.saturating_sub(own.used);
            out.whole("memory.total", "", own.limit);
            out.whole("memory.limit", "", own.limit);
            out.whole("memory.available", "", available);
            out.share("memory.used", "", 1.0 - available as f64 / own.limit as f64);
        }
        (None, Some(available)) => {
            let available = available.min(total);
            out.whole("memory.total", "", total);
            out.whole("memory.available", "", available);
            // The kernel does not count the cache of ZFS as available; ZFS gives it back all the same.
            let cache = cache.map_or(0, |(size, least)| size.saturating_sub(least));
            let free = available.saturating_add(cache).min(total);
            out.share("memory.used", "", 1.0 - free as f64 / total as f64);
        }
        (None, None) => {
            out.whole("memory.total", "", total);
            out.fault("", FaultKind::Unsupported, "/proc/meminfo: no MemAvailable; it came with Linux 3.14");
        }
    }
    for (metric, key) in FIELDS {
        match keyed(bytes, key) {
            Some(value) => out.whole(metric, "", bytes_of(value)),
            None => out.fault("", FaultKind::Unsupported, format!("/proc/meminfo: no {key}")),
        }
    }
    // Since Linux 4.20 with what is not slab but can be given back.
    if let Some(value) = keyed(bytes, "KReclaimable").or_else(|| keyed(bytes, "SReclaimable")) {
        out.whole("memory.reclaimable", "", bytes_of(value));
    }
    // Where a kernel is built without them, there are none.
    if let Some(size) = keyed(bytes, "Hugepagesize") {
        for (metric, key) in [("memory.hugepages", "HugePages_Total"), ("memory.hugepages.free", "HugePages_Free")] {
            if let Some(pages) = keyed(bytes, key) {
                out.whole(metric, "", bytes_of(size).saturating_mul(pages));
            }
        }
    }
    if let Some(value) = keyed(bytes, "HardwareCorrupted") {
        out.whole("memory.corrupted", "", bytes_of(value));
    }
    swap(bytes, out);
}

#[allow(clippy::cast_precision_loss, reason = "a share of five digits")]
fn swap(bytes: &[u8], out: &mut Out) {
    match (keyed(bytes, "SwapTotal"), keyed(bytes, "SwapFree")) {
        (Some(total), Some(free)) => {
            // A machine without swap has none in use: a total of 0 tells it, a share would mislead.
            out.whole("swap.total", "", bytes_of(total));
            if total > 0 {
                out.share("swap.used", "", 1.0 - free.min(total) as f64 / total as f64);
            }
        }
        _ => {
            out.section("swap");
            out.fault("", FaultKind::Unsupported, "/proc/meminfo: no SwapTotal");
        }
    }
}

fn vmstat(bytes: &[u8], out: &mut Out) {
    let mut sums: [Option<u64>; EVENTS.len()] = [None; EVENTS.len()];
    for line in lines(bytes) {
        let mut words = words(line);
        let (Some(key), Some(value)) = (words.next(), words.next().and_then(whole)) else { continue };
        for (sum, (_, name, kind)) in sums.iter_mut().zip(EVENTS) {
            let fits = key.strip_prefix(name.as_bytes()).is_some_and(|rest| {
                // `pgscan_direct_throttle` counts something else.
                rest.is_empty() || (kind == Key::Zones && rest.starts_with(b"_") && rest != b"_throttle")
            });
            if fits {
                *sum = Some(sum.unwrap_or(0).saturating_add(value));
            }
        }
    }
    for (sum, (metric, name, _)) in sums.into_iter().zip(EVENTS) {
        out.section(if metric.starts_with("swap.") { "swap" } else { "vm" });
        match sum {
            Some(value) => out.whole(metric, "", value),
            None => out.fault("", FaultKind::Unsupported, format!("/proc/vmstat: no {name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::Measured;

    fn values(text: &str) -> (Vec<(String, f64)>, usize) {
        let mut out = Out::default();
        meminfo(text.as_bytes(), None, None, &mut out);
        let measured = out.into_measured();
        (measured.readings.into_iter().map(|r| (r.metric, r.value)).collect(), measured.faults.len())
    }

    fn value(got: &Measured, metric: &str) -> Option<f64> {
        got.readings.iter().find(|r| r.metric == metric).map(|r| r.value)
    }

    /// Linux 6.18.
    const NEW: &str = include_str!("fixtures/meminfo-6.18");
    /// Linux 2.6.32, without MemAvailable and KReclaimable.
    const OLD: &str = include_str!("fixtures/meminfo-2.6.32");

    #[test]
    fn two_kernels() {
        let mut out = Out::default();
        meminfo(NEW.as_bytes(), None, None, &mut out);
        let new = out.into_measured();
        assert_eq!(new.faults, []);
        for (metric, kilobytes) in [
            ("memory.total", 24_684_084.0),
            ("memory.available", 23_979_092.0),
            ("memory.free", 6_354_952.0),
            ("memory.reclaimable", 752_172.0),
            ("memory.dirty", 154_800.0),
            ("memory.committed", 86_636.0),
            ("memory.hugepages", 8.0 * 2048.0),
            ("memory.hugepages.free", 2.0 * 2048.0),
        ] {
            assert_eq!(value(&new, metric), Some(kilobytes * 1024.0), "{metric}");
        }
        assert_eq!(value(&new, "memory.used"), Some(0.028_561));
        let mut out = Out::default();
        meminfo(OLD.as_bytes(), None, None, &mut out);
        let old = out.into_measured();
        assert_eq!(value(&old, "memory.used"), None);
        assert_eq!(value(&old, "memory.reclaimable"), Some(143_084.0 * 1024.0));
        assert_eq!(value(&old, "memory.corrupted"), Some(4.0 * 1024.0));
        assert_eq!(old.faults.len(), 1);
    }

    #[test]
    fn no_swap_is_a_total_of_zero_and_no_share() {
        let (got, _) = values("MemTotal: 10 kB\nMemAvailable: 5 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n");
        assert_eq!(got.last(), Some(&("swap.total".to_owned(), 0.0)));
        let (got, _) = values("MemTotal: 10 kB\nMemAvailable: 5 kB\nSwapTotal: 200 kB\nSwapFree: 50 kB\n");
        assert_eq!(got.last(), Some(&("swap.used".to_owned(), 0.75)));
    }

    #[test]
    fn what_is_missing_is_told() {
        assert_eq!(values("MemTotal: 10 kB\n").1, 2 + FIELDS.len());
        for none in ["", "MemTotal: 0 kB\n", "MemTotal: 99999999999999999999999 kB\n"] {
            assert_eq!(values(none).1, 1, "{none}");
        }
    }

    #[test]
    fn a_container_is_measured_against_its_limit() {
        let mut out = Out::default();
        let own = cgroup::Own { limit: 1000 << 20, used: 900 << 20 };
        meminfo(NEW.as_bytes(), None, Some(own), &mut out);
        let got = out.into_measured();
        assert_eq!(value(&got, "memory.used"), Some(0.9));
        assert_eq!(
            (value(&got, "memory.total"), value(&got, "memory.limit")),
            (Some(1_048_576_000.0), Some(1_048_576_000.0))
        );
        assert_eq!(value(&got, "memory.available"), Some(104_857_600.0));
    }

    #[test]
    fn the_cache_of_zfs_is_no_memory_in_use() {
        let text = b"13 1 0x01 147 39984 1 2\nname type data\nhits 4 1\nsize                            4    600\n\
            c_min                           4    100\n";
        assert_eq!(arc(text), Some((600, 100)));
        assert_eq!(arc(b"size 4\nc_min 4 x\n\xff"), None);
        let mut out = Out::default();
        let text = "MemTotal: 1000 kB\nMemAvailable: 200 kB\n";
        meminfo(text.as_bytes(), Some((600 << 10, 100 << 10)), None, &mut out);
        let got = out.into_measured();
        assert_eq!((value(&got, "memory.used"), value(&got, "memory.available")), (Some(0.3), Some(204_800.0)));
    }

    #[test]
    fn events_are_those_of_all_zones() {
        let run = |text: &str| {
            let mut out = Out::default();
            vmstat(text.as_bytes(), &mut out);
            out.into_measured()
        };
        let new = run("pswpin 1\npswpout 2\npgmajfault 3\noom_kill 4\nallocstall_dma 5\nallocstall_normal 6\n\
             pgscan_direct 7\npgscan_direct_throttle 99\npgscan_direct_anon x\n");
        let got: Vec<f64> = new.readings.iter().map(|r| r.value).collect();
        assert_eq!((got, new.faults.len()), (vec![1.0, 2.0, 3.0, 4.0, 11.0, 7.0], 0));
        let old = run("pswpin 1\npswpout 2\npgmajfault 3\nallocstall 5\npgscan_direct_dma 1\npgscan_direct_normal 2\n");
        let got: Vec<f64> = old.readings.iter().map(|r| r.value).collect();
        assert_eq!(got, [1.0, 2.0, 3.0, 5.0, 3.0]);
        assert_eq!((old.faults[0].section.as_str(), old.faults[0].kind), ("vm", FaultKind::Unsupported));
    }

    proptest! {
        #[test]
        fn no_text_stops_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = Out::default();
            meminfo(&[b"MemTotal: 5 kB\nHugepagesize: ".as_slice(), &bytes].concat(), None, None, &mut out);
            vmstat(&bytes, &mut out);
            let _ = arc(&bytes);
            prop_assert!(out.into_measured().readings.iter().all(|r| r.value >= 0.0));
        }
    }
}
