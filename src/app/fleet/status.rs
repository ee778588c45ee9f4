//! `fleet status`.

use crate::app::context::Common;
use crate::app::exit::{Exit, Outcome};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_common: &Common, _args: Args) -> Outcome {
    Ok(Exit::Done)
}
