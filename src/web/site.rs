//! The whole site: from a request as it came to a response as it goes.

use std::net::IpAddr;

use super::assets::Assets;
use super::door::{Door, Keys, unknown};
use super::metrics::Boots;
use super::pages::{self, Pages};
use super::percent;
use super::request::{Incoming, Method, Params, Request, Visitor};
use super::response::{Answer, Response, Trouble, Wishes, finish};
use super::route::{Access, Found, find};
use super::source::Source;

/// For a year browsers ask a name over TLS only.
const LASTING: &str = "max-age=31536000";

/// What a site must know of the place where it stands.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Names that a `Host` may carry besides `localhost` and bare addresses; lower case, without port.
    pub names: Vec<String>,
    /// A proxy stands in front: the client is the last address of `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// TLS is spoken here, and not by a proxy.
    pub tls: bool,
    /// Who may come in.
    pub keys: Keys,
}

/// Everything that lives from one request to the next.
#[derive(Debug)]
pub struct Site {
    /// Files of the pages.
    pub assets: Assets,
    /// Templates of the pages.
    pub pages: Pages,
    /// Who may come in, and who is inside.
    pub door: Door,
    /// When hosts were started, as `/metrics` told it.
    pub boots: Boots,
    names: Vec<String>,
    behind_proxy: bool,
    tls: bool,
}

impl Site {
    /// A site with nobody inside.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let assets = Assets::new(pages::FILES);
        let pages = Pages::new(&assets);
        let door = Door::new(rules.keys);
        let boots = Boots::default();
        Self { assets, pages, door, boots, names: rules.names, behind_proxy: rules.behind_proxy, tls: rules.tls }
    }

    /// Answers a request, whatever it is.
    pub fn answer(&self, incoming: &Incoming, source: &mut dyn Source) -> Response {
        let response = self.lead(incoming, source).unwrap_or_else(|trouble| self.told(incoming, trouble));
        let wishes = Wishes { known: incoming.header("if-none-match"), encodings: incoming.header("accept-encoding") };
        let mut response = finish(response, wishes);
        if self.tls && self.owns(incoming) {
            response.headers.push(("strict-transport-security", LASTING.to_owned()));
        }
        response
    }

    /// Whether the name by which it was asked is served here at the usual port. What a browser keeps of a name holds for
    /// all of its ports: on another one, what else runs there without TLS could not be reached any more.
    fn owns(&self, incoming: &Incoming) -> bool {
        let host = incoming.header("host").unwrap_or_default();
        let name = host.strip_suffix(":443").unwrap_or(host).trim_end_matches('.').to_ascii_lowercase();
        self.names.contains(&name)
    }

    fn lead(&self, incoming: &Incoming, source: &mut dyn Source) -> Answer {
        self.host(incoming)?;
        let (path, query) = incoming.target.split_once('?').unwrap_or((&incoming.target, ""));
        let segments = segments(path)?;
        if segments.first().is_some_and(|first| first == "static") {
            return match incoming.method.as_str() {
                "GET" | "HEAD" => self.assets.serve(path),
                _ => Err(only("GET, HEAD")),
            };
        }
        let method = match incoming.method.as_str() {
            "GET" | "HEAD" => Some(Method::Get),
            "POST" => Some(Method::Post),
            _ => None,
        };
        let (route, captures) = match find(method, &segments) {
            Found::Route(route, captures) => (route, captures),
            Found::Nothing => return Err(Trouble::missing("there is no such page; the fleet is at /")),
            Found::Methods(allowed) => return Err(only(&allowed)),
        };
        if route.method == Method::Post {
            same_site(incoming)?;
        }
        let visitor = self.door.visitor(incoming)?;
        let query = Params::read(query).ok_or_else(|| Trouble::bad("the query is malformed"))?;
        let mut request = Request {
            method: route.method,
            path: format!("/{}", segments.join("/")),
            target: incoming.target.clone(),
            captures,
            query,
            form: Params::default(),
            json: None,
            visitor,
            peer: self.peer(incoming),
            session: self.door.session(incoming),
            now: incoming.now,
            accept: incoming.header("accept").unwrap_or_default().to_owned(),
        };
        if route.method == Method::Post {
            read_body(incoming, &mut request)?;
        }
        permit(route.access, incoming, &request)?;
        (route.run)(self, &request, source)
    }

    /// The client's address.
    fn peer(&self, incoming: &Incoming) -> IpAddr {
        let forwarded = incoming.headers.iter().rev().find(|(name, _)| self.behind_proxy && name == "x-forwarded-for");
        let last = forwarded.and_then(|(_, list)| list.rsplit(',').next()).map(str::trim);
        last.and_then(|last| last.parse().ok()).unwrap_or(incoming.peer)
    }

    /// A page of another site that gives its name our address (DNS rebinding) comes with that name as `Host`.
    fn host(&self, incoming: &Incoming) -> Result<(), Trouble> {
        let host = incoming.header("host").ok_or_else(|| Trouble::bad("the request names no host, or several"))?;
        for named in [Some(host), incoming.authority.as_deref()].into_iter().flatten() {
            if !self.known(named) {
                let text = "this server does not answer to that name; if it should, add it to hosts= of <web>";
                return Err(Trouble::new(421, text));
            }
        }
        Ok(())
    }

    fn known(&self, host: &str) -> bool {
        let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((six, port)) => (six, port.strip_prefix(':').or(Some(port).filter(|port| port.is_empty()))),
            None => host.split_once(':').map_or((host, Some("")), |(name, port)| (name, Some(port))),
        };
        if !port.is_some_and(|port| port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit())) {
            return false;
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        name == "localhost" || name.parse::<IpAddr>().is_ok() || self.names.contains(&name)
    }

    /// What is told where there is nothing else to tell: JSON to programs, a page to people.
    fn told(&self, incoming: &Incoming, trouble: Trouble) -> Response {
        let path = incoming.target.split('?').next().unwrap_or_default();
        let page = incoming.header("accept").is_some_and(|accept| accept.contains("text/html"));
        let mut response = if path.starts_with("/api/") {
            let body = serde_json::json!({"version": 1, "error": {"status": trouble.status, "text": trouble.text}});
            Response::json(trouble.status, &body)
        } else if !page || path == "/metrics" || path == "/healthz" || path == "/readyz" {
            Response::text(trouble.status, format!("{}\n", trouble.text))
        } else if trouble.status == 401 && incoming.method == "GET" && self.door.has_users() {
            if incoming.header("sec-fetch-site") == Some("cross-site") {
                return again(&incoming.target);
            }
            Response::see_other(&format!("/sign-in?back={}", percent::encode(&incoming.target)))
        } else {
            pages::trouble(self, &trouble, incoming.method == "POST")
        };
        response.headers.extend(trouble.headers);
        response
    }
}

fn only(allowed: &str) -> Trouble {
    Trouble::new(405, format!("only {allowed} can be done here")).with("allow", allowed)
}

/// A link in a mail comes without the cookie (SameSite=Strict), though the person may have signed in: a page that goes on
/// to itself comes with it.
fn again(target: &str) -> Response {
    let mut safe = String::new();
    for c in target.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '"' | '\'' | '<' | '>' => safe.push_str(&percent::encode(&c.to_string())),
            c => safe.push(c),
        }
    }
    let text = format!(
        "<!doctype html><html lang=\"en\"><title>fleet-health</title><meta http-equiv=\"refresh\" \
         content=\"0;url={safe}\"><p><a href=\"{safe}\">Go on</a></p></html>\n"
    );
    Response::html(200, text)
}

/// The decoded segments of a path. What could climb out of it or hide in it is refused, though no file is ever opened.
fn segments(path: &str) -> Result<Vec<String>, Trouble> {
    let rest = path.strip_prefix('/').ok_or_else(|| Trouble::bad("the path does not start with /"))?;
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let bad = || Trouble::bad("the path is malformed");
    let read = |part: &str| {
        let text = percent::decode(part, false).ok_or_else(bad)?;
        let hides =
            text.is_empty() || text == "." || text == ".." || text.contains(|c: char| c == '\\' || c.is_control());
        if hides { Err(bad()) } else { Ok(text) }
    };
    rest.split('/').map(read).collect()
}

/// Another site cannot make a browser send something that changes anything here.
fn same_site(incoming: &Incoming) -> Result<(), Trouble> {
    let refused = || Trouble::new(403, "this came from another site; sign in here and try again");
    let fetch = incoming.headers.iter().filter(|(name, _)| name == "sec-fetch-site");
    if fetch.map(|(_, value)| value.as_str()).any(|site| site != "same-origin" && site != "none") {
        return Err(refused());
    }
    for (_, origin) in incoming.headers.iter().filter(|(name, _)| name == "origin") {
        let named = origin.split_once("://").map(|(_, host)| host);
        if named != incoming.header("host") {
            return Err(refused());
        }
    }
    Ok(())
}

fn read_body(incoming: &Incoming, request: &mut Request) -> Result<(), Trouble> {
    let kind = incoming.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let text = std::str::from_utf8(&incoming.body).map_err(|_| Trouble::bad("the body is not UTF-8"))?;
    match kind.as_str() {
        "application/x-www-form-urlencoded" => {
            request.form = Params::read(text).ok_or_else(|| Trouble::bad("the form is malformed"))?;
        }
        "application/json" => {
            let read =
                serde_json::from_str(text).map_err(|error| Trouble::bad(format!("the JSON is malformed: {error}")));
            request.json = Some(read?);
        }
        "" if text.is_empty() => {}
        _ => return Err(Trouble::new(415, "send a form (application/x-www-form-urlencoded) or application/json")),
    }
    Ok(())
}

fn permit(access: Access, incoming: &Incoming, request: &Request) -> Result<(), Trouble> {
    if access == Access::Anyone {
        return Ok(());
    }
    if !request.visitor.reads() {
        return Err(unknown("sign in, or send a bearer token"));
    }
    if access == Access::Readers {
        return Ok(());
    }
    if request.visitor.acts_as().is_none() {
        let text = match request.visitor {
            Visitor::Token { .. } => "this token only reads; write acts=\"true\" on its <token> if it should do more",
            _ => "nobody can sign in here, so nothing can be changed; add a <user> to <web>, or use: fleet ack",
        };
        return Err(Trouble::new(403, text));
    }
    if let Visitor::User { csrf, .. } = &request.visitor {
        let given = request.form.get("csrf").or_else(|| incoming.header("x-csrf-token")).unwrap_or_default();
        if !same(given, csrf) {
            return Err(Trouble::new(403, "this form is out of date; load the page again"));
        }
    }
    Ok(())
}

/// Compares without telling by its time where the difference is.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |all, (x, y)| all | (x ^ y)) == 0
}

#[cfg(test)]
mod tests;
