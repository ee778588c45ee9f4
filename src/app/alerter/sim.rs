//! The invariants of design/alerting.md over random stories: sweeps, outages, silences, a mail server in every mood, and
//! a process that dies at every step. What must hold is reckoned here from the rows alone, not by the engine.
//!
//! `FLEET_SIM_CASES` sets how many stories are told (`make soak` tells many), `FLEET_SIM_SHRINK` how long a failing one is
//! made shorter (`make mutants` needs none of that).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::tests::at;
use super::*;
use crate::model::alert::{Ack, Event, Subject};
use crate::model::cause::Cause;
use crate::model::fleet::{Attempt, Outcome as Ended};
use crate::model::job::Traffic;
use crate::model::level::Level;
use crate::model::sample::{Reading, Sample, SampleKey};
use crate::model::silence::{Scope, Silence, When};
use crate::model::spec::{ChannelSpec, DestinationSpec, FleetSpec, HostSpec};
use crate::store::memory::Memory;

pub(super) mod crash;
mod invariants;

use crash::{Fate, Mortal, Server, Weather};

/// The gateway stands in the middle: some of its children are visited before it, some after it.
const HOSTS: [&str; 8] = ["a1", "a2", "gw", "a3", "b1", "b2", "b3", "b4"];
const CHILDREN: [&str; 3] = ["a1", "a2", "a3"];
const DISK: &str = "filesystem.used";

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
    Silence(u8, i64),
    Ack(u8, bool),
    Wait(i64),
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
            Step::Silence(host, minutes) => write!(f, "silence {} {minutes}", HOSTS[usize::from(*host) % 8]),
            Step::Ack(n, sticky) => write!(f, "ack {n} {sticky}"),
            Step::Wait(minutes) => write!(f, "wait {minutes}"),
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
        1 => (0u8..8, 1i64..60).prop_map(|(host, minutes)| Step::Silence(host, minutes)),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(n, sticky)| Step::Ack(n, sticky)),
        1 => (1i64..240).prop_map(Step::Wait),
    ]
}

fn fleet() -> FleetSpec {
    let mut spec = super::tests::spec(1, &[]);
    let host = spec.hosts[0].clone();
    spec.hosts = HOSTS
        .iter()
        .map(|&name| {
            let parents = if CHILDREN.contains(&name) { vec!["gw".to_owned()] } else { Vec::new() };
            HostSpec { name: name.to_owned(), parents, ..host.clone() }
        })
        .collect();
    let to = |name: &str, all: &[&str]| DestinationSpec {
        name: name.to_owned(),
        channel: ChannelSpec::Mail(all.iter().map(|&one| one.to_owned()).collect()),
    };
    spec.alerts.destinations = vec![to("ops", &["a@example.net", "b@example.net"]), to("dba", &["c@example.net"])];
    spec
}

type Who = (String, String);

/// What the story knows by itself.
struct Story {
    spec: FleetSpec,
    store: Mortal,
    server: Server,
    fate: Arc<Fate>,
    minute: i64,
    sequence: u64,
    sweep: i64,
    /// The last visit of each host, and whether it failed.
    visits: BTreeMap<String, (DateTime<Utc>, bool)>,
    failures: BTreeMap<String, DateTime<Utc>>,
    /// The last sample that had the item, with its value.
    samples: BTreeMap<String, (DateTime<Utc>, f64)>,
    silences: Vec<(String, DateTime<Utc>, DateTime<Utc>)>,
    /// What each recipient was last told of each subject, by what the server accepted.
    known: BTreeMap<(Who, Subject), Level>,
    /// How many of the accepted mails are in `known`.
    read: usize,
    highest: BTreeMap<Who, i64>,
    ids: BTreeSet<(Who, String)>,
    lasts: BTreeMap<Subject, DateTime<Utc>>,
}

fn disk_of(host: &str) -> Subject {
    Subject { host: host.to_owned(), rule: DISK.to_owned(), item: "/".to_owned() }
}

impl Story {
    fn new() -> Self {
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
            spec: fleet(),
            store,
            server,
            fate,
            minute: 0,
            sequence: 0,
            sweep: 0,
            visits: BTreeMap::new(),
            failures: BTreeMap::new(),
            samples: BTreeMap::new(),
            silences: Vec::new(),
            known: BTreeMap::new(),
            read: 0,
            highest: BTreeMap::new(),
            ids: BTreeSet::new(),
            lasts: BTreeMap::new(),
        }
    }

    fn now(&self) -> DateTime<Utc> {
        at(self.minute)
    }

    fn sweep(&mut self, all: &[Does]) {
        self.minute += 5;
        let store = &mut self.store.inner;
        self.sweep = store.begin_sweep(at(self.minute), 8).unwrap();
        for (n, (&host, &does)) in HOSTS.iter().zip(all).enumerate() {
            let taken = at(self.minute) + TimeDelta::seconds(n as i64);
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
                samples.push(Sample {
                    facts: Vec::new(),
                    top: Vec::new(),
                    key: SampleKey { boot: "b".into(), sequence: self.sequence },
                    taken,
                    hostname: host.into(),
                    probe: "1".into(),
                    readings: vec![Reading { metric: DISK.into(), item: item.into(), value }],
                    faults: Vec::new(),
                });
                if does != Does::Lacks {
                    self.samples.insert(host.to_owned(), (taken, value));
                }
            } else {
                self.failures.insert(host.to_owned(), taken);
            }
            self.visits.insert(host.to_owned(), (taken, failed));
            store.record(self.sweep, &attempt, &samples).unwrap();
        }
        store.end_sweep(self.sweep, at(self.minute) + TimeDelta::seconds(20), 0).unwrap();
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
        Ok(done.ok())
    }

    fn play(&mut self, step: &Step) -> std::result::Result<(), TestCaseError> {
        match step {
            Step::Sweep(all) => self.sweep(all),
            Step::Wait(minutes) => self.minute += minutes,
            Step::Weather(weather) => self.server.weather = *weather,
            Step::Silence(host, minutes) => {
                let host = HOSTS[usize::from(*host) % HOSTS.len()].to_owned();
                let (from, until) = (self.now(), at(self.minute + minutes));
                let silence = Silence {
                    id: 0,
                    scope: Scope { hosts: vec![host.clone()], ..Scope::default() },
                    when: When::Once { from, until },
                    by: "sim".into(),
                    reason: String::new(),
                    created: from,
                    ended: None,
                };
                self.store.inner.add_silence(&silence).unwrap();
                self.silences.push((host, from, until));
            }
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

fn number(name: &str, usual: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: number("FLEET_SIM_CASES", 1000), failure_persistence: None, max_shrink_iters: number("FLEET_SIM_SHRINK", 2000), ..ProptestConfig::default() })]
    #[test]
    fn every_story_keeps_the_invariants(steps in prop::collection::vec(step(), 4..40)) {
        let mut story = Story::new();
        for step in &steps {
            story.play(step)?;
        }
        // In the end the server works, and after a day nothing is left over.
        story.server.weather = Weather::Up;
        for _ in 0..3 {
            story.minute += 31;
            story.run(None)?;
        }
        story.told_is_true()?;
        story.same_as_one_pass()?;
    }
}
