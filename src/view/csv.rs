//! CSV (RFC 4180) for spreadsheets, which must not take a host's text for a formula.

use chrono::SecondsFormat;

use crate::model::clean::is_hostile;
use crate::model::level::Level;

use super::{Cell, Page};

/// Renders a page with a line of names; lines end with CR LF.
#[must_use]
pub fn render(page: &Page) -> String {
    let mut out = page.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(",");
    out.push_str("\r\n");
    for row in &page.rows {
        out.push_str(&line(row));
    }
    out
}

/// One row with its line end, for what is too long to be a page.
#[must_use]
pub fn line(row: &[Cell]) -> String {
    let mut out = row.iter().map(field).collect::<Vec<_>>().join(",");
    out.push_str("\r\n");
    out
}

fn field(cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) => quoted(text),
        Cell::Level(level) => level.map_or("unknown", Level::word).to_owned(),
        Cell::Health(health) => health.word().to_owned(),
        Cell::Time(at) => at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        Cell::Ratio(value) | Cell::Bytes(value) | Cell::Seconds(value) | Cell::Celsius(value) | Cell::Number(value) => {
            value.to_string()
        }
        Cell::Rate(inner) => field(inner),
        Cell::Flag(flag) => flag.to_string(),
        Cell::List(list) => quoted(&list.join(" ")),
        Cell::Sentences(list) => quoted(&list.join("; ")),
    }
}

/// A leading `'` makes a text of what a spreadsheet would run.
fn quoted(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { "'" } else { "" };
    let safe: String = text.chars().map(|c| if is_hostile(c) { '?' } else { c }).collect();
    if safe.contains([',', '"', ';']) {
        format!("\"{guard}{}\"", safe.replace('"', "\"\""))
    } else {
        format!("{guard}{safe}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_texts_and_quotes_are_doubled() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx"] {
            assert!(quoted(formula).starts_with('\''), "{formula}");
        }
        assert_eq!(quoted("=HYPERLINK(\"x\",\"y\")"), "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\"");
        assert_eq!(quoted("/mnt/a"), "/mnt/a");
        assert_eq!(quoted("a\r\nb"), "a??b");
        assert_eq!(field(&Cell::Number(-1.5)), "-1.5");
    }
}
