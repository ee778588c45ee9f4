//! Checks of services by the real probe against real servers, the task over standard input; and one end to end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test helper may fail the test")]

use std::fs;
use std::io::{BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use fleet_health::model::check::Order;
use fleet_health::model::sample::{FaultKind, Sample};
use fleet_health::model::secret::Secret;
use fleet_health::wire::frame::{Item, Limits, Reader, write_answer};
use fleet_health::wire::task::Task;
use fleet_health::wire::{seal, v1};

mod support;

use support::run::program;
use support::servers::{Nginx, Redis};

const NONCE: &str = "0123456789abcdef0123456789abcdef";
/// Must be found nowhere but on its way to its server.
const CANARY: &str = "kanarienvogel-4711";

/// A host with a spool of its own.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    /// One visit with these checks; the sample that was just measured.
    #[allow(clippy::disallowed_methods, reason = "the test drives the real program")]
    fn visit(&self, checks: &[Order]) -> Sample {
        let (identity, recipient) = seal::generate();
        let task = Task {
            v: 1,
            nonce: NONCE.into(),
            recipients: vec![recipient],
            pull_bytes: 4 << 20,
            pull_files: 100,
            spool_bytes: 4 << 20,
            deadline_secs: 20,
            checks: checks.to_vec(),
        };
        let mut command = Command::new(program("fleet-probe"));
        command.args(["--serve", "--spool"]).arg(self.spool());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "{}", task.encode()).unwrap();
        let mut reader = Reader::new(BufReader::new(child.stdout.take().unwrap()), NONCE, Limits::of(8 << 20, 64));
        let mut files = Vec::new();
        while let Item::File { name, bytes } = reader.next().unwrap() {
            files.push((name, bytes));
        }
        let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
        write_answer(child.stdin.as_mut().unwrap(), &names).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        assert!(!String::from_utf8_lossy(&output.stderr).contains(CANARY));
        let (_, sealed) = files.pop().unwrap();
        let sample = v1::decode(&seal::open(&[identity], &sealed).unwrap()).unwrap().1;
        assert!(!format!("{sample:?}").contains(CANARY), "the secret came back");
        for entry in fs::read_dir(self.spool()).unwrap() {
            let text = fs::read(entry.unwrap().path()).unwrap();
            assert!(!String::from_utf8_lossy(&text).contains(CANARY), "the secret is on the disk");
        }
        sample
    }
}

fn order(service: &str, kind: &str, attributes: &[(&str, &str)]) -> Order {
    Order {
        service: service.into(),
        check: kind.into(),
        item: service.into(),
        kind: kind.into(),
        attributes: attributes.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        timeout: Duration::from_secs(5),
        ..Order::default()
    }
}

fn with_password(mut order: Order, password: &str) -> Order {
    order.secrets.insert("password".into(), Secret::new(password.into()));
    order
}

/// `check.ok`; `None` where it could not be told.
fn verdict(sample: &Sample, check: &str) -> Option<bool> {
    let ok = sample.value("check.ok", check).map(|value| value == 1.0);
    let unknown = sample.value("check.unknown", check).unwrap_or_else(|| panic!("no {check} in {sample:?}"));
    assert_eq!(unknown == 1.0, ok.is_none(), "{check}");
    ok
}

#[track_caller]
fn value(sample: &Sample, metric: &str, item: &str) -> f64 {
    sample.value(metric, item).unwrap_or_else(|| {
        let prefix = metric.split('.').next().unwrap_or_default();
        let near: Vec<_> = sample.readings.iter().filter(|r| r.metric.starts_with(prefix)).collect();
        panic!("no {metric}{{{item}}}; there are {near:#?} and {:#?}", sample.faults)
    })
}

fn fault(sample: &Sample, check: &str) -> (FaultKind, String) {
    let fault = sample.faults.iter().find(|fault| fault.item == check);
    let fault = fault.unwrap_or_else(|| panic!("no fault of {check} in {:#?}", sample.faults));
    (fault.kind, fault.text.clone())
}

#[test]
fn tcp_connects_says_and_expects() {
    let redis = Redis::start(CANARY);
    let address = format!("127.0.0.1:{}", redis.port);
    let bench = Bench::new();
    let sample = bench.visit(&[
        order("plain", "tcp", &[("address", &address)]),
        order("says", "tcp", &[("address", &address), ("send", r"PING\r\n"), ("expect", "-NOAUTH")]),
        order("other", "tcp", &[("address", &address), ("send", r"PING\r\n"), ("expect", "+PONG\r\n")]),
        order("dead", "tcp", &[("address", "127.0.0.1:1")]),
        order("gone", "tcp", &[("socket", "/nowhere.sock")]),
        order("newer", "quantum", &[]),
    ]);
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
    let sample = Bench::new().visit(&[
        order("shop", "http", &[("url", &nginx.url("/healthz")), ("contains", "all is well")]),
        order("empty", "http", &[("url", &nginx.url("/healthz")), ("contains", "out of stock")]),
        order("broken", "http", &[("url", &nginx.url("/broken"))]),
        order("meant", "http", &[("url", &nginx.url("/broken")), ("expect", "500-503"), ("method", "HEAD")]),
        order("moved", "http", &[("url", &nginx.url("/moved").replace("127.0.0.1", "localhost"))]),
        order("inside", "http", &[("url", "http://shop.example/healthz"), ("socket", &socket)]),
    ]);
    assert_eq!(verdict(&sample, "shop/http"), Some(true));
    assert_eq!((value(&sample, "http.status", "shop"), value(&sample, "http.size", "shop")), (200.0, 12.0));
    assert!(value(&sample, "http.latency", "shop") >= value(&sample, "http.latency.first-byte", "shop"));
    assert_eq!(verdict(&sample, "empty/http"), Some(false));
    assert_eq!(verdict(&sample, "broken/http"), Some(false));
    assert_eq!(fault(&sample, "broken/http").1, "status 503, not 200-399: \"out of order\"");
    for good in ["meant/http", "moved/http", "inside/http"] {
        assert_eq!(verdict(&sample, good), Some(true), "{good}");
    }
    assert_eq!(value(&sample, "http.status", "moved"), 301.0);
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
    let bench = Bench::new();
    let checks = [
        with_password(order("cache", "redis", &[("address", &address)]), CANARY),
        with_password(order("inside", "redis", &[("socket", &socket), ("user", "default")]), CANARY),
        with_password(order("wrong", "redis", &[("address", &address)]), "nonsense"),
        order("none", "redis", &[("address", &address)]),
    ];
    let sample = bench.visit(&checks);
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
    assert_eq!(value(&bench.visit(&checks), "redis.hit-ratio", "cache"), 0.0);
}
