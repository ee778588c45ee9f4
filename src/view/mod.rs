//! Views: rows of what is known, rendered as table, JSON or CSV. A view never reads a clock or a store.

use chrono::{DateTime, Utc};

use crate::model::alert::Incident;
use crate::model::fleet::HostNow;
use crate::model::level::Level;
use crate::model::spec::HostSpec;

pub mod alerts;
pub mod chart;
pub mod csv;
pub mod health;
pub mod history;
pub mod hosts;
pub mod json;
pub mod markdown;
pub mod metrics;
pub mod screen;
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
    /// Degrees.
    Celsius(f64),
    /// A plain number.
    Number(f64),
    /// Any of the above each second.
    Rate(Box<Cell>),
    /// Yes or no.
    Flag(bool),
    /// Several texts; an array in JSON.
    List(Vec<String>),
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
pub struct Page {
    /// In the order in which they are shown.
    pub columns: &'static [Column],
    /// Each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

/// What a view is made of, and so what `app` gets before it asks for the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it shows what the program itself knows.
    Nothing,
    /// The hosts of the configuration.
    Hosts,
    /// The hosts, and what is stored of them.
    Store,
}

/// What is known; empty where the view does not need it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The run's one now.
    pub now: DateTime<Utc>,
    /// The hosts that are asked for, in any order.
    pub hosts: &'a [&'a HostSpec],
    /// Last attempt and newest sample of every host that was ever tried.
    pub stored: &'a [HostNow],
    /// Open incidents of every host.
    pub incidents: &'a [Incident],
    /// The rules that ship: a metric, and what is written of its rule.
    pub defaults: &'a [(String, String)],
}

/// A way to look at what is known. Its command, help, completions and man page are made from this.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// The name of its command.
    pub name: &'static str,
    /// One line for people.
    pub help: &'static str,
    /// What it is made of.
    pub needs: Needs,
    /// Its columns.
    pub columns: &'static [Column],
    /// Its rows, each as long as `columns`.
    pub rows: fn(&Facts) -> Vec<Vec<Cell>>,
}

impl View {
    /// The view of these facts.
    #[must_use]
    pub fn page(&self, facts: &Facts) -> Page {
        Page { columns: self.columns, rows: (self.rows)(facts) }
    }
}

/// Every view whose rows follow from [`Facts`] alone, in the order of the help.
pub const VIEWS: &[View] = &[status::VIEW, hosts::VIEW, metrics::VIEW];

/// A column of a table of columns.
#[must_use]
pub const fn column(name: &'static str, title: &'static str, place: Place) -> Column {
    Column { name, title, place }
}
