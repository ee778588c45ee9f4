//! How problems are worded: labels, amounts and sparklines.

use crate::model::alert::Subject;
use crate::model::metric::Unit;
pub use crate::model::own_rule::*;
use crate::model::rule;

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

/// A value of a rule as people read it: `91.2 %`, `3.5 GiB`, `20 min`, `3 h 10 min`, `2.25`, `12 MiB/s`.
#[must_use]
pub fn amount(metric: &str, value: f64) -> String {
    const SIZES: &[(&str, f64)] =
        &[("TiB", 1_099_511_627_776.0), ("GiB", 1_073_741_824.0), ("MiB", 1_048_576.0), ("KiB", 1024.0)];
    let scaled = |steps: &[(&str, f64)], base: &str| {
        let fit = steps.iter().find(|(_, size)| value.abs() >= *size * 2.0 || value.abs() == *size);
        fit.map_or_else(|| format!("{} {base}", short(value)), |(unit, size)| format!("{} {unit}", short(value / size)))
    };
    match rule::parse(metric).map_or(Unit::Count, |(metric, kind)| kind.unit(metric)) {
        Unit::Ratio => format!("{} %", short(value * 100.0)),
        Unit::Bytes => scaled(SIZES, "B"),
        Unit::Seconds => time(value),
        Unit::Celsius => format!("{} °C", short(value)),
        Unit::Count => short(value),
        Unit::BytesPerSecond => format!("{}/s", scaled(SIZES, "B")),
        Unit::PerSecond => format!("{}/s", short(value)),
    }
}

/// A length of time: one unit where it is short, two from two hours on.
fn time(value: f64) -> String {
    const LONG: &[(&str, f64, &str, f64)] = &[("d", 86_400.0, "h", 3600.0), ("h", 3600.0, "min", 60.0)];
    let Some((unit, size, next, part)) = LONG.iter().find(|(_, size, _, _)| value.abs() >= size * 2.0) else {
        return match value.abs() {
            // A minute and an hour are round; one and a half are not.
            3600.0 => "1 h".to_owned(),
            size if size >= 120.0 || size == 60.0 => format!("{} min", short(value / 60.0)),
            size if size >= 1.0 || size == 0.0 => format!("{} s", short(value)),
            _ => format!("{} ms", short(value * 1000.0)),
        };
    };
    let parts = (value.abs() / part).round();
    let (whole, rest) = ((parts * part / size).floor(), parts % (size / part));
    let sign = if value < 0.0 { "-" } else { "" };
    if rest == 0.0 { format!("{sign}{whole} {unit}") } else { format!("{sign}{whole} {unit} {rest} {next}") }
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
        assert_eq!(amount("filesystem.full-in", 11_400.0), "3 h 10 min");
        assert_eq!(amount("filesystem.full-in", 86_400.0), "24 h");
        assert_eq!(amount("filesystem.full-in", 200_000.0), "2 d 8 h");
        assert_eq!(amount("probe.cpu", 0.0125), "12.5 ms");
        assert_eq!(amount("network.receive.bytes", 2_097_152.0), "2 MiB/s");
        assert_eq!(amount("network.receive.bytes.absent", 600.0), "10 min");
        assert_eq!(amount("cpu.seconds", 0.5), "50 %");
        assert_eq!(amount("swap.in.rate", 12.5), "12.5/s");
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
