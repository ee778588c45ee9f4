//! `fleet status`.

use super::show;
use crate::app::clock;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::model::pattern;
use crate::view::status;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only hosts whose name matches; may be given several times
    #[arg(long, value_name = "GLOB")]
    host: Vec<String>,
    /// Only hosts of this group; may be given several times
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    #[command(flatten)]
    format: show::FormatArgs,
}

/// The whole fleet as a table, for other commands.
pub fn all(common: &Common) -> Outcome {
    run(common, Args { host: Vec::new(), group: Vec::new(), format: show::FormatArgs::default() })
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let spec = common.spec()?;
    let hosts: Vec<&str> = spec
        .hosts
        .iter()
        .filter(|host| args.host.is_empty() || args.host.iter().any(|glob| pattern::matches(glob, &host.name)))
        .filter(|host| args.group.is_empty() || args.group.iter().any(|group| host.groups.contains(group)))
        .map(|host| host.name.as_str())
        .collect();
    if hosts.is_empty() && !spec.hosts.is_empty() {
        return Err(Failure::new(Exit::Usage, "no host matches; see which there are: fleet hosts list"));
    }
    let store = open_store(&spec)?;
    let view = status::view(clock::now(), &hosts, &store.now()?, &store.open_incidents()?);
    let format = args.format.format();
    if hosts.is_empty() && format == show::Format::Table {
        return exit::print("no hosts yet; add one with: fleet hosts add USER@HOST\n");
    }
    show::view(common, format, &view)
}
