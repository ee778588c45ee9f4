//! What a run knows of its logins, so that nobody is refused twice: who fails to get in is the last to try, and never do
//! many knock at one bastion at once.
//!
//! The first visitor of a bastion goes alone. Where it gets in, others follow, a few at a time, for sshd drops connections
//! beyond MaxStartups (10). Where it does not, all others of the run are told the same without trying: that costs no time,
//! and refused logins would have the bastion lock us out (PerSourcePenalties). A bastion that is visited for itself is
//! the same machine: its refusal holds for those behind it, and theirs for it.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::SshError;
use super::agent::Agents;
use super::jump::blame;
use crate::model::cause::Cause;
use crate::model::spec::{Hop, SshSpec};

/// Logins at one bastion at once, whoever logs in.
const AT_ONCE: usize = 8;

struct Door {
    /// The bastion, and those before it.
    way: Vec<Hop>,
    /// Whose door it is.
    machine: usize,
    inside: usize,
    /// Somebody got in.
    open: bool,
    /// How many in a row had no answer.
    silent: usize,
    /// Nobody is to try any more.
    shut: Option<(Cause, String)>,
}

/// In a row without an answer, though somebody got in before: then it is the bastion.
const SILENT: usize = 2;

/// What a login that came to nothing says of the bastion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing: it is a matter of this side, or the visitor's own time was short.
    Ours,
    /// One that is full drops a connection now and then, and a line breaks.
    Passing,
    /// No answer in all the time that a login may take.
    Silent,
    /// It would be the same for the next.
    Lasting,
}

impl Failure {
    /// `short`: the visitor had less time than a bastion has for a login, and used it up; `late`: it had all of that.
    pub(super) fn of(error: &SshError, short: bool, late: bool) -> Self {
        match error.cause {
            // Unless a connection was made for it: one that finds us without a usable key takes us for a scanner.
            Cause::LocalSetup if error.traffic.sent == 0 => Self::Ours,
            _ if short => Self::Ours,
            Cause::ConnectTimeout | Cause::Deadline | Cause::Dns => Self::Silent,
            Cause::Handshake if late => Self::Silent,
            Cause::Handshake | Cause::Jump | Cause::LocalSetup => Self::Passing,
            _ => Self::Lasting,
        }
    }
}

/// Where a way leads, whoever goes it: sshd counts the logins of all together.
struct Machine {
    /// Address and port of the bastion, and of those before it.
    at: Vec<(String, u16)>,
    inside: usize,
    doors: usize,
    /// For those who wait there, so that the others sleep on.
    news: Arc<Condvar>,
}

/// Who logs in where.
type Login = (String, u16, String);

fn login(spec: &SshSpec) -> Login {
    (spec.address.clone(), spec.port, spec.user.clone())
}

/// Whether a host is the last bastion of a way, reached and greeted in the same manner.
fn is_last(spec: &SshSpec, way: &[Hop]) -> bool {
    way.split_last().is_some_and(|(last, before)| {
        last.ssh.address == spec.address
            && before == spec.jumps
            && last.ssh == SshSpec { jumps: Vec::new(), ..spec.clone() }
    })
}

/// A visit of a host for itself, up to the end of its login.
struct Own {
    spec: SshSpec,
    /// Why it came to nothing; `None`: it is under way.
    failed: Option<(Cause, String)>,
}

#[derive(Default)]
struct Known {
    doors: Vec<Door>,
    machines: Vec<Machine>,
    own: HashMap<Login, Own>,
}

impl Known {
    /// The number of the door at the end of a way, made where it is new.
    fn door(&mut self, way: &[Hop]) -> usize {
        if let Some(number) = self.doors.iter().position(|door| door.way == way) {
            return number;
        }
        let at: Vec<(String, u16)> = way.iter().map(|hop| (hop.ssh.address.clone(), hop.ssh.port)).collect();
        let machine = self.machines.iter().position(|machine| machine.at == at).unwrap_or(self.machines.len());
        if machine == self.machines.len() {
            self.machines.push(Machine { at, inside: 0, doors: 0, news: Arc::default() });
        }
        self.machines[machine].doors += 1;
        self.doors.push(Door { way: way.to_vec(), machine, inside: 0, open: false, silent: 0, shut: None });
        self.doors.len() - 1
    }

    /// What those wait for who wait at a door.
    fn news(&self, number: usize) -> Arc<Condvar> {
        Arc::clone(&self.machines[self.doors[number].machine].news)
    }
}

/// The bastions of a run, and the agents that are asked for keys.
#[derive(Default)]
pub struct Bastions {
    known: Mutex<Known>,
    pub(super) agents: Agents,
}

impl Bastions {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one may log in at the last bastion of a way.
    pub(super) fn enter(&self, way: &[Hop], deadline: Instant) -> Result<Pass<'_>, SshError> {
        let to_it = |error: SshError| match way.last() {
            Some(hop) => blame(hop, error),
            None => error,
        };
        let its_login = way.last().map(|hop| login(&hop.ssh));
        let mut known = self.known();
        let number = known.door(way);
        let news = known.news(number);
        loop {
            let Known { doors, machines, own } = &mut *known;
            let door = &mut doors[number];
            let machine = &mut machines[door.machine];
            let own = its_login.as_ref().and_then(|login| own.get(login)).filter(|own| is_last(&own.spec, way));
            let most = match own {
                _ if door.open => AT_ONCE,
                None => 1,
                Some(Own { failed: Some(why), .. }) => {
                    door.shut.get_or_insert_with(|| why.clone());
                    0
                }
                // What comes of the visit is soon known.
                Some(Own { failed: None, .. }) => 0,
            };
            if let Some((cause, text)) = &door.shut {
                return Err(to_it(SshError::new(*cause, text.clone())));
            }
            if door.inside < most && machine.inside < AT_ONCE {
                door.inside += 1;
                machine.inside += 1;
                return Ok(Pass { bastions: self, number });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let name = way.last().map_or("", |hop| &hop.name);
                let text = format!("bastion {name}: others were still logging in there when the deadline passed");
                return Err(SshError::new(Cause::Jump, text));
            }
            known = news.wait_timeout(known, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until a host may be visited for itself: where it is a bastion too, not beside the first who tries to pass it.
    pub(super) fn knock(&self, spec: &SshSpec, deadline: Instant) -> Result<Knock<'_>, SshError> {
        let mut known = self.known();
        loop {
            let number = known.doors.iter().position(|door| is_last(spec, &door.way));
            let news = match number.map(|number| (&known.doors[number], number)) {
                Some((Door { shut: Some((cause, text)), .. }, _)) => return Err(SshError::new(*cause, text.clone())),
                Some((Door { open: false, inside: 1.., .. }, number)) => known.news(number),
                _ => {
                    known.own.insert(login(spec), Own { spec: spec.clone(), failed: None });
                    return Ok(Knock { bastions: self, login: login(spec) });
                }
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let text = "those behind this bastion were still logging in there when the deadline passed";
                return Err(SshError::new(Cause::Deadline, text));
            }
            known = news.wait_timeout(known, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The right to visit a host for itself; ends when it is dropped.
pub(super) struct Knock<'a> {
    bastions: &'a Bastions,
    login: Login,
}

impl Knock<'_> {
    /// Nobody is to try it again in this run, unless that says nothing of the host.
    pub(super) fn failed(self, error: &SshError, failure: Failure) {
        // What a bastion before it says is kept at that one's door.
        if failure == Failure::Ours || error.cause == Cause::Jump {
            return;
        }
        if let Some(own) = self.bastions.known().own.get_mut(&self.login) {
            own.failed = Some((error.cause, error.text.clone()));
        }
    }
}

impl Drop for Knock<'_> {
    fn drop(&mut self) {
        let mut known = self.bastions.known();
        let Known { doors, machines, own } = &mut *known;
        let Some(visit) = own.get(&self.login) else { return };
        // Most hosts are nobody's bastion.
        for door in doors.iter().filter(|door| is_last(&visit.spec, &door.way)) {
            machines[door.machine].news.notify_all();
        }
        if visit.failed.is_none() {
            own.remove(&self.login);
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
        let mut known = self.bastions.known();
        let door = &mut known.doors[self.number];
        door.silent = 0;
        if !std::mem::replace(&mut door.open, true) {
            known.news(self.number).notify_all();
        }
    }

    /// Those who know it open go on after a failure that may pass; one that let nobody in yet is not asked again.
    pub(super) fn refused(self, error: &SshError, failure: Failure) {
        let door = &mut self.bastions.known().doors[self.number];
        door.silent = if failure == Failure::Silent { door.silent + 1 } else { door.silent };
        let shut = match failure {
            Failure::Ours => false,
            Failure::Passing => !door.open,
            Failure::Silent => !door.open || door.silent >= SILENT,
            Failure::Lasting => true,
        };
        if shut {
            door.shut = Some((error.cause, error.text.clone()));
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut known = self.bastions.known();
        let Known { doors, machines, .. } = &mut *known;
        let door = &mut doors[self.number];
        let machine = &mut machines[door.machine];
        door.inside -= 1;
        machine.inside -= 1;
        // Who waits at an open door waits for a place, and this is one. Elsewhere each may wait for something else.
        if door.open && door.shut.is_none() && machine.doors == 1 {
            machine.news.notify_one();
        } else {
            machine.news.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
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
        bastions.enter(&[], Instant::now()).ok().unwrap().refused(&full("full"), Failure::Passing);
        assert_eq!(late(0), None, "it was open, and full for a moment");
        bastions.enter(&[], Instant::now()).ok().unwrap().refused(&full("dead"), Failure::Lasting);
        let error = bastions.enter(&[], Instant::now()).err().unwrap();
        assert_eq!((error.cause, error.text.as_str()), (Cause::Jump, "dead"));
    }

    fn spec(address: &str) -> SshSpec {
        SshSpec { address: address.into(), port: 22, user: "u".into(), ..SshSpec::default() }
    }

    /// As many as given go through, each by one of the ways; the most that were inside at once.
    fn crowd(bastions: &Bastions, ways: &[Vec<Hop>], count: usize) -> usize {
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (inside, most) = (&inside, &most);
        std::thread::scope(|scope| {
            for number in 0..count {
                scope.spawn(move || {
                    // Where nobody is woken, this is long over.
                    let pass = bastions.enter(&ways[number % ways.len()], Instant::now() + Duration::from_secs(60));
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(1));
                    inside.fetch_sub(1, Ordering::SeqCst);
                    pass.ok().unwrap().let_in();
                });
            }
        });
        most.load(Ordering::SeqCst)
    }

    #[test]
    fn a_machine_lets_a_few_in_at_once_whoever_they_are_and_everybody_gets_a_place() {
        let hop = |user: &str| Hop { name: "gate".into(), ssh: SshSpec { user: user.into(), ..spec("gate") } };
        let ways = [vec![hop("a")], vec![hop("b")], vec![hop("c")]];
        let begun = Instant::now();
        for ways in [&ways[..1], &ways] {
            let most = crowd(&Bastions::default(), ways, 60);
            assert!((1..=AT_ONCE).contains(&most), "{most} at once");
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "somebody slept until the deadline");
        // The same address beyond another bastion is another machine.
        let bastions = Bastions::default();
        let full: Vec<Pass<'_>> = (0..=AT_ONCE)
            .map(|_| bastions.enter(&ways[0], Instant::now()))
            .inspect(|pass| {
                if pass.is_ok() {
                    bastions.known().doors[0].open = true;
                }
            })
            .filter_map(Result::ok)
            .collect();
        assert_eq!(full.len(), AT_ONCE);
        assert!(bastions.enter(&ways[1], Instant::now()).is_err(), "as somebody else");
        let beyond = [Hop { name: "outer".into(), ssh: spec("outer") }, hop("a")];
        assert!(bastions.enter(&beyond, Instant::now()).is_ok());
    }

    #[test]
    fn a_bastion_refuses_once_whether_it_is_visited_or_passed() {
        let way = [Hop { name: "gate".into(), ssh: spec("gate") }];
        let soon = || Instant::now() + Duration::from_millis(20);
        let no = SshError::new(Cause::Authentication, "no");
        // Visited first: those behind it wait for what comes of that, and are told.
        let bastions = Bastions::default();
        let visit = bastions.knock(&way[0].ssh, soon()).ok().unwrap();
        assert_eq!(bastions.enter(&way, soon()).err().unwrap().cause, Cause::Jump, "too late");
        visit.failed(&no, Failure::Lasting);
        let error = bastions.enter(&way, soon()).err().unwrap();
        assert_eq!((error.cause, error.text.as_str()), (Cause::Jump, "bastion gate: authentication: no"));
        // Passed first: the visit waits, and is told.
        let bastions = Bastions::default();
        let pass = bastions.enter(&way, soon()).ok().unwrap();
        assert_eq!(bastions.knock(&way[0].ssh, soon()).err().unwrap().cause, Cause::Deadline);
        pass.refused(&no, Failure::Lasting);
        let error = bastions.knock(&way[0].ssh, soon()).err().unwrap();
        assert_eq!((error.cause, error.text.as_str()), (Cause::Authentication, "no"));
        // One that lets us in keeps nobody.
        let bastions = Bastions::default();
        drop(bastions.knock(&way[0].ssh, soon()).ok().unwrap());
        bastions.enter(&way, soon()).ok().unwrap().let_in();
        let visit = bastions.knock(&way[0].ssh, soon()).ok().unwrap();
        assert!(bastions.enter(&way, soon()).is_ok() && bastions.knock(&spec("other"), soon()).is_ok());
        drop(visit);
    }

    #[test]
    fn only_what_the_bastion_does_shuts_it() {
        let failed = |cause, short, late| Failure::of(&SshError::new(cause, "no"), short, late);
        for cause in [Cause::ConnectTimeout, Cause::Handshake, Cause::Deadline, Cause::Dns] {
            assert_eq!(failed(cause, true, false), Failure::Ours, "the visitor's own time: {cause}");
            assert_eq!(failed(cause, false, true), Failure::Silent, "{cause}");
        }
        assert_eq!(failed(Cause::Handshake, false, false), Failure::Passing);
        assert_eq!(failed(Cause::LocalSetup, false, false), Failure::Ours);
        for cause in [Cause::Authentication, Cause::HostKeyChanged, Cause::Refused, Cause::NoRoute] {
            assert_eq!(failed(cause, false, false), Failure::Lasting, "{cause}");
        }
        let way = [Hop { name: "gate".into(), ssh: spec("gate") }];
        let no = SshError::new(Cause::Handshake, "no");
        let bastions = Bastions::default();
        let enter = || bastions.enter(&way, Instant::now());
        let end = |failure| enter().ok().unwrap().refused(&no, failure);
        end(Failure::Ours);
        bastions.knock(&way[0].ssh, Instant::now()).ok().unwrap().failed(&no, Failure::Ours);
        enter().ok().unwrap().let_in();
        for _ in 0..3 {
            end(Failure::Silent);
            end(Failure::Ours);
            end(Failure::Passing);
            enter().ok().unwrap().let_in();
        }
        end(Failure::Silent);
        assert!(enter().is_ok(), "once may be chance");
        end(Failure::Silent);
        assert!(enter().is_err(), "twice in a row is not");
        for failure in [Failure::Silent, Failure::Passing, Failure::Lasting] {
            let bastions = Bastions::default();
            bastions.enter(&way, Instant::now()).ok().unwrap().refused(&no, failure);
            assert!(bastions.enter(&way, Instant::now()).is_err(), "it let nobody in yet: {failure:?}");
        }
    }
}
