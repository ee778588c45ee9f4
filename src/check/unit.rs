//! `unit`: a systemd unit by name, from its control group and systemd's own files; nothing is started to ask.

use std::fs;
use std::path::PathBuf;

use super::answer::small_file;
use super::{Check, Found, Occasion, Trouble};
use crate::model::sample::FaultKind;

/// Folders looked through for a unit's group: slices inside of slices.
const MAX_FOLDERS: usize = 2000;
/// The deepest a slice is nested.
const MAX_DEPTH: usize = 6;

/// Version 2 of control groups, the same beside version 1, and systemd's own hierarchy of version 1.
const ROOTS: [&str; 3] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];

pub(super) struct Unit;

impl Check for Unit {
    fn kind(&self) -> &'static str {
        "unit"
    }

    fn look(&self, at: &Occasion, found: &mut Found) -> Result<(), Trouble> {
        let unit = at.needed("unit")?;
        if !at.path("/run/systemd/system").is_dir() {
            return Err(Trouble::unsupported("systemd does not run this machine"));
        }
        let group = group(at, unit);
        let processes = group.as_ref().map_or(0, |group| processes(group));
        // Units without processes, such as timers and mounts, have a mark while they are active.
        let marked = fs::symlink_metadata(at.path("/run/systemd/units").join(format!("invocation:{unit}"))).is_ok();
        let active = processes > 0 || marked;
        found.whole("unit.active", u64::from(active));
        found.whole("unit.processes", processes);
        if let Some(group) = &group {
            usage(at, group, found);
        }
        if active { Ok(()) } else { Err(Trouble::Bad(FaultKind::Absent, format!("{unit} is not active"))) }
    }
}

/// The unit's group: in version 2 of control groups, or in systemd's own hierarchy of version 1.
fn group(at: &Occasion, unit: &str) -> Option<PathBuf> {
    // As systemd escapes what the kernel would take for its own files.
    let name = if unit.starts_with('_') { format!("_{unit}") } else { unit.to_owned() };
    let root = ROOTS.into_iter().map(|root| at.path(root)).find(|root| root.join("cgroup.procs").exists())?;
    let mut folders = vec![(root, 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = folders.pop() {
        let direct = folder.join(&name);
        if direct.is_dir() {
            return Some(direct);
        }
        seen += 1;
        if seen > MAX_FOLDERS || depth == MAX_DEPTH {
            continue;
        }
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let inner = entry.file_name();
            // Only slices, and the managers of users, hold units.
            let holds = inner.to_string_lossy().ends_with(".slice") || inner.to_string_lossy().starts_with("user@");
            if holds && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push((entry.path(), depth + 1));
            }
        }
    }
    None
}

/// Processes in the group and the groups below it.
fn processes(group: &std::path::Path) -> u64 {
    let mut folders = vec![group.to_owned()];
    let (mut count, mut seen) = (0, 0);
    while let Some(folder) = folders.pop() {
        let own = small_file(&folder.join("cgroup.procs"));
        count += own.split(|&b| b == b'\n').filter(|line| !line.is_empty()).count() as u64;
        seen += 1;
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten().filter(|_| seen < MAX_FOLDERS);
        folders.extend(entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()));
    }
    count
}

/// Memory and processor time, where the group accounts for them. Version 1 does it in a hierarchy for each, where the
/// unit has the same path.
fn usage(at: &Occasion, group: &std::path::Path, found: &mut Found) {
    let text = |path: PathBuf| String::from_utf8_lossy(&small_file(&path)).trim().to_owned();
    let of_one = |controller: &str, file: &str| {
        let roots = &ROOTS[1..];
        let path = roots.iter().find_map(|root| group.strip_prefix(at.path(root)).ok())?;
        text(at.path("/sys/fs/cgroup").join(controller).join(path).join(file)).parse::<u64>().ok()
    };
    let memory = text(group.join("memory.current")).parse().ok();
    if let Some(bytes) = memory.or_else(|| of_one("memory", "memory.usage_in_bytes")) {
        found.whole("unit.memory", bytes);
    }
    let stat = text(group.join("cpu.stat"));
    let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse::<u64>().ok());
    #[allow(clippy::cast_precision_loss, reason = "2^53 microseconds are centuries")]
    if let Some(micros) = micros.or_else(|| of_one("cpuacct", "cpuacct.usage").map(|nanos| nanos / 1000)) {
        found.seconds("unit.cpu.seconds", micros as f64 / 1e6);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::run::tests::look;

    #[test]
    fn active_dead_and_without_systemd() {
        let root = tempfile::tempdir().unwrap();
        let attributes = [("unit", "shop.service")];
        let (_, result) = look(&Unit, &attributes, root.path());
        assert!(matches!(result, Err(Trouble::Unknown(FaultKind::Unsupported, _))));
        let place = |name: &str| root.path().join(name);
        let group = "sys/fs/cgroup/system.slice/system-shop.slice/shop.service";
        for folder in ["run/systemd/system", "run/systemd/units", group, &format!("{group}/worker")] {
            fs::create_dir_all(place(folder)).unwrap();
        }
        fs::write(place("sys/fs/cgroup/cgroup.procs"), "1\n").unwrap();
        fs::write(place(group).join("cgroup.procs"), "").unwrap();
        let (found, result) = look(&Unit, &attributes, root.path());
        assert!(matches!(result, Err(Trouble::Bad(FaultKind::Absent, _))));
        assert_eq!(found.readings[0].value, 0.0);
        fs::write(place(group).join("worker/cgroup.procs"), "12\n13\n").unwrap();
        fs::write(place(group).join("memory.current"), "4096\n").unwrap();
        fs::write(place(group).join("cpu.stat"), "usage_usec 2500000\nuser_usec 1\n").unwrap();
        let (found, result) = look(&Unit, &attributes, root.path());
        assert_eq!(result, Ok(()));
        let values: Vec<f64> = found.readings.iter().map(|reading| reading.value).collect();
        assert_eq!(values, [1.0, 2.0, 4096.0, 2.5]);
        std::os::unix::fs::symlink("0123", place("run/systemd/units/invocation:backup.timer")).unwrap();
        assert_eq!(look(&Unit, &[("unit", "backup.timer")], root.path()).1, Ok(()));
    }

    #[test]
    fn version_1_accounts_in_other_hierarchies() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        fs::create_dir_all(root.path().join("run/systemd/system")).unwrap();
        write("sys/fs/cgroup/systemd/cgroup.procs", "1\n");
        write("sys/fs/cgroup/systemd/system.slice/shop.service/cgroup.procs", "12\n");
        write("sys/fs/cgroup/memory/system.slice/shop.service/memory.usage_in_bytes", "4096\n");
        write("sys/fs/cgroup/cpuacct/system.slice/shop.service/cpuacct.usage", "2500000000\n");
        let (found, result) = look(&Unit, &[("unit", "shop.service")], root.path());
        assert_eq!(result, Ok(()));
        let values: Vec<f64> = found.readings.iter().map(|reading| reading.value).collect();
        assert_eq!(values, [1.0, 1.0, 4096.0, 2.5]);
    }
}
