//! What the kernel holds against the hardware and itself: taints, stuck tasks, machine checks, memory errors.

use super::folder::{Folder, names, shown};
use super::out::{self, Out};
use super::root::Root;
use super::text::{lines, whole, words};
use crate::model::sample::FaultKind;

/// Bits of /proc/sys/kernel/tainted that tell of trouble; the others tell of modules that were loaded.
const TAINTS: [(u64, &str); 5] =
    [(4, "machine-check"), (5, "bad-page"), (7, "oops"), (9, "warning"), (14, "soft-lockup")];
/// The table of interrupts has a column for each processor: on great machines it costs more than all the rest.
const MAX_CORES: u32 = 32;
const MAX_CONTROLLERS: usize = 32;

pub(super) fn collect(root: &Root, out: &mut Out) {
    tainted(root, out);
    match root.read_at_most("/proc/sys/kernel/hung_task_detect_count", 64) {
        Ok(bytes) => match whole(bytes.trim_ascii()) {
            Some(count) => out.whole("kernel.hung-tasks", "", count),
            None => out.malformed("", "/proc/sys/kernel/hung_task_detect_count: not a number"),
        },
        Err(error) => {
            let words = out::words(&error);
            let text = format!("/proc/sys/kernel/hung_task_detect_count: {words}; it came with Linux 6.13");
            out.fault("hung-tasks", FaultKind::Unsupported, text);
        }
    }
    checks(root, out);
    out.section("memory.ecc");
    memory(root, out);
}

fn tainted(root: &Root, out: &mut Out) {
    const PATH: &str = "/proc/sys/kernel/tainted";
    let mask = match root.read_at_most(PATH, 64) {
        Ok(bytes) => whole(bytes.trim_ascii()),
        Err(error) => return out.unread("", PATH, &error),
    };
    let Some(mask) = mask else { return out.malformed("", format!("{PATH}: not a number")) };
    for (bit, reason) in TAINTS {
        out.whole("kernel.tainted", reason, mask >> bit & 1);
    }
}

fn checks(root: &Root, out: &mut Out) {
    if out.cores.is_some_and(|cores| cores > MAX_CORES) {
        let text =
            format!("/proc/interrupts is not read on machines of more than {MAX_CORES} processors: it costs too much");
        return out.fault("machine-checks", FaultKind::Cut, text);
    }
    match root.read("/proc/interrupts") {
        Ok(bytes) => match machine_checks(&bytes) {
            Some(count) => out.whole("kernel.machine-checks", "", count),
            None => out.fault(
                "machine-checks",
                FaultKind::Unsupported,
                "/proc/interrupts: no line MCE; this kernel does not count them",
            ),
        },
        Err(error) => out.unread("machine-checks", "/proc/interrupts", &error),
    }
}

/// ` MCE:  0  0   Machine check exceptions`, a number for each processor.
fn machine_checks(bytes: &[u8]) -> Option<u64> {
    let line = lines(bytes).find_map(|line| line.trim_ascii_start().strip_prefix(b"MCE:"))?;
    Some(words(line).map_while(whole).fold(0, u64::saturating_add))
}

fn memory(root: &Root, out: &mut Out) {
    const CONTROLLERS: &str = "/sys/devices/system/edac/mc";
    let mut found = 0;
    for name in names(root, CONTROLLERS) {
        if name.strip_prefix(b"mc").and_then(whole).is_none() || found == MAX_CONTROLLERS {
            continue;
        }
        let Ok(folder) = Folder::open(root, format!("{CONTROLLERS}/{}", shown(&name))) else { continue };
        found += 1;
        for (metric, file) in [("memory.ecc.corrected", "ce_count"), ("memory.ecc.uncorrected", "ue_count")] {
            if let Some(count) = folder.whole(file) {
                out.whole(metric, &shown(&name), count);
            }
        }
    }
    if found == 0 {
        out.fault("", FaultKind::Absent, format!("{CONTROLLERS}: no controller of memory with error correction"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::fixture::machine;

    fn run(text: &str, cores: Option<u32>) -> crate::measure::Measured {
        let (_folder, root) = machine(text);
        let mut out = Out::default();
        out.cores = cores;
        collect(&root, &mut out);
        out.into_measured()
    }

    /// Taints: a proprietary module (0), an oops (7), a warning (9).
    const SERVER: &str = "== /proc/sys/kernel/tainted\n641\n== /proc/sys/kernel/hung_task_detect_count\n3\n\
        == /proc/interrupts\n           CPU0       CPU1\n  0:         44          0   IO-APIC   2-edge      timer\n\
        NMI:          0          0   Non-maskable interrupts\nMCE:          2          1   Machine check exceptions\n\
        == /sys/devices/system/edac/mc/mc0/ce_count\n12\n== /sys/devices/system/edac/mc/mc0/ue_count\n0\n\
        == /sys/devices/system/edac/mc/power/control\nauto\n";

    #[test]
    fn trouble_is_told_and_modules_are_none() {
        let got = run(SERVER, Some(2));
        let values: Vec<(&str, &str, f64)> =
            got.readings.iter().map(|r| (r.metric.as_str(), r.item.as_str(), r.value)).collect();
        let expected = [
            ("kernel.tainted", "machine-check", 0.0),
            ("kernel.tainted", "bad-page", 0.0),
            ("kernel.tainted", "oops", 1.0),
            ("kernel.tainted", "warning", 1.0),
            ("kernel.tainted", "soft-lockup", 0.0),
            ("kernel.hung-tasks", "", 3.0),
            ("kernel.machine-checks", "", 3.0),
            ("memory.ecc.corrected", "mc0", 12.0),
            ("memory.ecc.uncorrected", "mc0", 0.0),
        ];
        assert_eq!((values, got.faults.len()), (expected.to_vec(), 0));
    }

    #[test]
    fn great_and_old_machines_say_what_they_leave_out() {
        let got = run("== /proc/sys/kernel/tainted\n0\n== /proc/interrupts\nMCE: 5\n", Some(64));
        let kinds: Vec<(&str, FaultKind)> = got.faults.iter().map(|f| (f.item.as_str(), f.kind)).collect();
        let expected =
            [("hung-tasks", FaultKind::Unsupported), ("machine-checks", FaultKind::Cut), ("", FaultKind::Absent)];
        assert_eq!(kinds, expected);
    }

    proptest! {
        #[test]
        fn no_text_stops_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = machine_checks(&[b"MCE: 18446744073709551615 ".as_slice(), &bytes].concat());
        }
    }
}
