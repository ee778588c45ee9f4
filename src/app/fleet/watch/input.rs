//! From the bytes of a terminal to keys. Sequences may arrive in pieces, and none that is unknown becomes a key.

use crate::view::screen::key::Key;

/// A sequence that is longer is no key.
const LONGEST: usize = 32;
const ESCAPE: u8 = 0x1b;

/// What arrived and is not a key yet.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
    /// Between the marks of a paste.
    pasting: bool,
}

/// What the bytes that wait begin with.
enum Head {
    /// So many bytes are a key, or nothing that we know.
    Done(usize, Option<Key>),
    /// More bytes are needed.
    Short,
}

impl Decoder {
    /// Takes bytes, gives the keys that they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.pending.extend_from_slice(bytes);
        let mut keys = Vec::new();
        while !self.pending.is_empty() {
            let Head::Done(length, key) = self.head() else { break };
            self.pending.drain(..length.min(self.pending.len()));
            keys.extend(key);
        }
        keys
    }

    /// Whether a key may be half here: an escape alone, or the start of a sequence.
    pub fn waits(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Nothing more came in time: an escape alone is the key, and half a sequence is nothing.
    pub fn settle(&mut self) -> Option<Key> {
        let alone = self.pending == [ESCAPE];
        self.pending.clear();
        alone.then_some(Key::Escape)
    }

    fn head(&mut self) -> Head {
        match self.pending.as_slice() {
            [ESCAPE] => Head::Short,
            [ESCAPE, b'[', rest @ ..] => {
                let ends = |b: &u8| matches!(b, 0x40..=0x7e);
                // The console of Linux sends F1 as `ESC [ [ A`.
                let skipped = usize::from(rest.first() == Some(&b'['));
                let Some(end) = rest.iter().skip(skipped).position(ends).map(|end| end + skipped) else {
                    return if rest.len() > LONGEST { Head::Done(rest.len() + 2, None) } else { Head::Short };
                };
                let sequence = rest.get(..=end).unwrap_or_default();
                let key = match sequence {
                    b"200~" => {
                        self.pasting = true;
                        None
                    }
                    b"201~" => {
                        self.pasting = false;
                        None
                    }
                    known => named(known),
                };
                Head::Done(end + 3, key)
            }
            [ESCAPE, b'O'] => Head::Short,
            [ESCAPE, b'O', letter, ..] => Head::Done(3, named(&[*letter])),
            // Escape, and then at once another key.
            [ESCAPE, ..] => Head::Done(1, Some(Key::Escape)),
            [b'\r' | b'\n', ..] => Head::Done(1, Some(if self.pasting { Key::Pasted(' ') } else { Key::Enter })),
            [b'\t', ..] => Head::Done(1, Some(if self.pasting { Key::Pasted(' ') } else { Key::Tab })),
            [0x7f | 0x08, ..] => Head::Done(1, Some(Key::Backspace)),
            [control @ 0x01..=0x1a, ..] => {
                let letter = char::from(control | 0x60);
                Head::Done(1, (!self.pasting).then_some(Key::Control(letter)))
            }
            bytes => letter(bytes, self.pasting),
        }
    }
}

/// A letter in UTF-8; what is none is skipped, byte by byte.
fn letter(bytes: &[u8], pasting: bool) -> Head {
    let length = match bytes.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 1,
    };
    let Some(own) = bytes.get(..length) else { return Head::Short };
    match std::str::from_utf8(own).ok().and_then(|text| text.chars().next()) {
        Some(c) if c.is_control() => Head::Done(length, None),
        Some(c) => Head::Done(length, Some(if pasting { Key::Pasted(c) } else { Key::Letter(c) })),
        None => Head::Done(1, None),
    }
}

/// What follows `ESC [` or `ESC O`. Numbers that say which other key is held are left out.
fn named(sequence: &[u8]) -> Option<Key> {
    let (last, numbers) = sequence.split_last()?;
    let first: &[u8] = numbers.split(|b| *b == b';').next().unwrap_or_default();
    match (last, first) {
        (b'A', b"[") | (b'P', _) => Some(Key::Help),
        (b'R', b"") | (b'~', b"13") | (b'C', b"[") => Some(Key::Function(3)),
        (b'S', b"") | (b'~', b"14") | (b'D', b"[") => Some(Key::Function(4)),
        (b'A', _) => Some(Key::Up),
        (b'B', _) => Some(Key::Down),
        (b'C', _) => Some(Key::Right),
        (b'D', _) => Some(Key::Left),
        (b'H', _) => Some(Key::Home),
        (b'F', _) => Some(Key::End),
        (b'M', b"") => Some(Key::Enter),
        (b'Z', _) => Some(Key::BackTab),
        (b'~', b"1" | b"7") => Some(Key::Home),
        (b'~', b"4" | b"8") => Some(Key::End),
        (b'~', b"5") => Some(Key::PageUp),
        (b'~', b"6") => Some(Key::PageDown),
        (b'~', b"11") => Some(Key::Help),
        // F5.
        (b'~', b"15") | (b'E', b"[") => Some(Key::Control('l')),
        (b'~', b"17") => Some(Key::Function(6)),
        (b'~', b"21") => Some(Key::Function(10)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        Decoder::default().feed(bytes)
    }

    #[test]
    fn keys_of_xterm_screen_and_the_console() {
        for (bytes, key) in [
            (&b"\x1b[A"[..], Key::Up),
            (b"\x1bOB", Key::Down),
            (b"\x1b[1;5C", Key::Right),
            (b"\x1b[H", Key::Home),
            (b"\x1b[1~", Key::Home),
            (b"\x1b[4~", Key::End),
            (b"\x1b[5~", Key::PageUp),
            (b"\x1b[6;2~", Key::PageDown),
            (b"\x1bOP", Key::Help),
            (b"\x1b[11~", Key::Help),
            (b"\x1b[[A", Key::Help),
            (b"\x1bOR", Key::Function(3)),
            (b"\x1b[[D", Key::Function(4)),
            (b"\x1b[15~", Key::Control('l')),
            (b"\x1b[17~", Key::Function(6)),
            (b"\x1b[21~", Key::Function(10)),
            (b"\x1b[Z", Key::BackTab),
            (b"\r", Key::Enter),
            (b"\x7f", Key::Backspace),
            (b"\x03", Key::Control('c')),
            ("é".as_bytes(), Key::Letter('é')),
            ("数".as_bytes(), Key::Letter('数')),
        ] {
            assert_eq!(keys(bytes), [key], "{bytes:?}");
            // One byte after the other, as over a slow line.
            let mut decoder = Decoder::default();
            let slow: Vec<Key> = bytes.iter().flat_map(|byte| decoder.feed(&[*byte])).collect();
            assert_eq!((slow, decoder.waits()), (vec![key], false), "{bytes:?}");
        }
    }

    #[test]
    fn an_escape_alone_is_a_key_once_nothing_follows() {
        let mut decoder = Decoder::default();
        assert!(decoder.feed(b"\x1b").is_empty() && decoder.waits());
        assert_eq!(decoder.settle(), Some(Key::Escape));
        assert!(!decoder.waits());
        assert!(decoder.feed(b"\x1b[").is_empty());
        assert_eq!(decoder.settle(), None, "half a sequence is nothing");
        assert_eq!(keys(b"\x1bj"), [Key::Escape, Key::Letter('j')]);
    }

    #[test]
    fn a_paste_presses_no_keys_and_rubbish_is_skipped() {
        assert_eq!(keys(b"\x1b[200~q\r\x03\x1b[201~q"), [Key::Pasted('q'), Key::Pasted(' '), Key::Letter('q')]);
        assert_eq!(keys(b"\xff\xfe\x80a"), [Key::Letter('a')]);
        assert_eq!(keys(b"\x1b[?1;2cj"), [Key::Letter('j')]);
        let mut decoder = Decoder::default();
        decoder.feed(b"\x1b[");
        decoder.feed(&[b'0'; 5000]);
        assert!(decoder.pending.len() <= LONGEST + 2);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics_and_little_is_kept(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let mut decoder = Decoder::default();
            for byte in &bytes {
                decoder.feed(&[*byte]);
                proptest::prop_assert!(decoder.pending.len() <= LONGEST + 4);
            }
            decoder.settle();
        }
    }
}
