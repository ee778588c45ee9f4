//! Rules: what makes a reading a problem.
//!
//! Default hysteresis, where a rule says no `clear`: a ratio ends 10 points beyond its threshold (85 % at 75 %, 95 % at
//! 85 %), or an eighth of it where that is less (10 % at 8.75 %); every other unit ends a tenth beyond its threshold.
//! `clear` is for the warning; a critical ends by default hysteresis, but never beyond where the warning ends.

use crate::model::alert::Verdict;
use crate::model::catalogue;
use crate::model::metric::{Direction, Unit};
use crate::model::spec::RuleSpec;

/// A way to compare a value with thresholds.
pub trait Rule: Sync {
    /// The word for people: `above` or `below`.
    fn name(&self) -> &'static str;
    /// Whether it is the one for metrics of this direction.
    fn serves(&self, direction: Direction) -> bool;
    /// Whether the value is at or past the threshold.
    fn breaches(&self, value: f64, threshold: f64) -> bool;
    /// Where a threshold ends by default hysteresis, in base units.
    fn default_clear(&self, unit: Unit, threshold: f64) -> f64;
    /// Which of two thresholds is nearer to healthy.
    fn healthier(&self, one: f64, other: f64) -> f64;
}

struct Above;
struct Below;

impl Rule for Above {
    fn name(&self) -> &'static str {
        "above"
    }
    fn serves(&self, direction: Direction) -> bool {
        direction == Direction::HighIsBad
    }
    fn breaches(&self, value: f64, threshold: f64) -> bool {
        value >= threshold
    }
    fn default_clear(&self, unit: Unit, threshold: f64) -> f64 {
        match unit {
            Unit::Ratio => threshold - (threshold.abs() / 8.0).min(0.1),
            _ => threshold - threshold.abs() / 10.0,
        }
    }
    fn healthier(&self, one: f64, other: f64) -> f64 {
        one.min(other)
    }
}

impl Rule for Below {
    fn name(&self) -> &'static str {
        "below"
    }
    fn serves(&self, direction: Direction) -> bool {
        direction == Direction::LowIsBad
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
}

/// Every rule.
pub const RULES: &[&dyn Rule] = &[&Above, &Below];

/// The rule that fits a metric; `above` where the catalogue does not know it.
#[must_use]
pub fn of(metric: &str) -> &'static dyn Rule {
    let direction = catalogue::find(metric).map_or(Direction::HighIsBad, |metric| metric.direction);
    RULES.iter().find(|rule| rule.serves(direction)).copied().unwrap_or(&Above)
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
        let rule = of(&spec.metric);
        let unit = catalogue::find(&spec.metric).map_or(Unit::Count, |metric| metric.unit);
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

    /// What a value means. One that is not finite means nothing: no data is neither problem nor recovery.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(value: f64, spec: &RuleSpec) -> Verdict {
        Judge::new(spec).verdict(value)
    }
    fn spec(metric: &str, warning: Option<f64>, critical: Option<f64>, clear: Option<f64>) -> RuleSpec {
        RuleSpec {
            metric: metric.into(),
            items: vec!["*".into()],
            not_items: Vec::new(),
            warning,
            critical,
            clear,
            hold: None,
            raise: 2,
            of: 3,
            fall: 2,
            origins: Default::default(),
        }
    }

    #[test]
    fn high_is_bad_with_hysteresis() {
        let rule = spec("cpu.used", Some(0.85), Some(0.95), None);
        let at = |value| judge(value, &rule);
        assert_eq!(at(0.95), Verdict { warning: true, critical: true, ..Verdict::default() });
        assert_eq!(at(0.86), Verdict { warning: true, ..Verdict::default() });
        assert!(at(0.80).clear_critical && !at(0.80).clear_warning && !at(0.80).warning);
        assert!(at(0.74).clear_warning && at(0.74).clear_critical);
        assert_eq!(at(f64::NAN), Verdict::default());
    }

    #[test]
    fn low_is_bad() {
        let rule = spec("memory.available", Some(1000.0), Some(500.0), None);
        assert!(judge(1000.0, &rule).warning && judge(499.0, &rule).critical);
        assert!(judge(1100.0, &rule).clear_warning && !judge(1050.0, &rule).clear_warning);
    }

    #[test]
    fn clear_is_obeyed_and_never_past_the_threshold() {
        let rule = spec("cpu.used", Some(0.85), None, Some(0.5));
        assert!(!judge(0.6, &rule).clear_warning && judge(0.5, &rule).clear_warning);
        let wrong = spec("cpu.used", Some(0.85), None, Some(0.99));
        assert!(!judge(0.9, &wrong).clear_warning && judge(0.84, &wrong).clear_warning);
        let flag = spec("filesystem.readonly", None, Some(1.0), None);
        assert!(judge(1.0, &flag).critical && judge(0.0, &flag).clear_warning && judge(0.0, &flag).clear_critical);
    }
}
