//! What the key of a host costs to look up in a known_hosts file whose names are hashed, and how that grows with the file.
//! `cargo bench --bench known_hosts` prints a table; without `--bench` (as `cargo test` starts it) everything is tiny.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "a benchmark fails loudly, on time")]

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fleet_health::ssh::hostkey::{HostKey, Shown};
use fleet_health::ssh::known_hosts::{KnownHosts, Verdict};
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// Of an ed25519 key that no other number has.
fn key(number: usize) -> HostKey {
    let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    blob.extend([0; 24]);
    blob.extend(number.to_be_bytes());
    HostKey::from_blob(&blob).unwrap()
}

fn host(number: usize) -> String {
    format!("host{number:05}.example.net")
}

fn line(number: usize) -> String {
    let mut salt = [7; 20];
    salt[..8].copy_from_slice(&number.to_be_bytes());
    let digest = Hmac::<Sha1>::new_from_slice(&salt).unwrap().chain_update(host(number)).finalize().into_bytes();
    format!("|1|{}|{} {}\n", STANDARD.encode(salt), STANDARD.encode(digest), key(number).words())
}

/// As a visit does it: which keys to ask for, then what the one says that is shown. In µs a host.
fn visits(known: &KnownHosts, hosts: impl Iterator<Item = (String, HostKey)>, wanted: &Verdict) -> f64 {
    let (begun, mut count) = (Instant::now(), 0.0);
    for (host, key) in hosts {
        count += 1.0;
        let _ = (known.has_authority(&host, 22), known.kinds(&host, 22));
        let shown = Shown { key, certificate: None };
        for _ in 0..2 {
            assert_eq!(known.judge(&host, 22, &shown, 0), *wanted, "{host}");
        }
    }
    begun.elapsed().as_secs_f64() * 1e6 / count
}

fn main() {
    let real = std::env::args().any(|word| word == "--bench");
    println!(
        "| hosts, each with one hashed line | to read the file, ms | a known host, µs | a sweep of them all, s | a host that no line is for, µs |"
    );
    println!("|---|---|---|---|---|");
    for hosts in if real { [500, 5_000, 20_000] } else { [300, 400, 500] } {
        let text: String = (0..hosts).map(line).collect();
        let rounds = if real { 3 } else { 1 };
        let mut figures: Vec<[f64; 3]> = (0..rounds)
            .map(|_| {
                let begun = Instant::now();
                let known = KnownHosts::default();
                known.add(&text);
                let read = begun.elapsed().as_secs_f64() * 1e3;
                // Not in the order of the file.
                let order = (0..hosts).map(|number| number * 7919 % hosts);
                let each = visits(&known, order.map(|number| (host(number), key(number))), &Verdict::Known);
                // Some that are new, where no line is known to be somebody's.
                let known = KnownHosts::default();
                known.add(&text);
                let new = (hosts..hosts + 20).map(|number| (host(number), key(number)));
                [read, each, visits(&known, new, &Verdict::Unknown)]
            })
            .collect();
        figures.sort_by(|one, two| one[1].total_cmp(&two[1]));
        let [read, known, new] = figures[figures.len() / 2];
        println!("| {hosts} | {read:.1} | {known:.0} | {:.2} | {new:.0} |", known * hosts as f64 / 1e6);
    }
}
