//! The history of a metric: a chart with its thresholds, one item at a time.

use chrono::TimeDelta;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::model::catalogue;
use crate::model::clean::clean;
use crate::model::fleet::Series;
use crate::model::metric::{Kind, Metric};
use crate::model::pattern::matches;
use crate::view::table::text;
use crate::view::units::{self, cell};
use crate::view::{chart, history};

use super::data::{Graph, Limit, Past};
use super::key::Key;
use super::paint::{self, FAINT, right};

/// The spans of time, from short to long, in hours.
const SPANS: &[i64] = &[1, 3, 6, 12, 24, 72, 168, 720, 2160];
/// A day is what is asked for at first.
const FIRST: usize = 4;
/// Room for a value beside the chart.
const LABEL: usize = 9;

/// The state of the page.
#[derive(Clone, Debug)]
pub struct Chart {
    /// The host.
    pub host: String,
    /// The metric.
    pub metric: String,
    /// The item that is shown.
    pub item: String,
    span: usize,
}

impl Chart {
    /// A day of a metric.
    #[must_use]
    pub fn new(host: &str, metric: &str, item: &str) -> Self {
        Self { host: host.to_owned(), metric: metric.to_owned(), item: item.to_owned(), span: FIRST }
    }

    /// What must be read.
    #[must_use]
    pub fn wants(&self) -> Past {
        let hours = SPANS.get(self.span).copied().unwrap_or(24);
        Past { host: self.host.clone(), metric: self.metric.clone(), span: TimeDelta::hours(hours) }
    }

    /// Takes a key; false where it is none of this page.
    pub fn takes(&mut self, key: Key, graph: Option<&Graph>) -> bool {
        match key {
            Key::Letter('-' | ']') => self.span = (self.span + 1).min(SPANS.len() - 1),
            Key::Letter('+' | '=' | '[') => self.span = self.span.saturating_sub(1),
            Key::Down | Key::Letter('j' | 'n') => self.step(graph, 1),
            Key::Up | Key::Letter('k' | 'p') => self.step(graph, -1),
            _ => return false,
        }
        true
    }

    fn step(&mut self, graph: Option<&Graph>, by: isize) {
        let Some(graph) = graph.filter(|graph| !graph.series.is_empty()) else { return };
        let at = graph.series.iter().position(|series| series.item == self.item).unwrap_or(0);
        let next = at.saturating_add_signed(by).min(graph.series.len() - 1);
        if let Some(series) = graph.series.get(next) {
            self.item.clone_from(&series.item);
        }
    }

    /// The chart of what was read; `None`: it is being read.
    pub fn draw(&self, buffer: &mut Buffer, area: Rect, graph: Option<&Graph>) {
        let metric = catalogue::find(&self.metric);
        let say = |buffer: &mut Buffer, row: u16, text: &str| {
            paint::line(buffer, area, row, &Line::raw(text.to_owned()), Style::new());
        };
        let Some(graph) = graph else {
            say(buffer, 0, " the history is being read ...");
            return;
        };
        let named = graph.series.iter().position(|series| series.item == self.item);
        let Some((place, series)) = named.or(Some(0)).and_then(|n| Some((n, graph.series.get(n)?))) else {
            let span = units::seconds((graph.until - graph.since).num_seconds() as f64);
            say(buffer, 0, &format!(" nothing was measured of {} in the last {span}", clean(&self.metric)));
            say(buffer, 1, " - shows a longer time, Esc goes back");
            return;
        };
        paint::line(buffer, area, 0, &self.head(graph, place, series, metric), Style::new());
        paint::line(buffer, area, 1, &Line::raw(summary(metric, series)), Style::new());
        let body = Rect { y: area.y + 2, height: area.height.saturating_sub(2), ..area };
        plot(buffer, body, graph, series, metric);
    }

    fn head(&self, graph: &Graph, place: usize, series: &Series, metric: Option<&Metric>) -> Line<'static> {
        let rate = if metric.is_some_and(|metric| metric.kind == Kind::Counter) { " per second" } else { "" };
        let of = if graph.series.len() > 1 { format!(" ({} of {})", place + 1, graph.series.len()) } else { String::new() };
        let item = if series.item.is_empty() { String::new() } else { format!(" {}{of}", paint::safe(&series.item)) };
        let span = units::seconds((graph.until - graph.since).num_seconds() as f64);
        let help = metric.map(|metric| metric.help).unwrap_or_default();
        Line::from(vec![
            Span::styled(format!(" {}{rate}{item}, last {span}", clean(&self.metric)), paint::STRONG),
            Span::styled(format!("  {help}"), FAINT),
        ])
    }
}

/// `last 43%  mean 40%  least 3%  greatest 98%`
fn summary(metric: Option<&Metric>, series: &Series) -> String {
    let shown = |value: f64| text(&cell(metric, value));
    let points = &series.points;
    let Some(last) = points.last() else { return String::new() };
    let least = points.iter().map(|point| point.min).fold(f64::INFINITY, f64::min);
    let most = points.iter().map(|point| point.max).fold(f64::NEG_INFINITY, f64::max);
    let mean = points.iter().map(|point| point.mean).sum::<f64>() / points.len() as f64;
    let (last, mean, least, most) = (shown(last.mean), shown(mean), shown(least), shown(most));
    format!(" last {last}  mean {mean}  least {least}  greatest {most}  {} points", points.len())
}

fn plot(buffer: &mut Buffer, area: Rect, graph: &Graph, series: &Series, metric: Option<&Metric>) {
    let rows = usize::from(area.height.saturating_sub(1));
    let width = usize::from(area.width).saturating_sub(LABEL + 2);
    if rows < 2 || width < 8 {
        return;
    }
    let spans = history::fitting(&series.points, graph.since, graph.until, width * 2);
    let points = history::buckets(&series.points, graph.since, graph.until, spans);
    let limits: Vec<&Limit> = graph.limits.iter().filter(|limit| holds(limit, &series.item)).collect();
    let values: Vec<f64> = limits.iter().map(|limit| limit.value).collect();
    let scale = chart::scale(metric, &points, &values);
    let of_row = |row: usize| limits.iter().find(|limit| chart::row(limit.value, scale, rows) == Some(row));
    for (row, curve) in chart::curve(&points, scale, width, rows).into_iter().enumerate() {
        let limit = of_row(row);
        let ends = if row == 0 { Some(scale.1) } else { (row == rows - 1).then_some(scale.0) };
        let middle = (row == rows / 2 && rows >= 7).then(|| scale_at(scale, row, rows));
        let shown = |value: f64| text(&cell(metric, value));
        let label = match limit {
            Some(limit) => format!("{} {}", limit.level.tag(), shown(limit.value)),
            None => ends.or(middle).map(shown).unwrap_or_default(),
        };
        let look = limit.map_or(Style::new(), |limit| paint::level(Some(limit.level)));
        let mut spans = vec![Span::styled(right(&label, LABEL), look), Span::styled("│", FAINT)];
        match limit {
            None => spans.push(Span::raw(curve)),
            Some(_) => {
                for letter in curve.chars() {
                    spans.push(if letter == ' ' { Span::styled("-", look) } else { Span::raw(letter.to_string()) });
                }
            }
        }
        paint::line(buffer, area, row as u16, &Line::from(spans), Style::new());
    }
    let form = match (graph.until - graph.since).num_hours() {
        ..=24 => "%H:%M",
        25..=168 => "%m-%d %H:%M",
        _ => "%Y-%m-%d",
    };
    let stamp = |at: chrono::DateTime<chrono::Utc>| at.format(form).to_string();
    let middle = graph.since + (graph.until - graph.since) / 2;
    let (first, between, last) = (stamp(graph.since), stamp(middle), format!("{} UTC", stamp(graph.until)));
    let half = (width / 2).saturating_sub(first.len() + between.len() / 2);
    let rest = width.saturating_sub(first.len() + half + between.len() + last.len());
    let axis = match rest {
        0 => format!("{first}{}{last}", " ".repeat(width.saturating_sub(first.len() + last.len()).max(1))),
        rest => format!("{first}{}{between}{}{last}", " ".repeat(half), " ".repeat(rest)),
    };
    let line = Line::styled(format!("{}{axis}", " ".repeat(LABEL + 1)), FAINT);
    paint::line(buffer, area, rows as u16, &line, Style::new());
}

/// The value in the middle of a row.
fn scale_at((low, high): (f64, f64), row: usize, rows: usize) -> f64 {
    high - (high - low) * row as f64 / (rows.max(2) - 1) as f64
}

fn holds(limit: &Limit, item: &str) -> bool {
    let any = |all: &[String]| all.iter().any(|pattern| matches(pattern, item));
    (limit.items.is_empty() || any(&limit.items)) && !any(&limit.not_items)
}
