//! As much of X.509 as tells when a certificate ends and for whom it is.

use chrono::{NaiveDate, NaiveDateTime};

/// Common name, in DER.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERAL_TIME: u8 = 0x18;

/// What is shown of a certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    /// Seconds since 1970.
    pub(super) ends: i64,
    /// Common names, or empty.
    pub(super) subject: String,
    pub(super) issuer: String,
}

/// The first certificate of a file in PEM or DER.
pub(super) fn read(bytes: &[u8]) -> Option<Certificate> {
    if bytes.first() == Some(&SEQUENCE) {
        return certificate(bytes);
    }
    certificate(&pem(bytes)?)
}

fn certificate(bytes: &[u8]) -> Option<Certificate> {
    let (whole, _) = expect(bytes, SEQUENCE)?;
    let (mut rest, _) = expect(whole, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = next(rest)?.2;
    }
    // Serial number and algorithm.
    rest = next(next(rest)?.2)?.2;
    let (issuer, rest) = expect(rest, SEQUENCE)?;
    let (validity, rest) = expect(rest, SEQUENCE)?;
    let (subject, _) = expect(rest, SEQUENCE)?;
    let (tag, ends, _) = next(next(validity)?.2)?;
    Some(Certificate { ends: time(tag, ends)?, subject: common_name(subject), issuer: common_name(issuer) })
}

/// Tag, content and what follows.
fn next(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        // Four bytes of length are more than any file that is read.
        let count = usize::from(first & 0x7f);
        let digits = rest.get(..count).filter(|_| (1..=4).contains(&count))?;
        length = digits.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        rest = rest.get(count..)?;
    }
    Some((tag, rest.get(..length)?, rest.get(length..)?))
}

fn expect(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    next(bytes).filter(|(tag, ..)| *tag == wanted).map(|(_, content, rest)| (content, rest))
}

/// `YYMMDDhhmmssZ` until 2049, `YYYYMMDDhhmmssZ` from then on.
fn time(tag: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (tag, text.len()) {
        (UTC_TIME, 12) => {
            let year: i32 = text.get(..2)?.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        (GENERAL_TIME, 14) => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2).and_then(|digits| digits.parse::<u32>().ok());
    let day = NaiveDate::from_ymd_opt(year, part(0)?, part(2)?)?;
    day.and_hms_opt(part(4)?, part(6)?, part(8)?.min(59)).map(|at: NaiveDateTime| at.and_utc().timestamp())
}

/// The last common name, which is the most particular.
fn common_name(mut names: &[u8]) -> String {
    let mut found = String::new();
    while let Some((set, rest)) = expect(names, SET) {
        names = rest;
        let pair = expect(set, SEQUENCE).and_then(|(pair, _)| expect(pair, OBJECT));
        if let Some((COMMON_NAME, value)) = pair
            && let Some((_, text, _)) = next(value)
        {
            found = String::from_utf8_lossy(text).into_owned();
        }
    }
    found
}

/// What stands between the first marks of a certificate, undone from base64.
fn pem(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(bytes);
    let begin = text
        .split_once("-----BEGIN CERTIFICATE-----")
        .or_else(|| text.split_once("-----BEGIN TRUSTED CERTIFICATE-----"));
    let (inside, _) = begin?.1.split_once("-----END")?;
    let mut out = Vec::with_capacity(inside.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in inside.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.extend(u8::try_from(bits >> count & 0xff));
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PEM: &[u8] = include_bytes!("fleet.pem");

    #[test]
    fn a_certificate_of_openssl() {
        let read = read(PEM).unwrap();
        assert_eq!((read.subject.as_str(), read.issuer.as_str()), ("fleet.example", "fleet.example"));
        // As `openssl x509 -enddate` says.
        assert_eq!(read.ends, 2110639324);
        assert_eq!(super::read(&pem(PEM).unwrap()), Some(read));
    }

    #[test]
    fn times_of_both_kinds() {
        assert_eq!(time(UTC_TIME, b"700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, b"491231235959Z"), Some(2_524_607_999));
        assert_eq!(time(GENERAL_TIME, b"20500101000000Z"), Some(2_524_608_000));
        assert_eq!(time(GENERAL_TIME, b"99991231235959Z"), Some(253_402_300_799));
        for bad in [&b"20500101000000"[..], b"205001010000+1Z", b"20501301000000Z", b"", b"\xff"] {
            assert_eq!(time(GENERAL_TIME, bad), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_stop_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
            let mut nested = vec![0x30, 0x82, 0xff, 0xff];
            nested.extend(&bytes);
            let _ = read(&nested);
        }

        #[test]
        fn no_change_of_a_real_one_stops_it(at in 0_usize..300, byte in any::<u8>(), length in 0_usize..300) {
            let mut der = pem(PEM).unwrap();
            let at = at % der.len();
            der[at] = byte;
            der.truncate(length.max(1));
            let _ = certificate(&der);
        }
    }
}
