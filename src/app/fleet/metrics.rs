//! `fleet metrics`.

use super::show;
use crate::app::context::Common;
use crate::app::exit::Outcome;
use crate::view::metrics;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    format: show::FormatArgs,
}

pub fn run(common: &Common, args: Args) -> Outcome {
    show::view(common, args.format.format(), &metrics::view())
}
