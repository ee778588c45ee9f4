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
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use fleet_health::model::alert::{Evaluation, Incident};
use fleet_health::model::fleet::Heartbeat;
use fleet_health::model::level::Level;
use fleet_health::model::sample::Reading;
use fleet_health::store::Store;
use fleet_health::store::sqlite::Sqlite;

use support::filled::{self, FIVE, attempt, incident, sample};
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
        filled::configure(self.0.path(), hosts);
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

/// Five hosts: two critical ones, one of which does not answer, two with warnings or none, one that was never visited.
fn fill(home: &Home) {
    let mut store = home.store();
    filled::five(&mut store, Utc::now());
    beat(&mut store);
}

/// Both programs ran just now.
fn beat(store: &mut Sqlite) {
    for role in ["collector", "alerter"] {
        store.beat(&Heartbeat { role: role.into(), at: Utc::now(), ok: true, text: String::new() }).unwrap();
    }
}

/// One more problem.
fn opens(store: &mut Sqlite, it: Incident) {
    let cursor = store.cursor().unwrap();
    store.commit_evaluation(&Evaluation { cursor, incidents: vec![it], ..Evaluation::default() }).unwrap();
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
    let listed = run::system("ps", &["-o", "pid=,comm=", "-s", &shell]).out;
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
    terminal.shows("CRIT 2");
    let screen = keep(&terminal, "five-80x24");
    assert!(screen.contains("backup") && screen.contains("refused") && screen.contains("never collected"), "{screen}");
    assert_eq!(terminal.told("#{cursor_flag} #{alternate_on}"), "0 1");

    terminal.types("/db1");
    terminal.shows("1 of 5 hosts");
    terminal.presses("Enter");
    terminal.shows("FILESYSTEMS");
    let screen = keep(&terminal, "host-80x24");
    assert!(screen.contains("94% full") && screen.contains("memory.used          71%"), "{screen}");
    terminal.presses("PageDown");
    terminal.shows("LAST VISITS");
    keep(&terminal, "host-middle-80x24");
    terminal.presses("G");
    terminal.shows("network.receive.rate[eth0]");
    keep(&terminal, "host-end-80x24");
    terminal.presses("g");
    terminal.presses("Enter");
    terminal.shows("WHAT HAPPENED");
    keep(&terminal, "problem-80x24");
    terminal.presses("Escape");
    terminal.types("/filesystem.used[/var");
    terminal.shows("/filesystem.used[/var  (Esc: all)");
    terminal.presses("Down");
    terminal.until("the filesystem", |screen| screen.lines().any(|line| line.starts_with("> /var/lib")));
    terminal.presses("Enter");
    terminal.shows("greatest 94%");
    let screen = keep(&terminal, "chart-80x24");
    assert!(screen.contains("100%") && screen.contains("UTC") && screen.contains("CRIT 90%"), "{screen}");
    assert!(screen.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)), "{screen}");
    terminal.presses("+");
    terminal.shows("last 12h");
    keep(&terminal, "chart-12h-80x24");

    terminal.presses("?");
    terminal.shows("half a screen up, down");
    keep(&terminal, "help-80x24");
    terminal.presses("q");
    for _ in 0..4 {
        terminal.presses("Escape");
    }
    terminal.shows("PROBLEM");
    terminal.types("/group=web");
    terminal.shows("2 of 5 hosts");
    keep(&terminal, "filter-80x24");
    terminal.presses("i");
    terminal.shows("1 OPEN");
    terminal.presses("Escape");
    terminal.shows("3 OPEN");
    keep(&terminal, "problems-80x24");
    terminal.presses("Tab");
    terminal.shows("of 2 healthy, 2 wanted");
    keep(&terminal, "services-80x24");
    terminal.presses("Tab");
    terminal.shows("never collected");

    for (columns, rows) in [(120, 40), (40, 12), (20, 5), (80, 24)] {
        terminal.resize(columns, rows);
        let bar = format!("{columns}x{rows}");
        terminal.until(&bar, |screen| {
            let widest = screen.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            let known = screen.contains("5 hosts") && screen.contains("db1");
            known && widest <= usize::from(columns) && (columns < 80 || screen.contains("q end"))
        });
        keep(&terminal, &format!("resized-{bar}"));
    }
    terminal.presses("q");
    terminal.shows("ENDED 0");
    let screen = terminal.screen();
    assert!(!screen.contains("backup"), "the shell's screen is back:\n{screen}");
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
    terminal.until("trouble is over", |screen| screen.contains("CRIT 2") && !screen.contains("no store yet"));

    opens(&mut home.store(), incident(9, "web2", "cpu.used", "", Level::Critical, Utc::now(), "cpu.used is 97%"));
    terminal.shows("CRIT 3");

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
    assert!(terminal.screen().contains("web1"), "what was read stays");
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
    std::io::Write::write_all(&mut input, b"PRAGMA locking_mode = EXCLUSIVE;\nBEGIN IMMEDIATE;\nSELECT 'locked';\n")
        .unwrap();
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
    terminal.until("it goes on", |screen| screen.contains("web1") && !screen.contains("not answered"));
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
        terminal.shows("CRIT 2");
        must("kill", &[format!("-{signal}"), pid(&terminal)]);
        terminal.shows(&format!("ENDED {code}"));
        assert_eq!(terminal.told("#{cursor_flag} #{alternate_on}"), "1 0", "{signal}");
        let line = |name: &str| fs::read_to_string(home.path(name)).unwrap();
        assert_eq!(line("before"), line("after"), "{signal}");
        assert!(!terminal.screen().contains("panicked"));
    }
    // The window is closed; also for one that was told not to hear of it.
    for command in [home.command(""), format!("(trap '' HUP; {}; true)", home.command(""))] {
        let terminal = Terminal::sized(home.0.path(), home.0.path(), &command, (80, 24));
        terminal.shows("CRIT 2");
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
    terminal.shows("CRIT 2");
    terminal.presses("C-z");
    terminal.shows("Stopped");
    terminal.asks("ready>");
    assert_eq!(terminal.told("#{cursor_flag} #{alternate_on}"), "1 0");
    terminal.types("echo se'e'n");
    terminal.shows("seen");
    terminal.types("fg");
    terminal.shows("CRIT 2");
    terminal.presses("j");
    terminal.until("keys come one by one", |screen| screen.lines().any(|line| line.starts_with(">CRIT   db1")));
    terminal.presses("q");
    terminal.asks("ready>");
    // Where no shell is, nobody could bring it back.
    let alone = home.watch("", (80, 24));
    alone.shows("CRIT 2");
    alone.presses("C-z");
    alone.presses("j");
    alone.until("it goes on", |screen| screen.lines().any(|line| line.starts_with(">CRIT   db1")));
}

#[test]
fn colour_is_left_out_where_it_is_not_wanted() {
    let home = Home::new(FIVE);
    fill(&home);
    let colors = |screen: &str| ["31m", "33m", "32m", "36m"].iter().any(|code| screen.contains(code));
    for (before, flags, wanted) in [("", "", true), ("NO_COLOR=1 ", "", false), ("", "--color never", false)] {
        let command = format!("{before}{}", home.command(flags));
        let terminal = Terminal::sized(home.0.path(), home.0.path(), &command, (80, 24));
        terminal.shows("CRIT 2");
        let screen = terminal.colored();
        assert_eq!(colors(&screen), wanted, "{command}\n{screen}");
        assert!(screen.contains("CRIT") && screen.contains("WARN"), "the words are there all the same");
    }
    let terminal = Terminal::sized(home.0.path(), home.0.path(), &format!("LC_ALL=C {}", home.command("")), (80, 24));
    terminal.shows("CRIT 2");
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
    assert!(
        said.err.contains("not a terminal") && said.err.contains("fleet status") && said.out.is_empty(),
        "{said:?}"
    );
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
    let mut it = sample(99, now, &[("memory.used", "", 0.5)]);
    it.hostname = HOSTILE.into();
    it.readings.push(Reading { metric: "filesystem.used".into(), item: HOSTILE.into(), value: 0.99 });
    it.top[0].comm = HOSTILE.into();
    it.facts[0].text = HOSTILE.into();
    let sweep = store.begin_sweep(now, 1).unwrap();
    store.record(sweep, &attempt("db1", now, None), &[it]).unwrap();
    opens(&mut store, incident(1, "db1", "aaa", HOSTILE, Level::Critical, now - TimeDelta::days(1), HOSTILE));
    let terminal = home.watch("", (80, 24));
    terminal.shows("<script>");
    let whole = |screen: &str| screen.lines().count() == 24 && screen.lines().last().unwrap().contains("q end");
    assert!(whole(&keep(&terminal, "hostile")), "{}", terminal.screen());
    terminal.types("/db1");
    terminal.presses("Enter");
    terminal.shows("FILESYSTEMS");
    let screen = keep(&terminal, "hostile-host");
    assert!(whole(&screen) && screen.contains("memory.used          50%"), "{screen}");
    terminal.presses("h");
    terminal.presses("Escape");
    terminal.presses("i");
    terminal.shows("4 OPEN");
    assert!(whole(&terminal.screen()), "{}", terminal.screen());
    terminal.presses("q");
    terminal.shows("ENDED 0");
}

#[test]
fn five_hundred_hosts_are_moved_through() {
    let home = Home::new(&filled::many(500));
    let mut store = home.store();
    filled::fill(&mut store, Utc::now(), 500, &[7, 300]);
    beat(&mut store);
    drop(store);
    let terminal = home.watch("--every 200ms", (80, 24));
    terminal.shows("OK 498");
    keep(&terminal, "500-80x24");
    terminal.presses("G");
    terminal.until("the last", |screen| screen.lines().any(|line| line.starts_with(">OK     n499")));
    terminal.types("/cpu>=49%");
    terminal.shows("12 of 500 hosts");
    terminal.presses("Escape");
    terminal.presses("C");
    terminal.until("sorted by processor", |screen| screen.contains("CPU▼"));
    terminal.resize(120, 40);
    terminal.shows("PROBLEM");
    keep(&terminal, "500-120x40");
    terminal.presses("q");
    terminal.shows("ENDED 0");
}
