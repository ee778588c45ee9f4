//! Whole runs against a store in memory and a scripted SMTP server.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::world::World;
use super::*;
use crate::model::alert::Ending;
use crate::model::catalogue;
use crate::model::cause::Cause;
use crate::model::fleet::{Attempt, Outcome as Ended};
use crate::model::job::Traffic;
use crate::model::level::Level;
use crate::model::rule::{Condition, Role, RuleKind};
use crate::model::sample::{Reading, Sample, SampleKey};
use crate::model::service::ServiceSpec;
use crate::model::spec::*;
use crate::store::memory::Memory;

#[allow(dead_code, reason = "shared with the tests of whole programs")]
#[path = "../../../tests/support/smtp.rs"]
pub(super) mod smtp;

/// An empty store with the one sweep that all rows belong to.
pub(super) fn empty() -> Memory {
    let mut store = Memory::default();
    assert_eq!(store.begin_sweep(at(0), 1).unwrap(), 1);
    store
}

pub(super) fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + minutes * 60, 0).unwrap()
}

pub(super) fn spec(port: u16, addresses: &[&str]) -> FleetSpec {
    let metric = catalogue::find("filesystem.used").unwrap();
    let rule = RuleSpec { warning: Some(0.8), critical: Some(0.9), ..RuleSpec::new(metric, RuleKind::Above) };
    let host = |name: &str| HostSpec {
        command_lines: false,
        name: name.into(),
        groups: Vec::new(),
        labels: BTreeMap::new(),
        transport: Transport::Local,
        parents: Vec::new(),
        rules: vec![rule.clone()].into(),
        services: Vec::new(),
        origin: Origin::default(),
    };
    let second = Duration::from_secs(1);
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
        hosts: vec![host("web01"), host("web02")],
        alerts: AlertSpec {
            recovered: true,
            cap: 3,
            smtp: Some(SmtpSpec {
                host: "127.0.0.1".into(),
                port,
                tls: Tls::None,
                from: "Fleet <fleet@example.net>".into(),
                user: None,
                password: None,
                ca_file: None,
            }),
            destinations: vec![DestinationSpec {
                name: "ops".into(),
                channel: ChannelSpec::Mail(addresses.iter().map(|&to| to.into()).collect()),
            }],
            ..AlertSpec::default()
        },
        silences: Vec::new(),
        consent_required: false,
        web: crate::model::spec::WebSpec::default(),
    }
}

pub(super) fn attempt(host: &str, minutes: i64, failed: Option<Cause>) -> Attempt {
    let outcome = failed.map_or(Ended::Collected, |cause| Ended::Failed { cause, text: "no".into() });
    Attempt { host: host.into(), at: at(minutes), took: Duration::ZERO, outcome, traffic: Traffic::default() }
}

pub(super) fn disk(store: &mut Memory, host: &str, minutes: i64, item: &str, value: f64) {
    let reading = Reading { metric: "filesystem.used".into(), item: item.into(), value };
    let sample = Sample {
        key: SampleKey { boot: "b".into(), sequence: minutes as u64 },
        taken: at(minutes),
        hostname: host.into(),
        probe: "1".into(),
        readings: vec![reading],
        faults: Vec::new(),
        facts: Vec::new(),
        top: Vec::new(),
    };
    store.record(1, &attempt(host, minutes, None), &[sample]).unwrap();
}

/// A sample of any readings.
pub(super) fn sample(store: &mut Memory, minutes: i64, boot: &str, readings: &[(&str, &str, f64)]) {
    sample_of(store, "web01", minutes, boot, readings);
}

fn sample_of(store: &mut Memory, host: &str, minutes: i64, boot: &str, readings: &[(&str, &str, f64)]) {
    let readings =
        readings.iter().map(|&(metric, item, value)| Reading { metric: metric.into(), item: item.into(), value });
    let sample = Sample {
        key: SampleKey { boot: boot.into(), sequence: minutes as u64 },
        taken: at(minutes),
        hostname: host.into(),
        probe: "1".into(),
        readings: readings.collect(),
        faults: Vec::new(),
        facts: Vec::new(),
        top: Vec::new(),
    };
    store.record(1, &attempt(host, minutes, None), &[sample]).unwrap();
}

/// The rule of a metric in place of the one on filesystems.
fn with_rule(metric: &str, kind: RuleKind, change: impl Fn(&mut RuleSpec)) -> FleetSpec {
    let mut spec = spec(1, &[]);
    spec.alerts.destinations.clear();
    let mut rule = RuleSpec::new(catalogue::find(metric).unwrap(), kind);
    change(&mut rule);
    for host in &mut spec.hosts {
        host.rules = vec![rule.clone()].into();
    }
    spec
}

fn open(store: &Memory) -> Vec<String> {
    store.open_incidents().unwrap().into_iter().map(|incident| incident.text).collect()
}

pub(super) fn go(store: &mut Memory, spec: &FleetSpec, minutes: i64) -> Report {
    let now = at(minutes);
    // The collector runs.
    let sweep = store.begin_sweep(now, 1).unwrap();
    store.end_sweep(sweep, now, 0).unwrap();
    turn(store, spec, &mut Lines::new(spec), &|| now, at(minutes + 5), false).unwrap()
}

pub(super) fn subjects(server: &smtp::Server) -> Vec<String> {
    let subject = |got: smtp::Got| got.data.lines().find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned));
    server.accepted().into_iter().filter_map(subject).collect()
}

#[test]
fn a_problem_is_told_once_then_its_end() {
    let server = smtp::Server::start();
    let spec = spec(server.port, &["ops@example.net"]);
    let mut store = empty();
    disk(&mut store, "web01", 0, "/var", 0.95);
    disk(&mut store, "web01", 5, "/var", 0.95);
    assert_eq!(go(&mut store, &spec, 6).sent, 1);
    assert_eq!(go(&mut store, &spec, 7).mails.len(), 0);
    assert_eq!(go(&mut store, &spec, 67).sent, 1);
    disk(&mut store, "web01", 70, "/var", 0.2);
    disk(&mut store, "web01", 75, "/var", 0.2);
    go(&mut store, &spec, 76);
    go(&mut store, &spec, 500);
    assert_eq!(subjects(&server), ["[CRIT] web01 disk /var", "[CRIT] web01 disk /var", "[OK] web01 disk /var"]);
    assert!(store.told().unwrap().is_empty());
}

#[test]
fn an_outage_catches_up_in_one_mail_and_a_name_injects_nothing() {
    let server = smtp::Server::start();
    let spec = spec(server.port, &["ops@example.net"]);
    let mut store = empty();
    for minutes in 0..50 {
        disk(&mut store, "web01", minutes * 5, "/a\r\nBcc: evil@example.net\u{1b}[2J", 0.95);
        disk(&mut store, "web02", minutes * 5, "/b", 0.85);
    }
    assert_eq!(go(&mut store, &spec, 250).sent, 2);
    let mail = server.accepted().remove(0).data;
    assert_eq!(subjects(&server)[1], "[WARN] web02 disk /b");
    assert!(!mail.contains("\r\nBcc:") && !mail.contains('\u{1b}'));
}

#[test]
fn a_dead_server_loses_nothing_and_what_passed_meanwhile_is_not_told() {
    let server = smtp::Server::start();
    let spec = spec(server.port, &["ops@example.net"]);
    server.script.lock().unwrap().answers.insert("BANNER".into(), "421 not now".into());
    let mut store = empty();
    disk(&mut store, "web01", 0, "/var", 0.95);
    disk(&mut store, "web01", 5, "/var", 0.95);
    let report = go(&mut store, &spec, 6);
    assert_eq!((report.sent, report.waiting), (0, 1));
    disk(&mut store, "web02", 10, "/b", 0.95);
    disk(&mut store, "web02", 15, "/b", 0.95);
    assert!(!go(&mut store, &spec, 40).errors.is_empty());
    server.script.lock().unwrap().answers.clear();
    go(&mut store, &spec, 100);
    assert_eq!(subjects(&server), ["[CRIT] web01 disk /var", "[CRIT] web02 disk /b"]);
}

#[test]
fn a_wrong_setting_exits_with_errors_and_keeps_the_mail() {
    let server = smtp::Server::start();
    let mut spec = spec(server.port, &["ops@example.net"]);
    if let Some(smtp) = &mut spec.alerts.smtp {
        smtp.user = Some("fleet".into());
    }
    let mut store = empty();
    disk(&mut store, "web01", 0, "/var", 0.95);
    disk(&mut store, "web01", 5, "/var", 0.95);
    let report = go(&mut store, &spec, 6);
    assert!(report.errors[0].contains("never sent over a line without TLS"), "{:?}", report.errors);
    if let Some(smtp) = &mut spec.alerts.smtp {
        smtp.user = None;
    }
    assert_eq!(go(&mut store, &spec, 8).sent, 1);
}

#[test]
fn one_bad_recipient_of_three_stops_nobody() {
    let server = smtp::Server::start();
    let spec = spec(server.port, &["a@example.net", "bad@example.net", "c@example.net"]);
    server.script.lock().unwrap().answers.insert("RCPT TO:<bad@".into(), "550 no such user".into());
    let mut store = empty();
    disk(&mut store, "web01", 0, "/var", 0.95);
    disk(&mut store, "web01", 5, "/var", 0.95);
    for minutes in [6, 26, 46, 50] {
        go(&mut store, &spec, minutes);
    }
    let to: Vec<String> = server.accepted().into_iter().map(|got| got.to).collect();
    // The others have it once, and hear that the third gets nothing.
    assert_eq!(to, ["a@example.net", "c@example.net", "a@example.net", "c@example.net"]);
    assert_eq!(subjects(&server)[2], "[CRIT] fleet mail-undeliverable ops bad@example.net");
    assert_eq!(store.queued().unwrap(), []);
}

#[test]
fn a_lost_answer_sends_the_same_bytes_again() {
    let server = smtp::Server::start();
    let spec = spec(server.port, &["ops@example.net"]);
    server.script.lock().unwrap().drop_after_dot = true;
    let mut store = empty();
    disk(&mut store, "web01", 0, "/var", 0.95);
    disk(&mut store, "web01", 5, "/var", 0.95);
    go(&mut store, &spec, 6);
    server.script.lock().unwrap().drop_after_dot = false;
    go(&mut store, &spec, 10);
    go(&mut store, &spec, 11);
    let mails = server.accepted();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].data, mails[1].data);
}

#[test]
fn an_unreachable_host_is_one_problem_and_its_metrics_hold() {
    let server = smtp::Server::start();
    let spec = spec(server.port, &["ops@example.net"]);
    let mut store = empty();
    disk(&mut store, "web01", 0, "/var", 0.95);
    store.record(1, &attempt("web01", 5, Some(Cause::Refused)), &[]).unwrap();
    assert_eq!(go(&mut store, &spec, 6).mails.len(), 0);
    store.record(1, &attempt("web01", 10, Some(Cause::BackOff)), &[]).unwrap();
    // Ours to blame, not the host's.
    for (minutes, cause) in [(10, Cause::SweepDeadline), (11, Cause::Internal), (12, Cause::Store)] {
        store.record(1, &attempt("web02", minutes, Some(cause)), &[]).unwrap();
    }
    store.record(1, &attempt("web01", 15, Some(Cause::Refused)), &[]).unwrap();
    go(&mut store, &spec, 16);
    store.record(1, &attempt("web02", 16, Some(Cause::HostKeyChanged)), &[]).unwrap();
    go(&mut store, &spec, 17);
    disk(&mut store, "web01", 20, "/var", 0.95);
    go(&mut store, &spec, 21);
    let all =
        ["[CRIT] web01 unreachable", "[CRIT] web02 unreachable", "[CRIT] web01 disk /var", "[OK] web01 unreachable"];
    assert_eq!(subjects(&server), all);
}

#[test]
fn what_leaves_host_or_configuration_is_no_recovery() {
    let server = smtp::Server::start();
    let mut spec = spec(server.port, &["ops@example.net"]);
    let mut store = empty();
    for (host, item) in [("web01", "/a"), ("web02", "/b")] {
        disk(&mut store, host, 0, item, 0.95);
        disk(&mut store, host, 5, item, 0.95);
    }
    go(&mut store, &spec, 6);
    (7..10).for_each(|minutes| disk(&mut store, "web01", minutes, "/other", 0.1));
    go(&mut store, &spec, 11);
    spec.hosts.pop();
    go(&mut store, &spec, 12);
    let mails = server.accepted();
    assert_eq!(mails.len(), 4);
    assert!(mails[2..].iter().all(|mail| mail.data.contains("no longer monitored")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    // I1: state, incidents and events do not depend on how rows are cut into batches.
    #[test]
    fn batches_change_nothing(
        kinds in prop::collection::vec((0u8..2, 0u8..8), 1..60), cuts in prop::collection::vec(any::<bool>(), 60),
    ) {
        let spec = spec(1, &[]);
        let mut store = empty();
        for (n, (host, kind)) in kinds.iter().enumerate() {
            let (host, minutes) = (if *host == 0 { "web01" } else { "web02" }, n as i64 * 5);
            match kind {
                0 | 1 => { store.record(1, &attempt(host, minutes, Some(Cause::Dns)), &[]).unwrap(); }
                2 => disk(&mut store, host, minutes, "/other", 0.5),
                kind => disk(&mut store, host, minutes, "/var", 0.6 + f64::from(*kind) / 20.0),
            }
        }
        let rows = store.rows_after(0, 1000).unwrap();
        let mut whole = empty();
        let mut world = World::new(&spec, vec![], vec![], vec![], 0);
        rows.iter().for_each(|row| world.row(&store, row).unwrap());
        whole.commit_evaluation(&world.take(rows.len() as i64, true).unwrap()).unwrap();
        let mut world = World::new(&spec, vec![], vec![], vec![], 0);
        for (row, cut) in rows.iter().zip(&cuts) {
            world.row(&store, row).unwrap();
            if *cut {
                store.commit_evaluation(&world.take(row.id, true).unwrap()).unwrap();
                let (states, open) = (store.states().unwrap(), store.open_incidents().unwrap());
                world = World::new(&spec, states, open, vec![], store.last_incident().unwrap());
            }
        }
        store.commit_evaluation(&world.take(rows.len() as i64, true).unwrap()).unwrap();
        prop_assert_eq!(whole.states().unwrap(), store.states().unwrap());
        let incidents = whole.incidents(1000).unwrap();
        prop_assert_eq!(&incidents, &store.incidents(1000).unwrap());
        for incident in &incidents {
            prop_assert_eq!(whole.events(incident.id).unwrap(), store.events(incident.id).unwrap());
            prop_assert!(incident.closed.is_none() || incident.level == Level::Ok);
        }
    }
}

#[test]
fn a_rate_is_judged_over_runs_and_a_reboot_is_no_spike() {
    let spec = with_rule("network.receive.bytes", RuleKind::Rate, |rule| rule.warning = Some(1_048_576.0));
    let mut store = empty();
    let mut total = 0.0;
    let mut next = |store: &mut Memory, minutes: i64, boot: &str, rate: f64| {
        total += rate * 300.0;
        sample(store, minutes, boot, &[("network.receive.bytes", "eth0", total)]);
        // Each sample in a run of its own: the one before comes from the store.
        go(store, &spec, minutes + 1);
    };
    for minutes in [0, 5, 10] {
        next(&mut store, minutes, "a", 1000.0);
    }
    // After the boot the counter stands high at once (a container's interface keeps it): nothing can be told of it.
    next(&mut store, 15, "b", 9e9);
    next(&mut store, 20, "c", 9e9);
    next(&mut store, 25, "c", 1000.0);
    assert_eq!(open(&store), [""; 0]);
    next(&mut store, 30, "c", 2_097_152.0);
    next(&mut store, 35, "c", 2_097_152.0);
    assert_eq!(open(&store), ["network.receive.bytes of eth0 grows by 2 MiB/s (warning from 1 MiB/s)"]);
    // A reboot takes nothing back: the interface is there, only its rate is not known yet.
    for (minutes, boot) in [(40, "d"), (45, "e"), (50, "f"), (55, "g")] {
        next(&mut store, minutes, boot, 1000.0);
    }
    assert_eq!(open(&store).len(), 1);
    next(&mut store, 60, "g", 1000.0);
    next(&mut store, 65, "g", 1000.0);
    assert_eq!(open(&store), [""; 0]);
    let states = |store: &Memory| store.states().unwrap();
    let split = states(&store);
    let mut whole = empty();
    for row in store.rows_after(0, 100).unwrap() {
        whole.record(1, &row.attempt, &row.samples).unwrap();
    }
    go(&mut whole, &spec, 66);
    assert_eq!(states(&whole), split, "one run over all rows is the same as one run for each");
}

#[test]
fn a_late_sample_does_not_disturb_the_rates() {
    let spec = with_rule("network.receive.rate", RuleKind::Above, |rule| rule.warning = Some(100.0));
    let mut store = empty();
    for (minutes, total) in [(0, 0.0), (10, 6000.0), (5, 300_000.0), (15, 9000.0), (20, 12_000.0)] {
        sample(&mut store, minutes, "a", &[("network.receive.bytes", "eth0", total)]);
    }
    go(&mut store, &spec, 21);
    assert_eq!((open(&store), store.states().unwrap()[0].1.value), (Vec::new(), 10.0));
}

#[test]
fn what_should_be_there_and_is_not_is_told_after_its_time() {
    let spec = with_rule("network.receive.bytes", RuleKind::Absent, |rule| {
        rule.items = vec!["eth1".into(), "wg*".into()];
        (rule.warning, rule.critical) = (Some(600.0), Some(1800.0));
    });
    let mut store = empty();
    let (eth0, eth1) = (("network.receive.bytes", "eth0", 1.0), ("network.receive.bytes", "eth1", 1.0));
    let wg = ("network.receive.bytes", "wg0", 1.0);
    sample(&mut store, 0, "a", &[eth0, eth1, wg]);
    for minutes in [5, 10, 15] {
        sample(&mut store, minutes, "a", &[eth0, wg]);
        go(&mut store, &spec, minutes + 1);
    }
    let says = "network.receive.bytes of eth1 has been missing for";
    assert_eq!(open(&store), [format!("{says} 10 min (warning after 10 min)")]);
    for minutes in [20, 25, 30] {
        sample(&mut store, minutes, "a", &[eth0, wg]);
    }
    go(&mut store, &spec, 31);
    assert_eq!(open(&store), [format!("{says} 30 min (critical after 30 min)")]);
    sample(&mut store, 35, "a", &[eth0, eth1, wg]);
    go(&mut store, &spec, 36);
    assert_eq!(open(&store), [""; 0]);
    let ended = store.incidents(1).unwrap().remove(0);
    assert_eq!(
        (ended.ending, ended.text.as_str()),
        (Some(Ending::Recovered), "network.receive.bytes of eth1 is there again")
    );
}

#[test]
fn a_filesystem_that_fills_up_is_told_before_it_is_full() {
    let spec = with_rule("filesystem.full-in", RuleKind::Forecast, |rule| {
        (rule.warning, rule.critical) = (Some(86_400.0), Some(14_400.0));
        rule.conditions = vec![Condition {
            attribute: "and",
            role: Role::And,
            metric: "filesystem.used".into(),
            item: None,
            threshold: 0.6,
        }];
    });
    let gib = 1_073_741_824.0;
    let mut store = empty();
    // 10 GiB an hour out of 200 GiB; under 60 % nobody asks how fast.
    for step in 0..=180 {
        let left = 200.0 - f64::from(step) / 12.0 * 10.0;
        let mount = if step == 40 { "/tmp" } else { "/var" };
        let list = [("filesystem.available", mount, left * gib), ("filesystem.used", mount, 1.0 - left / 200.0)];
        sample(&mut store, i64::from(step) * 5, "a", &list);
        if step % 7 == 0 || step > 140 {
            go(&mut store, &spec, i64::from(step) * 5 + 1);
        }
        let told = open(&store);
        match left {
            left if left > 80.0 => assert_eq!(told, [""; 0], "{left}"),
            left if left < 78.0 && left > 40.0 => assert!(told[0].ends_with("(warning within 24 h)"), "{told:?}"),
            left if left < 38.0 => assert!(
                told[0].starts_with("/var will be full in") && told[0].ends_with("(critical within 4 h)"),
                "{told:?}"
            ),
            _ => {}
        }
    }
    // Somebody made room.
    for step in 181..=184 {
        let list = [("filesystem.available", "/var", 190.0 * gib), ("filesystem.used", "/var", 0.05)];
        sample(&mut store, step * 5, "a", &list);
    }
    go(&mut store, &spec, 925);
    assert_eq!((open(&store).len(), store.incidents(1).unwrap()[0].text.as_str()), (0, "/var will not be full soon"));
}

#[test]
fn the_level_that_results_from_the_size_is_the_one_that_is_told() {
    let spec = with_rule("filesystem.used", RuleKind::Above, |rule| {
        (rule.warning, rule.critical, rule.scale) = (Some(0.8), Some(0.9), Some(0.8));
    });
    let mut store = empty();
    let tib = 1024f64.powi(4);
    for step in 0..4 {
        let list = [
            ("filesystem.size", "/srv", 20.0 * tib),
            ("filesystem.used", "/srv", 0.97),
            ("filesystem.size", "/new", 20.0 * tib),
            ("filesystem.used", "/new", 0.94),
            ("filesystem.used", "/old", 0.94),
        ];
        sample(&mut store, step * 5, "a", &list);
    }
    go(&mut store, &spec, 21);
    // /old does not tell its size: its level is as written.
    let told =
        ["filesystem.used of /srv is 97 % (warning from 95 %)", "filesystem.used of /old is 94 % (critical from 90 %)"];
    assert_eq!(open(&store), told);
}

#[test]
fn a_service_needs_so_many_healthy_servers_and_its_mean_is_judged() {
    let ok = RuleSpec { critical: Some(0.0), ..RuleSpec::new(catalogue::find("check.ok").unwrap(), RuleKind::Below) };
    let mean = RuleSpec {
        items: vec!["shop".into(), "shop/*".into()],
        warning: Some(0.5),
        ..RuleSpec::new(catalogue::find("http.latency").unwrap(), RuleKind::Average)
    };
    let mut spec = spec(1, &[]);
    spec.alerts.destinations.clear();
    for host in &mut spec.hosts {
        host.rules = vec![ok.clone(), mean.clone()].into();
        let shop = ServiceSpec { name: "shop".into(), min_healthy: Some(2), ..ServiceSpec::default() };
        host.services = vec![shop];
    }
    let mut store = empty();
    let both = |store: &mut Memory, minutes: i64, one: (f64, f64), two: (f64, f64)| {
        for (host, (ok, latency)) in [("web01", one), ("web02", two)] {
            let list = [("check.ok", "shop/http", ok), ("http.latency", "shop", latency)];
            sample_of(store, host, minutes, "a", &list);
        }
        go(store, &spec, minutes + 1);
        open(store)
    };
    // One slow server is carried by the other, and one failure is no evidence yet.
    assert_eq!(both(&mut store, 0, (1.0, 0.8), (0.0, 0.1)), [""; 0]);
    let down = "check.ok";
    let told = both(&mut store, 5, (1.0, 0.8), (0.0, 0.1));
    assert!(told[0].contains(down) || told[0].contains("shop/http"), "{told:?}");
    assert_eq!(told[1], "1 of 2 servers are well, at least 2 wanted; not so: web02 (check.ok shop/http)");
    assert_eq!(told.len(), 2);
    // Both slow; the second is well again.
    both(&mut store, 10, (1.0, 0.9), (1.0, 0.3));
    let told = both(&mut store, 15, (1.0, 0.9), (1.0, 0.3));
    assert_eq!(told, ["http.latency of shop is on average 600 ms (warning from 500 ms)"]);
    both(&mut store, 20, (1.0, 0.1), (1.0, 0.1));
    assert_eq!(both(&mut store, 25, (1.0, 0.1), (1.0, 0.1)), [""; 0]);
    let mut subjects: Vec<String> =
        store.incidents(9).unwrap().iter().map(|it| crate::alert::words::name(&it.subject)).collect();
    subjects.sort();
    assert_eq!(subjects, ["fleet http.latency.average shop", "fleet service.healthy shop", "web02 check.ok shop/http"]);
}

/// What a server has one value of is averaged over the servers of each service, and of no other host.
#[test]
fn the_mean_of_processor_and_memory_is_over_the_servers_of_a_service() {
    let mean = RuleSpec {
        items: vec!["shop".into()],
        warning: Some(0.6),
        ..RuleSpec::new(catalogue::find("cpu.used").unwrap(), RuleKind::Average)
    };
    let mut spec = spec(1, &[]);
    spec.alerts.destinations.clear();
    let third = HostSpec { name: "web03".into(), ..spec.hosts[0].clone() };
    spec.hosts.push(third);
    for host in &mut spec.hosts {
        host.rules = vec![mean.clone()].into();
        host.services = vec![ServiceSpec { name: "mail".into(), ..ServiceSpec::default() }];
    }
    for host in &mut spec.hosts[..2] {
        host.services.push(ServiceSpec { name: "shop".into(), ..ServiceSpec::default() });
    }
    let mut store = empty();
    let all = |store: &mut Memory, spec: &FleetSpec, minutes: i64, values: [f64; 3]| {
        for (host, value) in ["web01", "web02", "web03"].iter().zip(values) {
            sample_of(store, host, minutes, "a", &[("cpu.used", "", value), ("uptime", "", 1e6)]);
        }
        go(store, spec, minutes + 1);
        open(store)
    };
    // Just under the line, twice; web03 is no server of it.
    assert_eq!(all(&mut store, &spec, 0, [0.9, 0.29, 1.0]), [""; 0]);
    assert_eq!(all(&mut store, &spec, 5, [0.9, 0.29, 1.0]), [""; 0]);
    all(&mut store, &spec, 10, [0.9, 0.3, 0.0]);
    let told = all(&mut store, &spec, 15, [0.9, 0.3, 0.0]);
    assert_eq!(told, ["cpu.used of shop is on average 60 % (warning from 60 %)"]);
    // Without servers there is nothing to watch any more.
    for host in &mut spec.hosts {
        host.services.truncate(1);
    }
    assert_eq!(all(&mut store, &spec, 20, [0.9, 0.9, 0.9]), [""; 0]);
    let ended = store.incidents(9).unwrap();
    assert_eq!(ended[0].ending, Some(crate::model::alert::Ending::Config));
}

/// One miss is no evidence: what is no problem of the host yet is none of its service either.
#[test]
fn a_service_counts_a_server_out_when_it_does_not_answer_twice() {
    let mut spec = spec(1, &[]);
    spec.alerts.destinations.clear();
    for host in &mut spec.hosts {
        host.services = vec![ServiceSpec { name: "shop".into(), min_healthy: Some(2), ..ServiceSpec::default() }];
    }
    let mut store = empty();
    disk(&mut store, "web01", 0, "/", 0.1);
    disk(&mut store, "web02", 0, "/", 0.1);
    store.record(1, &attempt("web01", 5, Some(Cause::Refused)), &[]).unwrap();
    go(&mut store, &spec, 6);
    assert_eq!(open(&store), [""; 0]);
    store.record(1, &attempt("web01", 10, Some(Cause::Refused)), &[]).unwrap();
    go(&mut store, &spec, 11);
    let told = open(&store);
    let service = "1 of 2 servers are well, at least 2 wanted; not so: web01 (does not answer)";
    assert!(told.len() == 2 && told.iter().any(|text| text == service), "{told:?}");
}

#[test]
fn a_mended_address_ends_the_alert_about_it_and_is_told_what_stands() {
    let server = smtp::Server::start();
    let before = spec(server.port, &["a@example.net", "bad@example.net"]);
    let after = spec(server.port, &["a@example.net", "good@example.net"]);
    server.script.lock().unwrap().answers.insert("RCPT TO:<bad@".into(), "550 no such user".into());
    let mut store = empty();
    disk(&mut store, "web01", 0, "/var", 0.95);
    disk(&mut store, "web01", 5, "/var", 0.95);
    for minutes in [6, 26, 46, 47] {
        go(&mut store, &before, minutes);
    }
    for minutes in [48, 49, 50] {
        go(&mut store, &after, minutes);
    }
    let mut heard: Vec<String> =
        server.accepted().iter().map(|got| got.to.clone()).zip(subjects(&server)).map(|(a, b)| a + " " + &b).collect();
    heard.sort();
    let all = [
        "a@example.net [CRIT] fleet mail-undeliverable ops bad@example.net",
        "a@example.net [CRIT] web01 disk /var",
        "a@example.net [OK] fleet mail-undeliverable ops bad@example.net",
        "good@example.net [CRIT] web01 disk /var",
    ];
    assert_eq!(heard, all);
    assert_eq!(store.incidents(9).unwrap().len(), 2);
    assert_eq!(store.pauses().unwrap(), []);
}

/// What the old address refused is not tried there again.
#[test]
fn mail_to_an_address_that_was_mended_is_taken_back() {
    let server = smtp::Server::start();
    let (before, after) = (spec(server.port, &["bad@example.net"]), spec(server.port, &["good@example.net"]));
    server.script.lock().unwrap().answers.insert("RCPT TO:<bad@".into(), "550 no such user".into());
    let mut store = empty();
    disk(&mut store, "web01", 0, "/var", 0.95);
    disk(&mut store, "web01", 5, "/var", 0.95);
    go(&mut store, &before, 6);
    assert_eq!(go(&mut store, &after, 7).sent, 1);
    assert_eq!(store.queued().unwrap(), []);
}
