//! Memory and swap.

use super::out::Out;
use super::root::Root;
use super::text::keyed;
use crate::model::sample::FaultKind;

pub(super) fn collect(root: &Root, out: &mut Out) {
    match root.read("/proc/meminfo") {
        Ok(bytes) => meminfo(&bytes, out),
        Err(error) => out.unread("", "/proc/meminfo", &error),
    }
    match root.read("/proc/vmstat") {
        Ok(bytes) => vmstat(&bytes, out),
        Err(error) => out.unread("swap", "/proc/vmstat", &error),
    }
}

#[allow(clippy::cast_precision_loss, reason = "kilobytes are far below 2^53")]
fn meminfo(bytes: &[u8], out: &mut Out) {
    let Some(total) = keyed(bytes, "MemTotal").filter(|total| *total > 0) else {
        return out.malformed("", "/proc/meminfo: no MemTotal");
    };
    out.whole("memory.total", "", total.saturating_mul(1024));
    match keyed(bytes, "MemAvailable") {
        Some(available) => {
            let available = available.min(total);
            out.whole("memory.available", "", available.saturating_mul(1024));
            out.share("memory.used", "", 1.0 - available as f64 / total as f64);
        }
        None => out.fault("", FaultKind::Unsupported, "/proc/meminfo: no MemAvailable; it came with Linux 3.14"),
    }
    match (keyed(bytes, "SwapTotal"), keyed(bytes, "SwapFree")) {
        (Some(total), Some(free)) => {
            // A machine without swap has none in use: a total of 0 tells it, a share would mislead.
            out.whole("swap.total", "", total.saturating_mul(1024));
            if total > 0 {
                out.share("swap.used", "", 1.0 - free.min(total) as f64 / total as f64);
            }
        }
        _ => out.fault("swap", FaultKind::Unsupported, "/proc/meminfo: no SwapTotal"),
    }
}

fn vmstat(bytes: &[u8], out: &mut Out) {
    for (metric, key) in [("swap.in", "pswpin"), ("swap.out", "pswpout")] {
        match keyed(bytes, key) {
            Some(pages) => out.whole(metric, "", pages),
            None => out.fault("swap", FaultKind::Unsupported, format!("/proc/vmstat: no {key}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> (Vec<(String, f64)>, usize) {
        let mut out = Out::default();
        meminfo(text.as_bytes(), &mut out);
        let measured = out.into_measured();
        (measured.readings.into_iter().map(|r| (r.metric, r.value)).collect(), measured.faults.len())
    }

    #[test]
    fn kilobytes_become_bytes_and_shares() {
        let (got, faults) =
            values("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\nSwapTotal: 200 kB\nSwapFree: 50 kB\n");
        let expected = [
            ("memory.total", 1_024_000.0),
            ("memory.available", 256_000.0),
            ("memory.used", 0.75),
            ("swap.total", 204_800.0),
            ("swap.used", 0.75),
        ];
        assert_eq!(got, expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(faults, 0);
    }

    #[test]
    fn no_swap_is_a_total_of_zero_and_no_share() {
        let (got, faults) = values("MemTotal: 10 kB\nMemAvailable: 5 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n");
        assert_eq!(got.last(), Some(&("swap.total".to_owned(), 0.0)));
        assert_eq!(faults, 0);
    }

    #[test]
    fn what_is_missing_is_told() {
        assert_eq!(values("MemTotal: 10 kB\n").1, 2);
        assert_eq!(values("").1, 1);
        assert_eq!(values("MemTotal: 0 kB\n").1, 1);
        assert_eq!(values("MemTotal: 99999999999999999999999 kB\n").1, 1);
    }
}
