//! Whole runs of a fleet before a scripted mail server, sentence by sentence and case by case.

use std::sync::Arc;

use chrono::TimeDelta;

use super::sim::crash::{Fate, Server, Weather};
use super::tests::{at, attempt, empty, measured, spec};
use super::*;
use crate::model::alert::{Ack, Event};
use crate::model::cause::Cause;
use crate::model::level::Level;
use crate::model::sample::{Reading, Sample};
use crate::model::silence::{Calendar, Scope, Silence, When};
use crate::model::spec::{ChannelSpec, DestinationSpec, HostSpec, RouteSpec, RuleSpec};
use crate::store::memory::Memory;

mod about;
mod clock;
mod figures;
mod fleet;
mod hooks;
mod named;
mod sentences;
mod shards;
mod stages;
mod unclear;
mod units;

/// A fleet of any size before a mail server of any mood.
struct Field {
    spec: FleetSpec,
    store: Memory,
    server: Server,
    sequence: u64,
}

impl Field {
    fn new(hosts: &[&str]) -> Self {
        let mut spec = spec(1, &["ops@example.net"]);
        let host = spec.hosts[0].clone();
        spec.hosts = hosts.iter().map(|&name| HostSpec { name: name.into(), ..host.clone() }).collect();
        Self { spec, store: empty(), server: server(), sequence: 0 }
    }

    fn many(count: usize) -> Self {
        let names: Vec<String> = (0..count).map(|n| format!("h{n:03}")).collect();
        Self::new(&names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn sample(&mut self, host: &str, seconds: i64, readings: &[(&str, f64)]) -> Sample {
        self.sequence += 1;
        let readings: Vec<_> = readings.iter().map(|&(metric, value)| (metric, "", value)).collect();
        // A boot each: the store in memory finds new ones quicker.
        let boot = format!("b{}", self.sequence);
        measured(host, (&boot, self.sequence), at(0) + TimeDelta::seconds(seconds), &readings)
    }

    fn answers(&mut self, host: &str, seconds: i64, readings: &[(&str, f64)]) {
        let sample = self.sample(host, seconds, readings);
        let mut visit = attempt(host, 0, None);
        visit.at = sample.taken;
        self.store.record(1, &visit, &[sample]).unwrap();
    }

    fn disk(&mut self, host: &str, minutes: i64, value: f64) {
        self.answers(host, minutes * 60, &[("filesystem.used", value)]);
    }

    fn fails(&mut self, host: &str, seconds: i64) {
        self.fails_by(host, seconds, Cause::ConnectTimeout);
    }

    fn fails_by(&mut self, host: &str, seconds: i64, cause: Cause) {
        let mut visit = attempt(host, 0, Some(cause));
        visit.at = at(0) + TimeDelta::seconds(seconds);
        self.store.record(1, &visit, &[]).unwrap();
    }

    /// A run while the collector works; the subjects that were accepted in it.
    fn run(&mut self, minutes: i64) -> Vec<String> {
        let sweep = self.store.begin_sweep(at(minutes), 1).unwrap();
        self.store.end_sweep(sweep, at(minutes), 0).unwrap();
        self.run_alone(minutes)
    }

    fn run_alone(&mut self, minutes: i64) -> Vec<String> {
        let had = self.server.accepted.len();
        self.turn(minutes);
        self.server.accepted[had..].iter().map(|mail| mail.subject.clone()).collect()
    }

    fn turn(&mut self, minutes: i64) -> Report {
        let now = at(minutes);
        turn(&mut self.store, &self.spec, &mut self.server, &|| now, now + TimeDelta::minutes(5), false).unwrap()
    }

    fn rule(&mut self, metric: &str, change: impl Fn(&mut RuleSpec)) {
        for host in &mut self.spec.hosts {
            let mut rule = host.rules[0].clone();
            (rule.name, rule.metric) = (metric.into(), metric.into());
            change(&mut rule);
            Arc::make_mut(&mut host.rules).push(rule);
        }
    }

    fn names(&self) -> Vec<String> {
        self.spec.hosts.iter().map(|host| host.name.clone()).collect()
    }

    fn silence(&mut self, from: i64, until: i64) {
        self.silence_over(Scope::default(), from, until);
    }

    fn silence_over(&mut self, scope: Scope, from: i64, until: i64) {
        let silence = Silence {
            id: 0,
            scope,
            when: When::Once { from: at(from), until: at(until) },
            by: "ada".into(),
            reason: "move".into(),
            created: at(from),
            ended: None,
        };
        self.store.add_silence(&silence).unwrap();
    }
}

fn server() -> Server {
    let fate = Arc::new(Fate::default());
    fate.set(None);
    Server { fate, weather: Weather::Up, accepted: Vec::new(), seen: Default::default(), trouble: Vec::new() }
}

const NONE: [&str; 0] = [];
