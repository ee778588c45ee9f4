//! Logging in with the keys of an ssh-agent.
//!
//! libssh2 speaks with the agent over a socket that it waits on without limit, and an agent may hang, or ask a person.
//! So a thread of its own does it; when that is late it is left behind, with all it holds, and the visit ends. In a run
//! that happens once for an agent: the first visit goes alone, and after it nobody asks one that hangs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::session::{Problem, Session};
use super::{SshError, gate};
use crate::model::cause::Cause;
use crate::model::spec::SshSpec;

/// Keys of an agent that are offered; sshd cuts the connection after six refused ones (MaxAuthTries).
const MAX_KEYS: usize = 4;
/// For the first answer; never more than half of the time that the first visit has left, so that others who wait for that
/// still have some.
const FIRST: Duration = Duration::from_secs(10);
/// One that has answered and now answers nobody for so long hangs; a little less than what a bastion has to let us in.
const LONG: Duration = Duration::from_secs(9);
/// One that had less time than this for its first answer may not be to blame.
const FAIR: Duration = Duration::from_millis(500);
/// A step of a login that takes so long had the agent sign; one that waits for the server is over at once.
const SIGNING: Duration = Duration::from_millis(50);
/// libssh2 needs little; the thread of an agent that hangs stays until the end.
const STACK: usize = 256 * 1024;

enum Ask {
    /// Connect and list the keys.
    List,
    /// One step of logging in with a key.
    Step(usize),
}

/// Of each key whether it is an RSA certificate, or that the step is done.
type Said = Result<Vec<bool>, ssh2::Error>;

/// libssh2 1.11 (agent.c, `agent_sign`) asks an agent for a signature with SHA-2 for bare RSA keys only.
const SHA1: &str = "; an RSA certificate that an agent holds is signed with SHA-1, which OpenSSH 8.8 and later refuse: \
                    name its key and certificate as files, or have an ed25519 key signed";
const RSA_CERTIFICATE: &[u8] = b"\0\0\0\x1cssh-rsa-cert-v01@openssh.com";

/// What came of it.
pub(super) enum Agent {
    /// We are logged in.
    In,
    /// The server took none of these keys.
    Refused(String),
    /// Nothing was offered: there is no agent, or it holds no key. That is this side's matter, not the server's.
    Unusable(String),
}

/// Of an agent that let another host wait.
pub(super) const HANGS: &str = "the ssh-agent did not answer; it is not asked again in this run";

/// What is known of an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Known {
    #[default]
    Nothing,
    /// Somebody asks it for the first time, alone.
    Asked,
    /// It did, and the last time then.
    Answered(Instant),
    Hangs,
}

/// One agent, for all visits of a run.
#[derive(Default)]
struct One {
    known: Mutex<Known>,
    news: Condvar,
}

impl One {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self) {
        *self.known() = Known::Answered(Instant::now());
        self.news.notify_all();
    }

    /// Whether nobody has had a word from it yet, so that who asks is alone with it.
    fn is_new(&self) -> bool {
        matches!(*self.known(), Known::Nothing | Known::Asked)
    }

    /// A request that was sent then had no answer in all the time that it was given. An agent does one thing after the other:
    /// as long as it answers anybody, who had no turn was late himself.
    fn late(&self, sent: Instant, patience: Duration) {
        let mut known = self.known();
        let hangs = match *known {
            Known::Nothing | Known::Hangs => false,
            Known::Asked => patience >= FAIR,
            Known::Answered(last) => patience >= LONG && last < sent,
        };
        if hangs {
            *known = Known::Hangs;
            self.news.notify_all();
        }
    }
}

/// The agents of a run, by their sockets; `None` is that of `SSH_AUTH_SOCK`.
#[derive(Default)]
pub(super) struct Agents(Mutex<HashMap<Option<PathBuf>, Arc<One>>>);

impl Agents {
    fn one(&self, socket: Option<&Path>) -> Arc<One> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(socket.map(Path::to_owned)).or_default())
    }

    /// Whether it is known to hang.
    pub fn hangs(&self, socket: Option<&Path>) -> bool {
        *self.one(socket).known() == Known::Hangs
    }

    /// Waits while another is the first to ask it; `None`: it hangs, or the deadline passed.
    fn enter(&self, socket: Option<&Path>, deadline: Instant) -> Option<Asking> {
        let one = self.one(socket);
        let mut known = one.known();
        loop {
            match *known {
                Known::Nothing => {
                    *known = Known::Asked;
                    break;
                }
                Known::Answered(_) => break,
                Known::Hangs => return None,
                Known::Asked => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            known = one.news.wait_timeout(known, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(known);
        Some(Asking(one))
    }
}

/// The right to ask an agent; ends when it is dropped.
struct Asking(Arc<One>);

impl Drop for Asking {
    /// Who found out nothing leaves it to the next.
    fn drop(&mut self) {
        let mut known = self.0.known();
        if *known == Known::Asked {
            *known = Known::Nothing;
            self.0.news.notify_all();
        }
    }
}

/// The agent is that of a socket, or else of `SSH_AUTH_SOCK`. The error ends the visit.
pub(super) fn log_in(session: &mut Session, spec: &SshSpec, agents: &Agents) -> Result<Agent, SshError> {
    let socket = spec.agent_socket.as_deref();
    let deadline = Instant::now() + session.left();
    let Some(asking) = gate::outside(|| agents.enter(socket, deadline)) else {
        return Ok(Agent::Unusable(HANGS.to_owned()));
    };
    let agent = session.ssh().agent().and_then(|mut agent| {
        socket.map_or(Ok(()), |path| agent.set_identity_path(path))?;
        Ok(agent)
    });
    let agent = match agent {
        Ok(agent) => agent,
        Err(error) => return Ok(Agent::Unusable(format!("the ssh-agent: {}", error.message()))),
    };
    let (ask, asked) = mpsc::channel();
    let (say, said) = mpsc::channel();
    let (name, only) = (spec.user.clone(), spec.agent_keys.clone());
    let one = Arc::clone(&asking.0);
    let started = thread::Builder::new()
        .name("agent".to_owned())
        .stack_size(STACK)
        .spawn(move || serve(agent, &name, &only, &asked, &say, &one));
    if let Err(error) = started {
        return Err(session.fail(Cause::LocalSetup, format!("no thread for the ssh-agent: {error}")));
    }
    let list = wait(session, &ask, &said, Ask::List, &asking)?;
    let keys = match list {
        Ok(keys) => keys,
        Err(error) => {
            let ask = match socket {
                Some(path) => format!("does one listen at {}, as ssh's IdentityAgent says?", path.display()),
                None => "is SSH_AUTH_SOCK set?".to_owned(),
            };
            let text = format!("the ssh-agent: {}; {ask} Under cron name a key-file", error.message());
            return Ok(Agent::Unusable(text));
        }
    };
    if keys.is_empty() && !spec.agent_keys.is_empty() {
        let text =
            "the ssh-agent holds none of the keys that IdentityFile names, and IdentitiesOnly stands there: ssh-add";
        return Ok(Agent::Unusable(text.to_owned()));
    }
    if keys.is_empty() {
        return Ok(Agent::Unusable("the ssh-agent holds no key: ssh-add".to_owned()));
    }
    let tried = &keys[..keys.len().min(MAX_KEYS)];
    for number in 0..tried.len() {
        loop {
            match wait(session, &ask, &said, Ask::Step(number), &asking)? {
                Ok(_) => return Ok(Agent::In),
                Err(error) if Session::must_wait(&error) => {
                    if let Err(problem) = session.step() {
                        return Err(session.error(Cause::Authentication, "while logging in", Problem::Line(problem)));
                    }
                }
                Err(_) => break,
            }
        }
    }
    let hint = if tried.contains(&true) { SHA1 } else { "" };
    Ok(Agent::Refused(format!("{} of {} keys of the agent{hint}", tried.len(), keys.len())))
}

fn wait(
    session: &mut Session,
    ask: &Sender<Ask>,
    said: &Receiver<Said>,
    what: Ask,
    asking: &Asking,
) -> Result<Said, SshError> {
    // A signature may have to wait for a person, and both for all others who ask the same agent.
    let left = session.left();
    let patience = if asking.0.is_new() { FIRST.min(left / 2) } else { left };
    let sent = Instant::now();
    if ask.send(what).is_ok() {
        match gate::outside(|| said.recv_timeout(patience)) {
            Ok(said) => return Ok(said),
            Err(RecvTimeoutError::Timeout) => asking.0.late(sent, patience),
            Err(RecvTimeoutError::Disconnected) => {}
        }
    }
    // The thread still holds libssh2's session.
    session.abandon();
    Err(session.fail(Cause::LocalSetup, format!("the ssh-agent did not answer within {:.0} s", patience.as_secs_f64())))
}

/// Takes note of each answer of the agent, also of one that nobody waits for any more.
fn serve(mut agent: ssh2::Agent, user: &str, only: &[String], asked: &Receiver<Ask>, say: &Sender<Said>, one: &One) {
    let mut keys = Vec::new();
    while let Ok(ask) = asked.recv() {
        let begun = Instant::now();
        let answer = match ask {
            Ask::List => {
                let list = agent.connect().and_then(|()| agent.list_identities()).map(|()| {
                    keys = agent.identities().unwrap_or_default();
                    keys.retain(|key| only.is_empty() || only.contains(&STANDARD.encode(key.blob())));
                    keys.iter().map(|key| key.blob().starts_with(RSA_CERTIFICATE)).collect()
                });
                one.answered();
                list
            }
            Ask::Step(number) => {
                let Some(key) = keys.get(number) else { return };
                let step = agent.userauth(user, key).map(|()| Vec::new());
                if step.is_ok() || begun.elapsed() >= SIGNING {
                    one.answered();
                }
                step
            }
        };
        if say.send(answer).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_asks_alone_and_nobody_asks_an_agent_that_hangs() {
        let agents = Agents::default();
        let soon = || Instant::now() + Duration::from_millis(20);
        let first = agents.enter(None, soon()).unwrap();
        assert!(agents.enter(None, soon()).is_none(), "the first still waits for it");
        let other = agents.enter(Some(Path::new("/other")), soon()).unwrap();
        first.0.late(Instant::now(), FAIR / 2);
        drop(first);
        let second = agents.enter(None, soon()).expect("the first had too little time to tell");
        std::thread::scope(|scope| {
            let waits: Vec<_> =
                (0..9).map(|_| scope.spawn(|| agents.enter(None, Instant::now() + FIRST).is_some())).collect();
            second.0.answered();
            assert!(waits.into_iter().all(|wait| wait.join().unwrap()), "all at once");
        });
        other.0.late(Instant::now(), FAIR);
        drop((second, other));
        assert!(agents.enter(None, soon()).is_some() && agents.enter(Some(Path::new("/other")), soon()).is_none());
    }

    #[test]
    fn an_agent_hangs_once_it_answers_nobody_for_long() {
        let agents = Agents::default();
        let asking = agents.enter(None, Instant::now()).unwrap();
        let before = Instant::now();
        asking.0.answered();
        asking.0.late(before, LONG);
        assert!(!agents.hangs(None), "somebody was answered meanwhile");
        asking.0.late(Instant::now(), LONG - FAIR);
        assert!(!agents.hangs(None), "the visit was short itself");
        // It asks a person, say.
        asking.0.late(Instant::now(), LONG);
        assert!(agents.hangs(None));
        drop(asking);
        assert!(agents.enter(None, Instant::now()).is_none());
        // Who had asked before gets an answer after all.
        agents.one(None).answered();
        assert!(agents.enter(None, Instant::now()).is_some());
    }
}
