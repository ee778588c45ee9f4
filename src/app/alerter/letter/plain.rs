//! A letter as text: what a terminal, a telephone's first lines and a blind person's reader show.

use super::page::{Page, Row, Section};

/// Columns of a table line up, but no name pushes the others off the page.
fn columns(rows: &[[String; 5]]) -> Vec<String> {
    let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0).min(20);
    let widths: Vec<usize> = (0..5).map(width).collect();
    let one = |row: &[String; 5]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width));
        format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
    };
    rows.iter().map(one).collect()
}

fn row(row: &Row) -> Vec<String> {
    let mut out = vec![format!("{:<4} {}", row.level.tag(), row.text)];
    if !row.past.is_empty() {
        out.push(format!("     {}", row.past));
    }
    out
}

fn section(section: &Section) -> Vec<String> {
    match section {
        Section::Past(past) => {
            vec![format!("{}: {} {} {}", past.title, past.first, past.bars, past.last), format!("  {}", past.range)]
        }
        Section::List { title, rows, more } => {
            let mut out = if title.is_empty() { Vec::new() } else { vec![title.clone()] };
            out.extend(rows.iter().flat_map(row));
            if *more > 0 {
                out.push(format!("and {more} more"));
            }
            out
        }
        Section::Notes { title, lines } => {
            std::iter::once(title.clone()).chain(lines.iter().map(|line| format!("  {line}"))).collect()
        }
        Section::Processes { title, rows } => std::iter::once(title.clone()).chain(columns(rows)).collect(),
        Section::Commands(rows) => {
            let one = |(what, command): &(&str, String)| {
                let what = if what.is_empty() { String::new() } else { format!("{what}:") };
                format!("{what:<18} {command}")
            };
            rows.iter().map(one).collect()
        }
    }
}

/// The text.
pub fn render(page: &Page) -> String {
    let mut out = Vec::new();
    // A list is its own title: what it tells begins at once.
    if !page.lead.is_empty() {
        out.push(format!("{:<4} {}", page.level.tag(), page.title));
        out.extend(page.lead.iter().cloned());
        out.push(String::new());
    }
    for part in &page.sections {
        out.extend(section(part));
        out.push(String::new());
    }
    out.push("-- ".to_owned());
    out.push(page.foot.clone());
    out.join("\n")
}
