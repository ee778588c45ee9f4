//! Software RAID, from /proc/mdstat and the arrays' folders of sysfs.

use super::folder::{Folder, shown};
use super::out::Out;
use super::root::Root;
use super::text::{number, whole, words};
use crate::model::sample::FaultKind;

const MAX_ARRAYS: usize = 64;

/// What /proc/mdstat says of one array.
#[derive(Clone, Debug, Default, PartialEq)]
struct Array {
    name: String,
    active: bool,
    /// `raid1`, or empty where the array does not run.
    level: String,
    /// Holds the description of arrays and is no array itself.
    container: bool,
    members: u64,
    failed: u64,
    spare: u64,
    /// Wanted and in use; arrays without redundancy have none.
    disks: Option<(u64, u64)>,
    /// 0 to 1 while a resync, recovery, reshape or check runs; 0 while it waits for its turn.
    sync: Option<f64>,
}

pub(super) fn collect(root: &Root, out: &mut Out) {
    let bytes = match root.read_at_most("/proc/mdstat", 256 * 1024) {
        Ok(bytes) => bytes,
        Err(error) => return out.unread("", "/proc/mdstat", &error),
    };
    let arrays = parse(&bytes);
    if arrays.is_empty() {
        return out.fault("", FaultKind::Absent, "/proc/mdstat: no arrays");
    }
    if arrays.len() > MAX_ARRAYS {
        out.fault("", FaultKind::Cut, format!("{} arrays, {MAX_ARRAYS} were looked at", arrays.len()));
    }
    for array in arrays.iter().filter(|array| !array.container).take(MAX_ARRAYS) {
        put(array, out);
        let folder = Folder::open(root, format!("/sys/block/{}/md", array.name));
        if let Some(mismatches) = folder.ok().and_then(|folder| folder.whole("mismatch_cnt")) {
            out.whole("raid.mismatches", &array.name, mismatches);
        }
    }
}

fn put(array: &Array, out: &mut Out) {
    let name = &array.name;
    let in_use = match array.disks {
        Some((wanted, in_use)) => {
            out.whole("raid.degraded", name, wanted.saturating_sub(in_use));
            in_use
        }
        None => array.members.saturating_sub(array.failed).saturating_sub(array.spare),
    };
    out.whole("raid.disks", name, in_use);
    out.fact("raid.level", name, &array.level);
    out.whole("raid.failed", name, array.failed);
    out.whole("raid.spare", name, array.spare);
    out.whole("raid.inactive", name, u64::from(!array.active));
    if let Some(sync) = array.sync {
        out.share("raid.sync", name, sync);
    }
}

/// Arrays begin at the first column; what is said of each follows, indented.
fn parse(bytes: &[u8]) -> Vec<Array> {
    let mut arrays: Vec<Array> = Vec::new();
    for line in bytes.split(|&b| b == b'\n') {
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            if let Some(array) = arrays.last_mut() {
                more(line, array);
            }
        } else if let Some(array) = first(line) {
            arrays.push(array);
        }
    }
    arrays
}

/// `md0 : active (auto-read-only) raid1 sdb1[1] sda1[0](F) sdc1[2](S)`.
fn first(line: &[u8]) -> Option<Array> {
    let mut words = words(line);
    let name = words.next().filter(|name| name.starts_with(b"md"))?;
    words.next().filter(|colon| *colon == b":")?;
    let active = words.next()? == b"active";
    let mut array = Array { name: shown(name), active, ..Array::default() };
    let mut words = words.peekable();
    // `(auto-read-only)`, `(read-only)`.
    words.next_if(|word| word.starts_with(b"("));
    if let Some(level) = words.next_if(|word| active && !word.contains(&b'[')) {
        array.level = shown(level);
    }
    for member in words.filter(|word| word.contains(&b'[')) {
        array.members += 1;
        array.failed += u64::from(member.ends_with(b"(F)"));
        array.spare += u64::from(member.ends_with(b"(S)"));
    }
    Some(array)
}

fn more(line: &[u8], array: &mut Array) {
    let mut words = words(line).peekable();
    while let Some(word) = words.next() {
        match word {
            // Of a member of such a container it goes on with a slash: `external:/md127/0`.
            _ if word.strip_prefix(b"external:").is_some_and(|rest| !rest.starts_with(b"/")) => array.container = true,
            b"resync" | b"recovery" | b"reshape" | b"check" | b"repair" => {
                words.next_if(|word| *word == b"=");
                let share = words.next().and_then(|word| number(word.strip_suffix(b"%")?));
                array.sync = Some(share.map_or(0.0, |percent| percent / 100.0));
            }
            // `resync=DELAYED`, `resync=PENDING`.
            _ if word.ends_with(b"=DELAYED") || word.ends_with(b"=PENDING") => array.sync = Some(0.0),
            _ => array.disks = array.disks.or_else(|| counts(word)),
        }
    }
}

/// `[2/1]`.
fn counts(word: &[u8]) -> Option<(u64, u64)> {
    let inner = word.strip_prefix(b"[")?.strip_suffix(b"]")?;
    let slash = inner.iter().position(|&b| b == b'/')?;
    Some((whole(&inner[..slash])?, whole(&inner[slash + 1..])?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::fixture::machine;

    /// Shapes of the kernel's documentation and of mdadm's test suite.
    const MDSTAT: &str = include_str!("fixtures/mdstat");

    #[test]
    fn arrays_in_every_state() {
        let arrays = parse(MDSTAT.as_bytes());
        let names: Vec<&str> = arrays.iter().map(|array| array.name.as_str()).collect();
        assert_eq!(names, ["md0", "md1", "md2", "md3", "md4", "md127", "md126"]);
        let [healthy, rebuilds, waits, striped, inactive, container, member] = &arrays[..] else { panic!() };
        assert_eq!((healthy.disks, healthy.sync, healthy.active), (Some((2, 2)), None, true));
        assert_eq!((rebuilds.disks, rebuilds.sync), (Some((3, 2)), Some(0.126)));
        assert_eq!((rebuilds.failed, rebuilds.spare, rebuilds.members), (1, 1, 4));
        assert_eq!((waits.disks, waits.sync, waits.active), (Some((2, 2)), Some(0.0), true));
        assert_eq!((striped.disks, striped.members, striped.level.as_str()), (None, 2, "raid0"));
        assert_eq!((waits.level.as_str(), waits.members, inactive.level.as_str()), ("raid1", 2, ""));
        assert_eq!((inactive.active, inactive.container, inactive.spare), (false, false, 1));
        assert!(container.container && !member.container);
        assert_eq!(member.disks, Some((2, 1)));
    }

    #[test]
    fn a_degraded_array_is_told_and_a_container_is_none() {
        let (_folder, root) = machine(&format!("== /proc/mdstat\n{MDSTAT}== /sys/block/md0/md/mismatch_cnt\n128\n"));
        let mut out = Out::default();
        collect(&root, &mut out);
        let got = out.into_measured();
        let of = |metric: &str| -> Vec<(&str, f64)> {
            got.readings.iter().filter(|r| r.metric == metric).map(|r| (r.item.as_str(), r.value)).collect()
        };
        assert_eq!(of("raid.degraded"), [("md0", 0.0), ("md1", 1.0), ("md2", 0.0), ("md126", 1.0)]);
        assert_eq!(of("raid.inactive").iter().filter(|(_, flag)| *flag == 1.0).count(), 1);
        assert_eq!(of("raid.mismatches"), [("md0", 128.0)]);
        assert_eq!(of("raid.disks")[3], ("md3", 2.0));
        assert!(!got.readings.iter().any(|r| r.item == "md127") && got.faults.is_empty());
    }

    #[test]
    fn no_arrays_is_no_fault_of_the_machine() {
        let (_folder, root) = machine("== /proc/mdstat\nPersonalities : [raid1]\nunused devices: <none>\n");
        let mut out = Out::default();
        collect(&root, &mut out);
        assert_eq!(out.into_measured().faults[0].kind, FaultKind::Absent);
    }

    proptest! {
        #[test]
        fn no_text_stops_it(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for array in parse(&[b"md0 : active raid1 a[0]\n  ".as_slice(), &bytes].concat()) {
                let mut out = Out::default();
                put(&array, &mut out);
                prop_assert!(out.into_measured().readings.iter().all(|r| r.value >= 0.0));
            }
        }
    }
}
