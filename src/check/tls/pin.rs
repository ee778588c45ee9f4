//! The one certificate that is right, and the proof that the server holds its key (RFC 8446, 4.4.3).

use std::io::{self, ErrorKind};

use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use super::super::certificate::der::{self, Key};
use super::super::{Occasion, Trouble};
use super::{beyond_us, rsa};

/// Ways of signing, as TLS numbers them.
const ECDSA_P256_SHA256: [u8; 2] = [4, 3];
const RSA_PSS_SHA256: [u8; 2] = [8, 4];

/// The SHA-256 of a certificate, as `openssl x509 -noout -fingerprint -sha256` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Pin([u8; 32]);

impl Pin {
    /// What the order's `fingerprint=` says.
    pub fn of(at: &Occasion) -> Result<Option<Self>, Trouble> {
        let Some(text) = at.order.attribute("fingerprint") else { return Ok(None) };
        let pin = Self::parse(text).ok_or_else(|| Trouble::unsupported(format!("\"{text}\" is no fingerprint")))?;
        Ok(Some(pin))
    }

    /// From 64 hexadecimal digits, colons between them or not.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u32> = text.chars().filter(|c| *c != ':').map(|c| c.to_digit(16)).collect::<Option<_>>()?;
        let mut bytes = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = u8::try_from(pair[0] << 4 | pair[1]).ok()?;
        }
        Some(Self(bytes))
    }

    /// Whether this is the certificate, and its key signed the handshake up to here.
    pub fn holds(&self, certificate: &[u8], hash: &[u8; 32], scheme: [u8; 2], signature: &[u8]) -> io::Result<()> {
        let shown: [u8; 32] = Sha256::digest(certificate).into();
        if shown != self.0 {
            let text: Vec<String> = shown.iter().map(|byte| format!("{byte:02X}")).collect();
            let text = format!("the server is another: its certificate has the fingerprint {}", text.join(":"));
            return Err(io::Error::new(ErrorKind::PermissionDenied, text));
        }
        let said = [&[b' '; 64][..], b"TLS 1.3, server CertificateVerify\0", hash].concat();
        let good = match (der::key(certificate), scheme) {
            (Some(Key::Rsa(modulus, exponent)), RSA_PSS_SHA256) => rsa::verify(modulus, exponent, &said, signature),
            (Some(Key::P256(point)), ECDSA_P256_SHA256) => {
                let key = VerifyingKey::from_sec1_bytes(point).ok();
                let signature = Signature::from_der(signature).ok();
                key.zip(signature).is_some_and(|(key, signature)| key.verify(&said, &signature).is_ok())
            }
            _ => return Err(beyond_us("the server's key is neither RSA nor P-256: its certificate cannot be pinned")),
        };
        if good {
            return Ok(());
        }
        let text = "the server shows a certificate whose key it does not hold";
        Err(io::Error::new(ErrorKind::PermissionDenied, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_as_openssl_shows_them() {
        let plain = "00".repeat(31) + "fF";
        assert_eq!(Pin::parse(&plain).unwrap().0[31], 255);
        assert_eq!(Pin::parse(&["00"; 32].join(":")), Some(Pin([0; 32])));
        for bad in ["", "00", &"g".repeat(64), &"0".repeat(65), "SHA256:x"] {
            assert_eq!(Pin::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn another_certificate_is_told_by_its_fingerprint() {
        let told = Pin([0; 32]).holds(b"", &[0; 32], RSA_PSS_SHA256, b"").unwrap_err();
        assert_eq!(told.kind(), ErrorKind::PermissionDenied);
        assert!(told.to_string().ends_with("fingerprint E3:B0:C4:42:98:FC:1C:14:9A:FB:F4:C8:99:6F:B9:24:27:AE:41:E4:64:9B:93:4C:A4:95:99:1B:78:52:B8:55"));
        let junk = Pin(Sha256::digest(b"junk").into()).holds(b"junk", &[0; 32], RSA_PSS_SHA256, b"");
        assert_eq!(junk.unwrap_err().kind(), ErrorKind::Unsupported);
    }

    proptest::proptest! {
        #[test]
        fn no_signature_makes_it_panic(signature: Vec<u8>, scheme: [u8; 2]) {
            let pem = include_str!("../../measure/certificate/fleet.pem");
            let der = super::super::super::certificate::first(pem.as_bytes()).unwrap();
            let pin = Pin(Sha256::digest(&der).into());
            proptest::prop_assert!(pin.holds(&der, &[0; 32], scheme, &signature).is_err());
        }
    }
}
