//! The way to a host over its bastions: hosts of the configuration, machines of their own, or what ssh says.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::Shown;
use super::super::raw::{Ssh, Typed, UseSshConfig};
use super::super::report::{At, Report};
use super::super::ssh_config::{Answer, Question, SshConfig};
use super::Origins;
use super::connection::{self, Reach};
use crate::model::spec::{Hop, HostSpec, Origin, SshSpec, Transport};
use crate::model::suggest::did_you_mean;

/// More than anybody has; a chain of names that leads in a circle ends here.
const MAX_HOPS: usize = 8;

/// What is said of the way to a host.
pub(super) struct Way {
    words: Vec<String>,
    /// The words are ssh's, not ours.
    by_ssh: bool,
    /// Typed on the host itself.
    own: bool,
    at: At,
    /// How bastions that are no hosts of the configuration are logged in to.
    ssh: Ssh,
}

impl Way {
    pub fn new(reach: &Reach, answer: Option<&Answer>, own: bool) -> Option<Self> {
        let ssh = &reach.ssh;
        if reach.local.is_some() {
            return None;
        }
        let (words, by_ssh, at) = match (&ssh.jump, answer.and_then(|answer| answer.one("proxyjump"))) {
            (Some(typed), _) => (typed.value.clone(), false, typed.at),
            (None, Some(line)) => {
                let at = ssh.use_ssh_config.as_ref().map_or(At::BUILT_IN, |typed| typed.at);
                (line.split(',').map(str::to_owned).collect(), true, at)
            }
            (None, None) => return None,
        };
        Some(Self { words, by_ssh, own, at, ssh: ssh.clone() })
    }
}

/// Where ways are asked for.
pub(super) struct Inn<'a> {
    pub ssh: &'a mut SshConfig,
    pub folder: &'a Path,
    pub report: &'a mut Report,
}

impl Inn<'_> {
    /// What ssh says of an address, if the configuration wants that.
    pub fn ask(&mut self, ssh: &Ssh, address: &Typed<String>) -> Option<Answer> {
        let wanted = ssh.use_ssh_config.as_ref()?;
        let file = match &wanted.value {
            UseSshConfig::No => return None,
            UseSshConfig::Usual => None,
            UseSshConfig::File(path) => Some(path.as_path()),
        };
        // What begins with `-` would be an option of ssh.
        if address.value.starts_with('-') {
            return None;
        }
        let (user, port) = (ssh.user.as_ref(), ssh.port.as_ref());
        let user = user.map(|typed| typed.value.as_str());
        let question = Question { host: &address.value, user, port: port.map(|typed| typed.value), file };
        let answer = match self.ssh.ask(question) {
            Ok(answer) => answer,
            Err(text) => {
                self.report.error(wanted.at, text, "mend that, or write use-ssh-config=\"false\"");
                return None;
            }
        };
        if answer.one("proxycommand").is_some() {
            let text = format!("ssh reaches {} by a ProxyCommand, which is not supported", address.value);
            self.report.error(wanted.at, text, "use ProxyJump there, or jump= here");
        }
        // Passed over it would be a revocation that nobody sees.
        if let Some(file) = answer.one("revokedhostkeys") {
            let text = format!(
                "ssh refuses the keys of {file} for {} (RevokedHostKeys), which is not read here",
                address.value
            );
            self.report.error(wanted.at, text, "write each of them as a line of known_hosts: @revoked * TYPE KEY");
        }
        // Without a word they would be keys that are not offered.
        let agent = ssh.agent.as_ref().map_or_else(|| answer.agent_keys().is_some(), |typed| typed.value);
        let keys = ("IdentityFile", "mend the path there, or write key-file= or agent=\"true\" here");
        let certificates = ("CertificateFile", "mend the path there");
        for (name, mend) in [Some(keys).filter(|_| ssh.key_files.is_none()), Some(certificates)].into_iter().flatten() {
            for text in answer.missing(&name.to_lowercase(), agent) {
                self.report.warning(wanted.at, format!("{name} of ssh's configuration: {text}"), mend);
            }
        }
        Some(answer)
    }

    fn wrong(&mut self, at: At, text: String, mend: impl Into<String>) -> Option<Vec<Hop>> {
        self.report.error(at, text, mend);
        None
    }
}

/// Gives each host its way, and the bastions on it as parents.
pub(super) fn lead(hosts: &mut [HostSpec], ways: &BTreeMap<String, Way>, origins: &mut Origins, inn: &mut Inn<'_>) {
    if ways.is_empty() {
        return;
    }
    let machines: BTreeMap<String, Transport> =
        hosts.iter().map(|host| (host.name.clone(), host.transport.clone())).collect();
    for host in hosts {
        let Some(way) = ways.get(&host.name) else { continue };
        let Some(hops) = hops(&host.name, way, ways, &machines, inn, 0) else { continue };
        if hops.is_empty() {
            continue;
        }
        let names: Vec<String> = hops.iter().map(|hop| hop.name.clone()).collect();
        let origin = match way.by_ssh {
            true => Origin { file: "ssh -G".into(), line: 0 },
            false => inn.report.origin(way.at),
        };
        origins.entry(host.name.clone()).or_default().push(Shown { name: "jump", value: names.join(","), origin });
        let typed = std::mem::take(&mut host.parents);
        host.parents = names;
        host.parents.extend(typed.into_iter().filter(|parent| !hops.iter().any(|hop| hop.name == *parent)));
        if let Transport::Ssh(ssh) = &mut host.transport {
            ssh.jumps = hops;
        }
    }
}

/// The bastions to a host, the first one's own before it. `None` where a mistake was reported.
fn hops(
    name: &str,
    way: &Way,
    ways: &BTreeMap<String, Way>,
    machines: &BTreeMap<String, Transport>,
    inn: &mut Inn<'_>,
    depth: usize,
) -> Option<Vec<Hop>> {
    let mut all = Vec::new();
    for (number, word) in way.words.iter().enumerate() {
        if word == name {
            if way.own && !way.by_ssh {
                return inn.wrong(
                    way.at,
                    format!("the way to \"{name}\" leads over itself"),
                    "name the host before it",
                );
            }
            // The bastion of a group stands in the group, and in `Host *`: it is reached by what comes before it.
            return Some(all);
        }
        if depth > MAX_HOPS {
            let text = format!("the way to \"{name}\" leads over more than {MAX_HOPS} bastions, or in a circle");
            return inn.wrong(way.at, text, "name the bastions in the order of the way");
        }
        let (ssh, before) = match machines.get(word).filter(|_| !way.by_ssh) {
            Some(Transport::Local) => {
                let text = format!("\"{word}\" is this machine itself, no bastion");
                return inn.wrong(way.at, text, "name a host over SSH");
            }
            Some(Transport::Ssh(ssh)) => {
                let before = match ways.get(word).filter(|_| number == 0) {
                    Some(before) => hops(word, before, ways, machines, inn, depth + 1)?,
                    None => Vec::new(),
                };
                (ssh.clone(), before)
            }
            None => foreign(word, number == 0, way, machines, inn, depth)?,
        };
        all.extend(before);
        all.push(Hop { name: word.clone(), ssh });
    }
    if all.len() > MAX_HOPS {
        let text = format!("the way to \"{name}\" leads over {} bastions, over {MAX_HOPS}", all.len());
        return inn.wrong(way.at, text, "name fewer");
    }
    Some(all)
}

/// A bastion that is no host of the configuration, and those before it.
fn foreign(
    word: &str,
    first: bool,
    way: &Way,
    machines: &BTreeMap<String, Transport>,
    inn: &mut Inn<'_>,
    depth: usize,
) -> Option<(SshSpec, Vec<Hop>)> {
    let asks = way.ssh.use_ssh_config.as_ref().is_some_and(|typed| typed.value != UseSshConfig::No);
    let Some((user, address, port)) = destination(word) else {
        let mend = "name a host, or write user@address:port";
        inn.report.error(way.at, format!("\"{word}\" is not a bastion"), mend);
        return None;
    };
    if !asks && !word.contains(['@', '.', ':']) {
        let known = machines.keys().map(String::as_str);
        let mend = did_you_mean(word, known, "name a <host>, or write user@address:port");
        inn.report.error(way.at, format!("there is no host \"{word}\""), mend);
        return None;
    }
    let typed = |value| Typed { value, at: way.at };
    // A bastion that ssh knows is as ssh has it; another has the host's keys, but never its password.
    let ssh = Ssh {
        user: user.map(typed).or_else(|| way.ssh.user.clone().filter(|_| !asks)),
        port: port.map(|value| Typed { value, at: way.at }),
        passphrase: way.ssh.passphrase.clone(),
        use_ssh_config: way.ssh.use_ssh_config.clone(),
        unknown_hosts: way.ssh.unknown_hosts.clone(),
        key_files: way.ssh.key_files.clone().filter(|_| !asks),
        agent: way.ssh.agent.clone().filter(|_| !asks),
        known_hosts: way.ssh.known_hosts.clone().filter(|_| !asks),
        password: None,
        jump: None,
    };
    let address = typed(address);
    let answer = if asks { Some(inn.ask(&ssh, &address)?) } else { None };
    let (spec, _) = connection::ssh_spec(&ssh, &address, None, answer.as_ref(), inn.folder, inn.report);
    let before = match answer.as_ref().and_then(|answer| answer.one("proxyjump")).filter(|_| first) {
        Some(line) => {
            let words = line.split(',').map(str::to_owned).collect();
            let way = Way { words, by_ssh: true, own: true, at: way.at, ssh };
            hops(word, &way, &BTreeMap::new(), machines, inn, depth + 1)?
        }
        None => Vec::new(),
    };
    Some((spec, before))
}

/// `[user@]address[:port]`, as ssh takes it after -J.
fn destination(word: &str) -> Option<(Option<String>, String, Option<u16>)> {
    let word = word.strip_prefix("ssh://").unwrap_or(word);
    let (user, place) = match word.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, word),
    };
    let (address, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            (address, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None if place.matches(':').count() == 1 => {
            place.split_once(':').map(|(address, port)| (address, Some(port)))?
        }
        None => (place, None),
    };
    let good = |user: &&str| !user.is_empty() && !user.starts_with('-') && !user.contains(char::is_whitespace);
    let user = match user {
        Some(user) => Some(Some(user).filter(good)?.to_owned()),
        None => None,
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
        None => None,
    };
    Some((user, connection::address(address).ok()?, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_as_ssh_takes_them() {
        let some = |user: Option<&str>, address: &str, port| Some((user.map(str::to_owned), address.to_owned(), port));
        for (word, wanted) in [
            ("bastion", some(None, "bastion", None)),
            ("me@b.example.net:2222", some(Some("me"), "b.example.net", Some(2222))),
            ("ssh://me@b:22", some(Some("me"), "b", Some(22))),
            ("2001:db8::1", some(None, "2001:db8::1", None)),
            ("me@[2001:db8::1]:2", some(Some("me"), "2001:db8::1", Some(2))),
            ("[::1]", some(None, "::1", None)),
            ("a@b@c", some(Some("a@b"), "c", None)),
            ("-oProxyCommand=x", None),
            ("-x@b", None),
            ("@b", None),
            ("b:0", None),
            ("b:x", None),
            ("[::1", None),
            ("a b", None),
        ] {
            assert_eq!(destination(word), wanted, "{word}");
        }
    }
}
