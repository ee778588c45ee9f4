//! The catalogue of metrics.

use crate::model::metric::{Direction, Kind};
use crate::model::{catalogue, derive};

use super::{Cell, Column, Facts, Needs, Place, View, column};

const COLUMNS: &[Column] = &[
    column("metric", "METRIC", Place::Left),
    column("kind", "KIND", Place::Left),
    column("unit", "UNIT", Place::Left),
    column("bad", "BAD IS", Place::Left),
    column("item", "ITEM", Place::Left),
    column("help", "HELP", Place::Below),
    column("derived", "DERIVED", Place::Below),
    column("default", "DEFAULT", Place::Below),
];

/// Every metric with kind, unit, direction and help.
pub const VIEW: View = View::new(
    "metrics",
    "The metrics that are known, with unit, meaning and default thresholds",
    Needs::Nothing,
    COLUMNS,
    rows,
);

fn rows(facts: &Facts) -> Vec<Vec<Cell>> {
    let row = |metric: &crate::model::metric::Metric| {
        let kind = match metric.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let unit = metric.unit.word();
        let bad = match metric.direction {
            Direction::HighIsBad => "high",
            Direction::LowIsBad => "low",
        };
        let text = |text: &str| Cell::Text(text.to_owned());
        let derived = derive::find(metric.name);
        let rules = facts.defaults.iter().filter(|(name, _)| name == metric.name);
        let rules: Vec<String> = rules.map(|(_, written)| written.clone()).collect();
        let mut row = [metric.name, kind, unit, bad, metric.item, metric.help].map(text).to_vec();
        row.push(derived.map_or(Cell::Empty, |derived| Cell::Text(derived.formula.words())));
        row.push(if rules.is_empty() { Cell::Empty } else { Cell::Text(rules.join("; ")) });
        row
    };
    catalogue::all().map(row).collect()
}
