//! Judgement and sentences of each kind of rule.

use super::*;

fn spec(metric: &str, warning: Option<f64>, critical: Option<f64>, clear: Option<f64>) -> RuleSpec {
    let metric = catalogue::find(metric).unwrap();
    RuleSpec { warning, critical, clear, ..RuleSpec::new(metric, RuleKind::of(metric)) }
}

fn judge(value: f64, spec: &RuleSpec) -> Verdict {
    Judge::new(spec).verdict(value)
}

fn judge_beside(value: f64, spec: &RuleSpec, other: &dyn Fn(&Condition) -> Option<f64>) -> Verdict {
    Judge::new(spec).beside(value, &spec.conditions, other)
}

fn condition(role: Role, metric: &str, threshold: f64) -> Condition {
    Condition { attribute: "and", role, metric: metric.into(), item: None, threshold }
}

#[test]
fn every_kind_has_its_rule() {
    for &kind in RuleKind::ALL {
        assert_eq!(of(kind).kind(), kind);
        assert_eq!(RULES.iter().filter(|rule| rule.kind() == kind).count(), 1);
        // A threshold of its own direction is nearer to healthy than a worse one.
        if kind == RuleKind::Average {
            continue;
        }
        let worse = if of(kind).breaches(2.0, 1.0) { 2.0 } else { 0.5 };
        assert_eq!(of(kind).healthier(1.0, worse), 1.0, "{kind:?}");
        assert!(!of(kind).breaches(of(kind).default_clear(Unit::Count, 1.0), 1.0), "{kind:?} would never end");
    }
}

#[test]
fn high_is_bad_with_hysteresis() {
    let rule = spec("cpu.used", Some(0.85), Some(0.95), None);
    let at = |value| judge(value, &rule);
    assert_eq!(at(0.95), Verdict { warning: true, critical: true, ..Verdict::default() });
    assert_eq!(at(0.86), Verdict { warning: true, ..Verdict::default() });
    assert!(at(0.80).clear_critical && !at(0.80).clear_warning && !at(0.80).warning);
    assert!(at(0.74).clear_warning && at(0.74).clear_critical);
    assert_eq!(at(f64::NAN), Verdict::default());
}

#[test]
fn low_is_bad() {
    let rule = spec("memory.available", Some(1000.0), Some(500.0), None);
    assert!(judge(1000.0, &rule).warning && judge(499.0, &rule).critical);
    assert!(judge(1100.0, &rule).clear_warning && !judge(1050.0, &rule).clear_warning);
}

#[test]
fn clear_is_obeyed_and_never_past_the_threshold() {
    let rule = spec("cpu.used", Some(0.85), None, Some(0.5));
    assert!(!judge(0.6, &rule).clear_warning && judge(0.5, &rule).clear_warning);
    let wrong = spec("cpu.used", Some(0.85), None, Some(0.99));
    assert!(!judge(0.9, &wrong).clear_warning && judge(0.84, &wrong).clear_warning);
    let flag = spec("filesystem.readonly", None, Some(1.0), None);
    assert!(judge(1.0, &flag).critical && judge(0.0, &flag).clear_warning && judge(0.0, &flag).clear_critical);
}

#[test]
fn ninety_percent_of_a_great_disk_is_no_emergency() {
    let gib = 1_073_741_824.0;
    let mut rule = spec("filesystem.used", Some(0.8), Some(0.9), None);
    rule.conditions = vec![condition(Role::And, "filesystem.available", 10.0 * gib)];
    let at = |used, free: Option<f64>| judge_beside(used, &rule, &|_| free.map(|free| free * gib));
    assert!(at(0.92, Some(9.0)).critical && at(0.85, Some(10.0)).warning);
    let great = at(0.92, Some(1600.0));
    assert!(!great.warning && !great.critical && great.clear_warning && great.clear_critical);
    // Between 10 and 11 GiB neither a new problem nor the end of one.
    assert_eq!(at(0.92, Some(10.5)), Verdict::default());
    assert_eq!(at(0.92, None), Verdict::default(), "what is not known neither opens nor closes");
    assert!(at(0.2, None).clear_warning);
}

#[test]
fn a_condition_of_critical_leaves_the_warning_and_unless_silences() {
    let mut rule = spec("cpu.used", Some(0.9), Some(0.97), None);
    rule.conditions = vec![condition(Role::AndCritical, "pressure.some", 0.5)];
    let at = |pressure| judge_beside(0.99, &rule, &|_| pressure);
    assert!(at(Some(0.5)).critical);
    assert!(at(Some(0.2)).warning && !at(Some(0.2)).critical && at(Some(0.2)).clear_critical);
    assert!(!at(Some(0.2)).clear_warning && at(None).warning && !at(None).critical);
    rule.conditions = vec![condition(Role::Unless, "pressure.some", 0.5)];
    let at = |pressure| judge_beside(0.99, &rule, &|_| pressure);
    assert!(at(None).critical && at(Some(0.4)).critical && at(Some(0.6)).clear_critical && !at(Some(0.6)).warning);
}

#[test]
fn each_kind_says_what_is_wrong_and_where_the_line_is() {
    let say =
        |rule: &RuleSpec, item: &str, value: f64, level| sentence(rule, item, value, level, &|v| format!("<{v}>"));
    let disk = spec("filesystem.used", Some(0.8), Some(0.9), None);
    assert_eq!(say(&disk, "/var", 1.0, Level::Critical), "filesystem.used of /var is <1> (critical from <0.9>)");
    assert_eq!(say(&disk, "/var", 1.0, Level::Warning), "filesystem.used of /var is <1> (warning from <0.8>)");
    let low = spec("memory.available", Some(5.0), None, None);
    assert_eq!(say(&low, "", 4.0, Level::Warning), "memory.available is <4> (warning at or under <5>)");
    let rate = spec("network.receive.errors", None, Some(10.0), None);
    assert_eq!(
        say(&rate, "eth0", 12.0, Level::Critical),
        "network.receive.errors of eth0 grows by <12> (critical from <10>)"
    );
    let full = spec("filesystem.full-in", Some(86_400.0), Some(14_400.0), None);
    assert_eq!(say(&full, "/var", 9.0, Level::Critical), "/var will be full in <9> (critical within <14400>)");
    assert_eq!(say(&full, "/var", crate::model::forecast::FAR, Level::Warning), "/var will not be full soon");
    let inodes = spec("filesystem.inodes.full-in", Some(86_400.0), None, None);
    assert_eq!(
        say(&inodes, "/", 0.0, Level::Warning),
        "the inodes of / will be used up at once (warning within <86400>)"
    );
    let flag = spec("filesystem.readonly", None, Some(1.0), None);
    assert_eq!(say(&flag, "/srv", 1.0, Level::Critical), "/srv: the filesystem is mounted read-only");
    assert_eq!(say(&flag, "/srv", 0.0, Level::Critical), "/srv: no longer: the filesystem is mounted read-only");
    let metric = catalogue::find("network.receive.bytes").unwrap();
    let absent = RuleSpec { warning: Some(600.0), ..RuleSpec::new(metric, RuleKind::Absent) };
    assert_eq!(
        say(&absent, "eth1", 900.0, Level::Warning),
        "network.receive.bytes of eth1 has been missing for <900> (warning after <600>)"
    );
    assert_eq!(say(&absent, "eth1", 0.0, Level::Warning), "network.receive.bytes of eth1 is there again");
}
