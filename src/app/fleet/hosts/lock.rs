//! `fleet hosts lock`: what makes a key useless to a thief. It prints and changes nothing: only root of the host may put
//! the probe where its user cannot exchange it.

use std::path::Path;

use super::target::quoted;
use super::{FleetSpec, SshSpec, Transport, unknown};
use crate::app::collector::plan;
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::ssh;

/// Where the probe is out of its user's reach.
const PLACE: &str = "/usr/local/bin/fleet-probe";

/// Prints the two steps for a host.
pub fn run(spec: &FleetSpec, name: &str) -> Outcome {
    let host = spec.host(name).ok_or_else(|| unknown(spec, name))?;
    let Transport::Ssh(ssh) = &host.transport else {
        return Err(Failure::new(Exit::Usage, format!("{name} is this machine: no key leads to it")));
    };
    let Some(file) = ssh.key_files.first() else {
        let text = format!("{name} has no key-file=: a line for a key of an agent is yours to write; see docs/ssh.md");
        return Err(Failure::new(Exit::Config, text));
    };
    let key = ssh::public_key(file).map_err(|text| Failure::new(Exit::Config, text))?;
    exit::print(&steps(name, ssh, &plan::probe_folder(&spec.collector)?, &key))?;
    Ok(Exit::Done)
}

/// The line of authorized_keys.
fn line(key: &str) -> String {
    format!("restrict,command=\"{PLACE} --serve --no-plugins\" {key} fleet-health")
}

fn steps(name: &str, ssh: &SshSpec, probes: &Path, key: &str) -> String {
    let SshSpec { address, port, user, .. } = ssh;
    let probe = quoted(&format!("{}/{}-linux/fleet-probe", probes.display(), std::env::consts::ARCH));
    let port = if *port == 22 { String::new() } else { format!(" -P {port}") };
    let address = if address.contains(':') { format!("[{address}]") } else { address.clone() };
    format!(
        "1. Put the probe on {name} where {user} cannot exchange it (where `uname -m` there says something else, the one\n   \
            from that folder), and again whenever fleet-health is upgraded:\n\n\
         scp{port} {probe} root@{address}:{PLACE}\n\n\
         2. In the authorized_keys of {user} there, put this in place of the key's line:\n\n\
         {}\n\n\
         3. Try it: fleet hosts test {name}\n\n\
         Then the key opens no shell, forwards nothing, copies nothing, and no plugin of a <nagios> check is started with it.\n\
         Where you need plugins there, take --no-plugins away: then whoever has the key can order any program.\n",
        line(key)
    )
}
