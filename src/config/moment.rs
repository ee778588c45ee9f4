//! Moments that are over, as people say them: `03:12`, `yesterday 03:12`, `mon 18:00`, `2026-11-20 03:12`, `-2h`.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::calendar;
use crate::model::amount::{self, Wrong, wrong};

const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// The last moment at or before `now` that is meant, by the clock of a zone. A time alone is the last time that the clock
/// showed it; a day alone is its start; a span is so long ago.
///
/// # Errors
/// What is wrong and what to write instead.
pub fn past(text: &str, now: DateTime<Utc>, zone: &str) -> Result<DateTime<Utc>, String> {
    let zone = calendar::zone(zone).map_err(|wrong| format!("{}: {}", wrong.text, wrong.mend))?;
    let at = read(text.trim(), now, &zone).map_err(|wrong| format!("{}: {}", wrong.text, wrong.mend))?;
    if at > now {
        return Err(format!("\"{text}\" is not over yet: write a moment before {}", now.format("%Y-%m-%d %H:%M UTC")));
    }
    Ok(at)
}

fn read(text: &str, now: DateTime<Utc>, zone: &str) -> Result<DateTime<Utc>, Wrong> {
    let lower = text.to_lowercase();
    if lower == "now" {
        return Ok(now);
    }
    if let Some(span) = lower.strip_prefix('-').or_else(|| lower.strip_suffix(" ago")) {
        return ago(span.trim(), now);
    }
    // What has a year is as it is written; what has a zone of its own too.
    if lower.len() >= 12 && lower.starts_with(|c: char| c.is_ascii_digit()) {
        return calendar::instant(text, zone).map_err(|inner| Wrong { mend: FORMS.to_owned(), ..inner });
    }
    let tz = zone.parse::<Tz>().unwrap_or(Tz::UTC);
    let today = now.with_timezone(&tz).date_naive();
    let (first, rest) = lower.split_once(' ').unwrap_or((&lower, ""));
    let (day, time) = match day(first, today) {
        Some(day) => (Some(day), rest.trim()),
        None => (None, lower.as_str()),
    };
    let clock = match (day, time) {
        (Some(_), "") => Some(NaiveTime::MIN),
        _ => ["%H:%M", "%H:%M:%S"].iter().find_map(|form| NaiveTime::parse_from_str(time, form).ok()),
    };
    let Some(clock) = clock else { return wrong(format!("\"{text}\" is not a moment"), FORMS) };
    let at = |day: NaiveDate| tz.from_local_datetime(&day.and_time(clock)).earliest().map(|at| at.to_utc());
    let found = match day {
        Some(Day::On(day)) => at(day),
        // Of a weekday and of a time alone the last one that is over.
        Some(Day::Last(day)) => at(day).filter(|at| *at <= now).or_else(|| at(day.checked_sub_days(Days::new(7))?)),
        None => at(today).filter(|at| *at <= now).or_else(|| at(today.checked_sub_days(Days::new(1))?)),
    };
    match found {
        Some(found) => Ok(found),
        None => wrong(format!("\"{text}\" does not exist: the clock is put forward then"), "write an hour later"),
    }
}

const FORMS: &str = "write 03:12, yesterday 03:12, mon 18:00, 2026-11-20 03:12 or -2h";

#[derive(Clone, Copy)]
enum Day {
    On(NaiveDate),
    /// Or seven days before.
    Last(NaiveDate),
}

fn day(text: &str, today: NaiveDate) -> Option<Day> {
    match text {
        "today" => return Some(Day::On(today)),
        "yesterday" => return today.pred_opt().map(Day::On),
        _ => {}
    }
    if let Some(wanted) = DAYS.iter().position(|name| text.len() >= 3 && name.starts_with(text)) {
        let back = (today.weekday().num_days_from_monday() + 7 - u32::try_from(wanted).ok()?) % 7;
        return today.checked_sub_days(Days::new(back.into())).map(Day::Last);
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(Day::On)
}

fn ago(span: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Wrong> {
    let span = amount::duration(span)?;
    match TimeDelta::from_std(span).ok().and_then(|span| now.checked_sub_signed(span)) {
        Some(at) => Ok(at),
        None => wrong("that is too long ago", "write less"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, zone: &str) -> Result<String, String> {
        let now = "2026-11-21T12:00:30Z".parse().unwrap();
        past(text, now, zone).map(|at| at.format("%m-%d %H:%M:%S").to_string())
    }

    #[test]
    fn moments_as_people_say_them() {
        for (text, meant) in [
            ("03:12", "11-21 03:12:00"),
            ("13:00", "11-20 13:00:00"),
            ("12:00:30", "11-21 12:00:30"),
            ("today 03:12", "11-21 03:12:00"),
            ("Yesterday 03:12", "11-20 03:12:00"),
            ("yesterday", "11-20 00:00:00"),
            ("sat 03:12", "11-21 03:12:00"),
            ("sat 18:00", "11-14 18:00:00"),
            ("monday", "11-16 00:00:00"),
            ("2026-11-20", "11-20 00:00:00"),
            ("2026-11-20 03:12", "11-20 03:12:00"),
            ("2026-11-20T03:12:05+02:00", "11-20 01:12:05"),
            ("-2h", "11-21 10:00:30"),
            ("90m ago", "11-21 10:30:30"),
            (" now ", "11-21 12:00:30"),
        ] {
            assert_eq!(at(text, "UTC").as_deref(), Ok(meant), "{text}");
        }
        assert_eq!(at("03:12", "Europe/Paris").as_deref(), Ok("11-21 02:12:00"));
        assert_eq!(at("12:30", "Europe/Paris").as_deref(), Ok("11-21 11:30:00"));
    }

    #[test]
    fn what_is_no_moment_or_not_over_is_answered_with_the_right_form() {
        for bad in
            ["", "25:00", "3", "noon", "tomorrow 03:12", "-2", "-", "ago", "2026-11-31", "2026-11-20 3h", "mon tue"]
        {
            assert!(at(bad, "UTC").unwrap_err().contains("write"), "{bad}");
        }
        assert!(at("2026-11-22 03:00", "UTC").unwrap_err().contains("not over yet"));
        assert!(at("today 18:00", "UTC").unwrap_err().contains("not over yet"));
        assert!(at("03:12", "Europe/Pari").unwrap_err().contains("Europe/Paris"));
        let put_forward = "2026-03-29T12:00:00Z".parse().unwrap();
        assert!(past("today 02:30", put_forward, "Europe/Paris").unwrap_err().contains("put forward"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "[a-z0-9: éT-]{0,20}") {
            let _ = at(&text, "Europe/Paris");
        }
    }
}
