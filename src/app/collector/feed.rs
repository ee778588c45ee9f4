//! Hands hosts to the dialer, no more than it can begin soon, each under a lease: so several collectors share a fleet, and
//! what one of them holds is little when it dies.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::plan::{Make, Plan, Skip};
use crate::model::job::Job;
use crate::model::spec::{CollectorSpec, HostSpec};
use crate::model::turn::{Begun, Claim, LONGEST_LEASE, Leased};
use crate::store::{Result, Store};

/// Hosts that are handed out beyond those that can be visited at once, so that no thread waits for the store.
const AHEAD: usize = 32;
/// Hosts that are claimed in one transaction.
const CHUNK: usize = 256;
/// What a visit may take beyond its timeout until it is stored.
const GRACE: TimeDelta = TimeDelta::seconds(10);
/// How often hosts that other collectors are at are looked at again.
const LOOK: Duration = Duration::from_secs(1);

/// What became of a host whose turn came.
pub enum Given {
    /// Visit it.
    Job(Box<Job>),
    /// It cannot be visited.
    Skip(Skip),
    /// Another collector sees to it; for people.
    Elsewhere(String, String),
    /// It is ours, and there is no time left for it.
    Late(String),
}

/// Hosts whose turn is still to come.
pub struct Feed<'a> {
    queue: VecDeque<&'a HostSpec>,
    /// Hosts that others are at: theirs if they do them, ours if they die.
    busy: Vec<(&'a HostSpec, String)>,
    make: Make<'a>,
    begun: Begun,
    threads: usize,
    /// How long a lease holds: what a visit may take, and time to renew it or to come back to life.
    length: TimeDelta,
    /// How old the visit of another collector may be so that it does for this sweep.
    fresh: TimeDelta,
    next_look: Instant,
    next_renewal: Instant,
}

impl<'a> Feed<'a> {
    /// Of a plan, for so many visits at once.
    pub fn new(plan: Plan<'a>, spec: &CollectorSpec) -> Self {
        let delta = |duration: Duration| TimeDelta::from_std(duration).unwrap_or(LONGEST_LEASE);
        let mut feed = Self {
            queue: plan.visits,
            busy: Vec::new(),
            make: plan.make,
            begun: plan.begun,
            threads: spec.jobs,
            length: (delta(spec.timeout * 2) + GRACE).min(LONGEST_LEASE),
            // Cron is not always punctual: what another did an interval ago is due again.
            fresh: delta(spec.interval * 9 / 10),
            next_look: Instant::now(),
            next_renewal: Instant::now(),
        };
        feed.next_renewal += feed.renewal();
        feed
    }

    /// Whether there is nothing left to hand out.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.busy.is_empty()
    }

    /// Hosts that are still to come.
    pub fn len(&self) -> usize {
        self.queue.len() + self.busy.len()
    }

    /// As many as there is room for beside those that are handed out; none until there is room for several.
    pub fn next(&mut self, sweep: i64, store: &mut dyn Store, out: usize, now: DateTime<Utc>) -> Result<Vec<Given>> {
        if self.queue.is_empty() && !self.busy.is_empty() && Instant::now() >= self.next_look {
            self.queue.extend(self.busy.drain(..).map(|(host, _)| host));
            self.next_look = Instant::now() + LOOK;
        }
        let ahead = AHEAD.min(self.threads);
        if out > self.threads + ahead / 2 {
            return Ok(Vec::new());
        }
        let room = self.threads + ahead - out;
        let (mut given, mut jobs) = (Vec::new(), 0);
        while jobs < room && !self.queue.is_empty() {
            for (host, leased) in self.claim(sweep, store, room - jobs, now)? {
                match leased {
                    Leased::Ours => {
                        jobs += 1;
                        given.push((self.make)(host).map_or_else(Given::Skip, |job| Given::Job(Box::new(job))));
                    }
                    Leased::Busy { collector, .. } => self.busy.push((host, at_it(&collector))),
                    Leased::Done { collector, at } => given.push(done(host, &collector, at, now)),
                }
            }
        }
        Ok(given)
    }

    /// When [`Feed::renew`] or [`Feed::next`] has something to do though nothing was heard.
    pub fn wakes(&self) -> Instant {
        let looks = self.queue.is_empty() && !self.busy.is_empty();
        if looks { self.next_look.min(self.next_renewal) } else { self.next_renewal }
    }

    /// Holds on to hosts that are handed out: a visit may have to wait, and where a dialer dies it is begun once more.
    pub fn renew<'h>(
        &mut self,
        sweep: i64,
        store: &mut dyn Store,
        hosts: impl Iterator<Item = &'h str>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        if Instant::now() < self.next_renewal {
            return Ok(());
        }
        self.next_renewal = Instant::now() + self.renewal();
        let hosts: Vec<&str> = hosts.collect();
        if !hosts.is_empty() {
            // One that was taken over meanwhile, because we stood still, is done twice and nothing comes of it.
            store.lease(&Claim { sweep, now, until: now + self.length, since: now }, &hosts)?;
        }
        Ok(())
    }

    fn renewal(&self) -> Duration {
        (self.length / 3).to_std().unwrap_or(LOOK)
    }

    /// What becomes of those whose turn did not come, once no more may begin.
    pub fn rest(&mut self, sweep: i64, store: &mut dyn Store, now: DateTime<Utc>) -> Result<Vec<Given>> {
        let others = self.busy.drain(..).map(|(host, text)| Given::Elsewhere(host.name.clone(), text));
        let mut given: Vec<Given> = others.collect();
        while !self.queue.is_empty() {
            for (host, leased) in self.claim(sweep, store, CHUNK, now)? {
                given.push(match leased {
                    Leased::Ours => Given::Late(host.name.clone()),
                    Leased::Busy { collector, .. } => Given::Elsewhere(host.name.clone(), at_it(&collector)),
                    Leased::Done { collector, at } => done(host, &collector, at, now),
                });
            }
        }
        Ok(given)
    }

    /// The names of those that are left, of whom nothing more will be said.
    pub fn abandon(&mut self) -> Vec<String> {
        let busy = self.busy.drain(..).map(|(host, _)| host);
        self.queue.drain(..).chain(busy).map(|host| host.name.clone()).collect()
    }

    fn claim(
        &mut self,
        sweep: i64,
        store: &mut dyn Store,
        most: usize,
        now: DateTime<Utc>,
    ) -> Result<Vec<(&'a HostSpec, Leased)>> {
        let hosts: Vec<&HostSpec> = self.queue.drain(..most.min(self.queue.len())).collect();
        if hosts.is_empty() {
            return Ok(Vec::new());
        }
        // Who asks for a host by name wants it visited from now on.
        let since = if self.begun.asked { self.begun.started } else { now - self.fresh };
        let claim = Claim { sweep, now, until: now + self.length, since };
        let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
        match store.lease(&claim, &names) {
            Ok(answers) => Ok(hosts.into_iter().zip(answers).collect()),
            Err(error) => {
                self.queue.extend(hosts);
                Err(error)
            }
        }
    }
}

fn called(collector: &str) -> String {
    if collector.is_empty() { "another collector".to_owned() } else { format!("the collector at {collector}") }
}

fn at_it(collector: &str) -> String {
    format!("{} is at it", called(collector))
}

fn done(host: &HostSpec, collector: &str, at: DateTime<Utc>, now: DateTime<Utc>) -> Given {
    let text = format!("{} visited it {} s ago", called(collector), (now - at).num_seconds().max(0));
    Given::Elsewhere(host.name.clone(), text)
}
