//! What a sweep will do, before it touches the network.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use super::{back_off, order};
use crate::app::clock;
use crate::app::exit::{Exit, Failure};
use crate::app::orders::Orders;
use crate::model::cause::Cause;
use crate::model::job::Job;
use crate::model::secret::Secret;
use crate::model::shard::Shard;
use crate::model::spec::{CollectorSpec, FleetSpec, HostSpec};
use crate::model::turn::Begun;
use crate::store::Store;
use crate::wire::task::{MAX_DEADLINE, MAX_TASK, Task};

/// What a host may keep for us between sweeps.
const SPOOL_BYTES: u64 = 4 * 1024 * 1024;
/// What one sweep takes from one host; the rest stays for the next.
const PULL_BYTES: u64 = 2 * 1024 * 1024;
/// As [`PULL_BYTES`].
const PULL_FILES: u32 = 64;

/// Whom a sweep is for.
pub struct Wanted<'a> {
    /// The configuration.
    pub spec: &'a FleetSpec,
    /// Hosts of it.
    pub hosts: Vec<&'a HostSpec>,
    /// The part of the fleet that these are.
    pub shard: Option<Shard>,
    /// Whether a person asked for them by name: such a host is never made to wait.
    pub asked: bool,
}

/// What a sweep will do.
pub struct Plan<'a> {
    /// How it begins.
    pub begun: Begun,
    /// Hosts to visit, in the order of their turns.
    pub visits: VecDeque<&'a HostSpec>,
    /// Hosts that are not visited.
    pub skipped: Vec<Skip>,
    /// Makes the job of a host when its turn has come: those of a whole fleet would be as many copies of what is equal.
    pub make: Make<'a>,
}

/// From a host to its job, or why it has none.
pub type Make<'a> = Box<dyn FnMut(&HostSpec) -> Result<Job, Skip> + 'a>;

/// A host that is not visited, and why.
#[derive(Clone, Debug)]
pub struct Skip {
    /// The host.
    pub host: String,
    /// Why.
    pub cause: Cause,
    /// For people.
    pub text: String,
}

/// Plans a sweep. Without a store nothing is known of consents, waits and turns.
pub fn plan<'a>(
    wanted: &Wanted<'a>,
    recipients: &'a [String],
    probes: &'a Path,
    store: Option<&dyn Store>,
) -> Result<Plan<'a>, Failure> {
    let Wanted { spec, asked, shard, .. } = *wanted;
    let collector = name(&spec.collector);
    let now = clock::now();
    let (standings, sweeps) = match store {
        Some(store) => (store.standings()?, store.last_sweeps()?),
        None => Default::default(),
    };
    let held = if asked { HashMap::new() } else { back_off::held(&standings, now) };
    let (mut visits, skipped) = willing(wanted, &held, store)?;
    shuffle(&mut visits)?;
    let last = sweeps.iter().find(|sweep| sweep.collector == collector && sweep.shard == shard);
    let standings = standings.iter().map(|standing| (standing.host.as_str(), standing)).collect();
    order::order(&mut visits, |host| host.name.as_str(), &standings, last.map(|sweep| sweep.started));
    let mut orders = Orders::default();
    let make = Box::new(move |host: &HostSpec| {
        let skip = |cause, text| Skip { host: host.name.clone(), cause, text };
        let job = job(spec, host, &mut orders, recipients, probes);
        fitting(job.map_err(|failure| skip(Cause::Internal, failure.text))?)
    });
    let hosts = u32::try_from(wanted.hosts.len()).unwrap_or(u32::MAX);
    Ok(Plan { begun: Begun { started: now, hosts, collector, shard, asked }, visits: visits.into(), skipped, make })
}

/// Hosts whose owners agree and that do not have to wait, and the others.
fn willing<'a>(
    wanted: &Wanted<'a>,
    held: &HashMap<String, String>,
    store: Option<&dyn Store>,
) -> Result<(Vec<&'a HostSpec>, Vec<Skip>), Failure> {
    let required = wanted.spec.consent_required;
    let consents = match store {
        Some(store) if required => store.consents()?,
        _ => Vec::new(),
    };
    let in_force = consents.into_iter().filter(|consent| consent.revoked.is_none());
    let consented: HashSet<String> = in_force.map(|consent| consent.host).collect();
    let (mut visits, mut skipped) = (Vec::with_capacity(wanted.hosts.len()), Vec::new());
    for host in &wanted.hosts {
        let skip = |cause, text| Skip { host: host.name.clone(), cause, text };
        if required && !consented.contains(&host.name) {
            skipped.push(skip(Cause::NoConsent, "no consent of the owner is recorded".to_owned()));
        } else if let Some(text) = held.get(&host.name) {
            skipped.push(skip(Cause::BackOff, text.clone()));
        } else {
            visits.push(*host);
        }
    }
    Ok((visits, skipped))
}

/// What a collector is called beside others that share a store: its machine and where it keeps its state.
fn name(spec: &CollectorSpec) -> String {
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let state = std::path::absolute(&spec.state_dir).unwrap_or_else(|_| spec.state_dir.clone());
    format!("{machine}:{}", state.display())
}

/// A job whose task no probe would read is not worth the visit.
fn fitting(job: Job) -> Result<Job, Skip> {
    let size = job.task.expose().len();
    if size <= MAX_TASK {
        return Ok(job);
    }
    let most = MAX_TASK / 1024;
    let text = format!("its checks take {} KiB, over {most} KiB: ship fewer or smaller scripts", size / 1024);
    Err(Skip { host: job.host, cause: Cause::LocalSetup, text })
}

/// 32 hexadecimal digits that nobody can guess.
pub fn nonce() -> Result<String, Failure> {
    Ok(random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What the dialer is told of one host.
pub fn job(
    spec: &FleetSpec,
    host: &HostSpec,
    orders: &mut Orders,
    recipients: &[String],
    probes: &Path,
) -> Result<Job, Failure> {
    let nonce = nonce()?;
    let task = Task {
        v: 1,
        nonce: nonce.clone(),
        recipients: recipients.to_vec(),
        pull_bytes: PULL_BYTES,
        pull_files: PULL_FILES,
        spool_bytes: SPOOL_BYTES,
        // The dialer keeps the host's own time, which may be longer than what a probe accepts.
        deadline_secs: u32::try_from(spec.collector.timeout.as_secs()).unwrap_or(u32::MAX).clamp(1, MAX_DEADLINE),
        command_lines: host.command_lines,
        checks: orders.of(host),
    };
    Ok(Job {
        host: host.name.clone(),
        transport: host.transport.clone(),
        nonce,
        pull_bytes: task.pull_bytes,
        pull_files: task.pull_files,
        task: Secret::new(task.encode()),
        probes: probes.to_path_buf(),
        timeout: spec.collector.timeout,
    })
}

/// Where the probes may be: as configured, or beside the running program and where `make install` puts them.
pub fn probe_places(spec: &CollectorSpec) -> Vec<PathBuf> {
    if let Some(folder) = &spec.probe_dir {
        return vec![folder.clone()];
    }
    let program = std::env::current_exe().ok();
    let folder = program.as_ref().and_then(|program| program.parent());
    folder.map_or_else(Vec::new, |folder| vec![folder.join("probes"), folder.join("../lib/fleet-health/probes")])
}

/// The folder of the probes: the first place that there is.
pub fn probe_folder(spec: &CollectorSpec) -> Result<PathBuf, Failure> {
    let places = probe_places(spec);
    if let Some(found) = places.iter().find(|place| place.is_dir()) {
        return Ok(found.clone());
    }
    let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    let text =
        format!("no probes at {}; build them with: make build, or set probe-dir= of <collector>", looked.join(", "));
    Err(Failure::new(Exit::Config, text))
}

fn shuffle<T>(list: &mut [T]) -> Result<(), Failure> {
    for i in (1..list.len()).rev() {
        let other = (u64::from_le_bytes(random::<8>()?) % (i as u64 + 1)) as usize;
        list.swap(i, other);
    }
    Ok(())
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Failure::new(Exit::Failed, format!("no random numbers: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffling_keeps_everything() {
        let mut list: Vec<u32> = (0..100).collect();
        shuffle(&mut list).unwrap();
        assert_ne!(list, (0..100).collect::<Vec<_>>());
        list.sort_unstable();
        assert_eq!(list, (0..100).collect::<Vec<_>>());
    }
}
