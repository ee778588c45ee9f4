//! Whose turn it is: what a store remembers of each host's visits, and how several collectors keep out of each other's way.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::cause::Cause;
use super::fleet::Outcome;
use super::shard::Shard;

/// No lease is longer: one that seems to be was written by a clock that has been set back since.
pub const LONGEST_LEASE: TimeDelta = TimeDelta::hours(1);

/// A sweep that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// When.
    pub started: DateTime<Utc>,
    /// Hosts to visit.
    pub hosts: u32,
    /// Which collector it is; the same from run to run, and no other's. Empty where that is not known.
    pub collector: String,
    /// The part of the fleet that it is responsible for; `None`: all of it.
    pub shard: Option<Shard>,
    /// Whether a person asked for some hosts: that is no sign that cron works.
    pub asked: bool,
}

impl Begun {
    /// Over the whole fleet, by a collector without a name.
    #[must_use]
    pub fn plain(started: DateTime<Utc>, hosts: u32) -> Self {
        Self { started, hosts, collector: String::new(), shard: None, asked: false }
    }
}

/// What is remembered of a host when a sweep is planned.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The host.
    pub host: String,
    /// Its last visit, as far as that is still stored.
    pub turn: Option<Turn>,
    /// Its failures of the kind that makes it wait.
    pub strikes: Strikes,
}

/// A visit that took place, whatever came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, if it did.
    pub cause: Option<Cause>,
}

/// Failures in a row for which a host is left alone for a while; a visit that ends in any other way wipes them out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strikes {
    /// How many.
    pub count: u32,
    /// Whether the host refused, flooded or lied in one of them; it only hung otherwise.
    pub refused: bool,
}

impl Strikes {
    /// After an attempt that ended so; `None` where it was no turn of the host and says nothing of it.
    #[must_use]
    pub fn after(self, outcome: &Outcome) -> Option<Self> {
        let cause = match outcome {
            Outcome::Collected => return Some(Self::default()),
            Outcome::Failed { cause, .. } => *cause,
        };
        if !cause.is_turn() {
            return None;
        }
        let (refuses, hangs) = (cause.refuses(), cause.hangs());
        let one_more = Self { count: self.count.saturating_add(1), refused: self.refused || refuses };
        Some(if refuses || hangs { one_more } else { Self::default() })
    }
}

/// What a collector wants of the hosts that it is about to visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The number of its sweep.
    pub sweep: i64,
    /// The time.
    pub now: DateTime<Utc>,
    /// When its visits have ended for sure, or it is dead.
    pub until: DateTime<Utc>,
    /// A host that another collector visited after this needs no visit.
    pub since: DateTime<Utc>,
}

/// What became of a claim on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leased {
    /// It is ours until the claim's end, or until its attempt is recorded.
    Ours,
    /// A collector is at it, and dead if it still is at this time.
    Busy {
        /// Which one.
        collector: String,
        /// Then anybody may take it.
        until: DateTime<Utc>,
    },
    /// Another collector visited it lately.
    Done {
        /// Which one.
        collector: String,
        /// When.
        at: DateTime<Utc>,
    },
}

/// The last visit of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visited {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Which collector's it was.
    pub collector: String,
    /// Why it failed, if it did.
    pub cause: Option<Cause>,
}

impl Visited {
    /// Whether it spares another collector its own. A host that one could not reach may be reached from elsewhere: a broken
    /// collector must not blind a healthy one. Who refuses or hangs would do so once more.
    fn serves_others(&self) -> bool {
        self.cause.is_none_or(|cause| cause.refuses() || cause.hangs())
    }
}

impl Claim {
    /// What a host's lease of another sweep (until when, and whose) and its last visit make of a claim by a collector that
    /// calls itself `ours`. A collector without a name is nobody's other.
    #[must_use]
    pub fn answer(&self, ours: &str, lease: Option<(DateTime<Utc>, String)>, visit: Option<Visited>) -> Leased {
        let is_other = |collector: &str| !collector.is_empty() && collector != ours;
        let visit = visit.filter(|it| is_other(&it.collector) && self.is_served_by(it.at) && it.serves_others());
        match (lease, visit) {
            // The visit is stored while its end is still under way: it needs no second one.
            (_, Some(Visited { at, collector, .. })) => Leased::Done { collector, at },
            (Some((until, collector)), _) if self.yields_to(until) => Leased::Busy { collector, until },
            _ => Leased::Ours,
        }
    }

    fn yields_to(&self, until: DateTime<Utc>) -> bool {
        until > self.now && until - self.now <= LONGEST_LEASE
    }

    /// It may have ended after `now`: whoever claims has waited for the store since.
    fn is_served_by(&self, at: DateTime<Utc>) -> bool {
        at > self.since && at - self.now <= LONGEST_LEASE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(cause: Cause) -> Outcome {
        Outcome::Failed { cause, text: String::new() }
    }

    #[test]
    fn strikes_add_up_over_what_was_no_turn_and_end_with_any_other_visit() {
        let mut strikes = Strikes::default();
        for (cause, count, refused) in [
            (Cause::Deadline, 1, false),
            (Cause::SweepDeadline, 1, false),
            (Cause::BackOff, 1, false),
            (Cause::Authentication, 2, true),
            (Cause::NoConsent, 2, true),
            (Cause::LocalSetup, 2, true),
            (Cause::Internal, 2, true),
            (Cause::Store, 2, true),
            (Cause::Handshake, 3, true),
            (Cause::Refused, 0, false),
            (Cause::Oversize, 1, true),
        ] {
            strikes = strikes.after(&failed(cause)).unwrap_or(strikes);
            assert_eq!(strikes, Strikes { count, refused }, "{cause}");
        }
        assert_eq!(strikes.after(&Outcome::Collected), Some(Strikes::default()));
    }

    #[test]
    fn a_lease_from_a_clock_that_was_set_back_holds_nobody_for_ever() {
        let at = |minutes| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        let claim = Claim { sweep: 1, now: at(100), until: at(101), since: at(95) };
        assert!(claim.yields_to(at(101)) && claim.yields_to(at(160)));
        assert!(!claim.yields_to(at(100)) && !claim.yields_to(at(161)));
        assert!(claim.is_served_by(at(96)) && !claim.is_served_by(at(95)));
        // Another was quicker while we waited for the store; what lies hours ahead was a clock's mistake.
        assert!(claim.is_served_by(at(101)) && !claim.is_served_by(at(161)));
    }
}
