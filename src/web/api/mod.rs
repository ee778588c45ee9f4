//! `/api/v1`: what pages show, for programs. Answers carry `"version": 1` and only ever grow; `openapi.json` describes them
//! and a test compares it with the routes.

mod act;
mod shape;

use serde_json::{Value, json};

use super::request::Request;
use super::response::{Answer, Response, Trouble, stamp};
use super::route::{Access, Route, get, post};
use super::site::Site;
use super::source::{Source, Stretch, Which};
use crate::model::catalogue;
use crate::model::derive;
use crate::model::filter::Filter;
use crate::model::metric::{Kind, Unit};
use crate::model::snapshot::Snapshot;
use shape::{hush, listed, point, process, row, time};

/// Every answer of the interface.
pub const ROUTES: &[Route] = &[
    get("/api/v1/openapi.json", Access::Anyone, openapi),
    get("/api/v1/pulse", Access::Readers, pulse),
    get("/api/v1/hosts", Access::Readers, hosts),
    get("/api/v1/hosts/{name}", Access::Readers, host),
    get("/api/v1/hosts/{name}/series", Access::Readers, series),
    get("/api/v1/hosts/{name}/top", Access::Readers, top),
    get("/api/v1/services", Access::Readers, services),
    get("/api/v1/incidents", Access::Readers, incidents),
    get("/api/v1/incidents/{id}", Access::Readers, incident),
    post("/api/v1/incidents/{id}/ack", Access::Actors, act::ack),
    get("/api/v1/silences", Access::Readers, silences),
    post("/api/v1/silences", Access::Actors, act::silence),
    post("/api/v1/silences/{id}/end", Access::Actors, act::end_silence),
    get("/api/v1/health", Access::Readers, health),
];

/// The document that describes all of it.
pub const OPENAPI: &str = include_str!("openapi.json");

/// Rows of one answer.
const MOST_ROWS: i64 = 5000;
/// Letters of a host's name.
const LONGEST_NAME: usize = 64;
/// Points of one series: more than any screen is wide.
const MOST_POINTS: i64 = 5000;
/// Points where nobody says how many.
const POINTS: i64 = 500;
/// The span of a series where nobody says which.
const SPAN: chrono::TimeDelta = chrono::TimeDelta::hours(24);

fn openapi(_: &Site, _: &Request, _: &mut dyn Source) -> Answer {
    Ok(Response::new(200, "application/json", OPENAPI))
}

/// Adds the version that every answer carries.
fn answer(mut body: Value) -> Answer {
    if let Some(body) = body.as_object_mut() {
        body.insert("version".to_owned(), json!(1));
    }
    Ok(Response::json(200, &body))
}

/// A number of the path.
fn number(request: &Request) -> Result<i64, Trouble> {
    let id = request.capture("id").parse::<i64>().ok().filter(|id| *id >= 0);
    id.ok_or_else(|| Trouble::bad("the id is no number"))
}

/// A misspelt parameter would be a question that nobody asked: each must be known, be given once, and say something, but
/// for those that choose (`filter`, `host`, `item`), which may choose everything.
fn known(request: &Request, names: &[&str]) -> Result<(), Trouble> {
    for (n, (name, value)) in request.query.iter().enumerate() {
        if !names.contains(&name) {
            let list = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(Trouble::bad(format!("there is no parameter of that name here; there are: {list}")));
        }
        if request.query.iter().take(n).any(|(before, _)| before == name) {
            return Err(Trouble::bad(format!("{name}= is given twice")));
        }
        if value.is_empty() && !["filter", "host", "item"].contains(&name) {
            return Err(Trouble::bad(format!("{name}= is empty; leave it out")));
        }
    }
    Ok(())
}

fn no_host(request: &Request) -> Trouble {
    Trouble::missing(format!("there is no host \"{}\" in the configuration", request.capture("name")))
}

/// Enough to know whether what is shown is out of date; a page that is kept open asks every few seconds.
fn pulse(_: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    known(request, &[])?;
    let fleet = source.fleet(&Filter::default())?;
    let [critical, warning, unknown, ok] = fleet.counts();
    let problems = fleet.hosts.iter().flat_map(|host| &host.problems).chain(&fleet.fleet);
    let mut seen = String::new();
    for host in &fleet.hosts {
        let received = host.received.map_or(0, |at| at.timestamp_millis());
        seen.push_str(&format!("{} {} {received};", host.name, host.state.word()));
    }
    let mut open = 0;
    for problem in problems {
        open += 1;
        let it = &problem.incident;
        let (ack, silenced) = (problem.ack.is_some(), problem.silenced.is_some());
        seen.push_str(&format!("{} {} {ack} {silenced};", it.id, it.level));
    }
    answer(json!({
        "now": time(fleet.now), "stamp": stamp(seen.as_bytes()), "open": open,
        "hosts": {"critical": critical, "warning": warning, "unknown": unknown, "ok": ok},
    }))
}

fn hosts(_: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    known(request, &["filter", "limit", "offset"])?;
    let filter = Filter::parse(request.query.get("filter").unwrap_or_default());
    let filter = filter.map_err(|error| Trouble::new(422, error.to_string()))?;
    let limit = request.query.number("limit", 1, MOST_ROWS)?.unwrap_or(MOST_ROWS);
    let offset = request.query.number("offset", 0, 1_000_000)?.unwrap_or(0);
    let fleet = source.fleet(&filter)?;
    let chosen: Vec<_> = fleet.hosts.iter().filter(|host| filter.host(host)).collect();
    let page = chosen.iter().skip(usize::try_from(offset).unwrap_or(0)).take(usize::try_from(limit).unwrap_or(0));
    let rows: Vec<Value> = page.map(|host| row(host)).collect();
    answer(json!({"now": time(fleet.now), "total": chosen.len(), "offset": offset, "rows": rows}))
}

fn host(_: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    known(request, &[])?;
    let host = source.host(request.capture("name"))?.ok_or_else(|| no_host(request))?;
    let sample = host.sample.as_ref();
    let readings = sample.map(|sample| {
        let all = sample.readings.iter();
        all.map(|it| json!({"metric": it.metric, "item": it.item, "value": it.value})).collect::<Vec<_>>()
    });
    let faults = sample.map(|sample| {
        let all = sample.faults.iter();
        all.map(|it| json!({"section": it.section, "item": it.item, "kind": it.kind.word(), "text": it.text}))
            .collect::<Vec<_>>()
    });
    let facts = shape::held(&host.facts);
    let attempts: Vec<Value> = host.attempts.iter().map(shape::attempt).collect();
    answer(json!({
        "host": row(&host.row),
        "sample": sample.map(|sample| json!({
            "taken": time(sample.taken), "hostname": sample.hostname, "probe": sample.probe,
            "readings": readings, "faults": faults,
            "top": sample.top.iter().map(process).collect::<Vec<_>>(),
        })),
        "facts": facts.map(|it| json!({
            "name": it.name, "item": it.item, "text": it.text, "since": time(it.since),
        })).collect::<Vec<_>>(),
        "attempts": attempts,
    }))
}

/// `metric`, and optionally `item`, `from`, `to` (the last 24 hours) and `points` (as many as pixels).
fn series(_: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    known(request, &["metric", "item", "from", "to", "points"])?;
    let name = request.capture("name");
    if !source.fleet(&Filter::default())?.hosts.iter().any(|host| host.name == name) {
        return Err(no_host(request));
    }
    let metric = request.query.get("metric").ok_or_else(|| Trouble::bad("metric= is missing; see: fleet metrics"))?;
    let known = catalogue::find(metric).ok_or_else(|| Trouble::bad("no such metric; see: fleet metrics"))?;
    let until = request.query.moment("to")?.unwrap_or(request.now);
    let since = request.query.moment("from")?.unwrap_or(until - SPAN);
    if since >= until {
        return Err(Trouble::new(422, "from= is not before to="));
    }
    let points = request.query.number("points", 1, MOST_POINTS)?.unwrap_or(POINTS);
    let most = usize::try_from(points).unwrap_or(1);
    let item = request.query.get("item");
    let found = source.series(&Stretch { host: name, metrics: &[metric], item, since, until, most })?.pop();
    let rows: Vec<Value> = found
        .iter()
        .flatten()
        .map(|series| json!({"item": series.item, "points": series.points.iter().map(point).collect::<Vec<_>>()}))
        .collect();
    answer(json!({
        "host": name, "metric": metric, "unit": told_in(metric, known.kind, known.unit).word(), "help": known.help,
        "from": time(since), "to": time(until), "rows": rows,
    }))
}

/// A counter is told as its rate.
fn told_in(metric: &str, kind: Kind, unit: Unit) -> Unit {
    let rate = kind == Kind::Counter && derive::find(metric).is_none();
    if rate { unit.per_second() } else { unit }
}

fn top(_: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    known(request, &["at"])?;
    let name = request.capture("name");
    if !source.fleet(&Filter::default())?.hosts.iter().any(|host| host.name == name) {
        return Err(no_host(request));
    }
    let at = request.query.moment("at")?.unwrap_or(request.now);
    let found = source.top(name, at)?;
    let rows = found.as_ref().map(|(_, list)| list.iter().map(process).collect::<Vec<_>>());
    answer(json!({"host": name, "at": found.map(|(at, _)| time(at)), "rows": rows.unwrap_or_default()}))
}

fn services(_: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    known(request, &[])?;
    let fleet = source.fleet(&Filter::default())?;
    let rows: Vec<Value> = Snapshot::services(&fleet.hosts).iter().map(shape::service).collect();
    answer(json!({"now": time(fleet.now), "rows": rows}))
}

/// Greater numbers are no whole ones to every program that reads JSON.
const LATEST: i64 = (1 << 53) - 1;

fn incidents(_: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    known(request, &["host", "from", "to", "ended", "before", "limit"])?;
    let ended = request.query.number("ended", 0, 1)?.unwrap_or(0) == 1;
    let before = request.query.number("before", 1, LATEST)?;
    let most = usize::try_from(request.query.number("limit", 1, 1000)?.unwrap_or(100)).unwrap_or(1);
    let host = request.query.get("host").filter(|host| !host.is_empty());
    if host.is_some_and(|host| host.chars().count() > LONGEST_NAME) {
        return Err(Trouble::bad(format!("host= is over {LONGEST_NAME} letters, which no name is")));
    }
    let (since, until) = (request.query.moment("from")?, request.query.moment("to")?);
    // One more tells whether there are older ones.
    let mut list = source.incidents(Which { host, since, until, ended, before, most: most + 1 })?;
    let all = list.iter().take_while(|it| it.incident.closed.is_none()).count() + most;
    let more = list.len() > all;
    list.truncate(all);
    let older = list.last().filter(|_| more).map(|it| it.incident.id);
    let rows: Vec<Value> = list.iter().map(listed).collect();
    answer(json!({"now": time(request.now), "rows": rows, "older": older}))
}

fn incident(_: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    known(request, &[])?;
    let id = number(request)?;
    let story = source.incident(id)?.ok_or_else(|| Trouble::missing(format!("no problem has the number {id}")))?;
    let events: Vec<Value> = story
        .events
        .iter()
        .map(|it| json!({"at": time(it.at), "level": it.level.word(), "value": it.value, "text": it.text}))
        .collect();
    let letters = story.letters.iter().map(|it| {
        json!({
            "at": time(it.at), "destination": it.destination, "recipient": it.recipient, "subject": it.subject,
            "state": it.state, "error": it.error,
        })
    });
    let letters: Vec<Value> = letters.collect();
    answer(json!({"incident": listed(&story.listed), "events": events, "mails": letters, "why": story.why}))
}

fn silences(_: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    known(request, &[])?;
    let rows: Vec<Value> = source.silences()?.iter().map(hush).collect();
    answer(json!({"now": time(request.now), "rows": rows}))
}

fn health(_: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    known(request, &[])?;
    let health = source.health()?;
    let parts: Vec<Value> = health
        .parts
        .iter()
        .map(|part| json!({"part": part.name, "level": part.level.word(), "text": part.text}))
        .collect();
    let sweeps = health.sweeps.iter().map(|it| {
        let ended = it.ended.map(time);
        json!({"id": it.id, "started": time(it.started), "ended": ended, "hosts": it.hosts, "failed": it.failed})
    });
    answer(json!({
        "now": time(request.now), "level": health.level.word(), "text": health.line, "rows": parts,
        "sweeps": sweeps.collect::<Vec<_>>(), "queued": health.queued,
    }))
}

#[cfg(test)]
mod tests;
