//! One sentence of the design each.

use super::*;

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
fn critical_warning_critical_inside_the_interval_is_no_mail_and_what_stays_lower_is_told_after_it() {
    let mut field = Field::new(&["web01"]);
    let twice = |field: &mut Field, minute: i64, value: f64| {
        field.disk("web01", minute, value);
        field.disk("web01", minute + 5, value);
        field.run(minute + 6)
    };
    assert_eq!(twice(&mut field, 0, 0.95), ["[CRIT] web01 disk"]);
    assert_eq!(twice(&mut field, 10, 0.75), NONE);
    assert_eq!(field.store.open_incidents().unwrap()[0].level, Level::Warning);
    assert_eq!(twice(&mut field, 20, 0.95), NONE, "who was told of critical knows it");
    assert_eq!(twice(&mut field, 30, 0.75), NONE);
    field.disk("web01", 245, 0.75);
    assert_eq!(field.run(245), NONE);
    assert_eq!(field.run(246), ["[WARN] web01 disk"], "four hours after it was told");
    assert_eq!(field.server.accepted.last().unwrap().tells[0].action, "lowered");
    // It is critical again: that waits for no interval.
    assert_eq!(twice(&mut field, 250, 0.95), ["[CRIT] web01 disk"]);
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
fn what_flaps_up_to_critical_is_told_of_each_once() {
    let mut field = Field::new(&["web01"]);
    let mut minute = 0;
    // Well, warning, critical, eight times.
    for _ in 0..8 {
        for value in [0.2, 0.2, 0.85, 0.85, 0.95, 0.95] {
            field.disk("web01", minute, value);
            field.run(minute + 1);
            minute += 3;
        }
    }
    let told: Vec<&str> = field.server.accepted.iter().flat_map(|mail| &mail.tells).map(|it| &*it.action).collect();
    let since = told.iter().position(|action| *action == "flapping").unwrap();
    let count = |action: &str| told[since..].iter().filter(|told| **told == action).count();
    assert_eq!((count("flapping"), count("recovered")), (1, 0), "{told:?}");
    assert!(count("escalated") <= 1, "{told:?}");
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

/// Somebody took the warning while a run was under way that saw it rise: that run read no such thing.
#[test]
fn an_acknowledgement_that_races_a_run_hides_no_rise() {
    let mut field = Field::new(&["web01"]);
    for (minute, value) in [(0, 0.85), (5, 0.85)] {
        field.disk("web01", minute, value);
    }
    assert_eq!(field.run(6), ["[WARN] web01 disk"]);
    for minute in [10, 15] {
        field.disk("web01", minute, 0.95);
    }
    // It rises, and is not told yet: a sweep is under way.
    let sweep = field.store.begin_sweep(at(15), 1).unwrap();
    assert_eq!(field.run_alone(16), NONE);
    let ack = Ack {
        incident: 1,
        by: "ada".into(),
        at: at(16),
        until: None,
        sticky: false,
        level: Level::Warning,
        note: String::new(),
    };
    let event = Event { incident: 1, at: at(16), level: Level::Warning, value: 0.85, text: "taken".into() };
    field.store.acknowledge(&ack, &event).unwrap();
    field.store.end_sweep(sweep, at(17), 0).unwrap();
    assert_eq!(field.run_alone(17), ["[CRIT] web01 disk"]);
    assert!(ack.holds(Level::Warning, at(17)) && !ack.holds(Level::Critical, at(17)));
    assert!(Ack { sticky: true, ..ack.clone() }.holds(Level::Critical, at(17)));
    assert!(!Ack { until: Some(at(17)), ..ack }.holds(Level::Warning, at(17)));
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
fn a_summary_that_does_not_get_through_comes_later() {
    let mut field = Field::new(&["web01"]);
    field.run(0);
    for (n, value) in [0.95, 0.95, 0.1, 0.1].into_iter().enumerate() {
        field.disk("web01", 10 + n as i64 * 5, value);
    }
    field.run(30);
    field.server.weather = Weather::Down;
    assert_eq!((field.run(24 * 60), field.run(24 * 60 + 5)), (vec![], vec![]));
    field.server.weather = Weather::Up;
    assert_eq!(field.run(24 * 60 + 90), ["[OK] 1 problem came and went"]);
    assert_eq!(field.run(24 * 60 + 95), NONE);
    // Once more, to a mailbox that refuses until the mail is given up.
    let day = 3 * 24 * 60;
    assert_eq!(field.run(day), NONE);
    for (n, value) in [0.95, 0.95, 0.1, 0.1].into_iter().enumerate() {
        field.disk("web01", day + 10 + n as i64 * 5, value);
    }
    assert_eq!(field.run(day + 60), NONE);
    field.server.weather = Weather::Refuses(b'o' - b'a', true);
    for minutes in (day + 24 * 60..day + 26 * 60).step_by(5) {
        field.run(minutes);
    }
    assert!(field.store.queued().unwrap().iter().all(|mail| mail.tells.iter().all(|it| it.action != "passed")));
    field.server.weather = Weather::Up;
    let after: Vec<String> = (0..40).flat_map(|n| field.run(day + 50 * 60 + n * 60)).collect();
    assert_eq!(after.iter().filter(|subject| subject.ends_with("came and went")).count(), 1, "{after:?}");
}

/// The end is planned in the run in which the mail that told of the beginning is given up.
#[test]
fn what_a_mailbox_refused_from_beginning_to_end_is_summed_up() {
    let mut field = Field::new(&["web01"]);
    assert_eq!(field.run(0), NONE);
    field.server.weather = Weather::Refuses(b'o' - b'a', true);
    for minute in [1, 2] {
        field.disk("web01", minute, 0.95);
    }
    assert_eq!((field.run(3), field.run(23)), (vec![], vec![]));
    for minute in [30, 35] {
        field.disk("web01", minute, 0.2);
    }
    assert_eq!(field.run(43), NONE);
    assert!(field.store.queued().unwrap().is_empty(), "three times");
    field.server.weather = Weather::Up;
    let told: Vec<String> = (25..28).flat_map(|hour| field.run(hour * 60)).collect();
    assert!(told.contains(&"[OK] 1 problem came and went".to_owned()), "{told:?}");
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
fn a_mail_that_a_run_died_with_is_not_the_first_of_the_next() {
    let mut field = Field::new(&["web01"]);
    let both = ["a@example.net", "b@example.net"].map(str::to_owned).to_vec();
    field.spec.alerts.destinations[0].channel = ChannelSpec::Mail(both);
    field.server.weather = Weather::Down;
    for n in 0..2 {
        field.disk("web01", n * 5, 0.95);
    }
    assert_eq!(field.run(6), NONE);
    let first = field.store.queued().unwrap().remove(0);
    assert_eq!(first.recipient, "a@example.net");
    field.store.update_mail(&Mail { maybe: true, error: String::new(), ..first }).unwrap();
    field.server.weather = Weather::Up;
    field.run(8);
    let to: Vec<&str> = field.server.accepted.iter().map(|mail| mail.recipient.as_str()).collect();
    assert_eq!(to, ["b@example.net", "a@example.net"]);
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
        let taken = at(minute) + TimeDelta::seconds(off);
        let sample = measured("web01", ("b", field.sequence), taken, &[("filesystem.used", "", 0.1)]);
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
