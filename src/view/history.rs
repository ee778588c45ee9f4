//! One metric of one host over time: a line of bars, and a table of points.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::fleet::{Point, Series, Steps};
use crate::model::metric::Metric;

use super::units::cell;
use super::{Cell, Column, Page, Place, column};

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

const COLUMNS: &[Column] = &[
    column("item", "ITEM", Place::Left),
    column("at", "TIME (UTC)", Place::Left),
    column("min", "MIN", Place::Right),
    column("mean", "MEAN", Place::Right),
    column("max", "MAX", Place::Right),
];

const SUMMARY: &[Column] = &[
    column("item", "ITEM", Place::Left),
    column("points", "POINTS", Place::Right),
    column("min", "MIN", Place::Right),
    column("mean", "MEAN", Place::Right),
    column("max", "MAX", Place::Right),
    column("last", "LAST", Place::Right),
];

/// All points, for programs.
#[must_use]
pub fn points(metric: Option<&Metric>, series: &[Series]) -> Page {
    let row = |item: &str, point: &Point| {
        let value = |value: f64| cell(metric, value);
        vec![Cell::Text(item.to_owned()), Cell::Time(point.at), value(point.min), value(point.mean), value(point.max)]
    };
    let rows = series.iter().flat_map(|series| series.points.iter().map(move |point| row(&series.item, point)));
    Page { columns: COLUMNS, rows: rows.collect() }
}

/// One row an item: least, mean, greatest and last value.
#[must_use]
pub fn summary(metric: Option<&Metric>, series: &[Series]) -> Page {
    let row = |series: &Series| {
        let (least, mean, greatest) = extent(&series.points, Steps::of(&series.points))?;
        let last = series.points.last()?.mean;
        let mut row = vec![Cell::Text(series.item.clone()), Cell::Number(series.points.len() as f64)];
        row.extend([least, mean, greatest, last].map(|value| cell(metric, value)));
        Some(row)
    };
    Page { columns: SUMMARY, rows: series.iter().filter_map(row).collect() }
}

/// For people: without the column of items where none has a name.
#[must_use]
pub fn itemless(mut page: Page) -> Page {
    let unnamed = |row: &Vec<Cell>| matches!(row.first(), Some(Cell::Text(item)) if item.is_empty());
    if page.rows.iter().all(unnamed) {
        page.columns = page.columns.get(1..).unwrap_or_default();
        page.rows.iter_mut().for_each(|row| drop(row.drain(..1)));
    }
    page
}

/// The points of `[since, until)` merged into at most `count` spans of equal length; an empty span is `None`.
#[must_use]
pub fn buckets(points: &[Point], since: DateTime<Utc>, until: DateTime<Utc>, count: usize) -> Vec<Option<Point>> {
    let count = count.max(1);
    let whole = (until - since).num_milliseconds().max(1) as f64;
    let mut filled: Vec<Vec<Point>> = vec![Vec::new(); count];
    for point in points.iter().filter(|point| point.at >= since && point.at < until) {
        filled[place(point.at, (since, until), count)].push(*point);
    }
    let start = |i: usize| since + TimeDelta::milliseconds((whole * i as f64 / count as f64) as i64);
    let steps = Steps::of(points);
    let merge = |(i, points): (usize, Vec<Point>)| {
        let all = extent(&points, steps);
        all.map(|(min, mean, max)| Point { at: start(i), min, mean, max, boot: false, hour: false })
    };
    filled.into_iter().enumerate().map(merge).collect()
}

/// A line of at most `most` bars over `[since, until)`.
#[must_use]
pub fn line(
    metric: Option<&Metric>,
    points: &[Point],
    (since, until): (DateTime<Utc>, DateTime<Utc>),
    most: usize,
) -> String {
    let mut spans = buckets(points, since, until, fitting(points, since, until, most));
    let (steps, count) = (Steps::of(points), spans.len());
    // Beside samples a span may be a few minutes: an hour speaks for all of its own, and is no hole.
    for hour in points.iter().filter(|point| point.hour && point.at >= since && point.at < until) {
        let from = place(hour.at, (since, until), count);
        let end = hour.at.checked_add_signed(steps.step(hour) - TimeDelta::milliseconds(1)).unwrap_or(until);
        let to = place(end, (since, until), count);
        let known = spans.get(from).copied().flatten();
        for span in spans.get_mut(from..=to).unwrap_or_default() {
            *span = span.or(known);
        }
    }
    bars(metric, &spans)
}

/// Which of the spans a moment belongs to.
fn place(at: DateTime<Utc>, (since, until): (DateTime<Utc>, DateTime<Utc>), count: usize) -> usize {
    let whole = (until - since).num_milliseconds().max(1) as f64;
    let share = (at - since).num_milliseconds() as f64 / whole;
    ((share * count as f64) as usize).min(count.saturating_sub(1))
}

/// How many spans suit the points: one for each usual step between two points, at most `most`.
fn fitting(points: &[Point], since: DateTime<Utc>, until: DateTime<Utc>, most: usize) -> usize {
    let step = usual(points).num_milliseconds().max(1);
    usize::try_from((until - since).num_milliseconds() / step).unwrap_or(0).clamp(1, most.max(1))
}

/// The usual step between two points: the one in the middle of all; none of one point.
fn usual(points: &[Point]) -> TimeDelta {
    let mut steps: Vec<TimeDelta> = points.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied().unwrap_or_default()
}

/// A line of bars, the greatest mean as high as a line allows; a gap where nothing was measured. Ratios are drawn
/// from 0 to 1, so that two hosts can be compared by eye.
fn bars(metric: Option<&Metric>, points: &[Option<Point>]) -> String {
    let ratio = metric.is_some_and(|metric| metric.unit == crate::model::metric::Unit::Ratio);
    let top = points.iter().flatten().map(|point| point.mean).fold(0.0, f64::max);
    let top = if ratio { top.max(1.0) } else { top };
    let bar = |point: &Option<Point>| match point {
        None => ' ',
        Some(point) if top > 0.0 => BARS[((point.mean / top * 8.0) as usize).min(7)],
        Some(_) => BARS[0],
    };
    let full = |i: usize| points.get(i).is_some_and(Option::is_some);
    let shown = |(i, point): (usize, &Option<Point>)| {
        // One empty span between two full ones is a sample that came a little late.
        let late = point.is_none() && i > 0 && full(i - 1) && full(i + 1);
        bar(if late { &points[i - 1] } else { point })
    };
    points.iter().enumerate().map(shown).collect()
}

/// Least, mean and greatest; the steps are those of the series that the points are of.
fn extent(points: &[Point], steps: Steps) -> Option<(f64, f64, f64)> {
    let mean = steps.mean(points)?;
    let min = points.iter().map(|point| point.min).fold(f64::INFINITY, f64::min);
    let max = points.iter().map(|point| point.max).fold(f64::NEG_INFINITY, f64::max);
    Some((min, mean, max))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }

    fn series(values: &[(i64, f64)]) -> Vec<Series> {
        let point = |&(second, v): &(i64, f64)| Point::new(at(second), v);
        vec![Series { item: String::new(), points: values.iter().map(point).collect() }]
    }

    #[test]
    fn an_hour_counts_as_much_as_the_samples_of_an_hour() {
        let hours = (0..2).map(|n| Point { hour: true, ..Point::new(at(n * 3600), 1.0) });
        let samples = (24..48).map(|n| Point::new(at(n * 300), 4.0));
        let mixed = Series { item: String::new(), points: hours.chain(samples).collect() };
        let page = summary(None, std::slice::from_ref(&mixed));
        assert!(matches!(page.rows[0][3], Cell::Number(mean) if (mean - 2.5).abs() < 1e-9), "{:?}", page.rows);
        let merged = buckets(&mixed.points, at(0), at(4 * 3600), 1);
        assert!((merged[0].unwrap().mean - 2.5).abs() < 1e-9, "{merged:?}");
    }

    #[test]
    fn hours_before_many_samples_are_a_line_without_holes() {
        // A day of hours, one of which was not measured, then a day of samples; from between two hours.
        let hours = (1..24).filter(|n| *n != 12).map(|n| Point { hour: true, ..Point::new(at(n * 3600), 1.0) });
        let points: Vec<Point> = hours.chain((288..576).map(|n| Point::new(at(n * 300), 1.0))).collect();
        for most in [20, 48, 78, 160, 250, 576, 4000] {
            let line = line(None, &points, (at(1800), at(48 * 3600)), most);
            let count = line.chars().count();
            let holes: Vec<f64> = line.chars().enumerate().filter(|(_, c)| *c == ' ').map(|(n, _)| n as f64).collect();
            // Spans as hours of the day: nothing before the first hour, and nothing in the twelfth.
            let hour = |n: f64| 0.5 + n * 47.5 / count as f64;
            let known = |n: &f64| hour(*n) < 1.0 || (hour(*n) > 11.9 && hour(*n) < 13.0);
            assert!(holes.iter().all(known), "{most}: {line:?}");
            assert!(most < 160 || holes.iter().any(|n| hour(*n) > 2.0), "{most}: {line:?}");
        }
    }

    #[test]
    fn buckets_keep_extremes_and_gaps() {
        let points = &series(&[(0, 1.0), (1, 3.0), (9, 5.0), (10, 99.0)])[0].points;
        let merged = buckets(points, at(0), at(10), 5);
        assert_eq!(merged.len(), 5);
        let first = merged[0].unwrap();
        assert_eq!((first.min, first.mean, first.max), (1.0, 2.0, 3.0));
        assert!(merged[1].is_none() && merged[4].unwrap().max == 5.0);
        assert_eq!(bars(None, &merged), "▄   █");
    }
}
