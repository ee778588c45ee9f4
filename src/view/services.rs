//! Each service on each of its servers, what is not healthy first.

use std::cmp::Reverse;

use crate::model::filter::Chosen;
use crate::model::natural::Natural;
use crate::model::snapshot::{Health, HostRow, ServiceRow};

use super::{Cell, Column, Facts, Needs, Place, View, column, units};

/// Of one service on one server.
pub const COLUMNS: &[Column] = &[
    column("service", "SERVICE", Place::Left),
    column("host", "HOST", Place::Left),
    column("status", "STATUS", Place::Left),
    column("cpu", "CPU", Place::Right),
    column("memory", "MEM", Place::Right),
    column("own_memory", "OWN MEM", Place::Right),
    column("age", "AGE", Place::Right),
    column("why", "WHY", Place::Below),
    column("level", "", Place::Left),
    column("state", "", Place::Left),
    column("groups", "", Place::Left),
    column("min_healthy", "", Place::Left),
];

/// A row for each server and service. Its level is the host's and stands for itself.
pub const VIEW: View = View {
    note,
    thresholds: true,
    ..View::new(
        "services",
        "Every service on every server, with its status, CPU and memory",
        Needs::Store,
        COLUMNS,
        rows,
    )
};

fn chosen<'a>(facts: &Facts<'a>) -> Vec<(&'a HostRow, &'a ServiceRow)> {
    let all = facts.fleet.hosts.iter().flat_map(|host| host.services.iter().map(move |service| (host, service)));
    let fits = |(host, service): &(&HostRow, &ServiceRow)| {
        facts.filter.any(&Chosen { host: Some(host), service: Some(service), problem: None })
    };
    all.filter(fits).collect()
}

fn rows(facts: &Facts) -> Vec<Vec<Cell>> {
    let mut all = chosen(facts);
    all.sort_by_key(|(host, service)| (Reverse(service.health), Natural(&service.name), host.order()));
    all.into_iter().map(|(host, service)| row(host, service)).collect()
}

/// The row of a service on a server.
#[must_use]
pub fn row(host: &HostRow, service: &ServiceRow) -> Vec<Cell> {
    let or_empty = |cell: Option<Cell>| cell.unwrap_or(Cell::Empty);
    vec![
        Cell::Text(service.name.clone()),
        Cell::Text(host.name.clone()),
        Cell::Health(service.health),
        or_empty(host.value("cpu.used").map(Cell::Ratio)),
        or_empty(host.value("memory.used").map(Cell::Ratio)),
        or_empty(service.memory.map(Cell::Bytes)),
        or_empty(host.age.map(|age| Cell::Seconds(age.floor()))),
        if service.why.is_empty() { Cell::Empty } else { Cell::Text(service.why.join(", ")) },
        or_empty(host.level.map(|level| Cell::Text(level.word().to_owned()))),
        Cell::Text(host.state.word().to_owned()),
        Cell::List(host.groups.clone()),
        or_empty(service.min_healthy.map(|least| Cell::Number(f64::from(least)))),
    ]
}

fn note(facts: &Facts) -> String {
    let all = chosen(facts);
    if all.is_empty() {
        let none = facts.fleet.hosts.iter().all(|host| host.services.is_empty());
        let text = if none { "no services yet; docs/checks.md shows how to name one\n" } else { "no service fits\n" };
        return text.to_owned();
    }
    let names: std::collections::BTreeSet<&str> = all.iter().map(|(_, service)| service.name.as_str()).collect();
    let hosts: std::collections::BTreeSet<&str> = all.iter().map(|(host, _)| host.name.as_str()).collect();
    let healthy = all.iter().filter(|(_, service)| service.health == Health::Healthy).count();
    let (services, servers) = (units::counted(names.len(), "service"), units::counted(hosts.len(), "server"));
    format!("{services} on {servers}: {healthy} of {} healthy\n", all.len())
}
