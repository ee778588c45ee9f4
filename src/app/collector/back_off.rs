//! Hosts that are left alone for a while: those that refused the login, because OpenSSH's PerSourcePenalties punish who
//! hurries, and those that behave as no honest host does, so that they cost the others nothing (design/trust.md, A12).
//!
//! The store counts such failures as they are written down, so that a sweep is planned with one look at each host, however
//! many of them wait and for how long.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::cause::Cause;
use crate::model::turn::Standing;

/// The first wait; it doubles with each further failure of the kind.
const FIRST: TimeDelta = TimeDelta::minutes(5);
/// The longest wait.
const LONGEST: TimeDelta = TimeDelta::hours(1);
/// A host that hangs may be a busy one: it is left alone only when it hung this often in a row.
const PATIENCE: u32 = 3;

/// The hosts to leave alone now, each with a text for people.
pub fn held(standings: &[Standing], now: DateTime<Utc>) -> HashMap<String, String> {
    let text = |standing: &Standing| {
        let (until, why) = until(standing, now)?;
        let at = until.format("%H:%M:%S");
        Some(format!("the last attempt ended with {why}; the next one is after {at} UTC"))
    };
    standings.iter().filter_map(|standing| Some((standing.host.clone(), text(standing)?))).collect()
}

/// When the next attempt may be and for what cause, if that is after `now`.
fn until(standing: &Standing, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Cause)> {
    // The last turn was the last strike: any other would have wiped them out.
    let turn = standing.turn.as_ref()?;
    let (last, why) = (turn.at, turn.cause?);
    // Before hangs weigh, there must be some: the first of them are free.
    let free = if standing.strikes.refused { 1 } else { PATIENCE };
    let doublings = standing.strikes.count.checked_sub(free)?.min(10);
    let until = last + (FIRST * 2_i32.pow(doublings)).min(LONGEST);
    // A clock that was set back must not hold a host for longer than the longest wait.
    (until > now && last <= now).then_some((until, why))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::fleet::Outcome;
    use crate::model::turn::{Strikes, Turn};

    /// When the wait ends, in minutes, after attempts that ended at such minutes in such ways.
    fn minutes(attempts: &[(i64, Option<Cause>)], now: i64) -> Option<i64> {
        let mut standing = Standing { host: "a".into(), turn: None, strikes: Strikes::default() };
        for (minute, cause) in attempts {
            let outcome = match *cause {
                Some(cause) => Outcome::Failed { cause, text: String::new() },
                None => Outcome::Collected,
            };
            if let Some(strikes) = standing.strikes.after(&outcome) {
                let at = DateTime::UNIX_EPOCH + TimeDelta::minutes(*minute);
                standing.turn = Some(Turn { at, took: Duration::ZERO, cause: *cause });
                standing.strikes = strikes;
            }
        }
        until(&standing, DateTime::UNIX_EPOCH + TimeDelta::minutes(now)).map(|(at, _)| at.timestamp() / 60)
    }

    #[test]
    fn waits_double_up_to_an_hour_and_rows_of_the_wait_do_not_count() {
        let refused = |minute| (minute, Some(Cause::Authentication));
        let waited = |minute| (minute, Some(Cause::BackOff));
        assert_eq!(minutes(&[refused(10)], 11), Some(15));
        assert_eq!(minutes(&[refused(10)], 15), None);
        assert_eq!(minutes(&[refused(10), waited(15), refused(20), waited(25)], 26), Some(30));
        let many: Vec<_> = (0..20).map(|n| refused(n * 100)).collect();
        assert_eq!(minutes(&many, 1901), Some(1960));
    }

    #[test]
    fn floods_and_lies_count_at_once_and_hangs_when_they_go_on() {
        for hostile in [Cause::Oversize, Cause::BadEnvelope, Cause::Undecryptable] {
            assert_eq!(minutes(&[(10, Some(hostile))], 11), Some(15));
            let again = [(10, Some(hostile)), (15, Some(Cause::BackOff)), (20, Some(hostile))];
            assert_eq!(minutes(&again, 21), Some(30));
        }
        let hung = |minute| (minute, Some(Cause::Deadline));
        assert_eq!(minutes(&[hung(5), hung(10)], 11), None);
        assert_eq!(minutes(&[hung(5), hung(10), (15, Some(Cause::Handshake))], 16), Some(20));
        assert_eq!(minutes(&[hung(5), hung(10), hung(15), hung(25)], 26), Some(35));
    }

    #[test]
    fn a_success_or_another_failure_ends_the_wait_and_a_sweep_that_was_cut_short_does_not() {
        let refused = (10, Some(Cause::Authentication));
        assert_eq!(minutes(&[refused, (11, None)], 12), None);
        assert_eq!(minutes(&[refused, (11, Some(Cause::Refused))], 12), None);
        assert_eq!(minutes(&[refused, (11, Some(Cause::SweepDeadline))], 12), Some(15));
    }

    #[test]
    fn a_clock_set_back_holds_nothing() {
        assert_eq!(minutes(&[(10_000, Some(Cause::Authentication))], 12), None);
    }
}
