//! The fold of one subject: what a new sample makes of what was known.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::alert::{RuleState, Verdict};
use crate::model::level::Level;

/// Successful samples in a row without the item before it counts as gone.
pub const GONE_AFTER: u32 = 3;

/// How fast a subject opens and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// X of "X of the last Y samples".
    pub raise: u32,
    /// Y, 1 to 64.
    pub of: u32,
    /// Z: samples in a row beyond the clear threshold that close it.
    pub fall: u32,
    /// How long it must hold instead; zero opens on the first sample.
    pub hold: Option<TimeDelta>,
    /// The usual time between samples: a gap over two of them counts for nothing.
    pub interval: TimeDelta,
}

/// One sample of one subject, judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// Event time.
    pub at: DateTime<Utc>,
    /// In base units.
    pub value: f64,
    /// What the rule says.
    pub verdict: Verdict,
}

fn count(bits: u64, of: u32) -> u32 {
    let mask = if of >= 64 { u64::MAX } else { (1 << of.max(1)) - 1 };
    (bits & mask).count_ones()
}

/// The start of an unbroken run: kept, begun or forgotten; a long gap moves it, so that only covered time counts.
fn since(
    known: Option<DateTime<Utc>>,
    holds: bool,
    at: DateTime<Utc>,
    last: Option<DateTime<Utc>>,
    interval: TimeDelta,
) -> Option<DateTime<Utc>> {
    if !holds {
        return None;
    }
    let gap = last.map_or(TimeDelta::zero(), |last| at - last);
    match known {
        Some(start) if gap > interval * 2 => start.checked_add_signed(gap).or(Some(at)),
        Some(start) => Some(start),
        None => Some(at),
    }
}

/// Whether a sample of that time is newer than all that the state knows; another one is history only.
#[must_use]
pub fn is_news(state: &RuleState, at: DateTime<Utc>) -> bool {
    Some(at) > state.last.max(state.missed)
}

/// What the sample makes of the state. A sample that is not newer than the last one changes nothing.
#[must_use]
pub fn step(state: &RuleState, windows: &Windows, seen: &Observation) -> RuleState {
    let mut next = state.clone();
    if is_news(state, seen.at) {
        advance(&mut next, windows, seen);
    }
    next
}

/// As [`step`] where the state stands, by what [`is_news`]: a catch-up does it millions of times.
pub fn advance(state: &mut RuleState, windows: &Windows, seen: &Observation) {
    let last = state.last;
    let Verdict { warning, critical, clear_warning, clear_critical } = seen.verdict;
    state.warning_bits = state.warning_bits << 1 | u64::from(warning);
    state.critical_bits = state.critical_bits << 1 | u64::from(critical);
    state.seen = (state.seen + 1).min(64);
    state.below_warning = if clear_warning { state.below_warning.saturating_add(1) } else { 0 };
    state.below_critical = if clear_critical { state.below_critical.saturating_add(1) } else { 0 };
    state.warning_since = since(state.warning_since, warning, seen.at, last, windows.interval);
    state.critical_since = since(state.critical_since, critical, seen.at, last, windows.interval);
    state.last = Some(seen.at);
    state.missing = 0;
    state.value = seen.value;
    if warning {
        state.bad = Some(seen.at);
    }

    // Only a sample that is itself bad opens or raises.
    let opens = |bad: bool, bits: u64, start: Option<DateTime<Utc>>| match windows.hold {
        _ if !bad => false,
        Some(hold) => start.is_some_and(|start| seen.at - start >= hold),
        None => count(bits, windows.of) >= windows.raise.max(1),
    };
    let raised = if opens(critical, state.critical_bits, state.critical_since) {
        Level::Critical
    } else if opens(warning, state.warning_bits, state.warning_since) {
        Level::Warning
    } else {
        Level::Ok
    };
    let fall = windows.fall.max(1);
    if raised > state.level {
        state.level = raised;
    } else if state.level > Level::Ok && state.below_warning >= fall {
        state.level = Level::Ok;
        // A new problem needs new evidence.
        (state.warning_bits, state.critical_bits, state.seen) = (0, 0, 0);
    } else if state.level == Level::Critical && state.below_critical >= fall {
        state.level = Level::Warning;
        state.critical_bits = 0;
    }
}

/// A successful sample did not have the item. True in the second place: it is gone for good.
#[must_use]
pub fn missed(state: &RuleState, at: DateTime<Utc>) -> (RuleState, bool) {
    let mut next = state.clone();
    if !is_news(state, at) {
        return (next, false);
    }
    next.missed = Some(at);
    next.missing = state.missing.saturating_add(1);
    let gone = next.missing >= GONE_AFTER;
    (next, gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const W: Windows = Windows { raise: 2, of: 3, fall: 2, hold: None, interval: TimeDelta::seconds(300) };

    fn at(n: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + n * 300, 0).unwrap()
    }
    fn verdict(n: u8) -> Verdict {
        match n {
            0 => Verdict { clear_warning: true, clear_critical: true, ..Verdict::default() },
            1 => Verdict { clear_critical: true, ..Verdict::default() },
            2 => Verdict { warning: true, ..Verdict::default() },
            _ => Verdict { warning: true, critical: true, ..Verdict::default() },
        }
    }
    fn run(windows: &Windows, kinds: &[u8]) -> Vec<Level> {
        let mut state = RuleState::default();
        kinds
            .iter()
            .zip(0..)
            .map(|(&kind, n)| {
                state = step(&state, windows, &Observation { at: at(n), value: 0.0, verdict: verdict(kind) });
                state.level
            })
            .collect()
    }

    #[test]
    fn two_of_three_open_and_two_clear_ones_close() {
        use Level::{Critical as C, Ok as O, Warning as W2};
        assert_eq!(run(&W, &[2, 0, 2, 0, 1, 0, 0, 2, 2]), [O, O, W2, W2, W2, W2, O, O, W2]);
        assert_eq!(run(&W, &[3, 3, 1, 1, 0, 0]), [O, C, C, W2, W2, O]);
        assert_eq!(run(&W, &[2, 3, 3]), [O, W2, C]);
    }

    #[test]
    fn holding_needs_the_whole_span() {
        let ten = Windows { hold: Some(TimeDelta::minutes(10)), ..W };
        assert_eq!(run(&ten, &[2, 2, 2]), [Level::Ok, Level::Ok, Level::Warning]);
        assert_eq!(run(&ten, &[2, 2, 1, 2, 2]), [Level::Ok; 5]);
        let at_once = Windows { hold: Some(TimeDelta::zero()), ..W };
        assert_eq!(run(&at_once, &[3]), [Level::Critical]);
        // An hour without samples between two bad ones proves nothing.
        let mut state = RuleState::default();
        for n in [0, 12, 13] {
            state = step(&state, &ten, &Observation { at: at(n), value: 0.0, verdict: verdict(2) });
        }
        assert_eq!(state.level, Level::Ok);
        state = step(&state, &ten, &Observation { at: at(14), value: 0.0, verdict: verdict(2) });
        assert_eq!(state.level, Level::Warning);
    }

    #[test]
    fn three_missing_samples_are_gone() {
        let state = RuleState { last: Some(at(0)), ..RuleState::default() };
        let (state, gone) = missed(&state, at(1));
        assert!(!gone && !missed(&state, at(1)).1);
        let (state, gone) = missed(&state, at(2));
        assert!(!gone && missed(&state, at(3)).1);
    }

    proptest! {
        #[test]
        fn opens_only_on_x_of_y_and_closes_only_on_z(
            kinds in prop::collection::vec(0u8..4, 1..80), raise in 1u32..5, extra in 0u32..4, fall in 1u32..4,
        ) {
            let windows = Windows { raise, of: raise + extra, fall, ..W };
            let levels = run(&windows, &kinds);
            let mut before = Level::Ok;
            for (n, &level) in levels.iter().enumerate() {
                let window = &kinds[(n + 1).saturating_sub(windows.of as usize)..=n];
                if level > before {
                    let needed = if level == Level::Critical { 3 } else { 2 };
                    prop_assert!(window.iter().filter(|&&kind| kind >= needed).count() >= raise as usize);
                }
                if level == Level::Ok && before > Level::Ok {
                    prop_assert!(n + 1 >= fall as usize);
                    prop_assert!(kinds[n + 1 - fall as usize..=n].iter().all(|&kind| kind == 0));
                }
                before = level;
            }
        }

        #[test]
        fn time_never_goes_back_and_old_rows_change_nothing(
            seen in prop::collection::vec((0i64..40, 0u8..4, any::<bool>()), 1..80),
        ) {
            let mut state = RuleState::default();
            for (n, kind, there) in seen {
                let next = if there {
                    step(&state, &W, &Observation { at: at(n), value: 1.0, verdict: verdict(kind) })
                } else {
                    missed(&state, at(n)).0
                };
                prop_assert!(next.last >= state.last);
                if state.last.is_some_and(|last| at(n) <= last) {
                    prop_assert_eq!(&next, &state);
                }
                if !there {
                    // I11: absence never recovers.
                    prop_assert_eq!(next.level, state.level);
                }
                state = next;
            }
        }
    }
}
