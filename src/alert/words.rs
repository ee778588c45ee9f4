//! How problems are worded: labels, amounts and sparklines.

use crate::model::alert::Subject;
use crate::model::catalogue;
use crate::model::metric::Unit;

/// The rule for hosts that cannot be collected.
pub const UNREACHABLE: &str = "unreachable";
/// The rule for hosts of which no sample arrives.
pub const SILENT: &str = "host.silent";
/// The rule for hosts that answer with old samples only.
pub const PROBE_STALE: &str = "probe-stale";
/// The rule for hosts whose clock is wrong.
pub const CLOCK_SKEW: &str = "clock-skew";
/// The rule of the fleet for many hosts that fail at once.
pub const MASS: &str = "mass-unreachable";
/// The rule of the fleet for a collector that does not run.
pub const STALLED: &str = "collector-stalled";
/// The rule of the fleet for mailboxes that refuse.
pub const UNDELIVERABLE: &str = "mail-undeliverable";
/// Rules that no configuration names thresholds for.
pub const BUILT_IN: &[&str] = &[UNREACHABLE, PROBE_STALE, CLOCK_SKEW, MASS, STALLED, UNDELIVERABLE];

/// Short names that people use; other rules go by their own.
const LABELS: &[(&str, &str)] = &[
    ("cpu.used", "cpu"),
    ("memory.used", "memory"),
    ("swap.used", "swap"),
    ("filesystem.used", "disk"),
    ("filesystem.inodes.used", "inodes"),
    ("filesystem.readonly", "read-only"),
    ("load.per-core", "load"),
    (SILENT, "silent"),
];

/// `disk` for `filesystem.used`.
#[must_use]
pub fn label(rule: &str) -> &str {
    LABELS.iter().find(|(name, _)| *name == rule).map_or(rule, |(_, label)| label)
}

/// `web01 disk /var`; `fleet collector-stalled` for what is no host's.
#[must_use]
pub fn name(subject: &Subject) -> String {
    let host = if subject.host.is_empty() { "fleet" } else { &subject.host };
    let text = format!("{host} {} {}", label(&subject.rule), subject.item);
    text.trim_end().to_owned()
}

/// A value as people read it: `91.2 %`, `3.5 GiB`, `20 min`, `2.25`.
#[must_use]
pub fn amount(metric: &str, value: f64) -> String {
    const SIZES: &[(&str, f64)] =
        &[("TiB", 1_099_511_627_776.0), ("GiB", 1_073_741_824.0), ("MiB", 1_048_576.0), ("KiB", 1024.0)];
    const TIMES: &[(&str, f64)] = &[("d", 86400.0), ("h", 3600.0), ("min", 60.0)];
    let scaled = |steps: &[(&str, f64)], base: &str| {
        let fit = steps
            .iter()
            .find(|(_, size)| value.abs() >= *size * 2.0)
            .or(steps.iter().find(|(_, size)| value.abs() == *size));
        fit.map_or_else(|| format!("{} {base}", short(value)), |(unit, size)| format!("{} {unit}", short(value / size)))
    };
    match catalogue::find(metric).map_or(Unit::Count, |metric| metric.unit) {
        Unit::Ratio => format!("{} %", short(value * 100.0)),
        Unit::Bytes => scaled(SIZES, "B"),
        Unit::Seconds => scaled(TIMES, "s"),
        Unit::Count => short(value),
    }
}

/// At most two digits after the point, none where they are zeros.
fn short(value: f64) -> String {
    let digits = if value.abs() >= 10.0 { 1 } else { 2 };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The values as a line of bars, least to greatest; a flat line where they are all the same.
#[must_use]
pub fn sparkline(values: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (least, most) = finite().fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)));
    let bar = |value: f64| {
        let share = if most > least { (value - least) / (most - least) } else { 0.5 };
        let index = (share * 7.0).round().clamp(0.0, 7.0);
        BARS.get(index as usize).copied().unwrap_or('▁')
    };
    finite().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_fit_their_unit() {
        assert_eq!(amount("cpu.used", 0.912), "91.2 %");
        assert_eq!(amount("cpu.used", 1.0), "100 %");
        assert_eq!(amount("memory.available", 3.5 * 1_073_741_824.0), "3.5 GiB");
        assert_eq!(amount("host.silent", 1200.0), "20 min");
        assert_eq!(amount("load.1m", 2.25), "2.25");
    }

    #[test]
    fn names_and_bars() {
        let subject = Subject { host: "web01".into(), rule: "filesystem.used".into(), item: "/var".into() };
        assert_eq!(name(&subject), "web01 disk /var");
        assert_eq!(sparkline(&[0.0, 0.5, 1.0]), "▁▅█");
        assert_eq!(sparkline(&[1.0, 1.0, f64::NAN]), "▅▅");
        assert_eq!(sparkline(&[]), "");
    }
}
