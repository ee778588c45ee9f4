//! Paths to disks of a storage network, from the maps of multipath.

use super::folder::{Folder, names, shown};
use super::out::Out;
use super::root::Root;
use crate::model::sample::FaultKind;

const MAX_MAPS: usize = 64;
const MAX_PATHS: usize = 64;

pub(super) fn collect(root: &Root, out: &mut Out) {
    let mut found = 0;
    for device in names(root, "/sys/block").iter().filter(|name| name.starts_with(b"dm-")) {
        let path = format!("/sys/block/{}", shown(device));
        let Ok(folder) = Folder::open(root, &path) else { continue };
        if !folder.text("dm/uuid").is_some_and(|uuid| uuid.starts_with("mpath-")) {
            continue;
        }
        if found == MAX_MAPS {
            return out.fault("", FaultKind::Cut, format!("more than {MAX_MAPS} maps"));
        }
        found += 1;
        let name = folder.text("dm/name").unwrap_or_else(|| shown(device));
        let paths = folder.folder(b"slaves").map(|slaves| slaves.names()).unwrap_or_default();
        let (mut working, mut failed) = (0, 0);
        for slave in paths.iter().take(MAX_PATHS) {
            let device = Folder::open(root, format!("/sys/block/{}/device", shown(slave)));
            // SCSI says "running", NVMe "live"; without a word there is nothing against it.
            match device.ok().and_then(|device| device.text("state")).as_deref() {
                Some("running" | "live") | None => working += 1,
                Some(_) => failed += 1,
            }
        }
        out.whole("multipath.paths", &name, working);
        out.whole("multipath.failed", &name, failed);
    }
    if found == 0 {
        out.fault("", FaultKind::Absent, "no maps of multipath");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::machine;

    #[test]
    fn paths_that_work_and_do_not() {
        let (_folder, root) = machine(
            "== /sys/block/dm-0/dm/uuid\nmpath-3600508b4000156d700012000000b0000\n== /sys/block/dm-0/dm/name\nmpatha\n\
             == /sys/block/dm-0/slaves/sda/x\n== /sys/block/dm-0/slaves/sdb/x\n== /sys/block/dm-0/slaves/sdc/x\n\
             == /sys/block/dm-1/dm/uuid\nLVM-abc\n== /sys/block/sda/device/state\nrunning\n\
             == /sys/block/sdb/device/state\ntransport-offline\n",
        );
        let mut out = Out::default();
        collect(&root, &mut out);
        let got = out.into_measured();
        let values: Vec<(&str, &str, f64)> =
            got.readings.iter().map(|r| (r.metric.as_str(), r.item.as_str(), r.value)).collect();
        assert_eq!(values, [("multipath.paths", "mpatha", 2.0), ("multipath.failed", "mpatha", 1.0)]);
        let (_folder, root) = machine("== /sys/block/sda/size\n1\n");
        let mut out = Out::default();
        collect(&root, &mut out);
        assert_eq!(out.into_measured().faults[0].kind, FaultKind::Absent);
    }
}
