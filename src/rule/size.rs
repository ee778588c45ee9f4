//! Levels that rise with the size of what is judged: 90 % of 20 TB is no emergency (the idea of Checkmk's magic factor).
//!
//! A share that may be free at the norm size shrinks with the size to the power of `scale`: with 0.8 a filesystem of
//! 20 GiB is critical at 90 %, one of 640 GiB at 95 %, one of 20 TiB at 97.5 %. Below the norm levels stay as written:
//! there Checkmk's formula makes every /boot a problem.

use std::borrow::Cow;

use crate::model::rule;
use crate::model::spec::RuleSpec;

/// What levels are written for, in bytes.
const NORM: f64 = 20.0 * 1024.0 * 1024.0 * 1024.0;

/// A rule as it holds for an item of that size; `size` tells the value of a metric of the same item. Where size plays no
/// part, or is not known, it is the rule itself.
pub fn sized<'a>(spec: &'a RuleSpec, size: impl FnOnce(&str) -> Option<f64>) -> Cow<'a, RuleSpec> {
    let Some(scale) = spec.scale else { return Cow::Borrowed(spec) };
    let size = rule::size_of(&spec.metric, spec.kind).and_then(size);
    let Some(size) = size.filter(|size| size.is_finite() && *size > NORM) else { return Cow::Borrowed(spec) };
    let factor = (size / NORM).powf(scale - 1.0);
    // Whole tenths of a percent, rounded so that a level is never all: people read it.
    let free = |level: f64| (((1.0 - level) * factor * 1000.0 - 1e-6).ceil() / 1000.0).min(1.0 - level);
    let risen = |level: Option<f64>| level.map(|level| 1.0 - free(level));
    let (warning, critical, clear) = (risen(spec.warning), risen(spec.critical), risen(spec.clear));
    Cow::Owned(RuleSpec { warning, critical, clear, ..spec.clone() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Judge;
    use super::*;
    use crate::model::catalogue;
    use crate::model::rule::RuleKind;

    fn disk(scale: Option<f64>) -> RuleSpec {
        let metric = catalogue::find("filesystem.used").unwrap();
        RuleSpec { warning: Some(0.8), critical: Some(0.9), scale, ..RuleSpec::new(metric, RuleKind::Above) }
    }

    fn levels(gib: f64) -> (f64, f64) {
        let spec = disk(Some(0.8));
        let risen = sized(&spec, |metric| (metric == "filesystem.size").then_some(gib * 1024f64.powi(3)));
        let round = |level: Option<f64>| (level.unwrap() * 1000.0).round() / 1000.0;
        (round(risen.warning), round(risen.critical))
    }

    #[test]
    fn levels_rise_with_the_size_and_never_fall() {
        assert_eq!((levels(0.5), levels(20.0)), ((0.8, 0.9), (0.8, 0.9)));
        assert_eq!((levels(100.0), levels(640.0)), ((0.855, 0.927), (0.9, 0.95)));
        assert_eq!(levels(20.0 * 1024.0), (0.95, 0.975));
    }

    #[test]
    fn without_scale_or_size_the_rule_is_as_written() {
        assert!(matches!(sized(&disk(None), |_| Some(1e15)), Cow::Borrowed(_)));
        for unknown in [None, Some(f64::NAN), Some(f64::INFINITY), Some(-1.0), Some(0.0)] {
            assert!(matches!(sized(&disk(Some(0.8)), |_| unknown), Cow::Borrowed(_)), "{unknown:?}");
        }
    }

    #[test]
    fn ninety_percent_of_20_tb_is_judged_by_what_results() {
        let spec = disk(Some(0.8));
        let risen = sized(&spec, |_| Some(20e12));
        let verdict = Judge::new(&risen).verdict(0.9);
        assert!(!verdict.warning && Judge::new(&spec).verdict(0.9).critical);
        assert!(Judge::new(&risen).verdict(0.976).critical);
    }

    proptest! {
        #[test]
        fn what_results_is_a_level_between_the_written_one_and_all(size in 1.0..1e18, scale in 0.01..1.0) {
            let spec = RuleSpec { clear: Some(0.7), ..disk(Some(scale)) };
            let risen = sized(&spec, |_| Some(size));
            let level = |of: &RuleSpec| [of.clear, of.warning, of.critical].map(Option::unwrap);
            let (written, risen) = (level(&spec), level(&risen));
            prop_assert!(written.iter().zip(&risen).all(|(written, risen)| risen >= written && *risen <= 1.0));
            prop_assert!(risen.is_sorted());
        }
    }
}
