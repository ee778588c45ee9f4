//! The probe's run.

mod args;
mod aside;
mod explain;
mod fail;
mod guard;
mod mounts;
mod places;
mod sample;
mod serve;
pub mod show;
mod spool;
mod state;
mod words;

use std::process::ExitCode;

use args::Mode;
use sample::Checks;

use super::exit::{self, Exit, Failure, Outcome};
use crate::measure::{self, Past, Root};
use crate::model::sample::Sample;

/// Runs the probe with the process's arguments and standard streams.
#[must_use]
pub fn main() -> ExitCode {
    exit::finish("fleet-probe", run())
}

fn run() -> Outcome {
    guard::limit();
    let mode = args::parse(std::env::args_os().skip(1)).map_err(|text| Failure::new(Exit::Usage, text))?;
    let spool = match &mode {
        Mode::Spool { spool, .. } | Mode::Serve { spool: Some(spool), .. } => Some(spool.clone()),
        Mode::Serve { .. } => Some(places::own()),
        _ => places::found(),
    };
    // The other process runs in `/`.
    let spool = spool.map(|dir| std::path::absolute(&dir).unwrap_or(dir));
    // By this name even where the file was replaced meanwhile.
    let root = Root::default().helped_by("/proc/self/exe", spool).starting_by(guard::spawn);
    match mode {
        Mode::Help => exit::print(&args::help()),
        Mode::Version => exit::print(&format!("fleet-probe {}\n", env!("CARGO_PKG_VERSION"))),
        Mode::Explain => exit::print(&explain::text(&sample::measured(&root), &asker())),
        Mode::Print { command_lines } => exit::print(&show::table(&once(&root, command_lines))),
        Mode::Json { command_lines } => exit::print(&show::json(&once(&root, command_lines))),
        Mode::AskMounts { spool } => mounts::answer(spool.as_deref()),
        Mode::Refresh { spool } => aside::refresh(&root, &spool),
        Mode::Serve { spool, plugins } => serve::serve(&root, &spool.unwrap_or_else(places::own), plugins),
        Mode::Spool { spool, recipients, command_lines } => {
            serve::spool_only(&root, &spool, &recipients, command_lines)
        }
    }
}

/// A sample for somebody who looks.
fn once(root: &Root, command_lines: bool) -> Sample {
    sample::take(root, Past { command_lines, ..Past::default() }, 0, Checks::default()).sample
}

/// Who runs this, for `--explain`.
fn asker() -> explain::Asker {
    let uid = rustix::process::geteuid().as_raw();
    // The file that runs, under the name by which it was started where that is still known.
    let digest = std::fs::read("/proc/self/exe").map(|bytes| explain::digest(&bytes)).unwrap_or_default();
    let program = std::env::current_exe().map_or_else(|_| "fleet-probe".into(), |path| path.display().to_string());
    explain::Asker { user: measure::user_name(&Root::default(), uid), uid, program, digest }
}
