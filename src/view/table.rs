//! Aligned text for people. What is wrong is said as a word; colour only adds to it.

use crate::model::clean::is_hostile;
use crate::model::level::Level;

use super::units;
use super::{Cell, Place, View};

/// Renders a view for a terminal of `width` characters; ends with a line break.
#[must_use]
pub fn render(view: &View, width: usize, color: bool) -> String {
    let shown: Vec<usize> = (0..view.columns.len())
        .filter(|&i| !view.columns[i].title.is_empty() && view.columns[i].place != Place::Below)
        .collect();
    let texts: Vec<Vec<String>> = view.rows.iter().map(|row| row.iter().map(text).collect()).collect();
    let widths = widths(view, &shown, &texts, width);
    let mut out = String::new();
    let head: Vec<String> = view.columns.iter().map(|column| column.title.to_owned()).collect();
    line(&mut out, view, &shown, &widths, &head, None);
    for (row, texts) in view.rows.iter().zip(&texts) {
        line(&mut out, view, &shown, &widths, texts, color.then_some(row));
        for (i, column) in view.columns.iter().enumerate() {
            if column.place == Place::Below && !column.title.is_empty() && !texts[i].is_empty() {
                below(&mut out, &texts[i], width);
            }
        }
    }
    out
}

/// A cell as people read it, safe for a terminal.
#[must_use]
pub fn text(cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) => text.chars().map(|c| if is_hostile(c) { '?' } else { c }).collect(),
        Cell::Level(level) => level.map_or("NEW", Level::tag).to_owned(),
        Cell::Time(at) => at.format("%Y-%m-%d %H:%M:%S").to_string(),
        Cell::Ratio(value) => units::ratio(*value),
        Cell::Bytes(value) => units::bytes(*value),
        Cell::Seconds(value) => units::seconds(*value),
        Cell::Celsius(value) => format!("{}°C", units::number(*value)),
        Cell::Number(value) => units::number(*value),
        Cell::Rate(inner) => format!("{}/s", text(inner)),
    }
}

/// How wide each column is: as its longest text, the widest left column cut until all fits.
fn widths(view: &View, shown: &[usize], texts: &[Vec<String>], width: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = (0..view.columns.len())
        .map(|i| {
            let longest = texts.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
            longest.max(view.columns[i].title.chars().count())
        })
        .collect();
    loop {
        let all: usize = shown.iter().map(|&i| widths[i] + 2).sum::<usize>().saturating_sub(2);
        let widest = shown.iter().copied().filter(|&i| view.columns[i].place == Place::Left).max_by_key(|&i| widths[i]);
        match widest {
            Some(i) if all > width && widths[i] > 8 => {
                widths[i] = (widths[i] - (all - width).min(widths[i] - 8)).max(8)
            }
            _ => return widths,
        }
    }
}

fn line(
    out: &mut String,
    view: &View,
    shown: &[usize],
    widths: &[usize],
    texts: &[String],
    colored: Option<&Vec<Cell>>,
) {
    let mut built = String::new();
    for (n, &i) in shown.iter().enumerate() {
        if n > 0 {
            built.push_str("  ");
        }
        let cut = cut(&texts[i], widths[i]);
        let gap = " ".repeat(widths[i].saturating_sub(cut.chars().count()));
        let paint = colored.and_then(|row| paint(&row[i]));
        let cut = paint.map_or(cut.clone(), |code| format!("\u{1b}[{code}m{cut}\u{1b}[0m"));
        if view.columns[i].place == Place::Right {
            built.push_str(&gap);
            built.push_str(&cut);
        } else {
            built.push_str(&cut);
            built.push_str(&gap);
        }
    }
    out.push_str(built.trim_end());
    out.push('\n');
}

fn paint(cell: &Cell) -> Option<u8> {
    match cell {
        Cell::Level(Some(Level::Ok)) => Some(32),
        Cell::Level(Some(Level::Warning)) => Some(33),
        Cell::Level(Some(Level::Critical)) => Some(31),
        Cell::Level(None) => Some(36),
        _ => None,
    }
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

/// Wraps a text under its row; a word that is too long for a line is broken.
fn below(out: &mut String, text: &str, width: usize) {
    let room = width.saturating_sub(4).max(16);
    let mut line = String::new();
    let mut used = 0;
    let mut flush = |line: &mut String| {
        if !line.is_empty() {
            out.push_str("    ");
            out.push_str(line);
            out.push('\n');
            line.clear();
        }
    };
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + word.len() > room {
            flush(&mut line);
            used = 0;
        }
        while word.len() > room {
            let rest = word.split_off(room);
            line.extend(word);
            flush(&mut line);
            word = rest;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        used += word.len();
        line.extend(word);
    }
    flush(&mut line);
}

#[cfg(test)]
mod tests {
    use super::super::column;
    use super::*;

    const COLUMNS: &[super::super::Column] = &[
        column("host", "HOST", Place::Left),
        column("level", "LEVEL", Place::Left),
        column("cpu", "CPU", Place::Right),
        column("note", "NOTE", Place::Below),
    ];

    fn row(host: &str, note: &str) -> Vec<Cell> {
        let level = Cell::Level(Some(Level::Critical));
        vec![Cell::Text(host.to_owned()), level, Cell::Ratio(0.5), Cell::Text(note.to_owned())]
    }

    #[test]
    fn every_line_fits_and_nothing_steers_the_terminal() {
        let long = "x".repeat(200);
        let view = View { columns: COLUMNS, rows: vec![row(&long, &long), row("a\u{1b}[2Jb\n", "c\u{202e}d e")] };
        let out = render(&view, 80, false);
        assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
        assert!(!out.contains('\u{1b}') && !out.contains('\u{202e}'));
        assert!(out.contains("a?[2Jb?") && out.contains("    c?d e"));
    }

    #[test]
    fn colour_is_added_to_the_word_only_when_asked() {
        let view = View { columns: COLUMNS, rows: vec![row("a", "")] };
        assert!(render(&view, 80, true).contains("\u{1b}[31mCRIT\u{1b}[0m"));
        assert_eq!(render(&view, 80, false), "HOST  LEVEL  CPU\na     CRIT   50%\n");
    }
}
