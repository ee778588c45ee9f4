//! Every metric that is derived at home, one line each; [`super::derive`] says how.

use super::derive::{Derived, Formula, Formula::*};
use super::metric::{Direction, Direction::*, Kind, Metric, Unit, Unit::*};

const fn d(
    name: &'static str,
    unit: Unit,
    direction: Direction,
    item: &'static str,
    formula: Formula,
    help: &'static str,
) -> Derived {
    Derived { metric: Metric { name, kind: Kind::Gauge, unit, direction, item, help }, formula }
}

/// In the order in which tables and documentation show them.
pub const DERIVED: &[Derived] = &[
    d("cpu.share", Ratio, HighIsBad, "mode", Share(&["cpu.seconds"]), "Share of processor time spent in the mode"),
    d("swap.in.rate", PerSecond, HighIsBad, "", Rate(&["swap.in"]), "Pages read back from swap each second"),
    d("swap.out.rate", PerSecond, HighIsBad, "", Rate(&["swap.out"]), "Pages written to swap each second"),
    d(
        "filesystem.full-in",
        Seconds,
        LowIsBad,
        "mount",
        Forecast(&["filesystem.available"]),
        "Time until the filesystem is full if it goes on as in the last six hours; a year where it does not fill up",
    ),
    d("disk.read.rate", BytesPerSecond, HighIsBad, "disk", Rate(&["disk.read.bytes"]), "Bytes read each second"),
    d("disk.write.rate", BytesPerSecond, HighIsBad, "disk", Rate(&["disk.written.bytes"]), "Bytes written each second"),
    d("disk.iops", PerSecond, HighIsBad, "disk", Rate(&["disk.reads", "disk.writes"]), "Reads and writes each second"),
    d("disk.utilization", Ratio, HighIsBad, "disk", Busy(&["disk.io.seconds"]), "Share of time with I/O under way"),
    d(
        "network.receive.rate",
        BytesPerSecond,
        HighIsBad,
        "interface",
        Rate(&["network.receive.bytes"]),
        "Bytes received each second",
    ),
    d(
        "network.transmit.rate",
        BytesPerSecond,
        HighIsBad,
        "interface",
        Rate(&["network.transmit.bytes"]),
        "Bytes sent each second",
    ),
    d(
        "network.packets.rate",
        PerSecond,
        HighIsBad,
        "interface",
        Rate(&["network.receive.packets", "network.transmit.packets"]),
        "Packets received and sent each second",
    ),
    d(
        "network.errors.ratio",
        Ratio,
        HighIsBad,
        "interface",
        Over {
            part: &["network.receive.errors", "network.transmit.errors"],
            whole: &[
                "network.receive.packets",
                "network.transmit.packets",
                "network.receive.errors",
                "network.transmit.errors",
            ],
            least: 1000.0,
        },
        "Share of packets that were received or sent with errors",
    ),
    d(
        "network.drops.ratio",
        Ratio,
        HighIsBad,
        "interface",
        Over {
            part: &["network.receive.drops", "network.transmit.drops"],
            whole: &[
                "network.receive.packets",
                "network.transmit.packets",
                "network.receive.drops",
                "network.transmit.drops",
            ],
            least: 10_000.0,
        },
        "Share of packets that were dropped",
    ),
    d("process.forks.rate", PerSecond, HighIsBad, "", Rate(&["process.forks"]), "Processes created each second"),
];
