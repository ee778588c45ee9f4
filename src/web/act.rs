//! What a person may do with a form: sign in and out, take problems, silence.

use super::door::Attempt;
use super::pages;
use super::request::Request;
use super::response::{Answer, Response, Trouble};
use super::route::{Access, Route, post};
use super::site::Site;
use super::source::{AckOrder, SilenceOrder, Source};

/// Forms go on to their field `back`, a path of this site.
pub const ROUTES: &[Route] = &[
    post("/sign-in", Access::Anyone, sign_in),
    post("/sign-out", Access::Anyone, sign_out),
    post("/act/ack", Access::Actors, ack),
    post("/act/silence", Access::Actors, silence),
    post("/act/end-silence", Access::Actors, end_silence),
];

/// Where a form leads: only within this site.
#[must_use]
pub fn back(request: &Request) -> &str {
    let given = request.form.get("back").or_else(|| request.query.get("back")).unwrap_or("/");
    let local = given.starts_with('/') && !given.starts_with("//") && given.len() <= 2048;
    // A backslash is a slash to some browsers, and a header takes printable ASCII only.
    if local && given.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') { given } else { "/" }
}

fn sign_in(site: &Site, request: &Request, _: &mut dyn Source) -> Answer {
    let attempt = Attempt {
        peer: request.peer,
        user: request.form.get("user").unwrap_or_default(),
        password: request.form.get("password").unwrap_or_default(),
        now: request.now,
    };
    site.door.sign_in(&attempt, back(request)).or_else(|trouble| {
        let mut page = pages::sign_in_page(site, request, Some(&trouble.text))?;
        page.status = trouble.status;
        page.headers.extend(trouble.headers);
        Ok(page)
    })
}

/// Ends the session that the request belongs to.
fn sign_out(site: &Site, request: &Request, _: &mut dyn Source) -> Answer {
    Ok(site.door.sign_out(&request.session))
}

fn name(request: &Request) -> String {
    request.visitor.acts_as().unwrap_or_default().to_owned()
}

fn text(request: &Request, field: &str) -> Option<String> {
    request.form.get(field).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn texts(request: &Request, field: &str) -> Vec<String> {
    let all = request.form.all(field).flat_map(str::split_whitespace);
    all.map(str::to_owned).collect()
}

/// What people write for the others has a length that lists can show.
///
/// # Errors
/// 422.
pub fn words(text: &str, field: &str) -> Result<(), Trouble> {
    let most = 500;
    if text.chars().count() <= most {
        return Ok(());
    }
    Err(Trouble::new(422, format!("the {field} is over {most} letters; say it in fewer")))
}

fn number(text: &str) -> Result<i64, Trouble> {
    text.parse().map_err(|_| Trouble::bad("id is no number of a problem or silence"))
}

/// Fields: `id` (several), `until` (a span), `sticky`, `note`.
fn ack(_: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    let ids = request.form.all("id").map(number).collect::<Result<Vec<i64>, Trouble>>()?;
    if ids.is_empty() {
        return Err(Trouble::bad("which problem? the form has no id"));
    }
    let note = text(request, "note").unwrap_or_default();
    words(&note, "note")?;
    source.acknowledge(&AckOrder {
        ids,
        by: name(request),
        until: text(request, "until"),
        sticky: text(request, "sticky").is_some(),
        note,
    })?;
    Ok(Response::see_other(back(request)))
}

/// Fields: `host`, `group`, `service`, `rule` (patterns, several), `for` (a span), `reason`.
fn silence(_: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    let reason = text(request, "reason").unwrap_or_default();
    words(&reason, "reason")?;
    source.silence(&SilenceOrder {
        hosts: texts(request, "host"),
        groups: texts(request, "group"),
        services: texts(request, "service"),
        rules: texts(request, "rule"),
        by: name(request),
        span: text(request, "for").unwrap_or_default(),
        reason,
    })?;
    Ok(Response::see_other(back(request)))
}

/// Field: `id`.
fn end_silence(_: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    source.end_silence(number(request.form.get("id").unwrap_or_default())?)?;
    Ok(Response::see_other(back(request)))
}
