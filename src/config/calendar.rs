//! Days, hours and moments as people write them: `mon-fri`, `22:00-06:00`, `Europe/Paris`, `2026-11-22T02:00`.

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;

use crate::model::amount::{Wrong, wrong};
use crate::model::silence::Calendar;
use crate::model::suggest::did_you_mean;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn day(text: &str) -> Result<usize, Wrong> {
    match DAYS.iter().position(|name| *name == text) {
        Some(found) => Ok(found),
        None => {
            wrong(format!("\"{text}\" is not a day"), did_you_mean(text, DAYS, "write mon tue wed thu fri sat sun"))
        }
    }
}

/// `sun`, `mon-fri`, `sat sun`, `fri-mon`: bit 0 is Monday.
pub(super) fn days(text: &str) -> Result<u8, Wrong> {
    let mut all = 0;
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (mut at, last) = (day(first)?, day(last)?);
        while at != last {
            all |= 1 << at;
            at = (at + 1) % 7;
        }
        all |= 1 << last;
    }
    if all == 0 { wrong("no days are named", "write mon-fri, or sat sun") } else { Ok(all) }
}

fn clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
    let (hours, minutes) = (number(hours)?, number(minutes).filter(|_| minutes.len() == 2)?);
    (hours < 24 && minutes < 60 || (hours, minutes) == (24, 0)).then_some(hours * 60 + minutes)
}

/// `08:00-18:00`: from and until, which may be on the next day.
pub(super) fn hours(text: &str) -> Result<(u16, u16), Wrong> {
    let ends = text.split_once('-').and_then(|(from, until)| Some((clock(from.trim())?, clock(until.trim())?)));
    match ends {
        Some((from, until)) if from == until => {
            wrong(format!("\"{text}\" begins when it ends"), "write 00:00-24:00 for the whole day")
        }
        Some((from, until)) if from < 1440 => Ok((from, until)),
        _ => wrong(format!("\"{text}\" is not a span of hours"), "write it as 08:00-18:00"),
    }
}

/// A name of the IANA database.
pub(super) fn zone(text: &str) -> Result<String, Wrong> {
    if text.parse::<Tz>().is_ok() {
        return Ok(text.to_owned());
    }
    let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
    wrong(format!("there is no time zone \"{text}\""), did_you_mean(text, names, "write it as Europe/Paris"))
}

/// Days and hours together; what is not given is every day, the whole day, UTC.
///
/// # Errors
/// What is wrong and what to write instead.
pub fn calendar(days_: Option<&str>, hours_: Option<&str>, zone_: Option<&str>) -> Result<Calendar, String> {
    let said = |wrong: Wrong| format!("{}: {}", wrong.text, wrong.mend);
    let days = days_.map_or(Ok(127), days).map_err(said)?;
    let (from, until) = hours_.map_or(Ok((0, 1440)), hours).map_err(said)?;
    let zone = zone_.map_or(Ok("UTC".to_owned()), zone).map_err(said)?;
    Ok(Calendar { days, from, until, zone })
}

pub(super) fn instant(text: &str, zone: &str) -> Result<DateTime<Utc>, Wrong> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"];
    let local = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let Some(local) = local else {
        return wrong(format!("\"{text}\" is not a moment"), "write it as 2026-11-22T02:00");
    };
    match zone.parse::<Tz>().unwrap_or(Tz::UTC).from_local_datetime(&local).earliest() {
        Some(at) => Ok(at.to_utc()),
        None => wrong(format!("\"{text}\" does not exist: the clock is put forward then"), "write an hour later"),
    }
}

/// A moment: `2026-11-22T02:00` by the clock of a zone, or with its offset `2026-11-22T02:00:00+01:00`.
///
/// # Errors
/// What is wrong and what to write instead.
pub fn moment(text: &str, zone_: &str) -> Result<DateTime<Utc>, String> {
    let said = |wrong: Wrong| format!("{}: {}", wrong.text, wrong.mend);
    zone(zone_).and_then(|zone| instant(text, &zone)).map_err(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_hours_are_read_and_nonsense_is_answered_with_the_right_form() {
        assert_eq!(
            (days("mon-fri"), days("sun"), days("fri-mon"), days("sat, sun")),
            (Ok(31), Ok(64), Ok(113), Ok(96))
        );
        assert_eq!(hours("08:00-18:00"), Ok((480, 1080)));
        assert_eq!(hours("22:00-06:30"), Ok((1320, 390)));
        assert_eq!(hours("00:00-24:00"), Ok((0, 1440)));
        for bad in ["", "8-18", "24:00-01:00", "08:60-09:00", "08:00", "a-b", "08:00-08:00", "-1:00-02:00", "8:0-9:0"] {
            assert!(hours(bad).is_err(), "{bad}");
        }
        assert!(days("moon").unwrap_err().mend.contains("mon") && days("").is_err());
        assert!(zone("Europe/Pari").unwrap_err().mend.contains("Europe/Paris"));
    }

    #[test]
    fn moments_are_those_of_the_zone() {
        let at = |text, zone| moment(text, zone).map(|at| at.to_rfc3339());
        assert_eq!(at("2026-07-01T02:00", "Europe/Paris"), Ok("2026-07-01T00:00:00+00:00".into()));
        assert_eq!(at("2026-07-01T02:00:00+05:00", "Europe/Paris"), Ok("2026-06-30T21:00:00+00:00".into()));
        assert!(at("2026-03-29T02:30", "Europe/Paris").unwrap_err().contains("put forward"));
        assert!(at("tomorrow", "UTC").is_err());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in ".{0,20}") {
            let _ = (days(&text), hours(&text), zone(&text), moment(&text, "UTC"));
        }
    }
}
