//! Keys of TLS 1.3: the agreement, the schedule (RFC 8446, 7.1), and records sealed with them.

use std::io::{self, ErrorKind};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Nonce};
use p256::elliptic_curve::sec1::ToEncodedPoint;
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};

use super::super::mac::mac;

/// Our secrets for either group that a server may choose: X25519 is what most prefer, P-256 is all that PostgreSQL up to
/// 17 offers.
pub(super) struct Secrets {
    curve: StaticSecret,
    p256: p256::SecretKey,
}

/// What the server answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Share {
    Curve([u8; 32]),
    P256(Vec<u8>),
}

impl Secrets {
    /// From 64 random bytes; `None` for such as are no key of P-256: one draw in four billion.
    pub fn new(random: &[u8; 64]) -> Option<Self> {
        let (one, other) = random.split_at(32);
        let curve = StaticSecret::from(<[u8; 32]>::try_from(one).ok()?);
        Some(Self { curve, p256: p256::SecretKey::from_slice(other).ok()? })
    }

    /// What the server is shown of them.
    pub fn shares(&self) -> ([u8; 32], Vec<u8>) {
        let point = self.p256.public_key().to_encoded_point(false);
        (PublicKey::from(&self.curve).to_bytes(), point.as_bytes().to_vec())
    }

    /// The shared secret; none where the other's key is no key, or gives everybody the same.
    pub fn agree(&self, share: &Share) -> Option<[u8; 32]> {
        match share {
            Share::Curve(key) => {
                let shared = self.curve.diffie_hellman(&PublicKey::from(*key));
                shared.was_contributory().then(|| shared.to_bytes())
            }
            Share::P256(point) => {
                let key = p256::PublicKey::from_sec1_bytes(point).ok()?;
                let shared = p256::ecdh::diffie_hellman(self.p256.to_nonzero_scalar(), key.as_affine());
                Some((*shared.raw_secret_bytes()).into())
            }
        }
    }
}

/// HKDF-Expand-Label, at most 32 bytes, so that one round is all.
fn expand(secret: &[u8; 32], label: &str, context: &[u8], length: u8) -> [u8; 32] {
    let label = format!("tls13 {label}");
    let sizes = [u8::try_from(label.len()).unwrap_or(0), u8::try_from(context.len()).unwrap_or(0)];
    mac(secret, &[&[0, length, sizes[0]], label.as_bytes(), &[sizes[1]], context, &[1]])
}

/// One step of the schedule.
pub(super) struct Schedule([u8; 32]);

impl Schedule {
    /// The handshake's secrets.
    pub fn begin(shared: &[u8; 32]) -> Self {
        let early = mac(&[0; 32], &[&[0; 32]]);
        Self(mac(&derived(&early), &[shared]))
    }

    /// The secrets of what follows the handshake.
    pub fn master(&self) -> Self {
        Self(mac(&derived(&self.0), &[&[0; 32]]))
    }

    /// A secret of one side, bound to everything said so far.
    pub fn secret(&self, label: &str, hash: &[u8; 32]) -> [u8; 32] {
        expand(&self.0, label, hash, 32)
    }
}

fn derived(secret: &[u8; 32]) -> [u8; 32] {
    let nothing: [u8; 32] = Sha256::digest([]).into();
    expand(secret, "derived", &nothing, 32)
}

/// What proves that a side saw the same handshake.
pub(super) fn finished(secret: &[u8; 32], hash: &[u8; 32]) -> [u8; 32] {
    mac(&expand(secret, "finished", &[], 32), &[hash])
}

/// One direction of a connection.
pub(super) struct Half {
    cipher: Aes128Gcm,
    iv: [u8; 12],
    count: u64,
}

impl Half {
    pub fn new(secret: &[u8; 32]) -> Self {
        let (key, iv) = (expand(secret, "key", &[], 16), expand(secret, "iv", &[], 12));
        let (mut short_key, mut short_iv) = ([0; 16], [0; 12]);
        short_key.copy_from_slice(&key[..16]);
        short_iv.copy_from_slice(&iv[..12]);
        Self { cipher: Aes128Gcm::new(&short_key.into()), iv: short_iv, count: 0 }
    }

    fn nonce(&mut self) -> [u8; 12] {
        let mut nonce = self.iv;
        nonce[4..].iter_mut().zip(self.count.to_be_bytes()).for_each(|(byte, count)| *byte ^= count);
        self.count += 1;
        nonce
    }

    /// The body of a record with this content.
    pub fn seal(&mut self, content: &[u8], kind: u8) -> io::Result<Vec<u8>> {
        let inner = [content, &[kind]].concat();
        let length = u16::try_from(inner.len() + 16).map_err(|_| broken())?.to_be_bytes();
        let head = [super::DATA, 3, 3, length[0], length[1]];
        let nonce = self.nonce();
        self.cipher.encrypt(Nonce::from_slice(&nonce), Payload { msg: &inner, aad: &head }).map_err(|_| broken())
    }

    /// Kind and content of a record.
    pub fn open(&mut self, head: &[u8; 5], body: &[u8]) -> io::Result<(u8, Vec<u8>)> {
        let nonce = self.nonce();
        let opened = self.cipher.decrypt(Nonce::from_slice(&nonce), Payload { msg: body, aad: head });
        let mut inner = opened.map_err(|_| broken())?;
        // Zeros may follow, to hide the length.
        while inner.last() == Some(&0) {
            inner.pop();
        }
        let kind = inner.pop().ok_or_else(broken)?;
        Ok((kind, inner))
    }
}

fn broken() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "a record was tampered with")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap()).collect()
    }

    /// RFC 8448, section 3: a simple handshake, step by step.
    #[test]
    fn the_trace_of_rfc_8448() {
        let shared = hex("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d");
        let schedule = Schedule::begin(&shared.try_into().unwrap());
        assert_eq!(schedule.0.to_vec(), hex("1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac"));
        let hash = hex("860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8").try_into().unwrap();
        let server = schedule.secret("s hs traffic", &hash);
        assert_eq!(server.to_vec(), hex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38"));
        assert_eq!(expand(&server, "key", &[], 16)[..16], hex("3fce516009c21727d0f2e4e86ee403bc")[..]);
        assert_eq!(Half::new(&server).iv.to_vec(), hex("5d313eb2671276ee13000b30"));
        assert_eq!(
            schedule.master().0.to_vec(),
            hex("18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919")
        );
    }

    #[test]
    fn sealed_records_open_in_order_and_untouched_only() {
        let secret = [7; 32];
        let (mut ours, mut theirs) = (Half::new(&secret), Half::new(&secret));
        let first = ours.seal(b"one", 23).unwrap();
        let second = ours.seal(b"two", 22).unwrap();
        let head = |body: &[u8]| [23, 3, 3, 0, u8::try_from(body.len()).unwrap()];
        assert_eq!(theirs.open(&head(&first), &first).unwrap(), (23, b"one".to_vec()));
        let mut damaged = second.clone();
        damaged[0] ^= 1;
        assert!(Half::new(&secret).open(&head(&damaged), &damaged).is_err());
        assert_eq!(theirs.open(&head(&second), &second).unwrap(), (22, b"two".to_vec()));
        assert!(theirs.open(&head(&first), &first).is_err());
    }

    #[test]
    fn a_worthless_key_is_refused() {
        let ours = Secrets::new(&[9; 64]).unwrap();
        assert_eq!(ours.agree(&Share::Curve([0; 32])), None);
        let off = [&[4][..], &[7; 64]].concat();
        for point in [&[][..], &[0], &[4; 64], &off] {
            assert_eq!(ours.agree(&Share::P256(point.to_vec())), None);
        }
    }

    #[test]
    fn both_sides_come_to_the_same_secret_in_either_group() {
        let (ours, theirs) = (Secrets::new(&[9; 64]).unwrap(), Secrets::new(&[7; 64]).unwrap());
        let ((our_curve, our_point), (their_curve, their_point)) = (ours.shares(), theirs.shares());
        let curve = ours.agree(&Share::Curve(their_curve)).unwrap();
        assert_eq!(theirs.agree(&Share::Curve(our_curve)), Some(curve));
        let p256 = ours.agree(&Share::P256(their_point)).unwrap();
        assert_eq!(theirs.agree(&Share::P256(our_point)), Some(p256));
        assert_ne!(curve, p256);
    }
}
