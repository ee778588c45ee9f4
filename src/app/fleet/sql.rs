//! `fleet sql`: questions to the store that no view answers. Nothing can be changed by it.

use std::io::{IsTerminal, Read};
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::show::{self, Format};
use crate::app::context::Common;
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::store::{self, Answer, Value};
use crate::view::{Cell, Column, Page, Place, csv, json, markdown, table};

mod shell;

/// The longest query that is read from standard input, in bytes.
const MAX_QUERY: u64 = 1 << 20;
/// The greatest whole number that every program reads back as it was written.
const EXACT: i64 = 1 << 53;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One statement; - reads it from standard input [default: open the sqlite3 shell, read only]
    #[arg(value_name = "QUERY")]
    query: Option<String>,
    #[command(flatten)]
    format: show::FormatArgs,
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let spec = common.spec()?.store;
    let query = match args.query {
        Some(query) if query != "-" => query,
        None if std::io::stdin().is_terminal() => return shell::open(Path::new(&spec.location)),
        _ => typed()?,
    };
    let answer = (store::backend(&spec)?.query)(&spec, &query)?;
    let format = args.format.format();
    exit::print(&match format {
        Format::Json => as_json(&answer),
        Format::Csv => {
            let names: Vec<Cell> = answer.columns.iter().map(|name| Cell::Text(name.clone())).collect();
            let rows = answer.rows.iter().map(|row| csv::line(&row.iter().map(number).collect::<Vec<_>>()));
            std::iter::once(csv::line(&names)).chain(rows).collect()
        }
        Format::Table | Format::Markdown if answer.columns.is_empty() => String::new(),
        Format::Table => table::render(&page(answer), show::width(), show::color(common)),
        Format::Markdown => markdown::render(&page(answer)),
    })
}

fn typed() -> Result<String, Failure> {
    let mut query = String::new();
    let failed = |text: String| Failure::new(Exit::Usage, text);
    let read = std::io::stdin().lock().take(MAX_QUERY + 1).read_to_string(&mut query);
    read.map_err(|error| failed(format!("standard input: {error}")))?;
    if query.len() as u64 > MAX_QUERY {
        return Err(failed(format!("the query is longer than {MAX_QUERY} bytes")));
    }
    if query.trim().is_empty() {
        return Err(failed("no query; try: fleet sql \"SELECT * FROM reading LIMIT 9\"".to_owned()));
    }
    Ok(query)
}

fn bytes(count: usize) -> String {
    format!("({count} bytes)")
}

/// Numbers as numbers, where none of their digits is lost.
fn number(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::Empty,
        Value::Integer(number) if number.unsigned_abs() <= EXACT.unsigned_abs() => Cell::Number(*number as f64),
        Value::Integer(number) => Cell::Text(number.to_string()),
        Value::Real(number) => Cell::Number(*number),
        Value::Text(text) => Cell::Text(text.clone()),
        Value::Blob(count) => Cell::Text(bytes(*count)),
    }
}

fn as_json(answer: &Answer) -> String {
    let value = |value: &Value| match value {
        Value::Null => Json::Null,
        Value::Integer(number) => json!(number),
        Value::Real(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::Blob(count) => json!(bytes(*count)),
    };
    let row = |row: &Vec<Value>| {
        Json::Object(answer.columns.iter().cloned().zip(row.iter().map(value)).collect::<Map<String, Json>>())
    };
    json::text(&json!({"version": 1, "rows": answer.rows.iter().map(row).collect::<Vec<_>>()}))
}

/// Every digit as it is stored; a column of numbers stands to the right.
fn page(answer: Answer) -> Page {
    let is_number = |n: usize| {
        let mut known =
            answer.rows.iter().filter_map(|row| row.get(n)).filter(|value| **value != Value::Null).peekable();
        known.peek().is_some() && known.all(|value| matches!(value, Value::Integer(_) | Value::Real(_)))
    };
    let places: Vec<Place> =
        (0..answer.columns.len()).map(|n| if is_number(n) { Place::Right } else { Place::Left }).collect();
    let cell = |value: Value| match value {
        Value::Integer(number) => Cell::Text(number.to_string()),
        Value::Real(number) => Cell::Text(number.to_string()),
        other => number(&other),
    };
    let rows = answer.rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect();
    // Names of columns live as long as the program, which ends after this one page.
    let name = |name: String| -> &'static str { crate::model::clean::clean(&name).leak() };
    let columns: Vec<Column> = answer
        .columns
        .into_iter()
        .zip(places)
        .map(|(column, place)| {
            let title = name(column);
            Column { name: title, title, place }
        })
        .collect();
    Page { columns: columns.leak(), rows }
}
