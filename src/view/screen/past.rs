//! The history of a metric: a chart with its thresholds, one item at a time.

use chrono::TimeDelta;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::model::catalogue;
use crate::model::clean::clean;
use crate::model::fleet::{Series, Steps};
use crate::model::metric::{Kind, Metric};
use crate::model::pattern::matches;
use crate::view::chart;
use crate::view::table::text;
use crate::view::units::{self, cell};

use super::data::{Graph, Limit, Past};
use super::key::Key;
use super::paint::{self, FAINT, right};

/// The spans of time, from short to long, in hours.
const SPANS: &[i64] = &[1, 3, 6, 12, 24, 72, 168, 720, 2160];
/// A day is what is asked for at first.
const FIRST: usize = 4;

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
        let of =
            if graph.series.len() > 1 { format!(" ({} of {})", place + 1, graph.series.len()) } else { String::new() };
        let item = if series.item.is_empty() { String::new() } else { format!(" {}{of}", paint::safe(&series.item)) };
        let span = format!("{} (UTC)", units::seconds((graph.until - graph.since).num_seconds() as f64));
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
    let Some((last, mean)) = points.last().zip(Steps::of(points).mean(points)) else { return String::new() };
    let least = points.iter().map(|point| point.min).fold(f64::INFINITY, f64::min);
    let most = points.iter().map(|point| point.max).fold(f64::NEG_INFINITY, f64::max);
    let (last, mean, least, most) = (shown(last.mean), shown(mean), shown(least), shown(most));
    format!(" last {last}  mean {mean}  least {least}  greatest {most}  {} points", points.len())
}

fn plot(buffer: &mut Buffer, area: Rect, graph: &Graph, series: &Series, metric: Option<&Metric>) {
    let rows = usize::from(area.height.saturating_sub(2));
    if rows < 2 || area.width < 24 {
        return;
    }
    let limits: Vec<&Limit> = graph.limits.iter().filter(|limit| holds(limit, &series.item)).collect();
    let named = |limit: &&Limit| (limit.value, format!("{} {}", limit.level.tag(), text(&cell(metric, limit.value))));
    let marks: Vec<(f64, String)> = limits.iter().map(named).collect();
    let span = (graph.since, graph.until);
    let width = usize::from(area.width).saturating_sub(1);
    let chart = chart::lines(metric, &series.points, span, (width, rows), &marks);
    let long = chart.axis[0].chars().count();
    for (row, line) in (0..).zip(&chart.lines) {
        let limit = line.mark.and_then(|mark| limits.get(mark));
        let look = limit.map_or(Style::new(), |limit| paint::level(Some(limit.level)));
        let axis = if line.label.is_empty() { " │" } else { " ┤" };
        let mut spans =
            vec![Span::styled(format!(" {}", right(&line.label, chart.margin)), look), Span::styled(axis, FAINT)];
        match limit {
            None => spans.push(Span::raw(line.curve.clone())),
            // The threshold is seen wherever the curve is not.
            Some(_) => spans.extend(format!("{:long$}", line.curve).chars().map(|letter| match letter {
                ' ' => Span::styled("-", look),
                letter => Span::raw(letter.to_string()),
            })),
        }
        paint::line(buffer, area, row, &Line::from(spans), Style::new());
    }
    let gap = " ".repeat(chart.margin + 2);
    let [axis, times] = &chart.axis;
    for (row, text) in (rows as u16..).zip([format!("{gap}└{axis}"), format!("{gap} {times}")]) {
        paint::line(buffer, area, row, &Line::styled(text, FAINT), Style::new());
    }
}

fn holds(limit: &Limit, item: &str) -> bool {
    let any = |all: &[String]| all.iter().any(|pattern| matches(pattern, item));
    (limit.items.is_empty() || any(&limit.items)) && !any(&limit.not_items)
}
