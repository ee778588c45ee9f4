//! Signatures of RSA with PSS and SHA-256 (RFC 8017, 8.1.2), verified only: nothing here is secret, so it may be slow and
//! simple.

use sha2::{Digest, Sha256};

const HASH: usize = 32;
/// Keys under 2,048 bits are refused; ones over 8,192 would keep the probe busy.
const SIZES: std::ops::RangeInclusive<usize> = 256..=1024;

/// A natural number, the least 32 bits first, as many digits as its modulus has.
type Number = Vec<u32>;

/// Whether the signature of the message was made with the key of this modulus and exponent.
pub(super) fn verify(modulus: &[u8], exponent: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let odd = |bytes: &[u8]| bytes.last().is_some_and(|byte| byte % 2 == 1);
    let short = exponent.len() <= 4 && exponent != [1];
    if !SIZES.contains(&modulus.len()) || modulus[0] == 0 || !odd(modulus) || !odd(exponent) || !short {
        return false;
    }
    let (modulo, signed) = (number(modulus), number(signature));
    if signature.len() != modulus.len() || !less(&signed, &modulo) {
        return false;
    }
    let opened = bytes(&power(&signed, exponent, &modulo), modulus.len());
    let bits = modulus.len() * 8 - modulus[0].leading_zeros() as usize - 1;
    let (before, encoded) = opened.split_at(modulus.len() - bits.div_ceil(8));
    before.iter().all(|byte| *byte == 0) && fits(encoded, bits, message)
}

/// EMSA-PSS-VERIFY with a salt as long as the hash, as TLS has it.
fn fits(encoded: &[u8], bits: usize, message: &[u8]) -> bool {
    let Some((rest, [0xbc])) = encoded.split_last_chunk::<1>() else { return false };
    let Some((masked, hash)) = rest.split_last_chunk::<HASH>() else { return false };
    // The bits of the first byte that the number does not reach.
    let over = !(u8::MAX >> (encoded.len() * 8 - bits));
    if masked.first().is_none_or(|first| first & over != 0) {
        return false;
    }
    let mut plain: Vec<u8> = masked.iter().zip(mask(hash, masked.len())).map(|(byte, mask)| byte ^ mask).collect();
    plain[0] &= !over;
    let Some((padding, salt)) = plain.split_last_chunk::<HASH>() else { return false };
    let Some((1, zeros)) = padding.split_last() else { return false };
    let said = Sha256::digest(message);
    let expected: [u8; HASH] =
        Sha256::new().chain_update([0; 8]).chain_update(said).chain_update(salt).finalize().into();
    zeros.iter().all(|byte| *byte == 0) && expected == *hash
}

/// MGF1.
fn mask(seed: &[u8], length: usize) -> impl Iterator<Item = u8> + use<'_> {
    let round =
        move |n: u32| <[u8; HASH]>::from(Sha256::new().chain_update(seed).chain_update(n.to_be_bytes()).finalize());
    (0..).flat_map(round).take(length)
}

fn number(bytes: &[u8]) -> Number {
    bytes.rchunks(4).map(|part| part.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))).collect()
}

fn bytes(number: &Number, length: usize) -> Vec<u8> {
    let all: Vec<u8> = number.iter().rev().flat_map(|digit| digit.to_be_bytes()).collect();
    all[all.len().saturating_sub(length)..].to_vec()
}

fn less(one: &Number, other: &Number) -> bool {
    one.iter().rev().lt(other.iter().rev())
}

/// `base` to the power of the exponent, square and multiply.
fn power(base: &Number, exponent: &[u8], modulo: &Number) -> Number {
    let mut result = vec![0; modulo.len()];
    result[0] = 1;
    for byte in exponent {
        for bit in (0..8).rev() {
            result = product(&result, &result, modulo);
            if byte >> bit & 1 == 1 {
                result = product(&result, base, modulo);
            }
        }
    }
    result
}

/// Bit by bit, so that no number grows longer than the modulus; both factors are less than it.
fn product(one: &Number, other: &Number, modulo: &Number) -> Number {
    let mut sum = vec![0; modulo.len()];
    for digit in one.iter().rev() {
        for bit in (0..32).rev() {
            let twice = sum.clone();
            add(&mut sum, &twice, modulo);
            if digit >> bit & 1 == 1 {
                add(&mut sum, other, modulo);
            }
        }
    }
    sum
}

/// Adds, and takes the modulus away where the sum reaches it.
fn add(sum: &mut Number, other: &Number, modulo: &Number) {
    let mut carry = 0_u64;
    for (digit, other) in sum.iter_mut().zip(other) {
        let whole = u64::from(*digit) + u64::from(*other) + carry;
        (*digit, carry) = (whole as u32, whole >> 32);
    }
    if carry == 0 && less(sum, modulo) {
        return;
    }
    let mut borrow = 0_i64;
    for (digit, modulo) in sum.iter_mut().zip(modulo) {
        let rest = i64::from(*digit) - i64::from(*modulo) + borrow;
        (*digit, borrow) = (rest as u32, rest >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap()).collect()
    }

    /// Made by openssl, the second (2,049 bits) by Python: `openssl dgst -sha256 -sign -sigopt rsa_padding_mode:pss
    /// -sigopt rsa_pss_saltlen:32`; the last salt is shorter.
    const SIGNED: &str = include_str!("fixtures/rsa-signed.txt");
    const MESSAGE: &[u8] = b"what was signed";

    fn cases() -> impl Iterator<Item = (Vec<u8>, Vec<u8>, bool)> {
        SIGNED.lines().map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            (hex(words[0]), hex(words[1]), words[2] == "good")
        })
    }

    #[test]
    fn what_openssl_signed_is_told_from_what_it_did_not() {
        assert!(cases().count() >= 6);
        for (modulus, signature, good) in cases() {
            let size = modulus.len() * 8 - modulus[0].leading_zeros() as usize;
            assert_eq!(verify(&modulus, &[1, 0, 1], MESSAGE, &signature), good, "{size}");
            assert!(
                !verify(&modulus, &[1, 0, 1], b"something else", &signature)
                    && !verify(&modulus, &[3], MESSAGE, &signature)
            );
            let mut damaged = signature.clone();
            damaged[100] ^= 4;
            assert!(!verify(&modulus, &[1, 0, 1], MESSAGE, &damaged));
            assert!(!verify(&modulus, &[1, 0, 1], MESSAGE, &signature[1..]));
        }
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        let (modulus, signature, _) = cases().next().unwrap();
        let even = [&modulus[..modulus.len() - 1], &[2]].concat();
        for (modulus, exponent) in [
            (&modulus[..], &[][..]),
            (&modulus, &[1]),
            (&modulus, &[4]),
            (&even, &[3]),
            (&modulus[..128], &[3]),
            (&[], &[3]),
        ] {
            assert!(!verify(modulus, exponent, MESSAGE, &signature));
        }
        // One, zero and the modulus itself are signatures of nothing.
        let size = modulus.len();
        let one = [vec![0; size - 1], vec![1]].concat();
        for signature in [vec![0; size], one, modulus.clone()] {
            assert!(!verify(&modulus, &[1, 0, 1], MESSAGE, &signature));
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]
        #[test]
        fn a_product_is_that_of_great_numbers(one: u64, other: u64, modulo in 1u64 << 33..) {
            let split = |n: u64| vec![n as u32, (n >> 32) as u32];
            let (one, other) = (one % modulo, other % modulo);
            let expected = (u128::from(one) * u128::from(other) % u128::from(modulo)) as u64;
            proptest::prop_assert_eq!(product(&split(one), &split(other), &split(modulo)), split(expected));
        }

        #[test]
        fn no_bytes_make_it_panic(modulus in proptest::collection::vec(0u8.., 250..270), exponent: [u8; 3], signature in proptest::collection::vec(0u8.., 250..270)) {
            let _ = verify(&modulus, &exponent, MESSAGE, &signature);
        }
    }
}
