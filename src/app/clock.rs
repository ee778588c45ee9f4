//! The one place that reads the wall clock; everything else is handed a `now`.

use chrono::{DateTime, Utc};

/// The wall clock.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one place that may")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
