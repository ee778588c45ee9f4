//! Hosts that are left alone for a while: those that refused the login, because OpenSSH's PerSourcePenalties punish who
//! hurries, and those that behave as no honest host does, so that they cost the others nothing (design/trust.md, A12).

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::cause::Cause;
use crate::model::fleet::{Attempt, Outcome};
use crate::store::{Result, Store};

/// The first wait; it doubles with each further failure of the kind.
const FIRST: TimeDelta = TimeDelta::minutes(5);
/// The longest wait.
const LONGEST: TimeDelta = TimeDelta::hours(1);
/// Attempts that are looked back at: more failures than this do not make the wait longer.
const LOOK_BACK: usize = 256;
/// A host that hangs may be a busy one: it is left alone only when it hung this often in a row.
const PATIENCE: usize = 3;

/// The hosts to leave alone now, each with a text for people.
pub fn held(store: &dyn Store, now: DateTime<Utc>) -> Result<HashMap<String, String>> {
    let mut held = HashMap::new();
    for last in store.tried()? {
        let counting = cause(&last).is_some_and(counts);
        if counting && let Some((until, why)) = until(&store.attempts(&last.host, LOOK_BACK)?, now) {
            let at = until.format("%H:%M:%S");
            held.insert(last.host, format!("the last attempt ended with {why}; the next one is after {at} UTC"));
        }
    }
    Ok(held)
}

fn counts(cause: Cause) -> bool {
    cause == Cause::BackOff || refuses(cause) || hangs(cause)
}

fn refuses(cause: Cause) -> bool {
    matches!(cause, Cause::Authentication | Cause::Oversize | Cause::BadEnvelope | Cause::Undecryptable)
}

/// Holds a thread for as long as a visit may take.
fn hangs(cause: Cause) -> bool {
    matches!(cause, Cause::Handshake | Cause::Deadline)
}

fn cause(attempt: &Attempt) -> Option<Cause> {
    match attempt.outcome {
        Outcome::Collected => None,
        Outcome::Failed { cause, .. } => Some(cause),
    }
}

/// When the next attempt may be and for what cause, if that is after `now`; `attempts` newest first.
fn until(attempts: &[Attempt], now: DateTime<Utc>) -> Option<(DateTime<Utc>, Cause)> {
    let failures: Vec<(DateTime<Utc>, Cause)> = attempts
        .iter()
        .map_while(|attempt| Some((attempt.at, cause(attempt).filter(|cause| counts(*cause))?)))
        .filter(|(_, cause)| *cause != Cause::BackOff)
        .collect();
    let &(last, why) = failures.first()?;
    // Before hangs weigh, there must be some: the first of them are free.
    let free = if failures.iter().any(|(_, cause)| refuses(*cause)) { 1 } else { PATIENCE };
    let doublings = u32::try_from(failures.len().checked_sub(free)?).unwrap_or(u32::MAX).min(10);
    let until = last + (FIRST * 2_i32.pow(doublings)).min(LONGEST);
    // A clock that was set back must not hold a host for longer than the longest wait.
    (until > now && last <= now).then_some((until, why))
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
        until(attempts, DateTime::UNIX_EPOCH + TimeDelta::minutes(now)).map(|(at, _)| at.timestamp() / 60)
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
    fn floods_and_lies_count_at_once_and_hangs_when_they_go_on() {
        for hostile in [Cause::Oversize, Cause::BadEnvelope, Cause::Undecryptable] {
            assert_eq!(minutes(&[attempt(10, Some(hostile))], 11), Some(15));
            let again = [attempt(20, Some(hostile)), attempt(15, Some(Cause::BackOff)), attempt(10, Some(hostile))];
            assert_eq!(minutes(&again, 21), Some(30));
        }
        let hung = |minute| attempt(minute, Some(Cause::Deadline));
        assert_eq!(minutes(&[hung(10), hung(5)], 11), None);
        assert_eq!(minutes(&[attempt(15, Some(Cause::Handshake)), hung(10), hung(5)], 16), Some(20));
        assert_eq!(minutes(&[hung(25), hung(15), hung(10), hung(5)], 26), Some(35));
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
