//! The mean over the servers of a service is a problem, in the metric's bad direction.

use super::above::Above;
use super::below::Below;
use super::{Rule, Said};
use crate::model::metric::{Direction, Metric};
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
    fn sentence(&self, said: &Said<'_>) -> String {
        let way = if said.metric.direction == Direction::HighIsBad { "from" } else { "at or under" };
        said.plain(way).replacen(" is ", " is on average ", 1)
    }
}
