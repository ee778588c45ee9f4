//! A host's public key as it travels: its type, its fingerprint, and whether it is strong enough.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use super::certificate::Certificate;

/// The least length of an RSA key, in bits.
pub const MIN_RSA_BITS: usize = 2048;

/// A public key in SSH's wire form, checked to be well formed for its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey {
    kind: &'static str,
    blob: Vec<u8>,
}

/// What a host shows: its key, and a certificate for it where it has one and was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The key that it proved to hold.
    pub key: HostKey,
    /// Not verified.
    pub certificate: Option<Certificate>,
}

impl Shown {
    /// Reads SSH's wire form of a key or a certificate.
    #[must_use]
    pub fn from_blob(blob: &[u8]) -> Option<Self> {
        match HostKey::from_blob(blob) {
            Some(key) => Some(Self { key, certificate: None }),
            None => Certificate::from_blob(blob)
                .map(|certificate| Self { key: certificate.key.clone(), certificate: Some(certificate) }),
        }
    }
}

/// Types whose lines in known_hosts count, with the number of fields after the type's name.
const KINDS: &[(&str, usize)] = &[
    ("ssh-ed25519", 1),
    ("ecdsa-sha2-nistp256", 2),
    ("ecdsa-sha2-nistp384", 2),
    ("ecdsa-sha2-nistp521", 2),
    ("ssh-rsa", 2),
    ("ssh-dss", 4),
    ("sk-ssh-ed25519@openssh.com", 2),
    ("sk-ecdsa-sha2-nistp256@openssh.com", 3),
];

impl HostKey {
    /// Reads SSH's wire form; `None` where it is not exactly a key of a type that is known.
    #[must_use]
    pub fn from_blob(blob: &[u8]) -> Option<Self> {
        let (name, mut rest) = field(blob)?;
        let kind = std::str::from_utf8(name).ok()?;
        let &(kind, fields) = KINDS.iter().find(|(known, _)| *known == kind)?;
        let mut first: &[u8] = &[];
        for number in 0..fields {
            let (value, after) = field(rest)?;
            if value.is_empty() {
                return None;
            }
            if number == 0 {
                first = value;
            }
            rest = after;
        }
        let fits = match kind {
            "ssh-ed25519" => first.len() == 32,
            _ if kind.starts_with("ecdsa-") => kind.as_bytes().ends_with(first),
            _ => true,
        };
        (rest.is_empty() && fits).then(|| Self { kind, blob: blob.to_vec() })
    }

    /// Reads the two words of a known_hosts line: type and base64.
    #[must_use]
    pub fn from_words(kind: &str, base64: &str) -> Option<Self> {
        let key = Self::from_blob(&STANDARD.decode(base64).ok()?)?;
        (key.kind == kind).then_some(key)
    }

    /// The type's name, e.g. `ssh-ed25519`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// `SHA256:...` as ssh-keygen prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&self.blob)))
    }

    /// Type and base64, as in a known_hosts line.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{} {}", self.kind, STANDARD.encode(&self.blob))
    }

    /// Why the key is too weak to be trusted, if it is.
    #[must_use]
    pub fn weakness(&self) -> Option<String> {
        match self.kind {
            "ssh-dss" => Some("a DSA key, which is broken".to_owned()),
            "ssh-rsa" if self.rsa_bits() < MIN_RSA_BITS => {
                Some(format!("an RSA key of {} bits, under {MIN_RSA_BITS}", self.rsa_bits()))
            }
            _ => None,
        }
    }

    /// The fields after the type's name.
    pub(super) fn parts(&self) -> Option<Vec<&[u8]>> {
        let (_, mut rest) = field(&self.blob)?;
        let mut all = Vec::new();
        while !rest.is_empty() {
            let (part, after) = field(rest)?;
            all.push(part);
            rest = after;
        }
        Some(all)
    }

    fn rsa_bits(&self) -> usize {
        let modulus = field(&self.blob)
            .and_then(|(_, rest)| field(rest))
            .and_then(|(_, rest)| field(rest))
            .map_or(&[][..], |(value, _)| value);
        let start = modulus.iter().position(|&byte| byte != 0).unwrap_or(modulus.len());
        let significant = &modulus[start..];
        significant.first().map_or(0, |top| significant.len() * 8 - top.leading_zeros() as usize)
    }
}

/// A length of four bytes and that many bytes; and what follows.
pub(super) fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(parts: &[&[u8]]) -> Vec<u8> {
        parts.iter().flat_map(|p| u32::try_from(p.len()).unwrap().to_be_bytes().into_iter().chain(p.to_vec())).collect()
    }

    #[test]
    fn fingerprint_is_the_one_of_ssh_keygen() {
        // ssh-keygen -lf of GitHub's published key.
        let key =
            HostKey::from_words("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl")
                .unwrap();
        assert_eq!(key.fingerprint(), "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU");
    }

    #[test]
    fn short_rsa_is_weak_and_malformed_keys_are_none() {
        let mut modulus = vec![0u8; 129];
        modulus[1] = 0x80;
        let key = HostKey::from_blob(&blob(&[b"ssh-rsa", &[1, 0, 1], &modulus])).unwrap();
        assert_eq!(key.rsa_bits(), 1024);
        assert!(key.weakness().is_some());
        let good = blob(&[b"ssh-ed25519", &[7; 32]]);
        assert!(HostKey::from_blob(&good).unwrap().weakness().is_none());
        for end in 0..good.len() {
            assert!(HostKey::from_blob(&good[..end]).is_none());
        }
        assert!(HostKey::from_blob(&blob(&[b"ssh-ed25519", &[7; 31]])).is_none());
        assert!(HostKey::from_blob(&blob(&[b"ssh-ed25519", &[7; 32], b"x"])).is_none());
        assert!(HostKey::from_words("ssh-rsa", &STANDARD.encode(good)).is_none());
    }
}
