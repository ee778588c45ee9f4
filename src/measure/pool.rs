//! Pools of disks whose drivers tell plain users how they are: ZFS, btrfs, DRBD.

use super::folder::{Folder, names, shown};
use super::out::Out;
use super::root::Root;
use super::text::{lines, whole, words};
use crate::model::sample::FaultKind;

const ZFS: &str = "/proc/spl/kstat/zfs";
const BTRFS: &str = "/sys/fs/btrfs";
const MAX_POOLS: usize = 64;
const MAX_DEVICES: usize = 64;

pub(super) fn collect(root: &Root, out: &mut Out) {
    let found = zfs(root, out) + btrfs(root, out) + drbd(root, out);
    if found == 0 {
        out.fault("", FaultKind::Absent, "no ZFS, btrfs or DRBD");
    }
}

fn zfs(root: &Root, out: &mut Out) -> usize {
    let mut found = 0;
    for name in names(root, ZFS) {
        // Beside the pools lie files of statistics, which are no folders.
        let Ok(folder) = Folder::open(root, format!("{ZFS}/{}", shown(&name))) else { continue };
        let Some(state) = folder.text("state") else { continue };
        if found == MAX_POOLS {
            out.fault("", FaultKind::Cut, format!("more than {MAX_POOLS} pools of ZFS"));
            break;
        }
        found += 1;
        let alarm = match state.as_str() {
            "ONLINE" => 0,
            "DEGRADED" => 1,
            _ => 2,
        };
        out.whole("pool.alarm", &shown(&name), alarm);
    }
    found
}

fn btrfs(root: &Root, out: &mut Out) -> usize {
    let mut found = 0;
    for uuid in names(root, BTRFS) {
        let Ok(folder) = Folder::open(root, format!("{BTRFS}/{}", shown(&uuid))) else { continue };
        // `features` is a folder too, and no filesystem.
        let Ok(devices) = folder.folder(b"devinfo") else { continue };
        if found == MAX_POOLS {
            out.fault("", FaultKind::Cut, format!("more than {MAX_POOLS} filesystems of btrfs"));
            break;
        }
        found += 1;
        let name = folder.text("label").unwrap_or_else(|| shown(&uuid));
        let mut missing = false;
        for device in devices.names().iter().take(MAX_DEVICES) {
            let Ok(about) = devices.folder(device) else { continue };
            missing |= about.whole("missing").is_some_and(|flag| flag != 0);
            // Since Linux 5.14.
            if let Some(errors) = about.text("error_stats").and_then(|text| errors(text.as_bytes())) {
                out.whole("pool.errors", &format!("{name}/{}", shown(device)), errors);
            }
        }
        out.whole("pool.alarm", &name, u64::from(missing));
    }
    found
}

/// All errors together: `write_errs 0`, a line each.
fn errors(text: &[u8]) -> Option<u64> {
    let counts = lines(text).filter_map(|line| words(line).nth(1).and_then(whole));
    counts.fold(None, |sum, count| Some(sum.unwrap_or(0_u64).saturating_add(count)))
}

fn drbd(root: &Root, out: &mut Out) -> usize {
    let Ok(bytes) = root.read_at_most("/proc/drbd", 64 * 1024) else { return 0 };
    let mut found = 0;
    for (number, alarm) in lines(&bytes).filter_map(resource).take(MAX_POOLS) {
        found += 1;
        out.whole("pool.alarm", &format!("drbd{number}"), alarm);
    }
    found
}

/// ` 0: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----`: number and alarm.
fn resource(line: &[u8]) -> Option<(u64, u64)> {
    let number = whole(words(line).next()?.strip_suffix(b":")?)?;
    let field = |key: &[u8]| words(line).find_map(|word| word.strip_prefix(key));
    let mut disks = field(b"ds:")?.split(|&b| b == b'/');
    let (here, there) = (disks.next()?, disks.next().unwrap_or_default());
    let alarm = match (here, there) {
        (b"UpToDate", b"UpToDate") if field(b"cs:") == Some(b"Connected") => 0,
        (b"UpToDate", _) => 1,
        _ => 2,
    };
    Some((number, alarm))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::fixture::machine;

    #[test]
    fn pools_of_three_kinds() {
        let (_folder, root) = machine(
            "== /proc/spl/kstat/zfs/arcstats\nsize 4 1\n== /proc/spl/kstat/zfs/tank/state\nONLINE\n\
             == /proc/spl/kstat/zfs/old/state\nDEGRADED\n== /proc/spl/kstat/zfs/dead/state\nSUSPENDED\n\
             == /sys/fs/btrfs/features/raid56\n0\n\
             == /sys/fs/btrfs/0f0f-1/label\ndata\n== /sys/fs/btrfs/0f0f-1/devinfo/1/missing\n0\n\
             == /sys/fs/btrfs/0f0f-1/devinfo/1/error_stats\nwrite_errs 3\nread_errs 0\nflush_errs 0\n\
             corruption_errs 2\ngeneration_errs 0\n== /sys/fs/btrfs/0f0f-1/devinfo/2/missing\n1\n\
             == /sys/fs/btrfs/0f0f-2/label\n\n== /sys/fs/btrfs/0f0f-2/devinfo/1/missing\n0\n\
             == /proc/drbd\nversion: 8.4.11 (api:1/proto:86-101)\n\
             \n 0: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----\n    ns:0 nr:0 dw:0\n \
             1: cs:WFConnection ro:Primary/Unknown ds:UpToDate/DUnknown C r-----\n \
             2: cs:Connected ro:Secondary/Primary ds:Inconsistent/UpToDate C r-----\n",
        );
        let mut out = Out::default();
        collect(&root, &mut out);
        let got = out.into_measured();
        let values: Vec<(&str, f64)> = got.readings.iter().map(|r| (r.item.as_str(), r.value)).collect();
        let expected = [
            ("dead", 2.0),
            ("old", 1.0),
            ("tank", 0.0),
            ("data/1", 5.0),
            ("data", 1.0),
            ("0f0f-2", 0.0),
            ("drbd0", 0.0),
            ("drbd1", 1.0),
            ("drbd2", 2.0),
        ];
        assert_eq!((values, got.faults.len()), (expected.to_vec(), 0));
    }

    proptest! {
        #[test]
        fn no_text_stops_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (errors(&bytes), resource(&bytes), resource(&[b"1: ds:".as_slice(), &bytes].concat()));
            prop_assert_eq!(errors(b"a 18446744073709551615\nb 1"), Some(u64::MAX));
        }
    }
}
