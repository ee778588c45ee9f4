//! Times of the future: a clock that was ahead and is set right leaves them behind.

use chrono::{DateTime, TimeDelta, Utc};

/// A clock that is further ahead than this is not believed.
pub const SKEW: TimeDelta = TimeDelta::minutes(5);

/// Whether no clock that is right can have told this time yet.
#[must_use]
pub fn is_ahead(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    // Mostly it is not, and a catch-up asks for each sample.
    at > now && at - now > SKEW
}
