//! The rules that ship: what holds where the configuration says nothing (design/metrics.md has the reasons).

use std::time::Duration;

use super::raw::{Rule, Typed};
use super::report::At;
use super::rule::{CONDITIONS, below_free, condition};

use crate::model::amount;
use crate::model::catalogue;

/// One rule in the words of config.xml; empty: not given.
struct Shipped {
    metric: &'static str,
    warning: &'static str,
    critical: &'static str,
    hold: &'static str,
    item: &'static str,
    not_item: &'static str,
    scale: &'static str,
    /// In the order of [`CONDITIONS`].
    conditions: [&'static str; 4],
}

const fn rule(metric: &'static str, warning: &'static str, critical: &'static str) -> Shipped {
    Shipped { metric, warning, critical, hold: "", item: "", not_item: "", scale: "", conditions: [""; 4] }
}

impl Shipped {
    const fn hold(self, hold: &'static str) -> Self {
        Self { hold, ..self }
    }
    /// What happened is told when it is seen: no second sample can confirm it.
    const fn at_once(self) -> Self {
        self.hold("0s")
    }
    const fn item(self, item: &'static str) -> Self {
        Self { item, ..self }
    }
    const fn not_item(self, not_item: &'static str) -> Self {
        Self { not_item, ..self }
    }
    const fn scale(self, scale: &'static str) -> Self {
        Self { scale, ..self }
    }
    const fn and(self, condition: &'static str) -> Self {
        let [_, free, critical, unless] = self.conditions;
        Self { conditions: [condition, free, critical, unless], ..self }
    }
    const fn and_below_free(self, free: &'static str) -> Self {
        let [and, _, critical, unless] = self.conditions;
        Self { conditions: [and, free, critical, unless], ..self }
    }
    const fn and_critical(self, condition: &'static str) -> Self {
        let [and, free, _, unless] = self.conditions;
        Self { conditions: [and, free, condition, unless], ..self }
    }
    const fn unless(self, condition: &'static str) -> Self {
        let [and, free, critical, _] = self.conditions;
        Self { conditions: [and, free, critical, condition], ..self }
    }
}

const SHIPPED: &[Shipped] = &[
    rule("cpu.used", "90%", "97%").hold("10m").and_critical("pressure.some[cpu] 50%"),
    rule("cpu.share", "40%", "").hold("15m").item("iowait"),
    rule("cpu.share", "10%", "25%").hold("20m").item("steal"),
    rule("load.per-core", "2", "5").hold("10m"),
    rule("memory.used", "90%", "95%").hold("5m"),
    rule("memory.ecc.uncorrected.increase", "", "1").at_once(),
    rule("swap.used", "80%", "95%").and("swap.in.rate 100/s"),
    rule("vm.oom-kills.increase", "1", "").at_once(),
    rule("vm.major-faults.rate", "500/s", "").hold("15m"),
    rule("filesystem.used", "80%", "90%")
        .not_item("/snap/* /run/*")
        .and_below_free("10GiB")
        .and_critical("filesystem.available 5GiB")
        .scale("0.8")
        .unless("filesystem.readonly 1"),
    rule("filesystem.inodes.used", "90%", "95%").unless("filesystem.readonly 1"),
    rule("filesystem.full-in", "24h", "4h").and("filesystem.used 60%").and_critical("filesystem.used 80%"),
    rule("filesystem.inodes.full-in", "24h", "4h")
        .and("filesystem.inodes.used 60%")
        .and_critical("filesystem.inodes.used 80%"),
    rule("filesystem.hung", "", "1"),
    rule("disk.read.await", "50ms", "100ms").hold("15m"),
    rule("disk.write.await", "50ms", "100ms").hold("15m"),
    rule("disk.utilization", "95%", "").hold("15m"),
    rule("disk.dead", "", "1").at_once(),
    rule("disk.smart.failed", "", "1").at_once(),
    rule("disk.smart.critical", "", "1").at_once(),
    rule("disk.wear", "80%", "95%"),
    rule("disk.spare.alarm", "1", "2"),
    rule("raid.degraded", "", "1").at_once(),
    rule("raid.inactive", "", "1").at_once(),
    rule("pool.alarm", "", "1").at_once(),
    rule("lvm.used", "80%", "95%"),
    rule("lvm.metadata.used", "80%", "95%"),
    rule("lvm.alarm", "1", "2").at_once(),
    rule("multipath.failed", "1", ""),
    rule("temperature.alarm", "1", "2"),
    rule("fan.alarm", "1", ""),
    rule("ipmi.alarm", "1", "2"),
    rule("network.errors.ratio", "0.1%", ""),
    rule("network.drops.ratio", "1%", ""),
    rule("network.carrier-changes.increase", "2", ""),
    rule("conntrack.used", "75%", "90%"),
    rule("tcp.listen.overflows.increase", "1", ""),
    rule("pressure.full", "5%", "20%").hold("10m").item("memory"),
    rule("pressure.full", "20%", "50%").hold("10m").item("io"),
    rule("pressure.some", "50%", "").hold("10m").item("cpu"),
    rule("files.used", "70%", "90%"),
    rule("cgroup.memory.used", "90%", ""),
    rule("cgroup.oom-kills.increase", "1", "").at_once(),
    rule("container.alarm", "2", ""),
    rule("kernel.hung-tasks.increase", "1", "").at_once(),
    rule("kernel.machine-checks.increase", "1", "").at_once(),
    rule("process.zombies", "10", "50"),
    rule("process.blocked.longest", "5m", ""),
    rule("process.threads.used", "80%", "90%"),
    rule("process.pids.used", "80%", "90%"),
    rule("process.files.used", "80%", "90%"),
    rule("systemd.unit.failed", "1", ""),
    rule("systemd.unit.restarts.recent", "3", "").at_once(),
    rule("time.synchronized", "0", "").hold("30m"),
    rule("time.offset", "100ms", "500ms"),
    rule("certificate.remaining", "21d", "7d"),
    rule("reboot.required.seconds", "7d", ""),
    rule("host.support.remaining", "30d", ""),
    rule("check.ok", "", "0"),
    rule("check.unknown", "1", ""),
    rule("certificate.watched.remaining", "21d", "7d"),
    rule("http.certificate.left", "21d", "7d"),
    // Under 120 requests a minute one bad answer is a large share of nothing.
    rule("accesslog.errors", "2%", "5%").hold("10m").and("accesslog.requests 2/s"),
    rule("accesslog.success", "85%", "75%").hold("10m").and("accesslog.requests 2/s"),
    rule("postgres.connections.used", "80%", "90%"),
    rule("postgres.hit-ratio", "60%", "50%").hold("10m"),
    rule("postgres.locks.used", "20%", ""),
    rule("postgres.locks.waiting", "20", ""),
    rule("postgres.deadlocks.increase", "10", "").at_once(),
    rule("nagios.warning", "1", ""),
    rule("redis.memory.used", "90%", ""),
    rule("redis.clients.used", "80%", "90%"),
    rule("redis.rejected.increase", "1", "").at_once(),
    rule("redis.persistence.ok", "", "0"),
    rule("redis.replication.ok", "", "0"),
];

/// The rules that ship, for sweeps that far apart.
pub(super) fn rules(interval: Duration) -> Vec<Rule> {
    let mut rules: Vec<Rule> = SHIPPED.iter().filter_map(build).collect();
    if let Some(metric) = catalogue::find("host.silent") {
        let mut silent = Rule::blank(metric, At::BUILT_IN);
        silent.warning = Some(Typed::built_in(interval.as_secs_f64() * 2.0));
        silent.critical = Some(Typed::built_in(interval.as_secs_f64() * 4.0));
        // Silence has lasted already when it is seen: no second sample can confirm it.
        silent.hold = Some(Typed::built_in(Duration::ZERO));
        rules.push(silent);
    }
    rules
}

fn build(shipped: &Shipped) -> Option<Rule> {
    let metric = catalogue::find(shipped.metric)?;
    let words = |text: &str| (!text.is_empty()).then(|| Typed::built_in(amount::words(text)));
    let mut rule = Rule::blank(metric, At::BUILT_IN);
    let unit = rule.unit();
    let level = |text: &str| amount::level(text, metric.name, unit).ok().map(Typed::built_in);
    rule.warning = level(shipped.warning);
    rule.critical = level(shipped.critical);
    rule.hold = amount::duration(shipped.hold).ok().map(Typed::built_in);
    rule.items = words(shipped.item);
    rule.not_items = words(shipped.not_item);
    rule.scale = amount::share(shipped.scale).ok().map(Typed::built_in);
    for ((place, text), (name, role)) in rule.conditions.iter_mut().zip(shipped.conditions).zip(CONDITIONS) {
        let made =
            if name == "and-below-free" { below_free(text, metric) } else { condition(text, metric, name, role) };
        *place = made.ok().map(|condition| Typed::built_in(Some(condition)));
    }
    Some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_rule_can_be_built() {
        let rules = rules(Duration::from_secs(300));
        assert_eq!(rules.len(), SHIPPED.len() + 1);
        for (rule, shipped) in rules.iter().zip(SHIPPED) {
            assert_eq!(rule.warning.is_some(), !shipped.warning.is_empty(), "{}", shipped.metric);
            assert_eq!(rule.critical.is_some(), !shipped.critical.is_empty(), "{}", shipped.metric);
            assert_eq!(rule.scale.is_some(), !shipped.scale.is_empty(), "{}", shipped.metric);
            assert_eq!(rule.hold.is_some(), !shipped.hold.is_empty(), "{}", shipped.metric);
            for (made, text) in rule.conditions.iter().zip(shipped.conditions) {
                assert_eq!(made.is_some(), !text.is_empty(), "{}: {text}", shipped.metric);
            }
        }
    }
}
