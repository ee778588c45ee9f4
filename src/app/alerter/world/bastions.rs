//! Bastions: when nobody comes through one, that is one problem, and not one of each host behind it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::hosts::verdict;
use super::{Visit, World, at_once, fails, two};
use crate::alert::fold::Observation;
use crate::alert::words::{BASTION, UNREACHABLE};
use crate::model::cause::Cause;
use crate::model::fleet::{Outcome, Row};
use crate::model::spec::FleetSpec;

/// What this run's rows say of one bastion.
#[derive(Default)]
struct Seen {
    at: DateTime<Utc>,
    through: usize,
    /// Hosts that were not reached, and what was said of the last of them.
    stuck: Vec<usize>,
    text: String,
    /// Whether the hosts' own state says that it is no single miss.
    sure: bool,
}

/// Whether the configuration still has it.
pub(super) fn knows(spec: &FleetSpec, bastion: &str) -> bool {
    spec.hosts.iter().any(|host| host.parents.iter().any(|parent| parent == bastion))
}

impl World<'_> {
    /// Keeps what a row says of the way to its host.
    pub(super) fn pass(&mut self, track: usize, row: &Row) {
        let stuck = match &row.attempt.outcome {
            Outcome::Failed { cause: Cause::Jump, text } => Some(text.clone()),
            // Nobody was sent.
            Outcome::Failed {
                cause:
                    Cause::BackOff
                    | Cause::NoConsent
                    | Cause::LocalSetup
                    | Cause::SweepDeadline
                    | Cause::Store
                    | Cause::Internal,
                ..
            } => return,
            _ => None,
        };
        let it = &mut self.tracks[track];
        if it.host.is_some_and(|host| !host.parents.is_empty()) {
            it.visit = Some(Visit { at: row.attempt.at, stuck });
        }
    }

    /// Moves the truth about bastions by this run's rows.
    pub(super) fn bastions(&mut self) {
        let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
        for (number, track) in self.tracks.iter().enumerate() {
            let (Some(host), Some(visit)) = (track.host, &track.visit) else { continue };
            for bastion in &host.parents {
                let it = seen.entry(bastion).or_default();
                it.at = it.at.max(visit.at);
                match &visit.stuck {
                    None => it.through += 1,
                    Some(text) => {
                        it.stuck.push(number);
                        it.text.clone_from(text);
                        it.sure |=
                            self.built_in(&host.name, UNREACHABLE, "").is_some_and(|state| state.incident.is_some());
                    }
                }
            }
        }
        let closed: Vec<&str> =
            seen.iter().filter(|(_, it)| it.through == 0 && !it.stuck.is_empty()).map(|(name, _)| *name).collect();
        let mut moves = Vec::new();
        for (&bastion, it) in &seen {
            let bad = closed.contains(&bastion);
            // One that stands before it explains it, and so does its own failure to answer, where it is watched.
            let explained = it.stuck.iter().all(|number| {
                let parents = self.tracks[*number].host.map_or(&[][..], |host| &host.parents);
                parents.iter().take_while(|parent| *parent != bastion).any(|parent| closed.contains(&parent.as_str()))
            });
            let known = self.built_in("", BASTION, bastion).is_some();
            if known || bad && !explained && !self.failing(bastion) {
                let hosts = if it.stuck.len() == 1 { "host" } else { "hosts" };
                let text = match bad {
                    true => format!("nobody comes through to the {} {hosts} behind it: {}", it.stuck.len(), it.text),
                    false => "hosts behind it are reached again".to_owned(),
                };
                moves.push((bastion.to_owned(), it.at, it.stuck.len(), bad, it.sure, text));
            }
        }
        let fleet = self.track("");
        for (bastion, at, stuck, bad, sure, text) in moves {
            let seen = Observation { at, value: stuck as f64, verdict: verdict(bad, true, !bad) };
            let windows = if sure { at_once(self.interval) } else { two(self.interval) };
            self.flag(fleet, (BASTION, &bastion), &windows, &seen, &text);
        }
    }

    /// Whether a parent explains that a host was not reached at its last visit: it fails, or has not been seen well since.
    pub(super) fn explains(&self, parent: &str, last: Option<DateTime<Utc>>) -> bool {
        [(parent, UNREACHABLE, ""), ("", BASTION, parent)].into_iter().any(|(host, rule, item)| {
            self.built_in(host, rule, item)
                .is_some_and(|state| fails(state) || state.bad.is_some_and(|at| last <= Some(at)))
        })
    }
}
