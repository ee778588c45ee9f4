//! Told against truth for every destination: one mail for one run and destination.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::letter::{Entry, letter};
use super::world::World;
use crate::alert::reconcile::{self, Action};
use crate::alert::routes;
use crate::alert::words::UNREACHABLE;
use crate::model::alert::{Incident, Mail, MailState, Plan, Told};
use crate::model::level::Level;
use crate::model::spec::{AlertSpec, DestinationSpec, FleetSpec};
use crate::notify;
use crate::notify::message::compose;

/// Mail that waited longer says nothing of the present.
const EXPIRED: TimeDelta = TimeDelta::days(5);

type Tellings = BTreeMap<(String, i64), Told>;

fn recipients(alerts: &AlertSpec, destination: &str) -> Option<Vec<String>> {
    let found = alerts.destinations.iter().find(|to| to.name == destination)?;
    notify::of(&found.channel).map(|(_, recipients)| recipients)
}

/// Queued mail that was certainly not accepted, in the order of its ids: the present truth takes its place.
fn taken_back(alerts: &AlertSpec, queued: &[Mail], now: DateTime<Utc>) -> Vec<Mail> {
    let untouched = |mail: &Mail| (!mail.maybe && mail.attempts == 0) || now - mail.created > EXPIRED;
    let whole = |mail: &Mail| {
        let rows = || {
            queued.iter().filter(|other| other.message_id == mail.message_id && other.destination == mail.destination)
        };
        // A row that is no longer queued was perhaps accepted: then the others get the same mail.
        rows().all(untouched) && recipients(alerts, &mail.destination).is_none_or(|all| all.len() == rows().count())
    };
    queued.iter().filter(|mail| whole(mail)).cloned().collect()
}

/// What this run tells whom; `history` draws the last points of an incident's metric.
pub fn plan(
    spec: &FleetSpec,
    world: &World,
    told: &[(Told, Incident)],
    queued: &[Mail],
    now: DateTime<Utc>,
    history: &dyn Fn(&Incident) -> Option<String>,
) -> Plan {
    let mut plan = Plan::default();
    let known: Tellings =
        told.iter().map(|(told, _)| ((told.destination.clone(), told.incident), told.clone())).collect();
    let mut tellings = known.clone();
    let back = taken_back(&spec.alerts, queued, now);
    for mail in back.iter().rev() {
        for (incident, before) in &mail.before {
            let key = (mail.destination.clone(), *incident);
            match before {
                Some(told) => tellings.insert(key, told.clone()),
                None => tellings.remove(&key),
            };
        }
        plan.mails.push(Mail { state: MailState::Superseded, maybe: false, ..mail.clone() });
    }
    tellings.retain(|(name, _), _| spec.alerts.destinations.iter().any(|to| to.name == *name));
    let mut incidents: BTreeMap<i64, &Incident> =
        told.iter().map(|(told, incident)| (told.incident, incident)).collect();
    incidents.extend(world.incidents.iter().map(|(id, incident)| (*id, incident)));
    for destination in &spec.alerts.destinations {
        let entries = entries(spec, world, destination, &incidents, &mut tellings, now);
        if entries.is_empty() {
            continue;
        }
        let waited: Vec<&Mail> = back.iter().filter(|mail| mail.destination == destination.name).collect();
        plan.mails.extend(mails(spec, destination, &entries, &waited, now, history));
    }
    for (key, told) in &tellings {
        if known.get(key) != Some(told) {
            plan.told.push(told.clone());
        }
    }
    plan.untold =
        known.keys().filter(|key| !tellings.contains_key(*key)).map(|(name, id)| (*id, name.clone())).collect();
    plan
}

fn entries(
    spec: &FleetSpec,
    world: &World,
    destination: &DestinationSpec,
    incidents: &BTreeMap<i64, &Incident>,
    tellings: &mut Tellings,
    now: DateTime<Utc>,
) -> Vec<Entry> {
    let mut out = Vec::new();
    for (&id, &incident) in incidents {
        let truth = if incident.closed.is_some() { Level::Ok } else { incident.level };
        let key = (destination.name.clone(), id);
        let before = tellings.get(&key).cloned();
        let groups = spec.host(&incident.subject.host).map_or(&[][..], |host| &host.groups);
        let mut targets = routes::targets(&spec.alerts, &incident.subject, groups, truth).into_iter();
        let target = targets.find(|target| target.destination == destination.name);
        // Who was told of a problem hears of its end, whatever the routes say now.
        if truth > Level::Ok && target.is_none() {
            continue;
        }
        let repeat = target.and_then(|target| target.repeat).and_then(|repeat| TimeDelta::from_std(repeat).ok());
        let suppressed = incident.subject.rule != UNREACHABLE && world.failing(&incident.subject.host);
        let Some(action) = reconcile::decide(truth, before.as_ref(), suppressed, repeat, now) else { continue };
        match reconcile::after(action, id, &destination.name, truth, before.as_ref(), now) {
            Some(told) => tellings.insert(key, told),
            None => tellings.remove(&key),
        };
        if action != Action::Recovered || spec.alerts.recovered {
            out.push(Entry { action, incident: incident.clone(), before });
        }
    }
    // Worst first; what ended comes last.
    out.sort_by(|a, b| {
        (b.incident.level, a.action, &a.incident.subject).cmp(&(a.incident.level, b.action, &b.incident.subject))
    });
    out
}

fn mails(
    spec: &FleetSpec,
    destination: &DestinationSpec,
    entries: &[Entry],
    waited: &[&Mail],
    now: DateTime<Utc>,
    history: &dyn Fn(&Incident) -> Option<String>,
) -> Vec<Mail> {
    let Some((_, recipients)) = notify::of(&destination.channel) else { return Vec::new() };
    let letter = letter(spec, destination, &recipients, entries, history);
    let (message_id, body) = compose(&letter, now);
    let before: Vec<(i64, Option<Told>)> =
        entries.iter().map(|entry| (entry.incident.id, entry.before.clone())).collect();
    let row = |recipient: String| {
        // What takes the place of waiting mail has waited as long, and keeps its distance from a dead server.
        let old = waited.iter().filter(|mail| mail.recipient == recipient);
        Mail {
            id: 0,
            destination: destination.name.clone(),
            message_id: message_id.clone(),
            subject: letter.subject.clone(),
            body: body.clone(),
            created: old.clone().map(|mail| mail.created).min().unwrap_or(now).max(now - EXPIRED),
            state: MailState::Queued,
            attempts: 0,
            maybe: false,
            next: old.clone().map(|mail| mail.next).max().unwrap_or(now),
            error: old.clone().next_back().map(|mail| mail.error.clone()).unwrap_or_default(),
            before: before.clone(),
            recipient,
        }
    };
    recipients.into_iter().map(row).collect()
}
