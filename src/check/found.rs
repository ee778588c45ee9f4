//! What one run of a check found, and what was in its way.

use std::io::{self, ErrorKind};

use crate::model::check::Order;
use crate::model::clean::clean;
use crate::model::sample::{Fault, FaultKind, Reading};

/// The most readings of one check.
const MAX_READINGS: usize = 256;

/// Why a check did not end well. That nothing could be told is not that the service is bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The service does not answer, or answers wrongly.
    Bad(FaultKind, String),
    /// It could not be told: no permission, a wrong password, a plugin that is not there.
    Unknown(FaultKind, String),
}

impl Trouble {
    /// The service gave a wrong answer.
    pub fn wrong(text: impl Into<String>) -> Self {
        Self::Bad(FaultKind::Malformed, text.into())
    }

    /// The service refused us.
    pub fn denied(text: impl Into<String>) -> Self {
        Self::Unknown(FaultKind::Denied, text.into())
    }

    /// This probe or host cannot do what is asked.
    pub fn unsupported(text: impl Into<String>) -> Self {
        Self::Unknown(FaultKind::Unsupported, text.into())
    }

    /// What an error of a connection means.
    pub fn line(what: &str, error: &io::Error) -> Self {
        let text = match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => format!("{what}: no answer within the timeout"),
            ErrorKind::UnexpectedEof => format!("{what}: closed before the answer was whole"),
            _ => format!("{what}: {error}"),
        };
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Self::Bad(FaultKind::Hung, text),
            ErrorKind::PermissionDenied => Self::Unknown(FaultKind::Denied, text),
            ErrorKind::Unsupported => Self::Unknown(FaultKind::Unsupported, text),
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Self::Bad(FaultKind::Malformed, text),
            _ => Self::Bad(FaultKind::Absent, text),
        }
    }
}

/// Collects the readings and faults of one check.
#[derive(Clone, Debug, Default)]
pub struct Found {
    item: String,
    section: String,
    fault_item: String,
    /// All values.
    pub readings: Vec<Reading>,
    /// What could not be had, although the check as a whole went on.
    pub faults: Vec<Fault>,
    /// To remember until the next run.
    pub note: String,
}

impl Found {
    /// Nothing yet.
    #[must_use]
    pub fn new(order: &Order) -> Self {
        Self { item: order.item.clone(), section: order.kind.clone(), fault_item: order.name(), ..Self::default() }
    }

    /// A value of the service.
    pub fn put(&mut self, metric: &str, value: f64) {
        self.put_item(metric, self.item.clone(), value);
    }

    /// A value of a part of the service: `service/part`.
    pub fn put_part(&mut self, metric: &str, part: &str, value: f64) {
        self.put_item(metric, format!("{}/{part}", self.item), value);
    }

    /// A whole number.
    #[allow(clippy::cast_precision_loss, reason = "totals over 2^53 may lose their last bits")]
    pub fn whole(&mut self, metric: &str, value: u64) {
        self.put(metric, value as f64);
    }

    /// Seconds, to the microsecond.
    pub fn seconds(&mut self, metric: &str, value: f64) {
        self.put(metric, (value * 1e6).round() / 1e6);
    }

    /// A share of a whole; nothing where the whole is nothing.
    pub fn share(&mut self, metric: &str, part: f64, whole: f64) {
        if whole > 0.0 {
            self.put(metric, ((part / whole).clamp(0.0, 1.0) * 1e5).round() / 1e5);
        }
    }

    fn put_item(&mut self, metric: &str, item: String, value: f64) {
        if self.readings.len() == MAX_READINGS {
            if !self.faults.iter().any(|fault| fault.kind == FaultKind::Cut) {
                self.fault(FaultKind::Cut, format!("more than {MAX_READINGS} readings of one check"));
            }
        } else if value.is_finite() {
            self.readings.push(Reading { metric: metric.to_owned(), item: clean(&item), value });
        }
    }

    /// Something that could not be had.
    pub fn fault(&mut self, kind: FaultKind, text: impl AsRef<str>) {
        if self.faults.len() < 8 {
            self.faults.push(Fault {
                section: clean(&self.section),
                item: clean(&self.fault_item),
                kind,
                text: clean(text.as_ref()),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_check_says_is_bounded_and_clean() {
        let order = Order { service: "a".into(), check: "tcp".into(), item: "a".into(), ..Order::default() };
        let mut found = Found::new(&order);
        for part in 0..1000 {
            found.put_part("prometheus.value", &format!("{part}\u{1b}[31m"), 1.0);
        }
        found.put("http.latency", f64::NAN);
        assert_eq!((found.readings.len(), found.faults.len()), (MAX_READINGS, 1));
        assert_eq!(found.readings[3].item, "a/3?[31m");
        assert_eq!(found.faults[0].item, "a/tcp");
    }

    #[test]
    fn unknown_is_not_bad() {
        let kind = |kind: ErrorKind| Trouble::line("x", &kind.into());
        assert!(matches!(kind(ErrorKind::ConnectionRefused), Trouble::Bad(FaultKind::Absent, _)));
        assert!(matches!(kind(ErrorKind::TimedOut), Trouble::Bad(FaultKind::Hung, _)));
        assert!(matches!(kind(ErrorKind::PermissionDenied), Trouble::Unknown(FaultKind::Denied, _)));
    }
}
