//! Groups and hosts: ranges expanded, what is around them inherited.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::super::range::{self, MAX_HOSTS};
use super::super::raw::{self, Ssh, Typed, parsed};
use super::super::report::{At, Report};
use super::super::services::services;
use super::super::ssh_config::SshConfig;
use super::super::tree::Node;
use super::Origins;
use super::jumps::{self, Way};
use super::rules::Stack;
use super::services::Services;
use super::{connection, connection::Reach};
use crate::model::amount::{Wrong, words, wrong};
use crate::model::spec::{HostSpec, RuleSpec};
use crate::model::suggest::did_you_mean;

const MAX_GROUP_DEPTH: usize = 4;
const MAX_LABELS: usize = 32;

/// What a host inherits where it stands.
pub(super) struct Around {
    groups: Vec<String>,
    labels: BTreeMap<String, Typed<String>>,
    ssh: Ssh,
    command_lines: Option<Typed<bool>>,
    stack: Stack,
    services: Services,
}

impl Around {
    pub fn top(ssh: Ssh, command_lines: Option<Typed<bool>>, stack: Stack, services: Services) -> Self {
        Self { groups: Vec::new(), labels: BTreeMap::new(), ssh, command_lines, stack, services }
    }
}

/// A host's name and address.
type Named = (String, Typed<String>);

/// What a walk over all groups found.
pub(super) struct Found {
    pub hosts: Vec<HostSpec>,
    pub groups: Vec<String>,
    pub origins: Origins,
}

/// A walk over groups and hosts in the order of the files.
pub(super) struct Walk<'a> {
    folder: PathBuf,
    /// What one host has for everything.
    timeout: Duration,
    report: &'a mut Report,
    hosts: Vec<HostSpec>,
    seen: HashMap<String, At>,
    groups: HashMap<String, At>,
    origins: Origins,
    ssh: SshConfig,
    /// Over which bastions each host is reached.
    ways: BTreeMap<String, Way>,
    /// Host, parent, and where that was typed.
    parents: Vec<(String, String, At)>,
    full: bool,
}

impl<'a> Walk<'a> {
    pub fn new(folder: &Path, ssh: SshConfig, timeout: Duration, report: &'a mut Report) -> Self {
        Self {
            folder: folder.to_owned(),
            ssh,
            ways: BTreeMap::new(),
            timeout,
            report,
            hosts: Vec::new(),
            seen: HashMap::new(),
            groups: HashMap::new(),
            origins: Origins::new(),
            parents: Vec::new(),
            full: false,
        }
    }

    pub fn done(mut self) -> Found {
        for (host, parent, at) in &self.parents {
            if parent == host {
                self.report.error(*at, format!("\"{host}\" is its own parent"), "name the host in front of it");
            } else if !self.seen.contains_key(parent) {
                let mend = did_you_mean(parent, self.seen.keys().map(String::as_str), "name a <host>");
                self.report.error(*at, format!("there is no host \"{parent}\""), mend);
            }
        }
        let mut inn = jumps::Inn { ssh: &mut self.ssh, folder: &self.folder, report: self.report };
        jumps::lead(&mut self.hosts, &self.ways, &mut self.origins, &mut inn);
        Found { hosts: self.hosts, groups: self.groups.into_keys().collect(), origins: self.origins }
    }

    pub fn children(&mut self, nodes: &[Node], around: &Around) {
        let mut plain: Option<Arc<Vec<RuleSpec>>> = None;
        for node in nodes {
            match node.name.as_str() {
                "group" => self.group(node, around),
                "host" => self.host(node, around, &mut plain),
                _ => {}
            }
        }
    }

    fn group(&mut self, node: &Node, around: &Around) {
        if around.groups.len() >= MAX_GROUP_DEPTH {
            let text = format!("groups inside of groups, over {MAX_GROUP_DEPTH} deep");
            return self.report.error(node.at, text, "use labels instead");
        }
        let _ = raw::required(node, "name", self.report);
        let name = parsed(node, "name", self.report, raw::name);
        let mut groups = around.groups.clone();
        if let Some(name) = name {
            if let Some(first) = self.groups.get(&name.value) {
                let text = format!("a second group \"{}\", first at {}", name.value, self.report.named(*first));
                self.report.error(name.at, text, "give it another name");
            } else {
                self.groups.insert(name.value.clone(), name.at);
            }
            groups.push(name.value);
        }
        let near = raw::only(&node.children, "ssh", self.report).map(|ssh| Ssh::read(ssh, self.report));
        let own = Ssh { jump: raw::jump(node, self.report), ..Ssh::default() };
        let ssh = near.map_or_else(|| around.ssh.clone(), |near| around.ssh.under(&near)).under(&own);
        let mut rules = raw::rules(node, self.report);
        let (near_services, more) = services(node, self.report);
        rules.extend(more);
        let inside = Around {
            groups,
            labels: self.labels(node, &around.labels),
            ssh,
            command_lines: raw::command_lines(node, self.report).or_else(|| around.command_lines.clone()),
            stack: around.stack.with(&rules),
            services: around.services.with(&near_services),
        };
        let _ = inside.stack.finish(self.report);
        self.children(&node.children, &inside);
    }

    fn labels(&mut self, node: &Node, far: &BTreeMap<String, Typed<String>>) -> BTreeMap<String, Typed<String>> {
        let mut all = far.clone();
        let typed = parsed(node, "labels", self.report, |value| {
            let mut labels: Vec<(String, String)> = Vec::new();
            for word in words(value) {
                let Some((key, value)) = word.split_once('=') else {
                    return wrong(format!("\"{word}\" is not a label"), "write labels as tier=db owner=dba");
                };
                let key = raw::name(key)?;
                if value.len() > 128 {
                    return wrong(format!("the value of label {key} is over 128 bytes"), "");
                }
                if labels.iter().any(|(other, _)| *other == key) {
                    return wrong(format!("label {key} is given twice"), "keep one");
                }
                labels.push((key, value.to_owned()));
            }
            Ok(labels)
        });
        if let Some(Typed { value, at }) = typed {
            all.extend(value.into_iter().map(|(key, value)| (key, Typed { value, at })));
            if all.len() > MAX_LABELS {
                self.report.error(at, format!("over {MAX_LABELS} labels for one host"), "");
            }
        }
        all
    }

    fn host(&mut self, node: &Node, around: &Around, plain: &mut Option<Arc<Vec<RuleSpec>>>) {
        let labels = self.labels(node, &around.labels);
        let near = raw::only(&node.children, "ssh", self.report).map(|ssh| Ssh::read(ssh, self.report));
        let far = near.map_or_else(|| around.ssh.clone(), |near| around.ssh.under(&near));
        let own = Ssh::read(node, self.report);
        let reach = Reach::read(node, far.under(&own), self.report);
        let mut rules = raw::rules(node, self.report);
        let (near_services, more) = services(node, self.report);
        rules.extend(more);
        let services = around.services.with(&near_services).finish(self.timeout, self.report);
        let rules = if rules.is_empty() {
            Arc::clone(plain.get_or_insert_with(|| Arc::new(around.stack.finish(self.report))))
        } else {
            Arc::new(around.stack.with(&rules).finish(self.report))
        };
        let parents = parsed(node, "parent", self.report, |value| match words(value) {
            names if names.is_empty() => wrong("parent= is empty", "name a host or remove it"),
            names => Ok(names),
        });
        let command_lines = raw::command_lines(node, self.report).or_else(|| around.command_lines.clone());
        let command_lines = command_lines.unwrap_or_else(|| Typed::built_in(false));
        let Some((name_at, pairs)) = self.names(node, &reach) else { return };
        let origin = self.report.origin(node.at);
        for (name, address) in pairs {
            if let Some(first) = self.seen.get(&name) {
                let text = format!("a second host \"{name}\", first at {}", self.report.named(*first));
                self.report.error(name_at, text, "give it another name");
                continue;
            }
            if self.hosts.len() >= MAX_HOSTS {
                if !self.full {
                    self.report.error(name_at, format!("over {MAX_HOSTS} hosts in all"), "");
                    self.full = true;
                }
                return;
            }
            self.seen.insert(name.clone(), name_at);
            if let Some(typed) = &parents {
                self.parents.extend(typed.value.iter().map(|parent| (name.clone(), parent.clone(), typed.at)));
            }
            let answer = match reach.local {
                Some(_) => None,
                None => {
                    let mut inn = jumps::Inn { ssh: &mut self.ssh, folder: &self.folder, report: self.report };
                    inn.ask(&reach.ssh, &address)
                }
            };
            let (transport, mut shown) =
                connection::resolve(&reach, &address, answer.as_ref(), &self.folder, self.report);
            if let Some(way) = Way::new(&reach, answer.as_ref(), own.jump.is_some()) {
                self.ways.insert(name.clone(), way);
            }
            for (key, typed) in &labels {
                let value = format!("{key}={}", typed.value);
                shown.push(connection::shown("label", value, typed.at, self.report));
            }
            let value = command_lines.value.to_string();
            shown.push(connection::shown("command-lines", value, command_lines.at, self.report));
            self.origins.insert(name.clone(), shown);
            self.hosts.push(HostSpec {
                name,
                groups: around.groups.clone(),
                labels: labels.iter().map(|(key, typed)| (key.clone(), typed.value.clone())).collect(),
                transport,
                parents: parents.as_ref().map(|typed| typed.value.clone()).unwrap_or_default(),
                command_lines: command_lines.value,
                rules: Arc::clone(&rules),
                services: services.clone(),
                origin: origin.clone(),
            });
        }
    }

    /// Names and addresses, ranges expanded together.
    fn names(&mut self, node: &Node, reach: &Reach) -> Option<(At, Vec<Named>)> {
        let typed = raw::required(node, "name", self.report)?;
        let names = match range::expand(&typed.value)
            .and_then(|names| names.iter().map(|name| raw::name(name)).collect::<Result<Vec<_>, Wrong>>())
        {
            Ok(names) => names,
            Err(Wrong { text, mend }) => {
                self.report.error(typed.at, text, mend);
                return None;
            }
        };
        let Some(address) = &reach.address else {
            let pairs = names.into_iter().map(|name| (name.clone(), Typed { value: name, at: typed.at })).collect();
            return Some((typed.at, pairs));
        };
        let addresses = match range::expand(&address.value)
            .and_then(|all| all.iter().map(|one| connection::address(one)).collect::<Result<Vec<_>, Wrong>>())
        {
            Ok(addresses) => addresses,
            Err(Wrong { text, mend }) => {
                self.report.error(address.at, text, mend);
                return None;
            }
        };
        if names.len() != addresses.len() {
            let text = format!("{} names but {} addresses", names.len(), addresses.len());
            self.report.error(address.at, text, "write a range of the same length in name and address");
            return None;
        }
        let at = address.at;
        let pairs = names.into_iter().zip(addresses.into_iter().map(|value| Typed { value, at })).collect();
        Some((typed.at, pairs))
    }
}
