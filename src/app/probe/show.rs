//! What a person sees of a sample.

use std::fmt::Write as _;

use crate::model::catalogue;
use crate::model::sample::Sample;

/// An aligned table that fits 80 columns as long as names are of usual length.
pub fn table(sample: &Sample) -> String {
    let rows: Vec<[String; 3]> =
        sample.readings.iter().map(|r| [r.metric.clone(), cut(&r.item, 34), human(&r.metric, r.value)]).collect();
    let width =
        |column: usize, least: usize| rows.iter().map(|row| row[column].chars().count()).fold(least, usize::max);
    let (metric, item, value) = (width(0, 6), width(1, 4), width(2, 5));
    let time = sample.taken.format("%Y-%m-%d %H:%M:%S UTC");
    let mut text = format!("{} at {time}, probe {}\n\n", sample.hostname, sample.probe);
    let _ = writeln!(text, "{:<metric$}  {:<item$}  {:>value$}", "METRIC", "ITEM", "VALUE");
    for [name, of, amount] in &rows {
        let _ = writeln!(text, "{name:<metric$}  {of:<item$}  {amount:>value$}");
    }
    if !sample.faults.is_empty() {
        text.push_str("\nNot measured:\n");
        for fault in &sample.faults {
            let place = if fault.item.is_empty() { String::new() } else { format!(" {}", fault.item) };
            let _ = writeln!(text, "  {}{place}: {}: {}", fault.section, fault.kind.word(), fault.text);
        }
    }
    text
}

/// One JSON object.
pub fn json(sample: &Sample) -> String {
    let readings: Vec<_> = sample
        .readings
        .iter()
        .map(|r| serde_json::json!({"metric": r.metric, "item": r.item, "value": r.value, "unit": unit(&r.metric)}))
        .collect();
    let faults: Vec<_> = sample
        .faults
        .iter()
        .map(|f| serde_json::json!({"section": f.section, "item": f.item, "kind": f.kind.word(), "text": f.text}))
        .collect();
    let taken = sample.taken.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let value = serde_json::json!({
        "version": 1, "hostname": sample.hostname, "taken": taken, "probe": sample.probe, "boot": sample.key.boot,
        "readings": readings, "faults": faults,
    });
    format!("{value:#}\n")
}

fn unit(metric: &str) -> &'static str {
    catalogue::measured(metric).map_or("count", |metric| metric.unit.word())
}

fn human(metric: &str, value: f64) -> String {
    match unit(metric) {
        "ratio" => format!("{:.1} %", value * 100.0),
        "bytes" => bytes(value),
        "seconds" => seconds(value),
        "celsius" => format!("{value:.1} °C"),
        _ if value.fract() == 0.0 => format!("{value}"),
        _ => format!("{value:.2}"),
    }
}

fn bytes(value: f64) -> String {
    let mut value = value;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{value} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} PiB")
}

fn seconds(value: f64) -> String {
    match value {
        v if v < 1.0 => format!("{:.1} ms", v * 1000.0),
        v if v < 120.0 => format!("{v:.1} s"),
        v if v < 7200.0 => format!("{:.1} min", v / 60.0),
        v if v < 172_800.0 => format!("{:.1} h", v / 3600.0),
        v => format!("{:.1} d", v / 86_400.0),
    }
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_in_the_units_of_people() {
        assert_eq!(human("cpu.used", 0.123_46), "12.3 %");
        assert_eq!(human("memory.total", 16_777_216_000.0), "15.6 GiB");
        assert_eq!(human("uptime", 90.0), "90.0 s");
        assert_eq!(human("uptime", 864_000.0), "10.0 d");
        assert_eq!(human("probe.cpu", 0.0042), "4.2 ms");
        assert_eq!(human("process.count", 12.0), "12");
        assert_eq!(human("load.1m", 0.5), "0.50");
        assert_eq!(cut(&"ä".repeat(40), 34).chars().count(), 34);
    }
}
