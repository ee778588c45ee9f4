//! Truth against told: what one destination must hear of one incident at the end of a run.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::alert::Told;
use crate::model::level::Level;

/// What a destination is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It is new to the destination.
    Problem,
    /// It is worse than told; ignores the repeat interval.
    Escalated,
    /// It still stands and the repeat interval is over.
    Reminder,
    /// It is less bad than told and the repeat interval is over.
    Lowered,
    /// It comes and goes; told once, then nothing until it settles.
    Flapping,
    /// It ended; told in this very run, suppressed or not.
    Recovered,
}

impl Action {
    /// The word for mails and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Escalated => "escalated",
            Self::Reminder => "reminder",
            Self::Lowered => "lowered",
            Self::Flapping => "flapping",
            Self::Recovered => "recovered",
        }
    }
}

/// Until a standing problem is told again: `repeat`, or 1 h for critical and 4 h for warning; doubles with each
/// reminder up to 24 h (a `repeat` above that stays as it is).
#[must_use]
pub fn interval(level: Level, reminders: u32, repeat: Option<TimeDelta>) -> TimeDelta {
    let base = repeat.unwrap_or(if level == Level::Critical { TimeDelta::hours(1) } else { TimeDelta::hours(4) });
    let day = TimeDelta::hours(24);
    if base >= day {
        return base;
    }
    base.checked_mul(1 << reminders.min(20)).map_or(day, |long| long.min(day))
}

/// What is true at the end of a run, for one incident and one recipient.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// `Ok` for a closed incident.
    pub truth: Level,
    /// Silenced, inhibited or stale.
    pub hushed: bool,
    /// Comes and goes.
    pub flapping: bool,
    /// Somebody took it.
    pub acked: bool,
    /// The route is outside of its hours.
    pub closed: bool,
    /// The route's interval, if it names one.
    pub repeat: Option<TimeDelta>,
    /// The time of the run.
    pub now: DateTime<Utc>,
}

/// The table of design/alerting.md.
#[must_use]
pub fn decide(it: &Standing, told: Option<&Told>) -> Option<Action> {
    let known = told.filter(|told| told.level > Level::Ok);
    // Who was told of a problem is told of its end, whatever else holds; only route hours and a flapper wait.
    if it.closed {
        return None;
    }
    if it.truth == Level::Ok {
        return (known.is_some() && !it.flapping).then_some(Action::Recovered);
    }
    if it.hushed {
        return None;
    }
    if it.flapping && it.truth < Level::Critical {
        return (!known.is_some_and(|told| told.flapping || it.acked)).then_some(Action::Flapping);
    }
    let Some(told) = known else { return Some(Action::Problem) };
    if it.truth > told.level {
        return (!it.acked).then_some(Action::Escalated);
    }
    if it.now - told.at < interval(it.truth, told.reminders, it.repeat) {
        return None;
    }
    match it.truth < told.level {
        true => Some(Action::Lowered),
        false => (!it.acked).then_some(Action::Reminder),
    }
}

/// What the recipient knows once the action is told.
#[must_use]
pub fn after(action: Action, before: Option<&Told>, blank: Told, it: &Standing) -> Told {
    let before = before.cloned().unwrap_or(blank);
    let reminders = if action == Action::Reminder { before.reminders.saturating_add(1) } else { 0 };
    // Until it settles, who was told that it flaps, or of critical, knows that: the next round of it is no news.
    let level = if it.flapping { it.truth.max(before.level) } else { it.truth };
    let flapping = action == Action::Flapping || before.flapping && it.flapping;
    Told { level, at: it.now, reminders, flapping, ..before }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + minutes * 60, 0).unwrap()
    }

    #[test]
    fn intervals_double_to_a_day() {
        let hours = |level, n| interval(level, n, None).num_hours();
        assert_eq!([0, 1, 2, 3, 4, 5, 99].map(|n| hours(Level::Critical, n)), [1, 2, 4, 8, 16, 24, 24]);
        assert_eq!(hours(Level::Warning, 0), 4);
        assert_eq!(interval(Level::Critical, 3, Some(TimeDelta::hours(48))).num_hours(), 48);
    }

    fn blank() -> Told {
        Told {
            incident: 1,
            destination: "ops".into(),
            recipient: "a@x".into(),
            level: Level::Warning,
            at: at(0),
            reminders: 0,
            flapping: false,
            thread: 1,
        }
    }
    fn standing(truth: Level, minutes: i64) -> Standing {
        let now = at(minutes);
        Standing { truth, hushed: false, flapping: false, acked: false, closed: false, repeat: None, now }
    }

    #[test]
    fn the_table() {
        let told = blank();
        let say = |truth, told: Option<&Told>, hushed, minutes| {
            decide(&Standing { hushed, ..standing(truth, minutes) }, told)
        };
        assert_eq!(say(Level::Warning, None, false, 0), Some(Action::Problem));
        assert_eq!(say(Level::Warning, None, true, 0), None);
        assert_eq!(say(Level::Critical, Some(&told), false, 1), Some(Action::Escalated));
        assert_eq!(say(Level::Critical, Some(&told), true, 1), None);
        assert_eq!(say(Level::Warning, Some(&told), false, 239), None);
        assert_eq!(say(Level::Warning, Some(&told), false, 240), Some(Action::Reminder));
        assert_eq!(say(Level::Ok, Some(&told), true, 1), Some(Action::Recovered));
        assert_eq!(say(Level::Ok, None, false, 1), None);
        let critical = Told { level: Level::Critical, ..told.clone() };
        assert_eq!(say(Level::Warning, Some(&critical), false, 239), None);
        assert_eq!(say(Level::Warning, Some(&critical), false, 240), Some(Action::Lowered));
        // Told that it ended is as told nothing.
        let over = Told { level: Level::Ok, ..told };
        assert_eq!(say(Level::Warning, Some(&over), false, 0), Some(Action::Problem));
        assert_eq!(say(Level::Ok, Some(&over), false, 0), None);
    }

    #[test]
    fn an_acknowledged_problem_is_neither_repeated_nor_escalated_and_its_end_is_told() {
        let told = blank();
        let acked = |truth| decide(&Standing { acked: true, ..standing(truth, 999) }, Some(&told));
        assert_eq!([acked(Level::Warning), acked(Level::Critical)], [None, None]);
        assert_eq!(acked(Level::Ok), Some(Action::Recovered));
    }

    #[test]
    fn flapping_is_told_once_below_critical_and_its_end_waits() {
        let flaps = |truth, told: Option<&Told>| decide(&Standing { flapping: true, ..standing(truth, 999) }, told);
        let told = blank();
        assert_eq!(flaps(Level::Warning, None), Some(Action::Flapping));
        assert_eq!(flaps(Level::Warning, Some(&told)), Some(Action::Flapping));
        let knows = after(Action::Flapping, Some(&told), blank(), &standing(Level::Warning, 1));
        assert_eq!((flaps(Level::Warning, Some(&knows)), flaps(Level::Ok, Some(&knows))), (None, None));
        assert_eq!(flaps(Level::Critical, Some(&knows)), Some(Action::Escalated));
        assert_eq!(decide(&standing(Level::Ok, 2), Some(&knows)), Some(Action::Recovered));
        let taken = Standing { acked: true, flapping: true, ..standing(Level::Warning, 999) };
        assert_eq!((decide(&taken, Some(&told)), decide(&taken, None)), (None, Some(Action::Flapping)));
    }

    #[test]
    fn a_flapper_that_rises_to_critical_each_time_is_told_of_both_once() {
        let mut told: Option<Told> = None;
        let mut actions = Vec::new();
        for minute in 0..32 {
            let truth = [Level::Ok, Level::Warning, Level::Critical, Level::Ok][minute as usize % 4];
            let it = Standing { flapping: true, ..standing(truth, minute) };
            if let Some(action) = decide(&it, told.as_ref()) {
                told = Some(after(action, told.as_ref(), Told { level: Level::Ok, ..blank() }, &it));
                actions.push(action);
            }
        }
        assert_eq!(actions, [Action::Flapping, Action::Escalated]);
        // Once it settles as a warning, that it is less bad is told after the interval.
        let told = told.unwrap();
        assert_eq!(told.level, Level::Critical);
        assert_eq!(decide(&standing(Level::Warning, 999), Some(&told)), Some(Action::Lowered));
    }

    #[test]
    fn outside_of_route_hours_everything_waits() {
        let closed = |truth| decide(&Standing { closed: true, ..standing(truth, 999) }, Some(&blank()));
        assert_eq!([closed(Level::Ok), closed(Level::Warning), closed(Level::Critical)], [None, None, None]);
    }

    proptest! {
        // I4: recovery only after a problem; I5: reminders keep their gap; I7: nothing but recovery when suppressed.
        #[test]
        fn a_destination_hears_a_sound_story(
            run in prop::collection::vec((0u8..3, any::<bool>(), any::<bool>(), 1i64..400), 1..100)
        ) {
            let (mut told, mut minutes): (Option<Told>, i64) = (None, 0);
            for (truth, hushed, acked, pause) in run {
                minutes += pause;
                let it = Standing { hushed, acked, ..standing(Level::from_number(truth), minutes) };
                let known = told.as_ref().map_or(Level::Ok, |told| told.level);
                let action = decide(&it, told.as_ref());
                match action {
                    Some(Action::Recovered) => prop_assert!(known > Level::Ok && it.truth == Level::Ok),
                    Some(Action::Problem) => prop_assert!(known == Level::Ok && !hushed),
                    Some(Action::Reminder | Action::Lowered) => {
                        let before = told.clone().unwrap();
                        prop_assert!(!hushed && it.now - before.at >= TimeDelta::hours(1));
                    }
                    Some(Action::Escalated) => prop_assert!(!hushed && !acked && it.truth > known),
                    Some(Action::Flapping) => prop_assert!(false, "nothing flaps here"),
                    // I2: saying nothing means that nothing worse is true, or that it is suppressed.
                    None => prop_assert!(hushed || acked || it.truth <= known),
                }
                if let Some(action) = action {
                    told = Some(after(action, told.as_ref(), blank(), &it));
                }
            }
        }
    }
}
