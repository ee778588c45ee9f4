//! `fleet health`: exits as Nagios plugins do, so every failure is 3 (unknown).

use serde_json::json;

use super::show::{self, Format};
use crate::app::clock;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::view::{health, json};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    format: show::FormatArgs,
}

pub fn run(common: &Common, args: Args) -> Outcome {
    judge(common, &args).or_else(|failure| unknown(&failure.text))
}

/// Says on standard output, where Nagios looks, that nothing can be told.
pub fn unknown(text: &str) -> Outcome {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    exit::print(&format!("UNKNOWN - {}\n", crate::model::clean::clean(line)))?;
    Ok(Exit::Nagios(3))
}

fn judge(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let spec = common.spec()?;
    let store = open_store(&spec)?;
    let sweeps = store.sweeps(health::SWEEPS)?;
    let parts = health::judge(clock::now(), spec.collector.interval, &store.beats()?, &sweeps, &store.queued()?);
    let (level, line) = health::line(&parts);
    match args.format.format() {
        Format::Table => exit::print(&format!("{line}\n"))?,
        Format::Json => {
            exit::print(&json::about(&health::page(&parts), [("level", json!(level.word())), ("text", json!(line))]))?
        }
        format => show::page(common, format, &health::page(&parts))?,
    };
    Ok(Exit::Nagios(level.number()))
}
