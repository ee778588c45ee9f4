//! How points become a series, alike for every backend: hours and whole samples in order, and where a boot is between.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::shape::{HOUR_MS, time};
use crate::model::fleet::{Point, Series};

/// The metric that tells, hour by hour, whether a host booted.
pub(super) const UPTIME: &str = "uptime";

/// The hours (of those that are kept of [`UPTIME`], ascending, with least and greatest value) before which a boot may
/// stand: those that an uptime begins anew in, and those after an hour that may hold two boots. An hour keeps no boot
/// id; without any uptime nothing is known, so every hour counts.
pub(super) fn boot_hours(hours: impl Iterator<Item = (i64, f64, f64)>) -> BTreeMap<i64, bool> {
    let mut found = BTreeMap::new();
    let mut before: Option<(i64, f64, f64)> = None;
    for (hour, least, greatest) in hours {
        let mixed = |it: (i64, f64, f64)| it.1 < HOUR_MS as f64 / 1000.0;
        let apart = |from: i64| hour.saturating_sub(from).saturating_sub(1) as f64 * (HOUR_MS as f64 / 1000.0);
        let anew = before.is_none_or(|before| least < before.2 || least < apart(before.0) || mixed(before));
        found.insert(hour, anew);
        before = Some((hour, least, greatest));
    }
    found
}

/// Points as they are gathered, hours first, and the boot that each belongs to.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    points: BTreeMap<String, Vec<(Point, Of)>>,
}

/// Where a point comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// An hour, and whether a boot may stand before it.
    Hour(bool),
    /// A whole sample of this boot.
    Boot(i64),
}

impl Gathered {
    /// An hour of an item; `boots` is what [`boot_hours`] tells.
    pub fn hour(&mut self, item: String, hour: i64, it: (f64, f64, f64), boots: &BTreeMap<i64, bool>) {
        let (min, mean, max) = it;
        let point = Point { at: time(hour.saturating_mul(HOUR_MS)), min, mean, max, boot: false, hour: true };
        let anew = boots.get(&hour).copied().unwrap_or(true);
        self.points.entry(item).or_default().push((point, Of::Hour(anew)));
    }

    /// A reading of a sample of the boot with this number.
    pub fn reading(&mut self, item: &str, at: DateTime<Utc>, value: f64, boot: i64) {
        let point = (Point::new(at, value), Of::Boot(boot));
        match self.points.get_mut(item) {
            Some(points) => points.push(point),
            None => drop(self.points.insert(item.to_owned(), vec![point])),
        }
    }

    /// The series, oldest point first. Between an hour and a whole sample nothing is known of boots.
    pub fn series(self) -> Vec<Series> {
        let one = |(item, mut points): (String, Vec<(Point, Of)>)| {
            points.sort_by_key(|(point, _)| point.at);
            let mut before = None;
            let points = points.into_iter().map(|(point, of)| {
                let boot = match (before.replace(of), of) {
                    (None, _) => false,
                    (Some(Of::Hour(_)), Of::Hour(anew)) => anew,
                    (Some(Of::Boot(old)), Of::Boot(new)) => old != new,
                    _ => true,
                };
                Point { boot, ..point }
            });
            Series { item, points: points.collect() }
        };
        self.points.into_iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_tells_a_boot_by_its_uptime() {
        let up = |hour: i64, from: f64, to: f64| (hour, from * 3600.0, to * 3600.0);
        let told = |hours: &[(i64, f64, f64)]| boot_hours(hours.iter().copied()).into_values().collect::<Vec<bool>>();
        assert_eq!(told(&[up(10, 5.0, 5.9), up(11, 6.0, 6.9), up(14, 9.0, 9.9)]), [true, false, false]);
        // Booted in the second hour: what it holds is of two boots, so the step after it is not told either.
        assert_eq!(told(&[up(10, 5.0, 5.9), up(11, 0.1, 6.4), up(12, 0.5, 1.4), up(13, 1.5, 2.4)])[1..3], [true, true]);
        // Long away, and longer up than before: the time between says it.
        assert_eq!(told(&[up(10, 1.0, 1.9), up(50, 20.0, 20.9), up(51, 21.0, 21.9)]), [true, true, false]);
    }
}
