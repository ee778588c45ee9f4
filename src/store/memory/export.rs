//! Everything of a host at once.

use chrono::{DateTime, Utc};

use super::{Kept, Memory};
use crate::model::fleet::Point;
use crate::store::shape::{HOUR_MS, first_hour, ms, time};

impl Memory {
    /// Hours, then whole samples.
    pub(super) fn each_value(
        &self,
        host: &str,
        (since, until): (DateTime<Utc>, DateTime<Utc>),
        wanted: &dyn Fn(&str) -> bool,
        each: &mut dyn FnMut(&str, &str, Point),
    ) {
        let edge = self.gone.get(host).copied().unwrap_or(i64::MIN);
        let inside = first_hour(ms(since))..first_hour(ms(until)).min(edge);
        let hours = self.hours.iter().filter(|((h, m, _, hour), _)| h == host && wanted(m) && inside.contains(hour));
        for ((_, metric, item, hour), it) in hours {
            let at = time(hour.saturating_mul(HOUR_MS));
            each(metric, item, Point { at, min: it.min, mean: it.mean, max: it.max, boot: false, hour: true });
        }
        let since = ms(since).max(edge.saturating_mul(HOUR_MS));
        let inside = |kept: &&Kept| kept.host == host && kept.at >= since && kept.at < ms(until);
        let mut list: Vec<&Kept> = self.samples.values().filter(inside).collect();
        list.sort_by_key(|kept| kept.at);
        for kept in list {
            let mut seen: Vec<(&str, &str)> = Vec::new();
            for reading in kept.sample.readings.iter().filter(|reading| wanted(&reading.metric)) {
                let name = (reading.metric.as_str(), reading.item.as_str());
                if !seen.contains(&name) {
                    seen.push(name);
                    each(name.0, name.1, Point::new(time(kept.at), reading.value));
                }
            }
        }
    }
}
