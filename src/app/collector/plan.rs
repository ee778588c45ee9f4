//! What a sweep will do, before it touches the network.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::back_off;
use crate::app::clock;
use crate::app::exit::{Exit, Failure};
use crate::app::orders::Orders;
use crate::model::cause::Cause;
use crate::model::job::Job;
use crate::model::secret::Secret;
use crate::model::spec::{CollectorSpec, FleetSpec, HostSpec};
use crate::store::Store;
use crate::wire::task::{MAX_DEADLINE, MAX_TASK, Task};

/// What a host may keep for us between sweeps.
const SPOOL_BYTES: u64 = 4 * 1024 * 1024;
/// What one sweep takes from one host; the rest stays for the next.
const PULL_BYTES: u64 = 2 * 1024 * 1024;
/// As [`PULL_BYTES`].
const PULL_FILES: u32 = 64;

/// What is to be done for one host.
pub enum Planned {
    /// Visit it.
    Visit(Box<Job>),
    /// Do not, and write down why.
    Skip {
        /// The host.
        host: String,
        /// Why.
        cause: Cause,
        /// For people.
        text: String,
    },
}

/// One entry for each host, in random order: hosts do not meet the same neighbours in every sweep. Without a store nothing
/// is known of consents and waits.
pub fn jobs(
    spec: &FleetSpec,
    hosts: &[&HostSpec],
    recipients: &[String],
    probes: &Path,
    store: Option<&dyn Store>,
    asked: bool,
) -> Result<Vec<Planned>, Failure> {
    let consents = match store {
        Some(store) if spec.consent_required => store.consents()?,
        _ => Vec::new(),
    };
    let consented: HashSet<String> =
        consents.into_iter().filter(|consent| consent.revoked.is_none()).map(|consent| consent.host).collect();
    let held = match store {
        Some(store) if !asked => back_off::held(store, clock::now())?,
        _ => Default::default(),
    };
    let mut planned = Vec::with_capacity(hosts.len());
    let mut orders = Orders::default();
    for host in hosts {
        let name = host.name.clone();
        planned.push(if spec.consent_required && !consented.contains(&name) {
            let text = "no consent of the owner is recorded".to_owned();
            Planned::Skip { host: name, cause: Cause::NoConsent, text }
        } else if let Some(text) = held.get(&name) {
            Planned::Skip { host: name, cause: Cause::BackOff, text: text.clone() }
        } else {
            planned_job(job(spec, host, &mut orders, recipients, probes)?)
        });
    }
    shuffle(&mut planned)?;
    Ok(planned)
}

/// A job whose task no probe would read is not worth the visit.
fn planned_job(job: Job) -> Planned {
    let size = job.task.expose().len();
    if size <= MAX_TASK {
        return Planned::Visit(Box::new(job));
    }
    let most = MAX_TASK / 1024;
    let text = format!("its checks take {} KiB, over {most} KiB: ship fewer or smaller scripts", size / 1024);
    Planned::Skip { host: job.host, cause: Cause::LocalSetup, text }
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
