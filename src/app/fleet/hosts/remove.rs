//! `fleet hosts remove`: out of the configuration and, with `--purge`, out of the store and off the machine.

use std::time::Instant;

use super::{add, unknown};
use crate::app::collector::plan;
use crate::app::context::Common;
use crate::app::dialer;
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::fleet::erase as stored;
use crate::app::secrets::Secrets;
use crate::config;
use crate::model::clean::clean;
use crate::model::spec::{FleetSpec, HostSpec, Transport};
use crate::ssh::{erase, local};
use crate::view::hosts::reached;

/// Flags of `remove`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name in the configuration
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Erase what was stored of it too, and what the probe left on the machine
    #[arg(long)]
    pub purge: bool,
}

/// Takes a host out; exit 3 where it could not be cleaned.
pub fn run(common: &Common, args: &Args) -> Outcome {
    let file = add::real(&common.config_file()?)?;
    let before = common.spec()?;
    let name = &args.name;
    let host = before.host(name).ok_or_else(|| unknown(&before, name))?;
    let after = add::rewrite(&file, |text| config::edit::remove_host(text, name))?.spec;
    exit::print(&format!("{name} was taken out of {}\n", file.display()))?;
    if !args.purge {
        return exit::print(
            "What was stored of it stays, and so does the probe's directory on the machine; both go with --purge\n",
        );
    }
    exit::print(&stored::erase(&before, name)?)?;
    clear(&after, host, &before)
}

/// Removes the probe's directories from the machine, or says what to type there.
fn clear(after: &FleetSpec, host: &HostSpec, before: &FleetSpec) -> Outcome {
    let name = &host.name;
    let place = reached(&host.transport);
    // Another name for the same account: its waiting stats are in the same directory.
    if let Some(other) = after.hosts.iter().find(|other| reached(&other.transport) == place) {
        return exit::print(&format!("the probe stays at {place}, which is also {}\n", other.name));
    }
    let until = Instant::now() + before.collector.timeout;
    let result = match &host.transport {
        Transport::Local => {
            local::erase().map(|gone| (gone.iter().map(|path| path.display().to_string()).collect(), Vec::new()))
        }
        Transport::Ssh(ssh) => dialer::secrets_of(ssh, &Secrets::default(), until).and_then(|secrets| {
            let nonce = plan::nonce().map_err(|failure| failure.text)?;
            erase::remote(ssh, &secrets, &nonce, until)
                .map(|erased| (erased.gone, erased.left))
                .map_err(|error| format!("{}: {}", error.cause, clean(&error.text)))
        }),
    };
    let (gone, left): (Vec<String>, Vec<String>) = result.map_err(|why| {
        let by_hand = by_hand(&host.transport);
        Failure::new(Exit::Partly, format!("{name} could not be cleaned ({why}); once that is mended, type: {by_hand}"))
    })?;
    for path in &gone {
        exit::print(&format!("removed on {name}: {}\n", clean(path)))?;
    }
    if gone.is_empty() && left.is_empty() {
        exit::print(&format!("on {name} there was nothing of the probe\n"))?;
    }
    if left.is_empty() {
        return Ok(Exit::Done);
    }
    let left: Vec<String> = left.iter().map(|path| clean(path)).collect();
    Err(Failure::new(Exit::Partly, format!("could not be removed on {name}: {}", left.join(", "))))
}

/// What does it without us.
fn by_hand(transport: &Transport) -> String {
    let remove = "rm -rf .cache/fleet-health";
    match transport {
        Transport::Ssh(ssh) if ssh.port != 22 => format!("ssh -p {} {}@{} {remove}", ssh.port, ssh.user, ssh.address),
        Transport::Ssh(ssh) => format!("ssh {}@{} {remove}", ssh.user, ssh.address),
        Transport::Local => "rm -rf ~/.cache/fleet-health".to_owned(),
    }
}
