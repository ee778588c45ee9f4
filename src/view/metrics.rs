//! The catalogue of metrics.

use crate::model::catalogue::METRICS;
use crate::model::metric::{Direction, Kind, Unit};

use super::{Cell, Column, Place, View, column};

const COLUMNS: &[Column] = &[
    column("metric", "METRIC", Place::Left),
    column("kind", "KIND", Place::Left),
    column("unit", "UNIT", Place::Left),
    column("bad", "BAD IS", Place::Left),
    column("item", "ITEM", Place::Left),
    column("help", "HELP", Place::Below),
];

/// Every metric with kind, unit, direction and help.
#[must_use]
pub fn view() -> View {
    let row = |metric: &crate::model::metric::Metric| {
        let kind = match metric.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let unit = match metric.unit {
            Unit::Ratio => "ratio",
            Unit::Bytes => "bytes",
            Unit::Seconds => "seconds",
            Unit::Celsius => "celsius",
            Unit::Count => "count",
        };
        let bad = match metric.direction {
            Direction::HighIsBad => "high",
            Direction::LowIsBad => "low",
        };
        [metric.name, kind, unit, bad, metric.item, metric.help].map(|text| Cell::Text(text.to_owned())).to_vec()
    };
    View { columns: COLUMNS, rows: METRICS.iter().map(row).collect() }
}
