//! OpenMetrics 1.0: our own names of metrics, with what they are.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use crate::model::clean::is_hostile;
use crate::model::metric::{Kind, Metric};

/// What ends every exposition.
pub const END: &str = "# EOF\n";

/// The family of all that this program has no definition of.
pub const UNKNOWN_HEAD: &str = "# HELP fleet_unknown Metrics that this version of fleet-health does not know.\n\
                                # TYPE fleet_unknown unknown\n";

/// The lines before the first value of a metric.
pub fn head(metric: &Metric) -> String {
    let (name, kind) = (family(metric), if metric.kind == Kind::Counter { "counter" } else { "gauge" });
    format!("# HELP {name} {}\n# TYPE {name} {kind}\n", escape(metric.help))
}

/// The values of one item, oldest first.
pub fn series(out: &mut String, metric: &Metric, host: &str, item: &str, points: &[(DateTime<Utc>, f64)]) {
    let total = if metric.kind == Kind::Counter { "_total" } else { "" };
    let item = if item.is_empty() { String::new() } else { format!(",item=\"{}\"", escape(item)) };
    let start = format!("{}{total}{{host=\"{}\"{item}}}", family(metric), escape(host));
    values(out, &start, points);
}

/// As [`series`], of a metric that is not known.
pub fn unknown(out: &mut String, name: &str, host: &str, item: &str, points: &[(DateTime<Utc>, f64)]) {
    let item = if item.is_empty() { String::new() } else { format!(",item=\"{}\"", escape(item)) };
    values(out, &format!("fleet_unknown{{host=\"{}\",metric=\"{}\"{item}}}", escape(host), escape(name)), points);
}

fn values(out: &mut String, start: &str, points: &[(DateTime<Utc>, f64)]) {
    for (at, value) in points {
        let ms = at.timestamp_millis();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{start} {value} {}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000));
    }
}

/// `fleet_filesystem_inodes_used`; a counter's values have `_total` behind it, so the family has not.
fn family(metric: &Metric) -> String {
    let name: String = metric.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let name = format!("fleet_{name}");
    name.strip_suffix("_total").map_or(name.clone(), str::to_owned)
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c if is_hostile(c) => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::catalogue;

    #[test]
    fn every_metric_has_a_family_of_its_own() {
        let names: BTreeSet<String> = catalogue::METRICS.iter().map(family).collect();
        assert_eq!(names.len(), catalogue::METRICS.len());
        assert!(!names.contains("fleet_unknown"));
        // A counter's values must not look like another family's.
        assert!(!names.iter().any(|name| names.contains(&format!("{name}_total"))));
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escape("a\"b\\c\nd\u{1b}"), "a\\\"b\\\\c\\nd?");
    }
}
