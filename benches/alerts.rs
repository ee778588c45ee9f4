//! What alerting costs: catching up 5,000 hosts over 6 h, and a whole run from a file database.
//! `cargo bench --bench alerts` prints a table; without `--bench` (as `cargo test` starts it) everything is tiny.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark fails loudly, and is about the clock")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use fleet_health::app::alerter::lines::Lines;
use fleet_health::app::alerter::{turn, world::World};
use fleet_health::model::catalogue;
use fleet_health::model::fleet::{Attempt, Outcome, Row};
use fleet_health::model::job::Traffic;
use fleet_health::model::rule::RuleKind;
use fleet_health::model::sample::{Reading, Sample, SampleKey};
use fleet_health::model::spec::*;
use fleet_health::store::Store;
use fleet_health::store::memory::Memory;
use fleet_health::store::sqlite::Sqlite;

const RULES: [(&str, &str); 7] = [
    ("cpu.used", ""),
    ("memory.used", ""),
    ("swap.used", ""),
    ("filesystem.used", "/"),
    ("filesystem.used", "/var"),
    ("filesystem.inodes.used", "/"),
    ("load.per-core", ""),
];

fn rule(metric: &str, hold: bool) -> RuleSpec {
    let metric = catalogue::find(metric).unwrap();
    RuleSpec {
        not_items: vec!["/snap/*".into(), "/run/*".into()],
        warning: Some(0.8),
        critical: Some(0.9),
        hold: hold.then_some(Duration::from_secs(600)),
        ..RuleSpec::new(metric, RuleKind::Above)
    }
}

fn spec(hosts: usize) -> FleetSpec {
    let mut rules: Vec<RuleSpec> = RULES.iter().map(|(metric, _)| rule(metric, *metric == "cpu.used")).collect();
    rules.dedup_by(|a, b| a.metric == b.metric);
    let (rules, second) = (Arc::new(rules), Duration::from_secs(1));
    let host = |n: usize| HostSpec {
        command_lines: false,
        name: format!("host{n:04}"),
        groups: vec![format!("group{}", n % 20)],
        labels: BTreeMap::new(),
        transport: Transport::Local,
        parents: Vec::new(),
        rules: Arc::clone(&rules),
        services: Vec::new(),
        origin: Origin::default(),
    };
    FleetSpec {
        file: "config.xml".into(),
        files: Vec::new(),
        collector: CollectorSpec {
            jobs: 1,
            timeout: second,
            deadline: second * 240,
            interval: second * 300,
            state_dir: "state".into(),
            probe_dir: None,
        },
        keys: KeySpec { recipient_file: "a".into(), identity_file: "b".into() },
        store: StoreSpec { backend: "memory".into(), location: String::new(), keep: second, keep_hourly: second },
        hosts: (0..hosts).map(host).collect(),
        alerts: AlertSpec { recovered: true, cap: 3, ..AlertSpec::default() },
        silences: Vec::new(),
        consent_required: false,
        web: fleet_health::model::spec::WebSpec::default(),
    }
}

fn at(sweep: usize, host: usize) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
        + TimeDelta::seconds(sweep as i64 * 300)
        + TimeDelta::milliseconds(host as i64 * 20)
}

/// Values that wander; about one in fifty is a problem.
fn row(sweep: usize, host: usize, hosts: usize) -> Row {
    let value = |n: usize| {
        let turn = (host * 7 + n * 13 + sweep / 6) % 50;
        if turn == 0 { 0.93 } else { 0.2 + turn as f64 / 100.0 }
    };
    let readings = RULES.iter().enumerate();
    let readings =
        readings.map(|(n, (metric, item))| Reading { metric: (*metric).into(), item: (*item).into(), value: value(n) });
    let taken = at(sweep, host);
    let sample = Sample {
        key: SampleKey { boot: "b".into(), sequence: sweep as u64 },
        taken,
        hostname: String::new(),
        probe: "1".into(),
        readings: readings.collect(),
        faults: Vec::new(),
        facts: Vec::new(),
        top: Vec::new(),
    };
    let attempt = Attempt {
        host: format!("host{host:04}"),
        at: taken,
        took: Duration::ZERO,
        outcome: Outcome::Collected,
        traffic: Traffic::default(),
    };
    Row { id: (sweep * hosts + host + 1) as i64, sweep: sweep as i64, attempt, samples: vec![sample] }
}

/// Processor time of this thread: neighbours on a loaded machine do not count.
fn cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Peak memory of this process so far, in MiB.
fn peak() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

fn catch_up(hosts: usize, sweeps: usize) {
    let spec = spec(hosts);
    let mut world = World::new(&spec, Vec::new(), Vec::new(), Vec::new(), 0);
    let store = Memory::default();
    let (mut spent, mut busy, mut written, mut events) = (Duration::ZERO, Duration::ZERO, 0, 0);
    for sweep in 0..sweeps {
        let rows: Vec<Row> = (0..hosts).map(|host| row(sweep, host, hosts)).collect();
        let (start, used) = (Instant::now(), cpu());
        for row in &rows {
            world.row(&store, row).unwrap();
        }
        // What a run commits every 20,000 rows.
        if (sweep + 1) * hosts % 20_000 < hosts || sweep + 1 == sweeps {
            let taken = world.take(0, true).unwrap();
            written += taken.states.len();
            events += taken.events.len();
        }
        spent += start.elapsed();
        busy += cpu() - used;
    }
    let rows = (hosts * sweeps) as f64;
    println!(
        "| catch-up: {hosts} hosts, {sweeps} sweeps, 7 rules, evaluated | {:.0} rows/s of processor time | {:.2} s of it ({:.2} s by the clock) for {rows} rows, {events} events, {written} states handed to the store; peak memory {:.0} MiB |",
        rows / busy.as_secs_f64(),
        busy.as_secs_f64(),
        spent.as_secs_f64(),
        peak()
    );
}

fn from_file(hosts: usize, sweeps: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(&folder.path().join("fleet.db")).unwrap();
    for sweep in 0..sweeps {
        store.begin_sweep(at(sweep, 0), hosts as u32).unwrap();
        for host in 0..hosts {
            let row = row(sweep, host, hosts);
            store.record(sweep as i64 + 1, &row.attempt, &row.samples).unwrap();
        }
        store.end_sweep(sweep as i64 + 1, at(sweep, hosts), 0).unwrap();
    }
    let spec = spec(hosts);
    let now = at(sweeps, 0);
    let start = Instant::now();
    let report = turn(&mut store, &spec, &mut Lines::new(&spec), &|| now, now, false).unwrap();
    let spent = start.elapsed().as_secs_f64();
    assert_eq!(report.rows, hosts * sweeps);
    println!(
        "| the same from SQLite and back: {hosts} hosts, {sweeps} sweeps, a whole run | {:.0} rows/s | {spent:.2} s |",
        report.rows as f64 / spent
    );
}

fn main() {
    let whole = std::env::args().any(|arg| arg == "--bench");
    println!("| alerting | | |\n|---|---|---|");
    catch_up(if whole { 5000 } else { 50 }, if whole { 72 } else { 4 });
    from_file(if whole { 1000 } else { 10 }, if whole { 12 } else { 4 });
}
