//! Visits one host: connects, starts (and where missing ships) the probe, hands over what is pending.

use std::sync::mpsc::Receiver;

use crate::model::job::{FromDialer, Job, ToDialer};

/// Visits one host. Says [`FromDialer::Sealed`] for each file, then `Pulled`, waits for the answer, then `Finished`;
/// or `Failed` at any point before `Pulled`. Exactly one of `Finished` and `Failed` is said, whatever happens, and no
/// later than a second after the job's timeout.
pub fn visit(_job: &Job, _say: &mut dyn FnMut(FromDialer), _answer: &Receiver<ToDialer>) {}
