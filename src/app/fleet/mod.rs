//! `fleet`: the person's command. One file for each subcommand: its flags and its run.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use super::context::Common;
use super::exit::{self, Outcome};
use super::{harden, logging};

pub(in crate::app) mod ack;
pub(in crate::app) mod alerts;
mod ask;
mod at;
mod backup;
mod check_config;
mod compare;
mod completions;
mod config;
mod consent;
mod demo;
mod doctor;
mod erase;
mod explain;
mod export;
mod health;
mod history;
mod hosts;
mod init;
mod keys;
mod mail;
mod man;
mod nagios;
mod paths;
mod prune;
mod schedule;
mod serve;
mod service;
mod show;
pub(in crate::app) mod silence;
mod sql;
mod views;
mod watch;

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
    /// An invented fleet with two days of past, to try everything that reads
    Demo(demo::Args),
    /// List, add, remove and test hosts; look at and accept their host keys
    Hosts(hosts::Args),
    /// Make, list and rotate the age keys that seal the stats
    Keys(keys::Args),
    /// Read the configuration and print every mistake
    CheckConfig(check_config::Args),
    /// Show what results for a host, from which line each value came; convert lists of Ansible and ssh
    Config(config::Args),
    #[command(flatten)]
    View(views::Chosen),
    /// The fleet on a screen that follows the store: hosts, problems, services, and the history of every reading
    Watch(watch::Args),
    /// One metric of one host over time, as chart and table
    History(history::Args),
    /// A machine as it was at a moment: readings, processes, facts and problems
    At(at::Args),
    /// Two machines side by side, what differs first
    Compare(compare::Args),
    /// One service over all its servers, and how each of them fares
    Service(service::Args),
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
    /// Look at keys, clocks, hosts, store, mail, runs and disks, each fault with what to type next
    Doctor(doctor::Args),
    /// Put sweeps, alerts and upkeep into cron or systemd
    Schedule(schedule::Args),
    /// A host, a service or the fleet as a Nagios plugin tells it, with performance data
    Nagios(nagios::Args),
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
    /// Everything that is kept, for other programs: CSV, JSON lines, InfluxDB line protocol, OpenMetrics
    Export(export::Args),
    /// Ask the store what no view answers; nothing can be changed
    Sql(sql::Args),
    /// Print what makes a shell complete commands, flags and the names of hosts
    Completions(completions::Args),
    /// Write man pages
    Man(man::Args),
}

/// Runs `fleet`.
#[must_use]
pub fn main() -> ExitCode {
    harden::no_core();
    if let Some(done) = completions::answer(Cli::command) {
        return exit::finish("fleet", Ok(done));
    }
    let parsed = Cli::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        // Nagios reads standard output, and takes the 2 of a usage error for "critical".
        Err(error) if error.use_stderr() && asks_as_nagios(std::env::args_os().skip(1)) => {
            return exit::finish("fleet", health::unknown(&error.to_string()));
        }
        Err(error) => error.exit(),
    };
    logging::start(&cli.common);
    exit::finish("fleet", run(cli))
}

/// The commands that end as Nagios plugins do.
const AS_NAGIOS: &[&str] = &["doctor", "health", "nagios"];

/// Whether a command line that could not be understood was meant for a command that ends as Nagios plugins do.
fn asks_as_nagios(args: impl Iterator<Item = std::ffi::OsString>) -> bool {
    let known = Cli::command();
    let mut words = args.filter(|arg| known.get_subcommands().any(|command| arg.as_os_str() == command.get_name()));
    words.next().is_some_and(|first| AS_NAGIOS.iter().any(|name| first == *name))
}

fn run(cli: Cli) -> Outcome {
    let common = cli.common;
    match cli.command {
        Command::Init(args) => init::run(&common, args),
        Command::Hosts(args) => hosts::run(&common, args),
        Command::Keys(args) => keys::run(&common, args),
        Command::CheckConfig(args) => check_config::run(&common, args),
        Command::Config(args) => config::run(&common, args),
        Command::Watch(args) => watch::run(&common, args),
        Command::Service(args) => service::run(&common, args),
        Command::At(args) => at::run(&common, args),
        Command::Compare(args) => compare::run(&common, args),
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
        Command::Doctor(args) => doctor::run(&common, args),
        Command::Schedule(args) => schedule::run(&common, args),
        Command::Demo(args) => demo::run(&common, args),
        Command::Nagios(args) => nagios::run(&common, args),
        Command::Export(args) => export::run(&common, args),
        Command::Sql(args) => sql::run(&common, args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args, Cli::command()),
        Command::View(view) => view.run(&common),
    }
}
