//! What a counter grows by each second is a problem from the threshold upward.

use super::{Rule, Said};
use crate::model::rule::RuleKind;

pub(super) struct Rate;

impl Rule for Rate {
    fn kind(&self) -> RuleKind {
        RuleKind::Rate
    }
    fn help(&self) -> &'static str {
        "the growth of a counter each second is at or over the level; a reboot or a reset makes no value"
    }
    fn sentence(&self, said: &Said<'_>) -> String {
        let grown = said.plain("from");
        grown.replacen(" is ", " grows by ", 1)
    }
}
