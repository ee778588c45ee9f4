//! The one place that reads the wall clock; everything else is handed a `now`.

use chrono::{DateTime, Utc};

/// The wall clock.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one place that may")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// When the oldest compiler that builds this was published (Rust 1.89, 2025-08-07), in seconds since 1970: no clock that is
/// right says an earlier time.
const EARLIEST: i64 = 1_754_524_800;

/// Refuses a clock that was not set since the machine started, as one without a battery says after a boot: by 1970 every
/// mail is overdue and every problem old.
///
/// # Errors
/// Text for people.
pub fn must_be_set(now: DateTime<Utc>) -> Result<(), String> {
    if now.timestamp() >= EARLIEST {
        return Ok(());
    }
    Err(format!(
        "the clock of this machine says {}, which is before this program was built; set it (look at: timedatectl). Until \
         then nobody is told anything; nothing is lost by that",
        now.format("%Y-%m-%d %H:%M UTC")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_never_set_is_refused() {
        for year in ["1970", "2000", "2024"] {
            let text = must_be_set(format!("{year}-01-01T00:00:00Z").parse().unwrap()).unwrap_err();
            assert!(text.contains(&format!("says {year}-01-01 00:00 UTC")), "{text}");
        }
        assert_eq!(must_be_set(now()), Ok(()));
    }
}
