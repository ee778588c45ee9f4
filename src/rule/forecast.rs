//! Something is used up within the threshold if it goes on like this.

use super::below::Below;
use super::{Rule, Said};
use crate::model::forecast::FAR;
use crate::model::metric::Unit;
use crate::model::rule::RuleKind;

pub(super) struct Forecast;

impl Rule for Forecast {
    fn kind(&self) -> RuleKind {
        RuleKind::Forecast
    }
    fn help(&self) -> &'static str {
        "something is used up within the level if it goes on as in the last six hours"
    }
    fn breaches(&self, value: f64, threshold: f64) -> bool {
        Below.breaches(value, threshold)
    }
    /// A quarter beyond: a forecast swings more than a measurement.
    fn default_clear(&self, _: Unit, threshold: f64) -> f64 {
        threshold * 1.25
    }
    fn healthier(&self, one: f64, other: f64) -> f64 {
        Below.healthier(one, other)
    }
    fn sentence(&self, said: &Said<'_>) -> String {
        let (what, end) = if said.metric.name.contains("inodes") {
            (format!("the inodes of {}", said.item), "used up")
        } else {
            (said.item.to_owned(), "full")
        };
        let limit = said.threshold.map(|limit| format!(" ({} within {})", said.level, (said.amount)(limit)));
        let limit = limit.unwrap_or_default();
        if said.value >= FAR {
            format!("{what} will not be {end} soon")
        } else if said.value <= 0.0 {
            format!("{what} will be {end} at once{limit}")
        } else {
            format!("{what} will be {end} in {}{limit}", (said.amount)(said.value))
        }
    }
}
