//! What a sweep would do, said to a person.

use std::collections::HashMap;
use std::path::Path;

use serde_json::json;

use super::plan::Planned;
use crate::app::exit::{self, Outcome};
use crate::model::spec::{FleetSpec, Transport};
use crate::ssh::deploy::Probe;

/// Prints for each host, in the order of the configuration, where it is visited or why not.
pub fn print(
    spec: &FleetSpec,
    planned: &[Planned],
    recipients: &[String],
    shipped: &[Probe],
    probes: &Path,
    as_json: bool,
) -> Outcome {
    let planned: HashMap<&str, &Planned> = planned
        .iter()
        .map(|plan| match plan {
            Planned::Visit(job) => (job.host.as_str(), plan),
            Planned::Skip { host, .. } => (host.as_str(), plan),
        })
        .collect();
    let mut rows = Vec::new();
    let mut lines = String::new();
    let mut skipped = 0;
    for host in &spec.hosts {
        let name = &host.name;
        let place = match &host.transport {
            Transport::Local => "this machine".to_owned(),
            Transport::Ssh(ssh) => format!("{}@{} port {}", ssh.user, ssh.address, ssh.port),
        };
        match planned.get(name.as_str()) {
            None => {}
            Some(Planned::Visit(_)) => {
                lines.push_str(&format!("{name}: {place}\n"));
                rows.push(json!({"host": name, "place": place, "skipped": null}));
            }
            Some(Planned::Skip { cause, text, .. }) => {
                skipped += 1;
                lines.push_str(&format!("{name}: {place}; not visited: {cause}: {text}\n"));
                rows.push(json!({"host": name, "place": place, "skipped": {"cause": cause.word(), "text": text}}));
            }
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
        "{} hosts, {skipped} not visited, {} at once; probes for {} from {}; sealed to {} keys; nothing was done.\n",
        rows.len(),
        spec.collector.jobs,
        machines.join(" "),
        probes.display(),
        recipients.len(),
    ));
    exit::print(&lines)
}
