//! Values in the units of people.

use crate::model::catalogue;

/// The word of a metric's unit.
pub fn unit(metric: &str) -> &'static str {
    catalogue::measured(metric).map_or("count", |metric| metric.unit.word())
}

/// A value as people read it.
pub fn human(metric: &str, value: f64) -> String {
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
        // Small ones as they are: a packet of 1,500 bytes is not of 1.5 KiB.
        if unit == "B" && value < 10_000.0 && value.fract() == 0.0 {
            return format!("{value} B");
        }
        if value < 1024.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} PiB")
}

fn seconds(value: f64) -> String {
    match value {
        0.0 => "0 s".to_owned(),
        v if v < 1.0 => format!("{:.1} ms", v * 1000.0),
        v if v < 120.0 => format!("{v:.1} s"),
        v if v < 7200.0 => format!("{:.1} min", v / 60.0),
        v if v < 172_800.0 => format!("{:.1} h", v / 3600.0),
        v => format!("{:.1} d", v / 86_400.0),
    }
}

/// At most so many characters; what was cut shows as a mark.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most - 1).collect();
    short.push('…');
    short
}

/// Likewise, of a path or another name that says more at its ends than within.
pub fn shortened(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let end = most / 2;
    let first = text.chars().take(most - 1 - end);
    first.chain(['…']).chain(text.chars().skip(length - end)).collect()
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
        assert_eq!((human("network.mtu", 1500.0), human("uptime", 0.0)), ("1500 B".to_owned(), "0 s".to_owned()));
        assert_eq!(human("memory.total", 10_240.0), "10.0 KiB");
        assert_eq!((shortened("/srv/one/two/data", 10), shortened("/srv", 4)), ("/srv…/data".into(), "/srv".into()));
        assert_eq!(shortened(&"ä".repeat(40), 35).chars().count(), 35);
    }
}
