//! Told against truth for every recipient: threads within the cap, or one digest.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::about;
use super::letter::look::Look;
use super::letter::{Entry, Letters};
use super::quiet::Quiet;
use super::world::{World, delta, mailbox};
use crate::alert::reconcile::{self, Action, Standing};
use crate::alert::routes::{self, Case, Target};
use crate::alert::words::UNDELIVERABLE;
use crate::model::alert::{Incident, Mail, MailState, Pause, Plan, Subject, Tells, Told};
use crate::model::level::Level;
use crate::model::silence::Silence;
use crate::model::spec::{AlertSpec, DestinationSpec, FleetSpec};
use crate::notify;
use crate::store::{self, Store};

/// Mail that waited longer says nothing of the present.
const EXPIRED: TimeDelta = TimeDelta::days(5);
/// Between two summaries for one recipient.
const SUMMARY: TimeDelta = TimeDelta::hours(24);

/// What a mail does that sums an incident up.
const PASSED: &str = "passed";

/// Destination and recipient.
type Who = (String, String);
/// What every recipient knows of every incident.
type Tellings = BTreeMap<(Who, i64), Told>;

/// What is stored, as a plan needs it.
pub struct Stored {
    /// Tellings of incidents that are open, or that were told at a level above ok.
    pub told: Vec<(Told, Incident)>,
    /// The outbox.
    pub queued: Vec<Mail>,
    /// What it tells of.
    pub told_of: Vec<Incident>,
    /// What closed lately.
    pub closed: Vec<Incident>,
    /// Who was told of it.
    pub closed_told: Vec<Told>,
    /// Ways that are paused.
    pub pauses: Vec<Pause>,
    /// What people silenced.
    pub silences: Vec<Silence>,
    /// When each recipient was given the last summary.
    pub summaries: Vec<(String, String, DateTime<Utc>)>,
}

/// Every recipient of the configuration.
pub fn recipients(alerts: &AlertSpec) -> Vec<(&DestinationSpec, String)> {
    let all = alerts.destinations.iter().filter_map(|to| Some((to, notify::of(&to.channel)?.1)));
    all.flat_map(|(to, recipients)| recipients.into_iter().map(move |recipient| (to, recipient))).collect()
}

/// Undoes what a mail told that nobody got. Who may have got it is taken to know it: then its end is told for sure,
/// and while it stands a reminder comes.
pub fn restore(tellings: &mut Tellings, mail: &Mail) {
    if mail.maybe {
        return;
    }
    let who = (mail.destination.clone(), mail.recipient.clone());
    for it in mail.tells.iter().rev() {
        let key = (who.clone(), it.incident);
        let thread = tellings.get(&key).map_or(it.incident, |told| told.thread);
        // The problem may have ended and come back meanwhile; the new one is known from this mail only.
        let carried =
            tellings.iter().filter(|((to, id), told)| *to == who && told.thread == thread && *id != it.incident);
        let carried: Vec<i64> = carried.map(|((_, id), _)| *id).collect();
        for id in std::iter::once(it.incident).chain(carried) {
            match &it.before {
                Some(told) => tellings.insert((who.clone(), id), Told { incident: id, ..told.clone() }),
                None => tellings.remove(&(who.clone(), id)),
            };
        }
    }
}

/// What changes between two states of knowledge, where this mail was taken back. Of an end that was told nothing is among
/// what is known, but it is stored: where the beginning is not known any more, that goes too.
pub fn difference<'a>(
    plan: &mut Plan,
    known: &Tellings,
    tellings: &Tellings,
    taken_back: impl Iterator<Item = &'a Mail>,
) {
    let changed = tellings.iter().filter(|(key, told)| known.get(*key) != Some(*told));
    plan.told.extend(changed.map(|(_, told)| told.clone()));
    let told = taken_back.filter(|mail| !mail.maybe).flat_map(|mail| {
        let of = mail.tells.iter().filter(|it| it.action != PASSED);
        of.map(|it| ((mail.destination.clone(), mail.recipient.clone()), it.incident))
    });
    let ends: BTreeSet<(Who, i64)> = told.filter(|key| !known.contains_key(key)).collect();
    let lost = known.keys().chain(&ends).filter(|key| !tellings.contains_key(*key));
    plan.untold.extend(lost.map(|((to, recipient), id)| (*id, to.clone(), recipient.clone())));
}

/// Knowledge from what is stored.
pub fn tellings<'a>(told: impl Iterator<Item = &'a Told>) -> Tellings {
    told.map(|told| (((told.destination.clone(), told.recipient.clone()), told.incident), told.clone())).collect()
}

/// What a mail that nobody got summed up: when the first of it closed, so that the next summary begins before that.
pub fn unsummed(store: &dyn Store, mail: &Mail) -> store::Result<Option<DateTime<Utc>>> {
    let mut first = None;
    for it in mail.tells.iter().filter(|it| it.action == PASSED && !mail.maybe) {
        let closed = store.incident(it.incident)?.and_then(|incident| incident.closed);
        first = first.into_iter().chain(closed).min();
    }
    Ok(first)
}

/// What a recipient is taken to know, where a mail was given up that perhaps told him of an end: he is told of it once
/// more, and not a third time.
pub fn again(it: &Tells, incident: &Incident, now: DateTime<Utc>) -> Option<Told> {
    let before = it.before.as_ref().filter(|_| it.action == Action::Recovered.word())?;
    // The second time he is taken to know it since the first was given up.
    let first = incident.closed.is_some_and(|closed| before.at <= closed);
    first.then(|| Told { at: now, ..before.clone() })
}

/// One run's planning.
struct Planner<'a> {
    quiet: &'a Quiet<'a>,
    world: &'a World<'a>,
    stored: &'a Stored,
    everybody: Vec<(&'a DestinationSpec, String)>,
    incidents: BTreeMap<i64, &'a Incident>,
    /// Closed incidents that somebody was told of, by subject.
    ended: BTreeMap<&'a Subject, Vec<i64>>,
    /// Incidents of which nothing but their end is told; the same for all recipients.
    hushed: BTreeSet<i64>,
    now: DateTime<Utc>,
}

/// What this run tells whom.
pub fn plan(quiet: &Quiet<'_>, world: &World<'_>, stored: &Stored, now: DateTime<Utc>, look: &dyn Look) -> Plan {
    let spec: &FleetSpec = quiet.spec();
    let mut plan = Plan::default();
    let known = tellings(stored.told.iter().map(|(told, _)| told));
    let mut tellings = known.clone();
    let everybody = recipients(&spec.alerts);
    let listed = |name: &str, recipient: &str| everybody.iter().any(|(to, all)| to.name == name && all == recipient);
    // Queued mail that was certainly not accepted: the present truth takes its place. So it does where the address was
    // mended: the old one refused, and would only refuse again.
    let untouched = |mail: &&Mail| {
        (!mail.maybe && mail.attempts == 0 && !mail.short)
            || now - mail.created > EXPIRED
            || !mail.maybe && mail.created > now
            || mail.body.is_empty()
            || !listed(&mail.destination, &mail.recipient)
    };
    let back: Vec<&Mail> = stored.queued.iter().filter(untouched).collect();
    for mail in back.iter().rev() {
        restore(&mut tellings, mail);
        plan.mails.push(Mail { state: MailState::Superseded, ..(*mail).clone() });
    }
    let mut incidents: BTreeMap<i64, &Incident> =
        stored.told.iter().map(|(told, incident)| (told.incident, incident)).collect();
    incidents.extend(stored.told_of.iter().map(|incident| (incident.id, incident)));
    incidents.extend(world.incidents.iter().map(|(id, incident)| (*id, incident)));
    // What began since is told at once, and with it that the other ended.
    let stands = |ended: &Incident| incidents.values().any(|it| it.closed.is_none() && it.subject == ended.subject);
    for mail in back.iter().filter(|mail| mail.maybe) {
        let over = |it: &Tells| incidents.get(&it.incident).filter(|incident| !stands(incident)).copied();
        let ends = mail.tells.iter().filter_map(|it| again(it, over(it)?, now));
        tellings.extend(ends.map(|told| (((mail.destination.clone(), mail.recipient.clone()), told.incident), told)));
    }
    tellings.retain(|((name, recipient), _), _| listed(name, recipient));
    // Told by a clock that was ahead: its interval begins now, and not in the future.
    tellings.values_mut().for_each(|told| told.at = told.at.min(now));
    let boxes: BTreeSet<String> = everybody.iter().map(|(to, recipient)| mailbox(&to.name, recipient)).collect();
    let stale = stored.pauses.iter().filter(|it| it.what.starts_with("mailbox ") && !boxes.contains(&it.what));
    plan.pauses.extend(stale.map(|pause| Pause { failures: 0, ..pause.clone() }));

    let mut ended: BTreeMap<&Subject, Vec<i64>> = BTreeMap::new();
    for incident in incidents.values().filter(|incident| incident.closed.is_some()) {
        ended.entry(&incident.subject).or_default().push(incident.id);
    }
    let hushed = incidents.values().filter(|incident| quiet.why(&incident.subject).is_some());
    let hushed = hushed.map(|incident| incident.id).collect();
    let planner = Planner { quiet, world, stored, everybody, incidents, ended, hushed, now };
    let open: Vec<&Incident> = world.incidents.values().filter(|incident| incident.closed.is_none()).collect();
    let mut letters = Letters::new(spec, now, look, &open);
    for (destination, recipient) in &planner.everybody {
        if planner.broken(&destination.name, recipient) {
            continue;
        }
        let who = (destination.name.clone(), recipient.clone());
        planner.carry(&who, &mut tellings);
        let (entries, cap) = planner.entries(&who, &mut tellings);
        let summary = planner.summary(&who, &back, &mut plan);
        for (letter, told, passed) in letters.write(destination, &who.1, &entries, &summary, cap) {
            let tells = told.iter().map(|entry| Tells {
                incident: entry.incident.id,
                action: entry.action.word().to_owned(),
                level: if entry.action == Action::Recovered { Level::Ok } else { entry.incident.level },
                before: entry.before.clone(),
            });
            let passed = passed.iter().map(|incident| Tells {
                incident: incident.id,
                action: PASSED.to_owned(),
                level: Level::Ok,
                before: None,
            });
            let tells: Vec<Tells> = tells.chain(passed).collect();
            let waited = back.iter().filter(|mail| (&mail.destination, &mail.recipient) == (&who.0, &who.1));
            let waited =
                waited.filter(|mail| mail.tells.iter().any(|old| tells.iter().any(|it| it.incident == old.incident)));
            // What takes the place of waiting mail has waited as long.
            let created =
                waited.map(|mail| mail.created).filter(|at| *at <= now && now - *at <= EXPIRED).min().unwrap_or(now);
            plan.mails.push(Mail {
                id: 0,
                destination: who.0.clone(),
                recipient: who.1.clone(),
                message_id: letter.message_id,
                subject: letter.subject,
                body: letter.bytes,
                created,
                state: MailState::Queued,
                attempts: 0,
                maybe: false,
                unclear: 0,
                next: now,
                error: String::new(),
                tells,
                short: false,
            });
        }
    }
    difference(&mut plan, &known, &tellings, back.iter().copied());
    plan
}

impl Planner<'_> {
    /// A problem that ended and came back unheard is the one that was told.
    fn carry(&self, who: &Who, tellings: &mut Tellings) {
        let level =
            |tellings: &Tellings, id: i64| tellings.get(&(who.clone(), id)).map_or(Level::Ok, |told| told.level);
        for (&id, incident) in self.incidents.iter().filter(|(_, incident)| incident.closed.is_none()) {
            if level(tellings, id) > Level::Ok {
                continue;
            }
            let Some(old) = self.ended.get(&incident.subject) else { continue };
            let Some(&from) = old.iter().rev().find(|from| level(tellings, **from) > Level::Ok) else { continue };
            if let Some(told) = tellings.get_mut(&(who.clone(), from)) {
                let carried = Told { incident: id, ..told.clone() };
                told.level = Level::Ok;
                tellings.insert((who.clone(), id), carried);
            }
        }
    }

    fn target(&self, destination: &str, incident: &Incident, level: Level) -> Option<Target> {
        let acked = self.acked(incident);
        let (subject, now) = (&incident.subject, self.now);
        let (host, groups) = (about::host(subject), self.quiet.groups(subject));
        let case = Case { subject, host, groups: &groups, level, opened: incident.opened, acked, now };
        let alerts = &self.quiet.spec().alerts;
        let mut targets = routes::targets(alerts, &case);
        // That somebody cannot be told must reach somebody.
        if subject.rule == UNDELIVERABLE && !targets.iter().any(|target| self.works(&target.destination)) {
            targets = routes::everybody(alerts);
        }
        targets.into_iter().find(|target| target.destination == destination)
    }

    /// Whether some recipient of a destination takes mail.
    fn works(&self, destination: &str) -> bool {
        let all = self.everybody.iter().filter(|(to, _)| to.name == destination);
        all.into_iter().any(|(_, recipient)| !self.broken(destination, recipient))
    }

    /// Whether a recipient refused for good and is left alone.
    fn broken(&self, destination: &str, recipient: &str) -> bool {
        let name = mailbox(destination, recipient);
        self.stored.pauses.iter().any(|pause| pause.what == name && pause.holds(self.now))
    }

    fn acked(&self, incident: &Incident) -> bool {
        let ack = self.world.acks.get(&incident.id);
        ack.is_some_and(|ack| ack.holds(incident.level, self.now))
    }

    /// What a recipient hears, and within which cap.
    fn entries(&self, who: &Who, tellings: &mut Tellings) -> (Vec<Entry>, usize) {
        let alerts = &self.quiet.spec().alerts;
        let mut out = Vec::new();
        let mut cap = None;
        for (&id, &incident) in &self.incidents {
            let truth = if incident.closed.is_some() { Level::Ok } else { incident.level };
            let key = (who.clone(), id);
            let before = tellings.get(&key).cloned();
            let knows = before.as_ref().map_or(Level::Ok, |told| told.level);
            if truth == Level::Ok && knows == Level::Ok {
                continue;
            }
            // Who was told of a problem hears of its end, whatever the routes say now.
            let target = self.target(&who.0, incident, if truth == Level::Ok { knows } else { truth });
            if truth > Level::Ok && target.is_none() {
                continue;
            }
            let flapping = self.quiet.flaps(&incident.subject);
            let standing = Standing {
                truth,
                hushed: self.hushed.contains(&id),
                flapping,
                acked: self.acked(incident),
                closed: target.as_ref().is_some_and(|target| !target.open),
                repeat: target.as_ref().and_then(|target| target.repeat).map(delta),
                now: self.now,
            };
            let Some(action) = reconcile::decide(&standing, before.as_ref()) else {
                // Settled: if it begins again that is told again.
                if let Some(told) = tellings.get_mut(&key).filter(|told| told.flapping && !flapping) {
                    told.flapping = false;
                }
                continue;
            };
            let blank = Told {
                incident: id,
                destination: who.0.clone(),
                recipient: who.1.clone(),
                level: Level::Ok,
                at: self.now,
                reminders: 0,
                flapping: false,
                thread: id,
            };
            let told = reconcile::after(action, before.as_ref(), blank, &standing);
            let thread = told.thread;
            tellings.insert(key, told);
            if action == Action::Recovered && !alerts.recovered {
                continue;
            }
            let own = target.map_or(alerts.cap, |target| target.cap);
            cap = Some(cap.map_or(own, |cap: usize| cap.min(own)));
            out.push(Entry { action, incident: incident.clone(), before, thread });
        }
        // Worst first; what ended comes last.
        out.sort_by(|a, b| {
            (b.incident.level, a.action, &a.incident.subject).cmp(&(a.incident.level, b.action, &b.incident.subject))
        });
        (out, cap.unwrap_or(alerts.cap))
    }

    /// Once a day: what opened and closed without a word to this recipient; and at once what a mail summed up that did not
    /// get through.
    fn summary(&self, who: &Who, back: &[&Mail], plan: &mut Plan) -> Vec<Incident> {
        let lost = back.iter().filter(|mail| !mail.maybe && (&mail.destination, &mail.recipient) == (&who.0, &who.1));
        let lost = lost.flat_map(|mail| &mail.tells).filter(|it| it.action == PASSED).map(|it| it.incident);
        let mut unseen: Vec<Incident> =
            lost.filter_map(|id| self.incidents.get(&id)).map(|incident| (*incident).clone()).collect();
        let mark = (who.0.clone(), who.1.clone(), self.now);
        let last = self.stored.summaries.iter().find(|(to, recipient, _)| (to, recipient) == (&who.0, &who.1));
        let Some((.., last)) = last else {
            plan.summaries.push(mark);
            return unseen;
        };
        // Given by a clock that was ahead. A mark that comes within a day is kept: if it is now that the clock is wrong,
        // nothing is summed up twice.
        if *last - self.now > SUMMARY {
            plan.summaries.push(mark);
            return unseen;
        }
        if self.now - *last < SUMMARY {
            return unseen;
        }
        let told: BTreeSet<i64> = self
            .stored
            .closed_told
            .iter()
            .filter(|told| (&told.destination, &told.recipient) == (&who.0, &who.1))
            .map(|told| told.incident)
            .collect();
        let waited = unseen.clone();
        for incident in &self.stored.closed {
            let known = told.contains(&incident.id) || waited.iter().any(|it| it.id == incident.id);
            if incident.closed.is_none_or(|closed| closed <= *last || closed > self.now) || known {
                continue;
            }
            match self.target(&who.0, incident, incident.worst) {
                None => {}
                // It waits for the hours of its route.
                Some(target) if !target.open => return waited,
                Some(_) if self.quiet.silenced(&incident.subject).is_some() => {}
                Some(_) => unseen.push(incident.clone()),
            }
        }
        plan.summaries.push(mark);
        unseen
    }
}
