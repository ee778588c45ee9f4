//! Logging in with the keys of an ssh-agent.
//!
//! libssh2 speaks with the agent over a socket that it waits on without limit, and an agent may hang, or ask a person.
//! So a thread of its own does it; when that is late it is left behind, with all it holds, and the visit ends. In a run
//! that happens once for an agent: the first visit goes alone, and after it nobody asks one that hangs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::session::{Problem, Session};
use super::{SshError, gate};
use crate::model::cause::Cause;

/// Keys of an agent that are offered; sshd cuts the connection after six refused ones (MaxAuthTries).
const MAX_KEYS: usize = 4;
/// For an agent to list its keys, which asks nobody; never more than half of what a visit has left, so that others who wait
/// for that still have time.
const LISTING: Duration = Duration::from_secs(10);
/// One that had less time than this may not be to blame.
const FAIR: Duration = Duration::from_millis(500);
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Somebody asks it for the first time.
    Asked,
    Answers,
    Hangs,
}

/// The agents of a run, by their sockets; `None` is that of `SSH_AUTH_SOCK`.
#[derive(Default)]
pub(super) struct Agents {
    known: Mutex<HashMap<Option<PathBuf>, Known>>,
    news: Condvar,
}

impl Agents {
    fn known(&self) -> MutexGuard<'_, HashMap<Option<PathBuf>, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is known to hang.
    pub fn hangs(&self, socket: Option<&Path>) -> bool {
        self.known().get(&socket.map(Path::to_owned)) == Some(&Known::Hangs)
    }

    /// Waits while another is the first to ask it; `None`: it hangs, or the deadline passed.
    fn enter(&self, socket: Option<&Path>, deadline: Instant) -> Option<Asking<'_>> {
        let asking = || Asking { agents: self, socket: socket.map(Path::to_owned) };
        let key = socket.map(Path::to_owned);
        let mut known = self.known();
        loop {
            match known.get(&key) {
                None => {
                    known.insert(key, Known::Asked);
                    return Some(asking());
                }
                Some(Known::Answers) => return Some(asking()),
                Some(Known::Hangs) => return None,
                Some(Known::Asked) => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            known = self.news.wait_timeout(known, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The right to ask an agent; ends when it is dropped.
struct Asking<'a> {
    agents: &'a Agents,
    socket: Option<PathBuf>,
}

impl Asking<'_> {
    fn found(&self, what: Known) {
        self.agents.known().insert(self.socket.clone(), what);
        self.agents.news.notify_all();
    }
}

impl Drop for Asking<'_> {
    /// Who found out nothing leaves it to the next.
    fn drop(&mut self) {
        let mut known = self.agents.known();
        if known.get(&self.socket) == Some(&Known::Asked) {
            known.remove(&self.socket);
            self.agents.news.notify_all();
        }
    }
}

/// The agent is that of a socket, or else of `SSH_AUTH_SOCK`. The error ends the visit.
pub(super) fn log_in(
    session: &mut Session,
    user: &str,
    socket: Option<&Path>,
    agents: &Agents,
) -> Result<Agent, SshError> {
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
    let name = user.to_owned();
    let started = thread::Builder::new()
        .name("agent".to_owned())
        .stack_size(STACK)
        .spawn(move || serve(agent, &name, &asked, &say));
    if let Err(error) = started {
        return Err(session.fail(Cause::LocalSetup, format!("no thread for the ssh-agent: {error}")));
    }
    let list = wait(session, &ask, &said, Ask::List, &asking)?;
    asking.found(Known::Answers);
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
    asking: &Asking<'_>,
) -> Result<Said, SshError> {
    let left = session.left();
    // A signature may have to wait for a person.
    let patience = if matches!(what, Ask::List) { LISTING.min(left / 2) } else { left };
    if ask.send(what).is_ok()
        && let Ok(said) = gate::outside(|| said.recv_timeout(patience))
    {
        return Ok(said);
    }
    if patience >= FAIR {
        asking.found(Known::Hangs);
    }
    // The thread still holds libssh2's session.
    session.abandon();
    Err(session.fail(Cause::LocalSetup, format!("the ssh-agent did not answer within {:.0} s", patience.as_secs_f64())))
}

fn serve(mut agent: ssh2::Agent, user: &str, asked: &Receiver<Ask>, say: &Sender<Said>) {
    let mut keys = Vec::new();
    while let Ok(ask) = asked.recv() {
        let answer = match ask {
            Ask::List => agent.connect().and_then(|()| agent.list_identities()).map(|()| {
                keys = agent.identities().unwrap_or_default();
                keys.iter().map(|key| key.blob().starts_with(RSA_CERTIFICATE)).collect()
            }),
            Ask::Step(number) => match keys.get(number) {
                Some(key) => agent.userauth(user, key).map(|()| Vec::new()),
                None => return,
            },
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
        drop(first);
        let second = agents.enter(None, soon()).unwrap();
        std::thread::scope(|scope| {
            let waits: Vec<_> =
                (0..9).map(|_| scope.spawn(|| agents.enter(None, Instant::now() + LISTING).is_some())).collect();
            second.found(Known::Answers);
            assert!(waits.into_iter().all(|wait| wait.join().unwrap()), "all at once");
        });
        // It may begin to hang later, when it asks a person.
        second.found(Known::Hangs);
        assert!(agents.enter(None, soon()).is_none());
        other.found(Known::Answers);
        drop((second, other));
        assert!(agents.enter(None, soon()).is_none() && agents.enter(Some(Path::new("/other")), soon()).is_some());
    }
}
