//! What stands on every page: the bar with its counts, who is signed in, and notices where the page is not to be believed.

use serde::Serialize;

use super::parts::stamp;
use crate::model::alert::Incident;
use crate::model::level::Level;
use crate::model::snapshot::Snapshot;
use crate::web::percent;
use crate::web::request::{Request, Visitor};
use crate::web::response::Trouble;
use crate::web::site::Site;
use crate::web::source::{Health, Source};

/// Seconds between two looks of a page that stays open, at `/api/v1/pulse`; of one that waits, at `/readyz`.
const EVERY: u32 = 5;
const LINKS: &[(&str, &str)] = &[
    ("/", "Fleet"),
    ("/groups", "Groups"),
    ("/services", "Services"),
    ("/incidents", "Incidents"),
    ("/health", "Health"),
];

#[derive(Debug, Serialize)]
struct Link {
    href: &'static str,
    text: &'static str,
    here: bool,
    count: usize,
    level: &'static str,
}

#[derive(Debug, Serialize)]
struct Notice {
    level: &'static str,
    text: String,
    href: &'static str,
}

/// The frame of a page.
#[derive(Debug, Serialize)]
pub struct Frame {
    links: Vec<Link>,
    critical: usize,
    warning: usize,
    icon: &'static str,
    every: u32,
    now: String,
    user: String,
    csrf: String,
    /// Whether forms are shown.
    acts: bool,
    /// Where to sign in; empty where nobody can, or somebody has.
    sign_in: String,
    /// Where to sign in when a session has ended meanwhile.
    again: String,
    here: String,
    notices: Vec<Notice>,
    version: &'static str,
}

impl Frame {
    /// The frame for somebody who may read.
    ///
    /// # Errors
    /// The source's.
    pub fn new(site: &Site, request: &Request, source: &mut dyn Source, fleet: &Snapshot) -> Result<Self, Trouble> {
        let health = source.health()?;
        let open = fleet.hosts.iter().flat_map(|host| &host.problems).chain(&fleet.fleet).map(|it| &it.incident);
        let mut frame = Self::bare(site, request);
        let count = |level: Level| open.clone().filter(|it| it.level == level).count();
        (frame.critical, frame.warning) = (count(Level::Critical), count(Level::Warning));
        let worst = open.clone().map(|it| it.level).max().unwrap_or_default();
        frame.icon = icon(worst);
        let section = LINKS.iter().rev().find(|(href, _)| request.path.starts_with(href.trim_end_matches('s')));
        frame.links = LINKS
            .iter()
            .map(|&(href, text)| {
                let (count, level) = match href {
                    "/incidents" => (frame.critical + frame.warning, worst),
                    "/health" => (health.parts.iter().filter(|part| part.level > Level::Ok).count(), health.level),
                    _ => (0, Level::Ok),
                };
                let known = request.path != "/" && !request.path.starts_with("/host/");
                let here = if known { section.is_some_and(|(it, _)| *it == href) } else { href == "/" };
                Link { href, text, here, count, level: level.word() }
            })
            .collect();
        frame.every = EVERY;
        frame.notices = notices(&health, &fleet.fleet.iter().map(|it| &it.incident).collect::<Vec<_>>());
        Ok(frame)
    }

    /// The frame for strangers: it tells nothing.
    #[must_use]
    pub fn bare(site: &Site, request: &Request) -> Self {
        let user = match &request.visitor {
            Visitor::User { name, .. } => name.clone(),
            _ => String::new(),
        };
        let again = format!("/sign-in?back={}", percent::encode(&request.target));
        let asked = user.is_empty() && site.door.has_users() && request.path != "/sign-in";
        Self {
            acts: !user.is_empty(),
            user,
            csrf: request.visitor.csrf().to_owned(),
            sign_in: if asked { again.clone() } else { String::new() },
            again,
            here: request.target.clone(),
            now: stamp(request.now),
            ..Self::nothing()
        }
    }

    /// The frame of a page that is asked for again as soon as the store answers.
    #[must_use]
    pub fn waiting() -> Self {
        Self { every: EVERY, ..Self::nothing() }
    }

    /// The frame where not even the request is known.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            links: Vec::new(),
            critical: 0,
            warning: 0,
            icon: icon(Level::Ok),
            every: 0,
            now: String::new(),
            user: String::new(),
            csrf: String::new(),
            acts: false,
            sign_in: String::new(),
            again: String::new(),
            here: String::new(),
            notices: Vec::new(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

fn icon(level: Level) -> &'static str {
    match level {
        Level::Ok => "icon-ok.svg",
        Level::Warning => "icon-warning.svg",
        Level::Critical => "icon-critical.svg",
    }
}

fn notices(health: &Health, fleet: &[&Incident]) -> Vec<Notice> {
    let bad = health.parts.iter().filter(|part| part.level > Level::Ok);
    let own = bad.map(|part| {
        let old = if part.name == "collector" { "; what is shown may be old" } else { "" };
        Notice { level: part.level.word(), text: format!("{}{old}", part.text), href: "/health" }
    });
    let all = fleet.iter().map(|it| Notice { level: it.level.word(), text: it.text.clone(), href: "/incidents" });
    all.chain(own).collect()
}
