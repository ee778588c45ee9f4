//! `fleet hosts`: who is watched, whether each can be reached, and which host keys are right.

use clap::Subcommand;

use super::{show, views};
use crate::app::context::Common;
use crate::app::exit::{Exit, Failure, Outcome};
use crate::config;
use crate::model::clean::clean;
use crate::model::pattern;
use crate::model::spec::{FleetSpec, HostSpec, SshSpec, Transport};
use crate::view;

mod add;
mod each;
mod keys;
mod lock;
mod remove;
mod target;
mod test;

pub use add::{AddArgs, add};
pub use target::Target;

/// Flags.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: ListArgs,
}

/// Which hosts are listed, and how.
#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    choice: views::Choice,
    #[command(flatten)]
    rows: show::RowArgs,
    #[command(flatten)]
    format: show::FormatArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The hosts of the configuration
    List(ListArgs),
    /// Show the host key and ask, log in, show the first readings, and add the host
    Add(AddArgs),
    /// Take a host out of the configuration
    Remove(remove::Args),
    /// Log in, run the probe and show the first readings; nothing is stored
    Test {
        /// Names, with * and ?
        #[arg(value_name = "GLOB", default_value = "*")]
        hosts: String,
        #[command(flatten)]
        format: show::FormatArgs,
    },
    /// Show the host keys as they are now, and whether they are known
    Scan {
        /// Names, with * and ?
        #[arg(value_name = "GLOB", default_value = "*")]
        hosts: String,
        #[command(flatten)]
        format: show::FormatArgs,
    },
    /// Write the host key that a host shows now into known_hosts, in place of older ones
    Accept(keys::AcceptArgs),
    /// Print what lets our key do nothing on a host but run the probe; nothing is changed
    Lock {
        /// Name of the host in the configuration
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Runs `fleet hosts`; without a word more it lists them.
pub fn run(common: &Common, args: Args) -> Outcome {
    match args.command.unwrap_or(Command::List(args.list)) {
        Command::List(ListArgs { choice, rows, format }) => {
            let asked = views::Asked { choice, thresholds: None, rows, format };
            views::show(common, &view::hosts::VIEW, &asked)
        }
        Command::Add(args) => add(common, &args),
        Command::Remove(args) => remove::run(common, &args),
        Command::Test { hosts, format } => test::run(common, &common.spec()?, &hosts, format.format()),
        Command::Scan { hosts, format } => keys::scan(common, &common.spec()?, &hosts, format.format()),
        Command::Accept(args) => keys::accept(&common.spec()?, &args),
        Command::Lock { name } => lock::run(&common.spec()?, &name),
    }
}

/// That a name is none of a host, with the nearest one or the way to see all.
pub fn unknown(spec: &FleetSpec, name: &str) -> Failure {
    let known = spec.hosts.iter().map(|host| host.name.as_str());
    let mend = config::did_you_mean(name, known, "see which there are: fleet hosts list");
    Failure::new(Exit::Usage, format!("no host is named {} in {}; {mend}", clean(name), spec.file.display()))
}

/// The hosts whose names fit; none is a mistake that is told.
fn chosen<'a>(spec: &'a FleetSpec, glob: &str) -> Result<Vec<&'a HostSpec>, Failure> {
    let found: Vec<&HostSpec> = spec.hosts.iter().filter(|host| pattern::matches(glob, &host.name)).collect();
    if found.is_empty() {
        return Err(unknown(spec, glob));
    }
    Ok(found)
}
