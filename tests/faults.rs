//! Faults of operation (design/trust.md, O): killed at each system call, no disk, no lock, a corrupt store, a probe that
//! crashes or hangs; and what the programs keep of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::process::Stdio;
use std::time::{Duration, Instant};

mod support;

use fleet_health::model::cause::Cause;
use fleet_health::model::fleet::{Attempt, Outcome};
use fleet_health::model::job::Traffic;
use fleet_health::store::Store;
use fleet_health::store::sqlite::Sqlite;
use support::fleet::{header, shown};
use support::given::{given, stored};
use support::local::{Bench, Mounted, files_below, mode};
use support::mailbox::Mailbox;
use support::run::{Said, sqlite3, until};

/// The collector's one host, as `--json` tells of it.
fn of_self(said: &Said) -> serde_json::Value {
    said.json()["hosts"][0].clone()
}

/// strace that sends SIGKILL to each process or thread at its call number `n` of those that change something.
fn killer(n: usize) -> [String; 7] {
    let calls = "pwrite64,fdatasync,fsync,rename,sendto,write,unlink";
    let inject = format!("inject={calls}:signal=KILL:when={n}");
    ["strace", "-f", "-qq", "-o/dev/null", "--seccomp-bpf", "-e", &inject].map(str::to_owned)
}

fn killed(bench: &Bench, n: usize, program: &str) -> bool {
    let words = killer(n);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let status = bench.under(&words, program, &["-q"]).stderr(Stdio::null()).stdout(Stdio::null()).status().unwrap();
    !matches!(status.code(), Some(0 | 3))
}

/// Numbers 1, 2, 3 ... and further on with a stride, so that the time is bounded where there are many calls.
fn points() -> impl Iterator<Item = usize> {
    (1..30).chain((30..90).step_by(3)).chain((90..1000).step_by(15))
}

#[test]
fn o1_a_collector_killed_at_any_call_loses_and_doubles_nothing() {
    let bench = Bench::new();
    let log = bench.path("given");
    bench.wrap_probe(&format!("\"$real\" \"$@\" | tee -a {}", shown(&log)));
    bench.run("fleet-collector", &[]).ends_with(0);
    let mut kills = 0;
    for n in points() {
        let before: BTreeSet<String> = bench.spooled().into_iter().collect();
        let died = killed(&bench, n, "fleet-collector");
        // What is gone from the spool was acknowledged: it is stored already.
        let kept = stored(&bench.database(), "self");
        for gone in before.difference(&bench.spooled().into_iter().collect()) {
            assert_eq!(kept.get(gone), Some(&1), "call {n}: {gone} was acknowledged and is not stored");
        }
        kills += usize::from(died);
        let untouched = !died && n > 30;
        if untouched {
            break;
        }
    }
    assert!(kills >= 10, "only {kills} runs were killed: the test shows nothing");
    until("a clean run empties the spool", Duration::from_secs(60), || {
        let said = bench.run("fleet-collector", &[]);
        said.code == Some(0) && bench.spooled().is_empty()
    });
    let (left, kept) = (given(&log), stored(&bench.database(), "self"));
    assert!(left.len() >= 10, "{left:?}");
    for name in &left {
        assert_eq!(kept.get(name), Some(&1), "{name} left the probe");
    }
    assert!(kept.values().all(|&count| count == 1), "{kept:?}");
    assert_eq!(sqlite3(&bench.database(), "pragma integrity_check"), [["ok"]]);
}

/// A host that was tried twice in vain, so that there is something to tell.
fn unreachable(store: &mut Sqlite, host: &str, minutes_ago: [i64; 2]) {
    for minutes in minutes_ago {
        let at = chrono::Utc::now() - chrono::TimeDelta::minutes(minutes);
        let sweep = store.begin_sweep(at, 1).unwrap();
        let outcome = Outcome::Failed { cause: Cause::Refused, text: "nothing listens".into() };
        let attempt = Attempt { host: host.into(), at, took: Duration::ZERO, outcome, traffic: Traffic::default() };
        store.record(sweep, &attempt, &[]).unwrap();
        store.end_sweep(sweep, at, 1).unwrap();
        // Two rows of one moment are one.
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn subjects(mailbox: &Mailbox) -> BTreeSet<(String, String)> {
    mailbox.mails().iter().map(|mail| (header(mail, "Subject"), header(mail, "Message-ID"))).collect()
}

#[test]
fn o1_an_alerter_killed_at_any_call_tells_everything() {
    let bench = Bench::new();
    let mailbox = Mailbox::start(&bench.path("mail"));
    let hosts: String =
        points().map(|n| format!("<host name=\"n{n:03}\" address=\"127.0.0.1\" user=\"x\"/>\n")).collect();
    bench.configure(&format!("{hosts}{}", mailbox.alerts()), 0o600);
    bench.run("fleet-alerter", &[]).ends_with(0);
    let mut kills = 0;
    for n in points() {
        let host = format!("n{n:03}");
        unreachable(&mut Sqlite::open(&bench.database()).unwrap(), &host, [6, 1]);
        let died = killed(&bench, n, "fleet-alerter");
        // What counts as sent has arrived.
        let sent = sqlite3(&bench.database(), "select message_id from mail where state = 'sent'");
        let arrived = subjects(&mailbox);
        for row in sent {
            assert!(arrived.iter().any(|(_, id)| id.contains(&row[0])), "call {n}: {row:?} never arrived");
        }
        bench.run("fleet-alerter", &[]).ends_with(0);
        let told = subjects(&mailbox);
        let mine: Vec<_> = told.iter().filter(|(subject, _)| subject.contains(&host)).collect();
        // It may be sent twice when it dies between sending and writing that down, but then as the same mail.
        assert_eq!(mine.len(), 1, "call {n}: {told:?}");
        kills += usize::from(died);
        if !died && n > 30 {
            break;
        }
    }
    assert!(kills >= 10, "only {kills} runs were killed: the test shows nothing");
    assert_eq!(sqlite3(&bench.database(), "select count(*) from mail where state in ('queued', 'dead')"), [["0"]]);
    assert_eq!(sqlite3(&bench.database(), "pragma integrity_check"), [["ok"]]);
}

#[test]
fn o3_on_a_full_disk_the_alert_still_goes() {
    let bench = Bench::new();
    let mailbox = Mailbox::start(&bench.path("mail"));
    let small = bench.path("small");
    let _mounted = Mounted::new(&small, "32m");
    bench.configure(&mailbox.alerts(), 0o600);
    let text = fs::read_to_string(bench.path("config.xml")).unwrap();
    let text = text.replace("sqlite:fleet.db", "sqlite:small/fleet.db");
    bench.write_config(&text.replace("state-dir=\"state\"", "state-dir=\"small/state\""));
    bench.run("fleet-collector", &[]).ends_with(0);
    bench.run("fleet-alerter", &[]).ends_with(0);
    assert_eq!(subjects(&mailbox).len(), 0);
    assert_eq!(mode(&small.join("fleet.db.ballast")), 0o600);

    unreachable(&mut Sqlite::open(&small.join("fleet.db")).unwrap(), "self", [0, 0]);
    let mut fill = fs::File::create(small.join("fill")).unwrap();
    for size in [65_536, 4096, 512] {
        while fill.write(&vec![0; size]).is_ok_and(|count| count > 0) {}
    }
    let said = bench.run("fleet-collector", &[]).ends_with(74);
    assert!(said.err.contains("cannot be written"), "{}", said.err);
    let status = bench.run("fleet", &["status", "--json"]).ends_with(3).json();
    assert!(status["rows"][0]["uptime"].is_f64(), "what was stored stays readable: {status}");
    assert!(small.join("fleet.db.ballast").exists(), "only the alerter may use the room");

    let said = bench.run("fleet-alerter", &[]).ends_with(0);
    assert!(said.err.contains("free space"), "{}", said.err);
    let told = subjects(&mailbox);
    assert_eq!(told.len(), 1, "{told:?}");
    bench.run("fleet-alerter", &[]).ends_with(0);
    assert_eq!(subjects(&mailbox), told, "told once");

    // Once there is space, the samples come that waited, and room is kept back again.
    drop(fill);
    fs::remove_file(small.join("fill")).unwrap();
    bench.run("fleet-collector", &[]).ends_with(0);
    assert!(bench.spooled().is_empty());
    assert!(small.join("fleet.db.ballast").exists());
    assert_eq!(sqlite3(&small.join("fleet.db"), "pragma integrity_check"), [["ok"]]);
}

/// Takes half a minute: the time that a store waits for another program.
#[test]
fn o4_a_locked_store_is_waited_for_and_the_samples_stay_on_their_hosts() {
    let bench = Bench::new();
    bench.run("fleet-collector", &[]).ends_with(0);
    let (log, begun, go) = (bench.path("given"), bench.path("begun"), bench.path("go"));
    bench.wrap_probe(&format!(
        "touch {}; until [ -e {} ]; do sleep 0.05; done; \"$real\" \"$@\" | tee -a {}",
        shown(&begun),
        shown(&go),
        shown(&log)
    ));
    let run = bench.command("fleet-collector", &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the sweep is under way", Duration::from_secs(20), || begun.exists());
    // Another program, which takes the store while the sample is on its way.
    let other = rusqlite::Connection::open(bench.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    fs::write(&go, "").unwrap();
    let start = Instant::now();
    let said = Said::of(run.wait_with_output().unwrap()).ends_with(74);
    let took = start.elapsed();
    assert!(took > Duration::from_secs(29), "it did not wait: {took:?}");
    assert!(took < Duration::from_secs(55), "it waited twice: {took:?}");
    assert!(said.err.contains("locked by another program"), "{}", said.err);
    let waiting = bench.spooled();
    assert_eq!(waiting.len(), 1, "{waiting:?}");

    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    bench.run("fleet-collector", &[]).ends_with(0);
    assert!(bench.spooled().is_empty());
    let kept = stored(&bench.database(), "self");
    assert!(given(&log).iter().chain(&waiting).all(|name| kept.get(name) == Some(&1)), "{kept:?}");
}

#[test]
fn o5_a_corrupt_store_is_set_aside_and_said_until_a_person_took_it_away() {
    let bench = Bench::new();
    bench.run("fleet-collector", &[]).ends_with(0);
    fs::write(bench.database(), vec![b'x'; 9000]).unwrap();
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(bench.path(&format!("fleet.db{end}")));
    }
    let said = bench.run("fleet-collector", &[]).ends_with(0);
    assert!(said.err.contains("was damaged"), "{}", said.err);
    let aside: Vec<_> =
        files_below(bench.dir.path()).into_iter().filter(|file| shown(file).contains(".corrupt-")).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!((fs::read(&aside[0]).unwrap(), mode(&aside[0])), (vec![b'x'; 9000], 0o600));
    for _ in 0..2 {
        let health = bench.run("fleet", &["health"]).ends_with(2);
        assert!(health.out.contains("store damaged") && health.out.contains(".corrupt-"), "{}", health.out);
    }
    bench.run("fleet-collector", &[]).ends_with(0);
    bench.run("fleet-alerter", &[]).ends_with(0);
    fs::rename(&aside[0], bench.path("for-later")).unwrap();
    let health = bench.run("fleet", &["health"]).ends_with(0);
    assert!(!health.out.contains("damaged"), "{}", health.out);
}

#[test]
fn o7_a_holder_of_the_lock_over_three_intervals_is_said() {
    let bench = Bench::new();
    bench.run("fleet-collector", &[]).ends_with(0);
    bench.run("fleet-alerter", &[]).ends_with(0);
    for name in ["collector", "alerter"] {
        let file = bench.path(&format!("state/{name}.lock"));
        let held = fs::OpenOptions::new().read(true).write(true).mode(0o600).open(&file).unwrap();
        held.lock().unwrap();
        let program = format!("fleet-{name}");
        for (minutes, said) in [(14, false), (16, true)] {
            let since = chrono::Utc::now() - chrono::TimeDelta::minutes(minutes);
            fs::write(&file, format!("4711 {}\n", since.to_rfc3339())).unwrap();
            let run = bench.run(&program, &[]).ends_with(75);
            assert_eq!(run.err.contains("4711"), said, "{program} after {minutes} minutes: {}", run.err);
        }
    }
    // The lock is not inherited by what a run starts: it is free as soon as the run ends, whatever lives on.
    bench.wrap_probe("sleep 5 </dev/null >/dev/null 2>&1 & exec \"$real\" \"$@\"");
    bench.run("fleet-collector", &[]).ends_with(0);
    bench.run("fleet-collector", &[]).ends_with(0);
}

/// Processes whose argument list holds a word.
fn alive(word: &str) -> usize {
    let lines = fs::read_dir("/proc").unwrap().flatten();
    lines.filter(|entry| fs::read_to_string(entry.path().join("cmdline")).is_ok_and(|line| line.contains(word))).count()
}

#[test]
fn o16_a_probe_that_crashes_or_hangs_is_told_and_leaves_no_orphan() {
    let bench = Bench::new();
    let text = fs::read_to_string(bench.path("config.xml")).unwrap();
    bench.write_config(&text.replace("<collector", "<collector timeout=\"3s\""));
    bench.wrap_probe("kill -SEGV $$");
    let host = of_self(&bench.run("fleet-collector", &["--json"]).ends_with(3));
    assert_eq!(host["cause"], "probe-failed", "{host}");
    assert!(host["text"].as_str().unwrap().contains("signal"), "{host}");

    bench.wrap_probe("sleep 30172 & sleep 30171");
    let start = Instant::now();
    let host = of_self(&bench.run("fleet-collector", &["--json"]).ends_with(3));
    assert_eq!(host["cause"], "deadline", "{host}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    until("what the probe started is gone", Duration::from_secs(5), || alive("30171") + alive("30172") == 0);

    // A program of another machine cannot run here at all.
    fs::remove_file(bench.probe()).unwrap();
    fs::write(bench.probe(), b"\x7fELF of another world").unwrap();
    fs::set_permissions(bench.probe(), fs::Permissions::from_mode(0o755)).unwrap();
    let host = of_self(&bench.run("fleet-collector", &["--json"]).ends_with(3));
    assert_eq!(host["cause"], "local-setup", "{host}");
    assert!(host["text"].as_str().unwrap().contains("fleet-probe"), "{host}");
}

#[test]
fn d4_no_program_leaves_a_core() {
    let bench = Bench::new();
    for (name, args) in
        [("fleet", &["status"][..]), ("fleet-collector", &[]), ("fleet-alerter", &[]), ("fleet-probe", &["--print"])]
    {
        let trace = bench.path("trace");
        let strace = ["strace", "-o", &shown(&trace), "-e", "trace=prlimit64,setrlimit"];
        let said = Said::of(bench.under(&strace, name, args).output().unwrap());
        assert_eq!(said.code, Some(0), "{name}: {}", said.err);
        let text = fs::read_to_string(&trace).unwrap();
        let set = text.lines().find(|line| line.contains("RLIMIT_CORE, {"));
        let set = set.unwrap_or_else(|| panic!("{name} leaves cores: {text}"));
        assert!(set.contains("rlim_cur=0, rlim_max=0") && set.ends_with("= 0"), "{name}: {set}");
    }
}
