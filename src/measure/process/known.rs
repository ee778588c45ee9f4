//! What processes had used by an earlier sample, so that shares of the time between are exact.

use std::fmt::Write as _;

use super::super::text::{lines, whole, words};
use crate::model::order;

/// The most processes that are remembered; those that have used most stay.
const MOST: usize = 8192;
/// The most bytes of the file.
pub(crate) const MAX_BYTES: u64 = 1 << 20;

/// One process at an earlier time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) pid: u32,
    /// Clock ticks after boot: the same number is another process later, with another start.
    pub(super) start: u64,
    pub(super) ticks: u64,
    /// Bytes read and written; `None` where nobody may say.
    pub(super) io: Option<u64>,
    /// Since when it has been blocked without using any time, in milliseconds after boot; 0 where it is not.
    pub(super) blocked: u64,
}

/// What the processes of a boot had used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processes {
    /// Milliseconds since boot when they were read.
    pub at_millis: u64,
    /// By number.
    pub(super) list: Vec<Known>,
}

impl Processes {
    /// Remembers.
    pub(super) fn new(at_millis: u64, mut list: Vec<Known>) -> Self {
        if list.len() > MOST {
            order::sort_by(&mut list, |a, b| b.ticks.cmp(&a.ticks));
            list.truncate(MOST);
        }
        order::sort_by(&mut list, |a, b| a.pid.cmp(&b.pid));
        Self { at_millis, list }
    }

    /// What was known of a process.
    pub(super) fn find(&self, pid: u32, start: u64) -> Option<&Known> {
        let at = self.list.binary_search_by_key(&pid, |one| one.pid).ok()?;
        self.list.get(at).filter(|one| one.start == start)
    }

    /// The file's bytes: a line for each.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\n", self.at_millis);
        for one in &self.list {
            let io = one.io.map_or_else(|| "-".to_owned(), |io| io.to_string());
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{} {} {} {io} {}", one.pid, one.start, one.ticks, one.blocked);
        }
        text.into_bytes()
    }

    /// From the file's bytes; a damaged file is as none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = lines(bytes);
        let at_millis = whole(lines.next()?)?;
        let mut list = Vec::new();
        for line in lines.take(MOST) {
            let mut words = words(line);
            let mut next = || words.next();
            let (pid, start, ticks, io, blocked) = (next()?, next()?, next()?, next()?, next()?);
            let pid = u32::try_from(whole(pid)?).ok()?;
            let io = if io == b"-" { None } else { Some(whole(io)?) };
            list.push(Known { pid, start: whole(start)?, ticks: whole(ticks)?, io, blocked: whole(blocked)? });
        }
        order::sort_by(&mut list, |a, b| a.pid.cmp(&b.pid));
        Some(Self { at_millis, list })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known(pid: u32, ticks: u64) -> Known {
        Known { pid, start: 5, ticks, io: pid.is_multiple_of(2).then_some(7), blocked: 0 }
    }

    #[test]
    fn what_is_kept_comes_back_and_damage_is_as_none() {
        let all = Processes::new(1000, vec![known(9, 1), known(2, 0)]);
        assert_eq!(Processes::parse(&all.bytes()), Some(all.clone()));
        assert_eq!(all.find(9, 5).map(|one| one.ticks), Some(1));
        assert_eq!(all.find(9, 6), None, "the number was given again");
        for bad in [&b""[..], b"x\n", b"5\n1 2 3", b"5\n1 2 3 4 x\n", b"\xff"] {
            assert_eq!(Processes::parse(bad), None);
        }
    }

    #[test]
    fn of_very_many_those_that_used_most_stay_and_fit_the_file() {
        let all = Processes::new(u64::MAX, (0..100_000).map(|n| known(u32::MAX - n, u64::from(n) << 40)).collect());
        assert_eq!(all.list.len(), MOST);
        assert!(all.find(u32::MAX - 99_999, 5).is_some() && all.find(u32::MAX, 5).is_none());
        assert!((all.bytes().len() as u64) < MAX_BYTES);
    }

    proptest! {
        #[test]
        fn any_file_is_something_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Processes::parse(&bytes);
        }
    }
}
