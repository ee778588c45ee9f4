//! Power supplies and batteries.

use super::folder::{Folder, names, shown};
use super::out::Out;
use super::root::Root;
use super::text::whole;
use crate::model::sample::FaultKind;

const SUPPLIES: &str = "/sys/class/power_supply";
const METERS: &str = "/sys/class/powercap";
const MAX_SUPPLIES: usize = 32;

#[allow(clippy::cast_precision_loss, reason = "shares of five digits")]
pub(super) fn collect(root: &Root, out: &mut Out) {
    let mut found = 0;
    for name in names(root, SUPPLIES).iter().take(MAX_SUPPLIES) {
        let Ok(folder) = Folder::open(root, format!("{SUPPLIES}/{}", shown(name))) else { continue };
        // The batteries of mice and keyboards.
        if folder.text("scope").as_deref() == Some("Device") {
            continue;
        }
        found += 1;
        let name = shown(name);
        if folder.text("type").as_deref() != Some("Battery") {
            if let Some(online) = folder.whole("online") {
                out.whole("power.online", &name, u64::from(online != 0));
            }
            continue;
        }
        // An empty bay has no charge.
        if folder.whole("present") == Some(0) {
            continue;
        }
        if let Some(percent) = folder.whole("capacity") {
            out.share("battery.charge", &name, percent as f64 / 100.0);
        }
        for kind in ["energy", "charge"] {
            let of = |what: &str| folder.whole(&format!("{kind}_{what}")).filter(|amount| *amount > 0);
            if let (Some(full), Some(new)) = (of("full"), of("full_design")) {
                out.share("battery.health", &name, full as f64 / new as f64);
                break;
            }
        }
    }
    found += energy(root, out);
    if found == 0 {
        out.fault("", FaultKind::Absent, "no power supplies that a driver knows");
    }
}

#[allow(clippy::cast_precision_loss, reason = "joules over 2^53 lose what nobody sees")]
/// What the processors' own meters (RAPL) counted; how many there are.
fn energy(root: &Root, out: &mut Out) -> usize {
    let mut denied = None;
    let mut found = 0;
    let mut buffer = [0; 4096];
    for zone in names(root, METERS).iter().take(MAX_SUPPLIES) {
        let path = format!("{METERS}/{}", shown(zone));
        let Ok(folder) = Folder::open(root, &path) else { continue };
        // `intel-rapl:0:2` is a part of `intel-rapl:0`; the kinds of meters are folders too, and have no name.
        let Some(name) = folder.text("name") else { continue };
        let above = zone.iter().filter(|&&b| b == b':').count() > 1;
        let whole_of = zone.iter().rposition(|&b| b == b':').and_then(|at| zone.get(..at)).filter(|_| above);
        let whole_of =
            whole_of.and_then(|zone| Folder::open(root, format!("{METERS}/{}", shown(zone))).ok()?.text("name"));
        let item = whole_of.map_or(name.clone(), |whole| format!("{whole}/{name}"));
        found += 1;
        match folder.read(b"energy_uj", &mut buffer) {
            Ok(text) => match whole(text) {
                Some(micro) => out.put("power.energy", &item, micro as f64 / 1e6),
                None => out.malformed(&item, format!("{path}/energy_uj: not a number")),
            },
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => denied = Some(path),
            Err(error) => out.unread(&item, &format!("{path}/energy_uj"), &error),
        }
    }
    if let Some(path) = denied {
        let text = format!("{path}/energy_uj: since Linux 5.10 for root only, because it can betray keys");
        out.fault("energy", FaultKind::Denied, text);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::machine;

    #[test]
    fn mains_and_batteries() {
        let (_folder, root) = machine(
            "== /sys/class/power_supply/AC/type\nMains\n== /sys/class/power_supply/AC/online\n0\n\
             == /sys/class/power_supply/BAT0/type\nBattery\n== /sys/class/power_supply/BAT0/present\n1\n\
             == /sys/class/power_supply/BAT0/capacity\n37\n== /sys/class/power_supply/BAT0/energy_full\n40000000\n\
             == /sys/class/power_supply/BAT0/energy_full_design\n50000000\n\
             == /sys/class/power_supply/BAT1/type\nBattery\n== /sys/class/power_supply/BAT1/present\n0\n\
             == /sys/class/power_supply/BAT1/capacity\n0\n\
             == /sys/class/power_supply/hidpp_battery_0/type\nBattery\n\
             == /sys/class/power_supply/hidpp_battery_0/scope\nDevice\n\
             == /sys/class/power_supply/hidpp_battery_0/capacity\n5\n",
        );
        let mut out = Out::default();
        collect(&root, &mut out);
        let got = out.into_measured();
        let values: Vec<(&str, &str, f64)> =
            got.readings.iter().map(|r| (r.metric.as_str(), r.item.as_str(), r.value)).collect();
        let expected = [("power.online", "AC", 0.0), ("battery.charge", "BAT0", 0.37), ("battery.health", "BAT0", 0.8)];
        assert_eq!((values, got.faults.len()), (expected.to_vec(), 0));
    }

    #[test]
    fn meters_of_energy_by_package_and_part() {
        let (_folder, root) = machine(
            "== /sys/class/powercap/intel-rapl/enabled\n1\n== /sys/class/powercap/intel-rapl:0/name\npackage-0\n\
             == /sys/class/powercap/intel-rapl:0/energy_uj\n262143328850\n\
             == /sys/class/powercap/intel-rapl:0:0/name\ndram\n== /sys/class/powercap/intel-rapl:0:0/energy_uj\nx\n",
        );
        let mut out = Out::default();
        collect(&root, &mut out);
        let got = out.into_measured();
        let values: Vec<(&str, f64)> = got.readings.iter().map(|r| (r.item.as_str(), r.value)).collect();
        let faults: Vec<_> = got.faults.iter().map(|fault| (fault.item.as_str(), fault.kind)).collect();
        assert_eq!(
            (values, faults),
            (vec![("package-0", 262_143.328_85)], vec![("package-0/dram", FaultKind::Malformed)])
        );
    }
}
