//! Sorting that stays small: std's sorts bring 4 KB of program for each type that they sort, and the probe sorts many.

use std::cmp::Ordering;

/// Sorts; equal elements keep their order.
pub fn sort<T: Ord>(list: &mut [T]) {
    sort_by(list, T::cmp);
}

/// Sorts by a comparison; equal elements keep their order.
pub fn sort_by<T>(list: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let mut places = places(list.len(), &|a, b| compare(&list[a], &list[b]));
    // Each round of places that take from each other is gone through once.
    for start in 0..places.len() {
        let mut here = start;
        loop {
            let from = std::mem::replace(&mut places[here], here);
            if from == start {
                break;
            }
            list.swap(here, from);
            here = from;
        }
    }
}

/// For each place of the sorted list, where its element stands now. The one sort for all types.
fn places(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    places.sort_unstable_by(|&a, &b| compare(a, b).then(a.cmp(&b)));
    places
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sorts_as_std_does(list: Vec<u8>) {
            let (mut ours, mut stds) = (list.clone(), list.clone());
            sort(&mut ours);
            stds.sort();
            prop_assert_eq!(ours, stds);
            // With their places: equal ones keep their order.
            let mut ours: Vec<(usize, u8)> = list.into_iter().enumerate().collect();
            let mut stds = ours.clone();
            sort_by(&mut ours, |a, b| (b.1 / 16).cmp(&(a.1 / 16)));
            stds.sort_by_key(|b| std::cmp::Reverse(b.1 / 16));
            prop_assert_eq!(ours, stds);
        }
    }
}
