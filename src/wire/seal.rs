//! The seal: stats are readable by the holders of the collector's age identities only.

use std::io::{Read, Write};
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use age::x25519::{Identity, Recipient};
use age::{DecryptError, Decryptor, EncryptError, Encryptor};

use super::MAX_FILE;

/// A real header has 181 to 347 bytes for one recipient; parsing a long one is quadratic (design/trust.md, point 8).
const MAX_HEADER: usize = 4 * 1024;
const INTRO: &[u8] = b"age-encryption.org/v1\n";

/// Why stats could not be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not a public key.
    #[error("{0:?} is not an age public key (age1...); list them with: fleet keys list")]
    BadRecipient(String),
    /// Not a private key; which one it was is never said.
    #[error("not an age identity (AGE-SECRET-KEY-1...)")]
    BadIdentity,
    /// Nobody to seal to.
    #[error("no public key to seal to")]
    NoRecipient,
    /// Nobody to open with.
    #[error("no identity to open with")]
    NoIdentity,
    /// More bytes than a stats file may have.
    #[error("{found} bytes; a stats file has at most {MAX_FILE}")]
    Oversize {
        /// Bytes, sealed or open.
        found: usize,
    },
    /// Not an age file.
    #[error("not an age file")]
    NotAge,
    /// The header does not end within the first 4 KiB, or is malformed.
    #[error("the age header is malformed")]
    BadHeader,
    /// Sealed to other keys.
    #[error("sealed to other keys than ours")]
    WrongKey,
    /// Truncated or changed after it was sealed.
    #[error("damaged: truncated or changed after it was sealed")]
    Damaged,
    /// The library refused to seal.
    #[error("cannot seal: {0}")]
    Refused(String),
}

/// A new key pair: the private identity (`AGE-SECRET-KEY-1...`) and its public recipient (`age1...`).
#[must_use]
pub fn generate() -> (String, String) {
    let identity = Identity::generate();
    (identity.to_string().expose_secret().to_owned(), identity.to_public().to_string())
}

/// The public key that belongs to an identity.
///
/// # Errors
/// [`SealError::BadIdentity`].
pub fn recipient_of(identity: &str) -> Result<String, SealError> {
    Ok(parse_identity(identity)?.to_public().to_string())
}

/// Seals to every recipient; each of them can open it alone.
///
/// # Errors
/// [`SealError`] for keys that are none, or more than [`MAX_FILE`] bytes.
pub fn seal(recipients: &[String], plain: &[u8]) -> Result<Vec<u8>, SealError> {
    if plain.len() > MAX_FILE {
        return Err(SealError::Oversize { found: plain.len() });
    }
    if recipients.is_empty() {
        return Err(SealError::NoRecipient);
    }
    let keys: Vec<Recipient> = recipients.iter().map(|key| parse_recipient(key)).collect::<Result<_, _>>()?;
    let refused = |text: String| SealError::Refused(text);
    // In our words: those of the library come in many languages, with a fifth of the probe's size.
    let told = |error: EncryptError| match error {
        EncryptError::Io(error) => refused(error.to_string()),
        _ => refused("the public keys do not go together".to_owned()),
    };
    let encryptor = Encryptor::with_recipients(keys.iter().map(|key| key as &dyn age::Recipient)).map_err(told)?;
    let mut sealed = Vec::with_capacity(plain.len() + 512 * keys.len());
    let mut writer = encryptor.wrap_output(&mut sealed).map_err(|error| refused(error.to_string()))?;
    writer.write_all(plain).and_then(|()| writer.finish()).map_err(|error| refused(error.to_string()))?;
    Ok(sealed)
}

/// Opens with whichever identity fits; nothing is handed out before the last byte proved authentic.
///
/// # Errors
/// [`SealError`]; every truncated or changed file is one.
pub fn open(identities: &[String], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    if identities.is_empty() {
        return Err(SealError::NoIdentity);
    }
    // The seal adds the header, a nonce and 16 bytes for each 64 KiB.
    if sealed.len() > MAX_FILE + MAX_HEADER + 1024 {
        return Err(SealError::Oversize { found: sealed.len() });
    }
    if !sealed.starts_with(INTRO) {
        return Err(SealError::NotAge);
    }
    let head = sealed.get(..MAX_HEADER.min(sealed.len())).unwrap_or(sealed);
    let Some(end) = head.windows(5).position(|window| window == b"\n--- ") else {
        return Err(SealError::BadHeader);
    };
    if !is_whole(head.get(INTRO.len()..end + 1).unwrap_or_default()) {
        return Err(SealError::BadHeader);
    }
    let keys: Vec<Identity> = identities.iter().map(|key| parse_identity(key)).collect::<Result<_, _>>()?;
    let decryptor = Decryptor::new_buffered(sealed).map_err(header_error)?;
    let reader = decryptor.decrypt(keys.iter().map(|key| key as &dyn age::Identity)).map_err(header_error)?;
    let mut plain = Vec::new();
    reader.take(MAX_FILE as u64 + 1).read_to_end(&mut plain).map_err(|_| SealError::Damaged)?;
    if plain.len() > MAX_FILE {
        return Err(SealError::Oversize { found: plain.len() });
    }
    Ok(plain)
}

/// Whether each stanza has its body, which ends with a line shorter than 64: the library lets one without pass.
fn is_whole(stanzas: &[u8]) -> bool {
    let mut body = false;
    for line in stanzas.split_inclusive(|&byte| byte == b'\n') {
        let begins = line.starts_with(b"-> ");
        if begins == body {
            return false;
        }
        body = begins || line.len() == 65;
    }
    !body
}

fn parse_recipient(key: &str) -> Result<Recipient, SealError> {
    Recipient::from_str(key.trim()).map_err(|_| SealError::BadRecipient(crate::model::clean::clean(key)))
}

fn parse_identity(key: &str) -> Result<Identity, SealError> {
    Identity::from_str(key.trim()).map_err(|_| SealError::BadIdentity)
}

fn header_error(error: DecryptError) -> SealError {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed => SealError::WrongKey,
        DecryptError::InvalidHeader | DecryptError::ExcessiveWork { .. } => SealError::BadHeader,
        DecryptError::UnknownFormat => SealError::NotAge,
        // A wrong MAC, a payload that does not decrypt, an end that comes early.
        _ => SealError::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_recipient_opens_and_nobody_else() {
        let (one, to_one) = generate();
        let (two, to_two) = generate();
        let (other, _) = generate();
        let sealed = seal(&[to_one, to_two], b"stats").unwrap();
        assert_eq!(open(&[one], &sealed).unwrap(), b"stats");
        assert_eq!(open(&[other.clone(), two], &sealed).unwrap(), b"stats");
        assert_eq!(open(&[other], &sealed), Err(SealError::WrongKey));
    }

    #[test]
    fn an_identity_tells_its_recipient_and_never_appears_in_an_error() {
        let (identity, recipient) = generate();
        assert_eq!(recipient_of(&identity).unwrap(), recipient);
        let broken = identity.replacen('1', "2", 1);
        let text = recipient_of(&broken).unwrap_err().to_string();
        assert!(!text.contains(&broken[20..]), "{text}");
        assert!(matches!(seal(&["age1nonsense".into()], b""), Err(SealError::BadRecipient(_))));
        assert_eq!(seal(&[], b""), Err(SealError::NoRecipient));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let (identity, recipient) = generate();
        let sealed = seal(&[recipient], &[7; 300]).unwrap();
        let keys = [identity];
        for length in 0..sealed.len() {
            assert!(open(&keys, &sealed[..length]).is_err(), "cut at {length}");
        }
        let mut longer = sealed;
        longer.push(0);
        assert!(open(&keys, &longer).is_err());
    }

    #[test]
    fn every_bit_flip_is_an_error() {
        let (identity, recipient) = generate();
        let sealed = seal(&[recipient], &[7; 60]).unwrap();
        let keys = [identity];
        for at in 0..sealed.len() {
            for bit in [1_u8, 0x20, 0x80] {
                let mut changed = sealed.clone();
                changed[at] ^= bit;
                assert!(open(&keys, &changed).is_err(), "bit {bit:#x} of byte {at}");
            }
        }
    }

    #[test]
    fn a_giant_header_is_refused_at_once() {
        let (identity, _) = generate();
        let mut bomb = INTRO.to_vec();
        while bomb.len() < 64 * 1024 {
            bomb.extend_from_slice(b"-> X25519 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nAAAA\n");
        }
        bomb.extend_from_slice(b"--- AAAA\n");
        let start = Instant::now();
        assert_eq!(open(&[identity], &bomb), Err(SealError::BadHeader));
        assert!(start.elapsed() < Duration::from_millis(50));
    }

    #[test]
    fn sizes_are_bounded() {
        let (identity, recipient) = generate();
        let sealed = seal(std::slice::from_ref(&recipient), &vec![1; MAX_FILE]).unwrap();
        assert_eq!(open(std::slice::from_ref(&identity), &sealed).unwrap().len(), MAX_FILE);
        assert!(matches!(seal(&[recipient], &vec![1; MAX_FILE + 1]), Err(SealError::Oversize { .. })));
        assert!(matches!(open(&[identity], &vec![1; 1 << 20]), Err(SealError::Oversize { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_stats_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let keys = ["AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX".to_owned()];
            prop_assert!(open(&keys, &bytes).is_err());
            let mut headed = INTRO.to_vec();
            headed.extend_from_slice(b"-> X25519 ");
            headed.extend(&bytes);
            headed.extend_from_slice(b"\n--- ");
            headed.extend(&bytes);
            prop_assert!(open(&keys, &headed).is_err());
        }
    }
}
