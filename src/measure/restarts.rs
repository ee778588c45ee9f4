//! How often systemd restarted services of late. It counts since their start only, so that each measurement remembers the
//! counts for the next: of the last quarter of an hour, however often the host is visited.

use serde::{Deserialize, Serialize};

/// What is late, in milliseconds.
const WINDOW: u64 = 900_000;
/// Looks that are nearer to each other than this, in milliseconds, are not all remembered.
const APART: u64 = 60_000;
/// The most services whose counts are remembered.
const MOST: usize = 32;

/// The counts of one look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    at_millis: u64,
    counts: Vec<(String, u64)>,
    /// Not all could be asked: of a service that is not named nothing is known.
    #[serde(default)]
    full: bool,
}

impl Look {
    fn of(&self, unit: &str) -> Option<u64> {
        let named = self.counts.iter().find(|(other, _)| other == unit).map(|(_, count)| *count);
        named.or((!self.full).then_some(0))
    }
}

/// The counts of restarts that earlier measurements of a boot saw, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarts(Vec<Look>);

impl Restarts {
    /// Adds what was counted now, with only those services that were restarted at all, and says how many restarts each
    /// had within the last quarter of an hour. Nothing where nobody looked before: then it is not known. `full` says that
    /// more services than these could not be asked.
    pub(super) fn look(&mut self, at_millis: u64, mut counts: Vec<(String, u64)>, full: bool) -> Vec<(String, u64)> {
        // The uptime went back: not of this boot.
        if self.0.last().is_some_and(|last| last.at_millis > at_millis) {
            self.0.clear();
        }
        let full = full || counts.len() > MOST;
        counts.truncate(MOST);
        let now = Look { at_millis, counts, full };
        let late =
            now.counts.iter().filter_map(|(unit, count)| Some((unit.clone(), self.since(unit, *count, at_millis)?)));
        let late = late.collect();
        let near = |last: &Look, before: Option<&Look>| {
            at_millis - last.at_millis < APART && before.is_some_and(|before| last.at_millis - before.at_millis < APART)
        };
        let length = self.0.len();
        if self.0.last().is_some_and(|last| near(last, length.checked_sub(2).and_then(|at| self.0.get(at)))) {
            self.0.pop();
        }
        self.0.push(now);
        let window = at_millis.saturating_sub(WINDOW);
        // One look from before the window stays: what came since then is counted from it.
        let from = self.0.partition_point(|look| look.at_millis <= window).saturating_sub(1);
        self.0.drain(..from);
        late
    }

    /// The sum of the steps, which a count that began anew does not make less. Where the last look was long ago, its
    /// share of the time counts: twelve in an hour are three in a quarter. Looks that did not ask the service tell nothing of
    /// it; where there are no others, neither does this one.
    fn since(&self, unit: &str, count: u64, at_millis: u64) -> Option<u64> {
        let window = at_millis.saturating_sub(WINDOW);
        let from = self.0.partition_point(|look| look.at_millis <= window).saturating_sub(1);
        let known = self.0.get(from..)?.iter().filter_map(|look| Some((look.at_millis, look.of(unit)?)));
        let known: Vec<(u64, u64)> = known.collect();
        let (first, _) = known.first()?;
        let counts: Vec<u64> = known.iter().map(|(_, count)| *count).chain([count]).collect();
        let sum = counts.windows(2).fold(0_u64, |sum, pair| {
            let (before, after) = (pair[0], pair[1]);
            sum.saturating_add(after.checked_sub(before).unwrap_or(after))
        });
        let long = (at_millis - first).max(WINDOW);
        // Half a restart counts as one.
        u64::try_from((u128::from(sum) * u128::from(WINDOW) + u128::from(long) / 2) / u128::from(long)).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: u64 = 60_000;

    fn look(past: &mut Restarts, minute: u64, count: u64) -> Option<u64> {
        let counts = if count == 0 { vec![] } else { vec![("a.service".to_owned(), count)] };
        past.look(1_000_000 + minute * MINUTE, counts, false).first().map(|(_, late)| *late)
    }

    /// Three in a quarter of an hour, though each sweep sees one only.
    #[test]
    fn restarts_of_several_sweeps_are_summed_and_those_of_long_ago_are_forgotten() {
        let mut past = Restarts::default();
        assert_eq!(look(&mut past, 0, 7), None, "nobody looked before");
        assert_eq!(look(&mut past, 5, 8), Some(1));
        assert_eq!(look(&mut past, 10, 9), Some(2));
        assert_eq!(look(&mut past, 15, 10), Some(3));
        assert_eq!(look(&mut past, 20, 10), Some(2));
        assert_eq!((look(&mut past, 25, 10), look(&mut past, 30, 10)), (Some(1), Some(0)));
        assert!(past.0.len() <= 4, "{past:?}");
    }

    #[test]
    fn a_count_that_began_anew_a_first_restart_and_a_long_gap() {
        let mut past = Restarts::default();
        look(&mut past, 0, 0);
        assert_eq!(look(&mut past, 5, 2), Some(2), "it had none before");
        assert_eq!(look(&mut past, 10, 1), Some(3), "started by hand in between: the count began anew");
        let mut past = Restarts::default();
        look(&mut past, 0, 0);
        assert_eq!(look(&mut past, 60, 12), Some(3), "twelve in an hour");
        assert_eq!(past.look(5, vec![], false), [], "another boot");
        assert_eq!(look(&mut past, 0, 4), Some(4));
    }

    /// Sixteen of seventeen are asked; the one that was restarted fifty times long ago comes and goes among them.
    #[test]
    fn what_could_not_be_asked_is_not_known_to_be_none() {
        let at = |minute: u64| 1_000_000 + minute * MINUTE;
        let old = |count: u64| vec![("old.service".to_owned(), count)];
        let mut past = Restarts::default();
        past.look(at(0), vec![], true);
        assert_eq!(past.look(at(5), old(51), true), [], "it was not asked before");
        assert_eq!(past.look(at(10), old(52), true), [("old.service".to_owned(), 1)]);
        past.look(at(15), vec![], true);
        assert_eq!(
            past.look(at(19), old(53), true),
            [("old.service".to_owned(), 2)],
            "that it was left out is no step"
        );
        // All were asked, and it had none.
        let mut past = Restarts::default();
        past.look(at(0), vec![], false);
        past.look(at(5), vec![], true);
        assert_eq!(past.look(at(10), old(2), true), [("old.service".to_owned(), 2)]);
        // What an earlier version wrote down.
        let earlier: Restarts = serde_json::from_str(r#"[{"at_millis":5,"counts":[]}]"#).unwrap();
        assert!(!earlier.0[0].full);
    }

    #[test]
    fn looks_one_after_the_other_do_not_pile_up() {
        let mut past = Restarts::default();
        for n in 0..2000 {
            past.look(n * 1000, vec![("a.service".to_owned(), n)], false);
        }
        assert!(past.0.len() < 20, "{}", past.0.len());
        let late = past.look(2_000_000, vec![("a.service".to_owned(), 2000)], false);
        assert!((900..1000).contains(&late[0].1), "{late:?}");
    }

    /// The file of the state has room for 256 KiB, of which processors take 32.
    #[test]
    fn what_is_remembered_is_bounded() {
        let mut past = Restarts::default();
        for n in 0..500 {
            past.look(n * 20_000, (0..99).map(|unit| (format!("{unit:-<247}.service"), u64::MAX)).collect(), false);
        }
        let bytes = serde_json::to_vec(&past).unwrap().len();
        assert!((50_000..200_000).contains(&bytes), "{bytes}");
    }

    proptest! {
        #[test]
        fn no_past_stops_it(at in any::<u64>(), before in any::<u64>(), count in any::<u64>(), was in any::<u64>()) {
            let unit = || "a".to_owned();
            let mut past = Restarts(vec![Look { at_millis: before, counts: vec![(unit(), was)], full: false }]);
            past.look(at, vec![(unit(), count)], false);
            past.look(at, vec![(unit(), was)], true);
        }
    }
}
