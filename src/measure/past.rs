//! What a measurement is given beside the machine: the time, and what the one before it left.

use super::asked::Answers;
use super::cpu::Totals;
use super::process::Processes;
use super::restarts::Restarts;
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
    /// What was known of restarts by then.
    pub restarts: Restarts,
    /// The last answer of the package manager.
    pub updates: Option<Updates>,
    /// The last answers of the disks.
    pub smart: Option<Smart>,
    /// The last answers to what takes long or root.
    pub answers: Option<Answers>,
    /// Whether command lines of the processes that take most may travel.
    pub command_lines: bool,
}
