//! The kinds of rules in whole runs: rates, what is absent, what is foretold, sizes, and services over their servers.

use super::*;
use crate::model::rule::Condition;
use crate::model::service::ServiceSpec;

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

/// Two servers of a service whose processors are to be busy to 60 % at most on average.
fn shop() -> FleetSpec {
    let mut spec = with_rule("cpu.used", RuleKind::Average, |rule| {
        (rule.items, rule.warning) = (vec!["shop".into()], Some(0.6));
    });
    for host in &mut spec.hosts {
        host.services = vec![ServiceSpec { name: "shop".into(), ..ServiceSpec::default() }];
    }
    spec
}

/// A sweep and a run; `None`: the server does not answer.
fn busy(store: &mut Memory, spec: &FleetSpec, minutes: i64, servers: [Option<f64>; 2]) {
    for (host, value) in ["web01", "web02"].into_iter().zip(servers) {
        match value {
            Some(value) => sample_of(store, host, minutes, "a", &[("cpu.used", "", value)]),
            None => drop(store.record(1, &attempt(host, minutes, Some(Cause::Refused)), &[]).unwrap()),
        }
    }
    go(store, spec, minutes + 1);
}

fn mean_is_open(store: &Memory) -> bool {
    open(store).iter().any(|text| text.starts_with("cpu.used of shop is on average"))
}

/// Its newest sample is young enough, but it is known that it does not answer.
#[test]
fn a_server_that_does_not_answer_is_in_no_mean() {
    let (spec, mut store) = (shop(), empty());
    for (minutes, cool) in [(0, Some(0.1)), (5, None), (10, None), (15, None)] {
        assert!(!mean_is_open(&store), "{minutes}");
        busy(&mut store, &spec, minutes, [Some(0.9), cool]);
    }
    assert!(open(&store).contains(&"cpu.used of shop is on average 90 % (warning from 60 %)".to_owned()));
    // Not visited for want of time says nothing of it.
    for minutes in [20, 25] {
        busy(&mut store, &spec, minutes, [Some(0.9), Some(0.1)]);
    }
    store.record(1, &attempt("web02", 30, Some(Cause::SweepDeadline)), &[]).unwrap();
    sample_of(&mut store, "web01", 30, "a", &[("cpu.used", "", 0.9)]);
    go(&mut store, &spec, 31);
    let states = store.states().unwrap();
    let mean = states.iter().find(|(subject, _)| subject.rule == "cpu.used.average").unwrap();
    assert!((mean.1.value - 0.5).abs() < 1e-9, "{mean:?}");
}

/// The hottest server stops answering under its load: the service is at its worst, and not well again.
#[test]
fn a_mean_does_not_recover_because_its_hottest_server_died() {
    let (spec, mut store) = (shop(), empty());
    for minutes in [0, 5, 10] {
        busy(&mut store, &spec, minutes, [Some(1.0), Some(0.4)]);
    }
    assert!(mean_is_open(&store));
    for minutes in (15..120).step_by(5) {
        busy(&mut store, &spec, minutes, [None, Some(0.4)]);
        assert!(mean_is_open(&store), "{minutes}");
    }
    // Where the rest makes good for it, and where it is back, it ends.
    let mut rest = (120..140).step_by(5);
    rest.by_ref().take(2).for_each(|minutes| busy(&mut store, &spec, minutes, [None, Some(0.05)]));
    assert!(!mean_is_open(&store));
}

/// What a server told last was well, and now it does not answer: that is not known to be the end.
#[test]
fn a_mean_does_not_close_at_a_visit_that_a_server_missed() {
    let (spec, mut store) = (shop(), empty());
    for minutes in [0, 5, 10] {
        busy(&mut store, &spec, minutes, [Some(1.0), Some(0.4)]);
    }
    for (minutes, hot) in [(15, Some(0.1)), (20, None), (25, Some(0.1))] {
        busy(&mut store, &spec, minutes, [hot, Some(0.4)]);
        assert!(mean_is_open(&store), "{minutes}");
    }
    busy(&mut store, &spec, 30, [Some(0.1), Some(0.4)]);
    assert!(!mean_is_open(&store));
}

/// One missed visit of the cool server, again and again, is no problem of the service, and of the hot one no recovery.
#[test]
fn a_mean_does_not_jump_at_one_missed_visit() {
    let (spec, mut store) = (shop(), empty());
    for n in 0..12 {
        let cool = (n % 3 == 0).then_some(0.1).or((n % 2 == 0).then_some(0.1));
        busy(&mut store, &spec, n * 5, [Some(0.9), cool]);
        assert!(!mean_is_open(&store), "{n}");
    }
    for n in 12..15 {
        busy(&mut store, &spec, n * 5, [Some(1.0), Some(0.4)]);
    }
    for n in 15..24 {
        busy(&mut store, &spec, n * 5, [(n % 2 == 0).then_some(1.0), Some(0.4)]);
        assert!(mean_is_open(&store), "{n}");
    }
}
