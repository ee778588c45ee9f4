//! Named cases from the field, each with the thread where it went wrong elsewhere; and the figures of the design.

use std::sync::Arc;

use chrono::TimeDelta;

use super::sim::crash::{Fate, Mortal, Server, Weather};
use super::tests::{at, attempt, empty, spec};
use super::*;
use crate::model::alert::{Ack, Event};
use crate::model::cause::Cause;
use crate::model::level::Level;
use crate::model::sample::{Reading, Sample, SampleKey};
use crate::model::silence::{Calendar, Scope, Silence, When};
use crate::model::spec::{HostSpec, RouteSpec, RuleSpec};
use crate::store::memory::Memory;

/// A fleet of any size before a mail server of any mood.
struct Field {
    spec: FleetSpec,
    store: Memory,
    server: Server,
    sequence: u64,
}

impl Field {
    fn new(hosts: &[&str]) -> Self {
        let mut spec = spec(1, &["ops@example.net"]);
        let host = spec.hosts[0].clone();
        spec.hosts = hosts.iter().map(|&name| HostSpec { name: name.into(), ..host.clone() }).collect();
        Self { spec, store: empty(), server: server(), sequence: 0 }
    }

    fn many(count: usize) -> Self {
        let names: Vec<String> = (0..count).map(|n| format!("h{n:03}")).collect();
        Self::new(&names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn sample(&mut self, host: &str, seconds: i64, readings: &[(&str, f64)]) -> Sample {
        self.sequence += 1;
        let reading =
            |(metric, value): &(&str, f64)| Reading { metric: (*metric).into(), item: String::new(), value: *value };
        Sample {
            // A boot each: the store in memory finds new ones quicker.
            key: SampleKey { boot: format!("b{}", self.sequence), sequence: self.sequence },
            taken: at(0) + TimeDelta::seconds(seconds),
            hostname: host.into(),
            probe: "1".into(),
            readings: readings.iter().map(reading).collect(),
            faults: Vec::new(),
            facts: Vec::new(),
            top: Vec::new(),
        }
    }

    fn answers(&mut self, host: &str, seconds: i64, readings: &[(&str, f64)]) {
        let sample = self.sample(host, seconds, readings);
        let mut visit = attempt(host, 0, None);
        visit.at = sample.taken;
        self.store.record(1, &visit, &[sample]).unwrap();
    }

    fn disk(&mut self, host: &str, minutes: i64, value: f64) {
        self.answers(host, minutes * 60, &[("filesystem.used", value)]);
    }

    fn fails(&mut self, host: &str, seconds: i64) {
        let mut visit = attempt(host, 0, Some(Cause::ConnectTimeout));
        visit.at = at(0) + TimeDelta::seconds(seconds);
        self.store.record(1, &visit, &[]).unwrap();
    }

    /// A run while the collector works; the subjects that were accepted in it.
    fn run(&mut self, minutes: i64) -> Vec<String> {
        let sweep = self.store.begin_sweep(at(minutes), 1).unwrap();
        self.store.end_sweep(sweep, at(minutes), 0).unwrap();
        self.run_alone(minutes)
    }

    fn run_alone(&mut self, minutes: i64) -> Vec<String> {
        let had = self.server.accepted.len();
        self.turn(minutes);
        self.server.accepted[had..].iter().map(|mail| mail.subject.clone()).collect()
    }

    fn turn(&mut self, minutes: i64) -> Report {
        let now = at(minutes);
        turn(&mut self.store, &self.spec, &mut self.server, &|| now, now + TimeDelta::minutes(5), false).unwrap()
    }

    fn rule(&mut self, metric: &str, change: impl Fn(&mut RuleSpec)) {
        for host in &mut self.spec.hosts {
            let mut rule = host.rules[0].clone();
            (rule.name, rule.metric) = (metric.into(), metric.into());
            change(&mut rule);
            host.rules.push(rule);
        }
    }

    fn names(&self) -> Vec<String> {
        self.spec.hosts.iter().map(|host| host.name.clone()).collect()
    }

    fn silence(&mut self, from: i64, until: i64) {
        let silence = Silence {
            id: 0,
            scope: Scope::default(),
            when: When::Once { from: at(from), until: at(until) },
            by: "ada".into(),
            reason: "move".into(),
            created: at(from),
            ended: None,
        };
        self.store.add_silence(&silence).unwrap();
    }
}

fn server() -> Server {
    let fate = Arc::new(Fate::default());
    fate.set(None);
    Server { fate, weather: Weather::Up, accepted: Vec::new(), seen: Default::default(), trouble: Vec::new() }
}

const NONE: [&str; 0] = [];

// --- the figures: 200 hosts, the alerter away for 6 h ---

#[test]
fn six_hours_of_200_hosts_are_at_most_one_mail() {
    let backlog = |value: &dyn Fn(i64) -> f64| {
        let mut field = Field::many(200);
        // Twelve samples a row: the collector was away too at times.
        for (row, (host, name)) in
            (0..6).flat_map(|row| (0..).zip(field.names()).map(move |it| (row, it))).collect::<Vec<_>>()
        {
            let samples = (row * 12..row * 12 + 12)
                .map(|n| field.sample(&name, n * 300 + host, &[("filesystem.used", value(n))]));
            let samples: Vec<Sample> = samples.collect();
            let visit = attempt(&name, row * 60 + 59, None);
            field.store.record(1, &visit, &samples).unwrap();
        }
        field.run(6 * 60)
    };
    assert_eq!(backlog(&|n| if (10..40).contains(&n) { 0.95 } else { 0.2 }), NONE, "an outage that is over");
    assert_eq!(backlog(&|n| if n > 10 { 0.95 } else { 0.2 }), ["[CRIT] 200 problems on 200 hosts"]);
    // Warning for two sweeps, well for two, and so on: 17 times each.
    assert!(backlog(&|n| if n % 4 < 2 { 0.85 } else { 0.2 }).len() <= 1, "flapping");
}

#[test]
fn a_digest_has_the_worst_first_200_lines_and_how_many_more() {
    let mut field = Field::many(230);
    for n in [0, 5] {
        for name in field.names() {
            field.disk(&name, n, if name == "h229" { 0.95 } else { 0.85 });
        }
    }
    assert_eq!(field.run(6), ["[CRIT] 230 problems on 230 hosts"]);
    let text = readable(&field.server.accepted[0].body);
    let lines: Vec<&str> =
        text.lines().skip(1).filter(|line| line.starts_with("WARN ") || line.starts_with("CRIT ")).collect();
    assert_eq!(lines.len(), 200);
    assert!(lines[0].starts_with("CRIT h229") && text.contains("and 30 more"), "{}", lines[0]);
}

// --- the field ---

#[test]
fn icinga2_9348_a_parent_recovers_and_its_children_do_not_burst() {
    let mut field = Field::many(21);
    for host in &mut field.spec.hosts[1..] {
        host.parents = vec!["h000".into()];
    }
    let sweep = |field: &mut Field, minute: i64, up: bool, disk: f64| {
        for (n, name) in field.names().into_iter().enumerate() {
            // The gateway is visited last.
            let at = minute * 60 + if n == 0 { 59 } else { n as i64 };
            if up { field.answers(&name, at, &[("filesystem.used", disk)]) } else { field.fails(&name, at) }
        }
    };
    sweep(&mut field, 0, true, 0.2);
    assert_eq!(field.run(1), NONE);
    sweep(&mut field, 5, false, 0.0);
    assert_eq!(field.run(6), NONE);
    sweep(&mut field, 10, false, 0.0);
    assert_eq!(field.run(11), ["[CRIT] h000 unreachable"]);
    // The gateway is back, its children were last tried before that.
    field.answers("h000", 15 * 60, &[("filesystem.used", 0.2)]);
    assert_eq!(field.run(16), ["[OK] h000 unreachable"]);
    sweep(&mut field, 20, true, 0.2);
    assert_eq!(field.run(21), NONE);
}

#[test]
fn uptime_kuma_1089_the_monitors_own_network_is_one_mail() {
    let mut field = Field::many(30);
    let sweep = |field: &mut Field, minute: i64, up: bool| {
        for (n, name) in field.names().into_iter().enumerate() {
            let at = minute * 60 + n as i64;
            if up { field.answers(&name, at, &[("filesystem.used", 0.2)]) } else { field.fails(&name, at) }
        }
        field.run(minute + 1)
    };
    assert_eq!(sweep(&mut field, 0, true), NONE);
    assert_eq!(sweep(&mut field, 5, false), ["[CRIT] fleet mass-unreachable"]);
    assert_eq!(sweep(&mut field, 10, false), NONE);
    assert_eq!(sweep(&mut field, 15, true), ["[OK] fleet mass-unreachable"]);
    assert_eq!(sweep(&mut field, 20, true), NONE);
}

#[test]
fn beszel_129_eighty_five_runs_are_one_mail() {
    let mut field = Field::new(&["web01"]);
    field.disk("web01", 0, 0.95);
    field.disk("web01", 5, 0.95);
    let told: Vec<String> = (0..85).flat_map(|n| field.run(6 + n / 2)).collect();
    assert_eq!(told, ["[CRIT] web01 filesystem.used".replace("filesystem.used", "disk")]);
}

#[test]
fn beszel_1519_no_end_without_a_beginning() {
    let mut field = Field::new(&["web01"]);
    field.silence(0, 30);
    for n in 0..2 {
        field.disk("web01", n * 5, 0.95);
    }
    assert_eq!(field.run(6), NONE);
    for n in 2..4 {
        field.disk("web01", n * 5, 0.2);
    }
    assert_eq!(field.run(16), NONE);
    assert_eq!(field.run(40), NONE);
}

#[test]
fn the_end_is_told_in_a_silence_to_who_was_told_of_the_beginning() {
    let mut field = Field::new(&["web01"]);
    for n in 0..2 {
        field.disk("web01", n * 5, 0.95);
    }
    assert_eq!(field.run(6), ["[CRIT] web01 disk"]);
    field.silence(7, 60);
    for n in 2..4 {
        field.disk("web01", n * 5, 0.2);
    }
    assert_eq!(field.run(16), ["[OK] web01 disk"]);
}

#[test]
fn consul_alerts_101_reminders_are_not_replayed() {
    let mut field = Field::new(&["web01"]);
    for n in 0..2 {
        field.disk("web01", n * 5, 0.95);
    }
    assert_eq!(field.run(6), ["[CRIT] web01 disk"]);
    for n in 2..288 {
        field.disk("web01", n * 5, 0.95);
    }
    assert_eq!(field.run(1440), ["[CRIT] web01 disk"], "one reminder for a day away");
    assert_eq!(field.run(1445), NONE);
}

#[test]
fn alertmanager_3496_one_bad_mailbox_stops_nobody_and_is_told_to_the_others() {
    let mut field = Field::new(&["web01"]);
    let to = |name: &str, address: &str| crate::model::spec::DestinationSpec {
        name: name.into(),
        channel: crate::model::spec::ChannelSpec::Mail(vec![address.into()]),
    };
    field.spec.alerts.destinations = vec![to("bad", "a@example.net"), to("good", "b@example.net")];
    field.server.weather = Weather::Refuses(0, true);
    for n in 0..2 {
        field.disk("web01", n * 5, 0.95);
    }
    assert_eq!(field.run(6), ["[CRIT] web01 disk"], "to the good one");
    assert_eq!((field.run(26), field.run(46)), (vec![], vec![]));
    assert_eq!(field.run(51), ["[CRIT] fleet mail-undeliverable bad a@example.net"]);
    assert!(field.store.queued().unwrap().is_empty(), "nothing is tried for a day");
    // The address is mended: after the day it is told what is true then, and the others that it works.
    field.server.weather = Weather::Up;
    field.disk("web01", 24 * 60 + 50, 0.95);
    let told = field.run(24 * 60 + 51);
    assert!(told.contains(&"[CRIT] web01 disk".to_owned()), "{told:?}");
    let last = field.run(24 * 60 + 56);
    assert!(last.contains(&"[OK] fleet mail-undeliverable bad a@example.net".to_owned()), "{last:?}");
    let mail = field.server.accepted.iter().find(|mail| mail.recipient == "a@example.net");
    assert!(mail.is_some());
}

#[test]
fn healthchecks_212_a_crash_between_mark_and_send_loses_nothing_and_doubles_only_the_same() {
    for step in 0..30 {
        let mut field = Field::new(&["web01"]);
        for n in 0..2 {
            field.disk("web01", n * 5, 0.95);
        }
        let fate = Arc::clone(&field.server.fate);
        fate.set(Some(step));
        let mut store =
            Mortal { inner: std::mem::take(&mut field.store), fate: Arc::clone(&fate), plans: Default::default() };
        let _ = turn(&mut store, &field.spec, &mut field.server, &|| at(6), at(11), false);
        fate.set(None);
        field.store = store.inner;
        for minute in [7, 8, 10, 14, 23] {
            field.run(minute);
        }
        let ids: std::collections::BTreeSet<&str> =
            field.server.accepted.iter().map(|mail| mail.message_id.as_str()).collect();
        assert_eq!(ids.len(), 1, "step {step}: {ids:?}");
        assert!(field.server.accepted.len() <= 2, "step {step}");
    }
}

#[test]
fn netdata_7217_a_reboot_is_no_alarm() {
    let mut field = Field::new(&["web01"]);
    field.rule("cpu.used", |rule| (rule.raise, rule.of) = (1, 1));
    for (n, uptime) in [30.0, 200.0, 299.0].into_iter().enumerate() {
        field.answers("web01", n as i64 * 100, &[("uptime", uptime), ("cpu.used", 1.0)]);
    }
    assert_eq!(field.run(6), NONE);
    field.answers("web01", 600, &[("uptime", 600.0), ("cpu.used", 1.0)]);
    assert_eq!(field.run(11), ["[CRIT] web01 cpu"]);
}

#[test]
fn netdata_7217_a_monitor_that_slept_raises_no_alarm_and_one_whose_collector_died_does() {
    let mut field = Field::new(&["web01"]);
    field.rule("host.silent", |rule| {
        (rule.warning, rule.critical, rule.hold) = (Some(600.0), Some(1200.0), Some(std::time::Duration::ZERO));
    });
    field.disk("web01", 0, 0.2);
    assert_eq!(field.run(1), NONE);
    // Six hours later the alerter wakes before the collector.
    assert_eq!(field.run_alone(360), NONE);
    field.disk("web01", 361, 0.2);
    assert_eq!(field.run(362), NONE);
    assert_eq!(
        (field.run_alone(380), field.run_alone(385)),
        (vec![], vec!["[CRIT] fleet collector-stalled".to_owned()])
    );
    field.disk("web01", 390, 0.2);
    assert_eq!(field.run(391), ["[OK] fleet collector-stalled"]);
}

#[test]
fn alertmanager_2178_a_mail_that_is_too_large_comes_in_a_few_words_and_not_for_ever() {
    let mut field = Field::new(&["web01"]);
    field.server.weather = Weather::Narrow;
    for n in 0..2 {
        field.disk("web01", n * 5, 0.95);
    }
    assert_eq!(field.run(6), NONE);
    assert_eq!(field.run(7), ["[CRIT] web01 disk"]);
    let mail = &field.server.accepted[0];
    let text = String::from_utf8_lossy(&mail.body).into_owned();
    assert!(mail.short && text.contains("fleet alerts show 1"), "{text}");
    assert_eq!(field.run(8), NONE);
}

#[test]
fn alertmanager_1111_no_loops_with_out_of_office() {
    let mut field = Field::new(&["web01"]);
    for n in 0..2 {
        field.disk("web01", n * 5, 0.95);
    }
    field.run(6);
    let text = String::from_utf8_lossy(&field.server.accepted[0].body).into_owned();
    for header in ["Auto-Submitted: auto-generated\r\n", "X-Auto-Response-Suppress: All\r\n", "List-Id: <"] {
        assert!(text.contains(header), "{header} in {text}");
    }
}

// --- one sentence of the design each ---

#[test]
fn a_problem_that_comes_back_between_two_runs_is_the_same_to_who_knows_it() {
    let mut field = Field::new(&["web01"]);
    for (n, value) in [0.95, 0.95].into_iter().enumerate() {
        field.disk("web01", n as i64 * 5, value);
    }
    assert_eq!(field.run(6), ["[CRIT] web01 disk"]);
    for (n, value) in [0.2, 0.2, 0.95, 0.95].into_iter().enumerate() {
        field.disk("web01", 10 + n as i64 * 5, value);
    }
    assert_eq!(field.run(26), NONE);
    for n in 0..2 {
        field.disk("web01", 30 + n * 5, 0.2);
    }
    assert_eq!(field.run(36), ["[OK] web01 disk"]);
    assert_eq!(field.store.incidents(9).unwrap().len(), 2);
}

#[test]
fn flapping_is_told_once_and_its_end_when_it_settles() {
    let mut field = Field::new(&["web01"]);
    let mut told = Vec::new();
    let mut minute = 0;
    for n in 0..32 {
        field.disk("web01", minute, if n % 4 < 2 { 0.85 } else { 0.2 });
        told.push(field.run(minute + 1));
        minute += 5;
    }
    let told: Vec<String> = told.into_iter().flatten().collect();
    // Three openings before it is known for flapping; then one mail, whatever it does.
    assert_eq!(told.iter().filter(|subject| subject.starts_with("[WARN]")).count(), 4, "{told:?}");
    let actions = |field: &Field| -> Vec<String> {
        field.server.accepted.iter().flat_map(|mail| &mail.tells).map(|it| it.action.clone()).collect()
    };
    assert_eq!(actions(&field).iter().filter(|action| *action == "flapping").count(), 1, "{:?}", actions(&field));
    let before = field.server.accepted.len();
    for _ in 0..26 {
        field.disk("web01", minute, 0.2);
        field.run(minute + 1);
        minute += 5;
    }
    assert_eq!(field.server.accepted.len(), before + 1);
    assert_eq!(actions(&field).last().map(String::as_str), Some("recovered"));
}

#[test]
fn taken_is_not_repeated_until_it_gets_worse() {
    let mut field = Field::new(&["web01"]);
    for n in 0..2 {
        field.disk("web01", n * 5, 0.85);
    }
    assert_eq!(field.run(6), ["[WARN] web01 disk"]);
    let ack = Ack {
        incident: 1,
        by: "ada".into(),
        at: at(7),
        until: None,
        sticky: false,
        level: Level::Warning,
        note: String::new(),
    };
    let event = Event { incident: 1, at: at(7), level: Level::Warning, value: 0.85, text: "taken".into() };
    field.store.acknowledge(&ack, &event).unwrap();
    field.disk("web01", 600, 0.85);
    assert_eq!(field.run(601), NONE);
    field.disk("web01", 605, 0.95);
    field.disk("web01", 610, 0.95);
    assert_eq!(field.run(611), ["[CRIT] web01 disk"]);
    assert!(field.store.acks().unwrap().is_empty());
    // Sticky holds; and its end is told.
    field.store.acknowledge(&Ack { sticky: true, ..ack }, &event).unwrap();
    field.disk("web01", 2000, 0.95);
    assert_eq!(field.run(2001), NONE);
    field.disk("web01", 2005, 0.1);
    field.disk("web01", 2010, 0.1);
    assert_eq!(field.run(2011), ["[OK] web01 disk"]);
}

#[test]
fn an_escalation_waits_its_time_and_an_open_office() {
    let mut field = Field::new(&["web01"]);
    let to = |name: &str, address: &str| crate::model::spec::DestinationSpec {
        name: name.into(),
        channel: crate::model::spec::ChannelSpec::Mail(vec![address.into()]),
    };
    field.spec.alerts.destinations =
        vec![to("ops", "ops@example.net"), to("boss", "boss@example.net"), to("day", "day@example.net")];
    let route = |name: &str| RouteSpec { to: vec![name.into()], goes_on: true, ..RouteSpec::default() };
    let office = Calendar { days: 127, from: 8 * 60, until: 18 * 60, zone: "UTC".into() };
    field.spec.alerts.routes = vec![
        route("ops"),
        RouteSpec { after: Some(std::time::Duration::from_secs(1800)), unless_acked: true, ..route("boss") },
        RouteSpec { hours: Some(office), ..route("day") },
    ];
    // The story begins at 22:13 UTC.
    for n in 0..2 {
        field.disk("web01", n * 5, 0.95);
    }
    let who = |field: &mut Field, minute: i64| -> Vec<String> {
        let had = field.server.accepted.len();
        field.run(minute);
        field.server.accepted[had..].iter().map(|mail| mail.destination.clone()).collect()
    };
    assert_eq!(who(&mut field, 6), ["ops"]);
    assert_eq!(who(&mut field, 34), NONE);
    assert_eq!(who(&mut field, 35), ["boss"]);
    field.disk("web01", 60, 0.1);
    field.disk("web01", 62, 0.1);
    assert_eq!(who(&mut field, 63), ["ops", "boss"], "the end goes to who was told");
    field.disk("web01", 65, 0.95);
    field.disk("web01", 66, 0.95);
    assert_eq!(who(&mut field, 67), ["ops"]);
    let morning = (8 - 22) * 60 + 24 * 60;
    assert!(who(&mut field, morning).contains(&"day".to_owned()));
}

#[test]
fn what_nobody_saw_is_a_line_in_the_summary_of_the_day() {
    let mut field = Field::new(&["web01"]);
    assert_eq!(field.run(0), NONE);
    for (n, value) in [0.95, 0.95, 0.1, 0.1].into_iter().enumerate() {
        field.disk("web01", 10 + n as i64 * 5, value);
    }
    assert_eq!(field.run(30), NONE);
    assert_eq!(field.run(24 * 60 - 1), NONE);
    assert_eq!(field.run(24 * 60), ["[OK] 1 problem came and went"]);
    assert_eq!(field.run(24 * 60 + 5), NONE);
    assert_eq!(field.run(48 * 60 + 10), NONE, "a day without anything is a day without a mail");
}

#[test]
fn five_days_old_mail_is_replaced_by_what_is_true_now() {
    let mut field = Field::new(&["web01"]);
    field.server.weather = Weather::Drops;
    for n in 0..2 {
        field.disk("web01", n * 5, 0.95);
    }
    field.run(6);
    assert!(field.store.queued().unwrap()[0].maybe);
    field.server.weather = Weather::Down;
    field.disk("web01", 10, 0.1);
    field.disk("web01", 15, 0.1);
    let report = field.turn(60);
    assert!(report.errors.iter().any(|text| text.contains("waits since")), "{:?}", report.errors);
    field.server.weather = Weather::Up;
    // Perhaps it was told of the problem: the end is told, and the problem not any more.
    assert_eq!(field.run(6 * 24 * 60), ["[OK] web01 disk"]);
    assert!(field.store.queued().unwrap().is_empty());
}

#[test]
fn a_servers_pause_grows_over_runs_and_is_kept_by_the_server_not_by_the_mail() {
    let mut field = Field::new(&["web01", "web02"]);
    field.server.weather = Weather::Down;
    for n in 0..2 {
        field.disk("web01", n * 5, 0.95);
    }
    let mut tried = Vec::new();
    for minute in 6..80 {
        let before = field.store.pauses().unwrap().first().map_or(0, |pause| pause.failures);
        if minute == 20 {
            // A new problem does not begin the pauses anew.
            field.disk("web02", 18, 0.95);
            field.disk("web02", 19, 0.95);
        }
        field.run(minute);
        if field.store.pauses().unwrap()[0].failures > before {
            tried.push(minute);
        }
    }
    assert_eq!(tried, [6, 7, 9, 13, 21, 36, 66]);
    assert!(field.store.queued().unwrap().iter().all(|mail| mail.attempts == 0));
    field.server.weather = Weather::Up;
    assert_eq!(field.run(96).len(), 2);
    assert!(field.store.pauses().unwrap().is_empty());
}

#[test]
fn nothing_is_planned_while_a_sweep_is_half_written() {
    let mut field = Field::new(&["web01"]);
    for n in 0..2 {
        field.disk("web01", n * 5, 0.95);
    }
    let sweep = field.store.begin_sweep(at(6), 1).unwrap();
    assert_eq!(field.run_alone(6), NONE);
    assert_eq!(field.store.open_incidents().unwrap().len(), 1);
    field.store.end_sweep(sweep, at(7), 0).unwrap();
    assert_eq!(field.run_alone(7), ["[CRIT] web01 disk"]);
    // One that was killed counts no longer than its deadline of four minutes.
    field.store.begin_sweep(at(8), 1).unwrap();
    field.disk("web01", 10, 0.1);
    field.disk("web01", 11, 0.1);
    assert_eq!((field.run_alone(11), field.run_alone(12)), (vec![], vec!["[OK] web01 disk".to_owned()]));
}

#[test]
fn clocks_that_are_off_and_probes_that_stand_still_are_told() {
    let mut field = Field::new(&["web01"]);
    let visit = |field: &mut Field, minute: i64, off: i64, outcome: Option<Cause>| {
        field.sequence += 1;
        let reading = Reading { metric: "filesystem.used".into(), item: String::new(), value: 0.1 };
        let sample = Sample {
            key: SampleKey { boot: "b".into(), sequence: field.sequence },
            taken: at(minute) + TimeDelta::seconds(off),
            hostname: "web01".into(),
            probe: "1".into(),
            readings: vec![reading],
            faults: Vec::new(),
            facts: Vec::new(),
            top: Vec::new(),
        };
        field.store.record(1, &attempt("web01", minute, outcome), &[sample]).unwrap();
        field.run(minute + 1)
    };
    assert_eq!(visit(&mut field, 0, 400, None), NONE);
    assert_eq!(visit(&mut field, 5, 400, None), ["[WARN] web01 clock-skew"]);
    assert_eq!(visit(&mut field, 10, 0, None), NONE);
    assert_eq!(visit(&mut field, 15, 0, None), ["[OK] web01 clock-skew"]);
    assert_eq!(visit(&mut field, 20, -4000, Some(Cause::BadEnvelope)), NONE);
    assert_eq!(visit(&mut field, 25, -4000, Some(Cause::BadEnvelope)), ["[WARN] web01 probe-stale"]);
    assert_eq!(visit(&mut field, 30, 0, None), ["[OK] web01 probe-stale"]);
}

// I14: work is in proportion to new rows, open incidents and queued mail.
#[test]
fn old_rows_and_closed_problems_cost_a_run_nothing() {
    let mut field = Field::many(50);
    for n in 0..60 {
        for name in field.names() {
            field.disk(&name, n * 5, if n % 20 < 3 { 0.95 } else { 0.1 });
        }
    }
    field.run(300);
    assert!(field.store.incidents(1000).unwrap().len() >= 100);
    let report = field.turn(2000);
    assert_eq!(report.rows, 0);
    let stored = stored(&field.store, at(2000)).unwrap();
    assert_eq!(
        (stored.told.len(), stored.queued.len(), stored.closed.len()),
        (0, 0, 0),
        "what closed yesterday is not read"
    );
}
