//! The tables of the fleet: what they show of five hosts, of 500, of none, of one that is red, and of hosts that lie.
#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may stop where something is wrong, and starts programs"
)]

mod support;

use chrono::{DateTime, TimeDelta, Utc};
use fleet_health::app::snapshot;
use fleet_health::config;
use fleet_health::model::alert::Evaluation;
use fleet_health::model::cause::Cause;
use fleet_health::model::clean::is_hostile;
use fleet_health::model::filter::Filter;
use fleet_health::model::level::Level;
use fleet_health::model::sample::{By, Process};
use fleet_health::model::snapshot::{Limits, Snapshot};
use fleet_health::model::spec::{FleetSpec, HostSpec};
use fleet_health::store::Store;
use fleet_health::store::memory::Memory;
use fleet_health::view::{Facts, Needs, Page, VIEWS, View, csv, json, table, unhealthy};

use support::filled::{self, FIVE};
use support::golden::golden;

fn now() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn spec(hosts: &str) -> FleetSpec {
    let dir = tempfile::tempdir().unwrap();
    config::load(&filled::configure(dir.path(), hosts)).map_err(|report| report.to_string()).unwrap()
}

/// A fleet as the programs see it.
struct Fleet {
    spec: FleetSpec,
    store: Memory,
}

impl Fleet {
    fn of(hosts: &str, fill: impl FnOnce(&mut dyn Store)) -> Self {
        let mut store = Memory::default();
        fill(&mut store);
        Self { spec: spec(hosts), store }
    }

    fn five() -> Self {
        Self::of(FIVE, |store| filled::five(store, now()))
    }

    fn snapshot(&self, filter: &str, limits: Limits) -> (Snapshot, Filter) {
        let filter = Filter::parse(filter).unwrap();
        (snapshot::read(&self.spec, &self.store, now(), &filter, limits).unwrap(), filter)
    }

    /// The page of a view and its note.
    fn view(&self, view: &View, filter: &str) -> (Page, String) {
        let (fleet, filter) = self.snapshot(filter, Limits::default());
        let shown: Vec<&HostSpec> =
            self.spec.hosts.iter().filter(|it| filter.host(fleet.host(&it.name).unwrap())).collect();
        let mut processes: Vec<(&str, Vec<Process>)> = Vec::new();
        for host in &shown {
            processes.extend(self.store.top(&host.name, now()).unwrap().map(|(_, list)| (host.name.as_str(), list)));
        }
        let facts = Facts { specs: &shown, fleet: &fleet, filter: &filter, processes: &processes, defaults: &[] };
        (view.page(&facts), (view.note)(&facts))
    }
}

fn view(name: &str) -> &'static View {
    VIEWS.iter().find(|view| view.name == name).unwrap()
}

/// The first column of every row.
fn first(page: &Page) -> Vec<String> {
    page.rows.iter().map(|row| table::text(&row[0])).collect()
}

/// Every format of a page, as it is kept.
fn kept(name: &str, page: &Page, note: &str) {
    let text = table::render(page, 80, false);
    assert!(text.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= 80), "{text}");
    golden(&format!("{name}.txt"), &format!("{text}\n{note}"));
    golden(&format!("{name}.json.txt"), &json::render(page));
    golden(&format!("{name}.csv.txt"), &csv::render(page));
}

#[test]
fn five_hosts_in_every_view() {
    let fleet = Fleet::five();
    for name in ["status", "hosts", "services", "unhealthy", "top"] {
        let (page, note) = fleet.view(view(name), "");
        kept(name, &page, &note);
    }
    let (snapshot, _) = fleet.snapshot("", Limits::default());
    let services = Snapshot::services(&snapshot.hosts);
    let shop = services.iter().find(|service| service.name == "shop").unwrap();
    kept("service", &unhealthy::sum(shop), "");
}
