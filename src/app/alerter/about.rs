//! What the fleet's own problems are about, for silences and routes by host or group: a group, a bastion, or the servers of
//! a service.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::world::servers;
use crate::alert::hush::{self, Why, Window};
use crate::alert::words::{BASTION, DAMAGED, MASS, STALLED, UNDELIVERABLE};
use crate::model::alert::Subject;
use crate::model::spec::FleetSpec;

/// The host that a route by host looks for.
pub fn host(subject: &Subject) -> &str {
    if subject.host.is_empty() && subject.rule == BASTION { &subject.item } else { &subject.host }
}

/// The groups that a route by group looks for, of a subject of the fleet.
pub fn groups<'a>(spec: &'a FleetSpec, subject: &'a Subject) -> Cow<'a, [String]> {
    let own = group(subject);
    if !own.is_empty() {
        return Cow::Borrowed(own);
    }
    let mut all: Vec<String> = faces(spec, subject).into_iter().flat_map(|(_, groups)| groups).cloned().collect();
    all.sort();
    all.dedup();
    Cow::Owned(all)
}

/// The group of which most hosts fail.
fn group(subject: &Subject) -> &[String] {
    let is_group = subject.host.is_empty() && subject.rule == MASS && !subject.item.is_empty();
    if is_group { std::slice::from_ref(&subject.item) } else { &[] }
}

/// A subject of the fleet as one of each host that it is about.
fn faces<'a>(spec: &'a FleetSpec, subject: &'a Subject) -> Vec<(Subject, &'a [String])> {
    let face = |host: &str, groups: &'a [String]| (Subject { host: host.to_owned(), ..subject.clone() }, groups);
    match subject.rule.as_str() {
        _ if !subject.host.is_empty() => Vec::new(),
        MASS | STALLED | UNDELIVERABLE | DAMAGED => Vec::new(),
        // It need not be watched itself.
        BASTION => vec![face(&subject.item, spec.host(&subject.item).map_or(&[], |host| &host.groups))],
        _ => servers(spec, subject).map(|host| face(&host.name, &host.groups)).collect(),
    }
}

/// Whether a silence covers a subject of the fleet now: one over itself, or over every host that it is about.
pub fn silenced(spec: &FleetSpec, windows: &[Window], subject: &Subject) -> Option<Why> {
    hush::silenced(windows, subject, group(subject)).or_else(|| {
        let until = |why: &Why| match why {
            Why::Silenced { until, .. } => Some(*until),
            _ => None,
        };
        let faces = faces(spec, subject);
        let each: Option<Vec<Why>> = faces.iter().map(|(face, of)| hush::silenced(windows, face, of)).collect();
        each?.into_iter().min_by_key(until)
    })
}

/// When the last silence over a subject of the fleet ended.
pub fn silence_end(spec: &FleetSpec, windows: &[Window], subject: &Subject) -> Option<DateTime<Utc>> {
    let own = hush::silence_end(windows, subject, group(subject));
    let faces = faces(spec, subject);
    let each: Option<Vec<_>> = faces.iter().map(|(face, of)| hush::silence_end(windows, face, of)).collect();
    own.max(each.and_then(|each| each.into_iter().min()))
}
