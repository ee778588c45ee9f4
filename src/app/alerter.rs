//! One run of the alerter: evaluate, plan, deliver, heartbeat (design/alerting.md, "A run").

use std::process::ExitCode;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;

use super::context::Common;
use super::exit::{self, Exit, Failure, Outcome};
use super::{clock, harden, lock, logging, state};
use crate::alert::words;
use crate::model::alert::{Incident, Mail, MailState, Plan};
use crate::model::fleet::Heartbeat;
use crate::model::spec::FleetSpec;
use crate::store::{self, Store, StoreError};

pub mod deliver;
mod letter;
mod plan;
mod world;

use world::World;

/// Rows a transaction.
const BATCH: usize = 200;

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
    let report = match once(&spec, cli.dry_run) {
        // Each step is committed by itself, so the run may begin again: with the room that was kept back for it.
        Err(error @ StoreError::Full { .. }) if !cli.dry_run && store::release(&spec.store) => {
            log::error!("{error}; the room that was kept back for alerts is used now: free space");
            once(&spec, false)?
        }
        other => other?,
    };
    show(cli, &report)?;
    if report.errors.is_empty() { Ok(Exit::Done) } else { Err(Failure::new(Exit::Failed, report.errors.join("\n"))) }
}

fn once(spec: &FleetSpec, dry_run: bool) -> store::Result<Report> {
    turn(store::open(&spec.store)?.as_mut(), spec, &clock::now, dry_run)
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

/// The whole run against a store.
///
/// # Errors
/// The store's.
pub fn turn(
    store: &mut dyn Store,
    spec: &FleetSpec,
    clock: &dyn Fn() -> DateTime<Utc>,
    dry_run: bool,
) -> store::Result<Report> {
    let mut report = Report::default();
    let mut world = World::new(store.states()?, store.open_incidents()?, store.last_incident()?);
    let mut cursor = store.cursor()?;
    loop {
        let rows = store.rows_after(cursor, BATCH)?;
        let Some(last) = rows.last() else { break };
        cursor = last.id;
        report.rows += rows.len();
        rows.iter().for_each(|row| world.row(spec, row));
        if !dry_run && let Some(evaluation) = world.take(cursor, true) {
            store.commit_evaluation(&evaluation)?;
        }
    }
    let now = clock();
    world.prune(spec, now);
    world.tick(spec, now);
    if !dry_run && let Some(evaluation) = world.take(cursor, false) {
        store.commit_evaluation(&evaluation)?;
    }
    if !half_written(store, spec, now)? {
        let history = |incident: &Incident| draw(store, incident, now);
        let plan = plan::plan(spec, &world, &store.told()?, &store.queued()?, now, &history);
        report.mails =
            plan.mails.iter().filter(|mail| mail.id == 0 && mail.state == MailState::Queued).cloned().collect();
        if !dry_run && plan != Plan::default() {
            store.commit_plan(&plan)?;
        }
    }
    if dry_run {
        return Ok(report);
    }
    let delivered = deliver::deliver(store, spec, clock)?;
    (report.sent, report.waiting, report.errors) = (delivered.sent, delivered.waiting, delivered.errors);
    store.beat(&Heartbeat {
        role: "alerter".to_owned(),
        at: clock(),
        ok: report.errors.is_empty(),
        text: report.errors.join("; "),
    })?;
    Ok(report)
}

/// Whether a sweep is under way. One whose collector ended before it, killed or by a full disk, counts no longer than its
/// deadline, and not at all where its lock shows that it is gone.
fn half_written(store: &dyn Store, spec: &FleetSpec, now: DateTime<Utc>) -> store::Result<bool> {
    let deadline = TimeDelta::from_std(spec.collector.deadline).unwrap_or(TimeDelta::hours(1));
    let newest = store.sweeps(1)?;
    let open = newest.first().is_some_and(|sweep| sweep.ended.is_none() && now - sweep.started < deadline);
    let half = open && !lock::is_free(&spec.collector.state_dir.join("collector.lock"));
    if half {
        log::info!("a sweep is under way: mail is planned once it is whole");
    }
    Ok(half)
}

/// The last points of an incident's metric as bars. A store that cannot say does not keep a mail back.
fn draw(store: &dyn Store, incident: &Incident, now: DateTime<Utc>) -> Option<String> {
    let subject = &incident.subject;
    let since = now - TimeDelta::hours(6);
    let series = store.series(&subject.host, &subject.rule, since, now + TimeDelta::minutes(5)).ok()?;
    let points = series.into_iter().find(|series| series.item == subject.item)?.points;
    let values: Vec<f64> = points.iter().rev().take(40).rev().map(|point| point.mean).collect();
    let (first, last) = (values.first()?, values.last()?);
    let amount = |value: &f64| words::amount(&subject.rule, *value);
    Some(format!("{} {} {} ({} samples)", amount(first), words::sparkline(&values), amount(last), values.len()))
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
            let body = String::from_utf8_lossy(&mail.body);
            out.push_str(&format!("to {} <{}>: {}\n{body}\n", mail.destination, mail.recipient, mail.subject));
        }
        out.push_str(&format!("{} rows, {} mails; nothing was changed\n", report.rows, report.mails.len()));
    }
    exit::print(&out)
}

#[cfg(test)]
mod tests;
