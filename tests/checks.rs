//! Checks of services by the real probe against real servers, the task over standard input; and one end to end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test helper may fail the test")]

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use fleet_health::model::check::{KINDS, Order};
use fleet_health::model::sample::FaultKind;

#[path = "support/checked.rs"]
mod checked;
mod support;

use checked::{CANARY, fault, foreign, order, value, verdict, visit, with_password};
use support::fleet::{Fleet, Kind};
use support::probed::Bench;
use support::run::{Said, program, sqlite3, system, until};
use support::servers::{Nginx, NodeExporter, Postgres, Redis};

#[test]
fn tcp_connects_says_and_expects() {
    let redis = Redis::start(CANARY);
    let address = format!("127.0.0.1:{}", redis.port);
    let mut bench = Bench::new();
    let sample = visit(
        &mut bench,
        &[
            order("plain", "tcp", &[("address", &address)]),
            order("says", "tcp", &[("address", &address), ("send", r"PING\r\n"), ("expect", "-NOAUTH")]),
            order("other", "tcp", &[("address", &address), ("send", r"PING\r\n"), ("expect", "+PONG\r\n")]),
            order("dead", "tcp", &[("address", "127.0.0.1:1")]),
            order("gone", "tcp", &[("socket", "/nowhere.sock")]),
            order("newer", "quantum", &[]),
        ],
    );
    assert_eq!(verdict(&sample, "plain/tcp"), Some(true));
    assert_eq!(verdict(&sample, "says/tcp"), Some(true));
    assert!(value(&sample, "tcp.latency", "says") > 0.0);
    assert_eq!(verdict(&sample, "dead/tcp"), Some(false));
    assert_eq!(fault(&sample, "dead/tcp").0, FaultKind::Absent);
    assert_eq!(verdict(&sample, "gone/tcp"), Some(false));
    // A line that never comes: the timeout, not the run, ends it.
    assert_eq!(verdict(&sample, "other/tcp"), Some(false));
    // What only a newer probe knows is told, and is no failure of the service.
    assert_eq!((verdict(&sample, "newer/quantum"), fault(&sample, "newer/quantum").0), (None, FaultKind::Unsupported));
    assert!(sample.value("cpu.used", "").is_some(), "the host itself was measured beside");
}

#[test]
fn http_is_judged_by_status_and_text() {
    let nginx = Nginx::start();
    let socket = nginx.socket.display().to_string();
    let sample = visit(
        &mut Bench::new(),
        &[
            order("shop", "http", &[("url", &nginx.url("/healthz")), ("contains", "all is well")]),
            order("empty", "http", &[("url", &nginx.url("/healthz")), ("contains", "out of stock")]),
            order("broken", "http", &[("url", &nginx.url("/broken"))]),
            order("meant", "http", &[("url", &nginx.url("/broken")), ("expect", "500-503"), ("method", "HEAD")]),
            order("moved", "http", &[("url", &nginx.url("/moved").replace("127.0.0.1", "localhost"))]),
            order("inside", "http", &[("url", "http://shop.example/healthz"), ("socket", &socket)]),
        ],
    );
    assert_eq!(verdict(&sample, "shop/http"), Some(true));
    assert_eq!((value(&sample, "http.status", "shop"), value(&sample, "http.size", "shop")), (200.0, 12.0));
    for service in ["shop", "moved", "inside"] {
        let phase = |name: &str| value(&sample, &format!("http.latency.{name}"), service);
        let (phases, all) = (["dns", "connect", "first-byte"].map(phase), value(&sample, "http.latency", service));
        assert!(phases.iter().sum::<f64>() <= all + 1e-5 && phases[2] > 0.0, "{service}: {phases:?} of {all}");
        assert_eq!(sample.value("http.latency.tls", service), None);
    }
    assert_eq!(verdict(&sample, "empty/http"), Some(false));
    assert_eq!(verdict(&sample, "broken/http"), Some(false));
    assert_eq!(fault(&sample, "broken/http").1, "status 503, not 200-399: \"out of order\"");
    for good in ["meant/http", "moved/http", "inside/http"] {
        assert_eq!(verdict(&sample, good), Some(true), "{good}");
    }
    assert_eq!(value(&sample, "http.status", "moved"), 301.0);
}

#[test]
fn https_is_spoken_and_the_days_of_the_certificate_are_told() {
    let nginx = Nginx::start();
    let url = |port: u16, page: &str| format!("https://localhost:{port}{page}");
    let sample = visit(
        &mut Bench::new(),
        &[
            order("shop", "http", &[("url", &url(nginx.tls_port, "/healthz")), ("contains", "all is well")]),
            order("broken", "http", &[("url", &format!("https://127.0.0.1:{}/broken", nginx.tls_port))]),
            order("old", "http", &[("url", &url(nginx.old_tls_port, "/"))]),
            order("plain", "http", &[("url", &url(nginx.port, "/"))]),
            order("meant", "http", &[("url", &url(nginx.tls_port, "/healthz")), ("fingerprint", &nginx.fingerprint)]),
            order("other", "http", &[("url", &url(nginx.tls_port, "/healthz")), ("fingerprint", &foreign())]),
        ],
    );
    assert_eq!((verdict(&sample, "meant/http"), value(&sample, "http.status", "meant")), (Some(true), 200.0));
    assert_eq!((verdict(&sample, "other/http"), fault(&sample, "other/http").0), (Some(false), FaultKind::Malformed));
    assert_eq!(verdict(&sample, "shop/http"), Some(true), "{:?}", sample.faults);
    assert_eq!((value(&sample, "http.status", "shop"), value(&sample, "http.size", "shop")), (200.0, 12.0));
    assert!(value(&sample, "http.latency.tls", "shop") > 0.0);
    assert_eq!((verdict(&sample, "broken/http"), value(&sample, "http.status", "broken")), (Some(false), 503.0));
    // nginx's certificate was made for 30 days a moment ago; of a server of TLS 1.2 it is all that can be had.
    for service in ["shop", "old"] {
        let days = value(&sample, "http.certificate.left", service) / 86_400.0;
        assert!((29.9..=30.0).contains(&days), "{service}: {days}");
    }
    assert_eq!((verdict(&sample, "old/http"), fault(&sample, "old/http").0), (None, FaultKind::Unsupported));
    assert_eq!((verdict(&sample, "plain/http"), fault(&sample, "plain/http").0), (Some(false), FaultKind::Malformed));
}

#[test]
fn certificates_of_files_and_of_servers_tell_their_days() {
    let nginx = Nginx::start();
    let folder = nginx.log.parent().unwrap().parent().unwrap();
    let files = format!("{}/nginx*/c*t.pem", folder.display());
    let served = |port: u16| format!("localhost:{port}");
    let sample = visit(
        &mut Bench::new(),
        &[
            order("files", "certificate", &[("files", &files)]),
            order("new", "certificate", &[("address", &served(nginx.tls_port)), ("server", "shop.example")]),
            order("old", "certificate", &[("address", &served(nginx.old_tls_port))]),
            order("none", "certificate", &[("files", "/etc/no-such-folder/*.pem")]),
            order("clear", "certificate", &[("address", &served(nginx.port))]),
        ],
    );
    let own = format!("files{}", nginx.log.with_file_name("cert.pem").display());
    for item in [own, format!("new/{}", served(nginx.tls_port)), format!("old/{}", served(nginx.old_tls_port))] {
        let days = value(&sample, "certificate.watched.remaining", &item) / 86_400.0;
        assert!((29.9..=30.0).contains(&days), "{item}: {days}");
        let check = format!("{}/certificate", item.split('/').next().unwrap());
        assert_eq!(verdict(&sample, &check), Some(true), "{:?}", sample.faults);
    }
    assert_eq!(verdict(&sample, "none/certificate"), Some(false));
    assert_eq!(verdict(&sample, "clear/certificate"), Some(false));
}

#[test]
fn redis_with_a_password_over_tcp_and_its_socket() {
    let redis = Redis::start(CANARY);
    redis.cli(&["SET", "a", "1"]);
    for _ in 0..3 {
        redis.cli(&["GET", "a"]);
    }
    redis.cli(&["GET", "none"]);
    let address = format!("127.0.0.1:{}", redis.port);
    let socket = redis.socket.display().to_string();
    let mut bench = Bench::new();
    let checks = [
        with_password(order("cache", "redis", &[("address", &address)]), CANARY),
        with_password(order("inside", "redis", &[("socket", &socket), ("user", "default")]), CANARY),
        with_password(order("wrong", "redis", &[("address", &address)]), "nonsense"),
        order("none", "redis", &[("address", &address)]),
    ];
    let sample = visit(&mut bench, &checks);
    assert_eq!((verdict(&sample, "cache/redis"), verdict(&sample, "inside/redis")), (Some(true), Some(true)));
    assert_eq!(value(&sample, "redis.hit-ratio", "cache"), 0.75);
    assert_eq!(value(&sample, "redis.keys", "inside"), 1.0);
    assert!(value(&sample, "redis.memory.used", "cache") > 0.0 && value(&sample, "redis.clients", "cache") >= 1.0);
    assert_eq!(value(&sample, "redis.persistence.ok", "cache"), 1.0);
    // A wrong password says nothing about the server's health.
    for denied in ["wrong/redis", "none/redis"] {
        assert_eq!((verdict(&sample, denied), fault(&sample, denied).0), (None, FaultKind::Denied), "{denied}");
    }
    // Since the last sample there were only misses.
    redis.cli(&["GET", "none"]);
    assert_eq!(value(&visit(&mut bench, &checks), "redis.hit-ratio", "cache"), 0.0);
    // One that takes nobody more is not well, whatever the password.
    redis.cli(&["CONFIG", "SET", "maxclients", "1"]);
    let held = std::net::TcpStream::connect(&address).unwrap();
    until("redis is full", Duration::from_secs(20), || {
        verdict(&visit(&mut bench, &checks[..1]), "cache/redis") == Some(false)
    });
    drop(held);
}

#[test]
fn redis_over_tls_and_only_to_the_one_that_is_meant() {
    let (redis, strict) = (Redis::start(CANARY), Redis::with(CANARY, "tls-auth-clients yes\n"));
    let secure = |service: &str, port: u16, more: &[(&str, &str)]| {
        let mut order = with_password(order(service, "redis", &[("address", &format!("localhost:{port}"))]), CANARY);
        order.attributes.extend(more.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        order
    };
    let (pin, wrong) = (redis.fingerprint.as_str(), foreign());
    let sample = visit(
        &mut Bench::new(),
        &[
            secure("any", redis.tls_port, &[("tls", "true")]),
            secure("meant", redis.tls_port, &[("fingerprint", pin)]),
            secure("other", redis.tls_port, &[("tls", "true"), ("fingerprint", &wrong)]),
            secure("clear", redis.tls_port, &[]),
            secure("asked", redis.port, &[("tls", "true")]),
            secure("strict", strict.tls_port, &[("tls", "true")]),
        ],
    );
    for good in ["any", "meant"] {
        assert_eq!(verdict(&sample, &format!("{good}/redis")), Some(true), "{:?}", sample.faults);
        assert!(value(&sample, "redis.memory", good) > 0.0);
    }
    // Nobody is logged in to who is not the one that is meant; what it showed is told.
    let (kind, text) = fault(&sample, "other/redis");
    assert_eq!((verdict(&sample, "other/redis"), kind), (Some(false), FaultKind::Malformed));
    assert!(text.contains("the server is another") && text.ends_with(pin), "{text} {pin}");
    // Neither of these is TLS on both sides.
    assert_eq!((verdict(&sample, "clear/redis"), verdict(&sample, "asked/redis")), (Some(false), Some(false)));
    // A server that wants certificates of its clients cannot be told of.
    assert_eq!((verdict(&sample, "strict/redis"), fault(&sample, "strict/redis").0), (None, FaultKind::Unsupported));
    assert!(fault(&sample, "strict/redis").1.contains("wants a certificate of ours"));
}

#[test]
fn postgres_over_tls_and_only_to_the_one_that_is_meant() {
    let cluster = Postgres::start(CANARY);
    let address = format!("127.0.0.1:{}", cluster.port);
    let socket = cluster.socket().display().to_string();
    let secure = |service: &str, more: &[(&str, &str)]| {
        let mut order = with_password(order(service, "postgres", &[("address", &address)]), CANARY);
        let all = [("user", "secure"), ("database", "orders")];
        order.attributes.extend(all.iter().chain(more).map(|(name, value)| ((*name).into(), (*value).into())));
        order
    };
    let checks = [
        secure("any", &[("tls", "true")]),
        secure("meant", &[("fingerprint", &cluster.fingerprint)]),
        secure("other", &[("fingerprint", &foreign())]),
        secure("clear", &[]),
        order("inside", "postgres", &[("socket", &socket), ("user", "postgres"), ("tls", "true")]),
    ];
    let mut bench = Bench::new();
    let sample = visit(&mut bench, &checks);
    // A unix socket needs no TLS, whatever was inherited.
    for good in ["any", "meant", "inside"] {
        assert_eq!(verdict(&sample, &format!("{good}/postgres")), Some(true), "{:?}", sample.faults);
    }
    assert!(value(&sample, "postgres.size", "meant/orders") > 1e6);
    for (name, verdict_is, kind, text) in [
        ("other", Some(false), FaultKind::Malformed, "the server is another"),
        ("clear", None, FaultKind::Denied, "pg_hba.conf rejects"),
    ] {
        let told = fault(&sample, &format!("{name}/postgres"));
        assert_eq!((verdict(&sample, &format!("{name}/postgres")), told.0), (verdict_is, kind), "{told:?}");
        assert!(told.1.contains(text), "{told:?}");
    }
    cluster.psql("alter system set ssl = off");
    cluster.psql("select pg_reload_conf()");
    until("TLS is off", Duration::from_secs(20), || {
        let sample = visit(&mut bench, &checks[..1]);
        let mut said =
            sample.faults.iter().filter(|fault| fault.item == "any/postgres").map(|fault| fault.text.as_str());
        said.next_back()
            .is_some_and(|text| text.ends_with("offers no TLS, and in clear nothing is said; switch it on there"))
    });
}

#[test]
fn postgres_by_scram_by_md5_and_by_peer() {
    let cluster = Postgres::start(CANARY);
    let address = format!("127.0.0.1:{}", cluster.port);
    let socket = cluster.socket().display().to_string();
    let user = |mut order: Order, name: &str, database: &str| {
        order.attributes.insert("user".into(), name.into());
        order.attributes.insert("database".into(), database.into());
        order
    };
    let scram = with_password(user(order("orders", "postgres", &[("address", &address)]), "fleet", "orders"), CANARY);
    let checks = [
        scram.clone(),
        with_password(user(order("old", "postgres", &[("address", &address)]), "old", "orders"), "altespasswort"),
        user(order("inside", "postgres", &[("socket", &socket)]), "postgres", "orders"),
        with_password(user(order("wrong", "postgres", &[("address", &address)]), "fleet", "orders"), "nonsense"),
        user(order("none", "postgres", &[("address", &address)]), "fleet", "orders"),
        with_password(user(order("missing", "postgres", &[("address", &address)]), "fleet", "nowhere"), CANARY),
    ];
    cluster.psql_in("orders", "create table t(a int); insert into t select generate_series(1, 1000)");
    // One holds a lock in an open transaction, another waits for it.
    let holder = cluster.blocker("begin; lock table t; select pg_sleep(60)");
    until("the lock is held", Duration::from_secs(20), || {
        cluster.count("select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted") >= 1
    });
    let waiter = cluster.blocker("begin; lock table t; select 1");
    until("one waits", Duration::from_secs(20), || {
        cluster.count("select count(*) from pg_locks where not granted") >= 1
    });
    let mut bench = Bench::new();
    let sample = visit(&mut bench, &checks);
    for good in ["orders/postgres", "old/postgres", "inside/postgres"] {
        assert_eq!(verdict(&sample, good), Some(true), "{:#?}", sample.faults);
    }
    assert_eq!(value(&sample, "postgres.blocked", "orders"), 1.0);
    assert_eq!(value(&sample, "postgres.locks.waiting", "inside"), 1.0);
    assert!(value(&sample, "postgres.transaction.oldest", "orders") > 0.0);
    assert!(value(&sample, "postgres.connections", "orders") >= 3.0);
    let used = value(&sample, "postgres.connections.used", "orders");
    assert!((0.14..=0.5).contains(&used), "{used} of 20 connections");
    assert!(value(&sample, "postgres.connections.state", "orders/active") >= 1.0);
    assert!(value(&sample, "postgres.size", "orders/orders") > 1e6);
    assert!(value(&sample, "postgres.commits", "orders/postgres") > 1.0);
    assert!((0.0..=1.0).contains(&value(&sample, "postgres.hit-ratio", "orders")));
    assert_eq!(value(&sample, "postgres.deadlocks", "inside/orders"), 0.0);
    assert!(value(&sample, "postgres.blocks.written", "orders") >= 0.0);
    assert_eq!(value(&sample, "postgres.replicas", "orders"), 0.0);
    assert!(!sample.faults.iter().any(|fault| fault.kind == FaultKind::Cut), "{:?}", sample.faults);
    // Without pg_monitor the states of others are hidden, and how to show them is told.
    let hidden = sample.faults.iter().find(|fault| fault.item == "old/postgres").expect("old sees all states");
    assert!(hidden.kind == FaultKind::Denied && hidden.text.contains("GRANT pg_monitor"));
    for (denied, kind) in
        [("wrong", FaultKind::Denied), ("none", FaultKind::Denied), ("missing", FaultKind::Unsupported)]
    {
        let check = format!("{denied}/postgres");
        assert_eq!((verdict(&sample, &check), fault(&sample, &check).0), (None, kind), "{check}");
    }
    drop((holder, waiter));
    // A server that takes nobody more is not well, whatever the password.
    cluster.psql("alter role fleet connection limit 0");
    assert_eq!(verdict(&visit(&mut bench, &[scram]), "orders/postgres"), Some(false));
}

#[test]
fn prometheus_takes_the_series_that_are_asked_for() {
    let exporter = NodeExporter::start();
    let url = format!("http://127.0.0.1:{}/metrics", exporter.port);
    let series = "node_load1 node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} node_memory_MemTotal_bytes";
    let sample = visit(
        &mut Bench::new(),
        &[
            order("node", "prometheus", &[("url", &url), ("series", series)]),
            order("none", "prometheus", &[("url", &url), ("series", "node_load1 no_such_series")]),
        ],
    );
    assert_eq!(verdict(&sample, "node/prometheus"), Some(true));
    let memory = value(&sample, "prometheus.value", "node/node_memory_MemTotal_bytes");
    assert_eq!(memory, value(&sample, "memory.total", ""), "both read the same file");
    assert!(value(&sample, "prometheus.value", "node/node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"}") > 0.0);
    assert_eq!(sample.readings.iter().filter(|r| r.item.starts_with("node/node_")).count(), 3);
    assert_eq!(verdict(&sample, "none/prometheus"), Some(false));
    assert_eq!(fault(&sample, "none/prometheus").1, "the endpoint has no no_such_series");
}

#[test]
fn nagios_plugins_and_shipped_scripts() {
    let plugin = |name: &str| format!("/usr/lib/nagios/plugins/{name}");
    let mut script = order("backup", "nagios", &[("args", "three 'and four'")]);
    script.script =
        Some("#!/bin/sh\necho \"BACKUP WARNING - $# of $2 | age=90s;60;120 'size of all'=5MB\"\nexit 1\n".into());
    let mut local = order("queues", "nagios", &[("format", "checkmk")]);
    local.script = Some("#!/bin/sh\necho '0 mail n=3;10;20 quiet'\necho 'P orders n=50;10;40 too many'\n".into());
    let mut hangs = order("hangs", "nagios", &[]);
    hangs.script = Some("#!/bin/sh\nsleep 61.4711 & sleep 62.4711\n".into());
    hangs.timeout = Duration::from_millis(500);
    let sample = visit(
        &mut Bench::new(),
        &[
            order(
                "load",
                "nagios",
                &[("plugin", &plugin("check_load")), ("args", "-w 9999,9999,9999 -c 9999,9999,9999")],
            ),
            order("procs", "nagios", &[("plugin", &plugin("check_procs")), ("args", "-w 1:1 -c 0:0")]),
            order("dummy", "nagios", &[("plugin", &plugin("check_dummy")), ("args", "3 'who knows'")]),
            order("gone", "nagios", &[("plugin", "/usr/lib/nagios/plugins/check_nothing")]),
            script,
            local,
            hangs,
        ],
    );
    assert_eq!((verdict(&sample, "load/nagios"), value(&sample, "nagios.status", "load")), (Some(true), 0.0));
    let load = value(&sample, "nagios.value", "load/load1");
    assert!((load - value(&sample, "load.1m", "")).abs() < 2.0, "{load}");
    assert_eq!((verdict(&sample, "procs/nagios"), value(&sample, "nagios.status", "procs")), (Some(false), 2.0));
    assert!(fault(&sample, "procs/nagios").1.starts_with("PROCS CRITICAL"));
    // 3 is unknown, and unknown is not critical.
    assert_eq!((verdict(&sample, "dummy/nagios"), sample.value("nagios.status", "dummy")), (None, None));
    assert_eq!(fault(&sample, "dummy/nagios").1, "UNKNOWN: who knows");
    assert_eq!(verdict(&sample, "gone/nagios"), None);
    assert_eq!((verdict(&sample, "backup/nagios"), value(&sample, "nagios.warning", "backup")), (Some(true), 1.0));
    assert_eq!(value(&sample, "nagios.value", "backup/age"), 90.0);
    assert_eq!(value(&sample, "nagios.value", "backup/size of all"), 5_242_880.0);
    assert_eq!(fault(&sample, "backup/nagios").1, "BACKUP WARNING - 2 of and four");
    assert_eq!(verdict(&sample, "queues/nagios"), Some(false));
    assert_eq!(value(&sample, "nagios.status", "queues/mail"), 0.0);
    assert_eq!(value(&sample, "nagios.value", "queues/orders/n"), 50.0);
    assert_eq!((verdict(&sample, "hangs/nagios"), fault(&sample, "hangs/nagios").0), (None, FaultKind::Hung));
    let left: Vec<_> = every_command_line().lines().filter(|line| line.contains(".4711")).map(str::to_owned).collect();
    assert!(left.is_empty(), "it left children behind");
}

/// Programs that reserve more than they use (Java, Go) failed in the probe's address space of 1 GiB.
#[test]
fn what_the_probe_starts_has_the_limits_of_the_login_and_not_its_own() {
    let limits = "for limit in v t n f; do for kind in S H; do ulimit -$kind -$limit; done; done; ulimit -H -c";
    let mut script = order("limits", "nagios", &[]);
    script.script = Some(format!("#!/bin/bash\necho OK - $({limits})\nexit 2\n"));
    // Several at once: one that starts must not take back what another lifted.
    let mut orders = vec![script; 12];
    for (n, order) in orders.iter_mut().enumerate() {
        (order.service, order.item) = (format!("limits{n}"), format!("limits{n}"));
    }
    let sample = visit(&mut Bench::new(), &orders);
    let login = system("bash", &["-c".to_owned(), format!("echo OK - $({limits})")]).out;
    let login = format!("{} 0", login.trim().rsplit_once(' ').unwrap().0);
    for n in 0..12 {
        assert_eq!(fault(&sample, &format!("limits{n}/nagios")).1, login);
    }
}

#[test]
fn the_access_log_gives_rates_and_survives_rotation() {
    let nginx = Nginx::start();
    let log = nginx.log.display().to_string();
    let mut bench = Bench::new();
    let checks = [
        order("shop", "accesslog", &[("path", &log)]),
        order("web", "process", &[("program", "nginx"), ("user", "root")]),
        order("log", "file", &[("path", &log)]),
    ];
    nginx.ask("/healthz", 5);
    let first = visit(&mut bench, &checks);
    assert_eq!(verdict(&first, "shop/accesslog"), Some(true));
    assert_eq!(first.value("accesslog.requests", "shop"), None, "there is nothing to compare with");
    assert!(value(&first, "process.watched.count", "web") >= 2.0, "a master and a worker");
    assert!(value(&first, "process.watched.memory", "web") > 1e6);
    assert!(value(&first, "file.size", "log") > 100.0 && value(&first, "file.age", "log") < 60.0);
    nginx.ask("/healthz", 6);
    nginx.rotate();
    nginx.ask("/broken", 2);
    std::thread::sleep(Duration::from_secs(1));
    let second = visit(&mut bench, &checks);
    // Stamps are whole seconds: the time between is told by the rates themselves.
    let rate = value(&second, "accesslog.requests", "shop");
    let errors = value(&second, "accesslog.errors.rate", "shop");
    assert!(rate > 0.0 && (errors * 4.0 - rate).abs() < 0.01, "{errors} of {rate}");
    assert_eq!(value(&second, "accesslog.errors", "shop"), 0.25);
    assert!(value(&second, "accesslog.latency.max", "shop") >= value(&second, "accesslog.latency", "shop"));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(value(&visit(&mut bench, &checks), "accesslog.requests", "shop"), 0.0);
}

#[test]
fn a_check_with_an_interval_of_its_own_tells_its_age() {
    let nginx = Nginx::start();
    let mut slow = order("shop", "http", &[("url", &nginx.url("/healthz"))]);
    slow.every = Some(Duration::from_secs(6 * 3600));
    let mut bench = Bench::new();
    let first = visit(&mut bench, std::slice::from_ref(&slow));
    assert_eq!(value(&first, "check.age", "shop/http"), 0.0);
    drop(nginx);
    std::thread::sleep(Duration::from_millis(1100));
    let second = visit(&mut bench, std::slice::from_ref(&slow));
    assert!(value(&second, "check.age", "shop/http") >= 1.0);
    assert_eq!(value(&second, "http.latency", "shop"), value(&first, "http.latency", "shop"));
    assert_eq!(verdict(&second, "shop/http"), Some(true));
    // Ordered otherwise, it is another check, and due.
    slow.attributes.insert("contains".into(), "all".into());
    assert_eq!(verdict(&visit(&mut bench, &[slow]), "shop/http"), Some(false));
}

/// A server that says something for ever, at full speed or a byte at a time, to whoever comes.
fn endless(start: &'static [u8], drip: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for link in listener.incoming() {
            let mut link = link.unwrap();
            std::thread::spawn(move || {
                let mut said = link.write_all(start);
                while said.is_ok() {
                    if drip {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    said = link.write_all(if drip { b"x" } else { &[b'x'; 65_536] });
                }
            });
        }
    });
    address
}

#[test]
fn hostile_services_cost_their_timeout_and_no_other_check() {
    let nginx = Nginx::start();
    let page = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
    let (flood, drip) = (endless(b"", false), endless(b"", true));
    let (http_flood, http_drip) = (endless(page, false), endless(page, true));
    let bulk = endless(b"$400000\r\n", true);
    let rows = endless(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05IT\0\x0f\xff\xff", false);
    let mut checks = vec![order("good", "http", &[("url", &nginx.url("/healthz"))])];
    for (n, place) in [&flood, &drip, &http_flood, &http_drip, &bulk, &rows].into_iter().enumerate() {
        let (plain, secure) = (format!("http://{place}/"), format!("https://{place}/"));
        checks.push(order(&format!("tcp{n}"), "tcp", &[("address", place), ("expect", "never")]));
        checks.push(order(&format!("http{n}"), "http", &[("url", &plain), ("contains", "never")]));
        checks.push(order(&format!("https{n}"), "http", &[("url", &secure)]));
        checks.push(order(&format!("redis{n}"), "redis", &[("address", place)]));
        checks.push(order(&format!("postgres{n}"), "postgres", &[("address", place), ("user", "x")]));
        checks.push(order(&format!("prometheus{n}"), "prometheus", &[("url", &plain), ("series", "up")]));
    }
    for check in &mut checks {
        check.timeout = Duration::from_millis(700);
    }
    let begin = std::time::Instant::now();
    let sample = visit(&mut Bench::new(), &checks);
    // 37 checks, eight at once, 0.7 s and a grace each.
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    assert_eq!(verdict(&sample, "good/http"), Some(true));
    for check in &checks[1..] {
        let name = check.name();
        assert_eq!(verdict(&sample, &name), Some(false), "{name}: {:?}", fault(&sample, &name));
    }
    assert!(sample.readings.len() < 2000 && sample.value("cpu.used", "").is_some());
}

#[test]
fn the_documentation_names_every_kind_and_attribute() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/checks.md")).unwrap();
    for kind in KINDS {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{}` |", kind.name)));
        let row = row.unwrap_or_else(|| panic!("docs/checks.md: no line for {}", kind.name));
        for attribute in kind.attributes {
            assert!(row.contains(&format!("`{}`", attribute.name)), "{}: {} is not told of", kind.name, attribute.name);
        }
    }
}

/// A monitoring machine that watches itself.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new(inside: &str) -> Self {
        // Not below /tmp: the probe refuses a directory whose parents others may write to.
        let folder = tempfile::Builder::new().prefix("checks").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let home = Self { folder };
        let probes = home.path(&format!("probes/{}-linux", std::env::consts::ARCH));
        fs::create_dir_all(&probes).unwrap();
        fs::copy(program("fleet-probe"), probes.join("fleet-probe")).unwrap();
        let text = format!(
            "<fleet-health version=\"1\">\n<collector state-dir=\"state\" probe-dir=\"probes\" timeout=\"20s\"/>\n\
             <keys recipient-file=\"fleet.pub\" identity-file=\"fleet.key\"/>\n<store url=\"sqlite:fleet.db\"/>\n\
             <host name=\"self\" transport=\"local\">\n{inside}\n</host>\n</fleet-health>\n"
        );
        home.write("config.xml", &text);
        home.run("fleet", &["keys", "generate"]).ends_with(0);
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[allow(clippy::disallowed_methods, reason = "starts the program under test")]
    fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program(name));
        command.args(args).env("FLEET_CONFIG", self.path("config.xml")).env("HOME", self.folder.path());
        command.env_remove("XDG_CACHE_HOME").env("RUST_LOG", "trace").current_dir(self.folder.path());
        command
    }

    fn run(&self, name: &str, args: &[&str]) -> Said {
        Said::of(self.command(name, args).output().unwrap())
    }

    /// A reading as the store holds it.
    fn stored(&self, metric: &str, item: &str) -> Option<f64> {
        let sql =
            format!("select value from reading where metric = '{metric}' and item = '{item}' order by at desc limit 1");
        sqlite3(&self.path("fleet.db"), &sql).first().map(|row| row[0].parse().unwrap())
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found
    }
}

/// Argument lists and environments of all processes, as far as they can be read.
fn every_command_line() -> String {
    let mut all = String::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "environ"] {
            all.push_str(&String::from_utf8_lossy(&fs::read(entry.path().join(file)).unwrap_or_default()));
        }
    }
    all
}

/// What a service is asked for first: how much it does, how well and how fast, since when, and what it takes.
#[test]
fn an_http_api_tells_requests_errors_latency_uptime_processor_and_memory() {
    let nginx = Nginx::start();
    let home = Home::new(&format!(
        "<service name=\"api\"><http url=\"{}\"/><accesslog path=\"{}\"/><process program=\"nginx\" user=\"root\"/>\
         </service>",
        nginx.url("/healthz"),
        nginx.log.display()
    ));
    home.run("fleet-collector", &[]).ends_with(0);
    nginx.ask("/healthz", 200);
    nginx.ask("/broken", 50);
    nginx.ask_slowly("/healthz", Duration::from_millis(700));
    std::thread::sleep(Duration::from_secs(1));
    home.run("fleet-collector", &[]).ends_with(0);
    let newest = |metric: &str| {
        let rows = home.run("fleet", &["history", "self", metric, "--since", "1h", "--json"]).ends_with(0).json();
        let rows = rows["rows"].as_array().unwrap().clone();
        let of = |row: &serde_json::Value| row["item"].as_str().is_some_and(|item| item == "api");
        let last = rows.iter().rfind(|row| of(row)).unwrap_or_else(|| panic!("no {metric} of api in {rows:?}"));
        last["mean"].as_f64().unwrap()
    };
    // The collector's own looks at /healthz are in the log too.
    let (requests, errors) = (newest("accesslog.requests"), newest("accesslog.errors.rate"));
    assert!(errors > 0.0 && requests > errors * 5.0 && requests < errors * 5.2, "{errors} of {requests}");
    let (average, most) = (newest("accesslog.latency"), newest("accesslog.latency.max"));
    assert!((0.7..2.0).contains(&most) && average > 0.0 && average < 0.1, "{average} {most}");
    assert!((1.0..600.0).contains(&newest("process.watched.uptime")));
    assert!(newest("process.watched.memory") > 1e6);
    assert!((0.0..64.0).contains(&newest("process.watched.cpu.used")));
}

#[test]
fn from_the_configuration_to_the_store_and_the_secret_appears_nowhere() {
    let (redis, nginx) = (Redis::start(CANARY), Nginx::start());
    // Never answers, so that the probe runs for as long as its timeout.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = Home::new(&format!(
        "<service name=\"cache\" min-healthy=\"1\">\n<redis address=\"127.0.0.1:{}\" password-file=\"redis.pw\"/>\n\
         <rule metric=\"redis.hit-ratio\" warning=\"90%\"/></service>\n\
         <service name=\"shop\"><http url=\"{}\" contains=\"well\"/></service>\n\
         <service name=\"lost\"><redis address=\"127.0.0.1:{}\" password-file=\"missing.pw\"/></service>\n\
         <tcp name=\"slow\" address=\"{}\" expect=\"never\" timeout=\"1500ms\"/>",
        redis.port,
        nginx.url("/healthz"),
        redis.port,
        silent.local_addr().unwrap()
    ));
    home.write("redis.pw", &format!("{CANARY}\n"));
    let mut collector = home.command("fleet-collector", &["-vv", "--json"]);
    let running = collector.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut seen_probe = false;
    for _ in 0..30 {
        let lines = every_command_line();
        assert!(!lines.contains(CANARY), "the secret is in an argument list or environment");
        seen_probe |= lines.contains("fleet-probe\0--serve");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(seen_probe, "the probe was never looked at");
    let said = Said::of(running.wait_with_output().unwrap()).ends_with(0);
    assert!(!format!("{}{}", said.out, said.err).contains(CANARY), "the secret is in a log");
    for file in home.files().into_iter().filter(|file| !file.ends_with("redis.pw")) {
        let bytes = fs::read(&file).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(CANARY), "the secret is in {}", file.display());
    }
    assert_eq!(home.stored("check.ok", "cache/redis"), Some(1.0));
    assert!(home.stored("redis.memory", "cache").unwrap() > 0.0);
    assert_eq!((home.stored("check.ok", "shop/http"), home.stored("http.status", "shop")), (Some(1.0), Some(200.0)));
    assert_eq!(home.stored("check.ok", "slow/tcp"), Some(0.0));
    // A secret that cannot be read spoils its own check only, and the reason arrives.
    assert_eq!((home.stored("check.ok", "lost/redis"), home.stored("check.unknown", "lost/redis")), (None, Some(1.0)));
    assert!(home.stored("memory.total", "").unwrap() > 0.0);

    let shown = home.run("fleet", &["config", "show", "self"]).ends_with(0).out;
    assert!(!shown.contains(CANARY));
    for line in ["service cache", "check redis", "password", "redis.pw", "config.xml:7", "rule redis.hit-ratio"] {
        assert!(shown.contains(line), "no {line} in\n{shown}");
    }
    let json = home.run("fleet", &["config", "show", "self", "--json"]).ends_with(0).json();
    assert_eq!(json["services"][0]["checks"][0]["attributes"]["timeout"]["value"], "5s");
    // fleet hosts test runs the checks too.
    home.run("fleet", &["hosts", "test"]).ends_with(0);
}

#[test]
fn over_ssh_a_long_script_and_a_password_arrive_and_a_bad_service_is_mailed() {
    let redis = Redis::start(CANARY);
    let fleet = Fleet::start(&[Kind::Good]);
    let private = |name: &str, text: &str| {
        let path = fleet.config().with_file_name(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    private("redis.pw", CANARY);
    // Longer than what a pipe holds, so that shell and probe read it in pieces; twice, for the first visit ships the probe.
    let padding = "# nothing\n".repeat(6000);
    private("backup.sh", &format!("#!/bin/sh\n{padding}echo 'BACKUP CRITICAL - none for 3 days | age=3d'\nexit 2\n"));
    let inside = format!(
        "<service name=\"backup\"><nagios script=\"backup.sh\"/><rule metric=\"check.ok\" critical=\"0\" for=\"0s\"/></service>\
         <service name=\"cache\"><redis address=\"127.0.0.1:{}\" password-file=\"redis.pw\"/></service>",
        redis.port
    );
    fleet.configure(|_| inside.clone(), &fleet.alerts());
    fleet.run("fleet", &["keys", "generate"]).ends_with(0);
    for shipped in [true, false] {
        let json = fleet.run("fleet-collector", &["--json"]).ends_with(0).json();
        assert_eq!(json["hosts"][0]["probe_shipped"], shipped, "{json}");
    }
    let sql = "select metric, item, value from reading where metric like 'check.%' order by at, metric, item";
    let rows: Vec<String> = sqlite3(&fleet.database(), sql).into_iter().map(|row| row.join(" ")).collect();
    for expected in ["check.ok backup/nagios 0", "check.ok cache/redis 1", "check.unknown cache/redis 0"] {
        assert_eq!(rows.iter().filter(|row| *row == expected).count(), 2, "{expected} in {rows:?}");
    }
    fleet.run("fleet-alerter", &[]).ends_with(0);
    // The machine that the test runs on may have troubles of its own.
    let mails: Vec<String> = fleet.mails().into_iter().filter(|mail| mail.contains("X-Fleet-Rule: check.ok")).collect();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert!(mails[0].contains("backup/nagios"), "{}", mails[0]);
    assert!(!mails[0].contains(CANARY));
}
