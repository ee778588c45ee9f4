//! Pages for people.

use minijinja::{Environment, Value, context};

use super::assets::{Assets, File};
use super::request::Request;
use super::response::{Answer, Response, Trouble};
use super::route::{Access, Route, get};
use super::site::Site;
use super::source::Source;
use crate::model::filter::Filter;

/// Files that pages need.
pub const FILES: &[File] =
    &[File { name: "style.css", kind: "text/css; charset=utf-8", bytes: include_bytes!("../assets/style.css") }];

/// Pages.
pub const ROUTES: &[Route] = &[get("/", Access::Readers, fleet), get("/sign-in", Access::Anyone, sign_in)];

/// Templates; what they show is escaped by itself.
#[derive(Debug)]
pub struct Pages(Environment<'static>);

impl Pages {
    /// Reads the templates.
    #[must_use]
    pub fn new(assets: &Assets) -> Self {
        let mut environment = Environment::new();
        let urls: Vec<(&str, String)> =
            FILES.iter().filter_map(|file| Some((file.name, assets.url(file.name)?.to_owned()))).collect();
        environment.add_function("asset", move |name: String| {
            urls.iter().find(|(known, _)| *known == name).map_or_else(String::new, |(_, url)| url.clone())
        });
        for (name, text) in [
            ("base.html", include_str!("../templates/base.html")),
            ("fleet.html", include_str!("../templates/fleet.html")),
            ("sign-in.html", include_str!("../templates/sign-in.html")),
            ("trouble.html", include_str!("../templates/trouble.html")),
        ] {
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
    pub fn render(&self, template: &str, values: Value) -> Result<String, Trouble> {
        let page = self.0.get_template(template).and_then(|template| template.render(values));
        page.map_err(|error| {
            log::error!("{template}: {error:#}");
            Trouble::new(500, "this page cannot be shown; the server's log tells why")
        })
    }
}

fn fleet(site: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    let fleet = source.fleet(&Filter::default())?;
    let hosts: Vec<&str> = fleet.hosts.iter().map(|host| host.name.as_str()).collect();
    let values = context! { hosts, csrf => request.visitor.csrf(), user => request.visitor.acts_as() };
    Ok(Response::html(200, site.pages.render("fleet.html", values)?))
}

fn sign_in(site: &Site, request: &Request, _: &mut dyn Source) -> Answer {
    sign_in_page(site, request, None)
}

/// The form to sign in with, and what was wrong with the last attempt.
///
/// # Errors
/// As [`Pages::render`].
pub fn sign_in_page(site: &Site, request: &Request, fault: Option<&str>) -> Answer {
    let values = context! { fault, back => super::act::back(request), possible => site.door.has_users() };
    Ok(Response::html(200, site.pages.render("sign-in.html", values)?))
}

/// What is shown where there is nothing else to show.
#[must_use]
pub fn trouble(site: &Site, trouble: &Trouble) -> Response {
    let values = context! { status => trouble.status, text => trouble.text };
    match site.pages.render("trouble.html", values) {
        Ok(page) => Response::html(trouble.status, page),
        Err(_) => Response::text(trouble.status, format!("{}\n", trouble.text)),
    }
}
