//! I/O by disk.

use super::out::Out;
use super::root::Root;
use super::text::{lines, whole, words};
use crate::model::sample::FaultKind;

const MAX_DISKS: usize = 64;
/// The kernel's sector in /proc/diskstats, whatever the disk's own.
const SECTOR: u64 = 512;

pub(super) fn collect(root: &Root, out: &mut Out) {
    match root.read("/proc/diskstats") {
        Ok(bytes) => put(&bytes, out),
        Err(error) => out.unread("", "/proc/diskstats", &error),
    }
}

fn put(bytes: &[u8], out: &mut Out) {
    let mut disks: Vec<String> = Vec::new();
    for line in lines(bytes) {
        let Some((name, [reads, _, read, _, writes, _, written, _, _, busy])) = parse(line) else {
            out.malformed("", "/proc/diskstats: a line without its numbers");
            continue;
        };
        if is_no_disk(&name) || disks.iter().any(|disk| is_part(disk, &name)) {
            continue;
        }
        if disks.len() == MAX_DISKS {
            return out.fault("", FaultKind::Cut, format!("more than {MAX_DISKS} disks"));
        }
        out.whole("disk.read.bytes", &name, read.saturating_mul(SECTOR));
        out.whole("disk.written.bytes", &name, written.saturating_mul(SECTOR));
        out.whole("disk.reads", &name, reads);
        out.whole("disk.writes", &name, writes);
        #[allow(clippy::cast_precision_loss, reason = "milliseconds are far below 2^53")]
        out.seconds("disk.io.seconds", &name, busy as f64 / 1000.0);
        disks.push(name);
    }
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

/// The name and the first ten numbers behind it.
fn parse(line: &[u8]) -> Option<(String, [u64; 10])> {
    let mut words = words(line).skip(2);
    let name = String::from_utf8_lossy(words.next()?).into_owned();
    let mut numbers = [0; 10];
    for number in &mut numbers {
        *number = whole(words.next()?)?;
    }
    Some((name, numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut out = Out::default();
        put(text.as_bytes(), &mut out);
        let got = out.into_measured();
        let disks: Vec<&str> =
            got.readings.iter().filter(|r| r.metric == "disk.reads").map(|r| r.item.as_str()).collect();
        assert_eq!(disks, ["sda", "sdaa", "nvme0n1", "dm-1", "dm-10", "mmcblk0"]);
        let first: Vec<f64> = got.readings[..5].iter().map(|r| r.value).collect();
        assert_eq!(first, [1024.0, 2048.0, 1.0, 3.0, 1.5]);
        assert!(got.faults.is_empty());
    }

    #[test]
    fn broken_lines_are_told() {
        let mut out = Out::default();
        put(b"8 0 sda 1 2\n8 0\n8 0 sdb 1 2 3 4 5 6 7 8 9 x\n\xff\n", &mut out);
        let got = out.into_measured();
        assert_eq!((got.readings.len(), got.faults.len()), (0, 4));
    }
}
