//! `fleet-collector` over the one host that needs no SSH: this machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may stop where something is wrong, and starts programs"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use fleet_health::model::cause::Cause;
use fleet_health::model::fleet::{Attempt, Outcome};
use fleet_health::model::job::Traffic;
use fleet_health::model::spec::StoreSpec;
use fleet_health::store::{self, Store};
use fleet_health::wire::{frame, seal};
use support::local::Bench;

/// The smallest installation, and what these tests ask of it.
struct Home(Bench);

impl Home {
    fn new(more: &str) -> Self {
        let home = Self(Bench::new());
        home.configure(more);
        home
    }

    fn configure(&self, more: &str) {
        self.0.configure(more, 0o600);
    }

    fn path(&self) -> &Path {
        self.0.dir.path()
    }

    fn collector(&self, flags: &[&str]) -> Output {
        self.0.command("fleet-collector", flags).output().unwrap()
    }

    fn fleet(&self, flags: &[&str]) -> Output {
        self.0.command("fleet", flags).output().unwrap()
    }

    fn store(&self) -> Box<dyn Store> {
        let location = self.0.database().display().to_string();
        let day = std::time::Duration::from_secs(86_400);
        store::open(&StoreSpec { backend: "sqlite".into(), location, keep: day, keep_hourly: day }).unwrap()
    }

    /// Puts a script in the probe's place.
    fn play(&self, script: &str) {
        fs::remove_file(self.0.probe()).unwrap();
        write(&self.0.probe(), script, 0o755);
    }

    fn spooled(&self) -> Vec<String> {
        self.0.spooled()
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn code(output: &Output) -> i32 {
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    output.status.code().unwrap()
}

#[test]
fn two_sweeps_store_two_samples_and_are_silent() {
    let home = Home::new("");
    for sweep in 1..=2 {
        let output = home.collector(&[]);
        assert_eq!(code(&output), 0);
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "cron would mail this");
        let store = home.store();
        assert_eq!(store.sweeps(10).unwrap().len(), sweep);
        assert_eq!(store.rows_after(0, 100).unwrap().iter().map(|row| row.samples.len()).sum::<usize>(), sweep);
    }
    let now = home.store().now().unwrap();
    let (_, sample) = now[0].sample.clone().unwrap();
    assert!(sample.value("memory.total", "").unwrap() > 1e6);
    assert!(sample.value("cpu.used", "").is_some());
    assert_eq!(home.spooled(), Vec::<String>::new(), "what was acknowledged is deleted");
}

#[test]
fn json_tells_of_every_host() {
    let home = Home::new("");
    let output = home.collector(&["--json"]);
    assert_eq!(code(&output), 0);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["hosts"][0]["host"], "self");
    assert_eq!(json["hosts"][0]["outcome"], "collected");
    assert_eq!(json["hosts"][0]["samples"], 1);
}

#[test]
fn a_dry_run_touches_nothing() {
    let home = Home::new("");
    let output = home.collector(&["--dry-run"]);
    assert_eq!(code(&output), 0);
    assert!(String::from_utf8_lossy(&output.stdout).contains("self: this machine"));
    assert!(!home.path().join("fleet.db").exists() && !home.path().join("state").exists());
}

#[test]
fn a_dry_run_says_who_would_not_be_visited_and_whether_there_are_probes() {
    let home = Home::new(
        "<host name=\"shy\" address=\"192.0.2.1\" user=\"u\"/><host name=\"far\" address=\"192.0.2.2\" user=\"u\"/>",
    );
    let at = chrono::DateTime::<chrono::Utc>::from(SystemTime::now());
    let failed = |cause| Outcome::Failed { cause, text: "no".to_owned() };
    let attempt =
        |outcome| Attempt { host: "shy".into(), at, took: Duration::ZERO, outcome, traffic: Traffic::default() };
    {
        let mut store = home.store();
        let sweep = store.begin_sweep(at, 1).unwrap();
        store.record(sweep, &attempt(failed(Cause::Authentication)), &[]).unwrap();
    }
    let said = |flags: &[&str]| {
        let output = home.collector(flags);
        assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = said(&["--dry-run"]);
    assert!(text.contains("shy: ") && text.contains("; not visited: back-off: the last attempt ended"), "{text}");
    assert!(text.contains("\n3 hosts, 1 not visited, "), "{text}");
    let json: serde_json::Value = serde_json::from_str(&said(&["--dry-run", "--json"])).unwrap();
    let skipped = |at: usize| json["hosts"][at]["skipped"]["cause"].clone();
    assert_eq!((&json["hosts"][0]["host"], skipped(0)), (&"shy".into(), "back-off".into()), "{json}");
    assert!(json["hosts"][1]["skipped"].is_null(), "{json}");
    // Who asks for it by name gets it, as in a sweep.
    assert!(said(&["--dry-run", "--host", "shy"]).contains("1 hosts, 0 not visited"));
    home.configure("<consent require=\"true\"/>");
    assert!(said(&["--dry-run"]).contains("self: this machine; not visited: no-consent: "));
    // A folder of probes without a probe is found out before cron does.
    fs::remove_dir_all(home.path().join("probes")).unwrap();
    fs::create_dir(home.path().join("probes")).unwrap();
    let output = home.collector(&["--dry-run"]);
    assert_eq!(code(&output), 78);
    assert!(String::from_utf8_lossy(&output.stderr).contains("make probes"));
}

#[test]
fn a_host_that_does_not_exist_is_a_usage_error_with_the_next_command() {
    let home = Home::new("");
    let output = home.collector(&["--host", "web*"]);
    assert_eq!(code(&output), 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("fleet hosts list"));
}

#[test]
fn files_for_another_key_are_set_aside_and_leave_the_host() {
    let home = Home::new("");
    let (_, stranger) = seal::generate();
    write(&home.path().join("keys/fleet.pub"), &format!("{stranger}\n"), 0o644);
    let output = home.collector(&["--json"]);
    assert_eq!(code(&output), 3);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["hosts"][0]["cause"], "undecryptable");
    assert_eq!(fs::read_dir(home.path().join("state/undecryptable")).unwrap().count(), 1);
    assert_eq!(home.spooled(), Vec::<String>::new());
}

#[test]
fn without_consent_nothing_is_collected() {
    let home = Home::new("<consent require=\"true\"/>");
    let output = home.collector(&["--json"]);
    assert_eq!(code(&output), 3);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["hosts"][0]["cause"], "no-consent");
    assert!(!home.path().join(".cache/fleet-health").exists(), "the host was not touched");

    assert_eq!(code(&home.fleet(&["consent", "grant", "self", "--by", "Ann Owner", "--purpose", "watching"])), 0);
    assert_eq!(code(&home.collector(&[])), 0);

    assert_eq!(code(&home.fleet(&["consent", "revoke", "self", "--erase"])), 0);
    assert!(home.store().now().unwrap().iter().all(|host| host.sample.is_none()), "revoking erased what was stored");
    assert_eq!(code(&home.collector(&[])), 3);
}

#[test]
fn a1_a_host_that_gives_more_files_than_asked_for_costs_little_memory_and_is_left_alone() {
    let home = Home::new("");
    let content = vec![b'x'; 16 * 1024];
    let mut frames = Vec::new();
    for number in 0..4096 {
        frame::write_file(&mut frames, &format!("0d2f7d1a-{number:010}.age"), &content).unwrap();
    }
    fs::write(home.path().join("frames"), frames).unwrap();
    // It keeps to the format: only the number of files is beyond what was asked for.
    let script = format!(
        "#!/bin/sh\nread -r task\nnonce=${{task#*nonce\\\":\\\"}}\nnonce=${{nonce%%\\\"*}}\necho \"FLEET1 $nonce\"\n\
         cat {}/frames\necho \"end $nonce 4096 0 0\"\n",
        home.path().display()
    );
    home.play(&script);
    let collector = env!("CARGO_BIN_EXE_fleet-collector");
    let measure = "import resource, subprocess, sys\nstatus = subprocess.call(sys.argv[1:])\n\
                   print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\nsys.exit(status)";
    let mut command = Command::new("python3");
    command.args(["-c", measure, collector, "-q", "--config"]).arg(home.path().join("config.xml"));
    let output = command.env("HOME", home.path()).env_remove("XDG_CACHE_HOME").output().unwrap();
    assert_eq!(code(&output), 3);
    let most: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert!(most < 50 * 1024, "{most} KiB");
    let attempts = home.store().attempts("self", 9).unwrap();
    assert!(matches!(attempts[0].outcome, Outcome::Failed { cause: Cause::Oversize, .. }), "{attempts:?}");
    let traffic = attempts[0].traffic;
    assert!(traffic.received < 4 << 20, "{traffic:?}");
}

#[test]
fn erasing_waits_for_the_sweep_that_is_under_way() {
    let home = Home::new("");
    assert_eq!(code(&home.collector(&[])), 0);
    let real = home.path().join("real-probe");
    fs::copy(env!("CARGO_BIN_EXE_fleet-probe"), &real).unwrap();
    let (began, go) = (home.path().join("began"), home.path().join("go"));
    home.play(&format!(
        "#!/bin/sh\n: >{}\nuntil [ -e {} ]; do sleep 0.05; done\nexec {} \"$@\"\n",
        began.display(),
        go.display(),
        real.display()
    ));
    fs::create_dir_all(home.path().join("state/undecryptable/self")).unwrap();
    fs::write(home.path().join("fleet.db.corrupt-20260101T000000Z"), "").unwrap();
    std::thread::scope(|scope| {
        let sweep = scope.spawn(|| home.collector(&[]));
        while !began.exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let erased = scope.spawn(|| home.fleet(&["consent", "revoke", "self", "--erase"]));
        std::thread::sleep(Duration::from_millis(500));
        assert!(!erased.is_finished(), "the sweep would store what it has at hand");
        fs::write(&go, "").unwrap();
        assert_eq!(code(&sweep.join().unwrap()), 0);
        let erased = erased.join().unwrap();
        assert_eq!(code(&erased), 0);
        let said = String::from_utf8(erased.stdout).unwrap();
        assert!(
            said.starts_with("2 samples of self were erased; ") && said.contains("fleet.db.corrupt-2026"),
            "{said}"
        );
    });
    assert!(home.store().now().unwrap().is_empty() && !home.path().join("state/undecryptable/self").exists());
}

#[test]
fn a_look_at_some_hosts_is_no_sign_of_life() {
    let home = Home::new("");
    assert_eq!(code(&home.collector(&["--host", "self"])), 0);
    assert!(home.store().beats().unwrap().is_empty());
    let health = home.fleet(&["health"]);
    assert_eq!(code(&health), 2);
    assert!(String::from_utf8_lossy(&health.stdout).contains("collector never ran"));
    assert_eq!(code(&home.collector(&[])), 0);
    assert_eq!(home.store().beats().unwrap()[0].role, "collector");
}

#[test]
fn rows_that_no_alerter_treats_are_told_of() {
    let home = Home::new("");
    assert_eq!(code(&home.collector(&[])), 0);
    let quiet = home.fleet(&["prune"]);
    assert_eq!(code(&quiet), 0);
    assert!(quiet.stderr.is_empty());
    let store = rusqlite::Connection::open(home.path().join("fleet.db")).unwrap();
    store.execute("UPDATE attempt SET at = at - 30 * 86400000", []).unwrap();
    for flags in [&["prune", "--dry-run"][..], &["prune"]] {
        let said = home.fleet(flags);
        assert_eq!(code(&said), 0);
        let text = String::from_utf8(said.stderr).unwrap();
        assert!(text.contains("1 attempts") && text.contains("fleet-alerter") && text.lines().count() == 1, "{text}");
    }
    store.execute("INSERT OR REPLACE INTO number VALUES ('cursor', 99)", []).unwrap();
    assert!(home.fleet(&["prune"]).stderr.is_empty());
}

#[test]
fn a_clock_that_went_wrong_here_prunes_nothing() {
    let home = Home::new("");
    assert_eq!(code(&home.collector(&[])), 0);
    let store = rusqlite::Connection::open(home.path().join("fleet.db")).unwrap();
    let samples = || store.query_row("SELECT count(*) FROM sample", [], |row| row.get::<_, i64>(0)).unwrap();
    // As if the clock here had gone forward by 40 days before that sweep; then after it.
    let wrong = ["UPDATE sample SET at = at - 40 * 86400000", "UPDATE attempt SET at = at - 40 * 86400000"];
    for change in wrong {
        store.execute(change, []).unwrap();
        for flags in [&["prune", "--dry-run"][..], &["prune"]] {
            let said = home.fleet(flags);
            let text = String::from_utf8(said.stderr.clone()).unwrap();
            assert_eq!(code(&said), 1, "{text}");
            assert!(text.contains("date") && text.contains("--force") && text.lines().count() == 1, "{text}");
        }
    }
    assert_eq!(samples(), 1);
    assert_eq!(code(&home.fleet(&["prune", "--force"])), 0);
    // Another sweep, and time is no matter of dispute.
    assert_eq!(code(&home.collector(&[])), 0);
    assert_eq!(code(&home.fleet(&["prune"])), 0);
}

#[test]
fn a_time_and_keys_beyond_what_a_probe_takes_are_met_here() {
    let home = Home::new("");
    let config = home.path().join("config.xml");
    let text = fs::read_to_string(&config).unwrap();
    let long = text.replace("<collector ", "<collector timeout=\"2h\" deadline=\"3h\" interval=\"4h\" ");
    fs::write(&config, long).unwrap();
    assert_eq!(code(&home.collector(&[])), 0);
    let keys: String = (0..33).map(|_| format!("{}\n", seal::generate().1)).collect();
    write(&home.path().join("keys/fleet.pub"), &keys, 0o644);
    let output = home.collector(&[]);
    assert_eq!(code(&output), 78);
    assert!(String::from_utf8_lossy(&output.stderr).contains("at most 32"));
}

#[test]
fn a_store_that_takes_nothing_ends_with_74_and_the_sample_waits_on_the_host() {
    let home = Home::new("");
    assert_eq!(code(&home.collector(&[])), 0);
    let connection = rusqlite::Connection::open(home.path().join("fleet.db")).unwrap();
    connection
        .execute_batch("CREATE TRIGGER broken BEFORE INSERT ON sample BEGIN SELECT RAISE(ABORT, 'made to fail'); END")
        .unwrap();
    let output = home.collector(&[]);
    assert_eq!(code(&output), 74);
    assert!(String::from_utf8_lossy(&output.stderr).contains("made to fail"));
    assert_eq!(home.spooled().len(), 1, "not acknowledged, so kept");

    connection.execute_batch("DROP TRIGGER broken").unwrap();
    assert_eq!(code(&home.collector(&[])), 0);
    let samples: usize = home.store().rows_after(0, 100).unwrap().iter().map(|row| row.samples.len()).sum();
    assert_eq!(samples, 3, "the one that waited came too");
}

#[test]
fn o18_logs_are_json_line_by_line_and_the_counts_of_a_sweep_add_up() {
    // One that is there and one whose port nobody listens on.
    let home = Home::new("<host name=\"down\" address=\"127.0.0.1\" port=\"1\" user=\"u\"/>");
    let output = home.fleet(&["hosts", "test", "self", "-vv", "--log-format", "json"]);
    let logged = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((code(&output), logged.lines().count()), (0, 1), "{logged}");
    for line in logged.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(chrono::DateTime::parse_from_rfc3339(line["time"].as_str().unwrap()).is_ok(), "{line}");
        assert!(["error", "warn", "info", "debug"].contains(&line["level"].as_str().unwrap()), "{line}");
        assert!(line["message"].is_string() && line["target"].is_string(), "{line}");
    }
    let output = home.collector(&["--json"]);
    assert_eq!(code(&output), 3);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let hosts = said["hosts"].as_array().unwrap();
    let collected = hosts.iter().filter(|host| host["outcome"] == "collected").count();
    let failed = usize::try_from(said["failed"].as_u64().unwrap()).unwrap();
    assert_eq!((hosts.len(), collected, failed), (2, 1, 1), "{said}");
    let store = home.store();
    let sweep = store.sweeps(1).unwrap().remove(0);
    assert_eq!((sweep.hosts, sweep.failed), (2, 1));
    let rows = store.rows_after(0, 100).unwrap();
    assert_eq!(rows.len(), 2, "a row for each host, whatever became of it");
}
