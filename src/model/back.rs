//! Looking back through what is numbered, newest first: in parts, until enough fits.

/// The parts after the first, which is as large as what is wanted. Together they bound what one question may cost.
const PARTS: &[usize] = &[1000, 20_000];

/// What a look back found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Back<T> {
    /// What fits, newest first.
    pub found: Vec<T>,
    /// How many were looked through for it.
    pub looked: usize,
    /// The number before which a next look goes on; `None` where nothing is left.
    pub older: Option<i64>,
    /// It ended before enough was found, though there is more.
    pub cut: bool,
}

/// Looks for at most `most` that fit, before a number or from the newest. `read` gives at most so many before a number,
/// newest first.
///
/// # Errors
/// Those of `read`.
pub fn look<T, E>(
    mut before: Option<i64>,
    most: usize,
    mut read: impl FnMut(Option<i64>, usize) -> Result<Vec<T>, E>,
    number: impl Fn(&T) -> i64,
    fits: impl Fn(&T) -> bool,
) -> Result<Back<T>, E> {
    let (mut found, mut looked): (Vec<T>, usize) = (Vec::new(), 0);
    // One more tells whether there is more.
    for part in std::iter::once(most.saturating_add(1)).chain(PARTS.iter().copied()) {
        let list = read(before, part)?;
        let last = list.len() < part;
        for it in list {
            if !fits(&it) {
                before = Some(number(&it));
            } else if found.len() == most {
                return Ok(Back { looked, older: before, cut: false, found });
            } else {
                before = Some(number(&it));
                found.push(it);
            }
            looked += 1;
        }
        if last {
            return Ok(Back { looked, older: None, cut: false, found });
        }
    }
    Ok(Back { looked, older: before, cut: true, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks through numbers up to `newest`; what was read is counted.
    fn through(newest: i64, before: Option<i64>, most: usize, fits: impl Fn(&i64) -> bool) -> (Back<i64>, usize) {
        let mut asked = 0;
        let read = |before: Option<i64>, most: usize| {
            asked += 1;
            let from = before.map_or(newest, |before| newest.min(before - 1));
            Ok::<_, ()>((1..=from).rev().take(most).collect())
        };
        let back = look(before, most, read, |it| *it, fits).unwrap();
        (back, asked)
    }

    #[test]
    fn what_fits_is_found_far_behind_what_does_not() {
        let (back, asked) = through(9000, None, 100, |it| *it == 7);
        assert_eq!((back.found, back.older, back.cut, back.looked, asked), (vec![7], None, false, 9000, 3));
    }

    #[test]
    fn every_one_is_found_once_from_look_to_look() {
        let (mut before, mut all, mut looks) = (None, Vec::new(), 0);
        loop {
            let (back, _) = through(50_000, before, 3, |it| it % 9973 == 0 || *it > 49_994);
            all.extend(back.found);
            looks += 1;
            before = back.older;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(all, [50_000, 49_999, 49_998, 49_997, 49_996, 49_995, 49_865, 39_892, 29_919, 19_946, 9973]);
        assert!(looks < 9, "{looks}");
    }

    #[test]
    fn a_look_is_bounded_and_says_where_it_ended() {
        let (back, asked) = through(1_000_000, None, 100, |_| false);
        assert_eq!((back.looked, back.older, back.cut, asked), (21_101, Some(1_000_000 - 21_100), true, 3));
    }

    #[test]
    fn as_many_as_are_wanted_and_no_more_are_all() {
        let (back, asked) = through(100, None, 100, |_| true);
        assert_eq!((back.found.len(), back.older, asked), (100, None, 1));
        let (back, asked) = through(101, None, 100, |_| true);
        assert_eq!((back.found.len(), back.older, back.cut, asked), (100, Some(2), false, 1));
        assert_eq!(through(101, Some(2), 100, |_| true).0.found, [1]);
        assert!(through(0, None, 100, |_| true).0.found.is_empty());
    }
}
