//! Checks by the real probe, the task over standard input, and what they said.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::fs;
use std::time::Duration;

use fleet_health::model::check::Order;
use fleet_health::model::sample::{FaultKind, Sample};
use fleet_health::model::secret::Secret;

use crate::support::probed::Bench;

/// Must be found nowhere but on its way to its server.
pub const CANARY: &str = "kanarienvogel-4711";

/// One visit with these checks; the sample that was just measured. The secret stays where it belongs.
pub fn visit(bench: &mut Bench, checks: &[Order]) -> Sample {
    bench.task.checks = checks.to_vec();
    let sample = bench.sample();
    assert!(!bench.said.borrow().contains(CANARY));
    assert!(!format!("{sample:?}").contains(CANARY), "the secret came back");
    for entry in fs::read_dir(bench.spool()).unwrap() {
        let text = fs::read(entry.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&text).contains(CANARY), "the secret is on the disk");
    }
    sample
}

pub fn order(service: &str, kind: &str, attributes: &[(&str, &str)]) -> Order {
    Order {
        service: service.into(),
        check: kind.into(),
        item: service.into(),
        kind: kind.into(),
        attributes: attributes.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        timeout: Duration::from_secs(5),
        ..Order::default()
    }
}

pub fn with_password(mut order: Order, password: &str) -> Order {
    order.secrets.insert("password".into(), Secret::new(password.into()));
    order
}

/// `check.ok`; `None` where it could not be told.
pub fn verdict(sample: &Sample, check: &str) -> Option<bool> {
    let ok = sample.value("check.ok", check).map(|value| value == 1.0);
    let unknown = sample.value("check.unknown", check).unwrap_or_else(|| panic!("no {check} in {sample:?}"));
    assert_eq!(unknown == 1.0, ok.is_none(), "{check}");
    ok
}

#[track_caller]
pub fn value(sample: &Sample, metric: &str, item: &str) -> f64 {
    sample.value(metric, item).unwrap_or_else(|| {
        let prefix = metric.split('.').next().unwrap_or_default();
        let near: Vec<_> = sample.readings.iter().filter(|r| r.metric.starts_with(prefix)).collect();
        panic!("no {metric}{{{item}}}; there are {near:#?} and {:#?}", sample.faults)
    })
}

pub fn fault(sample: &Sample, check: &str) -> (FaultKind, String) {
    let fault = sample.faults.iter().find(|fault| fault.item == check);
    let fault = fault.unwrap_or_else(|| panic!("no fault of {check} in {:#?}", sample.faults));
    (fault.kind, fault.text.clone())
}

/// A fingerprint that belongs to nobody.
pub fn foreign() -> String {
    "00:".repeat(31) + "00"
}
