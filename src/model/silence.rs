//! Silences: whom they cover and when they hold.

use chrono::{DateTime, Utc};

/// Days and hours of a week in a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// Bit 0 is Monday; 127 is every day.
    pub days: u8,
    /// Minutes after midnight by the wall clock of the zone, 0 to 1439.
    pub from: u16,
    /// Minutes after midnight, 0 to 1440; at or before `from`: on the next day.
    pub until: u16,
    /// A name of the IANA database, `Europe/Paris`.
    pub zone: String,
}

/// When a silence holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Once.
    Once {
        /// Its start.
        from: DateTime<Utc>,
        /// Its end, not included.
        until: DateTime<Utc>,
    },
    /// Every week.
    Weekly(Calendar),
}

/// What a silence covers: all that fits every list that is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Host name patterns.
    pub hosts: Vec<String>,
    /// Group names.
    pub groups: Vec<String>,
    /// Service names.
    pub services: Vec<String>,
    /// Rule (metric) patterns.
    pub rules: Vec<String>,
}

/// A silence or maintenance window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Number; the store gives it when it is 0. Those of the configuration have 0.
    pub id: i64,
    /// What it covers.
    pub scope: Scope,
    /// When it holds.
    pub when: When,
    /// Who made it; `config.xml` for those written there.
    pub by: String,
    /// Why, for people.
    pub reason: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When somebody ended it before its time.
    pub ended: Option<DateTime<Utc>>,
}
