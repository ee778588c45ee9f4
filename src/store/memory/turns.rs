//! Sweeps, turns and leases, in memory.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Memory, cut};
use crate::model::cause::Cause;
use crate::model::fleet::{Attempt, Outcome, Sweep};
use crate::model::turn::{Begun, Claim, Leased, Standing, Turn, Visited};

fn cause(attempt: &Attempt) -> Option<Cause> {
    match attempt.outcome {
        Outcome::Collected => None,
        Outcome::Failed { cause, .. } => Some(cause),
    }
}

impl Memory {
    pub(super) fn start(&mut self, begun: &Begun) -> i64 {
        self.last_sweep += 1;
        let sweep = Sweep {
            id: self.last_sweep,
            started: cut(begun.started),
            ended: None,
            hosts: begun.hosts,
            failed: 0,
            collector: begun.collector.clone(),
            shard: begun.shard,
            asked: begun.asked,
        };
        self.sweeps.insert(sweep.id, sweep);
        self.last_sweep
    }

    pub(super) fn finish(&mut self, sweep: i64, ended: DateTime<Utc>, failed: u32) {
        self.leases.retain(|_, (holder, _)| *holder != sweep);
        if let Some(sweep) = self.sweeps.get_mut(&sweep) {
            sweep.ended = Some(cut(ended));
            sweep.failed = failed;
        }
    }

    pub(super) fn last_of_each(&self) -> Vec<Sweep> {
        let mut last = BTreeMap::new();
        for sweep in self.sweeps.values().filter(|sweep| !sweep.asked) {
            last.insert((&sweep.collector, sweep.shard), sweep);
        }
        let mut list: Vec<Sweep> = last.into_values().cloned().collect();
        list.sort_by_key(|sweep| std::cmp::Reverse(sweep.id));
        list
    }

    /// What an attempt changes besides its own row.
    pub(super) fn was_tried(&mut self, sweep: i64, row: i64, attempt: &Attempt) {
        if self.leases.get(&attempt.host).is_some_and(|(holder, _)| *holder == sweep) {
            self.leases.remove(&attempt.host);
        }
        let host = self.hosts.entry(attempt.host.clone()).or_default();
        host.attempt = Some(row);
        if let Some(strikes) = host.strikes.after(&attempt.outcome) {
            (host.turn, host.strikes) = (Some(row), strikes);
        }
    }

    pub(super) fn stands(&self) -> Vec<Standing> {
        let each = |(name, host): (&String, &super::Newest)| {
            let turn = host.turn.and_then(|row| self.attempts.get(&row)).map(|(_, attempt)| Turn {
                at: attempt.at,
                took: attempt.took,
                cause: cause(attempt),
            });
            Standing { host: name.clone(), turn, strikes: host.strikes }
        };
        self.hosts.iter().map(each).collect()
    }

    pub(super) fn take(&mut self, claim: &Claim, host: &str) -> Leased {
        let of = |sweep: &i64| self.sweeps.get(sweep).map(|sweep| sweep.collector.clone());
        let who = |sweep: i64| self.sweeps.get(&sweep).map(|sweep| (&sweep.collector, sweep.shard));
        // A run of the same collector and part has the same lock as ours: it is dead, and its leases hold nobody.
        let is_dead = |holder| who(holder).is_some_and(|it| !it.0.is_empty() && Some(it) == who(claim.sweep));
        let held = self.leases.get(host).filter(|(holder, _)| *holder != claim.sweep && !is_dead(*holder));
        let lease = held.map(|(holder, until)| (*until, of(holder).unwrap_or_default()));
        let turn = self.hosts.get(host).and_then(|host| self.attempts.get(&host.turn?));
        let visit = turn.and_then(|(sweep, attempt)| {
            Some(Visited { at: attempt.at, collector: of(sweep)?, cause: cause(attempt) })
        });
        let answer = claim.answer(&of(&claim.sweep).unwrap_or_default(), lease, visit);
        if answer == Leased::Ours {
            self.leases.insert(host.to_owned(), (claim.sweep, cut(claim.until)));
        }
        answer
    }
}
