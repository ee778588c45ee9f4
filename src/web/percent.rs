//! Percent encoding of paths, queries and forms.

/// Decodes `%2F` and, in queries and forms, `+`. `None` where an escape is broken or the bytes are no UTF-8.
#[must_use]
pub fn decode(text: &str, plus: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                out.push(high * 16 + low);
            }
            b'+' if plus => out.push(b' '),
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Encodes a segment of a path or a value of a query: only letters, digits and `-._~` stay.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_whole_or_refused() {
        assert_eq!(decode("a%2Fb+c", true).unwrap(), "a/b c");
        assert_eq!(decode("a+c", false).unwrap(), "a+c");
        for bad in ["%", "%2", "%zz", "%ff", "%C3"] {
            assert!(decode(bad, false).is_none(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_encoded_comes_back(text in "\\PC{0,30}") {
            proptest::prop_assert_eq!(decode(&encode(&text), true).unwrap(), text);
        }

        #[test]
        fn nothing_panics(text in "[%+a-f0-9é]{0,20}") {
            let _ = decode(&text, true);
        }
    }
}
