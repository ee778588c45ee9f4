use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use super::message::tests::message;
use super::*;
use crate::measure::{Measured, Past};

const REPLY: u8 = 2;
const ERROR: u8 = 3;

/// What stands for systemd: answers each call by what it holds.
type Answers = dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync;

/// What a loaded machine does not use up; [`PATIENCE`] is for those who say nothing.
const LONG: Duration = Duration::from_secs(60);

/// Listens where this user looks for systemd, for as long as the test lives.
pub(super) fn serve(folder: &Path, answers: Arc<Answers>) {
    for place in ["run/systemd/private", "run/dbus/system_bus_socket"] {
        let place = folder.join(place);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(place).unwrap();
        let answers = Arc::clone(&answers);
        std::thread::spawn(move || {
            for link in listener.incoming() {
                let answers = Arc::clone(&answers);
                std::thread::spawn(move || converse(link.unwrap(), &*answers));
            }
        });
    }
}

fn converse(link: UnixStream, answers: &Answers) -> Option<()> {
    let mut reader = BufReader::new(link.try_clone().ok()?);
    let mut writer = link;
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    assert!(line.starts_with("\0AUTH EXTERNAL 3"), "{line}");
    writer.write_all(b"OK 0123456789abcdef0123456789abcdef\r\n").ok()?;
    line.clear();
    reader.read_line(&mut line).ok()?;
    assert_eq!(line, "BEGIN\r\n");
    loop {
        let mut head = [0; 16];
        reader.read_exact(&mut head).ok()?;
        let mut rest = vec![0; super::message::length(&head)? - 16];
        reader.read_exact(&mut rest).ok()?;
        let number = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        // A word that is for nobody, as a bus says when somebody comes.
        writer.write_all(&message(false, 4, 0, None, b"")).ok()?;
        let said = match answers(&String::from_utf8_lossy(&rest)) {
            Some(body) => message(false, REPLY, number, None, &body),
            None => message(false, ERROR, number, Some("org.freedesktop.DBus.Error.UnknownProperty"), b""),
        };
        writer.write_all(&said).ok()?;
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
    out.extend(text.as_bytes());
    out.push(0);
}

fn list(units: &[(&str, &str)]) -> Vec<u8> {
    let mut out = vec![0; 8];
    for (name, state) in units {
        out.resize(out.len().next_multiple_of(8), 0);
        for word in [name, "What it is", "loaded", state, "sub", "", "/x"] {
            text(&mut out, word);
        }
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(0_u32.to_le_bytes());
        text(&mut out, "");
        text(&mut out, "/");
    }
    let length = u32::try_from(out.len() - 8).unwrap().to_le_bytes();
    out[..4].copy_from_slice(&length);
    out
}

fn state(word: &str) -> Vec<u8> {
    let mut out = vec![1, b's', 0];
    text(&mut out, word);
    out
}

fn count(value: u32) -> Vec<u8> {
    [&[1, b'u', 0, 0][..], &value.to_le_bytes()].concat()
}

fn time(value: u64) -> Vec<u8> {
    [&[1, b't', 0, 0, 0, 0, 0, 0][..], &value.to_le_bytes()].concat()
}

/// A systemd with these units, whose services were started again three times, for the tests of all sections.
pub(in crate::measure) fn systemd(folder: &Path) {
    serve(
        folder,
        Arc::new(|call| match call {
            call if call.contains("ListUnits") => Some(list(&[("a.service", "failed"), ("b.service", "activating")])),
            call if call.contains("SystemState") => Some(state("degraded")),
            call if call.contains("StateChange") => Some(time(1)),
            _ => Some(count(3)),
        }),
    );
}

fn machine() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    for path in ["run/systemd/system", "run/systemd/units", "proc", "etc/systemd/system"] {
        std::fs::create_dir_all(folder.path().join(path)).unwrap();
    }
    std::fs::write(folder.path().join("proc/uptime"), "5000.00 1.0\n").unwrap();
    folder
}

/// A service that started so many seconds ago.
fn started(folder: &Path, unit: &str, ago: i64) {
    let link = folder.join(format!("run/systemd/units/invocation:{unit}.service"));
    std::os::unix::fs::symlink("0123", &link).unwrap();
    let then = rustix::fs::Timespec { tv_sec: 1_800_000_000 - ago, tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: then, last_modification: then };
    rustix::fs::utimensat(rustix::fs::CWD, &link, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn run(folder: &tempfile::TempDir) -> Measured {
    run_after(folder, Past::default())
}

fn run_after(folder: &tempfile::TempDir, past: Past) -> Measured {
    run_within(LONG, folder, past)
}

fn run_within(patience: Duration, folder: &tempfile::TempDir, past: Past) -> Measured {
    let past = Past { now: 1_800_000_000, ..past };
    let mut out = Out::beside(None, &Arc::new(past));
    within(patience, &Root::at(folder.path()), &mut out);
    out.into_measured()
}

#[test]
fn failed_lingering_and_restarted_units() {
    let folder = machine();
    serve(
        folder.path(),
        Arc::new(|call| match call {
            call if call.contains("ListUnits") => Some(list(&[
                ("nginx.service", "failed"),
                ("backup.service", "failed"),
                ("slow.service", "activating"),
                ("old.timer", "failed"),
            ])),
            call if call.contains("SystemState") => Some(state("degraded")),
            call if call.contains("slow_2eservice") && call.contains("StateChange") => Some(time(4_000_000_000)),
            call if call.contains("slow_2eservice") => Some(count(0)),
            call if call.contains("_61pp_2eservice") => panic!("a letter is written as it is"),
            call if call.contains("app_2dx_40_31_2eservice") => panic!("so is a digit that is not the first"),
            call if call.contains("app_2dx_401_2eservice") && call.contains("NRestarts") => Some(count(7)),
            _ => None,
        }),
    );
    std::fs::write(folder.path().join("etc/systemd/system/backup.timer"), "").unwrap();
    std::os::unix::fs::symlink("0123", folder.path().join("run/systemd/units/invocation:a.mount")).unwrap();
    for unit in ["app-x@1", "gone"] {
        started(folder.path(), unit, 10);
    }
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
            ("systemd.unit.restarts", "app-x@1.service", 7.0),
        ]
    );
    assert_eq!(got.facts[0].text, "degraded");
}

/// Of seventeen services that started late the newest sixteen are asked. The oldest has been restarted fifty times in all;
/// when it is restarted once more it comes among them, which is no fifty-one at once.
#[test]
fn a_service_that_was_not_asked_before_is_no_storm_of_restarts() {
    let folder = machine();
    serve(
        folder.path(),
        Arc::new(|call| match call {
            call if call.contains("ListUnits") => Some(list(&[])),
            call if call.contains("SystemState") => Some(state("running")),
            call if call.contains("old_2eservice") => Some(count(51)),
            _ => Some(count(0)),
        }),
    );
    for n in 0..16 {
        started(folder.path(), &format!("s{n}"), 600);
    }
    started(folder.path(), "old", 3600);
    let first = run(&folder);
    let told = |got: &Measured, metric: &str| got.readings.iter().any(|r| r.metric == metric);
    assert!(!told(&first, "systemd.unit.restarts"), "{:?}", first.readings);
    let fault = &first.faults[0];
    assert_eq!(
        (fault.kind, fault.text.as_str()),
        (FaultKind::Cut, "17 services started after the boot, 16 are asked for more")
    );

    std::fs::write(folder.path().join("proc/uptime"), "5300.00 1.0\n").unwrap();
    std::fs::remove_file(folder.path().join("run/systemd/units/invocation:old.service")).unwrap();
    started(folder.path(), "old", 1);
    let second = run_after(&folder, Past { restarts: first.restarts.unwrap(), ..Past::default() });
    assert!(told(&second, "systemd.unit.restarts"), "{:?}", second.readings);
    assert!(!told(&second, "systemd.unit.restarts.recent"), "{:?}", second.readings);
}

#[test]
fn a_list_that_is_refused_is_told_as_that() {
    let folder = machine();
    serve(folder.path(), Arc::new(|call| call.contains("SystemState").then(|| state("running"))));
    let got = run(&folder);
    assert_eq!((got.faults.len(), got.faults[0].kind), (1, FaultKind::Denied), "{:?}", got.faults);
    assert_eq!((got.readings.len(), got.facts[0].text.as_str()), (0, "running"));
}

#[test]
fn a_quiet_machine_is_asked_once_and_none_failed_is_a_value() {
    let folder = machine();
    serve(
        folder.path(),
        Arc::new(|call| match call {
            call if call.contains("ListUnits") => Some(list(&[])),
            call if call.contains("SystemState") => Some(state("running")),
            other => panic!("{other}"),
        }),
    );
    let got = run(&folder);
    assert!(got.faults.is_empty(), "{:?}", got.faults);
    let values: Vec<f64> = got.readings.iter().map(|r| r.value).collect();
    assert_eq!((values, got.facts[0].text.as_str()), (vec![0.0, 0.0], "running"));
}

/// systemd before 235 does not count restarts.
#[test]
fn an_old_systemd_tells_what_it_knows() {
    let folder = machine();
    let link = folder.path().join("run/systemd/units/invocation:app.service");
    std::os::unix::fs::symlink("0123", link).unwrap();
    let listed = |call: &str| call.contains("ListUnits").then(|| list(&[("a.service", "failed")]));
    serve(folder.path(), Arc::new(listed));
    let past = Past { now: 1_000_000, ..Default::default() };
    let mut out = Out::beside(None, &Arc::new(past));
    within(LONG, &Root::at(folder.path()), &mut out);
    let got = out.into_measured();
    assert_eq!((got.readings.len(), got.faults[0].kind), (3, FaultKind::Unsupported), "{:?}", got.faults);
}

#[test]
fn who_says_nothing_refuses_or_talks_nonsense_is_told() {
    let at = |patience: Duration, talk: fn(UnixStream)| {
        let folder = machine();
        for place in ["run/systemd/private", "run/dbus/system_bus_socket"] {
            let place = folder.path().join(place);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            let listener = UnixListener::bind(place).unwrap();
            std::thread::spawn(move || listener.incoming().for_each(|link| talk(link.unwrap())));
        }
        let got = run_within(patience, &folder, Past::default());
        assert!(got.readings.is_empty(), "{:?}", got.readings);
        got.faults[0].kind
    };
    let begin = std::time::Instant::now();
    assert_eq!(at(Duration::from_millis(200), std::mem::forget), FaultKind::Hung);
    assert!(begin.elapsed() < PATIENCE * 4, "it took more than its time");
    let refuse = |mut link: UnixStream| {
        // Who closes before he has read takes his answer back.
        let _ = link.read(&mut [0; 512]);
        link.write_all(b"REJECTED EXTERNAL\r\n").unwrap();
    };
    assert_eq!(at(LONG, refuse), FaultKind::Denied);
    assert_eq!(at(LONG, drop), FaultKind::Malformed);
    let flood = |mut link: UnixStream| {
        let _ = link.write_all(&[b'x'; 100_000]);
    };
    assert_eq!(at(LONG, flood), FaultKind::Malformed);
    let endless = |mut link: UnixStream| {
        let _ = link.write_all(b"OK\r\n");
        // What is said before and after the login may come at once or in parts.
        let mut come: Vec<u8> = Vec::new();
        while !come.windows(7).any(|part| part == b"BEGIN\r\n") {
            let mut buffer = [0; 4096];
            let length = link.read(&mut buffer).unwrap();
            assert!(length > 0, "it went before it began");
            come.extend(&buffer[..length]);
        }
        let _ = link.write_all(b"l\x02\0\x01\xff\xff\xff\xff\x01\0\0\0\x08\0\0\0");
        std::mem::forget(link);
    };
    assert_eq!(at(LONG, endless), FaultKind::Malformed);
    // Neither systemd's own socket nor a bus, and no systemd at all.
    let folder = machine();
    assert_eq!(run(&folder).faults[0].kind, FaultKind::Absent);
    std::fs::remove_dir(folder.path().join("run/systemd/system")).unwrap();
    assert_eq!(run(&folder).faults[0].kind, FaultKind::Absent);
}

#[test]
fn hostile_names_and_many_of_them() {
    let folder = machine();
    serve(
        folder.path(),
        Arc::new(|call| {
            let names: Vec<String> = (0..5000).map(|n| format!("u\u{1b}[2J\n{n}.service")).collect();
            let units: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "failed")).collect();
            call.contains("ListUnits").then(|| list(&units))
        }),
    );
    let got = run(&folder);
    let named: Vec<_> = got.readings.iter().filter(|r| r.metric == "systemd.unit.failed").collect();
    assert_eq!((named.len(), named[0].item.as_str()), (MAX_FAILED, "u?[2J?0.service"));
    assert!(got.faults.iter().any(|fault| fault.kind == FaultKind::Cut));
    assert_eq!(got.readings[0].value, 5000.0);
}
