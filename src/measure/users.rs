//! Sessions of people who are logged in.

use super::folder::{Folder, shown};
use super::out::Out;
use super::root::Root;
use super::text::lines;
use crate::model::sample::FaultKind;

const SESSIONS: &str = "/run/systemd/sessions";
/// glibc's records; on machines whose time was always 64 bits wide they are longer.
const RECORD: usize = if cfg!(any(target_arch = "aarch64", target_arch = "riscv64")) { 400 } else { 384 };
const USER_PROCESS: i16 = 7;

pub(super) fn collect(root: &Root, out: &mut Out) {
    if let Ok(folder) = Folder::open(root, SESSIONS) {
        let names = folder.names();
        // `3.ref` is a pipe beside the session `3`.
        let files = names.iter().filter(|name| !name.contains(&b'.'));
        let count = files.filter_map(|name| folder.text(&shown(name))).filter(|text| is_person(text)).count();
        return out.whole("user.sessions", "", count as u64);
    }
    match root.read("/run/utmp").or_else(|_| root.read("/var/run/utmp")) {
        Ok(bytes) => {
            let pids = logged_in(&bytes);
            let alive = pids.iter().filter(|pid| root.path(format!("/proc/{pid}")).is_dir()).count();
            out.whole("user.sessions", "", alive as u64);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            out.fault("", FaultKind::Absent, format!("neither {SESSIONS} nor /run/utmp is there"));
        }
        Err(error) => out.unread("", "/run/utmp", &error),
    }
}

/// A session file of systemd-logind: of a person, and not on its way out.
fn is_person(text: &str) -> bool {
    let value = |key: &str| {
        let found = lines(text.as_bytes()).find_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b"="));
        String::from_utf8_lossy(found.unwrap_or_default()).into_owned()
    };
    value("CLASS").starts_with("user") && value("STATE") != "closing"
}

/// The processes of those who are logged in.
fn logged_in(utmp: &[u8]) -> Vec<i32> {
    let record = |bytes: &[u8]| {
        let kind = i16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
        let pid = i32::from_ne_bytes(bytes.get(4..8)?.try_into().ok()?);
        (kind == USER_PROCESS && pid > 0).then_some(pid)
    };
    utmp.chunks_exact(RECORD).filter_map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_logind() {
        assert!(is_person("# This is private data.\nUID=1000\nUSER=ada\nACTIVE=1\nSTATE=active\nCLASS=user\n"));
        assert!(!is_person("STATE=closing\nCLASS=user\n") && !is_person("STATE=online\nCLASS=manager\n"));
        assert!(!is_person("") && !is_person("CLASS=greeter\n"));
        let folder = tempfile::tempdir().unwrap();
        let sessions = folder.path().join("run/systemd/sessions");
        std::fs::create_dir_all(&sessions).unwrap();
        std::fs::write(sessions.join("3"), "CLASS=user\nSTATE=active\n").unwrap();
        std::fs::write(sessions.join("3.ref"), "CLASS=user\n").unwrap();
        let mut out = Out::default();
        collect(&Root::at(folder.path()), &mut out);
        assert_eq!(out.into_measured().readings[0].value, 1.0);
    }

    #[test]
    fn records_of_utmp() {
        let record = |kind: i16, pid: i32| {
            let mut bytes = vec![0; RECORD];
            bytes[..2].copy_from_slice(&kind.to_ne_bytes());
            bytes[4..8].copy_from_slice(&pid.to_ne_bytes());
            bytes
        };
        let bytes = [record(2, 1), record(7, 77), record(8, 78), record(7, -1), vec![7; 100]].concat();
        assert_eq!(logged_in(&bytes), [77]);
        assert!(logged_in(&[0xff; 50]).is_empty());
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("run")).unwrap();
        std::fs::create_dir_all(folder.path().join("proc/77")).unwrap();
        std::fs::write(folder.path().join("run/utmp"), [bytes, record(7, 99)].concat()).unwrap();
        let mut out = Out::default();
        collect(&Root::at(folder.path()), &mut out);
        assert_eq!(out.into_measured().readings[0].value, 1.0, "one is logged in, one record was left behind");
    }
}
