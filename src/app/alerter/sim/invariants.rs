//! What must hold of a story, each number that of a line in design/alerting.md.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use proptest::prelude::*;

use super::super::plan;
use super::super::world::{self, World};
use super::fleet::{CHILDREN, DISK, HOSTS, MEAN, of_service};
use super::truth::{service, unreachable};
use super::{Story, Who, disk_of};
use crate::alert::flap;
use crate::alert::reconcile::interval;
use crate::alert::words::{MASS, SERVICE_HEALTHY, STALLED, UNREACHABLE};
use crate::model::alert::{Ending, Mail, Pause, RuleState, Subject};
use crate::model::fleet::Grain;
use crate::model::level::Level;
use crate::store::Store;
use crate::store::memory::Memory;

/// How far back a run may look for what ended.
const SUMMARIES: TimeDelta = TimeDelta::days(2);

type Holds = std::result::Result<(), TestCaseError>;

impl Story {
    /// What a run has to do with, before it begins: rows that are new, problems that are open or ended within the memory
    /// of flapping and summaries, what was told of them, mail that waits, what people silenced.
    pub(super) fn load(&self) -> usize {
        let inner = &self.store.inner;
        let rows = inner.rows_after(inner.cursor().unwrap(), usize::MAX).unwrap().len();
        let lately = inner.closed_since(self.now() - SUMMARIES).unwrap().len() + inner.told().unwrap().len();
        // After a clock was set back the last sweep that it did not disturb is looked for among all.
        let sweeps = if self.set_back { inner.sweeps(usize::MAX).unwrap().len() } else { 0 };
        let people = inner.queued().unwrap().len() + self.silences.len();
        rows + inner.open_incidents().unwrap().len() + lately + people + sweeps
    }

    /// I14: what a run reads is in proportion to that and to the mails it writes (each shows some history).
    pub(super) fn in_proportion(&self, load: usize) -> Holds {
        let (read, now) = (self.store.read.get(), self.load());
        let mails: usize = self.store.plans.borrow().iter().map(|plan| plan.mails.len()).sum();
        prop_assert!(
            read <= 20 + HOSTS.len() + 5 * (load + now) + 15 * mails,
            "I14: {read} things read for {load} before and {now} after, {mails} mails written"
        );
        Ok(())
    }

    fn subject(&self, incident: i64) -> Subject {
        self.store.inner.incident(incident).unwrap().unwrap().subject
    }

    /// What the committed plans of the run say.
    pub(super) fn planned(&self) -> Holds {
        let now = self.now();
        for plan in self.store.plans.borrow().iter() {
            let mut counts: BTreeMap<Who, usize> = BTreeMap::new();
            for mail in plan.mails.iter().filter(|mail| mail.id == 0) {
                let who = (mail.destination.clone(), mail.recipient.clone());
                *counts.entry(who.clone()).or_default() += 1;
                for it in mail.tells.iter().filter(|it| it.action != "passed") {
                    let subject = self.subject(it.incident);
                    // R: only to whom the routes lead, and everything waits for their hours.
                    let ear = self.ear(&who, &subject);
                    prop_assert!(ear == Some(true), "R: {who:?} at {now}: {it:?} of {subject:?}, {ear:?}");
                    if it.action == "recovered" {
                        continue;
                    }
                    if it.action == "reminder" {
                        let before = it.before.as_ref().unwrap();
                        let gap = now - before.at;
                        prop_assert!(gap >= interval(it.level, before.reminders, None), "I5: {gap} {it:?}");
                    }
                    prop_assert!(!self.silent(&subject), "I7: {it:?} inside a silence of {subject:?}");
                    if self.settled(&subject) {
                        self.fresh(&subject)?;
                    }
                }
            }
            prop_assert!(counts.values().all(|count| *count <= 3), "I3: planned {counts:?}");
        }
        self.superseded()
    }

    /// Whether what the times of a subject mean does not hang on when exactly a clock was set back.
    fn settled(&self, subject: &Subject) -> bool {
        match of_service(subject) {
            true => self.unsettled.is_empty(),
            false => !self.unsettled.contains(&subject.host) && !self.unsettled.contains("gw"),
        }
    }

    /// I8: nothing for a child without a sample newer than its parent's last failure; the same for silences.
    fn fresh(&self, subject: &Subject) -> Holds {
        if subject.host.is_empty() || subject.rule != DISK && subject.rule != UNREACHABLE {
            return Ok(());
        }
        let last = if subject.rule == DISK {
            self.samples.get(&subject.host).map(|(at, _)| *at)
        } else {
            self.visits.get(&subject.host).map(|(at, _)| *at)
        };
        let mut parents = Vec::new();
        if CHILDREN.contains(&subject.host.as_str()) {
            parents.push("gw");
        }
        if subject.rule == DISK {
            parents.push(subject.host.as_str());
        }
        for parent in parents {
            let fails = self.visits.get(parent).is_some_and(|(_, failed)| *failed);
            prop_assert!(!fails, "I8: {subject:?} was told while {parent} fails");
            let failure = self.failures.get(parent).copied();
            prop_assert!(failure.is_none() || last > failure, "I8: {subject:?} is older than the failure of {parent}");
        }
        let ended = |hush: &&super::Hush| hush.hosts.contains(&subject.host.as_str()) && hush.until <= self.now();
        for hush in self.silences.iter().filter(ended) {
            prop_assert!(last > Some(hush.until), "I8: {subject:?} is older than the end of its silence");
        }
        Ok(())
    }

    /// I13: every item of a superseded mail is in a later mail or its told was restored.
    fn superseded(&self) -> Holds {
        let plans = self.store.plans.borrow();
        let mails = || plans.iter().flat_map(|plan| &plan.mails);
        let mut gone: Vec<&Mail> = mails().filter(|mail| mail.id > 0 && !mail.maybe).collect();
        gone.sort_by_key(|mail| mail.id);
        let told = self.store.inner.told().unwrap();
        let mut first: BTreeMap<(Who, Subject), Level> = BTreeMap::new();
        for mail in &gone {
            let who = (mail.destination.clone(), mail.recipient.clone());
            for it in &mail.tells {
                let before = it.before.as_ref().map_or(Level::Ok, |told| told.level);
                first.entry((who.clone(), self.subject(it.incident))).or_insert(before);
            }
        }
        for ((who, subject), before) in first {
            let again = mails().filter(|mail| mail.id == 0);
            let mut again = again.filter(|mail| (&mail.destination, &mail.recipient) == (&who.0, &who.1));
            let again = again.any(|mail| mail.tells.iter().any(|it| self.subject(it.incident) == subject));
            let now = told.iter().filter(|(told, incident)| {
                (&told.destination, &told.recipient) == (&who.0, &who.1) && incident.subject == subject
            });
            let now = now.map(|(told, _)| told.level).max().unwrap_or_default();
            prop_assert!(
                again || now == before,
                "I13: {who:?} {subject:?} {before:?} {now:?}\n{:?}",
                gone.iter().map(|mail| (mail.id, &mail.tells)).collect::<Vec<_>>()
            );
        }
        Ok(())
    }

    /// What was given up and perhaps had arrived: of that nobody knows what its recipient knows.
    fn doubt(&mut self) {
        let plans = self.store.plans.borrow();
        let lost = plans.iter().flat_map(|plan| &plan.mails).filter(|mail| mail.id > 0 && mail.maybe);
        let each = lost.flat_map(|mail| {
            let who = (mail.destination.clone(), mail.recipient.clone());
            mail.tells.iter().map(move |it| (who.clone(), it.incident))
        });
        let doubts: Vec<_> = each.map(|(who, incident)| (who, self.subject(incident))).collect();
        self.doubts.extend(doubts);
    }

    /// Reads what the server accepted.
    pub(super) fn heard(&mut self) -> Holds {
        let old = self.doubts.clone();
        self.doubt();
        for mail in &self.server.accepted[self.read..] {
            let who = (mail.destination.clone(), mail.recipient.clone());
            if !self.ids.insert((who.clone(), mail.message_id.clone())) {
                // The same again: people and programs know it by its Message-ID.
                continue;
            }
            let highest = self.highest.entry(who.clone()).or_default();
            prop_assert!(mail.id >= *highest, "FIFO: {} after {highest}", mail.id);
            *highest = mail.id;
            for it in &mail.tells {
                let subject = self.store.inner.incident(it.incident).unwrap().unwrap().subject;
                let key = (who.clone(), it.incident);
                let doubt = self.doubts.contains(&(who.clone(), subject.clone()));
                if it.action == "passed" {
                    // S: a summary is of what nobody told, and tells it once.
                    prop_assert!(doubt || !self.told.contains(&key), "S: {who:?} was told of {subject:?} before");
                    let new = self.summed.insert(key);
                    prop_assert!(new || self.set_back || mail.short, "S: {subject:?} twice in summaries to {who:?}");
                    continue;
                }
                self.told.insert(key);
                let known = self.known.insert((who.clone(), subject.clone()), it.level).unwrap_or_default();
                // A server that swallowed a mail and then wants it shorter hears the same thing twice.
                if it.action == "recovered" && !mail.short && !doubt {
                    prop_assert!(known > Level::Ok, "I4: {who:?} hears of the end of {subject:?} alone");
                }
                // Whoever heard of it since a mail was given up knows what he knows.
                let key = (who.clone(), subject);
                if old.contains(&key) {
                    self.doubts.remove(&key);
                }
            }
        }
        self.read = self.server.accepted.len();
        Ok(())
    }

    /// I9 and I11, and I10's ways to close.
    pub(super) fn true_states(&mut self) -> Holds {
        // Until a run saw that the clock was set back, states are of before.
        let states = if self.armed { self.store.inner.states().unwrap() } else { Vec::new() };
        for (subject, state) in states {
            let Some(last) = state.last else { continue };
            let before = self.lasts.insert(subject.clone(), last);
            prop_assert!(before.is_none_or(|before| before <= last), "I9: {subject:?}");
        }
        for incident in self.store.inner.incidents(1000).unwrap() {
            let recovered = incident.ending == Some(Ending::Recovered) && incident.subject.rule == DISK;
            let Some(closed) = incident.closed.filter(|_| recovered) else { continue };
            let span = (closed, closed + TimeDelta::seconds(1));
            let points = self.store.inner.series(&incident.subject.host, DISK, span, Grain::Whole);
            let values: Vec<f64> =
                points.unwrap().iter().filter(|s| s.item == "/").flat_map(|s| &s.points).map(|p| p.mean).collect();
            prop_assert!(values.iter().any(|value| *value < 0.75), "I11: {incident:?} {values:?}");
        }
        Ok(())
    }

    /// Whether something greater keeps a subject back: that most of the fleet fails, or that nobody collects.
    fn held(states: &[(Subject, RuleState)], subject: &Subject) -> bool {
        let last = states.iter().find(|(of, _)| of == subject).and_then(|(_, state)| state.last);
        let greater = states.iter().filter(|(of, _)| of.host.is_empty() && [MASS, STALLED].contains(&of.rule.as_str()));
        let holds = |state: &RuleState| state.level > Level::Ok || state.warning_bits & 1 == 1 || last <= state.bad;
        greater.into_iter().any(|(_, state)| holds(state))
    }

    /// I2: with the server up, no suppression and a fresh sample, what was last told is the truth.
    pub(super) fn told_is_true(&self) -> Holds {
        let (now, inner) = (self.now(), &self.store.inner);
        let (queued, pauses) = (inner.queued().unwrap(), inner.pauses().unwrap());
        let (open, states) = (inner.open_incidents().unwrap(), inner.states().unwrap());
        let all = inner.incidents(10_000).unwrap();
        let acked: BTreeSet<i64> = inner.acks().unwrap().iter().map(|ack| ack.incident).collect();
        for (to, recipient) in plan::recipients(&self.spec.alerts) {
            let who = (to.name.clone(), recipient);
            let mailbox = world::mailbox(&who.0, &who.1);
            // For a day it is left alone, by a clock that is right.
            let alone = |pause: &Pause| {
                let left = pause.until - now;
                pause.what == mailbox && pause.since <= now && left > TimeDelta::zero() && left <= TimeDelta::hours(24)
            };
            if pauses.iter().any(alone)
                || queued.iter().any(|mail| (&mail.destination, &mail.recipient) == (&who.0, &who.1))
            {
                continue;
            }
            let of_hosts = HOSTS.into_iter().flat_map(|host| [disk_of(host), unreachable(host)]);
            for subject in of_hosts.chain([service(SERVICE_HEALTHY), service(MEAN)]) {
                let incident = open.iter().find(|incident| incident.subject == subject);
                let truth = incident.map_or(Level::Ok, |incident| incident.level);
                let known = self.known.get(&(who.clone(), subject.clone())).copied().unwrap_or_default();
                match self.ear(&who, &subject) {
                    Some(true) if !self.doubts.contains(&(who.clone(), subject.clone())) => {}
                    Some(_) => continue,
                    None => {
                        prop_assert_eq!(known, Level::Ok, "R: {:?} knows of {:?}", who, subject);
                        continue;
                    }
                }
                let same = all.iter().filter(|it| it.subject == subject);
                let times: Vec<_> = same.flat_map(|it| [Some(it.opened), it.closed]).flatten().collect();
                if times.len() >= flap::STARTS {
                    continue;
                }
                if truth == Level::Ok {
                    prop_assert_eq!(known, Level::Ok, "I2: {:?} was not told of the end of {:?}", who, subject);
                    continue;
                }
                let taken = incident.is_some_and(|incident| acked.contains(&incident.id));
                let hushed =
                    self.was_silent(&subject) || Self::held(&states, &subject) || self.fresh(&subject).is_err();
                if !self.settled(&subject) || taken || hushed {
                    continue;
                }
                prop_assert!(
                    known >= truth,
                    "I2: {:?} knows {:?} of {:?}, which is {:?} at {}",
                    who,
                    known,
                    subject,
                    truth,
                    now
                );
            }
        }
        Ok(())
    }

    /// I1: one uninterrupted pass over all rows ends where the interrupted ones did.
    pub(super) fn same_as_one_pass(&self) -> Holds {
        // What is news after that, the moment of the run decides.
        if self.set_back {
            return Ok(());
        }
        let rows = self.store.inner.rows_after(0, 100_000).unwrap();
        let mut whole = Memory::default();
        let mut world = World::new(&self.spec, vec![], vec![], vec![], 0);
        for row in rows.iter().filter(|row| row.id <= self.store.inner.cursor().unwrap()) {
            world.row(&self.store.inner, row).unwrap();
        }
        if let Some(evaluation) = world.take(0, true) {
            whole.commit_evaluation(&evaluation).unwrap();
        }
        let states = |store: &Memory| {
            let strip = |(subject, mut state): (Subject, RuleState)| {
                state.incident = state.incident.map(|_| 0);
                (subject, state)
            };
            store
                .states()
                .unwrap()
                .into_iter()
                .filter(|(subject, _)| !subject.host.is_empty())
                .map(strip)
                .collect::<Vec<_>>()
        };
        prop_assert_eq!(states(&whole), states(&self.store.inner), "I1: states");
        // Numbers differ where the fleet's own incidents came between.
        let told = |store: &Memory| {
            let mut out = Vec::new();
            for incident in store.incidents(100_000).unwrap() {
                if incident.subject.host.is_empty() {
                    continue;
                }
                let events: Vec<_> = store
                    .events(incident.id)
                    .unwrap()
                    .into_iter()
                    .filter(|e| e.text != "taken")
                    .map(|e| (e.at, e.level, e.text))
                    .collect();
                out.push((incident.subject.clone(), incident.opened, incident.closed, incident.ending, events));
            }
            out.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
            out
        };
        prop_assert_eq!(told(&whole), told(&self.store.inner), "I1: incidents");
        Ok(())
    }
}
