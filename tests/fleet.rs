//! What `fleet` shows, byte for byte: golden files, regenerated with UPDATE_GOLDEN=1; and its generated texts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(feature = "server")]
#![allow(clippy::disallowed_methods, reason = "the tests start the program")]

use std::process::{Command, Output};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fleet_health::model::catalogue;
use fleet_health::model::fleet::{Heartbeat, Point, Series, Sweep};
use fleet_health::view::{Page, chart, csv, health, history, json, table};

mod support;

use support::golden::golden;

fn now() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// All three formats of a view; the table fits 80 columns and no format lets a terminal be steered.
fn formats(name: &str, page: &Page) {
    let text = table::render(page, 80, false);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let (json, csv) = (json::render(page), csv::render(page));
    for out in [&text, &json, &csv] {
        assert!(!out.chars().any(|c| c != '\n' && c != '\r' && fleet_health::model::clean::is_hostile(c)), "{out}");
    }
    serde_json::from_str::<serde_json::Value>(&json).unwrap();
    golden(&format!("{name}.txt"), &text);
    golden(&format!("{name}.json.txt"), &json);
    golden(&format!("{name}.csv.txt"), &csv);
}

fn series(item: &str, values: impl Iterator<Item = f64>) -> Series {
    let point = |(i, v): (usize, f64)| {
        let at = now() - TimeDelta::hours(2) + TimeDelta::minutes(5 * i as i64);
        Point::new(at, v)
    };
    Series { item: item.to_owned(), points: values.enumerate().map(point).collect() }
}

#[test]
fn history_draws_gauges_and_turns_counters_into_rates() {
    let gauge = catalogue::find("cpu.used");
    let one = [series("", (0..24).map(|i| f64::from(i) / 24.0))];
    let since = now() - TimeDelta::hours(2);
    golden("history-bars.txt", &history::line(gauge, &one[0].points, (since, now()), 78));
    golden("history-chart.txt", &chart::draw(gauge, &one[0].points, since, now(), 80));
    formats("history", &history::points(gauge, &one));
    formats("history-summary", &history::summary(gauge, &one));

    let counter = catalogue::find("network.receive.bytes");
    let rates = [series("eth0", (1..15).map(|i| f64::from(i % 8) * 1024.0)), series("lo", (0..3).map(f64::from))];
    formats("history-rates", &history::points(counter, &rates));
    golden("history-chart-rates.txt", &chart::draw(counter, &rates[0].points, now() - TimeDelta::days(3), now(), 60));
}

#[test]
fn health_says_who_does_not_do_its_job() {
    let beat = |role: &str, minutes, ok, text: &str| Heartbeat {
        role: role.to_owned(),
        at: now() - TimeDelta::minutes(minutes),
        ok,
        text: text.to_owned(),
    };
    let (collector, shard, asked) = (String::new(), None, false);
    let sweep = Sweep { id: 1, started: now(), ended: Some(now()), hosts: 20, failed: 0, collector, shard, asked };
    let sweeps = [sweep];
    let judge = |beats: &[Heartbeat]| {
        let (level, line) = health::line(&health::judge(now(), Duration::from_secs(300), beats, &sweeps, &[]));
        format!("{}: {line}\n", level.number())
    };
    let mut out = judge(&[beat("collector", 3, true, ""), beat("alerter", 2, true, "")]);
    out += &judge(&[beat("collector", 11, true, ""), beat("alerter", 2, true, "")]);
    out += &judge(&[beat("collector", 3, true, ""), beat("alerter", 16, true, "")]);
    out += &judge(&[beat("collector", 3, false, "2 of 20 hosts | failed\nx"), beat("alerter", 2, true, "")]);
    out += &judge(&[beat("collector", 3, true, "")]);
    out += &judge(&[beat("collector", 3, true, ""), beat("alerter", 2, true, ""), beat("store", 99, false, "page 7")]);
    golden("health.txt", &out);
}

const METRICS: &str = "# Metrics

What `fleet metrics` lists, made by `UPDATE_GOLDEN=1 cargo test --test fleet metrics` and compared by that test. Values are
in base units; tables, mails and charts turn them into what people read. A *counter* is a total since boot; a rule on it, and
`fleet history`, mean its growth each second. A metric with a formula is derived when it is read, from two samples of one
boot: a reboot or a reset makes no value. The defaults hold without any configuration; one line overrides an attribute or
mutes them (`<rule metric=\"...\" off=\"true\"/>`) for all, a group or a host.

";

#[test]
fn metrics_are_listed_and_documented_with_their_defaults() {
    let table = fleet(&["metrics"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    for metric in catalogue::all() {
        assert!(table.lines().any(|line| line.split_whitespace().next() == Some(metric.name)), "{}", metric.name);
    }
    assert!(table.contains("\n    warning=\"2\" critical=\"5\" for=\"10m\"\n"), "{table}");
    let markdown = fleet(&["metrics", "--format", "markdown"]);
    golden("../../docs/metrics.md", &format!("{METRICS}{}", String::from_utf8(markdown.stdout).unwrap()));
}

fn fleet(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fleet")).args(args).env_remove("FLEET_CONFIG").output().unwrap()
}

#[test]
fn health_is_unknown_where_nothing_can_be_told() {
    for args in [&["health", "--nonsense"][..], &["--config", "/nowhere.xml", "health"]] {
        let out = fleet(args);
        assert_eq!(out.status.code(), Some(3), "{args:?}");
        assert!(String::from_utf8_lossy(&out.stdout).starts_with("UNKNOWN - "), "{args:?}");
    }
    assert_eq!(fleet(&["status", "--nonsense"]).status.code(), Some(2));
    assert_eq!(fleet(&["health", "--help"]).status.code(), Some(0));
}

#[test]
fn init_without_terminal_and_flags_says_which_flags() {
    let dir = tempfile::tempdir().unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_fleet"))
        .args(["init", "--dir", dir.path().to_str().unwrap()])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("--mail"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn machines_that_other_programs_know_become_lines_of_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("inventory.ini");
    std::fs::write(&list, "[web]\nweb[1:3] ansible_user=deploy\n\u{1b}[2J\n").unwrap();
    let out = fleet(&["config", "convert", list.to_str().unwrap()]);
    assert_eq!(
        String::from_utf8_lossy(&out.stdout),
        "<group name=\"web\">\n  <host name=\"web[1-3]\" user=\"deploy\"/>\n</group>\n"
    );
    let told = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "a host was left out: {told}");
    assert!(
        told.contains("left out: ?[2J") && told.contains("fleet check-config") && !told.contains('\u{1b}'),
        "{told}"
    );
    std::fs::write(&list, "all:\n  hosts:\n").unwrap();
    let out = fleet(&["config", "convert", list.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&out.stderr).contains("ansible-inventory -i FILE --list"), "{out:?}");
    assert_eq!(fleet(&["config", "convert", "/nowhere"]).status.code(), Some(2));
}
