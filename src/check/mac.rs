//! HMAC-SHA-256 over parts: what SCRAM and the key schedule of TLS are made of.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The code of all parts, one after the other.
pub(super) fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
