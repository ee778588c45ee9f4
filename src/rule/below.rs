//! The value is a problem from the threshold downward.

use super::{Rule, Said};
use crate::model::metric::Unit;
use crate::model::rule::RuleKind;

pub(super) struct Below;

impl Rule for Below {
    fn kind(&self) -> RuleKind {
        RuleKind::Below
    }
    fn help(&self) -> &'static str {
        "the value is at or under the level; for metrics of which low is bad"
    }
    fn breaches(&self, value: f64, threshold: f64) -> bool {
        value <= threshold
    }
    fn default_clear(&self, unit: Unit, threshold: f64) -> f64 {
        match unit {
            Unit::Ratio => threshold + ((1.0 - threshold).abs() / 8.0).min(0.1),
            _ => threshold + threshold.abs() / 10.0,
        }
    }
    fn healthier(&self, one: f64, other: f64) -> f64 {
        one.max(other)
    }
    fn sentence(&self, said: &Said<'_>) -> String {
        said.plain("at or under")
    }
}
