//! When a certificate ends, and whose key it is for: a walk through its DER as far as that.

use chrono::{DateTime, NaiveDate};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const BITS: u8 = 0x03;
const NAME: u8 = 0x06;
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const ELLIPTIC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

/// The key of a certificate, as far as signatures of it can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Key<'a> {
    /// Modulus and exponent, the most significant byte first.
    Rsa(&'a [u8], &'a [u8]),
    /// A point of P-256.
    P256(&'a [u8]),
}

/// Seconds since 1970 at which the certificate ends.
pub(in super::super) fn ends(der: &[u8]) -> Option<i64> {
    let (validity, _) = body(der)?;
    let (_, _, rest) = element(validity)?;
    let (kind, text, _) = element(rest)?;
    time(kind, std::str::from_utf8(text).ok()?)
}

/// The key that the certificate is for; `None` for one of another kind.
pub(in super::super) fn key(der: &[u8]) -> Option<Key<'_>> {
    let (_, rest) = body(der)?;
    let (_, rest) = tagged(rest, SEQUENCE)?;
    let (info, _) = tagged(rest, SEQUENCE)?;
    let (algorithm, rest) = tagged(info, SEQUENCE)?;
    let (name, curve) = tagged(algorithm, NAME)?;
    // The first byte tells how many bits of the last one do not count: none.
    let key = tagged(rest, BITS)?.0.strip_prefix(&[0])?;
    match name {
        RSA => {
            let (numbers, _) = tagged(key, SEQUENCE)?;
            let (modulus, rest) = tagged(numbers, INTEGER)?;
            let (exponent, _) = tagged(rest, INTEGER)?;
            Some(Key::Rsa(modulus.strip_prefix(&[0]).unwrap_or(modulus), exponent))
        }
        ELLIPTIC if tagged(curve, NAME)?.0 == P256 => Some(Key::P256(key)),
        _ => None,
    }
}

/// The validity, and what follows it.
fn body(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (certificate, _) = tagged(der, SEQUENCE)?;
    let (mut inside, _) = tagged(certificate, SEQUENCE)?;
    if inside.first() == Some(&VERSION) {
        inside = tagged(inside, VERSION)?.1;
    }
    // Serial number, algorithm, issuer.
    inside = tagged(inside, INTEGER)?.1;
    inside = tagged(inside, SEQUENCE)?.1;
    inside = tagged(inside, SEQUENCE)?.1;
    tagged(inside, SEQUENCE)
}

/// Tag, content and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Content and what follows of an element that must have this tag.
fn tagged(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    element(bytes).filter(|(tag, ..)| *tag == wanted).map(|(_, content, rest)| (content, rest))
}

fn time(kind: u8, text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    let whole = match kind {
        // Two digits of the year: 50 and more are of the last century.
        UTC_TIME if text.is_ascii() && text.len() == 12 => {
            format!("{}{text}", if text >= "50" { "19" } else { "20" })
        }
        GENERALIZED_TIME if text.len() == 14 => text.to_owned(),
        _ => return None,
    };
    // By hand: the parser of dates alone is a hundredth of the probe.
    let number = |from: usize, to: usize| -> Option<u32> {
        let digits = whole.get(from..to).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse().ok()
    };
    let date = NaiveDate::from_ymd_opt(i32::try_from(number(0, 4)?).ok()?, number(4, 6)?, number(6, 8)?)?;
    Some(date.and_hms_opt(number(8, 10)?, number(10, 12)?, number(12, 14)?)?.and_utc().timestamp())
}

/// For people.
pub(in super::super) fn shown(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).map_or_else(String::new, |time| time.format("%Y-%m-%d %H:%M UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let mut out = vec![tag];
        match u8::try_from(length) {
            Ok(short @ 0..=0x7f) => out.push(short),
            _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
        }
        out.extend_from_slice(content);
        out
    }

    fn certificate(kind: u8, time: &str) -> Vec<u8> {
        let validity = wrap(SEQUENCE, &[wrap(UTC_TIME, b"250101000000Z"), wrap(kind, time.as_bytes())].concat());
        let issuer = wrap(SEQUENCE, &[7; 300]);
        let parts = [wrap(VERSION, &[2, 1, 2]), wrap(INTEGER, &[1]), wrap(SEQUENCE, &[]), issuer, validity];
        wrap(SEQUENCE, &wrap(SEQUENCE, &parts.concat()))
    }

    #[test]
    fn both_forms_of_time() {
        assert_eq!(ends(&certificate(UTC_TIME, "261121160000Z")), Some(1_795_276_800));
        assert_eq!(ends(&certificate(GENERALIZED_TIME, "20521121160000Z")).map(shown).unwrap(), "2052-11-21 16:00 UTC");
        assert_eq!(ends(&certificate(UTC_TIME, "990101000000Z")).map(shown).unwrap(), "1999-01-01 00:00 UTC");
        for bad in ["", "Z", "261321160000Z", "26112116000", "éééééé"] {
            assert_eq!(ends(&certificate(UTC_TIME, bad)), None, "{bad}");
        }
        let whole = certificate(UTC_TIME, "261121160000Z");
        for cut in 0..whole.len() {
            assert_eq!(ends(&whole[..cut]), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_walked(bytes: Vec<u8>, at in 0usize..400, byte: u8) {
            let _ = (ends(&bytes), key(&bytes));
            let mut damaged = certificate(UTC_TIME, "261121160000Z");
            let at = at % damaged.len();
            damaged[at] = byte;
            let _ = (ends(&damaged), key(&damaged));
        }
    }
}
