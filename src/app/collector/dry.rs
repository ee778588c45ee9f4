//! What a sweep would do, said to a person.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::json;

use super::plan::{Plan, Skip};
use crate::app::exit::{self, Outcome};
use crate::model::spec::{FleetSpec, Transport};
use crate::ssh::deploy::Probe;

/// Prints for each host, in the order of the configuration, where it is visited or why not.
pub fn print(
    spec: &FleetSpec,
    plan: Plan<'_>,
    recipients: &[String],
    shipped: &[Probe],
    probes: &Path,
    as_json: bool,
) -> Outcome {
    let Plan { visits, mut skipped, mut make, .. } = plan;
    let chosen: HashSet<&str> = visits.iter().map(|host| host.name.as_str()).collect();
    // What would be found out at its turn.
    skipped.extend(visits.iter().filter_map(|host| make(host).err()));
    let skips: HashMap<&str, &Skip> = skipped.iter().map(|skip| (skip.host.as_str(), skip)).collect();
    let mut rows = Vec::new();
    let mut lines = String::new();
    for host in &spec.hosts {
        let name = &host.name;
        let place = match &host.transport {
            Transport::Local => "this machine".to_owned(),
            Transport::Ssh(ssh) => format!("{}@{} port {}", ssh.user, ssh.address, ssh.port),
        };
        if let Some(Skip { cause, text, .. }) = skips.get(name.as_str()) {
            lines.push_str(&format!("{name}: {place}; not visited: {cause}: {text}\n"));
            rows.push(json!({"host": name, "place": place, "skipped": {"cause": cause.word(), "text": text}}));
        } else if chosen.contains(name.as_str()) {
            lines.push_str(&format!("{name}: {place}\n"));
            rows.push(json!({"host": name, "place": place, "skipped": null}));
        }
    }
    let machines: Vec<&str> = shipped.iter().map(|probe| probe.arch.as_str()).collect();
    if as_json {
        let all = json!({
            "version": 1, "hosts": rows, "recipients": recipients, "probes": probes, "architectures": machines
        });
        return exit::print(&format!("{all:#}\n"));
    }
    lines.push_str(&format!(
        "{} hosts, {} not visited, {} at once; probes for {} from {}; sealed to {} keys; nothing was done.\n",
        rows.len(),
        skipped.len(),
        spec.collector.jobs,
        machines.join(" "),
        probes.display(),
        recipients.len(),
    ));
    exit::print(&lines)
}
