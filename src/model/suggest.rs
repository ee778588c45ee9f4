//! "Did you mean": the nearest of the words that are right.

/// How many characters to add, drop, change or swap with a neighbour.
#[must_use]
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let mut best = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + usize::from(a[i - 1] != b[j - 1]));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// The nearest word, if it is near enough to be meant.
#[must_use]
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_ascii_lowercase();
    let long = typed.chars().count();
    known
        .into_iter()
        // A word that is much longer or shorter is not meant, whatever its letters.
        .filter(|word| {
            let other = word.chars().count();
            other.abs_diff(long) <= (other.max(long) / 3).max(1)
        })
        .map(|word| (distance(&typed, &word.to_ascii_lowercase()), word))
        .min_by_key(|(far, _)| *far)
        .filter(|(far, word)| *far <= (word.chars().count().max(typed.chars().count()) / 3).max(1))
        .map(|(_, word)| word)
}

/// `did you mean "x"?` with the nearest of the known words, or the fallback where none is near.
#[must_use]
pub fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>, fallback: &str) -> String {
    nearest(typed, known).map_or_else(|| fallback.to_owned(), |word| format!("did you mean \"{word}\"?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_not() {
        assert_eq!(distance("cpu.sued", "cpu.used"), 1);
        assert_eq!(nearest("adress", ["name", "address"]), Some("address"));
        assert_eq!(nearest("cpu.usage", ["cpu.used", "memory.used"]), Some("cpu.used"));
        assert_eq!(nearest("zzz", ["name", "address"]), None);
        assert_eq!(nearest("x", []), None);
    }
}
