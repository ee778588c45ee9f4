//! The mean over the servers of a service is a problem, in the metric's bad direction.

use super::above::Above;
use super::below::Below;
use super::{Rule, Said};
use crate::model::metric::{Direction, Metric, Unit};
use crate::model::rule::RuleKind;

pub(super) struct Average;

impl Rule for Average {
    fn kind(&self) -> RuleKind {
        RuleKind::Average
    }
    fn help(&self) -> &'static str {
        "the mean over the servers of a service is past the level, in the metric's bad direction"
    }
    fn comparing(&self, metric: &Metric) -> Option<&'static dyn Rule> {
        Some(match metric.direction {
            Direction::HighIsBad => &Above,
            Direction::LowIsBad => &Below,
        })
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
        let way = if said.metric.direction == Direction::HighIsBad { "from" } else { "at or under" };
        said.plain(way).replacen(" is ", " is on average ", 1)
    }
}
