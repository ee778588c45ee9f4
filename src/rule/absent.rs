//! What should be there has been missing for as long as the threshold.

use super::{Rule, Said};
use crate::model::metric::Unit;
use crate::model::rule::RuleKind;

pub(super) struct Absent;

impl Rule for Absent {
    fn kind(&self) -> RuleKind {
        RuleKind::Absent
    }
    fn help(&self) -> &'static str {
        "no reading of the metric, or of an item that matches, for as long as the level although the host answers"
    }
    fn breaches(&self, value: f64, threshold: f64) -> bool {
        // What is there, missing for no time at all, is never a problem.
        value >= threshold.max(f64::MIN_POSITIVE)
    }
    /// Only its return ends it.
    fn default_clear(&self, _: Unit, _: f64) -> f64 {
        f64::MIN_POSITIVE
    }
    fn sentence(&self, said: &Said<'_>) -> String {
        if said.value <= 0.0 {
            return format!("{} is there again", said.what());
        }
        let limit = said.threshold.map(|limit| format!(" ({} after {})", said.level, (said.amount)(limit)));
        format!("{} has been missing for {}{}", said.what(), (said.amount)(said.value), limit.unwrap_or_default())
    }
}
