//! Where collectors put what they found.

use std::io;
use std::sync::Arc;

use super::process::{Processes, Scan};
use super::{Measured, Past, Restarts, Totals};
use crate::model::clean::clean;
use crate::model::sample::{Fact, Fault, FaultKind, Process, Reading};

/// Collects readings and faults; texts are cleaned on their way in.
#[derive(Debug, Default)]
pub struct Out {
    section: &'static str,
    readings: Vec<Reading>,
    faults: Vec<Fault>,
    facts: Vec<Fact>,
    top: Vec<Process>,
    /// How many values and facts each section gave.
    pub(super) sections: Vec<(&'static str, usize)>,
    /// Processor totals, once the cpu collector ran.
    pub(super) totals: Option<Totals>,
    /// Processors online, once the cpu collector ran.
    pub(super) cores: Option<u32>,
    /// What the measurement started from.
    pub(super) past: Arc<Past>,
    /// All processes, between the process collector and the end.
    pub(super) scan: Option<Scan>,
    /// What processes had used, for the next measurement.
    pub(super) kept: Option<Processes>,
    /// The counts of restarts, for the next measurement.
    pub(super) restarts: Option<Restarts>,
}

impl Out {
    /// For another section of the same measurement.
    pub(super) fn beside(cores: Option<u32>, past: &Arc<Past>) -> Self {
        Self { cores, past: Arc::clone(past), ..Self::default() }
    }

    /// The collector whose faults follow.
    pub(super) fn section(&mut self, name: &'static str) {
        self.section = name;
    }

    /// A value as it is: counters, bytes.
    pub fn put(&mut self, metric: &str, item: &str, value: f64) {
        if value.is_finite() {
            self.readings.push(Reading { metric: metric.to_owned(), item: clean(item), value });
        }
    }

    /// A whole number.
    #[allow(clippy::cast_precision_loss, reason = "totals over 2^53 may lose their last bits")]
    pub fn whole(&mut self, metric: &str, item: &str, value: u64) {
        self.put(metric, item, value as f64);
    }

    /// A share, rounded to five significant digits so that stored samples stay small.
    pub fn share(&mut self, metric: &str, item: &str, value: f64) {
        self.put(metric, item, round5(value.clamp(0.0, 1.0)));
    }

    /// Seconds, rounded to hundredths.
    pub fn seconds(&mut self, metric: &str, item: &str, value: f64) {
        self.put(metric, item, (value * 100.0).round() / 100.0);
    }

    /// How many values there are by now; for [`Out::lead_with`].
    pub(super) fn values(&self) -> usize {
        self.readings.len()
    }

    /// Puts the values from this one on before all others: the first stay where there are too many for a sample.
    pub(super) fn lead_with(&mut self, from: usize) {
        if from <= self.readings.len() {
            self.readings.rotate_left(from);
        }
    }

    /// What the host is; an empty text is none.
    pub fn fact(&mut self, name: &str, item: &str, text: &str) {
        let text = clean(text.trim());
        if !text.is_empty() {
            self.facts.push(Fact { name: name.to_owned(), item: clean(item), text });
        }
    }

    /// One of the processes that take most.
    pub fn process(&mut self, process: Process) {
        let Process { by, pid, user, comm, unit, command, value } = process;
        if value.is_finite() {
            let (user, comm, unit, command) = (clean(&user), clean(&comm), clean(&unit), clean(&command));
            self.top.push(Process { by, pid, user, comm, unit, command, value });
        }
    }

    /// Something that could not be measured.
    pub fn fault(&mut self, item: &str, kind: FaultKind, text: impl AsRef<str>) {
        let (item, text) = (clean(item), clean(text.as_ref()));
        self.faults.push(Fault { section: self.section.to_owned(), item, kind, text });
    }

    /// Something that was there and could not be understood.
    pub fn malformed(&mut self, item: &str, text: impl AsRef<str>) {
        self.fault(item, FaultKind::Malformed, text);
    }

    /// A file that could not be read.
    pub fn unread(&mut self, item: &str, path: &str, error: &io::Error) {
        self.fault(item, kind_of(error), format!("{path}: {}", words(error)));
    }

    /// How many values and facts there are.
    pub(super) fn count(&self) -> usize {
        self.readings.len() + self.facts.len()
    }

    /// Takes over what another section found.
    pub(super) fn absorb(&mut self, other: Self) {
        let Self {
            section: _,
            readings,
            faults,
            facts,
            top,
            sections: _,
            totals,
            cores,
            past: _,
            scan,
            kept,
            restarts,
        } = other;

        self.readings.extend(readings);
        self.faults.extend(faults);
        self.facts.extend(facts);
        self.top.extend(top);
        self.scan = self.scan.take().or(scan);
        self.kept = self.kept.take().or(kept);
        self.restarts = self.restarts.take().or(restarts);
        self.totals = self.totals.take().or(totals);
        self.cores = self.cores.or(cores);
    }

    pub(super) fn into_measured(self) -> Measured {
        let Self { readings, faults, facts, top, sections, totals, kept, restarts, .. } = self;
        Measured { readings, faults, facts, top, sections, totals, processes: kept, restarts }
    }
}

/// An error without its number, which says nothing to people that its words do not.
pub(super) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error ").map_or(text.as_str(), |(words, _)| words).to_owned()
}

/// Absent, denied and unsupported are different answers.
pub(super) fn kind_of(error: &io::Error) -> FaultKind {
    match error.kind() {
        io::ErrorKind::NotFound => FaultKind::Absent,
        io::ErrorKind::PermissionDenied => FaultKind::Denied,
        io::ErrorKind::Unsupported => FaultKind::Unsupported,
        _ if error.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error()) => FaultKind::Unsupported,
        _ => FaultKind::Malformed,
    }
}

fn round5(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    format!("{value:.4e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_five_digits() {
        assert_eq!(round5(0.123_456_789), 0.123_46);
        assert_eq!(round5(1.0), 1.0);
        assert_eq!(round5(0.000_012_345_678), 0.000_012_346);
        assert_eq!(round5(0.0), 0.0);
    }

    #[test]
    fn errors_are_told_apart() {
        use rustix::io::Errno;
        let kind = |errno: Errno| kind_of(&errno.into());
        assert_eq!(kind(Errno::NOENT), FaultKind::Absent);
        assert_eq!(kind(Errno::ACCESS), FaultKind::Denied);
        assert_eq!(kind(Errno::PERM), FaultKind::Denied);
        assert_eq!(kind(Errno::OPNOTSUPP), FaultKind::Unsupported);
        assert_eq!(kind(Errno::IO), FaultKind::Malformed);
        assert_eq!(words(&Errno::NOENT.into()), "No such file or directory");
    }
}
