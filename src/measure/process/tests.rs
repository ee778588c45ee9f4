use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::Past;
use super::scan::Seen;
use super::*;
use crate::model::sample::By;

/// A machine of files with this uptime in seconds.
fn machine(uptime: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "proc/stat", "cpu  1 2 3 4\nprocesses 99\n");
    write(folder.path(), "proc/uptime", &format!("{uptime}.00 1.00\n"));
    write(folder.path(), "proc/sys/kernel/threads-max", "1000\n");
    write(folder.path(), "proc/sys/kernel/pid_max", "4000\n");
    write(folder.path(), "etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    process(folder.path(), 1, "init", 'S', 0, "");
    folder
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A process that began a second after boot and has two threads and a hundred pages.
fn process(folder: &Path, pid: u32, name: &str, state: char, ticks: u64, io: &str) {
    let line = format!("{pid} ({name}) {state} 1 0 0 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 2 0 100 0 100 0 0\n");
    write(folder, &format!("proc/{pid}/stat"), &line);
    if !io.is_empty() {
        write(folder, &format!("proc/{pid}/io"), io);
    }
}

fn run(folder: &Path, past: Past) -> super::super::Measured {
    let mut out = Out::beside(None, &Arc::new(past));
    out.section("process");
    let root = Root::at(folder);
    collect(&root, &mut out);
    finish(&root, &mut out, || {});
    out.into_measured()
}

fn io(read: u64, written: u64) -> String {
    format!("rchar: 1\nwchar: 1\nread_bytes: {read}\nwrite_bytes: {written}\ncancelled_write_bytes: 0\n")
}

#[test]
fn between_two_samples_shares_are_exact() {
    let folder = machine(1000);
    process(folder.path(), 20, "busy", 'R', 500, &io(1000, 0));
    process(folder.path(), 30, "idle", 'S', 100, &io(5, 5));
    let first = run(folder.path(), Past::default()).processes.unwrap();
    assert_eq!(Processes::parse(&first.bytes()), Some(first.clone()));
    write(folder.path(), "proc/uptime", "1300.00 1.00\n");
    // 150 s of processor time and 300 MB in 300 s; one that began in between used 3 s.
    process(folder.path(), 20, "busy", 'R', 500 + 15_000, &io(1000, 300_000_000));
    write(folder.path(), "proc/20/cgroup", "0::/system.slice/busy.service\n");
    let young = "40 (young) S 1 0 0 0 -1 0 0 0 0 0 300 0 0 0 20 0 1 0 110000 0 5000 0 0\n";
    write(folder.path(), "proc/40/stat", young);
    let got = run(folder.path(), Past { processes: Some(first), ..Past::default() });
    let top: Vec<_> = got.top.iter().map(|p| (p.by, p.comm.as_str(), p.value)).collect();
    let page = rustix::param::page_size() as f64;
    assert_eq!(
        top[..3],
        [(By::Cpu, "busy", 0.5), (By::Cpu, "young", 0.01), (By::Memory, "young", three(5000.0 * page))]
    );
    assert_eq!(top.last(), Some(&(By::Io, "busy", 1_000_000.0)));
    assert_eq!((got.top[0].unit.as_str(), got.top[0].command.as_str()), ("busy.service", ""));
    let value = |metric: &str| got.readings.iter().find(|r| r.metric == metric).map(|r| r.value);
    assert_eq!(
        (value("process.count"), value("process.threads"), value("process.forks")),
        (Some(4.0), Some(7.0), Some(99.0))
    );
    assert_eq!((value("process.threads.used"), value("process.pids.used")), (Some(0.007), Some(0.00175)));
    assert_eq!((value("process.running"), value("process.sleeping")), (Some(1.0), Some(3.0)));
    assert!(got.faults.is_empty(), "{:?}", got.faults);
}

fn three(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap()
}

#[test]
fn a_number_that_was_given_again_is_another_process() {
    let folder = machine(1000);
    process(folder.path(), 20, "old", 'S', 90_000, "");
    let first = run(folder.path(), Past::default()).processes.unwrap();
    write(folder.path(), "proc/uptime", "1010.00 1.00\n");
    let again = "20 (new) S 1 0 0 0 -1 0 0 0 0 0 100 0 0 0 20 0 1 0 100500 0 5 0 0\n";
    write(folder.path(), "proc/20/stat", again);
    let got = run(folder.path(), Past { processes: Some(first), ..Past::default() });
    let cpu: Vec<_> = got.top.iter().filter(|p| p.by == By::Cpu).map(|p| (p.comm.as_str(), p.value)).collect();
    assert_eq!(cpu, [("new", 0.1)], "one second in ten, and nothing of the one before");
}

#[test]
fn command_lines_travel_only_where_that_is_switched_on() {
    let folder = machine(1000);
    write(folder.path(), "proc/1/cmdline", "init\0--password\0secret\0");
    let command = |command_lines| {
        let got = run(folder.path(), Past { command_lines, ..Past::default() });
        got.top.iter().find(|p| p.by == By::Memory).map(|p| p.command.clone())
    };
    assert_eq!(command(false).as_deref(), Some(""));
    assert_eq!(command(true).as_deref(), Some("init --password secret"));
}

#[test]
fn the_stuck_and_the_unwaited_for_are_named() {
    let folder = machine(1000);
    process(folder.path(), 7, "a) \u{1b}[2J", 'D', 5, "");
    write(folder.path(), "proc/7/wchan", "io_schedule");
    for pid in [80, 81] {
        process(folder.path(), pid, "dead", 'Z', 0, "");
    }
    let first = run(folder.path(), Past::default());
    let longest = |got: &super::super::Measured| {
        got.readings.iter().find(|r| r.metric == "process.blocked.longest").map(|r| r.value)
    };
    assert_eq!(longest(&first), Some(0.0), "seen for the first time");
    write(folder.path(), "proc/uptime", "1300.00 1.00\n");
    let second = run(folder.path(), Past { processes: first.processes, ..Past::default() });
    assert_eq!(longest(&second), Some(300.0));
    let facts: Vec<_> = second.facts.iter().map(|fact| (fact.name.as_str(), fact.text.as_str())).collect();
    assert_eq!(facts, [("process.blocked", "a) ?[2J[7] in io_schedule"), ("process.zombies", "2 of init[1]")]);
    // It moved: another wait.
    process(folder.path(), 7, "moved", 'D', 6, "");
    write(folder.path(), "proc/uptime", "1400.00 1.00\n");
    let third = run(folder.path(), Past { processes: second.processes, ..Past::default() });
    assert_eq!(longest(&third), Some(0.0));
}

#[test]
fn hidden_processes_are_said_and_not_counted() {
    let folder = machine(1000);
    fs::remove_dir_all(folder.path().join("proc/1")).unwrap();
    process(folder.path(), 50, "own", 'S', 0, "");
    let got = run(folder.path(), Past::default());
    assert!(got.readings.iter().all(|r| r.metric == "process.forks"));
    assert!(got.faults.iter().any(|fault| fault.kind == FaultKind::Denied && fault.text.contains("hidepid")));
}

#[test]
fn limits_of_open_files() {
    let limits = b"Limit                     Soft Limit           Hard Limit           Units\n\
        Max processes             63432                63432                processes\n\
        Max open files            1024                 524288               files\n";
    assert_eq!(
        (soft_limit(limits), soft_limit(b"Max open files unlimited\n"), soft_limit(b"")),
        (Some(1024), None, None)
    );
}

/// Closed even to root, which the tests may be: a link that leads to itself.
#[test]
fn open_files_of_others_that_are_closed_are_no_share_of_all() {
    let folder = machine(1000);
    process(folder.path(), 20, "ours", 'S', 0, "");
    fs::create_dir_all(folder.path().join("proc/20/fd/inner")).unwrap();
    let shares = |got: &super::super::Measured| got.readings.iter().any(|r| r.metric == "process.files.used");
    let got = run(folder.path(), Past::default());
    assert!(shares(&got) && got.faults.iter().all(|fault| fault.item != "files"), "{:?}", got.faults);
    std::os::unix::fs::symlink("fd", folder.path().join("proc/1/fd")).unwrap();
    let got = run(folder.path(), Past::default());
    let told = got.faults.iter().any(|fault| fault.item == "files" && fault.kind == FaultKind::Denied);
    assert!(told && !shares(&got), "{:?}", got.faults);
}

/// A hundred thousand processes and more; it ends, and what was cut is said.
#[test]
fn very_many_processes_are_bounded() {
    // In memory, and one process under many numbers: a disk would be what is tested here.
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    write(folder.path(), "proc/uptime", "1000.00 1.00\n");
    process(folder.path(), 1, "worker \n) R 1", 'S', 9, "");
    for pid in 2..=scan::MAX_PROCESSES + 50 {
        std::os::unix::fs::symlink("1", folder.path().join(format!("proc/{pid}"))).unwrap();
    }
    let begin = Instant::now();
    let mut out = Out::beside(None, &Arc::new(Past::default()));
    collect(&Root::at(folder.path()), &mut out);
    let list = out.scan.as_ref().map_or(0, |scan| scan.list.len());
    assert_eq!(list, scan::MAX_PROCESSES);
    assert!(std::mem::size_of::<Seen>() <= 96, "ten megabytes for all");
    finish(&Root::at(folder.path()), &mut out, || {});
    let got = out.into_measured();
    assert!(got.faults.iter().any(|fault| fault.kind == FaultKind::Cut && fault.text.contains("100000")));
    assert!(got.top.len() <= 15 && !got.top.is_empty());
    assert!((got.processes.unwrap().bytes().len() as u64) < MAX_PROCESSES_FILE);
    // No measure of speed: a scan that is not linear would take hours.
    assert!(begin.elapsed() < Duration::from_secs(300));
}

proptest::proptest! {
    #[test]
    fn no_content_of_a_process_stops_it(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let folder = machine(1000);
        for file in ["stat", "io", "cgroup", "limits", "wchan", "cmdline"] {
            fs::create_dir_all(folder.path().join("proc/9")).unwrap();
            fs::write(folder.path().join("proc/9").join(file), &bytes).unwrap();
        }
        fs::write(folder.path().join("etc/passwd"), &bytes).unwrap();
        let past = Past { processes: Processes::parse(&bytes), command_lines: true, ..Past::default() };
        run(folder.path(), past);
    }
}
