//! Servers that are not OpenSSH's: Dropbear and TinySSH, as Debian ships them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "support/bench.rs"]
mod bench;
#[path = "support/sshd.rs"]
mod sshd;
#[path = "support/visit.rs"]
mod visit;

use std::fs;
use std::time::{Duration, Instant};

use bench::{Bench, shown, single, sweep};
use fleet_health::model::cause::Cause;
use fleet_health::model::spec::{SshSpec, UnknownHosts};
use sshd::{Options, Program, Sshd, sh};
use visit::{cause, folder, spec, visit};

const OTHERS: [Program; 2] = [Program::Dropbear, Program::TinySsh];

fn start(program: Program, options: Options) -> Sshd {
    Sshd::start(&Options { program, ..options })
}

fn waiting(sshd: &Sshd) -> String {
    sh(&format!("find {}/.cache/fleet-health/spool -name '*.age'", sshd.home.display()))
}

#[test]
fn dropbear_and_tinyssh_are_visited_as_openssh_is() {
    let (_folder, probes) = folder();
    for program in OTHERS {
        let sshd = start(program, Options::default());
        let first = visit(spec(&sshd), &probes);
        assert!(first.pulled && first.traffic.shipped, "{program:?}: {:?} {}", first.failed, sshd.log_text());
        let until = Instant::now() + Duration::from_secs(10);
        while !waiting(&sshd).is_empty() {
            assert!(Instant::now() < until, "{program:?}: what was acknowledged is not deleted");
            std::thread::sleep(Duration::from_millis(20));
        }
        let warm = visit(spec(&sshd), &probes);
        assert!(warm.pulled && !warm.traffic.shipped, "{program:?}: {:?} {}", warm.failed, sshd.log_text());
        assert_eq!(warm.files.len(), 1, "{program:?}: {warm:?}");
        assert_ne!(warm.files[0].0, first.files[0].0);
        assert_eq!(warm.traffic.round_trips, 8, "{program:?}");
    }
}

#[test]
fn their_host_keys_are_verified_and_a_refused_key_is_no_more_than_that() {
    let (_folder, probes) = folder();
    for program in OTHERS {
        let sshd = start(program, Options::default());
        sshd.know_another();
        assert_eq!(cause(&visit(spec(&sshd), &probes)), Cause::HostKeyChanged, "{program:?}");
        fs::write(&sshd.known_hosts, "").unwrap();
        assert_eq!(cause(&visit(spec(&sshd), &probes)), Cause::HostKeyUnknown, "{program:?}");
        let new = SshSpec { unknown_hosts: UnknownHosts::AcceptNew, ..spec(&sshd) };
        assert!(visit(new, &probes).pulled, "{program:?}: {}", sshd.log_text());
        assert!(visit(spec(&sshd), &probes).pulled, "{program:?}: the key was written down");

        let refusing = start(program, Options { reject: true, ..Options::default() });
        let seen = visit(spec(&refusing), &probes);
        assert_eq!(cause(&seen), Cause::Authentication, "{program:?}: {seen:?} {}", refusing.log_text());
    }
}

#[test]
fn dropbear_with_keys_of_every_type() {
    let (_folder, probes) = folder();
    for kind in ["ed25519", "ecdsa", "rsa -b 2048"] {
        let sshd = start(Program::Dropbear, Options { key_type: kind.into(), ..Options::default() });
        let folder = sshd.folder.display();
        sh(&format!(
            "cd {folder} && rm id id.pub && ssh-keygen -q -t {kind} -N '' -f id && cat id.pub >home/.ssh/authorized_keys"
        ));
        let seen = visit(spec(&sshd), &probes);
        assert!(seen.pulled, "{kind}: {:?} {}", seen.failed, sshd.log_text());
    }
}

#[test]
fn dropbear_with_a_password() {
    let password = Some("Sesam7oeffne".to_owned());
    let sshd = start(Program::Dropbear, Options { password, reject: true, ..Options::default() });
    let login = format!("user=\"{}\" known-hosts=\"{}\"", sshd.user, shown(&sshd.known_hosts));
    let host = format!("<host name=\"h\" address=\"127.0.0.1\" port=\"{}\"/>", sshd.port);
    let bench = Bench::new("20s", &format!("{login} password-env=\"FLEET_TEST_PASSWORD\""), &host);
    let told = single(bench.command(&[]).env("FLEET_TEST_PASSWORD", "Sesam7oeffne"));
    assert_eq!(told["outcome"], "collected", "{told} {}", sshd.log_text());
    let told = single(bench.command(&[]).env("FLEET_TEST_PASSWORD", "Sesam8"));
    assert_eq!(told["cause"], "authentication", "{told}");
    assert_eq!(sshd.log_text().matches("Bad password").count(), 1, "{}", sshd.log_text());
}

#[test]
fn dropbear_is_a_bastion_and_tinyssh_says_that_it_is_none() {
    let far = start(Program::Dropbear, Options::default());
    let bastions = OTHERS.map(|program| start(program, Options::default()));
    let host = |name: &str, sshd: &Sshd, more: &str| {
        format!(
            "<host name=\"{name}\" address=\"127.0.0.1\" port=\"{}\" user=\"{}\" key-file=\"{}\" known-hosts=\"{}\" {more}/>",
            sshd.port,
            sshd.user,
            shown(&sshd.key),
            shown(&sshd.known_hosts)
        )
    };
    let hosts = [
        host("dropbear", &bastions[0], ""),
        host("tinyssh", &bastions[1], ""),
        host("far", &far, "jump=\"dropbear\""),
        host("never", &far, "jump=\"tinyssh\""),
    ];
    let bench = Bench::new("20s", "", &hosts.concat());
    for _ in 0..2 {
        for told in sweep(&mut bench.command(&[])) {
            if told["host"] == "never" {
                assert_eq!(told["cause"], "jump", "{told}");
                assert!(told["text"].as_str().unwrap().contains("bastion tinyssh does not forward"), "{told}");
            } else {
                assert_eq!(told["outcome"], "collected", "{told}");
            }
        }
    }
}
