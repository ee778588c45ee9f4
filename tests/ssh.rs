//! Visits to real sshd instances, each fault with its cause, and our host keys' verdicts beside those of ssh.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "support/sshd.rs"]
mod sshd;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use fleet_health::app::dialer;
use fleet_health::model::cause::Cause;
use fleet_health::model::job::{FromDialer, Job, ToDialer, Traffic};
use fleet_health::model::secret::Secret;
use fleet_health::model::spec::{SshSpec, Transport, UnknownHosts};
use fleet_health::ssh::hostkey::HostKey;
use fleet_health::ssh::known_hosts::{KnownHosts, Verdict};
use fleet_health::ssh::local;
use fleet_health::wire::{seal, task::Task};
use sshd::{Options, Sshd, sh};

fn spec(sshd: &Sshd) -> SshSpec {
    SshSpec {
        address: sshd.address.clone(),
        port: sshd.port,
        user: sshd.user.clone(),
        key_files: vec![sshd.key.clone()],
        passphrase: None,
        password: None,
        agent: false,
        known_hosts: vec![sshd.known_hosts.clone()],
        unknown_hosts: UnknownHosts::Refuse,
        fingerprint: None,
    }
}

#[derive(Debug)]
struct Seen {
    files: Vec<(String, Vec<u8>)>,
    pulled: bool,
    failed: Option<(Cause, String)>,
    traffic: Traffic,
    took: Duration,
}

fn visit_with(transport: Transport, probes: &Path, timeout: Duration) -> Seen {
    let (_, recipient) = seal::generate();
    let nonce = "0123456789abcdef0123456789abcdef".to_owned();
    let task = Task {
        v: 1,
        nonce: nonce.clone(),
        recipients: vec![recipient],
        pull_bytes: 8 << 20,
        pull_files: 64,
        spool_bytes: 16 << 20,
        deadline_secs: 20,
        checks: Vec::new(),
    };
    let job = Job {
        host: "h".into(),
        transport,
        nonce,
        task: Secret::new(task.encode()),
        probes: probes.to_owned(),
        timeout,
    };
    let (sender, receiver) = mpsc::channel();
    let mut seen =
        Seen { files: Vec::new(), pulled: false, failed: None, traffic: Traffic::default(), took: Duration::ZERO };
    let mut ends = 0;
    let begun = Instant::now();
    dialer::visit(
        &job,
        &mut |said| match said {
            FromDialer::Sealed { name, bytes, .. } => seen.files.push((name, bytes)),
            FromDialer::Pulled { .. } => {
                seen.pulled = true;
                let acknowledged = seen.files.iter().map(|(name, _)| name.clone()).collect();
                sender.send(ToDialer { host: "h".into(), acknowledged }).unwrap();
            }
            FromDialer::Finished { traffic, .. } => {
                seen.traffic = traffic;
                ends += 1;
            }
            FromDialer::Failed { cause, text, traffic, .. } => {
                assert!(text.len() <= 512 && !text.contains('\n'), "{text}");
                seen.failed = Some((cause, text));
                seen.traffic = traffic;
                ends += 1;
            }
        },
        &receiver,
    );
    seen.took = begun.elapsed();
    assert_eq!(ends, 1, "exactly one last message");
    assert!(seen.took < timeout + Duration::from_secs(1), "{:?} of {timeout:?}", seen.took);
    seen
}

fn visit(spec: SshSpec, probes: &Path) -> Seen {
    visit_with(Transport::Ssh(spec), probes, Duration::from_secs(20))
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let probes = sshd::probes(folder.path(), Path::new(env!("CARGO_BIN_EXE_fleet-probe")));
    (folder, probes)
}

fn cause(seen: &Seen) -> Cause {
    seen.failed.as_ref().unwrap_or_else(|| panic!("it did not fail: {seen:?}")).0
}

#[test]
fn the_second_visit_ships_nothing() {
    let (_folder, probes) = folder();
    let sshd = Sshd::start(&Options::default());
    let first = visit(spec(&sshd), &probes);
    assert!(first.pulled && first.traffic.shipped, "{:?} {}", first.failed, sshd.log_text());
    assert_eq!(first.files.len(), 1);
    let second = visit(spec(&sshd), &probes);
    assert!(second.pulled && !second.traffic.shipped, "{:?}", second.failed);
    assert_eq!(second.files.len(), 1, "what was acknowledged is gone");
    assert_ne!(second.files[0].0, first.files[0].0);
    assert!(second.traffic.sent < 16 * 1024 && second.traffic.round_trips < 14, "{:?}", second.traffic);
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
fn host_keys_are_verified_before_login() {
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

#[test]
fn weak_rsa_host_keys_are_refused() {
    let (_folder, probes) = folder();
    let sshd = Sshd::start(&Options {
        key_type: "rsa -b 1024".into(),
        lines: vec!["RequiredRSASize 1024".into()],
        ..Options::default()
    });
    let seen = visit(spec(&sshd), &probes);
    assert_eq!(cause(&seen), Cause::Handshake);
    assert!(seen.failed.unwrap().1.contains("1024"));
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
fn directories_that_cannot_hold_the_probe() {
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
    let home = sshd.home.display().to_string();
    sh(&format!("mkdir {home}/.cache && mkdir -m 0777 {home}/.cache/fleet-health && chown -R {} {home}", sshd.user));
    sh(&format!("chmod 0777 {home}/.cache/fleet-health"));
    assert_eq!(cause(&visit(spec(&sshd), &probes)), Cause::UnsafeDirectory);
    sh(&format!("rmdir {home}/.cache/fleet-health && ln -s /tmp {home}/.cache/fleet-health"));
    assert_eq!(cause(&visit(spec(&sshd), &probes)), Cause::UnsafeDirectory);
    sh(&format!("rm {home}/.cache/fleet-health && mount -o remount,ro {home}"));
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

/// A server that accepts and then does something for as long as it can.
fn odd_server(act: impl Fn(&mut std::net::TcpStream) -> std::io::Result<()> + Send + 'static) -> SshSpec {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            while act(&mut stream).is_ok() {}
        }
    });
    SshSpec {
        address: "127.0.0.1".into(),
        port,
        user: "nobody".into(),
        key_files: Vec::new(),
        passphrase: None,
        password: None,
        agent: false,
        known_hosts: Vec::new(),
        unknown_hosts: UnknownHosts::Refuse,
        fingerprint: None,
    }
}

#[test]
fn odd_servers_end_with_the_deadline() {
    let (_folder, probes) = folder();
    let timeout = Duration::from_secs(2);
    let silent = odd_server(|stream| stream.read(&mut [0; 100]).map(|_| std::thread::sleep(Duration::from_millis(9))));
    let drip = odd_server(|stream| {
        std::thread::sleep(Duration::from_millis(200));
        stream.write_all(b"x")
    });
    let flood = odd_server(|stream| stream.write_all(&b"no ssh here\r\n".repeat(500)));
    for (spec, wanted) in
        [(silent, &[Cause::Handshake][..]), (drip, &[Cause::Handshake]), (flood, &[Cause::Handshake, Cause::Oversize])]
    {
        let seen = visit_with(Transport::Ssh(spec), &probes, timeout);
        assert!(wanted.contains(&cause(&seen)), "{seen:?}");
    }
    let mut refused = odd_server(|_| Ok(()));
    refused.port = sshd::free_port("127.0.0.1");
    assert_eq!(cause(&visit_with(Transport::Ssh(refused), &probes, timeout)), Cause::Refused);
    let mut nameless = odd_server(|_| Ok(()));
    nameless.address = "no-such-host.invalid".into();
    assert_eq!(cause(&visit_with(Transport::Ssh(nameless), &probes, timeout)), Cause::Dns);
}

#[test]
fn this_machine_without_ssh() {
    let (folder, probes) = folder();
    let seen = visit_with(Transport::Local, &probes, Duration::from_secs(20));
    assert!(seen.pulled && !seen.files.is_empty(), "{seen:?}");
    assert_eq!(cause(&visit_with(Transport::Local, folder.path(), Duration::from_secs(5))), Cause::NoProbe);
    drop(local::start(&probes, Instant::now() + Duration::from_secs(5), 1000).unwrap());
}

/// Our verdict is ssh's, for files of every kind.
#[test]
fn verdicts_are_those_of_ssh() {
    let sshd = Sshd::start(&Options::default());
    let shown = sshd.folder.display();
    let words = |file: &str| -> String {
        let text = fs::read_to_string(sshd.folder.join(file)).unwrap();
        text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    let mine = words("hostkey.pub");
    let other = words("id.pub");
    sh(&format!("ssh-keygen -q -t ecdsa -N '' -f {shown}/ecdsa"));
    let ecdsa = words("ecdsa.pub");
    let (address, port) = (&sshd.address, sshd.port);
    let full = format!("[{address}]:{port}");
    let hashed = |name: &str, key: &str| -> String {
        fs::write(sshd.folder.join("hash"), format!("{name} {key}\n")).unwrap();
        sh(&format!("ssh-keygen -q -H -f {shown}/hash >/dev/null 2>&1; cat {shown}/hash")).trim().to_owned()
    };
    let files = [
        String::new(),
        format!("{full} {mine}"),
        format!("{full} {other}"),
        format!("{address} {mine}"),
        format!("{address} {other}"),
        format!("{full} {other}\n{address} {mine}"),
        format!("{full} {other}\n{full} {mine}"),
        format!("[{address}]:1 {mine}"),
        format!("* {mine}"),
        format!("[*]:{port} {mine}"),
        format!("[127.0.0.?]:{port} {mine}"),
        format!("[127.0.0.*]:{port},!{full} {mine}"),
        format!("!{full},* {mine}"),
        format!("!other,* {mine}"),
        format!("a,b,{full} {mine} comment here"),
        format!("\t{full}\t{mine}"),
        format!("# {full} {mine}"),
        format!("nonsense\n\n{full} {mine}"),
        format!("{full} ssh-ed25519 AAAA\n{full} {mine}"),
        format!("{full} ssh-ed25519 AAAA"),
        format!("{full} ssh-rsa {}", mine.split(' ').nth(1).unwrap()),
        format!("@revoked {full} {mine}\n{full} {mine}"),
        format!("{full} {mine}\n@revoked * {mine}"),
        format!("@revoked * {other}\n{full} {mine}"),
        format!("@cert-authority * {other}\n{full} {mine}"),
        format!("@cert-authority * {mine}"),
        format!("@odd {full} {mine}"),
        format!("{full} {ecdsa}"),
        format!("{full} {ecdsa}\n{full} {mine}"),
        format!("{full} {mine}x"),
        format!("{full} {mine}\r"),
        hashed(&full, &mine),
        hashed(&full, &other),
        hashed(address, &mine),
        format!("|1|AAAA|BBBB {mine}"),
        full.clone(),
        format!("{full},{} {mine}", "x".repeat(1500)),
    ];
    let blob = HostKey::from_words(mine.split(' ').next().unwrap(), mine.split(' ').nth(1).unwrap()).unwrap();
    for text in &files {
        fs::write(&sshd.known_hosts, format!("{text}\n")).unwrap();
        let done = Command::new("ssh")
            .args(["-F", "none", "-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=/dev/null"])
            .args(["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o"])
            .arg(format!("UserKnownHostsFile={}", sshd.known_hosts.display()))
            .arg("-i")
            .arg(&sshd.key)
            .args(["-p", &port.to_string(), &format!("{}@{address}", sshd.user), "true"])
            .output()
            .expect("ssh");
        let mut known = KnownHosts::default();
        known.add(text);
        let ours = known.check(address, port, &blob);
        let theirs = String::from_utf8_lossy(&done.stderr);
        assert_eq!(ours == Verdict::Known, done.status.success(), "{text}\nours {ours:?}\nssh: {theirs}");
    }
}
