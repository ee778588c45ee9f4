//! How quick what people look at stays over a large store: a host's page over 30 days from 90 days of 500 hosts, and the
//! page of 5,000 hosts, through the real server, beside a plain scan of the same store.
//! `cargo bench --bench queries` prints a table and takes about 3 GB below target/ while it runs; without `--bench` (as
//! `cargo test` starts it) everything is tiny.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "a benchmark fails loudly, on time")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use chrono::{TimeDelta, Utc};
use fleet_health::app::past;
use fleet_health::model::catalogue;
use fleet_health::model::fleet::Grain;
use fleet_health::store::Store;
use fleet_health::store::sqlite::Sqlite;
use rusqlite::Connection;

/// Days that samples stay whole, and days in all.
const WHOLE: i64 = 14;
const DAYS: i64 = 90;

/// The metrics of the large store, with their items: what fills most charts of a host's page.
const NAMES: &[(&str, &str)] = &[
    ("cpu.used", ""),
    ("cpu.user", ""),
    ("cpu.system", ""),
    ("cpu.iowait", ""),
    ("load.1m", ""),
    ("memory.used", ""),
    ("memory.total", ""),
    ("memory.available", ""),
    ("swap.used", ""),
    ("filesystem.used", "/"),
    ("filesystem.used", "/var"),
    ("network.receive.bytes", "eth0"),
    ("network.transmit.bytes", "eth0"),
    ("disk.read.bytes", "sda"),
    ("disk.write.bytes", "sda"),
    ("uptime", ""),
];

/// Fills a store that the program made, by the shortest way: rows of made-up numbers.
fn fill(file: &Path, hosts: i64, whole_days: i64, days: i64) {
    drop(Sqlite::open(file).unwrap());
    let conn = Connection::open(file).unwrap();
    let now = Utc::now().timestamp_millis();
    let first_whole = now - whole_days * 86_400_000;
    let names = serde_json::to_string(&NAMES.iter().map(|(m, i)| [m, i]).collect::<Vec<_>>()).unwrap();
    // Gauges between 0 and 1, and counters that grow; as `record` would write them.
    let value = |k: usize| match NAMES[k].0 {
        name if catalogue::find(name).is_some_and(|m| m.kind == fleet_health::model::metric::Kind::Counter) => {
            "(n * 1000003 + h)".to_owned()
        }
        "uptime" => "(n * 300)".to_owned(),
        _ => format!("round(((h * 31 + n * {}) % 997) / 997.0, 4)", 7 + k),
    };
    let readings = (0..NAMES.len()).map(value).collect::<Vec<_>>().join(" || ',' || ");
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; BEGIN;
         INSERT INTO layout (hash, names) VALUES (x'00', '{names}');
         INSERT INTO maker (hostname, probe) VALUES ('h', '1');
         INSERT INTO sweep (started, ended, hosts, failed) VALUES ({now}, {now}, {hosts}, 0);
         CREATE TEMP TABLE h AS WITH RECURSIVE c(h) AS (SELECT 1 UNION ALL SELECT h + 1 FROM c WHERE h < {hosts})
             SELECT h FROM c;
         INSERT INTO host (id, name) SELECT h, printf('host%04d', h) FROM h;
         INSERT INTO boot (id, host, name, seen) SELECT h, h, 'boot', {now} FROM h;
         CREATE TEMP TABLE n AS WITH RECURSIVE c(n) AS
             (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < max(0, {whole_days} * 288 - 1)) SELECT n FROM c;
         INSERT INTO attempt (sweep, host, at, took, sent, received, round_trips, shipped)
             SELECT 1, h, {now} - (SELECT max(n) FROM n) * 300000 + n * 300000, 500000, 5000, 17000, 8, 0 FROM n, h;
         INSERT INTO sample (host, boot, sequence, attempt, at, layout, maker, readings)
             SELECT h, h, n, n * {hosts} + h, {now} - (SELECT max(n) FROM n) * 300000 + n * 300000, 1, 1,
                 '[' || {readings} || ']' FROM n, h;
         UPDATE host SET sample = (SELECT max(id) FROM sample WHERE sample.host = host.id),
             attempt = (SELECT max(id) FROM attempt WHERE attempt.host = host.id);
         COMMIT;"
    ))
    .unwrap();
    if days > whole_days {
        let (from, to) = ((now - days * 86_400_000) / 3_600_000, first_whole / 3_600_000);
        let list = NAMES.iter().map(|(m, i)| format!("('{m}', '{i}')")).collect::<Vec<_>>().join(",");
        conn.execute_batch(&format!(
            "BEGIN; INSERT INTO name (metric, item) VALUES {list};
             CREATE TEMP TABLE hour AS WITH RECURSIVE c(x) AS
                 (SELECT {from} UNION ALL SELECT x + 1 FROM c WHERE x < {to} - 1) SELECT x FROM c;
             INSERT INTO hourly SELECT h, name.id, x, x % 7, 10 + x % 31 + h, 50 + x % 97, 12 FROM h, name, hour;
             UPDATE host SET rolled = {to}, gone = {to}; COMMIT;"
        ))
        .unwrap();
    }
    drop(conn);
    // The hours of what is still whole are made as `fleet prune` makes them every day.
    let mut store = Sqlite::open(file).unwrap();
    store
        .prune(Utc::now(), std::time::Duration::from_secs(40 * 86_400), std::time::Duration::from_secs(400 * 86_400))
        .unwrap();
}

/// A configuration over a store, and the server of it.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(folder: &Path, hosts: i64) -> Self {
        let mut text = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<fleet-health version=\"1\">\n<store url=\"sqlite:fleet.db\" keep=\"14d\"/>\n",
        );
        text.push_str(&format!("<host name=\"host[0001-{hosts:04}]\" transport=\"local\"/>\n</fleet-health>\n"));
        let config = folder.join("config.xml");
        fs::write(&config, text).unwrap();
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
        command.arg("--config").arg(&config).args(["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http")).unwrap_or_else(|| panic!("{line:?}"));
        let address = url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
        Self { child, address }
    }

    /// The bytes of an answer's body, and how long they took.
    fn get(&self, path: &str) -> (usize, f64) {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let text = String::from_utf8_lossy(&answer[..answer.len().min(64)]).into_owned();
        assert!(text.starts_with("HTTP/1.1 200"), "{path}: {text}");
        (answer.len(), begun.elapsed().as_secs_f64() * 1000.0)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn timed(rounds: usize, mut work: impl FnMut(usize)) -> f64 {
    median(
        (0..rounds)
            .map(|n| {
                let begun = Instant::now();
                work(n);
                begun.elapsed().as_secs_f64() * 1000.0
            })
            .collect(),
    )
}

fn main() {
    let whole = std::env::args().any(|word| word == "--bench");
    let (hosts, fleet, whole_days, days, rounds) = if whole { (500, 5000, WHOLE, DAYS, 21) } else { (3, 5, 1, 3, 1) };
    let folder = tempfile::Builder::new().prefix("queries").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (large, wide) = (folder.path().join("large"), folder.path().join("wide"));
    fs::create_dir_all(&large).unwrap();
    fs::create_dir_all(&wide).unwrap();
    let begun = Instant::now();
    fill(&large.join("fleet.db"), hosts, whole_days, days);
    let size = fs::metadata(large.join("fleet.db")).unwrap().len() as f64 / 1e6;
    println!(
        "| store | {hosts} hosts, {days} days, {} readings a sample every 5 min, {whole_days} days of them whole | {size:.0} MB, made in {:.0} s | |",
        NAMES.len(),
        begun.elapsed().as_secs_f64()
    );
    let store = Sqlite::open(&large.join("fleet.db")).unwrap();
    let now = Utc::now();
    let month = (now - TimeDelta::days(30), now);
    let name = |n: usize| format!("host{:04}", 1 + (n * 37) % hosts as usize);
    for metric in ["cpu.used", "network.receive.rate"] {
        let scan = timed(rounds, |n| drop(past::series(&store, &name(n), metric, month, Grain::Whole).unwrap()));
        let hours = timed(rounds, |n| drop(past::series(&store, &name(n), metric, month, Grain::Hours).unwrap()));
        println!(
            "| {metric} of a host, 30 days | {hours:.1} ms from hours | {scan:.1} ms by a scan of samples | {:.2} |",
            hours / scan
        );
    }
    let scan = timed(rounds, |n| {
        for (metric, _) in NAMES {
            drop(past::series(&store, &name(n), metric, month, Grain::Whole).unwrap());
        }
    });
    let served = Served::start(&large, hosts);
    let from = (now - TimeDelta::days(30)).format("%Y-%m-%dT%H:%M:%SZ");
    let paths = |n: usize| {
        [format!("/host/{}?from={from}", name(n)), format!("/host/{}/charts?from={from}&points=800", name(n))]
    };
    served.get(&paths(0)[0]);
    let (mut page, mut charts, mut bytes) = (Vec::new(), Vec::new(), 0);
    for n in 0..rounds {
        let [first, second] = paths(n);
        page.push(served.get(&first).1);
        let (size, took) = served.get(&second);
        bytes = size;
        charts.push(took);
    }
    let (page, charts) = (median(page), median(charts));
    println!("| host page, 30 days: the page | {page:.1} ms | | |");
    println!(
        "| host page, 30 days: all its charts ({bytes} bytes) | {charts:.1} ms | {scan:.1} ms to scan the same metrics' samples | {:.2} |",
        charts / scan
    );
    for (words, days) in [("24 hours", 1), ("7 days", 7), ("90 days", 90)] {
        let from = (now - TimeDelta::days(days)).format("%Y-%m-%dT%H:%M:%SZ");
        let charts = |n: usize| served.get(&format!("/host/{}/charts?from={from}&points=400", name(n)));
        let took = median((0..rounds).map(|n| charts(n).1).collect());
        println!("| host page, {words}: all its charts, 400 points wide | {took:.1} ms | | |");
    }
    drop(served);

    fill(&wide.join("fleet.db"), fleet, 0, 0);
    let store = Sqlite::open(&wide.join("fleet.db")).unwrap();
    let scan = timed(rounds.min(5), |_| drop(store.now().unwrap()));
    let served = Served::start(&wide, fleet);
    let first = served.get("/").1;
    let later = median((0..rounds).map(|_| served.get("/").1).collect());
    println!(
        "| fleet page of {fleet} hosts, first look | {first:.1} ms | {scan:.1} ms to read the newest samples whole | {:.2} |",
        first / scan
    );
    println!("| fleet page of {fleet} hosts, later | {later:.1} ms | | {:.2} |", later / scan);
}
