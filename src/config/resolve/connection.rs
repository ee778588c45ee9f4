//! How one host is reached: what is typed, what is inherited, what is assumed.

use std::path::Path;

use super::super::raw::{self, Ssh, Typed, parsed};
use super::super::report::{At, Report};
use super::super::tree::Node;
use super::super::{Shown, describe};
use crate::model::amount::{Wrong, wrong};
use crate::model::spec::{SshSpec, Transport, UnknownHosts};
use crate::model::suggest::did_you_mean;

/// What a `<host>` says of its connection, groups and `<ssh>` included.
pub(super) struct Reach {
    pub address: Option<Typed<String>>,
    local: Option<At>,
    fingerprint: Option<Typed<String>>,
    ssh: Ssh,
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
        if local.is_none() && reach.ssh.user.is_none() && login_name().is_none() {
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

/// The transport, and each of its values with its origin.
pub(super) fn resolve(
    reach: &Reach,
    address: Typed<String>,
    folder: &Path,
    report: &Report,
) -> (Transport, Vec<Shown>) {
    if let Some(at) = reach.local {
        return (Transport::Local, vec![shown("transport", "local", at, report)]);
    }
    let ssh = &reach.ssh;
    let user = ssh.user.clone().unwrap_or_else(|| Typed::built_in(login_name().unwrap_or_default()));
    let port = ssh.port.clone().unwrap_or_else(|| Typed::built_in(22));
    let key_files = ssh.key_files.clone().unwrap_or_else(|| Typed::built_in(Vec::new()));
    // With a key of its own a host needs no agent, whose other keys would use up the server's patience.
    let bare = key_files.value.is_empty() && ssh.password.is_none();
    let agent = ssh.agent.clone().unwrap_or_else(|| Typed::built_in(bare));
    let known = ssh.known_hosts.clone().unwrap_or_else(|| Typed::built_in(vec![folder.join("keys/known_hosts")]));
    let unknown = ssh.unknown_hosts.clone().unwrap_or_else(|| Typed::built_in(UnknownHosts::Refuse));
    let list = |paths: &[std::path::PathBuf]| {
        paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
    };
    let mut all = vec![
        shown("address", address.value.clone(), address.at, report),
        shown("port", port.value.to_string(), port.at, report),
        shown("user", user.value.clone(), user.at, report),
        shown("key-files", list(&key_files.value), key_files.at, report),
        shown("agent", agent.value.to_string(), agent.at, report),
        shown("known-hosts", list(&known.value), known.at, report),
        shown(
            "unknown-hosts",
            match unknown.value {
                UnknownHosts::Refuse => "refuse",
                UnknownHosts::AcceptNew => "accept-new",
            },
            unknown.at,
            report,
        ),
    ];
    for (name, typed) in [("passphrase", &ssh.passphrase), ("password", &ssh.password)] {
        if let Some(typed) = typed {
            all.push(shown(name, describe(&typed.value), typed.at, report));
        }
    }
    if let Some(typed) = &reach.fingerprint {
        all.push(shown("fingerprint", typed.value.clone(), typed.at, report));
    }
    let spec = SshSpec {
        address: address.value,
        port: port.value,
        user: user.value,
        key_files: key_files.value,
        passphrase: ssh.passphrase.as_ref().map(|typed| typed.value.clone()),
        password: ssh.password.as_ref().map(|typed| typed.value.clone()),
        agent: agent.value,
        known_hosts: known.value,
        unknown_hosts: unknown.value,
        fingerprint: reach.fingerprint.as_ref().map(|typed| typed.value.clone()),
    };
    (Transport::Ssh(spec), all)
}
