//! A metric over time, in memory: the plain form of what `sqlite/samples.rs` reads.

use super::Memory;
use crate::model::fleet::{Grain, Series};
use crate::store::series::{Gathered, UPTIME, boot_hours};
use crate::store::shape::{HOUR_MS, Hour, first_hour, ms, time};
use crate::store::{Result, Span, Store};

impl Memory {
    /// A series for each item: hours before the edge, whole samples from there on.
    pub(super) fn gathered(&self, host: &str, metric: &str, (since, until): Span, grain: Grain) -> Result<Vec<Series>> {
        let mut found = Gathered::default();
        let edge = self.edge(host, grain)?.map_or(i64::MIN, ms);
        let (first, end) = (first_hour(ms(since)), first_hour(ms(until)).min(edge.div_euclid(HOUR_MS)));
        let whole = ms(since).max(edge);
        let hours = |wanted: &str| -> Vec<(&String, i64, &Hour)> {
            let of = |(h, m, _, hour): &(String, String, String, i64)| {
                h == host && m == wanted && *hour >= first && *hour < end
            };
            self.hours.iter().filter(|(key, _)| of(key)).map(|((_, _, item, hour), it)| (item, *hour, it)).collect()
        };
        let boots = boot_hours(hours(UPTIME).into_iter().map(|(_, hour, it)| (hour, it.min, it.max)));
        for (item, hour, it) in hours(metric) {
            found.hour(item.clone(), hour, (it.min, it.mean, it.max), &boots);
        }
        let mut names: Vec<&str> = Vec::new();
        for kept in self.samples.values().filter(|k| k.host == host && k.at >= whole && k.at < ms(until)) {
            let name = kept.sample.key.boot.as_str();
            let boot = names.iter().position(|known| *known == name).unwrap_or(names.len());
            if boot == names.len() {
                names.push(name);
            }
            let mut seen: Vec<&str> = Vec::new();
            for reading in kept.sample.readings.iter().filter(|reading| reading.metric == metric) {
                if seen.contains(&reading.item.as_str()) {
                    continue;
                }
                seen.push(&reading.item);
                found.reading(&reading.item, time(kept.at), reading.value, i64::try_from(boot).unwrap_or(i64::MAX));
            }
        }
        Ok(found.series())
    }
}
