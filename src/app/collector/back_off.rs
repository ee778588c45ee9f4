//! After a refused login a host is left alone for a while: OpenSSH's PerSourcePenalties punish those who hurry.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::cause::Cause;
use crate::model::fleet::{Attempt, Outcome};
use crate::store::{Result, Store};

/// The first wait; it doubles with each further refusal.
const FIRST: TimeDelta = TimeDelta::minutes(5);
/// The longest wait.
const LONGEST: TimeDelta = TimeDelta::hours(1);
/// Attempts that are looked back at: more refusals than this do not make the wait longer.
const LOOK_BACK: usize = 64;

/// The hosts to leave alone now, each with a text for people.
pub fn held(store: &dyn Store, now: DateTime<Utc>) -> Result<HashMap<String, String>> {
    let mut held = HashMap::new();
    for host in store.now()? {
        let refused = host.attempt.as_ref().is_some_and(|attempt| cause(attempt).is_some_and(counts));
        if refused && let Some(until) = until(&store.attempts(&host.host, LOOK_BACK)?, now) {
            let at = until.format("%H:%M:%S");
            held.insert(host.host, format!("the login was refused; the next attempt is after {at} UTC"));
        }
    }
    Ok(held)
}

fn counts(cause: Cause) -> bool {
    matches!(cause, Cause::Authentication | Cause::BackOff)
}

fn cause(attempt: &Attempt) -> Option<Cause> {
    match attempt.outcome {
        Outcome::Collected => None,
        Outcome::Failed { cause, .. } => Some(cause),
    }
}

/// When the next attempt may be, if that is after `now`; `attempts` newest first.
fn until(attempts: &[Attempt], now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let refusals: Vec<&Attempt> = attempts
        .iter()
        .take_while(|attempt| cause(attempt).is_some_and(counts))
        .filter(|attempt| cause(attempt) == Some(Cause::Authentication))
        .collect();
    let last = refusals.first()?.at;
    let doublings = u32::try_from(refusals.len() - 1).unwrap_or(u32::MAX).min(10);
    let until = last + (FIRST * 2_i32.pow(doublings)).min(LONGEST);
    // A clock that was set back must not hold a host for longer than the longest wait.
    (until > now && last <= now).then_some(until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job::Traffic;

    fn attempt(minute: i64, cause: Option<Cause>) -> Attempt {
        let outcome = match cause {
            Some(cause) => Outcome::Failed { cause, text: String::new() },
            None => Outcome::Collected,
        };
        let at = DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
        Attempt { host: "a".into(), at, took: std::time::Duration::ZERO, outcome, traffic: Traffic::default() }
    }

    fn minutes(attempts: &[Attempt], now: i64) -> Option<i64> {
        until(attempts, DateTime::UNIX_EPOCH + TimeDelta::minutes(now)).map(|at| at.timestamp() / 60)
    }

    #[test]
    fn waits_double_up_to_an_hour_and_rows_of_the_wait_do_not_count() {
        let refused = |minute| attempt(minute, Some(Cause::Authentication));
        let waited = |minute| attempt(minute, Some(Cause::BackOff));
        assert_eq!(minutes(&[refused(10)], 11), Some(15));
        assert_eq!(minutes(&[refused(10)], 15), None);
        assert_eq!(minutes(&[waited(25), refused(20), waited(15), refused(10)], 26), Some(30));
        let many: Vec<Attempt> = (0..20).rev().map(|n| refused(n * 100)).collect();
        assert_eq!(minutes(&many, 1901), Some(1960));
    }

    #[test]
    fn a_success_or_another_failure_ends_the_wait() {
        assert_eq!(minutes(&[attempt(11, None), attempt(10, Some(Cause::Authentication))], 12), None);
        assert_eq!(minutes(&[attempt(11, Some(Cause::Refused)), attempt(10, Some(Cause::Authentication))], 12), None);
    }

    #[test]
    fn a_clock_set_back_holds_nothing() {
        assert_eq!(minutes(&[attempt(10_000, Some(Cause::Authentication))], 12), None);
    }
}
