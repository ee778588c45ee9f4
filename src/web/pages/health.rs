//! Whether fleet-health itself does its job.

use serde::Serialize;

use super::frame::Frame;
use super::parts::{Moment, lasted};
use crate::model::filter::Filter;
use crate::web::request::Request;
use crate::web::response::Answer;
use crate::web::site::Site;
use crate::web::source::Source;

#[derive(Debug, Serialize)]
struct Program {
    level: &'static str,
    name: &'static str,
    at: Option<Moment>,
    text: String,
}

#[derive(Debug, Serialize)]
struct Sweep {
    id: i64,
    started: Moment,
    took: String,
    hosts: u32,
    failed: u32,
}

#[derive(Debug, Serialize)]
struct Page {
    level: &'static str,
    programs: Vec<Program>,
    sweeps: Vec<Sweep>,
}

/// The health page.
///
/// # Errors
/// The source's.
pub fn health(site: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    let fleet = source.fleet(&Filter::default())?;
    let health = source.health()?;
    let programs = health.parts.iter().map(|part| Program {
        level: part.level.word(),
        name: part.name,
        // Of collectors of parts of the fleet the one that is longest ago.
        at: health
            .beats
            .iter()
            .filter(|beat| beat.role.split(' ').next() == Some(part.name))
            .map(|beat| beat.at)
            .min()
            .map(|at| Moment::new(at, fleet.now)),
        text: part.text.clone(),
    });
    let sweeps = health.sweeps.iter().map(|sweep| Sweep {
        id: sweep.id,
        started: Moment::new(sweep.started, fleet.now),
        took: sweep.ended.map_or_else(|| "not ended".to_owned(), |ended| lasted(sweep.started, ended)),
        hosts: sweep.hosts,
        failed: sweep.failed,
    });
    let page = Page { level: health.level.word(), programs: programs.collect(), sweeps: sweeps.collect() };
    let frame = Frame::new(site, request, source, &fleet)?;
    site.pages.page("health.html", "Health", &frame, &page)
}
