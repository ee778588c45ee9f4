//! The fleet at one moment, as tables, the screen and the dashboard show it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::alert::{Ack, Incident};
use super::cause::Cause;
use super::fleet::{Attempt, Outcome};
use super::level::Level;
use super::natural::Natural;
use super::own_rule::UNREACHABLE;
use super::sample::Reading;

/// What every view shows of a host, so that a snapshot always has it; a filter may ask for more.
pub const KEY_METRICS: &[&str] = &[
    "cpu.used",
    "cpu.count",
    "memory.used",
    "memory.total",
    "swap.used",
    "load.1m",
    "load.per-core",
    "filesystem.used",
    "uptime",
    "check.ok",
    "check.unknown",
    "unit.memory",
    "process.watched.memory",
    "reboot.required",
    "update.security",
];

/// How good what is known of a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The last attempt brought a sample, and it is not old.
    Fresh,
    /// What is known is old: no attempt was made since, the collector does not run or leaves the host out.
    Stale,
    /// The last attempt failed; what is known is from before.
    Failed,
    /// Nothing ever arrived, and nothing was tried.
    Never,
}

impl State {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Fresh, Self::Stale, Self::Failed, Self::Never];

    /// `fresh`, `stale`, `failed`, `never`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Failed => "failed",
            Self::Never => "never",
        }
    }
}

/// An open problem, and what people did about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// It.
    pub incident: Incident,
    /// Who took it, while that holds.
    pub ack: Option<Ack>,
    /// The silence over it now: its end, and who made it and why.
    pub silenced: Option<(DateTime<Utc>, String)>,
}

impl Problem {
    /// `CRIT: /var is 91% full (taken by anna)`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut notes: Vec<String> = Vec::new();
        notes.extend(self.ack.as_ref().map(|ack| format!("taken by {}", ack.by)));
        let until = self.silenced.as_ref().map(|(until, _)| until.format("%Y-%m-%d %H:%M"));
        notes.extend(until.map(|until| format!("silenced until {until} UTC")));
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
        format!("{}: {}{notes}", self.incident.level.tag(), self.incident.text)
    }
}

/// Over what a server does not serve well, whatever its checks say. In shares, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// `cpu.used`.
    pub cpu: f64,
    /// `memory.used`.
    pub memory: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cpu: 0.9, memory: 0.9 }
    }
}

/// How a service fares on one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// The server answers, has processor and memory to give, and no check of the service fails.
    Healthy,
    /// Nothing was ever collected, or a check could not tell.
    Unknown,
    /// Something is wrong.
    Unhealthy,
}

impl Health {
    /// Every one, the worst last.
    pub const ALL: &'static [Self] = &[Self::Healthy, Self::Unknown, Self::Unhealthy];

    /// `healthy`, `unknown`, `unhealthy`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unknown => "unknown",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// A service on one server.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceRow {
    /// The service.
    pub name: String,
    /// How it fares.
    pub health: Health,
    /// Why it is not healthy, a few words each.
    pub why: Vec<String>,
    /// Fewer healthy servers than this make the service unhealthy, where the configuration says so.
    pub min_healthy: Option<u32>,
    /// Memory of its own unit or processes, in bytes, where a check tells.
    pub memory: Option<f64>,
}

/// One host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostRow {
    /// Its name in the configuration.
    pub name: String,
    /// Outermost first.
    pub groups: Vec<String>,
    /// Name and value.
    pub labels: BTreeMap<String, String>,
    /// The worst of its open problems; at least a warning where it fails or is stale; `None`: nothing is known yet.
    pub level: Option<Level>,
    /// How good what follows is.
    pub state: State,
    /// The last attempt.
    pub attempt: Option<Attempt>,
    /// When the newest sample arrived.
    pub received: Option<DateTime<Utc>>,
    /// Seconds since then, never negative.
    pub age: Option<f64>,
    /// What the host calls itself, from its sample.
    pub hostname: String,
    /// Of the newest sample: [`KEY_METRICS`], and what else was asked for, counters as their rates.
    pub readings: Vec<Reading>,
    /// Open ones, worst first.
    pub problems: Vec<Problem>,
    /// What the configuration says it serves.
    pub services: Vec<ServiceRow>,
}

impl HostRow {
    /// The value of a metric that has no items.
    #[must_use]
    pub fn value(&self, metric: &str) -> Option<f64> {
        self.values(metric).find(|(item, _)| item.is_empty()).map(|(_, value)| value)
    }

    /// The items of a metric with their values.
    pub fn values<'a>(&'a self, metric: &'a str) -> impl Iterator<Item = (&'a str, f64)> + 'a {
        self.readings.iter().filter(move |it| it.metric == metric).map(|it| (it.item.as_str(), it.value))
    }

    /// The filesystem that is used most.
    #[must_use]
    pub fn fullest(&self) -> Option<(&str, f64)> {
        self.values("filesystem.used").max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Why the last attempt failed, with what was said about it.
    #[must_use]
    pub fn failure(&self) -> Option<(Cause, &str)> {
        match &self.attempt.as_ref()?.outcome {
            Outcome::Collected => None,
            Outcome::Failed { cause, text } => Some((*cause, text)),
        }
    }

    /// As [`HostRow::failure`], unless an open problem says the same in its text already.
    #[must_use]
    pub fn untold(&self) -> Option<(Cause, &str)> {
        let says =
            |it: &Problem, text: &str| it.incident.subject.rule == UNREACHABLE && it.incident.text.contains(text);
        self.failure().filter(|(_, text)| text.is_empty() || !self.problems.iter().any(|it| says(it, text)))
    }

    /// What is wrong with it, a sentence each; the first says most.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut all = Vec::new();
        if let Some((cause, text)) = self.untold() {
            let said = if text.is_empty() { String::new() } else { format!("{text}; ") };
            all.push(format!("{}: {said}{}", cause.word(), cause.remedy().replace("HOST", &self.name)));
        }
        all.extend(self.problems.iter().map(Problem::sentence));
        match self.state {
            State::Never => all.push(format!("never collected; try: fleet hosts test {}", self.name)),
            State::Stale => all.push("stale: nothing was collected since; see: fleet health".to_owned()),
            State::Fresh | State::Failed => {}
        }
        all
    }

    /// Worst first, then by name: what was never collected stands before what is well, somebody is waiting for it.
    #[must_use]
    pub fn order(&self) -> (Reverse<u8>, Natural<'_>) {
        (Reverse(rank(self.level)), Natural(&self.name))
    }
}

/// 0 ok, 1 nothing known, 2 warning, 3 critical.
#[must_use]
pub fn rank(level: Option<Level>) -> u8 {
    level.map_or(1, |level| if level == Level::Ok { 0 } else { level.number() + 1 })
}

/// How many of these hosts are critical, at warning, not known yet, and well.
#[must_use]
pub fn counts<'a>(hosts: impl IntoIterator<Item = &'a HostRow>) -> [usize; 4] {
    let mut counts = [0; 4];
    for host in hosts {
        counts[3 - usize::from(rank(host.level).min(3))] += 1;
    }
    counts
}

/// A service over all its servers.
#[derive(Clone, Debug, PartialEq)]
pub struct Service<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its servers, worst first, each with the service on it.
    pub servers: Vec<(&'a HostRow, &'a ServiceRow)>,
    /// How many are healthy.
    pub healthy: usize,
    /// The least that the configuration wants; `None` where it does not say.
    pub min_healthy: Option<u32>,
    /// Mean of the servers that answered.
    pub cpu: Option<f64>,
    /// As `cpu`.
    pub memory: Option<f64>,
}

impl Service<'_> {
    /// How many healthy servers it must have: what the configuration says, otherwise two.
    #[must_use]
    pub fn wanted(&self) -> u32 {
        self.min_healthy.unwrap_or(2)
    }

    /// Critical without any healthy server, a warning with too few.
    #[must_use]
    pub fn level(&self) -> Level {
        match self.healthy {
            enough if enough as u64 >= u64::from(self.wanted()) => Level::Ok,
            0 => Level::Critical,
            _ => Level::Warning,
        }
    }
}

/// The fleet at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The moment.
    pub now: DateTime<Utc>,
    /// Between two sweeps.
    pub interval: Duration,
    /// Worst first.
    pub hosts: Vec<HostRow>,
    /// Open problems of no host: the fleet's own.
    pub fleet: Vec<Problem>,
}

impl Snapshot {
    /// A host by its name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&HostRow> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// All hosts by their names, for whoever asks for many.
    #[must_use]
    pub fn by_name(&self) -> HashMap<&str, &HostRow> {
        self.hosts.iter().map(|host| (host.name.as_str(), host)).collect()
    }

    /// How many hosts are critical, at warning, not known yet, and well.
    #[must_use]
    pub fn counts(&self) -> [usize; 4] {
        let count = |wanted: u8| self.hosts.iter().filter(|host| rank(host.level) == wanted).count();
        [count(3), count(2), count(1), count(0)]
    }

    /// The services of these hosts, the worst first, then by name.
    #[must_use]
    pub fn services<'a>(hosts: impl IntoIterator<Item = &'a HostRow>) -> Vec<Service<'a>> {
        let mut found: BTreeMap<&str, Vec<(&HostRow, &ServiceRow)>> = BTreeMap::new();
        for host in hosts {
            for service in &host.services {
                found.entry(&service.name).or_default().push((host, service));
            }
        }
        let mut list: Vec<Service<'a>> = found.into_iter().map(|(name, servers)| summed(name, servers)).collect();
        list.sort_by_key(|service| (Reverse(service.level()), Natural(service.name)));
        list
    }
}

fn summed<'a>(name: &'a str, mut servers: Vec<(&'a HostRow, &'a ServiceRow)>) -> Service<'a> {
    servers.sort_by_key(|(host, service)| (Reverse(service.health), host.order()));
    let mean = |metric: &str| {
        let answered = servers.iter().filter(|(host, _)| host.state == State::Fresh);
        let values: Vec<f64> = answered.filter_map(|(host, _)| host.value(metric)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    Service {
        name,
        healthy: servers.iter().filter(|(_, service)| service.health == Health::Healthy).count(),
        min_healthy: servers.iter().filter_map(|(_, service)| service.min_healthy).max(),
        cpu: mean("cpu.used"),
        memory: mean("memory.used"),
        servers,
    }
}
