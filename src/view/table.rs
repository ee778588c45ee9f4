//! Aligned text for people. What is wrong is said as a word; colour only adds to it.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::model::clean::is_hostile;
use crate::model::level::Level;
use crate::model::snapshot::Health;

use super::units;
use super::{Cell, Page, Place};

/// Renders a page for a terminal of `width` characters; ends with a line break.
#[must_use]
pub fn render(page: &Page, width: usize, color: bool) -> String {
    let shown: Vec<usize> = (0..page.columns.len())
        .filter(|&i| !page.columns[i].title.is_empty() && page.columns[i].place != Place::Below)
        .collect();
    let texts: Vec<Vec<String>> = page.rows.iter().map(|row| row.iter().map(text).collect()).collect();
    let widths = widths(page, &shown, &texts, width);
    let mut out = String::new();
    let head: Vec<String> = page.columns.iter().map(|column| column.title.to_owned()).collect();
    line(&mut out, page, &shown, &widths, &head, None);
    for (row, texts) in page.rows.iter().zip(&texts) {
        line(&mut out, page, &shown, &widths, texts, color.then_some(row));
        for (i, column) in page.columns.iter().enumerate() {
            if column.place != Place::Below || column.title.is_empty() {
                continue;
            }
            match &row[i] {
                Cell::Sentences(list) => list.iter().for_each(|it| below(&mut out, &safe(it), width)),
                _ => below(&mut out, &texts[i], width),
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
        Cell::Text(text) => safe(text),
        Cell::Level(level) => level.map_or("NEW", Level::tag).to_owned(),
        Cell::Health(health) => health.word().to_owned(),
        Cell::Time(at) => at.format("%Y-%m-%d %H:%M:%S").to_string(),
        Cell::Ratio(value) => units::ratio(*value),
        Cell::Bytes(value) => units::bytes(*value),
        Cell::Seconds(value) => units::seconds(*value),
        Cell::Celsius(value) => format!("{}°C", units::number(*value)),
        Cell::Number(value) => units::number(*value),
        Cell::Rate(inner) => format!("{}/s", text(inner)),
        Cell::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Cell::List(list) => safe(&list.join(" ")),
        Cell::Sentences(list) => safe(&list.join("; ")),
    }
}

fn safe(text: &str) -> String {
    text.chars().map(|c| if is_hostile(c) { '?' } else { c }).collect()
}

/// How wide each column is: as its longest text, the widest left column cut until all fits.
fn widths(page: &Page, shown: &[usize], texts: &[Vec<String>], width: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = (0..page.columns.len())
        .map(|i| {
            let longest = texts.iter().map(|row| row[i].width()).max().unwrap_or(0);
            longest.max(page.columns[i].title.width())
        })
        .collect();
    loop {
        let all: usize = shown.iter().map(|&i| widths[i] + 2).sum::<usize>().saturating_sub(2);
        let widest = shown.iter().copied().filter(|&i| page.columns[i].place == Place::Left).max_by_key(|&i| widths[i]);
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
    page: &Page,
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
        let gap = " ".repeat(widths[i].saturating_sub(cut.width()));
        let paint = colored.and_then(|row| paint(&row[i]));
        let cut = paint.map_or(cut.clone(), |code| format!("\u{1b}[{code}m{cut}\u{1b}[0m"));
        if page.columns[i].place == Place::Right {
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
        Cell::Health(Health::Healthy) => Some(32),
        Cell::Health(Health::Unknown) => Some(36),
        Cell::Health(Health::Unhealthy) => Some(31),
        _ => None,
    }
}

/// The beginning of a text that is at most `width` columns wide, with a mark where something is left out. What has no
/// width (an accent) stays with the letter before it.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = head(text, width.saturating_sub(1)).to_owned();
    kept.push('…');
    kept
}

/// The longest beginning that is at most `width` columns wide. Letters are counted one by one, which is never less
/// than they take together.
fn head(text: &str, width: usize) -> &str {
    let mut used = 0;
    let over = text.char_indices().find(|(_, c)| {
        used += c.width().unwrap_or(0);
        used > width
    });
    over.map_or(text, |(at, _)| text.get(..at).unwrap_or(text))
}

/// Wraps a text under its row; a word that is too long for a line is broken.
fn below(out: &mut String, text: &str, width: usize) {
    let room = width.saturating_sub(4).max(16);
    let mut line = String::new();
    let mut flush = |line: &mut String| {
        if !line.is_empty() {
            out.push_str("    ");
            out.push_str(line);
            out.push('\n');
            line.clear();
        }
    };
    for mut word in text.split_whitespace() {
        if !line.is_empty() && line.width() + 1 + word.width() > room {
            flush(&mut line);
        }
        while word.width() > room {
            // At least one letter a line, whatever it is: no line is without end.
            let part = head(word, room);
            let at = if part.is_empty() { word.chars().next().map_or(word.len(), char::len_utf8) } else { part.len() };
            let (part, rest) = word.split_at(at);
            line.push_str(part);
            flush(&mut line);
            word = rest;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
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
        let page = Page { columns: COLUMNS, rows: vec![row(&long, &long), row("a\u{1b}[2Jb\n", "c\u{202e}d e")] };
        let out = render(&page, 80, false);
        assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
        assert!(!out.contains('\u{1b}') && !out.contains('\u{202e}'));
        assert!(out.contains("a?[2Jb?") && out.contains("    c?d e"));
    }

    #[test]
    fn wide_letters_and_accents_line_up() {
        let rows = ["web", "数据库一号", "e\u{301}te\u{301}", "🔥🔥", "한국어서버"].map(|host| row(host, "磁盘已满"));
        let page = Page { columns: COLUMNS, rows: rows.to_vec() };
        for width in [80, 40, 24] {
            let out = render(&page, width, false);
            let lines: Vec<&str> = out.lines().filter(|line| !line.starts_with(' ')).collect();
            let level = |line: &str| line.find("CRIT").or(line.find("LEVEL")).map(|at| line[..at].width());
            assert!(lines.iter().all(|line| level(line).is_some() && level(line) == level(lines[0])), "{out}");
            assert!(out.lines().all(|line| line.width() <= width), "{out}");
        }
        assert_eq!((cut("数据库", 5).as_str(), cut("数据库", 4).as_str()), ("数据…", "数…"));
        assert_eq!(cut("e\u{301}te\u{301}s", 3), "e\u{301}t…");
        let mut out = String::new();
        below(&mut out, &"数".repeat(30), 24);
        assert!(out.lines().all(|line| line.width() <= 24) && out.matches('数').count() == 30, "{out}");
    }

    #[test]
    fn each_sentence_has_lines_of_its_own() {
        let mut row = row("a", "");
        row[3] = Cell::Sentences(vec!["one of them".into(), "x\ny".into()]);
        let page = Page { columns: COLUMNS, rows: vec![row] };
        assert!(render(&page, 80, false).ends_with("50%\n    one of them\n    x?y\n"));
        assert_eq!(text(&page.rows[0][3]), "one of them; x?y");
    }

    #[test]
    fn colour_is_added_to_the_word_only_when_asked() {
        let page = Page { columns: COLUMNS, rows: vec![row("a", "")] };
        assert!(render(&page, 80, true).contains("\u{1b}[31mCRIT\u{1b}[0m"));
        assert_eq!(render(&page, 80, false), "HOST  LEVEL  CPU\na     CRIT   50%\n");
    }
}
