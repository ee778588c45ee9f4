//! Logging in with the keys of an ssh-agent.
//!
//! libssh2 speaks with the agent over a socket that it waits on without limit, and an agent may hang, or ask a person.
//! So a thread of its own does it; when that is late it is left behind, with all it holds, and the visit ends.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use super::session::{Problem, Session};
use super::{SshError, gate};
use crate::model::cause::Cause;

/// Keys of an agent that are offered; sshd cuts the connection after six refused ones (MaxAuthTries).
const MAX_KEYS: usize = 4;

enum Ask {
    /// Connect and list the keys.
    List,
    /// One step of logging in with a key.
    Step(usize),
}

/// How many keys there are, or that the step is done.
type Said = Result<usize, ssh2::Error>;

/// What came of it.
pub(super) enum Agent {
    /// We are logged in.
    In,
    /// The server took none of these keys.
    Refused(String),
    /// Nothing was offered: there is no agent, or it holds no key. That is this side's matter, not the server's.
    Unusable(String),
}

/// The agent is that of a socket, or else of `SSH_AUTH_SOCK`. The error ends the visit.
pub(super) fn log_in(session: &mut Session, user: &str, socket: Option<&Path>) -> Result<Agent, SshError> {
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
    let started = thread::Builder::new().name("agent".to_owned()).spawn(move || serve(agent, &name, &asked, &say));
    if let Err(error) = started {
        return Err(session.fail(Cause::LocalSetup, format!("no thread for the ssh-agent: {error}")));
    }
    let count = match wait(session, &ask, &said, Ask::List)? {
        Ok(count) => count,
        Err(error) => {
            let ask = match socket {
                Some(path) => format!("does one listen at {}, as ssh's IdentityAgent says?", path.display()),
                None => "is SSH_AUTH_SOCK set?".to_owned(),
            };
            let text = format!("the ssh-agent: {}; {ask} Under cron name a key-file", error.message());
            return Ok(Agent::Unusable(text));
        }
    };
    if count == 0 {
        return Ok(Agent::Unusable("the ssh-agent holds no key: ssh-add".to_owned()));
    }
    let tried = count.min(MAX_KEYS);
    for number in 0..tried {
        loop {
            match wait(session, &ask, &said, Ask::Step(number))? {
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
    Ok(Agent::Refused(format!("{tried} of {count} keys of the agent")))
}

fn wait(session: &mut Session, ask: &Sender<Ask>, said: &Receiver<Said>, what: Ask) -> Result<Said, SshError> {
    if ask.send(what).is_ok()
        && let Ok(said) = gate::outside(|| said.recv_timeout(session.left()))
    {
        return Ok(said);
    }
    // The thread still holds libssh2's session.
    session.abandon();
    Err(session.fail(Cause::LocalSetup, "the ssh-agent did not answer until the deadline"))
}

fn serve(mut agent: ssh2::Agent, user: &str, asked: &Receiver<Ask>, say: &Sender<Said>) {
    let mut keys = Vec::new();
    while let Ok(ask) = asked.recv() {
        let answer = match ask {
            Ask::List => agent.connect().and_then(|()| agent.list_identities()).map(|()| {
                keys = agent.identities().unwrap_or_default();
                keys.len()
            }),
            Ask::Step(number) => match keys.get(number) {
                Some(key) => agent.userauth(user, key).map(|()| number),
                None => return,
            },
        };
        if say.send(answer).is_err() {
            return;
        }
    }
}
