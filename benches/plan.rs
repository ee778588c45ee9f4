//! What a sweep costs before and beside its visits, and how that grows: the configuration, planning, claims and commits, for
//! 500 and 5,000 hosts. In processor time, so that neighbours on the machine matter little; linear is a ratio of 10.
//! `cargo bench --bench plan` prints a table, `cargo bench --bench plan -- 100 1000` one for other numbers; without `--bench`
//! (as `cargo test` starts it) everything is tiny.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "a benchmark fails loudly, on time")]

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fleet_health::config;
use fleet_health::model::cause::Cause;
use fleet_health::model::fleet::{Attempt, Consent, Outcome};
use fleet_health::model::job::Traffic;
use fleet_health::model::sample::{Reading, Sample, SampleKey};
use fleet_health::model::turn::{Begun, Claim};
use fleet_health::store::Store;
use fleet_health::store::sqlite::Sqlite;
use rusqlite::Connection;
use rustix::time::{ClockId, clock_gettime};

/// Readings of a sample.
const READINGS: usize = 100;
/// Attempts that each host has behind it, all of them refused logins and waits: the worst for whoever reads them.
const PAST: usize = 300;

fn processor() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap()
}

fn measured<T>(name: &'static str, table: &mut Vec<(&'static str, Duration)>, work: impl FnOnce() -> T) -> T {
    let begun = processor();
    let result = work();
    table.push((name, processor() - begun));
    result
}

fn names(hosts: usize) -> Vec<String> {
    (0..hosts).map(|n| format!("host-{n:05}.example.net")).collect()
}

fn configuration(file: &Path, hosts: usize) {
    let lines: String = names(hosts)
        .iter()
        .enumerate()
        .map(|(n, name)| format!("<host name=\"{name}\" address=\"10.{}.{}.{}\"/>\n", n >> 16, (n >> 8) & 255, n & 255))
        .collect();
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<fleet-health version=\"1\">\n<ssh user=\"fleet\"/>\n\
         <group name=\"all\" jump=\"me@192.0.2.1\">\n{lines}</group></fleet-health>\n"
    );
    std::fs::write(file, text).unwrap();
}

fn attempt(host: &str, at: DateTime<Utc>, cause: Option<Cause>) -> Attempt {
    let outcome = match cause {
        Some(cause) => Outcome::Failed { cause, text: "a text of the usual length for people".to_owned() },
        None => Outcome::Collected,
    };
    Attempt { host: host.to_owned(), at, took: Duration::from_millis(300), outcome, traffic: Traffic::default() }
}

fn sample(at: DateTime<Utc>, sequence: u64) -> Sample {
    let reading = |n: usize| Reading { metric: format!("metric.{n}"), item: String::new(), value: n as f64 * 0.37 };
    Sample {
        key: SampleKey { boot: "0d2f7d1a-9f3b-4c8e-8a51-6f2f1f0a7c11".to_owned(), sequence },
        taken: at,
        hostname: "host".to_owned(),
        probe: "0.1.0".to_owned(),
        readings: (0..READINGS).map(reading).collect(),
        faults: Vec::new(),
        facts: Vec::new(),
        top: Vec::new(),
    }
}

/// Gives every host its past by the shortest way.
fn fill(file: &Path, hosts: usize, past: usize, now: DateTime<Utc>) {
    drop(Sqlite::open(file).unwrap());
    let mut conn = Connection::open(file).unwrap();
    let tx = conn.transaction().unwrap();
    for name in names(hosts) {
        tx.execute("INSERT INTO host (name, strikes, refused) VALUES (?1, 20, 1)", [name]).unwrap();
    }
    let insert = "INSERT INTO attempt (sweep, host, at, took, cause, text, sent, received, round_trips, shipped)
                  VALUES (1, ?1, ?2, 0, ?3, 'a text', 0, 0, 0, 0)";
    let mut put = tx.prepare(insert).unwrap();
    for n in 0..past {
        let at = (now - TimeDelta::minutes(5 * (past - n) as i64)).timestamp_millis();
        let cause = if n % 12 == 0 { "authentication" } else { "back-off" };
        for host in 1..=hosts as i64 {
            put.execute(rusqlite::params![host, at, cause]).unwrap();
        }
    }
    drop(put);
    tx.execute("UPDATE host SET attempt = (SELECT max(id) FROM attempt WHERE host = host.id)", []).unwrap();
    tx.execute("UPDATE host SET turn = attempt", []).unwrap();
    tx.commit().unwrap();
}

fn run(hosts: usize, past: usize) -> Vec<(&'static str, Duration)> {
    let dir = tempfile::tempdir().unwrap();
    let (file, database) = (dir.path().join("config.xml"), dir.path().join("fleet.db"));
    let (now, mut table) = (Utc::now(), Vec::new());
    configuration(&file, hosts);
    let spec = measured("configuration read and resolved", &mut table, || config::load(&file).unwrap());
    assert_eq!(spec.hosts.len(), hosts);
    fill(&database, hosts, past, now);
    let mut store = Sqlite::open(&database).unwrap();
    measured("turns and waits of every host", &mut table, || {
        assert_eq!(store.standings().unwrap().len(), hosts);
        store.last_sweeps().unwrap();
    });
    measured("(before: the attempts of each host)", &mut table, || {
        for last in store.tried().unwrap() {
            store.attempts(&last.host, 256).unwrap();
        }
    });
    let sweep = store.begin(&Begun { collector: "here".to_owned(), ..Begun::plain(now, hosts as u32) }).unwrap();
    let claim = Claim { sweep, now, until: now + TimeDelta::minutes(1), since: now - TimeDelta::minutes(4) };
    measured("leases on all, 96 at a time", &mut table, || {
        for some in spec.hosts.chunks(96) {
            let names: Vec<&str> = some.iter().map(|host| host.name.as_str()).collect();
            store.lease(&claim, &names).unwrap();
        }
    });
    let visits = |sequence: u64| -> Vec<(Attempt, Sample)> {
        let hosts = spec.hosts.iter();
        hosts.map(|host| (attempt(&host.name, now, None), sample(now, sequence))).collect()
    };
    // Layouts and boots are there from now on.
    for some in visits(1).chunks(64) {
        let rows: Vec<(&Attempt, &[Sample])> = some.iter().map(|it| (&it.0, std::slice::from_ref(&it.1))).collect();
        store.record_all(sweep, &rows).unwrap();
    }
    let all = visits(2);
    measured("visits, 64 in a commit", &mut table, || {
        for some in all.chunks(64) {
            let rows: Vec<(&Attempt, &[Sample])> = some.iter().map(|it| (&it.0, std::slice::from_ref(&it.1))).collect();
            store.record_all(sweep, &rows).unwrap();
        }
    });
    let all = visits(3);
    measured("(visits, each in its commit)", &mut table, || {
        for (attempt, sample) in &all {
            store.record(sweep, attempt, std::slice::from_ref(sample)).unwrap();
        }
    });
    measured("what they cost, at the end", &mut table, || {
        let costs: Vec<Attempt> = all.iter().map(|it| it.0.clone()).collect();
        store.settle(sweep, &costs).unwrap();
    });
    for host in &spec.hosts {
        let (by, purpose) = ("Ada".to_owned(), "tests".to_owned());
        store.grant(&Consent { host: host.name.clone(), by, purpose, granted: now, revoked: None }).unwrap();
    }
    measured("consents, one for each visit", &mut table, || {
        assert!(spec.hosts.iter().all(|host| store.consented(&host.name).unwrap()));
    });
    table
}

fn main() {
    let real = std::env::args().any(|arg| arg == "--bench");
    let sizes: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let (few, many, past) = match sizes[..] {
        [few, many] => (few, many, PAST),
        _ if real => (500, 5000, PAST),
        _ => (3, 6, 4),
    };
    let (small, large) = (run(few, past), run(many, past));
    println!("| processor time, ms | {few} hosts | {many} hosts | ratio | µs a host |\n|---|---|---|---|---|");
    for ((name, less), (_, more)) in small.iter().zip(&large) {
        let ms = |time: &Duration| time.as_secs_f64() * 1000.0;
        let ratio = ms(more) / ms(less).max(0.001);
        println!(
            "| {name} | {:.1} | {:.1} | {ratio:.1} | {:.0} |",
            ms(less),
            ms(more),
            ms(more) * 1000.0 / many as f64
        );
    }
}
