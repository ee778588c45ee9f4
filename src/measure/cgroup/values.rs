//! The values of one group.

use super::{Folder, Group, Out};
use crate::measure::text::{keyed, lines, number, words};

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
        values.pressure = full(pressure);
    }
    if values.limit.is_some()
        && let Ok(stat) = folder.read(b"memory.stat", &mut buffer)
    {
        values.caches = keyed(stat, "inactive_file").unwrap_or(0);
    }
    values.put(&group.item, out);
}

/// The folders of the memory, cpu, cpuacct and pids controllers.
#[allow(clippy::cast_precision_loss, reason = "nanoseconds over 2^53 lose what nobody sees")]
pub(super) fn v1(trees: [Option<&Folder>; 4], group: &Group, out: &mut Out) {
    let [memory, cpu, cpuacct, pids] = trees.map(|tree| tree.and_then(|tree| tree.folder(&group.path).ok()));
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
    values.put(&group.item, out);
}

/// Without a limit the first version says the greatest number of whole pages.
pub(super) fn is_limit(bytes: u64) -> bool {
    bytes < 1 << 62
}

/// The share of the last minute in the line `full avg10=0.00 avg60=0.00 ...`.
fn full(pressure: &[u8]) -> Option<f64> {
    let line = lines(pressure).find_map(|line| line.strip_prefix(b"full "))?;
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
    }
}
