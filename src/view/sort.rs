//! Rows in another order than the view's own.

use std::cmp::Ordering;

use crate::model::natural::Natural;
use crate::model::snapshot::rank;
use crate::model::suggest::did_you_mean;

use super::{Cell, Page};

/// Sorts the rows of a page by columns, named as in JSON or by their heading; `-` before a name turns its order round.
/// Rows that are equal keep their order, and what is not known comes last either way.
///
/// # Errors
/// A column that the page does not have, with those it has.
pub fn sort(page: &mut Page, by: &[String]) -> Result<(), String> {
    let mut keys: Vec<(usize, bool)> = Vec::new();
    for word in by {
        let (name, down) = word.strip_prefix('-').map_or((word.as_str(), false), |name| (name, true));
        let meant = |title: &str| !title.is_empty() && title.eq_ignore_ascii_case(name);
        let found = page.columns.iter().position(|column| column.name == name || meant(column.title));
        let Some(found) = found else {
            let names: Vec<&str> = page.columns.iter().map(|column| column.name).collect();
            let all = format!("there are: {}", names.join(", "));
            return Err(format!("no column is named \"{name}\"; {}", did_you_mean(name, names, &all)));
        };
        keys.push((found, down));
    }
    page.rows.sort_by(|a, b| {
        let one = |&(at, down): &(usize, bool)| match (a.get(at), b.get(at)) {
            (Some(a), Some(b)) => order(a, b, down),
            _ => Ordering::Equal,
        };
        keys.iter().map(one).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
    Ok(())
}

fn order(a: &Cell, b: &Cell, down: bool) -> Ordering {
    match (a == &Cell::Empty, b == &Cell::Empty) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if down => compare(b, a),
        (false, false) => compare(a, b),
    }
}

fn compare(a: &Cell, b: &Cell) -> Ordering {
    match (a, b) {
        (Cell::Level(a), Cell::Level(b)) => rank(*a).cmp(&rank(*b)),
        (Cell::Health(a), Cell::Health(b)) => a.cmp(b),
        (Cell::Time(a), Cell::Time(b)) => a.cmp(b),
        (Cell::Flag(a), Cell::Flag(b)) => a.cmp(b),
        (Cell::Text(a), Cell::Text(b)) => Natural(a).cmp(&Natural(b)),
        (Cell::List(a), Cell::List(b)) => Natural(&a.join(" ")).cmp(&Natural(&b.join(" "))),
        _ => number(a).total_cmp(&number(b)),
    }
}

fn number(cell: &Cell) -> f64 {
    match cell {
        Cell::Ratio(value) | Cell::Bytes(value) | Cell::Seconds(value) | Cell::Celsius(value) | Cell::Number(value) => {
            *value
        }
        Cell::Rate(inner) => number(inner),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Place, column};
    use super::*;
    use crate::model::level::Level;

    const COLUMNS: &[Column] = &[
        column("host", "HOST", Place::Left),
        column("level", "LEVEL", Place::Left),
        column("memory", "MEM", Place::Right),
    ];

    fn sorted(by: &[&str]) -> Result<Vec<String>, String> {
        let row = |host: &str, level, memory: Option<f64>| {
            vec![Cell::Text(host.to_owned()), Cell::Level(level), memory.map_or(Cell::Empty, Cell::Ratio)]
        };
        let rows = vec![
            row("web10", Some(Level::Critical), Some(0.5)),
            row("web2", Some(Level::Ok), None),
            row("web02", None, Some(0.9)),
            row("db", Some(Level::Warning), Some(0.5)),
        ];
        let mut page = Page { columns: COLUMNS, rows };
        let by: Vec<String> = by.iter().map(|word| (*word).to_owned()).collect();
        sort(&mut page, &by)?;
        Ok(page.rows.iter().map(|row| super::super::table::text(&row[0])).collect())
    }

    #[test]
    fn by_one_column_or_more_each_way() {
        assert_eq!(sorted(&["host"]).unwrap(), ["db", "web02", "web2", "web10"]);
        assert_eq!(sorted(&["-level"]).unwrap(), ["web10", "db", "web02", "web2"]);
        assert_eq!(sorted(&["MEM", "-host"]).unwrap(), ["web10", "db", "web02", "web2"]);
        assert_eq!(sorted(&["-memory"]).unwrap(), ["web02", "web10", "db", "web2"], "what is not known stands last");
        assert_eq!(sorted(&[]).unwrap(), ["web10", "web2", "web02", "db"]);
    }

    #[test]
    fn an_unknown_column_is_told_with_those_there_are() {
        assert!(sorted(&["memry"]).unwrap_err().contains("did you mean \"memory\"?"));
        assert!(sorted(&["-zzz"]).unwrap_err().contains("there are: host, level, memory"));
    }
}
