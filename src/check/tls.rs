//! TLS 1.3 as far as a measuring client needs it, over primitives that are in the probe already: X25519 and P-256,
//! AES-128-GCM, SHA-256, the suite that every server of TLS 1.3 must have.
//!
//! By itself it tells nobody apart: the certificate is read, not verified, for a host asks itself by names like 127.0.0.1
//! that no certificate carries. With a [`Pin`] there is one certificate only that is right, and the server has to prove
//! that it holds its key. Of a server that speaks TLS 1.2 only, the certificate, which travels in clear there, is all
//! that is read.

mod hello;
mod keys;
mod pin;
mod rsa;

use std::io::{self, ErrorKind, Read, Write};

use sha2::{Digest, Sha256};

use hello::{Hello, Messages};
use keys::{Half, Schedule, Secrets};
pub(super) use pin::Pin;

/// A record's most bytes, sealed.
const MAX_RECORD: usize = 16 * 1024 + 256;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;
const CHANGE: u8 = 20;

/// What a handshake came to.
pub(super) enum Greeted<L> {
    /// Both may speak; the server's certificate.
    Open(Box<Tls<L>>, Option<Vec<u8>>),
    /// The server speaks an older version; its certificate.
    Older(Option<Vec<u8>>),
}

/// An encrypted connection.
pub(super) struct Tls<L> {
    link: L,
    ours: Half,
    theirs: Half,
    /// Decrypted and not yet read.
    plain: Vec<u8>,
    ended: bool,
}

fn bad(text: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text.into())
}

/// What the server may do and this client cannot: nothing is wrong with the server.
fn beyond_us(text: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::Unsupported, text.into())
}

/// Greets a server; `name` is what it is asked to be, `pin` the one that it must be.
pub(super) fn greet<L: Read + Write>(mut link: L, name: &str, pin: Option<&Pin>) -> io::Result<Greeted<L>> {
    let (mut random, mut seed) = ([0; 64], [0; 64]);
    let drawn = getrandom::fill(&mut random).and_then(|()| getrandom::fill(&mut seed));
    drawn.map_err(|error| io::Error::other(format!("no random numbers: {error}")))?;
    let secrets = Secrets::new(&seed).ok_or_else(|| io::Error::other("the random numbers are no key"))?;
    let hello = hello::client(&random[..32], &random[32..], &secrets.shares(), name, pin.is_some());
    write_record(&mut link, HANDSHAKE, &hello)?;
    let mut transcript = Sha256::new_with_prefix(&hello);
    let mut messages = Messages::default();
    let told = loop {
        if let Some((kind, message)) = messages.next()? {
            transcript.update(&message);
            if kind != hello::SERVER_HELLO {
                return Err(bad("the server does not say hello first"));
            }
            break Hello::parse(&message).ok_or_else(|| bad("the server's hello is damaged"))?;
        }
        read_clear(&mut link, &mut messages)?;
    };
    let Hello::New { share } = told else {
        return match told {
            Hello::Older => Ok(Greeted::Older(clear_certificate(&mut link, &mut messages)?)),
            _ => Err(beyond_us("the server wants keys or a cipher that this probe does not speak")),
        };
    };
    let shared = secrets.agree(&share).ok_or_else(|| bad("the server's key is worthless"))?;
    let schedule = Schedule::begin(&shared);
    let hash: [u8; 32] = transcript.clone().finalize().into();
    let (our_secret, their_secret) = (schedule.secret("c hs traffic", &hash), schedule.secret("s hs traffic", &hash));
    let (mut ours, mut theirs) = (Half::new(&our_secret), Half::new(&their_secret));
    let (mut certificate, mut asked, mut proved) = (None, false, false);
    loop {
        let Some((kind, message)) = messages.next()? else {
            let (kind, body) = read_sealed(&mut link, &mut theirs)?.ok_or(ErrorKind::UnexpectedEof)?;
            match kind {
                HANDSHAKE => messages.add(&body)?,
                ALERT => return Err(alert(&body)),
                _ => return Err(bad("the server breaks off its handshake")),
            }
            continue;
        };
        match kind {
            hello::CERTIFICATE => certificate = hello::certificate(&message, true),
            hello::CERTIFICATE_REQUEST => asked = true,
            hello::CERTIFICATE_VERIFY if pin.is_some() => {
                let hash: [u8; 32] = transcript.clone().finalize().into();
                let (scheme, signature) = hello::signature(&message).ok_or_else(|| bad("a signature is damaged"))?;
                let shown = certificate.as_deref().unwrap_or_default();
                pin.map_or(Ok(()), |pin| pin.holds(shown, &hash, scheme, signature))?;
                proved = true;
            }
            hello::FINISHED => {
                let hash: [u8; 32] = transcript.clone().finalize().into();
                if pin.is_some() && !proved {
                    return Err(bad("the server does not prove that it holds the key of its certificate"));
                }
                if message.get(4..) != Some(&keys::finished(&their_secret, &hash)[..]) {
                    return Err(bad("the handshake was tampered with"));
                }
                transcript.update(&message);
                break;
            }
            _ => {}
        }
        transcript.update(&message);
    }
    let hash: [u8; 32] = transcript.clone().finalize().into();
    let schedule = schedule.master();
    let (our_next, their_next) = (schedule.secret("c ap traffic", &hash), schedule.secret("s ap traffic", &hash));
    let mut last = Vec::new();
    if asked {
        // We have none.
        last.extend_from_slice(&[hello::CERTIFICATE, 0, 0, 4, 0, 0, 0, 0]);
        transcript.update(&last);
    }
    let hash: [u8; 32] = transcript.finalize().into();
    last.extend_from_slice(&[hello::FINISHED, 0, 0, 32]);
    last.extend_from_slice(&keys::finished(&our_secret, &hash));
    write_record(&mut link, CHANGE, &[1])?;
    let sealed = ours.seal(&last, HANDSHAKE)?;
    write_record(&mut link, DATA, &sealed)?;
    let tls = Tls { link, ours: Half::new(&our_next), theirs: Half::new(&their_next), plain: Vec::new(), ended: false };
    Ok(Greeted::Open(Box::new(tls), certificate))
}

fn write_record(link: &mut impl Write, kind: u8, body: &[u8]) -> io::Result<()> {
    let length = u16::try_from(body.len()).map_err(|_| bad("a record is too long"))?.to_be_bytes();
    let record = [&[kind, 3, if kind == HANDSHAKE { 1 } else { 3 }, length[0], length[1]], body].concat();
    link.write_all(&record)
}

/// One record: kind, head and body; `None` where the connection ends between two.
fn read_record(link: &mut impl Read) -> io::Result<Option<([u8; 5], Vec<u8>)>> {
    let mut head = [0; 5];
    match link.read(&mut head)? {
        0 => return Ok(None),
        count => link.read_exact(&mut head[count..])?,
    }
    let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
    if !(CHANGE..=DATA).contains(&head[0]) || head[1] != 3 || length > MAX_RECORD {
        return Err(bad("the answer is no TLS"));
    }
    let mut body = vec![0; length];
    link.read_exact(&mut body)?;
    Ok(Some((head, body)))
}

/// A record of the part of the handshake that is in clear.
fn read_clear(link: &mut impl Read, messages: &mut Messages) -> io::Result<()> {
    match read_record(link)? {
        Some((head, body)) if head[0] == HANDSHAKE => messages.add(&body),
        Some((head, _)) if head[0] == CHANGE => Ok(()),
        Some((head, body)) if head[0] == ALERT => Err(alert(&body)),
        Some(_) => Err(bad("the answer is no TLS")),
        None => Err(ErrorKind::UnexpectedEof.into()),
    }
}

/// A record that was sealed: its inner kind and content.
fn read_sealed(link: &mut impl Read, half: &mut Half) -> io::Result<Option<(u8, Vec<u8>)>> {
    loop {
        match read_record(link)? {
            // For machines in between that know only older versions.
            Some((head, _)) if head[0] == CHANGE => {}
            Some((head, body)) if head[0] == DATA => return half.open(&head, &body).map(Some),
            Some((head, body)) if head[0] == ALERT => return Err(alert(&body)),
            Some(_) => return Err(bad("a record is not sealed")),
            None => return Ok(None),
        }
    }
}

fn alert(body: &[u8]) -> io::Error {
    let what = match body.get(1) {
        Some(40) => "it agrees to no way of encryption that this probe speaks",
        Some(70) => "it speaks no version of TLS that this probe does",
        Some(112) => "it does not know the name",
        Some(116) => "it wants a certificate of ours",
        Some(code) => return bad(format!("the server breaks off with TLS alert {code}")),
        None => "an alert is damaged",
    };
    match body.len() {
        2 => beyond_us(format!("the server breaks off: {what}")),
        _ => bad(what),
    }
}

/// The certificate of a handshake of TLS 1.2, which is not gone on with.
fn clear_certificate(link: &mut impl Read, messages: &mut Messages) -> io::Result<Option<Vec<u8>>> {
    loop {
        while let Some((kind, message)) = messages.next()? {
            match kind {
                hello::CERTIFICATE => return Ok(hello::certificate(&message, false)),
                hello::SERVER_HELLO_DONE => return Ok(None),
                _ => {}
            }
        }
        read_clear(link, messages)?;
    }
}

impl<L: Read> Read for Tls<L> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.plain.is_empty() && !self.ended {
            match read_sealed(&mut self.link, &mut self.theirs)? {
                Some((DATA, body)) => self.plain = body,
                // Close notify, or a fault of the server's after its answer.
                Some((ALERT, body)) if body.get(1) == Some(&0) => self.ended = true,
                Some((ALERT, body)) => return Err(alert(&body)),
                // Tickets for a next time, which does not come. Keys are not changed within one short answer.
                Some((HANDSHAKE, body)) if body.first() == Some(&hello::TICKET) => {}
                Some(_) => return Err(beyond_us("the server changes its keys, which this probe does not follow")),
                None => self.ended = true,
            }
        }
        let count = buffer.len().min(self.plain.len());
        buffer[..count].copy_from_slice(&self.plain[..count]);
        self.plain.drain(..count);
        Ok(count)
    }
}

impl<L: Write> Write for Tls<L> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = &bytes[..bytes.len().min(8 * 1024)];
        let sealed = self.ours.seal(part, DATA)?;
        write_record(&mut self.link, DATA, &sealed)?;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.link.flush()
    }
}

#[cfg(test)]
mod served;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::answer::Scripted;

    #[test]
    fn strangers_and_alerts() {
        let error = |bytes: &[u8]| greet(Scripted::new(bytes), "a", None).err().unwrap();
        assert_eq!(error(b"").kind(), ErrorKind::UnexpectedEof);
        assert!(error(b"HTTP/1.1 400 Bad Request\r\n\r\n").to_string().contains("no TLS"));
        let older = error(&[ALERT, 3, 3, 0, 2, 2, 70]);
        assert!(older.to_string().contains("version") && older.kind() == ErrorKind::Unsupported);
        assert_eq!(error(&[ALERT, 3, 3, 0, 2, 2, 80]).kind(), ErrorKind::InvalidData);
        assert!(error(&[HANDSHAKE, 3, 3, 255, 255]).to_string().contains("no TLS"));
        assert!(error(&[HANDSHAKE, 3, 3, 0, 4, 2, 255, 255, 255]).to_string().contains("too long"));
    }

    proptest::proptest! {
        #[test]
        fn any_answer_is_an_error_or_a_greeting(bytes: Vec<u8>, kind in 20u8..24, hello: Vec<u8>) {
            let length = u16::try_from(hello.len()).unwrap().to_be_bytes();
            let record = [&[kind, 3, 3, length[0], length[1]], &hello[..]].concat();
            let _ = (greet(Scripted::new(&bytes), "a", None).is_ok(), greet(Scripted::new(&record), "a", None).is_ok());
        }
    }
}
