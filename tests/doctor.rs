//! `fleet doctor`, `fleet nagios` and `fleet demo`: what they find, how they end, and what they leave alone.
#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may stop where something is wrong, and starts programs"
)]

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use fleet_health::model::cause::Cause;
use fleet_health::model::fleet::{Attempt, Heartbeat, Outcome};
use fleet_health::model::job::Traffic;
use fleet_health::model::sample::{Reading, Sample, SampleKey};
use fleet_health::store::Store;
use fleet_health::store::sqlite::Sqlite;

use support::run::{Said, program, sqlite3};
use support::smtpd;

struct Home(tempfile::TempDir);

impl Home {
    /// With keys, and a probe of this machine's kind.
    fn new(inside: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        // No program that runs, but it begins as one.
        support::sshd::probes(home.path(), &home.write("probe", "\u{7f}ELF", 0o755));
        home.configure(inside);
        home.fleet(&["keys", "generate"]).ends_with(0);
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn configure(&self, inside: &str) {
        let text = format!(
            "<fleet-health version=\"1\">\n<collector state-dir=\"state\" probe-dir=\"probes\" interval=\"5m\"/>\n\
             <keys recipient-file=\"keys/fleet.pub\" identity-file=\"keys/fleet.key\"/>\n\
             <store url=\"sqlite:fleet.db\"/>\n{inside}</fleet-health>\n"
        );
        self.write("config.xml", &text, 0o600);
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let file = self.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    fn fleet(&self, args: &[&str]) -> Said {
        let mut command = Command::new(program("fleet"));
        command.arg("--config").arg(self.path().join("config.xml")).args(args).stdin(Stdio::null());
        command.env("HOME", self.path()).env_remove("SSH_AUTH_SOCK").env_remove("XDG_CONFIG_HOME");
        Said::of(command.output().unwrap())
    }

    /// Findings of a part: level, text, what to do next.
    fn doctor(&self, part: &str) -> Vec<(String, String, String)> {
        let said = self.fleet(&["doctor", "--json", "--timeout", "60s"]);
        assert!(said.code.is_some_and(|code| code <= 2), "{said:?}");
        let json = said.json();
        let rows = json["rows"].as_array().unwrap().clone();
        let word = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        for row in &rows {
            assert!(row["level"] == "ok" || !word(row, "next").is_empty(), "a fault without its remedy: {row}");
        }
        let worst =
            ["ok", "warning", "critical"].iter().rposition(|level| rows.iter().any(|row| row["level"] == *level));
        assert_eq!(said.code.unwrap(), worst.unwrap() as i32, "the exit code is the worst level");
        rows.iter()
            .filter(|row| row["part"] == part)
            .map(|row| (word(row, "level"), word(row, "finding"), word(row, "next")))
            .collect()
    }

    #[track_caller]
    fn finds(&self, part: &str, level: &str, text: &str, next: &str) {
        let found = self.doctor(part);
        let hit = found.iter().any(|it| it.0 == level && it.1.contains(text) && it.2.contains(next));
        assert!(hit, "{level} {text} {next}: {found:#?}");
    }

    fn store(&self) -> Sqlite {
        Sqlite::open(&self.path().join("fleet.db")).unwrap()
    }

    fn record(&self, host: &str, at: DateTime<Utc>, outcome: Outcome, taken: Option<DateTime<Utc>>) {
        let took = Duration::from_secs(1);
        let attempt = Attempt { host: host.into(), at, took, outcome, traffic: Traffic::default() };
        let reading = |metric: &str, item: &str, value| Reading { metric: metric.into(), item: item.into(), value };
        let sample = taken.map(|taken| Sample {
            key: SampleKey { boot: format!("b-{host}"), sequence: u64::try_from(at.timestamp_millis()).unwrap() },
            taken,
            hostname: "h".into(),
            probe: "1".into(),
            readings: vec![
                reading("cpu.used", "", 0.5),
                reading("filesystem.used", "/", 0.42),
                reading("filesystem.used", "/a|b='c", 0.1),
            ],
            faults: Vec::new(),
            facts: Vec::new(),
            top: Vec::new(),
        });
        self.store().record(1, &attempt, sample.as_slice()).unwrap();
    }

    fn beat(&self, role: &str) {
        let beat = Heartbeat { role: role.to_owned(), at: Utc::now(), ok: true, text: String::new() };
        self.store().beat(&beat).unwrap();
    }
}

const TWO: &str = "<ssh key-file=\"keys/id\"/><group name=\"web\"><service name=\"shop\" min-healthy=\"2\"/>\
                   <host name=\"w1\" user=\"u\"/><host name=\"w2\" user=\"u\"/></group>\n";

#[test]
fn keys_that_others_can_read_are_named_with_the_command_that_mends_them() {
    let home = Home::new(TWO);
    home.finds("keys", "critical", "log in with to w1 and 1 more", "ssh-keygen");
    let key = home.write("keys/id", "x", 0o644);
    home.finds("keys", "critical", "mode 0644", &format!("chmod 600 '{}'", key.display()));
    home.write("keys/id", "x", 0o600);
    home.finds("keys", "ok", "readable by nobody else", "");
    let identity = home.path().join("keys/fleet.key");
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o640)).unwrap();
    home.finds("keys", "critical", "0640", "chmod 600");
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o600)).unwrap();
    let public = home.path().join("keys/fleet.pub");
    let ours = fs::read_to_string(&public).unwrap();
    fs::write(&public, "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\n").unwrap();
    home.finds("keys", "critical", "could be opened", "fleet keys list");
    fs::write(&public, ours).unwrap();
    fs::set_permissions(home.path().join("config.xml"), fs::Permissions::from_mode(0o666)).unwrap();
    home.finds("keys", "critical", "lets others change it", "chmod go-w");
}

#[test]
fn hosts_clocks_and_runs_are_told_from_the_store() {
    let home = Home::new(TWO);
    home.finds("store", "warning", "is not there yet", "fleet-collector");
    assert!(!home.path().join("fleet.db").exists(), "the doctor makes no store");
    let now = Utc::now();
    drop(home.store());
    home.finds("hosts", "warning", "w1: never collected", "fleet hosts test w1");
    home.finds("runs", "critical", "collector never ran", "fleet-collector -v");
    home.record("w1", now, Outcome::Collected, Some(now));
    let refused = Outcome::Failed { cause: Cause::Authentication, text: "no key was taken".into() };
    home.record("w2", now, refused, None);
    home.beat("collector");
    home.beat("alerter");
    home.finds("hosts", "ok", "1 of 2 hosts", "");
    home.finds("hosts", "critical", "w2: authentication", "ssh-copy-id");
    home.finds("hosts", "critical", "left alone: the last attempt ended with authentication", "w2");
    home.finds("runs", "ok", "alerter ", "");
    for (seconds, level, text) in
        [(90, "warning", "ahead of"), (-90, "warning", "behind"), (900, "critical", "ahead of")]
    {
        let later = Utc::now();
        home.record("w2", later, Outcome::Collected, Some(later + TimeDelta::seconds(seconds)));
        home.finds("hosts", level, &format!("{text} ours"), "timedatectl");
    }
}

#[test]
fn a_damaged_store_is_found_and_left_where_it_is() {
    let home = Home::new(TWO);
    home.record("w1", Utc::now(), Outcome::Collected, Some(Utc::now()));
    home.finds("store", "ok", "quick_check", "");
    let file = home.path().join("fleet.db");
    let sound = fs::read(&file).unwrap();
    let mut bytes = sound.clone();
    let whole = bytes.len();
    bytes[4096..whole.min(65_536)].fill(0xff);
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(home.path().join(format!("fleet.db{suffix}")));
    }
    fs::write(&file, &bytes).unwrap();
    home.finds("store", "critical", "damaged", "fleet backup");
    assert_eq!(fs::read(&file).unwrap(), bytes, "the doctor changes nothing");
    fs::write(&file, sound).unwrap();
    let aside = home.write("fleet.db.corrupt-1", "x", 0o600);
    home.finds("store", "critical", "set aside", &format!("rm '{}'", aside.display()));
    sqlite3(&file, "SELECT 1");
    let newer = Command::new("sqlite3").arg(&file).arg("PRAGMA user_version = 99").status().unwrap();
    assert!(newer.success());
    home.finds("store", "critical", "newer", "upgrade");
}

#[test]
fn every_way_to_tell_people_is_tried_and_nothing_is_sent() {
    let home = Home::new("");
    let server = smtpd::start("starttls", home.path());
    // Somewhere that takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let alerts = |smtp: u16| {
        format!(
            "<alerts><smtp host=\"localhost\" port=\"{smtp}\" tls=\"starttls\" from=\"fleet@example.net\" user=\"fleet\" \
             password-file=\"smtp.pw\" ca-file=\"ca.pem\"/><to name=\"ops\" mail=\"ops@example.net\"/>\
             <to name=\"box\" directory=\"mail\"/><to name=\"none\" directory=\"config.xml/mail\"/>\
             <to name=\"hook\" webhook=\"http://127.0.0.1:{}/secret-path\"/>\
             <to name=\"prog\" mail=\"a@example.net\" sendmail=\"/nowhere/sendmail\"/>\
             <route to=\"ops box none hook prog\"/></alerts>",
            silent.local_addr().unwrap().port()
        )
    };
    home.configure(&alerts(server.1));
    home.write("smtp.pw", "right\n", 0o600);
    home.finds("mail", "ok", "smtp localhost", "");
    home.finds("mail", "ok", "directory", "");
    home.finds("mail", "ok", "webhook hook http://127.0.0.1", "");
    home.finds("mail", "critical", "config.xml: Not a directory", "fleet mail test --to none");
    home.finds("mail", "critical", "/nowhere/sendmail", "fleet mail test --to prog");
    assert!(!home.fleet(&["doctor"]).out.contains("secret-path"));
    assert_eq!(fs::read_dir(home.path().join("box/new")).map_or(0, Iterator::count), 0, "nothing was sent");
    assert!(!home.path().join("mail").exists());
    home.write("smtp.pw", "wrong-secret\n", 0o600);
    home.finds("mail", "critical", "failed at auth", "fleet mail test --to ops");
    assert!(!home.fleet(&["doctor"]).out.contains("wrong-secret"));
    home.configure(&alerts(support::run::free_port()));
    home.finds("mail", "critical", "failed at connect", "--to ops");

    // A server that never speaks holds nobody for longer than was said; all else is told.
    home.configure(&alerts(silent.local_addr().unwrap().port()));
    let start = Instant::now();
    let said = home.fleet(&["doctor", "--timeout", "3s"]).ends_with(2);
    assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
    assert!(said.out.contains("smtp localhost") && said.out.contains("probes"), "{said:?}");
    home.configure("");
    home.finds("mail", "warning", "nobody is told", "<to name=");
}

#[test]
fn without_a_configuration_the_doctor_says_how_to_get_one() {
    let home = Home::new(TWO);
    let said = home.fleet(&["doctor"]);
    // A word that is longer than its line stays whole.
    let fits = |line: &str| line.chars().count() <= 80 || line.split_whitespace().any(|word| word.len() > 40);
    assert!(said.out.lines().all(fits), "{}", said.out);
    assert!(said.out.contains("\n                     next: "), "{}", said.out);
    let quiet = home.fleet(&["-q", "doctor"]);
    assert!(!quiet.out.contains("OK  "), "{}", quiet.out);
    home.write("config.xml", "<fleet-health version=\"1\"><hots/></fleet-health>", 0o600);
    home.finds("configuration", "critical", "config.xml:1:", "fleet check-config");
    fs::remove_file(home.path().join("config.xml")).unwrap();
    home.finds("configuration", "critical", "no configuration", "fleet init");
    assert!(home.fleet(&["doctor", "--nonsense"]).ends_with(3).out.starts_with("UNKNOWN - "));
}

#[test]
fn nagios_is_answered_in_every_state() {
    let home = Home::new(TWO);
    let now = Utc::now();
    drop(home.store());
    let answer = |args: &[&str], code: i32, word: &str| {
        let said = home.fleet(&[&["nagios"][..], args].concat()).ends_with(code);
        assert!(said.out.starts_with(&format!("{word} - ")) && said.out.lines().count() == 1, "{said:?}");
        said.out
    };
    assert!(answer(&["w1"], 3, "UNKNOWN").contains("fleet hosts test w1"));
    home.record("w1", now, Outcome::Collected, Some(now));
    let ok = answer(&["w1"], 0, "OK");
    let (text, data) = ok.split_once(" | ").unwrap();
    assert_eq!(text, "OK - w1: no problems, seen 0s ago");
    assert!(data.contains("'cpu.used'=50%;90;97;0;100 'filesystem.used /'=42%;80;90;0;100"), "{data}");
    assert!(data.contains("'filesystem.used /a?b?''c'=10%;"), "{data}");
    assert_eq!(data.matches('|').count(), 0);
    assert!(answer(&["--service", "shop"], 1, "WARNING").contains("shop: 1 of 2 servers healthy, wanted are 2"));
    assert!(answer(&["--service", "shoq"], 3, "UNKNOWN").contains("did you mean \"shop\"?"));
    assert!(answer(&[], 2, "CRITICAL").contains("collector never ran"));
    home.beat("collector");
    home.beat("alerter");
    assert!(answer(&["--fleet"], 3, "UNKNOWN").contains("2 hosts: 1 ok, 0 warning, 0 critical, 1 unknown"));
    home.record("w2", now, Outcome::Collected, Some(now));
    assert!(answer(&["--fleet"], 0, "OK").contains("'ok'=2;;;0;2"));
    assert!(answer(&["--service", "shop"], 0, "OK").contains("'healthy'=2;2:;1:;0;2"));
    let failed = Outcome::Failed { cause: Cause::Refused, text: "a|b\u{1b}[31m".into() };
    home.record("w2", now + TimeDelta::seconds(1), failed, None);
    assert!(answer(&["w2"], 1, "WARNING").contains("refused: a?b?[31m"));
    for usage in [&["nobody"][..], &["w1", "--fleet"], &["--service"], &["--nonsense"], &["w1", "w2"]] {
        answer(usage, 3, "UNKNOWN");
    }
    let old = now - TimeDelta::hours(2);
    home.configure("<host name=\"old\" user=\"u\"/>");
    home.record("old", old, Outcome::Collected, Some(old));
    assert!(answer(&["old"], 3, "UNKNOWN").contains("fleet health"));
    home.write("config.xml", "<nonsense", 0o600);
    answer(&["w1"], 3, "UNKNOWN");
}

#[test]
fn a_demo_needs_nothing_and_can_be_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("demo");
    let run = |args: &[&str]| {
        let mut command = Command::new(program("fleet"));
        command.args(args).stdin(Stdio::null()).env("TMPDIR", dir.path()).env_remove("FLEET_CONFIG");
        Said::of(command.output().unwrap())
    };
    let shown = place.display().to_string();
    let said = run(&["demo", "--dir", &shown]).ends_with(0);
    assert!(said.out.contains(&format!("export FLEET_CONFIG='{shown}/config.xml'")), "{said:?}");
    let config = place.join("config.xml").display().to_string();
    let status = run(&["--config", &config, "status", "--json"]).json();
    let level = |name: &str| {
        let row = status["rows"].as_array().unwrap().iter().find(|row| row["host"] == name).unwrap().clone();
        row["level"].as_str().unwrap().to_owned()
    };
    assert_eq!((status["rows"].as_array().unwrap().len(), level("web01").as_str()), (12, "ok"), "{status}");
    assert!(level("print") == "critical" && level("db1") != "ok" && level("web03") != "ok", "{status}");
    let past =
        run(&["--config", &config, "history", "db1", "filesystem.used", "--since", "2d", "--csv"]).ends_with(0).out;
    assert!(past.lines().count() > 1000, "{past}");
    assert!(fs::read_dir(place.join("mail")).unwrap().count() >= 1);
    let count = || sqlite3(&place.join("fleet.db"), "SELECT count(*) FROM sample")[0][0].clone();
    let before = count();
    let started: i64 = sqlite3(&place.join("fleet.db"), "SELECT max(started) FROM sweep")[0][0].parse().unwrap();
    run(&["demo", "--dir", &shown]).ends_with(0);
    // Five minutes may have gone by meanwhile.
    if Utc::now().timestamp_millis() - started < 295_000 {
        assert_eq!(count(), before);
    }
    for file in ["config.xml", "keys/fleet.key", "fleet.db"] {
        assert_eq!(fs::metadata(place.join(file)).unwrap().permissions().mode() & 0o077, 0, "{file}");
    }
    // What is not a demo is left alone.
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(other.join("mine"), "").unwrap();
    assert!(run(&["demo", "--dir", &other.display().to_string()]).ends_with(1).err.contains("--dir"));
    fs::write(other.join("config.xml"), "<fleet-health version=\"1\"/>").unwrap();
    assert!(run(&["demo", "--dir", &other.display().to_string()]).ends_with(1).err.contains("no demo"));
    assert_eq!(fs::read_dir(&other).unwrap().count(), 2);
}
