//! One run of the alerter: evaluate, plan, deliver, heartbeat (design/alerting.md, "A run").

use std::collections::BTreeSet;
use std::process::ExitCode;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;

use super::context::Common;
use super::exit::{self, Exit, Failure, Outcome};
use super::{clock, harden, lock, logging, state};
use crate::alert::ahead::is_ahead;
use crate::alert::{flap, hush};
use crate::model::alert::{Mail, MailState, Plan};
use crate::model::fleet::{Heartbeat, PLAN, Sweep};
use crate::model::spec::FleetSpec;
use crate::notify::http;
use crate::notify::message::readable;
use crate::store::{self, Store, StoreError};

pub mod about;
mod deliver;
pub mod letter;
pub mod lines;
pub mod plan;
pub mod quiet;
pub mod readings;
pub mod world;

use letter::look::Shelf;
use lines::{Lines, Post};
use plan::Stored;
use quiet::Quiet;
use world::{Facts, World};

/// Rows that are in memory at once.
const CHUNK: usize = 500;
/// Rows a transaction: states are written once for all of them.
const BATCH: usize = 20_000;
/// A summary reaches no further back.
const OLDEST_SUMMARY: TimeDelta = TimeDelta::days(7);

/// Judge new samples, open and close incidents, and mail what changed
#[derive(Debug, Parser)]
#[command(name = "fleet-alerter", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    /// Evaluate and plan in memory, print what would be mailed, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// Its command line, for the man page.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Runs the alerter.
#[must_use]
pub fn main() -> ExitCode {
    harden::no_core();
    let cli = Cli::parse();
    logging::start(&cli.common);
    exit::finish("fleet-alerter", run(&cli))
}

fn run(cli: &Cli) -> Outcome {
    let spec = cli.common.spec()?;
    clock::must_be_set(clock::now()).map_err(|text| Failure::new(Exit::Failed, text))?;
    let mut _lock = None;
    if !cli.dry_run {
        let folder = &spec.collector.state_dir;
        state::ready(folder)?;
        let lock = lock::acquire(&folder.join("alerter.lock"));
        _lock = Some(lock.map_err(|error| error.failure("alerter", spec.collector.interval))?);
    }
    if spec.alerts.destinations.is_empty() {
        log::info!("no <to> in <alerts>: problems are recorded and nobody is told");
    }
    let (begun, soft) = (clock::now(), world::delta(spec.collector.interval));
    // What hangs beyond every timeout (a resolver, a server that drips) is ended; nothing is lost by it.
    let hard = spec.collector.interval + lines::STAGE * 12;
    let _watchdog = (!cli.dry_run).then(|| exit::watchdog("fleet-alerter", hard));
    let report = match once(&spec, begun + soft, cli.dry_run) {
        // Each step is committed by itself, so the run may begin again: with the room that was kept back for it.
        Err(error @ StoreError::Full { .. }) if !cli.dry_run && store::release(&spec.store) => {
            log::error!("{error}; the room that was kept back for alerts is used now: free space");
            once(&spec, begun + soft, false)?
        }
        other => other?,
    };
    show(cli, &report)?;
    if let Some(url) = spec.alerts.heartbeat.as_ref().filter(|_| !cli.dry_run && report.errors.is_empty()) {
        // Who watches it tells people when it stays away.
        http::get(url, lines::STAGE).map_err(|text| Failure::new(Exit::Failed, format!("heartbeat: {text}")))?;
    }
    if report.errors.is_empty() { Ok(Exit::Done) } else { Err(Failure::new(Exit::Failed, report.errors.join("\n"))) }
}

fn once(spec: &FleetSpec, until: DateTime<Utc>, dry_run: bool) -> store::Result<Report> {
    turn(store::open(&spec.store)?.as_mut(), spec, &mut Lines::new(spec), &clock::now, until, dry_run)
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Report {
    /// Rows treated.
    pub rows: usize,
    /// New outbox rows.
    pub mails: Vec<Mail>,
    /// Accepted by their channel.
    pub sent: usize,
    /// Waiting in the outbox.
    pub waiting: usize,
    /// What a person must mend.
    pub errors: Vec<String>,
}

/// The whole run against a store; no mail is begun after `deadline`.
///
/// # Errors
/// The store's.
pub fn turn(
    store: &mut dyn Store,
    spec: &FleetSpec,
    post: &mut dyn Post,
    clock: &dyn Fn() -> DateTime<Utc>,
    deadline: DateTime<Utc>,
    dry_run: bool,
) -> store::Result<Report> {
    let mut report = Report::default();
    let mut world = World::new(spec, store.states()?, store.open_incidents()?, store.acks()?, store.last_incident()?);
    let begun = clock();
    world.set_right(begun);
    let mut cursor = store.cursor()?;
    let (mut taken, mut ahead) = (0, false);
    loop {
        let rows = store.rows_after(cursor, CHUNK)?;
        let Some(last) = rows.last() else { break };
        cursor = last.id;
        report.rows += rows.len();
        taken += rows.len();
        ahead |= rows.iter().any(|row| is_ahead(row.attempt.at, begun));
        for row in &rows {
            world.row(store, row)?;
        }
        if taken >= BATCH {
            taken = 0;
            write(store, &mut world, cursor, true, dry_run)?;
        }
    }
    let now = clock();
    if ahead {
        world.set_right(now);
    }
    let beats = store.beats()?;
    let (sweeps, of_the_future) = world::last_sweeps(store, &beats, now)?;
    if let Some(beat) = of_the_future.filter(|_| !dry_run) {
        store.beat(&beat)?;
    }
    let half = sweeps.iter().any(|sweep| half_written(sweep, spec, now)) && !held_too_long(&beats, spec, now);
    let pauses = store.pauses()?;
    world.prune(now);
    let means = world::means(store, &world, now)?;
    let damage = beats.iter().find(|beat| beat.role == "store" && !beat.ok).map(|beat| beat.text.as_str());
    let silences = store.silences()?;
    let windows = hush::windows(silences.iter().chain(&spec.silences), now);
    world.tick(&Facts { now, sweeps: &sweeps, half, damage, pauses: &pauses, means: &means, windows: &windows });
    write(store, &mut world, cursor, taken > 0, dry_run)?;
    if half {
        log::info!("a sweep is under way: mail is planned once it is whole");
    } else {
        let stored = stored(store, now)?;
        let quiet = Quiet::new(spec, &world, &stored.silences, &stored.closed, now);
        let plan = plan::plan(&quiet, &world, &stored, now, &Shelf::new(store, now));
        report.mails =
            plan.mails.iter().filter(|mail| mail.id == 0 && mail.state == MailState::Queued).cloned().collect();
        if !dry_run && plan != Plan::default() {
            store.commit_plan(&plan)?;
        }
    }
    if dry_run {
        return Ok(report);
    }
    hold(store, &beats, half, now)?;
    // The last run ended in what is now the future.
    let set_back = beats.iter().any(|beat| beat.role == "alerter" && beat.at > now);
    let delivered = deliver::deliver(store, spec, post, clock, deadline, set_back)?;
    (report.sent, report.waiting, report.errors) = (delivered.sent, delivered.waiting, delivered.errors);
    store.beat(&Heartbeat {
        role: "alerter".to_owned(),
        at: clock(),
        ok: report.errors.is_empty(),
        text: report.errors.join("; "),
    })?;
    Ok(report)
}

/// State, incidents, events and cursor in one transaction.
fn write(store: &mut dyn Store, world: &mut World<'_>, cursor: i64, moved: bool, dry_run: bool) -> store::Result<()> {
    match world.take(cursor, moved) {
        Some(evaluation) if !dry_run => store.commit_evaluation(&evaluation),
        _ => Ok(()),
    }
}

/// What a plan looks at besides the truth.
///
/// # Errors
/// The store's.
pub fn stored(store: &dyn Store, now: DateTime<Utc>) -> store::Result<Stored> {
    let summaries = store.summaries()?;
    let oldest = summaries.iter().map(|(.., at)| *at).min().unwrap_or(now);
    let since = oldest.min(now - flap::MEMORY).max(now - OLDEST_SUMMARY);
    let queued = store.queued()?;
    let ids: BTreeSet<i64> = queued.iter().flat_map(|mail| &mail.tells).map(|it| it.incident).collect();
    let told_of = ids.into_iter().map(|id| store.incident(id)).collect::<store::Result<Vec<_>>>()?;
    Ok(Stored {
        told: store.told()?,
        queued,
        told_of: told_of.into_iter().flatten().collect(),
        closed: store.closed_since(since)?,
        closed_told: store.told_since(since)?,
        pauses: store.pauses()?,
        silences: store.silences()?,
        summaries,
    })
}

/// Whether a sweep is under way. One whose collector ended before it, killed or by a full disk, counts no longer than its
/// deadline, and not at all where its lock shows that it is gone.
fn half_written(sweep: &Sweep, spec: &FleetSpec, now: DateTime<Utc>) -> bool {
    let deadline = world::delta(spec.collector.deadline);
    let open = sweep.ended.is_none() && !is_ahead(sweep.started, now) && now - sweep.started < deadline;
    open && !lock::is_free(&lock::of_collector(&spec.collector.state_dir, sweep.shard))
}

/// Several collectors that start at different times may leave no moment without a sweep: mail is not held back for longer
/// than two intervals.
fn held_too_long(beats: &[Heartbeat], spec: &FleetSpec, now: DateTime<Utc>) -> bool {
    let since = beats.iter().find(|beat| beat.role == PLAN && !beat.ok).map(|beat| beat.at);
    since.is_some_and(|since| now < since || now - since >= world::delta(spec.collector.interval) * 2)
}

/// Writes down since when mail is held back, and when that is over.
fn hold(store: &mut dyn Store, beats: &[Heartbeat], half: bool, now: DateTime<Utc>) -> store::Result<()> {
    let held = beats.iter().any(|beat| beat.role == PLAN && !beat.ok);
    if held == half {
        return Ok(());
    }
    store.beat(&Heartbeat { role: PLAN.to_owned(), at: now, ok: !half, text: String::new() })
}

fn show(cli: &Cli, report: &Report) -> Outcome {
    log::info!(
        "{} rows, {} mails planned, {} sent, {} waiting",
        report.rows,
        report.mails.len(),
        report.sent,
        report.waiting
    );
    if cli.json {
        let mails: Vec<serde_json::Value> = report
            .mails
            .iter()
            .map(|mail| {
                serde_json::json!({
                    "destination": mail.destination, "recipient": mail.recipient, "subject": mail.subject,
                    "message_id": mail.message_id,
                })
            })
            .collect();
        let all = serde_json::json!({
            "version": 1, "dry_run": cli.dry_run, "rows": report.rows, "mails": mails, "sent": report.sent,
            "waiting": report.waiting, "errors": report.errors,
        });
        return exit::print(&format!("{all}\n"));
    }
    let mut out = String::new();
    if cli.dry_run {
        for mail in &report.mails {
            let body = readable(&mail.body);
            out.push_str(&format!("to {} <{}>: {}\n\n{body}\n", mail.destination, mail.recipient, mail.subject));
        }
        out.push_str(&format!("{} rows, {} mails; nothing was changed\n", report.rows, report.mails.len()));
    }
    exit::print(&out)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod sim;

#[cfg(test)]
mod cases;
