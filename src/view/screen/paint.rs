//! How things look: colour only ever adds to a word or a mark that says the same.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use crate::model::clean::is_hostile;
use crate::model::level::Level;
use crate::model::snapshot::Health;
use crate::view::table;

/// What stands apart from the rest without being wrong.
pub const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
/// Headings.
pub const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
/// The first and the last line, and the line that is chosen.
pub const BAR: Style = Style::new().add_modifier(Modifier::REVERSED);

/// The colour of a level.
#[must_use]
pub fn level(level: Option<Level>) -> Style {
    match level {
        Some(Level::Critical) => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        Some(Level::Warning) => Style::new().fg(Color::Yellow),
        Some(Level::Ok) => Style::new().fg(Color::Green),
        None => Style::new().fg(Color::Cyan),
    }
}

/// The colour of how a service fares.
#[must_use]
pub fn health(health: Health) -> Style {
    level(match health {
        Health::Healthy => Some(Level::Ok),
        Health::Unknown => None,
        Health::Unhealthy => Some(Level::Critical),
    })
}

/// The word of a level, as tables have it.
#[must_use]
pub fn tag(level: Option<Level>) -> &'static str {
    level.map_or("NEW", Level::tag)
}

/// A text without what could steer a terminal.
#[must_use]
pub fn safe(text: &str) -> String {
    text.chars().map(|c| if is_hostile(c) { '?' } else { c }).collect()
}

/// The beginning of a text that is at most `width` columns wide, with a mark where something is left out.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    if width == 0 { String::new() } else { table::cut(text, width) }
}

/// A text made as wide as a column: cut with a mark, or filled up at the right.
#[must_use]
pub fn left(text: &str, width: usize) -> String {
    let cut = cut(&safe(text), width);
    let gap = width.saturating_sub(cut.width());
    cut + &" ".repeat(gap)
}

/// A text made as wide as a column, filled up at the left: for numbers.
#[must_use]
pub fn right(text: &str, width: usize) -> String {
    let cut = cut(&safe(text), width);
    " ".repeat(width.saturating_sub(cut.width())) + &cut
}

/// A share as a bar of so many cells.
#[must_use]
pub fn bar(share: f64, width: usize) -> Vec<Span<'static>> {
    let full = ((share.clamp(0.0, 1.0) * width as f64).round() as usize).min(width);
    vec![Span::raw("█".repeat(full)), Span::styled("·".repeat(width - full), FAINT)]
}

/// Draws a line at a row of an area, if it has that row, with a mark where it is cut; `whole` is the look of the whole
/// line.
pub fn line(buffer: &mut Buffer, area: Rect, row: u16, line: &Line<'_>, whole: Style) {
    if row >= area.height || area.width == 0 {
        return;
    }
    let place = Rect { x: area.x, y: area.y + row, width: area.width, height: 1 };
    buffer.set_line(place.x, place.y, line, place.width);
    if line.width() > usize::from(place.width) {
        // A wide letter reaches into the last cell.
        let last = place.right() - 1;
        let before = last.checked_sub(1).and_then(|x| buffer.cell_mut((x, place.y)));
        if let Some(cell) = before.filter(|cell| cell.symbol().width() > 1) {
            cell.set_char(' ');
        }
        if let Some(cell) = buffer.cell_mut((last, place.y)) {
            cell.set_char('…');
        }
    }
    buffer.set_style(place, whole);
}

/// A line with a text at its left and one at its right, which has precedence.
#[must_use]
pub fn ends<'a>(mut first: Vec<Span<'a>>, last: Vec<Span<'a>>, width: usize) -> Line<'a> {
    let taken: usize = last.iter().map(|span| span.content.width()).sum();
    let room = width.saturating_sub(taken + usize::from(taken > 0));
    let mut used = 0;
    for span in &mut first {
        let wide = span.content.width();
        if used + wide > room {
            span.content = cut(&span.content, room.saturating_sub(used)).into();
        }
        used += span.content.width();
    }
    if taken <= width {
        first.push(Span::raw(" ".repeat(width.saturating_sub(taken + used))));
        first.extend(last);
    }
    Line::from(first)
}

/// Breaks a text into lines of at most `width` columns, at spaces where there are some.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(8);
    let mut lines: Vec<String> = Vec::new();
    let mut current = String::new();
    for word in text.split_whitespace() {
        let mut rest = safe(word);
        if !current.is_empty() && current.width() + 1 + rest.width() > width {
            lines.push(std::mem::take(&mut current));
        }
        while rest.width() > width {
            let mut used = 0;
            let over = rest.char_indices().find(|(_, c)| {
                used += unicode_width::UnicodeWidthChar::width(*c).unwrap_or(0);
                used > width
            });
            let at = over.map_or(rest.len(), |(at, _)| at);
            let tail = rest.split_off(at);
            lines.push(std::mem::replace(&mut rest, tail));
        }
        if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(&rest);
    }
    if !current.is_empty() {
        lines.push(current);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fit_whatever_they_are() {
        for text in ["", "web01", "数据库一号服务器", "e\u{301}te\u{301}", "a\u{1b}[2Jb\u{202e}c", "🔥🔥🔥🔥🔥🔥"]
        {
            for width in 0..12 {
                assert_eq!(left(text, width).width(), width, "{text:?} {width}");
                assert_eq!(right(text, width).width(), width, "{text:?} {width}");
                assert!(!left(text, width).contains('\u{1b}'));
            }
            assert!(wrap(text, 8).iter().all(|line| line.width() <= 8), "{text:?}");
        }
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap(&"数".repeat(10), 8).concat(), "数".repeat(10));
    }

    #[test]
    fn the_right_end_of_a_line_has_precedence() {
        let text = |line: Line<'_>| line.spans.iter().map(|span| span.content.to_string()).collect::<String>();
        let line = ends(vec![Span::raw("abcdefghij")], vec![Span::raw("xyz")], 8);
        assert_eq!(text(line), "abc… xyz");
        let line = ends(vec![Span::raw("ab")], vec![Span::raw("xyz")], 8);
        assert_eq!(text(line), "ab   xyz");
        assert!(text(ends(vec![Span::raw("ab")], vec![Span::raw("xyz")], 2)).width() <= 2);
    }
}
