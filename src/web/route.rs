//! What is asked: the table of routes.

use super::request::{Method, Request};
use super::response::Answer;
use super::site::Site;
use super::source::Source;
use super::{act, api, metrics, pages};

/// Who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, signed in or not.
    Anyone,
    /// Who may read.
    Readers,
    /// Who has a name to record: a user with the form's `csrf`, or a token that may act.
    Actors,
}

/// What answers.
pub type Run = fn(&Site, &Request, &mut dyn Source) -> Answer;

/// A route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Reads or changes.
    pub method: Method,
    /// `/host/{name}`; a `{name}` stands for one segment, whatever it decodes to.
    pub path: &'static str,
    /// Who may.
    pub access: Access,
    /// What answers.
    pub run: Run,
}

/// A route that reads.
#[must_use]
pub const fn get(path: &'static str, access: Access, run: Run) -> Route {
    Route { method: Method::Get, path, access, run }
}

/// A route that changes something.
#[must_use]
pub const fn post(path: &'static str, access: Access, run: Run) -> Route {
    Route { method: Method::Post, path, access, run }
}

/// Every route, in groups.
pub const ROUTES: &[&[Route]] = &[pages::ROUTES, act::ROUTES, api::ROUTES, metrics::ROUTES];

/// What a path stands for.
#[derive(Debug)]
pub enum Found {
    /// A route, and what its `{name}`s stand for.
    Route(&'static Route, Vec<(&'static str, String)>),
    /// The path is known, the method is not: the methods that are, for `Allow`.
    Methods(String),
    /// Nothing.
    Nothing,
}

/// Looks for the route of a method and the decoded segments of a path. `None` is a method that no route has.
#[must_use]
pub fn find(method: Option<Method>, segments: &[String]) -> Found {
    let mut allowed: Vec<&str> = Vec::new();
    for route in ROUTES.iter().copied().flatten() {
        let Some(captures) = captures(route.path, segments) else { continue };
        if Some(route.method) == method {
            return Found::Route(route, captures);
        }
        match route.method {
            Method::Get => allowed.extend(["GET", "HEAD"]),
            Method::Post => allowed.push("POST"),
        }
    }
    if allowed.is_empty() { Found::Nothing } else { Found::Methods(allowed.join(", ")) }
}

fn captures(pattern: &'static str, segments: &[String]) -> Option<Vec<(&'static str, String)>> {
    let parts: Vec<&'static str> = pattern.split('/').skip(1).filter(|part| !part.is_empty()).collect();
    if parts.len() != segments.len() {
        return None;
    }
    let mut found = Vec::new();
    for (part, segment) in parts.iter().zip(segments) {
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => found.push((name, segment.clone())),
            None if part == segment => {}
            None => return None,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_segment() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(captures("/", &[]).unwrap(), []);
        assert_eq!(captures("/host/{name}", &words(&["host", "a/b"])).unwrap(), [("name", "a/b".to_owned())]);
        assert!(captures("/host/{name}", &words(&["host"])).is_none());
        assert!(captures("/host/{name}", &words(&["hosts", "a"])).is_none());
        assert!(matches!(find(None, &[]), Found::Methods(methods) if methods == "GET, HEAD"));
        assert!(matches!(find(Some(Method::Get), &words(&["nowhere"])), Found::Nothing));
    }

    #[test]
    fn what_changes_something_is_for_those_with_a_name() {
        for route in ROUTES.iter().copied().flatten() {
            let door = ["/sign-in", "/sign-out"].contains(&route.path);
            assert!(route.method == Method::Get || route.access == Access::Actors || door, "{}", route.path);
        }
    }
}
