//! The hosts as they are configured, in the order of the configuration.

use crate::model::spec::{HostSpec, Transport};

use super::{Cell, Column, Facts, Needs, Place, View, column};

const COLUMNS: &[Column] = &[
    column("host", "HOST", Place::Left),
    column("reached", "REACHED", Place::Left),
    column("groups", "GROUPS", Place::Left),
    column("labels", "LABELS", Place::Left),
    column("rules", "RULES", Place::Right),
    column("services", "SERVICES", Place::Left),
];

/// Name, how it is reached, groups (outermost first), labels and how many rules judge it.
pub const VIEW: View = View::new("hosts", "The hosts of the configuration", Needs::Hosts, COLUMNS, rows);

fn rows(facts: &Facts) -> Vec<Vec<Cell>> {
    let row = |host: &&HostSpec| {
        vec![
            Cell::Text(host.name.clone()),
            Cell::Text(reached(&host.transport)),
            Cell::List(host.groups.clone()),
            Cell::List(host.labels.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            Cell::Number(host.rules.len() as f64),
            Cell::List(host.services.iter().map(|service| service.name.clone()).collect()),
        ]
    };
    facts.specs.iter().map(row).collect()
}

/// `user@address`, with the port where it is not 22; `local` for the monitoring machine itself.
#[must_use]
pub fn reached(transport: &Transport) -> String {
    match transport {
        Transport::Local => "local".to_owned(),
        Transport::Ssh(ssh) if ssh.port == 22 => format!("{}@{}", ssh.user, ssh.address),
        Transport::Ssh(ssh) if ssh.address.contains(':') => format!("{}@[{}]:{}", ssh.user, ssh.address, ssh.port),
        Transport::Ssh(ssh) => format!("{}@{}:{}", ssh.user, ssh.address, ssh.port),
    }
}
