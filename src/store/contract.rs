//! What every backend must do: run for each; and random operations must leave SQLite as they leave the model.

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Store;
use super::memory::Memory;
use super::sqlite::Sqlite;
use crate::model::alert::{
    Ack, Ending, Evaluation, Event, Incident, Mail, MailState, Pause, Plan, RuleState, Subject, Tells, Told,
};
use crate::model::cause::Cause;
use crate::model::fleet::{Attempt, Consent, Grain, Heartbeat, Outcome, Point};
use crate::model::job::Traffic;
use crate::model::level::Level;
use crate::model::sample::{By, Fact, Fault, FaultKind, Process, Reading, Sample, SampleKey};
use crate::model::silence::{Calendar, Scope, Silence, When};

mod random;
mod turns;

const BASE: i64 = 1_700_000_000;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis((BASE + seconds) * 1000 + 123).unwrap()
}

fn span(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn sample(boot: &str, sequence: u64, taken: i64, value: f64) -> Sample {
    let reading = |metric: &str, item: &str, value| Reading { metric: metric.into(), item: item.into(), value };
    let faults = if sequence.is_multiple_of(3) {
        vec![Fault { section: "swap".into(), item: "x".into(), kind: FaultKind::Absent, text: "no swap".into() }]
    } else {
        Vec::new()
    };
    Sample {
        key: SampleKey { boot: boot.into(), sequence },
        taken: at(taken),
        hostname: "me".into(),
        probe: "0.1.0".into(),
        readings: vec![
            reading("cpu.used", "", value),
            reading("filesystem.used", "/", 0.25),
            reading("filesystem.used", "/var \"x\"", value / 3.0),
        ],
        faults,
        facts: facts(sequence),
        top: vec![
            process(By::Cpu, 1, "init", value.abs()),
            process(By::Cpu, 4_294_967_295, "x y\"", 0.25),
            process(By::Io, sequence as u32, "dd", 123_400_000.0),
        ],
    }
}

/// Changes with every seventh sequence; every fifth says nothing, as an older probe.
fn facts(sequence: u64) -> Vec<Fact> {
    let fact = |name: &str, item: &str, text: String| Fact { name: name.into(), item: item.into(), text };
    let mut list = vec![fact("host.kernel", "", format!("6.{}", sequence / 7)), fact("host.arch", "", "x".into())];
    list.extend(sequence.is_multiple_of(2).then(|| fact("update", "a b", "pending".into())));
    list.retain(|_| sequence % 5 != 4);
    list
}

fn process(by: By, pid: u32, comm: &str, value: f64) -> Process {
    let (user, unit) = ("root".into(), "a.service".into());
    Process { by, pid, user, comm: comm.into(), unit, command: String::new(), value }
}

/// As a store gives it back: facts are kept apart.
fn kept(sample: Sample) -> Sample {
    Sample { facts: Vec::new(), ..sample }
}

fn attempt(host: &str, ended: i64, cause: Option<Cause>) -> Attempt {
    Attempt {
        host: host.into(),
        at: at(ended),
        took: Duration::from_micros(1_234_567),
        outcome: cause.map_or(Outcome::Collected, |cause| Outcome::Failed { cause, text: "text".into() }),
        traffic: Traffic { sent: 1, received: 2, round_trips: 3, shipped: true },
    }
}

fn incident(id: i64, host: &str, closed: Option<i64>) -> Incident {
    Incident {
        id,
        subject: Subject { host: host.into(), rule: "cpu.used".into(), item: String::new() },
        level: if closed.is_some() { Level::Ok } else { Level::Critical },
        worst: Level::Critical,
        opened: at(id),
        changed: at(id + 1),
        closed: closed.map(at),
        ending: closed.map(|_| Ending::Recovered),
        value: 0.5,
        text: "cpu".into(),
    }
}

fn mail(id: i64, state: MailState) -> Mail {
    Mail {
        id,
        destination: "ops".into(),
        recipient: "a@example.net".into(),
        message_id: "<1@x>".into(),
        subject: "[CRIT]".into(),
        body: vec![0, 255, 13, 10],
        created: at(5),
        state,
        attempts: 2,
        maybe: true,
        next: at(9),
        error: "e".into(),
        tells: vec![tells(1, None), tells(2, Some(told(2, Level::Warning)))],
        short: false,
    }
}

fn tells(incident: i64, before: Option<Told>) -> Tells {
    Tells { incident, action: "problem".into(), level: Level::Critical, before }
}

fn told(incident: i64, level: Level) -> Told {
    Told {
        incident,
        destination: "ops".into(),
        recipient: "a@example.net".into(),
        level,
        at: at(7),
        reminders: 4,
        flapping: true,
        thread: 1,
    }
}

fn evaluation(cursor: i64) -> Evaluation<'static> {
    Evaluation { cursor, ..Evaluation::default() }
}

/// Each backend, empty.
fn each(test: impl Fn(&mut dyn Store)) {
    test(&mut Memory::default());
    let dir = tempfile::tempdir().unwrap();
    test(&mut Sqlite::open(&dir.path().join("fleet.db")).unwrap());
}

/// A counter that passed its old value before anybody looked again; uptimes as they were.
#[test]
fn a_boot_between_two_points_is_known_also_once_they_are_hours() {
    each(|store| {
        let sweep = store.begin_sweep(at(0), 1).unwrap();
        let hour = 3600;
        // BASE is 800 s after a full hour.
        for (n, (boot, taken, uptime, count)) in [
            ("one", 100, 9e3, 10.0),
            ("one", hour, 12_500.0, 20.0),
            ("two", 2 * hour, 1500.0, 1e9),
            ("two", 3 * hour, 5100.0, 1e9 + 5.0),
            ("two", 4 * hour, 8700.0, 1e9 + 9.0),
            ("two", 5 * hour, 12_300.0, 1e9 + 9.0),
        ]
        .into_iter()
        .enumerate()
        {
            let mut it = sample(boot, n as u64, taken, 0.5);
            let reading = |metric: &str, value| Reading { metric: metric.into(), item: String::new(), value };
            it.readings.extend([reading("uptime", uptime), reading("network.receive.bytes", count)]);
            store.record(sweep, &attempt("a", taken + 1, None), &[it]).unwrap();
        }
        let boots = |store: &dyn Store| -> Vec<bool> {
            let found = store.series("a", "network.receive.bytes", (at(-hour), at(9 * hour)), Grain::Whole).unwrap();
            assert_eq!(found.len(), 1);
            found[0].points.iter().map(|point| point.boot).collect()
        };
        assert_eq!(boots(store), [false, false, true, false, false, false]);
        store.commit_evaluation(&evaluation(6)).unwrap();
        store.prune(at(9 * hour), span(1), span(400 * 86_400)).unwrap();
        // The third hour may hold two boots, and the newest sample stays whole: neither step can be told.
        assert_eq!(boots(store), [false, false, true, true, false, true]);
        assert!(store.series("a", "cpu.used", (at(-hour), at(9 * hour)), Grain::Whole).unwrap()[0].points[2].boot);
    });
}

#[test]
fn a_sample_is_stored_once_and_comes_back_whole() {
    each(|store| {
        let sweep = store.begin_sweep(at(0), 2).unwrap();
        let list = [sample("b", 2, 20, 1e-9), sample("b", 1, 10, 0.1), sample("b", 2, 20, 7.0)];
        assert_eq!(store.record(sweep, &attempt("a", 30, None), &list).unwrap(), 2);
        assert_eq!(store.record(sweep, &attempt("a", 40, Some(Cause::Deadline)), &list).unwrap(), 0);
        assert_eq!(store.record(sweep, &attempt("b", 41, None), &list[..1]).unwrap(), 1, "keys are a host's own");
        let rows = store.rows_after(0, 10).unwrap();
        assert_eq!(rows[0].samples, [sample("b", 1, 10, 0.1), sample("b", 2, 20, 1e-9)].map(kept));
        assert_eq!(rows[1].attempt, attempt("a", 40, Some(Cause::Deadline)));
        assert!(rows[1].samples.is_empty());
        assert_eq!(store.rows_after(rows[0].id, 1).unwrap()[0].id, rows[1].id);
        let now = store.now().unwrap();
        assert_eq!(now[0].attempt, Some(attempt("a", 40, Some(Cause::Deadline))));
        assert_eq!(now[0].sample, Some((at(30), kept(sample("b", 2, 20, 1e-9)))));
        assert_eq!(store.newest(&now[0].host).unwrap().as_ref(), Some(&now[0]));
        assert_eq!(store.newest("nobody").unwrap(), None);
        let latest = store.latest(&["filesystem.used"]).unwrap();
        let (received, small) = latest[0].sample.clone().unwrap();
        let items: Vec<&str> = small.readings.iter().map(|reading| reading.item.as_str()).collect();
        assert_eq!((received, items, small.key.sequence), (at(30), vec!["/", "/var \"x\""], 2));
        assert!(small.faults.is_empty() && small.top.is_empty() && latest[0].attempt == now[0].attempt);
        let mut cost = attempt("a", 40, None);
        cost.traffic.sent = 99;
        store.settle(sweep, &[cost.clone()]).unwrap();
        let newest = store.attempts("a", 1).unwrap().remove(0);
        assert_eq!((newest.traffic.sent, newest.outcome), (99, attempt("a", 40, Some(Cause::Deadline)).outcome));
        store.end_sweep(sweep, at(50), 1).unwrap();
        assert_eq!(store.sweeps(5).unwrap()[0].ended, Some(at(50)));
    });
}

#[test]
fn facts_are_kept_when_they_change_and_their_history_until_it_is_pruned() {
    each(|store| {
        let with = |sequence, taken, list: &[(&str, &str)]| {
            let fact =
                |(name, text): &(&str, &str)| Fact { name: (*name).into(), item: "i".into(), text: (*text).into() };
            Sample { facts: list.iter().map(fact).collect(), ..sample("b", sequence, taken, 0.5) }
        };
        let said = |store: &dyn Store| -> Vec<(String, String, i64)> {
            let list = store.facts("a").unwrap();
            assert!(list.iter().all(|fact| fact.item == "i"));
            list.into_iter().map(|f| (f.name, f.text, (f.since - at(0)).num_seconds())).collect()
        };
        let row = |name: &str, text: &str, since| (name.to_string(), text.to_string(), since);
        let visit = |store: &mut dyn Store, taken: i64, sample: Sample| {
            store.record(1, &attempt("a", taken, None), &[sample]).unwrap();
        };
        visit(store, 10, with(1, 10, &[("kernel", "6.1"), ("arch", "x"), ("kernel", "twice")]));
        visit(store, 20, with(2, 20, &[("kernel", "6.1"), ("arch", "x")]));
        visit(store, 30, with(3, 30, &[]));
        assert_eq!(said(store), [row("arch", "x", 10), row("kernel", "6.1", 10)]);
        visit(store, 40, with(5, 40, &[("kernel", "6.2")]));
        let held = store.facts_now(&["kernel", "none"]).unwrap();
        let held: Vec<(&str, &str)> = held.iter().map(|(host, fact)| (host.as_str(), fact.text.as_str())).collect();
        assert_eq!(held, [("a", "6.2")]);
        visit(store, 50, with(4, 35, &[("kernel", "late"), ("arch", "late")]));
        let told = [row("arch", "x", 10), row("arch", "", 40), row("kernel", "6.1", 10), row("kernel", "6.2", 40)];
        assert_eq!(said(store), told, "what arrives after a newer one of its boot says nothing new");
        visit(store, 60, with(6, 40, &[("kernel", "6.3")]));
        assert_eq!(said(store)[4], row("kernel", "6.3", 40), "a millisecond later, and never under the one before");
        assert!(store.facts("b").unwrap().is_empty());
        store.prune(at(41), span(5), span(5)).unwrap();
        assert_eq!(said(store).len(), 5, "what was replaced only after the bound stays");
        store.prune(at(100), span(5), span(5)).unwrap();
        assert_eq!(said(store), [row("kernel", "6.3", 40)]);
        store.forget("a").unwrap();
        assert!(said(store).is_empty());
    });
}

#[test]
fn the_processes_of_a_moment_are_found_and_go_with_their_sample() {
    each(|store| {
        let day = 86_400;
        for n in 0..4i64 {
            let mut it = sample("b", n as u64, n * 5 * day, 0.5);
            it.top = vec![
                process(By::Io, 7, "shared", 0.1),
                process(By::Cpu, 8, &format!("of{n}"), 1e-9),
                process(By::Cpu, 9, "none", f64::NAN),
            ];
            store.record(1, &attempt("a", n * 5 * day, None), &[it]).unwrap();
        }
        let names = |store: &dyn Store, seconds| {
            let (taken, list) = store.top("a", at(seconds)).unwrap()?;
            let (stands, whole) = store.at("a", at(seconds)).unwrap()?;
            assert!(stands == taken && whole.top == list && whole.readings.len() == 3, "{whole:?}");
            assert!(list.iter().map(|p| (p.by, p.pid)).eq([(By::Cpu, 8), (By::Io, 7)]), "{list:?}");
            Some(((taken - at(0)).num_days(), list[0].comm.clone()))
        };
        assert_eq!(names(store, -1), None);
        assert_eq!(names(store, 5 * day - 1), Some((0, "of0".into())));
        assert_eq!(names(store, 99 * day), Some((15, "of3".into())));
        store.commit_evaluation(&evaluation(4)).unwrap();
        store.prune(at(15 * day), span(6 * 86_400), span(0)).unwrap();
        assert_eq!(names(store, 9 * day), None);
        assert_eq!(names(store, 12 * day), Some((10, "of2".into())));
        assert_eq!(store.rows_after(0, 9).unwrap()[0].samples[0].top[1].comm, "shared");
        let mut none = sample("b", 9, 20 * day, 0.5);
        none.top.clear();
        store.record(1, &attempt("a", 20 * day, None), &[none]).unwrap();
        assert_eq!(store.top("a", at(99 * day)).unwrap(), Some((at(20 * day), Vec::new())));
        store.forget("a").unwrap();
        assert_eq!(names(store, 99 * day), None);
    });
}

#[test]
fn a_sequence_that_nobody_counted_and_numbers_that_are_none_are_left_out() {
    each(|store| {
        assert_eq!(store.record(1, &attempt("a", 1, None), &[sample("b", u64::MAX, 1, 1.0)]).unwrap(), 0);
        store.record(1, &attempt("a", 2, None), &[sample("b", 1, 1, f64::NAN)]).unwrap();
        assert_eq!(store.rows_after(0, 9).unwrap()[1].samples[0].readings.len(), 1);
    });
}

#[test]
fn a_clock_ahead_neither_leaves_the_series_nor_stays_the_newest() {
    each(|store| {
        store.record(1, &attempt("a", 100, None), &[sample("b", 1, 400_000_000, 0.5)]).unwrap();
        store.record(1, &attempt("a", 200, None), &[sample("c", 1, 150, 0.6)]).unwrap();
        let series = store.series("a", "cpu.used", (at(0), at(1000)), Grain::Whole).unwrap();
        assert_eq!(series[0].points.iter().map(|p| p.at).collect::<Vec<_>>(), [at(100), at(150)]);
        assert_eq!(store.now().unwrap()[0].sample.as_ref().unwrap().1.key.boot, "c");
        assert_eq!(store.rows_after(0, 1).unwrap()[0].samples[0].taken, at(400_000_000));
    });
}

#[test]
fn samples_are_read_in_part_and_the_one_before_is_of_the_same_boot() {
    each(|store| {
        let list = [sample("b", 1, 10, 0.1), sample("b", 3, 30, 0.3), sample("c", 2, 20, 0.2)];
        store.record(1, &attempt("a", 40, None), &list).unwrap();
        store.record(1, &attempt("b", 40, None), &[sample("b", 2, 25, 0.9)]).unwrap();
        let some = store.samples("a", &["cpu.used"], at(10), at(30)).unwrap();
        assert_eq!(some.iter().map(|(when, _)| *when).collect::<Vec<_>>(), [at(10), at(20)]);
        assert_eq!(some[1].1.readings, sample("c", 2, 20, 0.2).readings[..1]);
        assert!(store.samples("z", &["cpu.used"], at(0), at(99)).unwrap().is_empty());
        let before = |boot: &str, sequence| {
            let key = SampleKey { boot: boot.into(), sequence };
            store.before("a", &key, &["cpu.used"]).unwrap().map(|sample| (sample.key.sequence, sample.readings.len()))
        };
        assert_eq!(before("b", 4), Some((3, 1)));
        assert_eq!(before("b", 3), Some((1, 1)));
        assert_eq!((before("b", 1), before("c", 2), before("z", 9)), (None, None, None));
        assert_eq!(before("c", u64::MAX), Some((2, 1)));
    });
}

#[test]
fn pruned_samples_become_hours_and_never_come_back() {
    each(|store| {
        let day = 86_400;
        for n in 0..40i64 {
            let taken = n * 600;
            store.record(1, &attempt("a", taken, None), &[sample("b", n as u64, taken, n as f64)]).unwrap();
        }
        let untreated = store.prune(at(10 * day), span(60), span(400 * 86_400)).unwrap();
        let hours = untreated.hours_written;
        assert_eq!(untreated.samples, 0, "rows that the alerter has not treated stay");
        store.commit_evaluation(&evaluation(40)).unwrap();
        let expected = store.would_prune(at(10 * day), span(60), span(400 * 86_400)).unwrap();
        assert_eq!(store.rows_after(0, 99).unwrap().len(), 40, "a dry run changes nothing");
        let done = store.prune(at(10 * day), span(60), span(400 * 86_400)).unwrap();
        assert_eq!(done, expected);
        assert_eq!((done.samples, done.attempts), (39, 39), "the newest stays");
        let series = store.series("a", "cpu.used", (at(-day), at(day)), Grain::Whole).unwrap();
        let whole: usize = series[0].points.len();
        assert_eq!((whole as u64, done.hours_written), (hours / 3, 0), "the hours were there before");
        assert!(series[0].points.iter().any(|p| p.min < p.mean && p.mean < p.max));
        let again = store.prune(at(10 * day), span(60), span(400 * 86_400)).unwrap();
        assert_eq!((again.samples, again.hours_written), (0, 0));
        assert_eq!(store.record(1, &attempt("a", 50_000, None), &[sample("b", 3, 1800, 3.0)]).unwrap(), 0, "a replay");
        let late = store.prune(at(900 * day), span(60), span(60)).unwrap();
        assert_eq!(late.hours_removed, hours);
    });
}

/// Hours are there as soon as they are over, samples beside them; whichever is read, each sample counts once.
#[test]
fn hours_are_read_long_before_samples_go_and_hold_what_came_late() {
    each(|store| {
        let value = |n: i64| ((n * 7919) % 101) as f64;
        let minute = 60;
        for n in 0..60i64 {
            let taken = n * 10 * minute;
            let late = if n % 9 == 4 { 100_000 } else { taken };
            if late == taken {
                store.record(1, &attempt("a", taken, None), &[sample("b", n as u64, taken, value(n))]).unwrap();
            }
        }
        store.commit_evaluation(&evaluation(1000)).unwrap();
        let keep = span(30 * 86_400);
        let span_of_all = (at(-4000), at(200_000));
        let read =
            |store: &dyn Store, grain| store.series("a", "cpu.used", span_of_all, grain).unwrap().remove(0).points;
        assert_eq!(store.edge("a", Grain::Hours).unwrap(), None);
        let whole = read(store, Grain::Whole);
        assert_eq!(read(store, Grain::Hours), whole, "nothing was rolled up");
        // BASE is 800 s after a full hour: nine hours are over.
        let done = store.prune(at(9 * 3600), keep, span(400 * 86_400)).unwrap();
        assert_eq!((done.samples, done.hours_written), (0, 9 * 3));
        assert_eq!(read(store, Grain::Whole), whole, "samples are still whole");
        for n in (0..60i64).filter(|n| n % 9 == 4) {
            let taken = n * 10 * minute;
            store.record(1, &attempt("a", 100_000, None), &[sample("b", n as u64, taken, value(n))]).unwrap();
        }
        let edge = store.edge("a", Grain::Hours).unwrap().unwrap();
        let (whole, mixed) = (read(store, Grain::Whole), read(store, Grain::Hours));
        assert_eq!(whole.len(), 60);
        let (hours, rest): (Vec<Point>, Vec<Point>) = mixed.iter().partition(|point| point.at < edge);
        assert_eq!((hours.len(), rest.len()), (9, whole.iter().filter(|point| point.at >= edge).count()));
        for hour in hours {
            let of: Vec<f64> = whole
                .iter()
                .filter(|point| point.at >= hour.at && point.at < hour.at + TimeDelta::hours(1))
                .map(|point| point.mean)
                .collect();
            let mean = of.iter().sum::<f64>() / of.len() as f64;
            assert_eq!(hour.min, of.iter().copied().fold(f64::INFINITY, f64::min));
            assert_eq!(hour.max, of.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            assert!((hour.mean - mean).abs() < 1e-9, "{hour:?} {mean}");
        }
        // Now samples go: what the hours say does not change.
        let before = read(store, Grain::Hours);
        store.prune(at(9 * 3600), span(5 * 3600), span(400 * 86_400)).unwrap();
        assert_eq!(read(store, Grain::Hours), before);
        assert!(read(store, Grain::Whole).len() < 60);
        store.prune(at(9 * 3600), keep, span(0)).unwrap();
        assert_eq!(store.edge("a", Grain::Hours).unwrap(), None, "no hours are kept any more");
    });
}

#[test]
fn evaluations_plans_and_mail_come_back() {
    each(|store| {
        let subject = incident(1, "a", None).subject;
        let state = RuleState {
            warning_bits: u64::MAX,
            last: Some(at(3)),
            bad: Some(at(2)),
            missed: Some(at(4)),
            incident: Some(1),
            ..RuleState::default()
        };
        let event = Event { incident: 1, at: at(2), level: Level::Warning, value: 1.5, text: "t".into() };
        let it = Evaluation {
            cursor: 7,
            states: vec![(Cow::Borrowed(&subject), Some(Cow::Borrowed(&state)))],
            incidents: vec![incident(1, "a", None), incident(2, "b", Some(60))],
            events: vec![event.clone()],
            unacked: vec![],
        };
        store.commit_evaluation(&it).unwrap();
        assert_eq!((store.cursor().unwrap(), store.last_incident().unwrap()), (7, 2));
        assert_eq!(store.states().unwrap(), [(subject.clone(), state.clone())]);
        assert_eq!(store.open_incidents().unwrap(), [incident(1, "a", None)]);
        assert_eq!(store.incidents(1).unwrap(), [incident(2, "b", Some(60))]);
        assert_eq!(store.events(1).unwrap(), [event]);
        let told = vec![told(1, Level::Ok), told(2, Level::Ok)];
        let mails = vec![mail(0, MailState::Queued), mail(0, MailState::Queued)];
        let plan = Plan { told, mails, ..Plan::default() };
        store.commit_plan(&plan).unwrap();
        assert_eq!(store.told().unwrap().len(), 1, "what ended and was told so is no news");
        assert_eq!(store.queued().unwrap(), [mail(1, MailState::Queued), mail(2, MailState::Queued)]);
        store.update_mail(&mail(1, MailState::Sent)).unwrap();
        assert_eq!(store.queued().unwrap().len(), 1);
        store
            .commit_evaluation(&Evaluation { cursor: 8, states: vec![(Cow::Borrowed(&subject), None)], ..it.clone() })
            .unwrap();
        assert!(store.states().unwrap().is_empty());
    });
}

#[test]
fn a_closed_incident_tells_who_knew_of_it_and_mails_are_found_by_what_they_tell() {
    each(|store| {
        let incidents = vec![incident(1, "a", Some(50)), incident(2, "b", Some(60)), incident(3, "c", None)];
        store.commit_evaluation(&Evaluation { incidents, ..evaluation(1) }).unwrap();
        let other = Told { recipient: "b@example.net".into(), ..told(2, Level::Ok) };
        let plan = Plan {
            told: vec![told(1, Level::Ok), told(2, Level::Critical), other.clone()],
            mails: vec![mail(0, MailState::Queued)],
            pauses: vec![pause("smtp x:25", 1), pause("mailbox ops a", 1)],
            summaries: vec![("ops".into(), "a".into(), at(1)), ("ops".into(), "a".into(), at(2))],
            ..Plan::default()
        };
        store.commit_plan(&plan).unwrap();
        assert_eq!(store.closed_since(at(50)).unwrap(), [incident(2, "b", Some(60))]);
        let open = |host: &str, since, until| {
            let list = store.incidents_of(host, at(since), at(until)).unwrap();
            list.iter().map(|it| it.id).collect::<Vec<_>>()
        };
        assert_eq!((open("b", 60, 99), open("b", 61, 99), open("b", -9, 1)), (vec![2], vec![], vec![]));
        assert_eq!((open("b", -9, 2), open("c", 900, 900), open("a", 10, 10)), (vec![2], vec![3], vec![1]));
        let ended = |host: Option<&str>, since, until, limit| {
            let list = store.ended(host, (at(since), at(until)), None, limit).unwrap();
            list.iter().map(|it| it.id).collect::<Vec<_>>()
        };
        assert_eq!(
            (ended(None, 0, 99, 9), ended(None, 0, 99, 1), ended(None, 0, 99, 0)),
            (vec![2, 1], vec![2], vec![])
        );
        assert_eq!((ended(Some("a"), 0, 99, 9), ended(Some("c"), 0, 99, 9)), (vec![1], vec![]), "c is open");
        // To the moment of its end, and not where it only begins.
        assert_eq!(
            (ended(None, 50, 99, 9), ended(None, 51, 99, 9), ended(None, 61, 99, 9)),
            (vec![2, 1], vec![2], vec![])
        );
        let opened = |id| store.incident(id).unwrap().unwrap().opened;
        let until = |until: DateTime<Utc>| store.ended(Some("b"), (at(0), until), None, 9).unwrap().len();
        assert_eq!((until(opened(2)), until(opened(2) + TimeDelta::milliseconds(1))), (0, 1));
        // Before a number, with a time that began and without one, of a host and of all.
        let before = |host: Option<&str>, since, before| {
            let list = store.ended(host, (since, at(99)), Some(before), 9).unwrap();
            list.iter().map(|it| it.id).collect::<Vec<_>>()
        };
        for since in [DateTime::UNIX_EPOCH, at(0)] {
            assert_eq!((before(None, since, 2), before(None, since, 1)), (vec![1], vec![]), "{since}");
            assert_eq!((before(None, since, 9), before(None, since, i64::MAX)), (vec![2, 1], vec![2, 1]), "{since}");
            assert_eq!((before(Some("b"), since, 3), before(Some("b"), since, 2)), (vec![2], vec![]), "{since}");
        }
        assert_eq!(store.told_since(at(50)).unwrap(), [told(2, Level::Critical), other]);
        assert_eq!(store.incident(3).unwrap(), Some(incident(3, "c", None)));
        assert_eq!(store.incident(4).unwrap(), None);
        let gone = Plan { untold: vec![(2, "ops".into(), "b@example.net".into())], ..Plan::default() };
        store.commit_plan(&gone).unwrap();
        assert_eq!(store.told_since(at(50)).unwrap().len(), 1);
        assert_eq!(store.mails_telling(2).unwrap(), [mail(1, MailState::Queued)]);
        assert!(store.mails_telling(3).unwrap().is_empty());
        let mut short = Mail { message_id: "2@x".into(), body: vec![1], short: true, ..mail(1, MailState::Queued) };
        short.subject = "less".into();
        store.rewrite_mail(&short).unwrap();
        assert_eq!(store.queued().unwrap(), [short]);
        store.pause(&pause("smtp x:25", 0)).unwrap();
        assert_eq!(store.pauses().unwrap(), [pause("mailbox ops a", 1)]);
        assert_eq!(store.summaries().unwrap(), [("ops".into(), "a".into(), at(2))]);
    });
}

fn pause(what: &str, failures: u32) -> Pause {
    Pause { what: what.into(), since: at(1), failures, until: at(2), error: "e".into() }
}

#[test]
fn what_people_do_is_kept() {
    each(|store| {
        let incidents = vec![incident(1, "a", None), incident(2, "b", None), incident(3, "c", Some(60))];
        store.commit_evaluation(&Evaluation { incidents, ..evaluation(1) }).unwrap();
        let ack = |id| Ack {
            incident: id,
            by: "ada".into(),
            at: at(3),
            until: (id == 1).then(|| at(9)),
            sticky: id == 2,
            level: Level::Warning,
            note: "mine".into(),
        };
        for id in 1..4 {
            let event = Event { incident: id, at: at(3), level: Level::Warning, value: 0.5, text: "taken".into() };
            store.acknowledge(&ack(id), &event).unwrap();
            assert_eq!(store.events(id).unwrap(), [event]);
        }
        assert_eq!(store.acks().unwrap(), [ack(1), ack(2)], "the third has ended");
        store.commit_evaluation(&Evaluation { unacked: vec![1], ..evaluation(2) }).unwrap();
        assert_eq!(store.acks().unwrap(), [ack(2)]);

        let words = |text: &str| vec![text.to_owned(), "z*".to_owned()];
        let scope = Scope { hosts: words("a"), groups: words("b"), services: words("c"), rules: words("d") };
        let weekly = Calendar { days: 65, from: 1, until: 1440, zone: "Europe/Paris".into() };
        let silence = |id, when| Silence {
            id,
            scope: scope.clone(),
            when,
            by: "ada".into(),
            reason: "vacuum".into(),
            created: at(1),
            ended: None,
        };
        let list = [silence(1, When::Once { from: at(1), until: at(5) }), silence(2, When::Weekly(weekly))];
        for (n, it) in list.iter().enumerate() {
            assert_eq!(store.add_silence(it).unwrap(), n as i64 + 1);
        }
        assert_eq!(store.silences().unwrap(), list);
        assert!(!store.end_silence(1, at(5)).unwrap() && store.end_silence(2, at(5)).unwrap());
        assert!(!store.end_silence(2, at(6)).unwrap() && !store.end_silence(3, at(6)).unwrap());
        assert_eq!(store.silences().unwrap()[1].ended, Some(at(5)));
        let day = 86_400;
        store.prune(at(500 * day), span(60), span(60)).unwrap();
        assert!(store.silences().unwrap().is_empty(), "what is over goes as old history does");
    });
}

#[test]
fn mail_that_may_tell_of_a_forgotten_host_goes_with_it_unless_it_is_queued() {
    each(|store| {
        let incidents = vec![incident(1, "a", None), incident(2, "b", None)];
        let opened = Evaluation { incidents, ..Evaluation::default() };
        store.commit_evaluation(&opened).unwrap();
        let sent = |ids: &[i64], state| {
            let tells = ids.iter().map(|id| tells(*id, None)).collect();
            Mail { tells, ..mail(0, state) }
        };
        use MailState::{Dead, Queued};
        let mails = vec![sent(&[1, 2], Dead), sent(&[2], Dead), sent(&[], Dead), sent(&[1], Queued)];
        store.commit_plan(&Plan { mails, ..Plan::default() }).unwrap();
        store.forget("a").unwrap();
        let left = |incident| store.mails_telling(incident).unwrap().iter().map(|mail| mail.id).collect::<Vec<_>>();
        assert_eq!((left(1), left(2)), (vec![4], vec![2]));
        let waits = store.queued().unwrap();
        assert!(waits.len() == 1 && waits[0].body.is_empty() && waits[0].subject.is_empty(), "{waits:?}");
        assert_eq!(waits[0].tells.len(), 1, "what it would have told of others is restored by a plan");
    });
}

#[test]
fn consents_stay_when_a_host_is_forgotten() {
    each(|store| {
        let consent =
            Consent { host: "a".into(), by: "Ada".into(), purpose: "tests".into(), granted: at(1), revoked: None };
        store.grant(&consent).unwrap();
        store.record(1, &attempt("a", 1, None), &[sample("b", 1, 1, 1.0)]).unwrap();
        store.record(1, &attempt("z", 1, None), &[sample("b", 1, 1, 1.0)]).unwrap();
        assert!(store.revoke("a", at(2)).unwrap());
        assert!(!store.revoke("a", at(3)).unwrap());
        let tried: Vec<_> = store.tried().unwrap().into_iter().map(|it| (it.host, it.at)).collect();
        assert_eq!(tried, [("a".to_owned(), at(1)), ("z".to_owned(), at(1))]);
        assert_eq!(store.forget("a").unwrap(), 1);
        assert_eq!(store.tried().unwrap().len(), 1);
        assert_eq!(store.consents().unwrap(), [Consent { revoked: Some(at(2)), ..consent }]);
        assert_eq!(store.now().unwrap().len(), 1);
        assert_eq!(store.rows_after(0, 9).unwrap().len(), 1);
        let beat = Heartbeat { role: "collector".into(), at: at(4), ok: true, text: String::new() };
        store.beat(&beat).unwrap();
        assert_eq!(store.beats().unwrap(), [beat]);
    });
}
