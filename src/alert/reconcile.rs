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

/// The table of design/alerting.md. `truth` is `Ok` for a closed incident.
#[must_use]
pub fn decide(
    truth: Level,
    told: Option<&Told>,
    suppressed: bool,
    repeat: Option<TimeDelta>,
    now: DateTime<Utc>,
) -> Option<Action> {
    let level = told.map_or(Level::Ok, |told| told.level);
    if truth == Level::Ok {
        return (level > Level::Ok).then_some(Action::Recovered);
    }
    if suppressed {
        return None;
    }
    let Some(told) = told.filter(|told| told.level > Level::Ok) else { return Some(Action::Problem) };
    if truth > told.level {
        return Some(Action::Escalated);
    }
    let over = now - told.at >= interval(truth, told.reminders, repeat);
    over.then_some(if truth == told.level { Action::Reminder } else { Action::Lowered })
}

/// What the destination knows once the action is told; `None`: nothing any more.
#[must_use]
pub fn after(
    action: Action,
    incident: i64,
    destination: &str,
    truth: Level,
    told: Option<&Told>,
    now: DateTime<Utc>,
) -> Option<Told> {
    let reminders = match action {
        Action::Recovered => return None,
        Action::Reminder => told.map_or(0, |told| told.reminders.saturating_add(1)),
        Action::Problem | Action::Escalated | Action::Lowered => 0,
    };
    Some(Told { incident, destination: destination.to_owned(), level: truth, at: now, reminders })
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

    #[test]
    fn the_table() {
        let told = Told { incident: 1, destination: "ops".into(), level: Level::Warning, at: at(0), reminders: 0 };
        let say = |truth, told: Option<&Told>, suppressed, minutes| decide(truth, told, suppressed, None, at(minutes));
        assert_eq!(say(Level::Warning, None, false, 0), Some(Action::Problem));
        assert_eq!(say(Level::Warning, None, true, 0), None);
        assert_eq!(say(Level::Critical, Some(&told), false, 1), Some(Action::Escalated));
        assert_eq!(say(Level::Warning, Some(&told), false, 239), None);
        assert_eq!(say(Level::Warning, Some(&told), false, 240), Some(Action::Reminder));
        assert_eq!(say(Level::Ok, Some(&told), true, 1), Some(Action::Recovered));
        assert_eq!(say(Level::Ok, None, false, 1), None);
        let told = Told { level: Level::Critical, ..told };
        assert_eq!(say(Level::Warning, Some(&told), false, 239), None);
        assert_eq!(say(Level::Warning, Some(&told), false, 240), Some(Action::Lowered));
    }

    proptest! {
        // I4: recovery only after a problem; I5: reminders keep their gap; I7: nothing but recovery when suppressed.
        #[test]
        fn a_destination_hears_a_sound_story(run in prop::collection::vec((0u8..3, any::<bool>(), 1i64..400), 1..100)) {
            let (mut told, mut minutes): (Option<Told>, i64) = (None, 0);
            for (truth, suppressed, pause) in run {
                minutes += pause;
                let truth = Level::from_number(truth);
                let action = decide(truth, told.as_ref(), suppressed, None, at(minutes));
                match action {
                    Some(Action::Recovered) => prop_assert!(told.is_some() && truth == Level::Ok),
                    Some(Action::Problem) => prop_assert!(told.is_none() && !suppressed),
                    Some(Action::Reminder | Action::Lowered) => {
                        let before = told.clone().unwrap();
                        prop_assert!(!suppressed && at(minutes) - before.at >= TimeDelta::hours(1));
                    }
                    Some(Action::Escalated) => prop_assert!(!suppressed && truth > told.clone().unwrap().level),
                    // I2: silence means that nothing worse is true, or that it is suppressed.
                    None => prop_assert!(suppressed || truth <= told.as_ref().map_or(Level::Ok, |told| told.level)),
                }
                if let Some(action) = action {
                    told = after(action, 1, "ops", truth, told.as_ref(), at(minutes));
                }
            }
        }
    }
}
