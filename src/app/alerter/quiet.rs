//! What keeps a problem from being told in this run: silences, failing parents, staleness and flapping, found anew.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::about;
use super::world::World;
use crate::alert::flap;
use crate::alert::hush::{self, Why, Window};
use crate::model::alert::{Ending, Incident, Subject};
use crate::model::silence::Silence;
use crate::model::spec::FleetSpec;

/// Everything about one run that may hush a subject.
pub struct Quiet<'a> {
    spec: &'a FleetSpec,
    world: &'a World<'a>,
    windows: Vec<Window>,
    flaps: BTreeSet<Subject>,
}

/// Subjects that open and close again and again.
fn flapping(world: &World<'_>, closed: &[Incident], now: DateTime<Utc>) -> BTreeSet<Subject> {
    let mut changes: BTreeMap<&Subject, Vec<DateTime<Utc>>> = BTreeMap::new();
    // What ended in this run stands in both.
    let stored: BTreeSet<i64> = closed.iter().map(|incident| incident.id).collect();
    let here = world.incidents.values().filter(|incident| !stored.contains(&incident.id));
    for incident in closed.iter().chain(here) {
        let times = changes.entry(&incident.subject).or_default();
        times.push(incident.opened);
        if incident.ending == Some(Ending::Recovered) {
            times.extend(incident.closed);
        }
    }
    let flaps = changes.into_iter().filter(|(_, times)| flap::flapping(times, now));
    flaps.map(|(subject, _)| subject.clone()).collect()
}

impl<'a> Quiet<'a> {
    /// `closed`: what closed within the memory of flapping.
    pub fn new(
        spec: &'a FleetSpec,
        world: &'a World<'a>,
        silences: &[Silence],
        closed: &[Incident],
        now: DateTime<Utc>,
    ) -> Self {
        let windows = hush::windows(silences.iter().chain(&spec.silences), now);
        Self { spec, world, windows, flaps: flapping(world, closed, now) }
    }

    /// The groups of its host; of what is the fleet's own those that it is about.
    pub fn groups<'b>(&'b self, subject: &'b Subject) -> Cow<'b, [String]> {
        about::groups(self.spec, subject, self.of_host(subject))
    }

    fn of_host(&self, subject: &Subject) -> &'a [String] {
        self.world.host(&subject.host).map_or(&[][..], |host| &host.groups)
    }

    /// Whether it comes and goes.
    pub fn flaps(&self, subject: &Subject) -> bool {
        self.flaps.contains(subject)
    }

    /// Whether a silence covers it now.
    pub fn silenced(&self, subject: &Subject) -> Option<Why> {
        about::silenced(self.spec, &self.windows, subject, self.of_host(subject))
    }

    /// When the last silence over it ended.
    fn silence_end(&self, subject: &Subject) -> Option<DateTime<Utc>> {
        about::silence_end(self.spec, &self.windows, subject, self.of_host(subject))
    }

    /// Why nothing of it is told but its end.
    pub fn why(&self, subject: &Subject) -> Option<Why> {
        if let Some(why) = self.silenced(subject) {
            return Some(why);
        }
        let above = self.world.above(subject);
        if let Some((by, ..)) = above.iter().find(|(_, fails, _)| *fails) {
            return Some(Why::Inhibited { by: by.clone() });
        }
        let last = self.world.state(subject).and_then(|state| state.last);
        let ended = self.silence_end(subject);
        hush::stale(last, above.iter().filter_map(|(.., bad)| *bad).chain(ended))
    }

    /// The configuration.
    pub fn spec(&self) -> &'a FleetSpec {
        self.spec
    }
}
