//! The invariants of design/alerting.md over random stories: sweeps, outages, silences, routes with hours, services, a clock
//! that is set, a mail server in every mood, and a process that dies at every step. What must hold is reckoned here from the
//! rows and not by the engine, but for what excuses: that most of the fleet fails, that nobody collects and which servers are
//! lost is read of the engine's own states.
//!
//! `FLEET_SIM_CASES` sets how many stories are told (`make soak` tells many), `FLEET_SIM_SHRINK` how long a failing one is
//! made shorter (`make mutants` needs none of that).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::tests::{at, measured};
use super::*;
use crate::model::alert::{Ack, Event, Subject};
use crate::model::cause::Cause;
use crate::model::fleet::{Attempt, Outcome as Ended};
use crate::model::job::Traffic;
use crate::model::level::Level;
use crate::model::spec::FleetSpec;
use crate::store::memory::Memory;

pub(super) mod crash;
mod fleet;
mod invariants;
mod truth;

use crash::{Fate, Mortal, Server, Weather};
use fleet::{DISK, HOSTS, Hush, Kind, PROCESSOR, fleet, minute_of_day};

const DAY: i64 = 24 * 60;

/// What a host does in a sweep.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    /// Its disk has this share in use.
    Answers(f64),
    /// It answers without the item.
    Lacks,
    Fails,
    /// It is not visited.
    Absent,
}

#[derive(Clone)]
enum Step {
    Sweep(Vec<Does>),
    Run(Option<u32>),
    Weather(Weather),
    /// A host, or one of the two groups, for so many minutes.
    Silence(u8, i64),
    Ack(u8, bool),
    Wait(i64),
    /// The clock is so many minutes ahead from now on.
    Clock(i64),
}

/// A story that can be read when it fails: one line a step, one letter a host.
impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Debug of its own, but never over several lines.
        let word = |weather: &Weather| format!("{weather:?}");
        let letter = |does: &Does| match does {
            Does::Answers(value) if *value < 0.7 => '.',
            Does::Answers(value) if *value < 0.8 => '-',
            Does::Answers(value) if *value < 0.9 => 'w',
            Does::Answers(_) => 'C',
            Does::Lacks => 'l',
            Does::Fails => 'F',
            Does::Absent => ' ',
        };
        match self {
            Step::Sweep(all) => write!(f, "sweep {}", all.iter().map(letter).collect::<String>()),
            Step::Run(dies) => write!(f, "run {}", dies.map_or_else(String::new, |n| n.to_string())),
            Step::Weather(weather) => write!(f, "{}", word(weather)),
            Step::Silence(host, minutes) => write!(f, "silence {} {minutes}", Hush::names(*host).join(",")),
            Step::Ack(n, sticky) => write!(f, "ack {n} {sticky}"),
            Step::Wait(minutes) => write!(f, "wait {minutes}"),
            Step::Clock(minutes) => write!(f, "clock {minutes}"),
        }
    }
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        6 => Just(Does::Answers(0.5)),
        1 => Just(Does::Answers(0.75)),
        2 => Just(Does::Answers(0.85)),
        3 => Just(Does::Answers(0.95)),
        1 => Just(Does::Lacks),
        3 => Just(Does::Fails),
        2 => Just(Does::Absent),
    ]
}

fn weather() -> impl Strategy<Value = Weather> {
    prop_oneof![
        5 => Just(Weather::Up),
        2 => Just(Weather::Down),
        1 => Just(Weather::WrongPassword),
        2 => (0u8..3, any::<bool>()).prop_map(|(who, good)| Weather::Refuses(who, good)),
        1 => Just(Weather::Swallows),
        1 => Just(Weather::Drops),
        1 => Just(Weather::Narrow),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(does(), HOSTS.len()).prop_map(Step::Sweep),
        5 => prop::option::of(0u32..40).prop_map(Step::Run),
        4 => Just(Step::Run(None)),
        2 => weather().prop_map(Step::Weather),
        1 => (0u8..12, 1i64..60).prop_map(|(whom, minutes)| Step::Silence(whom, minutes)),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(n, sticky)| Step::Ack(n, sticky)),
        1 => (1i64..240).prop_map(Step::Wait),
        1 => clock().prop_map(Step::Clock),
    ]
}

/// Right, an hour or ten years ahead, an hour or a day behind.
fn clock() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0), 2 => Just(60), 2 => Just(10 * 365 * DAY), 1 => Just(-60), 1 => Just(-DAY)]
}

type Who = (String, String);

/// What the story knows by itself.
struct Story {
    spec: FleetSpec,
    store: Mortal,
    server: Server,
    fate: Arc<Fate>,
    kind: Kind,
    /// By a clock that is right.
    minute: i64,
    /// How far the one that everybody looks at is ahead.
    ahead: i64,
    /// Whether it was ever set back.
    set_back: bool,
    /// Hosts that did not answer with their disk since it was, and a run came to its end after that.
    unsettled: BTreeSet<String>,
    /// Whether a run came to its end since.
    armed: bool,
    /// What each host did in its visits since it is settled.
    visited: BTreeMap<String, Vec<Does>>,
    sequence: u64,
    sweep: i64,
    /// The last visit of each host, and whether it failed.
    visits: BTreeMap<String, (DateTime<Utc>, bool)>,
    failures: BTreeMap<String, DateTime<Utc>>,
    /// The last sample that had the item, with its value.
    samples: BTreeMap<String, (DateTime<Utc>, f64)>,
    /// The newest sample of each host, with its processor.
    processors: BTreeMap<String, (DateTime<Utc>, f64)>,
    /// When the last sweep began.
    swept: Option<DateTime<Utc>>,
    silences: Vec<Hush>,
    /// What each recipient was last told of each subject, by what the server accepted.
    known: BTreeMap<(Who, Subject), Level>,
    /// How many of the accepted mails are in `known`.
    read: usize,
    highest: BTreeMap<Who, i64>,
    ids: BTreeSet<(Who, String)>,
    /// What each recipient was told of in a mail of its own, and what in a summary.
    told: BTreeSet<(Who, i64)>,
    summed: BTreeSet<(Who, i64)>,
    /// What mails told that perhaps arrived and were given up.
    doubts: BTreeSet<(Who, Subject)>,
    lasts: BTreeMap<Subject, DateTime<Utc>>,
}

fn disk_of(host: &str) -> Subject {
    Subject { host: host.to_owned(), rule: DISK.to_owned(), item: "/".to_owned() }
}

impl Story {
    fn new(kind: Kind) -> Self {
        let fate = Arc::new(Fate::default());
        let server = Server {
            fate: Arc::clone(&fate),
            weather: Weather::Up,
            accepted: Vec::new(),
            seen: BTreeMap::new(),
            trouble: Vec::new(),
        };
        let store = Mortal {
            inner: Memory::default(),
            fate: Arc::clone(&fate),
            plans: RefCell::default(),
            read: Cell::default(),
        };
        Self {
            spec: fleet(kind.routes),
            store,
            server,
            fate,
            kind,
            minute: 0,
            ahead: 0,
            set_back: false,
            unsettled: BTreeSet::new(),
            armed: true,
            visited: BTreeMap::new(),
            sequence: 0,
            sweep: 0,
            visits: BTreeMap::new(),
            failures: BTreeMap::new(),
            samples: BTreeMap::new(),
            processors: BTreeMap::new(),
            swept: None,
            silences: Vec::new(),
            known: BTreeMap::new(),
            read: 0,
            highest: BTreeMap::new(),
            ids: BTreeSet::new(),
            told: BTreeSet::new(),
            summed: BTreeSet::new(),
            doubts: BTreeSet::new(),
            lasts: BTreeMap::new(),
        }
    }

    fn now(&self) -> DateTime<Utc> {
        at(self.minute + self.ahead)
    }

    fn sweep(&mut self, all: &[Does]) {
        self.minute += 5;
        let now = self.now();
        let store = &mut self.store.inner;
        self.sweep = store.begin_sweep(now, 8).unwrap();
        self.swept = Some(now);
        for (n, (&host, &does)) in HOSTS.iter().zip(all).enumerate() {
            let taken = now + TimeDelta::seconds(n as i64);
            let outcome = match does {
                Does::Absent => continue,
                Does::Fails => Ended::Failed { cause: Cause::ConnectTimeout, text: "no".into() },
                Does::Answers(_) | Does::Lacks => Ended::Collected,
            };
            let failed = outcome != Ended::Collected;
            let attempt = Attempt {
                host: host.into(),
                at: taken,
                took: Default::default(),
                outcome,
                traffic: Traffic::default(),
            };
            let mut samples = Vec::new();
            if !failed {
                self.sequence += 1;
                let value = if let Does::Answers(value) = does { value } else { 0.1 };
                let item = if does == Does::Lacks { "/other" } else { "/" };
                let readings = [(DISK, item, value), (PROCESSOR, "", value)];
                samples.push(measured(host, ("b", self.sequence), taken, &readings));
                self.processors.insert(host.to_owned(), (taken, value));
                if does != Does::Lacks {
                    self.samples.insert(host.to_owned(), (taken, value));
                }
            } else {
                self.failures.insert(host.to_owned(), taken);
            }
            self.visits.insert(host.to_owned(), (taken, failed));
            if self.armed {
                if let Does::Answers(_) = does {
                    self.unsettled.remove(host);
                }
                self.visited.entry(host.to_owned()).or_default().push(does);
            }
            store.record(self.sweep, &attempt, &samples).unwrap();
        }
        store.end_sweep(self.sweep, now + TimeDelta::seconds(20), 0).unwrap();
        self.minute += 1;
    }

    fn run(&mut self, dies: Option<u32>) -> std::result::Result<Option<Report>, TestCaseError> {
        let now = self.now();
        self.store.plans.borrow_mut().clear();
        self.store.read.set(0);
        let load = self.load();
        self.fate.set(dies);
        let accepted = self.server.accepted.len();
        let spec = self.spec.clone();
        let done = turn(&mut self.store, &spec, &mut self.server, &|| now, now + TimeDelta::minutes(5), false);
        let died = self.fate.dead();
        self.fate.set(None);
        prop_assert!(died || done.is_ok(), "{:?}", done.err());
        prop_assert!(self.server.trouble.is_empty(), "{:?}", self.server.trouble);
        self.in_proportion(load)?;
        self.planned()?;
        // I3: accepted mails after any outage within twice the cap.
        let mut counts: BTreeMap<Who, usize> = BTreeMap::new();
        for mail in &self.server.accepted[accepted..] {
            *counts.entry((mail.destination.clone(), mail.recipient.clone())).or_default() += 1;
        }
        prop_assert!(counts.values().all(|count| *count <= 6), "I3: accepted {counts:?}");
        self.heard()?;
        self.true_states()?;
        if done.is_ok() {
            self.armed = true;
            self.rows_are_true()?;
            self.services_are_true()?;
        }
        Ok(done.ok())
    }

    /// The clock is set: what lies in the future now is taken to be of a moment ago.
    fn set(&mut self, ahead: i64) {
        if ahead < self.ahead {
            (self.set_back, self.armed) = (true, false);
            self.unsettled = HOSTS.map(str::to_owned).into();
            self.visited.clear();
            self.lasts.clear();
        }
        self.ahead = ahead;
        let now = self.now();
        let right = |at: &mut DateTime<Utc>| {
            if *at > now + TimeDelta::minutes(5) {
                *at = now - TimeDelta::minutes(5);
            }
        };
        self.visits.values_mut().for_each(|(at, _)| right(at));
        self.failures.values_mut().for_each(right);
        self.samples.values_mut().for_each(|(at, _)| right(at));
    }

    fn play(&mut self, step: &Step) -> std::result::Result<(), TestCaseError> {
        match step {
            Step::Sweep(all) => self.sweep(all),
            Step::Wait(minutes) => self.minute += minutes,
            Step::Weather(weather) => self.server.weather = *weather,
            Step::Silence(whom, minutes) => {
                let hush = Hush::new(*whom, self.now(), *minutes);
                self.store.inner.add_silence(&hush.silence()).unwrap();
                self.silences.push(hush);
            }
            Step::Clock(ahead) if self.kind.clock => self.set(*ahead),
            Step::Clock(_) => {}
            Step::Ack(n, sticky) => {
                let open = self.store.inner.open_incidents().unwrap();
                if let Some(incident) = open.get(usize::from(*n) % open.len().max(1)) {
                    let (id, level, now) = (incident.id, incident.level, self.now());
                    let ack = Ack {
                        incident: id,
                        by: "sim".into(),
                        at: now,
                        until: None,
                        sticky: *sticky,
                        level,
                        note: String::new(),
                    };
                    let event = Event { incident: id, at: now, level, value: 0.0, text: "taken".into() };
                    self.store.inner.acknowledge(&ack, &event).unwrap();
                }
            }
            Step::Run(dies) => {
                let report = self.run(*dies)?;
                if self.server.weather == Weather::Up && report.is_some() {
                    self.told_is_true()?;
                    if self.store.inner.queued().unwrap().is_empty() {
                        // I12: a second run at once has nothing to say.
                        let again = self.run(None)?.unwrap();
                        prop_assert!(
                            again.mails.is_empty() && again.sent == 0,
                            "I12: {:?}",
                            again.mails.iter().map(|mail| &mail.tells).collect::<Vec<_>>()
                        );
                    }
                }
                self.minute += 1;
            }
        }
        Ok(())
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    // Most with an ordinary clock: more can be asked of them.
    (any::<bool>(), 0u8..3).prop_map(|(routes, clock)| Kind { routes, clock: clock == 0 })
}

fn number(name: &str, usual: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: number("FLEET_SIM_CASES", 1000), failure_persistence: None, max_shrink_iters: number("FLEET_SIM_SHRINK", 2000), ..ProptestConfig::default() })]
    #[test]
    fn every_story_keeps_the_invariants(kind in kind(), steps in prop::collection::vec(step(), 4..40)) {
        let mut story = Story::new(kind);
        // Summaries reach back to the very first run.
        story.run(None)?;
        for step in &steps {
            story.play(step)?;
        }
        // In the end clock and server work and every route is open; after a while nothing is left over.
        story.server.weather = Weather::Up;
        story.set(0);
        if story.kind.routes {
            story.minute += (23 * 60 + 10 - minute_of_day(story.now())).rem_euclid(DAY);
        }
        for _ in 0..3 {
            story.minute += 31;
            story.run(None)?;
        }
        story.told_is_true()?;
        story.nothing_waits()?;
        story.same_as_one_pass()?;
        // The server is away as the summary of the day is to go out.
        for weather in [Weather::Down, Weather::Up, Weather::Up, Weather::Up] {
            story.server.weather = weather;
            story.minute += DAY + 60;
            story.run(None)?;
        }
        // Each mailbox that refused had its day of rest by now.
        story.told_is_true()?;
        story.nothing_is_unseen()?;
    }
}
