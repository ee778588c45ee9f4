//! What a counter grows by each second is a problem from the threshold upward.

use super::above::Above;
use super::{Rule, Said};
use crate::model::metric::Unit;
use crate::model::rule::RuleKind;

pub(super) struct Rate;

impl Rule for Rate {
    fn kind(&self) -> RuleKind {
        RuleKind::Rate
    }
    fn help(&self) -> &'static str {
        "the growth of a counter each second is at or over the level; a reboot or a reset makes no value"
    }
    fn breaches(&self, value: f64, threshold: f64) -> bool {
        Above.breaches(value, threshold)
    }
    fn default_clear(&self, unit: Unit, threshold: f64) -> f64 {
        Above.default_clear(unit, threshold)
    }
    fn healthier(&self, one: f64, other: f64) -> f64 {
        Above.healthier(one, other)
    }
    fn sentence(&self, said: &Said<'_>) -> String {
        let grown = said.plain("from");
        grown.replacen(" is ", " grows by ", 1)
    }
}
