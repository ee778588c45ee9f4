//! How one host is reached: what is typed, what is inherited, what is assumed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::raw::{self, Ssh, Typed, UseSshConfig, parsed};
use super::super::report::{At, Report};
use super::super::ssh_config::{Answer, IdentityAgent};
use super::super::tree::Node;
use super::super::{Shown, describe};
use crate::model::amount::{Wrong, wrong};
use crate::model::spec::{Origin, SshSpec, Transport, UnknownHosts};
use crate::model::suggest::did_you_mean;

/// What a `<host>` says of its connection, groups and `<ssh>` included.
pub(super) struct Reach {
    pub address: Option<Typed<String>>,
    pub local: Option<At>,
    fingerprint: Option<Typed<String>>,
    pub ssh: Ssh,
}

impl Reach {
    pub fn read(node: &Node, ssh: Ssh, report: &mut Report) -> Self {
        let transport = parsed(node, "transport", report, |value| match value {
            "ssh" => Ok(false),
            "local" => Ok(true),
            _ => wrong(
                format!("\"{value}\" is not a transport"),
                did_you_mean(value, ["ssh", "local"], "write ssh or local"),
            ),
        });
        let local = transport.filter(|typed| typed.value).map(|typed| typed.at);
        if local.is_some() {
            for name in ["address", "port", "user", "fingerprint"] {
                if let Some(attr) = node.attr(name) {
                    report.error(attr.name_at, format!("{name}= means nothing with transport=\"local\""), "remove it");
                }
            }
        }
        let fingerprint = parsed(node, "fingerprint", report, fingerprint);
        let reach = Self { address: raw::text(node, "address", report), local, fingerprint, ssh };
        let by_ssh = reach.ssh.use_ssh_config.as_ref().is_some_and(|typed| typed.value != UseSshConfig::No);
        if local.is_none() && reach.ssh.user.is_none() && !by_ssh && login_name().is_none() {
            report.error(node.at, "no login name for this host", "give user= here or in <ssh>");
        }
        reach
    }
}

/// `SHA256:` and 43 characters, as ssh-keygen -l shows it.
fn fingerprint(value: &str) -> Result<String, Wrong> {
    let good = value
        .strip_prefix("SHA256:")
        .is_some_and(|rest| rest.len() == 43 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b)));
    if good {
        return Ok(value.to_owned());
    }
    wrong(format!("\"{value}\" is not a fingerprint"), "write it as SHA256:..., 43 characters: ssh-keygen -lf KEY")
}

/// A host name or IP address.
pub(super) fn address(value: &str) -> Result<String, Wrong> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':' | b'%');
    if value.is_empty() || value.len() > 255 || value.starts_with('-') || !value.bytes().all(fits) {
        let mend = if value.contains('@') { "write the login name as user=" } else { "write a name or an IP address" };
        return wrong(format!("\"{value}\" is not an address"), mend);
    }
    if value.matches(':').count() == 1 {
        return wrong(format!("\"{value}\" is not an address"), "write the port as port=");
    }
    Ok(value.to_owned())
}

fn login_name() -> Option<String> {
    ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).filter(|name| !name.is_empty())
}

pub(super) fn shown(name: &'static str, value: impl Into<String>, at: At, report: &Report) -> Shown {
    Shown { name, value: value.into(), origin: report.origin(at) }
}

/// A value and where it comes from: typed, said by ssh, or assumed.
fn choose<T: Clone>(
    typed: Option<&Typed<T>>,
    said: Option<(T, &Origin)>,
    otherwise: impl FnOnce() -> T,
    report: &Report,
) -> (T, Origin) {
    match (typed, said) {
        (Some(typed), _) => (typed.value.clone(), report.origin(typed.at)),
        (None, Some((value, origin))) => (value, origin.clone()),
        (None, None) => (otherwise(), Origin::default()),
    }
}

/// How one machine is connected to, and each value with its origin. `answer` is what ssh says of it.
pub(super) fn ssh_spec(
    ssh: &Ssh,
    address: &Typed<String>,
    fingerprint: Option<&Typed<String>>,
    answer: Option<&Answer>,
    folder: &Path,
    report: &Report,
) -> (SshSpec, Vec<Shown>) {
    let asked = Origin { file: PathBuf::from(format!("ssh -G {}", address.value)), line: 0 };
    let said = |word: &'static str| answer.and_then(|answer| answer.one(word)).map(|value| (value.to_owned(), &asked));
    let typed_at = report.origin(address.at);
    let (its_address, address_at) = match said("hostname") {
        Some((name, origin)) if name != address.value.to_lowercase() => (name, origin.clone()),
        _ => (address.value.clone(), typed_at),
    };
    let (port, port_at) =
        choose(ssh.port.as_ref(), said("port").and_then(|(port, at)| Some((port.parse().ok()?, at))), || 22, report);
    let (user, user_at) = choose(ssh.user.as_ref(), said("user"), || login_name().unwrap_or_default(), report);
    let their_keys = answer.map(|answer| (answer.key_files(), &asked));
    let (key_files, keys_at) = choose(ssh.key_files.as_ref(), their_keys, Vec::new, report);
    let certificate_files = answer.map(Answer::certificate_files).unwrap_or_default();
    // With a key of its own a host needs no agent, whose other keys would use up the server's patience. ssh asks the
    // agent all the same, unless it is told not to.
    let bare = key_files.is_empty() && ssh.password.is_none();
    let their_agent = answer.map_or(IdentityAgent::Usual, Answer::agent);
    let only = answer.filter(|_| ssh.key_files.is_none()).map(Answer::agent_keys);
    let open = only.as_ref().map(|only| (only.is_some(), &asked));
    let (agent, agent_at) = choose(ssh.agent.as_ref(), open, || bare, report);
    // Who says agent= means all that it holds.
    let agent_keys = only.flatten().filter(|_| ssh.agent.is_none()).unwrap_or_default();
    let theirs = answer.map(|answer| {
        let mut all = answer.list("userknownhostsfile");
        all.extend(answer.list("globalknownhostsfile"));
        (all, &asked)
    });
    let ours = || vec![folder.join("keys/known_hosts")];
    let (known_hosts, known_at) = choose(ssh.known_hosts.as_ref(), theirs, ours, report);
    let accepts = said("stricthostkeychecking")
        .filter(|(value, _)| value == "accept-new")
        .map(|(_, origin)| (UnknownHosts::AcceptNew, origin));
    let (unknown_hosts, unknown_at) = choose(ssh.unknown_hosts.as_ref(), accepts, || UnknownHosts::Refuse, report);
    let known_as = said("hostkeyalias").map(|(name, _)| name);
    let seconds = said("connecttimeout").and_then(|(value, _)| value.parse().ok()).filter(|seconds| *seconds > 0);

    let list = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ");
    let unknown = match unknown_hosts {
        UnknownHosts::Refuse => "refuse",
        UnknownHosts::AcceptNew => "accept-new",
    };
    let line = |name, value: String, origin| Shown { name, value, origin };
    let mut all = vec![
        line("address", its_address.clone(), address_at),
        line("port", port.to_string(), port_at),
        line("user", user.clone(), user_at),
        line("key-files", list(&key_files), keys_at),
        line("agent", agent.to_string(), agent_at),
        line("known-hosts", list(&known_hosts), known_at),
        line("unknown-hosts", unknown.to_owned(), unknown_at),
    ];
    if !certificate_files.is_empty() {
        all.push(line("CertificateFile", list(&certificate_files), asked.clone()));
    }
    let agent_socket = match their_agent {
        IdentityAgent::At(path) if agent => Some(path),
        _ => None,
    };
    if let Some(path) = &agent_socket {
        all.push(line("IdentityAgent", path.display().to_string(), asked.clone()));
    }
    if let Some(name) = &known_as {
        all.push(line("HostKeyAlias", name.clone(), asked.clone()));
    }
    if let Some(seconds) = seconds {
        all.push(line("ConnectTimeout", format!("{seconds}s"), asked.clone()));
    }
    for (name, typed) in [("passphrase", &ssh.passphrase), ("password", &ssh.password)] {
        if let Some(typed) = typed {
            all.push(shown(name, describe(&typed.value), typed.at, report));
        }
    }
    if let Some(typed) = fingerprint {
        all.push(shown("fingerprint", typed.value.clone(), typed.at, report));
    }
    let spec = SshSpec {
        address: its_address,
        port,
        user,
        key_files,
        passphrase: ssh.passphrase.as_ref().map(|typed| typed.value.clone()),
        password: ssh.password.as_ref().map(|typed| typed.value.clone()),
        agent,
        agent_socket,
        agent_keys,
        known_hosts,
        unknown_hosts,
        fingerprint: fingerprint.map(|typed| typed.value.clone()),
        certificate_files,
        known_as,
        connect_timeout: seconds.map(Duration::from_secs),
        jumps: Vec::new(),
    };
    (spec, all)
}

/// The transport, and each of its values with its origin; the way over bastions comes when all hosts are known.
pub(super) fn resolve(
    reach: &Reach,
    address: &Typed<String>,
    answer: Option<&Answer>,
    folder: &Path,
    report: &Report,
) -> (Transport, Vec<Shown>) {
    if let Some(at) = reach.local {
        return (Transport::Local, vec![shown("transport", "local", at, report)]);
    }
    let (spec, all) = ssh_spec(&reach.ssh, address, reach.fingerprint.as_ref(), answer, folder, report);
    (Transport::Ssh(spec), all)
}
