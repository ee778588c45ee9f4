//! When what is left will be used up: the median of the slopes between all points of some hours (Theil and Sen), which a
//! clean-up or a burst does not move as it moves a line of least squares.

/// Seconds of history that a forecast looks at.
pub const SPAN: f64 = 6.0 * 3600.0;
/// With less history than this, in seconds, nothing is foretold.
const LEAST: f64 = 3600.0;
/// The most points that are compared, each with each: the work has a bound whatever the interval of the samples.
const POINTS: usize = 36;
/// Where nothing fills up, or not within a year: the greatest forecast there is, in seconds.
pub const FAR: f64 = 365.0 * 86_400.0;

/// Seconds until the value is zero, from points (seconds, what is left) in the order of time; at most [`FAR`]. `None`
/// where less than an hour is known.
#[must_use]
pub fn until_zero(points: &[(f64, f64)]) -> Option<f64> {
    let &(now, left) = points.last()?;
    let recent = points.get(points.partition_point(|(at, _)| *at < now - SPAN)..)?;
    let first = recent.first()?.0;
    if now - first < LEAST {
        return None;
    }
    let thin = thinned(recent, first, now);
    let mut slopes: Vec<f64> = Vec::with_capacity(thin.len() * thin.len() / 2);
    for (n, (at, value)) in thin.iter().enumerate() {
        let later = thin.iter().skip(n + 1).filter(|(then, _)| then > at);
        slopes.extend(later.map(|(then, other)| (other - value) / (then - at)));
    }
    let middle = slopes.len() / 2;
    if slopes.is_empty() {
        return None;
    }
    let (_, slope, _) = slopes.select_nth_unstable_by(middle, f64::total_cmp);
    if *slope >= 0.0 {
        return Some(FAR);
    }
    Some((left.max(0.0) / -*slope).min(FAR))
}

/// At most [`POINTS`] of them, evenly over the time: the last of each of as many spans.
fn thinned(points: &[(f64, f64)], first: f64, last: f64) -> Vec<(f64, f64)> {
    if points.len() <= POINTS {
        return points.to_vec();
    }
    let place = |at: f64| (((at - first) / (last - first) * POINTS as f64) as usize).min(POINTS - 1);
    let mut thin: Vec<(f64, f64)> = Vec::with_capacity(POINTS);
    let mut filled = None;
    for &(at, value) in points {
        if filled.replace(place(at)) == Some(place(at)) {
            thin.pop();
        }
        thin.push((at, value));
    }
    thin
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIB: f64 = 1_073_741_824.0;

    fn points(hours: f64, every: f64, value: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        let count = (hours * 3600.0 / every) as usize;
        (0..=count).map(|n| n as f64 * every).map(|at| (1e9 + at, value(at / 3600.0))).collect()
    }

    #[test]
    fn a_steady_fall_ends_when_it_says() {
        let steady = points(6.0, 300.0, |hour| (16.0 - hour) * GIB);
        assert!((until_zero(&steady).unwrap() - 36_000.0).abs() < 1.0);
        assert_eq!(until_zero(&points(6.0, 300.0, |_| 5.0 * GIB)), Some(FAR));
        assert_eq!(until_zero(&points(6.0, 300.0, |hour| (5.0 + hour) * GIB)), Some(FAR));
        assert_eq!(until_zero(&points(6.0, 300.0, |hour| (1e6 - hour) * GIB)), Some(FAR));
    }

    #[test]
    fn one_burst_one_clean_up_and_one_wild_value_move_nothing() {
        let burst = points(6.0, 300.0, |hour| if hour > 5.5 { 1.0 } else { 10.0 } * GIB);
        assert_eq!(until_zero(&burst), Some(FAR));
        let cleaned = points(6.0, 300.0, |hour| (10.0 - hour + if hour > 5.0 { 2.0 } else { 0.0 }) * GIB);
        let seconds = until_zero(&cleaned).unwrap();
        assert!((18_000.0..36_000.0).contains(&seconds), "{seconds}");
        let mut wild = points(6.0, 300.0, |hour| (16.0 - hour) * GIB);
        wild[40].1 = 900.0 * GIB;
        assert!((until_zero(&wild).unwrap() - 36_000.0).abs() < 600.0);
    }

    #[test]
    fn little_history_tells_nothing_and_old_history_does_not_count() {
        assert_eq!(until_zero(&[]), None);
        assert_eq!(until_zero(&points(0.9, 300.0, |hour| (3.0 - hour) * GIB)), None);
        assert!(until_zero(&points(1.0, 300.0, |hour| (3.0 - hour) * GIB)).is_some());
        // It fell for eighteen hours and has been still for the last six.
        let still = points(24.0, 300.0, |hour| (30.0 - hour.min(18.0)) * GIB);
        assert_eq!(until_zero(&still), Some(FAR));
    }

    proptest! {
        #[test]
        fn any_history_gives_a_time_within_bounds(
            list in prop::collection::vec((0u32..100_000, 0.0f64..1e15), 0..400),
        ) {
            let mut points: Vec<(f64, f64)> = list.into_iter().map(|(at, value)| (f64::from(at), value)).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            if let Some(seconds) = until_zero(&points) {
                prop_assert!((0.0..=FAR).contains(&seconds));
            }
            prop_assert!(points.is_empty() || thinned(&points, points[0].0, points[points.len() - 1].0).len() <= POINTS);
        }
    }
}
