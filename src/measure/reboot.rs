//! Whether the host waits for a reboot: what its packages say, and kernels newer than the one that runs.

use std::os::unix::fs::MetadataExt;

use super::asked;
use super::folder::{self, shown};
use super::out::Out;
use super::root::Root;
use super::text::lines;
use crate::model::sample::FaultKind;

/// Debian's and SUSE's marks.
const MARKS: [&str; 3] = ["/run/reboot-required", "/var/run/reboot-required", "/run/reboot-needed"];
/// What makes these marks: without one of them their absence says nothing.
const MARKERS: [&str; 4] = [
    "/etc/kernel/postinst.d/unattended-upgrades",
    "/etc/kernel/postinst.d/update-notifier",
    "/usr/share/update-notifier/notify-reboot-required",
    "/usr/bin/zypper",
];
const MODULES: &str = "/lib/modules";

pub(super) fn collect(root: &Root, out: &mut Out) {
    let mark = MARKS.iter().find_map(|path| Some((path, std::fs::metadata(root.path(path)).ok()?)));
    if mark.is_some() || MARKERS.iter().any(|path| root.path(path).exists()) {
        out.whole("reboot.required", "", u64::from(mark.is_some()));
        let since = mark.as_ref().map_or(0, |(_, meta)| out.past.now.saturating_sub(meta.mtime()).max(0));
        out.whole("reboot.required.seconds", "", since.unsigned_abs());
    } else if let Some((since, packages)) = asked::newer_packages(out) {
        out.whole("reboot.required", "", u64::from(since > 0));
        let age = if since > 0 { out.past.now.saturating_sub(since).max(0) } else { 0 };
        out.whole("reboot.required.seconds", "", age.unsigned_abs());
        out.fact("reboot.packages", "", &packages);
    } else {
        let text = "no package here leaves a mark when a reboot is required (unattended-upgrades would)";
        out.fault("", FaultKind::Unsupported, text);
    }
    if let Some((path, _)) = mark {
        out.fact("reboot.packages", "", &packages(&root.read(format!("{path}.pkgs")).unwrap_or_default()));
    }
    let running = match root.read_at_most("/proc/sys/kernel/osrelease", 256) {
        Ok(text) => shown(text.trim_ascii()),
        Err(error) => return out.unread("kernel", "/proc/sys/kernel/osrelease", &error),
    };
    if let Err(error) = root.list(MODULES) {
        return out.unread("kernel", MODULES, &error);
    }
    let names = folder::names(root, MODULES);
    let installed = names.iter().map(|name| shown(name)).filter(|name| {
        root.path(format!("{MODULES}/{name}/modules.dep")).exists()
            || root.path(format!("{MODULES}/{name}/kernel")).is_dir()
    });
    let newest = newest(&running, installed);
    out.whole("reboot.kernel.outdated", "", u64::from(newest.is_some()));
    if let Some(newest) = newest {
        out.fact("reboot.kernel", "", &newest);
    }
}

/// Each package once, in order.
fn packages(text: &[u8]) -> String {
    let mut names: Vec<String> = lines(text).map(|line| shown(line.trim_ascii())).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

/// The newest kernel of the running one's flavour, where it is newer.
fn newest(running: &str, installed: impl Iterator<Item = String>) -> Option<String> {
    let same = installed.filter(|name| flavour(name) == flavour(running));
    same.max_by_key(|name| numbers(name)).filter(|name| numbers(name) > numbers(running))
}

/// `6.1.0-18-amd64`: 6, 1, 0, 18, 64.
fn numbers(release: &str) -> Vec<u64> {
    release.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// `6.1.0-18-rt-amd64`: rt, amd.
fn flavour(release: &str) -> Vec<&str> {
    release.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_of_one_flavour_are_compared_by_their_numbers() {
        let newest = |running: &str, list: &[&str]| newest(running, list.iter().map(|name| (*name).to_owned()));
        let debian = ["6.1.0-9-amd64", "6.1.0-18-amd64", "6.5.0-1-rt-amd64"];
        assert_eq!(newest("6.1.0-9-amd64", &debian).as_deref(), Some("6.1.0-18-amd64"));
        assert_eq!(newest("6.1.0-18-amd64", &debian), None);
        assert_eq!(newest("6.1.0-20-amd64", &debian), None, "a kernel that was removed is no newer one");
        let rhel = ["5.14.0-362.8.1.el9_3.x86_64", "5.14.0-427.13.1.el9_4.x86_64"];
        assert_eq!(newest(rhel[0], &rhel).as_deref(), Some(rhel[1]));
        assert_eq!(newest("6.9", &["6.10.1", "6.8.12"]).as_deref(), Some("6.10.1"));
        assert_eq!(newest("99999999999999999999", &["x"]), None);
    }

    #[test]
    fn a_host_that_waits_says_since_when_and_for_what() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let run = |now| {
            let past = super::super::Past { now, ..Default::default() };
            let mut out = Out::beside(None, &std::sync::Arc::new(past));
            collect(&Root::at(folder.path()), &mut out);
            out.into_measured()
        };
        write("proc/sys/kernel/osrelease", "6.1.0-9-amd64\n");
        write("lib/modules/6.1.0-18-amd64/modules.dep", "");
        write("lib/modules/6.1.0-99-amd64/left", "what a removed kernel left behind");
        assert_eq!(run(5).faults[0].kind, FaultKind::Unsupported);
        write("etc/kernel/postinst.d/unattended-upgrades", "");
        let quiet: Vec<f64> = run(5).readings.iter().map(|r| r.value).collect();
        assert_eq!(quiet, [0.0, 0.0, 1.0]);
        write("run/reboot-required", "*** System restart required ***\n");
        write("run/reboot-required.pkgs", "linux-image\nlibc6\nlibc6\n");
        let made = std::fs::metadata(folder.path().join("run/reboot-required")).unwrap().mtime();
        let got = run(made + 90);
        let values: Vec<f64> = got.readings.iter().map(|r| r.value).collect();
        assert_eq!(values, [1.0, 90.0, 1.0]);
        let facts: Vec<&str> = got.facts.iter().map(|fact| fact.text.as_str()).collect();
        assert_eq!(facts, ["libc6, linux-image", "6.1.0-18-amd64"]);
        assert_eq!(run(0).readings[1].value, 0.0, "a clock that went back");
    }
}
