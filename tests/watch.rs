//! `fleet watch` as a person uses it: on a real terminal (tmux), over a store that is really filled. What was seen is
//! kept below target/captures.
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
use fleet_health::model::alert::{Evaluation, Event, Incident, Subject};
use fleet_health::model::cause::Cause;
use fleet_health::model::fleet::{Attempt, Heartbeat, Outcome};
use fleet_health::model::job::Traffic;
use fleet_health::model::level::Level;
use fleet_health::model::sample::{By, Fact, Process, Reading, Sample, SampleKey};
use fleet_health::store::Store;
use fleet_health::store::sqlite::Sqlite;

use support::run::{self, Said, must, program, until};
use support::terminal::Terminal;

/// A folder with a configuration.
struct Home(tempfile::TempDir);

impl Home {
    fn new(hosts: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.configure(hosts);
        home
    }

    fn configure(&self, hosts: &str) {
        let text = format!(
            "<fleet-health version=\"1\">\n  <collector state-dir=\"state\" interval=\"5m\"/>\n  \
             <store url=\"sqlite:fleet.db\" keep=\"14d\" keep-hourly=\"400d\"/>\n{hosts}</fleet-health>\n"
        );
        let file = self.path("config.xml");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, more: &str) -> String {
        format!("{} watch --config {} {more}", program("fleet").display(), self.path("config.xml").display())
    }

    fn watch(&self, more: &str, size: (u16, u16)) -> Terminal {
        Terminal::sized(self.0.path(), self.0.path(), &self.command(more), size)
    }

    fn store(&self) -> Sqlite {
        Sqlite::open(&self.path("fleet.db")).unwrap()
    }
}

const FIVE: &str = "  <group name=\"data\" labels=\"tier=db\"><host name=\"db01\" user=\"u\"><service name=\"orders\"/></host></group>\n  \
    <group name=\"web\"><host name=\"web01\" user=\"u\"/><host name=\"web02\" user=\"u\"/></group>\n  \
    <host name=\"new1\" user=\"u\"/>\n  <host name=\"self\" transport=\"local\"/>\n";

fn attempt(host: &str, at: DateTime<Utc>, outcome: Outcome) -> Attempt {
    Attempt { host: host.to_owned(), at, took: Duration::from_millis(700), outcome, traffic: Traffic::default() }
}

fn sample(host: &str, sequence: u64, at: DateTime<Utc>, cpu: f64) -> Sample {
    let up = 864_000.0 + 300.0 * sequence as f64;
    let values = [
        ("cpu.used", "", cpu),
        ("cpu.count", "", 8.0),
        ("memory.used", "", 0.5),
        ("memory.total", "", 64e9),
        ("swap.used", "", 0.02),
        ("load.1m", "", cpu * 8.0),
        ("filesystem.used", "/", 0.4),
        ("filesystem.used", "/var", 0.91),
        ("filesystem.available", "/var", 9e9),
        ("network.receive.bytes", "eth0", 3e8 * sequence as f64),
        ("uptime", "", up),
    ];
    let top = |pid, comm: &str, value| Process {
        by: By::Cpu,
        pid,
        user: "postgres".into(),
        comm: comm.into(),
        unit: "postgresql.service".into(),
        command: String::new(),
        value,
    };
    let fact = |name: &str, text: &str| Fact { name: name.into(), item: String::new(), text: text.into() };
    Sample {
        key: SampleKey { boot: format!("boot-of-{host}"), sequence },
        taken: at,
        hostname: host.to_owned(),
        probe: "0.1.0".to_owned(),
        readings: values
            .iter()
            .map(|(metric, item, value)| Reading { metric: (*metric).into(), item: (*item).into(), value: *value })
            .collect(),
        faults: Vec::new(),
        facts: vec![fact("host.kernel", "6.1.0-18-amd64"), fact("host.distribution", "debian")],
        top: vec![top(4711, "postgres", 3.1), top(1, "systemd", 0.01)],
    }
}

fn incident(id: i64, host: &str, rule: &str, item: &str, level: Level, text: &str) -> Incident {
    let opened = Utc::now() - TimeDelta::minutes(95);
    let subject = Subject { host: host.into(), rule: rule.into(), item: item.into() };
    Incident {
        id,
        subject,
        level,
        worst: level,
        opened,
        changed: opened,
        closed: None,
        ending: None,
        value: 0.91,
        text: text.into(),
    }
}

/// Five hosts: one critical, one that does not answer, one that was never visited, two that are well.
fn fill(home: &Home) {
    let mut store = home.store();
    let now = Utc::now() - TimeDelta::seconds(150);
    let sweep = store.begin_sweep(now - TimeDelta::minutes(1), 4).unwrap();
    for n in 0..48 {
        let at = now - TimeDelta::minutes(5 * (47 - n));
        let cpu = 0.5 + 0.45 * (n as f64 / 6.0).sin();
        store.record(sweep, &attempt("db01", at, Outcome::Collected), &[sample("db01", n as u64 + 1, at, cpu)]).unwrap();
    }
    for host in ["web01", "self"] {
        store.record(sweep, &attempt(host, now, Outcome::Collected), &[sample(host, 1, now, 0.2)]).unwrap();
    }
    let refused = Outcome::Failed { cause: Cause::Refused, text: "web02:22: connection refused".to_owned() };
    store.record(sweep, &attempt("web02", now, refused), &[]).unwrap();
    store.end_sweep(sweep, now, 1).unwrap();
    beat(&mut store);
    let disk = incident(1, "db01", "filesystem.used", "/var", Level::Critical, "/var is 91% full; critical above 90%");
    let event = Event { incident: 1, at: disk.opened, level: disk.level, value: 0.91, text: disk.text.clone() };
    let cursor = store.rows_after(0, 1000).unwrap().last().unwrap().id;
    store.commit_evaluation(&Evaluation { cursor, incidents: vec![disk], events: vec![event], ..Evaluation::default() }).unwrap();
}

/// Both programs ran just now.
fn beat(store: &mut Sqlite) {
    for role in ["collector", "alerter"] {
        store.beat(&Heartbeat { role: role.into(), at: Utc::now(), ok: true, text: String::new() }).unwrap();
    }
}

/// Keeps what is seen, for a person to look at.
fn keep(terminal: &Terminal, name: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("captures");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("watch-{name}.ansi")), terminal.colored()).unwrap();
    let screen = terminal.screen();
    fs::write(folder.join(format!("watch-{name}.txt")), format!("{screen}\n")).unwrap();
    screen
}

/// The program that runs in a terminal.
fn pid(terminal: &Terminal) -> String {
    let shell = terminal.told("#{pane_pid}");
    let listed = run::system("ps", &["-o", "pid=,comm=", "--ppid", &shell]).out;
    let found = listed.lines().filter_map(|line| line.trim().split_once(' ')).find(|(_, name)| name.trim() == "fleet");
    found.unwrap_or_else(|| panic!("no fleet in {listed:?}")).0.to_owned()
}

fn gone(pid: &str) -> bool {
    !Path::new("/proc").join(pid).exists()
}

#[test]
fn a_person_looks_around() {
    let home = Home::new(FIVE);
    fill(&home);
    let terminal = home.watch("", (80, 24));
    terminal.shows("db01");
    terminal.shows("CRIT 1");
    let screen = keep(&terminal, "five-80x24");
    assert!(screen.contains("web02") && screen.contains("refused") && screen.contains("never collected"), "{screen}");
    assert_eq!(terminal.told("#{cursor_flag} #{alternate_on}"), "0 1");

    terminal.presses("Enter");
    terminal.shows("TOP PROCESSES BY CPU");
    let screen = keep(&terminal, "host-80x24");
    assert!(screen.contains("/var is 91% full") && screen.contains("memory.used"), "{screen}");
    terminal.presses("G");
    terminal.shows("network.receive.rate[eth0]");
    keep(&terminal, "host-end-80x24");
    terminal.presses("g");
    terminal.presses("Enter");
    terminal.shows("WHAT HAPPENED");
    keep(&terminal, "problem-80x24");
    terminal.presses("Escape");
    terminal.types("/cpu.used");
    terminal.shows("/cpu.used  (Esc: all)");
    terminal.presses("Down");
    terminal.presses("Enter");
    terminal.shows("greatest 95%");
    let screen = keep(&terminal, "chart-80x24");
    assert!(screen.contains("100%") && screen.contains("UTC") && screen.contains("WARN 85%"), "{screen}");
    assert!(screen.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)), "{screen}");
    terminal.presses("+");
    terminal.shows("last 12h");

    terminal.presses("?");
    terminal.shows("half a screen up, down");
    keep(&terminal, "help-80x24");
    terminal.presses("q");
    for _ in 0..3 {
        terminal.presses("Escape");
    }
    terminal.shows("PROBLEM");
    terminal.types("/group=web");
    terminal.shows("2 of 5 hosts");
    keep(&terminal, "filter-80x24");
    terminal.presses("i");
    terminal.shows("none that the filter chooses");
    terminal.presses("Escape");
    terminal.shows("1 OPEN");
    keep(&terminal, "problems-80x24");
    terminal.presses("Tab");
    terminal.shows("new1");

    for (columns, rows) in [(120, 40), (40, 12), (20, 5), (80, 24)] {
        terminal.resize(columns, rows);
        let bar = format!("{columns}x{rows}");
        terminal.until(&bar, |screen| {
            let widest = screen.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            screen.contains("5 hosts") && screen.contains("db01") && widest <= usize::from(columns)
                && screen.contains("nothing is wrong") == (false) && (columns < 80 || screen.contains("q end"))
        });
        keep(&terminal, &format!("resized-{bar}"));
    }
    terminal.presses("q");
    terminal.shows("ENDED 0");
    let screen = terminal.screen();
    assert!(!screen.contains("db01"), "the shell's screen is back:\n{screen}");
    assert_eq!(terminal.told("#{cursor_flag} #{alternate_on}"), "1 0");
}

#[test]
fn what_others_write_is_seen_and_a_store_in_trouble_is_told() {
    let home = Home::new(FIVE);
    let terminal = home.watch("", (80, 24));
    terminal.shows("there is no store yet");
    keep(&terminal, "no-store");
    assert!(!home.path("fleet.db").exists(), "only looking begins no store");
    fill(&home);
    terminal.until("trouble is over", |screen| screen.contains("CRIT 1") && !screen.contains("no store yet"));

    let two = incident(2, "web01", "cpu.used", "", Level::Critical, "cpu.used is 97%; critical above 95%");
    let mut store = home.store();
    let cursor = store.cursor().unwrap();
    store.commit_evaluation(&Evaluation { cursor, incidents: vec![two], ..Evaluation::default() }).unwrap();
    terminal.shows("CRIT 2");
    drop(store);

    // A host that is added to the configuration, then a mistake in it.
    home.configure(&format!("{FIVE}  <host name=\"late1\" user=\"u\"/>\n"));
    terminal.shows("6 hosts");
    home.configure("  <hots/>\n");
    terminal.shows("what was configured before holds");
    keep(&terminal, "misconfigured");
    assert!(terminal.screen().contains("late1"));
    home.configure(FIVE);
    terminal.until("it is mended", |screen| screen.contains("5 hosts") && !screen.contains("configured before"));

    // Somebody puts something else into its place, and later the store again.
    let (file, aside) = (home.path("fleet.db"), home.path("aside.db"));
    fs::rename(&file, &aside).unwrap();
    fs::write(&file, "no database at all, but long enough to be looked at").unwrap();
    for suffix in ["-wal", "-shm", ".ballast"] {
        let _ = fs::remove_file(home.path(&format!("fleet.db{suffix}")));
    }
    terminal.shows("no store of fleet-health");
    keep(&terminal, "foreign-store");
    assert!(terminal.screen().contains("web01"), "what was read stays");
    fs::rename(&aside, &file).unwrap();
    terminal.until("the store is back", |screen| !screen.contains("no store of") && screen.contains("5 hosts"));
    terminal.presses("q");
    terminal.shows("ENDED 0");
}

#[test]
fn a_store_that_is_locked_holds_no_key_back() {
    let home = Home::new(FIVE);
    fill(&home);
    // One that has it alone, as on a full disk.
    let mut child = Command::new("sqlite3")
        .arg(home.path("fleet.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sqlite3 is needed; install it with: make deps");
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"PRAGMA locking_mode = EXCLUSIVE;\nBEGIN IMMEDIATE;\nSELECT 'locked';\n").unwrap();
    std::io::Write::flush(&mut input).unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("locked") {
        assert!(std::io::BufRead::read_line(&mut out, &mut line).unwrap() > 0, "{line}");
    }
    let terminal = home.watch("web*", (80, 24));
    terminal.shows("the store has not answered for");
    keep(&terminal, "locked");
    terminal.presses("?");
    terminal.shows("half a screen up, down");
    terminal.presses("q");
    drop(input);
    child.wait().unwrap();
    terminal.until("it goes on", |screen| screen.contains("web01") && !screen.contains("not answered"));
    terminal.presses("C-c");
    terminal.shows("ENDED 0");
}

#[test]
fn every_end_gives_the_terminal_back() {
    let home = Home::new(FIVE);
    fill(&home);
    for (signal, code) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
        // What stty tells before and after must be the same.
        let command = format!("stty -g > before; {}; code=$?; stty -g > after; (exit $code)", home.command(""));
        let terminal = Terminal::sized(home.0.path(), home.0.path(), &command, (80, 24));
        terminal.shows("CRIT 1");
        must("kill", &[format!("-{signal}"), pid(&terminal)]);
        terminal.shows(&format!("ENDED {code}"));
        assert_eq!(terminal.told("#{cursor_flag} #{alternate_on}"), "1 0", "{signal}");
        let line = |name: &str| fs::read_to_string(home.path(name)).unwrap();
        assert_eq!(line("before"), line("after"), "{signal}");
        assert!(!terminal.screen().contains("panicked"));
    }
    // The window is closed, with a shell that does not pass the signal on, and then the line breaks for one that
    // does not hear it.
    for command in [home.command(""), format!("nohup-less() {{ trap '' HUP; exec {}; }}; (nohup-less)", home.command(""))] {
        let terminal = Terminal::sized(home.0.path(), home.0.path(), &command, (80, 24));
        terminal.shows("CRIT 1");
        let pid = pid(&terminal);
        terminal.hangs_up();
        until("the program ends with its terminal", Duration::from_secs(60), || gone(&pid));
    }
}

#[test]
fn ctrl_z_leads_to_the_shell_and_fg_back() {
    let home = Home::new(FIVE);
    fill(&home);
    let terminal = Terminal::sized(home.0.path(), home.0.path(), "PS1='ready> ' bash --norc --noprofile -i", (80, 24));
    terminal.asks("ready>");
    terminal.types(&home.command(""));
    terminal.shows("CRIT 1");
    terminal.presses("C-z");
    terminal.shows("Stopped");
    terminal.asks("ready>");
    assert_eq!(terminal.told("#{cursor_flag} #{alternate_on}"), "1 0");
    terminal.types("echo se'e'n");
    terminal.shows("seen");
    terminal.types("fg");
    terminal.shows("CRIT 1");
    terminal.presses("j");
    terminal.until("keys come one by one", |screen| screen.lines().any(|line| line.starts_with(">WARN")));
    terminal.presses("q");
    terminal.asks("ready>");
    // Where no shell is, nobody could bring it back.
    let alone = home.watch("", (80, 24));
    alone.shows("CRIT 1");
    alone.presses("C-z");
    alone.presses("j");
    alone.until("it goes on", |screen| screen.lines().any(|line| line.starts_with(">WARN")));
}

#[test]
fn colour_is_left_out_where_it_is_not_wanted() {
    let home = Home::new(FIVE);
    fill(&home);
    let colors = |screen: &str| ["31m", "33m", "32m", "36m"].iter().any(|code| screen.contains(code));
    for (before, flags, wanted) in [("", "", true), ("NO_COLOR=1 ", "", false), ("", "--color never", false)] {
        let command = format!("{before}{}", home.command(flags));
        let terminal = Terminal::sized(home.0.path(), home.0.path(), &command, (80, 24));
        terminal.shows("CRIT 1");
        let screen = terminal.colored();
        assert_eq!(colors(&screen), wanted, "{command}\n{screen}");
        assert!(screen.contains("CRIT") && screen.contains("WARN"), "the words are there all the same");
    }
    let terminal = Terminal::sized(home.0.path(), home.0.path(), &format!("LC_ALL=C {}", home.command("")), (80, 24));
    terminal.shows("CRIT 1");
    assert!(keep(&terminal, "ascii").is_ascii());
}

#[test]
fn where_there_is_no_terminal_it_says_what_to_use() {
    let home = Home::new(FIVE);
    let config = home.path("config.xml").display().to_string();
    let fleet = |args: &[&str]| {
        let mut command = Command::new(program("fleet"));
        command.args(["watch", "--config", &config]).args(args).stdin(Stdio::null());
        Said::of(command.output().unwrap())
    };
    let said = fleet(&[]).ends_with(2);
    assert!(said.err.contains("not a terminal") && said.err.contains("fleet status") && said.out.is_empty(), "{said:?}");
    let said = fleet(&["cpu.usd>5%"]).ends_with(2);
    assert!(said.err.contains("cpu.used"), "{said:?}");
    let dumb = Terminal::start(home.0.path(), home.0.path(), &format!("TERM=dumb {}", home.command("")));
    dumb.shows("ENDED 2");
    assert!(dumb.screen().contains("fleet status"), "{}", dumb.screen());
}

#[test]
fn hostile_names_from_hosts_break_no_line() {
    const HOSTILE: &str = "\u{1b}[2J\u{1b}[31m\u{202e}<script>\"'\r\n\u{9b}5n数据🔥\u{200d}👩e\u{301}";
    let home = Home::new(FIVE);
    fill(&home);
    let mut store = home.store();
    let now = Utc::now();
    let mut it = sample("db01", 99, now, 0.5);
    it.hostname = HOSTILE.into();
    it.readings.push(Reading { metric: "filesystem.used".into(), item: HOSTILE.into(), value: 0.99 });
    it.top[0].comm = HOSTILE.into();
    it.facts[0].text = HOSTILE.into();
    let sweep = store.begin_sweep(now, 1).unwrap();
    store.record(sweep, &attempt("db01", now, Outcome::Collected), &[it]).unwrap();
    let bad = incident(3, "db01", "cpu.used", HOSTILE, Level::Critical, HOSTILE);
    let cursor = store.cursor().unwrap();
    store.commit_evaluation(&Evaluation { cursor, incidents: vec![bad], ..Evaluation::default() }).unwrap();
    let terminal = home.watch("", (80, 24));
    terminal.shows("<script>");
    let whole = |screen: &str| screen.lines().count() == 24 && screen.lines().last().unwrap().contains("q end");
    assert!(whole(&keep(&terminal, "hostile")), "{}", terminal.screen());
    terminal.presses("Enter");
    terminal.shows("FILESYSTEMS");
    let screen = keep(&terminal, "hostile-host");
    assert!(whole(&screen) && screen.contains("memory.used          50%"), "{screen}");
    terminal.presses("i");
    terminal.shows("2 OPEN");
    assert!(whole(&terminal.screen()), "{}", terminal.screen());
    terminal.presses("q");
    terminal.shows("ENDED 0");
}

#[test]
fn five_hundred_hosts_are_moved_through() {
    let hosts: String = (1..=500).map(|n| format!("  <host name=\"web{n:03}\" user=\"u\"/>\n")).collect();
    let home = Home::new(&hosts);
    let mut store = home.store();
    let now = Utc::now();
    let sweep = store.begin_sweep(now, 500).unwrap();
    for n in 1..=500 {
        let name = format!("web{n:03}");
        let cpu = f64::from(n % 97) / 100.0;
        store.record(sweep, &attempt(&name, now, Outcome::Collected), &[sample(&name, 1, now, cpu)]).unwrap();
    }
    beat(&mut store);
    drop(store);
    let terminal = home.watch("--every 200ms", (80, 24));
    terminal.shows("OK 500");
    keep(&terminal, "500-80x24");
    terminal.presses("G");
    terminal.until("the last", |screen| screen.lines().any(|line| line.starts_with(">OK") && line.contains("web500")));
    terminal.types("/cpu>=96%");
    terminal.shows("5 of 500 hosts");
    terminal.presses("Escape");
    terminal.presses("C");
    terminal.until("sorted by processor", |screen| screen.contains("CPU▼"));
    terminal.resize(120, 40);
    terminal.shows("PROBLEM");
    keep(&terminal, "500-120x40");
    terminal.presses("q");
    terminal.shows("ENDED 0");
}
