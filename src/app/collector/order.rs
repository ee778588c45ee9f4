//! Whose turn comes when in a sweep.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::model::turn::Standing;

/// Where a host stands in the queue; the least comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It had no turn in the last sweep: who waits longest comes first, and before all others who never had one. So no host
    /// waits for ever, however short the sweeps.
    Waited(Option<DateTime<Utc>>),
    /// It had: who takes longest begins first, so that nobody holds up the end of the sweep alone. Hosts that are about as
    /// quick as each other, within a factor of two, are equal, so that chance gives them other neighbours in each sweep.
    Quick(u32),
}

fn rank(standing: Option<&Standing>, last: Option<DateTime<Utc>>) -> Rank {
    let Some(turn) = standing.and_then(|standing| standing.turn.as_ref()) else { return Rank::Waited(None) };
    if last.is_some_and(|began| turn.at < began) {
        return Rank::Waited(Some(turn.at));
    }
    Rank::Quick(turn.took.as_millis().leading_zeros())
}

/// Puts hosts into the order of their turns; equals stay as they come, so they should come shuffled. `last` is when the last
/// sweep over these hosts began.
pub fn order<T>(
    hosts: &mut [T],
    name: impl Fn(&T) -> &str,
    standings: &HashMap<&str, &Standing>,
    last: Option<DateTime<Utc>>,
) {
    hosts.sort_by_cached_key(|host| rank(standings.get(name(host)).copied(), last));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;
    use crate::model::turn::{Strikes, Turn};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn standing(host: &str, turn: Option<(i64, u64)>) -> Standing {
        let turn = turn.map(|(ended, took)| Turn { at: at(ended), took: Duration::from_millis(took), cause: None });
        Standing { host: host.to_owned(), turn, strikes: Strikes::default() }
    }

    fn ordered(mut hosts: Vec<&str>, standings: &[Standing], last: Option<i64>) -> String {
        let known = standings.iter().map(|standing| (standing.host.as_str(), standing)).collect();
        order(&mut hosts, |host| host, &known, last.map(at));
        hosts.join(" ")
    }

    #[test]
    fn who_had_no_turn_comes_first_and_then_who_is_slow() {
        let known = [
            standing("quick", Some((101, 90))),
            standing("hangs", Some((120, 20_000))),
            standing("quick-too", Some((102, 120))),
            standing("slow", Some((103, 3_000))),
            standing("waited", Some((40, 5))),
            standing("waited-longer", Some((30, 50))),
            standing("never", None),
        ];
        let hosts = vec!["quick", "waited", "new", "slow", "quick-too", "never", "hangs", "waited-longer"];
        let sorted = ordered(hosts.clone(), &known, Some(100));
        assert_eq!(sorted, "new never waited-longer waited hangs slow quick quick-too");
        // Where no sweep is known, only who never had a turn goes first.
        let sorted = ordered(hosts, &known, None);
        assert_eq!(sorted, "new never hangs slow quick quick-too waited-longer waited");
    }

    proptest! {
        /// Whatever the sweeps are cut to, each host has its turn again after at most as many of them as it takes to reach
        /// all, and one more.
        #[test]
        fn nobody_starves(took in prop::collection::vec(1_u64..30_000, 1..30), each in 1_usize..8) {
            let names: Vec<String> = (0..took.len()).map(|n| format!("h{n}")).collect();
            let mut turns: Vec<Option<i64>> = vec![None; took.len()];
            let (mut last, most) = (None, took.len().div_ceil(each) + 1);
            for sweep in 0..40_i64 {
                let known: Vec<Standing> = names
                    .iter()
                    .zip(&turns)
                    .zip(&took)
                    .map(|((name, turn), took)| standing(name, turn.map(|at| (at, *took))))
                    .collect();
                let by_name = known.iter().map(|it| (it.host.as_str(), it)).collect();
                let mut queue: Vec<(usize, &str)> = names.iter().map(String::as_str).enumerate().collect();
                order(&mut queue, |host| host.1, &by_name, last.map(at));
                for (place, (host, _)) in queue.into_iter().take(each).enumerate() {
                    turns[host] = Some(sweep * 1000 + place as i64 + 1);
                }
                last = Some(sweep * 1000);
                let oldest = (sweep + 1 - most as i64) * 1000;
                prop_assert!(oldest < 0 || turns.iter().all(|turn| turn.is_some_and(|turn| turn >= oldest)));
            }
        }
    }
}
