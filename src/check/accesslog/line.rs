//! One line of an access log in the common or combined format, with the request's time where the server writes it.

/// What the time behind the agent is counted in: nginx's `$request_time` in seconds, Apache's `%D` in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unit {
    /// Factor to seconds.
    Of(f64),
    /// There is no time.
    None,
}

impl Unit {
    pub fn of(word: &str) -> Self {
        match word {
            "ms" => Self::Of(1e-3),
            "us" => Self::Of(1e-6),
            "none" => Self::None,
            _ => Self::Of(1.0),
        }
    }
}

/// What a line tells.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    pub status: u16,
    pub bytes: f64,
    /// In seconds.
    pub time: Option<f64>,
}

/// `addr - user [time] "request" status bytes "referer" "agent" seconds`; what comes between the quotes may be anything
/// with its own quotes escaped, as both servers do.
pub(super) fn parse(line: &[u8], unit: Unit) -> Option<Request> {
    // The time in brackets, then the first quote: a user's name cannot hold a quote that both servers leave as it is.
    let bracket = line.iter().position(|&b| b == b'[')?;
    let open = bracket + line.get(bracket..)?.iter().position(|&b| b == b'"')?;
    let rest = behind_quote(line.get(open + 1..)?)?;
    let mut words = rest.split(|&b| b == b' ').filter(|word| !word.is_empty());
    let status = number(words.next()?)?;
    if !(100.0..1000.0).contains(&status) {
        return None;
    }
    let bytes = match words.next()? {
        b"-" => 0.0,
        word => number(word)?,
    };
    let time = match unit {
        Unit::Of(factor) => time(rest).map(|time| time * factor),
        Unit::None => None,
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
    Some(Request { status: status as u16, bytes, time })
}

/// Behind the closing quote.
fn behind_quote(text: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'\\' => at += 2,
            b'"' => return text.get(at + 1..),
            _ => at += 1,
        }
    }
}

/// The first word behind the quoted agent, where it is a number.
fn time(rest: &[u8]) -> Option<f64> {
    let mut rest = rest;
    for _ in 0..2 {
        let open = rest.iter().position(|&b| b == b'"')?;
        rest = behind_quote(rest.get(open + 1..)?)?;
    }
    // Some write it in quotes, or as rt=0.123.
    let word = rest.split(|&b| b == b' ').find(|word| !word.is_empty())?;
    let word = word.split(|&b| b == b'=').next_back()?;
    number(word.strip_prefix(b"\"").unwrap_or(word).strip_suffix(b"\"").unwrap_or(word))
}

fn number(word: &[u8]) -> Option<f64> {
    let word = std::str::from_utf8(word).ok()?;
    let plain = word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    word.parse().ok().filter(|value: &f64| plain && value.is_finite() && *value < 1e15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str, unit: &str) -> Option<(u16, f64, Option<f64>)> {
        parse(line.as_bytes(), Unit::of(unit)).map(|r| (r.status, r.bytes, r.time))
    }

    #[test]
    fn nginx_and_apache() {
        let start = "10.0.0.1 - bob [21/Nov/2026:16:00:00 +0000]";
        assert_eq!(
            told(&format!("{start} \"GET / HTTP/1.1\" 200 12 \"-\" \"curl\" 0.123"), "s"),
            Some((200, 12.0, Some(0.123)))
        );
        assert_eq!(
            told(&format!("{start} \"GET / HTTP/1.1\" 304 - \"-\" \"curl\" 1500"), "us"),
            Some((304, 0.0, Some(0.0015)))
        );
        assert_eq!(told(&format!("{start} \"GET / HTTP/1.1\" 200 12"), "s"), Some((200, 12.0, None)));
        assert_eq!(
            told(&format!("{start} \"GET / HTTP/1.1\" 200 12 \"-\" \"c\" rt=0.5 x"), "s"),
            Some((200, 12.0, Some(0.5)))
        );
        assert_eq!(told(&format!("{start} \"GET / HTTP/1.1\" 200 12 \"-\" \"c\" 7"), "none"), Some((200, 12.0, None)));
        // Quotes that a client sent do not move what follows.
        let evil = format!("{start} \"GET /\\\" 999 0 \\\" HTTP/1.1\" 404 5 \"a\\\"b\" \"\\\\\" 0.2");
        assert_eq!(told(&evil, "s"), Some((404, 5.0, Some(0.2))));
        for bad in
            ["", "junk", &format!("{start} \"open"), &format!("{start} \"x\" abc 1"), &format!("{start} \"x\" 99 1")]
        {
            assert_eq!(told(bad, "s"), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read(line: Vec<u8>, text in r#"\[x\] "[a"\\ 0-9.=-]{0,60}"#) {
            let _ = (parse(&line, Unit::of("s")), parse(text.as_bytes(), Unit::of("us")));
        }
    }
}
