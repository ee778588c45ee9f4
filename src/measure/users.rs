//! Sessions of people who are logged in, and logins that failed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;

use super::folder::{Folder, shown};
use super::out::Out;
use super::root::Root;
use super::text::lines;
use crate::model::sample::FaultKind;

const SESSIONS: &str = "/run/systemd/sessions";
/// glibc's records; on machines whose time was always 64 bits wide they are longer.
const RECORD: usize = if cfg!(any(target_arch = "aarch64", target_arch = "riscv64")) { 400 } else { 384 };
const USER_PROCESS: i16 = 7;

/// Failed logins are counted of so many seconds.
const LATELY: i64 = 3600;
const FAILED: &str = "/var/log/btmp";
/// As much of the failed logins as is read; the file may be very long.
const MAX_FAILED: u64 = 512 * 1024;
/// The most sessions that are named.
const MOST: usize = 32;

/// A session of a person.
#[derive(Debug, Default, PartialEq)]
struct Session {
    user: String,
    /// `pts/0`, `tty1`, or empty.
    terminal: String,
    from: String,
}

pub(super) fn collect(root: &Root, out: &mut Out) {
    match sessions(root) {
        Ok(Some(list)) => put(root, &list, out),
        Ok(None) => out.fault("", FaultKind::Absent, format!("neither {SESSIONS} nor /run/utmp is there")),
        Err(error) => out.unread("", "/run/utmp", &error),
    }
    match tail(root) {
        Ok(bytes) => out.whole("user.logins.failed", "", failed(&bytes, out.past.now)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            out.fault("logins", FaultKind::Denied, format!("{FAILED}: for root and the group utmp only"));
        }
        Err(error) => out.unread("logins", FAILED, &error),
    }
}

fn sessions(root: &Root) -> io::Result<Option<Vec<Session>>> {
    if let Ok(folder) = Folder::open(root, SESSIONS) {
        let names = folder.names();
        // `3.ref` is a pipe beside the session `3`.
        let files = names.iter().filter(|name| !name.contains(&b'.'));
        return Ok(Some(files.filter_map(|name| person(&folder.text(&shown(name))?)).collect()));
    }
    match root.read("/run/utmp").or_else(|_| root.read("/var/run/utmp")) {
        Ok(bytes) => {
            let alive = |(pid, _): &(i32, Session)| root.path(format!("/proc/{pid}")).is_dir();
            Ok(Some(logged_in(&bytes).into_iter().filter(alive).map(|(_, session)| session).collect()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn put(root: &Root, list: &[Session], out: &mut Out) {
    out.whole("user.sessions", "", list.len() as u64);
    if list.len() > MOST {
        out.fault("", FaultKind::Cut, format!("{} sessions, {MOST} are named", list.len()));
    }
    for session in list.iter().filter(|session| !session.terminal.is_empty()).take(MOST) {
        let Session { user, terminal, from } = session;
        let from = if from.is_empty() { String::new() } else { format!(" from {from}") };
        out.fact("user.session", terminal, &format!("{user}{from}"));
        // The kernel marks a terminal when something is typed.
        let typed = (!terminal.contains("..")).then(|| std::fs::metadata(root.path(format!("/dev/{terminal}"))));
        if let Some(Ok(meta)) = typed {
            let idle = out.past.now.saturating_sub(meta.atime()).max(0);
            out.whole("user.session.idle", terminal, idle.unsigned_abs());
        }
    }
}

/// A session file of systemd-logind: of a person, and not on its way out.
fn person(text: &str) -> Option<Session> {
    let value = |key: &str| {
        let found = lines(text.as_bytes()).find_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b"="));
        String::from_utf8_lossy(found.unwrap_or_default()).into_owned()
    };
    let is_person = value("CLASS").starts_with("user") && value("STATE") != "closing";
    is_person.then(|| Session { user: value("USER"), terminal: value("TTY"), from: value("REMOTE_HOST") })
}

/// Those who are logged in, and their processes.
fn logged_in(utmp: &[u8]) -> Vec<(i32, Session)> {
    let record = |bytes: &[u8]| {
        let kind = i16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
        let pid = i32::from_ne_bytes(bytes.get(4..8)?.try_into().ok()?);
        let text = |from: usize, length: usize| {
            let field = bytes.get(from..from + length).unwrap_or_default();
            shown(field.split(|&b| b == 0).next().unwrap_or_default())
        };
        let session = Session { user: text(44, 32), terminal: text(8, 32), from: text(76, 256) };
        (kind == USER_PROCESS && pid > 0).then_some((pid, session))
    };
    utmp.chunks_exact(RECORD).filter_map(record).collect()
}

/// The last whole records of the failed logins.
fn tail(root: &Root) -> io::Result<Vec<u8>> {
    let mut file = File::open(root.path(FAILED))?;
    let size = file.metadata()?.len();
    let record = RECORD as u64;
    let most = MAX_FAILED / record;
    file.seek(SeekFrom::Start((size / record).saturating_sub(most) * record))?;
    let mut bytes = Vec::new();
    file.take(most * record).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// How many of the records are of the last hour.
fn failed(btmp: &[u8], now: i64) -> u64 {
    let at = |bytes: &[u8]| match RECORD {
        400 => Some(i64::from_ne_bytes(bytes.get(344..352)?.try_into().ok()?)),
        _ => Some(i64::from(i32::from_ne_bytes(bytes.get(340..344)?.try_into().ok()?))),
    };
    let lately = |at: &i64| (0..LATELY).contains(&now.saturating_sub(*at));
    btmp.chunks_exact(RECORD).filter_map(at).filter(lately).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_logind() {
        let is_person = |text: &str| person(text).is_some();
        let ada = person(
            "# This is private data.\nUID=1000\nUSER=ada\nACTIVE=1\nSTATE=active\nREMOTE_HOST=10.0.0.1\nTTY=pts/0\nCLASS=user\n",
        );
        let expected = Session { user: "ada".into(), terminal: "pts/0".into(), from: "10.0.0.1".into() };
        assert_eq!(ada, Some(expected));
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
        let pids = |bytes: &[u8]| logged_in(bytes).iter().map(|(pid, _)| *pid).collect::<Vec<_>>();
        assert_eq!(pids(&bytes), [77]);
        assert!(pids(&[0xff; 50]).is_empty());
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("run")).unwrap();
        std::fs::create_dir_all(folder.path().join("proc/77")).unwrap();
        std::fs::write(folder.path().join("run/utmp"), [bytes, record(7, 99)].concat()).unwrap();
        let mut out = Out::default();
        collect(&Root::at(folder.path()), &mut out);
        assert_eq!(out.into_measured().readings[0].value, 1.0, "one is logged in, one record was left behind");
    }

    #[test]
    fn sessions_say_who_from_where_and_how_idle_and_failed_logins_are_those_of_an_hour() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, bytes: &[u8]| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        write("run/systemd/sessions/4", b"USER=ada\nTTY=pts/0\nREMOTE_HOST=10.0.0.1\nCLASS=user\nSTATE=active\n");
        write("dev/pts/0", b"");
        let typed = std::fs::metadata(folder.path().join("dev/pts/0")).unwrap().atime();
        let failure = |at: i64| {
            let mut bytes = vec![0; RECORD];
            bytes[..2].copy_from_slice(&6_i16.to_ne_bytes());
            match RECORD {
                400 => bytes[344..352].copy_from_slice(&at.to_ne_bytes()),
                _ => bytes[340..344].copy_from_slice(&i32::try_from(at).unwrap().to_ne_bytes()),
            }
            bytes
        };
        let now = typed + 90;
        // A long file: its end counts.
        let old = failure(now - LATELY).repeat(3000);
        write(
            "var/log/btmp",
            &[old, failure(now - 5), failure(now - LATELY + 1), failure(now + 9), vec![7; 9]].concat(),
        );
        let past = super::super::Past { now, ..Default::default() };
        let mut out = Out::beside(None, &std::sync::Arc::new(past));
        collect(&Root::at(folder.path()), &mut out);
        let got = out.into_measured();
        let values: Vec<_> = got.readings.iter().map(|r| (r.metric.as_str(), r.item.as_str(), r.value)).collect();
        assert_eq!(
            values,
            [("user.sessions", "", 1.0), ("user.session.idle", "pts/0", 90.0), ("user.logins.failed", "", 2.0)]
        );
        assert_eq!((got.facts[0].item.as_str(), got.facts[0].text.as_str()), ("pts/0", "ada from 10.0.0.1"));
    }
}
