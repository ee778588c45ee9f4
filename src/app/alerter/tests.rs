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
use crate::model::rule::{Role, RuleKind};
use crate::model::sample::{Reading, Sample, SampleKey};
use crate::model::spec::*;
use crate::store::memory::Memory;

mod rules;

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

/// A sample of these readings and nothing else, by its boot and sequence.
pub(super) fn measured(host: &str, key: (&str, u64), taken: DateTime<Utc>, readings: &[(&str, &str, f64)]) -> Sample {
    let readings =
        readings.iter().map(|&(metric, item, value)| Reading { metric: metric.into(), item: item.into(), value });
    Sample {
        key: SampleKey { boot: key.0.into(), sequence: key.1 },
        taken,
        hostname: host.into(),
        probe: "1".into(),
        readings: readings.collect(),
        faults: Vec::new(),
        facts: Vec::new(),
        top: Vec::new(),
    }
}

pub(super) fn disk(store: &mut Memory, host: &str, minutes: i64, item: &str, value: f64) {
    sample_of(store, host, minutes, "b", &[("filesystem.used", item, value)]);
}

/// A sample of any readings.
pub(super) fn sample(store: &mut Memory, minutes: i64, boot: &str, readings: &[(&str, &str, f64)]) {
    sample_of(store, "web01", minutes, boot, readings);
}

fn sample_of(store: &mut Memory, host: &str, minutes: i64, boot: &str, readings: &[(&str, &str, f64)]) {
    let sample = measured(host, (boot, minutes as u64), at(minutes), readings);
    store.record(1, &attempt(host, minutes, None), &[sample]).unwrap();
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
