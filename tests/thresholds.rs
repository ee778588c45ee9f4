//! Every threshold that ships, on both sides of its line: one row here for each rule of `config::defaults`.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use fleet_health::config;
use fleet_health::model::level::Level;
use fleet_health::model::rule::Condition;
use fleet_health::model::spec::{FleetSpec, RuleSpec};
use fleet_health::rule::{Judge, sized};

const GIB: f64 = 1_073_741_824.0;
const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;

/// A shipped rule: at each level the value that is a problem and the nearest that is none; what its conditions see where
/// they hold; and how long it must last, in minutes.
struct Row {
    rule: &'static str,
    item: &'static str,
    warning: Option<(f64, f64)>,
    critical: Option<(f64, f64)>,
    beside: &'static [(&'static str, &'static str, f64, f64)],
    minutes: Option<u64>,
}

const fn row(rule: &'static str, warning: (f64, f64), critical: (f64, f64)) -> Row {
    Row { rule, item: "", warning: Some(warning), critical: Some(critical), beside: &[], minutes: None }
}
const fn warns(rule: &'static str, warning: (f64, f64)) -> Row {
    Row { rule, item: "", warning: Some(warning), critical: None, beside: &[], minutes: None }
}
const fn grave(rule: &'static str, critical: (f64, f64)) -> Row {
    Row { rule, item: "", warning: None, critical: Some(critical), beside: &[], minutes: None }
}

impl Row {
    const fn of(self, item: &'static str) -> Self {
        Self { item, ..self }
    }
    /// Attribute, metric, value with which the rule is a problem, value with which it is none.
    const fn beside(self, beside: &'static [(&'static str, &'static str, f64, f64)]) -> Self {
        Self { beside, ..self }
    }
    const fn minutes(self, minutes: u64) -> Self {
        Self { minutes: Some(minutes), ..self }
    }
}

const READ_ONLY: (&str, &str, f64, f64) = ("unless", "filesystem.readonly", 0.0, 1.0);

const TABLE: &[Row] = &[
    row("cpu.used", (0.9, 0.899), (0.97, 0.969)).minutes(10).beside(&[("and-critical", "pressure.some", 0.5, 0.49)]),
    warns("cpu.share", (0.4, 0.399)).of("iowait").minutes(15),
    row("cpu.share", (0.1, 0.099), (0.25, 0.249)).of("steal").minutes(20),
    row("load.per-core", (2.0, 1.99), (5.0, 4.99)).minutes(10),
    row("memory.used", (0.9, 0.899), (0.95, 0.949)).minutes(5),
    grave("memory.ecc.uncorrected.increase", (1.0, 0.0)).minutes(0),
    row("swap.used", (0.8, 0.799), (0.95, 0.949)).beside(&[("and", "swap.in.rate", 100.0, 99.0)]),
    warns("vm.oom-kills.increase", (1.0, 0.0)).minutes(0),
    warns("vm.major-faults.rate", (500.0, 499.0)).minutes(15),
    row("filesystem.used", (0.8, 0.799), (0.9, 0.899)).of("/var").beside(&[
        ("and-below-free", "filesystem.available", 10.0 * GIB, 10.1 * GIB),
        ("and-critical", "filesystem.available", 5.0 * GIB, 5.1 * GIB),
        READ_ONLY,
    ]),
    row("filesystem.inodes.used", (0.9, 0.899), (0.95, 0.949)).of("/var").beside(&[READ_ONLY]),
    row("filesystem.full-in", (DAY, DAY + 60.0), (4.0 * HOUR, 4.0 * HOUR + 60.0))
        .of("/var")
        .beside(&[("and", "filesystem.used", 0.6, 0.59), ("and-critical", "filesystem.used", 0.8, 0.79)]),
    row("filesystem.inodes.full-in", (DAY, DAY + 60.0), (4.0 * HOUR, 4.0 * HOUR + 60.0))
        .of("/var")
        .beside(&[("and", "filesystem.inodes.used", 0.6, 0.59), ("and-critical", "filesystem.inodes.used", 0.8, 0.79)]),
    grave("filesystem.hung", (1.0, 0.0)).of("/nfs"),
    row("disk.read.await", (0.05, 0.0499), (0.1, 0.0999)).of("sda").minutes(15),
    row("disk.write.await", (0.05, 0.0499), (0.1, 0.0999)).of("sda").minutes(15),
    warns("disk.utilization", (0.95, 0.949)).of("sda").minutes(15),
    grave("disk.dead", (1.0, 0.0)).of("sda").minutes(0),
    grave("disk.smart.failed", (1.0, 0.0)).of("sda").minutes(0),
    grave("disk.smart.critical", (1.0, 0.0)).of("nvme0").minutes(0),
    row("disk.wear", (0.8, 0.799), (0.95, 0.949)).of("nvme0"),
    row("disk.spare.alarm", (1.0, 0.0), (2.0, 1.0)).of("mmcblk0"),
    grave("raid.degraded", (1.0, 0.0)).of("md0").minutes(0),
    grave("raid.inactive", (1.0, 0.0)).of("md0").minutes(0),
    grave("pool.alarm", (1.0, 0.0)).of("tank").minutes(0),
    row("lvm.used", (0.8, 0.799), (0.95, 0.949)).of("vg0/pool"),
    row("lvm.metadata.used", (0.8, 0.799), (0.95, 0.949)).of("vg0/pool"),
    row("lvm.alarm", (1.0, 0.0), (2.0, 1.0)).of("vg0/pool").minutes(0),
    warns("multipath.failed", (1.0, 0.0)).of("mpatha"),
    row("temperature.alarm", (1.0, 0.0), (2.0, 1.0)).of("coretemp"),
    warns("fan.alarm", (1.0, 0.0)).of("fan1"),
    row("ipmi.alarm", (1.0, 0.0), (2.0, 1.0)).of("ipmi/PS1"),
    warns("network.errors.ratio", (0.001, 0.0009)).of("eth0"),
    warns("network.drops.ratio", (0.01, 0.0099)).of("eth0"),
    warns("network.carrier-changes.increase", (2.0, 1.0)).of("eth0"),
    row("conntrack.used", (0.75, 0.749), (0.9, 0.899)),
    warns("tcp.listen.overflows.increase", (1.0, 0.0)),
    row("pressure.full", (0.05, 0.049), (0.2, 0.199)).of("memory").minutes(10),
    row("pressure.full", (0.2, 0.199), (0.5, 0.499)).of("io").minutes(10),
    warns("pressure.some", (0.5, 0.499)).of("cpu").minutes(10),
    row("files.used", (0.7, 0.699), (0.9, 0.899)),
    warns("cgroup.memory.used", (0.9, 0.899)).of("system.slice/x.service"),
    warns("cgroup.oom-kills.increase", (1.0, 0.0)).of("system.slice/x.service").minutes(0),
    warns("container.alarm", (2.0, 1.0)).of("docker/web"),
    warns("kernel.hung-tasks.increase", (1.0, 0.0)).minutes(0),
    warns("kernel.machine-checks.increase", (1.0, 0.0)).minutes(0),
    row("process.zombies", (10.0, 9.0), (50.0, 49.0)),
    warns("process.blocked.longest", (300.0, 299.0)),
    row("process.threads.used", (0.8, 0.799), (0.9, 0.899)),
    row("process.pids.used", (0.8, 0.799), (0.9, 0.899)),
    row("process.files.used", (0.8, 0.799), (0.9, 0.899)),
    warns("systemd.unit.failed", (1.0, 0.0)).of("nginx.service"),
    warns("systemd.unit.restarts.recent", (3.0, 2.0)).of("nginx.service").minutes(0),
    warns("time.synchronized", (0.0, 1.0)).minutes(30),
    row("time.offset", (0.1, 0.099), (0.5, 0.499)),
    row("certificate.watched.remaining", (21.0 * DAY, 21.0 * DAY + 60.0), (7.0 * DAY, 7.0 * DAY + 60.0))
        .of("mail/etc/a.pem"),
    row("certificate.remaining", (21.0 * DAY, 21.0 * DAY + 60.0), (7.0 * DAY, 7.0 * DAY + 60.0)).of("/etc/ssl/x.pem"),
    warns("reboot.required.seconds", (7.0 * DAY, 7.0 * DAY - 60.0)),
    warns("host.support.remaining", (30.0 * DAY, 30.0 * DAY + 60.0)),
    grave("check.ok", (0.0, 1.0)).of("shop/http"),
    warns("check.unknown", (1.0, 0.0)).of("shop/http"),
    row("http.certificate.left", (21.0 * DAY, 21.0 * DAY + 60.0), (7.0 * DAY, 7.0 * DAY + 60.0)).of("shop"),
    row("accesslog.errors", (0.02, 0.019), (0.05, 0.049)).of("shop").minutes(10).beside(&[(
        "and",
        "accesslog.requests",
        2.0,
        1.99,
    )]),
    row("accesslog.success", (0.85, 0.851), (0.75, 0.751)).of("shop").minutes(10).beside(&[(
        "and",
        "accesslog.requests",
        2.0,
        1.99,
    )]),
    row("postgres.connections.used", (0.8, 0.799), (0.9, 0.899)).of("orders"),
    row("postgres.hit-ratio", (0.6, 0.601), (0.5, 0.501)).of("orders").minutes(10),
    warns("postgres.locks.used", (0.2, 0.199)).of("orders"),
    warns("postgres.locks.waiting", (20.0, 19.0)).of("orders"),
    warns("postgres.deadlocks.increase", (10.0, 9.0)).of("orders/orders").minutes(0),
    warns("nagios.warning", (1.0, 0.0)).of("updates"),
    warns("redis.memory.used", (0.9, 0.899)).of("cache"),
    row("redis.clients.used", (0.8, 0.799), (0.9, 0.899)).of("cache"),
    warns("redis.rejected.increase", (1.0, 0.0)).of("cache").minutes(0),
    grave("redis.persistence.ok", (0.0, 1.0)).of("cache"),
    grave("redis.replication.ok", (0.0, 1.0)).of("cache"),
    row("host.silent", (600.0, 599.0), (1200.0, 1199.0)).minutes(0),
];

fn spec(inside: &str) -> FleetSpec {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.xml");
    let text = format!("<fleet-health version=\"1\">{inside}</fleet-health>");
    std::fs::write(&file, text).unwrap();
    config::load(&file).unwrap_or_else(|report| panic!("{report}"))
}

fn fits<'a>(rules: &'a [RuleSpec], row: &Row) -> Option<&'a RuleSpec> {
    let patterns = |rule: &RuleSpec| rule.items == ["*"] || rule.items == [row.item];
    rules.iter().find(|rule| rule.name == row.rule && patterns(rule))
}

fn level(rule: &RuleSpec, value: f64, beside: &dyn Fn(&Condition) -> Option<f64>) -> Level {
    match Judge::new(rule).beside(value, &rule.conditions, beside) {
        verdict if verdict.critical => Level::Critical,
        verdict if verdict.warning => Level::Warning,
        _ => Level::Ok,
    }
}

#[test]
fn every_default_is_right_on_both_sides_of_its_line() {
    let spec = spec("<host name=\"a\" transport=\"local\"/>");
    for row in TABLE {
        let rule =
            fits(&spec.hosts[0].rules, row).unwrap_or_else(|| panic!("nothing ships for {} {}", row.rule, row.item));
        let name = format!("{} {}", row.rule, row.item);
        assert_eq!(
            (rule.warning.is_some(), rule.critical.is_some()),
            (row.warning.is_some(), row.critical.is_some()),
            "{name}"
        );
        let minutes = rule.hold.map(|hold| hold.as_secs() / 60);
        assert_eq!(minutes, row.minutes, "{name}");
        let holds = |condition: &Condition| {
            let found = row
                .beside
                .iter()
                .find(|(attribute, metric, ..)| condition.attribute == *attribute && condition.metric == *metric);
            Some(found.unwrap_or_else(|| panic!("{name}: {condition:?}")).2)
        };
        assert_eq!(rule.conditions.len(), row.beside.len(), "{name}");
        if let Some((bad, good)) = row.warning {
            assert_eq!((level(rule, bad, &holds), level(rule, good, &holds)), (Level::Warning, Level::Ok), "{name}");
        }
        if let Some((bad, good)) = row.critical {
            let below = if row.warning.is_some() { Level::Warning } else { Level::Ok };
            assert_eq!((level(rule, bad, &holds), level(rule, good, &holds)), (Level::Critical, below), "{name}");
        }
        // Each condition alone, on its other side, with the value at its worst.
        for (attribute, metric, _, off) in row.beside {
            let but_one = |condition: &Condition| match condition.attribute == *attribute && condition.metric == *metric
            {
                true => Some(*off),
                false => holds(condition),
            };
            let worst = row.critical.or(row.warning).unwrap().0;
            let left = if *attribute == "and-critical" { Level::Warning } else { Level::Ok };
            assert_eq!(level(rule, worst, &but_one), left, "{name}: {attribute} {metric}");
        }
        // What was a problem ends: far on the healthy side everything is clear.
        let well = row.warning.or(row.critical).unwrap();
        let far = if well.0 > well.1 { -1.0 } else { 1e12 };
        let verdict = Judge::new(rule).beside(far, &rule.conditions, &holds);
        assert!(verdict.clear_warning && verdict.clear_critical, "{name} never ends");
    }
}

#[test]
fn every_rule_that_ships_is_in_the_table() {
    let spec = spec("<host name=\"a\" transport=\"local\"/>");
    for rule in spec.hosts[0].rules.iter() {
        let rows =
            TABLE.iter().filter(|row| rule.name == row.rule && (rule.items == ["*"] || rule.items == [row.item]));
        assert_eq!(rows.count(), 1, "{} {:?} is not in the table of tests/thresholds.rs", rule.name, rule.items);
    }
    assert_eq!(spec.hosts[0].rules.len(), TABLE.len());
}

#[test]
fn every_default_is_muted_and_changed_in_one_line() {
    for row in TABLE {
        let off = format!("<host name=\"a\" transport=\"local\"><rule metric=\"{}\" off=\"true\"/></host>", row.rule);
        assert!(fits(&spec(&off).hosts[0].rules, row).is_none(), "{}", row.rule);
        let group = format!(
            "<group name=\"g\"><rule metric=\"{}\" off=\"true\"/><host name=\"a\" transport=\"local\"/></group>",
            row.rule
        );
        assert!(fits(&spec(&group).hosts[0].rules, row).is_none(), "{}", row.rule);
        let item = if row.item.is_empty() { String::new() } else { format!("item=\"{}\"", row.item) };
        let fall =
            format!("<host name=\"a\" transport=\"local\"><rule metric=\"{}\" {item} fall=\"9\"/></host>", row.rule);
        let changed = spec(&fall);
        let rule = changed.hosts[0].rules.iter().find(|rule| rule.name == row.rule && rule.fall == 9).unwrap();
        assert_eq!(rule.warning.is_some(), row.warning.is_some(), "{}: the levels are inherited", row.rule);
    }
}

/// The shipped levels of a filesystem by its size; who writes a level means it for every size, unless a scale stands beside.
#[test]
fn the_levels_of_a_filesystem_follow_its_size() {
    let at = |rule: &RuleSpec, gib: f64, used: f64, free: f64| {
        let value = |metric: &str| if metric == "filesystem.size" { gib * GIB } else { free * GIB };
        let sized = sized(rule, |metric| Some(value(metric)));
        level(&sized, used, &|condition: &Condition| match condition.metric.as_str() {
            "filesystem.available" => Some(free * GIB),
            _ => Some(0.0),
        })
    };
    let of = |inside: &str| {
        let spec = spec(&format!("<host name=\"a\" transport=\"local\">{inside}</host>"));
        spec.hosts[0].rules.iter().find(|rule| rule.name == "filesystem.used").unwrap().clone()
    };
    let shipped = of("");
    assert_eq!((at(&shipped, 20.0, 0.8, 4.0), at(&shipped, 20.0, 0.799, 4.0)), (Level::Warning, Level::Ok));
    assert_eq!((at(&shipped, 20.0, 0.9, 2.0), at(&shipped, 20.0, 0.899, 2.0)), (Level::Critical, Level::Warning));
    // 40 GiB: 82.5 % and 91.2 %.
    assert_eq!((at(&shipped, 40.0, 0.826, 7.0), at(&shipped, 40.0, 0.824, 7.0)), (Level::Warning, Level::Ok));
    assert_eq!((at(&shipped, 40.0, 0.913, 3.5), at(&shipped, 40.0, 0.91, 3.6)), (Level::Critical, Level::Warning));
    // Of a great one it is what is left that counts.
    assert_eq!((at(&shipped, 20_480.0, 0.99, 200.0), at(&shipped, 20_480.0, 0.9996, 8.0)), (Level::Ok, Level::Warning));
    assert_eq!(at(&shipped, 20_480.0, 0.9998, 4.0), Level::Critical);
    let typed = of("<rule metric=\"filesystem.used\" warning=\"70%\" critical=\"80%\"/>");
    assert_eq!(
        (at(&typed, 20_480.0, 0.7, 6000.0), at(&typed, 20_480.0, 0.8, 4000.0)),
        (Level::Warning, Level::Critical)
    );
    let scaled = of("<rule metric=\"filesystem.used\" warning=\"80%\" critical=\"90%\" scale=\"0.8\"/>");
    assert_eq!(
        (at(&scaled, 20_480.0, 0.949, 1044.0), at(&scaled, 20_480.0, 0.95, 1024.0)),
        (Level::Ok, Level::Warning)
    );
    assert_eq!((scaled.origins["scale"].line, of("<rule metric=\"filesystem.used\" scale=\"1\"/>").scale), (1, None));
}
