//! As many points as pixels.

use chrono::{DateTime, Utc};

use crate::model::fleet::{Point, Steps};

/// At most `most` points over `[since, until)`, evenly wide: those that share one keep their least, mean and greatest, at
/// the time of the first.
#[must_use]
pub fn thin(points: Vec<Point>, since: DateTime<Utc>, until: DateTime<Utc>, most: usize) -> Vec<Point> {
    if points.len() <= most || most == 0 {
        return points;
    }
    let span = (until - since).num_milliseconds().max(1) as f64;
    let place = |at: DateTime<Utc>| {
        let part = (at - since).num_milliseconds() as f64 / span;
        // A share of the span, at most `most`: it fits.
        ((part * most as f64).max(0.0) as usize).min(most - 1)
    };
    let steps = Steps::of(&points);
    let mut thinned: Vec<(usize, Point, f64)> = Vec::with_capacity(most);
    for point in points {
        let (at, weight) = (place(point.at), steps.weight(&point));
        match thinned.last_mut().filter(|(last, ..)| *last == at) {
            Some((_, shared, all)) => {
                shared.min = shared.min.min(point.min);
                shared.max = shared.max.max(point.max);
                *all += weight;
                shared.mean += (point.mean - shared.mean) * weight / *all;
                shared.boot |= point.boot;
                shared.hour |= point.hour;
            }
            None => thinned.push((at, point, weight)),
        }
    }
    thinned.into_iter().map(|(_, point, _)| point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_stay_and_points_are_few() {
        let at = |second: i64| DateTime::from_timestamp(1_789_992_000 + second, 0).unwrap();
        let mut points: Vec<Point> = (0..10_000).map(|n| Point::new(at(n), 1.0)).collect();
        points[5_000] = Point::new(at(5_000), 99.0);
        let thinned = thin(points.clone(), at(0), at(10_000), 300);
        assert_eq!(thinned.len(), 300);
        assert!(thinned.windows(2).all(|pair| pair[0].at < pair[1].at));
        assert!(thinned.iter().any(|point| point.max == 99.0 && point.min == 1.0 && point.mean < 5.0));
        assert!((thinned[0].mean - 1.0).abs() < 1e-12);
        assert_eq!(thin(points.clone(), at(0), at(10_000), 10_000), points);
        let mixed = [Point { hour: true, ..Point::new(at(0), 1.0) }, Point { hour: true, ..Point::new(at(3600), 1.0) }];
        let mixed: Vec<Point> = mixed.into_iter().chain((24..48).map(|n| Point::new(at(n * 300), 4.0))).collect();
        assert!((thin(mixed, at(0), at(14_400), 1)[0].mean - 2.5).abs() < 1e-9);
        // All at one moment, and outside of the span.
        assert_eq!(thin(vec![Point::new(at(5), 1.0); 9], at(0), at(0), 2).len(), 1);
    }
}
