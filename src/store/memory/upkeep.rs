//! What gets old, in memory: the plain form of what `sqlite/upkeep.rs` does in batches.

use super::Memory;
use crate::model::alert::MailState;
use crate::model::fleet::Pruned;
use crate::model::level::Level;
use crate::store::shape::{HOUR_MS, Hour, ms};

impl Memory {
    pub(super) fn roll(&mut self, host: &str, bound: i64, hours: Option<i64>, done: &mut Pruned) {
        let newest = self.hosts.get(host).cloned().unwrap_or_default();
        let mut old: Vec<(i64, i64)> = self
            .attempts
            .iter()
            .filter(|(id, (_, a))| a.host == host && ms(a.at) < bound && **id <= self.cursor)
            .map(|(id, (_, a))| (ms(a.at), *id))
            .collect();
        old.sort_unstable();
        for (_, attempt) in old {
            let mut stays = newest.attempt == Some(attempt);
            let ids: Vec<i64> = self.samples_of(attempt).map(|(id, _)| id).collect();
            for id in ids {
                if newest.sample == Some(id) {
                    stays = true;
                    continue;
                }
                let Some(kept) = self.samples.remove(&id) else { continue };
                done.samples += 1;
                let boot = self.boots.entry((host.to_string(), kept.sample.key.boot.clone())).or_default();
                boot.pruned = boot.pruned.max(Some(kept.sample.key.sequence));
                let hour = kept.at.div_euclid(HOUR_MS);
                if hours.is_none_or(|first| hour < first) {
                    continue;
                }
                for reading in kept.sample.readings {
                    let key = (host.to_string(), reading.metric, reading.item, hour);
                    match self.hours.get_mut(&key) {
                        Some(known) => known.add(reading.value),
                        None => {
                            done.hours_written += 1;
                            self.hours.insert(key, Hour::new(reading.value));
                        }
                    }
                }
            }
            if !stays {
                done.attempts += 1;
                self.attempts.remove(&attempt);
            }
        }
    }

    pub(super) fn drop_history(&mut self, samples: i64, oldest: i64) {
        self.sweeps.retain(|_, sweep| ms(sweep.started) >= oldest);
        self.mails.retain(|_, mail| mail.state == MailState::Queued || ms(mail.created) >= samples);
        for list in self.facts.values_mut() {
            let last = list.iter().rposition(|fact| ms(fact.since) < oldest);
            list.drain(..last.unwrap_or(0));
            if list.first().is_some_and(|fact| fact.text.is_empty() && ms(fact.since) < oldest) {
                list.remove(0);
            }
        }
        self.facts.retain(|_, list| !list.is_empty());
        let kept = &self.samples;
        self.boots.retain(|(host, boot), it| {
            it.seen >= oldest || kept.values().any(|k| k.host == *host && k.sample.key.boot == *boot)
        });
        let told = &self.told;
        let gone: Vec<i64> = self
            .incidents
            .values()
            .filter(|incident| incident.closed.is_some_and(|at| ms(at) < oldest))
            .filter(|incident| !told.values().any(|t| t.incident == incident.id && t.level > Level::Ok))
            .map(|incident| incident.id)
            .collect();
        self.incidents.retain(|id, _| !gone.contains(id));
        self.events.retain(|event| !gone.contains(&event.incident));
        let left = &self.incidents;
        self.told.retain(|(id, _), t| t.level > Level::Ok || left.contains_key(id));
    }
}
