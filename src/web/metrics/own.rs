//! What fleet-health says of itself and of its fleet.

use std::collections::HashSet;

use super::text::{Family, Page, Type};
use crate::model::fleet::{Outcome, PLAN};
use crate::model::level::Level;
use crate::model::snapshot::{Health as Service, Snapshot, State};
use crate::web::source::Health;

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Type::Gauge, help }
}

const BUILD: Family = gauge("fleet_build_info", "Always 1; the version of fleet-health is its label");
const HOSTS: Family = gauge("fleet_hosts", "Hosts of the configuration by level");
const PROBLEMS: Family = gauge("fleet_incidents_open", "Open problems by level");
const PART: Family = gauge("fleet_part_level", "Health of our own parts: 0 ok, 1 warning, 2 critical");
const RUN: Family = gauge("fleet_last_run_timestamp_seconds", "End of the last run of a program");
const RUN_OK: Family = gauge("fleet_last_run_ok", "1 where that run did all it should");
const QUEUED: Family = gauge("fleet_mail_queued", "Mails that wait");
const SWEEP_HOSTS: Family = gauge("fleet_sweep_hosts", "Hosts of the last whole sweep");
const SWEEP_FAILED: Family = gauge("fleet_sweep_failed_hosts", "Hosts of it that could not be collected");
const SWEEP_TIME: Family = gauge("fleet_sweep_duration_seconds", "How long it took");
const UP: Family = gauge("fleet_host_up", "1 where the last attempt to collect succeeded");
const LEVEL: Family =
    gauge("fleet_host_level", "Worst open problem of the host: 0 ok, 1 warning, 2 critical, -1 nothing is known yet");
const STALE: Family = gauge("fleet_host_stale", "1 where what is known of the host is old");
const SEEN: Family = gauge("fleet_host_last_sample_timestamp_seconds", "When the newest sample of the host arrived");
const TOOK: Family = gauge("fleet_host_collect_duration_seconds", "How long the last attempt took");
const SERVICE: Family =
    gauge("fleet_service_healthy", "1 where the service fares well on the host, 0 where not or unknown");
const CHECK: Family = gauge("fleet_check_ok", "1 where the service answered its check rightly, 0 where it did not");

/// Writes them, hosts as far as they are chosen.
pub fn write(page: &mut Page, fleet: &Snapshot, chosen: &HashSet<&str>, health: &Health) {
    page.put(&BUILD, &[("version", env!("CARGO_PKG_VERSION"))], 1.0, None);
    let [critical, warning, unknown, ok] = fleet.counts();
    for (level, count) in [("critical", critical), ("warning", warning), ("unknown", unknown), ("ok", ok)] {
        page.put(&HOSTS, &[("level", level)], count as f64, None);
    }
    let problems = || fleet.hosts.iter().flat_map(|host| &host.problems).chain(&fleet.fleet);
    for level in [Level::Warning, Level::Critical] {
        let count = problems().filter(|problem| problem.incident.level == level).count();
        page.put(&PROBLEMS, &[("level", level.word())], count as f64, None);
    }
    for part in &health.parts {
        page.put(&PART, &[("part", part.name)], f64::from(part.level.number()), None);
    }
    for beat in health.beats.iter().filter(|beat| beat.role != PLAN) {
        let program = [("program", beat.role.as_str())];
        page.put(&RUN, &program, beat.at.timestamp_millis() as f64 / 1000.0, None);
        page.put(&RUN_OK, &program, f64::from(u8::from(beat.ok)), None);
    }
    page.put(&QUEUED, &[], health.queued as f64, None);
    if let Some((sweep, ended)) = health.sweeps.iter().find_map(|sweep| Some((sweep, sweep.ended?))) {
        page.put(&SWEEP_HOSTS, &[], f64::from(sweep.hosts), None);
        page.put(&SWEEP_FAILED, &[], f64::from(sweep.failed), None);
        page.put(&SWEEP_TIME, &[], (ended - sweep.started).as_seconds_f64(), None);
    }
    for host in fleet.hosts.iter().filter(|host| chosen.contains(host.name.as_str())) {
        let instance = [("instance", host.name.as_str())];
        if let Some(attempt) = &host.attempt {
            let up = attempt.outcome == Outcome::Collected;
            page.put(&UP, &instance, f64::from(u8::from(up)), None);
            page.put(&TOOK, &instance, attempt.took.as_secs_f64(), None);
        }
        let level = host.level.map_or(-1.0, |level| f64::from(level.number()));
        page.put(&LEVEL, &instance, level, None);
        page.put(&STALE, &instance, f64::from(u8::from(host.state != State::Fresh)), None);
        if let Some(received) = host.received {
            page.put(&SEEN, &instance, received.timestamp_millis() as f64 / 1000.0, None);
        }
        for service in &host.services {
            let labels = [("instance", host.name.as_str()), ("service", service.name.as_str())];
            page.put(&SERVICE, &labels, f64::from(u8::from(service.health == Service::Healthy)), None);
        }
        for (item, value) in host.values("check.ok") {
            let (service, check) = item.split_once('/').unwrap_or((item, ""));
            let labels = [("instance", host.name.as_str()), ("service", service), ("check", check)];
            page.put(&CHECK, &labels, value, None);
        }
    }
}
