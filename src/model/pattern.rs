//! Patterns in configuration and on the command line: `*` stands for any text, `?` for one character.

/// Whether the whole text fits the pattern. Never recurses and keeps one point of return only, so that no pattern,
/// however hostile, takes longer than the product of the two lengths.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (mut rest, mut left) = (pattern, text);
    // What follows the last `*`, and the text that this `*` has not swallowed yet.
    let mut again: Option<(&str, &str)> = None;
    loop {
        let mut wanted = rest.chars();
        match wanted.next() {
            Some('*') => {
                rest = wanted.as_str();
                if rest.is_empty() {
                    return true;
                }
                again = Some((rest, left));
                continue;
            }
            Some(want) => {
                let mut given = left.chars();
                match given.next() {
                    Some(have) if want == '?' || want == have => {
                        rest = wanted.as_str();
                        left = given.as_str();
                        continue;
                    }
                    Some(_) => {}
                    // The text is used up and something is still wanted: a longer `*` does not help.
                    None => return false,
                }
            }
            None if left.is_empty() => return true,
            None => {}
        }
        let Some((after, from)) = again else { return false };
        let mut longer = from.chars();
        if longer.next().is_none() {
            return false;
        }
        rest = after;
        left = longer.as_str();
        again = Some((after, left));
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text) in [
            ("*", ""),
            ("", ""),
            ("web*", "web01"),
            ("*", "/var/lib"),
            ("/snap/*", "/snap/core/1"),
            ("w?b", "wäb"),
            ("*b*d", "abcd"),
            ("**a", "aa"),
            ("a*a", "aa"),
            ("*/data", "/srv/data/data"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("web", "web01"),
            ("web?", "web"),
            ("/snap/*", "/snap"),
            ("a*a", "a"),
            ("*b", "abc"),
            ("?", ""),
            ("WEB", "web"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_the_product() {
        let pattern = "*a".repeat(1000);
        let text = "a".repeat(999) + "b";
        assert!(!matches(&pattern, &text));
    }

    proptest::proptest! {
        #[test]
        fn a_text_fits_itself_and_every_star_made_of_it(text in "[a-c/.é]{0,12}", from in 0usize..12, to in 0usize..12) {
            proptest::prop_assert!(matches(&text, &text));
            let chars: Vec<char> = text.chars().collect();
            let (from, to) = (from.min(chars.len()), to.min(chars.len()));
            if from <= to {
                let start: String = chars[..from].iter().collect();
                let end: String = chars[to..].iter().collect();
                let pattern = format!("{start}*{end}");
                proptest::prop_assert!(matches(&pattern, &text));
            }
        }

        #[test]
        fn nothing_panics(pattern in ".{0,40}", text in ".{0,40}") {
            let _ = matches(&pattern, &text);
        }
    }
}
