//! Kinds of rules and the conditions beside them: what configuration, judgement and words all have to know.

use super::derive::{self, Formula};
use super::metric::{Direction, Kind, Metric, Unit};

/// How a rule looks at its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleKind {
    /// The value is a problem from the threshold upward.
    Above,
    /// The value is a problem from the threshold downward.
    Below,
    /// What a counter grows by each second is a problem from the threshold upward.
    Rate,
    /// Something is used up within the threshold if it goes on like this.
    Forecast,
    /// What should be there has been missing for as long as the threshold.
    Absent,
    /// The mean over the servers of a service is past the threshold, in the metric's bad direction.
    Average,
}

impl RuleKind {
    /// Every kind.
    pub const ALL: &'static [Self] =
        &[Self::Above, Self::Below, Self::Rate, Self::Forecast, Self::Absent, Self::Average];

    /// The word of `kind=`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
            Self::Rate => "rate",
            Self::Forecast => "forecast",
            Self::Absent => "absent",
            Self::Average => "average",
        }
    }

    /// The reverse of [`RuleKind::word`].
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.word() == word)
    }

    /// The kind that a rule for the metric has where it says none.
    #[must_use]
    pub fn of(metric: &Metric) -> Self {
        match (metric.kind, metric.direction) {
            (Kind::Counter, _) => Self::Rate,
            _ if is_forecast(metric) => Self::Forecast,
            (Kind::Gauge, Direction::HighIsBad) => Self::Above,
            (Kind::Gauge, Direction::LowIsBad) => Self::Below,
        }
    }

    /// Whether a rule for the metric can be of this kind.
    #[must_use]
    pub fn fits(self, metric: &Metric) -> bool {
        match self {
            Self::Above | Self::Below => metric.kind == Kind::Gauge && !is_forecast(metric),
            Self::Rate => metric.kind == Kind::Counter,
            Self::Forecast => is_forecast(metric),
            Self::Absent => !is_forecast(metric),
            Self::Average => {
                metric.item.starts_with("service") && metric.kind == Kind::Gauge && derive::find(metric.name).is_none()
            }
        }
    }

    /// The unit of the thresholds of such a rule.
    #[must_use]
    pub fn unit(self, metric: &Metric) -> Unit {
        match (self, metric.kind) {
            (Self::Absent, _) => Unit::Seconds,
            (_, Kind::Counter) => metric.unit.per_second(),
            (_, Kind::Gauge) => metric.unit,
        }
    }

    /// Which way its values are bad.
    #[must_use]
    pub const fn direction(self, metric: &Metric) -> Direction {
        match self {
            Self::Average => metric.direction,
            Self::Above | Self::Rate | Self::Absent => Direction::HighIsBad,
            Self::Below | Self::Forecast => Direction::LowIsBad,
        }
    }
}

fn is_forecast(metric: &Metric) -> bool {
    derive::find(metric.name).is_some_and(|derived| matches!(derived.formula, Formula::Forecast(_)))
}

/// The name of a rule in incidents: its metric, and its kind where that is not the metric's own.
#[must_use]
pub fn name(metric: &Metric, kind: RuleKind) -> String {
    if kind == RuleKind::of(metric) { metric.name.to_owned() } else { format!("{}.{}", metric.name, kind.word()) }
}

/// The names of all rules that a metric can have.
#[must_use]
pub fn names() -> Vec<String> {
    let kinds =
        |metric| RuleKind::ALL.iter().filter(move |kind| kind.fits(metric)).map(move |kind| name(metric, *kind));
    super::catalogue::all().flat_map(kinds).collect()
}

/// The reverse of [`name`].
#[must_use]
pub fn parse(rule: &str) -> Option<(&'static Metric, RuleKind)> {
    if let Some(metric) = super::catalogue::find(rule) {
        return Some((metric, RuleKind::of(metric)));
    }
    let (metric, kind) = rule.rsplit_once('.')?;
    let (metric, kind) = (super::catalogue::find(metric)?, RuleKind::from_word(kind)?);
    kind.fits(metric).then_some((metric, kind))
}

/// What a condition does with the rule that it stands beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing is a problem unless it holds too.
    And,
    /// Nothing is critical unless it holds too.
    AndCritical,
    /// Nothing is a problem while it holds.
    Unless,
}

/// A threshold for another metric of the same sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The attribute that says it: `and`, `and-below-free`, `and-critical`, `unless`.
    pub attribute: &'static str,
    /// What it does.
    pub role: Role,
    /// The other metric; it holds where its value is at or past the threshold, in the metric's bad direction.
    pub metric: String,
    /// The item; `None`: the one that is judged.
    pub item: Option<String>,
    /// In the unit of the metric, a counter's each second.
    pub threshold: f64,
}

/// The metric of the size of an item, in bytes, where levels of a kind of rule can follow it.
#[must_use]
pub fn size_of(metric: &str, kind: RuleKind) -> Option<&'static str> {
    const SIZES: &[(&str, &str)] = &[("filesystem.used", "filesystem.size")];
    SIZES.iter().find(|(used, _)| *used == metric && kind == RuleKind::Above).map(|(_, size)| *size)
}

/// The metric of what is free, in bytes, where a metric tells a share of what is used.
#[must_use]
pub fn free_of(metric: &str) -> Option<&'static str> {
    const FREE: &[(&str, &str)] = &[("filesystem.used", "filesystem.available"), ("memory.used", "memory.available")];
    FREE.iter().find(|(used, _)| *used == metric).map(|(_, free)| *free)
}

#[cfg(test)]
mod tests {
    use super::super::catalogue;
    use super::*;

    #[test]
    fn names_come_back() {
        for metric in catalogue::all() {
            assert!(RuleKind::of(metric).fits(metric), "{}", metric.name);
            for &kind in RuleKind::ALL.iter().filter(|kind| kind.fits(metric)) {
                assert_eq!(parse(&name(metric, kind)), Some((metric, kind)));
            }
            assert!(free_of(metric.name).is_none_or(|free| catalogue::find(free).is_some()));
        }
        assert_eq!(parse("unreachable"), None);
        assert_eq!(parse("network.receive.bytes.forecast"), None);
    }
}
