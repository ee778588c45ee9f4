//! JSON for programs: versioned, base units, and it only ever grows.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::model::clean::is_hostile;
use crate::model::level::Level;

use super::{Cell, Page};

/// Renders a page; ends with a line break.
#[must_use]
pub fn render(page: &Page) -> String {
    about(page, [])
}

/// As [`render`], with what the rows have in common beside them.
#[must_use]
pub fn about<const N: usize>(page: &Page, common: [(&str, Value); N]) -> String {
    let mut whole = Map::from_iter(common.map(|(name, value)| (name.to_owned(), value)));
    whole.insert("version".to_owned(), json!(1));
    whole.insert("rows".to_owned(), rows(page));
    text(&Value::Object(whole))
}

/// The rows of a page.
#[must_use]
pub fn rows(page: &Page) -> Value {
    let row = |row: &Vec<Cell>| {
        let pairs = page.columns.iter().zip(row).map(|(column, cell)| (column.name.to_owned(), value(cell)));
        Value::Object(pairs.collect::<Map<String, Value>>())
    };
    Value::Array(page.rows.iter().map(row).collect())
}

/// A value as text in which no character steers a terminal; ends with a line break.
#[must_use]
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        // Outside of strings JSON has none of these, and all of them fit one escape.
        if is_hostile(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out.push('\n');
    out
}

/// A moment as JSON has it everywhere: `2026-11-21T03:12:00Z`.
#[must_use]
pub fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Empty => Value::Null,
        Cell::Text(text) => json!(text),
        Cell::Level(level) => json!(level.map_or("unknown", Level::word)),
        Cell::Health(health) => json!(health.word()),
        Cell::Time(at) => json!(moment(*at)),
        // What is counted is whole: no process has the number 812.0.
        #[allow(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
        Cell::Number(value) if value.fract() == 0.0 && value.abs() < 9e15 => json!(*value as i64),
        Cell::Ratio(value) | Cell::Bytes(value) | Cell::Seconds(value) | Cell::Celsius(value) | Cell::Number(value) => {
            json!(value)
        }
        Cell::Rate(inner) => value(inner),
        Cell::Flag(flag) => json!(flag),
        Cell::List(list) => json!(list),
        Cell::Sentences(list) => json!(list.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Place, column};
    use super::*;

    #[test]
    fn hostile_text_survives_as_escapes() {
        const COLUMNS: &[super::super::Column] = &[column("host", "HOST", Place::Left)];
        let text = "a\"\\\u{1b}\u{9b}\u{202e}\n";
        let out = render(&Page { columns: COLUMNS, rows: vec![vec![Cell::Text(text.to_owned())]] });
        assert!(!out.trim_end().chars().any(is_hostile), "{out}");
        let back: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(back["rows"][0]["host"], text);
        assert_eq!(back["version"], 1);
    }
}
