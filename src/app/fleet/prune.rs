//! `fleet prune`.

use std::io::IsTerminal;

use crate::app::clock;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Outcome};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Change nothing; say what would go
    #[arg(long)]
    dry_run: bool,
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let spec = common.spec()?;
    let mut store = open_store(&spec)?;
    let (now, keep, hourly) = (clock::now(), spec.store.keep, spec.store.keep_hourly);
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
