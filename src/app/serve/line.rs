//! Which connections are open, and which of them goes when there are too many.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::task::AbortHandle;

/// Connections at once.
pub const MOST: usize = 64;

#[derive(Default)]
struct Open {
    next: u64,
    lines: HashMap<u64, State>,
}

struct State {
    /// Where it comes from; of IPv6 the network, for who has one has as many addresses as they like.
    from: IpAddr,
    /// Its answer is being made: that it waits is our doing.
    asked: bool,
    /// When it last did something: was taken, asked, or was answered.
    moved: Instant,
    task: Option<AbortHandle>,
}

/// Every open connection.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Open>>);

/// One connection; dropped with it.
pub struct Line {
    lines: Lines,
    id: u64,
}

impl Open {
    /// The line that goes: of those who hold most, so that who opens many loses their own; of theirs the one that has done
    /// nothing for longest, and before those that wait for us.
    fn dawdler(&self) -> Option<u64> {
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for line in self.lines.values() {
            *held.entry(line.from).or_default() += 1;
        }
        let most = held.values().max();
        let theirs = self.lines.iter().filter(|(_, line)| held.get(&line.from) == most);
        theirs.min_by_key(|(_, line)| (line.asked, line.moved)).map(|(id, _)| *id)
    }
}

fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        four => four,
    }
}

impl Lines {
    fn with<T>(&self, work: impl FnOnce(&mut Open) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One more. Where that is one too many, another one ends: whoever opens lines and dawdles loses them, and who comes to
    /// ask is served.
    pub fn open(&self, peer: IpAddr) -> Line {
        let from = network(peer);
        let id = self.with(|open| {
            if open.lines.len() >= MOST
                && let Some(id) = open.dawdler()
                && let Some(State { task: Some(task), .. }) = open.lines.remove(&id)
            {
                task.abort();
            }
            open.next += 1;
            open.lines.insert(open.next, State { from, asked: false, moved: Instant::now(), task: None });
            open.next
        });
        Line { lines: self.clone(), id }
    }

    /// How the task of a line is ended.
    pub fn held_by(&self, id: u64, task: AbortHandle) {
        self.with(|open| {
            if let Some(line) = open.lines.get_mut(&id) {
                line.task = Some(task);
            }
        });
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.with(|open| open.lines.len())
    }
}

impl Line {
    /// Its number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// It asks, and waits for us from now on.
    pub fn asks(&self) {
        self.moves(true);
    }

    /// It has its answer, and we wait for it from now on.
    pub fn answered(&self) {
        self.moves(false);
    }

    fn moves(&self, asked: bool) {
        self.lines.with(|open| {
            if let Some(line) = open.lines.get_mut(&self.id) {
                (line.asked, line.moved) = (asked, Instant::now());
            }
        });
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.lines.with(|open| open.lines.remove(&self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_dawdles_longest_goes_first() {
        let lines = Lines::default();
        let one: IpAddr = "10.0.0.1".parse().unwrap();
        let mut held: Vec<Line> = (0..MOST).map(|_| lines.open(one)).collect();
        held[0].answered();
        held[1].asks();
        let more: Vec<Line> = (0..MOST - 1).map(|_| lines.open(one)).collect();
        assert_eq!(lines.count(), MOST);
        let there = |line: &Line| lines.with(|open| open.lines.contains_key(&line.id()));
        assert!(!there(&held[0]) && !there(&held[2]), "done, and never asked");
        assert!(there(&held[1]), "it waits for us");
        assert!(more.iter().all(there));
        drop(more);
        held.clear();
        assert_eq!(lines.count(), 0);
    }

    #[test]
    fn who_opens_many_loses_their_own() {
        let lines = Lines::default();
        let six = |n: usize| format!("2001:db8:0:7::{n:x}").parse().unwrap();
        let quiet = lines.open("10.0.0.1".parse().unwrap());
        let many: Vec<Line> = (0..3 * MOST).map(|n| lines.open(six(n))).collect();
        assert!(lines.with(|open| open.lines.contains_key(&quiet.id())), "it did nothing for longest, and is but one");
        assert_eq!(lines.count(), MOST);
        assert!(lines.with(|open| open.lines.contains_key(&many[3 * MOST - 1].id())));
    }
}
