//! Services summed over all their servers; those with too few healthy ones are a view.

use crate::model::filter::Chosen;
use crate::model::level::Level;
use crate::model::snapshot::{Service, Snapshot};

use super::{Cell, Column, Facts, Needs, Page, Place, View, column};

/// Of one service as a whole.
const COLUMNS: &[Column] = &[
    column("service", "SERVICE", Place::Left),
    column("level", "LEVEL", Place::Left),
    column("healthy", "HEALTHY", Place::Right),
    column("servers", "SERVERS", Place::Right),
    column("wanted", "WANTED", Place::Right),
    column("cpu", "MEAN CPU", Place::Right),
    column("memory", "MEAN MEM", Place::Right),
    column("why", "WHY", Place::Below),
];

/// A row for each service that has fewer healthy servers than it should.
pub const VIEW: View = View {
    note,
    thresholds: true,
    ..View::new("unhealthy", "Services with fewer healthy servers than they should have", Needs::Store, COLUMNS, rows)
};

/// The services of which a server is asked for.
fn chosen<'a>(facts: &Facts<'a>) -> Vec<Service<'a>> {
    let mut all = Snapshot::services(&facts.fleet.hosts);
    all.retain(|service| {
        let mut servers = service.servers.iter();
        servers.any(|(host, it)| facts.filter.any(&Chosen { host: Some(host), service: Some(it), problem: None }))
    });
    all
}

fn few<'a>(facts: &Facts<'a>) -> Vec<Service<'a>> {
    let mut all = chosen(facts);
    all.retain(|service| (service.healthy as u64) < u64::from(service.wanted()));
    all
}

fn rows(facts: &Facts) -> Vec<Vec<Cell>> {
    few(facts).iter().map(row).collect()
}

fn row(service: &Service<'_>) -> Vec<Cell> {
    let or_empty = |cell: Option<Cell>| cell.unwrap_or(Cell::Empty);
    let ill = service.servers.iter().filter(|(_, it)| !it.why.is_empty());
    let mut why: Vec<String> = ill.map(|(host, it)| format!("{} ({})", host.name, it.why.join(", "))).collect();
    if why.is_empty() && service.level() > Level::Ok && service.min_healthy.is_none() {
        why.push(format!("where {} is enough, say so: min-healthy=\"{0}\"", service.healthy));
    }
    vec![
        Cell::Text(service.name.to_owned()),
        Cell::Level(Some(service.level())),
        Cell::Number(service.healthy as f64),
        Cell::Number(service.servers.len() as f64),
        Cell::Number(f64::from(service.wanted())),
        or_empty(service.cpu.map(Cell::Ratio)),
        or_empty(service.memory.map(Cell::Ratio)),
        if why.is_empty() { Cell::Empty } else { Cell::Text(why.join("; ")) },
    ]
}

/// One service as a whole, in the columns of the view.
#[must_use]
pub fn sum(service: &Service<'_>) -> Page {
    Page { columns: COLUMNS, rows: vec![row(service)] }
}

fn note(facts: &Facts) -> String {
    match (chosen(facts).len(), few(facts).len()) {
        (0, _) if facts.fleet.hosts.iter().all(|host| host.services.is_empty()) => {
            "no services yet; docs/checks.md shows how to name one\n".to_owned()
        }
        (0, _) => "no service fits\n".to_owned(),
        (1, 0) => "the service has as many healthy servers as it should\n".to_owned(),
        (all, 0) => format!("all {all} services have as many healthy servers as they should\n"),
        (all, few) => format!("{few} of {all} services with too few healthy servers\n"),
    }
}
