//! Certificates of hosts and users, against a real sshd and beside what ssh itself says.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "support/sshd.rs"]
mod sshd;
#[path = "support/visit.rs"]
mod visit;

use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use fleet_health::model::cause::Cause;
use fleet_health::model::spec::SshSpec;
use fleet_health::ssh::{self, Bastions, Secrets, SshError};
use sshd::{Options, Sshd, sh};
use visit::spec;

/// An sshd whose host key `ca` has signed, for these names and times, and which trusts users that `userca` has signed.
fn certified(kind: &str, authority: &str, names: &str, more: &str) -> Sshd {
    let names = if names.is_empty() { String::new() } else { format!("-n {names}") };
    let mut sshd = Sshd::start(&Options { key_type: kind.into(), ..Options::default() });
    sshd.stop();
    let folder = sshd.folder.display().to_string();
    sh(&format!(
        "cd {folder} && ssh-keygen -q -t {authority} -N '' -f ca && ssh-keygen -q -t ed25519 -N '' -f userca && \
         ssh-keygen -q -t ed25519 -N '' -f otherca && ssh-keygen -q -s ca -I host -h {names} {more} hostkey.pub"
    ));
    let mut config = fs::OpenOptions::new().append(true).open(sshd.folder.join("sshd_config")).unwrap();
    writeln!(config, "HostCertificate {folder}/hostkey-cert.pub\nTrustedUserCAKeys {folder}/userca.pub").unwrap();
    sshd.go_on();
    sshd
}

fn file(sshd: &Sshd, name: &str) -> String {
    fs::read_to_string(sshd.folder.join(name)).unwrap().trim().to_owned()
}

fn log_in(spec: &SshSpec) -> Result<String, SshError> {
    let deadline = Instant::now() + Duration::from_secs(20);
    ssh::connect(spec, &Secrets::default(), &Bastions::default(), deadline).map(|session| session.agreed())
}

/// Whether ssh itself logs in.
fn theirs(sshd: &Sshd) -> (bool, String) {
    let done = Command::new("ssh")
        .args(["-F", "none", "-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=/dev/null"])
        .args(["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o"])
        .arg(format!("UserKnownHostsFile={}", sshd.known_hosts.display()))
        .arg("-i")
        .arg(&sshd.key)
        .args(["-p", &sshd.port.to_string(), &format!("{}@{}", sshd.user, sshd.address), "true"])
        .output()
        .unwrap();
    (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn an_authority_in_known_hosts_vouches_for_its_hosts() {
    for (kind, authority) in [
        ("ed25519", "ed25519"),
        ("ed25519", "ecdsa -b 256"),
        ("ed25519", "rsa -b 2048"),
        ("ecdsa", "ecdsa -b 384"),
        ("rsa -b 2048", "ed25519"),
    ] {
        let sshd = certified(kind, authority, "127.0.0.1", "");
        let (ca, other, key) = (file(&sshd, "ca.pub"), file(&sshd, "otherca.pub"), file(&sshd, "hostkey.pub"));
        for (text, wanted) in [
            (format!("@cert-authority 127.0.0.* {ca}"), None),
            (format!("@cert-authority [127.0.0.1]:{} {ca}", sshd.port), None),
            (format!("@cert-authority * {other}"), Some(Cause::HostKeyUnknown)),
            (format!("@cert-authority *.example.net {ca}"), Some(Cause::HostKeyUnknown)),
            (format!("@cert-authority *,!*127.0.0.1* {ca}"), Some(Cause::HostKeyUnknown)),
            (format!("@cert-authority * {other}\n127.0.0.1 {key}"), None),
            (format!("@cert-authority * {ca}\n@revoked * {ca}"), Some(Cause::HostKeyRevoked)),
            (format!("@cert-authority * {ca}\n@revoked * {key}"), Some(Cause::HostKeyRevoked)),
            (format!("127.0.0.1 {ca}"), Some(Cause::HostKeyUnknown)),
        ] {
            fs::write(&sshd.known_hosts, format!("{text}\n")).unwrap();
            let ours = log_in(&spec(&sshd));
            assert_eq!(ours.as_ref().err().map(|error| error.cause), wanted, "{kind} {authority}: {text}: {ours:?}");
            let (good, said) = theirs(&sshd);
            assert_eq!(wanted.is_none(), good, "{kind} {authority}: {text}: {said}");
        }
        fs::write(&sshd.known_hosts, format!("@cert-authority * {ca}\n")).unwrap();
        let agreed = log_in(&spec(&sshd)).unwrap();
        assert!(agreed.contains("cert-v01"), "the certificate was not asked for: {agreed}");
    }
}

#[test]
fn a_certificate_for_others_or_another_time_proves_nothing() {
    for (names, more, why) in [
        ("10.0.0.1", "", "it is for 10.0.0.1, not for 127.0.0.1"),
        ("127.0.0.1", "-V 20200101:20200102", "expired"),
        ("127.0.0.1", "-V 20900101:20910101", "not valid yet"),
    ] {
        let sshd = certified("ed25519", "ed25519", names, more);
        fs::write(&sshd.known_hosts, format!("@cert-authority * {}\n", file(&sshd, "ca.pub"))).unwrap();
        let error = log_in(&spec(&sshd)).err().unwrap();
        assert_eq!(error.cause, Cause::HostKeyUnknown, "{error}");
        assert!(error.text.contains(why), "{error}");
        assert!(!theirs(&sshd).0, "ssh takes it");
        assert!(!sshd.log_text().contains("Accepted"), "nobody logged in");
        // It takes nothing away from a key that is known by itself, and adds nothing to another.
        for (known, good) in [("hostkey.pub", true), ("otherca.pub", false)] {
            let (ca, key) = (file(&sshd, "ca.pub"), file(&sshd, known));
            fs::write(&sshd.known_hosts, format!("@cert-authority * {ca}\n[127.0.0.1]:{} {key}\n", sshd.port)).unwrap();
            let ours = log_in(&spec(&sshd));
            assert_eq!(ours.is_ok(), good, "{names} {more}: {ours:?}");
            let (theirs, said) = theirs(&sshd);
            assert_eq!(theirs, good, "{names} {more}: {said}");
        }
    }
}

#[test]
fn a_certificate_without_names_is_for_all_hosts_of_its_authority() {
    let sshd = certified("ed25519", "ed25519", "", "");
    for (authority, good) in [("ca.pub", true), ("otherca.pub", false)] {
        fs::write(&sshd.known_hosts, format!("@cert-authority * {}\n", file(&sshd, authority))).unwrap();
        let ours = log_in(&spec(&sshd));
        assert_eq!(ours.is_ok(), good, "{ours:?}");
        let (theirs, said) = theirs(&sshd);
        assert_eq!(theirs, good, "{said}");
    }
}

#[test]
fn a_user_logs_in_with_a_certificate() {
    let sshd = certified("ed25519", "ed25519", "127.0.0.1", "");
    // Only the certificate is known there, not the key.
    fs::write(sshd.folder.join("authorized"), "").unwrap();
    let folder = sshd.folder.display();
    for kind in ["ed25519", "ecdsa", "rsa -b 2048"] {
        sh(&format!("cd {folder} && rm -f id id.pub id-cert.pub && ssh-keygen -q -t {kind} -N '' -f id"));
        assert_eq!(log_in(&spec(&sshd)).err().map(|error| error.cause), Some(Cause::Authentication), "{kind}");
        sh(&format!("cd {folder} && ssh-keygen -q -s userca -I someone -n {} id.pub", sshd.user));
        log_in(&spec(&sshd)).unwrap_or_else(|error| panic!("{kind}: {error}: {}", sshd.log_text()));
        // Beside the key, or named; another key's is not offered.
        sh(&format!("cd {folder} && mv id-cert.pub elsewhere"));
        let named = SshSpec { certificate_files: vec![sshd.folder.join("elsewhere")], ..spec(&sshd) };
        log_in(&named).unwrap_or_else(|error| panic!("{kind}: {error}"));
        sh(&format!("cd {folder} && cp hostkey-cert.pub elsewhere"));
        let error = log_in(&named).err().unwrap();
        assert!(error.cause == Cause::Authentication && !error.text.contains("certificate"), "{error}");
    }
    assert!(sshd.log_text().contains("ID someone"), "{}", sshd.log_text());
}
