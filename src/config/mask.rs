//! Keeps what may be a secret out of the lines that error texts quote.

use std::ops::Range;

use crate::model::suggest::distance;

/// Attribute names whose values are secrets; names that look like them are treated alike, for a typing error must not
/// print a password.
const SECRET: &[&str] = &["password", "passphrase", "passwd", "secret", "token", "password-hash"];

/// A line as it may be shown.
pub(super) struct Masked {
    pub text: String,
    /// Characters before the caret.
    pub caret: usize,
    pub carets: usize,
}

/// The text of a line, secrets replaced, and where `place` went in it.
pub(super) fn line(text: &str, line: Range<usize>, place: Range<usize>, secrets: &[Range<usize>]) -> Masked {
    // Nobody reads a line of a megabyte: what is far from the place is left out.
    let mut from = line.start.max(place.start.saturating_sub(1000)).min(text.len());
    while !text.is_char_boundary(from) {
        from -= 1;
    }
    let until = line.end.min(place.start.saturating_add(2000));
    let mut shown = String::new();
    let (mut caret, mut last, mut masked) = (None, 0, None);
    for (offset, c) in text[from..].char_indices() {
        let at = from + offset;
        if at >= until {
            break;
        }
        if at >= place.start && caret.is_none() {
            caret = Some(shown.chars().count());
        }
        let next = secrets.partition_point(|range| range.end <= at);
        if secrets.get(next).is_some_and(|range| range.contains(&at)) {
            if masked != Some(next) {
                shown.push_str("***");
                masked = Some(next);
            }
        } else {
            shown.push(c);
        }
        if at < place.end {
            last = shown.chars().count();
        }
    }
    let caret = caret.unwrap_or_else(|| shown.chars().count());
    Masked { text: shown, caret, carets: last.saturating_sub(caret) }
}

/// Byte ranges of values that may be secrets. Works on the bare text, for it serves damaged files too.
pub(super) fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let word = word_at(bytes, at);
        if word > at {
            let value = value_after(bytes, word);
            if !value.is_empty() && looks_secret(&text[at..word]) {
                at = value.end;
                found.push(value);
                continue;
            }
            at = word;
        } else if text.is_char_boundary(at) && text[at..].starts_with("://") {
            let start = at + 3;
            let host = bytes[start..].iter().position(|b| b" \t\r\n\"'<>/".contains(b)).unwrap_or(bytes.len() - start);
            if let Some(login) = bytes[start..start + host].iter().rposition(|&b| b == b'@') {
                found.push(start..start + login);
            }
            at = start;
        } else {
            at += 1;
        }
    }
    found
}

/// The end of the name that starts here; the same place where none starts.
fn word_at(bytes: &[u8], at: usize) -> usize {
    let length = bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')).count();
    at + length
}

fn looks_secret(word: &str) -> bool {
    if word.len() > 24 || word.len() < 4 {
        return false;
    }
    let word = word.to_ascii_lowercase();
    if ["-file", "-env", "-command", "-credential"].iter().any(|end| word.ends_with(end)) {
        return false;
    }
    word.starts_with("pass")
        || SECRET.iter().any(|secret| word.ends_with(secret) || distance(&word, secret) <= secret.len() / 3)
}

/// The quoted text after `=`, or what follows up to a space where the quotes were forgotten.
fn value_after(bytes: &[u8], mut at: usize) -> Range<usize> {
    let blank = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_whitespace);
    while blank(at) {
        at += 1;
    }
    if bytes.get(at) != Some(&b'=') {
        return at..at;
    }
    at += 1;
    while blank(at) {
        at += 1;
    }
    let rest = &bytes[at.min(bytes.len())..];
    match rest.first() {
        Some(&quote @ (b'"' | b'\'')) => {
            let length = rest[1..].iter().position(|&b| b == quote).unwrap_or(rest.len() - 1);
            at + 1..at + 1 + length
        }
        _ => {
            let length = rest.iter().position(|b| b.is_ascii_whitespace() || *b == b'>').unwrap_or(rest.len());
            at..at + length
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_however_they_are_mistyped() {
        for text in [
            "<smtp password=\"hunter2\" x=\"1\"/>",
            "<smtp password='hunter2'/>",
            "<smtp pasword = \"hunter2\"/>",
            "<smtp Passwort=\"hunter2\"/>",
            "<smtp smtp-password=\"hunter2\"/>",
            "<smtp password=hunter2 />",
            "<smtp password=\"hunter2",
            "<store url=\"postgres://fleet:hunter2@db/fleet\"/>",
        ] {
            let masked = line(text, 0..text.len(), 1..5, &secrets(text));
            assert!(!masked.text.contains("hunter"), "{}", masked.text);
            assert!(masked.text.contains("***"), "{}", masked.text);
        }
        let text = "<smtp password-file=\"/etc/pw\" path=\"/x\"/>";
        assert_eq!(line(text, 0..text.len(), 1..5, &secrets(text)).text, text);
    }

    #[test]
    fn the_caret_moves_with_the_mask() {
        let text = "<a password=\"longer than three\" pots=\"1\"/>";
        let start = text.find("pots").unwrap();
        let masked = line(text, 0..text.len(), start..start + 4, &secrets(text));
        assert_eq!(&masked.text[masked.caret..masked.caret + masked.carets], "pots");
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in ".{0,60}", a in 0usize..60, b in 0usize..60) {
            let _ = line(&text, 0..text.len(), a..b, &secrets(&text));
        }
    }
}
