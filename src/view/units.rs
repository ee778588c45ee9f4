//! Values as people read and write them: `80%`, `1.5GiB`, `5m`.

use std::time::Duration;

use crate::model::metric::{Kind, Metric, Unit};

use super::Cell;

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

/// A span as people write it: `300ms`, `90s`, `5m`, `24h`, `14d`, `2w`.
///
/// # Errors
/// A text with the forms that are known.
pub fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is not a span of time; write it as 90s, 5m, 24h, 14d or 2w");
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (count, unit) = text.split_at(at);
    let count: u64 = count.parse().map_err(|_| wrong())?;
    let size = match unit {
        "ms" => return Ok(Duration::from_millis(count)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    // A hundred years: what is longer would not fit a calendar.
    count.checked_mul(size).filter(|all| *all <= 3_155_760_000).map(Duration::from_secs).ok_or_else(wrong)
}

/// The cell for a value of a metric; a counter's values are shown as rates.
#[must_use]
pub fn cell(metric: Option<&Metric>, value: f64) -> Cell {
    let Some(metric) = metric else { return Cell::Number(value) };
    let plain = match metric.unit {
        Unit::Ratio => Cell::Ratio(value),
        Unit::Bytes => Cell::Bytes(value),
        Unit::Seconds => Cell::Seconds(value),
        Unit::Celsius => Cell::Celsius(value),
        Unit::Count => Cell::Number(value),
        Unit::BytesPerSecond => Cell::Rate(Box::new(Cell::Bytes(value))),
        Unit::PerSecond => Cell::Rate(Box::new(Cell::Number(value))),
    };
    if metric.kind == Kind::Counter { Cell::Rate(Box::new(plain)) } else { plain }
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
    fn degrees_are_shown_as_such() {
        let metric = crate::model::catalogue::find("temperature");
        assert_eq!(crate::view::table::text(&cell(metric, -12.5)), "-12.5°C");
    }

    #[test]
    fn spans_are_read_and_nonsense_is_refused() {
        assert_eq!(span("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(span("300ms"), Ok(Duration::from_millis(300)));
        for wrong in ["", "h", "5", "-5m", "5 m", "5x", "99999999999999999999d", "999999999999d", "٣d"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
