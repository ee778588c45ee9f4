//! Power supplies and batteries.

use super::folder::{Folder, names, shown};
use super::out::Out;
use super::root::Root;
use crate::model::sample::FaultKind;

const SUPPLIES: &str = "/sys/class/power_supply";
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
    if found == 0 {
        out.fault("", FaultKind::Absent, "no power supplies that a driver knows");
    }
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
}
