//! Fleets for the dashboard's tests: a configuration, a store that is filled as collector and alerter would, a server.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::fmt::Write;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fleet_health::model::alert::{Ending, Evaluation, Event, Incident, Mail, MailState, Plan, Tells, Told};
use fleet_health::model::cause::Cause;
use fleet_health::model::fleet::{Attempt, Heartbeat, Outcome};
use fleet_health::model::job::Traffic;
use fleet_health::model::level::Level;
use fleet_health::model::sample::{By, Fact, Fault, FaultKind, Process, Reading, Sample, SampleKey};
use fleet_health::store::Store;
use fleet_health::store::sqlite::Sqlite;

#[path = "filled.rs"]
mod filled;

pub use filled::incident;

/// Who signs in.
pub const PASSWORD: &str = "correct horse battery staple";

/// A folder with configuration and store.
pub struct Home {
    pub folder: tempfile::TempDir,
    pub now: DateTime<Utc>,
}

impl Home {
    /// With these hosts in the configuration, and a user `ada` where somebody signs in.
    pub fn new(hosts: &str, user: bool) -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap(), now: Utc::now() };
        let web = if user {
            format!("  <web><user name=\"ada\" password-hash=\"{}\"/></web>\n", hash(PASSWORD))
        } else {
            String::new()
        };
        let text = format!(
            "<fleet-health version=\"1\">\n  <collector state-dir=\"state\" interval=\"5m\"/>\n  <store url=\"sqlite:fleet.db\"/>\n\
             {hosts}{web}</fleet-health>\n"
        );
        fs::write(home.config(), text).unwrap();
        fs::set_permissions(home.config(), fs::Permissions::from_mode(0o600)).unwrap();
        home
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("config.xml")
    }

    /// Exchanges a part of the configuration; an empty one stands before its end.
    pub fn hosts(&self, old: &str, new: &str) {
        let old = if old.is_empty() { "</fleet-health>" } else { old };
        let new = if old == "</fleet-health>" { format!("{new}{old}") } else { new.to_owned() };
        let text = fs::read_to_string(self.config()).unwrap().replace(old, &new);
        fs::write(self.config(), text).unwrap();
    }

    pub fn store(&self) -> Sqlite {
        Sqlite::open(&self.folder.path().join("fleet.db")).unwrap()
    }

    pub fn ago(&self, minutes: i64) -> DateTime<Utc> {
        self.now - TimeDelta::minutes(minutes)
    }

    /// Collector and alerter ran just now.
    pub fn beats(&self) {
        let mut store = self.store();
        for role in ["collector", "alerter"] {
            let beat = Heartbeat { role: role.to_owned(), at: self.ago(1), ok: true, text: String::new() };
            store.beat(&beat).unwrap();
        }
    }
}

fn hash(password: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
    let mut child =
        command.args(["serve", "hash-password"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// `fleet serve` over a home; ends with its owner.
pub struct Server {
    child: Child,
    pub url: String,
}

impl Server {
    pub fn start(home: &Home) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
        command.arg("--config").arg(home.config()).args(["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().nth(1).unwrap_or_else(|| panic!("fleet serve said {line:?}"));
        Self { url: url.trim_end_matches('/').to_owned(), child }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tells a story (`tests/browser/NAME.js`) to a browser; its pictures stay in `target/screenshots`.
#[track_caller]
pub fn browse(story: &str, url: &str, more: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("node");
    command.arg(root.join("tests/browser").join(format!("{story}.js"))).arg(url);
    command.arg(root.join("target/screenshots")).args(more).stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|error| panic!("node: {error}; install it with: make deps"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{story}:\n{said}");
    // What was found and is no failure, for whoever looks with --no-capture.
    println!("{said}");
}

/// As [`browse`], for a story that says `READY` in its midst: something happens then, and it goes on.
#[track_caller]
pub fn browse_while(story: &str, url: &str, happens: impl FnOnce()) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("node");
    command.arg(root.join("tests/browser").join(format!("{story}.js"))).arg(url).arg(root.join("target/screenshots"));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node; install it with: make deps");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    if lines.by_ref().any(|line| line.unwrap() == "READY") {
        happens();
        writeln!(child.stdin.take().unwrap()).unwrap();
    }
    let rest: Vec<String> = lines.map(|line| line.unwrap()).collect();
    assert!(child.wait().unwrap().success(), "{story}: {rest:?}; what it threw stands above");
}

/// One host's sample, as noisy as hosts are; `n` makes hosts different, `minute` counts from an arbitrary moment.
pub fn sample(n: u32, minute: i64, at: DateTime<Utc>) -> Sample {
    let turn = |period: f64, shift: f64| ((minute as f64 / period + f64::from(n) * 1.7 + shift).sin() + 1.0) / 2.0;
    let seconds = minute as f64 * 60.0;
    let busy = 0.08 + 0.35 * turn(97.0, 0.0) + 0.12 * turn(11.0, 1.0);
    let gib = 1_073_741_824.0;
    let mut readings: Vec<Reading> = Vec::new();
    let mut put = |metric: &str, item: &str, value: f64| {
        readings.push(Reading { metric: metric.to_owned(), item: item.to_owned(), value });
    };
    put("cpu.used", "", busy);
    put("cpu.iowait", "", 0.05 * turn(23.0, 2.0));
    put("cpu.steal", "", 0.01 * turn(31.0, 0.5));
    put("cpu.count", "", 4.0);
    put("load.1m", "", busy * 4.4);
    put("load.5m", "", 0.6 + 1.6 * turn(97.0, 0.0));
    put("load.15m", "", 0.8 + 1.2 * turn(97.0, 0.0));
    put("load.per-core", "", busy * 1.1);
    put("memory.total", "", 16.0 * gib);
    put("memory.used", "", 0.42 + 0.2 * turn(400.0, 0.3));
    put("swap.used", "", 0.02);
    for (item, shift) in [("cpu", 0.0), ("memory", 1.0), ("io", 2.0)] {
        put("pressure.some", item, 0.08 * turn(41.0, shift));
    }
    for (mount, size, used) in [("/", 40.0, 0.37), ("/var", 200.0, 0.58), ("/home", 500.0, 0.22)] {
        let used = used + 0.02 * turn(900.0, size);
        put("filesystem.size", mount, size * gib);
        put("filesystem.available", mount, size * gib * (1.0 - used));
        put("filesystem.used", mount, used);
        put("filesystem.inodes.used", mount, used / 5.0);
    }
    put("disk.io.seconds", "sda", seconds * 0.12);
    put("disk.read.bytes", "sda", seconds * 2e6);
    put("disk.written.bytes", "sda", seconds * 7e6 + 4e9 * turn(60.0, 0.0));
    put("network.receive.bytes", "eth0", seconds * 3e6 + 9e9 * turn(130.0, 0.0));
    put("network.transmit.bytes", "eth0", seconds * 9e6);
    put("temperature", "coretemp Package id 0", 41.0 + 14.0 * turn(97.0, 0.0));
    put("uptime", "", 1e6 + seconds);
    put("update.pending", "", 12.0);
    put("update.security", "", 3.0);
    let process = |by: By, pid: u32, comm: &str, user: &str, unit: &str, value: f64| Process {
        by,
        pid,
        user: user.to_owned(),
        comm: comm.to_owned(),
        unit: unit.to_owned(),
        command: String::new(),
        value,
    };
    let top = vec![
        process(By::Cpu, 812, "postgres", "postgres", "postgresql@15-main.service", busy),
        process(By::Cpu, 1200 + (minute % 50) as u32, "backup", "root", "cron.service", busy / 3.0),
        process(By::Cpu, 1, "systemd", "root", "init.scope", 0.01),
        process(By::Memory, 812, "postgres", "postgres", "postgresql@15-main.service", 3.4 * gib),
        process(By::Memory, 901, "java", "shop", "shop.service", 2.1 * gib),
        process(By::Io, 812, "postgres", "postgres", "postgresql@15-main.service", 4.1e6),
    ];
    let facts = [
        ("host.distribution.name", "Debian GNU/Linux 12 (bookworm)"),
        ("host.kernel", "6.1.0-18-amd64"),
        ("host.architecture", "x86_64"),
        ("host.processor", "AMD EPYC 7313 16-Core Processor"),
        ("host.cores", "4 cores, 8 threads"),
        ("host.virtualization", "qemu"),
    ];
    let fact = |(name, text): &(&str, &str)| Fact { name: (*name).into(), item: String::new(), text: (*text).into() };
    let faults = vec![Fault {
        section: "smart".to_owned(),
        item: String::new(),
        kind: FaultKind::Denied,
        text: "smartctl needs root; one line allows it: fleet ALL=(root) NOPASSWD: /usr/sbin/smartctl".to_owned(),
    }];
    Sample {
        key: SampleKey { boot: format!("boot-{n}"), sequence: u64::try_from(minute).unwrap() },
        taken: at,
        hostname: format!("h{n}"),
        probe: "0.1.0".to_owned(),
        readings,
        faults,
        facts: facts.iter().map(fact).collect(),
        top,
    }
}

/// Replaces a reading of a sample.
pub fn set(sample: &mut Sample, metric: &str, item: &str, value: f64) {
    sample.readings.retain(|it| it.metric != metric || it.item != item);
    sample.readings.push(Reading { metric: metric.to_owned(), item: item.to_owned(), value });
}

pub fn attempt(host: &str, at: DateTime<Utc>, outcome: Outcome) -> Attempt {
    let traffic = Traffic { sent: 5400, received: 7100, round_trips: 8, shipped: false };
    Attempt { host: host.to_owned(), at, took: Duration::from_millis(740), outcome, traffic }
}

pub fn closed(mut incident: Incident, at: DateTime<Utc>) -> Incident {
    incident.level = Level::Ok;
    incident.closed = Some(at);
    incident.ending = Some(Ending::Recovered);
    incident
}

/// Writes incidents with an event each, and a mail about the first.
pub fn tell(home: &Home, incidents: Vec<Incident>) {
    let mut store = home.store();
    let events = incidents.iter().map(|it| Event {
        incident: it.id,
        at: it.opened,
        level: it.worst,
        value: it.value,
        text: it.text.clone(),
    });
    let tells = incidents.first().map(|it| Tells {
        incident: it.id,
        action: "problem".to_owned(),
        level: it.level,
        before: None,
    });
    let mails = incidents.first().map(|it| Mail {
        id: 0,
        destination: "ops".to_owned(),
        recipient: "ops@example.net".to_owned(),
        message_id: "<1@example.net>".to_owned(),
        subject: format!("[CRIT] {} {} {}", it.subject.host, it.subject.rule, it.subject.item),
        body: Vec::new(),
        created: it.opened + TimeDelta::minutes(1),
        state: MailState::Sent,
        attempts: 1,
        maybe: false,
        unclear: 0,
        next: it.opened,
        error: String::new(),
        tells: tells.into_iter().collect(),
        short: false,
    });
    let told = incidents.first().filter(|it| it.closed.is_none()).map(|it| Told {
        incident: it.id,
        destination: "ops".to_owned(),
        recipient: "ops@example.net".to_owned(),
        level: it.level,
        at: it.opened + TimeDelta::minutes(1),
        reminders: 0,
        flapping: false,
        thread: it.id,
    });
    let (told, mails): (Vec<Told>, Vec<Mail>) = (told.into_iter().collect(), mails.into_iter().collect());
    let evaluation = Evaluation { cursor: 1_000_000, events: events.collect(), incidents, ..Evaluation::default() };
    store.commit_evaluation(&evaluation).unwrap();
    store.commit_plan(&Plan { told, mails, ..Plan::default() }).unwrap();
}

/// Five hosts: one critical, one with a warning, one well, one that does not answer, one that was never visited.
pub fn five(user: bool) -> Home {
    let home = Home::new(
        "  <group name=\"web\" labels=\"tier=front\">\n    <service name=\"nginx\" min-healthy=\"2\"><process program=\"nginx\"/></service>\n    \
         <host name=\"web01\" user=\"u\"/><host name=\"web02\" user=\"u\"/>\n  </group>\n  \
         <group name=\"data\" labels=\"tier=db owner=dba\">\n    <host name=\"db1\" user=\"u\" address=\"10.0.0.20\" port=\"2222\"/>\n    \
         <host name=\"db2\" user=\"u\" address=\"10.0.0.21\"/>\n    <host name=\"new1\" user=\"u\"/>\n  </group>\n",
        user,
    );
    let mut store = home.store();
    let sweep = store.begin_sweep(home.ago(3), 5).unwrap();
    // A day and more, every ten minutes; an hour of it is missing.
    for step in (0..160).rev().filter(|step| !(60..66).contains(step)) {
        let minutes = step * 10 + 2;
        let at = home.ago(minutes);
        for (n, host) in ["web01", "web02", "db1", "db2"].into_iter().enumerate() {
            if host == "db2" && minutes < 40 {
                continue;
            }
            let mut it = sample(u32::try_from(n).unwrap(), 20_000 - minutes, at);
            if host == "web01" {
                let used = if minutes < 300 { 0.97 } else { 0.6 + 0.37 * (1600 - minutes) as f64 / 1300.0 };
                set(&mut it, "filesystem.used", "/var", used);
                set(&mut it, "filesystem.available", "/var", 200.0 * 1_073_741_824.0 * (1.0 - used));
            }
            if host == "web02" && minutes < 90 {
                set(&mut it, "cpu.used", "", 0.91);
            }
            store.record(sweep, &attempt(host, at, Outcome::Collected), &[it]).unwrap();
        }
    }
    let text = "10.0.0.21 port 22: no answer within 5 s".to_owned();
    let failed = Outcome::Failed { cause: Cause::ConnectTimeout, text };
    store.record(sweep, &attempt("db2", home.ago(2), failed), &[]).unwrap();
    store.end_sweep(sweep, home.ago(2), 1).unwrap();
    drop(store);
    home.beats();
    tell(
        &home,
        vec![
            incident(
                1,
                "web01",
                "filesystem.used",
                "/var",
                Level::Critical,
                home.ago(300),
                "/var is 97% full, over 90%",
            ),
            incident(
                2,
                "web02",
                "cpu.used",
                "",
                Level::Warning,
                home.ago(80),
                "processors are 91% busy, over 85% for 10m",
            ),
            incident(3, "db2", "unreachable", "", Level::Critical, home.ago(30), "does not answer: connect-timeout"),
            closed(
                incident(4, "web01", "cpu.used", "", Level::Warning, home.ago(900), "processors were 88% busy"),
                home.ago(820),
            ),
            closed(
                incident(5, "db1", "memory.used", "", Level::Critical, home.ago(700), "memory was 93% used"),
                home.ago(690),
            ),
        ],
    );
    home
}

/// Many hosts in groups of fifty, each visited once; some critical, some with warnings, some old.
pub fn many(hosts: u32) -> Home {
    let mut text = String::new();
    for group in 0..hosts.div_ceil(50) {
        let (first, last) = (group * 50 + 1, (group * 50 + 50).min(hosts));
        let service = if group % 2 == 0 { "<service name=\"shop\"><process program=\"shop\"/></service>" } else { "" };
        let _ = writeln!(
            text,
            "  <group name=\"rack-{:02}\">{service}<host name=\"node[{first:04}-{last:04}]\" user=\"u\"/></group>",
            group + 1
        );
    }
    let home = Home::new(&text, false);
    let mut store = home.store();
    let sweep = store.begin_sweep(home.ago(3), hosts).unwrap();
    for n in 1..=hosts {
        // Two that were never visited, a few that are old.
        if n % 251 == 7 {
            continue;
        }
        let at = home.ago(if n % 97 == 5 { 60 } else { 2 });
        let name = format!("node{n:04}");
        store.record(sweep, &attempt(&name, at, Outcome::Collected), &[sample(n, 5000, at)]).unwrap();
    }
    store.end_sweep(sweep, home.ago(2), 0).unwrap();
    drop(store);
    home.beats();
    let mut problems = Vec::new();
    for n in (1..=hosts).filter(|n| n % 83 == 11 || n % 61 == 17) {
        let (level, text) = if n % 83 == 11 {
            (Level::Critical, "/ is 99% full, over 90%")
        } else {
            (Level::Warning, "/ is 84% full, over 80%")
        };
        problems.push(incident(
            i64::from(n),
            &format!("node{n:04}"),
            "filesystem.used",
            "/",
            level,
            home.ago(120),
            text,
        ));
    }
    tell(&home, problems);
    home
}
