//! Metrics that are sent only of what is bad: of those an item that is missing may be well, and not gone.

use super::super::sample::Sample;

/// One of them, and how a sample shows that the host looked.
struct OnlyBad {
    metric: &'static str,
    /// What a sample has wherever the host looked.
    sign: &'static str,
    /// Whether that is the number of all items that are bad.
    counts: bool,
}

const ALL: &[OnlyBad] = &[
    OnlyBad { metric: "systemd.unit.failed", sign: "systemd.units.failed", counts: true },
    OnlyBad { metric: "systemd.unit.activating", sign: "systemd.units.failed", counts: false },
    OnlyBad { metric: "systemd.unit.restarts.recent", sign: "systemd.units.failed", counts: false },
];

/// Whether an item that the sample lacks is well, which no other metric can say. `blind`: the sample says that the host
/// could not look at all of its section.
#[must_use]
pub fn is_well(sample: &Sample, metric: &str, blind: bool) -> bool {
    let Some(it) = ALL.iter().find(|it| it.metric == metric) else { return false };
    let Some(bad) = sample.value(it.sign, "") else { return false };
    // All that are bad are named, whatever else of the section could not be seen: on a host where many services were
    // started after the boot some part of it never can.
    let named = || sample.readings.iter().filter(|reading| reading.metric == metric).map(|_| 1.0).sum::<f64>();
    !blind || it.counts && (named() - bad).abs() < 0.5
}

#[cfg(test)]
mod tests {
    use super::super::measured;
    use super::*;

    #[test]
    fn the_catalogue_has_all_of_them() {
        assert!(ALL.iter().all(|it| measured(it.metric).is_some() && measured(it.sign).is_some()));
    }
}
