//! Named cases from the field, each with the thread where it went wrong elsewhere.

use super::*;
use crate::app::alerter::sim::crash::Mortal;

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
        let inner = std::mem::take(&mut field.store);
        let mut store = Mortal { inner, fate: Arc::clone(&fate), plans: Default::default(), read: Default::default() };
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
