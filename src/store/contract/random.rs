//! Random operations must leave SQLite as they leave the model.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::{at, attempt, each, evaluation, incident, mail, sample, span, told};
use crate::model::alert::{Evaluation, Event, MailState, Plan};
use crate::model::cause::Cause;
use crate::model::fleet::{Grain, Point};
use crate::model::level::Level;
use crate::model::sample::{Sample, SampleKey};
use crate::model::shard::Shard;
use crate::model::turn::{Begun, Claim};
use crate::store::memory::Memory;
use crate::store::sqlite::Sqlite;
use crate::store::{Place, Result, Store};

#[derive(Clone, Debug)]
enum Step {
    Record { host: u8, sweep: i64, at: i64, cause: Option<Cause>, samples: Vec<(u8, u64, i64, f64)> },
    Treat(i64),
    Close(i64, u8, Option<i64>),
    Tell(i64, bool),
    Prune(i64, u64, u64),
    Forget(u8),
    Begin(u8, bool),
    Lease(i64, Vec<u8>, i64),
    End(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let samples = prop::collection::vec((0u8..3, 0u64..12, -9000i64..90_000, any::<f64>()), 0..5);
    let cause = prop_oneof![
        2 => Just(None),
        1 => prop::sample::select(Cause::ALL).prop_map(Some),
    ];
    let record = (0u8..3, 1i64..4, 0i64..90_000, cause, samples);
    prop_oneof![
        6 => record.prop_map(|(host, sweep, at, cause, samples)| Step::Record { host, sweep, at, cause, samples }),
        2 => (0i64..40).prop_map(Step::Treat),
        1 => (1i64..6, 0u8..3, prop::option::of(0i64..90_000)).prop_map(|(i, h, c)| Step::Close(i, h, c)),
        1 => (1i64..6, any::<bool>()).prop_map(|(i, b)| Step::Tell(i, b)),
        2 => (0i64..120_000, 0u64..60_000, prop_oneof![Just(0u64), 0u64..90_000])
            .prop_map(|(n, k, h)| Step::Prune(n, k, h)),
        1 => (0u8..3).prop_map(Step::Forget),
        1 => (0u8..3, any::<bool>()).prop_map(|(collector, asked)| Step::Begin(collector, asked)),
        2 => (1i64..4, prop::collection::vec(0u8..3, 1..3), 0i64..90_000).prop_map(|(s, h, n)| Step::Lease(s, h, n)),
        1 => (1i64..4).prop_map(Step::End),
    ]
}

fn play(store: &mut dyn Store, step: &Step) -> Result<String> {
    let host = |n: &u8| format!("h{n}");
    Ok(match step {
        Step::Record { host: h, sweep, at: ended, cause, samples } => {
            let list: Vec<Sample> =
                samples.iter().map(|(boot, sequence, taken, v)| sample(&host(boot), *sequence, *taken, *v)).collect();
            format!("{}", store.record(*sweep, &attempt(&host(h), *ended, *cause), &list)?)
        }
        Step::Treat(cursor) => format!("{:?}", store.commit_evaluation(&evaluation(*cursor))?),
        Step::Close(id, h, closed) => {
            let event = Event { incident: *id, at: at(1), level: Level::Ok, value: 1.0, text: String::new() };
            let incidents = vec![incident(*id, &host(h), *closed)];
            let cursor = store.cursor()?;
            let it = Evaluation { cursor, incidents, events: vec![event], ..Evaluation::default() };
            format!("{:?}", store.commit_evaluation(&it)?)
        }
        Step::Tell(id, up) => {
            let level = if *up { Level::Critical } else { Level::Ok };
            let mails = vec![mail(0, if *up { MailState::Queued } else { MailState::Dead })];
            format!("{:?}", store.commit_plan(&Plan { told: vec![told(*id, level)], mails, ..Plan::default() })?)
        }
        Step::Prune(now, keep, hourly) => {
            let expected = store.would_prune(at(*now), span(*keep), span(*hourly))?;
            let done = store.prune(at(*now), span(*keep), span(*hourly))?;
            assert_eq!(expected, done, "the dry run foretells");
            format!("{done:?}")
        }
        Step::Forget(h) => format!("{}", store.forget(&host(h))?),
        Step::Begin(collector, asked) => {
            let shard = Shard::new(u32::from(*collector), 2);
            let (collector, asked) = (if *collector == 0 { String::new() } else { host(collector) }, *asked);
            format!("{}", store.begin(&Begun { collector, shard, asked, ..Begun::plain(at(0), 3) })?)
        }
        Step::Lease(sweep, hosts, now) => {
            let (hosts, now) = (hosts.iter().map(host).collect::<Vec<_>>(), at(*now));
            let (until, since) = (now + TimeDelta::minutes(20), now - TimeDelta::minutes(60));
            let claim = Claim { sweep: *sweep, now, until, since };
            format!("{:?}", store.lease(&claim, &hosts.iter().map(String::as_str).collect::<Vec<_>>())?)
        }
        Step::End(sweep) => format!("{:?}", store.end_sweep(*sweep, at(1), 1)?),
    })
}

/// All that is exported of a host, in an order of its own.
fn exported(store: &dyn Store, host: &str, wanted: &dyn Fn(&str) -> bool) -> Vec<String> {
    let (mut found, mut place) = (Vec::new(), Place::default());
    let mut each = |metric: &str, item: &str, point: Point| {
        // Both zeros are one value.
        found.push(format!("{metric} {item} {point:?}").replace("-0.0,", "0.0,"));
    };
    while store.part(host, (at(-20_000), at(200_000)), wanted, &mut place, &mut each).unwrap() {}
    found.sort();
    found
}

#[test]
fn an_export_is_whole_part_by_part() {
    each(|store| {
        for n in 0..200_u32 {
            store
                .record(1, &attempt("a", 1, None), &[sample("b", u64::from(n), i64::from(n / 3), f64::from(n))])
                .unwrap();
        }
        let all = exported(store, "a", &|_| true);
        let series = store.series("a", "cpu.used", (at(-20_000), at(200_000)), Grain::Whole).unwrap();
        assert_eq!((all.len(), series[0].points.len()), (600, 200));
        assert_eq!(exported(store, "a", &|metric| metric == "cpu.used").len(), 200);
        assert!(exported(store, "a", &|_| false).is_empty() && exported(store, "nobody", &|_| true).is_empty());
    });
}

fn all(store: &dyn Store) -> String {
    let mut series = Vec::new();
    let exports: Vec<_> = ["h0", "h1", "h2"].iter().map(|host| exported(store, host, &|_| true)).collect();
    for host in ["h0", "h1", "h2"] {
        for metric in ["cpu.used", "filesystem.used"] {
            for grain in [Grain::Whole, Grain::Hours] {
                series.push(store.series(host, metric, (at(-20_000), at(200_000)), grain).unwrap());
            }
        }
    }
    let facts: Vec<_> = ["h0", "h1", "h2"].iter().map(|host| store.facts(host).unwrap()).collect();
    let top: Vec<_> = (0..9).map(|n| store.top("h1", at(n * 10_000)).unwrap()).collect();
    let some = store.samples("h1", &["cpu.used"], at(0), at(50_000)).unwrap();
    let key = SampleKey { boot: "h1".into(), sequence: 9 };
    let before = store.before("h1", &key, &["filesystem.used"]).unwrap();
    let events: Vec<_> = (1..6).map(|id| store.events(id).unwrap()).collect();
    format!(
        "{:?}\n{:?}\n{series:?}\n{exports:?}\n{some:?}\n{before:?}\n{:?}\n{events:?}\n{facts:?}\n{top:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        store.rows_after(0, 1000).unwrap(),
        store.now().unwrap(),
        store.incidents(99).unwrap(),
        store.told().unwrap(),
        store.queued().unwrap(),
        store.last_incident().unwrap(),
        store.standings().unwrap(),
        (store.sweeps(99).unwrap(), store.last_sweeps().unwrap()),
    )
    .replace("-0.0", "0.0")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn sqlite_does_what_the_model_does(steps in prop::collection::vec(step(), 1..30)) {
        let dir = tempfile::tempdir().unwrap();
        let mut sqlite = Sqlite::open(&dir.path().join("fleet.db")).unwrap();
        let mut model = Memory::default();
        for step in &steps {
            prop_assert_eq!(play(&mut sqlite, step).unwrap(), play(&mut model, step).unwrap(), "{:?}", step);
        }
        prop_assert_eq!(all(&sqlite), all(&model));
    }
}
