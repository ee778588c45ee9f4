//! Truth: states and incidents in memory, moved by rows, written back as one evaluation a batch.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::alert::fold::{self, Observation, Windows};
use crate::alert::words::{self, SILENT, UNREACHABLE};
use crate::model::alert::{Ending, Evaluation, Event, Incident, RuleState, Subject, Verdict};
use crate::model::cause::Cause;
use crate::model::fleet::{Outcome, Row};
use crate::model::level::Level;
use crate::model::rule::RuleKind;
use crate::model::sample::{FaultKind, Sample};
use crate::model::spec::{FleetSpec, HostSpec, RuleSpec};
use crate::rule;

use super::readings::{self, Judged, Readings};

/// A clock that is further ahead than this is not believed.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// What is true, and what of it has changed since it was last written.
#[derive(Default)]
pub struct World {
    states: BTreeMap<Subject, RuleState>,
    /// Open ones, and those that ended in this run.
    pub incidents: BTreeMap<i64, Incident>,
    last: i64,
    dirty: BTreeSet<Subject>,
    changed: BTreeSet<i64>,
    events: Vec<Event>,
    /// The past that samples are judged beside.
    pub readings: Readings,
}

/// The rule on silence.
fn silence_rule(host: &HostSpec) -> Option<&RuleSpec> {
    host.rules.iter().find(|rule| rule.name == SILENT)
}

fn delta(duration: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::days(365))
}

fn windows(rule: &RuleSpec, interval: TimeDelta) -> Windows {
    Windows { raise: rule.raise, of: rule.of.min(64), fall: rule.fall, hold: rule.hold.map(delta), interval }
}

const fn at_once(interval: TimeDelta) -> Windows {
    Windows { raise: 1, of: 1, fall: 1, hold: None, interval }
}

fn sentence(rule: &RuleSpec, subject: &Subject, value: f64, level: Level) -> String {
    rule::sentence(rule, &subject.item, value, level, &|value| words::amount(&rule.name, value))
}

/// Whether the sample says that it could not look: then a missing item means nothing.
fn blind(sample: &Sample, rule: &str, item: &str) -> bool {
    sample.faults.iter().any(|fault| {
        fault.kind != FaultKind::Absent
            && rule.starts_with(fault.section.as_str())
            && (fault.item.is_empty() || fault.item == item)
    })
}

impl World {
    /// From what is stored.
    pub fn new(states: Vec<(Subject, RuleState)>, open: Vec<Incident>, last: i64) -> Self {
        Self {
            states: states.into_iter().collect(),
            incidents: open.into_iter().map(|incident| (incident.id, incident)).collect(),
            last,
            ..Self::default()
        }
    }

    /// Whether the host's last attempt failed, soft or hard: then nothing else of it is told.
    pub fn failing(&self, host: &str) -> bool {
        let key = Subject { host: host.to_owned(), rule: UNREACHABLE.to_owned(), item: String::new() };
        self.states.get(&key).is_some_and(|state| state.level > Level::Ok || state.warning_bits & 1 == 1)
    }

    /// Moves the truth by one row.
    pub fn row(&mut self, spec: &FleetSpec, row: &Row) {
        let Some(host) = spec.host(&row.attempt.host) else { return };
        let interval = delta(spec.collector.interval);
        self.reach(host, row, interval);
        self.silence(host, row, interval);
        for sample in &row.samples {
            self.sample(host, sample, row.attempt.at, interval);
        }
    }

    fn reach(&mut self, host: &HostSpec, row: &Row, interval: TimeDelta) {
        let subject = Subject { host: host.name.clone(), rule: UNREACHABLE.to_owned(), item: String::new() };
        let two = Windows { raise: 2, of: 2, ..at_once(interval) };
        let (windows, verdict, text) = match &row.attempt.outcome {
            Outcome::Failed { cause: Cause::BackOff | Cause::NoConsent, .. } => return,
            Outcome::Collected => {
                let verdict = Verdict { clear_warning: true, clear_critical: true, ..Verdict::default() };
                (two, verdict, "answers again".to_owned())
            }
            Outcome::Failed { cause, text } => {
                let grave = matches!(cause, Cause::HostKeyChanged | Cause::HostKeyRevoked);
                let windows = if grave { at_once(interval) } else { two };
                let verdict = Verdict { warning: true, critical: true, ..Verdict::default() };
                let remedy = cause.remedy().replace("HOST", &host.name);
                (windows, verdict, format!("cannot be collected: {cause}: {text}; {remedy}"))
            }
        };
        let seen = Observation { at: row.attempt.at, value: f64::from(u8::from(verdict.critical)), verdict };
        self.observe(subject, &windows, &seen, |_| text.clone());
    }

    /// The time since a sample arrived, at a row.
    fn silence(&mut self, host: &HostSpec, row: &Row, interval: TimeDelta) {
        let Some(rule) = silence_rule(host) else { return };
        let subject = Subject { host: host.name.clone(), rule: SILENT.to_owned(), item: String::new() };
        let arrived = row.attempt.outcome == Outcome::Collected || !row.samples.is_empty();
        let value = if arrived { 0.0 } else { self.silent_for(&subject, row.attempt.at).unwrap_or_default() };
        if !arrived && !self.states.contains_key(&subject) {
            return;
        }
        let seen = Observation { at: row.attempt.at, value, verdict: rule::judge(value, rule) };
        let name = subject.clone();
        self.observe(subject, &at_once(interval), &seen, |level| sentence(rule, &name, value, level));
    }

    fn silent_for(&self, subject: &Subject, at: DateTime<Utc>) -> Option<f64> {
        let state = self.states.get(subject)?;
        Some(((at - state.last?).as_seconds_f64() + state.value).max(0.0))
    }

    /// Where no rows come at all, only the wall clock can tell. Writes nothing unless a level changes.
    pub fn tick(&mut self, spec: &FleetSpec, now: DateTime<Utc>) {
        let interval = delta(spec.collector.interval);
        for host in &spec.hosts {
            let Some(rule) = silence_rule(host) else { continue };
            let subject = Subject { host: host.name.clone(), rule: SILENT.to_owned(), item: String::new() };
            let Some(value) = self.silent_for(&subject, now) else { continue };
            let seen = Observation { at: now, value, verdict: rule::judge(value, rule) };
            let Some(state) = self.states.get(&subject) else { continue };
            // Only rows end a silence.
            if fold::step(state, &at_once(interval), &seen).level > state.level {
                let name = subject.clone();
                self.observe(subject, &at_once(interval), &seen, |level| sentence(rule, &name, value, level));
            }
        }
    }

    fn sample(&mut self, host: &HostSpec, sample: &Sample, received: DateTime<Utc>, interval: TimeDelta) {
        let at = if sample.taken > received + SKEW { received } else { sample.taken };
        let mut present = BTreeSet::new();
        let mut readings = std::mem::take(&mut self.readings);
        let missing = |subject: &Subject| self.silent_for(subject, at).unwrap_or_default();
        let judged = readings.judged(host, sample, at, &missing, &|rule, item| blind(sample, rule, item));
        self.readings = readings;
        for Judged { rule, subject, value, verdict } in judged {
            if rule.metric == SILENT || !present.insert(subject.clone()) {
                continue;
            }
            let seen = Observation { at, value, verdict };
            let windows = if rule.kind == RuleKind::Absent { at_once(interval) } else { windows(rule, interval) };
            let name = subject.clone();
            self.observe(subject, &windows, &seen, |level| sentence(rule, &name, value, level));
        }
        let first = Subject { host: host.name.clone(), rule: String::new(), item: String::new() };
        let missing: Vec<Subject> = self
            .states
            .range(first..)
            .map(|(subject, _)| subject)
            .take_while(|subject| subject.host == host.name)
            .filter(|subject| subject.rule != UNREACHABLE && subject.rule != SILENT)
            .filter(|subject| !present.contains(*subject) && !blind(sample, &subject.rule, &subject.item))
            .filter(|subject| !readings::held(sample, subject))
            .cloned()
            .collect();
        for subject in missing {
            let Some(state) = self.states.get_mut(&subject) else { continue };
            let (next, gone) = fold::missed(state, at);
            if next == *state {
                continue;
            }
            *state = next;
            self.dirty.insert(subject.clone());
            if gone {
                self.end(&subject, at, Ending::Gone);
            }
        }
    }

    fn observe(&mut self, subject: Subject, windows: &Windows, seen: &Observation, text: impl Fn(Level) -> String) {
        let known = self.states.get(&subject);
        let state = known.cloned().unwrap_or_default();
        let mut next = fold::step(&state, windows, seen);
        if next == state {
            return;
        }
        if next.level != state.level {
            let worded = text(next.level.max(state.level));
            self.change(&subject, &mut next, seen, worded);
        }
        self.dirty.insert(subject.clone());
        self.states.insert(subject, next);
    }

    fn change(&mut self, subject: &Subject, state: &mut RuleState, seen: &Observation, text: String) {
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
        self.changed.insert(id);
        self.events.push(Event { incident: id, at: seen.at, level: state.level, value: seen.value, text });
    }

    /// Forgets a subject and ends its incident as no longer monitored.
    fn end(&mut self, subject: &Subject, at: DateTime<Utc>, ending: Ending) {
        let Some(state) = self.states.remove(subject) else { return };
        self.dirty.insert(subject.clone());
        let Some(incident) = state.incident.and_then(|id| self.incidents.get_mut(&id)) else { return };
        let why = if ending == Ending::Gone { "is gone from the host" } else { "was taken out of the configuration" };
        incident.level = Level::Ok;
        (incident.changed, incident.closed, incident.ending) = (at, Some(at), Some(ending));
        incident.text = format!("no longer monitored: {} {why}", words::name(subject));
        self.changed.insert(incident.id);
        let text = incident.text.clone();
        self.events.push(Event { incident: incident.id, at, level: Level::Ok, value: state.value, text });
    }

    /// Ends what the configuration no longer knows.
    pub fn prune(&mut self, spec: &FleetSpec, now: DateTime<Utc>) {
        let lost = |subject: &&Subject| match spec.host(&subject.host) {
            None => true,
            Some(_) if subject.rule == UNREACHABLE => false,
            Some(host) => readings::governing(host, subject).is_none(),
        };
        let lost: Vec<Subject> = self.states.keys().filter(lost).cloned().collect();
        for subject in lost {
            self.end(&subject, now, Ending::Config);
        }
    }

    /// What has changed since the last call, to be committed with this cursor; `None` when nothing has.
    pub fn take(&mut self, cursor: i64, moved: bool) -> Option<Evaluation> {
        if !moved && self.dirty.is_empty() && self.changed.is_empty() {
            return None;
        }
        let dirty = std::mem::take(&mut self.dirty);
        let states = dirty.into_iter().map(|subject| {
            let state = self.states.get(&subject).cloned();
            (subject, state)
        });
        let states = states.collect();
        let changed = std::mem::take(&mut self.changed);
        let incidents = changed.iter().filter_map(|id| self.incidents.get(id).cloned()).collect();
        Some(Evaluation { cursor, states, incidents, events: std::mem::take(&mut self.events) })
    }
}
