//! Truth as the rows tell it, beside what the engine made of them.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::fleet::{HOSTS, MEAN, SERVERS, SERVICE, WANTED};
use super::{Does, Story, Who, at, disk_of};
use crate::alert::words::{SERVICE_HEALTHY, UNREACHABLE};
use crate::app::alerter::plan;
use crate::model::alert::{Incident, Subject};
use crate::model::level::Level;
use crate::store::Store;

type Holds = std::result::Result<(), TestCaseError>;

pub fn service(rule: &str) -> Subject {
    Subject { host: String::new(), rule: rule.to_owned(), item: SERVICE.to_owned() }
}

pub fn unreachable(host: &str) -> Subject {
    Subject { rule: UNREACHABLE.into(), item: String::new(), ..disk_of(host) }
}

fn level(open: &[Incident], subject: &Subject) -> Level {
    open.iter().find(|incident| incident.subject == *subject).map_or(Level::Ok, |incident| incident.level)
}

impl Story {
    /// T: two visits in a row that fail are a problem and one that does not is none; three full disks in a row are one, two
    /// empty ones are none. So it is from the first visit after a clock was set right and a run saw that.
    pub(super) fn rows_are_true(&self) -> Holds {
        let open = self.store.inner.open_incidents().unwrap();
        for host in HOSTS.into_iter().filter(|host| !self.unsettled.contains(*host)) {
            let Some(did) = self.visited.get(host) else { continue };
            let answers = level(&open, &unreachable(host));
            match did[..] {
                [.., Does::Fails, Does::Fails] => prop_assert!(answers > Level::Ok, "T: {host} fails, {did:?}"),
                [.., Does::Fails] => {}
                _ => prop_assert_eq!(answers, Level::Ok, "T: {} answers, {:?}", host, did),
            }
            let disks: Vec<f64> = did
                .iter()
                .filter_map(|does| match does {
                    Does::Answers(value) => Some(*value),
                    // Three of them end it.
                    Does::Lacks => Some(f64::NAN),
                    _ => None,
                })
                .collect();
            let disk = level(&open, &disk_of(host));
            match disks[..] {
                [.., a, b, c] if [a, b, c].iter().all(|value| *value >= 0.9) => {
                    prop_assert_eq!(disk, Level::Critical, "T: the disk of {} is full, {:?}", host, did);
                }
                [.., a, b] if a < 0.7 && b < 0.7 => {
                    prop_assert_eq!(disk, Level::Ok, "T: the disk of {} is well, {:?}", host, did);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// V: a service is short of servers while too many of them have a problem that is sure; its mean is over all others, by
    /// samples that are fresh.
    pub(super) fn services_are_true(&self) -> Holds {
        let open = self.store.inner.open_incidents().unwrap();
        let ill = SERVERS.into_iter().filter(|host| level(&open, &unreachable(host)) > Level::Ok).count();
        let short = SERVERS.len() - ill < WANTED as usize;
        let told = level(&open, &service(SERVICE_HEALTHY)) > Level::Ok;
        prop_assert_eq!(told, short, "V: {} of {} servers are ill", ill, SERVERS.len());
        let answered = |host: &&str| level(&open, &unreachable(host)) == Level::Ok;
        let samples: Vec<_> =
            SERVERS.iter().filter(|host| answered(host)).filter_map(|host| self.processors.get(*host)).collect();
        let newest = samples.iter().map(|(at, _)| *at).max();
        let fresh = samples.iter().all(|(at, _)| self.now() - *at < TimeDelta::minutes(10));
        // Without news of a server since the last sweep nothing is reckoned.
        if newest.is_some() && newest >= self.swept && fresh && !self.set_back {
            let states = self.store.inner.states().unwrap();
            let state = states.iter().find(|(subject, _)| *subject == service(MEAN)).map(|(_, state)| state);
            let mean = samples.iter().map(|(_, value)| value).sum::<f64>() / samples.len() as f64;
            let value = state.map(|state| state.value);
            let same = value.is_some_and(|value| (value - mean).abs() < 1e-9);
            prop_assert!(same, "V: the mean is {mean} and not {value:?}: {samples:?}");
        }
        Ok(())
    }

    /// L: once server and clock are right nothing waits.
    pub(super) fn nothing_waits(&self) -> Holds {
        let queued = self.store.inner.queued().unwrap();
        let waits: Vec<_> = queued.iter().map(|mail| (&mail.recipient, mail.next, &mail.error)).collect();
        prop_assert!(queued.is_empty(), "L: at {} waits {waits:?}", self.now());
        Ok(())
    }

    /// S: what came and went without a word to a recipient is in a summary, in the end.
    pub(super) fn nothing_is_unseen(&self) -> Holds {
        if self.kind.clock || self.kind.routes || !self.silences.is_empty() {
            return Ok(());
        }
        // One that came back before anybody heard of its end is to its recipient the one that he was told of.
        let told = self.store.inner.told_since(at(0)).unwrap();
        let carried = |(to, recipient): &Who, id: i64| {
            told.iter()
                .any(|it| (&it.destination, &it.recipient, it.incident) == (to, recipient, id) && it.thread != id)
        };
        for incident in self.store.inner.incidents(10_000).unwrap().iter().filter(|it| it.closed.is_some()) {
            for (to, recipient) in plan::recipients(&self.spec.alerts) {
                let key: (Who, i64) = ((to.name.clone(), recipient), incident.id);
                let heard = self.told.contains(&key) || self.summed.contains(&key);
                let heard = heard || carried(&key.0, incident.id);
                prop_assert!(heard, "S: {:?} never heard of {:?}", key.0, incident);
            }
        }
        Ok(())
    }
}
