//! What problems are about, for silences and routes by host or group: a host; and of the fleet's own a group, a bastion, or
//! the servers of a service.

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

/// The groups that a route by group looks for; `of_host` are those of the subject's host.
pub fn groups<'a>(spec: &'a FleetSpec, subject: &'a Subject, of_host: &'a [String]) -> Cow<'a, [String]> {
    let own = own(subject, of_host);
    if !own.is_empty() {
        return Cow::Borrowed(own);
    }
    let mut all: Vec<String> = faces(spec, subject).into_iter().flat_map(|(_, groups)| groups).cloned().collect();
    all.sort();
    all.dedup();
    Cow::Owned(all)
}

/// The groups of its host, or the one of which most hosts fail.
fn own<'a>(subject: &'a Subject, of_host: &'a [String]) -> &'a [String] {
    let is_group = subject.host.is_empty() && subject.rule == MASS && !subject.item.is_empty();
    if is_group { std::slice::from_ref(&subject.item) } else { of_host }
}

/// A subject of the fleet as one of each host that it is about; none of one that has a host.
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

/// Whether a silence covers a subject now: one over itself, or over every host that it is about.
pub fn silenced(spec: &FleetSpec, windows: &[Window], subject: &Subject, of_host: &[String]) -> Option<Why> {
    hush::silenced(windows, subject, own(subject, of_host)).or_else(|| {
        let until = |why: &Why| match why {
            Why::Silenced { until, .. } => Some(*until),
            _ => None,
        };
        let faces = faces(spec, subject);
        let each: Option<Vec<Why>> = faces.iter().map(|(face, of)| hush::silenced(windows, face, of)).collect();
        each?.into_iter().min_by_key(until)
    })
}

/// When the last silence over a subject ended.
pub fn silence_end(
    spec: &FleetSpec,
    windows: &[Window],
    subject: &Subject,
    of_host: &[String],
) -> Option<DateTime<Utc>> {
    let own = hush::silence_end(windows, subject, own(subject, of_host));
    let faces = faces(spec, subject);
    let each: Option<Vec<_>> = faces.iter().map(|(face, of)| hush::silence_end(windows, face, of)).collect();
    own.max(each.and_then(|each| each.into_iter().min()))
}
