//! Truth: states and incidents in memory, moved by rows, written back as one evaluation a batch.
//!
//! A host's samples mostly have the same readings in the same order. So the place of each reading is looked up once for
//! a layout, and after that a reading costs a comparison of its name and the fold.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};

use super::readings::{self, Past};
use crate::alert::fold::{self, Observation, Windows};
use crate::alert::words::{self, BUILT_IN, CLOCK_SKEW, PROBE_STALE, SILENT, UNREACHABLE};
use crate::app::past;
use crate::model::alert::{Ack, Ending, Evaluation, Event, Incident, RuleState, Subject};
use crate::model::fleet::Row;
use crate::model::level::Level;
use crate::model::spec::{FleetSpec, HostSpec, RuleSpec};
use crate::rule::Judge;
use crate::store::{self, Store};

mod ahead;
mod bastions;
mod fleet;
mod hosts;
mod samples;
mod services;

pub use ahead::last_sweeps;
pub use fleet::{Facts, mailbox};
pub use services::{means, servers};

/// Names of readings in their order, shared by all hosts that have the same.
type Layout = Rc<Vec<(String, String)>>;

/// A rule with all that does not hang on the value reckoned once. Hosts mostly have the same ones.
#[derive(Clone, Copy)]
struct Ready<'a> {
    rule: &'a RuleSpec,
    judge: Judge,
    windows: Windows,
}

/// One subject. Millions are looked at one after another in a catch-up, so it is kept small.
struct Slot {
    subject: Subject,
    state: RuleState,
    /// How it is judged, as a place in [`World::ready`]; `None` for built-in rules and for what the configuration lost.
    rule: Option<usize>,
    /// Whether its values are changes over time, which mean little just after a boot.
    rate: bool,
    /// To be written.
    dirty: Cell<bool>,
    /// Its state is forgotten.
    gone: bool,
}

/// What a host's rules look at besides the readings of a sample.
#[derive(Default)]
enum Behind {
    /// No row of it was seen yet.
    #[default]
    Unknown,
    /// Nothing.
    Nothing,
    /// Its past.
    Past(Box<Past>),
}

/// A visit as a bastion on the way to the host sees it.
struct Visit {
    at: DateTime<Utc>,
    /// Why nobody came through; `None`: somebody did, whatever became of it behind.
    stuck: Option<String>,
}

/// Everything of one host; the fleet's own subjects are those of the host without a name.
#[derive(Default)]
struct Track<'a> {
    host: Option<&'a HostSpec>,
    behind: Behind,
    slots: Vec<Slot>,
    /// Slots whose values are no readings of a sample: derived, foretold or absent.
    beyond: Vec<usize>,
    /// What came of its last visit among this run's rows.
    visit: Option<Visit>,
    /// By the place in the layout; `None`: not judged.
    places: Vec<Option<usize>>,
    /// Slots of metrics that the layout does not have.
    absent: Vec<usize>,
    layout: Option<Layout>,
    /// Where the slots of [`EACH_ROW`] are.
    own: [Option<usize>; EACH_ROW.len()],
}

/// Rules that every row is looked up for.
const EACH_ROW: [&str; 4] = [UNREACHABLE, PROBE_STALE, SILENT, CLOCK_SKEW];

impl Track<'_> {
    fn find(&self, rule: &str, item: &str) -> Option<usize> {
        if let Some(n) = EACH_ROW.iter().position(|name| *name == rule && item.is_empty()) {
            return self.own.get(n).copied().flatten();
        }
        self.slots.iter().position(|slot| slot.subject.rule == rule && slot.subject.item == item)
    }
}

/// What is true, and what of it has changed since it was last written.
pub struct World<'a> {
    spec: &'a FleetSpec,
    interval: TimeDelta,
    tracks: Vec<Track<'a>>,
    names: HashMap<String, usize>,
    layouts: Vec<Layout>,
    /// Open ones, and those that ended in this run.
    pub incidents: BTreeMap<i64, Incident>,
    /// What people took.
    pub acks: BTreeMap<i64, Ack>,
    last: i64,
    dirty: Vec<(usize, usize)>,
    changed: BTreeSet<i64>,
    events: Vec<Event>,
    unacked: Vec<i64>,
    ready: Vec<Ready<'a>>,
}

/// As chrono counts it; what is too long for it is a year.
pub fn delta(duration: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::days(365))
}

impl<'a> World<'a> {
    /// From what is stored.
    pub fn new(
        spec: &'a FleetSpec,
        states: Vec<(Subject, RuleState)>,
        open: Vec<Incident>,
        acks: Vec<Ack>,
        last: i64,
    ) -> Self {
        let mut world = Self {
            spec,
            interval: delta(spec.collector.interval),
            tracks: Vec::new(),
            names: HashMap::new(),
            layouts: Vec::new(),
            incidents: open.into_iter().map(|incident| (incident.id, incident)).collect(),
            acks: acks.into_iter().map(|ack| (ack.incident, ack)).collect(),
            last,
            dirty: Vec::new(),
            changed: BTreeSet::new(),
            events: Vec::new(),
            unacked: Vec::new(),
            ready: Vec::new(),
        };
        for host in &spec.hosts {
            world.names.insert(host.name.clone(), world.tracks.len());
            world.tracks.push(Track { host: Some(host), ..Track::default() });
        }
        for (subject, state) in states {
            let track = world.track(&subject.host);
            world.add(track, subject, state);
        }
        world
    }

    /// The number of a host's track, made where it is new.
    fn track(&mut self, host: &str) -> usize {
        if let Some(&known) = self.names.get(host) {
            return known;
        }
        self.names.insert(host.to_owned(), self.tracks.len());
        self.tracks.push(Track::default());
        self.tracks.len() - 1
    }

    fn add(&mut self, track: usize, subject: Subject, state: RuleState) -> usize {
        let governing = |host| readings::governing(host, &subject.rule, &subject.item);
        let rule = self.tracks[track].host.and_then(governing);
        let beyond = rule.is_some_and(|rule| !readings::direct(rule) || past::derived(&rule.metric).is_some());
        let rule = rule.map(|rule| self.ready(rule));
        let rate = samples::is_rate(&subject.rule);
        let track = &mut self.tracks[track];
        if let Some(n) = EACH_ROW.iter().position(|name| *name == subject.rule && subject.item.is_empty()) {
            track.own[n] = Some(track.slots.len());
        }
        if beyond {
            track.beyond.push(track.slots.len());
        }
        track.slots.push(Slot { subject, state, rule, rate, dirty: Cell::new(false), gone: false });
        track.slots.len() - 1
    }

    /// The place of a rule made ready.
    fn ready(&mut self, rule: &'a RuleSpec) -> usize {
        self.ready.iter().position(|known| known.rule == rule).unwrap_or_else(|| {
            let (judge, windows) = (Judge::new(rule), samples::windows(rule, self.interval));
            self.ready.push(Ready { rule, judge, windows });
            self.ready.len() - 1
        })
    }

    /// How a slot is judged.
    fn judged(&self, slot: &Slot) -> Option<&Ready<'a>> {
        slot.rule.and_then(|place| self.ready.get(place))
    }

    /// The slot of a built-in rule or of a rule without readings, made where it is new.
    fn slot(&mut self, track: usize, rule: &str, item: &str) -> usize {
        if let Some(known) = self.tracks[track].find(rule, item) {
            return known;
        }
        let host = self.tracks[track].host.map_or_else(String::new, |host| host.name.clone());
        let subject = Subject { host, rule: rule.to_owned(), item: item.to_owned() };
        let slot = self.add(track, subject, RuleState::default());
        // Until it is observed there is nothing to keep.
        self.tracks[track].slots[slot].gone = true;
        slot
    }

    /// The state of a subject.
    pub fn state(&self, subject: &Subject) -> Option<&RuleState> {
        let track = &self.tracks[*self.names.get(&subject.host)?];
        let slot = &track.slots[track.find(&subject.rule, &subject.item)?];
        (!slot.gone).then_some(&slot.state)
    }

    fn built_in(&self, host: &str, rule: &str, item: &str) -> Option<&RuleState> {
        let track = &self.tracks[*self.names.get(host)?];
        let slot = &track.slots[track.find(rule, item)?];
        (!slot.gone).then_some(&slot.state)
    }

    /// Every subject of a host with its state and rule.
    pub fn subjects(&self, host: &str) -> impl Iterator<Item = (&Subject, &RuleState, Option<&'a RuleSpec>)> {
        let track = self.names.get(host).map(|track| &self.tracks[*track]);
        let slots = track.into_iter().flat_map(|track| &track.slots).filter(|slot| !slot.gone);
        slots.map(|slot| (&slot.subject, &slot.state, self.judged(slot).map(|ready| ready.rule)))
    }

    /// Moves the truth by one row. What its samples are judged beside is read from the store, where a rule of the host
    /// looks beside them and no earlier row told it.
    ///
    /// # Errors
    /// The store's; the row was not begun then.
    pub fn row(&mut self, store: &dyn Store, row: &Row) -> store::Result<()> {
        let Some(&track) = self.names.get(&row.attempt.host) else { return Ok(()) };
        let it = &mut self.tracks[track];
        let Some(host) = it.host else { return Ok(()) };
        if matches!(it.behind, Behind::Unknown) {
            it.behind = Past::of(host).map_or(Behind::Nothing, |past| Behind::Past(Box::new(past)));
        }
        if let Behind::Past(past) = &mut it.behind {
            past.recall(store, host, row)?;
        }
        self.reach(track, row);
        self.silence(track, row);
        self.skew(track, row);
        for sample in &row.samples {
            self.sample(track, sample, row.attempt.at);
        }
        Ok(())
    }

    /// Folds one observation into a slot; `text` is asked for only when the level changes.
    fn observe(
        &mut self,
        track: usize,
        slot: usize,
        windows: &Windows,
        seen: &Observation,
        text: impl FnOnce(&Slot, Level) -> String,
    ) {
        let it = &mut self.tracks[track].slots[slot];
        if it.gone {
            (it.gone, it.state) = (false, RuleState::default());
        }
        if !fold::is_news(&it.state, seen.at) {
            return;
        }
        let before = it.state.level;
        fold::advance(&mut it.state, windows, seen);
        if !it.dirty.replace(true) {
            self.dirty.push((track, slot));
        }
        if it.state.level != before {
            let text = text(it, it.state.level.max(before));
            self.change(track, slot, before, seen, text);
        }
    }

    fn change(&mut self, track: usize, slot: usize, before: Level, seen: &Observation, text: String) {
        let Slot { subject, state, .. } = &mut self.tracks[track].slots[slot];
        let id = state.incident.unwrap_or_else(|| {
            self.last += 1;
            self.last
        });
        let incident = self.incidents.entry(id).or_insert_with(|| Incident {
            id,
            subject: subject.clone(),
            level: state.level,
            worst: state.level,
            opened: seen.at,
            changed: seen.at,
            closed: None,
            ending: None,
            value: seen.value,
            text: String::new(),
        });
        incident.level = state.level;
        incident.worst = incident.worst.max(state.level);
        (incident.changed, incident.value) = (seen.at, seen.value);
        incident.text.clone_from(&text);
        state.incident = Some(id);
        if state.level == Level::Ok {
            (incident.closed, incident.ending, state.incident) = (Some(seen.at), Some(Ending::Recovered), None);
        }
        let rose = state.level > before;
        if rose && self.acks.get(&id).is_some_and(|ack| !ack.sticky && state.level > ack.level) {
            self.acks.remove(&id);
            self.unacked.push(id);
        }
        self.changed.insert(id);
        self.events.push(Event { incident: id, at: seen.at, level: state.level, value: seen.value, text });
    }

    /// Other words for an open incident whose level stays: a host that fails for another reason now.
    fn reword(&mut self, track: usize, slot: usize, at: DateTime<Utc>, text: &str) {
        let state = &self.tracks[track].slots[slot].state;
        let Some(incident) = state.incident.and_then(|id| self.incidents.get_mut(&id)) else { return };
        if incident.text == text {
            return;
        }
        text.clone_into(&mut incident.text);
        self.changed.insert(incident.id);
        let (level, value, text) = (incident.level, incident.value, text.to_owned());
        self.events.push(Event { incident: incident.id, at, level, value, text });
    }

    /// Forgets a subject and ends its incident as no longer monitored.
    fn end(&mut self, track: usize, slot: usize, at: DateTime<Utc>, ending: Ending) {
        // What the layout lacks is reckoned anew.
        self.tracks[track].layout = None;
        let it = &mut self.tracks[track].slots[slot];
        it.gone = true;
        let state = std::mem::take(&mut it.state);
        if !it.dirty.replace(true) {
            self.dirty.push((track, slot));
        }
        let Some(incident) = state.incident.and_then(|id| self.incidents.get_mut(&id)) else { return };
        let why = if ending == Ending::Gone { "is gone from the host" } else { "was taken out of the configuration" };
        incident.level = Level::Ok;
        (incident.changed, incident.closed, incident.ending) = (at, Some(at), Some(ending));
        incident.text = format!("no longer monitored: {} {why}", words::name(&it.subject));
        self.changed.insert(incident.id);
        let text = incident.text.clone();
        self.events.push(Event { incident: incident.id, at, level: Level::Ok, value: state.value, text });
    }

    /// Ends what the configuration no longer knows.
    pub fn prune(&mut self, now: DateTime<Utc>) {
        let mut lost: Vec<(usize, usize)> = Vec::new();
        for (t, track) in self.tracks.iter().enumerate() {
            for (s, slot) in track.slots.iter().enumerate().filter(|(_, slot)| !slot.gone) {
                let known = match track.host {
                    Some(_) => BUILT_IN.contains(&slot.subject.rule.as_str()) || slot.rule.is_some(),
                    None => slot.subject.host.is_empty() && fleet::knows(self.spec, &slot.subject),
                };
                if !known {
                    lost.push((t, s));
                }
            }
        }
        for (track, slot) in lost {
            self.end(track, slot, now, Ending::Config);
        }
    }

    /// What has changed since the last call, to be committed with this cursor; `None` when nothing has.
    pub fn take(&mut self, cursor: i64, moved: bool) -> Option<Evaluation<'_>> {
        if !moved && self.dirty.is_empty() && self.changed.is_empty() {
            return None;
        }
        let (dirty, changed) = (std::mem::take(&mut self.dirty), std::mem::take(&mut self.changed));
        let (events, unacked) = (std::mem::take(&mut self.events), std::mem::take(&mut self.unacked));
        let state = |(track, slot): (usize, usize)| {
            let slot = &self.tracks[track].slots[slot];
            slot.dirty.set(false);
            (Cow::Borrowed(&slot.subject), (!slot.gone).then_some(Cow::Borrowed(&slot.state)))
        };
        let states = dirty.into_iter().map(state).collect();
        let incidents = changed.iter().filter_map(|id| self.incidents.get(id).cloned()).collect();
        Some(Evaluation { cursor, states, incidents, events, unacked })
    }
}

const fn at_once(interval: TimeDelta) -> Windows {
    Windows { raise: 1, of: 1, fall: 1, hold: None, interval }
}

/// Two in a row open it, one good one ends it.
const fn two(interval: TimeDelta) -> Windows {
    Windows { raise: 2, of: 2, ..at_once(interval) }
}

fn fails(state: &RuleState) -> bool {
    state.level > Level::Ok || state.warning_bits & 1 == 1
}

impl World<'_> {
    /// Whether the host's last attempt failed, soft or hard: then nothing else of it is told.
    pub fn failing(&self, host: &str) -> bool {
        self.built_in(host, UNREACHABLE, "").is_some_and(fails)
    }
}
