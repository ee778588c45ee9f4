//! No bytes that nobody sealed open, and none make the look at the header long.
#![no_main]

use std::sync::LazyLock;

use fleet_health::wire::seal;
use libfuzzer_sys::fuzz_target;

static KEYS: LazyLock<[String; 1]> = LazyLock::new(|| [seal::generate().0]);

fuzz_target!(|data: &[u8]| {
    assert!(seal::open(&*KEYS, data).is_err());
    let headed = [&b"age-encryption.org/v1\n-> X25519 "[..], data, b"\n--- ", data].concat();
    assert!(seal::open(&*KEYS, &headed).is_err());
    assert!(seal::recipient_of(&String::from_utf8_lossy(data)).is_err());
});
