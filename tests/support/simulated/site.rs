//! Our programs over a simulated fleet.

use std::fs;
use std::path::Path;

use super::behaviour::Dice;
use super::{Fleet, USER};
use crate::bench::Bench;

/// What is shipped to the hosts, who only count its bytes.
const PROBE: usize = 64 * 1024;

/// A configuration over all hosts, with these attributes of `<collector>`.
pub fn site(fleet: &Fleet, collector: &str) -> Bench {
    let hosts: String = fleet
        .hosts
        .iter()
        .map(|host| format!("<host name=\"{}\" address=\"{}\" port=\"{}\"/>\n", host.name, host.address, host.port))
        .collect();
    let ssh = format!("user=\"{USER}\" key-file=\"login\" known-hosts=\"known_hosts\" use-ssh-config=\"false\"");
    let bench = Bench::with(collector, &ssh, &hosts);
    bench.write("login", &fleet.login_key());
    bench.write("known_hosts", &fleet.known_hosts());
    write_probe(&bench.path("probes"));
    bench
}

/// A folder with the probe that they get.
pub fn write_probe(folder: &Path) {
    let place = folder.join(format!("{}-linux", std::env::consts::ARCH));
    fs::create_dir_all(&place).unwrap();
    let mut dice = Dice(7);
    let bytes: Vec<u8> = (0..PROBE / 32).flat_map(|_| dice.bytes()).collect();
    fs::write(place.join("fleet-probe"), bytes).unwrap();
}
