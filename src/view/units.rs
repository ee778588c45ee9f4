//! Values as people read and write them: `80%`, `1.5GiB`, `5m`.

use std::time::Duration;

pub use crate::model::figure::{bytes, counted, number, ratio, seconds};
use crate::model::metric::{Kind, Metric, Unit};

use super::Cell;

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
