//! OpenSSH 9.8 and later locks out who is refused too often (PerSourcePenalties). Debian's does not have that yet, so a
//! relay before the real sshd counts and locks out as that one does.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "support/bench.rs"]
mod bench;
#[path = "support/sshd.rs"]
mod sshd;

use std::fs;
use std::io::{Write, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use bench::{Bench, shown, sweep};
use sshd::{Options, Sshd, sh};

/// `authfail`, `min`, in seconds: one refused connection costs so much, and from so much on nobody gets in.
const AUTHFAIL: u32 = 5;
const MIN: u32 = 15;

#[derive(Default)]
struct Count {
    connections: AtomicU32,
    refused: AtomicU32,
    turned_away: AtomicU32,
    /// One at a time: what one connection costs is known before the next comes.
    turn: Mutex<()>,
}

/// A port before that of a server.
fn penalising(sshd: &Sshd) -> (u16, Arc<Count>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(Count::default());
    let (told, log, target) = (count.clone(), sshd.log.clone(), sshd.port);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (count, log) = (told.clone(), log.clone());
            thread::spawn(move || serve(stream, target, &log, &count));
        }
    });
    (port, count)
}

fn serve(mut near: TcpStream, target: u16, log: &PathBuf, count: &Count) {
    count.connections.fetch_add(1, SeqCst);
    let _turn = count.turn.lock().unwrap();
    if count.refused.load(SeqCst) * AUTHFAIL >= MIN {
        count.turned_away.fetch_add(1, SeqCst);
        let _ = near.write_all(b"Not allowed at this time\r\n");
        return;
    }
    let far = TcpStream::connect(("127.0.0.1", target)).unwrap();
    let from = format!(" port {} ", far.local_addr().unwrap().port());
    let (mut up, mut down) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    let upward = thread::spawn(move || {
        let _ = copy(&mut up, &mut down);
        let _ = down.shutdown(Shutdown::Write);
    });
    let _ = copy(&mut &far, &mut near);
    let _ = near.shutdown(Shutdown::Both);
    upward.join().unwrap();
    let log = fs::read_to_string(log).unwrap();
    let of_it = |word: &str| log.lines().any(|line| line.contains(word) && line.contains(&from));
    if of_it("Failed ") && !of_it("Accepted ") {
        count.refused.fetch_add(1, SeqCst);
    }
}

fn counts(count: &Count) -> (u32, u32, u32) {
    drop(count.turn.lock().unwrap());
    (count.connections.load(SeqCst), count.refused.load(SeqCst), count.turned_away.load(SeqCst))
}

/// A sweep as cron starts it: hosts are left alone that are to be left alone.
fn plain_sweep(bench: &Bench) -> Vec<serde_json::Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet-collector"));
    command.arg("--config").arg(bench.path("config.xml")).arg("--json").stdin(Stdio::null());
    sweep(command.env_remove("SSH_AUTH_SOCK").env("FLEET_TEST_PASSWORD", "Sesam8"))
}

#[test]
fn the_relay_locks_out_ssh_that_hurries() {
    let sshd = Sshd::start(&Options { reject: true, ..Options::default() });
    let (port, count) = penalising(&sshd);
    for _ in 0..5 {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o"]);
        ssh.args(["BatchMode=yes", "-o", "KexAlgorithms=curve25519-sha256", "-p", &port.to_string(), "-i"]);
        let done = ssh.arg(&sshd.key).args([&format!("{}@127.0.0.1", sshd.user), "true"]).output().unwrap();
        assert!(!done.status.success());
    }
    assert_eq!(counts(&count), (5, 3, 2));
}

#[test]
fn one_refused_login_for_a_host_and_run_whatever_there_is_to_try_and_none_while_it_is_left_alone() {
    let sshd = Sshd::start(&Options { reject: true, password: Some("Sesam7oeffne".into()), ..Options::default() });
    let (port, count) = penalising(&sshd);
    let another = shown(&sshd.folder.join("another"));
    sh(&format!("ssh-keygen -q -t ecdsa -N '' -f {another}"));
    let key = fs::read_to_string(sshd.folder.join("hostkey.pub")).unwrap();
    let bench = Bench::new("20s", "", "");
    let known = shown(&bench.write("known_hosts", &format!("[127.0.0.1]:{port} {key}")));
    let host = format!(
        "<host name=\"h\" address=\"127.0.0.1\" port=\"{port}\" user=\"{}\" key-files=\"{} {another}\" known-hosts=\"{known}\" \
         password-env=\"FLEET_TEST_PASSWORD\"/>",
        sshd.user,
        shown(&sshd.key)
    );
    bench.configure("20s", "", &host);
    let told = plain_sweep(&bench);
    assert_eq!(told[0]["cause"], "authentication", "{told:?}");
    let text = told[0]["text"].as_str().unwrap();
    assert!(text.contains("another") && text.contains("the password"), "all were tried: {text}");
    for _ in 0..3 {
        let told = plain_sweep(&bench);
        assert_eq!(told[0]["cause"], "back-off", "{told:?}");
    }
    assert_eq!(counts(&count), (1, 1, 0));
    // Who asks for it gets it, once each time.
    assert_eq!(sweep(bench.command(&[]).env("FLEET_TEST_PASSWORD", "Sesam8"))[0]["cause"], "authentication");
    assert_eq!(counts(&count), (2, 2, 0));
}

#[test]
fn a_bastion_that_refuses_is_asked_once_for_itself_and_all_behind_it() {
    let sshd = Sshd::start(&Options { reject: true, ..Options::default() });
    let (port, count) = penalising(&sshd);
    let key = fs::read_to_string(sshd.folder.join("hostkey.pub")).unwrap();
    let bench = Bench::new("20s", "", "");
    let known = shown(&bench.write("known_hosts", &format!("[127.0.0.1]:{port} {key}")));
    let login = format!("user=\"{}\" key-file=\"{}\" known-hosts=\"{known}\"", sshd.user, shown(&sshd.key));
    let hosts: String =
        (0..20).map(|number| format!("<host name=\"h{number}\" address=\"127.0.0.1\" jump=\"gate\"/>")).collect();
    bench.configure("20s", &login, &format!("<host name=\"gate\" address=\"127.0.0.1\" port=\"{port}\"/>{hosts}"));
    for told in plain_sweep(&bench) {
        let wanted = if told["host"] == "gate" { "authentication" } else { "jump" };
        assert_eq!(told["cause"], wanted, "{told}");
    }
    assert_eq!(counts(&count), (1, 1, 0));
}
