//! Hosts and plans for tests before a dialer that is played.

use std::time::Duration;

use super::crew::Dialers;
use super::plan::Plan;
use crate::app::dialer::Dial;
use crate::model::job::Job;
use crate::model::secret::Secret;
use crate::model::spec::{FleetSpec, HostSpec, SshSpec, Transport};
use crate::model::turn::Begun;

/// That of every job.
pub const NONCE: &str = "0123456789abcdef0123456789abcdef";

/// All hosts are this machine.
pub fn here(dial: Dial) -> Dialers {
    Dialers { hire: Box::new(|| panic!("nothing is far")), fence: Default::default(), local: dial }
}

/// Hosts of these names.
pub fn named(spec: &FleetSpec, names: &[&str]) -> Vec<HostSpec> {
    names.iter().map(|name| HostSpec { name: (*name).to_owned(), ..spec.hosts[0].clone() }).collect()
}

/// A plan to visit hosts in this order.
pub fn planned(hosts: &[HostSpec], begun: Begun) -> Plan<'_> {
    let make = |host: &HostSpec| {
        Ok(Job {
            host: host.name.clone(),
            transport: Transport::Local,
            nonce: NONCE.into(),
            task: Secret::new(String::new()),
            pull_bytes: 1,
            pull_files: 1,
            probes: "probes".into(),
            timeout: Duration::from_secs(5),
        })
    };
    Plan { begun, visits: hosts.iter().collect(), skipped: Vec::new(), make: Box::new(make) }
}

/// As [`planned`], for hosts that a dialer visits.
pub fn planned_far(hosts: &[HostSpec], begun: Begun) -> Plan<'_> {
    let mut plan = planned(hosts, begun);
    let mut make = std::mem::replace(&mut plan.make, Box::new(|_| panic!("not yet")));
    plan.make = Box::new(move |host| make(host).map(|job| Job { transport: Transport::Ssh(ssh()), ..job }));
    plan
}

/// How a host is reached that is never asked.
pub fn ssh() -> SshSpec {
    SshSpec { address: "192.0.2.1".into(), port: 22, user: "u".into(), ..SshSpec::default() }
}
