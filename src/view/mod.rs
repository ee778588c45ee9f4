//! Views: rows of what is known, rendered as table, JSON or CSV. A view never reads a clock or a store.

use chrono::{DateTime, Utc};

use crate::model::level::Level;

pub mod alerts;
pub mod csv;
pub mod health;
pub mod history;
pub mod json;
pub mod metrics;
pub mod status;
pub mod table;
pub mod units;

/// One value of a row; each format writes it in its own way.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Not known.
    Empty,
    /// A text, possibly from a host.
    Text(String),
    /// How bad; `None`: nothing is known yet.
    Level(Option<Level>),
    /// A moment.
    Time(DateTime<Utc>),
    /// 0 to 1.
    Ratio(f64),
    /// Bytes.
    Bytes(f64),
    /// Seconds.
    Seconds(f64),
    /// A plain number.
    Number(f64),
    /// Any of the above each second.
    Rate(Box<Cell>),
}

/// A column of a view.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The key in JSON and CSV; only ever added to.
    pub name: &'static str,
    /// The heading in the table; empty: not in the table.
    pub title: &'static str,
    /// Where the table puts it.
    pub place: Place,
}

/// Where the table puts a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the line, from the left; cut where the terminal is too narrow.
    Left,
    /// In the line, to the right, for numbers; never cut.
    Right,
    /// On lines of its own under the row, where there is something to say.
    Below,
}

/// What is shown.
#[derive(Clone, Debug)]
pub struct View {
    /// In the order in which they are shown.
    pub columns: &'static [Column],
    /// Each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

/// Shorthand for the tables of columns.
pub(crate) const fn column(name: &'static str, title: &'static str, place: Place) -> Column {
    Column { name, title, place }
}
