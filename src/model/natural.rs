//! The order in which people expect names.

use std::cmp::Ordering;

/// A name, ordered so that digits count as numbers and letters stand together in either case: `web2` before `Web10`.
/// Names that differ are never equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Natural<'a>(pub &'a str);

impl Ord for Natural<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut left, mut right) = (self.0, other.0);
        while let (Some(one), Some(two)) = (left.chars().next(), right.chars().next()) {
            let step = if one.is_ascii_digit() && two.is_ascii_digit() {
                let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
                let ((own, rest), (their, after)) = (left.split_at(digits(left)), right.split_at(digits(right)));
                (left, right) = (rest, after);
                let (own, their) = (own.trim_start_matches('0'), their.trim_start_matches('0'));
                own.len().cmp(&their.len()).then_with(|| own.cmp(their))
            } else {
                left = left.get(one.len_utf8()..).unwrap_or_default();
                right = right.get(two.len_utf8()..).unwrap_or_default();
                one.to_lowercase().cmp(two.to_lowercase())
            };
            if step.is_ne() {
                return step;
            }
        }
        left.len().cmp(&right.len()).then_with(|| self.0.cmp(other.0))
    }
}

impl PartialOrd for Natural<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_the_order_of_their_numbers() {
        let mut names = ["web10", "web2", "web02", "Web1", "db", "web", "99999999999999999999999", "Ärger", "ärger2"];
        names.sort_by_key(|name| Natural(name));
        let wanted = ["99999999999999999999999", "db", "web", "Web1", "web02", "web2", "web10", "Ärger", "ärger2"];
        assert_eq!(names, wanted);
    }

    proptest::proptest! {
        #[test]
        fn the_order_is_one(a in "[aAä0-2]{0,5}", b in "[aAä0-2]{0,5}", c in "[aAä0-2]{0,5}") {
            let (a, b, c) = (Natural(&a), Natural(&b), Natural(&c));
            proptest::prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            proptest::prop_assert_eq!(a.cmp(&b).is_eq(), a == b);
            if a < b && b < c {
                proptest::prop_assert!(a < c);
            }
        }
    }
}
