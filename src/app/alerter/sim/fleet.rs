//! The fleet of the stories: two groups, a gateway, a service; who is told what and when, and what is silenced.

use chrono::{DateTime, TimeDelta, Timelike, Utc};

use super::{Story, Who};
use crate::alert::words::{SERVICE_HEALTHY, UNDELIVERABLE};
use crate::model::alert::Subject;
use crate::model::catalogue;
use crate::model::rule::RuleKind;
use crate::model::service::ServiceSpec;
use crate::model::silence::{Calendar, Scope, Silence, When};
use crate::model::spec::{ChannelSpec, DestinationSpec, FleetSpec, HostSpec, RouteSpec, RuleSpec};

/// The gateway stands in the middle: some of its children are visited before it, some after it.
pub const HOSTS: [&str; 8] = ["a1", "a2", "gw", "a3", "b1", "b2", "b3", "b4"];
pub const CHILDREN: [&str; 3] = ["a1", "a2", "a3"];
pub const DISK: &str = "filesystem.used";
pub const PROCESSOR: &str = "cpu.used";
pub const SERVICE: &str = "shop";
pub const SERVERS: [&str; 3] = ["b1", "b2", "b3"];
/// Of so many servers.
pub const WANTED: u32 = 2;
/// The mean of the processor over the servers.
pub const MEAN: &str = "cpu.used.average";

/// What a story is like.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What is of group `b` goes to `dba` too, and nothing else does; that at night only.
    pub routes: bool,
    /// The clock is set now and then.
    pub clock: bool,
}

pub fn group(host: &str) -> &'static str {
    if host.starts_with('b') { "b" } else { "a" }
}

pub fn fleet(routes: bool) -> FleetSpec {
    let mut spec = super::super::tests::spec(1, &[]);
    let host = spec.hosts[0].clone();
    let mean = RuleSpec {
        items: vec![SERVICE.into()],
        warning: Some(0.6),
        ..RuleSpec::new(catalogue::find(PROCESSOR).unwrap(), RuleKind::Average)
    };
    assert_eq!(mean.name, MEAN);
    let made = HOSTS.map(|name| {
        let mut made = HostSpec { name: name.to_owned(), groups: vec![group(name).to_owned()], ..host.clone() };
        if CHILDREN.contains(&name) {
            made.parents = vec!["gw".to_owned()];
        }
        if SERVERS.contains(&name) {
            made.rules = made.rules.iter().chain([&mean]).cloned().collect::<Vec<_>>().into();
            let shop = ServiceSpec { name: SERVICE.into(), min_healthy: Some(WANTED), ..ServiceSpec::default() };
            made.services.push(shop);
        }
        made
    });
    spec.hosts = made.into();
    let to = |name: &str, all: &[&str]| DestinationSpec {
        name: name.to_owned(),
        channel: ChannelSpec::Mail(all.iter().map(|&one| one.to_owned()).collect()),
    };
    spec.alerts.destinations = vec![to("ops", &["a@example.net", "b@example.net"]), to("dba", &["c@example.net"])];
    if routes {
        let night = Calendar { days: 127, from: 23 * 60, until: 60, zone: "UTC".into() };
        let route = |to: &str| RouteSpec { to: vec![to.into()], ..RouteSpec::default() };
        spec.alerts.routes = vec![
            RouteSpec { groups: vec!["b".into()], hours: Some(night), goes_on: true, ..route("dba") },
            route("ops"),
        ];
    }
    spec
}

pub fn minute_of_day(at: DateTime<Utc>) -> i64 {
    i64::from(at.hour() * 60 + at.minute())
}

/// Whether a subject is judged of the service.
pub fn of_service(subject: &Subject) -> bool {
    subject.host.is_empty() && [SERVICE_HEALTHY, MEAN].contains(&subject.rule.as_str())
}

impl Story {
    /// Whether a recipient hears of a subject: never, or only at other hours (`Some(false)`), or now.
    pub(super) fn ear(&self, who: &Who, subject: &Subject) -> Option<bool> {
        // That somebody gets nothing goes to whoever gets something.
        if !self.kind.routes || who.0 == "ops" || subject.rule == UNDELIVERABLE {
            return Some(true);
        }
        let minute = minute_of_day(self.now());
        let ours = of_service(subject) || subject.host.starts_with('b');
        ours.then_some(!(60..23 * 60).contains(&minute))
    }

    /// Whether a silence covers a subject now: of the service one over all of its servers.
    pub(super) fn silent(&self, subject: &Subject) -> bool {
        let now = self.now();
        let holds = |host: &str| {
            let mut holding = self.silences.iter().filter(|hush| hush.from <= now && now < hush.until);
            holding.any(|hush| hush.hosts.contains(&host))
        };
        if of_service(subject) { SERVERS.into_iter().all(holds) } else { holds(&subject.host) }
    }

    /// Whether one ever covered any of it.
    pub(super) fn was_silent(&self, subject: &Subject) -> bool {
        let covers = |host: &str| self.silences.iter().any(|hush| hush.hosts.contains(&host));
        if of_service(subject) { SERVERS.into_iter().any(covers) } else { covers(&subject.host) }
    }
}

/// A silence over a host or a group.
pub struct Hush {
    scope: Scope,
    pub hosts: Vec<&'static str>,
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

impl Hush {
    pub fn names(whom: u8) -> Vec<&'static str> {
        match HOSTS.get(usize::from(whom)) {
            Some(host) => vec![host],
            None => HOSTS.into_iter().filter(|host| group(host) == Self::group(whom)).collect(),
        }
    }

    fn group(whom: u8) -> &'static str {
        if whom.is_multiple_of(2) { "a" } else { "b" }
    }

    pub fn new(whom: u8, from: DateTime<Utc>, minutes: i64) -> Self {
        let hosts = Self::names(whom);
        let scope = match &hosts[..] {
            [one] => Scope { hosts: vec![(*one).to_owned()], ..Scope::default() },
            _ => Scope { groups: vec![Self::group(whom).to_owned()], ..Scope::default() },
        };
        Self { scope, hosts, from, until: from + TimeDelta::minutes(minutes) }
    }

    pub fn silence(&self) -> Silence {
        Silence {
            id: 0,
            scope: self.scope.clone(),
            when: When::Once { from: self.from, until: self.until },
            by: "sim".into(),
            reason: String::new(),
            created: self.from,
            ended: None,
        }
    }
}
