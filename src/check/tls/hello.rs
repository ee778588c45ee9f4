//! The messages of a handshake that are written and read.

use std::io::{self, ErrorKind};

use super::keys::Share;

pub(super) const SERVER_HELLO: u8 = 2;
pub(super) const TICKET: u8 = 4;
pub(super) const CERTIFICATE: u8 = 11;
pub(super) const CERTIFICATE_REQUEST: u8 = 13;
pub(super) const CERTIFICATE_VERIFY: u8 = 15;
pub(super) const SERVER_HELLO_DONE: u8 = 14;
pub(super) const FINISHED: u8 = 20;

/// The most bytes of one message: long chains of certificates have some 10 KiB.
const MAX_MESSAGE: usize = 128 * 1024;
/// The suite of TLS 1.3 that is spoken.
const SUITE: [u8; 2] = [0x13, 0x01];
/// Suites of TLS 1.2, only so that a server of that age shows its certificate.
const OLDER_SUITES: [u8; 16] =
    [0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9, 0xcc, 0xa8, 0x00, 0x9c, 0x00, 0x9d];
/// Ways of signing, first those that [`super::pin`] can tell; 4 1 is of certificates only.
const SIGNATURES: [u8; 18] = [4, 3, 8, 4, 4, 1, 5, 3, 6, 3, 8, 5, 8, 6, 8, 7, 5, 1];
const TOLD: usize = 6;
const X25519: [u8; 2] = [0, 0x1d];
const SECP256R1: [u8; 2] = [0, 0x17];

/// A text with its length before it, in as many bytes as are usual there.
fn sized<const N: usize>(body: &[u8]) -> Vec<u8> {
    let length = body.len().to_be_bytes();
    [&length[length.len() - N..], body].concat()
}

fn extension(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[0, kind], &sized::<2>(body)[..]].concat()
}

/// The client's hello; `told`: the server signs so that it can be told whether it holds its key.
pub(super) fn client(random: &[u8], session: &[u8], shares: &([u8; 32], Vec<u8>), name: &str, told: bool) -> Vec<u8> {
    let mut extensions = Vec::new();
    // An address is no name.
    if name.parse::<std::net::IpAddr>().is_err() && !name.is_empty() {
        let entry = [&[0], &sized::<2>(name.as_bytes())[..]].concat();
        extensions.extend(extension(0, &sized::<2>(&entry)));
    }
    extensions.extend(extension(10, &sized::<2>(&[X25519, SECP256R1].concat())));
    extensions.extend(extension(11, &[1, 0]));
    let signatures = if told { &SIGNATURES[..TOLD] } else { &SIGNATURES };
    extensions.extend(extension(13, &sized::<2>(signatures)));
    extensions.extend(extension(43, &[4, 3, 4, 3, 3]));
    let shares = [&X25519[..], &sized::<2>(&shares.0), &SECP256R1, &sized::<2>(&shares.1)].concat();
    extensions.extend(extension(51, &sized::<2>(&shares)));
    let suites = sized::<2>(&[&SUITE[..], &OLDER_SUITES].concat());
    let body = [&[3, 3], random, &sized::<1>(session)[..], &suites, &[1, 0], &sized::<2>(&extensions)].concat();
    [&[1], &sized::<3>(&body)[..]].concat()
}

/// What a server's hello says.
pub(super) enum Hello {
    /// TLS 1.3 with what we speak; the server's key.
    New { share: Share },
    /// TLS 1.2 or older.
    Older,
    /// TLS 1.3 otherwise.
    Other,
}

/// Reads from a message, never beyond it.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(part)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    }

    fn sized(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let count = self.number(bytes)?;
        self.take(count)
    }
}

impl Hello {
    pub fn parse(message: &[u8]) -> Option<Self> {
        let mut all = Reader(message.get(4..)?);
        all.take(2 + 32)?;
        all.sized(1)?;
        let suite = all.take(2)?;
        all.take(1)?;
        let (mut newer, mut share) = (false, None);
        let mut extensions = Reader(if all.0.is_empty() { &[] } else { all.sized(2)? });
        while !extensions.0.is_empty() {
            let kind = extensions.number(2)?;
            let body = extensions.sized(2)?;
            match kind {
                43 => newer = body == [3, 4],
                // A server that asks for another try names a group and gives no key.
                51 => {
                    let mut body = Reader(body);
                    let group = body.take(2)?;
                    share = match body.sized(2) {
                        Some(key) if group == X25519 => key.try_into().ok().map(Share::Curve),
                        Some(key) if group == SECP256R1 => Some(Share::P256(key.to_vec())),
                        _ => None,
                    };
                }
                _ => {}
            }
        }
        Some(match (newer, share) {
            (false, _) => Self::Older,
            (true, Some(share)) if suite == SUITE => Self::New { share },
            (true, _) => Self::Other,
        })
    }
}

/// The first certificate, the server's own.
pub(super) fn certificate(message: &[u8], newer: bool) -> Option<Vec<u8>> {
    let mut body = Reader(message.get(4..)?);
    if newer {
        body.sized(1)?;
    }
    let mut list = Reader(body.sized(3)?);
    list.sized(3).map(<[u8]>::to_vec)
}

/// How the server signs its part of the handshake, and the signature.
pub(super) fn signature(message: &[u8]) -> Option<([u8; 2], &[u8])> {
    let mut body = Reader(message.get(4..)?);
    let scheme = body.take(2)?.try_into().ok()?;
    body.sized(2).map(|signature| (scheme, signature))
}

/// Puts messages together that may come in several records, or several in one.
#[derive(Default)]
pub(super) struct Messages {
    pending: Vec<u8>,
}

impl Messages {
    pub fn add(&mut self, body: &[u8]) -> io::Result<()> {
        if self.pending.len() + body.len() > MAX_MESSAGE {
            return Err(io::Error::new(ErrorKind::InvalidData, "a message of the handshake is too long"));
        }
        self.pending.extend_from_slice(body);
        Ok(())
    }

    /// The next whole message, with its head, and its kind.
    pub fn next(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        let mut head = Reader(&self.pending);
        let (Some(kind), Some(length)) = (head.number(1), head.number(3)) else { return Ok(None) };
        if length > MAX_MESSAGE {
            return Err(io::Error::new(ErrorKind::InvalidData, "a message of the handshake is too long"));
        }
        if head.0.len() < length {
            return Ok(None);
        }
        let message = self.pending.drain(..4 + length).collect();
        Ok(Some((u8::try_from(kind).unwrap_or(0), message)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_in_pieces_and_together() {
        let mut messages = Messages::default();
        for byte in [11, 0, 0, 2, 7] {
            messages.add(&[byte]).unwrap();
            assert_eq!(messages.next().unwrap(), None);
        }
        messages.add(&[8, 20, 0, 0, 0]).unwrap();
        assert_eq!(messages.next().unwrap(), Some((11, vec![11, 0, 0, 2, 7, 8])));
        assert_eq!(messages.next().unwrap(), Some((20, vec![20, 0, 0, 0])));
        messages.add(&[1, 255, 255, 255]).unwrap();
        assert!(messages.next().is_err());
    }

    #[test]
    fn an_address_is_no_name() {
        let asks = |name: &str| {
            client(&[0; 32], &[0; 32], &([0; 32], vec![4; 65]), name, false).windows(8).any(|part| part == b"shop.lan")
        };
        assert!(asks("shop.lan") && !asks("127.0.0.1"));
    }

    proptest::proptest! {
        #[test]
        fn any_message_is_read(message: Vec<u8>) {
            let _ = (Hello::parse(&message), certificate(&message, true), certificate(&message, false), signature(&message));
        }
    }
}
