//! CLEAN: what every text from a client machine passes once, where its payload is decoded (design/trust.md).

/// The longest text that is kept, in bytes.
pub const MAX_TEXT: usize = 255;

/// True for characters that could steer a terminal, a mail or a page, or turn text around: C0, DEL, C1,
/// line and paragraph separators, bidi controls, zero-width and byte-order marks.
#[must_use]
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text without hostile characters (each becomes `?`), at most [`MAX_TEXT`] bytes, cut between characters.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_TEXT));
    for c in text.chars() {
        let c = if is_hostile(c) { '?' } else { c };
        if out.len() + c.len_utf8() > MAX_TEXT {
            break;
        }
        out.push(c);
    }
    out
}

/// [`clean`] for bytes that need not be UTF-8.
#[must_use]
pub fn clean_bytes(bytes: &[u8]) -> String {
    clean(&String::from_utf8_lossy(&bytes[..bytes.len().min(4 * MAX_TEXT)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_separators_and_bidi_are_gone() {
        assert_eq!(clean("a\u{1b}[31mb\r\nc\u{202e}d\u{85}e\u{2028}"), "a?[31mb??c?d?e?");
        assert_eq!(clean("ähnlich /mnt/daten"), "ähnlich /mnt/daten");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let text = clean(&"é".repeat(400));
        assert_eq!(text.len(), 254);
        assert!(clean_bytes(&[0xff; 9000]).len() <= MAX_TEXT);
    }
}
