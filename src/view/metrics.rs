//! The catalogue of metrics.

use crate::model::catalogue::METRICS;
use crate::model::metric::{Direction, Kind, Unit};

use super::{Cell, Column, Facts, Needs, Place, View, column};

const COLUMNS: &[Column] = &[
    column("metric", "METRIC", Place::Left),
    column("kind", "KIND", Place::Left),
    column("unit", "UNIT", Place::Left),
    column("bad", "BAD IS", Place::Left),
    column("item", "ITEM", Place::Left),
    column("help", "HELP", Place::Below),
];

/// Every metric with kind, unit, direction and help.
pub const VIEW: View = View {
    name: "metrics",
    help: "The metrics that are known, with unit and meaning",
    needs: Needs::Nothing,
    columns: COLUMNS,
    rows,
};

fn rows(_: &Facts) -> Vec<Vec<Cell>> {
    let row = |metric: &crate::model::metric::Metric| {
        let kind = match metric.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let unit = match metric.unit {
            Unit::Ratio => "ratio",
            Unit::Bytes => "bytes",
            Unit::Seconds => "seconds",
            Unit::Count => "count",
        };
        let bad = match metric.direction {
            Direction::HighIsBad => "high",
            Direction::LowIsBad => "low",
        };
        [metric.name, kind, unit, bad, metric.item, metric.help].map(|text| Cell::Text(text.to_owned())).to_vec()
    };
    METRICS.iter().map(row).collect()
}
