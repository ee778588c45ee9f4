//! Logging in with the keys of an ssh-agent.
//!
//! libssh2 speaks with the agent over a socket that it waits on without limit, and an agent may hang, or ask a person.
//! So a thread of its own does it; when that is late it is left behind, with all it holds, and the visit ends.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use super::SshError;
use super::session::{Problem, Session};
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

/// The outer error ends the visit; the inner one says why the agent did not help.
pub(super) fn log_in(session: &mut Session, user: &str) -> Result<Result<(), String>, SshError> {
    let agent = match session.ssh().agent() {
        Ok(agent) => agent,
        Err(error) => return Ok(Err(format!("the agent ({})", error.message()))),
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
        Err(error) => return Ok(Err(format!("the agent ({}; is SSH_AUTH_SOCK set?)", error.message()))),
    };
    let tried = count.min(MAX_KEYS);
    for number in 0..tried {
        loop {
            match wait(session, &ask, &said, Ask::Step(number))? {
                Ok(_) => return Ok(Ok(())),
                Err(error) if Session::must_wait(&error) => {
                    if let Err(problem) = session.step() {
                        return Err(session.error(Cause::Authentication, "while logging in", Problem::Line(problem)));
                    }
                }
                Err(_) => break,
            }
        }
    }
    Ok(Err(format!("{tried} of {count} keys of the agent")))
}

fn wait(session: &mut Session, ask: &Sender<Ask>, said: &Receiver<Said>, what: Ask) -> Result<Said, SshError> {
    if ask.send(what).is_ok()
        && let Ok(said) = said.recv_timeout(session.left())
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
