//! The probe's run.

mod args;
mod fail;
mod guard;
mod places;
mod sample;
mod serve;
mod show;
mod spool;
mod state;

use std::process::ExitCode;

use args::Mode;
use sample::Checks;

use super::exit::{self, Exit, Failure, Outcome};
use crate::measure::Root;

/// Runs the probe with the process's arguments and standard streams.
#[must_use]
pub fn main() -> ExitCode {
    exit::finish("fleet-probe", run())
}

fn run() -> Outcome {
    let mode = args::parse(std::env::args_os().skip(1)).map_err(|text| Failure::new(Exit::Usage, text))?;
    let root = Root::default();
    match mode {
        Mode::Help => exit::print(&args::help()),
        Mode::Version => exit::print(&format!("fleet-probe {}\n", env!("CARGO_PKG_VERSION"))),
        Mode::Print => exit::print(&show::table(&sample::take(&root, None, 0, Checks::default()).sample)),
        Mode::Json => exit::print(&show::json(&sample::take(&root, None, 0, Checks::default()).sample)),
        Mode::Serve { spool } => serve::serve(&root, &spool),
        Mode::Spool { spool, recipients } => serve::spool_only(&root, &spool, &recipients),
    }
}
