//! The tables of the fleet: what they show of five hosts, of 500, of none, of one that is red, and of hosts that lie.
#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may stop where something is wrong, and starts programs"
)]

mod support;

use chrono::{DateTime, TimeDelta, Utc};
use std::path::Path;
use std::process::{Command, Stdio};

use fleet_health::app::snapshot;
use fleet_health::app::then::{self, Source};
use fleet_health::config;
use fleet_health::model::alert::{Evaluation, Incident};
use fleet_health::model::cause::Cause;
use fleet_health::model::clean::is_hostile;
use fleet_health::model::filter::Filter;
use fleet_health::model::level::Level;
use fleet_health::model::sample::{By, Fact, Process, Sample};
use fleet_health::model::silence::{Scope, Silence, When};
use fleet_health::model::snapshot::{Health, Limits, Snapshot, State};
use fleet_health::model::spec::{FleetSpec, HostSpec};
use fleet_health::store::Store;
use fleet_health::store::memory::Memory;
use fleet_health::store::sqlite::Sqlite;
use fleet_health::view::compare::{self, Side};
use fleet_health::view::moment::{self, Known};
use fleet_health::view::{Facts, Page, VIEWS, View, csv, json, markdown, table, unhealthy};
use unicode_width::UnicodeWidthStr;

use support::filled::{self, FIVE};
use support::golden::golden;
use support::run::{Said, program};

fn now() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn spec(hosts: &str) -> FleetSpec {
    let dir = tempfile::tempdir().unwrap();
    config::load(&filled::configure(dir.path(), hosts)).map_err(|report| report.to_string()).unwrap()
}

/// A fleet as the programs see it.
struct Fleet {
    spec: FleetSpec,
    store: Memory,
}

impl Fleet {
    fn of(hosts: &str, fill: impl FnOnce(&mut dyn Store)) -> Self {
        let mut store = Memory::default();
        fill(&mut store);
        Self { spec: spec(hosts), store }
    }

    fn five() -> Self {
        Self::of(FIVE, |store| filled::five(store, now()))
    }

    fn snapshot(&self, filter: &str, limits: Limits) -> (Snapshot, Filter) {
        let filter = Filter::parse(filter).unwrap();
        (snapshot::read(&self.spec, &self.store, now(), &filter, limits).unwrap(), filter)
    }

    /// The page of a view and its note.
    fn view(&self, view: &View, filter: &str) -> (Page, String) {
        let (fleet, filter) = self.snapshot(filter, Limits::default());
        let shown: Vec<&HostSpec> =
            self.spec.hosts.iter().filter(|it| filter.host(fleet.host(&it.name).unwrap())).collect();
        let mut processes: Vec<(&str, Vec<Process>)> = Vec::new();
        for host in &shown {
            processes.extend(self.store.top(&host.name, now()).unwrap().map(|(_, list)| (host.name.as_str(), list)));
        }
        let facts = Facts { specs: &shown, fleet: &fleet, filter: &filter, processes: &processes, defaults: &[] };
        (view.page(&facts), (view.note)(&facts))
    }
}

fn view(name: &str) -> &'static View {
    VIEWS.iter().find(|view| view.name == name).unwrap()
}

/// The first column of every row.
fn first(page: &Page) -> Vec<String> {
    page.rows.iter().map(|row| table::text(&row[0])).collect()
}

/// Every format of a page, as it is kept.
fn kept(name: &str, page: &Page, note: &str) {
    let text = table::render(page, 80, false);
    assert!(text.lines().all(|line| line.width() <= 80), "{text}");
    golden(&format!("{name}.txt"), &format!("{text}\n{note}"));
    golden(&format!("{name}.json.txt"), &json::render(page));
    golden(&format!("{name}.csv.txt"), &csv::render(page));
}

/// The views of hosts; the catalogue of metrics is tests/fleet.rs's.
const OF_HOSTS: [&str; 5] = ["status", "hosts", "services", "unhealthy", "top"];

#[test]
fn five_hosts_in_every_view() {
    let fleet = Fleet::five();
    for name in OF_HOSTS {
        let (page, note) = fleet.view(view(name), "");
        kept(&format!("five-{name}"), &page, &note);
    }
    let (snapshot, _) = fleet.snapshot("", Limits::default());
    let services = Snapshot::services(&snapshot.hosts);
    let shop = services.iter().find(|service| service.name == "shop").unwrap();
    kept("five-service", &unhealthy::sum(shop), "");
}

#[test]
fn five_hundred_hosts_show_the_red_ones_first_and_are_counted() {
    let fleet = Fleet::of(&filled::many(500), |store| filled::fill(store, now(), 500, &[7, 300]));
    let (page, note) = fleet.view(view("status"), "");
    assert_eq!((page.rows.len(), &first(&page)[..2]), (500, &["n7".to_owned(), "n300".to_owned()][..]));
    assert_eq!(note, "500 hosts: 2 critical, 498 ok\n");
    assert!(page.wrong());
    let text = table::render(&page, 80, false);
    assert!(text.lines().all(|line| line.width() <= 80) && text.lines().count() == 503, "one line a host, and why");
    let (page, note) = fleet.view(view("services"), "");
    assert_eq!((page.rows.len(), note.as_str()), (500, "2 services on 500 servers: 498 of 500 healthy\n"));
    let (page, note) = fleet.view(view("unhealthy"), "");
    assert!(page.rows.is_empty() && !page.wrong());
    assert_eq!(note, "all 2 services have as many healthy servers as they should\n");
    let (page, note) = fleet.view(view("status"), "group=west level>=warning cpu>90%");
    assert_eq!((first(&page), note.as_str()), (vec!["n300".to_owned()], "1 host: 1 critical\n"));
}

#[test]
fn one_red_host_and_none_at_all() {
    let fleet = Fleet::of(&filled::many(3), |store| filled::fill(store, now(), 3, &[1]));
    let (page, note) = fleet.view(view("status"), "");
    kept("one-red", &page, &note);
    let empty = Fleet::of("", |_| {});
    for name in OF_HOSTS {
        let (page, note) = empty.view(view(name), "");
        assert!(page.rows.is_empty() && !page.wrong(), "{name}");
        assert_eq!(csv::render(&page).lines().count(), 1, "{name}: the names of columns stand for themselves");
        assert!(json::render(&page).contains("\"rows\":[]"));
        assert!(name == "hosts" || !note.is_empty(), "{name} says why it is empty");
    }
    // Configured, and nothing stored.
    let fresh = Fleet::of(FIVE, |_| {});
    let (page, note) = fresh.view(view("status"), "");
    assert!(
        !page.wrong()
            && note == "5 hosts: 5 new\n"
            && table::render(&page, 80, false).contains("fleet hosts test web1")
    );
}

/// What hosts and people could bring in: markup, quotes, escapes, bidi controls, line breaks, formulas.
const EVIL: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"'`\\;,|",
    "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m",
    "\u{202e}gnp.exe\u{2066}\u{200b}",
    "a\r\nb\n\tc",
    "=HYPERLINK(\"http://x\",\"y\")",
];

/// Text that no format lets out of its place.
fn harmless(name: &str, page: &Page) {
    let text = table::render(page, 80, false);
    assert!(text.lines().all(|line| line.width() <= 80), "{name}: {text}");
    let (json, csv, markdown) = (json::render(page), csv::render(page), markdown::render(page));
    for out in [&text, &json, &csv, &markdown] {
        assert!(!out.chars().any(|c| c != '\n' && c != '\r' && is_hostile(c)), "{name}: {out:?}");
    }
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["rows"].as_array().unwrap().len(), page.rows.len());
    // Every line of the file is one row, and no field begins as a formula does.
    assert_eq!(csv.matches("\r\n").count(), page.rows.len() + 1, "{name}: {csv}");
    assert_eq!(csv.matches(['\r', '\n']).count(), 2 * (page.rows.len() + 1), "{name}: {csv}");
    for line in csv.lines().skip(1) {
        for field in line.split(',') {
            let start = field.trim_start_matches('"');
            let number = start.parse::<f64>().is_ok();
            assert!(number || !start.starts_with(['=', '+', '-', '@', '\t', '\r']), "{name}: {line}");
        }
    }
    assert_eq!(markdown.lines().count(), page.rows.len() + 2, "{name}: {markdown}");
    assert!(!markdown.replace("\\<", "").contains('<'), "{name}: {markdown}");
}

/// A store may hold what was never cleaned: written by another version, or by hand.
fn hostile(store: &mut dyn Store, now: DateTime<Utc>) {
    let at = now - TimeDelta::seconds(30);
    for (n, evil) in EVIL.iter().enumerate() {
        let mut it =
            filled::sample(1, at, &[("filesystem.used", evil, 0.99), ("check.ok", &format!("shop/{evil}"), 0.0)]);
        it.hostname = (*evil).to_owned();
        it.facts.push(Fact { name: (*evil).to_owned(), item: (*evil).to_owned(), text: (*evil).to_owned() });
        it.top = By::ALL
            .iter()
            .map(|by| Process {
                by: *by,
                pid: 7,
                user: (*evil).to_owned(),
                comm: (*evil).to_owned(),
                unit: (*evil).to_owned(),
                command: (*evil).to_owned(),
                value: 1.0,
            })
            .collect();
        let host = format!("n{n}");
        let failed = (n % 2 == 1).then_some((Cause::Exec, *evil));
        store.record(1, &filled::attempt(&host, at, failed), &[it]).unwrap();
        let problem = filled::incident(n as i64 + 1, &host, "filesystem.used", evil, Level::Critical, at, evil);
        let cursor = n as i64 + 1;
        store.commit_evaluation(&Evaluation { cursor, incidents: vec![problem], ..Evaluation::default() }).unwrap();
    }
    let fleets = filled::incident(99, "", "collector-stalled", EVIL[4], Level::Critical, at, EVIL[2]);
    store.commit_evaluation(&Evaluation { cursor: 9, incidents: vec![fleets], ..Evaluation::default() }).unwrap();
}

#[test]
fn hostile_names_are_harmless_in_every_view() {
    let hosts = filled::many(6).replace("east-app", "shop").replace("west-app", "shop");
    let fleet = Fleet::of(&hosts, |store| hostile(store, now()));
    for name in OF_HOSTS {
        let (page, note) = fleet.view(view(name), "");
        assert!(name == "hosts" || name == "unhealthy" || page.rows.len() >= 6, "{name} is over something");
        harmless(name, &page);
        assert!(!note.chars().any(|c| c != '\n' && is_hostile(c)), "{name}: {note:?}");
    }
    let mut before: Option<then::Then> = None;
    for n in 0..EVIL.len() {
        let host = format!("n{n}");
        let it = then::read(&fleet.store, &host, now(), fleet.spec.collector.interval).unwrap().unwrap();
        let known =
            Known { readings: &it.readings, processes: &it.processes, facts: &it.facts, problems: &it.problems };
        harmless("at", &moment::rows(&known));
        let text = moment::people(&known, 80, false);
        assert!(text.lines().all(|line| line.width() <= 80), "{text}");
        assert!(!text.chars().any(|c| c != '\n' && is_hostile(c)), "{text:?}");
        if let Some(before) = &before {
            let first = Side { settings: &[], facts: &before.facts, readings: &before.readings };
            let second = Side { settings: &[], facts: &it.facts, readings: &it.readings };
            harmless("compare", &compare::page(first, second, true).0);
        }
        before = Some(it);
    }
}

#[test]
fn hostile_names_steer_no_terminal_by_any_command() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    filled::configure(folder, &filled::many(6).replace("east-app", "shop").replace("west-app", "shop"));
    hostile(&mut Sqlite::open(&folder.join("fleet.db")).unwrap(), Utc::now());
    let mut commands: Vec<String> = Vec::new();
    for line in [
        "status",
        "hosts",
        "services",
        "service shop",
        "unhealthy",
        "top",
        "alerts --recent",
        "compare n0 n4 --all",
        "compare n2 n3",
        "health",
        "paths",
        "doctor --timeout 1s",
        "history n4 filesystem.used",
    ] {
        commands.extend(["", " --json", " --csv"].map(|format| format!("{line}{format}")));
    }
    for n in 0..EVIL.len() {
        let lines = [format!("explain n{n} --all"), format!("at -1s n{n}")];
        commands
            .extend(lines.iter().flat_map(|line| ["", " --json", " --csv"].map(|format| format!("{line}{format}"))));
        commands.extend([
            format!("nagios n{n}"),
            format!("alerts show {}", n + 1),
            format!("alerts show 99 {} --json", n + 1),
        ]);
    }
    commands.extend(["nagios", "nagios --service shop"].map(str::to_owned));
    commands.extend(["csv", "jsonl", "influx", "openmetrics"].map(|format| format!("export --format {format}")));
    for line in commands {
        let said = fleet(folder, &line.split(' ').collect::<Vec<_>>());
        assert!(said.code.is_some_and(|code| code <= 3) && !said.out.is_empty(), "{line}: {said:?}");
        let own = |c: char| matches!(c, '\n' | '\r');
        for text in [&said.out, &said.err] {
            assert!(!text.chars().any(|c| !own(c) && is_hostile(c)), "{line}: {text:?}");
        }
        if line.ends_with("--json") {
            serde_json::from_str::<serde_json::Value>(&said.out).unwrap_or_else(|error| panic!("{line}: {error}"));
        } else if line.ends_with("csv") {
            assert_eq!(said.out.matches('\r').count(), said.out.matches("\r\n").count(), "{line}: {}", said.out);
        } else {
            assert!(!said.out.contains('\r'), "{line}: {}", said.out);
        }
    }
    for query in ["SELECT * FROM reading", "SELECT * FROM fact", "SELECT * FROM top_process"] {
        for format in ["table", "json", "csv", "markdown"] {
            let said = fleet(folder, &["sql", query, "--format", format]).ends_with(0);
            assert!(
                said.out.lines().count() > usize::from(format != "json")
                    && !said.out.chars().any(|c| !matches!(c, '\n' | '\r') && is_hostile(c)),
                "{query}"
            );
        }
    }
}

#[test]
fn what_is_old_or_failed_is_told_apart_from_what_is_well() {
    let fleet = Fleet::of(&filled::many(5), |store| {
        let at = |seconds| now() - TimeDelta::seconds(seconds);
        let visit = |store: &mut dyn Store, host: &str, age, sample: Option<Sample>, failed| {
            store.record(1, &filled::attempt(host, at(age), failed), &sample.into_iter().collect::<Vec<_>>()).unwrap();
        };
        visit(store, "n0", 899, Some(filled::sample(1, at(899), &[])), None);
        visit(store, "n1", 901, Some(filled::sample(1, at(901), &[])), None);
        visit(store, "n2", 60, Some(filled::sample(1, at(60), &[])), Some((Cause::Deadline, "")));
        // From the future: the clock was set back.
        visit(store, "n3", -600, Some(filled::sample(1, at(-600), &[])), None);
    });
    let (snapshot, _) = fleet.snapshot("", Limits::default());
    let of = |name: &str| {
        let host = snapshot.host(name).unwrap();
        (host.state, host.level, host.services[0].health)
    };
    assert_eq!(of("n0"), (State::Fresh, Some(Level::Ok), Health::Healthy));
    assert_eq!(of("n1"), (State::Stale, Some(Level::Warning), Health::Unhealthy));
    assert_eq!(of("n2"), (State::Failed, Some(Level::Warning), Health::Unhealthy));
    assert_eq!(
        (of("n3"), snapshot.host("n3").unwrap().age),
        ((State::Fresh, Some(Level::Ok), Health::Healthy), Some(0.0))
    );
    assert_eq!(of("n4"), (State::Never, None, Health::Unknown));
    let (page, _) = fleet.view(view("status"), "state=stale,never");
    assert_eq!(first(&page), ["n1", "n4"]);
    assert!(table::render(&page, 80, false).contains("stale: nothing was collected since; see: fleet health"));
}

#[test]
fn acknowledgements_and_silences_are_seen_while_they_hold() {
    let mut fleet = Fleet::five();
    let silence = |minutes, rules: &[&str]| Silence {
        id: 0,
        scope: Scope {
            groups: vec!["data".into()],
            rules: rules.iter().map(|it| (*it).into()).collect(),
            ..Scope::default()
        },
        when: When::Once { from: now() - TimeDelta::hours(1), until: now() + TimeDelta::minutes(minutes) },
        by: "ada".into(),
        reason: "move".into(),
        created: now(),
        ended: None,
    };
    fleet.store.add_silence(&silence(-1, &[])).unwrap();
    let notes = |fleet: &Fleet| {
        let (snapshot, _) = fleet.snapshot("", Limits::default());
        let sentence = |host: &str| snapshot.host(host).unwrap().problems[0].sentence();
        [sentence("backup"), sentence("db1")]
    };
    assert!(notes(&fleet)[0].ends_with("(taken by anna)") && notes(&fleet)[1].ends_with("critical from 90%"));
    fleet.store.add_silence(&silence(90, &["filesystem.*"])).unwrap();
    assert!(notes(&fleet)[1].ends_with("(silenced until 2026-11-21 13:30 UTC)"), "{:?}", notes(&fleet));
    let (page, _) = fleet.view(view("status"), "rule=filesystem.used");
    assert_eq!(first(&page), ["db1"]);
}

#[test]
fn thresholds_decide_who_is_healthy_and_rates_can_be_asked_for() {
    let fleet = Fleet::five();
    let healthy = |limits| {
        let (snapshot, _) = fleet.snapshot("", limits);
        let all = Snapshot::services(&snapshot.hosts);
        let count = |name: &str| all.iter().find(|service| service.name == name).unwrap().healthy;
        (count("shop"), count("nginx"), count("orders"))
    };
    assert_eq!(healthy(Limits::default()), (0, 1, 1));
    assert_eq!(healthy(Limits { cpu: 0.95, memory: 0.9 }), (1, 2, 1));
    assert_eq!(healthy(Limits { cpu: 0.95, memory: 0.7 }), (1, 2, 0));
    assert_eq!(healthy(Limits { cpu: 0.1, memory: 0.9 }), (0, 0, 0));
    let asked = |filter: &str| first(&fleet.view(view("status"), filter).0);
    assert_eq!(asked("network.receive.rate>1000B/s web*"), ["web1", "web2"]);
    assert_eq!(
        asked("network.receive.bytes[eth0]>=1KiB/s"),
        ["backup", "db1", "web1", "web2"],
        "a counter means its rate"
    );
    assert!(asked("network.receive.rate>2KiB/s").is_empty());
    assert_eq!(asked("filesystem.full-in<1h"), ["db1"], "a forecast");
    assert_eq!(asked("label=tier=db"), ["db1"]);
    assert_eq!(asked("cause=refused"), ["backup"]);
}

#[test]
fn the_filters_of_the_documentation_are_understood() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/filter.md")).unwrap();
    let terms = text.lines().filter(|line| line.starts_with("| `")).flat_map(|line| {
        let cell = line.split(" | ").next().unwrap();
        cell.split('`').skip(1).step_by(2)
    });
    let examples = text.split("```").nth(1).unwrap().lines().filter(|line| !line.is_empty());
    let all: Vec<&str> = terms.chain(examples).collect();
    assert!(all.len() > 20, "{all:?}");
    for filter in all {
        Filter::parse(filter).unwrap_or_else(|error| panic!("{error}"));
    }
    for (word, _) in fleet_health::model::filter::SHORT {
        assert!(text.contains(&format!("`{word}`")), "{word}");
    }
}

#[test]
fn a_moment_is_shown_as_it_was() {
    let mut fleet = Fleet::five();
    let then = |fleet: &Fleet, host: &str, minutes| {
        then::read(&fleet.store, host, now() - TimeDelta::minutes(minutes), fleet.spec.collector.interval).unwrap()
    };
    let fact = |it: &then::Then| it.facts.iter().find(|fact| fact.name == "host.kernel").unwrap().text.clone();
    let early = then(&fleet, "web1", 90).unwrap();
    let late = then(&fleet, "web1", 1).unwrap();
    assert_eq!((early.source, early.at), (Source::Sample, now() - TimeDelta::seconds(90 * 60 + 30)));
    assert_eq!((fact(&early), fact(&late)), ("6.1.0-25".to_owned(), "6.1.0-27".to_owned()));
    let open = |it: &then::Then| it.problems.iter().map(|it| (it.id, it.level)).collect::<Vec<_>>();
    assert_eq!(open(&early), [(1, Level::Warning)], "closed since, at the level that it had");
    assert_eq!(open(&late), [(4, Level::Warning)]);
    let rate = |it: &then::Then| it.readings.iter().find(|it| it.metric == "network.transmit.rate").unwrap().value;
    assert!((rate(&early) - 2048.0).abs() < 1e-6 && early.processes.len() == 4);
    assert!(early.readings.iter().all(|it| it.metric != "network.transmit.bytes"), "totals say nothing");
    let known =
        Known { readings: &late.readings, processes: &late.processes, facts: &late.facts, problems: &late.problems };
    golden("at.txt", &moment::people(&known, 80, false));
    kept("at-rows", &moment::rows(&known), "");
    let db = then(&fleet, "db1", 1).unwrap();
    let first = Side { settings: &[("groups", "web".to_owned())], facts: &late.facts, readings: &late.readings };
    let second = Side { settings: &[("groups", "data".to_owned())], facts: &db.facts, readings: &db.readings };
    kept("compare", &compare::page(first, second, false).0, "");
    assert!(then(&fleet, "web1", 180).is_none(), "before the first");
    assert_eq!(then(&fleet, "backup", 1).unwrap().at, now() - TimeDelta::seconds(70 * 60 + 30), "the last there is");

    // Once the samples are rolled up, the hour stands for the moment.
    let day = std::time::Duration::from_secs(60);
    fleet.store.prune(now(), day, day * 60 * 24 * 9).unwrap();
    let hour = then(&fleet, "web1", 90).unwrap();
    assert_eq!((hour.source, hour.at), (Source::Hour, "2026-11-21T10:00:00Z".parse().unwrap()));
    assert!(hour.processes.is_empty() && hour.readings.iter().any(|it| it.metric == "cpu.used" && it.value > 0.2));
    assert_eq!(open(&hour), [(1, Level::Warning)]);
}

fn fleet(folder: &Path, args: &[&str]) -> Said {
    let mut command = Command::new(program("fleet"));
    command.args(args).arg("--config").arg(folder.join("config.xml")).stdin(Stdio::null());
    Said::of(command.env_remove("NO_COLOR").output().unwrap())
}

#[test]
fn the_commands_sort_filter_colour_and_tell_by_their_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    filled::configure(folder, FIVE);
    filled::five(&mut Sqlite::open(&folder.join("fleet.db")).unwrap(), Utc::now());
    let column = |args: &[&str], code| -> Vec<String> {
        let said = fleet(folder, args).ends_with(code);
        let rows = said.out.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned());
        rows.collect()
    };
    assert_eq!(column(&["status", "--csv"], 3), ["backup", "db1", "web1", "new", "web2"]);
    assert_eq!(column(&["status", "--csv", "--sort", "-memory,host"], 3), ["db1", "backup", "web1", "web2", "new"]);
    assert_eq!(column(&["status", "--csv", "--filter", "web*", "--sort", "-host"], 3), ["web2", "web1"]);
    assert_eq!(column(&["status", "--csv", "--filter", "level=ok"], 0), ["web2"]);
    assert_eq!(column(&["status", "--csv", "--filter", "web2", "--group", "data"], 0), [""; 0]);
    assert_eq!(column(&["status", "--csv", "--limit", "1", "--sort", "level"], 3), ["web2"], "what is cut off counts");
    // The fleet's own problems belong to it: what the table says below its rows.
    let mut store = Sqlite::open(&folder.join("fleet.db")).unwrap();
    let at = Utc::now() - TimeDelta::minutes(9);
    let mut stalled = filled::incident(99, "", "collector-stalled", "", Level::Critical, at, "no sweep since 09:00");
    let mut record = |it: &Incident| {
        let cursor = store.cursor().unwrap();
        store.commit_evaluation(&Evaluation { cursor, incidents: vec![it.clone()], ..Evaluation::default() }).unwrap();
    };
    record(&stalled);
    assert_eq!(column(&["status", "--csv", "--filter", "level=ok"], 3), ["web2"]);
    let all = fleet(folder, &["status", "--json", "--filter", "level=ok"]).ends_with(3).json();
    assert_eq!(
        (&all["fleet"][0]["rule"], &all["fleet"][0]["level"]),
        (&"collector-stalled".into(), &"critical".into())
    );
    stalled.closed = Some(Utc::now());
    record(&stalled);
    assert_eq!(
        fleet(folder, &["status", "--json", "--filter", "level=ok"]).ends_with(0).json()["fleet"],
        serde_json::json!([])
    );
    assert_eq!(column(&["services", "--csv", "--filter", "service=nginx web2"], 0), ["nginx"]);
    assert_eq!(column(&["services", "--csv", "--cpu-threshold", "95"], 3).len(), 5);
    assert_eq!(column(&["unhealthy", "--csv", "--cpu-threshold", "95%"], 3), ["orders", "shop"]);
    assert_eq!(column(&["service", "nginx", "--csv"], 3), ["nginx"]);
    assert_eq!(column(&["service", "nginx", "--csv", "--cpu-threshold", "95%"], 0), ["nginx"]);
    assert_eq!(column(&["hosts", "--csv", "--filter", "group=data"], 0), ["db1"]);
    assert_eq!(column(&["hosts", "list", "--csv", "--sort", "-host"], 0)[0], "web2");
    assert_eq!(column(&["alerts", "--csv", "--sort", "-host"], 3), ["4", "2", "3"]);
    assert_eq!(column(&["alerts", "--csv", "--filter", "group=data level=critical"], 3), ["2"]);
    assert_eq!(column(&["alerts", "--csv", "--filter", "rule=memory.*"], 0), [""; 0]);
    assert_eq!(column(&["top", "--csv", "--host", "web1", "--limit", "1"], 0), ["web1"]);
    assert_eq!(column(&["metrics", "--csv", "--limit", "2"], 0), ["cpu.used", "cpu.iowait"]);
    assert_eq!(column(&["alerts", "--csv", "--filter", "fleet"], 0), [""; 0], "the fleet itself is no slip of the pen");
    assert_eq!(column(&["explain", "db1", "--csv"], 0), [""; 0], "nothing is judged yet");
    let shop = fleet(folder, &["service", "shop", "--json", "--sort", "-host"]).ends_with(3).json();
    assert_eq!((&shop["rows"][0]["healthy"], &shop["servers"][0]["host"]), (&0.into(), &"web2".into()), "{shop}");
    let some = fleet(folder, &["service", "shop", "--filter", "cpu>50%"]).ends_with(3).out;
    assert!(
        some.contains("shop     CRIT         0        2") && some.contains("web1") && !some.contains("web2  "),
        "{some}"
    );
    let top = fleet(folder, &["top", "--json", "--limit", "0"]).ends_with(0).json();
    assert_eq!((top["rows"].as_array().unwrap().len(), &top["rows"][0]["pid"]), (12, &serde_json::json!(812)));

    for (args, told) in [
        (&["status", "--filter", "grop=web"][..], "did you mean \"group\"?"),
        (&["status", "--sort", "hots"], "did you mean \"host\"?"),
        (&["status", "--host", "x*"], "fleet hosts list"),
        // A slip of the pen must not look as if all were well.
        (&["status", "--filter", "group=wbe"], "no host is in a group \"wbe\"; did you mean \"web\"?"),
        (&["alerts", "--filter", "wbe1"], "no host is named \"wbe1\"; did you mean \"web1\"?"),
        (&["services", "--filter", "service=shpo"], "did you mean \"shop\"?"),
        (&["unhealthy", "--filter", "label=owner=nobody"], "no host has a label \"owner=nobody\""),
        (&["top", "--group", "wbe"], "did you mean \"web\"?"),
        (&["history", "web1", "filesystem.used", "--item", "/nowhere"], "no item fits \"/nowhere\"; there are: /"),
        (&["alerts", "show", "x"], "write its number"),
        (&["silence", "end", "x"], "write its number"),
        (&["service", "shpo"], "did you mean \"shop\"?"),
        (&["services", "--cpu-threshold", "0.8"], "write it as 80%"),
        (&["at", "25:00", "web1"], "write 03:12"),
        (&["at", "03:12", "web9"], "did you mean"),
        (&["at", "-99d", "web1"], "fleet history web1"),
        (&["compare", "web1", "wbe2"], "did you mean \"web2\"?"),
        (&["history", "web1", "cpu.used", "--since", "1h", "--until", "-2h"], "not before --until"),
    ] {
        let said = fleet(folder, args).ends_with(2);
        assert!(said.err.contains(told), "{args:?}: {}", said.err);
    }

    let colored = |args: &[&str], set: Option<&str>| {
        let mut command = Command::new(program("fleet"));
        command.args(args).arg("--config").arg(folder.join("config.xml")).env_remove("NO_COLOR");
        if let Some(value) = set {
            command.env("NO_COLOR", value);
        }
        Said::of(command.output().unwrap()).out.contains('\u{1b}')
    };
    // Of util-linux: runs a command on a terminal of its own.
    let on_terminal = |set: &[(&str, &str)]| {
        let line = format!("{} status --config {}", program("fleet").display(), folder.join("config.xml").display());
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).env_remove("NO_COLOR").env("TERM", "xterm");
        let said = Said::of(command.envs(set.iter().copied()).output().unwrap());
        assert!(said.out.contains("CRIT"), "{said:?}");
        said.out.contains("\u{1b}[31mCRIT\u{1b}[0m")
    };
    assert!(on_terminal(&[]) && !on_terminal(&[("NO_COLOR", "1")]) && !on_terminal(&[("TERM", "dumb")]));
    assert!(!colored(&["status"], None), "not a terminal");
    assert!(colored(&["status", "--color", "always"], Some("1")) && !colored(&["status", "--color", "never"], None));

    for args in [
        &["status"][..],
        &["services"],
        &["service", "shop"],
        &["unhealthy"],
        &["top"],
        &["hosts"],
        &["alerts"],
        &["history", "web1", "cpu.used", "--since", "2h"],
        &["history", "db1", "filesystem.used"],
        &["at", "-1h", "web1"],
        &["compare", "web1", "db1", "--all"],
    ] {
        let said = fleet(folder, args);
        assert!(said.out.lines().count() > 3 && said.out.lines().all(|line| line.width() <= 80), "{args:?}: {said:?}");
        let json = fleet(folder, &[args, &["--json"]].concat()).json();
        assert!(json["version"] == 1 && !json["rows"].as_array().unwrap().is_empty(), "{args:?}: {json}");
    }
    let at = fleet(folder, &["at", "1h ago", "web1", "--json"]).ends_with(0).json();
    assert_eq!((at["host"].as_str(), at["source"].as_str()), (Some("web1"), Some("sample")));
    let itself = fleet(folder, &["compare", "web1", "web1", "--at", "-90m", "--csv"]).ends_with(0);
    assert!(itself.out.contains("host.kernel,,6.1.0-25,6.1.0-27,fact,true"), "{}", itself.out);
}
