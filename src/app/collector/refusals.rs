//! Bastions that refused us, for the whole sweep. A dialer remembers them as long as it lives (`ssh::Bastions`); the next
//! one would try each of them once more, and sshd locks out machines that fail often (PerSourcePenalties).

use std::collections::HashMap;

use crate::model::cause::Cause;
use crate::model::job::Job;
use crate::model::spec::{Hop, SshSpec, Transport};
use crate::ssh::{is_lasting, lasting_blame};

/// Who logs in where.
type Login = (String, u16, String);

/// All of a sweep.
#[derive(Default)]
pub struct Refusals(HashMap<Login, Vec<Refusal>>);

#[derive(Clone)]
struct Refusal {
    /// The bastions before it, and it itself.
    before: Vec<Hop>,
    ssh: SshSpec,
    /// It was passed on the way to another host. One that was visited for itself may be two hosts of the configuration, and
    /// each has its own visit.
    passed: bool,
    cause: Cause,
    text: String,
}

impl Refusal {
    fn is_of(&self, before: &[Hop], ssh: &SshSpec) -> bool {
        self.before == before && self.ssh == *ssh
    }
}

fn login(ssh: &SshSpec) -> Login {
    (ssh.address.clone(), ssh.port, ssh.user.clone())
}

/// The bastions before a host, and how it is logged in to behind them.
fn way(job: &Job) -> Option<(&[Hop], SshSpec)> {
    match &job.transport {
        Transport::Ssh(ssh) => Some((&ssh.jumps, SshSpec { jumps: Vec::new(), ..ssh.clone() })),
        Transport::Local => None,
    }
}

impl Refusals {
    /// Takes note of a visit that failed, if that is a refusal which the next would meet too.
    pub fn note(&mut self, job: &Job, cause: Cause, text: &str) {
        let Some((jumps, own)) = way(job) else { return };
        let refusal = if cause == Cause::Jump {
            let blamed = |(number, hop)| lasting_blame(hop, text).map(|(cause, text)| (number, hop, cause, text));
            jumps.iter().enumerate().find_map(blamed).map(|(number, hop, cause, text)| Refusal {
                before: jumps[..number].to_vec(),
                ssh: hop.ssh.clone(),
                passed: true,
                cause,
                text: text.to_owned(),
            })
        } else {
            let refusal = Refusal { before: jumps.to_vec(), ssh: own, passed: false, cause, text: text.to_owned() };
            Some(refusal).filter(|_| is_lasting(cause))
        };
        let Some(refusal) = refusal else { return };
        let all = self.0.entry(login(&refusal.ssh)).or_default();
        if !all.iter().any(|known| known.is_of(&refusal.before, &refusal.ssh) && (known.passed || !refusal.passed)) {
            all.push(refusal);
        }
    }

    /// What a visit would end with, if that is known.
    pub fn known(&self, job: &Job) -> Option<(Cause, String)> {
        if self.0.is_empty() {
            return None;
        }
        let (jumps, own) = way(job)?;
        let of = |before: &[Hop], ssh: &SshSpec, passed: bool| {
            let all = self.0.get(&login(ssh)).into_iter().flatten();
            all.filter(|known| known.passed || !passed).find(|known| known.is_of(before, ssh)).cloned()
        };
        let on_the_way = jumps.iter().enumerate().find_map(|(number, hop)| {
            let Refusal { cause, text, .. } = of(&jumps[..number], &hop.ssh, false)?;
            Some((Cause::Jump, format!("bastion {}: {cause}: {text}", hop.name)))
        });
        on_the_way.or_else(|| of(jumps, &own, true).map(|Refusal { cause, text, .. }| (cause, text)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::played::ssh;
    use super::*;
    use crate::model::secret::Secret;

    fn hop(name: &str) -> Hop {
        Hop { name: name.into(), ssh: SshSpec { address: format!("{name}.example.net"), ..ssh() } }
    }

    /// Over these bastions to a machine, which may be one of these itself.
    fn job(way: &[&str], to: &str) -> Job {
        let jumps = way.iter().map(|name| hop(name)).collect();
        Job {
            host: to.into(),
            transport: Transport::Ssh(SshSpec { jumps, ..hop(to).ssh }),
            nonce: String::new(),
            task: Secret::new(String::new()),
            pull_bytes: 1,
            pull_files: 1,
            probes: "probes".into(),
            timeout: Duration::from_secs(5),
        }
    }

    #[test]
    fn who_is_behind_a_bastion_that_refused_is_told_so_and_nobody_else() {
        let mut refusals = Refusals::default();
        refusals.note(&job(&["a", "b"], "h1"), Cause::Jump, "bastion b: authentication: no such key");
        let jump = |text: &str| Some((Cause::Jump, text.to_owned()));
        let told = jump("bastion b: authentication: no such key");
        for (way, to, wanted) in [
            (&["a", "b"][..], "h2", told.clone()),
            (&["a", "b", "c"], "h2", told),
            // It was asked on the way to others, and is not asked for itself.
            (&["a"], "b", Some((Cause::Authentication, "no such key".to_owned()))),
            (&["a"], "h2", None),
            (&["b"], "h2", None),
            (&[], "b", None),
            (&[], "a", None),
        ] {
            assert_eq!(refusals.known(&job(way, to)), wanted, "{way:?} {to}");
        }
        // Visited for itself, which says nothing of another host at the same place.
        refusals.note(&job(&[], "d"), Cause::Authentication, "no");
        assert_eq!(refusals.known(&job(&["d"], "h3")), jump("bastion d: authentication: no"));
        assert_eq!(refusals.known(&job(&[], "d")), None);
        refusals.note(&job(&["d"], "h3"), Cause::Jump, "bastion d: authentication: no");
        assert_eq!(refusals.known(&job(&[], "d")), Some((Cause::Authentication, "no".to_owned())));
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let mut refusals = Refusals::default();
        for text in ["bastion a: connect-timeout: late", "bastion a: handshake: full", "a: authentication: no", ""] {
            refusals.note(&job(&["a"], "h1"), Cause::Jump, text);
        }
        refusals.note(&job(&[], "a"), Cause::ConnectTimeout, "late");
        refusals.note(&job(&["a"], "h1"), Cause::Authentication, "no");
        assert_eq!(refusals.known(&job(&["a"], "h2")), None);
    }
}
