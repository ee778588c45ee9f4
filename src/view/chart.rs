//! A curve in letters: each holds two by four dots of braille, so that a small terminal shows a day in some detail.

use crate::model::fleet::Point;
use crate::model::metric::{Metric, Unit};

/// Bits of the dots of a letter, column by column from the top.
const DOTS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
/// The letter without dots, which is drawn as a space.
const BLANK: u32 = 0x2800;

/// Least and greatest value of the scale for these points: from 0 where nothing is below, shares at least up to 1.
#[must_use]
pub fn scale(metric: Option<&Metric>, points: &[Option<Point>], limits: &[f64]) -> (f64, f64) {
    let known = || points.iter().flatten();
    let least = known().map(|point| point.min).fold(0.0, f64::min);
    let greatest = known().map(|point| point.max).fold(f64::NEG_INFINITY, f64::max);
    // A threshold that lies far above would press the curve flat.
    let near = limits.iter().copied().filter(|limit| *limit <= greatest * 2.0).fold(greatest, f64::max);
    let unit = metric.map(|metric| metric.unit);
    let greatest = match unit {
        Some(Unit::Ratio) => near.max(1.0),
        Some(Unit::Bytes | Unit::BytesPerSecond) => round_up(near, 1024.0),
        _ => round_up(near, 1000.0),
    };
    let low = if least < 0.0 { -round_up(-least, 1000.0) } else { 0.0 };
    (low, if greatest > low { greatest } else { low + 1.0 })
}

/// The next of 1, 2, 5, 10, 20, 50 ... of a thousand's (or 1024's) power.
fn round_up(value: f64, thousand: f64) -> f64 {
    if !(value.is_finite() && value > 0.0) {
        return 0.0;
    }
    let power = thousand.powf(value.log(thousand).floor());
    let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, thousand];
    steps.iter().map(|step| step * power).find(|step| *step >= value * (1.0 - 1e-9)).unwrap_or(value)
}

/// The row of a value, from the top, in a chart of `rows` letters; `None` outside of the scale.
#[must_use]
pub fn row(value: f64, (low, high): (f64, f64), rows: usize) -> Option<usize> {
    let dot = place(value, low, high, rows * 4)?;
    Some((rows * 4 - 1 - dot) / 4)
}

/// The dot of a value, from the bottom.
fn place(value: f64, low: f64, high: f64, dots: usize) -> Option<usize> {
    let share = (value - low) / (high - low);
    ((-1e-9..=1.0 + 1e-9).contains(&share) && dots > 0).then(|| ((share * (dots - 1) as f64).round() as usize).min(dots - 1))
}

/// The curve, a text of `width` letters for each of `rows`, from the top. The points are spans of equal length; where
/// one is missing there is a gap, but for a single one that came a little late.
#[must_use]
pub fn curve(points: &[Option<Point>], scale: (f64, f64), width: usize, rows: usize) -> Vec<String> {
    let (low, high) = scale;
    let (columns, dots) = (width * 2, rows * 4);
    let mut cells = vec![BLANK; width * rows];
    let at = |value: f64| place(value.clamp(low, high), low, high, dots).unwrap_or(0);
    let full = |n: usize| points.get(n).copied().flatten();
    let shown = |n: usize| {
        let late = n > 0 && full(n + 1).is_some();
        full(n).or_else(|| if late { full(n - 1) } else { None })
    };
    let mut before: Option<usize> = None;
    for column in 0..columns {
        let Some(point) = shown(column * points.len() / columns) else {
            before = None;
            continue;
        };
        let (mut from, mut to) = (at(point.min), at(point.max));
        // From one mean to the next without a hole.
        if let Some(before) = before {
            let mean = at(point.mean);
            (from, to) = (from.min(before.min(mean)), to.max(before.max(mean)));
        }
        before = Some(at(point.mean));
        for dot in from..=to {
            let (row, bit) = ((dots - 1 - dot) / 4, (dots - 1 - dot) % 4);
            if let Some(cell) = cells.get_mut(row * width + column / 2) {
                *cell |= DOTS[column % 2][bit];
            }
        }
    }
    let letter = |bits: &u32| char::from_u32(*bits).filter(|_| *bits != BLANK).unwrap_or(' ');
    cells.chunks(width.max(1)).map(|row| row.iter().map(letter).collect()).collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::catalogue;

    fn points(values: &[Option<f64>]) -> Vec<Option<Point>> {
        let at = DateTime::from_timestamp(0, 0).unwrap();
        values.iter().map(|value| value.map(|value| Point::new(at, value))).collect()
    }

    #[test]
    fn a_curve_goes_up_and_keeps_its_gaps() {
        let rising = points(&[Some(0.0), Some(1.0), Some(2.0), Some(3.0)]);
        assert_eq!(curve(&rising, (0.0, 3.0), 2, 1), ["⣠⠞"]);
        let gap = points(&[Some(1.0), None, None, Some(1.0)]);
        assert_eq!(curve(&gap, (0.0, 1.0), 2, 1), ["⠁⠈"]);
        let late = points(&[Some(1.0), None, Some(1.0), Some(1.0)]);
        assert_eq!(curve(&late, (0.0, 1.0), 2, 1), ["⠉⠉"]);
        assert_eq!(curve(&[], (0.0, 1.0), 2, 2), ["  ", "  "]);
        assert!(curve(&rising, (0.0, 3.0), 0, 0).is_empty());
    }

    #[test]
    fn scales_end_at_round_values() {
        let cpu = catalogue::find("cpu.used");
        assert_eq!(scale(cpu, &points(&[Some(0.2)]), &[0.9]), (0.0, 1.0));
        let bytes = catalogue::find("memory.total");
        assert_eq!(scale(bytes, &points(&[Some(3.0 * 1024.0)]), &[]), (0.0, 5.0 * 1024.0));
        assert_eq!(scale(None, &points(&[Some(1.3)]), &[]), (0.0, 2.0));
        assert_eq!(scale(None, &points(&[Some(1.3)]), &[2.5]), (0.0, 5.0));
        assert_eq!(scale(None, &points(&[Some(1.3)]), &[90.0]), (0.0, 2.0));
        assert_eq!(scale(None, &points(&[Some(-12.0), Some(4.0)]), &[]), (-20.0, 5.0));
        assert_eq!(scale(None, &points(&[Some(0.0)]), &[]), (0.0, 1.0));
        assert_eq!(row(1.0, (0.0, 1.0), 5), Some(0));
        assert_eq!((row(0.0, (0.0, 1.0), 5), row(2.0, (0.0, 1.0), 5)), (Some(4), None));
    }
}
