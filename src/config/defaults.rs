//! The rules that ship: what holds where the configuration says nothing (design/metrics.md has the reasons).

use std::time::Duration;

use super::raw::{Rule, Typed};
use super::report::At;
use super::units;
use crate::model::catalogue;

/// One rule in the words of config.xml; empty: not given.
struct Shipped {
    metric: &'static str,
    warning: &'static str,
    critical: &'static str,
    hold: &'static str,
    item: &'static str,
    not_item: &'static str,
}

const fn rule(
    metric: &'static str,
    warning: &'static str,
    critical: &'static str,
    hold: &'static str,
    item: &'static str,
    not_item: &'static str,
) -> Shipped {
    Shipped { metric, warning, critical, hold, item, not_item }
}

const SHIPPED: &[Shipped] = &[
    rule("cpu.used", "90%", "97%", "10m", "", ""),
    rule("memory.used", "90%", "95%", "5m", "", ""),
    rule("swap.used", "80%", "95%", "", "", ""),
    rule("filesystem.used", "80%", "90%", "", "", "/snap/* /run/*"),
    rule("filesystem.inodes.used", "90%", "95%", "", "", ""),
    rule("load.per-core", "2", "5", "10m", "", ""),
    rule("process.zombies", "10", "50", "", "", ""),
    rule("pressure.full", "5%", "20%", "", "memory", ""),
    rule("pressure.full", "20%", "50%", "", "io", ""),
    rule("pressure.some", "50%", "", "10m", "cpu", ""),
    rule("check.ok", "", "0", "", "", ""),
    rule("check.unknown", "1", "", "", "", ""),
    rule("nagios.warning", "1", "", "", "", ""),
    rule("http.certificate.left", "21d", "7d", "", "", ""),
    rule("accesslog.errors", "2%", "5%", "5m", "", ""),
    rule("redis.clients.used", "80%", "90%", "", "", ""),
    rule("redis.persistence.ok", "", "0", "", "", ""),
    rule("redis.replication.ok", "", "0", "", "", ""),
    rule("postgres.connections.used", "80%", "90%", "", "", ""),
    rule("postgres.hit-ratio", "60%", "50%", "10m", "", ""),
    rule("postgres.locks.waiting", "20", "", "", "", ""),
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
    let level = |text: &str| units::level(text, metric).ok().map(Typed::built_in);
    let words = |text: &str| (!text.is_empty()).then(|| Typed::built_in(units::words(text)));
    let mut rule = Rule::blank(metric, At::BUILT_IN);
    rule.warning = level(shipped.warning);
    rule.critical = level(shipped.critical);
    rule.hold = units::duration(shipped.hold).ok().map(Typed::built_in);
    rule.items = words(shipped.item);
    rule.not_items = words(shipped.not_item);
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
            assert_eq!(rule.hold.is_some(), !shipped.hold.is_empty(), "{}", shipped.metric);
        }
    }
}
