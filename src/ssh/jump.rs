//! The way to a host over its bastions, each with an identity and a host key of its own, one channel inside the other.

use std::time::{Duration, Instant};

use super::bastions::{Bastions, Failure};
use super::carrier::Carrier;
use super::link::Break;
use super::session::{BEFORE_LOGIN, Problem, Session, log_in_over};
use super::{Secrets, SshError, auth, connect};
use crate::model::cause::Cause;
use crate::model::spec::{Hop, SshSpec};

/// For a bastion to let somebody in; one that hangs is known long before the hosts' own time is over.
pub(super) const LET_IN: Duration = Duration::from_secs(10);

/// Connects to where the host itself can be spoken to.
pub(super) fn travel(
    spec: &SshSpec,
    secrets: &Secrets,
    bastions: &Bastions,
    deadline: Instant,
) -> Result<Carrier, SshError> {
    let none = Secrets::default();
    let mut here: Option<(String, Session)> = None;
    for (number, hop) in spec.jumps.iter().enumerate() {
        // Also of those further on: nobody logs in anywhere on a way that cannot be gone to its end.
        for (number, hop) in spec.jumps.iter().enumerate().skip(number) {
            let its = secrets.hops.get(number).unwrap_or(&none);
            if let Some(why) = auth::hopeless(&hop.ssh, its, &bastions.agents) {
                return Err(blame(hop, SshError::new(Cause::LocalSetup, why)));
            }
        }
        let its = secrets.hops.get(number).unwrap_or(&none);
        let pass = bastions.enter(&spec.jumps[..=number], deadline)?;
        let whole = Instant::now() + LET_IN;
        let until = deadline.min(whole);
        match step(here.take(), &hop.ssh, until)
            .and_then(|carrier| log_in_over(carrier, &hop.ssh, its, bastions, until))
        {
            Ok(mut session) => {
                pass.let_in();
                session.bound_line(deadline, BEFORE_LOGIN * 4);
                here = Some((hop.name.clone(), session));
            }
            Err(error) => {
                pass.refused(&error, failure(&error, whole, deadline));
                return Err(blame(hop, error));
            }
        }
    }
    step(here, spec, deadline)
}

/// What an error says of a machine that had time up to `whole`, if the visitor had it too.
pub(super) fn failure(error: &SshError, whole: Instant, deadline: Instant) -> Failure {
    let late = Instant::now() >= whole.min(deadline);
    Failure::of(error, late && deadline < whole, late)
}

/// What keeps us from a bastion keeps us from all behind it.
pub(super) fn blame(hop: &Hop, error: SshError) -> SshError {
    match error.cause {
        // Of one before it, which it names already.
        Cause::Jump => error,
        // This side's matter: no bastion is to be mended.
        Cause::LocalSetup => SshError { text: format!("for bastion {}: {}", hop.name, error.text), ..error },
        cause => {
            SshError { cause: Cause::Jump, text: format!("bastion {}: {cause}: {}", hop.name, error.text), ..error }
        }
    }
}

/// Whether the next would be refused in the same way.
#[must_use]
pub fn is_lasting(cause: Cause) -> bool {
    LASTING.contains(&cause)
}

const LASTING: &[Cause] = &[Cause::Authentication, Cause::HostKeyUnknown, Cause::HostKeyChanged, Cause::HostKeyRevoked];

/// What a text that blames a bastion says of it, if the next would be refused in the same way.
#[must_use]
pub fn lasting_blame<'a>(hop: &Hop, text: &'a str) -> Option<(Cause, &'a str)> {
    let what = text.strip_prefix(&format!("bastion {}: ", hop.name))?;
    LASTING.iter().find_map(|&cause| Some((cause, what.strip_prefix(&format!("{cause}: "))?)))
}

/// From here to the next machine.
fn step(here: Option<(String, Session)>, to: &SshSpec, deadline: Instant) -> Result<Carrier, SshError> {
    let time = to.connect_timeout.unwrap_or(connect::CONNECT);
    let until = deadline.min(Instant::now() + time);
    let Some((name, mut session)) = here else {
        return connect::connect(&to.address, to.port, until).map(Carrier::tcp);
    };
    session.bound_line(until, BEFORE_LOGIN * 4);
    if let Err(problem) = session.open_to(&to.address, to.port) {
        return Err(unopened(&name, &session, to, problem));
    }
    session.bound_line(deadline, BEFORE_LOGIN * 4);
    Ok(Carrier::Through { name, session: Box::new(session) })
}

fn unopened(name: &str, session: &Session, to: &SshSpec, problem: Problem) -> SshError {
    let there = format!("{} port {}", to.address, to.port);
    match problem {
        Problem::Line(Break::Deadline) => {
            session.fail(Cause::ConnectTimeout, format!("no answer from {there} through bastion {name}"))
        }
        Problem::Line(Break::Bastion(text)) => session.fail(Cause::Jump, text),
        Problem::Line(_) => {
            session.fail(Cause::Jump, format!("bastion {name} closed the connection on the way to {there}"))
        }
        // RFC 4254, 5.1: the bastion let us try, and came no further.
        Problem::Ssh(error) if error.message().contains("connect failed") => {
            let text = format!("bastion {name} cannot connect to {there}: refused, no route, or no such name there");
            session.fail(Cause::ConnectTimeout, text)
        }
        Problem::Ssh(error) if error.message().contains("prohibited") => {
            let text =
                format!("bastion {name} does not forward to {there}: see AllowTcpForwarding and PermitOpen there");
            session.fail(Cause::Jump, text)
        }
        Problem::Ssh(error) => {
            session.fail(Cause::Jump, format!("bastion {name} does not forward to {there}: {}", error.message()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_found_in_the_words_of_the_blame() {
        let hop = Hop { name: "gate".into(), ssh: SshSpec::default() };
        for &cause in LASTING {
            let error = blame(&hop, SshError::new(cause, "for user u: key k"));
            assert_eq!(error.cause, Cause::Jump);
            assert_eq!(lasting_blame(&hop, &error.text), Some((cause, "for user u: key k")));
            assert_eq!(lasting_blame(&Hop { name: "gat".into(), ..hop.clone() }, &error.text), None);
        }
        for cause in [Cause::ConnectTimeout, Cause::Handshake, Cause::LocalSetup, Cause::Jump] {
            assert_eq!(lasting_blame(&hop, &blame(&hop, SshError::new(cause, "x")).text), None, "{cause}");
        }
    }
}
