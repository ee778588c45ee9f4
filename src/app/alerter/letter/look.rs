//! What a letter looks up besides the incident: the metric's past, the processes of the moment, the thread's first mail.

use std::cell::RefCell;
use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::alert::words;
use crate::app::past;
use crate::model::alert::{Incident, Mail, MailState, Subject};
use crate::model::fleet::Grain;
use crate::model::rule::{self, RuleKind};
use crate::model::sample::Process;
use crate::store::Store;

/// A picture begins this long before now, or before the problem where that is longer ago.
const BEFORE: TimeDelta = TimeDelta::hours(6);
/// No picture goes back further.
const LONGEST: TimeDelta = TimeDelta::days(7);
/// Facts that are older say nothing of the host as it is.
const FRESH: TimeDelta = TimeDelta::hours(1);
/// From here on a filesystem is worth a word.
const FULL: f64 = 0.8;

/// A metric's last points, oldest first.
pub type Points = Vec<(DateTime<Utc>, f64)>;

/// Answers for letters. What cannot be answered does not keep a mail back: it says less.
pub trait Look {
    /// The points of an incident's metric.
    fn history(&self, incident: &Incident) -> Points;
    /// The newest value of another metric of what an incident is about.
    fn beside(&self, subject: &Subject, metric: &str) -> Option<f64>;
    /// What took most on a host at or before a moment, and when that was.
    fn top(&self, host: &str, at: DateTime<Utc>) -> Option<(DateTime<Utc>, Vec<Process>)>;
    /// Things that are not as they should be on a host, a line each, without those that are told already.
    fn notes(&self, host: &str, told: &[&Subject]) -> Vec<String>;
    /// The Message-ID of the first mail that told a recipient of an incident.
    fn root(&self, destination: &str, recipient: &str, incident: i64) -> Option<String>;
}

/// The answers of a store.
pub struct Shelf<'a> {
    store: &'a dyn Store,
    now: DateTime<Utc>,
    /// All recipients are told of the same past.
    known: RefCell<BTreeMap<i64, Points>>,
}

impl<'a> Shelf<'a> {
    /// Nothing is read yet.
    pub fn new(store: &'a dyn Store, now: DateTime<Utc>) -> Self {
        Self { store, now, known: RefCell::default() }
    }
}

impl Look for Shelf<'_> {
    fn history(&self, incident: &Incident) -> Points {
        if let Some(points) = self.known.borrow().get(&incident.id) {
            return points.clone();
        }
        let subject = &incident.subject;
        let begun = (incident.opened - TimeDelta::hours(1)).min(self.now - BEFORE);
        let (since, until) = (begun.max(self.now - LONGEST), self.now + TimeDelta::minutes(5));
        // What is absent has no values to show.
        let judged = rule::parse(&subject.rule).filter(|(_, kind)| *kind != RuleKind::Absent);
        let metric = judged.map_or(subject.rule.as_str(), |(metric, _)| metric.name);
        let found = past::series(self.store, &subject.host, metric, (since, until), Grain::Whole).unwrap_or_default();
        let found = found.into_iter().find(|series| series.item == subject.item);
        let points = found.map(|series| series.points).unwrap_or_default();
        let points: Points = points.iter().map(|point| (point.at, point.mean)).collect();
        self.known.borrow_mut().insert(incident.id, points.clone());
        points
    }

    fn beside(&self, subject: &Subject, metric: &str) -> Option<f64> {
        past::newest(self.store, &subject.host, metric, &subject.item, self.now)
    }

    fn top(&self, host: &str, at: DateTime<Utc>) -> Option<(DateTime<Utc>, Vec<Process>)> {
        let found = self.store.top(host, at).ok().flatten();
        found.filter(|(taken, top)| !top.is_empty() && at - *taken < FRESH)
    }

    fn notes(&self, host: &str, told: &[&Subject]) -> Vec<String> {
        const UNITS: &str = "systemd.unit.failed";
        const MOUNTS: &str = "filesystem.used";
        let until = self.now + TimeDelta::minutes(5);
        let found = self.store.samples(host, &[UNITS, MOUNTS], self.now - FRESH, until).unwrap_or_default();
        let Some((_, sample)) = found.last() else { return Vec::new() };
        let of = |metric: &str, least: f64| {
            let mut all: Vec<_> =
                sample.readings.iter().filter(|it| it.metric == metric && it.value >= least).collect();
            all.retain(|it| !told.iter().any(|known| (&known.rule, &known.item) == (&it.metric, &it.item)));
            all.sort_by(|a, b| b.value.total_cmp(&a.value));
            all
        };
        let list = |title: &str, all: Vec<String>| match all.split_at_checked(5) {
            Some((some, rest)) if !rest.is_empty() => format!("{title}: {} and {} more", some.join(", "), rest.len()),
            _ => format!("{title}: {}", all.join(", ")),
        };
        let units: Vec<String> = of(UNITS, 1.0).iter().map(|it| it.item.clone()).collect();
        let amount = |value| words::amount(MOUNTS, value);
        let mounts: Vec<String> =
            of(MOUNTS, FULL).iter().map(|it| format!("{} {}", it.item, amount(it.value))).collect();
        let all = [("Failed units", units), ("Filesystems over 80 %", mounts)];
        all.into_iter().filter(|(_, all)| !all.is_empty()).map(|(title, all)| list(title, all)).collect()
    }

    fn root(&self, destination: &str, recipient: &str, incident: i64) -> Option<String> {
        let told = self.store.mails_telling(incident).unwrap_or_default();
        // What was replaced before anybody had it is nobody's thread.
        let arrives = |mail: &&Mail| match mail.state {
            MailState::Sent => true,
            MailState::Queued => mail.maybe || mail.attempts > 0,
            MailState::Dead | MailState::Superseded => false,
        };
        let mut own =
            told.iter().filter(|mail| (mail.destination.as_str(), mail.recipient.as_str()) == (destination, recipient));
        own.find(arrives).map(|mail| mail.message_id.clone())
    }
}
