//! What a measurement is given beside the machine: the time, and what the one before it left.

use super::cpu::Totals;
use super::process::Processes;
use super::smart::Smart;
use super::updates::Updates;

/// What a measurement starts from.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// The run's one now, in seconds since 1970.
    pub now: i64,
    /// Processor totals of an earlier sample of this boot.
    pub totals: Option<Totals>,
    /// What its processes had used by then.
    pub processes: Option<Processes>,
    /// The last answer of the package manager.
    pub updates: Option<Updates>,
    /// The last answers of the disks.
    pub smart: Option<Smart>,
    /// Whether command lines of the processes that take most may travel.
    pub command_lines: bool,
}
