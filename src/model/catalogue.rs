//! Every metric that fleet-health knows, one line each; `fleet metrics` prints this table.

pub mod only_bad;
mod service;

use std::sync::OnceLock;

use super::derive;
use super::derived::DERIVED;
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
    m("cpu.user", Gauge, Ratio, HighIsBad, "", "Share of processor time spent in programs"),
    m("cpu.nice", Gauge, Ratio, HighIsBad, "", "Share of processor time spent in programs of low priority"),
    m("cpu.system", Gauge, Ratio, HighIsBad, "", "Share of processor time spent in the kernel"),
    m("cpu.irq", Gauge, Ratio, HighIsBad, "", "Share of processor time spent on interrupts"),
    m("cpu.softirq", Gauge, Ratio, HighIsBad, "", "Share of processor time spent on deferred interrupts"),
    m("cpu.core.used", Gauge, Ratio, HighIsBad, "core", "As cpu.used, of one core"),
    m("cpu.seconds", Counter, Seconds, HighIsBad, "mode", "Processor time since boot by mode, all processors"),
    m("cpu.guest.seconds", Counter, Seconds, HighIsBad, "", "Time within user and nice that virtual machines ran"),
    m("cpu.count", Gauge, Count, LowIsBad, "", "Processors online"),
    m("cpu.context-switches", Counter, Count, HighIsBad, "", "Switches from task to task since boot"),
    m("cpu.interrupts", Counter, Count, HighIsBad, "", "Interrupts served since boot"),
    m("cpu.softirqs", Counter, Count, HighIsBad, "", "Deferred interrupts served since boot"),
    m("cpu.frequency", Gauge, Ratio, LowIsBad, "", "Clock of the processors as a share of their maximum"),
    m("cpu.throttles", Counter, Count, HighIsBad, "core or package", "Times that heat slowed processors since boot"),
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
    m("load.running", Gauge, Count, HighIsBad, "", "Threads that run or could run"),
    m("load.threads", Gauge, Count, HighIsBad, "", "Threads, as the scheduler counts them"),
    m("load.blocked", Gauge, Count, HighIsBad, "", "Threads that wait for I/O"),
    m("memory.total", Gauge, Bytes, LowIsBad, "", "Physical memory, or the limit of the container where that is lower"),
    m("memory.available", Gauge, Bytes, LowIsBad, "", "Memory that programs can get without swapping"),
    m("memory.used", Gauge, Ratio, HighIsBad, "", "Share of memory that is not available to programs"),
    m("memory.limit", Gauge, Bytes, LowIsBad, "", "Limit of the container that the host is"),
    m("memory.free", Gauge, Bytes, LowIsBad, "", "Memory that holds nothing at all"),
    m("memory.buffers", Gauge, Bytes, HighIsBad, "", "Cached blocks of devices"),
    m("memory.cached", Gauge, Bytes, HighIsBad, "", "Cached pages of files, shared memory included"),
    m("memory.reclaimable", Gauge, Bytes, HighIsBad, "", "Memory of the kernel that it can give back"),
    m("memory.shared", Gauge, Bytes, HighIsBad, "", "Shared memory and tmpfs"),
    m("memory.dirty", Gauge, Bytes, HighIsBad, "", "Pages that wait to be written"),
    m("memory.writeback", Gauge, Bytes, HighIsBad, "", "Pages that are being written"),
    m("memory.anonymous", Gauge, Bytes, HighIsBad, "", "Memory of programs that no file backs"),
    m("memory.slab", Gauge, Bytes, HighIsBad, "", "The kernel's own structures"),
    m("memory.slab.fixed", Gauge, Bytes, HighIsBad, "", "The kernel's own structures that it cannot give back"),
    m("memory.page-tables", Gauge, Bytes, HighIsBad, "", "Tables of which address is where in memory"),
    m("memory.committed", Gauge, Bytes, HighIsBad, "", "Memory promised to programs"),
    m("memory.commit-limit", Gauge, Bytes, LowIsBad, "", "Memory that may be promised where overcommit is off"),
    m("memory.hugepages", Gauge, Bytes, HighIsBad, "", "Memory set aside as huge pages"),
    m("memory.hugepages.free", Gauge, Bytes, LowIsBad, "", "Huge pages that nothing uses"),
    m("memory.corrupted", Gauge, Bytes, HighIsBad, "", "Memory that the kernel took out of use as broken"),
    m("memory.zfs-cache", Gauge, Bytes, HighIsBad, "", "Cache of ZFS (ARC)"),
    m("memory.zfs-cache.least", Gauge, Bytes, HighIsBad, "", "What the cache of ZFS never gives back"),
    m(
        "memory.ecc.corrected",
        Counter,
        Count,
        HighIsBad,
        "controller",
        "Memory errors corrected since the driver started",
    ),
    m(
        "memory.ecc.uncorrected",
        Counter,
        Count,
        HighIsBad,
        "controller",
        "Memory errors not corrected since the driver started",
    ),
    m("swap.total", Gauge, Bytes, LowIsBad, "", "Swap space"),
    m("swap.used", Gauge, Ratio, HighIsBad, "", "Share of swap in use"),
    m("swap.cached", Gauge, Bytes, HighIsBad, "", "Memory that stands in swap as well"),
    m("swap.in", Counter, Count, HighIsBad, "", "Pages read back from swap since boot"),
    m("swap.out", Counter, Count, HighIsBad, "", "Pages written to swap since boot"),
    m("swap.device.size", Gauge, Bytes, LowIsBad, "device", "Size of one swap device or file"),
    m("swap.device.used", Gauge, Ratio, HighIsBad, "device", "Share of one swap device or file in use"),
    m("zram.original", Gauge, Bytes, HighIsBad, "device", "What a compressed device holds, before compression"),
    m("zram.compressed", Gauge, Bytes, HighIsBad, "device", "What a compressed device holds, after compression"),
    m("zram.memory", Gauge, Bytes, HighIsBad, "device", "Memory that a compressed device takes"),
    m("vm.major-faults", Counter, Count, HighIsBad, "", "Page faults that waited for a disk since boot"),
    m("vm.oom-kills", Counter, Count, HighIsBad, "", "Processes killed for want of memory since boot"),
    m(
        "vm.allocation-stalls",
        Counter,
        Count,
        HighIsBad,
        "",
        "Times that a program had to free memory first, since boot",
    ),
    m("vm.direct-scans", Counter, Count, HighIsBad, "", "Pages that programs looked at to free memory, since boot"),
    m("filesystem.size", Gauge, Bytes, LowIsBad, "mount", "Size of the filesystem"),
    m("filesystem.available", Gauge, Bytes, LowIsBad, "mount", "Bytes an ordinary user may still write"),
    m("filesystem.free", Gauge, Bytes, LowIsBad, "mount", "Bytes free, with those kept for root"),
    m("filesystem.used", Gauge, Ratio, HighIsBad, "mount", "Share of the filesystem's space in use, as df shows it"),
    m("filesystem.inodes.used", Gauge, Ratio, HighIsBad, "mount", "Share of the filesystem's inodes in use"),
    m("filesystem.inodes", Gauge, Count, LowIsBad, "mount", "Inodes that the filesystem can hold"),
    m("filesystem.inodes.available", Gauge, Count, LowIsBad, "mount", "Inodes that are free"),
    m("filesystem.readonly", Gauge, Count, HighIsBad, "mount", "1 where the filesystem is mounted read-only"),
    m("filesystem.hung", Gauge, Count, HighIsBad, "mount", "1 where the filesystem did not answer in time"),
    m("disk.read.bytes", Counter, Bytes, HighIsBad, "disk", "Bytes read since boot"),
    m("disk.written.bytes", Counter, Bytes, HighIsBad, "disk", "Bytes written since boot"),
    m("disk.reads", Counter, Count, HighIsBad, "disk", "Reads completed since boot"),
    m("disk.writes", Counter, Count, HighIsBad, "disk", "Writes completed since boot"),
    m("disk.io.seconds", Counter, Seconds, HighIsBad, "disk", "Time with I/O under way since boot"),
    m("disk.queue.seconds", Counter, Seconds, HighIsBad, "disk", "Time of all I/O, waiting included, since boot"),
    m("disk.read.seconds", Counter, Seconds, HighIsBad, "disk", "Time of all reads since boot"),
    m("disk.write.seconds", Counter, Seconds, HighIsBad, "disk", "Time of all writes since boot"),
    m("disk.reads.merged", Counter, Count, HighIsBad, "disk", "Reads joined to others since boot"),
    m("disk.writes.merged", Counter, Count, HighIsBad, "disk", "Writes joined to others since boot"),
    m("disk.discards", Counter, Count, HighIsBad, "disk", "Discards completed since boot"),
    m("disk.discarded.bytes", Counter, Bytes, HighIsBad, "disk", "Bytes discarded since boot"),
    m("disk.discard.seconds", Counter, Seconds, HighIsBad, "disk", "Time of all discards since boot"),
    m("disk.flushes", Counter, Count, HighIsBad, "disk", "Flushes completed since boot"),
    m("disk.flush.seconds", Counter, Seconds, HighIsBad, "disk", "Time of all flushes since boot"),
    m("disk.in-flight", Gauge, Count, HighIsBad, "disk", "I/O under way"),
    m("disk.size", Gauge, Bytes, LowIsBad, "disk", "Size of the disk"),
    m("disk.readonly", Gauge, Count, HighIsBad, "disk", "1 where the disk takes no writes"),
    m("disk.rotational", Gauge, Count, HighIsBad, "disk", "1 where the disk turns, or says nothing else"),
    m("disk.dead", Gauge, Count, HighIsBad, "disk or controller", "1 where the device does not run any more"),
    m("disk.wear", Gauge, Ratio, HighIsBad, "disk", "Share of the expected life of flash that is used up"),
    m("disk.spare.alarm", Gauge, Count, HighIsBad, "disk", "Spare blocks: 0 enough, 1 few, 2 nearly none"),
    m("disk.smart.age", Gauge, Seconds, HighIsBad, "disk", "Time since the disk last told of its health"),
    m("disk.smart.failed", Gauge, Count, HighIsBad, "disk", "1 where the disk itself expects to fail"),
    m("disk.smart.critical", Gauge, Count, HighIsBad, "disk", "Critical warnings of an NVMe disk, as bits"),
    m("disk.smart.reallocated", Gauge, Count, HighIsBad, "disk", "Sectors replaced by spare ones"),
    m("disk.smart.pending", Gauge, Count, HighIsBad, "disk", "Sectors that cannot be read now"),
    m("disk.smart.media-errors", Gauge, Count, HighIsBad, "disk", "Errors of the medium, or sectors given up"),
    m(
        "disk.smart.crc-errors",
        Gauge,
        Count,
        HighIsBad,
        "disk",
        "Transfers between the disk and its controller that went wrong",
    ),
    m("disk.smart.power-on", Gauge, Seconds, HighIsBad, "disk", "Time that the disk was powered"),
    m("raid.degraded", Gauge, Count, HighIsBad, "array", "Disks that an array lacks"),
    m("raid.disks", Gauge, Count, LowIsBad, "array", "Disks that an array has in use"),
    m("raid.failed", Gauge, Count, HighIsBad, "array", "Disks of an array that are marked as failed"),
    m("raid.spare", Gauge, Count, LowIsBad, "array", "Disks of an array that wait as spares"),
    m("raid.inactive", Gauge, Count, HighIsBad, "array", "1 where an array does not run"),
    m("raid.sync", Gauge, Ratio, LowIsBad, "array", "How far a resync, recovery, reshape or check has come"),
    m("raid.mismatches", Gauge, Count, HighIsBad, "array", "Sectors found to differ by the last check"),
    m("pool.alarm", Gauge, Count, HighIsBad, "pool", "ZFS, btrfs, DRBD: 0 healthy, 1 degraded, 2 not usable"),
    m("pool.errors", Gauge, Count, HighIsBad, "pool device", "Errors of a device of a btrfs filesystem"),
    m("lvm.used", Gauge, Ratio, HighIsBad, "volume", "Share of a thin pool or snapshot in use; full, it is lost"),
    m("lvm.metadata.used", Gauge, Ratio, HighIsBad, "volume", "Share of a thin pool's own tables in use"),
    m(
        "lvm.alarm",
        Gauge,
        Count,
        HighIsBad,
        "volume",
        "Logical volume: 0 healthy, 1 wants a repair, 2 not usable or lost",
    ),
    m("multipath.paths", Gauge, Count, LowIsBad, "map", "Paths to a disk that work"),
    m("multipath.failed", Gauge, Count, HighIsBad, "map", "Paths to a disk that do not work"),
    m("temperature", Gauge, Celsius, HighIsBad, "sensor", "Temperature"),
    m(
        "temperature.alarm",
        Gauge,
        Count,
        HighIsBad,
        "sensor",
        "0 below the sensor's own limits, 1 over max, 2 over crit",
    ),
    m("fan.speed", Gauge, Count, LowIsBad, "fan", "Turns a minute"),
    m("fan.alarm", Gauge, Count, HighIsBad, "fan", "1 where the driver says that the fan is too slow or broken"),
    m("power.online", Gauge, Count, LowIsBad, "supply", "1 where the supply gives power"),
    m("battery.charge", Gauge, Ratio, LowIsBad, "battery", "Charge as a share of a full battery"),
    m(
        "battery.health",
        Gauge,
        Ratio,
        LowIsBad,
        "battery",
        "What a full charge holds, as a share of what it held when new",
    ),
    m(
        "power.energy",
        Counter,
        Count,
        HighIsBad,
        "part",
        "Energy that processors or memory took since boot, in joules: its rate is watts",
    ),
    m("power.draw", Gauge, Count, HighIsBad, "sensor", "Power drawn now, in watts, as the board's controller says"),
    m(
        "ipmi.alarm",
        Gauge,
        Count,
        HighIsBad,
        "sensor",
        "Sensor of the board's controller: 0 well, 1 not critical, 2 critical or failed",
    ),
    m("network.receive.bytes", Counter, Bytes, HighIsBad, "interface", "Bytes received since boot"),
    m("network.transmit.bytes", Counter, Bytes, HighIsBad, "interface", "Bytes sent since boot"),
    m("network.receive.packets", Counter, Count, HighIsBad, "interface", "Packets received since boot"),
    m("network.transmit.packets", Counter, Count, HighIsBad, "interface", "Packets sent since boot"),
    m("network.receive.errors", Counter, Count, HighIsBad, "interface", "Receive errors since boot"),
    m("network.transmit.errors", Counter, Count, HighIsBad, "interface", "Transmit errors since boot"),
    m("network.receive.drops", Counter, Count, HighIsBad, "interface", "Received packets dropped since boot"),
    m("network.transmit.drops", Counter, Count, HighIsBad, "interface", "Packets dropped before sending since boot"),
    m(
        "network.receive.overruns",
        Counter,
        Count,
        HighIsBad,
        "interface",
        "Packets lost since boot because the interface was full",
    ),
    m(
        "network.transmit.overruns",
        Counter,
        Count,
        HighIsBad,
        "interface",
        "Packets not sent since boot because the interface was full",
    ),
    m("network.up", Gauge, Count, LowIsBad, "interface", "1 where an interface that is switched on has its link"),
    m("network.carrier-changes", Counter, Count, HighIsBad, "interface", "Times that the link came or went"),
    m("network.speed", Gauge, Bytes, LowIsBad, "interface", "Bytes a second that the link can carry each way"),
    m("network.mtu", Gauge, Bytes, LowIsBad, "interface", "The greatest packet"),
    m("network.half-duplex", Gauge, Count, HighIsBad, "interface", "1 where the link cannot send while it receives"),
    m("network.route.default", Gauge, Count, LowIsBad, "", "1 where there is a default route, by IPv4 or IPv6"),
    m("bond.slaves", Gauge, Count, LowIsBad, "bond", "Interfaces of a bond that have their link"),
    m("bond.slaves.down", Gauge, Count, HighIsBad, "bond", "Interfaces of a bond that have no link"),
    m("softnet.drops", Counter, Count, HighIsBad, "", "Packets that no processor took in time, since boot"),
    m(
        "softnet.squeezes",
        Counter,
        Count,
        HighIsBad,
        "",
        "Times that packets were left when their time was up, since boot",
    ),
    m("conntrack.count", Gauge, Count, HighIsBad, "", "Connections that the firewall follows"),
    m("conntrack.used", Gauge, Ratio, HighIsBad, "", "Connections that the firewall follows as a share of the limit"),
    m("tcp.connections", Gauge, Count, HighIsBad, "state", "TCP connections by state, IPv4 and IPv6"),
    m("tcp.orphans", Gauge, Count, HighIsBad, "", "TCP connections that no program holds any more"),
    m("tcp.orphans.used", Gauge, Ratio, HighIsBad, "", "Orphaned TCP connections as a share of the limit"),
    m("tcp.memory.used", Gauge, Ratio, HighIsBad, "", "Memory of TCP buffers as a share of the limit"),
    m("tcp.segments.sent", Counter, Count, HighIsBad, "", "TCP segments sent since boot, repeated ones included"),
    m("tcp.segments.repeated", Counter, Count, HighIsBad, "", "TCP segments sent again since boot"),
    m("tcp.connects.failed", Counter, Count, HighIsBad, "", "TCP connections that did not come about since boot"),
    m("tcp.listen.overflows", Counter, Count, HighIsBad, "", "Connections refused because a program's queue was full"),
    m("tcp.listen.drops", Counter, Count, HighIsBad, "", "Connections refused by a listening socket for any reason"),
    m("udp.receive.errors", Counter, Count, HighIsBad, "", "UDP datagrams lost on receipt since boot"),
    m("udp.receive.overflows", Counter, Count, HighIsBad, "", "UDP datagrams lost because a program's buffer was full"),
    m("udp.send.overflows", Counter, Count, HighIsBad, "", "UDP datagrams not sent because a buffer was full"),
    m("socket.count", Gauge, Count, HighIsBad, "", "Sockets in use, of every kind"),
    m("port.exposed", Gauge, Count, HighIsBad, "", "TCP ports that programs serve to more than this host"),
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
    m("pressure.some.10s", Gauge, Ratio, HighIsBad, "resource", "As pressure.some, of the last ten seconds"),
    m("pressure.some.5m", Gauge, Ratio, HighIsBad, "resource", "As pressure.some, of the last five minutes"),
    m("pressure.full.10s", Gauge, Ratio, HighIsBad, "resource", "As pressure.full, of the last ten seconds"),
    m("pressure.full.5m", Gauge, Ratio, HighIsBad, "resource", "As pressure.full, of the last five minutes"),
    m("files.open", Gauge, Count, HighIsBad, "", "Open files of all processes"),
    m("files.used", Gauge, Ratio, HighIsBad, "", "Open files as a share of the limit of the whole system"),
    m("inotify.watches.limit", Gauge, Count, LowIsBad, "", "Files that one user may watch"),
    m("inotify.instances.limit", Gauge, Count, LowIsBad, "", "Watchers that one user may start"),
    m("cgroup.memory", Gauge, Bytes, HighIsBad, "cgroup", "Memory of a slice, service or container, caches included"),
    m(
        "cgroup.memory.used",
        Gauge,
        Ratio,
        HighIsBad,
        "cgroup",
        "Memory as a share of its limit, without caches that can go",
    ),
    m("cgroup.oom-kills", Counter, Count, HighIsBad, "cgroup", "Processes killed over its limit since it started"),
    m("cgroup.cpu.seconds", Counter, Seconds, HighIsBad, "cgroup", "Processor time since it started"),
    m(
        "cgroup.cpu.throttled.seconds",
        Counter,
        Seconds,
        HighIsBad,
        "cgroup",
        "Time held back by its quota since it started",
    ),
    m("cgroup.tasks", Gauge, Count, HighIsBad, "cgroup", "Threads"),
    m("cgroup.tasks.used", Gauge, Ratio, HighIsBad, "cgroup", "Threads as a share of their limit"),
    m(
        "cgroup.pressure",
        Gauge,
        Ratio,
        HighIsBad,
        "cgroup",
        "Share of the last minute in which all its tasks waited for memory",
    ),
    m("cgroup.pressure.io", Gauge, Ratio, HighIsBad, "cgroup", "As cgroup.pressure, for I/O; of slices and containers"),
    m(
        "cgroup.pressure.cpu",
        Gauge,
        Ratio,
        HighIsBad,
        "cgroup",
        "Share of the last minute in which some task waited for a processor; likewise",
    ),
    m("cgroup.read.bytes", Counter, Bytes, HighIsBad, "cgroup", "Bytes read from disks since it started"),
    m("cgroup.written.bytes", Counter, Bytes, HighIsBad, "cgroup", "Bytes written to disks since it started"),
    m("cgroup.reads", Counter, Count, HighIsBad, "cgroup", "Reads from disks since it started"),
    m("cgroup.writes", Counter, Count, HighIsBad, "cgroup", "Writes to disks since it started"),
    m("container.count", Gauge, Count, HighIsBad, "runtime", "Containers that run, by the names of their cgroups"),
    m(
        "container.alarm",
        Gauge,
        Count,
        HighIsBad,
        "container",
        "0 well, 1 paused or ended with an error, 2 unhealthy, dead or restarting",
    ),
    m("container.restarts", Counter, Count, HighIsBad, "container", "Times that docker or podman started it again"),
    m("limit.entropy", Gauge, Count, LowIsBad, "", "Bits of randomness at hand; since Linux 5.18 always enough"),
    m("limit.semaphores.used", Gauge, Ratio, HighIsBad, "", "Sets of System V semaphores as a share of the limit"),
    m(
        "limit.shared-memory.used",
        Gauge,
        Ratio,
        HighIsBad,
        "",
        "Segments of System V shared memory as a share of the limit",
    ),
    m("limit.message-queues.used", Gauge, Ratio, HighIsBad, "", "System V message queues as a share of the limit"),
    m("limit.terminals.used", Gauge, Ratio, HighIsBad, "", "Pseudo terminals as a share of the limit"),
    m("limit.keys.used", Gauge, Ratio, HighIsBad, "", "The greatest share of a user's quota of the kernel's keys"),
    m("kernel.tainted", Gauge, Count, HighIsBad, "reason", "1 where the kernel says that this happened since boot"),
    m("kernel.hung-tasks", Counter, Count, HighIsBad, "", "Tasks found stuck since boot"),
    m("kernel.machine-checks", Counter, Count, HighIsBad, "", "Errors reported by the hardware since boot"),
    m("kernel.crashes", Gauge, Count, HighIsBad, "", "Programs that crashed, as far back as the kernel's log goes"),
    m("process.count", Gauge, Count, HighIsBad, "", "Processes"),
    m("process.running", Gauge, Count, HighIsBad, "", "Processes running or waiting for a processor"),
    m("process.blocked", Gauge, Count, HighIsBad, "", "Processes in uninterruptible sleep (state D)"),
    m("process.zombies", Gauge, Count, HighIsBad, "", "Processes that ended and were not waited for"),
    m("process.threads", Gauge, Count, HighIsBad, "", "Threads of all processes"),
    m(
        "process.sleeping",
        Gauge,
        Count,
        HighIsBad,
        "",
        "Processes that wait for something, idle kernel threads included",
    ),
    m("process.stopped", Gauge, Count, HighIsBad, "", "Processes held by a signal or a debugger"),
    m(
        "process.blocked.longest",
        Gauge,
        Seconds,
        HighIsBad,
        "",
        "How long the longest blocked process has done nothing",
    ),
    m("process.threads.used", Gauge, Ratio, HighIsBad, "", "Threads as a share of the kernel's limit"),
    m("process.pids.used", Gauge, Ratio, HighIsBad, "", "Process and thread numbers in use as a share of pid_max"),
    m(
        "process.files.used",
        Gauge,
        Ratio,
        HighIsBad,
        "",
        "The greatest share of its open files limit that a process uses",
    ),
    m("process.forks", Counter, Count, HighIsBad, "", "Processes created since boot"),
    m("systemd.units.failed", Gauge, Count, HighIsBad, "", "Units of systemd that failed"),
    m("systemd.timers.failed", Gauge, Count, HighIsBad, "", "Timers of systemd that failed, or whose service did"),
    m("systemd.unit.failed", Gauge, Count, HighIsBad, "unit", "1 for each unit that failed"),
    m("systemd.unit.activating", Gauge, Seconds, HighIsBad, "unit", "How long a unit has been starting or stopping"),
    m("systemd.unit.restarts", Counter, Count, HighIsBad, "unit", "Times that systemd restarted a service by itself"),
    m(
        "systemd.unit.restarts.recent",
        Gauge,
        Count,
        HighIsBad,
        "unit",
        "Times that systemd restarted a service within the last 15 minutes",
    ),
    m("time.synchronized", Gauge, Count, LowIsBad, "", "1 where the clock follows a source of time"),
    m("time.offset", Gauge, Seconds, HighIsBad, "", "How far the clock is from its source of time"),
    m("time.error", Gauge, Seconds, HighIsBad, "", "The most that the clock may be off, as its source reckons"),
    m("time.stratum", Gauge, Count, HighIsBad, "", "Steps from the clock to a reference clock"),
    m("user.sessions", Gauge, Count, HighIsBad, "", "Sessions of people who are logged in"),
    m("user.session.idle", Gauge, Seconds, HighIsBad, "terminal", "Time since something was typed in a session"),
    m("user.logins.failed", Gauge, Count, HighIsBad, "", "Logins that failed within the last hour"),
    m("reboot.required", Gauge, Count, HighIsBad, "", "1 where installed packages ask for a reboot"),
    m(
        "reboot.required.seconds",
        Gauge,
        Seconds,
        HighIsBad,
        "",
        "Since when packages ask for a reboot; 0 where none does",
    ),
    m(
        "reboot.kernel.outdated",
        Gauge,
        Count,
        HighIsBad,
        "",
        "1 where a newer kernel is installed than the one that runs",
    ),
    m(
        "reboot.services.outdated",
        Gauge,
        Count,
        HighIsBad,
        "",
        "Services and programs that run on files which an update replaced",
    ),
    m("update.pending", Gauge, Count, HighIsBad, "", "Packages for which the host knows a newer version"),
    m("update.security", Gauge, Count, HighIsBad, "", "Pending packages that mend a security problem"),
    m(
        "update.held",
        Gauge,
        Count,
        HighIsBad,
        "",
        "Packages that somebody told the package manager to leave as they are",
    ),
    m("update.age", Gauge, Seconds, HighIsBad, "", "Age of the answer that update.pending gives"),
    m("update.lists.age", Gauge, Seconds, HighIsBad, "", "Age of the host's own lists of packages"),
    m(
        "host.support.remaining",
        Gauge,
        Seconds,
        LowIsBad,
        "",
        "Time until the distribution gets no security updates any more; negative after that",
    ),
    m("certificate.remaining", Gauge, Seconds, LowIsBad, "path", "Time until a certificate ends; negative once it has"),
    m("security.root-accounts", Gauge, Count, HighIsBad, "", "Accounts with the rights of root, root included"),
    m("security.selinux.enforcing", Gauge, Count, LowIsBad, "", "1 where SELinux enforces its policy"),
    m("security.apparmor.enabled", Gauge, Count, LowIsBad, "", "1 where AppArmor is on"),
    m("security.firewall.rules", Gauge, Count, LowIsBad, "", "Rules of the firewall that are loaded"),
    m("security.sshd.root-password", Gauge, Count, HighIsBad, "", "1 where root may log in by SSH with a password"),
    m("uptime", Gauge, Seconds, LowIsBad, "", "Time since boot"),
    m("probe.cpu", Gauge, Seconds, HighIsBad, "", "Processor time that the probe itself used for this sample"),
    m("probe.seconds", Gauge, Seconds, HighIsBad, "", "Time that this sample took"),
    m("probe.answer.age", Gauge, Seconds, HighIsBad, "section", "Age of an answer that is asked for now and then"),
    m("probe.section.seconds", Gauge, Seconds, HighIsBad, "section", "Time that a section of this sample took"),
    m(
        "host.silent",
        Gauge,
        Seconds,
        HighIsBad,
        "",
        "Time since the last sample arrived; reckoned by the alerter, never sent",
    ),
];

/// Metrics whose values may be negative; of all others such a value is refused.
const SIGNED: &[&str] = &["certificate.remaining", "host.support.remaining"];

/// The definition of a metric by its name, measured or derived.
#[must_use]
pub fn find(name: &str) -> Option<&'static Metric> {
    measured(name).or_else(|| derive::find(name).map(|derived| &derived.metric))
}

/// The definition of a metric that hosts send.
#[must_use]
pub fn measured(name: &str) -> Option<&'static Metric> {
    // Every reading of every host is looked up: by halving, not from the start.
    static BY_NAME: OnceLock<Vec<&'static Metric>> = OnceLock::new();
    let sorted = BY_NAME.get_or_init(|| {
        let mut all: Vec<&Metric> = METRICS.iter().collect();
        all.sort_unstable_by_key(|metric| metric.name);
        all
    });
    sorted.binary_search_by_key(&name, |metric| metric.name).ok().and_then(|at| sorted.get(at)).copied()
}

/// Every metric: those that hosts send, then those that are derived at home.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    METRICS.iter().chain(DERIVED.iter().map(|derived| &derived.metric))
}

/// Whether values of a metric may be negative.
#[must_use]
pub fn is_signed(name: &str) -> bool {
    SIGNED.contains(&name) || service::SIGNED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::{SIGNED, find};

    #[test]
    fn names_are_unique_dotted_words() {
        let all: Vec<_> = super::all().collect();
        for (i, metric) in all.iter().enumerate() {
            assert!(
                metric.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-')
            );
            assert!(all[..i].iter().all(|other| other.name != metric.name), "{} twice", metric.name);
            assert!(!metric.help.is_empty() && !metric.help.ends_with('.'));
        }
        assert!(SIGNED.iter().all(|name| find(name).is_some()));
    }
}
