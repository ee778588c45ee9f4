//! How bad something is.

use std::fmt;

/// Ordered: the worst is the greatest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing to do.
    #[default]
    Ok,
    /// Somebody should look today.
    Warning,
    /// Somebody should look now.
    Critical,
}

impl Level {
    /// 0, 1 or 2: as stored, and as Nagios plugins exit.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The reverse of [`Level::number`]; anything over 2 is critical.
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Ok,
            1 => Self::Warning,
            _ => Self::Critical,
        }
    }

    /// `ok`, `warning`, `critical`: the words of configuration, JSON and headers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// `OK`, `WARN`, `CRIT`: for tables and subjects.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARN",
            Self::Critical => "CRIT",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
