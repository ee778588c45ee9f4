//! Sweeps of several collectors: parts of a fleet, turns, and leases that keep two from one host.

use chrono::TimeDelta;

use super::{at, attempt, each, sample, span};
use crate::model::cause::Cause;
use crate::model::fleet::Attempt;
use crate::model::shard::Shard;
use crate::model::turn::{Begun, Claim, Leased, Strikes};
use crate::store::Store;
use crate::store::sqlite::Sqlite;

fn begun(collector: &str, seconds: i64) -> Begun {
    Begun { collector: collector.into(), ..Begun::plain(at(seconds), 3) }
}

/// A claim of a minute, by somebody who needs no host that another visited within 100 seconds.
fn claim(sweep: i64, seconds: i64) -> Claim {
    Claim { sweep, now: at(seconds), until: at(seconds + 60), since: at(seconds - 100) }
}

fn busy(collector: &str, until: i64) -> Leased {
    Leased::Busy { collector: collector.into(), until: at(until) }
}

#[test]
fn a_host_is_one_collectors_until_it_recorded_the_visit() {
    each(|store| {
        let (a, b) = (store.begin(&begun("A", 0)).unwrap(), store.begin(&begun("B", 0)).unwrap());
        assert_eq!(store.lease(&claim(a, 0), &["x", "y"]).unwrap(), [Leased::Ours, Leased::Ours]);
        assert_eq!(store.lease(&claim(b, 5), &["y", "z", "x"]).unwrap(), [busy("A", 60), Leased::Ours, busy("A", 60)]);
        assert_eq!(store.lease(&claim(a, 6), &["x"]).unwrap(), [Leased::Ours], "its own is no hindrance");
        // An attempt of another sweep ends nobody's lease, our own one does, also where nothing came of it.
        store.record(b, &attempt("y", 7, Some(Cause::BackOff)), &[]).unwrap();
        assert_eq!(store.lease(&claim(b, 8), &["y"]).unwrap(), [busy("A", 60)]);
        store.record(a, &attempt("y", 9, Some(Cause::Authentication)), &[]).unwrap();
        let done = Leased::Done { collector: "A".into(), at: at(9) };
        assert_eq!(store.lease(&claim(b, 10), &["y"]).unwrap(), [done]);
        // A hundred seconds later it may have another turn; the one who did it may at any time.
        assert_eq!(store.lease(&claim(a, 11), &["y"]).unwrap(), [Leased::Ours]);
        store.record(a, &attempt("y", 12, None), &[sample("b", 1, 12, 0.5)]).unwrap();
        assert_eq!(store.lease(&claim(b, 113), &["y"]).unwrap(), [Leased::Ours]);
    });
}

#[test]
fn a_dead_collectors_hosts_are_taken_over_when_its_leases_end_and_a_living_ones_with_its_sweep() {
    each(|store| {
        let (a, b) = (store.begin(&begun("A", 0)).unwrap(), store.begin(&begun("B", 0)).unwrap());
        store.lease(&claim(a, 0), &["x", "y"]).unwrap();
        assert_eq!(store.lease(&claim(b, 59), &["x"]).unwrap(), [busy("A", 60)]);
        assert_eq!(store.lease(&claim(b, 60), &["x"]).unwrap(), [Leased::Ours]);
        assert_eq!(store.lease(&claim(a, 61), &["x"]).unwrap(), [busy("B", 120)], "back from the dead, too late");
        store.end_sweep(a, at(62), 0).unwrap();
        assert_eq!(store.lease(&claim(b, 63), &["x", "y"]).unwrap(), [Leased::Ours, Leased::Ours]);
        store.end_sweep(b, at(64), 0).unwrap();
        // What a clock wrote that was a day ahead binds nobody once it is right again.
        store.lease(&claim(a, 86_400), &["x"]).unwrap();
        assert_eq!(store.lease(&claim(b, 65), &["x"]).unwrap(), [Leased::Ours]);
        store.forget("x").unwrap();
        assert_eq!(store.lease(&claim(a, 66), &["x"]).unwrap(), [Leased::Ours], "nothing is known of it");
        store.prune(at(90_000), span(60), span(60)).unwrap();
        assert_eq!(store.lease(&claim(b, 67), &["x"]).unwrap(), [Leased::Ours], "what is over for long goes");
    });
}

#[test]
fn a_killed_collector_that_runs_again_takes_its_hosts_back_at_once_and_nobody_elses() {
    each(|store| {
        let part = |collector: &str, shard: &str| Begun { shard: shard.parse().ok(), ..begun(collector, 0) };
        let killed = [begun("A", 0), part("A", "1/2")].map(|it| store.begin(&it).unwrap());
        for (sweep, host) in killed.into_iter().zip(["x", "y"]) {
            store.lease(&claim(sweep, 0), &[host]).unwrap();
        }
        for (again, answers) in [
            (part("A", "2/2"), [busy("A", 60), busy("A", 60)]),
            (begun("B", 0), [busy("A", 60), busy("A", 60)]),
            (begun("", 0), [busy("A", 60), busy("A", 60)]),
            (begun("A", 0), [Leased::Ours, busy("A", 60)]),
        ] {
            let sweep = store.begin(&again).unwrap();
            assert_eq!(store.lease(&claim(sweep, 1), &["x", "y"]).unwrap(), answers, "{again:?}");
        }
        let sweep = store.begin(&part("A", "1/2")).unwrap();
        assert_eq!(store.lease(&claim(sweep, 1), &["x", "y"]).unwrap(), [busy("A", 61), Leased::Ours]);
        // Who has no name cannot know whether it is itself that died.
        let nameless = [begun("", 2), begun("", 2)].map(|it| store.begin(&it).unwrap());
        store.lease(&claim(nameless[0], 2), &["z"]).unwrap();
        assert_eq!(store.lease(&claim(nameless[1], 3), &["z"]).unwrap(), [busy("", 62)]);
    });
}

#[test]
fn a_host_that_one_collector_could_not_reach_may_be_tried_by_another() {
    each(|store| {
        let (a, b) = (store.begin(&begun("A", 0)).unwrap(), store.begin(&begun("B", 0)).unwrap());
        for (host, &cause) in ["x", "y"].into_iter().cycle().zip(Cause::ALL) {
            store.record(a, &attempt(host, 8, None), &[]).unwrap();
            let served = [Leased::Done { collector: "A".into(), at: at(8) }];
            assert_eq!(store.lease(&claim(b, 9), &[host]).unwrap(), served, "before {cause}");
            store.record(a, &attempt(host, 9, Some(cause)), &[]).unwrap();
            let expected = match cause {
                _ if cause.refuses() || cause.hangs() => [Leased::Done { collector: "A".into(), at: at(9) }],
                // It was no turn: what counts is the visit before.
                _ if !cause.is_turn() => served,
                _ => [Leased::Ours],
            };
            assert_eq!(store.lease(&claim(b, 10), &[host]).unwrap(), expected, "{cause}");
        }
        // A collector that is broken itself, however often it tries, leaves the host to one that works.
        for cause in [Cause::LocalSetup, Cause::Store, Cause::Internal] {
            store.record(a, &attempt("z", 9, Some(cause)), &[]).unwrap();
            assert_eq!(store.lease(&claim(b, 10), &["z"]).unwrap(), [Leased::Ours], "{cause}");
        }
    });
}

#[test]
fn who_has_no_name_is_nobodys_other() {
    each(|store| {
        let (old, new) = (store.begin_sweep(at(0), 1).unwrap(), store.begin(&begun("A", 1)).unwrap());
        store.record(old, &attempt("x", 2, None), &[]).unwrap();
        assert_eq!(store.lease(&claim(new, 3), &["x"]).unwrap(), [Leased::Ours]);
        store.record(new, &attempt("x", 4, None), &[]).unwrap();
        let done = Leased::Done { collector: "A".into(), at: at(4) };
        assert_eq!(store.lease(&claim(old, 5), &["x"]).unwrap(), [done]);
        store.lease(&claim(old, 6), &["y"]).unwrap();
        assert_eq!(store.lease(&claim(new, 7), &["y"]).unwrap(), [busy("", 66)]);
    });
}

#[test]
fn a_turn_is_remembered_over_attempts_that_were_none_and_strikes_add_up() {
    each(|store| {
        let sweep = store.begin_sweep(at(0), 1).unwrap();
        let stands = |store: &dyn Store| {
            let it = store.standings().unwrap().remove(0);
            (it.turn.map(|turn| ((turn.at - at(0)).num_seconds(), turn.cause)), it.strikes.count, it.strikes.refused)
        };
        store.record(sweep, &attempt("x", 1, Some(Cause::SweepDeadline)), &[]).unwrap();
        assert_eq!(stands(store), (None, 0, false));
        let (hung, refused) = (Some(Cause::Deadline), Some(Cause::Authentication));
        store.record(sweep, &attempt("x", 2, hung), &[]).unwrap();
        store.record(sweep, &attempt("x", 3, Some(Cause::BackOff)), &[]).unwrap();
        assert_eq!(stands(store), (Some((2, hung)), 1, false));
        store.record(sweep, &attempt("x", 4, refused), &[]).unwrap();
        store.record(sweep, &attempt("x", 5, Some(Cause::SweepDeadline)), &[]).unwrap();
        store.record(sweep, &attempt("x", 5, Some(Cause::LocalSetup)), &[]).unwrap();
        store.record(sweep, &attempt("x", 5, Some(Cause::Internal)), &[]).unwrap();
        assert_eq!(stands(store), (Some((4, refused)), 2, true));
        store.record(sweep, &attempt("x", 6, None), &[]).unwrap();
        assert_eq!(stands(store), (Some((6, None)), 0, false));
        let whole = Attempt { took: span(9), ..attempt("x", 6, None) };
        store.settle(sweep, &[whole]).unwrap();
        let all = store.standings().unwrap();
        assert_eq!((all[0].turn.as_ref().unwrap().took, all[0].strikes), (span(9), Strikes::default()));
        // The newest sample keeps its attempt; the turn of an older one may be pruned, and is then unknown.
        store.record(sweep, &attempt("y", 7, refused), &[]).unwrap();
        store.record(sweep, &attempt("y", 8, Some(Cause::BackOff)), &[]).unwrap();
        store.commit_evaluation(&super::evaluation(99)).unwrap();
        store.prune(at(500_000), span(60), span(60)).unwrap();
        let left = store.standings().unwrap();
        assert_eq!((left[1].turn.clone(), left[1].strikes.count), (None, 1));
    });
}

#[test]
fn the_last_sweep_of_each_collector_and_part_is_found_among_those_that_nobody_asked_for() {
    each(|store| {
        let of = |collector: &str, shard: &str, asked, seconds| Begun {
            shard: shard.parse::<Shard>().ok(),
            asked,
            ..begun(collector, seconds)
        };
        for it in [
            of("A", "1/2", false, 0),
            of("A", "2/2", false, 1),
            of("B", "2/2", false, 2),
            of("A", "1/2", false, 3),
            of("A", "", false, 4),
            of("A", "1/2", true, 5),
        ] {
            store.begin(&it).unwrap();
        }
        let last: Vec<(i64, String, Option<String>)> = store
            .last_sweeps()
            .unwrap()
            .into_iter()
            .map(|sweep| (sweep.id, sweep.collector, sweep.shard.map(|shard| shard.to_string())))
            .collect();
        let row = |id, collector: &str, shard: Option<&str>| (id, collector.to_owned(), shard.map(str::to_owned));
        let expected =
            [row(5, "A", None), row(4, "A", Some("1/2")), row(3, "B", Some("2/2")), row(2, "A", Some("2/2"))];
        assert_eq!(last, expected);
        assert!(store.sweeps(1).unwrap()[0].asked);
    });
}

#[test]
fn several_visits_are_one_commit_and_a_consent_is_asked_for_by_name() {
    each(|store| {
        let sweep = store.begin_sweep(at(0), 2).unwrap();
        let list = [sample("b", 1, 1, 0.5), sample("b", 2, 2, 0.5)];
        let (x, y) = (attempt("x", 3, None), attempt("y", 4, Some(Cause::Dns)));
        assert_eq!(store.record_all(sweep, &[(&x, &list), (&y, &[]), (&x, &list[..1])]).unwrap(), [2, 0, 0]);
        let rows: Vec<String> = store.rows_after(0, 9).unwrap().into_iter().map(|row| row.attempt.host).collect();
        assert_eq!(rows, ["x", "y", "x"]);
        assert_eq!(store.record_all(sweep, &[]).unwrap(), [0; 0]);
        let consent = |host: &str| crate::model::fleet::Consent {
            host: host.into(),
            by: "Ada".into(),
            purpose: "tests".into(),
            granted: at(1),
            revoked: None,
        };
        store.grant(&consent("x")).unwrap();
        store.grant(&consent("y")).unwrap();
        store.revoke("y", at(2)).unwrap();
        let asked = ["x", "y", "z"].map(|host| store.consented(host).unwrap());
        assert_eq!(asked, [true, false, false]);
    });
}

/// Two processes with a handle each: the file's lock orders them, so every host is given away once.
#[test]
fn many_who_claim_the_same_hosts_at_once_get_each_host_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fleet.db");
    drop(Sqlite::open(&path).unwrap());
    let hosts: Vec<String> = (0..60).map(|n| format!("h{n}")).collect();
    let (path, hosts) = (&path, &hosts);
    let mut got: Vec<String> = std::thread::scope(|scope| {
        let each = (0..4).map(|number| {
            scope.spawn(move || {
                let mut store = Sqlite::open(path).unwrap();
                let sweep = store.begin(&begun(&format!("C{number}"), 0)).unwrap();
                let mut mine = Vec::new();
                for chunk in hosts.chunks(7) {
                    let names: Vec<&str> = chunk.iter().map(String::as_str).collect();
                    let answers = store.lease(&claim(sweep, 1), &names).unwrap();
                    mine.extend(
                        names.iter().zip(answers).filter(|(_, it)| *it == Leased::Ours).map(|it| it.0.to_string()),
                    );
                }
                mine
            })
        });
        let started: Vec<_> = each.collect();
        started.into_iter().flat_map(|it| it.join().unwrap()).collect()
    });
    got.sort_unstable();
    let mut all = hosts.clone();
    all.sort_unstable();
    assert_eq!(got, all);
}

#[test]
fn a_lease_has_an_end_that_is_kept_to_the_millisecond() {
    each(|store| {
        let (a, b) = (store.begin(&begun("A", 0)).unwrap(), store.begin(&begun("B", 0)).unwrap());
        let mut fine = claim(a, 0);
        fine.until += TimeDelta::microseconds(1500);
        store.lease(&fine, &["x"]).unwrap();
        let until = at(60) + TimeDelta::milliseconds(1);
        assert_eq!(store.lease(&claim(b, 1), &["x"]).unwrap(), [Leased::Busy { collector: "A".into(), until }]);
    });
}
