//! Rules: what makes a reading a problem. One file for each kind, one line of [`RULES`] for each.
//!
//! Default hysteresis, where a rule says no `clear`: a ratio ends 10 points beyond its threshold (85 % at 75 %, 95 % at
//! 85 %), or an eighth of it where that is less (10 % at 8.75 %); every other unit ends a tenth beyond its threshold.
//! `clear` is for the warning; a critical ends by default hysteresis, but never beyond where the warning ends.

use crate::model::alert::Verdict;
use crate::model::catalogue;
use crate::model::level::Level;
use crate::model::metric::{Metric, Unit};
use crate::model::own_rule::SILENT;
use crate::model::rule::{Condition, Role, RuleKind};
use crate::model::spec::RuleSpec;

mod above;
mod absent;
mod average;
mod below;
mod forecast;
mod rate;
mod size;

pub use size::sized;

/// A kind of rule.
pub trait Rule: Sync {
    /// Which it is.
    fn kind(&self) -> RuleKind;
    /// One sentence for documentation.
    fn help(&self) -> &'static str;
    /// The kind that compares in its place, where that hangs on the metric.
    fn comparing(&self, _: &Metric) -> Option<&'static dyn Rule> {
        None
    }
    /// Whether the value is at or past the threshold: upward, where the kind says nothing else.
    fn breaches(&self, value: f64, threshold: f64) -> bool {
        value >= threshold
    }
    /// Where a threshold ends by default hysteresis, in base units: downward, where the kind says nothing else.
    fn default_clear(&self, unit: Unit, threshold: f64) -> f64 {
        match unit {
            Unit::Ratio => threshold - (threshold.abs() / 8.0).min(0.1),
            _ => threshold - threshold.abs() / 10.0,
        }
    }
    /// Which of two thresholds is nearer to healthy: the lower, where the kind says nothing else.
    fn healthier(&self, one: f64, other: f64) -> f64 {
        one.min(other)
    }
    /// What is said of a value.
    fn sentence(&self, said: &Said<'_>) -> String;
}

/// What a sentence is made of.
pub struct Said<'a> {
    /// The metric's definition.
    pub metric: &'a Metric,
    /// The item, or empty.
    pub item: &'a str,
    /// In base units.
    pub value: f64,
    /// The level whose threshold is named.
    pub level: Level,
    /// That threshold; none where the rule has none for the level.
    pub threshold: Option<f64>,
    /// Values as people read them.
    pub amount: &'a dyn Fn(f64) -> String,
}

impl Said<'_> {
    /// `filesystem.used of /var`.
    fn what(&self) -> String {
        if self.item.is_empty() {
            self.metric.name.to_owned()
        } else {
            format!("{} of {}", self.metric.name, self.item)
        }
    }

    /// `X is 91 % (critical from 90 %)`.
    fn plain(&self, way: &str) -> String {
        let limit = self.threshold.map(|limit| format!(" ({} {way} {})", self.level, (self.amount)(limit)));
        let limit = limit.unwrap_or_default();
        let value = (self.amount)(self.value);
        if self.metric.name == SILENT {
            return format!("no sample arrived for {value}{limit}");
        }
        format!("{} is {value}{limit}", self.what())
    }
}

/// Every kind of rule.
pub const RULES: &[&dyn Rule] =
    &[&above::Above, &below::Below, &rate::Rate, &forecast::Forecast, &absent::Absent, &average::Average];

/// The rule of a kind.
#[must_use]
pub fn of(kind: RuleKind) -> &'static dyn Rule {
    RULES.iter().find(|rule| rule.kind() == kind).copied().unwrap_or(&above::Above)
}

/// What a rule says of a value at a level, in one sentence.
#[must_use]
pub fn sentence(spec: &RuleSpec, item: &str, value: f64, level: Level, amount: &dyn Fn(f64) -> String) -> String {
    let threshold =
        if level == Level::Critical { spec.critical.or(spec.warning) } else { spec.warning.or(spec.critical) };
    match catalogue::find(&spec.metric) {
        Some(metric) => of(spec.kind).sentence(&Said { metric, item, value, level, threshold, amount }),
        None => format!("{} is {}", spec.metric, amount(value)),
    }
}

/// A rule made ready to judge many values: everything that does not depend on the value is reckoned once.
#[derive(Clone, Copy)]
pub struct Judge {
    rule: &'static dyn Rule,
    warning: Option<f64>,
    critical: Option<f64>,
    end_warning: Option<f64>,
    end_critical: Option<f64>,
}

impl Judge {
    /// From a rule of the configuration.
    #[must_use]
    pub fn new(spec: &RuleSpec) -> Self {
        let metric = catalogue::find(&spec.metric);
        let rule = metric.and_then(|metric| of(spec.kind).comparing(metric)).unwrap_or(of(spec.kind));
        let unit = metric.map_or(Unit::Count, |metric| spec.kind.unit(metric));
        // `clear` on the wrong side of the threshold would end a problem that lasts.
        let end_warning = spec.warning.or(spec.critical).map(|threshold| {
            spec.clear.map_or_else(|| rule.default_clear(unit, threshold), |clear| rule.healthier(clear, threshold))
        });
        let end_critical = match (spec.critical, spec.warning, end_warning) {
            (Some(critical), Some(_), Some(end)) => {
                let own = rule.default_clear(unit, critical);
                // The one that is nearer to the threshold.
                Some(if rule.healthier(own, end) == own { end } else { own })
            }
            (_, _, end) => end,
        };
        Self { rule, warning: spec.warning, critical: spec.critical, end_warning, end_critical }
    }

    /// The value that ends a problem of this rule, in base units; none where it has no threshold.
    #[must_use]
    pub fn ends(&self) -> Option<f64> {
        self.end_warning
    }

    /// What a value means by itself. One that is not finite means nothing: no data is neither problem nor recovery.
    #[must_use]
    pub fn verdict(&self, value: f64) -> Verdict {
        if !value.is_finite() {
            return Verdict::default();
        }
        let past = |threshold: Option<f64>| threshold.is_some_and(|threshold| self.rule.breaches(value, threshold));
        let critical = past(self.critical);
        let warning = critical || past(self.warning);
        let beyond = |end: Option<f64>| end.is_some_and(|end| self.rule.breaches(end, value));
        Verdict {
            warning,
            critical,
            clear_warning: !warning && beyond(self.end_warning),
            clear_critical: !critical && beyond(self.end_critical),
        }
    }

    /// What a value means beside the rule's conditions; `other` has their values.
    #[must_use]
    pub fn beside(&self, value: f64, conditions: &[Condition], other: &dyn Fn(&Condition) -> Option<f64>) -> Verdict {
        let mut verdict = self.verdict(value);
        for condition in conditions {
            // What is well by itself needs no second opinion.
            if !verdict.warning && verdict.clear_warning {
                break;
            }
            let beside = other(condition).map_or_else(Verdict::default, |value| holds(value, condition));
            let (off, off_critical, over, over_critical) = match condition.role {
                Role::And => (!beside.warning, !beside.warning, beside.clear_warning, beside.clear_warning),
                Role::AndCritical => (false, !beside.warning, false, beside.clear_warning),
                Role::Unless => (beside.warning, beside.warning, beside.warning, beside.warning),
            };
            verdict.warning &= !off;
            verdict.critical &= !off_critical;
            verdict.clear_warning |= over;
            verdict.clear_critical |= over_critical;
        }
        verdict
    }
}

/// Whether a condition holds, and whether it is clearly over.
fn holds(value: f64, condition: &Condition) -> Verdict {
    let Some(metric) = catalogue::find(&condition.metric) else { return Verdict::default() };
    let kind = RuleKind::of(metric);
    let rule = of(kind);
    let end = rule.default_clear(kind.unit(metric), condition.threshold);
    let warning = rule.breaches(value, condition.threshold);
    Verdict { warning, clear_warning: !warning && rule.breaches(end, value), ..Verdict::default() }
}

#[cfg(test)]
mod tests;
