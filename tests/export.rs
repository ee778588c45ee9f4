//! `fleet export` and `fleet sql` over a store with hostile names, each format read by a program of others.
#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may stop where something is wrong, and starts programs"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fleet_health::model::alert::Evaluation;
use fleet_health::model::clean::is_hostile;
use fleet_health::model::fleet::{Attempt, Outcome};
use fleet_health::model::job::Traffic;
use fleet_health::model::sample::{Reading, Sample, SampleKey};
use fleet_health::store::Store;
use fleet_health::store::sqlite::Sqlite;
use serde_json::Value;

use support::run::{Said, must, program, sqlite3};

/// What a hostile machine may call its mounts, were it not cleaned before.
const ITEMS: &[&str] = &[
    "/",
    "=1+1",
    "@SUM(A1)",
    "a\"b'c",
    "c,d e=f",
    "back\\",
    "back\\,slash",
    "<script>alert(1)</script>",
    "two\nlines",
    "\u{1b}[31m\u{202e}turned",
];
/// Whole samples of `w1`.
const SAMPLES: usize = 30;

fn store(dir: &Path) -> Sqlite {
    Sqlite::open(&dir.join("fleet.db")).unwrap()
}

fn sample(sequence: u64, at: DateTime<Utc>) -> Sample {
    let reading = |metric: &str, item: &str, value| Reading { metric: metric.into(), item: item.into(), value };
    let mut readings: Vec<Reading> = ITEMS.iter().map(|item| reading("filesystem.used", item, 0.25)).collect();
    readings.push(reading("cpu.used", "", sequence as f64 / 1000.0));
    readings.push(reading("network.receive.bytes", "eth0", 1e6 * sequence as f64));
    readings.push(reading("zz.brought-later", "x\"y", -1.5));
    Sample {
        key: SampleKey { boot: "b".into(), sequence },
        taken: at,
        hostname: "h".into(),
        probe: "1".into(),
        readings,
        faults: Vec::new(),
        facts: Vec::new(),
        top: Vec::new(),
    }
}

/// Two hosts; of one also hours whose samples are gone.
fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config = "<fleet-health version=\"1\"><store url=\"sqlite:fleet.db\" keep=\"14d\" keep-hourly=\"400d\"/>\
                  <host name=\"w1\" user=\"u\"/></fleet-health>";
    fs::write(dir.path().join("config.xml"), config).unwrap();
    let mut store = store(dir.path());
    let now = Utc::now();
    let mut put = |host: &str, sequence: u64, at: DateTime<Utc>| {
        let (took, outcome) = (Duration::from_secs(1), Outcome::Collected);
        let attempt = Attempt { host: host.into(), at, took, outcome, traffic: Traffic::default() };
        store.record(1, &attempt, &[sample(sequence, at)]).unwrap();
    };
    for n in 0..24 {
        put("w1", n, now - TimeDelta::days(20) + TimeDelta::minutes(5 * n as i64));
    }
    for n in 0..SAMPLES as u64 {
        put("w1", 100 + n, now - TimeDelta::minutes(5 * (SAMPLES as i64 - n as i64)));
    }
    put("gone from the configuration", 1, now - TimeDelta::minutes(7));
    store.commit_evaluation(&Evaluation { cursor: 1000, ..Evaluation::default() }).unwrap();
    store.prune(now, Duration::from_secs(14 * 86_400), Duration::from_secs(400 * 86_400)).unwrap();
    dir
}

fn fleet(dir: &Path, args: &[&str]) -> Said {
    let mut command = Command::new(program("fleet"));
    command.arg("--config").arg(dir.join("config.xml")).args(args).stdin(Stdio::null());
    Said::of(command.output().unwrap())
}

fn tame(text: &str) -> bool {
    !text.chars().any(|c| c != '\n' && c != '\r' && is_hostile(c))
}

/// Runs a Python of the tests over a text; what it prints.
fn python(dir: &Path, script: &str, text: &str) -> String {
    let file = dir.join("given");
    fs::write(&file, text).unwrap();
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python");
    must(&python.display().to_string(), &["-c".to_owned(), script.to_owned(), file.display().to_string()])
}

#[test]
fn csv_is_whole_and_runs_nothing_in_a_spreadsheet() {
    let dir = filled();
    let out = fleet(dir.path(), &["export"]).ends_with(0).out;
    let script = "import csv,sys,json\nprint(json.dumps(list(csv.reader(open(sys.argv[1],newline='')))))";
    let rows: Vec<Vec<String>> = serde_json::from_str(&python(dir.path(), script, &out)).unwrap();
    assert_eq!(rows[0].join(","), "host,metric,item,at,value,min,max");
    let per_sample = ITEMS.len() + 3;
    let old = (Utc::now() - TimeDelta::days(10)).to_rfc3339();
    let hours = rows[1..].iter().filter(|row| row[1] == "cpu.used" && row[3] < old).count();
    assert!((2..=3).contains(&hours), "{hours} hours");
    assert_eq!(rows.len(), 1 + per_sample * (SAMPLES + 1 + hours));
    assert!(rows.iter().all(|row| row.len() == 7) && tame(&out));
    let items: BTreeSet<&str> = rows.iter().map(|row| row[2].as_str()).collect();
    assert!(
        items.contains("'=1+1")
            && items.contains("'@SUM(A1)")
            && items.contains("c,d e=f")
            && items.contains("two?lines")
    );
    assert!(!items.iter().any(|item| item.starts_with(['=', '@', '+', '-'])), "{items:?}");
    assert!(rows.iter().any(|row| row[0].starts_with("gone")), "a host that is not configured has its past");
    assert!(rows.iter().any(|row| row[1] == "zz.brought-later" && row[4] == "-1.5"));
}

#[test]
fn what_is_asked_for_is_all_that_comes() {
    let dir = filled();
    let rows =
        |args: &[&str]| fleet(dir.path(), &[&["export"][..], args].concat()).ends_with(0).out.lines().count() - 1;
    assert_eq!(rows(&["--metric", "cpu.*", "--since", "1d", "--host", "w1"]), SAMPLES);
    assert_eq!(rows(&["--metric", "cpu.used", "--metric", "zz*", "--since", "1d"]), 2 * (SAMPLES + 1));
    assert_eq!(rows(&["--metric", "nothing"]), 0);
    let hours = (Utc::now() - TimeDelta::days(1)).format("%Y-%m-%d %H:%M").to_string();
    assert_eq!(rows(&["--metric", "cpu.used", "--since", &hours, "--filter", "w1 cpu.used<100%"]), SAMPLES);
    assert!(fleet(dir.path(), &["export", "--filter", "cpu.used>100%"]).ends_with(2).err.contains("fits"));
    assert!(fleet(dir.path(), &["export", "--filter", "grop=x"]).ends_with(2).err.contains("group"));
    assert!(fleet(dir.path(), &["export", "--group", "x"]).ends_with(2).err.contains("fleet hosts list"));
    assert!(fleet(dir.path(), &["export", "--host", "x"]).ends_with(2).err.contains("fleet hosts list"));
    assert!(fleet(dir.path(), &["export", "--format", "xml"]).ends_with(2).err.contains("openmetrics"));
}

#[test]
fn json_lines_keep_every_name_as_it_was() {
    let dir = filled();
    let out = fleet(dir.path(), &["export", "--format", "jsonl"]).ends_with(0).out;
    let rows: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let items: BTreeSet<&str> =
        rows.iter().filter(|row| row["metric"] == "filesystem.used").map(|row| row["item"].as_str().unwrap()).collect();
    assert_eq!(items, ITEMS.iter().copied().collect());
    assert!(tame(&out));
    let hour = rows.iter().find(|row| row.get("min").is_some()).unwrap();
    assert!(hour["min"].as_f64() < hour["value"].as_f64() && hour["value"].as_f64() < hour["max"].as_f64(), "{hour}");
    let stored: Vec<Vec<String>> = sqlite3(&dir.path().join("fleet.db"), "SELECT count(*) FROM reading");
    let whole =
        rows.iter().filter(|row| row["at"].as_str().unwrap() > &*(Utc::now() - TimeDelta::days(1)).to_rfc3339());
    assert_eq!(stored[0][0], whole.count().to_string());
}

#[test]
fn the_line_protocol_is_read_by_its_parser() {
    let dir = filled();
    let out = fleet(dir.path(), &["export", "--format", "influx", "--since", "1d"]).ends_with(0).out;
    assert!(tame(&out));
    let script = "import sys,json\nfrom line_protocol_parser import parse_line\n\
                  print(json.dumps([parse_line(l) for l in open(sys.argv[1]).read().split('\\n') if l]))";
    let rows: Vec<Value> = serde_json::from_str(&python(dir.path(), script, &out)).unwrap();
    assert_eq!(rows.len(), (ITEMS.len() + 3) * (SAMPLES + 1));
    let items: BTreeSet<&str> = rows.iter().filter_map(|row| row["tags"]["item"].as_str()).collect();
    // What the format has no way to write is replaced.
    let given = |item: &&str| item.replace("back\\", "back?").replace(['\n', '\u{1b}', '\u{202e}'], "?");
    let mut wanted: BTreeSet<String> = ITEMS.iter().map(given).collect();
    wanted.extend(["eth0".to_owned(), "x\"y".to_owned()]);
    assert_eq!(items, wanted.iter().map(String::as_str).collect());
    let cpu = rows.iter().find(|row| row["measurement"] == "cpu.used" && row["tags"].get("item").is_none()).unwrap();
    let at = DateTime::from_timestamp_nanos(cpu["time"].as_i64().unwrap());
    assert!((Utc::now() - at) < TimeDelta::hours(3) && cpu["fields"]["value"].as_f64().is_some(), "{cpu}");
    assert!(rows.iter().any(|row| row["tags"]["host"] == "gone from the configuration"));
}

#[test]
fn openmetrics_becomes_blocks_of_prometheus() {
    let dir = filled();
    let out = fleet(dir.path(), &["export", "--format", "openmetrics"]).ends_with(0).out;
    assert!(tame(&out) && out.ends_with("\n# EOF\n"));
    // No family and no series comes twice: both stand together.
    let (mut seen, mut last) = (BTreeSet::new(), String::new());
    for line in out.lines().filter(|line| !line.starts_with('#')) {
        let series = line[..line.rfind('}').unwrap()].to_owned();
        if series != last {
            assert!(seen.insert(series.clone()), "{series} comes twice");
            last = series;
        }
    }
    let types: Vec<&str> = out.lines().filter(|line| line.starts_with("# TYPE")).collect();
    assert_eq!(types.len(), 4, "{types:?}");
    assert!(types.contains(&"# TYPE fleet_network_receive_bytes counter"));
    assert!(out.contains("\nfleet_network_receive_bytes_total{host=\"w1\",item=\"eth0\"} "));
    assert!(
        out.contains("item=\"a\\\"b'c\"") && out.contains("item=\"back\\\\\"") && out.contains("item=\"two\\nlines\"")
    );
    assert!(out.contains("\nfleet_unknown{host=\"w1\",metric=\"zz.brought-later\",item=\"x\\\"y\"} -1.5 "));

    let (file, blocks) = (dir.path().join("all.om"), dir.path().join("blocks"));
    fs::write(&file, &out).unwrap();
    let shown = |path: &Path| path.display().to_string();
    must(
        "promtool",
        &["tsdb".to_owned(), "create-blocks-from".to_owned(), "openmetrics".to_owned(), shown(&file), shown(&blocks)],
    );
    // Where promtool looks before it reads blocks.
    fs::create_dir(blocks.join("wal")).unwrap();
    let dump = must("promtool", &["tsdb".to_owned(), "dump".to_owned(), shown(&blocks)]);
    let values = out.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(dump.lines().filter(|line| line.starts_with('{')).count(), values);
}

#[test]
fn a_reader_that_has_seen_enough_ends_an_export() {
    let dir = filled();
    for format in ["csv", "jsonl", "influx", "openmetrics"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(program("fleet"));
        command.arg("--config").arg(dir.path().join("config.xml")).args(["export", "--format", format]);
        let said = command.stdout(writer).output().unwrap();
        assert_eq!((said.status.code(), said.stderr.len()), (Some(0), 0), "{format}");
    }
}

#[test]
fn the_store_answers_questions_and_takes_no_orders() {
    let dir = filled();
    let sql = |args: &[&str]| fleet(dir.path(), &[&["sql"][..], args].concat());
    let count = "SELECT host, count(*) AS n, 9007199254740993 AS big, NULL AS none FROM reading GROUP BY host";
    let table = sql(&[count]).ends_with(0).out;
    assert!(table.starts_with("host ") && table.contains("9007199254740993"), "{table}");
    let json = sql(&[count, "--json"]).ends_with(0).json();
    assert_eq!(json["rows"][1]["n"], (ITEMS.len() + 3) * SAMPLES);
    assert_eq!(
        (json["rows"][1]["big"].as_i64(), json["rows"][1]["none"].is_null()),
        (Some(9_007_199_254_740_993), true)
    );
    let csv = sql(&["SELECT item, -1.5 AS x FROM reading WHERE item LIKE '=%' LIMIT 1", "--csv"]).ends_with(0).out;
    assert_eq!(csv, "item,x\r\n'=1+1,-1.5\r\n");
    let hostile = sql(&["SELECT DISTINCT item AS \"a\u{1b}[2Jb\" FROM reading"]).ends_with(0).out;
    assert!(tame(&hostile) && hostile.contains("two?lines"), "{hostile}");
    let before = sqlite3(&dir.path().join("fleet.db"), "SELECT count(*) FROM sample");
    for order in ["DELETE FROM sample", "DROP TABLE sample", "PRAGMA user_version = 1", "SELECT 1; DELETE FROM sample"]
    {
        assert!(!sql(&[order]).ends_with(74).err.is_empty(), "{order}");
    }
    assert_eq!(sqlite3(&dir.path().join("fleet.db"), "SELECT count(*) FROM sample"), before);
    assert!(sql(&["SELEKT"]).ends_with(74).err.contains("syntax error"));
    // From standard input; nothing there is a mistake that says what to type.
    let mut command = Command::new(program("fleet"));
    command.arg("--config").arg(dir.path().join("config.xml")).args(["sql", "-", "--csv"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"SELECT 7 AS seven\n").unwrap();
    assert_eq!(Said::of(child.wait_with_output().unwrap()).ends_with(0).out, "seven\r\n7\r\n");
    assert!(sql(&[]).ends_with(2).err.contains("SELECT"));
}

#[test]
fn a_copy_put_in_the_place_of_the_store_is_the_store() {
    let dir = filled();
    let copy = dir.path().join("copy.db");
    fleet(dir.path(), &["backup", &copy.display().to_string()]).ends_with(0);
    let all = fleet(dir.path(), &["export"]).ends_with(0).out;
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(dir.path().join(format!("fleet.db{suffix}")));
    }
    assert!(fleet(dir.path(), &["sql", "SELECT 1"]).ends_with(74).err.contains("fleet-collector"));
    fs::rename(&copy, dir.path().join("fleet.db")).unwrap();
    assert_eq!(fleet(dir.path(), &["export"]).ends_with(0).out, all);
    // And it goes on where it was.
    let mut store = store(dir.path());
    let (took, outcome) = (Duration::from_secs(1), Outcome::Collected);
    let attempt = Attempt { host: "w1".into(), at: Utc::now(), took, outcome, traffic: Traffic::default() };
    assert_eq!(store.record(2, &attempt, &[sample(100, Utc::now())]).unwrap(), 0, "known before the copy");
    assert_eq!(store.record(2, &attempt, &[sample(999, Utc::now())]).unwrap(), 1);
}
