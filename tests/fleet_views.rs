//! What `fleet` tells of a store that is really filled: status, history, health, backup, prune, and the test mail.
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
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fleet_health::model::alert::{Evaluation, Mail, MailState, Plan};
use fleet_health::model::cause::Cause;
use fleet_health::model::fleet::{Attempt, Heartbeat, Outcome};
use fleet_health::model::job::Traffic;
use fleet_health::model::sample::{Reading, Sample, SampleKey};
use fleet_health::store::Store;
use fleet_health::store::sqlite::Sqlite;

use support::run::{self, Said, program, sqlite3};
use support::smtpd;
use support::sshd::{self, Options, Sshd};
use support::terminal::Terminal;

/// A folder with configuration, keys and the probe.
struct Home(tempfile::TempDir);

impl Home {
    fn new(hosts: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        sshd::probes(home.path(), &program("fleet-probe"));
        home.configure(hosts);
        home.fleet(&["keys", "generate"]).ends_with(0);
        home
    }

    fn configure(&self, hosts: &str) {
        let text = format!(
            "<fleet-health version=\"1\">\n  <collector state-dir=\"state\" probe-dir=\"probes\" interval=\"5m\"/>\n  \
             <keys recipient-file=\"keys/fleet.pub\" identity-file=\"keys/fleet.key\"/>\n  \
             <store url=\"sqlite:fleet.db\" keep=\"14d\" keep-hourly=\"400d\"/>\n{hosts}</fleet-health>\n"
        );
        self.write("config.xml", &text);
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
        fs::set_permissions(self.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn config(&self) -> PathBuf {
        self.path().join("config.xml")
    }

    fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program(name));
        command.arg("--config").arg(self.config()).args(args).stdin(Stdio::null());
        command.env("HOME", self.path()).env_remove("XDG_CACHE_HOME").env_remove("SSH_AUTH_SOCK");
        command
    }

    fn run(&self, name: &str, args: &[&str]) -> Said {
        Said::of(self.command(name, args).output().unwrap())
    }

    fn fleet(&self, args: &[&str]) -> Said {
        self.run("fleet", args)
    }

    fn database(&self) -> PathBuf {
        self.path().join("fleet.db")
    }

    fn store(&self) -> Sqlite {
        Sqlite::open(&self.database()).unwrap()
    }
}

fn ago(span: TimeDelta) -> DateTime<Utc> {
    Utc::now() - span
}

fn attempt(host: &str, at: DateTime<Utc>, outcome: Outcome) -> Attempt {
    Attempt { host: host.to_owned(), at, took: Duration::from_secs(1), outcome, traffic: Traffic::default() }
}

fn sample(boot: &str, sequence: u64, taken: DateTime<Utc>, values: &[(&str, &str, f64)]) -> Sample {
    let reading = |(metric, item, value): &(&str, &str, f64)| Reading {
        metric: (*metric).into(),
        item: (*item).into(),
        value: *value,
    };
    Sample {
        key: SampleKey { boot: boot.to_owned(), sequence },
        taken,
        hostname: "h".to_owned(),
        probe: "0.1.0".to_owned(),
        readings: values.iter().map(reading).collect(),
        faults: Vec::new(),
        facts: Vec::new(),
        top: Vec::new(),
    }
}

const HOSTS: &str = "  <group name=\"web\" labels=\"tier=front\"><host name=\"w1\" user=\"u\"/><host name=\"w2\" user=\"u\"/></group>\n  \
    <host name=\"self\" transport=\"local\"/>\n";

/// Two hours of `w1` in the last days, four hours of it before the days that are kept whole, a failure of `w2`.
/// Times lie in the middle of what they are rounded to, so that half a minute on a slow machine changes no output.
fn fill(home: &Home) {
    let mut store = home.store();
    let now = Utc::now();
    let ago = |span: TimeDelta| now - span;
    let sweep = store.begin_sweep(ago(TimeDelta::hours(1)), 2).unwrap();
    let mut sequence = 0;
    let mut put = |store: &mut Sqlite, boot: &str, at: DateTime<Utc>, cpu: f64, count: f64, uptime: f64| {
        sequence += 1;
        let values = [
            ("cpu.used", "", cpu),
            ("memory.used", "", 0.5),
            ("load.1m", "", 1.25),
            ("filesystem.used", "/", 0.4),
            ("filesystem.used", "/数据", 0.91),
            ("uptime", "", uptime),
            ("network.receive.bytes", "eth0", count),
        ];
        store.record(sweep, &attempt("w1", at, Outcome::Collected), &[sample(boot, sequence, at, &values)]).unwrap();
    };
    // On full hours of 20 days ago: three samples an hour.
    let old = ago(TimeDelta::days(20)).timestamp().div_euclid(3600) * 3600;
    for n in 0..12 {
        let seconds = n * 1200 + 60;
        let at = DateTime::from_timestamp(old + seconds, 0).unwrap();
        put(&mut store, "old", at, 0.1 * (n % 3 + 1) as f64, 3e6 * n as f64, 1e6 + seconds as f64);
    }
    // A counter that starts anew at the boot, and has passed its old value when it is looked at again.
    for n in 0..24 {
        let at = ago(TimeDelta::minutes(117 - 5 * n) + TimeDelta::seconds(30));
        let (boot, count) =
            if n < 12 { ("a", 300.0 * 1024.0 * n as f64) } else { ("b", 1e12 + 300.0 * 1024.0 * n as f64) };
        // Of boot b too: it ends at what the tables show.
        let uptime = 864_000.0 - 300.0 * (23 - n) as f64;
        put(&mut store, boot, at, n as f64 / 24.0, count, uptime);
    }
    let refused = Outcome::Failed { cause: Cause::Refused, text: "w2:22: connection refused".to_owned() };
    store.record(sweep, &attempt("w2", ago(TimeDelta::minutes(3)), refused), &[]).unwrap();
    store.end_sweep(sweep, ago(TimeDelta::minutes(3)), 1).unwrap();
    let rows = store.rows_after(0, 1000).unwrap().last().unwrap().id;
    store.commit_evaluation(&Evaluation { cursor: rows, ..Evaluation::default() }).unwrap();
}

/// Moments are not the same twice.
fn timeless(text: &str) -> String {
    let digits = |text: &str, shape: &str| {
        text.len() >= shape.len()
            && text.bytes().zip(shape.bytes()).all(|(b, s)| if s == b'0' { b.is_ascii_digit() } else { b == s })
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let long = ["0000-00-00T00:00:00.000Z", "0000-00-00T00:00:00Z", "0000-00-00 00:00:00"];
        match long.iter().find(|shape| digits(rest, shape)) {
            Some(shape) => {
                out.push_str(shape);
                rest = &rest[shape.len()..];
            }
            None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}

#[track_caller]
fn golden(name: &str, found: &str) {
    let mut found = timeless(found);
    // The age of w1 in seconds: how long ago it was filled.
    for age in 150..180 {
        found = found.replace(&format!("\"age\":{age}.0"), "\"age\":AGE").replace(&format!("ok,{age},"), "ok,AGE,");
    }
    support::golden::golden(name, &found);
}

/// Without the chart, whose axis moves with the clock; how it looks is tests/fleet.rs's.
fn uncharted(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|line| line.contains('┤')).unwrap();
    let last = lines.iter().position(|line| line.contains('└')).unwrap() + 1;
    assert!(
        last - first > 5
            && lines[first..last].iter().any(|line| line.contains(|c| ('\u{2801}'..'\u{28ff}').contains(&c)))
    );
    lines.iter().enumerate().filter(|(n, _)| *n < first || *n > last).map(|(_, line)| format!("{line}\n")).collect()
}

#[test]
fn a_filled_store_is_shown_in_every_form_also_after_it_was_pruned() {
    let home = Home::new(HOSTS);
    fill(&home);
    for pruned in [false, true] {
        if pruned {
            let said = home.fleet(&["prune", "--dry-run"]).ends_with(0);
            let written = said.out.strip_prefix("would be: 12 samples and 12 attempts removed, ").unwrap();
            let written = written.strip_suffix(" hourly points written, 0 removed\n").unwrap();
            // Those of what goes, and of what stays those hours that are over, however the clock stands.
            assert!(written.parse::<u32>().unwrap() >= 28, "{written}");
            let said = home.fleet(&["prune"]).ends_with(0);
            assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""), "silent under cron");
            assert_eq!(sqlite3(&home.database(), "SELECT count(*) FROM hourly")[0][0], written);
        }
        let status = ["status", "--group", "web"];
        golden("program-status.txt", &home.fleet(&status).ends_with(3).out);
        golden("program-status.json.txt", &home.fleet(&[&status[..], &["--json"]].concat()).ends_with(3).out);
        golden("program-status.csv.txt", &home.fleet(&[&status[..], &["--format", "csv"]].concat()).ends_with(3).out);
        let cpu = ["history", "w1", "cpu.used", "--since", "2h"];
        golden("program-history.txt", &uncharted(&home.fleet(&cpu).ends_with(0).out));
        golden("program-history.csv.txt", &home.fleet(&[&cpu[..], &["--csv"]].concat()).ends_with(0).out);
        let bytes = ["history", "w1", "network.receive.bytes", "--since", "2h"];
        golden("program-history-rates.txt", &uncharted(&home.fleet(&bytes).ends_with(0).out));
    }

    // Hours and whole samples in one answer; a rate never crosses the boot nor the border between both.
    let all = home.fleet(&["history", "w1", "cpu.used", "--since", "30d", "--json"]).ends_with(0).json();
    let rows = all["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4 + 24);
    let of = |row: &serde_json::Value, key: &str| row[key].as_f64().unwrap();
    assert!(of(&rows[0], "min") < of(&rows[0], "mean") && of(&rows[0], "mean") < of(&rows[0], "max"), "{}", rows[0]);
    let rates = home.fleet(&["history", "w1", "network.receive.bytes", "--since", "30d", "--json"]).ends_with(0).json();
    let rates: Vec<f64> = rates["rows"].as_array().unwrap().iter().map(|row| of(row, "mean")).collect();
    assert_eq!(rates.len(), 3 + 22);
    assert!(
        rates[..3].iter().all(|rate| (rate - 2500.0).abs() < 1e-6)
            && rates[3..].iter().all(|rate| (rate - 1024.0).abs() < 5.0),
        "{rates:?}"
    );

    let items =
        home.fleet(&["history", "w1", "filesystem.used", "--since", "2h", "--item", "/数*", "--csv"]).ends_with(0);
    assert!(items.out.lines().skip(1).count() == 24 && !items.out.contains("\r\n/,"), "{items:?}");
    for (wrong, next) in [
        (&["history", "nobody", "cpu.used"][..], "fleet hosts list"),
        (&["history", "w1", "cpu.usd"], "did you mean \"cpu.used\"?"),
        (&["history", "w1", "zzzz"], "fleet metrics"),
        (&["config", "show", "selv"], "did you mean \"self\"?"),
        (&["history", "w1", "cpu.used", "--since", "5"], "90s"),
        (&["status", "--host", "x*"], "fleet hosts list"),
    ] {
        assert!(home.fleet(wrong).ends_with(2).err.contains(next), "{wrong:?}");
    }
    let none = home.fleet(&["history", "self", "cpu.used"]).ends_with(0);
    assert_eq!(none.out, "nothing was measured of cpu.used on self: last 24h\n");
}

#[test]
fn two_real_sweeps_are_seen_at_once() {
    let home = Home::new("  <host name=\"self\" transport=\"local\"/>\n");
    assert_eq!(home.fleet(&["status", "--json"]).ends_with(0).json()["rows"][0]["level"], "unknown");
    for _ in 0..2 {
        home.run("fleet-collector", &[]).ends_with(0);
    }
    let status = home.fleet(&["status", "--json"]).ends_with(0).json();
    assert!(status["rows"][0]["memory"].as_f64().unwrap() > 0.0 && status["rows"][0]["problem"].is_null(), "{status}");
    let table = home.fleet(&["status"]).ends_with(0).out;
    assert!(table.lines().count() >= 2 && table.contains("self  OK"), "{table}");
    let points = home.fleet(&["history", "self", "memory.used", "--json"]).ends_with(0).json();
    assert_eq!(points["rows"].as_array().unwrap().len(), 2);
    let rates = home.fleet(&["history", "self", "cpu.seconds", "--csv"]);
    assert!(rates.code == Some(0) || rates.err.contains("fleet metrics"), "{rates:?}");

    let copy = home.path().join("copy.db");
    let shown = copy.display().to_string();
    assert!(home.fleet(&["backup", &shown, "-v"]).ends_with(0).out.contains("stop the runs"));
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let query = "SELECT host, metric, item, at, value FROM reading ORDER BY 1, 2, 3, 4";
    let rows = sqlite3(&copy, query);
    assert!(rows.len() > 20 && rows == sqlite3(&home.database(), query));
    assert_eq!(sqlite3(&copy, "PRAGMA integrity_check")[0][0], "ok");
    assert!(home.fleet(&["backup", &shown]).ends_with(74).err.contains(&shown));
}

#[test]
fn health_ends_as_a_nagios_plugin_in_every_state() {
    let home = Home::new(HOSTS);
    let health = |code: i32, word: &str| {
        let said = home.fleet(&["health"]).ends_with(code);
        assert!(said.out.starts_with(&format!("{word} - ")) && said.out.lines().count() == 1, "{said:?}");
        let json = home.fleet(&["health", "--json"]).ends_with(code).json();
        assert_eq!(json["level"].as_str().unwrap(), word.to_lowercase());
        said.out
    };
    let beat = |role: &str, minutes: i64, ok: bool, text: &str| {
        let at = ago(TimeDelta::minutes(minutes) + TimeDelta::seconds(5));
        home.store().beat(&Heartbeat { role: role.to_owned(), at, ok, text: text.to_owned() }).unwrap();
    };
    let never = health(2, "CRITICAL");
    assert!(never.contains("collector never ran; put it into cron: fleet-collector"), "{never}");
    beat("collector", 3, true, "");
    assert!(health(2, "CRITICAL").contains("alerter never ran"));
    beat("alerter", 4, true, "");
    assert!(health(0, "OK").contains("outbox empty"));
    beat("collector", 11, true, "");
    assert!(health(1, "WARNING").contains("collector 11m ago"));
    beat("collector", 16, true, "");
    health(2, "CRITICAL");
    beat("collector", 3, true, "");
    beat("alerter", 4, false, "mail.example.net: wrong password");
    assert!(health(1, "WARNING").contains("alerter 4m ago: mail.example.net: wrong password"));
    beat("alerter", 4, true, "");

    let mail = |minutes: i64| Mail {
        id: 0,
        destination: "ops".to_owned(),
        recipient: "ops@example.net".to_owned(),
        message_id: format!("<{minutes}@x>"),
        subject: "[CRIT]".to_owned(),
        body: Vec::new(),
        created: ago(TimeDelta::minutes(minutes) + TimeDelta::seconds(5)),
        state: MailState::Queued,
        attempts: 3,
        maybe: false,
        unclear: 0,
        next: Utc::now(),
        error: "421 try later".to_owned(),
        tells: Vec::new(),
        short: false,
    };
    home.store().commit_plan(&Plan { mails: vec![mail(10)], ..Plan::default() }).unwrap();
    assert!(health(0, "OK").contains("outbox 1 queued, oldest 10m"));
    home.store().commit_plan(&Plan { mails: vec![mail(20)], ..Plan::default() }).unwrap();
    assert!(health(2, "CRITICAL").contains("outbox 2 queued, oldest 20m: 421 try later"));

    for wrong in [&["health", "--nonsense"][..], &["health", "extra"], &["health", "--config", "/nowhere.xml"]] {
        let mut command = Command::new(program("fleet"));
        let said = Said::of(command.args(wrong).env_remove("FLEET_CONFIG").output().unwrap()).ends_with(3);
        assert!(said.out.starts_with("UNKNOWN - "), "{said:?}");
    }
    fs::write(home.database(), "no database at all, but long enough to be looked at").unwrap();
    assert!(health(2, "CRITICAL").contains("store damaged"));
}

fn subjects(home: &Home) -> Vec<String> {
    let Ok(entries) = fs::read_dir(home.path().join("mail")) else { return Vec::new() };
    let text = |entry: std::io::Result<fs::DirEntry>| fs::read_to_string(entry.unwrap().path()).unwrap();
    let subject = |mail: String| mail.lines().find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned));
    let mut all: Vec<String> = entries.filter_map(|entry| subject(text(entry))).collect();
    all.sort();
    all
}

#[test]
fn a_host_that_falls_silent_is_told_by_the_alerter_alone_and_so_is_its_return() {
    let mut host = Sshd::start(&Options::default());
    let home = Home::new("");
    home.configure(&format!(
        "  <ssh key-file=\"{}\" known-hosts=\"{}\"/>\n  <defaults><rule metric=\"host.silent\" warning=\"10m\" critical=\"20m\"/></defaults>\n  \
         <host name=\"w1\" address=\"{}\" port=\"{}\" user=\"{}\"/>\n  \
         <alerts recovered=\"true\"><to name=\"box\" directory=\"mail\"/><route rule=\"host.silent\" to=\"box\"/></alerts>\n",
        host.key.display(),
        host.known_hosts.display(),
        host.address,
        host.port,
        host.user
    ));
    let open = || {
        sqlite3(&home.database(), "SELECT count(*) FROM incident WHERE rule = 'host.silent' AND closed IS NULL")[0][0]
            .clone()
    };
    home.run("fleet-collector", &[]).ends_with(0);
    assert!(home.run("fleet-alerter", &["--dry-run"]).ends_with(0).out.contains(" 0 mails"));

    // The host is gone, and half an hour goes by in which sweeps bring no row of it: what was stored is that much older.
    // With no sweeps at all the collector would be the problem, not the host.
    host.stop();
    let older = "UPDATE sample SET at = at - 1800000; UPDATE attempt SET at = at - 1800000;";
    run::must("sqlite3", &[home.database().display().to_string(), older.to_owned()]);
    home.run("fleet-alerter", &[]).ends_with(0);
    let told = subjects(&home);
    assert!(told.len() == 1 && told[0].contains("[CRIT]") && told[0].contains("w1"), "{told:?}");
    let status = home.fleet(&["status", "--json"]).ends_with(3).json();
    assert_eq!((status["rows"][0]["level"].as_str(), open().as_str()), (Some("critical"), "1"));
    home.run("fleet-alerter", &[]).ends_with(0);
    assert_eq!(subjects(&home), told, "told once");

    // A sweep that does not get through is no return.
    home.run("fleet-collector", &[]).ends_with(3);
    home.run("fleet-alerter", &[]).ends_with(0);
    assert_eq!(subjects(&home), told);

    host.go_on();
    home.run("fleet-collector", &["--host", "w1"]).ends_with(0);
    home.run("fleet-alerter", &[]).ends_with(0);
    let all = subjects(&home);
    assert!(all.len() == 2 && all[1].contains("[OK]") && all[1].contains("w1"), "{all:?}");
    assert_eq!(open(), "0");
}

#[test]
fn a_test_mail_shows_the_dialogue_and_never_the_password() {
    let home = Home::new("");
    let server = smtpd::start("starttls", home.path());
    let configure = |port: u16| {
        home.configure(&format!(
            "  <alerts>\n    <smtp host=\"localhost\" port=\"{port}\" tls=\"starttls\" from=\"fleet@example.net\" user=\"fleet\" \
             password-file=\"smtp.pw\" ca-file=\"ca.pem\"/>\n    <to name=\"ops\" mail=\"ops@example.net\"/>\n    \
             <to name=\"box\" directory=\"mail\"/>\n    <route to=\"ops box\"/>\n  </alerts>\n"
        ));
    };
    configure(server.1);
    home.write("smtp.pw", "right\n");
    let said = home.fleet(&["mail", "test", "--to", "ops"]).ends_with(0);
    for stage in ["EHLO", "STARTTLS", "AUTH", "MAIL FROM", "RCPT TO", "250"] {
        assert!(said.out.contains(stage), "{stage} in {said:?}");
    }
    assert!(!said.out.contains("right") && !said.out.contains("cmlnaHQ"), "{said:?}");
    assert_eq!(fs::read_dir(home.path().join("box/new")).unwrap().count(), 1);

    let both = home.fleet(&["mail", "test"]).ends_with(0);
    assert!(both.out.contains("ops (") && both.out.contains("box ("), "{both:?}");
    assert_eq!(subjects(&home).len(), 1);

    home.write("smtp.pw", "a-wrong-secret\n");
    let said = home.fleet(&["mail", "test", "--to", "ops"]).ends_with(1);
    assert!(said.out.contains("FAILED at auth") && said.err.contains("failed at auth"), "{said:?}");
    assert!(!said.out.contains("secret") && !said.err.contains("secret"), "{said:?}");

    configure(run::free_port());
    let said = home.fleet(&["mail", "test"]).ends_with(1);
    assert!(said.err.contains("failed at connect") && said.out.contains("box ("), "one dead, the other told: {said:?}");
    assert_eq!(subjects(&home).len(), 2);
    assert!(home.fleet(&["mail", "test", "--to", "opz"]).ends_with(2).err.contains("ops, box"));
    fs::set_permissions(home.path().join("smtp.pw"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(home.fleet(&["mail", "test"]).ends_with(1).err.contains("chmod 600"));
}

#[test]
fn warnings_reach_a_person_and_never_cron() {
    let home = Home::new(HOSTS);
    home.configure(&format!(
        "{HOSTS}  <alerts><to name=\"box\" directory=\"mail\"/><to name=\"never\" directory=\"n\"/><route to=\"box\"/></alerts>\n"
    ));
    fill(&home);
    let warning = "no route leads to \"never\"";
    let checked = home.fleet(&["check-config"]).ends_with(0);
    assert!(checked.err.contains(warning) && checked.err.contains("config.xml:"), "{checked:?}");
    for quiet in [&["status"][..], &["prune"], &["health"]] {
        assert!(!home.fleet(quiet).err.contains(warning), "{quiet:?}");
    }
    assert!(!home.run("fleet-alerter", &[]).ends_with(0).err.contains(warning));
    for (flags, shown) in [("", 1), ("-q", 0)] {
        let command = format!("{} status {flags} --config {}", program("fleet").display(), home.config().display());
        let terminal = Terminal::start(home.path(), home.path(), &command);
        // A host failed.
        terminal.shows("ENDED 3");
        let screen = terminal.screen();
        assert_eq!(screen.matches(warning).count(), shown, "{screen}");
    }
}

#[test]
fn paths_are_told_with_their_reasons() {
    let home = Home::new(HOSTS);
    let text = home.fleet(&["paths"]).ends_with(0).out;
    let json = home.fleet(&["paths", "--json"]).ends_with(0).json();
    let rows = json["rows"].as_array().unwrap();
    for (what, name, exists) in [
        ("configuration", "config.xml", true),
        ("store", "fleet.db", false),
        ("recipients", "keys/fleet.pub", true),
        ("identities", "keys/fleet.key", true),
        ("state", "state", false),
        ("probes", "probes", true),
    ] {
        let path = home.path().join(name).display().to_string();
        let row = rows.iter().find(|row| row["what"] == what).unwrap_or_else(|| panic!("{what} in {json}"));
        assert_eq!((row["path"].as_str(), row["exists"].as_bool()), (Some(path.as_str()), Some(exists)));
        assert!(text.lines().any(|line| line.starts_with(what) && line.contains(&path)), "{text}");
    }
    assert_eq!(rows[0]["why"], "--config");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let home = Home::new(HOSTS);
    fill(&home);
    let config = home.config().display().to_string();
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["history", "w1", "cpu.used", "--csv"],
        &["metrics"],
        &["hosts", "list"],
        &["hosts", "list", "--json"],
        &["keys", "list"],
        &["consent", "list"],
        &["paths"],
        &["paths", "--json"],
        &["config", "show", "w1"],
        &["prune", "--dry-run"],
        &["check-config", "-v"],
        &["completions", "bash"],
        &["man"],
        &["--help"],
    ] {
        // A pipe that nobody reads from any more.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(program("fleet"));
        let output = command.args(args).env("FLEET_CONFIG", &config).stdout(writer).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        // A host failed, and that is all that is wrong.
        let wanted = if args[0] == "status" { 3 } else { 0 };
        assert!(
            !err.contains("panicked") && output.status.code() == Some(wanted),
            "{args:?}: {:?} {err}",
            output.status
        );
    }
}
