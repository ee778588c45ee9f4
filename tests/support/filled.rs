//! Invented fleets in a store: what the tables are tested over.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fleet_health::model::alert::{Ack, Evaluation, Event, Incident, Subject};
use fleet_health::model::cause::Cause;
use fleet_health::model::fleet::{Attempt, Outcome};
use fleet_health::model::job::Traffic;
use fleet_health::model::level::Level;
use fleet_health::model::sample::{By, Fact, Process, Reading, Sample, SampleKey};
use fleet_health::store::Store;

/// The five: two web servers, one of them overloaded, a database whose disk is full, a machine that does not answer and
/// one that was never collected.
pub const FIVE: &str = r#"  <group name="web" labels="tier=front">
    <service name="shop" min-healthy="2"><http url="http://127.0.0.1:8080/"/></service>
    <service name="nginx"><tcp address="127.0.0.1:80"/></service>
    <host name="web1" user="u"/>
    <host name="web2" user="u"/>
  </group>
  <group name="data" labels="tier=db owner=dba">
    <service name="orders"><postgres address="127.0.0.1:5432" user="fleet"/></service>
    <host name="db1" address="10.0.0.20" user="u" port="2222"/>
  </group>
  <host name="backup" user="u"/>
  <host name="new" user="u"/>
"#;

/// A whole configuration with these hosts.
pub fn configuration(hosts: &str) -> String {
    format!(
        "<fleet-health version=\"1\">\n  <collector state-dir=\"state\" interval=\"5m\"/>\n  \
         <store url=\"sqlite:fleet.db\" keep=\"14d\" keep-hourly=\"400d\"/>\n{hosts}</fleet-health>\n"
    )
}

/// Writes it where the program finds it.
pub fn configure(folder: &Path, hosts: &str) -> std::path::PathBuf {
    let file = folder.join("config.xml");
    std::fs::write(&file, configuration(hosts)).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    file
}

pub fn attempt(host: &str, at: DateTime<Utc>, failed: Option<(Cause, &str)>) -> Attempt {
    let outcome = failed.map_or(Outcome::Collected, |(cause, text)| Outcome::Failed { cause, text: text.to_owned() });
    Attempt { host: host.to_owned(), at, took: Duration::from_secs(1), outcome, traffic: Traffic::default() }
}

/// What a healthy machine says, with these in place of its own values.
pub fn sample(sequence: u64, taken: DateTime<Utc>, other: &[(&str, &str, f64)]) -> Sample {
    let mut readings: Vec<Reading> = [
        ("cpu.used", "", 0.12),
        ("cpu.iowait", "", 0.01),
        ("cpu.count", "", 8.0),
        ("load.1m", "", 0.8),
        ("load.5m", "", 0.7),
        ("load.15m", "", 0.6),
        ("load.per-core", "", 0.08),
        ("memory.used", "", 0.43),
        ("memory.total", "", 16.0 * 1_073_741_824.0),
        ("memory.available", "", 9.1 * 1_073_741_824.0),
        ("swap.used", "", 0.0),
        ("filesystem.used", "/", 0.4),
        ("filesystem.size", "/", 40.0 * 1_073_741_824.0),
        ("filesystem.available", "/", 24.0 * 1_073_741_824.0),
        ("filesystem.inodes.used", "/", 0.1),
        ("network.receive.bytes", "eth0", 1024.0 * 300.0 * sequence as f64),
        ("network.transmit.bytes", "eth0", 2048.0 * 300.0 * sequence as f64),
        ("process.count", "", 212.0),
        ("process.zombies", "", 0.0),
        ("uptime", "", 300.0 * sequence as f64 + 864_000.0),
    ]
    .map(|(metric, item, value)| Reading { metric: metric.to_owned(), item: item.to_owned(), value })
    .to_vec();
    for (metric, item, value) in other {
        readings.retain(|it| it.metric != *metric || it.item != *item);
        readings.push(Reading { metric: (*metric).to_owned(), item: (*item).to_owned(), value: *value });
    }
    let process = |by, pid, user: &str, comm: &str, unit: &str, value| Process {
        by,
        pid,
        user: user.to_owned(),
        comm: comm.to_owned(),
        unit: unit.to_owned(),
        command: String::new(),
        value,
    };
    let fact = |name: &str, item: &str, text: &str| Fact { name: name.into(), item: item.into(), text: text.into() };
    Sample {
        key: SampleKey { boot: "b".to_owned(), sequence },
        taken,
        hostname: "h".to_owned(),
        probe: "0.1.0".to_owned(),
        readings,
        faults: Vec::new(),
        facts: vec![
            fact("host.os", "", "Debian GNU/Linux 12"),
            fact("host.kernel", "", if sequence > 12 { "6.1.0-27" } else { "6.1.0-25" }),
            fact("filesystem.type", "/", "ext4"),
        ],
        top: vec![
            process(By::Cpu, 812, "www-data", "php-fpm8.2", "php-fpm.service", 0.31),
            process(By::Cpu, 1, "root", "systemd", "", 0.01),
            process(By::Memory, 812, "www-data", "php-fpm8.2", "php-fpm.service", 512.0 * 1_048_576.0),
            process(By::Io, 640, "root", "jbd2/sda1-8", "", 65536.0),
        ],
    }
}

pub fn incident(
    id: i64,
    host: &str,
    rule: &str,
    item: &str,
    level: Level,
    opened: DateTime<Utc>,
    text: &str,
) -> Incident {
    Incident {
        id,
        subject: Subject { host: host.to_owned(), rule: rule.to_owned(), item: item.to_owned() },
        level,
        worst: level,
        opened,
        changed: opened,
        closed: None,
        ending: None,
        value: 0.95,
        text: text.to_owned(),
    }
}

/// Fills a store with what the last two hours brought of [`FIVE`].
pub fn five(store: &mut dyn Store, now: DateTime<Utc>) {
    let sweep = store.begin_sweep(now - TimeDelta::hours(2), 5).unwrap();
    let ok = [("check.ok", "shop/http", 1.0), ("check.ok", "nginx/tcp", 1.0)];
    for n in 0..24u64 {
        let at = now - TimeDelta::minutes(5 * (23 - n as i64)) - TimeDelta::seconds(30);
        let hot = 0.2 + n as f64 * 0.032;
        let web1 = [&ok[..], &[("cpu.used", "", hot), ("load.1m", "", hot * 10.0)]].concat();
        let web2 = [&ok[..], &[("check.ok", "shop/http", if n > 20 { 0.0 } else { 1.0 })]].concat();
        let db1 = [
            ("check.ok", "orders/postgres", 1.0),
            ("memory.used", "", 0.71),
            ("filesystem.used", "/var/lib/postgresql", 0.5 + n as f64 / 52.0),
            ("filesystem.size", "/var/lib/postgresql", 200.0 * 1_073_741_824.0),
            ("filesystem.available", "/var/lib/postgresql", (0.5 - n as f64 / 52.0) * 200.0 * 1_073_741_824.0),
        ];
        for (host, values) in [("web1", &web1[..]), ("web2", &web2), ("db1", &db1)] {
            store.record(sweep, &attempt(host, at, None), &[sample(n + 1, at, values)]).unwrap();
        }
        if n < 10 {
            store.record(sweep, &attempt("backup", at, None), &[sample(n + 1, at, &[])]).unwrap();
        } else {
            let refused = Some((Cause::Refused, "10.0.0.9:22: connection refused"));
            store.record(sweep, &attempt("backup", at, refused), &[]).unwrap();
        }
    }
    store.end_sweep(sweep, now, 1).unwrap();
    let ago = |minutes| now - TimeDelta::minutes(minutes);
    let full = "/var/lib/postgresql is 94% full, critical from 90%";
    let mut over =
        incident(1, "web1", "load.per-core", "", Level::Warning, ago(100), "load 2.4 a core, warning from 2");
    over.closed = Some(ago(80));
    over.level = Level::Ok;
    let incidents = vec![
        over,
        incident(2, "db1", "filesystem.used", "/var/lib/postgresql", Level::Critical, ago(35), full),
        incident(3, "backup", "unreachable", "", Level::Critical, ago(60), "unreachable since 11:10, refused"),
        incident(4, "web1", "cpu.used", "", Level::Warning, ago(20), "cpu 94%, warning from 85%"),
    ];
    let event = |id: i64, minutes, level, text: &str| Event {
        incident: id,
        at: ago(minutes),
        level,
        value: 0.9,
        text: text.into(),
    };
    let events = vec![event(2, 35, Level::Critical, full), event(4, 20, Level::Warning, "cpu 94%")];
    let cursor = store.rows_after(0, 10_000).unwrap().last().unwrap().id;
    store.commit_evaluation(&Evaluation { cursor, incidents, events, ..Evaluation::default() }).unwrap();
    let ack = Ack {
        incident: 3,
        by: "anna".to_owned(),
        at: ago(50),
        until: None,
        sticky: false,
        level: Level::Critical,
        note: "new disk".to_owned(),
    };
    store.acknowledge(&ack, &event(3, 50, Level::Critical, "taken by anna")).unwrap();
}

/// A configuration of many hosts in two groups with one service.
pub fn many(count: usize) -> String {
    let half = count / 2;
    let group = |name: &str, from: usize, to: usize| {
        let hosts: String = (from..to).map(|n| format!("<host name=\"n{n}\" user=\"u\"/>\n")).collect();
        format!(
            "<group name=\"{name}\"><service name=\"{name}-app\"><tcp address=\"127.0.0.1:80\"/></service>\n{hosts}</group>\n"
        )
    };
    group("east", 0, half) + &group("west", half, count)
}

/// All of them well, but those named.
pub fn fill(store: &mut dyn Store, now: DateTime<Utc>, count: usize, red: &[usize]) {
    let sweep = store.begin_sweep(now - TimeDelta::minutes(5), count as u32).unwrap();
    let at = now - TimeDelta::seconds(45);
    for n in 0..count {
        let (host, cpu) = (format!("n{n}"), if red.contains(&n) { 0.99 } else { (n % 50) as f64 / 100.0 });
        let values =
            [("cpu.used", "", cpu), ("check.ok", if n < count / 2 { "east-app/tcp" } else { "west-app/tcp" }, 1.0)];
        store.record(sweep, &attempt(&host, at, None), &[sample(1, at, &values)]).unwrap();
    }
    let incidents: Vec<Incident> = red
        .iter()
        .zip(1..)
        .map(|(n, id)| {
            incident(id, &format!("n{n}"), "cpu.used", "", Level::Critical, at, "cpu 99%, critical from 95%")
        })
        .collect();
    store.commit_evaluation(&Evaluation { cursor: count as i64, incidents, ..Evaluation::default() }).unwrap();
}
