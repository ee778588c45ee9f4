//! Values as people read them: `80%`, `1.5GiB`, `5m`.

use super::metric::{Kind, Metric, Unit};

const STEPS: &[(&str, f64)] = &[("d", 86_400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];

/// A number with three digits that matter, and no zeros at its end.
#[must_use]
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(0.001..1e15).contains(&size) {
        return format!("{value:.2e}");
    }
    let digits = if size >= 100.0 || size == 0.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else {
        3
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// `1 host`, `5 hosts`.
#[must_use]
pub fn counted<T: std::fmt::Display + PartialEq + From<u8>>(count: T, what: &str) -> String {
    let s = if count == T::from(1) { "" } else { "s" };
    format!("{count} {what}{s}")
}

/// `85%`; under ten percent with one digit after the point.
#[must_use]
pub fn ratio(value: f64) -> String {
    let percent = value * 100.0;
    if percent.abs() < 9.95 && percent != 0.0 {
        return format!("{}%", format!("{percent:.1}").trim_end_matches(".0"));
    }
    format!("{percent:.0}%")
}

/// `512B`, `1.5GiB`.
#[must_use]
pub fn bytes(value: f64) -> String {
    let mut rest = value;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if rest.abs() < 1023.5 {
            return format!("{}{unit}", number(rest));
        }
        rest /= 1024.0;
    }
    format!("{}PiB", number(rest))
}

/// `300ms`, `20s`, `5m`, `4h`, `14d`: the largest unit that fits at least twice (days: once), rounded down.
#[must_use]
pub fn seconds(value: f64) -> String {
    if value.abs() < 1.0 && value != 0.0 {
        return format!("{}ms", number(value * 1000.0));
    }
    for &(unit, size) in STEPS {
        let fits = if unit == "s" { 0.0 } else { 2.0 * size };
        if value.abs() >= fits {
            return format!("{:.0}{unit}", (value / size).trunc());
        }
    }
    number(value)
}

/// A value of a metric in its unit; a counter's values are shown as rates, those of an unknown metric as they are.
#[must_use]
pub fn of(metric: Option<&Metric>, value: f64) -> String {
    let Some(metric) = metric else { return number(value) };
    let plain = match metric.unit {
        Unit::Ratio => ratio(value),
        Unit::Bytes | Unit::BytesPerSecond => bytes(value),
        Unit::Seconds => seconds(value),
        Unit::Celsius => format!("{}°C", number(value)),
        Unit::Count | Unit::PerSecond => number(value),
    };
    let rate = metric.kind == Kind::Counter || matches!(metric.unit, Unit::BytesPerSecond | Unit::PerSecond);
    if rate { format!("{plain}/s") } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_people_write_them() {
        assert_eq!((ratio(0.853).as_str(), ratio(0.0312).as_str(), ratio(0.0).as_str()), ("85%", "3.1%", "0%"));
        assert_eq!((bytes(512.0).as_str(), bytes(1_610_612_736.0).as_str()), ("512B", "1.5GiB"));
        assert_eq!(seconds(0.3), "300ms");
        assert_eq!((seconds(20.0).as_str(), seconds(119.0).as_str(), seconds(150.0).as_str()), ("20s", "119s", "2m"));
        assert_eq!((seconds(14400.0).as_str(), seconds(1_209_600.0).as_str()), ("4h", "14d"));
        assert_eq!((number(2.0).as_str(), number(1234.5).as_str(), number(0.25).as_str()), ("2", "1234", "0.25"));
        assert_eq!(number(100.0), "100");
    }

    #[test]
    fn a_value_carries_its_unit() {
        let said = |name: &str, value: f64| of(crate::model::catalogue::find(name), value);
        assert_eq!(said("temperature", -12.5), "-12.5°C");
        assert_eq!((said("cpu.used", 0.5).as_str(), said("network.receive.rate", 2048.0).as_str()), ("50%", "2KiB/s"));
        assert_eq!(
            (said("network.receive.bytes", 2048.0).as_str(), said("nobody.knows", 3.0).as_str()),
            ("2KiB/s", "3")
        );
    }
}
