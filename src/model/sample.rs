//! What one measurement of one host says.

use chrono::{DateTime, Utc};

/// One value of one metric; `item` is empty where the metric has none.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// A name of the catalogue, or one that a newer probe brought.
    pub metric: String,
    /// Mount, disk, interface ..., or empty.
    pub item: String,
    /// In the metric's base unit; finite.
    pub value: f64,
}

/// Why something could not be measured. Absent, unsupported, denied and zero are four different answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The thing is not there (no swap file, no such disk).
    Absent,
    /// This kernel or system does not offer it.
    Unsupported,
    /// The user may not read it.
    Denied,
    /// It did not answer within its deadline (a dead NFS mount).
    Hung,
    /// It was there and could not be understood.
    Malformed,
    /// More than the bounds allow; the rest was left out.
    Cut,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: &'static [Self] =
        &[Self::Absent, Self::Unsupported, Self::Denied, Self::Hung, Self::Malformed, Self::Cut];

    /// The word that travels and is stored.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Unsupported => "unsupported",
            Self::Denied => "denied",
            Self::Hung => "hung",
            Self::Malformed => "malformed",
            Self::Cut => "cut",
        }
    }

    /// The reverse of [`FaultKind::word`].
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.word() == word)
    }
}

/// Something that could not be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The collector's name (`filesystem`), or a check's.
    pub section: String,
    /// The item, or empty for the whole section.
    pub item: String,
    /// Which of the answers it is.
    pub kind: FaultKind,
    /// What happened, for people.
    pub text: String,
}

/// What no two samples of one host share: it makes a sample stored twice one sample.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SampleKey {
    /// The kernel's boot id (a UUID), or what stands for it where there is none.
    pub boot: String,
    /// Grows with each sample of a boot.
    pub sequence: u64,
}

/// One measurement, decoded, bounded and cleaned.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What makes it one.
    pub key: SampleKey,
    /// When it was measured, by the host's clock.
    pub taken: DateTime<Utc>,
    /// What the host calls itself; never its identity, which is the session's.
    pub hostname: String,
    /// Version of the probe that measured.
    pub probe: String,
    /// All values, in the probe's order.
    pub readings: Vec<Reading>,
    /// What could not be measured.
    pub faults: Vec<Fault>,
}

impl Sample {
    /// The value of a metric and item.
    #[must_use]
    pub fn value(&self, metric: &str, item: &str) -> Option<f64> {
        self.readings.iter().find(|r| r.metric == metric && r.item == item).map(|r| r.value)
    }
}
