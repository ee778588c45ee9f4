//! Pages for people: templates, and what they show. All of it works without scripts, but the charts; scripts fetch the
//! same pages again, so there is one way to draw each.

use minijinja::{Environment, context};
use serde::Serialize;

use super::assets::{Assets, File};
use super::request::Request;
use super::response::{Answer, Response, Trouble};
use super::route::{Access, Route, get};
use super::site::Site;
use super::source::Source;
use frame::Frame;

mod charts;
mod choose;
mod fleet;
mod frame;
mod health;
mod heat;
mod host;
mod hosts;
mod incidents;
mod parts;
mod services;
#[cfg(test)]
mod tests;

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// Files that pages need.
pub const FILES: &[File] = &[
    File { name: "style.css", kind: CSS, bytes: include_bytes!("../assets/style.css") },
    File { name: "theme.js", kind: SCRIPT, bytes: include_bytes!("../assets/theme.js") },
    File { name: "page.js", kind: SCRIPT, bytes: include_bytes!("../assets/page.js") },
    File { name: "charts.js", kind: SCRIPT, bytes: include_bytes!("../assets/charts.js") },
    // uPlot 1.6.32 as npm has it, with its licence beside it.
    File { name: "uplot.js", kind: SCRIPT, bytes: include_bytes!("../assets/uplot.js") },
    File { name: "uplot.css", kind: CSS, bytes: include_bytes!("../assets/uplot.css") },
    File { name: "icon-ok.svg", kind: PICTURE, bytes: include_bytes!("../assets/icon-ok.svg") },
    File { name: "icon-warning.svg", kind: PICTURE, bytes: include_bytes!("../assets/icon-warning.svg") },
    File { name: "icon-critical.svg", kind: PICTURE, bytes: include_bytes!("../assets/icon-critical.svg") },
];

const TEMPLATES: &[(&str, &str)] = &[
    ("base.html", include_str!("../templates/base.html")),
    ("macros.html", include_str!("../templates/macros.html")),
    ("fleet.html", include_str!("../templates/fleet.html")),
    ("groups.html", include_str!("../templates/groups.html")),
    ("health.html", include_str!("../templates/health.html")),
    ("host.html", include_str!("../templates/host.html")),
    ("incident.html", include_str!("../templates/incident.html")),
    ("incidents.html", include_str!("../templates/incidents.html")),
    ("service.html", include_str!("../templates/service.html")),
    ("services.html", include_str!("../templates/services.html")),
    ("sign-in.html", include_str!("../templates/sign-in.html")),
    ("trouble.html", include_str!("../templates/trouble.html")),
];

/// Pages.
pub const ROUTES: &[Route] = &[
    get("/", Access::Readers, fleet::fleet),
    get("/groups", Access::Readers, fleet::groups),
    get("/group/{name}", Access::Readers, fleet::group),
    get("/services", Access::Readers, services::services),
    get("/service/{name}", Access::Readers, services::service),
    get("/host/{name}", Access::Readers, host::host),
    get("/host/{name}/charts", Access::Readers, charts::charts),
    get("/incidents", Access::Readers, incidents::incidents),
    get("/incident/{id}", Access::Readers, incidents::incident),
    get("/health", Access::Readers, health::health),
    get("/sign-in", Access::Anyone, sign_in),
];

/// Templates; what they show is escaped by itself.
#[derive(Debug)]
pub struct Pages(Environment<'static>);

impl Pages {
    /// Reads the templates.
    #[must_use]
    pub fn new(assets: &Assets) -> Self {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        let urls: Vec<(&str, String)> =
            FILES.iter().filter_map(|file| Some((file.name, assets.url(file.name)?.to_owned()))).collect();
        environment.add_function("asset", move |name: &str| {
            urls.iter().find(|(known, _)| *known == name).map_or_else(String::new, |(_, url)| url.clone())
        });
        for (name, text) in TEMPLATES {
            if let Err(error) = environment.add_template(name, text) {
                log::error!("{name}: {error}");
            }
        }
        Self(environment)
    }

    /// A page from a template.
    ///
    /// # Errors
    /// 500 where the template is wrong.
    fn page<T: Serialize>(&self, template: &str, title: &str, bar: &Frame, page: &T) -> Answer {
        let values = context! { title, bar, page };
        let text = self.0.get_template(template).and_then(|template| template.render(values)).map_err(|error| {
            log::error!("{template}: {error:#}");
            Trouble::new(500, "this page cannot be shown; the server's log tells why")
        })?;
        Ok(Response::html(200, text))
    }
}

fn sign_in(site: &Site, request: &Request, _: &mut dyn Source) -> Answer {
    sign_in_page(site, request, None)
}

#[derive(Debug, Serialize)]
struct SignIn<'a> {
    wrong: Option<&'a str>,
    back: &'a str,
    name: &'a str,
    possible: bool,
}

/// The form to sign in with, and what was wrong with the last attempt.
///
/// # Errors
/// 500 where the template is wrong.
pub fn sign_in_page(site: &Site, request: &Request, fault: Option<&str>) -> Answer {
    let page = SignIn {
        wrong: fault,
        back: super::act::back(request),
        name: request.form.get("user").unwrap_or_default(),
        possible: site.door.has_users(),
    };
    site.pages.page("sign-in.html", "Sign in", &Frame::bare(site, request), &page)
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    status: u16,
    words: &'static str,
    text: &'a str,
    waits: bool,
}

/// What is shown where there is nothing else to show. Where the store did not answer, it waits for it: but a form that was
/// sent is not sent again by itself.
#[must_use]
pub fn trouble(site: &Site, trouble: &Trouble, sent: bool) -> Response {
    let words = match trouble.status {
        401 => "Sign in first",
        403 => "Not allowed",
        404 => "Not found",
        429 => "Too many attempts",
        503 => "The store does not answer",
        status if status < 500 => "Not understood",
        _ => "Something is broken here",
    };
    let waits = trouble.status == 503 && !sent;
    let frame = if waits { Frame::waiting() } else { Frame::nothing() };
    let page = Told { status: trouble.status, words, text: &trouble.text, waits };
    match site.pages.page("trouble.html", words, &frame, &page) {
        Ok(page) => Response { status: trouble.status, ..page },
        Err(_) => Response::text(trouble.status, format!("{}\n", trouble.text)),
    }
}
