//! Guessing passwords is slow: so many failures for an address and for a name, then a wait.

use std::collections::HashMap;
use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};

use super::Attempt;
use crate::web::response::Trouble;

/// Failures are counted over this span, and forgotten after it.
const SPAN: TimeDelta = TimeDelta::minutes(15);
/// Failures from one address (of IPv6 from one /64).
const OF_ADDRESS: u32 = 10;
/// Failures for one name, from wherever; more, so that a stranger does not so easily lock somebody out.
const OF_USER: u32 = 30;
/// Addresses and names that are remembered.
const MOST: usize = 10_000;

#[derive(Debug)]
struct Failures {
    count: u32,
    since: DateTime<Utc>,
}

impl Failures {
    /// Whether the span is over. Where the clock was set back nobody knows, and nobody is to wait for hours.
    fn over(&self, now: DateTime<Utc>) -> bool {
        now < self.since || self.since + SPAN <= now
    }
}

/// Failures by address and by name.
#[derive(Debug, Default)]
pub struct Brake(HashMap<String, Failures>);

fn keys(attempt: &Attempt<'_>) -> [(String, u32); 2] {
    let address = match attempt.peer.to_canonical() {
        IpAddr::V4(four) => four.to_string(),
        IpAddr::V6(six) => format!("{:x?}", six.segments().get(..4)),
    };
    // Long names are cut: nobody fills the memory with them.
    let user: String = attempt.user.chars().take(64).collect();
    [(format!("address {address}"), OF_ADDRESS), (format!("user {user}"), OF_USER)]
}

impl Brake {
    /// Whether the attempt may be made at all.
    pub fn check(&self, attempt: &Attempt<'_>) -> Result<(), Trouble> {
        for (key, most) in keys(attempt) {
            let Some(found) = self.0.get(&key).filter(|found| found.count >= most) else { continue };
            let left = (found.since + SPAN - attempt.now).num_seconds();
            if !found.over(attempt.now) {
                let text = format!("too many failures; try again in {} min", left / 60 + 1);
                return Err(Trouble::new(429, text).with("retry-after", left.to_string()));
            }
        }
        Ok(())
    }

    /// Name or password was wrong.
    pub fn failed(&mut self, attempt: &Attempt<'_>) {
        for (key, _) in keys(attempt) {
            if self.0.len() >= MOST && !self.0.contains_key(&key) {
                self.0.retain(|_, failures| !failures.over(attempt.now));
                if self.0.len() >= MOST
                    && let Some(oldest) = self.0.iter().min_by_key(|(_, it)| it.since).map(|(key, _)| key.clone())
                {
                    self.0.remove(&oldest);
                }
            }
            let failures = self.0.entry(key).or_insert(Failures { count: 0, since: attempt.now });
            if failures.over(attempt.now) {
                *failures = Failures { count: 0, since: attempt.now };
            }
            failures.count += 1;
        }
    }

    /// Both were right: failures before it were typing errors.
    pub fn passed(&mut self, attempt: &Attempt<'_>) {
        for (key, _) in keys(attempt) {
            self.0.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt<'a>(peer: &str, user: &'a str, seconds: i64) -> Attempt<'a> {
        let now = DateTime::from_timestamp(1_789_992_000 + seconds, 0).unwrap();
        Attempt { peer: peer.parse().unwrap(), user, password: "", now }
    }

    #[test]
    fn an_address_is_stopped_and_others_are_not() {
        let mut brake = Brake::default();
        for n in 0..10 {
            let name = format!("u{n}");
            assert!(brake.check(&attempt("10.0.0.1", &name, n)).is_ok());
            brake.failed(&attempt("10.0.0.1", &name, n));
        }
        let said = brake.check(&attempt("10.0.0.1", "new", 20)).unwrap_err();
        assert_eq!(said.status, 429);
        assert_eq!(said.headers, [("retry-after", "880".to_owned())]);
        assert!(brake.check(&attempt("::ffff:10.0.0.1", "new", 20)).is_err(), "the same address");
        assert!(brake.check(&attempt("10.0.0.2", "new", 20)).is_ok());
        assert!(brake.check(&attempt("10.0.0.1", "new", 900)).is_ok(), "after the span");
        assert!(brake.check(&attempt("10.0.0.1", "new", -3600)).is_ok(), "the clock was set back");
    }

    #[test]
    fn a_name_is_protected_from_many_addresses_and_a_success_forgets() {
        let mut brake = Brake::default();
        for n in 0..30 {
            let peer = format!("2001:db8:0:{n:x}::1");
            assert!(brake.check(&attempt(&peer, "ops", 0)).is_ok());
            brake.failed(&attempt(&peer, "ops", 0));
        }
        assert!(brake.check(&attempt("10.9.9.9", "ops", 0)).is_err());
        assert!(brake.check(&attempt("10.9.9.9", "dba", 0)).is_ok());
        brake.passed(&attempt("10.9.9.9", "ops", 0));
        assert!(brake.check(&attempt("10.9.9.9", "ops", 0)).is_ok());
    }

    #[test]
    fn memory_is_bounded() {
        let mut brake = Brake::default();
        for n in 0..(MOST + 500) {
            brake.failed(&attempt("10.0.0.1", &format!("user{n}"), i64::try_from(n / 100).unwrap()));
        }
        assert!(brake.0.len() <= MOST);
    }
}
