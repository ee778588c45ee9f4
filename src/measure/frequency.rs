//! The clock of the processors, and how often heat slowed them.

use super::folder::{Folder, names, shown};
use super::out::Out;
use super::root::Root;
use super::text::whole;
use crate::model::sample::FaultKind;

/// Reading a clock may take 10 ms each (Linux 4.13 to 5.17 on x86): a few of the processors stand for all.
const MAX_CLOCKS: usize = 8;
const MAX_CORES: usize = 128;

pub(super) fn collect(root: &Root, out: &mut Out) {
    clock(root, out);
    out.section("cpu.throttles");
    throttles(root, out);
}

#[allow(clippy::cast_precision_loss, reason = "kilohertz are far below 2^53")]
fn clock(root: &Root, out: &mut Out) {
    const POLICIES: &str = "/sys/devices/system/cpu/cpufreq";
    let all: Vec<Vec<u8>> = names(root, POLICIES).into_iter().filter(|name| name.starts_with(b"policy")).collect();
    let (mut sum, mut most) = (0_u64, 0_u64);
    for name in all.iter().step_by(all.len().div_ceil(MAX_CLOCKS).max(1)) {
        let Ok(folder) = Folder::open(root, format!("{POLICIES}/{}", shown(name))) else { continue };
        // Of a core that is offline there is none.
        if let (Some(now), Some(max)) = (folder.whole("scaling_cur_freq"), folder.whole("cpuinfo_max_freq")) {
            sum = sum.saturating_add(now.min(max));
            most = most.saturating_add(max);
        }
    }
    if most > 0 {
        out.share("cpu.frequency", "", sum as f64 / most as f64);
    } else {
        let text = format!("{POLICIES}: no clock is told, as in most virtual machines");
        out.fault("", FaultKind::Unsupported, text);
    }
}

fn throttles(root: &Root, out: &mut Out) {
    const CORES: &str = "/sys/devices/system/cpu";
    let (mut cores, mut packages, mut found) = (0_u64, 0_u64, 0);
    for name in names(root, CORES) {
        if name.strip_prefix(b"cpu").and_then(whole).is_none() {
            continue;
        }
        let Ok(folder) = Folder::open(root, format!("{CORES}/{}/thermal_throttle", shown(&name))) else { continue };
        if found == MAX_CORES {
            out.fault("", FaultKind::Cut, format!("more than {MAX_CORES} processors"));
            break;
        }
        found += 1;
        cores = cores.saturating_add(folder.whole("core_throttle_count").unwrap_or(0));
        // Each processor of a package repeats the count of the package.
        packages = packages.max(folder.whole("package_throttle_count").unwrap_or(0));
    }
    if found > 0 {
        out.whole("cpu.throttles", "core", cores);
        out.whole("cpu.throttles", "package", packages);
    } else {
        out.fault("", FaultKind::Unsupported, format!("{CORES}/cpu*/thermal_throttle: only on machines of Intel's"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::machine;

    fn run(text: &str) -> crate::measure::Measured {
        let (_folder, root) = machine(text);
        let mut out = Out::default();
        collect(&root, &mut out);
        out.into_measured()
    }

    #[test]
    fn clocks_and_throttles() {
        let got = run("== /sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq\n800000\n\
             == /sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq\n3200000\n\
             == /sys/devices/system/cpu/cpufreq/policy1/scaling_cur_freq\n9900000\n\
             == /sys/devices/system/cpu/cpufreq/policy1/cpuinfo_max_freq\n3200000\n\
             == /sys/devices/system/cpu/cpufreq/policy2/scaling_cur_freq\n<unknown>\n\
             == /sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count\n3\n\
             == /sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count\n7\n\
             == /sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count\n2\n\
             == /sys/devices/system/cpu/cpu1/thermal_throttle/package_throttle_count\n7\n\
             == /sys/devices/system/cpu/cpuidle/current_driver\nacpi_idle\n");
        let values: Vec<(&str, &str, f64)> =
            got.readings.iter().map(|r| (r.metric.as_str(), r.item.as_str(), r.value)).collect();
        assert_eq!(
            values,
            [("cpu.frequency", "", 0.625), ("cpu.throttles", "core", 5.0), ("cpu.throttles", "package", 7.0)]
        );
        assert!(got.faults.is_empty());
    }

    #[test]
    fn of_many_clocks_a_few_are_read() {
        let text: String = (0..100)
            .map(|i| {
                let base = format!("== /sys/devices/system/cpu/cpufreq/policy{i}");
                format!("{base}/scaling_cur_freq\n1\n{base}/cpuinfo_max_freq\n2\n")
            })
            .collect();
        assert_eq!(run(&text).readings[0].value, 0.5);
    }

    #[test]
    fn a_virtual_machine_has_neither() {
        let got = run("== /sys/devices/system/cpu/cpu0/online\n1\n");
        assert!(got.readings.is_empty());
        assert!(got.faults.len() == 2 && got.faults.iter().all(|fault| fault.kind == FaultKind::Unsupported));
    }
}
