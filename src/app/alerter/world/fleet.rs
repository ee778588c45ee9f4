//! What is judged of the fleet as a whole at the end of a run, by the wall clock: the collector, many hosts that fail
//! at once, the store, and mailboxes that refuse.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::hosts::verdict;
use super::services::{self, Mean};
use super::{Slot, World, at_once, bastions, fails, two};
use crate::alert::ahead::is_ahead;
use crate::alert::fold::{Observation, Windows};
use crate::alert::hush::{self, Window};
use crate::alert::words::{BASTION, DAMAGED, MASS, STALLED, UNDELIVERABLE, UNREACHABLE};
use crate::model::alert::{Ending, Pause, Subject};
use crate::model::fleet::Sweep;
use crate::model::shard::{self, Shard};
use crate::model::spec::{FleetSpec, HostSpec};
use crate::notify;

/// A part of the fleet, or all of it, and how long ago its last sweep began; `None` where it never did.
type Part = (Option<Shard>, Option<TimeDelta>);

fn item(part: Option<Shard>) -> String {
    part.map_or_else(String::new, |part| part.to_string())
}

/// Fewer hosts than these are no mass.
const MASS_LEAST: usize = 5;

/// How many hosts of a site fail, of how many.
#[derive(Default)]
struct Site {
    failed: usize,
    all: usize,
    silenced: Silenced,
}

/// Those of them that are silenced: of these nobody wants to hear that they fail at once.
#[derive(Default)]
struct Silenced {
    failed: usize,
    all: usize,
}

impl Site {
    fn add(&mut self, fails: bool, silenced: bool) {
        self.failed += usize::from(fails);
        self.all += 1;
        self.silenced.failed += usize::from(fails && silenced);
        self.silenced.all += usize::from(silenced);
    }
}

/// What besides rows tells of the fleet.
pub struct Facts<'a> {
    /// The time of the run.
    pub now: DateTime<Utc>,
    /// The newest sweep of each collector and part of the fleet.
    pub sweeps: &'a [Sweep],
    /// Whether one is under way.
    pub half: bool,
    /// What is known of a store that was damaged and set aside, until a person has seen to it.
    pub damage: Option<&'a str>,
    /// Ways that are paused.
    pub pauses: &'a [Pause],
    /// Means over the servers of services.
    pub means: &'a [Mean<'a>],
    /// Silences, reckoned for this run.
    pub windows: &'a [Window],
}

/// The name of a mailbox's pause.
pub fn mailbox(destination: &str, recipient: &str) -> String {
    format!("mailbox {destination} {recipient}")
}

/// Whether the configuration still has what a subject of the fleet is about.
pub(super) fn knows(spec: &FleetSpec, subject: &Subject) -> bool {
    match subject.rule.as_str() {
        MASS => subject.item.is_empty() || spec.hosts.iter().any(|host| host.groups.contains(&subject.item)),
        UNDELIVERABLE => spec.alerts.destinations.iter().any(|to| {
            let recipients = notify::of(&to.channel).map(|(_, all)| all).unwrap_or_default();
            recipients.iter().any(|recipient| subject.item == format!("{} {recipient}", to.name))
        }),
        STALLED | DAMAGED => true,
        BASTION => bastions::knows(spec, &subject.item),
        rule => services::knows(spec, rule, &subject.item),
    }
}

impl World<'_> {
    /// Moves the truth by what is known at the end of a run.
    pub fn tick(&mut self, facts: &Facts<'_>) {
        let parts = shard::running(facts.sweeps, |sweep| sweep.shard, |sweep| sweep.started);
        // One that began in the future says nothing of now.
        let begun = |sweep: &&Sweep| !is_ahead(sweep.started, facts.now);
        let age = |sweep: &Sweep| facts.now - sweep.started;
        let ages: Vec<Part> = parts.into_iter().map(|(part, sweep)| (part, sweep.filter(begun).map(age))).collect();
        self.stalled_collectors(facts.now, &ages);
        // Without a collector its hosts are silent, which says nothing of them.
        let on_time = |age: Option<TimeDelta>| age.is_some_and(|age| age <= self.interval * 3 / 2);
        let late: Vec<Part> = ages.into_iter().filter(|(_, age)| !on_time(*age)).collect();
        self.quiet_hosts(facts.now, &|host| late.iter().any(|(part, _)| part.is_none_or(|part| part.holds(host))));
        self.bastions();
        if !facts.half {
            self.mass(facts);
        }
        self.services(facts.now, facts.means);
        self.mailboxes(facts);
        self.damage(facts);
    }

    /// The collector of the fleet, or of each of its parts: a dead one must not hide behind the others.
    fn stalled_collectors(&mut self, now: DateTime<Utc>, ages: &[Part]) {
        let fleet = self.track("");
        let items: Vec<String> = ages.iter().map(|(part, _)| item(*part)).collect();
        // The fleet is divided anew.
        let slots = self.tracks[fleet].slots.iter().enumerate();
        let is_lost = |slot: &Slot| slot.subject.rule == STALLED && !slot.gone && !items.contains(&slot.subject.item);
        let lost: Vec<usize> = slots.filter(|(_, slot)| !items.is_empty() && is_lost(slot)).map(|(n, _)| n).collect();
        for slot in lost {
            self.end(fleet, slot, now, Ending::Config);
        }
        for ((part, age), item) in ages.iter().zip(&items) {
            let bad = age.is_none_or(|age| age > self.interval * 3);
            let well = age.is_some_and(|age| age <= self.interval * 2);
            let of = part.map_or_else(String::new, |part| format!(" of part {part}"));
            let program =
                part.map_or_else(|| "fleet-collector".to_owned(), |part| format!("fleet-collector --shard {part}"));
            let text = match age {
                None => format!("no collector{of} has ever begun a sweep; put it into cron: {program}"),
                Some(age) if bad => {
                    let minutes = age.num_minutes();
                    format!(
                        "the collector{of} has not begun a sweep for {minutes} min; look at cron and try: {program}"
                    )
                }
                Some(_) => format!("the collector{of} runs again"),
            };
            let value = age.unwrap_or_default().as_seconds_f64();
            let seen = Observation { at: now, value, verdict: verdict(bad, true, well) };
            // Two runs must see it: after a machine slept, the alerter may wake before the collector.
            let known = self.tracks[fleet].find(STALLED, item);
            if bad || known.is_some_and(|slot| fails(&self.tracks[fleet].slots[slot].state)) {
                let slot = self.slot(fleet, STALLED, item);
                let windows = match age {
                    Some(_) => two(self.interval),
                    // Where the parts begin one after the other, the last is not late before its time came round, however
                    // often this is looked at meanwhile.
                    None => Windows { hold: Some(self.interval), ..two(self.interval) },
                };
                self.observe(fleet, slot, &windows, &seen, |_, _| text);
            }
        }
    }

    /// Failing hosts of a site that no failing parent explains, against all of them.
    fn mass(&mut self, facts: &Facts<'_>) {
        let mut sites: BTreeMap<&str, Site> = BTreeMap::new();
        for host in &self.spec.hosts {
            // A parent explains it while it fails, and until the host was tried again after that.
            let last = self.built_in(&host.name, UNREACHABLE, "").and_then(|state| state.last);
            let fails =
                self.failing(&host.name) && !self.parents(host).iter().any(|parent| self.explains(parent, last));
            let silenced = !facts.windows.is_empty() && {
                let subject = Subject { host: host.name.clone(), rule: UNREACHABLE.to_owned(), item: String::new() };
                hush::silenced(facts.windows, &subject, &host.groups).is_some()
            };
            for site in std::iter::once("").chain(host.groups.iter().map(String::as_str)) {
                sites.entry(site).or_default().add(fails, silenced);
            }
        }
        let fleet = self.track("");
        for (site, Site { mut failed, mut all, silenced }) in sites {
            // Once open it ends when most of them answer, not when the last but half do, nor when somebody silences them.
            let well = failed < MASS_LEAST || failed * 4 < all;
            let (heard, others) = (failed - silenced.failed, all - silenced.all);
            let bad = heard >= MASS_LEAST && heard * 2 >= others;
            if bad {
                (failed, all) = (heard, others);
            }
            let place = if site.is_empty() { "the fleet".to_owned() } else { format!("group {site}") };
            let text = if bad {
                format!("{failed} of {all} hosts of {place} fail at once; look at this machine's network first")
            } else {
                format!("{} of {all} hosts of {place} answer", all - failed)
            };
            let value = failed as f64;
            let seen = Observation { at: facts.now, value, verdict: verdict(bad, true, well && !bad) };
            let known = self.tracks[fleet].find(MASS, site);
            if bad || known.is_some_and(|slot| fails(&self.tracks[fleet].slots[slot].state)) {
                let slot = self.slot(fleet, MASS, site);
                let windows = at_once(self.interval);
                self.observe(fleet, slot, &windows, &seen, |_, _| text);
            }
        }
    }

    fn mailboxes(&mut self, facts: &Facts<'_>) {
        let fleet = self.track("");
        let mut found: BTreeMap<String, (bool, String)> = BTreeMap::new();
        for slot in self.tracks[fleet].slots.iter().filter(|slot| slot.subject.rule == UNDELIVERABLE && !slot.gone) {
            found.insert(slot.subject.item.clone(), (false, "takes mail again".to_owned()));
        }
        for pause in facts.pauses {
            let Some(name) = pause.what.strip_prefix("mailbox ") else { continue };
            let subject = Subject { host: String::new(), rule: UNDELIVERABLE.to_owned(), item: name.to_owned() };
            // Of an address that was mended nothing is tried any more, so nothing would ever end it.
            if !knows(self.spec, &subject) {
                continue;
            }
            let mend = "what it was not told is told again after a day; mend the address in config.xml";
            found.insert(name.to_owned(), (true, format!("refuses mail: {}; {mend}", pause.error)));
        }
        for (item, (bad, text)) in found {
            let value = f64::from(u8::from(bad));
            let seen = Observation { at: facts.now, value, verdict: verdict(bad, true, !bad) };
            let windows = at_once(self.interval);
            self.flag(fleet, (UNDELIVERABLE, &item), &windows, &seen, &text);
        }
    }

    fn damage(&mut self, facts: &Facts<'_>) {
        let text = facts.damage.unwrap_or("the damaged store was taken away");
        let bad = facts.damage.is_some();
        let seen = Observation { at: facts.now, value: f64::from(u8::from(bad)), verdict: verdict(bad, true, !bad) };
        let (fleet, windows) = (self.track(""), at_once(self.interval));
        self.flag(fleet, (DAMAGED, ""), &windows, &seen, text);
    }

    /// Everything without which this host cannot be reached: its own parents, then theirs.
    pub fn parents<'b>(&'b self, host: &'b HostSpec) -> Vec<&'b str> {
        let mut all: Vec<&str> = host.parents.iter().map(String::as_str).collect();
        let mut next = 0;
        while let Some(name) = all.get(next).copied() {
            let further = self.names.get(name).and_then(|track| self.tracks[*track].host);
            for parent in further.iter().flat_map(|host| &host.parents) {
                if !all.contains(&parent.as_str()) && *parent != host.name {
                    all.push(parent);
                }
            }
            next += 1;
        }
        all
    }

    /// The host of that name.
    pub fn host(&self, name: &str) -> Option<&HostSpec> {
        self.names.get(name).and_then(|track| self.tracks[*track].host)
    }

    /// Parts of the fleet whose collector was missed.
    fn stalled_parts(&self) -> impl Iterator<Item = Shard> {
        let slots = self.names.get("").into_iter().flat_map(|track| &self.tracks[*track].slots);
        slots
            .filter(|slot| slot.subject.rule == STALLED && !slot.gone)
            .filter_map(|slot| slot.subject.item.parse().ok())
    }

    /// What keeps a subject back: names for people with whether they fail now and when they last did.
    pub fn above(&self, subject: &Subject) -> Vec<(String, bool, Option<DateTime<Utc>>)> {
        let mut above = Vec::new();
        let mut add = |name: String, rule: &str, host: &str, item: &str| {
            if let Some(state) = self.built_in(host, rule, item) {
                above.push((name, fails(state), state.bad));
            }
        };
        if matches!(subject.rule.as_str(), STALLED | UNDELIVERABLE | DAMAGED) {
            return above;
        }
        add("the collector does not run".to_owned(), STALLED, "", "");
        for part in self.stalled_parts().filter(|part| part.holds(&subject.host)) {
            add(format!("the collector of part {part} does not run"), STALLED, "", &part.to_string());
        }
        if subject.rule == MASS && subject.item.is_empty() {
            return above;
        }
        let host = self.names.get(&subject.host).and_then(|track| self.tracks[*track].host);
        // It explains that hosts do not answer, and nothing of those that do: whatever else is wrong with a host that
        // fails is kept back by the host itself.
        let explained = match host {
            Some(_) => subject.rule == UNREACHABLE,
            None => matches!(subject.rule.as_str(), MASS | BASTION) || self.loses_a_server(subject),
        };
        if explained {
            add("most of the fleet fails at once".to_owned(), MASS, "", "");
        }
        let Some(host) = host else { return above };
        for group in host.groups.iter().filter(|_| explained) {
            add(format!("most of group {group} fails at once"), MASS, "", group);
        }
        for parent in self.parents(host) {
            add(format!("its parent {parent} does not answer"), UNREACHABLE, parent, "");
            add(format!("nobody comes through its bastion {parent}"), BASTION, "", parent);
        }
        if subject.rule == UNREACHABLE {
            add(format!("nobody comes through bastion {}", host.name), BASTION, "", &host.name);
        } else {
            add(format!("{} itself does not answer", host.name), UNREACHABLE, &host.name, "");
        }
        above
    }
}
