//! InfluxDB's line protocol: the metric is the measurement, host and item are tags.

use std::fmt::Write as _;

use super::Value;
use crate::model::clean::is_hostile;

/// One line; least and greatest only where it stands for an hour.
pub fn line(out: &mut String, value: &Value<'_>) {
    escape(out, value.metric, &[',', ' ']);
    out.push_str(",host=");
    escape(out, value.host, &[',', ' ', '=']);
    // A tag without a value is not allowed.
    if !value.item.is_empty() {
        out.push_str(",item=");
        escape(out, value.item, &[',', ' ', '=']);
    }
    let point = &value.point;
    // Writing to a String cannot fail.
    let _ = write!(out, " value={}", point.mean);
    if value.is_hour() {
        let _ = write!(out, ",min={},max={}", point.min, point.max);
    }
    let nanoseconds = i128::from(point.at.timestamp_millis()) * 1_000_000;
    let _ = writeln!(out, " {nanoseconds}");
}

/// The format has no way to write a line break, nor a backslash before what it escapes or at an end: both become `?`.
fn escape(out: &mut String, text: &str, special: &[char]) {
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let before_special = rest.peek().is_none_or(|next| special.contains(next) || *next == '\\' || *next == '"');
        if is_hostile(c) || (c == '\\' && before_special) {
            out.push('?');
        } else {
            if special.contains(&c) {
                out.push('\\');
            }
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_format_cannot_say_is_replaced() {
        let shown = |text: &str| {
            let mut out = String::new();
            escape(&mut out, text, &[',', ' ', '=']);
            out
        };
        assert_eq!(shown("/a b,c=d"), "/a\\ b\\,c\\=d");
        assert_eq!(shown("a\\"), "a?");
        assert_eq!(shown("a\\,b"), "a?\\,b");
        assert_eq!(shown("a\\b\nc\u{202e}"), "a\\b?c?");
    }
}
