//! `fleet prune`.

use std::io::IsTerminal;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::clock;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::model::fleet::HostNow;

/// What was received so long before the newest sample is of hosts that nobody visits any more.
const LATELY: TimeDelta = TimeDelta::days(1);

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Change nothing; say what would go
    #[arg(long)]
    dry_run: bool,
    /// Also where the hosts' clocks say that it is much earlier than the clock here does
    #[arg(long)]
    force: bool,
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let spec = common.spec()?;
    let mut store = open_store(&spec)?;
    let (now, keep, hourly) = (clock::now(), spec.store.keep, spec.store.keep_hourly);
    if let Some(said) = disputed(&store.latest(&[])?, now, keep).filter(|_| !args.force) {
        let text = format!(
            "nothing was pruned: it is {} here, but most hosts said {} when they were measured last, which is longer ago \
             than keep= of <store>, so nearly all would go; look at `date`, and collect once: fleet-collector. If the \
             clock here is right: fleet prune --force",
            now.format("%Y-%m-%d"),
            said.format("%Y-%m-%d")
        );
        return Err(Failure::new(Exit::Failed, text));
    }
    let done = if args.dry_run { store.would_prune(now, keep, hourly)? } else { store.prune(now, keep, hourly)? };
    if done.untreated > 0 {
        exit::complain(&format!(
            "fleet: {} attempts older than keep= of <store> stay, because the alerter has not treated them, and the store \
             grows; look at cron and try: fleet-alerter",
            done.untreated
        ));
    }
    // Under cron there is nothing to tell: what it prints becomes a mail.
    if args.dry_run || (std::io::stdout().is_terminal() && !common.quiet) {
        return exit::print(&format!(
            "{}{} samples and {} attempts removed, {} hourly points written, {} removed\n",
            if args.dry_run { "would be: " } else { "" },
            done.samples,
            done.attempts,
            done.hours_written,
            done.hours_removed
        ));
    }
    Ok(Exit::Done)
}

/// What most hosts' clocks said last, where that is more than `keep` ago: a clock that went wrong here, by years even, must
/// not take the past away.
fn disputed(hosts: &[HostNow], now: DateTime<Utc>, keep: Duration) -> Option<DateTime<Utc>> {
    let samples = || hosts.iter().filter_map(|host| host.sample.as_ref());
    let last = samples().map(|(received, _)| *received).max()?;
    let mut said: Vec<_> =
        samples().filter(|(received, _)| last - *received < LATELY).map(|(_, sample)| sample.taken).collect();
    said.sort_unstable();
    let middle = *said.get(said.len() / 2)?;
    (now - middle > TimeDelta::from_std(keep).unwrap_or(TimeDelta::MAX)).then_some(middle)
}
