//! What checks remember between two runs of the probe: when each ran, what it found, and a note of its own.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::model::check::Order;
use crate::model::sample::{Fault, FaultKind, Reading};

/// One run that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// What was ordered then, secrets aside: another order begins anew.
    mark: u64,
    /// Seconds since 1970 by the host's clock.
    pub at: i64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Only of checks with an interval of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    readings: Vec<(String, String, f64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    faults: Vec<(String, String, String, String)>,
}

impl Kept {
    pub fn new(order: &Order, at: i64, note: String, readings: &[Reading], faults: &[Fault]) -> Self {
        let mut kept = Self { mark: mark(order), at, note, ..Self::default() };
        if order.every.is_some() {
            kept.readings = readings.iter().map(|r| (r.metric.clone(), r.item.clone(), r.value)).collect();
            kept.faults = faults
                .iter()
                .map(|f| (f.section.clone(), f.item.clone(), f.kind.word().to_owned(), f.text.clone()))
                .collect();
        }
        kept
    }

    pub fn readings(&self) -> impl Iterator<Item = Reading> {
        let all = self.readings.iter().cloned();
        all.map(|(metric, item, value)| Reading { metric, item, value })
    }

    pub fn faults(&self) -> impl Iterator<Item = Fault> {
        self.faults.iter().cloned().map(|(section, item, kind, text)| {
            let kind = FaultKind::from_word(&kind).unwrap_or(FaultKind::Malformed);
            Fault { section, item, kind, text }
        })
    }
}

/// What is remembered of every check of the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Memory {
    kept: BTreeMap<String, Kept>,
}

impl Memory {
    /// From the file's bytes; a damaged file is as none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The last run of this very order.
    pub(super) fn last(&self, order: &Order) -> Option<&Kept> {
        self.kept.get(&order.name()).filter(|kept| kept.mark == mark(order))
    }

    pub(super) fn keep(&mut self, order: &Order, kept: Kept) {
        self.kept.insert(order.name(), kept);
    }
}

/// Tells orders apart; secrets are no part of it, for it stands on the disk.
fn mark(order: &Order) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&order.kind, &order.item, &order.attributes, &order.script).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::Secret;

    #[test]
    fn another_order_begins_anew_and_secrets_are_not_kept() {
        let mut order = Order { service: "a".into(), check: "redis".into(), kind: "redis".into(), ..Order::default() };
        order.secrets.insert("password".into(), Secret::new("kanarienvogel".into()));
        order.every = Some(std::time::Duration::from_secs(60));
        let reading = Reading { metric: "check.ok".into(), item: "a/redis".into(), value: 1.0 };
        let mut memory = Memory::default();
        memory.keep(&order, Kept::new(&order, 5, "n".into(), std::slice::from_ref(&reading), &[]));
        let again = Memory::parse(&memory.bytes());
        assert_eq!(again, memory);
        assert_eq!(again.last(&order).unwrap().readings().collect::<Vec<_>>(), [reading]);
        assert!(!String::from_utf8(memory.bytes()).unwrap().contains("kanarien"));
        order.attributes.insert("address".into(), "b:1".into());
        assert!(again.last(&order).is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_file_is_read(bytes: Vec<u8>) {
            let _ = Memory::parse(&bytes);
        }
    }
}
