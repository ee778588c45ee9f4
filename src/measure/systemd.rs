//! Units of systemd that failed, linger or start again and again; asked of `systemctl`.

use std::io;
use std::time::Duration;

use super::boot::uptime_millis;
use super::command;
use super::folder;
use super::out::Out;
use super::root::Root;
use super::text::{lines, whole, words};
use crate::model::sample::FaultKind;

const SYSTEMCTL: [&str; 2] = ["/usr/bin/systemctl", "/bin/systemctl"];
/// It is there while systemd is the first process (sd_booted).
const BOOTED: &str = "/run/systemd/system";
/// A link for each running unit, named `invocation:UNIT`, made when the unit started.
const INVOCATIONS: &str = "/run/systemd/units";
const PATIENCE: Duration = Duration::from_secs(3);
/// The most failed units that are named.
const MAX_FAILED: usize = 64;
/// The most units whose particulars are asked: each costs the first process time.
const MAX_ASKED: usize = 16;
/// Services that started within this many seconds after boot were started by the boot.
const SETTLED: i64 = 60;

pub(super) fn collect(root: &Root, out: &mut Out) {
    if !root.path(BOOTED).is_dir() {
        return out.fault("", FaultKind::Absent, format!("{BOOTED}: systemd is not the first process here"));
    }
    let Some(program) = command::find(root, &SYSTEMCTL) else {
        return out.fault("", FaultKind::Absent, "/usr/bin/systemctl is not there");
    };
    let ask = |arguments: &[&str]| command::run(root, program, arguments, PATIENCE);
    let states = "--state=failed,activating,deactivating,reloading,maintenance";
    let listed = ask(&["list-units", "--all", "--plain", "--full", "--no-legend", "--no-pager", states]);
    let listed = match listed {
        Ok(said) if said.status == Some(0) => units(&said.output),
        Ok(said) => return out.malformed("", format!("systemctl list-units: exit status {:?}", said.status)),
        Err(error) => return told(out, "systemctl list-units", &error),
    };
    match ask(&["is-system-running"]) {
        // Its status is 1 for all but `running`; the word says which.
        Ok(said) => out.fact("systemd.state", "", &String::from_utf8_lossy(said.output.trim_ascii())),
        Err(error) => told(out, "systemctl is-system-running", &error),
    }
    let failed: Vec<&str> =
        listed.iter().filter(|(_, state)| state == "failed").map(|(name, _)| name.as_str()).collect();
    out.whole("systemd.units.failed", "", failed.len() as u64);
    out.whole("systemd.timers.failed", "", failed.iter().filter(|name| timed(root, name)).count() as u64);
    for name in failed.iter().take(MAX_FAILED) {
        out.whole("systemd.unit.failed", name, 1);
    }
    if failed.len() > MAX_FAILED {
        out.fault("", FaultKind::Cut, format!("{} units failed, {MAX_FAILED} are named", failed.len()));
    }
    let lingering = listed.iter().filter(|(_, state)| state != "failed").map(|(name, _)| name.clone());
    let mut asked: Vec<String> = lingering.take(MAX_ASKED).collect();
    let restarted = started_late(root, out.past.now, uptime_millis(root));
    asked.extend(restarted.into_iter().take(MAX_ASKED));
    asked.sort_unstable();
    asked.dedup();
    if asked.is_empty() {
        return lately(Vec::new(), root, out);
    }
    let mut arguments =
        vec!["show", "--no-pager", "--property=Id,ActiveState,NRestarts,StateChangeTimestampMonotonic", "--"];
    arguments.extend(asked.iter().map(String::as_str));
    match ask(&arguments) {
        Ok(said) => {
            let counts = particulars(&said.output, uptime_millis(root), out);
            lately(counts, root, out);
        }
        Err(error) => told(out, "systemctl show", &error),
    }
}

fn told(out: &mut Out, what: &str, error: &io::Error) {
    if error.kind() == io::ErrorKind::TimedOut {
        return out.fault("", FaultKind::Hung, format!("{what}: {error}"));
    }
    out.unread("", what, error);
}

/// `nginx.service loaded failed failed A web server`: name and state. Old versions put a dot before the name.
fn units(text: &[u8]) -> Vec<(String, String)> {
    let unit = |line: &[u8]| {
        let mut words = words(line).skip_while(|word| !word.contains(&b'.'));
        let name = words.next()?;
        let state = words.nth(1)?;
        Some((String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(state).into_owned()))
    };
    lines(text).filter_map(unit).collect()
}

/// True for a timer, and for a service that a timer starts.
fn timed(root: &Root, unit: &str) -> bool {
    let Some(name) = unit.strip_suffix(".service") else { return unit.ends_with(".timer") };
    let folders = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
    !name.contains('/') && folders.iter().any(|folder| root.path(format!("{folder}/{name}.timer")).exists())
}

/// Services that started when the boot was long over, newest first: only these can have been restarted.
fn started_late(root: &Root, now: i64, uptime_millis: u64) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let boot = now.saturating_sub_unsigned(uptime_millis / 1000);
    let mut late = Vec::new();
    for file in folder::names(root, INVOCATIONS) {
        let file = folder::shown(&file);
        let Some(unit) = file.strip_prefix("invocation:").filter(|unit| unit.ends_with(".service")) else { continue };
        let Ok(meta) = std::fs::symlink_metadata(root.path(format!("{INVOCATIONS}/{file}"))) else { continue };
        if meta.mtime() > boot.saturating_add(SETTLED) {
            late.push((std::cmp::Reverse(meta.mtime()), unit.to_owned()));
        }
    }
    late.sort_unstable();
    late.into_iter().map(|(_, unit)| unit).collect()
}

/// Sets the counts of restarts beside those of earlier measurements.
fn lately(counts: Vec<(String, u64)>, root: &Root, out: &mut Out) {
    let mut restarts = out.past.restarts.clone();
    for (unit, count) in restarts.look(uptime_millis(root), counts) {
        out.whole("systemd.unit.restarts.recent", &unit, count);
    }
    out.restarts = Some(restarts);
}

/// Blocks of `Key=value`, parted by empty lines; returns how often services were restarted.
fn particulars(text: &[u8], uptime_millis: u64, out: &mut Out) -> Vec<(String, u64)> {
    let mut counts = Vec::new();
    let text = String::from_utf8_lossy(text);
    for block in text.split("\n\n") {
        let value = |key: &str| block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let Some(unit) = value("Id").filter(|unit| !unit.is_empty()) else { continue };
        let number = |key: &str| value(key).and_then(|value| whole(value.as_bytes()));
        if let Some(restarts) = number("NRestarts").filter(|restarts| *restarts > 0) {
            out.whole("systemd.unit.restarts", unit, restarts);
            counts.push((unit.to_owned(), restarts));
        }
        let lingers = matches!(value("ActiveState"), Some("activating" | "deactivating" | "reloading"));
        if let Some(since) = number("StateChangeTimestampMonotonic").filter(|_| lingers) {
            #[allow(clippy::cast_precision_loss, reason = "milliseconds of an uptime are far below 2^53")]
            out.seconds("systemd.unit.activating", unit, uptime_millis.saturating_sub(since / 1000) as f64 / 1000.0);
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn machine(script: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in ["run/systemd/system", "run/systemd/units", "usr/bin", "proc", "etc/systemd/system"] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        std::fs::write(folder.path().join("proc/uptime"), "5000.00 1.0\n").unwrap();
        let program = folder.path().join("usr/bin/systemctl");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    fn run(folder: &tempfile::TempDir) -> super::super::Measured {
        let past = super::super::Past { now: 1_800_000_000, ..Default::default() };
        let mut out = Out::beside(None, &std::sync::Arc::new(past));
        collect(&Root::at(folder.path()), &mut out);
        out.into_measured()
    }

    #[test]
    fn failed_lingering_and_restarted_units() {
        let folder = machine(
            r#"case "$1" in
            list-units) printf 'nginx.service loaded failed failed A web server\nbackup.service loaded failed failed Backup\n'
                printf 'slow.service loaded activating start Slow\n* old.timer not-found failed failed x\n';;
            is-system-running) echo degraded; exit 1;;
            show) printf 'Id=slow.service\nActiveState=activating\nNRestarts=0\nStateChangeTimestampMonotonic=4000000000\n\n'
                printf 'Id=app.service\nActiveState=active\nNRestarts=7\nStateChangeTimestampMonotonic=1\n'
                case "$*" in *"-- app.service slow.service") :;; *) exit 9;; esac;;
            esac"#,
        );
        std::fs::write(folder.path().join("etc/systemd/system/backup.timer"), "").unwrap();
        std::os::unix::fs::symlink("0123", folder.path().join("run/systemd/units/invocation:app.service")).unwrap();
        std::os::unix::fs::symlink("0123", folder.path().join("run/systemd/units/invocation:a.mount")).unwrap();
        let folder_time = rustix::fs::Timestamps {
            last_access: rustix::fs::Timespec { tv_sec: 1_799_999_990, tv_nsec: 0 },
            last_modification: rustix::fs::Timespec { tv_sec: 1_799_999_990, tv_nsec: 0 },
        };
        let link = folder.path().join("run/systemd/units/invocation:app.service");
        let nofollow = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, &link, &folder_time, nofollow).unwrap();
        let got = run(&folder);
        assert!(got.faults.is_empty(), "{:?}", got.faults);
        let found: Vec<_> = got.readings.iter().map(|r| (r.metric.as_str(), r.item.as_str(), r.value)).collect();
        assert_eq!(
            found,
            [
                ("systemd.units.failed", "", 3.0),
                ("systemd.timers.failed", "", 2.0),
                ("systemd.unit.failed", "nginx.service", 1.0),
                ("systemd.unit.failed", "backup.service", 1.0),
                ("systemd.unit.failed", "old.timer", 1.0),
                ("systemd.unit.activating", "slow.service", 1000.0),
                ("systemd.unit.restarts", "app.service", 7.0),
            ]
        );
        assert_eq!(got.facts[0].text, "degraded");
    }

    #[test]
    fn a_quiet_machine_is_asked_twice_and_none_failed_is_a_value() {
        let folder = machine("case \"$1\" in show) exit 9;; is-system-running) echo running;; esac");
        let got = run(&folder);
        assert!(got.faults.is_empty(), "{:?}", got.faults);
        let values: Vec<f64> = got.readings.iter().map(|r| r.value).collect();
        assert_eq!((values, got.facts[0].text.as_str()), (vec![0.0, 0.0], "running"));
    }

    #[test]
    fn what_hangs_or_fails_is_told() {
        let hangs = run(&machine("sleep 30"));
        assert_eq!((hangs.readings.len(), hangs.faults[0].kind), (0, FaultKind::Hung));
        let fails = run(&machine("exit 1"));
        assert_eq!((fails.readings.len(), fails.faults[0].kind), (0, FaultKind::Malformed));
        let folder = machine("");
        std::fs::remove_dir(folder.path().join("run/systemd/system")).unwrap();
        assert_eq!(run(&folder).faults[0].kind, FaultKind::Absent);
    }

    #[test]
    fn hostile_names_and_many_of_them() {
        let folder = machine(
            "case \"$1\" in list-units) n=0; while [ $n -lt 100 ]; do printf 'u\\033[2J%s.service x failed y\\n' $n; n=$((n+1)); done;; esac",
        );
        let got = run(&folder);
        let named: Vec<_> = got.readings.iter().filter(|r| r.metric == "systemd.unit.failed").collect();
        assert_eq!((named.len(), named[0].item.as_str()), (MAX_FAILED, "u?[2J0.service"));
        assert!(got.faults.iter().any(|fault| fault.kind == FaultKind::Cut));
    }
}
