//! One sweep over the fleet.

use std::process::ExitCode;

/// Runs the collector.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
