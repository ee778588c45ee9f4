//! What a run knows of its bastions: who fails to get in is the last to try, and never do many knock at once.
//!
//! The first visitor goes alone. Where it gets in, others follow, a few at a time, for sshd drops connections beyond
//! MaxStartups (10). Where it does not, all others of the run are told the same without trying: that costs no time, and
//! refused logins would have the bastion lock us out.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::SshError;
use crate::model::cause::Cause;
use crate::model::spec::Hop;

/// Logins at one bastion at once.
const AT_ONCE: usize = 8;

struct Door {
    /// The bastion, and those before it.
    way: Vec<Hop>,
    inside: usize,
    /// Somebody got in.
    open: bool,
    /// Nobody is to try any more.
    shut: Option<(Cause, String)>,
}

/// The bastions of a run.
#[derive(Default)]
pub struct Bastions {
    doors: Mutex<Vec<Door>>,
    news: Condvar,
}

impl Bastions {
    fn doors(&self) -> MutexGuard<'_, Vec<Door>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one may log in at the last bastion of a way.
    pub(super) fn enter(&self, way: &[Hop], deadline: Instant) -> Result<Pass<'_>, SshError> {
        let mut doors = self.doors();
        let number = doors.iter().position(|door| door.way == way).unwrap_or(doors.len());
        if number == doors.len() {
            doors.push(Door { way: way.to_vec(), inside: 0, open: false, shut: None });
        }
        loop {
            let door = &mut doors[number];
            if let Some((cause, text)) = &door.shut {
                return Err(SshError::new(*cause, text.clone()));
            }
            if door.inside < if door.open { AT_ONCE } else { 1 } {
                door.inside += 1;
                return Ok(Pass { bastions: self, number });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let name = way.last().map_or("", |hop| &hop.name);
                let text = format!("bastion {name}: others were still logging in there when the deadline passed");
                return Err(SshError::new(Cause::Jump, text));
            }
            doors = self.news.wait_timeout(doors, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The right to try one login; ends when it is dropped.
pub(super) struct Pass<'a> {
    bastions: &'a Bastions,
    number: usize,
}

impl Pass<'_> {
    pub(super) fn let_in(self) {
        self.bastions.doors()[self.number].open = true;
    }

    /// After a failure that may pass, those who know it open go on; one that let nobody in yet is not asked again.
    pub(super) fn refused(self, error: &SshError, passing: bool) {
        let door = &mut self.bastions.doors()[self.number];
        if !(door.open && passing) {
            door.shut = Some((error.cause, error.text.clone()));
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.bastions.doors()[self.number].inside -= 1;
        self.bastions.news.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_first_goes_alone_then_a_few_and_nobody_after_a_refusal() {
        let bastions = Bastions::default();
        let late =
            |wait| bastions.enter(&[], Instant::now() + Duration::from_millis(wait)).err().map(|error| error.cause);
        let full = |error: &str| SshError::new(Cause::Jump, error);
        let first = bastions.enter(&[], Instant::now()).ok().unwrap();
        assert_eq!(late(20), Some(Cause::Jump), "the first is still at the door");
        first.let_in();
        let several: Vec<Pass<'_>> = (0..AT_ONCE).map(|_| bastions.enter(&[], Instant::now()).ok().unwrap()).collect();
        assert_eq!(late(20), Some(Cause::Jump), "more than a few");
        drop(several);
        bastions.enter(&[], Instant::now()).ok().unwrap().refused(&full("full"), true);
        assert_eq!(late(0), None, "it was open, and full for a moment");
        bastions.enter(&[], Instant::now()).ok().unwrap().refused(&full("dead"), false);
        let error = bastions.enter(&[], Instant::now()).err().unwrap();
        assert_eq!((error.cause, error.text.as_str()), (Cause::Jump, "dead"));
    }
}
