//! The exposition formats: Prometheus' text format 0.0.4, and OpenMetrics 1.0 for those who ask for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Prometheus' text format.
    Text,
    /// OpenMetrics.
    Open,
}

impl Form {
    /// What an `Accept` asks for; OpenMetrics only where it is named.
    pub fn wanted(accept: &str) -> Self {
        let named = accept.split(',').any(|part| part.trim().starts_with("application/openmetrics-text"));
        if named { Self::Open } else { Self::Text }
    }

    /// The media type.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// How a family moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A total; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// As node_exporter calls totals whose names say nothing of it.
    Untyped,
}

/// A family: one name, many label sets.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
    /// One line for people.
    pub help: &'static str,
}

/// What is sent: families in the order in which they were first named, lines of one family together.
#[derive(Debug)]
pub struct Page {
    form: Form,
    order: Vec<(Family, String)>,
    places: BTreeMap<&'static str, usize>,
}

impl Page {
    /// Nothing yet.
    pub fn new(form: Form) -> Self {
        Self { form, order: Vec::new(), places: BTreeMap::new() }
    }

    /// One value. Not finite ones are left out: they would poison sums.
    pub fn put(&mut self, family: &Family, labels: &[(&str, &str)], value: f64, at: Option<DateTime<Utc>>) {
        if !value.is_finite() {
            return;
        }
        let place = *self.places.entry(family.name).or_insert_with(|| {
            self.order.push((*family, String::new()));
            self.order.len() - 1
        });
        let Some((_, lines)) = self.order.get_mut(place) else { return };
        lines.push_str(family.name);
        for (n, (name, text)) in labels.iter().enumerate() {
            lines.push(if n == 0 { '{' } else { ',' });
            lines.push_str(name);
            lines.push_str("=\"");
            escape(lines, text, true);
            lines.push('"');
        }
        lines.push_str(if labels.is_empty() { " " } else { "} " });
        // Writing to a String cannot fail.
        let _ = write!(lines, "{value}");
        if let Some(at) = at {
            let ms = at.timestamp_millis();
            let _ = match self.form {
                Form::Text => write!(lines, " {ms}"),
                Form::Open => write!(lines, " {}", ms as f64 / 1000.0),
            };
        }
        lines.push('\n');
    }

    /// The whole text.
    pub fn done(self) -> String {
        let mut out = String::with_capacity(self.order.iter().map(|(_, lines)| lines.len() + 200).sum());
        for (family, lines) in &self.order {
            let name = match (self.form, family.kind) {
                (Form::Open, Type::Counter) => family.name.strip_suffix("_total").unwrap_or(family.name),
                _ => family.name,
            };
            let kind = match (self.form, family.kind) {
                (_, Type::Counter) => "counter",
                (_, Type::Gauge) => "gauge",
                (Form::Text, Type::Untyped) => "untyped",
                (Form::Open, Type::Untyped) => "unknown",
            };
            let mut help = String::new();
            escape(&mut help, family.help, self.form == Form::Open);
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}");
        }
        if self.form == Form::Open {
            out.push_str("# EOF\n");
        }
        out
    }
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_family_stand_together_and_nothing_breaks_out_of_a_label() {
        let family = Family { name: "a_total", kind: Type::Counter, help: "One \"a\" \\ of\nmany" };
        let other = Family { name: "b", kind: Type::Untyped, help: "B" };
        let at = DateTime::from_timestamp(1_789_992_000, 500_000_000);
        for (form, expected) in [
            (
                Form::Text,
                "# HELP a_total One \"a\" \\\\ of\\nmany\n# TYPE a_total counter\na_total{x=\"1\\\"}\\n\\\\\"} 1 \
                 1789992000500\na_total 0.5\n# HELP b B\n# TYPE b untyped\nb 2\n",
            ),
            (
                Form::Open,
                "# HELP a One \\\"a\\\" \\\\ of\\nmany\n# TYPE a counter\na_total{x=\"1\\\"}\\n\\\\\"} 1 \
                 1789992000.5\na_total 0.5\n# HELP b B\n# TYPE b unknown\nb 2\n# EOF\n",
            ),
        ] {
            let mut page = Page::new(form);
            page.put(&family, &[("x", "1\"}\n\\")], 1.0, at);
            page.put(&other, &[], 2.0, None);
            page.put(&family, &[], 0.5, None);
            page.put(&family, &[], f64::NAN, None);
            assert_eq!(page.done(), expected);
        }
    }

    #[test]
    fn openmetrics_is_for_those_who_name_it() {
        assert_eq!(Form::wanted("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"), Form::Open);
        assert_eq!(Form::wanted("text/plain;version=0.0.4"), Form::Text);
        assert_eq!(Form::wanted("*/*"), Form::Text);
    }
}
