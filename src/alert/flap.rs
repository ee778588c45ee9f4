//! Flapping: a problem that opens and closes again and again is told once and then waited out.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

/// Opens and closes within [`SPAN`] that start it.
pub const STARTS: usize = 6;
/// Opens and closes within [`SPAN`] that end it.
pub const ENDS: usize = 2;
/// What is looked at.
pub const SPAN: TimeDelta = TimeDelta::hours(2);
/// How far back opens and closes matter: over it flapping begins anew.
pub const MEMORY: TimeDelta = TimeDelta::hours(24);

/// Whether a subject with these opens and closes flaps now. Depends on nothing but event times: it is never stored.
#[must_use]
pub fn flapping(changes: &[DateTime<Utc>], now: DateTime<Utc>) -> bool {
    let mut times: Vec<DateTime<Utc>> = changes.iter().copied().filter(|at| *at <= now && now - *at < MEMORY).collect();
    times.sort_unstable();
    let mut flaps = false;
    let mut recent = VecDeque::new();
    // What leaves the span ends flapping as surely as what enters starts it.
    let age = |recent: &mut VecDeque<DateTime<Utc>>, at: DateTime<Utc>, flaps: &mut bool| {
        while recent.front().is_some_and(|first| at - *first >= SPAN) {
            recent.pop_front();
            if recent.len() <= ENDS {
                *flaps = false;
            }
        }
    };
    for at in times {
        age(&mut recent, at, &mut flaps);
        recent.push_back(at);
        flaps |= recent.len() >= STARTS;
    }
    age(&mut recent, now, &mut flaps);
    flaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + minutes * 60, 0).unwrap()
    }
    fn flaps(minutes: &[i64], now: i64) -> bool {
        flapping(&minutes.iter().map(|m| at(*m)).collect::<Vec<_>>(), at(now))
    }

    #[test]
    fn six_in_two_hours_start_it_and_two_end_it() {
        let five = [0, 10, 20, 30, 40];
        assert!(!flaps(&five, 45));
        let six = [0, 10, 20, 30, 40, 50];
        assert!(flaps(&six, 50));
        // Three are left at 2 h 29: still flapping; two at 2 h 30: over.
        assert!(flaps(&six, 149) && !flaps(&six, 150));
        assert!(!flaps(&[0, 30, 60, 90, 119, 120], 120), "six, but not within two hours");
        assert!(flaps(&[0, 30, 60, 90, 110, 119], 119));
        // Old rows that arrive today are no flapping of today.
        assert!(!flaps(&six, 1000));
    }
}
