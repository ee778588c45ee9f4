//! Any text is a known_hosts file; a key that no line has is never known.
#![no_main]

use fleet_health::ssh::hostkey::HostKey;
use fleet_health::ssh::known_hosts::{KnownHosts, Verdict};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let known = KnownHosts::default();
    known.add(&text);
    let mut blob = vec![0, 0, 0, 11];
    blob.extend_from_slice(b"ssh-ed25519\0\0\0\x20");
    blob.extend_from_slice(&[7; 32]);
    let key = HostKey::from_blob(&blob).unwrap();
    for (host, port) in [("web01.example.net", 22), ("10.0.0.1", 2222), ("::1", 22)] {
        let _ = known.kinds(host, port);
        if matches!(known.check(host, port, &key), Verdict::Known) {
            let words = key.words();
            assert!(text.contains(words.split(' ').nth(1).unwrap()), "a key that is not in the file");
        }
    }
    if let Some(key) = HostKey::from_blob(data) {
        let _ = (key.weakness(), key.fingerprint());
    }
});
