//! Values with units: `80%`, `5m`, `10GiB`, `300ms`; each error carries the form that is right.

use std::time::Duration;

use crate::model::metric::Unit;

/// Why a value is not taken.
#[derive(Debug, PartialEq)]
pub struct Wrong {
    /// What is wrong.
    pub text: String,
    /// The form that is right.
    pub mend: String,
}

/// A refusal.
///
/// # Errors
/// Always.
pub fn wrong<T>(text: impl Into<String>, mend: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { text: text.into(), mend: mend.into() })
}

const TIMES: &[(&str, f64)] =
    &[("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0), ("w", 604_800.0)];
const SIZES: &[(&str, f64)] = &[
    ("B", 1.0),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
    ("PiB", 1_125_899_906_842_624.0),
];
/// A hundred years: longer is a typing error.
const LONGEST: f64 = 3_155_760_000.0;

/// The number at the start and what follows it. No sign, no exponent.
fn number(text: &str) -> Option<(f64, &str)> {
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let value: f64 = text.get(..digits)?.parse().ok()?;
    (digits <= 20 && value.is_finite()).then_some((value, text.get(digits..)?))
}

/// A length of time: `300ms`, `20s`, `5m`, `4h`, `14d`, `1h30m`.
///
/// # Errors
/// What is wrong, and the form that is right.
pub fn duration(text: &str) -> Result<Duration, Wrong> {
    Ok(Duration::from_secs_f64(seconds(text)?))
}

fn seconds(text: &str) -> Result<f64, Wrong> {
    let (mut rest, mut sum) = (text, 0.0);
    while let Some((value, after)) = number(rest) {
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = after.split_at(letters);
        let Some((_, factor)) = TIMES.iter().find(|(name, _)| *name == unit) else { break };
        sum += value * factor;
        rest = tail;
        if rest.is_empty() {
            if sum > LONGEST {
                return wrong(format!("\"{text}\" is over a hundred years"), "write less");
            }
            return Ok(sum);
        }
    }
    let mend = match number(text.trim()) {
        Some((0.0, "")) => "write it as 0s".to_owned(),
        Some((value, "")) => format!("write the unit: {value}s, {value}m, {value}h or {value}d"),
        Some((value, after)) => match after.trim().to_ascii_lowercase().as_str() {
            "sec" | "secs" | "second" | "seconds" | "s" => format!("write it as {value}s"),
            "min" | "mins" | "minute" | "minutes" | "m" => format!("write it as {value}m"),
            "hour" | "hours" | "hr" | "h" => format!("write it as {value}h"),
            "day" | "days" | "d" => format!("write it as {value}d"),
            "msec" | "millis" | "milliseconds" | "ms" => format!("write it as {value}ms"),
            _ => "write it as 300ms, 20s, 5m, 4h or 14d".to_owned(),
        },
        None => "write it as 300ms, 20s, 5m, 4h or 14d".to_owned(),
    };
    wrong(format!("\"{text}\" is not a length of time"), mend)
}

/// A plain number over 0 and up to 1.
pub fn share(text: &str) -> Result<f64, Wrong> {
    match number(text.trim()) {
        Some((value, "")) if text == text.trim() && value > 0.0 && value <= 1.0 => Ok(value),
        _ => wrong(format!("\"{text}\" is not a number over 0 and up to 1"), "write it as 0.8; 1 is no scaling"),
    }
}

/// A level for what is named, in a base unit.
///
/// # Errors
/// What is wrong, and the form that is right.
pub fn level(text: &str, name: &str, unit: Unit) -> Result<f64, Wrong> {
    let what = format!("\"{text}\" is not a level for {name}");
    match unit {
        Unit::Seconds => seconds(text).map_err(|inner| Wrong { text: what, mend: inner.mend }),
        Unit::Ratio => match number(text.trim()) {
            Some((value, "%")) if text == text.trim() && value <= 100.0 => Ok(value / 100.0),
            Some((value, "")) if value <= 1.0 && text.contains('.') => {
                wrong(what, format!("write it as {}%", tidy(value * 100.0)))
            }
            Some((value, _)) if value <= 100.0 => wrong(what, format!("write it as {}%", tidy(value))),
            _ => wrong(what, "write it as a share between 0% and 100%"),
        },
        Unit::Bytes => size(text).map_err(|mend| Wrong { text: what, mend }),
        Unit::Celsius => match number(text.trim()) {
            Some((value, "C" | "°C")) if text == text.trim() => Ok(value),
            Some((value, _)) => wrong(what, format!("write it as {}C", tidy(value))),
            None => wrong(what, "write it as 75C"),
        },
        Unit::Count => match number(text.trim()) {
            Some((value, "")) if text == text.trim() => Ok(value),
            Some((value, _)) => wrong(what, format!("it is a plain number: write it as {}", tidy(value))),
            None => wrong(what, "write it as a plain number, such as 2 or 0.5"),
        },
        Unit::BytesPerSecond => match text.strip_suffix("/s") {
            Some(amount) => size(amount).map_err(|mend| Wrong { text: what, mend: each_second(&mend) }),
            None => match size(text.trim_end_matches("ps")) {
                Ok(_) => wrong(what, format!("write it as {}/s", text.trim_end_matches("ps"))),
                Err(mend) => wrong(what, each_second(&mend)),
            },
        },
        Unit::PerSecond => match (number(text.trim()), text == text.trim()) {
            (Some((value, "/s")), true) => Ok(value),
            (Some((value, _)), _) => wrong(what, format!("it is a rate: write it as {}/s", tidy(value))),
            (None, _) => wrong(what, "write it as a number each second, such as 10/s or 0.5/s"),
        },
    }
}

fn each_second(mend: &str) -> String {
    match mend.strip_prefix("write it as 512B") {
        Some(_) => "write it as 10KiB/s, 5MiB/s or 1GiB/s".to_owned(),
        None => format!("{mend}/s"),
    }
}

/// An amount of bytes, or the form that is right.
fn size(text: &str) -> Result<f64, String> {
    let any = || "write it as 512B, 10KiB, 5MiB, 10GiB or 2TiB".to_owned();
    let Some((value, after)) = number(text.trim()) else { return Err(any()) };
    if let Some((_, factor)) = SIZES.iter().find(|(name, _)| *name == after && text == text.trim()) {
        return Ok(value * factor);
    }
    let meant = after.trim().to_ascii_lowercase();
    let unit = SIZES.iter().map(|(name, _)| *name).find(|unit| {
        let unit = unit.to_ascii_lowercase();
        meant == unit || meant == unit.replace("ib", "b") || meant == unit[..1]
    });
    Err(unit.map_or_else(any, |unit| format!("write it as {}{unit}", tidy(value))))
}

/// Without the noise of binary fractions.
fn tidy(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// A level as people write it.
#[must_use]
pub fn show(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Ratio => format!("{}%", tidy(value * 100.0)),
        Unit::Celsius => format!("{}C", tidy(value)),
        Unit::Count => format!("{}", tidy(value)),
        Unit::Bytes => largest(value, SIZES),
        Unit::Seconds => largest(value, &TIMES[..5]),
        Unit::BytesPerSecond => format!("{}/s", largest(value, SIZES)),
        Unit::PerSecond => format!("{}/s", tidy(value)),
    }
}

/// A length of time as people write it.
#[must_use]
pub fn show_duration(value: Duration) -> String {
    largest(value.as_secs_f64(), &TIMES[..5])
}

/// In the greatest unit that needs no fraction, else in one with a short one.
fn largest(value: f64, units: &[(&str, f64)]) -> String {
    if value == 0.0 {
        return format!("0{}", units.iter().find(|(_, factor)| *factor == 1.0).map_or("", |(name, _)| name));
    }
    let whole = units.iter().rev().find(|(_, factor)| value >= *factor && (value / factor).fract() == 0.0);
    let fits = units.iter().rev().find(|(_, factor)| value >= *factor);
    let (name, factor) = whole.or(fits).or(units.first()).copied().unwrap_or(("", 1.0));
    format!("{}{name}", tidy(value / factor))
}

/// `true` or `false`.
///
/// # Errors
/// What is wrong, and the form that is right.
pub fn flag(text: &str) -> Result<bool, Wrong> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => wrong(format!("\"{text}\" is neither true nor false"), "write true or false"),
    }
}

/// A whole number within bounds.
///
/// # Errors
/// What is wrong, and the form that is right.
pub fn whole(text: &str, least: u64, most: u64) -> Result<u64, Wrong> {
    match text.parse::<u64>() {
        Ok(value) if (least..=most).contains(&value) && text.bytes().all(|b| b.is_ascii_digit()) => Ok(value),
        _ => wrong(format!("\"{text}\" is not a whole number from {least} to {most}"), "write one"),
    }
}

/// Words between spaces.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalogue::find;

    fn level(text: &str, metric: &str) -> Result<f64, Wrong> {
        super::level(text, metric, find(metric).unwrap().unit)
    }
    fn mend(text: &str, metric: &str) -> String {
        level(text, metric).unwrap_err().mend
    }

    #[test]
    fn levels_fit_their_metric() {
        assert_eq!(level("85%", "cpu.used"), Ok(0.85));
        assert_eq!(level("10GiB", "filesystem.available"), Ok(10.0 * 1024f64.powi(3)));
        assert_eq!(level("300ms", "probe.cpu"), Ok(0.3));
        assert_eq!(level("1h30m", "host.silent"), Ok(5400.0));
        assert_eq!(level("2.5", "load.per-core"), Ok(2.5));
        assert_eq!(level("75C", "temperature"), Ok(75.0));
        assert_eq!(level("75.5°C", "temperature"), Ok(75.5));
        assert_eq!(
            (mend("75", "temperature"), mend("75 C", "temperature")),
            ("write it as 75C".into(), "write it as 75C".into())
        );
        assert_eq!(mend("97 percent", "cpu.used"), "write it as 97%");
        assert_eq!(mend("0.8", "cpu.used"), "write it as 80%");
        assert_eq!(mend("10GB", "filesystem.available"), "write it as 10GiB");
        assert_eq!(mend("5 min", "host.silent"), "write it as 5m");
        assert_eq!(mend("80%", "load.per-core"), "it is a plain number: write it as 80");
        assert_eq!(level("5MiB/s", "disk.read.rate"), Ok(5.0 * 1024f64.powi(2)));
        assert_eq!(level("10/s", "swap.in.rate"), Ok(10.0));
        assert_eq!(mend("5MiB", "disk.read.rate"), "write it as 5MiB/s");
        assert_eq!(mend("5MB/s", "disk.read.rate"), "write it as 5MiB/s");
        assert_eq!(mend("5 MBps", "disk.read.rate"), "write it as 5MiB/s");
        assert_eq!(mend("fast", "disk.read.rate"), "write it as 10KiB/s, 5MiB/s or 1GiB/s");
        assert_eq!(mend("10", "swap.in.rate"), "it is a rate: write it as 10/s");
        for bad in ["", "-5%", "%", "101%", "1e3%", "NaN", "inf", "85%%", " 85%", "99999999999999999999999%"] {
            assert!(level(bad, "cpu.used").is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_shown_as_they_are_written() {
        assert_eq!(show(0.97, Unit::Ratio), "97%");
        assert_eq!(show(75.5, Unit::Celsius), "75.5C");
        assert_eq!(show(600.0, Unit::Seconds), "10m");
        assert_eq!(show(5400.0, Unit::Seconds), "90m");
        assert_eq!(show(10.0 * 1024f64.powi(3), Unit::Bytes), "10GiB");
        assert_eq!(show(5.0 * 1024f64.powi(2), Unit::BytesPerSecond), "5MiB/s");
        assert_eq!(show(0.5, Unit::PerSecond), "0.5/s");
        assert_eq!(show_duration(Duration::ZERO), "0s");
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in ".{0,30}") {
            for metric in crate::model::catalogue::all() {
                let _ = level(&text, metric.name);
            }
            let _ = (duration(&text), flag(&text), whole(&text, 1, 5));
        }

        #[test]
        fn what_is_shown_can_be_typed(seconds in 0u32..100_000_000) {
            let shown = show_duration(Duration::from_secs(seconds.into()));
            let back = duration(&shown).unwrap().as_secs_f64();
            proptest::prop_assert!((back - f64::from(seconds)).abs() <= f64::from(seconds) * 1e-5);
        }
    }
}
