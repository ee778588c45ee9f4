//! One visit to each host, shown to a person; nothing is stored and nothing acknowledged, so the next sweep loses nothing.

use std::sync::mpsc;

use super::{FleetSpec, HostSpec, chosen};
use crate::app::collector::plan;
use crate::app::exit::{Exit, Failure, Outcome};
use crate::app::orders::Orders;
use crate::app::{dialer, keyring};
use crate::model::cause::Cause;
use crate::model::job::{FromDialer, Job, ToDialer, Traffic};
use crate::model::sample::Sample;
use crate::model::secret::Secret;
use crate::wire::task::Task;
use crate::wire::{seal, v1};

/// Visits every host that fits; exit 3 where one fails.
pub fn run(spec: &FleetSpec, glob: &str) -> Outcome {
    let mut exit = Exit::Done;
    for host in chosen(spec, glob)? {
        match visit(spec, host)? {
            Ok((sample, traffic)) => {
                println!("{}  ok  {}", host.name, readings(&sample));
                log::info!("{}: {traffic:?}", host.name);
            }
            Err((cause, text)) => {
                exit = Exit::Partly;
                println!("{}  {cause}  {text}", host.name);
                println!("    next: {}", cause.remedy().replace("HOST", &host.name));
            }
        }
    }
    Ok(exit)
}

type Visited = Result<(Sample, Traffic), (Cause, String)>;

/// Visits one host and opens what it measured just now. The outer error is this side's own.
pub fn visit(spec: &FleetSpec, host: &HostSpec) -> Result<Visited, Failure> {
    let recipients = keyring::recipients(&spec.keys)?;
    let identities = keyring::identities(&spec.keys)?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| Failure::new(Exit::Failed, format!("no random bytes: {error}")))?;
    let nonce: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let seconds = u32::try_from(spec.collector.timeout.as_secs()).unwrap_or(u32::MAX).max(1);
    let task = Task {
        v: 1,
        nonce: nonce.clone(),
        recipients,
        pull_bytes: 8 << 20,
        pull_files: 4096,
        spool_bytes: 16 << 20,
        deadline_secs: seconds,
        checks: Orders::default().of(host),
    };
    let job = Job {
        host: host.name.clone(),
        transport: host.transport.clone(),
        nonce: nonce.clone(),
        task: Secret::new(task.encode()),
        probes: plan::probe_folder(&spec.collector)?,
        timeout: spec.collector.timeout,
    };
    let (sender, answer) = mpsc::channel();
    let mut newest = None;
    let mut seen: Result<Traffic, (Cause, String)> = Err((Cause::Internal, "the visit said nothing".to_owned()));
    dialer::visit(
        &job,
        &mut |said| match said {
            FromDialer::Sealed { bytes, .. } => {
                let opened = seal::open(&identities, &bytes).ok().and_then(|plain| v1::decode(&plain).ok());
                if let Some((Some(proof), sample)) = opened
                    && proof == nonce
                {
                    newest = Some(sample);
                }
            }
            FromDialer::Pulled { host, .. } => {
                let _ = sender.send(ToDialer { host, acknowledged: Vec::new() });
            }
            FromDialer::Finished { traffic, .. } => seen = Ok(traffic),
            FromDialer::Failed { cause, text, .. } => seen = Err((cause, text)),
        },
        &answer,
    );
    Ok(seen.and_then(|traffic| match newest {
        Some(sample) => Ok((sample, traffic)),
        None => Err((Cause::Undecryptable, "what was just measured did not come or cannot be opened".to_owned())),
    }))
}

/// The first readings, in one line.
pub fn readings(sample: &Sample) -> String {
    let percent = |metric: &str| {
        sample.value(metric, "").map_or_else(|| "-".to_owned(), |value| format!("{:.0}%", value * 100.0))
    };
    let load = sample.value("load.1m", "").map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
    let fullest = sample
        .readings
        .iter()
        .filter(|reading| reading.metric == "filesystem.used")
        .max_by(|a, b| a.value.total_cmp(&b.value))
        .map_or_else(|| "-".to_owned(), |reading| format!("{:.0}% of {}", reading.value * 100.0, reading.item));
    format!("cpu {}  memory {}  load {load}  fullest filesystem {fullest}", percent("cpu.used"), percent("memory.used"))
}
