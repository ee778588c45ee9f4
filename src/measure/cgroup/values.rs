//! The values of one group.

use super::{Folder, Group, Kind, Out};
use crate::measure::text::{keyed, lines, number, whole, words};

/// The readings that both versions have.
#[derive(Debug, Default)]
struct Values {
    memory: Option<u64>,
    limit: Option<u64>,
    /// Caches that go without being written first.
    caches: u64,
    kills: Option<u64>,
    seconds: Option<f64>,
    throttled: Option<f64>,
    tasks: Option<u64>,
    most_tasks: Option<u64>,
    pressure: Option<f64>,
    /// Of I/O and of processor time, where that was looked at.
    pressure_io: Option<f64>,
    pressure_cpu: Option<f64>,
    /// Bytes, and how many reads and writes.
    io: Option<Io>,
}

/// What a group read from and wrote to all disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Io {
    read: u64,
    written: u64,
    reads: u64,
    writes: u64,
}

#[allow(clippy::cast_precision_loss, reason = "microseconds are far below 2^53")]
pub(super) fn v2(tree: &Folder, group: &Group, out: &mut Out) {
    // Gone since it was listed: no fault.
    let Ok(folder) = tree.folder(&group.path) else { return };
    let mut buffer = [0; 4096];
    let mut values = Values {
        memory: folder.whole("memory.current"),
        // "max" is no number.
        limit: folder.whole("memory.max"),
        tasks: folder.whole("pids.current"),
        most_tasks: folder.whole("pids.max"),
        ..Values::default()
    };
    if let Ok(events) = folder.read(b"memory.events", &mut buffer) {
        values.kills = keyed(events, "oom_kill");
    }
    if let Ok(stat) = folder.read(b"cpu.stat", &mut buffer) {
        values.seconds = keyed(stat, "usage_usec").map(|micros| micros as f64 / 1e6);
        if keyed(stat, "nr_periods").is_some_and(|periods| periods > 0) {
            values.throttled = keyed(stat, "throttled_usec").map(|micros| micros as f64 / 1e6);
        }
    }
    if let Ok(pressure) = folder.read(b"memory.pressure", &mut buffer) {
        values.pressure = share(pressure, b"full ");
    }
    // Each costs the kernel a reckoning: for the many services one of them is enough.
    if group.kind != Kind::Service {
        if let Ok(pressure) = folder.read(b"io.pressure", &mut buffer) {
            values.pressure_io = share(pressure, b"full ");
        }
        if let Ok(pressure) = folder.read(b"cpu.pressure", &mut buffer) {
            values.pressure_cpu = share(pressure, b"some ");
        }
    }
    if let Ok(stat) = folder.read(b"io.stat", &mut buffer) {
        values.io = Some(io_v2(stat));
    }
    if values.limit.is_some()
        && let Ok(stat) = folder.read(b"memory.stat", &mut buffer)
    {
        values.caches = keyed(stat, "inactive_file").unwrap_or(0);
    }
    values.put(&group.item, out);
}

/// `253:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`, a line for each disk.
fn io_v2(stat: &[u8]) -> Io {
    let mut sum = Io::default();
    for line in lines(stat) {
        let value = |key: &[u8]| words(line).find_map(|word| word.strip_prefix(key)).and_then(whole).unwrap_or(0);
        sum.read = sum.read.saturating_add(value(b"rbytes="));
        sum.written = sum.written.saturating_add(value(b"wbytes="));
        sum.reads = sum.reads.saturating_add(value(b"rios="));
        sum.writes = sum.writes.saturating_add(value(b"wios="));
    }
    sum
}

/// `253:0 Read 4096`, a line for each disk and kind, and `Total 4096` at the end.
fn io_v1(text: &[u8]) -> (u64, u64) {
    let (mut read, mut written) = (0_u64, 0_u64);
    for line in lines(text) {
        let mut words = words(line).skip(1);
        match (words.next(), words.next().and_then(whole)) {
            (Some(b"Read"), Some(value)) => read = read.saturating_add(value),
            (Some(b"Write"), Some(value)) => written = written.saturating_add(value),
            _ => {}
        }
    }
    (read, written)
}

/// The folders of the memory, cpu, cpuacct, pids and blkio controllers.
#[allow(clippy::cast_precision_loss, reason = "nanoseconds over 2^53 lose what nobody sees")]
pub(super) fn v1(trees: [Option<&Folder>; 5], group: &Group, out: &mut Out) {
    let [memory, cpu, cpuacct, pids, blkio] = trees.map(|tree| tree.and_then(|tree| tree.folder(&group.path).ok()));
    let mut buffer = [0; 4096];
    let mut values = Values::default();
    if let Some(folder) = memory {
        values.memory = folder.whole("memory.usage_in_bytes");
        values.limit = folder.whole("memory.limit_in_bytes").filter(|limit| is_limit(*limit));
        if let Ok(control) = folder.read(b"memory.oom_control", &mut buffer) {
            values.kills = keyed(control, "oom_kill");
        }
        if values.limit.is_some()
            && let Ok(stat) = folder.read(b"memory.stat", &mut buffer)
        {
            values.caches = keyed(stat, "total_inactive_file").unwrap_or(0);
        }
    }
    if let Some(folder) = cpuacct {
        values.seconds = folder.whole("cpuacct.usage").map(|nanos| nanos as f64 / 1e9);
    }
    if let Some(folder) = cpu
        && let Ok(stat) = folder.read(b"cpu.stat", &mut buffer)
        && keyed(stat, "nr_periods").is_some_and(|periods| periods > 0)
    {
        values.throttled = keyed(stat, "throttled_time").map(|nanos| nanos as f64 / 1e9);
    }
    if let Some(folder) = pids {
        values.tasks = folder.whole("pids.current");
        values.most_tasks = folder.whole("pids.max");
    }
    if let Some(folder) = blkio {
        let mut both = |file: &[u8]| folder.read(file, &mut buffer).ok().map(io_v1);
        let bytes =
            both(b"blkio.throttle.io_service_bytes_recursive").or_else(|| both(b"blkio.throttle.io_service_bytes"));
        let counts = both(b"blkio.throttle.io_serviced_recursive").or_else(|| both(b"blkio.throttle.io_serviced"));
        values.io = bytes.zip(counts).map(|((read, written), (reads, writes))| Io { read, written, reads, writes });
    }
    values.put(&group.item, out);
}

/// Without a limit the first version says the greatest number of whole pages.
pub(super) fn is_limit(bytes: u64) -> bool {
    bytes < 1 << 62
}

/// The share of the last minute in the line `full avg10=0.00 avg60=0.00 ...`.
fn share(pressure: &[u8], start: &[u8]) -> Option<f64> {
    let line = lines(pressure).find_map(|line| line.strip_prefix(start))?;
    let share = words(line).find_map(|word| word.strip_prefix(b"avg60="))?;
    number(share).map(|percent| percent / 100.0)
}

impl Values {
    #[allow(clippy::cast_precision_loss, reason = "shares of five digits")]
    fn put(self, item: &str, out: &mut Out) {
        if let Some(memory) = self.memory {
            out.whole("cgroup.memory", item, memory);
            if let Some(limit) = self.limit.filter(|limit| *limit > 0) {
                out.share("cgroup.memory.used", item, memory.saturating_sub(self.caches) as f64 / limit as f64);
            }
        }
        if let Some(kills) = self.kills {
            out.whole("cgroup.oom-kills", item, kills);
        }
        if let Some(seconds) = self.seconds {
            out.seconds("cgroup.cpu.seconds", item, seconds);
        }
        if let Some(seconds) = self.throttled {
            out.seconds("cgroup.cpu.throttled.seconds", item, seconds);
        }
        if let Some(tasks) = self.tasks {
            out.whole("cgroup.tasks", item, tasks);
            if let Some(most) = self.most_tasks.filter(|most| *most > 0) {
                out.share("cgroup.tasks.used", item, tasks as f64 / most as f64);
            }
        }
        if let Some(share) = self.pressure {
            out.share("cgroup.pressure", item, share);
        }
        if let Some(share) = self.pressure_io {
            out.share("cgroup.pressure.io", item, share);
        }
        if let Some(share) = self.pressure_cpu {
            out.share("cgroup.pressure.cpu", item, share);
        }
        // Groups that never touched a disk, and there are many, say so by having none.
        if let Some(io) = self.io.filter(|io| *io != Io::default()) {
            out.whole("cgroup.read.bytes", item, io.read);
            out.whole("cgroup.written.bytes", item, io.written);
            out.whole("cgroup.reads", item, io.reads);
            out.whole("cgroup.writes", item, io.writes);
        }
    }
}
