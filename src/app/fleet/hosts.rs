//! `fleet hosts`: who is watched, whether each can be reached, and which host keys are right.

use clap::Subcommand;

use crate::app::context::Common;
use crate::app::exit::{Exit, Failure, Outcome};
use crate::model::pattern;
use crate::model::spec::{FleetSpec, HostSpec, SshSpec, Transport};

mod edit;
mod keys;
mod test;

pub use edit::{AddArgs, add};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The hosts of the configuration
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the host key and ask, log in, show the first readings, and add the host
    Add(AddArgs),
    /// Take a host out of the configuration
    Remove(edit::RemoveArgs),
    /// Log in, run the probe and show the first readings; nothing is stored
    Test {
        /// Names, with * and ?
        #[arg(value_name = "GLOB", default_value = "*")]
        hosts: String,
    },
    /// Show the host keys as they are now, and whether they are known
    Scan {
        /// Names, with * and ?
        #[arg(value_name = "GLOB", default_value = "*")]
        hosts: String,
    },
    /// Write the host key that a host shows now into known_hosts, in place of older ones
    Accept(keys::AcceptArgs),
}

/// Runs `fleet hosts`.
pub fn run(common: &Common, args: Args) -> Outcome {
    let command = match args.command {
        Command::Add(args) => return add(common, &args),
        Command::Remove(args) => return edit::remove(common, &args),
        other => other,
    };
    let spec = common.spec()?;
    match command {
        Command::Add(_) | Command::Remove(_) => Ok(Exit::Done),
        Command::List { json } => list(&spec, json),
        Command::Test { hosts } => test::run(&spec, &hosts),
        Command::Scan { hosts } => keys::scan(&spec, &hosts),
        Command::Accept(args) => keys::accept(&spec, &args),
    }
}

/// The hosts whose names fit; none is a mistake that is told.
fn chosen<'a>(spec: &'a FleetSpec, glob: &str) -> Result<Vec<&'a HostSpec>, Failure> {
    let found: Vec<&HostSpec> = spec.hosts.iter().filter(|host| pattern::matches(glob, &host.name)).collect();
    if found.is_empty() {
        return Err(Failure::new(Exit::Usage, format!("no host is named {glob}; see: fleet hosts list")));
    }
    Ok(found)
}

fn place(ssh: &SshSpec) -> String {
    match ssh.port {
        22 => format!("{}@{}", ssh.user, ssh.address),
        port => format!("{}@{}:{port}", ssh.user, ssh.address),
    }
}

fn reached(host: &HostSpec) -> String {
    match &host.transport {
        Transport::Local => "local".to_owned(),
        Transport::Ssh(ssh) => place(ssh),
    }
}

fn list(spec: &FleetSpec, json: bool) -> Outcome {
    if json {
        let hosts: Vec<serde_json::Value> = spec
            .hosts
            .iter()
            .map(|host| {
                serde_json::json!({
                    "name": host.name, "groups": host.groups, "reached": reached(host), "labels": host.labels,
                    "rules": host.rules.len(),
                })
            })
            .collect();
        println!("{}", serde_json::json!({ "version": 1, "hosts": hosts }));
        return Ok(Exit::Done);
    }
    let width = spec.hosts.iter().map(|host| host.name.len()).max().unwrap_or(4).max(4);
    let wide = spec.hosts.iter().map(|host| reached(host).len()).max().unwrap_or(7).max(7);
    println!("{:width$}  {:wide$}  GROUPS", "HOST", "REACHED");
    for host in &spec.hosts {
        println!("{:width$}  {:wide$}  {}", host.name, reached(host), host.groups.join("/"));
    }
    Ok(Exit::Done)
}
