//! The value is a problem from the threshold upward.

use super::{Rule, Said};
use crate::model::rule::RuleKind;

pub(super) struct Above;

impl Rule for Above {
    fn kind(&self) -> RuleKind {
        RuleKind::Above
    }
    fn help(&self) -> &'static str {
        "the value is at or over the level; for metrics of which high is bad"
    }
    fn sentence(&self, said: &Said<'_>) -> String {
        // What is a matter of yes and no is said in words, not as "is 1".
        let Some(fact) = said.metric.help.strip_prefix("1 where ").filter(|_| said.threshold == Some(1.0)) else {
            return said.plain("from");
        };
        let not = if said.value >= 1.0 { "" } else { "no longer: " };
        if said.item.is_empty() { format!("{not}{fact}") } else { format!("{}: {not}{fact}", said.item) }
    }
}
