//! Everything in memory: for tests, and the model that the other backends are compared with.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::shape::{HOUR_MS, Hour, ms, only, time};
use super::{Backend, Place, Result, Span, Store, StoreError};
use crate::model::alert::{Ack, Evaluation, Event, Incident, Mail, MailState, Pause, Plan, RuleState, Subject, Told};
use crate::model::fleet::{Attempt, Consent, Grain, Heartbeat, HostFact, HostNow, Point, Pruned, Row, Series, Sweep};
use crate::model::level::Level;
use crate::model::sample::{Process, Sample, SampleKey};
use crate::model::silence::{Silence, When};
use crate::model::turn::{Begun, Claim, Leased, Standing, Strikes};

mod export;
mod past;
mod record;
mod turns;
mod upkeep;

/// The backend `memory:`; each opening is a store of its own.
pub const BACKEND: Backend = Backend {
    name: "memory",
    open: |_| Ok(Box::new(Memory::default())),
    open_reading: |_| Ok(Box::new(Memory::default())),
    release: |_| false,
    begun: |_| true,
    condition: |_| Err(nothing()),
    faults: |_| Err(nothing()),
    query: |_, _| Err(nothing()),
};

/// What can be said of a store that ended with the program that filled it.
fn nothing() -> StoreError {
    let text = "is gone with the program that filled it; set url=\"sqlite:fleet.db\" of <store>".to_owned();
    StoreError::Other { location: "memory:".to_owned(), text }
}

#[derive(Clone, Debug)]
struct Kept {
    attempt: i64,
    host: String,
    at: i64,
    sample: Sample,
}

#[derive(Clone, Debug, Default)]
struct Newest {
    attempt: Option<i64>,
    sample: Option<i64>,
    turn: Option<i64>,
    strikes: Strikes,
}

#[derive(Clone, Debug, Default)]
struct Boot {
    seen: i64,
    pruned: Option<u64>,
}

/// A store that ends with its process.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    sweeps: BTreeMap<i64, Sweep>,
    /// By host: the sweep, and until when.
    leases: BTreeMap<String, (i64, DateTime<Utc>)>,
    attempts: BTreeMap<i64, (i64, Attempt)>,
    samples: BTreeMap<i64, Kept>,
    hosts: BTreeMap<String, Newest>,
    boots: BTreeMap<(String, String), Boot>,
    hours: BTreeMap<(String, String, String, i64), Hour>,
    /// By host: the hour before which all is counted in hours, and the hour before which samples are gone.
    rolled: BTreeMap<String, i64>,
    gone: BTreeMap<String, i64>,
    facts: BTreeMap<(String, String, String), Vec<HostFact>>,
    last_sweep: i64,
    last_attempt: i64,
    last_sample: i64,
    last_mail: i64,
    last_incident: i64,
    cursor: i64,
    states: BTreeMap<Subject, RuleState>,
    incidents: BTreeMap<i64, Incident>,
    events: Vec<Event>,
    told: BTreeMap<(i64, String, String), Told>,
    acks: BTreeMap<i64, Ack>,
    silences: BTreeMap<i64, Silence>,
    last_silence: i64,
    pauses: BTreeMap<String, Pause>,
    summaries: BTreeMap<(String, String), DateTime<Utc>>,
    mails: BTreeMap<i64, Mail>,
    beats: BTreeMap<String, Heartbeat>,
    consents: BTreeMap<String, Consent>,
}

/// With the precision of a store.
fn cut(at: DateTime<Utc>) -> DateTime<Utc> {
    time(ms(at))
}

fn micros(took: Duration) -> Duration {
    Duration::from_micros(u64::try_from(took.as_micros()).unwrap_or(u64::MAX))
}

impl Memory {
    fn samples_of(&self, attempt: i64) -> impl Iterator<Item = (i64, &Kept)> {
        self.samples.iter().filter(move |(_, kept)| kept.attempt == attempt).map(|(id, kept)| (*id, kept))
    }
}

impl Store for Memory {
    fn begin(&mut self, sweep: &Begun) -> Result<i64> {
        Ok(self.start(sweep))
    }

    fn end_sweep(&mut self, sweep: i64, ended: DateTime<Utc>, failed: u32) -> Result<()> {
        self.finish(sweep, ended, failed);
        Ok(())
    }

    fn sweeps(&self, limit: usize) -> Result<Vec<Sweep>> {
        Ok(self.sweeps.values().rev().take(limit).cloned().collect())
    }

    fn last_sweeps(&self) -> Result<Vec<Sweep>> {
        Ok(self.last_of_each())
    }

    fn lease(&mut self, claim: &Claim, hosts: &[&str]) -> Result<Vec<Leased>> {
        Ok(hosts.iter().map(|host| self.take(claim, host)).collect())
    }

    fn standings(&self) -> Result<Vec<Standing>> {
        Ok(self.stands())
    }

    fn record_all(&mut self, sweep: i64, visits: &[(&Attempt, &[Sample])]) -> Result<Vec<usize>> {
        Ok(visits.iter().map(|(attempt, samples)| self.put(sweep, attempt, samples)).collect())
    }

    fn settle(&mut self, sweep: i64, attempts: &[Attempt]) -> Result<()> {
        for attempt in attempts {
            let found = self.attempts.values_mut().rev().find(|(s, a)| *s == sweep && a.host == attempt.host);
            if let Some((_, known)) = found {
                known.took = micros(attempt.took);
                known.traffic = attempt.traffic;
            }
        }
        Ok(())
    }

    fn rows_after(&self, after: i64, limit: usize) -> Result<Vec<Row>> {
        let rows = self.attempts.iter().filter(|(id, _)| **id > after).take(limit);
        Ok(rows
            .map(|(id, (sweep, attempt))| Row {
                id: *id,
                sweep: *sweep,
                attempt: attempt.clone(),
                samples: self.samples_of(*id).map(|(_, kept)| kept.sample.clone()).collect(),
            })
            .collect())
    }

    fn now(&self) -> Result<Vec<HostNow>> {
        let list = self.hosts.iter().map(|(host, newest)| {
            let kept = newest.sample.and_then(|id| self.samples.get(&id));
            let received = kept.and_then(|kept| self.attempts.get(&kept.attempt));
            HostNow {
                host: host.clone(),
                attempt: newest.attempt.and_then(|id| self.attempts.get(&id)).map(|(_, a)| a.clone()),
                sample: kept.zip(received).map(|(kept, (_, a))| (a.at, kept.sample.clone())),
            }
        });
        Ok(list.collect())
    }

    fn latest(&self, metrics: &[&str]) -> Result<Vec<HostNow>> {
        let small = |host: HostNow| HostNow {
            sample: host.sample.map(|(received, sample)| (received, only(sample, metrics))),
            ..host
        };
        Ok(self.now()?.into_iter().map(small).collect())
    }

    fn newest(&self, host: &str) -> Result<Option<HostNow>> {
        Ok(self.now()?.into_iter().find(|known| known.host == host))
    }

    fn tried(&self) -> Result<Vec<Attempt>> {
        let last = self.hosts.values().filter_map(|newest| self.attempts.get(&newest.attempt?));
        Ok(last.map(|(_, attempt)| attempt.clone()).collect())
    }

    fn attempts(&self, host: &str, limit: usize) -> Result<Vec<Attempt>> {
        let list = self.attempts.values().rev().map(|(_, attempt)| attempt);
        Ok(list.filter(|attempt| attempt.host == host).take(limit).cloned().collect())
    }

    fn edge(&self, host: &str, grain: Grain) -> Result<Option<DateTime<Utc>>> {
        let known = match grain {
            Grain::Whole => &self.gone,
            Grain::Hours => &self.rolled,
        };
        Ok(known.get(host).map(|hour| time(hour.saturating_mul(HOUR_MS))))
    }

    fn series(&self, host: &str, metric: &str, span: Span, grain: Grain) -> Result<Vec<Series>> {
        self.gathered(host, metric, span, grain)
    }

    fn part(
        &self,
        host: &str,
        (since, until): (DateTime<Utc>, DateTime<Utc>),
        wanted: &dyn Fn(&str) -> bool,
        _place: &mut Place,
        each: &mut dyn FnMut(&str, &str, Point),
    ) -> Result<bool> {
        self.each_value(host, (since, until), wanted, each);
        Ok(false)
    }

    fn samples(
        &self,
        host: &str,
        metrics: &[&str],
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<(DateTime<Utc>, Sample)>> {
        let inside = |kept: &&Kept| kept.host == host && kept.at >= ms(since) && kept.at < ms(until);
        let list = self.samples.values().filter(inside);
        let mut list: Vec<_> = list.map(|kept| (time(kept.at), only(kept.sample.clone(), metrics))).collect();
        list.sort_by_key(|(at, _)| *at);
        Ok(list)
    }

    fn before(&self, host: &str, key: &SampleKey, metrics: &[&str]) -> Result<Option<Sample>> {
        let earlier = |kept: &&Kept| {
            kept.host == host && kept.sample.key.boot == key.boot && kept.sample.key.sequence < key.sequence
        };
        let last = self.samples.values().filter(earlier).max_by_key(|kept| kept.sample.key.sequence);
        Ok(last.map(|kept| only(kept.sample.clone(), metrics)))
    }

    fn facts_now(&self, names: &[&str]) -> Result<Vec<(String, HostFact)>> {
        let known = self.facts.iter().filter(|(key, _)| names.contains(&key.1.as_str()));
        let last = known.filter_map(|(key, list)| Some((key.0.clone(), list.last()?.clone())));
        Ok(last.filter(|(_, fact)| !fact.text.is_empty()).collect())
    }

    fn facts(&self, host: &str) -> Result<Vec<HostFact>> {
        Ok(self.facts.iter().filter(|(key, _)| key.0 == host).flat_map(|(_, list)| list.clone()).collect())
    }

    fn top(&self, host: &str, at: DateTime<Utc>) -> Result<Option<(DateTime<Utc>, Vec<Process>)>> {
        Ok(self.at(host, at)?.map(|(at, sample)| (at, sample.top)))
    }

    fn at(&self, host: &str, at: DateTime<Utc>) -> Result<Option<(DateTime<Utc>, Sample)>> {
        let list = self.samples.iter().filter(|(_, kept)| kept.host == host && kept.at <= ms(at));
        let last = list.max_by_key(|(id, kept)| (kept.at, **id));
        Ok(last.map(|(_, kept)| (time(kept.at), kept.sample.clone())))
    }

    fn cursor(&self) -> Result<i64> {
        Ok(self.cursor)
    }

    fn states(&self) -> Result<Vec<(Subject, RuleState)>> {
        Ok(self.states.iter().map(|(subject, state)| (subject.clone(), state.clone())).collect())
    }

    fn open_incidents(&self) -> Result<Vec<Incident>> {
        Ok(self.incidents.values().filter(|incident| incident.closed.is_none()).cloned().collect())
    }

    fn incidents(&self, limit: usize) -> Result<Vec<Incident>> {
        Ok(self.incidents.values().rev().take(limit).cloned().collect())
    }

    fn incident(&self, id: i64) -> Result<Option<Incident>> {
        Ok(self.incidents.get(&id).cloned())
    }

    fn closed_since(&self, at: DateTime<Utc>) -> Result<Vec<Incident>> {
        let after = |incident: &&Incident| incident.closed.is_some_and(|closed| closed > cut(at));
        Ok(self.incidents.values().filter(after).cloned().collect())
    }

    fn ended(
        &self,
        host: Option<&str>,
        (since, until): Span,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Incident>> {
        let within = |it: &&Incident| {
            before.is_none_or(|before| it.id < before)
                && it.opened < cut(until)
                && it.closed.is_some_and(|closed| closed >= cut(since))
                && host.is_none_or(|host| it.subject.host == host)
        };
        let mut list: Vec<Incident> = self.incidents.values().filter(within).cloned().collect();
        list.sort_by_key(|it| std::cmp::Reverse(it.id));
        list.truncate(limit);
        Ok(list)
    }

    fn incidents_of(&self, host: &str, since: DateTime<Utc>, until: DateTime<Utc>) -> Result<Vec<Incident>> {
        let open = |it: &&Incident| it.opened <= cut(until) && it.closed.is_none_or(|closed| closed >= cut(since));
        let mut list: Vec<Incident> =
            self.incidents.values().filter(|it| it.subject.host == host).filter(open).cloned().collect();
        list.sort_by_key(|it| it.id);
        Ok(list)
    }

    fn last_incident(&self) -> Result<i64> {
        Ok(self.last_incident)
    }

    fn events(&self, incident: i64) -> Result<Vec<Event>> {
        Ok(self.events.iter().filter(|event| event.incident == incident).cloned().collect())
    }

    fn commit_evaluation(&mut self, evaluation: &Evaluation<'_>) -> Result<()> {
        self.cursor = evaluation.cursor;
        for (subject, state) in &evaluation.states {
            match state {
                Some(state) => {
                    let mut state = state.clone().into_owned();
                    for at in [
                        &mut state.warning_since,
                        &mut state.critical_since,
                        &mut state.last,
                        &mut state.bad,
                        &mut state.missed,
                    ] {
                        *at = at.map(cut);
                    }
                    self.states.insert(subject.clone().into_owned(), state);
                }
                None => {
                    self.states.remove(subject.as_ref());
                }
            }
        }
        for incident in &evaluation.incidents {
            let mut incident = incident.clone();
            incident.opened = cut(incident.opened);
            incident.changed = cut(incident.changed);
            incident.closed = incident.closed.map(cut);
            self.last_incident = self.last_incident.max(incident.id);
            self.incidents.insert(incident.id, incident);
        }
        self.events.extend(evaluation.events.iter().map(|event| Event { at: cut(event.at), ..event.clone() }));
        for incident in &evaluation.unacked {
            self.acks.remove(incident);
        }
        Ok(())
    }

    fn told(&self) -> Result<Vec<(Told, Incident)>> {
        let list = self.told.values().filter_map(|told| Some((told, self.incidents.get(&told.incident)?)));
        let list = list.filter(|(told, incident)| incident.closed.is_none() || told.level > Level::Ok);
        Ok(list.map(|(told, incident)| (told.clone(), incident.clone())).collect())
    }

    fn told_since(&self, at: DateTime<Utc>) -> Result<Vec<Told>> {
        let closed = |told: &Told| self.incidents.get(&told.incident).and_then(|incident| incident.closed);
        Ok(self.told.values().filter(|told| closed(told).is_some_and(|closed| closed > cut(at))).cloned().collect())
    }

    fn commit_plan(&mut self, plan: &Plan) -> Result<()> {
        for told in &plan.told {
            let key = (told.incident, told.destination.clone(), told.recipient.clone());
            self.told.insert(key, Told { at: cut(told.at), ..told.clone() });
        }
        for key in &plan.untold {
            self.told.remove(key);
        }
        for mail in &plan.mails {
            if mail.id == 0 {
                self.last_mail += 1;
                let mut mail = mail.clone();
                mail.id = self.last_mail;
                mail.created = cut(mail.created);
                mail.next = cut(mail.next);
                mail.tells.iter_mut().filter_map(|it| it.before.as_mut()).for_each(|told| told.at = cut(told.at));
                self.mails.insert(mail.id, mail);
            } else {
                self.update_mail(mail)?;
            }
        }
        for pause in &plan.pauses {
            self.pause(pause)?;
        }
        for (destination, recipient, at) in &plan.summaries {
            self.summaries.insert((destination.clone(), recipient.clone()), cut(*at));
        }
        Ok(())
    }

    fn queued(&self) -> Result<Vec<Mail>> {
        Ok(self.mails.values().filter(|mail| mail.state == MailState::Queued).cloned().collect())
    }

    fn update_mail(&mut self, mail: &Mail) -> Result<()> {
        if let Some(known) = self.mails.get_mut(&mail.id) {
            known.state = mail.state;
            known.attempts = mail.attempts;
            known.maybe = mail.maybe;
            known.unclear = mail.unclear;
            known.next = cut(mail.next);
            known.error.clone_from(&mail.error);
            known.created = cut(mail.created);
        }
        Ok(())
    }

    fn rewrite_mail(&mut self, mail: &Mail) -> Result<()> {
        if let Some(known) = self.mails.get_mut(&mail.id) {
            known.message_id.clone_from(&mail.message_id);
            known.subject.clone_from(&mail.subject);
            known.body.clone_from(&mail.body);
            known.short = mail.short;
        }
        self.update_mail(mail)
    }

    fn mails_telling(&self, incident: i64) -> Result<Vec<Mail>> {
        let tells = |mail: &&Mail| mail.tells.iter().any(|it| it.incident == incident);
        Ok(self.mails.values().filter(tells).cloned().collect())
    }

    fn pauses(&self) -> Result<Vec<Pause>> {
        Ok(self.pauses.values().cloned().collect())
    }

    fn pause(&mut self, pause: &Pause) -> Result<()> {
        if pause.failures == 0 {
            self.pauses.remove(&pause.what);
        } else {
            let stored = Pause { since: cut(pause.since), until: cut(pause.until), ..pause.clone() };
            self.pauses.insert(pause.what.clone(), stored);
        }
        Ok(())
    }

    fn summaries(&self) -> Result<Vec<(String, String, DateTime<Utc>)>> {
        Ok(self.summaries.iter().map(|((to, recipient), at)| (to.clone(), recipient.clone(), *at)).collect())
    }

    fn acknowledge(&mut self, ack: &Ack, event: &Event) -> Result<()> {
        let stored = Ack { at: cut(ack.at), until: ack.until.map(cut), ..ack.clone() };
        self.acks.insert(ack.incident, stored);
        self.events.push(Event { at: cut(event.at), ..event.clone() });
        Ok(())
    }

    fn acks(&self) -> Result<Vec<Ack>> {
        let open = |ack: &&Ack| self.incidents.get(&ack.incident).is_some_and(|it| it.closed.is_none());
        Ok(self.acks.values().filter(open).cloned().collect())
    }

    fn add_silence(&mut self, silence: &Silence) -> Result<i64> {
        self.last_silence += 1;
        let when = match &silence.when {
            When::Once { from, until } => When::Once { from: cut(*from), until: cut(*until) },
            When::Weekly(calendar) => When::Weekly(calendar.clone()),
        };
        let (created, ended) = (cut(silence.created), silence.ended.map(cut));
        let stored = Silence { id: self.last_silence, when, created, ended, ..silence.clone() };
        self.silences.insert(stored.id, stored);
        Ok(self.last_silence)
    }

    fn end_silence(&mut self, id: i64, at: DateTime<Utc>) -> Result<bool> {
        let Some(silence) = self.silences.get_mut(&id) else { return Ok(false) };
        let over = matches!(silence.when, When::Once { until, .. } if until <= cut(at));
        if over || silence.ended.is_some() {
            return Ok(false);
        }
        silence.ended = Some(cut(at));
        Ok(true)
    }

    fn silences(&self) -> Result<Vec<Silence>> {
        Ok(self.silences.values().cloned().collect())
    }

    /// Nobody else can write.
    fn changes(&self) -> Result<i64> {
        Ok(0)
    }

    fn beat(&mut self, beat: &Heartbeat) -> Result<()> {
        self.beats.insert(beat.role.clone(), Heartbeat { at: cut(beat.at), ..beat.clone() });
        Ok(())
    }

    fn beats(&self) -> Result<Vec<Heartbeat>> {
        Ok(self.beats.values().cloned().collect())
    }

    fn grant(&mut self, consent: &Consent) -> Result<()> {
        let stored = Consent { granted: cut(consent.granted), revoked: consent.revoked.map(cut), ..consent.clone() };
        self.consents.insert(consent.host.clone(), stored);
        Ok(())
    }

    fn revoke(&mut self, host: &str, at: DateTime<Utc>) -> Result<bool> {
        match self.consents.get_mut(host) {
            Some(consent) if consent.revoked.is_none() => {
                consent.revoked = Some(cut(at));
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn consented(&self, host: &str) -> Result<bool> {
        Ok(self.consents.get(host).is_some_and(|consent| consent.revoked.is_none()))
    }

    fn consents(&self) -> Result<Vec<Consent>> {
        Ok(self.consents.values().cloned().collect())
    }

    fn forget(&mut self, host: &str) -> Result<u64> {
        let had = self.samples.len();
        self.samples.retain(|_, kept| kept.host != host);
        self.attempts.retain(|_, (_, attempt)| attempt.host != host);
        self.hosts.remove(host);
        self.leases.remove(host);
        self.boots.retain(|(h, _), _| h != host);
        self.hours.retain(|(h, ..), _| h != host);
        self.rolled.remove(host);
        self.gone.remove(host);
        self.facts.retain(|(h, ..), _| h != host);
        self.states.retain(|subject, _| subject.host != host);
        let gone: Vec<i64> = self.incidents.values().filter(|i| i.subject.host == host).map(|i| i.id).collect();
        self.incidents.retain(|id, _| !gone.contains(id));
        self.events.retain(|event| !gone.contains(&event.incident));
        self.told.retain(|(id, ..), _| !gone.contains(id));
        let tells = |mail: &Mail| mail.tells.is_empty() || mail.tells.iter().any(|it| gone.contains(&it.incident));
        self.mails.retain(|_, mail| mail.state == MailState::Queued || !tells(mail));
        for mail in self.mails.values_mut().filter(|mail| tells(mail)) {
            (mail.subject, mail.body, mail.error) = Default::default();
        }
        self.acks.retain(|id, _| !gone.contains(id));
        Ok((had - self.samples.len()) as u64)
    }

    fn prune(&mut self, now: DateTime<Utc>, keep: Duration, keep_hourly: Duration) -> Result<Pruned> {
        Ok(self.tidy(now, keep, keep_hourly))
    }

    fn would_prune(&mut self, now: DateTime<Utc>, keep: Duration, keep_hourly: Duration) -> Result<Pruned> {
        self.clone().prune(now, keep, keep_hourly)
    }

    fn backup(&self, target: &Path) -> Result<()> {
        let text = format!("a store in memory has nothing to copy to {}", target.display());
        Err(StoreError::Other { location: "memory".to_string(), text })
    }
}
