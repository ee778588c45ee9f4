//! Visits to real sshd instances, each fault with its cause.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "support/sshd.rs"]
mod sshd;
#[path = "support/visit.rs"]
mod visit;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fleet_health::model::cause::Cause;
use fleet_health::model::spec::{SshSpec, Transport, UnknownHosts};
use fleet_health::ssh::{Bastions, Secrets, local};
use fleet_health::wire::{seal, task::Task};
use sshd::{Options, Sshd, sh};
use visit::{cause, folder, nobody, spec, visit, visit_with};

#[test]
fn the_second_visit_ships_nothing() {
    let (_folder, probes) = folder();
    let sshd = Sshd::start(&Options::default());
    let first = visit(spec(&sshd), &probes);
    assert!(first.pulled && first.traffic.shipped, "{:?} {}", first.failed, sshd.log_text());
    assert_eq!(first.files.len(), 1);
    empties(&sshd);
    let second = visit(spec(&sshd), &probes);
    assert!(second.pulled && !second.traffic.shipped, "{:?}", second.failed);
    assert_eq!(second.files.len(), 1, "what was acknowledged is gone");
    assert_ne!(second.files[0].0, first.files[0].0);
    assert!(second.traffic.sent < 16 * 1024, "{:?}", second.traffic);
    // TCP, version and proposal, keys, service and login, signature, channel, command, task: the whole price of a warm visit.
    assert_eq!(second.traffic.round_trips, 8);
    // The probe is asked for and said to be in place; the rest is the upload's, by the window of the server.
    assert!(u64::from(first.traffic.round_trips) <= 10 + first.traffic.sent / (256 << 10), "{:?}", first.traffic);
    assert!(first.traffic.sent > second.traffic.sent + 100_000);
    let left = sh(&format!("ls -A {}/.cache/fleet-health", sshd.home.display()));
    assert_eq!(left.lines().filter(|line| line.starts_with(".new") || line.starts_with("probe-")).count(), 1, "{left}");
}

#[test]
fn banner_and_noisy_start_files_confuse_nothing() {
    let (_folder, probes) = folder();
    let sshd = Sshd::start(&Options {
        banner: Some("Unauthorised use is FLEET1 forbidden\n".repeat(50)),
        bashrc: Some("echo welcome; echo FLEET1 x; echo oops >&2\n".into()),
        shell: "/bin/bash".into(),
        ..Options::default()
    });
    for _ in 0..2 {
        let seen = visit(spec(&sshd), &probes);
        assert!(seen.pulled, "{:?}", seen.failed);
    }
}

#[test]
fn c1_c2_unknown_and_changed_host_keys_are_refused_before_any_login() {
    let (_folder, probes) = folder();
    let sshd = Sshd::start(&Options::default());
    sshd.know_another();
    let changed = visit(spec(&sshd), &probes);
    assert_eq!(cause(&changed), Cause::HostKeyChanged);
    assert_eq!(changed.failed.unwrap().1.matches("SHA256:").count(), 2, "both fingerprints");
    fs::write(&sshd.known_hosts, "").unwrap();
    let unknown = visit(spec(&sshd), &probes);
    assert_eq!(cause(&unknown), Cause::HostKeyUnknown);
    let (why, text) = unknown.failed.unwrap();
    assert!(text.contains("SHA256:"), "the fingerprint to compare is missing: {text}");
    assert!(why.remedy().contains("fleet hosts accept"));
    assert!(!sshd.log_text().contains(&format!("for {}", sshd.user)), "nobody logged in: {}", sshd.log_text());
    assert_eq!(fs::read_to_string(&sshd.known_hosts).unwrap(), "", "nothing is accepted by itself");
    let pinned = SshSpec { fingerprint: Some("SHA256:wrong".into()), ..spec(&sshd) };
    assert_eq!(cause(&visit(pinned, &probes)), Cause::HostKeyChanged);
    let new = SshSpec { unknown_hosts: UnknownHosts::AcceptNew, ..spec(&sshd) };
    assert!(visit(new, &probes).pulled);
    assert!(visit(spec(&sshd), &probes).pulled, "the key was written down");
    let key = fs::read_to_string(sshd.folder.join("hostkey.pub")).unwrap();
    fs::write(&sshd.known_hosts, format!("@revoked * {key}")).unwrap();
    assert_eq!(cause(&visit(spec(&sshd), &probes)), Cause::HostKeyRevoked);
}

/// What OpenSSH itself says that we offered and what was agreed on.
#[test]
fn c4_key_exchange_and_ciphers_are_modern_and_strict() {
    let sshd = Sshd::start(&Options { lines: vec!["LogLevel DEBUG3".into()], ..Options::default() });
    let deadline = Instant::now() + Duration::from_secs(20);
    let session =
        fleet_health::ssh::connect(&spec(&sshd), &Secrets::default(), &Bastions::default(), deadline).unwrap();
    let agreed = session.agreed();
    let kex = agreed.split(' ').next().unwrap();
    assert!(["mlkem768x25519-sha256", "curve25519-sha256"].contains(&kex), "{agreed}");
    let log = sshd.log_text();
    assert!(log.contains("will use strict KEX ordering"), "{log}");
    let proposal = log.split("peer client KEXINIT proposal").nth(1).unwrap().lines().take(11).collect::<String>();
    for wanted in
        ["KEX algorithms: ", "kex-strict-c-v00@openssh.com", "host key algorithms: ssh-ed25519", "ciphers ctos: "]
    {
        assert!(proposal.contains(wanted), "{wanted}: {proposal}");
    }
    for broken in ["sha1", "md5", "cbc", "3des", "arcfour", "group1-", "ssh-dss", "ssh-rsa", "umac-64", "cert-v01"] {
        assert!(!proposal.contains(broken), "{broken} is offered: {proposal}");
    }
}

/// Servers that can do only what is pinned away are refused before any login.
#[test]
fn c4_old_algorithms_are_not_agreed_on() {
    let (_folder, probes) = folder();
    for line in [
        "KexAlgorithms diffie-hellman-group14-sha1,diffie-hellman-group1-sha1",
        "HostKeyAlgorithms ssh-rsa",
        "Ciphers aes128-cbc,3des-cbc",
        "Ciphers aes256-ctr\nMACs hmac-md5,hmac-sha1",
    ] {
        let key_type = if line.contains("ssh-rsa") { "rsa -b 2048" } else { "ed25519" };
        let sshd = Sshd::start(&Options { key_type: key_type.into(), lines: vec![line.into()], ..Options::default() });
        let seen = visit(spec(&sshd), &probes);
        assert_eq!(cause(&seen), Cause::Handshake, "{line}: {seen:?}");
        assert!(!sshd.log_text().contains("Accepted"), "{line}");
    }
}

#[test]
fn c4_weak_rsa_host_keys_are_refused() {
    let (_folder, probes) = folder();
    let sshd = Sshd::start(&Options {
        key_type: "rsa -b 1024".into(),
        lines: vec!["RequiredRSASize 1024".into()],
        ..Options::default()
    });
    let seen = visit(spec(&sshd), &probes);
    assert_eq!(cause(&seen), Cause::Handshake);
    assert!(seen.failed.unwrap().1.contains("an RSA key of 1024 bits, under 2048"));
    assert!(!sshd.log_text().contains(&sshd.user), "no login was tried: {}", sshd.log_text());
    let strong = Sshd::start(&Options { key_type: "rsa -b 2048".into(), ..Options::default() });
    assert!(visit(spec(&strong), &probes).pulled);
}

#[test]
fn logins() {
    let (folder, probes) = folder();
    let refusing = Sshd::start(&Options { reject: true, ..Options::default() });
    assert_eq!(cause(&visit(spec(&refusing), &probes)), Cause::Authentication);
    let open = folder.path().join("open");
    sh(&format!("cp {0} {1} && chmod 644 {1}", refusing.key.display(), open.display()));
    let seen = visit(SshSpec { key_files: vec![open], ..spec(&refusing) }, &probes);
    assert_eq!(cause(&seen), Cause::LocalSetup);
    assert!(seen.failed.unwrap().1.contains("chmod 600"));
    let locked = folder.path().join("locked");
    let sshd = Sshd::start(&Options::default());
    sh(&format!(
        "cp {0} {1} && chmod 600 {1} && ssh-keygen -q -p -N secret1 -f {1}",
        sshd.key.display(),
        locked.display()
    ));
    let seen = visit(SshSpec { key_files: vec![locked], ..spec(&sshd) }, &probes);
    assert_eq!(cause(&seen), Cause::LocalSetup, "{seen:?}");
}

#[test]
fn o13_o14_full_read_only_and_noexec_directories_have_each_their_cause() {
    let (_folder, probes) = folder();
    let cases = [("noexec,size=64m", Cause::NoExec), ("size=16k", Cause::DiskFull)];
    for (home, wanted) in cases {
        let mut sshd = Sshd::start(&Options { home: Some(home.into()), ..Options::default() });
        let fallback = visit(spec(&sshd), &probes);
        assert!(fallback.pulled, "another directory serves: {:?}", fallback.failed);
        sshd.only_home();
        let seen = visit(spec(&sshd), &probes);
        assert_eq!(cause(&seen), wanted, "{seen:?}");
    }
    let mut sshd = Sshd::start(&Options { home: Some("size=64m".into()), ..Options::default() });
    sshd.only_home();
    sh(&format!("mount -o remount,ro {}", sshd.home.display()));
    assert_eq!(cause(&visit(spec(&sshd), &probes)), Cause::ReadOnly);
}

#[test]
fn hangs_after_login_end_with_the_deadline() {
    let (_folder, probes) = folder();
    let sshd = Sshd::start(&Options { lines: vec!["ForceCommand sleep 1000".into()], ..Options::default() });
    let seen = visit_with(Transport::Ssh(spec(&sshd)), &probes, Duration::from_secs(3));
    assert_eq!(cause(&seen), Cause::Deadline);
    let sshd = Sshd::start(&Options { lines: vec!["ForceCommand yes".into()], ..Options::default() });
    assert_eq!(cause(&visit(spec(&sshd), &probes)), Cause::Oversize);
    let sshd = Sshd::start(&Options { lines: vec!["ForceCommand yes >&2".into()], ..Options::default() });
    assert_eq!(cause(&visit(spec(&sshd), &probes)), Cause::Oversize);
    let sshd = Sshd::start(&Options { lines: vec!["ForceCommand kill -9 $$".into()], ..Options::default() });
    assert_eq!(cause(&visit(spec(&sshd), &probes)), Cause::ProbeFailed);
}

#[test]
fn o14_o16_a_probe_of_another_machine_and_one_that_crashes_are_told_apart() {
    let (folder, _) = folder();
    let sshd = Sshd::start(&Options::default());
    let visit_with = |name: &str, content: &[u8]| {
        let probe = folder.path().join(name);
        fs::write(&probe, content).unwrap();
        visit(spec(&sshd), &sshd::probes(&folder.path().join(format!("of-{name}")), &probe))
    };
    // The header of a program for another machine: exit status 126.
    let mut foreign = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xf3\0\x01\0\0\0".to_vec();
    foreign.resize(4096, 0);
    let seen = visit_with("foreign", &foreign);
    assert_eq!(cause(&seen), Cause::NoProbe, "{seen:?}");
    assert!(seen.failed.unwrap().1.contains("126"));
    // A libc that says so itself; its exit status is its own.
    let seen = visit_with("old", b"#!/bin/sh\necho FATAL: kernel too old >&2\nexit 127\n");
    assert_eq!(cause(&seen), Cause::NoProbe, "{seen:?}");
    assert!(seen.failed.unwrap().1.contains("no older Linux"));
    let seen = visit_with("crashing", b"#!/bin/sh\nkill -SEGV $$\n");
    assert_eq!(cause(&seen), Cause::ProbeFailed, "{seen:?}");
    assert!(seen.failed.unwrap().1.contains("signal SEGV"));
}

/// Words on standard error that came together with the end hid it, and the visit waited for its deadline.
#[test]
fn a_complaint_and_the_end_in_one_packet_are_no_hang() {
    let (_folder, probes) = folder();
    let sshd = Sshd::start(&Options { lines: vec!["ForceCommand echo gone >&2".into()], ..Options::default() });
    for _ in 0..12 {
        let seen = visit_with(Transport::Ssh(spec(&sshd)), &probes, Duration::from_secs(30));
        assert_eq!(cause(&seen), Cause::ProbeFailed, "{seen:?}");
        assert!(seen.took < Duration::from_secs(15), "{seen:?}");
        assert!(seen.failed.unwrap().1.contains("gone"));
    }
}

fn spool(sshd: &Sshd) -> String {
    format!("{}/.cache/fleet-health/spool", sshd.home.display())
}

/// The spool is empty soon after a visit: the acknowledgement is not waited for.
fn empties(sshd: &Sshd) {
    let until = Instant::now() + Duration::from_secs(10);
    while !sh(&format!("find {} -name '*.age'", spool(sshd))).is_empty() {
        assert!(Instant::now() < until, "what was acknowledged is not deleted");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs the probe as the host's own cron would; the file that it leaves.
fn spool_by_cron(sshd: &Sshd) -> String {
    let (user, spool, (_, key)) = (&sshd.user, spool(sshd), seal::generate());
    sh(&format!("setpriv --reuid {user} --clear-groups {spool}/../probe-* --spool {spool} --recipient {key}"));
    sh(&format!("ls {spool}/*.age"))
}

#[test]
fn on_a_full_disk_what_waits_is_handed_over_and_its_room_comes_free() {
    let (_folder, probes) = folder();
    let sshd = Sshd::start(&Options { home: Some("size=64m".into()), ..Options::default() });
    assert!(visit(spec(&sshd), &probes).pulled);
    let left = spool_by_cron(&sshd);
    sh(&format!("cat /dev/zero > {}/fill 2>/dev/null || true", sshd.home.display()));
    let seen = visit(spec(&sshd), &probes);
    assert!(seen.pulled && !seen.traffic.shipped, "{:?}", seen.failed);
    assert_eq!(seen.files.len(), 2, "what waited, and the new sample");
    assert!(left.trim().ends_with(&seen.files[0].0), "{left}");
    empties(&sshd);
}

#[test]
fn a_spool_is_read_where_the_probe_was_before_it_had_to_move() {
    let (_folder, probes) = folder();
    let sshd = Sshd::start(&Options { home: Some("size=64m".into()), ..Options::default() });
    assert!(visit(spec(&sshd), &probes).pulled);
    // The machine's own cron leaves a file; then the home directory lets no program run any more.
    let (home, left) = (sshd.home.display(), spool_by_cron(&sshd));
    sh(&format!("mount -o remount,noexec {home}"));
    let seen = visit(spec(&sshd), &probes);
    assert!(seen.pulled && seen.traffic.shipped, "{:?}", seen.failed);
    assert_eq!(seen.files.len(), 2, "{seen:?}");
    assert!(left.trim().ends_with(&seen.files[0].0), "{left}");
    empties(&sshd);
}

#[test]
fn nobody_listens_and_a_name_that_is_none() {
    let (_folder, probes) = folder();
    let seen = |address: &str| {
        let spec = nobody(address.into(), sshd::free_port("127.0.0.1"));
        visit_with(Transport::Ssh(spec), &probes, Duration::from_secs(2))
    };
    assert_eq!(cause(&seen("127.0.0.1")), Cause::Refused);
    assert_eq!(cause(&seen("no-such-host.invalid")), Cause::Dns);
}

#[test]
fn this_machine_without_ssh() {
    let (folder, probes) = folder();
    let seen = visit_with(Transport::Local, &probes, Duration::from_secs(20));
    assert!(seen.pulled && !seen.files.is_empty(), "{seen:?}");
    assert_eq!(cause(&visit_with(Transport::Local, folder.path(), Duration::from_secs(5))), Cause::NoProbe);
    drop(local::start(&probes, Instant::now() + Duration::from_secs(5), 1000).unwrap());
}

/// Nobody on a host looks after the probe: what keeps it, its own alarm ends it, also while the connection stands.
#[test]
fn o16_a_probe_that_nobody_answers_ends_itself_within_its_limits() {
    let (_folder, probes) = folder();
    let sshd = Sshd::start(&Options::default());
    assert!(visit(spec(&sshd), &probes).pulled, "the probe is in place");
    let (_, recipient) = seal::generate();
    let task = Task {
        v: 1,
        nonce: "0123456789abcdef0123456789abcdef".to_owned(),
        recipients: vec![recipient],
        pull_bytes: 8 << 20,
        pull_files: 64,
        spool_bytes: 16 << 20,
        deadline_secs: 1,
        command_lines: false,
        checks: Vec::new(),
    };
    let mut ssh = Command::new("ssh");
    ssh.args(["-T", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-p", &sshd.port.to_string(), "-i"]);
    ssh.arg(&sshd.key).arg("-o").arg(format!("UserKnownHostsFile={}", sshd.known_hosts.display()));
    ssh.arg(format!("{}@{}", sshd.user, sshd.address));
    ssh.arg("cd .cache/fleet-health && exec ./probe-* --serve --spool $PWD/spool");
    let mut child = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let begun = Instant::now();
    writeln!(input, "{}", task.encode()).unwrap();
    // It hands over what it has, and waits for an answer that never comes.
    let mut out = BufReader::new(child.stdout.as_mut().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.starts_with("FLEET1"), "{line}");
    // While it starts a program it has no limits: by the end of what it hands over it has started all.
    let (end, mut said) = (format!("end {} ", task.nonce).into_bytes(), Vec::new());
    while !said.windows(end.len()).any(|part| part == end) {
        said.clear();
        assert!(out.read_until(b'\n', &mut said).unwrap() > 0, "it ended too early");
    }
    let pids = || sh(&format!("pgrep -u {} -f -- --serve || true", sshd.user));
    let pid = pids().trim().to_owned();
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    for (what, most) in [("core file size", 0), ("address space", 1 << 30), ("cpu time", 60), ("open files", 256)] {
        let line = limits.lines().find(|line| line.starts_with(&format!("Max {what}"))).unwrap();
        // The soft ones: what it starts has those of the login again.
        let soft: u64 = line.split_whitespace().rev().nth(2).unwrap().parse().unwrap();
        assert!(soft <= most, "{line}");
    }
    assert!(limits.lines().any(|line| line.starts_with("Max file size") && line.contains(" 134217728 ")), "{limits}");
    while !pids().is_empty() {
        // Its second, the five after it, and what a slow machine takes to look.
        assert!(begun.elapsed() < Duration::from_secs(10), "it is still there");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(begun.elapsed() > Duration::from_secs(5), "it ended for another reason");
    drop(input);
    child.wait().unwrap();
}
