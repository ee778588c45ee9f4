//! Every metric that fleet-health knows, one line each; `fleet metrics` prints this table.

mod service;

use super::metric::{Direction, Direction::*, Kind, Kind::*, Metric, Unit, Unit::*};

const fn m(
    name: &'static str,
    kind: Kind,
    unit: Unit,
    direction: Direction,
    item: &'static str,
    help: &'static str,
) -> Metric {
    Metric { name, kind, unit, direction, item, help }
}

/// In the order in which tables and documentation show them; services follow the host.
pub static METRICS: &[Metric] = &joined();

const fn joined() -> [Metric; HOST.len() + service::METRICS.len()] {
    let mut all = [HOST[0]; HOST.len() + service::METRICS.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < HOST.len() { HOST[at] } else { service::METRICS[at - HOST.len()] };
        at += 1;
    }
    all
}

/// Of the host itself.
const HOST: &[Metric] = &[
    m("cpu.used", Gauge, Ratio, HighIsBad, "", "Share of processor time that was neither idle nor waiting for I/O"),
    m("cpu.iowait", Gauge, Ratio, HighIsBad, "", "Share of processor time spent idle with I/O outstanding"),
    m("cpu.steal", Gauge, Ratio, HighIsBad, "", "Share of processor time that the hypervisor gave to others"),
    m("cpu.seconds", Counter, Seconds, HighIsBad, "mode", "Processor time since boot by mode, all processors"),
    m("cpu.count", Gauge, Count, LowIsBad, "", "Processors online"),
    m("load.1m", Gauge, Count, HighIsBad, "", "Load average over one minute"),
    m("load.5m", Gauge, Count, HighIsBad, "", "Load average over five minutes"),
    m("load.15m", Gauge, Count, HighIsBad, "", "Load average over fifteen minutes"),
    m(
        "load.per-core",
        Gauge,
        Count,
        HighIsBad,
        "",
        "Load average over fifteen minutes divided by the processors online",
    ),
    m("memory.total", Gauge, Bytes, LowIsBad, "", "Physical memory"),
    m("memory.available", Gauge, Bytes, LowIsBad, "", "Memory that programs can get without swapping (MemAvailable)"),
    m("memory.used", Gauge, Ratio, HighIsBad, "", "Share of memory that is not available to programs"),
    m("swap.total", Gauge, Bytes, LowIsBad, "", "Swap space"),
    m("swap.used", Gauge, Ratio, HighIsBad, "", "Share of swap in use"),
    m("swap.in", Counter, Count, HighIsBad, "", "Pages read back from swap since boot"),
    m("swap.out", Counter, Count, HighIsBad, "", "Pages written to swap since boot"),
    m("filesystem.size", Gauge, Bytes, LowIsBad, "mount", "Size of the filesystem"),
    m("filesystem.available", Gauge, Bytes, LowIsBad, "mount", "Bytes an ordinary user may still write"),
    m("filesystem.used", Gauge, Ratio, HighIsBad, "mount", "Share of the filesystem's space in use, as df shows it"),
    m("filesystem.inodes.used", Gauge, Ratio, HighIsBad, "mount", "Share of the filesystem's inodes in use"),
    m("filesystem.readonly", Gauge, Count, HighIsBad, "mount", "1 where the filesystem is mounted read-only"),
    m("disk.read.bytes", Counter, Bytes, HighIsBad, "disk", "Bytes read since boot"),
    m("disk.written.bytes", Counter, Bytes, HighIsBad, "disk", "Bytes written since boot"),
    m("disk.reads", Counter, Count, HighIsBad, "disk", "Reads completed since boot"),
    m("disk.writes", Counter, Count, HighIsBad, "disk", "Writes completed since boot"),
    m("disk.io.seconds", Counter, Seconds, HighIsBad, "disk", "Time with I/O under way since boot"),
    m("network.receive.bytes", Counter, Bytes, HighIsBad, "interface", "Bytes received since boot"),
    m("network.transmit.bytes", Counter, Bytes, HighIsBad, "interface", "Bytes sent since boot"),
    m("network.receive.packets", Counter, Count, HighIsBad, "interface", "Packets received since boot"),
    m("network.transmit.packets", Counter, Count, HighIsBad, "interface", "Packets sent since boot"),
    m("network.receive.errors", Counter, Count, HighIsBad, "interface", "Receive errors since boot"),
    m("network.transmit.errors", Counter, Count, HighIsBad, "interface", "Transmit errors since boot"),
    m("network.receive.drops", Counter, Count, HighIsBad, "interface", "Received packets dropped since boot"),
    m("network.transmit.drops", Counter, Count, HighIsBad, "interface", "Packets dropped before sending since boot"),
    m(
        "pressure.some",
        Gauge,
        Ratio,
        HighIsBad,
        "resource",
        "Share of the last minute in which some task waited for the resource",
    ),
    m(
        "pressure.full",
        Gauge,
        Ratio,
        HighIsBad,
        "resource",
        "Share of the last minute in which every task waited for the resource",
    ),
    m(
        "pressure.some.seconds",
        Counter,
        Seconds,
        HighIsBad,
        "resource",
        "Time in which some task waited for the resource since boot",
    ),
    m(
        "pressure.full.seconds",
        Counter,
        Seconds,
        HighIsBad,
        "resource",
        "Time in which every task waited for the resource since boot",
    ),
    m("process.count", Gauge, Count, HighIsBad, "", "Processes"),
    m("process.running", Gauge, Count, HighIsBad, "", "Processes running or waiting for a processor"),
    m("process.blocked", Gauge, Count, HighIsBad, "", "Processes in uninterruptible sleep (state D)"),
    m("process.zombies", Gauge, Count, HighIsBad, "", "Processes that ended and were not waited for"),
    m("process.threads", Gauge, Count, HighIsBad, "", "Threads of all processes"),
    m("process.forks", Counter, Count, HighIsBad, "", "Processes created since boot"),
    m("uptime", Gauge, Seconds, LowIsBad, "", "Time since boot"),
    m("probe.cpu", Gauge, Seconds, HighIsBad, "", "Processor time that the probe itself used for this sample"),
    m(
        "host.silent",
        Gauge,
        Seconds,
        HighIsBad,
        "",
        "Time since the last sample arrived; reckoned by the alerter, never sent",
    ),
];

/// The definition of a metric by its name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// Whether values of a metric may be negative.
#[must_use]
pub fn is_signed(name: &str) -> bool {
    service::SIGNED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::METRICS;

    #[test]
    fn names_are_unique_dotted_words() {
        for (i, metric) in METRICS.iter().enumerate() {
            assert!(
                metric.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-')
            );
            assert!(METRICS[..i].iter().all(|other| other.name != metric.name), "{} twice", metric.name);
            assert!(!metric.help.is_empty() && !metric.help.ends_with('.'));
        }
    }
}
