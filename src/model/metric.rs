//! A metric is data that describes itself: name, kind, unit, direction and help, never a column or a match arm.

/// How the value of a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down; every value stands for its moment.
    Gauge,
    /// A total that only grows within one boot; rates come from the difference of two samples.
    Counter,
}

/// What one of a value is. Values are stored in base units; people see `80 %`, `5 min`, `10 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 0 to 1, written as `80%`.
    Ratio,
    /// Written as `512B`, `10KiB`, `5MiB`, `10GiB`, `2TiB`.
    Bytes,
    /// Written as `300ms`, `20s`, `5m`, `4h`, `14d`.
    Seconds,
    /// Degrees, written as `75C`; may be negative.
    Celsius,
    /// A plain number.
    Count,
    /// Bytes each second, written as `5MiB/s`.
    BytesPerSecond,
    /// A number each second, written as `10/s`.
    PerSecond,
}

impl Unit {
    /// The unit of the rate of a total in this unit: seconds each second are a share.
    #[must_use]
    pub const fn per_second(self) -> Self {
        match self {
            Self::Bytes => Self::BytesPerSecond,
            Self::Count => Self::PerSecond,
            Self::Seconds => Self::Ratio,
            other => other,
        }
    }

    /// The word that tables and documentation show.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ratio => "ratio",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
            Self::Celsius => "celsius",
            Self::Count => "count",
            Self::BytesPerSecond => "bytes/s",
            Self::PerSecond => "1/s",
        }
    }
}

/// Which way is bad, so that a threshold needs no `<` or `>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A value over the threshold is a problem.
    HighIsBad,
    /// A value under the threshold is a problem.
    LowIsBad,
}

/// The definition of one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Dotted words, e.g. `filesystem.inodes.used`.
    pub name: &'static str,
    /// Gauge or counter.
    pub kind: Kind,
    /// Base unit of the stored value.
    pub unit: Unit,
    /// Which way is bad.
    pub direction: Direction,
    /// What an item is (`mount`, `disk`, `interface`), empty where the metric has one value for a host.
    pub item: &'static str,
    /// One sentence for people.
    pub help: &'static str,
}

impl Metric {
    /// Whether it comes from the check of a service, and its items start with the service's name.
    #[must_use]
    pub fn is_of_service(&self) -> bool {
        self.item.starts_with("service")
    }
}
