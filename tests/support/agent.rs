//! Agents that hold keys: a real one, and what stands before it and makes it as slow as people's tokens are.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::sshd::{Sshd, sh};

pub struct Agent {
    child: Child,
    pub socket: String,
}

impl Agent {
    /// A real ssh-agent with keys that the host does not know before the one it knows.
    pub fn start(folder: &Path, sshd: &Sshd, strangers: usize) -> Self {
        let at = folder.join("agent.sock");
        let socket = at.display().to_string();
        let child = Command::new("ssh-agent").args(["-D", "-a", &socket]).stdout(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while !at.exists() {
            assert!(Instant::now() < until, "ssh-agent does not start");
            thread::sleep(Duration::from_millis(10));
        }
        for number in 0..strangers {
            let key = folder.join(format!("stranger{number}")).display().to_string();
            sh(&format!("ssh-keygen -q -t ed25519 -N '' -f {key}; SSH_AUTH_SOCK={socket} ssh-add -q {key}"));
        }
        sh(&format!("SSH_AUTH_SOCK={socket} ssh-add -q {}", sshd.key.display()));
        Self { child, socket }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Before an agent: one request after the other, whoever asks, and each signature takes a while.
pub struct Token {
    pub socket: PathBuf,
    /// Nobody is answered any more.
    pub asleep: Arc<AtomicBool>,
}

impl Token {
    pub fn before(agent: &Agent, socket: PathBuf, signing: Duration) -> Self {
        let door = UnixListener::bind(&socket).unwrap();
        let (real, turn, asleep) = (agent.socket.clone(), Arc::new(Mutex::new(())), Arc::new(AtomicBool::new(false)));
        let token = Self { socket, asleep: Arc::clone(&asleep) };
        thread::spawn(move || {
            for near in door.incoming().map_while(Result::ok) {
                let Ok(far) = UnixStream::connect(&real) else { return };
                let (turn, asleep) = (Arc::clone(&turn), Arc::clone(&asleep));
                thread::spawn(move || relay(near, far, &turn, &asleep, signing));
            }
        });
        token
    }
}

/// SSH_AGENTC_SIGN_REQUEST.
const SIGN: u8 = 13;

fn relay(mut near: UnixStream, mut far: UnixStream, turn: &Mutex<()>, asleep: &AtomicBool, signing: Duration) {
    while let Some(request) = message(&mut near) {
        let _turn = turn.lock().unwrap();
        while asleep.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(50));
        }
        if request.get(4) == Some(&SIGN) {
            thread::sleep(signing);
        }
        if far.write_all(&request).is_err() {
            return;
        }
        let Some(answer) = message(&mut far) else { return };
        if near.write_all(&answer).is_err() {
            return;
        }
    }
}

/// A length of four bytes and that much.
fn message(from: &mut UnixStream) -> Option<Vec<u8>> {
    let mut all = vec![0; 4];
    from.read_exact(&mut all).ok()?;
    let length = u32::from_be_bytes(all[..4].try_into().unwrap());
    all.resize(4 + usize::try_from(length).unwrap(), 0);
    from.read_exact(&mut all[4..]).ok()?;
    Some(all)
}
