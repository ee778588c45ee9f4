//! The store against real files, real processes, a real full disk and the stock `sqlite3` program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use fleet_health::model::fleet::{Attempt, Grain, Outcome};
use fleet_health::model::job::Traffic;
use fleet_health::model::sample::{By, Fact, Process, Reading, Sample, SampleKey};
use fleet_health::store::sqlite::Sqlite;
use fleet_health::store::{Store, StoreError};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_000 + seconds, 0).unwrap()
}

fn attempt(host: &str, seconds: i64) -> Attempt {
    Attempt {
        host: host.into(),
        at: at(seconds),
        took: Duration::from_millis(80),
        outcome: Outcome::Collected,
        traffic: Traffic { sent: 4000, received: 6000, round_trips: 8, shipped: false },
    }
}

/// A host like those that are watched: counters that grow, ratios with five digits, sizes that stay.
fn sample(sequence: u64, seconds: i64, seed: &mut u64) -> Sample {
    let mut random = || {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *seed >> 33
    };
    let mut readings = Vec::new();
    let mut put = |metric: &str, item: &str, value: f64| {
        readings.push(Reading { metric: metric.into(), item: item.into(), value });
    };
    for name in ["cpu.used", "cpu.iowait", "memory.used", "swap.used", "pressure.some", "load.per-core"] {
        put(name, "", (random() % 100_000) as f64 / 1e5);
    }
    for mode in ["user", "system", "iowait", "idle", "steal", "irq"] {
        put("cpu.seconds", mode, (sequence * 30_000 + random() % 9000) as f64 / 100.0);
    }
    put("memory.total", "", 16_777_216_000.0);
    put("memory.available", "", (random() % 4_000_000 * 4096) as f64);
    for mount in ["/", "/var", "/home", "/srv"] {
        put("filesystem.size", mount, 107_374_182_400.0);
        put("filesystem.available", mount, (random() % 26_000_000 * 4096) as f64);
        put("filesystem.used", mount, (random() % 100_000) as f64 / 1e5);
        put("filesystem.inodes.used", mount, (random() % 100_000) as f64 / 1e5);
        put("filesystem.readonly", mount, 0.0);
    }
    for disk in ["sda", "sdb"] {
        put("disk.read.bytes", disk, (sequence * 900_000_000 + random() % 900_000_000) as f64);
        put("disk.written.bytes", disk, (sequence * 900_000_000 + random() % 900_000_000) as f64);
        put("disk.reads", disk, (sequence * 9_000 + random() % 9_000) as f64);
        put("disk.writes", disk, (sequence * 9_000 + random() % 9_000) as f64);
        put("disk.io.seconds", disk, (sequence * 3000 + random() % 3000) as f64 / 100.0);
    }
    for interface in ["eth0", "eth1"] {
        for way in ["receive", "transmit"] {
            put(&format!("network.{way}.bytes"), interface, (sequence * 90_000_000 + random() % 90_000_000) as f64);
            put(&format!("network.{way}.packets"), interface, (sequence * 90_000 + random() % 90_000) as f64);
            put(&format!("network.{way}.errors"), interface, 0.0);
            put(&format!("network.{way}.drops"), interface, (random() % 3) as f64);
        }
    }
    for state in ["established", "syn-sent", "syn-received", "fin-wait", "time-wait", "close-wait", "listen"] {
        put("tcp.connections", state, (random() % 200) as f64);
    }
    for name in ["tcp.segments.sent", "tcp.segments.resent", "tcp.listen.overflows", "udp.receive.errors"] {
        put(name, "", (sequence * 3000 + random() % 3000) as f64);
    }
    for name in ["process.count", "process.threads", "process.running", "process.blocked", "process.zombies"] {
        put(name, "", (random() % 300) as f64);
    }
    for unit in ["system.slice", "user.slice", "nginx.service", "postgresql.service", "ssh.service", "cron.service"] {
        put("cgroup.memory.bytes", unit, (random() % 400_000 * 4096) as f64);
        put("cgroup.cpu.seconds", unit, (sequence * 3000 + random() % 3000) as f64 / 100.0);
        put("cgroup.oom.kills", unit, 0.0);
        put("cgroup.memory.used", unit, (random() % 100_000) as f64 / 1e5);
    }
    for sensor in ["cpu", "board", "nvme0"] {
        put("sensor.temperature", sensor, (random() % 500) as f64 / 10.0 + 30.0);
    }
    for name in ["reboot.required", "update.pending", "update.security", "time.synchronized", "user.sessions"] {
        put(name, "", (random() % 4) as f64);
    }
    let mut top = Vec::new();
    for (by, count, unit) in [(By::Cpu, 5, 0.001), (By::Memory, 5, 1e6), (By::Io, 3, 1e4)] {
        for _ in 0..count {
            // Most of those that take much now took much before.
            let who = random() % 8 + if random() % 4 == 0 { random() % 40 } else { 0 };
            let (comm, service) = (format!("program{who}"), format!("program{who}.service"));
            top.push(Process {
                by,
                pid: (who * 1777) as u32,
                user: "service".into(),
                comm,
                unit: service,
                command: String::new(),
                value: (random() % 1000 + 1) as f64 * unit,
            });
        }
    }
    let fact = |name: &str, text: &str| Fact { name: name.into(), item: String::new(), text: text.into() };
    Sample {
        key: SampleKey { boot: "3c0a1b52-5d5e-4b2f-9a57-6f0d6a8c1e11".into(), sequence },
        taken: at(seconds),
        hostname: "web01".into(),
        probe: "0.1.0".into(),
        readings,
        faults: Vec::new(),
        facts: vec![fact("host.kernel", "6.1.0-18-amd64"), fact("host.processor", "AMD EPYC")],
        top,
    }
}

fn sqlite3(db: &Path, sql: &str) -> String {
    let out = Command::new("sqlite3").arg(db).arg(sql).output().expect("the program sqlite3 is needed");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn beside(db: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", db.display()))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_reading_costs_at_most_12_bytes_and_sqlite3_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("fleet.db");
    let mut store = Sqlite::open(&db).unwrap();
    let mut seed = 7;
    let mut readings = 0;
    for sequence in 0..200 {
        for host in 0..10 {
            let it = sample(sequence, sequence as i64 * 300, &mut seed);
            readings += it.readings.len();
            store.record(1, &attempt(&format!("web{host:02}"), sequence as i64 * 300 + 1), &[it]).unwrap();
        }
    }
    let started = Instant::now();
    let day = store.series("web03", "cpu.used", (at(0), at(86_400)), Grain::Whole).unwrap();
    println!("one metric over {} samples: {:?}", day[0].points.len(), started.elapsed());
    assert_eq!(day[0].points.len(), 200);
    drop(store);
    let pages = sqlite3(&db, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
    let pages: usize = pages.trim().parse().unwrap();
    // An empty store has a page for each table and index, once, however many readings follow.
    let empty = dir.path().join("empty.db");
    drop(Sqlite::open(&empty).unwrap());
    let empty = std::fs::metadata(&empty).unwrap().len() as usize;
    println!("{:.2} bytes a reading with the {empty} of an empty store", pages as f64 / readings as f64);
    let cost = (pages - empty) as f64 / readings as f64;
    let values = sqlite3(&db, "SELECT sum(length(readings)) FROM sample");
    println!("{} bytes are the digits themselves", values.trim());
    println!("{cost:.2} bytes a reading ({readings} readings, {pages} bytes)");
    assert!(cost <= 12.0, "{cost}");
    let sql = "SELECT host, metric, item, at, value FROM reading
               WHERE host = 'web03' AND metric = 'filesystem.size' AND item = '/var' ORDER BY at LIMIT 1";
    assert_eq!(sqlite3(&db, sql).trim(), "web03|filesystem.size|/var|2025-10-09T08:53:20Z|107374182400");
    let sql =
        "SELECT count(*), count(DISTINCT host), min(by), max(value) > 900000 FROM top_process WHERE user = 'service'
               AND unit = comm || '.service' AND pid % 1777 = 0";
    assert_eq!(sqlite3(&db, sql).trim(), "26000|10|cpu|1");
    assert_eq!(sqlite3(&db, "SELECT count(*) FROM fact").trim(), "20", "what does not change costs nothing");
}

#[test]
fn all_files_are_0600_under_the_usual_umask() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("fleet.db");
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "").unwrap();
    assert_eq!(mode(&plain) & 0o044, 0o044, "this test wants a umask like 022");
    let mut store = Sqlite::open(&db).unwrap();
    store.record(1, &attempt("a", 1), &[sample(1, 1, &mut 1)]).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(&beside(&db, suffix)), 0o600, "{suffix}");
    }
    let copy = dir.path().join("copy.db");
    store.backup(&copy).unwrap();
    assert_eq!(mode(&copy), 0o600);
    assert!(store.backup(&copy).unwrap_err().to_string().contains("already"));
    assert_eq!(sqlite3(&copy, "SELECT count(*) FROM sample").trim(), "1", "with what is still in the WAL");
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("part")), "{names:?}");
}

#[test]
fn a_damaged_file_is_set_aside_and_a_new_one_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("fleet.db");
    drop(Sqlite::open(&db).unwrap());
    std::fs::write(&db, vec![b'x'; 5000]).unwrap();
    let mut store = Sqlite::open(&db).unwrap();
    let beat = store.beats().unwrap().remove(0);
    assert_eq!((beat.role.as_str(), beat.ok), ("store", false));
    assert!(beat.text.contains(".corrupt-"), "{}", beat.text);
    let aside = || -> Vec<PathBuf> {
        let list = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        list.filter(|path| path.display().to_string().contains(".corrupt-")).collect()
    };
    assert_eq!(std::fs::read(&aside()[0]).unwrap(), vec![b'x'; 5000]);
    // Damage inside a database that opens: pages in the middle overwritten.
    for n in 0..60 {
        store.record(1, &attempt("a", n), &[sample(n as u64, n, &mut 3)]).unwrap();
    }
    drop(store);
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(&db).unwrap();
    let length = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(length / 2)).unwrap();
    file.write_all(&[0x5a; 16_384]).unwrap();
    drop(file);
    let store = Sqlite::open(&db).unwrap();
    assert!(store.now().unwrap().is_empty());
    assert_eq!(aside().len(), 2);
}

#[test]
fn the_news_of_damage_ends_when_the_damaged_file_is_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("fleet.db");
    drop(Sqlite::open(&db).unwrap());
    std::fs::write(&db, vec![b'x'; 5000]).unwrap();
    let news = || Sqlite::open(&db).unwrap().beats().unwrap().iter().filter(|beat| beat.role == "store").count();
    assert_eq!((news(), news()), (1, 1));
    let list = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let aside = list.into_iter().find(|path| path.display().to_string().contains(".corrupt-")).unwrap();
    // Another database's damage is none of ours.
    std::fs::rename(&aside, dir.path().join("other.db.corrupt-20250101T000000Z")).unwrap();
    assert_eq!(news(), 0);
}

#[test]
fn names_go_with_the_last_hour_that_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("fleet.db");
    let mut store = Sqlite::open(&db).unwrap();
    let day = Duration::from_secs(86_400);
    for host in ["a", "b"] {
        for hour in [0, 1] {
            let mut it = sample(hour, hour as i64 * 3600, &mut 7);
            it.readings.push(Reading { metric: "disk.reads".into(), item: format!("only-{host}"), value: 1.0 });
            store.record(1, &attempt(host, hour as i64 * 3600), &[it]).unwrap();
        }
    }
    store.commit_evaluation(&fleet_health::model::alert::Evaluation { cursor: 4, ..Default::default() }).unwrap();
    let names = || sqlite3(&db, "SELECT count(*) FROM name").trim().parse::<usize>().unwrap();
    let only = || sqlite3(&db, "SELECT item FROM name WHERE item LIKE 'only-%' ORDER BY item");
    store.would_prune(at(20 * 86_400), day, 100 * day).unwrap();
    assert_eq!(names(), 0, "a dry run leaves nothing");
    store.prune(at(20 * 86_400), day, 100 * day).unwrap();
    assert!(names() > 50, "{}", names());
    assert_eq!(only(), "only-a\nonly-b\n");
    store.prune(at(21 * 86_400), day, Duration::ZERO).unwrap();
    assert_eq!(names(), 0, "{}", only());
}

#[test]
fn a_torn_wal_leaves_whole_transactions() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("fleet.db");
    let mut store = Sqlite::open(&db).unwrap();
    for n in 0..12 {
        store.record(1, &attempt("a", n), &[sample(n as u64, n, &mut 3)]).unwrap();
    }
    let wal = std::fs::read(beside(&db, "-wal")).unwrap();
    let main = std::fs::read(&db).unwrap();
    for part in 0..=10 {
        let torn = dir.path().join(format!("torn{part}.db"));
        std::fs::write(&torn, &main).unwrap();
        std::fs::write(beside(&torn, "-wal"), &wal[..wal.len() * part / 10]).unwrap();
        let rows = Sqlite::open(&torn).unwrap().rows_after(0, 99).unwrap();
        assert!(rows.iter().all(|row| row.samples.len() == 1), "an attempt never stands without its sample");
        if part == 10 {
            assert_eq!(rows.len(), 12);
        }
    }
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_says_so_and_old_rows_stay_readable() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["-t", "tmpfs", "-o", "size=1m", "tmpfs", dir.path().to_str().unwrap()];
    assert!(Command::new("mount").args(args).status().unwrap().success(), "root is needed");
    let _guard = Unmount(dir.path().to_path_buf());
    let db = dir.path().join("fleet.db");
    let mut store = Sqlite::open(&db).unwrap();
    let mut stored = 0;
    let error = loop {
        match store.record(1, &attempt("a", stored), &[sample(stored as u64, stored, &mut 3)]) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 5000);
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert_eq!(store.rows_after(0, 9999).unwrap().len() as i64, stored);
    drop(store);
    // Nothing at all left, and no shared index there yet.
    let mut ballast = std::fs::File::create(dir.path().join("ballast")).unwrap();
    while ballast.write(&[0; 4096]).is_ok_and(|n| n > 0) {}
    let mut store = Sqlite::open(&db).unwrap();
    assert_eq!(store.rows_after(0, 9999).unwrap().len() as i64, stored);
    let it = [sample(1, 1, &mut 3)];
    assert!(matches!(store.record(1, &attempt("b", 1), &it), Err(StoreError::Full { .. })));
}

/// Not a test by itself: the writer that the tests below start and kill. Says each number once it is stored.
#[test]
fn writer() {
    let Ok(db) = std::env::var("STORE_TEST_DB") else { return };
    let host = std::env::var("STORE_TEST_HOST").unwrap();
    let first: u64 = std::env::var("STORE_TEST_FIRST").unwrap().parse().unwrap();
    let count: u64 = std::env::var("STORE_TEST_COUNT").unwrap().parse().unwrap();
    let mut store = Sqlite::open(Path::new(&db)).unwrap();
    for n in first..first + count {
        store.record(1, &attempt(&host, n as i64), &[sample(n, n as i64, &mut 9)]).unwrap();
        writeln!(std::io::stderr(), "stored {n}").unwrap();
    }
}

fn start(db: &Path, host: &str, first: u64, count: u64) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["writer", "--exact", "--nocapture"])
        .env("STORE_TEST_DB", db)
        .env("STORE_TEST_HOST", host)
        .env("STORE_TEST_FIRST", first.to_string())
        .env("STORE_TEST_COUNT", count.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn stored(db: &Path) -> HashMap<(String, u64), usize> {
    let mut found = HashMap::new();
    for row in Sqlite::open(db).unwrap().rows_after(0, 100_000).unwrap() {
        for it in row.samples {
            *found.entry((row.attempt.host.clone(), it.key.sequence)).or_default() += 1;
        }
    }
    found
}

#[test]
fn killed_writers_lose_nothing_that_was_acknowledged_and_double_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("fleet.db");
    let mut acknowledged: Vec<u64> = Vec::new();
    for round in 0..15u64 {
        // Begins with what may or may not have been stored.
        let next = acknowledged.last().copied().unwrap_or(0);
        let mut child = start(&db, "a", next, 100_000);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let number = |line: String| line.strip_prefix("stored ").and_then(|n| n.parse::<u64>().ok());
        acknowledged.extend(lines.by_ref().take((round * 7 % 11) as usize).filter_map(number));
        std::thread::sleep(Duration::from_micros(round * 1371 % 9000));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(lines.filter_map(number));
    }
    let found = stored(&db);
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    for n in acknowledged {
        assert_eq!(found.get(&("a".to_string(), n)), Some(&1), "{n}");
    }
    assert!(found.values().all(|&count| count == 1));
    assert_eq!(sqlite3(&db, "PRAGMA integrity_check").trim(), "ok");
}

#[test]
fn several_processes_write_at_once_from_the_first_moment() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("fleet.db");
    let mut children: Vec<_> = (0..5).map(|n| start(&db, &format!("h{n}"), 0, 30)).collect();
    for child in &mut children {
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success(), "{said}");
    }
    let found = stored(&db);
    assert_eq!(found.len(), 150);
    assert!(found.values().all(|&count| count == 1));
}
