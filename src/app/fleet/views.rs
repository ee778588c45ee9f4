//! The commands of `view::VIEWS`: one for each view, with the flags that it has a use for.

use clap::{ArgMatches, Args as _, Command, Error, FromArgMatches};

use super::show;
use crate::app::clock;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::model::pattern;
use crate::model::spec::{FleetSpec, HostSpec};
use crate::view::{self, Facts, Needs, VIEWS, View};

/// Which hosts are shown.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Choice {
    /// Only hosts whose name matches; may be given several times
    #[arg(long, value_name = "GLOB")]
    host: Vec<String>,
    /// Only hosts of this group; may be given several times
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
}

impl Choice {
    fn of<'a>(&self, spec: &'a FleetSpec) -> Result<Vec<&'a HostSpec>, Failure> {
        let chosen: Vec<&HostSpec> = spec
            .hosts
            .iter()
            .filter(|host| self.host.is_empty() || self.host.iter().any(|glob| pattern::matches(glob, &host.name)))
            .filter(|host| self.group.is_empty() || self.group.iter().any(|group| host.groups.contains(group)))
            .collect();
        if chosen.is_empty() && !spec.hosts.is_empty() {
            return Err(Failure::new(Exit::Usage, "no host matches; see which there are: fleet hosts list"));
        }
        Ok(chosen)
    }
}

/// A view that was asked for, and how.
#[derive(Debug)]
pub struct Chosen {
    view: &'static View,
    choice: Choice,
    format: show::FormatArgs,
}

impl Chosen {
    /// Gets what the view needs and prints it.
    pub fn run(&self, common: &Common) -> Outcome {
        show(common, self.view, &self.choice, self.format.format())
    }
}

/// Prints a view of the hosts that are chosen.
pub fn show(common: &Common, view: &View, choice: &Choice, format: show::Format) -> Outcome {
    let now = clock::now();
    if view.needs == Needs::Nothing {
        return show::page(common, format, &view.page(&Facts { now, hosts: &[], stored: &[], incidents: &[] }));
    }
    let spec = common.spec()?;
    let hosts = choice.of(&spec)?;
    if hosts.is_empty() && format == show::Format::Table {
        return exit::print("no hosts yet; add one with: fleet hosts add USER@HOST\n");
    }
    let (mut stored, mut incidents) = (Vec::new(), Vec::new());
    if view.needs == Needs::Store {
        let store = open_store(&spec)?;
        (stored, incidents) = (store.now()?, store.open_incidents()?);
    }
    show::page(common, format, &view.page(&Facts { now, hosts: &hosts, stored: &stored, incidents: &incidents }))
}

/// The views that have a command of their own name: `fleet hosts` does more than to show, and shows by `fleet hosts list`.
fn commands() -> impl Iterator<Item = &'static View> {
    VIEWS.iter().filter(|view| view.name != view::hosts::VIEW.name)
}

impl FromArgMatches for Chosen {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let asked = matches.subcommand().and_then(|(name, args)| Some((commands().find(|v| v.name == name)?, args)));
        let Some((view, args)) = asked else { return Err(Error::new(clap::error::ErrorKind::MissingSubcommand)) };
        let choice = if view.needs == Needs::Nothing { Choice::default() } else { Choice::from_arg_matches(args)? };
        Ok(Self { view, choice, format: show::FormatArgs::from_arg_matches(args)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Subcommand for Chosen {
    fn augment_subcommands(command: Command) -> Command {
        commands().fold(command, |command, view| {
            let own = show::FormatArgs::augment_args(Command::new(view.name));
            let own = if view.needs == Needs::Nothing { own } else { Choice::augment_args(own) };
            // Last: flags bring a help text of their own.
            command.subcommand(own.about(view.help).long_about(None))
        })
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        commands().any(|view| view.name == name)
    }
}
