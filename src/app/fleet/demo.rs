//! `fleet demo`: an invented fleet with two days of past in a folder of its own, to try everything that reads. It needs no
//! host and no mail server; said again, it brings the fleet up to the minute.

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::alerter::{self, lines::Lines};
use crate::app::context::Common;
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::keyring::change;
use crate::app::{clock, files, lock, state};
use crate::config;
use crate::model::fleet::{Attempt, Heartbeat, Outcome as Ended};
use crate::model::job::Traffic;
use crate::model::sample::Sample;
use crate::model::spec::FleetSpec;
use crate::store::{self, Store};

mod machines;

use machines::{Machine, STEP};

/// How far back the past goes.
const PAST: TimeDelta = TimeDelta::days(2);
/// Samples older than this come as a host brings them that was not visited for a while: many at once.
const ONE_BY_ONE: TimeDelta = TimeDelta::hours(2);
/// How many then.
const AT_ONCE: usize = 24;
const CONFIG: &str = include_str!("demo/config.xml");

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where [default: fleet-demo-UID in $TMPDIR or /tmp]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let own = || std::env::temp_dir().join(format!("fleet-demo-{}", rustix::process::geteuid().as_raw()));
    let dir =
        args.dir.map_or_else(|| Ok(own()), std::path::absolute).map_err(|error| failed(Path::new("."), &error))?;
    // Another's folder of that name is refused: it would say what we read.
    state::ready(&dir)?;
    let file = dir.join("config.xml");
    let is_new = !file.exists();
    if is_new {
        if std::fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some()) {
            let text = format!("{}: holds something else; choose another: fleet demo --dir DIR", dir.display());
            return Err(Failure::new(Exit::Failed, text));
        }
        state::ready(&dir.join("keys"))?;
        files::create(&file, CONFIG.as_bytes(), 0o600).map_err(|error| failed(&file, &error))?;
    } else if !std::fs::read_to_string(&file).is_ok_and(|text| text.contains("written by fleet demo")) {
        let text = format!("{}: is no demo; choose another: fleet demo --dir DIR", file.display());
        return Err(Failure::new(Exit::Failed, text));
    }
    let loaded = config::read(&file).map_err(|report| Failure::new(Exit::Config, report.to_string()))?;
    let spec = loaded.spec;
    state::ready(&spec.collector.state_dir)?;
    let locked = lock::acquire(&spec.collector.state_dir.join("demo.lock"));
    let _lock = locked.map_err(|error| error.failure("demo", spec.collector.interval))?;
    if !spec.keys.identity_file.exists() {
        change::generate(&spec.keys, clock::now())?;
    }
    if !common.quiet {
        exit::complain(if is_new { "inventing two days of past ..." } else { "bringing the demo up to date ..." });
    }
    let mut store = store::open(&spec.store)?;
    let added = fill(store.as_mut(), &spec, &file)?;
    let report = alerter::turn(
        store.as_mut(),
        &spec,
        &mut Lines::new(&spec),
        &clock::now,
        clock::now() + TimeDelta::minutes(1),
        false,
    )?;
    log::info!("{added} samples, {} mails", report.sent);
    exit::print(&next(&file, &dir))
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{}: {error}", path.display()))
}

/// Adds what the machines would have said since the last time; how many samples that were.
fn fill(store: &mut dyn Store, spec: &FleetSpec, file: &Path) -> Result<usize, Failure> {
    let now = clock::now();
    // The demo's beginning stays what it was: uptimes and totals are reckoned from it.
    let made = std::fs::metadata(file).and_then(|meta| meta.modified()).map_err(|error| failed(file, &error))?;
    let made = DateTime::<Utc>::from(made);
    let machines: Vec<Machine> = spec.hosts.iter().enumerate().map(|(n, host)| Machine::new(n, host, made)).collect();
    let last = store.sweeps(1)?.pop().map_or(now - PAST, |sweep| sweep.started);
    let first = last.max(now - PAST);
    let mut times: Vec<DateTime<Utc>> = machines::times(first, now);
    let mut added = 0;
    // What is long ago, in large pieces.
    let early: Vec<DateTime<Utc>> = times.extract_if(.., |at| *at < now - ONE_BY_ONE).collect();
    for piece in early.chunks(AT_ONCE) {
        added += sweep(store, &machines, piece)?;
    }
    for at in times {
        added += sweep(store, &machines, &[at])?;
    }
    store.beat(&Heartbeat { role: "collector".to_owned(), at: now, ok: true, text: String::new() })?;
    Ok(added)
}

/// One sweep at the last of these times, which brings the samples of all of them.
fn sweep(store: &mut dyn Store, machines: &[Machine], times: &[DateTime<Utc>]) -> Result<usize, Failure> {
    let Some(at) = times.last().copied() else { return Ok(0) };
    let count = u32::try_from(machines.len()).unwrap_or_default();
    let id = store.begin_sweep(at, count)?;
    let (mut added, mut bad) = (0, 0);
    for machine in machines {
        let failure = machine.failure(at);
        bad += u32::from(failure.is_some());
        let samples: Vec<Sample> =
            times.iter().filter(|at| machine.failure(**at).is_none()).map(|at| machine.sample(*at)).collect();
        let attempt = Attempt {
            host: machine.name.clone(),
            at: at + TimeDelta::seconds(2),
            took: std::time::Duration::from_millis(400),
            outcome: failure.map_or(Ended::Collected, |(cause, text)| Ended::Failed { cause, text }),
            traffic: Traffic { sent: 5400, received: 7100, round_trips: 8, shipped: false },
        };
        added += store.record(id, &attempt, &samples)?;
    }
    store.end_sweep(id, at + STEP / 20, bad)?;
    Ok(added)
}

fn next(file: &Path, dir: &Path) -> String {
    format!(
        "An invented fleet of twelve hosts is in {dir}. Look at it:\n\
         \n  export FLEET_CONFIG='{file}'\n  \
         fleet status\n  fleet services\n  \
         fleet alerts\n  \
         fleet explain db1\n  \
         fleet history db1 filesystem.used --since 2d\n  \
         fleet watch\n  \
         fleet serve\n\
         \nThe mails that would have been sent are in its folder mail. It stands still: fleet demo\n\
         again brings it up to the minute. This ends it: rm -r '{dir}'\n",
        dir = dir.display(),
        file = file.display(),
    )
}
