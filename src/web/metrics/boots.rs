//! When each host was started, as a number that stands still while a boot lasts.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What was reckoned of a boot may differ by this much: the moment of a sample and its uptime are read one after the other.
/// More is a clock that was set.
const LOOSE: f64 = 1.0;

/// A boot, and the second in which it began.
type Boot = (String, f64);

/// The boots that were told of, by host. What was told first stands: reckoned anew from each sample, and rounded, a boot
/// near half a second would jump between two numbers, and each jump would look like a start.
#[derive(Debug, Default)]
pub struct Boots(Mutex<HashMap<String, Boot>>);

impl Boots {
    /// For a whole answer.
    pub fn told(&self) -> Told<'_> {
        Told(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The boots in the hands of one answer.
pub struct Told<'a>(MutexGuard<'a, HashMap<String, Boot>>);

impl Told<'_> {
    /// The second in which a boot began, by what was reckoned from its newest sample.
    pub fn second(&mut self, host: &str, boot: &str, reckoned: f64) -> f64 {
        match self.0.get(host) {
            Some((known, second)) if known == boot && (reckoned - second).abs() <= LOOSE => *second,
            _ => {
                let second = reckoned.round();
                self.0.insert(host.to_owned(), (boot.to_owned(), second));
                second
            }
        }
    }

    /// Forgets hosts that are no more, once there are more than there should be.
    pub fn keep<'a>(&mut self, hosts: impl ExactSizeIterator<Item = &'a str>) {
        if self.0.len() > hosts.len() {
            let known: HashSet<&str> = hosts.collect();
            self.0.retain(|host, _| known.contains(host.as_str()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_has_one_second_until_the_clock_is_set() {
        let boots = Boots::default();
        let mut told = boots.told();
        let reckoned = [100.49, 100.51, 100.48, 101.0, 99.2];
        assert_eq!(reckoned.map(|it| told.second("a", "x", it)), [100.0; 5]);
        assert_eq!(told.second("b", "x", 100.51), 101.0, "each host has its own");
        assert_eq!(told.second("a", "y", 100.51), 101.0, "another boot");
        drop(told);
        let mut told = boots.told();
        assert_eq!([102.6, 102.4].map(|it| told.second("a", "y", it)), [103.0; 2], "the clock was set");
        told.keep(["b"].into_iter());
        assert_eq!((told.second("b", "x", 100.4), told.second("a", "y", 102.4)), (101.0, 102.0));
    }
}
