//! Swap by device, and memory that is compressed (zram).

use super::folder::{Folder, names, shown};
use super::out::Out;
use super::root::Root;
use super::text::{lines, unescape, whole, words};
use crate::model::sample::FaultKind;

const MAX_DEVICES: usize = 32;

pub(super) fn collect(root: &Root, out: &mut Out) {
    match root.read_at_most("/proc/swaps", 64 * 1024) {
        Ok(bytes) => devices(&bytes, out),
        Err(error) => out.unread("", "/proc/swaps", &error),
    }
    out.section("zram");
    let devices = names(root, "/sys/block");
    for name in devices.iter().filter(|name| name.starts_with(b"zram")).take(MAX_DEVICES) {
        let path = format!("/sys/block/{}", shown(name));
        let Ok(folder) = Folder::open(root, path) else { continue };
        // A device that was never set up holds nothing and says nothing.
        if folder.whole("disksize").is_none_or(|size| size == 0) {
            continue;
        }
        let name = shown(name);
        match folder.text("mm_stat").as_deref().and_then(|text| zram(text.as_bytes())) {
            Some([original, compressed, memory]) => {
                out.whole("zram.original", &name, original);
                out.whole("zram.compressed", &name, compressed);
                out.whole("zram.memory", &name, memory);
            }
            None => out.fault(&name, FaultKind::Unsupported, "mm_stat: not three numbers; it came with Linux 4.2"),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a share of five digits")]
fn devices(bytes: &[u8], out: &mut Out) {
    // One line of headings; without swap it is the only one.
    if lines(bytes).nth(1).is_none() {
        return out.fault("", FaultKind::Absent, "/proc/swaps: no swap");
    }
    for (at, line) in lines(bytes).skip(1).enumerate() {
        if at == MAX_DEVICES {
            return out.fault("", FaultKind::Cut, format!("/proc/swaps: more than {MAX_DEVICES} devices"));
        }
        let Some((name, size, used)) = device(line) else {
            out.malformed("", "/proc/swaps: a line without its numbers");
            continue;
        };
        out.whole("swap.device.size", &name, size.saturating_mul(1024));
        if size > 0 {
            out.share("swap.device.used", &name, used as f64 / size as f64);
        }
    }
}

/// `/dev/sda2  partition  8388604  1024  -2`, in kilobytes.
fn device(line: &[u8]) -> Option<(String, u64, u64)> {
    let mut words = words(line);
    let name = String::from_utf8_lossy(&unescape(words.next()?)).into_owned();
    Some((name, whole(words.nth(1)?)?, whole(words.next()?)?))
}

/// Original size, compressed size, memory used.
fn zram(text: &[u8]) -> Option<[u64; 3]> {
    let mut words = words(text).map(whole);
    Some([words.next()??, words.next()??, words.next()??])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::fixture::machine;

    #[test]
    fn devices_and_compressed_memory() {
        let (_folder, root) = machine(
            "== /proc/swaps\nFilename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n\
             /dev/dm-1                               partition\t1000\t250\t-2\n\
             /swap\\040file                           file\t\t0\t0\t-3\nbroken\n\
             == /sys/block/zram0/disksize\n4294967296\n== /sys/block/zram0/mm_stat\n 8000 2000 3000 0 9000 1 0 0 0\n\
             == /sys/block/zram1/disksize\n0\n== /sys/block/zram2/disksize\n5\n== /sys/block/sda/disksize\n5\n",
        );
        let mut out = Out::default();
        collect(&root, &mut out);
        let got = out.into_measured();
        let values: Vec<(&str, &str, f64)> =
            got.readings.iter().map(|r| (r.metric.as_str(), r.item.as_str(), r.value)).collect();
        let expected = [
            ("swap.device.size", "/dev/dm-1", 1_024_000.0),
            ("swap.device.used", "/dev/dm-1", 0.25),
            ("swap.device.size", "/swap file", 0.0),
            ("zram.original", "zram0", 8000.0),
            ("zram.compressed", "zram0", 2000.0),
            ("zram.memory", "zram0", 3000.0),
        ];
        assert_eq!(values, expected);
        let faults: Vec<(&str, FaultKind)> = got.faults.iter().map(|f| (f.item.as_str(), f.kind)).collect();
        assert_eq!(faults, [("", FaultKind::Malformed), ("zram2", FaultKind::Unsupported)]);
    }

    proptest! {
        #[test]
        fn no_text_stops_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = Out::default();
            devices(&[b"h\n/dev/x partition ".as_slice(), &bytes].concat(), &mut out);
            let _ = zram(&bytes);
            prop_assert!(out.into_measured().readings.iter().all(|r| r.value >= 0.0));
        }
    }
}
