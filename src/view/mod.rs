//! Views: rows of what is known, rendered as table, JSON or CSV. A view never reads a clock or a store.

use chrono::{DateTime, Utc};

use crate::model::filter::Filter;
use crate::model::level::Level;
use crate::model::sample::Process;
use crate::model::snapshot::{Health, HostRow, Snapshot};
use crate::model::spec::HostSpec;

pub mod alerts;
pub mod chart;
pub mod compare;
pub mod csv;
pub mod health;
pub mod history;
pub mod hosts;
pub mod json;
pub mod markdown;
pub mod metrics;
pub mod moment;
pub mod screen;
pub mod services;
pub mod sort;
pub mod status;
pub mod table;
pub mod top;
pub mod unhealthy;
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
    /// How a service fares.
    Health(Health),
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
    /// What there is to say, each on lines of its own under a row; one text in JSON and CSV, with `; ` between.
    Sentences(Vec<String>),
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
    /// As `Store`, and the processes of each host's newest sample.
    Processes,
}

/// What is known; empty where the view does not need it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The configuration of the hosts that are asked for, in its order.
    pub specs: &'a [&'a HostSpec],
    /// Every host, also those that are not asked for: a service is summed over all its servers.
    pub fleet: &'a Snapshot,
    /// Which hosts, services and problems are asked for.
    pub filter: &'a Filter,
    /// The processes that took most on the hosts that are asked for.
    pub processes: &'a [(&'a str, Vec<Process>)],
    /// The rules that ship: a metric, and what is written of its rule.
    pub defaults: &'a [(String, String)],
}

impl<'a> Facts<'a> {
    /// The hosts that are asked for, worst first.
    pub fn hosts(&self) -> impl Iterator<Item = &'a HostRow> + use<'a> {
        let filter = self.filter;
        self.fleet.hosts.iter().filter(move |host| filter.host(host))
    }
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
    /// What people are told under the table, or instead of an empty one; lines, or nothing.
    pub note: fn(&Facts) -> String,
    /// Whether the fleet's own problems belong to it, those of no host.
    pub fleet: bool,
    /// Whether over which load a server is unhealthy can be said.
    pub thresholds: bool,
    /// How many rows are shown where nobody says.
    pub limit: Option<usize>,
}

impl View {
    /// A view without a note, thresholds and limit.
    #[must_use]
    pub const fn new(
        name: &'static str,
        help: &'static str,
        needs: Needs,
        columns: &'static [Column],
        rows: fn(&Facts) -> Vec<Vec<Cell>>,
    ) -> Self {
        Self { name, help, needs, columns, rows, note: |_| String::new(), fleet: false, thresholds: false, limit: None }
    }

    /// Whether its rows say what is wrong.
    #[must_use]
    pub fn judges(&self) -> bool {
        self.columns.iter().any(Column::judges)
    }

    /// The view of these facts.
    #[must_use]
    pub fn page(&self, facts: &Facts) -> Page {
        Page { columns: self.columns, rows: (self.rows)(facts) }
    }
}

impl Column {
    /// Whether it says how bad a row is.
    fn judges(&self) -> bool {
        matches!(self.name, "level" | "status")
    }
}

impl Page {
    /// Whether a row says that something is wrong: a level over ok, or a service that is not healthy.
    #[must_use]
    pub fn wrong(&self) -> bool {
        let bad = |cell: &Cell| match cell {
            Cell::Level(level) => level.is_some_and(|level| level > Level::Ok),
            Cell::Health(health) => *health == Health::Unhealthy,
            _ => false,
        };
        self.rows.iter().any(|row| self.columns.iter().zip(row).any(|(column, cell)| column.judges() && bad(cell)))
    }
}

/// Every view whose rows follow from [`Facts`] alone, in the order of the help.
pub const VIEWS: &[View] = &[status::VIEW, hosts::VIEW, services::VIEW, unhealthy::VIEW, top::VIEW, metrics::VIEW];

/// A column of a table of columns.
#[must_use]
pub const fn column(name: &'static str, title: &'static str, place: Place) -> Column {
    Column { name, title, place }
}
