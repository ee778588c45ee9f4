//! The small things that pages are made of: moments, numbers, levels, links.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::model::catalogue;
use crate::model::figure;
use crate::model::level::Level;
use crate::web::percent;
use crate::web::request::Params;

/// A moment: for people in UTC, for scripts to show in their own time, and how long ago it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    stamp: String,
    text: String,
    age: String,
}

impl Moment {
    /// `at` as seen from `now`.
    #[must_use]
    pub fn new(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self {
            stamp: stamp(at),
            text: at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            // The clock was set back: it is new, not negative.
            age: lasted(at, now),
        }
    }
}

/// `2026-11-21T20:00:00Z`, as addresses carry it.
#[must_use]
pub fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// `3h`: how long something lasted.
#[must_use]
pub fn lasted(from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    figure::seconds((to - from).num_seconds().max(0) as f64)
}

/// A number in a table: its text, its share in twentieths where it is one, and the level of a problem about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figure {
    text: String,
    share: Option<u8>,
    level: &'static str,
}

impl Figure {
    /// A value of a metric; empty where there is none.
    #[must_use]
    pub fn new(metric: &str, value: Option<f64>) -> Self {
        let Some(value) = value else { return Self::default() };
        Self { text: figure::of(catalogue::find(metric), value), ..Self::default() }
    }

    /// A load: always two places, so that those of a column can be told apart at a glance.
    #[must_use]
    pub fn load(value: Option<f64>) -> Self {
        Self { text: value.map(|value| format!("{value:.2}")).unwrap_or_default(), ..Self::default() }
    }

    /// A share, with a bar behind it.
    #[must_use]
    pub fn share(value: Option<f64>) -> Self {
        let Some(value) = value else { return Self::default() };
        let twentieths = (value * 20.0).round().clamp(0.0, 20.0) as u8;
        Self { text: figure::ratio(value), share: Some(twentieths), level: "" }
    }

    /// With the level of the worst problem about it.
    #[must_use]
    pub fn at(mut self, worst: Option<Level>) -> Self {
        self.level = worst.filter(|level| *level > Level::Ok).map_or("", Level::word);
        self
    }
}

/// `critical`, `warning`, `ok`, or `unknown`.
#[must_use]
pub fn word(level: Option<Level>) -> &'static str {
    level.map_or("unknown", Level::word)
}

/// One of several links, with the one that is shown.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    /// Where it leads.
    pub href: String,
    /// What it says.
    pub text: String,
    /// Whether it is what is shown.
    pub here: bool,
}

/// A hidden field: what a form must carry on.
#[derive(Clone, Debug, Serialize)]
pub struct Field {
    name: String,
    value: String,
}

/// The path of something with a name: `/host/web01`.
#[must_use]
pub fn path(kind: &str, name: &str) -> String {
    format!("/{kind}/{}", percent::encode(name))
}

/// The address of a page, from which links to itself are made.
#[derive(Clone, Debug)]
pub struct Address {
    path: String,
    params: Vec<(String, String)>,
}

impl Address {
    /// A page, with those of the query's values that it knows and that are not empty.
    #[must_use]
    pub fn new(path: &str, query: &Params, known: &[&str]) -> Self {
        let kept = query.iter().filter(|(name, value)| known.contains(name) && !value.is_empty());
        let mut params: Vec<(String, String)> = Vec::new();
        for (name, value) in kept {
            if !params.iter().any(|(there, _)| there == name) {
                params.push((name.to_owned(), value.to_owned()));
            }
        }
        Self { path: path.to_owned(), params }
    }

    /// With some values changed; an empty one is left out.
    #[must_use]
    pub fn with(&self, changes: &[(&str, &str)]) -> String {
        let old = self.params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let kept = old.filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        let new = changes.iter().copied().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> =
            kept.chain(new).map(|(name, value)| format!("{name}={}", percent::encode(value))).collect();
        if pairs.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, pairs.join("&")) }
    }

    /// The values besides these, as fields of a form.
    #[must_use]
    pub fn fields(&self, without: &[&str]) -> Vec<Field> {
        let kept = self.params.iter().filter(|(name, _)| !without.contains(&name.as_str()));
        kept.map(|(name, value)| Field { name: name.clone(), value: value.clone() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_change_what_they_say_and_keep_the_rest() {
        let query = Params::read("filter=level%3E%3Dwarning&page=3&sort=&evil=1&page=4").unwrap();
        let address = Address::new("/", &query, &["filter", "page", "sort"]);
        assert_eq!(address.with(&[("page", "")]), "/?filter=level%3E%3Dwarning");
        assert_eq!(address.with(&[("filter", "a b&c"), ("page", "4")]), "/?filter=a%20b%26c&page=4");
        assert_eq!(address.with(&[("filter", ""), ("page", "")]), "/");
        assert_eq!(address.fields(&["filter"]).len(), 1);
    }

    #[test]
    fn shares_have_a_bar_and_problems_a_level() {
        let it = Figure::share(Some(0.853)).at(Some(Level::Warning));
        assert_eq!((it.text.as_str(), it.share, it.level), ("85%", Some(17), "warning"));
        assert_eq!(Figure::share(Some(7.0)).share, Some(20));
        assert_eq!(Figure::share(None).at(Some(Level::Ok)), Figure::default());
    }
}
