//! node_exporter's names for what we measure: one table, and the few values that are reckoned.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::boots::Told;
use super::text::Type::{Counter, Gauge, Untyped};
use super::text::{Family, Page, Type};
use crate::model::fleet::{HostFact, HostNow};
use crate::model::sample::Sample;

/// Readings of a sample older than this are left out: Prometheus would refuse them, and say so at each scrape. That the
/// host is silent our own metrics tell.
const OLD: TimeDelta = TimeDelta::hours(1);
/// More processors than this are told as so many.
const MOST_CPUS: usize = 512;

/// What the item of a metric is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    /// It has none.
    No,
    /// A label of this name.
    Label(&'static str),
    /// `mountpoint`, with `device` and `fstype` beside it.
    Mount,
    /// The chip, and the sensor of it behind the first space.
    Sensor,
    /// It has none; the family tells several by a label of its own, and this is one of them.
    One(&'static str, &'static str),
    /// `device`, and one of the family's `state`s.
    Disks(&'static str),
}

/// A family that is one of our metrics under another name.
struct Same {
    family: Family,
    metric: &'static str,
    item: Item,
}

const fn same(name: &'static str, kind: Type, metric: &'static str, item: Item, help: &'static str) -> Same {
    Same { family: Family { name, kind, help }, metric, item }
}

const DEVICE: Item = Item::Label("device");

const SAME: &[Same] = &[
    same("node_load1", Gauge, "load.1m", Item::No, "Load average over one minute"),
    same("node_load5", Gauge, "load.5m", Item::No, "Load average over five minutes"),
    same("node_load15", Gauge, "load.15m", Item::No, "Load average over fifteen minutes"),
    same("node_memory_MemTotal_bytes", Gauge, "memory.total", Item::No, "Physical memory"),
    same("node_memory_MemFree_bytes", Gauge, "memory.free", Item::No, "Memory that holds nothing"),
    same("node_memory_MemAvailable_bytes", Gauge, "memory.available", Item::No, "Memory that programs can get"),
    same("node_memory_Buffers_bytes", Gauge, "memory.buffers", Item::No, "Cached blocks of devices"),
    same("node_memory_Cached_bytes", Gauge, "memory.cached", Item::No, "Cached pages of files"),
    same("node_memory_SReclaimable_bytes", Gauge, "memory.reclaimable", Item::No, "Slab that can be given back"),
    same("node_memory_SUnreclaim_bytes", Gauge, "memory.slab.fixed", Item::No, "Slab that cannot be given back"),
    same("node_memory_PageTables_bytes", Gauge, "memory.page-tables", Item::No, "Tables of which address is where"),
    same("node_memory_SwapCached_bytes", Gauge, "swap.cached", Item::No, "Memory that stands in swap as well"),
    same("node_memory_Slab_bytes", Gauge, "memory.slab", Item::No, "The kernel's own structures"),
    same("node_memory_Shmem_bytes", Gauge, "memory.shared", Item::No, "Shared memory and tmpfs"),
    same("node_memory_Dirty_bytes", Gauge, "memory.dirty", Item::No, "Pages that wait to be written"),
    same("node_memory_Writeback_bytes", Gauge, "memory.writeback", Item::No, "Pages that are being written"),
    same("node_memory_AnonPages_bytes", Gauge, "memory.anonymous", Item::No, "Memory that no file backs"),
    same("node_memory_Committed_AS_bytes", Gauge, "memory.committed", Item::No, "Memory promised to programs"),
    same("node_memory_CommitLimit_bytes", Gauge, "memory.commit-limit", Item::No, "Memory that may be promised"),
    same("node_memory_HardwareCorrupted_bytes", Gauge, "memory.corrupted", Item::No, "Memory taken out as broken"),
    same("node_memory_SwapTotal_bytes", Gauge, "swap.total", Item::No, "Swap space"),
    same("node_vmstat_pswpin", Untyped, "swap.in", Item::No, "Pages read back from swap since boot"),
    same("node_vmstat_pswpout", Untyped, "swap.out", Item::No, "Pages written to swap since boot"),
    same("node_vmstat_pgmajfault", Untyped, "vm.major-faults", Item::No, "Page faults that waited for a disk"),
    same("node_vmstat_oom_kill", Untyped, "vm.oom-kills", Item::No, "Processes killed for want of memory"),
    same("node_filesystem_size_bytes", Gauge, "filesystem.size", Item::Mount, "Size of the filesystem"),
    same("node_filesystem_free_bytes", Gauge, "filesystem.free", Item::Mount, "Bytes free, root's included"),
    same("node_filesystem_avail_bytes", Gauge, "filesystem.available", Item::Mount, "Bytes users may still write"),
    same("node_filesystem_files", Gauge, "filesystem.inodes", Item::Mount, "Inodes in all"),
    same("node_filesystem_files_free", Gauge, "filesystem.inodes.available", Item::Mount, "Inodes that are free"),
    same("node_filesystem_readonly", Gauge, "filesystem.readonly", Item::Mount, "1 where mounted read-only"),
    same("node_filesystem_device_error", Gauge, "filesystem.hung", Item::Mount, "1 where it did not answer"),
    same("node_disk_read_bytes_total", Counter, "disk.read.bytes", DEVICE, "Bytes read since boot"),
    same("node_disk_written_bytes_total", Counter, "disk.written.bytes", DEVICE, "Bytes written since boot"),
    same("node_disk_reads_completed_total", Counter, "disk.reads", DEVICE, "Reads completed since boot"),
    same("node_disk_writes_completed_total", Counter, "disk.writes", DEVICE, "Writes completed since boot"),
    same("node_disk_reads_merged_total", Counter, "disk.reads.merged", DEVICE, "Reads joined to others"),
    same("node_disk_writes_merged_total", Counter, "disk.writes.merged", DEVICE, "Writes joined to others"),
    same("node_disk_read_time_seconds_total", Counter, "disk.read.seconds", DEVICE, "Time of all reads"),
    same("node_disk_write_time_seconds_total", Counter, "disk.write.seconds", DEVICE, "Time of all writes"),
    same("node_disk_io_time_seconds_total", Counter, "disk.io.seconds", DEVICE, "Time with I/O under way"),
    same("node_disk_io_time_weighted_seconds_total", Counter, "disk.queue.seconds", DEVICE, "Time of all I/O"),
    same("node_disk_discards_completed_total", Counter, "disk.discards", DEVICE, "Discards completed"),
    same("node_disk_discard_time_seconds_total", Counter, "disk.discard.seconds", DEVICE, "Time of all discards"),
    same("node_disk_io_now", Gauge, "disk.in-flight", DEVICE, "I/O under way"),
    same("node_network_receive_bytes_total", Counter, "network.receive.bytes", DEVICE, "Bytes received since boot"),
    same("node_network_transmit_bytes_total", Counter, "network.transmit.bytes", DEVICE, "Bytes sent since boot"),
    same("node_network_receive_packets_total", Counter, "network.receive.packets", DEVICE, "Packets received"),
    same("node_network_transmit_packets_total", Counter, "network.transmit.packets", DEVICE, "Packets sent"),
    same("node_network_receive_errs_total", Counter, "network.receive.errors", DEVICE, "Receive errors"),
    same("node_network_transmit_errs_total", Counter, "network.transmit.errors", DEVICE, "Transmit errors"),
    same("node_network_receive_drop_total", Counter, "network.receive.drops", DEVICE, "Received packets dropped"),
    same("node_network_transmit_drop_total", Counter, "network.transmit.drops", DEVICE, "Packets dropped unsent"),
    same(
        "node_network_carrier_changes_total",
        Counter,
        "network.carrier-changes",
        DEVICE,
        "Times the link came or went",
    ),
    same("node_network_up", Gauge, "network.up", DEVICE, "1 where an interface that is on has its link"),
    same("node_network_speed_bytes", Gauge, "network.speed", DEVICE, "Bytes a second that the link can carry"),
    same("node_network_mtu_bytes", Gauge, "network.mtu", DEVICE, "The greatest packet"),
    same("node_context_switches_total", Counter, "cpu.context-switches", Item::No, "Switches from task to task"),
    same("node_intr_total", Counter, "cpu.interrupts", Item::No, "Interrupts served since boot"),
    same("node_forks_total", Counter, "process.forks", Item::No, "Processes created since boot"),
    same("node_procs_running", Gauge, "load.running", Item::No, "Threads that run or could run"),
    same("node_procs_blocked", Gauge, "load.blocked", Item::No, "Threads that wait for I/O"),
    same("node_filefd_allocated", Gauge, "files.open", Item::No, "Open files of all processes"),
    same("node_sockstat_sockets_used", Gauge, "socket.count", Item::No, "Sockets in use"),
    same("node_netstat_Tcp_OutSegs", Untyped, "tcp.segments.sent", Item::No, "TCP segments sent since boot"),
    same("node_netstat_Tcp_RetransSegs", Untyped, "tcp.segments.repeated", Item::No, "TCP segments sent again"),
    same("node_netstat_TcpExt_ListenOverflows", Untyped, "tcp.listen.overflows", Item::No, "Full queues of programs"),
    same("node_netstat_TcpExt_ListenDrops", Untyped, "tcp.listen.drops", Item::No, "Connections refused"),
    same("node_nf_conntrack_entries", Gauge, "conntrack.count", Item::No, "Connections that the firewall follows"),
    same("node_timex_sync_status", Gauge, "time.synchronized", Item::No, "1 where the clock follows a source"),
    same("node_timex_offset_seconds", Gauge, "time.offset", Item::No, "How far the clock is from its source"),
    same("node_timex_maxerror_seconds", Gauge, "time.error", Item::No, "The most that the clock may be off"),
    same("node_disk_flush_requests_total", Counter, "disk.flushes", DEVICE, "Flushes completed since boot"),
    same("node_disk_flush_requests_time_seconds_total", Counter, "disk.flush.seconds", DEVICE, "Time of all flushes"),
    same("node_md_disks", Gauge, "raid.disks", Item::Disks("active"), "Disks of an array by state"),
    same("node_md_disks", Gauge, "raid.failed", Item::Disks("failed"), "Disks of an array by state"),
    same("node_md_disks", Gauge, "raid.spare", Item::Disks("spare"), "Disks of an array by state"),
    same("node_bonding_active", Gauge, "bond.slaves", Item::Label("master"), "Interfaces of a bond with a link"),
    same("node_sockstat_TCP_orphan", Gauge, "tcp.orphans", Item::No, "TCP connections that no program holds"),
    same("node_netstat_Udp_InErrors", Untyped, "udp.receive.errors", Item::No, "UDP datagrams lost on receipt"),
    same("node_netstat_Udp_RcvbufErrors", Untyped, "udp.receive.overflows", Item::No, "Lost as no program took them"),
    same("node_netstat_Udp_SndbufErrors", Untyped, "udp.send.overflows", Item::No, "Not sent as a buffer was full"),
    same("node_entropy_available_bits", Gauge, "limit.entropy", Item::No, "Bits of randomness at hand"),
    same("node_processes_threads", Gauge, "process.threads", Item::No, "Threads of all processes"),
    same("node_processes_state", Gauge, "process.zombies", Item::One("state", "Z"), "Processes by state"),
    same("node_processes_state", Gauge, "process.stopped", Item::One("state", "T"), "Processes by state"),
    same("node_systemd_units", Gauge, "systemd.units.failed", Item::One("state", "failed"), "Units by state"),
    same("node_power_supply_online", Gauge, "power.online", Item::Label("power_supply"), "1 where it gives power"),
    same("node_hwmon_temp_celsius", Gauge, "temperature", Item::Sensor, "Temperature"),
    same("node_hwmon_fan_rpm", Gauge, "fan.speed", Item::Sensor, "Turns a minute"),
];

const CPU: Family = Family {
    name: "node_cpu_seconds_total",
    kind: Counter,
    help: "Processor time since boot by mode; the host's total, divided evenly among its processors",
};
const SWAP_FREE: Family =
    Family { name: "node_memory_SwapFree_bytes", kind: Gauge, help: "Swap space that holds nothing" };
const TIME: Family = Family { name: "node_time_seconds", kind: Gauge, help: "The host's clock at the sample" };
const BOOT: Family = Family { name: "node_boot_time_seconds", kind: Gauge, help: "When the host was started" };
const FILES: Family = Family { name: "node_filefd_maximum", kind: Gauge, help: "Open files that are allowed" };
const UNAME: Family = Family { name: "node_uname_info", kind: Gauge, help: "Always 1; what the host is, as labels" };
const OS: Family = Family { name: "node_os_info", kind: Gauge, help: "Always 1; the distribution, as labels" };
const PROBE: Family =
    Family { name: "node_exporter_build_info", kind: Gauge, help: "Always 1; the version of the probe" };
const ESTABLISHED: Family =
    Family { name: "node_netstat_Tcp_CurrEstab", kind: Untyped, help: "TCP connections that are established" };
/// Dashboards find the sensors of a chip by this.
const CHIP: Family =
    Family { name: "node_hwmon_chip_names", kind: Gauge, help: "Always 1; the chips that have sensors, as labels" };
/// Our pressure of a resource, of some tasks and of all.
const PRESSURE: &[(&str, &str, Family)] = &[
    ("pressure.some.seconds", "cpu", pressure("node_pressure_cpu_waiting_seconds_total")),
    ("pressure.some.seconds", "memory", pressure("node_pressure_memory_waiting_seconds_total")),
    ("pressure.some.seconds", "io", pressure("node_pressure_io_waiting_seconds_total")),
    ("pressure.full.seconds", "memory", pressure("node_pressure_memory_stalled_seconds_total")),
    ("pressure.full.seconds", "io", pressure("node_pressure_io_stalled_seconds_total")),
    ("pressure.full.seconds", "irq", pressure("node_pressure_irq_stalled_seconds_total")),
];

const fn pressure(name: &'static str) -> Family {
    Family { name, kind: Counter, help: "Time in which tasks waited for the resource since boot" }
}

/// The facts that become labels.
pub const FACTS: &[&str] = &[
    "filesystem.device",
    "filesystem.type",
    "host.architecture",
    "host.distribution",
    "host.distribution.name",
    "host.distribution.version",
    "host.kernel",
];

/// The metrics that are wanted of each sample.
pub fn metrics() -> Vec<&'static str> {
    let reckoned =
        ["cpu.seconds", "cpu.count", "swap.used", "uptime", "files.used", "tcp.connections", "pressure.some.seconds"];
    let all = SAME.iter().map(|same| same.metric).chain(reckoned);
    all.chain(["pressure.full.seconds"]).collect()
}

/// Facts of one host by name and item.
type Facts<'a> = HashMap<(&'a str, &'a str), &'a str>;

/// Writes the latest readings of the chosen hosts, each with the time of its sample.
pub fn write(
    page: &mut Page,
    known: &[HostNow],
    facts: &[(String, HostFact)],
    chosen: &HashSet<&str>,
    boots: &mut Told<'_>,
    now: DateTime<Utc>,
) {
    let mut of: HashMap<&str, Facts<'_>> = HashMap::new();
    for (host, fact) in facts {
        of.entry(host).or_default().insert((&fact.name, &fact.item), &fact.text);
    }
    let none = Facts::new();
    for host in known.iter().filter(|host| chosen.contains(host.host.as_str())) {
        let Some((received, sample)) = &host.sample else { continue };
        if now - *received > OLD {
            continue;
        }
        // The collector's clock where the host's is far off: a sample from tomorrow would be refused.
        let skewed = (sample.taken - *received).abs() > TimeDelta::minutes(5);
        let at = if skewed { *received } else { sample.taken };
        write_host(page, &host.host, sample, of.get(host.host.as_str()).unwrap_or(&none), boots, at);
    }
}

fn write_host(
    page: &mut Page,
    host: &str,
    sample: &Sample,
    facts: &Facts<'_>,
    boots: &mut Told<'_>,
    at: DateTime<Utc>,
) {
    let instance = ("instance", host);
    let mut values: HashMap<&str, Vec<(&str, f64)>> = HashMap::new();
    for reading in &sample.readings {
        values.entry(&reading.metric).or_default().push((&reading.item, reading.value));
    }
    let fact = |name: &'static str, item: &str| facts.get(&(name, item)).copied().unwrap_or_default();
    for same in SAME {
        for (item, value) in values.get(same.metric).into_iter().flatten() {
            match same.item {
                Item::No => page.put(&same.family, &[instance], *value, Some(at)),
                Item::Label(label) => page.put(&same.family, &[instance, (label, item)], *value, Some(at)),
                Item::Sensor => {
                    let (chip, sensor) = sensor(item);
                    page.put(&same.family, &[instance, ("chip", chip), ("sensor", sensor)], *value, Some(at));
                }
                Item::One(label, text) => page.put(&same.family, &[instance, (label, text)], *value, Some(at)),
                Item::Disks(state) => {
                    page.put(&same.family, &[instance, ("device", item), ("state", state)], *value, Some(at));
                }
                Item::Mount => {
                    let device = fact("filesystem.device", item);
                    let fstype = fact("filesystem.type", item);
                    let labels = [instance, ("device", device), ("fstype", fstype), ("mountpoint", item)];
                    page.put(&same.family, &labels, *value, Some(at));
                }
            }
        }
    }
    let one = |metric: &str| values.get(metric).and_then(|list| list.first()).map(|(_, value)| *value);
    let mut put = |family: &Family, labels: &[(&str, &str)], value: Option<f64>| {
        if let Some(value) = value {
            let all: Vec<(&str, &str)> = std::iter::once(instance).chain(labels.iter().copied()).collect();
            page.put(family, &all, value, Some(at));
        }
    };
    let cpus = one("cpu.count").map_or(1, |count| (count.clamp(1.0, MOST_CPUS as f64)) as usize);
    for (mode, seconds) in values.get("cpu.seconds").into_iter().flatten() {
        for cpu in 0..cpus {
            put(&CPU, &[("cpu", &cpu.to_string()), ("mode", mode)], Some(seconds / cpus as f64));
        }
    }
    let swap = one("swap.total").map(|total| total * (1.0 - one("swap.used").unwrap_or(0.0)));
    put(&SWAP_FREE, &[], swap.map(f64::round));
    let taken = sample.taken.timestamp_millis() as f64 / 1000.0;
    put(&TIME, &[], Some(taken));
    put(&BOOT, &[], one("uptime").map(|uptime| boots.second(host, &sample.key.boot, taken - uptime)));
    let share = one("files.used").filter(|share| *share > 0.0);
    put(&FILES, &[], one("files.open").zip(share).map(|(open, share)| (open / share).round()));
    let states = values.get("tcp.connections").into_iter().flatten();
    let established = states.clone().find(|(state, _)| state.eq_ignore_ascii_case("established"));
    put(&ESTABLISHED, &[], established.map(|(_, count)| *count));
    for (metric, resource, family) in PRESSURE {
        let found = values.get(metric).into_iter().flatten().find(|(item, _)| item == resource);
        put(family, &[], found.map(|(_, seconds)| *seconds));
    }
    let sensors = ["temperature", "fan.speed"].into_iter().filter_map(|metric| values.get(metric)).flatten();
    let chips: BTreeSet<&str> = sensors.map(|(item, _)| sensor(item).0).collect();
    for chip in chips {
        put(&CHIP, &[("chip", chip), ("chip_name", chip)], Some(1.0));
    }
    let labels = [
        ("domainname", "(none)"),
        ("machine", fact("host.architecture", "")),
        ("nodename", sample.hostname.as_str()),
        ("release", fact("host.kernel", "")),
        ("sysname", "Linux"),
        ("version", ""),
    ];
    put(&UNAME, &labels, Some(1.0));
    let labels = [
        ("id", fact("host.distribution", "")),
        ("pretty_name", fact("host.distribution.name", "")),
        ("version_id", fact("host.distribution.version", "")),
    ];
    put(&OS, &labels, Some(1.0));
    put(&PROBE, &[("version", sample.probe.as_str())], Some(1.0));
}

/// What node_exporter calls `chip` and `sensor`: our items are both, with a space between; a zone has no sensor of its own.
/// No two items become the same.
fn sensor(item: &str) -> (&str, &str) {
    item.split_once(' ').filter(|(_, sensor)| !sensor.is_empty()).unwrap_or((item, ""))
}

#[cfg(test)]
mod tests {
    use super::super::boots::Boots;
    use super::super::text::Form;
    use super::*;
    use crate::model::catalogue;
    use crate::model::metric::Kind;
    use crate::model::sample::{Reading, SampleKey};

    #[test]
    fn the_start_of_a_host_stands_still_from_sample_to_sample() {
        let boots = Boots::default();
        let told = |taken: i64, uptime: f64| {
            let sample = Sample {
                key: SampleKey { boot: "b".to_owned(), sequence: 1 },
                taken: DateTime::from_timestamp_millis(taken).unwrap(),
                hostname: String::new(),
                probe: String::new(),
                readings: vec![Reading { metric: "uptime".to_owned(), item: String::new(), value: uptime }],
                faults: Vec::new(),
                facts: Vec::new(),
                top: Vec::new(),
            };
            let now = sample.taken;
            let known = [HostNow { host: "h".to_owned(), attempt: None, sample: Some((now, sample)) }];
            let mut page = Page::new(Form::wanted(""));
            write(&mut page, &known, &[], &HashSet::from(["h"]), &mut boots.told(), now);
            let text = page.done();
            let line = text.lines().find(|line| line.starts_with("node_boot_time_seconds{")).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        // The moment is read some milliseconds before or after the uptime.
        let first = told(1_795_000_000_490, 1000.0);
        assert_eq!(first.parse::<f64>().unwrap(), 1_794_999_000.0);
        assert_eq!(told(1_795_000_300_510, 1300.0), first);
    }

    #[test]
    fn every_name_stands_for_a_metric_that_moves_as_it_says() {
        let mut seen = HashSet::new();
        for same in SAME {
            let one = match same.item {
                Item::One(_, text) | Item::Disks(text) => text,
                _ => "",
            };
            assert!(seen.insert((same.family.name, one)), "{} twice", same.family.name);
            let metric = catalogue::measured(same.metric).unwrap_or_else(|| panic!("{} is unknown", same.metric));
            let none = matches!(same.item, Item::No | Item::One(..));
            assert_eq!(metric.item.is_empty(), none, "{}", same.metric);
            assert_eq!(metric.kind == Kind::Counter, same.family.kind != Gauge, "{}", same.metric);
            assert_eq!(same.family.kind == Counter, same.family.name.ends_with("_total"), "{}", same.family.name);
        }
        for metric in metrics() {
            assert!(catalogue::measured(metric).is_some(), "{metric}");
        }
    }
}
