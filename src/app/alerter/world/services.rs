//! What is judged of a service over all its servers, at the end of a run: how many are healthy, and their mean.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::super::readings;
use super::hosts::verdict;
use super::{World, at_once, samples};
use crate::alert::ahead::is_ahead;
use crate::alert::fold::Observation;
use crate::alert::hush::service;
use crate::alert::words::{SERVICE_HEALTHY, UNREACHABLE, label};
use crate::model::alert::{Subject, Verdict};
use crate::model::catalogue;
use crate::model::level::Level;
use crate::model::rule::RuleKind;
use crate::model::spec::{FleetSpec, HostSpec, RuleSpec};
use crate::rule::Judge;
use crate::store::{Result, Store};

/// Rules by which a server as such is unhealthy, whatever its checks say.
const OF_HOST: &[&str] = &["cpu.used", "memory.used"];
/// The rule of a check that failed.
const CHECK_OK: &str = "check.ok";

/// The mean of a metric over the servers of a service.
pub struct Mean<'a> {
    rule: &'a RuleSpec,
    item: String,
    at: DateTime<Utc>,
    value: f64,
    /// The same with what servers told last that do not answer any more: that one is gone is no recovery.
    with_lost: f64,
    /// Whether a server did not answer once, and may be back or lost at its next visit.
    unsure: bool,
}

/// Sum and count.
#[derive(Default)]
struct Sum(f64, f64);

impl Sum {
    fn add(&mut self, value: f64) {
        self.0 += value;
        self.1 += 1.0;
    }
}

/// What a mean is made of.
#[derive(Default)]
struct Sums {
    at: Option<DateTime<Utc>>,
    answering: Sum,
    all: Sum,
    unsure: bool,
}

/// The means that some rule asks for, from the newest sample of each server; what is older than three intervals, of the
/// future, or of a host that is known not to answer, does not count.
///
/// # Errors
/// The store's.
pub fn means<'a>(store: &dyn Store, world: &World<'a>, now: DateTime<Utc>) -> Result<Vec<Mean<'a>>> {
    let spec = world.spec;
    let asks = |host: &&HostSpec| host.rules.iter().any(|rule| rule.kind == RuleKind::Average);
    if !spec.hosts.iter().any(|host| asks(&host)) {
        return Ok(Vec::new());
    }
    let oldest = now - world.interval * 3;
    let mut found: BTreeMap<(&'a str, String), (&'a RuleSpec, Sums)> = BTreeMap::new();
    for known in store.now()? {
        let (Some(host), Some((received, sample))) = (spec.host(&known.host), known.sample) else { continue };
        let (lost, unsure) = (world.lost(&host.name), world.failing(&host.name));
        if is_ahead(received, now) || received < oldest && !lost {
            continue;
        }
        let rules = || host.rules.iter().filter(|rule| rule.kind == RuleKind::Average);
        let mut add = |rule: &'a RuleSpec, item: &str, value: f64| {
            let (_, sums) =
                found.entry((rule.name.as_str(), item.to_owned())).or_insert_with(|| (rule, Sums::default()));
            sums.all.add(value);
            if !lost {
                sums.answering.add(value);
                sums.at = sums.at.max(Some(received));
                sums.unsure |= unsure;
            }
        };
        for reading in sample.readings.iter().filter(|reading| reading.value.is_finite()) {
            let fitting = |item: &str| rules().find(|rule| rule.metric == reading.metric && readings::fits(rule, item));
            if !reading.item.is_empty() {
                fitting(&reading.item).into_iter().for_each(|rule| add(rule, &reading.item, reading.value));
                continue;
            }
            // What the server itself has one value of counts for each service on it.
            for service in &host.services {
                fitting(&service.name).into_iter().for_each(|rule| add(rule, &service.name, reading.value));
            }
        }
    }
    let mean = |Sum(sum, count): Sum| sum / count;
    let means = found.into_iter().filter_map(|((_, item), (rule, Sums { at, answering, all, unsure }))| {
        Some(Mean { rule, item, at: at?, value: mean(answering), with_lost: mean(all), unsure })
    });
    Ok(means.collect())
}

impl Mean<'_> {
    /// It opens and rises by the servers that answer, and closes where those do not that may be the reason for it.
    fn verdict(&self) -> Verdict {
        let judge = Judge::new(self.rule);
        let (here, all) = (judge.verdict(self.value), judge.verdict(self.with_lost));
        Verdict {
            clear_warning: here.clear_warning && all.clear_warning && !self.unsure,
            clear_critical: here.clear_critical && all.clear_critical && !self.unsure,
            ..here
        }
    }
}

/// Whether the configuration still has what a subject is about.
pub(super) fn knows(spec: &FleetSpec, rule: &str, item: &str) -> bool {
    spec.hosts.iter().any(|host| match rule {
        SERVICE_HEALTHY => host.services.iter().any(|it| it.name == item && it.min_healthy.is_some()),
        _ => readings::governing(host, rule, item).is_some_and(|rule| {
            let of_server = catalogue::find(&rule.metric).is_some_and(|metric| metric.item.is_empty());
            let served = || host.services.iter().any(|it| it.name == item);
            rule.kind == RuleKind::Average && (!of_server || served())
        }),
    })
}

/// The servers of what a subject of a service is about.
pub fn servers<'a>(spec: &'a FleetSpec, subject: &'a Subject) -> impl Iterator<Item = &'a HostSpec> {
    spec.hosts.iter().filter(|host| host.services.iter().any(|it| it.name == service(subject)))
}

impl World<'_> {
    /// Whether a server of the service that a subject is about does not answer.
    pub(super) fn loses_a_server(&self, subject: &Subject) -> bool {
        servers(self.spec, subject).any(|host| self.failing(&host.name))
    }

    /// Moves the truth about services.
    pub(super) fn services(&mut self, now: DateTime<Utc>, means: &[Mean<'_>]) {
        self.healthy(now);
        let fleet = self.track("");
        for mean in means {
            let Mean { rule, item, at, value, .. } = mean;
            let slot = self.slot(fleet, &rule.name, item);
            let seen = Observation { at: *at, value: *value, verdict: mean.verdict() };
            let windows = samples::windows(rule, self.interval);
            self.observe(fleet, slot, &windows, &seen, |_, level| samples::said(rule, item, *value, level));
        }
    }

    fn healthy(&mut self, now: DateTime<Utc>) {
        // Service -> wanted, servers, and what is wrong with each that is not healthy.
        let mut services: BTreeMap<&str, (u32, usize, Vec<String>)> = BTreeMap::new();
        for host in &self.spec.hosts {
            for service in &host.services {
                let Some(wanted) = service.min_healthy else { continue };
                let (least, servers, ill) = services.entry(&service.name).or_default();
                *least = wanted.max(*least);
                *servers += 1;
                ill.extend(self.ill(host, &service.name).map(|why| format!("{} ({why})", host.name)));
            }
        }
        let fleet = self.track("");
        for (name, (wanted, servers, ill)) in services {
            let healthy = servers - ill.len();
            let bad = (healthy as u64) < u64::from(wanted);
            let mut text = format!("{healthy} of {servers} servers are well, at least {wanted} wanted");
            if !ill.is_empty() {
                text.push_str(&format!("; not so: {}", ill.join(", ")));
            }
            let seen = Observation { at: now, value: healthy as f64, verdict: verdict(bad, true, !bad) };
            // What makes a server ill was confirmed already.
            let windows = at_once(self.interval);
            self.flag(fleet, (SERVICE_HEALTHY, name), &windows, &seen, &text);
        }
    }

    /// Whether it is known that a host does not answer: one refused attempt may be a server that was busy, the second one
    /// says it.
    fn lost(&self, host: &str) -> bool {
        self.built_in(host, UNREACHABLE, "").is_some_and(|state| state.level > Level::Ok)
    }

    /// Why a host does not serve a service well.
    fn ill(&self, host: &HostSpec, service: &str) -> Option<String> {
        if self.lost(&host.name) {
            return Some("does not answer".to_owned());
        }
        let track = &self.tracks[*self.names.get(&host.name)?];
        let of_service = |item: &str| item.split_once('/').map_or(item, |(name, _)| name) == service;
        let bad = track.slots.iter().filter(|slot| !slot.gone && slot.state.level > Level::Ok).find(|slot| {
            let rule = slot.subject.rule.as_str();
            OF_HOST.contains(&rule) || (rule == CHECK_OK && of_service(&slot.subject.item))
        })?;
        Some(format!("{} {}", label(&bad.subject.rule), bad.subject.item).trim_end().to_owned())
    }
}
