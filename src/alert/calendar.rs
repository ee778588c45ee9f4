//! Windows in time: once, or every week by the wall clock of a zone, right across changes to and from summer time.

use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::model::silence::{Calendar, Silence, When};

/// A moment by the wall clock. One that a change to summer time skips is the first after the gap; of one that happens
/// twice the start is the first and the end the second.
fn moment(zone: Tz, day: NaiveDate, minutes: u16, end: bool) -> Option<DateTime<Utc>> {
    let day = day.checked_add_days(Days::new(u64::from(minutes / 1440)))?;
    let minutes = u32::from(minutes % 1440);
    let local = day.and_time(NaiveTime::from_hms_opt(minutes / 60, minutes % 60, 0)?);
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) => Some(at.to_utc()),
        LocalResult::Ambiguous(first, second) => Some(if end { second } else { first }.to_utc()),
        LocalResult::None => {
            // Gaps are at most some hours, at whole quarters.
            let found =
                (1..=24 * 4).find_map(|n| zone.from_local_datetime(&(local + TimeDelta::minutes(n * 15))).earliest());
            // 02:30 does not exist: the gap itself is where the clock jumped, so the wanted minutes after it.
            found.map(|at| {
                let over = i64::from(minutes % 15);
                at.to_utc() - TimeDelta::minutes(over)
            })
        }
    }
}

/// The windows that touch the last eight days and the next one, in order.
fn windows(it: &Calendar, now: DateTime<Utc>) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    // The configuration takes no unknown zone; an old database may.
    let zone: Tz = it.zone.parse().unwrap_or(Tz::UTC);
    let today = now.with_timezone(&zone).date_naive();
    let until = if it.until <= it.from { it.until + 1440 } else { it.until };
    let days = (-8..=8).filter_map(|n: i64| today.checked_add_signed(TimeDelta::days(n)));
    days.filter(|day| it.days >> day.weekday().num_days_from_monday() & 1 == 1)
        .filter_map(|day| Some((moment(zone, day, it.from, false)?, moment(zone, day, until, true)?)))
        .filter(|(from, until)| from < until)
        .collect()
}

/// Whether the moment is inside.
#[must_use]
pub fn inside(it: &Calendar, now: DateTime<Utc>) -> bool {
    windows(it, now).iter().any(|(from, until)| (*from..*until).contains(&now))
}

/// The end of the window that holds now.
#[must_use]
pub fn holds(silence: &Silence, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if silence.ended.is_some_and(|ended| ended <= now) {
        return None;
    }
    let end = match &silence.when {
        When::Once { from, until } => (*from..*until).contains(&now).then_some(*until),
        When::Weekly(it) => {
            // Windows may touch: the end is that of the last one.
            let mut end = None;
            for (from, until) in windows(it, now) {
                if from <= end.unwrap_or(now) && until > now {
                    end = Some(until);
                }
            }
            end
        }
    };
    end.map(|end| silence.ended.map_or(end, |ended| ended.min(end)))
}

/// The last end at or before now, within a week.
#[must_use]
pub fn ended(silence: &Silence, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let cut = |from: DateTime<Utc>, until: DateTime<Utc>| {
        let until = silence.ended.map_or(until, |ended| ended.min(until));
        (from < until && until <= now).then_some(until)
    };
    match &silence.when {
        When::Once { from, until } => cut(*from, *until),
        When::Weekly(it) => windows(it, now).into_iter().filter_map(|(from, until)| cut(from, until)).max(),
    }
}

/// Whether it can hold at some time from now on.
#[must_use]
pub fn lives(silence: &Silence, now: DateTime<Utc>) -> bool {
    let once = match silence.when {
        When::Once { until, .. } => until > now,
        When::Weekly(_) => true,
    };
    once && silence.ended.is_none_or(|ended| ended > now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }
    fn paris(days: u8, from: u16, until: u16) -> Calendar {
        Calendar { days, from, until, zone: "Europe/Paris".into() }
    }
    fn weekly(it: Calendar) -> Silence {
        Silence {
            id: 1,
            scope: crate::model::silence::Scope::default(),
            when: When::Weekly(it),
            by: String::new(),
            reason: String::new(),
            created: utc("2026-01-01T00:00:00Z"),
            ended: None,
        }
    }

    // beszel #1827: quiet hours an hour off after the clocks changed.
    #[test]
    fn quiet_hours_follow_the_wall_clock_over_both_changes() {
        let night = paris(127, 22 * 60, 6 * 60);
        // Winter: 22:00 is 21:00 UTC. Summer: 20:00 UTC.
        assert!(!inside(&night, utc("2026-01-10T20:59:59Z")) && inside(&night, utc("2026-01-10T21:00:00Z")));
        assert!(inside(&night, utc("2026-01-11T04:59:59Z")) && !inside(&night, utc("2026-01-11T05:00:00Z")));
        assert!(!inside(&night, utc("2026-07-10T19:59:59Z")) && inside(&night, utc("2026-07-10T20:00:00Z")));
        assert!(inside(&night, utc("2026-07-11T03:59:59Z")) && !inside(&night, utc("2026-07-11T04:00:00Z")));
        // The night of 29 March has seven hours, that of 25 October nine.
        let night = weekly(night);
        assert_eq!(holds(&night, utc("2026-03-28T23:00:00Z")), Some(utc("2026-03-29T04:00:00Z")));
        assert_eq!(holds(&night, utc("2026-10-24T23:00:00Z")), Some(utc("2026-10-25T05:00:00Z")));
    }

    #[test]
    fn hours_that_a_change_skips_or_repeats() {
        // 02:00 to 03:00 does not exist on 29 March: no window, or none that lasts.
        let gap = paris(64, 2 * 60, 3 * 60);
        assert!(!inside(&gap, utc("2026-03-29T00:59:59Z")) && !inside(&gap, utc("2026-03-29T01:00:00Z")));
        // 02:30 to 04:00: from the jump (01:00 UTC, then 03:00) to 04:00 (02:00 UTC).
        let half = paris(64, 150, 240);
        assert!(inside(&half, utc("2026-03-29T01:30:00Z")) && !inside(&half, utc("2026-03-29T02:00:00Z")));
        // 02:00 to 03:00 on 25 October is two hours: both of them.
        assert!(inside(&gap, utc("2026-10-25T00:00:00Z")) && inside(&gap, utc("2026-10-25T01:59:59Z")));
        assert!(!inside(&gap, utc("2026-10-25T02:00:00Z")) && !inside(&gap, utc("2026-10-24T23:59:59Z")));
    }

    #[test]
    fn days_are_those_of_the_start_and_windows_may_cross_midnight() {
        // Sunday 23:00 to 02:00.
        let late = paris(64, 23 * 60, 2 * 60);
        assert!(inside(&late, utc("2026-11-22T22:30:00Z")) && inside(&late, utc("2026-11-23T00:30:00Z")));
        assert!(!inside(&late, utc("2026-11-22T00:30:00Z")) && !inside(&late, utc("2026-11-23T22:30:00Z")));
        let always = weekly(paris(127, 0, 1440));
        assert!(holds(&always, utc("2026-11-22T23:30:00Z")).is_some_and(|end| end > utc("2026-11-28T00:00:00Z")));
        assert_eq!(ended(&weekly(late), utc("2026-11-25T00:00:00Z")), Some(utc("2026-11-23T01:00:00Z")));
    }

    #[test]
    fn once_and_ended_early() {
        let (from, until) = (utc("2026-11-22T10:00:00Z"), utc("2026-11-22T12:00:00Z"));
        let mut once = Silence { when: When::Once { from, until }, ..weekly(paris(127, 0, 1)) };
        assert_eq!(holds(&once, from), Some(until));
        assert_eq!((holds(&once, until), ended(&once, until)), (None, Some(until)));
        once.ended = Some(utc("2026-11-22T11:00:00Z"));
        assert_eq!(holds(&once, utc("2026-11-22T11:00:00Z")), None);
        assert_eq!(ended(&once, utc("2026-11-22T11:30:00Z")), once.ended);
        assert!(!lives(&once, until) && lives(&weekly(paris(127, 0, 1)), until));
    }

    proptest::proptest! {
        #[test]
        fn inside_and_holds_agree(days in 0u8..128, from in 0u16..1440, until in 0u16..1441, hour in 0i64..20_000, zone in 0usize..4) {
            let zone = ["UTC", "Europe/Paris", "America/Sao_Paulo", "Australia/Lord_Howe"][zone];
            let it = Calendar { days, from, until, zone: zone.into() };
            let now = utc("2026-01-01T00:17:00Z") + TimeDelta::hours(hour);
            let end = holds(&weekly(it.clone()), now);
            proptest::prop_assert_eq!(inside(&it, now), end.is_some());
            proptest::prop_assert!(end.is_none_or(|end| end > now));
            proptest::prop_assert!(ended(&weekly(it), now).is_none_or(|end| end <= now));
        }
    }
}
