//! `fleet completions`: a short script asks this program itself what comes next, so that hosts, groups and metrics are
//! known as well as commands and flags.

use std::ffi::OsStr;

use clap::builder::StyledStr;
use clap::{Arg, Command, ValueEnum};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use crate::app::context::Common;
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::config;
use crate::model::catalogue;
use crate::model::spec::FleetSpec;

/// Set by the scripts when they ask.
const ASKED: &str = "FLEET_COMPLETE";

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Shells that can ask.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    /// source <(fleet completions bash)
    Bash,
    /// source <(fleet completions zsh), after compinit
    Zsh,
    /// fleet completions fish | source
    Fish,
    /// eval (fleet completions elvish | slurp)
    Elvish,
    /// fleet completions powershell | Out-String | Invoke-Expression
    Powershell,
}

pub fn run(args: Args) -> Outcome {
    let shell: &dyn EnvCompleter = match args.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
        Shell::Elvish => &Elvish,
        Shell::Powershell => &Powershell,
    };
    let mut script = Vec::new();
    let written = shell.write_registration(ASKED, "fleet", "fleet", "fleet", &mut script);
    written.map_err(|error| Failure::new(Exit::Failed, format!("completions: {error}")))?;
    exit::print(&String::from_utf8_lossy(&script))
}

/// Answers a shell that asks what may come next; `None` where no shell asks.
pub fn answer(command: fn() -> Command) -> Option<Exit> {
    let asked = CompleteEnv::with_factory(|| with_names(command())).var(ASKED);
    let folder = std::env::current_dir().ok();
    match asked.try_complete(std::env::args_os(), folder.as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(Exit::Done),
        // A shell shows what is complained of in the middle of the line that is being typed.
        Err(_) => Some(Exit::Failed),
    }
}

/// Adds to every argument what it can be, by the word that stands for it in the help.
fn with_names(command: Command) -> Command {
    command.mut_args(with_name).mut_subcommands(with_names)
}

fn with_name(arg: Arg) -> Arg {
    let word = arg.get_value_names().and_then(|names| names.first()).map(|name| name.as_str().to_owned());
    let id = arg.get_id().as_str().to_owned();
    match (word.as_deref(), id.as_str()) {
        (Some("HOST" | "GLOB" | "NAME"), "host" | "hosts" | "name") => arg.add(ArgValueCompleter::new(hosts)),
        (Some("HOST"), _) => arg.add(ArgValueCompleter::new(hosts)),
        (Some("METRIC" | "GLOB"), "metric") => arg.add(ArgValueCompleter::new(metrics)),
        (Some("GROUP"), _) => arg.add(ArgValueCompleter::new(groups)),
        (Some("SERVICE"), _) => arg.add(ArgValueCompleter::new(services)),
        (Some("NAME"), "to") => arg.add(ArgValueCompleter::new(destinations)),
        _ => arg,
    }
}

/// What is configured where the usual places are looked at; nothing where that cannot be read.
fn spec() -> Option<FleetSpec> {
    let file = Common::default().config_file().ok()?;
    Some(config::read(&file).ok()?.spec)
}

fn starting<'a>(typed: &OsStr, names: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let mut found: Vec<(&str, &str)> = names.filter(|(name, _)| name.starts_with(typed.as_ref())).collect();
    found.sort_unstable();
    found.dedup_by_key(|(name, _)| *name);
    let one = |(name, help): (&str, &str)| {
        CompletionCandidate::new(name).help(Some(StyledStr::from(help.to_owned())).filter(|_| !help.is_empty()))
    };
    found.into_iter().map(one).collect()
}

fn hosts(typed: &OsStr) -> Vec<CompletionCandidate> {
    let spec = spec();
    let hosts = spec.iter().flat_map(|spec| &spec.hosts);
    starting(typed, hosts.map(|host| (host.name.as_str(), host.groups.first().map_or("", String::as_str))))
}

fn groups(typed: &OsStr) -> Vec<CompletionCandidate> {
    let spec = spec();
    let groups = spec.iter().flat_map(|spec| &spec.hosts).flat_map(|host| &host.groups);
    starting(typed, groups.map(|group| (group.as_str(), "")))
}

fn services(typed: &OsStr) -> Vec<CompletionCandidate> {
    let spec = spec();
    let services = spec.iter().flat_map(|spec| &spec.hosts).flat_map(|host| &host.services);
    starting(typed, services.map(|service| (service.name.as_str(), "")))
}

fn destinations(typed: &OsStr) -> Vec<CompletionCandidate> {
    let spec = spec();
    starting(typed, spec.iter().flat_map(|spec| &spec.alerts.destinations).map(|to| (to.name.as_str(), "")))
}

fn metrics(typed: &OsStr) -> Vec<CompletionCandidate> {
    starting(typed, catalogue::all().map(|metric| (metric.name, metric.help)))
}
