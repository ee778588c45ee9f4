//! A fleet that is divided among several collectors, of which one dies.

use super::*;
use crate::model::shard::Shard;
use crate::model::turn::Begun;

impl Field {
    /// A sweep of a part: its hosts answer at that minute.
    fn part(&mut self, part: &str, minutes: i64) {
        let shard: Shard = part.parse().unwrap();
        let begun = Begun { shard: Some(shard), collector: format!("c {part}"), ..Begun::plain(at(minutes), 1) };
        let sweep = self.store.begin(&begun).unwrap();
        for name in self.names().iter().filter(|name| shard.holds(name)) {
            self.disk(name, minutes, if minutes >= 30 { 0.99 } else { 0.2 });
        }
        self.store.end_sweep(sweep, at(minutes), 0).unwrap();
    }
}

#[test]
fn a_dead_collector_of_a_part_is_one_mail_that_hides_its_own_hosts_only() {
    let mut field = Field::many(12);
    let mut told = Vec::new();
    for minute in (0..60).step_by(5) {
        field.part("1/2", minute);
        // The second dies after ten minutes and comes back when all disks are full.
        if !(10..50).contains(&minute) {
            field.part("2/2", minute);
        }
        told.extend(field.run_alone(minute + 1).into_iter().map(|subject| (minute, subject)));
    }
    let said = |minute: i64| told.iter().filter(|it| it.0 == minute).map(|it| it.1.clone()).collect::<Vec<_>>();
    assert_eq!(said(25), ["[CRIT] fleet collector-stalled 2/2"], "{told:?}");
    let first = Shard::all(2).next().unwrap();
    let (ours, theirs): (Vec<String>, Vec<String>) = field.names().into_iter().partition(|name| first.holds(name));
    assert!(!ours.is_empty() && !theirs.is_empty());
    // Full disks of the living part are told while the other part is dead, and none of those that nobody looks at.
    let mails: Vec<String> = field.server.accepted.iter().map(|mail| readable(&mail.body)).collect();
    let until_back: Vec<&String> = mails.iter().zip(&told).filter(|it| it.1.0 < 50).map(|it| it.0).collect();
    assert!(ours.iter().all(|name| until_back.iter().any(|mail| mail.contains(name.as_str()))), "{told:?}");
    assert!(!until_back.iter().any(|mail| theirs.iter().any(|name| mail.contains(name.as_str()))), "{until_back:?}");
    assert!(
        said(50).iter().any(|subject| subject == "[OK] fleet collector-stalled 2/2")
            || mails.last().is_some_and(|mail| mail.contains("of part 2/2 runs again")),
        "{told:?}"
    );
    // Divided anew, the old part is nobody's business.
    assert!(field.store.open_incidents().unwrap().iter().all(|it| it.subject.rule != "collector-stalled"));
}

#[test]
fn a_part_that_never_ran_is_told_and_ends_when_the_fleet_is_divided_otherwise() {
    let mut field = Field::many(4);
    field.part("1/3", 0);
    field.part("2/3", 0);
    assert_eq!(field.run_alone(1), NONE, "once is no evidence");
    field.part("1/3", 5);
    field.part("2/3", 5);
    assert_eq!(field.run_alone(6), ["[CRIT] fleet collector-stalled 3/3"]);
    assert!(readable(&field.server.accepted[0].body).contains("fleet-collector --shard 3/3"));
    field.run(11);
    assert!(field.store.open_incidents().unwrap().is_empty());
}

#[test]
fn parts_that_begin_one_after_the_other_are_no_problem() {
    let mut field = Field::many(4);
    for (minute, part) in [(0, "1/4"), (1, "2/4"), (2, "3/4")] {
        field.part(part, minute);
        assert_eq!(field.run_alone(minute), NONE, "minute {minute}: the last has its turn yet");
    }
    assert_eq!(field.run_alone(4), NONE);
    // None is late any more: what was seen before counts for nothing.
    field.part("4/4", 4);
    assert_eq!((field.run_alone(5), field.run_alone(6)), (vec![], vec![]));
    assert!(field.store.open_incidents().unwrap().is_empty());
}

#[test]
fn a_person_who_looks_at_some_hosts_does_not_hide_that_cron_is_dead() {
    let mut field = Field::many(1);
    field.run(0);
    let mut told = Vec::new();
    for minute in (5..40).step_by(5) {
        let asked = Begun { asked: true, ..Begun::plain(at(minute), 1) };
        let sweep = field.store.begin(&asked).unwrap();
        field.store.end_sweep(sweep, at(minute), 0).unwrap();
        told.extend(field.run_alone(minute + 1));
    }
    assert_eq!(told, ["[CRIT] fleet collector-stalled"]);
}

#[test]
fn mail_is_held_back_for_sweeps_under_way_and_not_for_ever() {
    let mut field = Field::many(1);
    // A lock that is there and not free; it is of this test, so it is held.
    let dir = tempfile::tempdir().unwrap();
    field.spec.collector.state_dir = dir.path().to_owned();
    let shards: Vec<Shard> = Shard::all(2).collect();
    let held: Vec<_> =
        shards.iter().map(|shard| lock::acquire(&lock::of_collector(dir.path(), Some(*shard))).unwrap()).collect();
    let mut told = Vec::new();
    for (n, minute) in (0..40).step_by(2).enumerate() {
        // One begins as the other has not yet ended: there is always a sweep under way.
        let shard = shards[n % 2];
        let begun = Begun { shard: Some(shard), ..Begun::plain(at(minute), 1) };
        field.store.begin(&begun).unwrap();
        field.disk("h000", minute, 0.99);
        told.extend(field.run_alone(minute + 1).into_iter().map(|_| minute));
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert!((10..=14).contains(&told[0]), "within two intervals of five minutes: {told:?}");
    drop(held);
}
