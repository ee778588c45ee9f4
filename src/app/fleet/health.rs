//! `fleet health`: exits as Nagios plugins do, so every failure is 3 (unknown).

use serde_json::json;

use crate::app::clock;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::view::{health, json};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the parts as JSON
    #[arg(long)]
    json: bool,
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
    if args.json {
        let rows: Vec<_> = parts
            .iter()
            .map(|part| json!({"part": part.name, "level": part.level.word(), "text": part.text}))
            .collect();
        exit::print(&json::text(&json!({"version": 1, "level": level.word(), "text": line, "rows": rows})))?;
    } else {
        exit::print(&format!("{line}\n"))?;
    }
    Ok(Exit::Nagios(level.number()))
}
