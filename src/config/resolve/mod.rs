//! From as typed to resolved: defaults and inheritance applied, so that no other part of the program does it again.

mod alerts;
mod connection;
mod destination;
mod globals;
mod hosts;
mod jumps;
mod rules;
mod services;
mod silences;
mod web;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(super) use web::address;

use super::report::{At, Report};
use super::services::services as typed_services;
use super::ssh_config::SshConfig;
use super::tree::Node;
use super::{Loaded, defaults, raw};
use crate::model::spec::{FleetSpec, RuleSpec};

/// Resolves the top-level elements of all files; the result means nothing while the report has errors.
pub(super) fn resolve(main: &Path, nodes: &[Node], report: &mut Report) -> Loaded {
    let absolute = std::path::absolute(main).unwrap_or_else(|_| main.to_owned());
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    let collector = globals::collector(raw::only(nodes, "collector", report), folder, report);
    let keys = globals::keys(raw::only(nodes, "keys", report), folder, report);
    let store = globals::store(raw::only(nodes, "store", report), folder, report);
    let consent_required = globals::consent(raw::only(nodes, "consent", report), report);
    let defaults = raw::only(nodes, "defaults", report);
    let mut typed = defaults.map(|node| raw::rules(node, report)).unwrap_or_default();
    let (everywhere, more) = defaults.map(|node| typed_services(node, report)).unwrap_or_default();
    typed.extend(more);
    let command_lines = defaults.and_then(|node| raw::command_lines(node, report));
    let services = services::Services::default().with(&everywhere);
    let shipped = rules::Stack::default().with(&super::defaults::rules(collector.interval));
    let stack = shipped.with(&typed);
    // Read even where no host uses it: its mistakes are mistakes.
    let _ = stack.finish(report);
    let ssh = raw::only(nodes, "ssh", report).map(|node| raw::Ssh::read(node, report)).unwrap_or_default();
    let mut walk = hosts::Walk::new(folder, SshConfig::new(&collector.state_dir), collector.timeout, report);
    walk.children(nodes, &hosts::Around::top(ssh, command_lines, stack, services));
    let hosts::Found { hosts, groups, mut origins } = walk.done();
    let node = raw::only(nodes, "collector", &mut Report::default());
    let swept = [("interval", collector.interval), ("timeout", collector.timeout)].map(|(name, value)| {
        let at = node.and_then(|node| node.attr(name)).map_or(At::BUILT_IN, |attr| attr.value_at);
        connection::shown(name, super::show_duration(value), at, report)
    });
    origins.values_mut().for_each(|shown| shown.extend(swept.iter().cloned()));
    let alerts = alerts::alerts(raw::only(nodes, "alerts", report), &hosts, &groups, report);
    let silences = nodes.iter().filter(|node| node.name == "silence");
    let silences = silences.filter_map(|node| silences::silence(node, &hosts, &groups, report)).collect();
    let web = web::web(raw::only(nodes, "web", report), report);
    let files: Vec<PathBuf> = report.files().map(Path::to_owned).collect();
    let spec = FleetSpec {
        file: main.to_owned(),
        files: files.clone(),
        collector,
        keys,
        store,
        hosts,
        alerts,
        silences,
        consent_required,
        web,
    };
    Loaded { spec, origins, files, warnings: None }
}

/// What results where nothing is typed.
pub(super) fn shipped(interval: std::time::Duration) -> Vec<RuleSpec> {
    rules::Stack::default().with(&defaults::rules(interval)).finish(&mut Report::default())
}

/// For each host, attribute -> (value as shown, where it was written).
pub(super) type Origins = BTreeMap<String, Vec<super::Shown>>;
