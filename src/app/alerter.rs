//! One run of the alerter.

use std::process::ExitCode;

/// Runs the alerter.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
