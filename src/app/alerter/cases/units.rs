//! What hosts send only while it is bad: a unit that was repaired is well, and not gone.

use super::*;
use crate::model::sample::{Fault, FaultKind};

impl Field {
    /// A sample of a host where these units failed; `asked`: whether the others could all be asked for more.
    fn units(&mut self, minute: i64, failed: &[&str], asked: bool) -> Vec<String> {
        let mut sample = self.sample("web01", minute * 60, &[("systemd.units.failed", failed.len() as f64)]);
        let unit = |name: &&str| Reading { metric: "systemd.unit.failed".into(), item: (*name).into(), value: 1.0 };
        sample.readings.extend(failed.iter().map(unit));
        if !asked {
            let text = "20 services started after the boot, 16 are asked for more".into();
            sample.faults = vec![Fault { section: "systemd".into(), item: String::new(), kind: FaultKind::Cut, text }];
        }
        self.store.record(1, &attempt("web01", minute, None), &[sample]).unwrap();
        self.run(minute + 1)
    }
}

fn watched() -> Field {
    let mut field = Field::new(&["web01"]);
    field.rule("systemd.unit.failed", |rule| (rule.warning, rule.critical) = (Some(1.0), None));
    field
}

#[test]
fn a_repaired_unit_is_well_and_not_gone() {
    for asked in [true, false] {
        let mut field = watched();
        assert_eq!(field.units(0, &["nginx.service"], asked), NONE);
        assert_eq!(field.units(5, &["nginx.service"], asked), ["[WARN] web01 systemd.unit.failed nginx.service"]);
        assert_eq!(field.units(10, &["backup.service"], asked), NONE);
        assert_eq!(field.units(15, &[], asked), ["[OK] web01 systemd.unit.failed nginx.service"]);
        let text = readable(&field.server.accepted.last().unwrap().body);
        assert!(!text.contains("no longer monitored") && !text.contains("is gone"), "{text}");
        let ended = field.store.incidents(9).unwrap();
        assert_eq!(ended[0].ending, Some(crate::model::alert::Ending::Recovered));
    }
}

#[test]
fn a_sample_that_could_not_look_at_units_says_nothing_of_them() {
    let mut field = watched();
    for minute in [0, 5] {
        field.units(minute, &["nginx.service"], true);
    }
    for minute in 2..6 {
        // Two failed and none is named.
        let two = field.sample("web01", minute * 300, &[("systemd.units.failed", 2.0)]);
        let fault =
            Fault { section: "systemd".into(), item: String::new(), kind: FaultKind::Cut, text: "too many".into() };
        let sample = Sample { faults: vec![fault], ..two };
        field.store.record(1, &attempt("web01", minute * 5, None), &[sample]).unwrap();
    }
    assert_eq!(field.run(30), NONE);
    assert_eq!(field.store.open_incidents().unwrap().len(), 1);
}

/// What failed once must not be looked at in every sample for ever.
#[test]
fn a_unit_that_is_well_is_forgotten() {
    let mut field = watched();
    for minute in [0, 5] {
        field.units(minute, &["nginx.service"], true);
    }
    for n in 2..8 {
        field.units(n * 5, &[], true);
    }
    let known = field.store.states().unwrap();
    assert!(known.iter().all(|(subject, _)| subject.rule != "systemd.unit.failed"), "{known:?}");
}
