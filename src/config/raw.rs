//! The configuration as typed: each value with its type and its place, nothing inherited yet.

use std::path::PathBuf;

use super::files::resolve_path;
use super::report::{At, Report};
pub(super) use super::rule::{Rule, rules};
use super::tree::{Attr, Node};
use crate::model::amount::{self, Wrong, wrong};
use crate::model::secret::{Secret, SecretSource};
use crate::model::spec::UnknownHosts;

/// A value and where it was typed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Typed<T> {
    pub value: T,
    pub at: At,
}

impl<T> Typed<T> {
    pub fn built_in(value: T) -> Self {
        Self { value, at: At::BUILT_IN }
    }
}

/// An attribute through a parser; what the parser does not take is reported.
pub(super) fn parsed<T>(
    node: &Node,
    name: &str,
    report: &mut Report,
    parse: impl FnOnce(&str) -> Result<T, Wrong>,
) -> Option<Typed<T>> {
    let attr = node.attr(name)?;
    match parse(&attr.value) {
        Ok(value) => Some(Typed { value, at: attr.value_at }),
        Err(Wrong { text, mend }) => {
            report.error(attr.value_at, text, mend);
            None
        }
    }
}

/// An attribute that is any text but nothing.
pub(super) fn text(node: &Node, name: &str, report: &mut Report) -> Option<Typed<String>> {
    parsed(node, name, report, |value| {
        if value.trim().is_empty() {
            return wrong(format!("{name}= is empty"), "give a value or remove it");
        }
        Ok(value.trim().to_owned())
    })
}

/// [`text`] that must be there.
pub(super) fn required(node: &Node, name: &str, report: &mut Report) -> Option<Typed<String>> {
    if node.attr(name).is_none() {
        report.error(node.at, format!("<{}> has no {name}=", node.name), format!("give {name}=\"...\""));
    }
    text(node, name, report)
}

/// A path, absolute.
pub(super) fn path(node: &Node, name: &str, report: &mut Report) -> Option<Typed<PathBuf>> {
    let folder = folder(node.attr(name)?, report);
    parsed(node, name, report, |value| resolve_path(&folder, value))
}

/// Paths between spaces.
fn paths(node: &Node, name: &str, report: &mut Report) -> Option<Typed<Vec<PathBuf>>> {
    let folder = folder(node.attr(name)?, report);
    parsed(node, name, report, |value| {
        if value.trim().is_empty() {
            return wrong(format!("{name}= is empty"), "name a file or remove it");
        }
        amount::words(value).iter().map(|word| resolve_path(&folder, word)).collect()
    })
}

fn folder(attr: &Attr, report: &Report) -> PathBuf {
    report.source(attr.value_at.file as usize).map(|source| source.folder.clone()).unwrap_or_default()
}

/// A name of a host, group or destination.
pub(super) fn name(value: &str) -> Result<String, Wrong> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if value.is_empty() || value.len() > 64 || !value.bytes().all(fits) || value.starts_with(['-', '.']) {
        return wrong(
            format!("\"{value}\" is not a name"),
            "at most 64 letters, digits, . _ and -, not starting with . or -",
        );
    }
    Ok(value.to_owned())
}

/// `password` or `passphrase` and their kin: at most one of them.
pub(super) fn secret(node: &Node, stem: &str, report: &mut Report) -> Option<Typed<SecretSource>> {
    let mut found: Option<Typed<SecretSource>> = None;
    for kind in ["", "-file", "-env", "-command", "-credential"] {
        let name = format!("{stem}{kind}");
        let Some(attr) = node.attr(&name) else { continue };
        let at = attr.value_at;
        if found.is_some() {
            report.error(attr.name_at, format!("several sources for one {stem}"), "keep one of them");
            continue;
        }
        if attr.value.trim().is_empty() {
            report.error(at, format!("{name}= is empty"), "give a value or remove it");
            continue;
        }
        let folder = folder(attr, report);
        let source = match kind {
            "" => {
                let source = report.source(at.file as usize);
                if source.is_some_and(|source| !source.private) {
                    let file = source.map(|source| source.path.display().to_string()).unwrap_or_default();
                    let text = format!("a {stem} in a file that others can read");
                    report.error(attr.name_at, text, format!("use {stem}-file=, or type: chmod 600 {file}"));
                }
                SecretSource::Inline(Secret::new(attr.value.clone()))
            }
            "-file" => match resolve_path(&folder, &attr.value) {
                Ok(path) => SecretSource::File(path),
                Err(Wrong { text, mend }) => {
                    report.error(at, text, mend);
                    continue;
                }
            },
            "-env" if attr.value.contains(['=', ' ']) => {
                report.error(at, format!("\"{}\" is not the name of a variable", attr.value), "");
                continue;
            }
            "-env" => SecretSource::Environment(attr.value.clone()),
            "-command" => SecretSource::Command(attr.value.clone()),
            _ if attr.value.contains('/') || attr.value.starts_with('.') => {
                report.error(at, format!("\"{}\" is not the name of a credential", attr.value), "a name without /");
                continue;
            }
            _ => SecretSource::Credential(attr.value.clone()),
        };
        found = Some(Typed { value: source, at });
    }
    found
}

/// What `<ssh>`, and a `<host>` itself, say about connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Ssh {
    pub user: Option<Typed<String>>,
    pub port: Option<Typed<u16>>,
    pub key_files: Option<Typed<Vec<PathBuf>>>,
    pub passphrase: Option<Typed<SecretSource>>,
    pub password: Option<Typed<SecretSource>>,
    pub agent: Option<Typed<bool>>,
    pub known_hosts: Option<Typed<Vec<PathBuf>>>,
    pub unknown_hosts: Option<Typed<UnknownHosts>>,
    pub use_ssh_config: Option<Typed<UseSshConfig>>,
    pub jump: Option<Typed<Vec<String>>>,
}

/// Whether ssh's own configuration holds for hosts too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UseSshConfig {
    No,
    /// The user's and the system's.
    Usual,
    /// This file and no other, as `ssh -F`.
    File(PathBuf),
}

impl Ssh {
    pub fn read(node: &Node, report: &mut Report) -> Self {
        let one = path(node, "key-file", report).map(|typed| Typed { value: vec![typed.value], at: typed.at });
        let many = paths(node, "key-files", report);
        if let (Some(_), Some(many)) = (&one, &many) {
            report.error(many.at, "key-file= and key-files= at once", "keep one of them");
        }
        Self {
            user: parsed(node, "user", report, |value| {
                if value.is_empty() || value.len() > 255 || value.contains(char::is_whitespace) {
                    return wrong(format!("\"{value}\" is not a login name"), "");
                }
                Ok(value.to_owned())
            }),
            port: port(node, report),
            key_files: one.or(many),
            passphrase: secret(node, "passphrase", report),
            password: secret(node, "password", report),
            agent: parsed(node, "agent", report, amount::flag),
            known_hosts: paths(node, "known-hosts", report),
            unknown_hosts: parsed(node, "unknown-hosts", report, |value| match value {
                "refuse" => Ok(UnknownHosts::Refuse),
                "accept-new" => Ok(UnknownHosts::AcceptNew),
                _ => wrong(
                    format!("\"{value}\" is not a way to treat unknown hosts"),
                    "write refuse or accept-new; there is no \"accept any\"",
                ),
            }),
            use_ssh_config: use_ssh_config(node, report),
            jump: jump(node, report),
        }
    }

    /// What the nearer says wins, attribute by attribute.
    pub fn under(&self, near: &Ssh) -> Ssh {
        Ssh {
            user: near.user.clone().or_else(|| self.user.clone()),
            port: near.port.clone().or_else(|| self.port.clone()),
            key_files: near.key_files.clone().or_else(|| self.key_files.clone()),
            passphrase: near.passphrase.clone().or_else(|| self.passphrase.clone()),
            password: near.password.clone().or_else(|| self.password.clone()),
            agent: near.agent.clone().or_else(|| self.agent.clone()),
            known_hosts: near.known_hosts.clone().or_else(|| self.known_hosts.clone()),
            unknown_hosts: near.unknown_hosts.clone().or_else(|| self.unknown_hosts.clone()),
            use_ssh_config: near.use_ssh_config.clone().or_else(|| self.use_ssh_config.clone()),
            jump: near.jump.clone().or_else(|| self.jump.clone()),
        }
    }
}

fn use_ssh_config(node: &Node, report: &mut Report) -> Option<Typed<UseSshConfig>> {
    let folder = folder(node.attr("use-ssh-config")?, report);
    parsed(node, "use-ssh-config", report, |value| match value {
        "" => wrong("use-ssh-config= is empty", "write true, false or the path of a file"),
        _ if value.contains('/') => resolve_path(&folder, value).map(UseSshConfig::File),
        _ => amount::flag(value).map(|yes| if yes { UseSshConfig::Usual } else { UseSshConfig::No }),
    })
}

/// Bastions, the nearest to us first; `none` for none.
pub(super) fn jump(node: &Node, report: &mut Report) -> Option<Typed<Vec<String>>> {
    parsed(node, "jump", report, |value| {
        let words: Vec<String> =
            value.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty()).map(str::to_owned).collect();
        match words.as_slice() {
            [] => wrong("jump= is empty", "name a host, write user@address:port, or none"),
            [only] if only == "none" => Ok(Vec::new()),
            _ => Ok(words),
        }
    })
}

/// Whether command lines of processes are wanted, as `<defaults>`, a group or a host says it.
pub(super) fn command_lines(node: &Node, report: &mut Report) -> Option<Typed<bool>> {
    parsed(node, "command-lines", report, amount::flag)
}

pub(super) fn port(node: &Node, report: &mut Report) -> Option<Typed<u16>> {
    parsed(node, "port", report, |value| {
        let number = amount::whole(value, 1, 65535)?;
        u16::try_from(number).or_else(|_| wrong("the port is too large", ""))
    })
}

/// The one child of that name; a second is a mistake.
pub(super) fn only<'a>(children: &'a [Node], name: &str, report: &mut Report) -> Option<&'a Node> {
    let mut all = children.iter().filter(|child| child.name == name);
    let first = all.next()?;
    for second in all {
        let named = report.named(first.at);
        report.error(second.at, format!("a second <{name}>, first at {named}"), "put both into one");
    }
    Some(first)
}
