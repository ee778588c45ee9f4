//! Times and spans as people say them.

use chrono::{DateTime, FixedOffset, Local, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::model::spec::AlertSpec;

/// The zone of those who read.
pub struct Zone(Option<Tz>);

impl Zone {
    pub fn of(alerts: &AlertSpec) -> Self {
        // The configuration takes no unknown zone.
        Self(alerts.zone.as_ref().and_then(|name| name.parse().ok()))
    }

    fn local(&self, at: DateTime<Utc>) -> DateTime<FixedOffset> {
        let offset = match self.0 {
            Some(zone) => zone.offset_from_utc_datetime(&at.naive_utc()).fix(),
            None => Local.offset_from_utc_datetime(&at.naive_utc()).fix(),
        };
        at.with_timezone(&offset)
    }

    /// `Sat 21 Nov 2026 18:04 +01:00`.
    pub fn moment(&self, at: DateTime<Utc>) -> String {
        self.local(at).format("%a %-d %b %Y %H:%M %:z").to_string()
    }

    /// `21 Nov 18:04 +01:00`, for lists.
    pub fn brief(&self, at: DateTime<Utc>) -> String {
        self.local(at).format("%-d %b %H:%M %:z").to_string()
    }
}

/// `45 s`, `12 min`, `2 h 10 min`, `3 days 4 h`.
pub fn span(span: TimeDelta) -> String {
    let two = |whole: i64, unit: &str, rest: i64, part: &str| match rest {
        0 => format!("{whole} {unit}"),
        _ => format!("{whole} {unit} {rest} {part}"),
    };
    let (days, hours, minutes) = (span.num_days(), span.num_hours(), span.num_minutes());
    match (days, hours, minutes) {
        (..=0, ..=0, ..=0) => format!("{} s", span.num_seconds().max(0)),
        (..=0, ..=0, _) => format!("{minutes} min"),
        (..=0, ..) => two(hours, "h", minutes % 60, "min"),
        (1, ..) => two(1, "day", hours % 24, "h"),
        _ => two(days, "days", hours % 24, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_moments_as_people_say_them() {
        let said = [-5, 0, 45, 60, 7200, 7800, 86_400, 90_000, 277_200].map(|s| span(TimeDelta::seconds(s)));
        assert_eq!(said, ["0 s", "0 s", "45 s", "1 min", "2 h", "2 h 10 min", "1 day", "1 day 1 h", "3 days 5 h"]);
        let zone = |name: &str| Zone::of(&AlertSpec { zone: Some(name.into()), ..AlertSpec::default() });
        let winter = DateTime::from_timestamp(1_795_280_640, 0).unwrap();
        assert_eq!(zone("Europe/Paris").moment(winter), "Sat 21 Nov 2026 18:04 +01:00");
        assert_eq!(zone("Europe/Paris").brief(winter - TimeDelta::days(120)), "24 Jul 19:04 +02:00");
        assert_eq!(zone("Asia/Kolkata").brief(winter), "21 Nov 22:34 +05:30");
    }
}
