//! Services of defaults, groups and host laid over each other: per service, per check, and per attribute.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::raw::Typed;
use super::super::report::{At, Report};
use super::super::services::{Check, Service};
use crate::model::amount::show_duration;
use crate::model::check::{self, MAX_CHECKS};
use crate::model::service::{CheckSpec, ServiceSpec};
use crate::model::spec::Origin;

/// Unless given, and never more than half of what a host has.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The services of the layers so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Services {
    all: Vec<Service>,
}

fn nearer<T: Clone>(far: &mut Option<T>, near: &Option<T>) {
    if near.is_some() {
        far.clone_from(near);
    }
}

impl Services {
    /// These services with a nearer layer on them.
    pub fn with(&self, layer: &[Service]) -> Self {
        let mut next = self.clone();
        for near in layer {
            match next.all.iter().position(|far| far.name == near.name) {
                Some(place) if near.off => {
                    next.all.remove(place);
                }
                Some(place) => lay(&mut next.all[place], near),
                None if near.off => {}
                None => {
                    let mut new = near.clone();
                    new.checks.retain(|check| !check.off);
                    next.all.push(new);
                }
            }
        }
        next
    }

    /// The services of one host; `most` is what the host has for everything.
    pub fn finish(&self, most: Duration, report: &mut Report) -> Vec<ServiceSpec> {
        let specs: Vec<ServiceSpec> = self.all.iter().map(|service| spec(service, most, report)).collect();
        if let Some(last) = self.all.last().filter(|_| specs.iter().map(|s| s.checks.len()).sum::<usize>() > MAX_CHECKS)
        {
            report.error(last.at, format!("over {MAX_CHECKS} checks for one host"), "");
        }
        specs
    }
}

fn lay(far: &mut Service, near: &Service) {
    far.at = near.at;
    nearer(&mut far.description, &near.description);
    nearer(&mut far.min_healthy, &near.min_healthy);
    nearer(&mut far.unit, &near.unit);
    for check in &near.checks {
        match far.checks.iter().position(|other| other.key() == check.key()) {
            Some(place) if check.off => {
                far.checks.remove(place);
            }
            Some(place) => lay_check(&mut far.checks[place], check),
            None if check.off => {}
            None => far.checks.push(check.clone()),
        }
    }
}

fn lay_check(far: &mut Check, near: &Check) {
    far.at = near.at;
    // address= of the host takes the place of socket= of the group.
    for group in far.kind.one_of {
        let given =
            |name: &&&str| near.attributes.contains_key(**name) || (**name == "script" && near.script.is_some());
        if group.iter().any(|name| given(&name)) {
            far.attributes.retain(|name, _| !group.contains(name));
            if group.contains(&"script") {
                far.script = None;
            }
        }
    }
    far.attributes.extend(near.attributes.iter().map(|(name, typed)| (*name, typed.clone())));
    far.secrets.extend(near.secrets.iter().map(|(name, typed)| (*name, typed.clone())));
    nearer(&mut far.script, &near.script);
    nearer(&mut far.timeout, &near.timeout);
    nearer(&mut far.every, &near.every);
}

fn spec(service: &Service, most: Duration, report: &mut Report) -> ServiceSpec {
    let mut origins: BTreeMap<String, Origin> = BTreeMap::new();
    let mut note = |name: &str, at: Option<At>| {
        if let Some(at) = at {
            origins.insert(name.to_owned(), report.origin(at));
        }
    };
    note("description", service.description.as_ref().map(|typed| typed.at));
    note("min-healthy", service.min_healthy.as_ref().map(|typed| typed.at));
    let mut checks: Vec<Check> = service.checks.clone();
    let named = checks.iter().any(|check| check.kind.name == "unit");
    if let (Some(unit), Some(kind), false) = (&service.unit, check::find("unit"), named) {
        checks.push(Check::implied(kind, "unit", unit.clone()));
    }
    for (i, check) in checks.iter().enumerate() {
        if let Some(first) = checks[..i].iter().find(|other| label(other) == label(check)) {
            let text = format!(
                "a second check \"{}\" in service \"{}\", first at {}",
                label(check),
                service.name,
                report.named(first.at)
            );
            report.error(check.at, text, "give it another name=");
        }
    }
    ServiceSpec {
        name: service.name.clone(),
        description: service.description.as_ref().map(|typed| typed.value.clone()).unwrap_or_default(),
        min_healthy: service.min_healthy.as_ref().map(|typed| typed.value),
        checks: checks.iter().map(|check| check_spec(check, most, report)).collect(),
        origin: report.origin(service.at),
        origins,
    }
}

/// What readings and people call it: kinds do not tell two of one name apart there.
fn label(check: &Check) -> &str {
    check.name.as_ref().map_or(check.kind.name, |name| &name.value)
}

fn check_spec(check: &Check, most: Duration, report: &mut Report) -> CheckSpec {
    for group in check.kind.one_of {
        let given =
            |name: &&&str| check.attributes.contains_key(**name) || (**name == "script" && check.script.is_some());
        let count = group.iter().filter(given).count();
        if count != 1 {
            let all: Vec<String> = group.iter().map(|name| format!("{name}=")).collect();
            let text = format!(
                "<{}> has {} of {}",
                check.kind.name,
                if count == 0 { "none" } else { "several" },
                all.join(", ")
            );
            report.error(check.at, text, "give one of them");
        }
    }
    if let Some(typed) = check.timeout.as_ref().filter(|typed| typed.value >= most) {
        let text =
            format!("a timeout of {} is not under the {} of a host", show_duration(typed.value), show_duration(most));
        report.error(typed.at, text, "write less, or raise timeout= of <collector>");
    }
    let mut origins: BTreeMap<String, Origin> = BTreeMap::new();
    let attributes = check.attributes.iter().map(|(name, typed)| (*name, typed.at));
    let secrets = check.secrets.iter().map(|(name, typed)| (*name, typed.at));
    let others = [
        ("name", check.name.as_ref().map(|typed| typed.at)),
        ("script", check.script.as_ref().map(|typed| typed.at)),
        ("timeout", check.timeout.as_ref().map(|typed| typed.at)),
        ("every", check.every.as_ref().map(|typed| typed.at)),
    ];
    let others = others.into_iter().filter_map(|(name, at)| Some((name, at?)));
    for (name, at) in attributes.chain(secrets).chain(others) {
        origins.insert(name.to_owned(), report.origin(at));
    }
    let value = |typed: &Option<Typed<Duration>>| typed.as_ref().map(|typed| typed.value);
    CheckSpec {
        kind: check.kind.name.to_owned(),
        name: check.name.as_ref().map(|typed| typed.value.clone()),
        attributes: check.attributes.iter().map(|(name, typed)| ((*name).to_owned(), typed.value.clone())).collect(),
        secrets: check.secrets.iter().map(|(name, typed)| ((*name).to_owned(), typed.value.clone())).collect(),
        script: check.script.as_ref().map(|typed| typed.value.clone()),
        timeout: value(&check.timeout).unwrap_or(TIMEOUT.min(most / 2)),
        every: value(&check.every),
        origin: report.origin(check.at),
        origins,
    }
}
