//! CSV and JSON lines.

use chrono::SecondsFormat;
use serde_json::json;

use super::Value;
use crate::view::{Cell, csv as fields, json as text};

/// The names of the columns; only ever added to.
pub const CSV_HEAD: &str = "host,metric,item,at,value,min,max\r\n";

/// One line of CSV.
pub fn csv(out: &mut String, value: &Value<'_>) {
    let text = |text: &str| Cell::Text(text.to_owned());
    let point = &value.point;
    let row = [
        text(value.host),
        text(value.metric),
        text(value.item),
        Cell::Time(point.at),
        Cell::Number(point.mean),
        Cell::Number(point.min),
        Cell::Number(point.max),
    ];
    out.push_str(&fields::line(&row));
}

/// One object; least and greatest only where it stands for an hour.
pub fn jsonl(out: &mut String, value: &Value<'_>) {
    let point = &value.point;
    let mut object = json!({
        "host": value.host, "metric": value.metric, "item": value.item,
        "at": point.at.to_rfc3339_opts(SecondsFormat::AutoSi, true), "value": point.mean,
    });
    if value.is_hour() {
        object["min"] = json!(point.min);
        object["max"] = json!(point.max);
    }
    out.push_str(&text::text(&object));
}
