//! When a certificate ends: a walk through its DER as far as the validity.

use chrono::{DateTime, NaiveDate};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Seconds since 1970 at which the certificate ends.
pub(super) fn ends(der: &[u8]) -> Option<i64> {
    let (certificate, _) = tagged(der, SEQUENCE)?;
    let (mut inside, _) = tagged(certificate, SEQUENCE)?;
    if inside.first() == Some(&VERSION) {
        inside = tagged(inside, VERSION)?.1;
    }
    // Serial number, algorithm, issuer.
    inside = tagged(inside, INTEGER)?.1;
    inside = tagged(inside, SEQUENCE)?.1;
    inside = tagged(inside, SEQUENCE)?.1;
    let (validity, _) = tagged(inside, SEQUENCE)?;
    let (_, _, rest) = element(validity)?;
    let (kind, text, _) = element(rest)?;
    time(kind, std::str::from_utf8(text).ok()?)
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
pub(super) fn shown(seconds: i64) -> String {
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
            let _ = ends(&bytes);
            let mut damaged = certificate(UTC_TIME, "261121160000Z");
            let at = at % damaged.len();
            damaged[at] = byte;
            let _ = ends(&damaged);
        }
    }
}
