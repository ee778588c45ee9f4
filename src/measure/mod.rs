//! Collectors: each reads one subject of a host through a [`Root`] and says what it found and what it could not.

mod boot;
mod cgroup;
mod cpu;
mod disk;
mod files;
mod filesystem;
#[cfg(test)]
mod fixture;
mod folder;
mod frequency;
mod kernel;
mod load;
mod memory;
mod multipath;
mod network;
mod out;
mod pool;
mod power;
mod pressure;
mod process;
mod raid;
mod root;
mod run;
mod swap;
mod temperature;
mod text;
mod uptime;

use std::time::{Duration, Instant};

pub use boot::{boot_id, uptime_millis};
pub use cpu::Totals;
pub use filesystem::{ASK, answer as answer_mounts};
pub use out::Out;
pub use root::Root;

use crate::model::sample::{Fact, Fault, Process, Reading};

/// How long the processors are watched where no earlier totals serve.
const WINDOW: Duration = Duration::from_millis(250);
/// Earlier totals serve when they are this old, in milliseconds.
const SERVES: std::ops::RangeInclusive<u64> = 2_000..=3_600_000;

/// Reads one subject.
pub struct Collector {
    /// One word; the section of its faults.
    pub name: &'static str,
    /// One sentence for people.
    pub help: &'static str,
    /// Puts readings and faults into the given place; never fails as a whole.
    pub collect: fn(&Root, &mut Out),
}

/// Every collector. Small and vital ones first: the first readings stay where there are too many.
pub const COLLECTORS: &[Collector] = &[
    Collector { name: "cpu", help: "Processor time by mode, from /proc/stat", collect: cpu::collect },
    Collector { name: "load", help: "Load averages, from /proc/loadavg", collect: load::collect },
    Collector {
        name: "memory",
        help: "Memory, from /proc/meminfo, vmstat and the container",
        collect: memory::collect,
    },
    Collector { name: "swap", help: "Swap by device, from /proc/swaps and zram", collect: swap::collect },
    Collector { name: "uptime", help: "Time since boot, from /proc/uptime", collect: uptime::collect },
    Collector {
        name: "pressure",
        help: "Stalls for want of a resource, from /proc/pressure",
        collect: pressure::collect,
    },
    Collector { name: "files", help: "Open files of the system, from /proc/sys/fs", collect: files::collect },
    Collector { name: "kernel", help: "Taints, stuck tasks, errors of the hardware", collect: kernel::collect },
    Collector { name: "process", help: "Processes by state, from /proc/*/stat", collect: process::collect },
    Collector { name: "network", help: "Traffic by interface, from /proc/net/dev", collect: network::collect },
    Collector { name: "disk", help: "I/O and state by disk, from /proc/diskstats and sysfs", collect: disk::collect },
    Collector {
        name: "filesystem",
        help: "Space and inodes, from mountinfo and statvfs",
        collect: filesystem::collect,
    },
    Collector { name: "raid", help: "Software RAID, from /proc/mdstat", collect: raid::collect },
    Collector { name: "pool", help: "Pools of ZFS, btrfs and DRBD", collect: pool::collect },
    Collector { name: "multipath", help: "Paths to disks of a storage network", collect: multipath::collect },
    Collector {
        name: "temperature",
        help: "Temperatures and fans, from hwmon and thermal",
        collect: temperature::collect,
    },
    Collector { name: "power", help: "Power supplies and batteries", collect: power::collect },
    Collector { name: "cpu.frequency", help: "Clock of the processors and heat", collect: frequency::collect },
    Collector { name: "cgroup", help: "Slices, services and containers, from their cgroups", collect: cgroup::collect },
];

/// What one measurement found.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// All values.
    pub readings: Vec<Reading>,
    /// What could not be measured, and why.
    pub faults: Vec<Fault>,
    /// What the host is.
    pub facts: Vec<Fact>,
    /// The processes that take most.
    pub top: Vec<Process>,
    /// Processor totals to hand to the next measurement of the same boot.
    pub totals: Option<Totals>,
}

/// Runs every collector. Shares of processor time are reckoned since `earlier` (totals of the same boot) where these
/// are 2 s to 1 h old, otherwise over a window of 250 ms, beside the other sections.
#[must_use]
pub fn measure(root: &Root, earlier: Option<&Totals>) -> Measured {
    let start = Instant::now();
    let mut out = Out::default();
    run::all(root, COLLECTORS, run::PATIENCE, &mut out);
    out.section("cpu");
    if let Some(now) = out.totals.clone() {
        let fitting = earlier.filter(|before| SERVES.contains(&now.at_millis.saturating_sub(before.at_millis)));
        let shares = fitting.and_then(|before| now.since(before)).or_else(|| {
            std::thread::sleep(WINDOW.saturating_sub(start.elapsed()));
            cpu::read(root).ok().and_then(|later| later.since(&now))
        });
        match shares {
            Some(shares) => shares.put(&mut out),
            None => out.malformed("", "the processor totals did not move forward"),
        }
    }
    out.into_measured()
}

#[cfg(test)]
mod tests;
