//! Services over their servers.

use serde::Serialize;

use super::choose::{self, Choosing};
use super::frame::Frame;
use super::parts::{Address, Figure, Moment, path};
use crate::model::figure;
use crate::model::filter::{Chosen, Filter};
use crate::model::level::Level;
use crate::model::snapshot::{Health, HostRow, ServiceRow, Snapshot};
use crate::web::request::Request;
use crate::web::response::{Answer, Trouble};
use crate::web::site::Site;
use crate::web::source::Source;

/// Servers that are named in a row; the service's own page has all.
const NAMED: usize = 3;

#[derive(Debug, Serialize)]
struct Bad {
    host: String,
    href: String,
    why: String,
}

#[derive(Debug, Serialize)]
struct Row {
    level: &'static str,
    href: String,
    name: String,
    healthy: usize,
    servers: usize,
    wanted: u32,
    cpu: Figure,
    memory: Figure,
    bad: Vec<Bad>,
    more: usize,
}

#[derive(Debug, Serialize)]
struct Page {
    any: bool,
    #[serde(flatten)]
    choosing: Choosing,
    rows: Vec<Row>,
}

/// Every service, worst first; the filter chooses servers.
///
/// # Errors
/// The source's.
pub fn services(site: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    let address = Address::new("/services", &request.query, &["filter"]);
    let (filter, choosing) = choose::read(request, &address);
    let fleet = source.fleet(filter.as_ref().unwrap_or(&Filter::default()))?;
    let mut rows = Vec::new();
    for service in Snapshot::services(&fleet.hosts) {
        // A service is shown whole or not at all: a count over some of its servers would be another number.
        let fits = |(host, it): &(&HostRow, &ServiceRow)| {
            let chosen = Chosen { host: Some(host), service: Some(it), problem: None };
            filter.as_ref().is_some_and(|filter| filter.any(&chosen))
        };
        if !service.servers.iter().any(fits) {
            continue;
        }
        let bad: Vec<_> = service.servers.iter().filter(|(_, it)| it.health != Health::Healthy).collect();
        rows.push(Row {
            level: service.level().word(),
            href: path("service", service.name),
            name: service.name.to_owned(),
            healthy: service.healthy,
            servers: service.servers.len(),
            wanted: service.wanted(),
            cpu: Figure::share(service.cpu),
            memory: Figure::share(service.memory),
            more: bad.len().saturating_sub(NAMED),
            bad: bad
                .iter()
                .take(NAMED)
                .map(|(host, it)| Bad {
                    host: host.name.clone(),
                    href: path("host", &host.name),
                    why: it.why.join(", "),
                })
                .collect(),
        });
    }
    let any = fleet.hosts.iter().any(|host| !host.services.is_empty());
    let frame = Frame::new(site, request, source, &fleet)?;
    site.pages.page("services.html", "Services", &frame, &Page { any, choosing, rows })
}

/// How a service fares on a server, for tables.
#[derive(Debug, Serialize)]
pub struct Served {
    level: &'static str,
    health: &'static str,
    name: String,
    href: String,
    own: String,
    why: String,
}

impl Served {
    /// A service of a host.
    #[must_use]
    pub fn new(service: &ServiceRow) -> Self {
        let level = match service.health {
            Health::Healthy => Level::Ok.word(),
            Health::Unknown => "unknown",
            Health::Unhealthy => Level::Critical.word(),
        };
        Self {
            level,
            health: service.health.word(),
            name: service.name.clone(),
            href: path("service", &service.name),
            own: service.memory.map(figure::bytes).unwrap_or_default(),
            why: service.why.join(", "),
        }
    }
}

#[derive(Debug, Serialize)]
struct Server {
    #[serde(flatten)]
    served: Served,
    host: String,
    host_href: String,
    cpu: Figure,
    memory: Figure,
    seen: Option<Moment>,
}

#[derive(Debug, Serialize)]
struct One {
    name: String,
    level: &'static str,
    healthy: usize,
    servers: usize,
    wanted: u32,
    cpu: Figure,
    memory: Figure,
    rows: Vec<Server>,
}

/// One service with its servers.
///
/// # Errors
/// 404 where there is none of that name, and the source's.
pub fn service(site: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    let name = request.capture("name");
    let fleet = source.fleet(&Filter::default())?;
    let all = Snapshot::services(&fleet.hosts);
    let missing = || Trouble::missing(format!("there is no service {name}; see which there are: /services"));
    let service = all.iter().find(|service| service.name == name).ok_or_else(missing)?;
    let rows = service.servers.iter().map(|(host, it)| Server {
        served: Served::new(it),
        host: host.name.clone(),
        host_href: path("host", &host.name),
        cpu: Figure::share(host.value("cpu.used")),
        memory: Figure::share(host.value("memory.used")),
        seen: host.received.map(|at| Moment::new(at, fleet.now)),
    });
    let page = One {
        name: name.to_owned(),
        level: service.level().word(),
        healthy: service.healthy,
        servers: service.servers.len(),
        wanted: service.wanted(),
        cpu: Figure::share(service.cpu),
        memory: Figure::share(service.memory),
        rows: rows.collect(),
    };
    let frame = Frame::new(site, request, source, &fleet)?;
    site.pages.page("service.html", name, &frame, &page)
}
