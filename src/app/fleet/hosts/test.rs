//! One visit to each host, shown to a person; nothing is stored and nothing acknowledged, so the next sweep loses nothing.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::mpsc;

use super::each::each;
use super::{FleetSpec, HostSpec, chosen};
use crate::app::collector::plan;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::fleet::show;
use crate::app::orders::Orders;
use crate::app::{dialer, keyring};
use crate::model::cause::Cause;
use crate::model::job::{FromDialer, Job, ToDialer, Traffic};
use crate::model::sample::Sample;
use crate::view::{Cell, Column, Page, Place, column};
use crate::wire::{seal, v1};

const COLUMNS: &[Column] = &[
    column("host", "HOST", Place::Left),
    column("ok", "OK", Place::Left),
    column("cause", "CAUSE", Place::Left),
    column("cpu", "CPU", Place::Right),
    column("memory", "MEM", Place::Right),
    column("load", "LOAD", Place::Right),
    column("round_trips", "ROUND TRIPS", Place::Right),
    column("shipped", "SHIPPED", Place::Left),
    column("text", "TEXT", Place::Below),
];

/// Visits every host that fits, as many at once as a sweep does; exit 3 where one fails. To people each host is told as
/// soon as it and those before it are done.
pub fn run(common: &Common, spec: &FleetSpec, glob: &str, format: show::Format) -> Outcome {
    let mut exit = Exit::Done;
    let mut rows = Vec::new();
    let visits = Visits::new(spec)?;
    let done = |host: &&HostSpec, visited: Result<Visited, Failure>| {
        let visited = visited?;
        if visited.is_err() {
            exit = Exit::Partly;
        }
        if format == show::Format::Table {
            exit::print(&sentence(host, &visited))?;
        } else {
            rows.push(row(host, &visited));
        }
        Ok(())
    };
    each(&chosen(spec, glob)?, spec.collector.jobs, |host| visits.visit(host), done)?;
    if format != show::Format::Table {
        show::page(common, format, &Page { columns: COLUMNS, rows })?;
    }
    Ok(exit)
}

fn sentence(host: &HostSpec, visited: &Visited) -> String {
    match visited {
        Ok((sample, traffic)) => {
            log::info!("{}: {traffic:?}", host.name);
            format!("{}  ok  {}\n", host.name, readings(sample))
        }
        Err((cause, text)) => {
            format!("{}  {cause}  {text}\n    next: {}\n", host.name, cause.remedy().replace("HOST", &host.name))
        }
    }
}

fn row(host: &HostSpec, visited: &Visited) -> Vec<Cell> {
    let (cause, text) = match visited {
        Ok(_) => (Cell::Empty, Cell::Empty),
        Err((cause, text)) => (Cell::Text(cause.to_string()), Cell::Text(text.clone())),
    };
    let seen = visited.as_ref().ok();
    let value = |metric: &str| seen.and_then(|(sample, _)| sample.value(metric, ""));
    let cell = |cell: Option<Cell>| cell.unwrap_or(Cell::Empty);
    vec![
        Cell::Text(host.name.clone()),
        Cell::Flag(seen.is_some()),
        cause,
        cell(value("cpu.used").map(Cell::Ratio)),
        cell(value("memory.used").map(Cell::Ratio)),
        cell(value("load.1m").map(Cell::Number)),
        cell(seen.map(|(_, traffic)| Cell::Number(f64::from(traffic.round_trips)))),
        cell(seen.map(|(_, traffic)| Cell::Flag(traffic.shipped))),
        text,
    ]
}

type Visited = Result<(Sample, Traffic), (Cause, String)>;

/// Whether the host may be measured at all.
pub fn may(spec: &FleetSpec, host: &HostSpec) -> Result<bool, Failure> {
    let given = |name: &str| -> Result<bool, Failure> {
        Ok(open_store(spec)?.consents()?.iter().any(|it| it.host == name && it.revoked.is_none()))
    };
    Ok(!spec.consent_required || given(&host.name)?)
}

/// What visits need, read once for all of them.
pub struct Visits<'a> {
    spec: &'a FleetSpec,
    /// Where consent is required, the hosts that have it.
    consented: Option<HashSet<String>>,
    recipients: Vec<String>,
    identities: Vec<String>,
    probes: PathBuf,
    run: dialer::Run,
}

impl<'a> Visits<'a> {
    /// Reads keys and consents.
    pub fn new(spec: &'a FleetSpec) -> Result<Self, Failure> {
        let consented = match spec.consent_required {
            false => None,
            true => Some(open_store(spec)?.consents()?),
        };
        Ok(Self {
            spec,
            consented: consented
                .map(|all| all.into_iter().filter(|it| it.revoked.is_none()).map(|it| it.host).collect()),
            recipients: keyring::recipients(&spec.keys)?,
            identities: keyring::identities(&spec.keys)?,
            probes: plan::probe_folder(&spec.collector)?,
            run: dialer::Run::default(),
        })
    }

    /// Visits one host and opens what it measured just now. The outer error is this side's own.
    pub fn visit(&self, host: &HostSpec) -> Result<Visited, Failure> {
        if self.consented.as_ref().is_some_and(|consented| !consented.contains(&host.name)) {
            return Ok(Err((Cause::NoConsent, "no consent of the owner is recorded".to_owned())));
        }
        let job = plan::job(self.spec, host, &mut Orders::default(), &self.recipients, &self.probes)?;
        Ok(visit(&job, &self.identities, &self.run))
    }
}

fn visit(job: &Job, identities: &[String], run: &dialer::Run) -> Visited {
    let (sender, answer) = mpsc::channel();
    let mut newest = None;
    let mut seen: Result<Traffic, (Cause, String)> = Err((Cause::Internal, "the visit said nothing".to_owned()));
    dialer::visit(
        job,
        run,
        &mut |said| match said {
            FromDialer::Sealed { bytes, .. } => {
                let opened = seal::open(identities, &bytes).ok().and_then(|plain| v1::decode(&plain).ok());
                if let Some((Some(proof), sample)) = opened
                    && proof == job.nonce
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
    seen.and_then(|traffic| match newest {
        Some(sample) => Ok((sample, traffic)),
        None => Err((Cause::Undecryptable, "what was just measured did not come or cannot be opened".to_owned())),
    })
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
