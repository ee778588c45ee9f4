//! `fleet`: the person's command. One file for each subcommand: its flags and its run.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use super::context::Common;
use super::exit::{self, Outcome};
use super::{harden, logging};

pub(in crate::app) mod ack;
pub(in crate::app) mod alerts;
mod ask;
mod backup;
mod check_config;
mod config;
mod consent;
mod erase;
mod explain;
mod generate;
mod health;
mod history;
mod hosts;
mod init;
mod keys;
mod mail;
mod paths;
mod prune;
mod serve;
mod show;
pub(in crate::app) mod silence;
mod views;

/// Watches a fleet over plain SSH, with nothing installed on the machines
#[derive(Debug, Parser)]
#[command(name = "fleet", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a configuration, keys and the database, and take the first readings of this machine
    Init(init::Args),
    /// List, add, remove and test hosts; look at and accept their host keys
    Hosts(hosts::Args),
    /// Make, list and rotate the age keys that seal the stats
    Keys(keys::Args),
    /// Read the configuration and print every mistake
    CheckConfig(check_config::Args),
    /// Show what results for a host, and from which line each value came
    Config(config::Args),
    #[command(flatten)]
    View(views::Chosen),
    /// One metric of one host over time
    History(history::Args),
    /// What is wrong now and was lately; one problem in full
    Alerts(alerts::Args),
    /// Take a problem, so that it is not repeated
    Ack(ack::Args),
    /// Add, list and end maintenance windows
    Silence(silence::Args),
    /// Why a host is in the state that it is: each rule, its value, its thresholds, and who was told
    Explain(explain::Args),
    /// Whether collector and alerter do their job; exit code as Nagios plugins have
    Health(health::Args),
    /// Send a test mail and show the dialogue with the server
    Mail(mail::Args),
    /// Record, end and list the consents of machines' owners
    Consent(consent::Args),
    /// Serve the dashboard, metrics and the API
    Serve(serve::Args),
    /// Take away or roll up what is older than the store's keep
    Prune(prune::Args),
    /// Write a consistent copy of the store
    Backup(backup::Args),
    /// The files that are used, and why
    Paths(paths::Args),
    /// Print a completion script
    Completions(generate::CompletionsArgs),
    /// Write man pages
    Man(generate::ManArgs),
}

/// Runs `fleet`.
#[must_use]
pub fn main() -> ExitCode {
    harden::no_core();
    let parsed = Cli::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        // Nagios reads standard output, and takes the 2 of a usage error for "critical".
        Err(error) if error.use_stderr() && asks_for_health(std::env::args_os().skip(1)) => {
            return exit::finish("fleet", health::unknown(&error.to_string()));
        }
        Err(error) => error.exit(),
    };
    logging::start(&cli.common);
    exit::finish("fleet", run(cli))
}

/// Whether a command line that could not be understood was meant for `fleet health`.
fn asks_for_health(args: impl Iterator<Item = std::ffi::OsString>) -> bool {
    let known = Cli::command();
    let mut words = args.filter(|arg| known.get_subcommands().any(|command| arg.as_os_str() == command.get_name()));
    words.next().is_some_and(|first| first == "health")
}

fn run(cli: Cli) -> Outcome {
    let common = cli.common;
    match cli.command {
        Command::Init(args) => init::run(&common, args),
        Command::Hosts(args) => hosts::run(&common, args),
        Command::Keys(args) => keys::run(&common, args),
        Command::CheckConfig(args) => check_config::run(&common, args),
        Command::Config(args) => config::run(&common, args),
        Command::History(args) => history::run(&common, args),
        Command::Alerts(args) => alerts::run(&common, args),
        Command::Ack(args) => ack::run(&common, args),
        Command::Silence(args) => silence::run(&common, args),
        Command::Explain(args) => explain::run(&common, args),
        Command::Health(args) => health::run(&common, args),
        Command::Mail(args) => mail::run(&common, args),
        Command::Consent(args) => consent::run(&common, args),
        Command::Serve(args) => serve::run(&common, args),
        Command::Prune(args) => prune::run(&common, args),
        Command::Backup(args) => backup::run(&common, args),
        Command::Paths(args) => paths::run(&common, args),
        Command::Completions(args) => generate::completions::<Cli>(args),
        Command::Man(args) => generate::man::<Cli>(args),
        Command::View(view) => view.run(&common),
    }
}
