//! The probe's run.

use std::process::ExitCode;

/// Runs the probe with the process's arguments and standard streams.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
