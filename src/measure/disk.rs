//! I/O by disk, and what each disk says of itself.

use super::folder::Folder;
use super::out::Out;
use super::root::Root;
use super::text::{lines, whole, words};
use crate::model::sample::FaultKind;

const MAX_DISKS: usize = 64;
/// The kernel's sector in /proc/diskstats, whatever the disk's own.
const SECTOR: u64 = 512;

/// Metric, its number behind the name, and what the number counts.
const COLUMNS: [(&str, usize, Of); 16] = [
    ("disk.read.bytes", 2, Of::Sectors),
    ("disk.written.bytes", 6, Of::Sectors),
    ("disk.reads", 0, Of::Pieces),
    ("disk.writes", 4, Of::Pieces),
    ("disk.io.seconds", 9, Of::Millis),
    ("disk.queue.seconds", 10, Of::Millis),
    ("disk.read.seconds", 3, Of::Millis),
    ("disk.write.seconds", 7, Of::Millis),
    ("disk.in-flight", 8, Of::Pieces),
    ("disk.reads.merged", 1, Of::Pieces),
    ("disk.writes.merged", 5, Of::Pieces),
    // Since Linux 4.18.
    ("disk.discards", 11, Of::Pieces),
    ("disk.discarded.bytes", 13, Of::Sectors),
    ("disk.discard.seconds", 14, Of::Millis),
    // Since Linux 5.5.
    ("disk.flushes", 15, Of::Pieces),
    ("disk.flush.seconds", 16, Of::Millis),
];
/// Numbers that every kernel prints, and that the newest does.
const LEAST: usize = 11;
const MOST: usize = 17;

#[derive(Clone, Copy)]
enum Of {
    Pieces,
    Sectors,
    Millis,
}

pub(super) fn collect(root: &Root, out: &mut Out) {
    match root.read("/proc/diskstats") {
        Ok(bytes) => {
            for disk in put(&bytes, out) {
                about(root, &disk, out);
            }
        }
        Err(error) => out.unread("", "/proc/diskstats", &error),
    }
}

/// Puts the counters and returns the disks.
fn put(bytes: &[u8], out: &mut Out) -> Vec<String> {
    let mut disks: Vec<String> = Vec::new();
    for line in lines(bytes) {
        let Some((name, numbers)) = parse(line) else {
            out.malformed("", "/proc/diskstats: a line without its numbers");
            continue;
        };
        if is_no_disk(&name) || disks.iter().any(|disk| is_part(disk, &name)) {
            continue;
        }
        if disks.len() == MAX_DISKS {
            out.fault("", FaultKind::Cut, format!("more than {MAX_DISKS} disks"));
            break;
        }
        for (metric, column, of) in COLUMNS {
            // What an older kernel does not count is no reading.
            let Some(value) = numbers.get(column).copied().flatten() else { continue };
            match of {
                Of::Pieces => out.whole(metric, &name, value),
                Of::Sectors => out.whole(metric, &name, value.saturating_mul(SECTOR)),
                #[allow(clippy::cast_precision_loss, reason = "milliseconds are far below 2^53")]
                Of::Millis => out.put(metric, &name, value as f64 / 1000.0),
            }
        }
        disks.push(name);
    }
    disks
}

/// Memory that looks like a disk, and drives whose medium comes and goes.
fn is_no_disk(name: &str) -> bool {
    ["loop", "ram", "zram", "sr", "fd"].iter().any(|kind| {
        name.strip_prefix(kind).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// `sda1` of `sda`, `nvme0n1p2` of `nvme0n1`; the kernel lists a disk before its partitions.
fn is_part(disk: &str, name: &str) -> bool {
    let Some(rest) = name.strip_prefix(disk) else { return false };
    let number = if disk.ends_with(|c: char| c.is_ascii_digit()) { rest.strip_prefix('p') } else { Some(rest) };
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The name and the numbers behind it.
fn parse(line: &[u8]) -> Option<(String, [Option<u64>; MOST])> {
    let mut words = words(line).skip(2);
    let name = String::from_utf8_lossy(words.next()?).into_owned();
    let mut numbers = [None; MOST];
    for (number, word) in numbers.iter_mut().zip(words) {
        *number = Some(whole(word)?);
    }
    numbers[LEAST - 1].is_some().then_some((name, numbers))
}

/// Size, flags and health, from the disk's folder of sysfs; in a container it may not be there.
fn about(root: &Root, disk: &str, out: &mut Out) {
    // As sysfs writes names with a slash: `cciss!c0d0`.
    let Ok(folder) = Folder::open(root, format!("/sys/block/{}", disk.replace('/', "!"))) else { return };
    if let Some(sectors) = folder.whole("size") {
        out.whole("disk.size", disk, sectors.saturating_mul(SECTOR));
    }
    if let Some(flag) = folder.whole("ro") {
        out.whole("disk.readonly", disk, u64::from(flag != 0));
    }
    if let Some(flag) = folder.whole("queue/rotational") {
        out.whole("disk.rotational", disk, u64::from(flag != 0));
    }
    // `vg-root` of `dm-0`.
    if let Some(name) = folder.text("dm/name") {
        out.fact("disk.name", disk, &name);
    }
    let Ok(device) = folder.folder(b"device") else { return };
    if let Some(model) = device.text("model").or_else(|| device.text("name")) {
        out.fact("disk.model", disk, &model);
    }
    // SCSI and NVMe.
    if let Some(state) = device.text("state") {
        let dead = ["offline", "transport-offline", "dead", "deleting", "deleting (no IO)"].contains(&state.as_str());
        out.whole("disk.dead", disk, u64::from(dead));
    }
    // eMMC.
    if let Some(wear) = device.text("life_time").as_deref().and_then(wear) {
        out.share("disk.wear", disk, wear);
    }
    if let Some(alarm) = device.text("pre_eol_info").as_deref().and_then(hex).filter(|info| (1..=3).contains(info)) {
        out.whole("disk.spare.alarm", disk, alarm - 1);
    }
}

/// `0x02 0x01`: tenths of two kinds of memory that are used up, the second of the first's upper end; 11 is over.
#[allow(clippy::cast_precision_loss, reason = "at most eleven")]
fn wear(text: &str) -> Option<f64> {
    let tenths = text.split_whitespace().filter_map(hex).filter(|tenths| (1..=11).contains(tenths)).max()?;
    Some(tenths as f64 / 10.0)
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::Measured;
    use crate::measure::fixture::machine;

    fn run(text: &str) -> Measured {
        let mut out = Out::default();
        put(text.as_bytes(), &mut out);
        out.into_measured()
    }

    #[test]
    fn whole_disks_only() {
        let names = [
            "loop0",
            "sda",
            "sda1",
            "sdaa",
            "nvme0n1",
            "nvme0n1p1",
            "dm-1",
            "dm-10",
            "zram0",
            "sr0",
            "mmcblk0",
            "mmcblk0p2",
        ];
        let text: String = names.map(|name| format!("   8  0 {name} 1 0 2 0 3 0 4 0 0 1500 0\n")).concat();
        let got = run(&text);
        let disks: Vec<&str> =
            got.readings.iter().filter(|r| r.metric == "disk.reads").map(|r| r.item.as_str()).collect();
        assert_eq!(disks, ["sda", "sdaa", "nvme0n1", "dm-1", "dm-10", "mmcblk0"]);
        assert!(got.faults.is_empty());
    }

    #[test]
    fn two_kernels_and_every_column() {
        // Linux 6.18.
        let new = run(" 254 0 vda 1 2 3 4000 5 6 7 8000 9 10000 11000 12 13 14 15000 16 17000\n");
        let values: Vec<f64> = new.readings.iter().map(|r| r.value).collect();
        let expected = [
            3.0 * 512.0,
            7.0 * 512.0,
            1.0,
            5.0,
            10.0,
            11.0,
            4.0,
            8.0,
            9.0,
            2.0,
            6.0,
            12.0,
            14.0 * 512.0,
            15.0,
            16.0,
            17.0,
        ];
        assert_eq!(values, expected);
        // Linux 3.10 counts neither discards nor flushes.
        let old = run("   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n");
        assert_eq!((old.readings.len(), old.faults.len()), (11, 0));
    }

    #[test]
    fn broken_lines_are_told() {
        let got = run("8 0 sda 1 2\n8 0\n8 0 sdb 1 2 3 4 5 6 7 8 9 x 1\n\u{fffd}\n8 0 sdc 1 2 3 4 5 6 7 8 9 10\n");
        assert_eq!((got.readings.len(), got.faults.len()), (0, 5));
        let huge = run("8 0 sda 18446744073709551615 1 18446744073709551615 1 1 1 1 1 1 1 1\n");
        assert!(huge.readings.iter().all(|r| r.value.is_finite()));
        let many: String = (0..100).map(|i| format!("8 0 dm-{i} 1 2 3 4 5 6 7 8 9 10 11\n")).collect();
        let got = run(&many);
        assert_eq!((got.readings.len(), got.faults[0].kind), (64 * 11, FaultKind::Cut));
    }

    #[test]
    fn what_disks_say_of_themselves() {
        let (_folder, root) = machine(
            "== /proc/diskstats\n8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n179 0 mmcblk0 1 2 3 4 5 6 7 8 9 10 11\n\
             8 1 cciss/c0d0 1 2 3 4 5 6 7 8 9 10 11\n\
             == /sys/block/sda/size\n1000\n== /sys/block/sda/ro\n1\n== /sys/block/sda/queue/rotational\n1\n\
             == /sys/block/sda/device/state\noffline\n\
             == /sys/block/sda/device/model\nVirtual disk    \n== /sys/block/cciss!c0d0/size\n8\n\
             == /sys/block/mmcblk0/device/life_time\n0x02 0x05\n== /sys/block/mmcblk0/device/pre_eol_info\n0x02\n",
        );
        let mut out = Out::default();
        collect(&root, &mut out);
        let got = out.into_measured();
        let value = |metric: &str, item: &str| {
            got.readings.iter().find(|r| r.metric == metric && r.item == item).map(|r| r.value)
        };
        assert_eq!((value("disk.size", "sda"), value("disk.size", "cciss/c0d0")), (Some(512_000.0), Some(4096.0)));
        assert_eq!((value("disk.readonly", "sda"), value("disk.rotational", "sda")), (Some(1.0), Some(1.0)));
        assert_eq!((value("disk.dead", "sda"), value("disk.dead", "mmcblk0")), (Some(1.0), None));
        assert_eq!((value("disk.wear", "mmcblk0"), value("disk.spare.alarm", "mmcblk0")), (Some(0.5), Some(1.0)));
        assert_eq!((got.facts[0].name.as_str(), got.facts[0].text.as_str()), ("disk.model", "Virtual disk"));
        assert_eq!((wear("0x00 0x00"), wear("0x0b 0x01"), wear("x 0xff")), (None, Some(1.1), None));
    }

    proptest! {
        #[test]
        fn no_text_stops_it(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Out::default();
            put(&[b"8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n8 0 ".as_slice(), &bytes].concat(), &mut out);
            prop_assert!(out.into_measured().readings.len() >= 11);
        }
    }
}
