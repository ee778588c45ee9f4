//! `/metrics`: fleet-health's own health, and of each host its latest readings under node_exporter's names.

mod boots;
mod node;
mod own;
mod text;

use std::collections::HashSet;

use super::request::Request;
use super::response::{Answer, Response, Trouble};
use super::route::{Access, Route, get};
use super::site::Site;
use super::source::Source;
use crate::model::filter::Filter;
pub use boots::Boots;
use text::{Form, Page};

/// What machines ask about us.
pub const ROUTES: &[Route] = &[
    get("/metrics", Access::Readers, metrics),
    get("/healthz", Access::Anyone, healthz),
    get("/readyz", Access::Anyone, readyz),
];

/// It answers, so it lives.
fn healthz(_: &Site, _: &Request, _: &mut dyn Source) -> Answer {
    Ok(Response::text(200, "ok\n").with("cache-control", "no-store"))
}

/// Whether pages could be shown: whoever asks need not know why not, the log tells.
fn readyz(_: &Site, _: &Request, source: &mut dyn Source) -> Answer {
    source
        .fleet(&Filter::default())
        .map_err(|_| Trouble::store("the store cannot be read; the server's log tells why"))?;
    Ok(Response::text(200, "ok\n").with("cache-control", "no-store"))
}

/// `filter=` chooses hosts, so that several scrapes share a large fleet; `part=own` or `part=hosts` leaves the other out.
fn metrics(site: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    let filter = request.query.get("filter").unwrap_or_default();
    let filter = Filter::parse(filter).map_err(|error| Trouble::new(422, error.to_string()))?;
    let (own, hosts) = match request.query.get("part").unwrap_or_default() {
        "" => (true, true),
        "own" => (true, false),
        "hosts" => (false, true),
        _ => return Err(Trouble::bad("part= is own or hosts, or left out")),
    };
    let form = Form::wanted(&request.accept);
    let mut page = Page::new(form);
    let fleet = source.fleet(&filter)?;
    let chosen: HashSet<&str> =
        fleet.hosts.iter().filter(|host| filter.host(host)).map(|host| host.name.as_str()).collect();
    if own {
        own::write(&mut page, &fleet, &chosen, &source.health()?);
    }
    if hosts {
        let known = source.latest(&node::metrics())?;
        let facts = source.facts_now(node::FACTS)?;
        let mut boots = site.boots.told();
        boots.keep(fleet.hosts.iter().map(|host| host.name.as_str()));
        node::write(&mut page, &known, &facts, &chosen, &mut boots, request.now);
    }
    // Long, and new each time: nobody would ask for it by its tag.
    Ok(Response::new(200, form.kind(), page.done()).with("cache-control", "no-store"))
}
