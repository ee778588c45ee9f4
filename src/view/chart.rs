//! A series drawn in dots, with its axes: eight dots to a character, so that a day fits a line of 80.

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use unicode_width::UnicodeWidthStr;

use crate::model::fleet::{Point, Steps};
use crate::model::metric::{Metric, Unit};

use super::table;
use super::units::cell;

/// Lines between the axes, unless somebody wants more.
const ROWS: usize = 8;
/// Between two labels of the lower axis.
const APART: usize = 12;
/// Steps of the lower axis, in minutes.
const STEPS: &[i64] = &[
    1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080, 20_160, 40_320, 80_640, 161_280, 524_160,
    1_048_320,
];

/// A chart, line by line, for whoever puts it together.
#[derive(Clone, Debug)]
pub struct Chart {
    /// From the top: the value at the left, as wide as all of them, and the curve.
    pub lines: Vec<ChartLine>,
    /// The lower axis and its times, without what stands at the left.
    pub axis: [String; 2],
    /// How wide values are.
    pub margin: usize,
}

/// A line of a [`Chart`].
#[derive(Clone, Debug)]
pub struct ChartLine {
    /// The value, or nothing.
    pub label: String,
    /// The curve here; shorter than the chart is wide where nothing follows.
    pub curve: String,
    /// The mark that lies in this line, by its place in the list.
    pub mark: Option<usize>,
}

/// The points of `[since, until)` as lines of at most `width` characters; ends with a line break. Ratios are drawn from 0
/// to 100%, so that two hosts can be compared by eye. From the least to the greatest value of a point is a bar.
#[must_use]
pub fn draw(
    metric: Option<&Metric>,
    points: &[Point],
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    width: usize,
) -> String {
    let chart = lines(metric, points, (since, until), (width, ROWS), &[]);
    let margin = chart.margin;
    let mut out = String::new();
    for ChartLine { label, curve, .. } in &chart.lines {
        let mark = if label.is_empty() { '│' } else { '┤' };
        let gap = " ".repeat(margin.saturating_sub(label.width()));
        out.push_str(&format!("{gap}{label} {mark}{curve}\n"));
    }
    let gap = " ".repeat(margin + 1);
    let [axis, times] = chart.axis;
    out.push_str(&format!("{gap}└{axis}\n{gap} {times}\n"));
    out
}

/// As [`draw`], with so many characters and lines, and values that are marked with a text at the left.
#[must_use]
pub fn lines(
    metric: Option<&Metric>,
    points: &[Point],
    (since, until): (DateTime<Utc>, DateTime<Utc>),
    (width, rows): (usize, usize),
    marks: &[(f64, String)],
) -> Chart {
    let rows = rows.max(1);
    let label = |value: f64| table::text(&cell(metric, value));
    let (low, high) = scale(metric, points, marks);
    let y = |value: f64| {
        let share = ((value - low) / (high - low)).clamp(0.0, 1.0);
        ((1.0 - share) * (rows * 4 - 1) as f64).round() as usize
    };
    let mark_of = |n: usize| marks.iter().position(|(value, _)| (low..=high).contains(value) && y(*value) / 4 == n);
    let half = low + (high - low) / 2.0;
    let text = |n: usize| match mark_of(n) {
        Some(mark) => marks.get(mark).map(|(_, text)| text.clone()).unwrap_or_default(),
        None if n == 0 => label(high),
        None if n == rows / 2 && rows > 2 => label(half),
        None if n + 1 == rows => label(low),
        None => String::new(),
    };
    let labels: Vec<String> = (0..rows).map(text).collect();
    let margin = labels.iter().map(|text| text.width()).max().unwrap_or(0);
    let columns = width.saturating_sub(margin + 2).max(8);
    let mut canvas = Canvas::new(columns, rows);
    let span = (until - since).as_seconds_f64().max(1.0);
    let x = |at: DateTime<Utc>| {
        let share = (at - since).as_seconds_f64() / span;
        (share * (columns * 2) as f64).clamp(0.0, (columns * 2 - 1) as f64) as usize
    };
    let steps = Steps::of(points);
    let mut before: Option<&Point> = None;
    for point in points.iter().filter(|point| point.at >= since && point.at < until && point.mean.is_finite()) {
        canvas.line((x(point.at), y(point.min)), (x(point.at), y(point.max)));
        if let Some(before) = before.filter(|it| !steps.apart(it, point)) {
            canvas.line((x(before.at), y(before.mean)), (x(point.at), y(point.mean)));
        }
        before = Some(point);
    }
    let drawn = canvas.lines().zip(labels).enumerate();
    let lines = drawn.map(|(n, (curve, label))| ChartLine { label, curve, mark: mark_of(n) }).collect();
    let (axis, times) = axis(since, until, columns);
    Chart { lines, axis: [axis, times], margin }
}

/// From where to where the other axis goes. A mark that lies far above would press the curve flat.
fn scale(metric: Option<&Metric>, points: &[Point], marks: &[(f64, String)]) -> (f64, f64) {
    let low = points.iter().map(|point| point.min).filter(|it| it.is_finite()).fold(0.0, f64::min);
    let high = points.iter().map(|point| point.max).filter(|it| it.is_finite()).fold(low, f64::max);
    let high = marks.iter().map(|(value, _)| *value).filter(|value| *value <= high * 2.0).fold(high, f64::max);
    let ratio =
        metric.is_some_and(|metric| metric.unit == Unit::Ratio && table::text(&cell(Some(metric), 1.0)) == "100%");
    match high {
        high if ratio => (low, high.max(1.0)),
        high if high > low => (low, high),
        _ => (low, low + 1.0),
    }
}

/// The lower axis with its marks, and the line of labels under it: hours in UTC, at midnight the day.
fn axis(since: DateTime<Utc>, until: DateTime<Utc>, columns: usize) -> (String, String) {
    let span = (until - since).as_seconds_f64().max(1.0);
    let most = (columns / APART).max(1) as f64;
    let fits = |minutes: &&i64| span / (**minutes as f64 * 60.0) <= most;
    let step = STEPS.iter().find(fits).or(STEPS.last()).copied().unwrap_or(1) * 60;
    let mut marks: Vec<char> = vec!['─'; columns];
    let mut times = String::new();
    let mut at = since.timestamp().div_euclid(step) * step + step;
    while at < until.timestamp() {
        let column = (((at - since.timestamp()) as f64) / span * columns as f64) as usize;
        let moment = DateTime::from_timestamp(at, 0).unwrap_or(since);
        let midnight = moment.num_seconds_from_midnight() == 0;
        let text = moment.format(if midnight { "%m-%d" } else { "%H:%M" }).to_string();
        let start = column.saturating_sub(text.len() / 2);
        let room = times.is_empty() || start > times.len();
        if room && start + text.len() <= columns {
            if let Some(mark) = marks.get_mut(column) {
                *mark = '┬';
            }
            times.push_str(&" ".repeat(start - times.len()));
            times.push_str(&text);
        }
        at += TimeDelta::seconds(step).num_seconds();
    }
    (marks.into_iter().collect(), times)
}

/// Characters of two dots by four.
struct Canvas {
    columns: usize,
    cells: Vec<u8>,
}

impl Canvas {
    fn new(columns: usize, rows: usize) -> Self {
        Self { columns, cells: vec![0; columns * rows] }
    }

    fn dot(&mut self, x: usize, y: usize) {
        const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
        if let Some(cell) = self.cells.get_mut(y / 4 * self.columns + x / 2).filter(|_| x / 2 < self.columns) {
            *cell |= BITS[x % 2][y % 4];
        }
    }

    /// Every dot between two, both included.
    fn line(&mut self, from: (usize, usize), to: (usize, usize)) {
        let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1));
        for n in 0..=steps {
            let share = n as f64 / steps.max(1) as f64;
            let between = |a: usize, b: usize| (a as f64 + (b as f64 - a as f64) * share).round() as usize;
            self.dot(between(from.0, to.0), between(from.1, to.1));
        }
    }

    fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let letter = |dots: &u8| char::from_u32(0x2800 + u32::from(*dots)).filter(|_| *dots > 0).unwrap_or(' ');
        self.cells.chunks(self.columns).map(move |row| row.iter().map(letter).collect::<String>().trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalogue;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_219_200 + minutes * 60, 0).unwrap()
    }

    #[test]
    fn a_gap_is_not_bridged_and_axes_are_labelled() {
        let points: Vec<Point> = (0..48)
            .filter(|n| !(20..30).contains(n))
            .map(|n| Point::new(at(n * 30), 0.5 + 0.4 * (n as f64 / 6.0).sin()))
            .collect();
        let out = draw(catalogue::find("cpu.used"), &points, at(0), at(1440), 60);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), ROWS + 2, "{out}");
        assert!(lines.iter().all(|line| line.width() <= 60), "{out}");
        assert!(
            lines[0].starts_with("100% ┤") && lines[4].starts_with(" 50% ┤") && lines[7].starts_with("  0% ┤"),
            "{out}"
        );
        assert_eq!(lines[9].split_whitespace().collect::<Vec<_>>(), ["06:00", "12:00", "18:00"], "{out}");
        let column =
            |n: usize| lines[..ROWS].iter().any(|line| line.chars().nth(6 + n).is_some_and(|c| c > '\u{2800}'));
        let drawn: Vec<bool> = (0..54).map(column).collect();
        assert!(drawn[..20].iter().all(|it| *it) && !drawn[26] && drawn[40], "{out}");
    }

    #[test]
    fn hours_before_many_samples_are_joined() {
        let hours = (0..12).map(|n| Point { hour: true, ..Point::new(at(n * 60), 0.5) });
        let points: Vec<Point> = hours.chain((144..288).map(|n| Point::new(at(n * 5), 0.5))).collect();
        let out = draw(catalogue::find("cpu.used"), &points, at(0), at(1440), 60);
        let line = out.lines().max_by_key(|line| line.chars().filter(|c| *c > '\u{2800}').count()).unwrap();
        assert!(line.chars().skip(6).take(52).all(|c| c > '\u{2800}'), "{out}");
    }

    #[test]
    fn any_values_and_widths_are_drawn() {
        for (low, high) in [(0.0, 0.0), (-5.0, -1.0), (1e300, f64::MAX), (f64::NAN, f64::INFINITY)] {
            let points = [Point { min: low, max: high, ..Point::new(at(1), high) }, Point::new(at(2), low)];
            for width in [0, 1, 20, 400] {
                for (since, until) in [(at(0), at(3)), (at(0), at(60 * 24 * 9000)), (at(3), at(3)), (at(9), at(3))] {
                    let out = draw(catalogue::find("temperature"), &points, since, until, width);
                    assert_eq!(out.lines().count(), ROWS + 2, "{out}");
                }
            }
        }
        assert_eq!(draw(None, &[], at(0), at(60), 40).lines().count(), ROWS + 2);
    }
}
