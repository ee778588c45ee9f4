//! A page that is read from top to bottom: lines under headings, some of which lead on.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::key::Key;
use super::list::List;
use super::paint::{self, BAR, STRONG};

/// Where a line leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To a host.
    Host(String),
    /// To a problem.
    Problem(i64),
    /// To the history of a metric and item of the page's host.
    Past {
        /// The metric.
        metric: String,
        /// The item, or empty.
        item: String,
    },
}

/// A line of the page.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it shows.
    pub line: Line<'static>,
    /// Where it leads.
    pub target: Option<Target>,
    /// Whether it stands over those that follow.
    pub heading: bool,
}

impl Row {
    /// A heading.
    #[must_use]
    pub fn heading(text: &str) -> Self {
        Self { line: Line::styled(paint::safe(text), STRONG), target: None, heading: true }
    }

    /// A line that leads nowhere.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self::of(vec![Span::raw(paint::safe(text))], None)
    }

    /// A line.
    #[must_use]
    pub fn of(spans: Vec<Span<'static>>, target: Option<Target>) -> Self {
        Self { line: Line::from(spans), target, heading: false }
    }

    /// Whether a text is in the line, or in the name of the reading that it leads to, which may be cut in it.
    fn has(&self, text: &str) -> bool {
        let own: String = self.line.spans.iter().map(|span| span.content.to_lowercase()).collect();
        let named = match &self.target {
            Some(Target::Past { metric, item }) => format!("{metric}[{item}]").to_lowercase().contains(text),
            _ => false,
        };
        named || own.contains(text)
    }
}

/// Only lines with a text, under their headings.
#[must_use]
pub fn with(rows: Vec<Row>, text: &str) -> Vec<Row> {
    if text.is_empty() {
        return rows;
    }
    let text = text.to_lowercase();
    let mut kept = Vec::new();
    let mut heading = None;
    for row in rows {
        if row.heading {
            heading = Some(row);
        } else if row.has(&text) {
            kept.extend(heading.take());
            kept.push(row);
        }
    }
    kept
}

/// The state of such a page.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Where somebody is.
    pub list: List,
    /// Only lines with this text.
    pub only: String,
}

impl Reading {
    /// Takes a key that moves; false where it is another.
    pub fn moves(&mut self, key: Key, rows: &[Row], seen: usize) -> bool {
        self.list.moves(key, rows.len(), seen)
    }

    /// Where the chosen line leads.
    #[must_use]
    pub fn target<'a>(&self, rows: &'a [Row]) -> Option<&'a Target> {
        rows.get(self.list.cursor)?.target.as_ref()
    }

    /// The lines that are seen. A mark tells which one is chosen, and which lead on.
    pub fn draw(&self, buffer: &mut Buffer, area: Rect, rows: &[Row]) {
        let mut list = self.list;
        list.settle(rows.len(), usize::from(area.height));
        for (n, row) in rows.iter().enumerate().skip(list.top).take(usize::from(area.height)) {
            let chosen = n == list.cursor;
            let mark = match (chosen, &row.target) {
                (true, _) => ">",
                (false, Some(_)) => "·",
                _ => " ",
            };
            let mut spans = vec![Span::styled(mark, paint::FAINT)];
            spans.extend(row.line.spans.iter().cloned());
            let line = Line::from(spans).style(row.line.style);
            let look = if chosen { BAR } else { Style::new() };
            paint::line(buffer, area, (n - list.top) as u16, &line, look);
        }
    }
}
