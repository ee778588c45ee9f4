//! What the kernel says of processes: processor time, memory, and the machine that they run on.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_precision_loss)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Between two looks at memory, which only grows in what is read of it.
const LOOK: Duration = Duration::from_millis(20);

/// Processor time in seconds, user and system.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    pub own: f64,
    /// Of children that were waited for, and of theirs.
    pub children: f64,
}

/// This process's.
pub fn own_cpu() -> Cpu {
    cpu_of("self").unwrap()
}

fn cpu_of(pid: &str) -> Option<Cpu> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<f64> = after_name(&text).skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let [user, system, theirs, of_theirs] = fields[..] else { return None };
    Some(Cpu { own: (user + system) / ticks, children: (theirs + of_theirs) / ticks })
}

/// The fields of a stat line from the state on: a name may hold anything.
fn after_name(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace()
}

/// What was seen of a process and its descendants.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The peaks of all, added up, in MiB.
    pub memory: f64,
    /// The processor time of each when it was last seen alive, in seconds, in the order of their ids.
    pub cpu: Vec<f64>,
}

/// Looks at a process and its descendants until it is ended.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BTreeMap<u32, (u64, f64)>>,
}

impl Watch {
    pub fn start(root: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen: BTreeMap<u32, (u64, f64)> = BTreeMap::new();
            while !asked.load(Ordering::Relaxed) {
                for pid in family(root) {
                    if let (Some(peak), Some(cpu)) = (peak(pid), cpu_of(&pid.to_string())) {
                        seen.insert(pid, (peak, cpu.own));
                    }
                }
                std::thread::sleep(LOOK);
            }
            seen
        });
        Self { stop, thread }
    }

    pub fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.join().unwrap();
        let memory: u64 = seen.values().map(|(peak, _)| peak).sum();
        Seen { memory: memory as f64 / 1024.0, cpu: seen.values().map(|(_, cpu)| *cpu).collect() }
    }
}

/// A process and all that descends from it. Asked of each thread: whichever started a child is its parent.
fn family(root: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        if !found.insert(pid) {
            continue;
        }
        for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            next.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

/// VmHWM in KiB.
fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// As many descriptors as this process may have.
pub fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// The load average of the last minute.
pub fn load() -> f64 {
    fs::read_to_string("/proc/loadavg").unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// What the figures were measured on, for people.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, name: &str, split: char| -> String {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.split_once(split).map_or("", |(_, value)| value).trim().trim_matches('"').to_owned()
    };
    let model = value(&read("/proc/cpuinfo"), "model name", ':');
    let memory = value(&read("/proc/meminfo"), "MemTotal", ':');
    let memory: f64 = memory.trim_end_matches(" kB").parse().unwrap_or(0.0);
    format!(
        "{model}, {} processors, {:.1} GiB of memory, {}, Linux {}",
        std::thread::available_parallelism().map_or(1, usize::from),
        memory / 1_048_576.0,
        value(&read("/etc/os-release"), "PRETTY_NAME", '='),
        read("/proc/sys/kernel/osrelease").trim()
    )
}
