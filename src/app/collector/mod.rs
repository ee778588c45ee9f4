//! `fleet-collector`: one sweep over the fleet, run by cron.
//!
//! A second process (`hire`), the dialer, speaks with hosts; this one, the keeper, hands out jobs (`crew`), decrypts,
//! checks and commits (`keeper`). They exchange only the messages of [`crate::model::job`].

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;

use super::context::{self, Common};
use super::exit::{self, Exit, Failure, Outcome};
use super::{clock, dialer, harden, keyring, lock, logging, state};
use crate::model::fleet::Heartbeat;
use crate::model::pattern;
use crate::model::shard::Shard;
use crate::model::spec::{FleetSpec, HostSpec};
use crate::ssh::deploy;
use crate::store::{Store, StoreError};

mod aside;
pub(super) mod back_off;
mod belongings;
mod crew;
#[cfg(test)]
mod dialers_tests;
mod dry;
mod feed;
mod hire;
mod keeper;
mod order;
pub(super) mod plan;
#[cfg(test)]
mod played;
mod refusals;
mod report;
#[cfg(test)]
mod sharing_tests;
mod visits;

pub use aside::forget;

/// Collect from every host over SSH and store what comes
#[derive(Debug, Parser)]
#[command(name = "fleet-collector", version, max_term_width = 100)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Only hosts whose name matches; may be given several times
    #[arg(long, value_name = "GLOB")]
    host: Vec<String>,
    /// Only one part of the fleet, as 2/5 is the second of five: for several collectors that divide it among themselves.
    /// A host's name decides for ever which part it is in
    #[arg(long, value_name = "PART/PARTS")]
    shard: Option<Shard>,
    /// Check configuration, keys and probes and say what would be done; connect to nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result of every host as JSON
    #[arg(long)]
    json: bool,
    /// What the collector starts itself with, as its dialer
    #[arg(long, hide = true)]
    dial: bool,
}

/// Its command line, for the man page.
#[must_use]
pub fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the collector.
#[must_use]
pub fn main() -> ExitCode {
    harden::no_core();
    let args = Args::parse();
    logging::start(&args.common);
    exit::finish("fleet-collector", if args.dial { dialer::serve::main() } else { run(&args) })
}

fn run(args: &Args) -> Outcome {
    let spec = args.common.spec()?;
    let asked = !args.host.is_empty();
    let wanted = plan::Wanted { spec: &spec, hosts: chosen(&spec, args)?, shard: args.shard, asked };
    let identities = keyring::identities(&spec.keys)?;
    let recipients = keyring::recipients(&spec.keys)?;
    let probes = plan::probe_folder(&spec.collector)?;
    if args.dry_run {
        let shipped = deploy::probes(&probes).map_err(|error| Failure::new(Exit::Config, error.text))?;
        // A store that is not there yet is not made for a look.
        let there = spec.store.backend != "sqlite" || Path::new(&spec.store.location).exists();
        let store = if there { Some(context::open_store(&spec)?) } else { None };
        let plan = plan::plan(&wanted, &recipients, &probes, store.as_deref())?;
        return dry::print(&spec, plan, &recipients, &shipped, &probes, args.json);
    }

    state::ready(&spec.collector.state_dir)?;
    let _lock = lock::acquire(&lock::of_collector(&spec.collector.state_dir, args.shard))
        .map_err(|error| error.failure("collector", spec.collector.interval))?;
    let mut store = context::open_store(&spec)?;
    let stop = stop_flag()?;
    let plan = plan::plan(&wanted, &recipients, &probes, Some(store.as_ref()))?;
    let local = dialer::Run::default();
    let dialers = crew::Dialers {
        hire: hire::processes(&args.common, belongings::environment(&spec, &wanted.hosts, std::env::vars_os())),
        fence: belongings::fence(&spec, &wanted.hosts, &probes),
        local: Box::new(move |job, say, answer| dialer::visit(job, &local, say, answer)),
    };
    let mut progress = report::Progress::new(&args.common, wanted.hosts.len());

    let begun = keeper::sweep(&spec, plan, &identities, dialers, store.as_mut(), &stop, &mut progress);
    progress.end();
    let sweep = match begun {
        Ok(sweep) => sweep,
        Err(error) => {
            // Whoever kept the store locked until now would keep the heartbeat waiting as long again.
            if !asked && !matches!(error, StoreError::Busy { .. }) {
                beat(store.as_mut(), args.shard, false, &error.to_string());
            }
            return Err(error.into());
        }
    };
    let text = sweep.trouble();
    // A person's look at some hosts must not hide that cron is dead.
    if !asked {
        beat(store.as_mut(), args.shard, text.is_empty(), &text);
    }
    report::print(&args.common, &sweep, args.json)?;
    sweep.exit()
}

/// The hosts that the globs choose, or all; of them those of the part.
fn chosen<'a>(spec: &'a FleetSpec, args: &Args) -> Result<Vec<&'a HostSpec>, Failure> {
    let globs = &args.host;
    for glob in globs {
        if !spec.hosts.iter().any(|host| pattern::matches(glob, &host.name)) {
            let text = format!("no host matches \"{glob}\"; see which there are: fleet hosts list");
            return Err(Failure::new(Exit::Usage, text));
        }
    }
    let wanted = |host: &&HostSpec| globs.is_empty() || globs.iter().any(|glob| pattern::matches(glob, &host.name));
    let ours = |host: &&HostSpec| args.shard.is_none_or(|shard| shard.holds(&host.name));
    let hosts: Vec<&HostSpec> = spec.hosts.iter().filter(wanted).filter(ours).collect();
    if let (true, false, Some(shard)) = (hosts.is_empty(), globs.is_empty(), args.shard) {
        // Each glob matches somebody.
        let theirs: Vec<String> = spec
            .hosts
            .iter()
            .filter(wanted)
            .take(3)
            .map(|host| format!("{} is in part {}", host.name, Shard::of_host(&host.name, shard.of())))
            .collect();
        let text = format!("no host that --host names is in part {shard}: {}; leave out --shard", theirs.join(", "));
        return Err(Failure::new(Exit::Usage, text));
    }
    Ok(hosts)
}

/// Raised by SIGINT and SIGTERM: no further host is started, those under way end by their own deadline.
fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second signal of a kind ends the process at once, for people in a hurry.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| Failure::new(Exit::Failed, format!("signals cannot be handled: {error}")))?;
    }
    Ok(stop)
}

/// Others see by it whether the collector does its job; failing to write it is said and changes nothing else.
fn beat(store: &mut dyn Store, shard: Option<Shard>, ok: bool, text: &str) {
    let role = shard.map_or_else(|| "collector".to_owned(), |shard| format!("collector {shard}"));
    let beat = Heartbeat { role, at: clock::now(), ok, text: text.to_owned() };
    if let Err(error) = store.beat(&beat) {
        log::error!("heartbeat not written: {error}");
    }
}
