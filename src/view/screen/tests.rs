//! Frames as they are seen, kept as files: a change of the screen shows itself as a change of text.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Size;

use super::data::{Fleet, Graph, Host, Limit, News, Story};
use super::key::Key;
use super::{Screen, Step};
use crate::model::alert::{Ack, Event, Incident, Subject, Told};
use crate::model::cause::Cause;
use crate::model::filter::Filter;
use crate::model::fleet::{Attempt, HostFact, Outcome, Point, Series};
use crate::model::job::Traffic;
use crate::model::level::Level;
use crate::model::sample::{By, Fault, FaultKind, Process, Reading};
use crate::model::snapshot::{Health, HostRow, Problem, ServiceRow, Snapshot, State};
use crate::view::health::Part;

#[path = "../../../tests/support/golden.rs"]
mod kept;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (40, 12)];
/// What a host may call things: escapes, a way to turn text round, markup, quotes, wide letters, joined ones.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\u{202e}<script>\"'`\r\n\u{200b}数据🔥e\u{301}\u{9b}31m";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

fn ago(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

fn reading(metric: &str, item: &str, value: f64) -> Reading {
    Reading { metric: metric.into(), item: item.into(), value }
}

fn problem(id: i64, host: &str, rule: &str, item: &str, level: Level, text: &str) -> Problem {
    let subject = Subject { host: host.into(), rule: rule.into(), item: item.into() };
    let (opened, value) = (ago(7260), 0.91);
    let incident = Incident {
        id,
        subject,
        level,
        worst: level,
        opened,
        changed: opened,
        closed: None,
        ending: None,
        value,
        text: text.into(),
    };
    Problem { incident, ack: None, silenced: None }
}

/// A host that is well.
fn host(name: &str, group: &str, cpu: f64) -> HostRow {
    let attempt = Attempt {
        host: name.into(),
        at: ago(130),
        took: Duration::from_millis(800),
        outcome: Outcome::Collected,
        traffic: Traffic::default(),
    };
    HostRow {
        name: name.into(),
        groups: vec![group.into()],
        labels: BTreeMap::from([("tier".to_owned(), "front".to_owned())]),
        level: Some(Level::Ok),
        state: State::Fresh,
        attempt: Some(attempt),
        received: Some(ago(130)),
        age: Some(130.0),
        hostname: name.into(),
        readings: vec![
            reading("cpu.used", "", cpu),
            reading("cpu.count", "", 8.0),
            reading("memory.used", "", 0.4),
            reading("memory.total", "", 64e9),
            reading("load.1m", "", cpu * 8.0),
            reading("filesystem.used", "/", 0.35),
            reading("filesystem.used", "/var/lib/postgresql", 0.2 + cpu / 2.0),
            reading("uptime", "", 864_000.0),
        ],
        problems: Vec::new(),
        services: Vec::new(),
    }
}

fn red(mut host: HostRow, problems: Vec<Problem>) -> HostRow {
    host.level = problems.iter().map(|problem| problem.incident.level).max();
    host.problems = problems;
    host
}

fn failed(mut host: HostRow, cause: Cause, text: &str) -> HostRow {
    if let Some(attempt) = &mut host.attempt {
        attempt.outcome = Outcome::Failed { cause, text: text.into() };
    }
    (host.state, host.level, host.received) = (State::Failed, Some(Level::Warning), Some(ago(5000)));
    host
}

fn never(name: &str) -> HostRow {
    let (attempt, received, age, level) = (None, None, None, None);
    HostRow { attempt, received, age, level, state: State::Never, readings: Vec::new(), ..host(name, "new", 0.0) }
}

fn five() -> Vec<HostRow> {
    let text = "/var/lib/postgresql is 91% full; critical above 90%";
    let mut disk = problem(17, "db01", "filesystem.used", "/var/lib/postgresql", Level::Critical, text);
    disk.ack = Some(Ack {
        incident: 17,
        by: "ann".into(),
        at: ago(600),
        until: None,
        sticky: false,
        level: Level::Critical,
        note: "a new disk comes at noon".into(),
    });
    let mut load = problem(18, "db01", "load.per-core", "", Level::Warning, "load is 2.6 a core; warning above 2");
    load.silenced = Some((now() + TimeDelta::hours(2), "backup".into()));
    let mut db = red(host("db01", "data", 0.93), vec![disk, load]);
    db.services.push(ServiceRow {
        name: "orders".into(),
        health: Health::Unhealthy,
        why: vec!["cpu 93%".into()],
        min_healthy: Some(1),
        memory: Some(3e9),
    });
    let text = "web02:22: connection refused";
    vec![
        db,
        failed(host("web02", "web", 0.2), Cause::Refused, text),
        never("new1"),
        host("web01", "web", 0.31),
        host("self", "ops", 0.02),
    ]
}

/// Two services on the first five, one of them without enough healthy servers.
fn served() -> Vec<HostRow> {
    let mut all = five();
    let on = |name: &str, health, why: &[&str], memory| ServiceRow {
        name: name.into(),
        health,
        why: why.iter().map(|it| (*it).to_owned()).collect(),
        min_healthy: None,
        memory,
    };
    all[1].services.push(on("shop", Health::Unhealthy, &["refused", "check shop/http fails"], None));
    all[2].services.push(on("shop", Health::Unknown, &["never collected"], None));
    all[3].services.push(on("shop", Health::Healthy, &[], Some(2.5e9)));
    all[4].services.push(on("orders", Health::Healthy, &[], Some(1e9)));
    all
}

fn many(count: usize) -> Vec<HostRow> {
    let one = |n: usize| {
        let group = ["web", "data", "cache", "edge"][n % 4];
        let it = host(&format!("{group}{n:04}"), group, (n * 37 % 89) as f64 / 100.0);
        match n % 61 {
            7 => {
                let text = format!("cpu.used is {}%; critical above 95%", 95 + n % 5);
                red(it, vec![problem(n as i64, &format!("{group}{n:04}"), "cpu.used", "", Level::Critical, &text)])
            }
            11 | 40 => {
                let text = "memory.used is 83%; warning above 80%";
                red(it, vec![problem(n as i64, &format!("{group}{n:04}"), "memory.used", "", Level::Warning, text)])
            }
            55 => failed(it, Cause::ConnectTimeout, "no answer in 20 s"),
            _ => it,
        }
    };
    let mut all: Vec<HostRow> = (0..count).map(one).collect();
    all.sort_by(|a, b| a.order().cmp(&b.order()));
    all
}

fn fleet(hosts: Vec<HostRow>) -> News {
    let ended = hosts.first().map(|host| {
        let mut it = problem(9, &host.name, "cpu.used", "", Level::Ok, "cpu.used is 40%").incident;
        (it.closed, it.worst) = (Some(ago(4000)), Level::Warning);
        it.ending = Some(crate::model::alert::Ending::Recovered);
        it
    });
    let snapshot = Snapshot { now: now(), interval: Duration::from_secs(300), hosts, fleet: Vec::new() };
    News::Fleet(Arc::new(Fleet { snapshot, ended: ended.into_iter().collect(), health: Vec::new() }))
}

fn whole(name: &str) -> News {
    let process = |by, pid, comm: &str, value| Process {
        by,
        pid,
        user: "postgres".into(),
        comm: comm.into(),
        unit: "postgresql.service".into(),
        command: String::new(),
        value,
    };
    let fact = |name: &str, text: &str| HostFact {
        name: name.into(),
        item: String::new(),
        text: text.into(),
        since: ago(1_000_000),
    };
    News::Host(Box::new(Host {
        name: name.into(),
        readings: vec![
            reading("cpu.used", "", 0.93),
            reading("cpu.iowait", "", 0.12),
            reading("memory.used", "", 0.4),
            reading("swap.used", "", 0.05),
            reading("load.1m", "", 7.44),
            reading("uptime", "", 864_000.0),
            reading("filesystem.used", "/", 0.35),
            reading("filesystem.available", "/", 30e9),
            reading("filesystem.used", "/var/lib/postgresql", 0.91),
            reading("filesystem.available", "/var/lib/postgresql", 9e9),
            reading("filesystem.full-in", "/var/lib/postgresql", 30_000.0),
            reading("disk.read.rate", "sda", 4e6),
            reading("disk.write.rate", "sda", 2.5e7),
            reading("disk.utilization", "sda", 0.71),
            reading("network.receive.rate", "eth0", 1.2e6),
            reading("network.transmit.rate", "eth0", 3.4e6),
            reading("check.ok", "orders/postgres", 0.0),
            reading("check.seconds", "orders/postgres", 2.0),
        ],
        faults: vec![Fault {
            section: "smart".into(),
            item: "sda".into(),
            kind: FaultKind::Denied,
            text: "needs root".into(),
        }],
        facts: vec![fact("host.kernel", "6.1.0-18-amd64"), fact("host.distribution", "debian")],
        top: vec![
            process(By::Cpu, 4711, "postgres", 3.12),
            process(By::Cpu, 812, "kswapd0", 0.4),
            process(By::Memory, 4711, "postgres", 9e9),
        ],
        attempts: five().remove(0).attempt.into_iter().collect(),
    }))
}

fn story() -> News {
    let incident = five().remove(0).problems.remove(0).incident;
    let event =
        |seconds, level, text: &str| Event { incident: 17, at: ago(seconds), level, value: 0.9, text: text.into() };
    let told = Told {
        incident: 17,
        destination: "ops".into(),
        recipient: "ops@example.net".into(),
        level: Level::Critical,
        at: ago(7000),
        reminders: 0,
        flapping: false,
        thread: 17,
    };
    let events = vec![
        event(7260, Level::Warning, "/var/lib/postgresql is 82% full; warning above 80%"),
        event(7100, Level::Critical, &incident.text),
    ];
    News::Problem(Box::new(Story { events, told: vec![told], incident }))
}

/// A day of the metric that is asked for, with a gap.
fn graph(screen: &Screen) -> News {
    let past = screen.wants().past.unwrap();
    let since = now() - past.span;
    let points = (0..288).filter(|n| !(100..130).contains(n)).map(|n| {
        let value = 0.45 + 0.4 * (f64::from(n) / 40.0).sin() + if n > 250 { 0.1 } else { 0.0 };
        Point::new(since + past.span / 288 * n, value)
    });
    let limit = |level, value| Limit { level, value, items: vec!["*".into()], not_items: Vec::new() };
    let limits = vec![limit(Level::Critical, 0.95), limit(Level::Warning, 0.85)];
    let series = vec![Series { item: String::new(), points: points.collect() }];
    News::Past(Box::new(Graph { past, since, until: now(), series, limits }))
}

fn screen(size: (u16, u16), typed: &str, news: impl IntoIterator<Item = News>) -> Screen {
    let size = Size::new(size.0, size.1);
    let mut screen = Screen::new(Filter::parse(typed).unwrap(), typed, size, now());
    for news in news {
        screen.hears(news);
    }
    screen
}

fn press(screen: &mut Screen, keys: &str) {
    for c in keys.chars() {
        let key = match c {
            '\n' => Key::Enter,
            '\u{1b}' => Key::Escape,
            '\t' => Key::Tab,
            c => Key::Letter(c),
        };
        assert_eq!(screen.takes(key), Step::On, "{c:?}");
    }
}

/// What is seen, and the looks of it: `plain` where nothing but letters counts.
fn seen(screen: &Screen) -> String {
    let mut terminal = Terminal::new(TestBackend::new(screen.size.width, screen.size.height)).unwrap();
    terminal.draw(|frame| screen.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let wide = usize::from(screen.size.width.max(1));
    let rows = buffer.content.chunks(wide).map(|row| {
        let mut skip = 0;
        let mut text = String::new();
        for cell in row {
            // A wide letter covers the cell that follows it.
            if skip > 0 {
                skip -= 1;
                continue;
            }
            skip = unicode_width::UnicodeWidthStr::width(cell.symbol()).saturating_sub(1);
            text.push_str(cell.symbol());
        }
        text.trim_end().to_owned() + "\n"
    });
    rows.collect()
}

/// One frame in each size.
fn golden(name: &str, make: impl Fn((u16, u16)) -> Screen) {
    for size in SIZES {
        let found = seen(&make(size));
        kept::golden(&format!("watch-{name}-{}x{}.txt", size.0, size.1), &found);
    }
}

#[test]
fn fleets_of_every_size() {
    golden("five", |size| screen(size, "", [fleet(five())]));
    golden("500", |size| screen(size, "", [fleet(many(500))]));
    golden("none", |size| screen(size, "", [fleet(Vec::new())]));
    golden("red", |size| {
        let text = "cpu.used is 97%; critical above 95%";
        let one = red(host("web01", "web", 0.97), vec![problem(1, "web01", "cpu.used", "", Level::Critical, text)]);
        screen(size, "", [fleet(vec![one])])
    });
    golden("filter", |size| screen(size, "group=web level>=warning", [fleet(many(500))]));
}

#[test]
fn pages_behind_the_fleet() {
    golden("help", |size| {
        let mut it = screen(size, "", [fleet(five())]);
        press(&mut it, "?");
        it
    });
    golden("host", |size| {
        let mut it = screen(size, "", [fleet(five()), whole("db01")]);
        press(&mut it, "\n");
        it
    });
    golden("problems", |size| {
        let mut it = screen(size, "", [fleet(five())]);
        press(&mut it, "ie");
        it
    });
    golden("services", |size| {
        let mut it = screen(size, "", [fleet(served())]);
        press(&mut it, "S");
        it
    });
    golden("problem", |size| {
        let mut it = screen(size, "", [fleet(five()), story()]);
        press(&mut it, "i\n");
        it
    });
    golden("chart", |size| {
        let mut it = screen(size, "", [fleet(five()), whole("db01")]);
        press(&mut it, "\n/cpu.used\nj\n");
        let news = graph(&it);
        it.hears(news);
        it
    });
}

#[test]
fn what_is_wrong_with_the_store_is_told_and_what_was_read_stays() {
    golden("trouble", |size| {
        let mut it = screen(size, "", [fleet(five())]);
        let text = "/srv/fleet/fleet.db: locked by another program for over 30s; try again, or see who: fuser /srv/fleet/fleet.db";
        it.hears(News::Trouble(text.into()));
        it
    });
    golden("stale", |size| {
        let mut old = five();
        for host in &mut old {
            host.received = host.received.map(|at| at - TimeDelta::hours(3));
            if host.state == State::Fresh {
                host.state = State::Stale;
            }
        }
        let mut it = screen(size, "", [fleet(old)]);
        if let Some(fleet) = &mut it.fleet {
            let text = "collector 3h ago; is it in cron? try: fleet schedule install".to_owned();
            Arc::make_mut(fleet).health.push(Part { name: "collector", level: Level::Critical, text });
        }
        it
    });
    let mut it = screen((80, 24), "", []);
    assert!(seen(&it).contains("The store is being read"));
    it.tick(now(), Size::new(80, 24), Some(ago(7)));
    assert!(seen(&it).contains("has not answered for 7 s"), "{}", seen(&it));
    it.hears(News::Trouble("/x: damaged: page 7".into()));
    assert!(seen(&it).contains("CRIT: /x: damaged: page 7") && seen(&it).contains("goes on trying"));
    it.hears(fleet(five()));
    it.hears(News::Done);
    it.tick(now(), Size::new(80, 24), None);
    assert!(!seen(&it).contains("damaged") && seen(&it).contains("db01"));
}

#[test]
fn the_chosen_host_stays_chosen_and_the_top_stays_the_top() {
    let mut it = screen((80, 24), "", [fleet(five())]);
    let chosen = |it: &Screen| seen(it).lines().find(|line| line.starts_with('>')).unwrap_or_default().to_owned();
    assert!(chosen(&it).contains("db01"));
    let mut other = five();
    other.rotate_left(1);
    it.hears(fleet(other.clone()));
    assert!(chosen(&it).contains("db01"), "worst first, whatever the order in which it came");
    press(&mut it, "jj");
    assert!(chosen(&it).contains("new1"));
    press(&mut it, "N");
    assert!(chosen(&it).contains("new1") && seen(&it).contains("HOST▼"));
    let names = |it: &Screen| -> Vec<String> {
        let text = seen(it);
        text.lines().skip(3).take(5).map(|line| line[8..].split_whitespace().next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&it), ["db01", "new1", "self", "web01", "web02"]);
    press(&mut it, "r");
    assert_eq!(names(&it), ["web02", "web01", "self", "new1", "db01"]);
    press(&mut it, "C");
    assert_eq!(names(&it)[..3], ["db01", "web01", "web02"]);
    press(&mut it, "Wg");
    it.hears(fleet(vec![five().remove(3)]));
    assert!(chosen(&it).contains("web01"));
    it.hears(fleet(Vec::new()));
    press(&mut it, "jG\n");
    assert!(seen(&it).contains("No hosts yet"));
}

#[test]
fn a_filter_holds_while_it_is_typed_and_a_wrong_one_is_never_left() {
    let mut it = screen((80, 24), "", [fleet(five())]);
    press(&mut it, "/web");
    assert!(seen(&it).contains("web01") && !seen(&it).contains("db01") && seen(&it).contains(" /web"));
    press(&mut it, " levle>=warning");
    assert!(seen(&it).contains("did you mean") || seen(&it).contains("level"), "{}", seen(&it));
    press(&mut it, "\n");
    assert!(it.entry.is_some(), "not taken");
    press(&mut it, "\u{1b}");
    assert!(it.entry.is_none() && seen(&it).contains("db01"), "{}", seen(&it));
    press(&mut it, "/level=critical\n");
    assert!(seen(&it).contains("/level=critical  1 of 5 hosts"), "{}", seen(&it));
    // Keys are letters while somebody types, and what is pasted is never a command.
    press(&mut it, "/q");
    assert_eq!(it.takes(Key::Pasted('q')), Step::On);
    press(&mut it, "\u{1b}\u{1b}");
    assert!(seen(&it).contains("self"), "{}", seen(&it));
    assert_eq!(it.takes(Key::Pasted('q')), Step::On);
    assert_eq!(it.takes(Key::Letter('q')), Step::End);
    // Another metric is read first.
    press(&mut it, "/swap.used>1%");
    assert!(it.wants().filter.metrics().any(|metric| metric == "swap.used"));
}

#[test]
fn pages_lead_to_each_other_and_back() {
    let mut it = screen((80, 24), "", [fleet(five()), whole("db01"), story()]);
    press(&mut it, "\n");
    assert_eq!(it.wants().host.as_deref(), Some("db01"));
    press(&mut it, "\n");
    assert_eq!(it.wants().problem, Some(17));
    press(&mut it, "/history of\nj\n");
    let past = it.wants().past.unwrap();
    assert_eq!((past.host.as_str(), past.metric.as_str(), past.span), ("db01", "filesystem.used", TimeDelta::days(1)));
    press(&mut it, "-");
    assert_eq!(it.wants().past.unwrap().span, TimeDelta::days(3));
    press(&mut it, "\u{1b}\u{1b}\u{1b}");
    assert_eq!(it.wants().host.as_deref(), Some("db01"));
    press(&mut it, "h");
    assert_eq!(it.wants(), super::data::Want::default());
    press(&mut it, "\t\u{1b}\t\tG\n");
    assert_eq!(it.wants().host.as_deref(), Some("web01"));
    // The lists one after the other, each way, and those of a service's servers lead on.
    assert_eq!(it.takes(Key::BackTab), Step::On);
    assert!(seen(&it).starts_with(" services of 5 hosts"), "{}", seen(&it));
    press(&mut it, "\n");
    assert_eq!(it.wants().host.as_deref(), Some("db01"));
    press(&mut it, "S/orders\n");
    assert!(seen(&it).contains("none that the filter chooses"), "a word is of hosts: {}", seen(&it));
    press(&mut it, "\u{1b}/service=orders\n");
    assert!(seen(&it).contains(" orders  OK  1 of") || seen(&it).contains(" orders  CRIT  0 of"), "{}", seen(&it));
    press(&mut it, "\u{1b}");
    // htop's keys; while somebody types none of them is a letter.
    it.takes(Key::Function(4));
    it.takes(Key::Function(3));
    it.takes(Key::Function(6));
    assert_eq!(it.entry.as_ref().map(|entry| entry.text.as_str()), Some(""));
    assert_eq!(it.clone().takes(Key::Function(10)), Step::End);
    press(&mut it, "\u{1b}\t");
    it.takes(Key::Function(6));
    assert!(seen(&it).contains("HOST▼"), "{}", seen(&it));
    // In a circle for ever.
    for _ in 0..100 {
        press(&mut it, "i\no\n");
    }
    assert!(it.pages.len() <= 17);
}

#[test]
fn hostile_names_are_seen_as_text() {
    let mut it = host("h", "g", 0.5);
    it.hostname = HOSTILE.into();
    it.readings.push(reading("filesystem.used", HOSTILE, 0.99));
    let (health, why) = (Health::Unhealthy, vec![HOSTILE.to_owned()]);
    it.services.push(ServiceRow { name: HOSTILE.into(), health, why, min_healthy: None, memory: Some(1.0) });
    let it = red(it, vec![problem(1, "h", HOSTILE, HOSTILE, Level::Critical, HOSTILE)]);
    let News::Host(mut whole) = whole("h") else { unreachable!() };
    whole.readings.push(reading(HOSTILE, HOSTILE, 1.0));
    whole.readings.push(reading("filesystem.used", HOSTILE, 1.0));
    whole.facts[0].text = HOSTILE.into();
    whole.faults[0].text = HOSTILE.into();
    whole.top[0].comm = HOSTILE.into();
    whole.top[0].command = HOSTILE.into();
    for size in SIZES {
        let mut screen =
            screen(size, "", [fleet(vec![it.clone()]), News::Host(whole.clone()), News::Trouble(HOSTILE.into())]);
        let mut all = seen(&screen);
        for keys in ["\n", "G", "gk/sc\n", "\n", "i", "\n", "S"] {
            press(&mut screen, keys);
            all += &seen(&screen);
        }
        let hostile = all.chars().filter(|c| *c != '\n').find(|c| crate::model::clean::is_hostile(*c));
        assert_eq!(hostile, None, "{all}");
        let widest = all.lines().map(unicode_width::UnicodeWidthStr::width).max();
        assert!(widest <= Some(usize::from(size.0)), "{all}");
    }
}

#[test]
fn the_documentation_has_every_key() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/watch.md");
    let text = std::fs::read_to_string(file).unwrap();
    for (keys, what) in super::help::KEYS.iter().flat_map(|group| group.keys) {
        assert!(text.contains(&format!("| {keys} | {what} |")), "docs/watch.md lacks: | {keys} | {what} |");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 48, ..Default::default() })]
    #[test]
    fn no_key_and_no_size_is_too_much(
        width in 0u16..130,
        height in 0u16..45,
        keys in "[a-zA-Z/?\n\u{1b}\t+\\-=*> é数]{0,60}",
        other in (1u16..200, 1u16..60),
    ) {
        let mut it = screen((width, height), "", [fleet(many(70)), whole("data0007"), story()]);
        for c in keys.chars() {
            it.takes(match c {
                '\n' => Key::Enter,
                '\u{1b}' => Key::Escape,
                '\t' => Key::Tab,
                'b' => Key::PageDown,
                'u' => Key::PageUp,
                c => Key::Letter(c),
            });
            if it.wants().past.is_some() {
                let news = graph(&it);
                it.hears(news);
            }
            if width > 0 && height > 0 {
                seen(&it);
            }
        }
        it.tick(now(), Size::new(other.0, other.1), None);
        seen(&it);
    }
}
