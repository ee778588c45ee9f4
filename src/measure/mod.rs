//! Collectors: each reads one subject of a host through a [`Root`] and says what it found and what it could not.

mod asked;
mod backlog;
mod boot;
mod certificate;
mod cgroup;
mod command;
mod container;
mod cpu;
mod disk;
mod files;
mod filesystem;
#[cfg(test)]
mod fixture;
mod folder;
mod frequency;
mod identity;
mod kernel;
mod limits;
mod link;
mod load;
mod memory;
mod multipath;
mod network;
mod out;
mod past;
mod pool;
mod power;
mod pressure;
mod privileged;
mod process;
mod raid;
mod reboot;
mod restarts;
mod root;
mod run;
mod security;
mod smart;
mod socket;
mod support;
mod swap;
mod systemd;
mod temperature;
mod text;
mod time;
mod updates;
mod uptime;
mod users;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use asked::{Answers, LATER, MAX_ANSWERS_FILE, ask_questions, questions_wait};
pub use boot::{boot_id, uptime_millis};
pub use cpu::Totals;
pub use filesystem::{ASK, answer as answer_mounts};
pub use out::Out;
pub use past::Past;
pub use privileged::escaped;
pub(crate) use process::MAX_PROCESSES_FILE;
pub use process::{Processes, user_name};
pub use restarts::Restarts;
pub use root::Root;
pub use smart::{MAX_SMART_FILE, Smart, ask_disks, disks_wait};
pub use updates::{MAX_UPDATES_FILE, Updates, ask_for_updates, updates_wait};

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
    Collector { name: "link", help: "Links, bonds and the default route, from /sys/class/net", collect: link::collect },
    Collector { name: "socket", help: "TCP, UDP and served ports, from /proc/net", collect: socket::collect },
    Collector {
        name: "backlog",
        help: "Packets left waiting and followed connections, from /proc/net",
        collect: backlog::collect,
    },
    Collector { name: "disk", help: "I/O and state by disk, from /proc/diskstats and sysfs", collect: disk::collect },
    Collector {
        name: "filesystem",
        help: "Space and inodes, from mountinfo and statvfs",
        collect: filesystem::collect,
    },
    Collector { name: "disk.smart", help: "Health of disks, from smartctl now and then", collect: smart::collect },
    Collector { name: "raid", help: "Software RAID, from /proc/mdstat", collect: raid::collect },
    Collector { name: "pool", help: "Pools of ZFS, btrfs and DRBD", collect: pool::collect },
    Collector { name: "multipath", help: "Paths to disks of a storage network", collect: multipath::collect },
    Collector {
        name: "temperature",
        help: "Temperatures and fans, from hwmon and thermal",
        collect: temperature::collect,
    },
    Collector { name: "power", help: "Power supplies, batteries and what processors take", collect: power::collect },
    Collector { name: "cpu.frequency", help: "Clock of the processors and heat", collect: frequency::collect },
    Collector { name: "cgroup", help: "Slices, services and containers, from their cgroups", collect: cgroup::collect },
    Collector {
        name: "container",
        help: "State, health and restarts of containers, from docker and podman",
        collect: container::collect,
    },
    Collector { name: "limits", help: "Semaphores, keys, terminals, entropy, from /proc", collect: limits::collect },
    Collector { name: "identity", help: "Kernel, distribution, processor and machine", collect: identity::collect },
    Collector {
        name: "security",
        help: "Access control, accounts of root, digests of files",
        collect: security::collect,
    },
    Collector {
        name: "users",
        help: "Sessions of people and failed logins, from systemd-logind, utmp, btmp",
        collect: users::collect,
    },
    Collector {
        name: "reboot",
        help: "Whether packages or a newer kernel wait for a reboot",
        collect: reboot::collect,
    },
    Collector {
        name: "certificate",
        help: "How long certificates at the usual places last",
        collect: certificate::collect,
    },
    Collector {
        name: "updates",
        help: "Pending updates, by what the package manager knows",
        collect: updates::collect,
    },
    Collector {
        name: "pool.lvm",
        help: "Thin pools, snapshots and broken volumes, from lvs now and then",
        collect: |root, out| asked::show(root, "pool.lvm", out),
    },
    Collector {
        name: "ipmi",
        help: "Sensors of the board's controller, from ipmitool now and then",
        collect: |root, out| asked::show(root, "ipmi", out),
    },
    Collector {
        name: "kernel.log",
        help: "Victims of lack of memory and crashes, from dmesg now and then",
        collect: |root, out| asked::show(root, "kernel.log", out),
    },
    Collector {
        name: "port",
        help: "Programs behind served ports, from ss now and then",
        collect: |root, out| asked::show(root, "port", out),
    },
    Collector {
        name: "reboot.services",
        help: "Services on files that an update replaced, from /proc/*/maps now and then",
        collect: |root, out| asked::show(root, "reboot.services", out),
    },
    Collector {
        name: "security.firewall",
        help: "Whether a firewall's rules are loaded, from nft now and then",
        collect: |root, out| asked::show(root, "security.firewall", out),
    },
    Collector {
        name: "security.sshd",
        help: "Whether root may log in with a password, from sshd now and then",
        collect: |root, out| asked::show(root, "security.sshd", out),
    },
    Collector {
        name: "time",
        help: "Whether the clock is right, from chronyd, ntpd, timesyncd or the kernel",
        collect: time::collect,
    },
    Collector {
        name: "systemd",
        help: "Units that failed or linger, from systemd over D-Bus",
        collect: systemd::collect,
    },
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
    /// How many values and facts each section gave.
    pub sections: Vec<(&'static str, usize)>,
    /// Processor totals to hand to the next measurement of the same boot.
    pub totals: Option<Totals>,
    /// What processes had used, likewise.
    pub processes: Option<Processes>,
    /// The counts of restarts, likewise.
    pub restarts: Option<Restarts>,
}

/// Runs every collector. Shares of processor time, of all and of each process, are reckoned since the earlier sample
/// where it is 2 s to 1 h old, otherwise over a window of 250 ms, beside the other sections.
#[must_use]
pub fn measure(root: &Root, past: Past) -> Measured {
    let start = Instant::now();
    let past = Arc::new(past);
    let mut out = Out::beside(None, &past);
    run::all(root, COLLECTORS, run::PATIENCE, &mut out);
    let wait = || std::thread::sleep(WINDOW.saturating_sub(start.elapsed()));
    out.section("process");
    process::finish(root, &mut out, wait);
    out.section("cpu");
    if let Some(now) = out.totals.clone() {
        let fitting =
            past.totals.as_ref().filter(|before| SERVES.contains(&now.at_millis.saturating_sub(before.at_millis)));
        let shares = fitting.and_then(|before| now.since(before)).or_else(|| {
            wait();
            cpu::read(root).ok().and_then(|later| later.since(&now))
        });
        match shares {
            Some(shares) => shares.put(&mut out),
            None => out.malformed("", "the processor totals did not move forward"),
        }
    }
    out.into_measured()
}

/// Only whether the clock follows a source of time, and how far it is from it.
#[must_use]
pub fn clock(root: &Root) -> Measured {
    let mut out = Out::beside(None, &Arc::default());
    out.section("time");
    time::collect(root, &mut out);
    out.into_measured()
}

#[cfg(test)]
mod tests;
