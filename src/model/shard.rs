//! Parts of a fleet that several collectors divide among themselves by nothing but the names of the hosts.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

/// More collectors than anybody runs; a slip of the finger stays below it.
pub const MOST: u32 = 1000;

/// One part of several, as `2/5` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    /// From 1 on.
    number: u32,
    /// Parts in all.
    of: u32,
}

impl Shard {
    /// Part `number` of `of`, where there is one.
    #[must_use]
    pub fn new(number: u32, of: u32) -> Option<Self> {
        (1..=of).contains(&number).then_some(Self { number, of }).filter(|_| of <= MOST)
    }

    /// The part that a host belongs to when there are so many. It hangs on the host's name alone, so that no host moves
    /// when others come or go; of `of` and one more parts, one host in `of + 1` belongs elsewhere.
    #[must_use]
    pub fn of_host(host: &str, of: u32) -> Self {
        let of = of.clamp(1, MOST);
        Self { number: jump(hash(host), of) + 1, of }
    }

    /// Whether a host is in this part.
    #[must_use]
    pub fn holds(self, host: &str) -> bool {
        Self::of_host(host, self.of) == self
    }

    /// Parts in all.
    #[must_use]
    pub fn of(self) -> u32 {
        self.of
    }

    /// Every part of so many.
    pub fn all(of: u32) -> impl Iterator<Item = Self> {
        (1..=of.min(MOST)).map(move |number| Self { number, of })
    }
}

/// What should run, out of all that ran: the newest says into how many parts the fleet is divided, and of each part, or of
/// the whole, comes the newest; `None` where a part never ran. Empty where nothing ever did. Of equals the first counts.
pub fn running<'a, T>(
    all: &'a [T],
    shard: impl Fn(&T) -> Option<Shard>,
    at: impl Fn(&T) -> DateTime<Utc>,
) -> Vec<(Option<Shard>, Option<&'a T>)> {
    let newest = |wanted: Option<Shard>| all.iter().rev().filter(|it| shard(it) == wanted).max_by_key(|it| at(it));
    match all.iter().rev().max_by_key(|it| at(it)).map(&shard) {
        None => Vec::new(),
        Some(None) => vec![(None, newest(None))],
        Some(Some(part)) => Shard::all(part.of).map(|part| (Some(part), newest(Some(part)))).collect(),
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let parts = text.split_once('/').and_then(|(number, of)| Some((whole(number)?, whole(of)?)));
        let Some((number, of)) = parts else {
            return Err("is no part of a fleet; the second of five is 2/5".to_owned());
        };
        if of == 0 || of > MOST {
            return Err(format!("a fleet has 1 to {MOST} parts; the second of five is 2/5"));
        }
        Self::new(number, of).ok_or_else(|| format!("the parts of {of} are 1/{of} to {of}/{of}"))
    }
}

/// FNV-1a with a finaliser that spreads it over all bits. What it gives decides which collector visits a host, so it never
/// changes.
fn hash(text: &str) -> u64 {
    let mut hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// Jump consistent hash (Lamping and Veach): a place below `of` that stays or becomes the last one when `of` grows by one.
fn jump(mut key: u64, of: u32) -> u32 {
    let (mut place, mut next) = (0_u32, 0_f64);
    while next < f64::from(of) {
        place = next as u32;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        next = (f64::from(place) + 1.0) * ((1_u64 << 31) as f64 / ((key >> 33) + 1) as f64);
    }
    place
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_part_is_refused_with_what_would_be_one() {
        let said = |text: &str| text.parse::<Shard>().map_err(|text| text.clone());
        assert_eq!(said("2/5").unwrap().to_string(), "2/5");
        for outside in ["0/5", "6/5", "4294967295/5"] {
            assert_eq!(said(outside).unwrap_err(), "the parts of 5 are 1/5 to 5/5");
        }
        for (wrong, part) in
            [("1/0", "1 to 1000"), ("1/1001", "1 to 1000"), ("5", "2/5"), ("", "2/5"), ("+1/5", "2/5"), ("a/b", "2/5")]
        {
            assert!(said(wrong).unwrap_err().contains(part), "{wrong}");
        }
        assert!(said("1/99999999999999").unwrap_err().contains("2/5"));
    }

    #[test]
    fn the_newest_says_how_the_fleet_is_divided() {
        let at = |it: &(&str, i64)| DateTime::from_timestamp(it.1, 0).unwrap();
        let shown = |all: &[(&str, i64)]| -> Vec<String> {
            let part = |it: &(&str, i64)| it.0.parse().ok();
            let list = running(all, part, at).into_iter();
            list.map(|(shard, it)| format!("{shard:?} {:?}", it.map(|it| it.1)).replace("Some", "")).collect()
        };
        assert_eq!(shown(&[]), [""; 0]);
        assert_eq!(shown(&[("1/2", 5), ("", 9), ("", 7), ("2/2", 8)]), ["None (9)"]);
        let two = [("", 5), ("1/3", 6), ("2/2", 8), ("2/2", 9), ("3/3", 2)];
        let part = |number| format!("(Shard {{ number: {number}, of: 2 }})");
        assert_eq!(shown(&two), [format!("{} None", part(1)), format!("{} (9)", part(2))]);
    }

    /// Written down once: another answer would move hosts between collectors of two versions.
    #[test]
    fn a_host_stays_where_it_is_from_version_to_version() {
        let places: Vec<u32> = (0..12).map(|n| Shard::of_host(&format!("web{n}"), 5).number).collect();
        assert_eq!(places, [3, 5, 4, 2, 3, 3, 3, 2, 2, 3, 3, 5]);
    }

    #[test]
    fn parts_are_about_as_large_as_each_other() {
        for of in [2, 5, 16] {
            let mut sizes = vec![0_u32; of as usize];
            for n in 0..5000 {
                sizes[Shard::of_host(&format!("host-{n}.example.net"), of).number as usize - 1] += 1;
            }
            let mean = 5000 / of;
            assert!(sizes.iter().all(|size| *size > mean * 4 / 5 && *size < mean * 6 / 5), "{sizes:?}");
        }
    }

    proptest! {
        #[test]
        fn each_host_is_in_one_part_and_a_part_more_takes_only_its_share(
            hosts in prop::collection::hash_set("[a-z0-9.-]{1,20}", 1..60), of in 1_u32..40,
        ) {
            for host in &hosts {
                let holding: Vec<Shard> = Shard::all(of).filter(|shard| shard.holds(host)).collect();
                prop_assert_eq!(holding.len(), 1);
                let (before, after) = (holding[0].number, Shard::of_host(host, of + 1).number);
                prop_assert!(after == before || after == of + 1, "{} moved from {} to {}", host, before, after);
            }
        }
    }
}
