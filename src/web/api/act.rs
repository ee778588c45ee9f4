//! Orders of programs: the same as the forms, in JSON.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{answer, number};
use crate::web::act::words;
use crate::web::request::Request;
use crate::web::response::{Answer, Trouble};
use crate::web::site::Site;
use crate::web::source::{AckOrder, SilenceOrder, Source};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Ack {
    until: Option<String>,
    sticky: bool,
    note: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Silence {
    hosts: Vec<String>,
    groups: Vec<String>,
    services: Vec<String>,
    rules: Vec<String>,
    r#for: String,
    reason: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Nothing {}

/// The body, which must be an object (a struct would be read from an array as well).
fn order<T: DeserializeOwned>(request: &Request) -> Result<T, Trouble> {
    let body = request.json.clone().ok_or_else(|| Trouble::new(415, "send the order as application/json"))?;
    if !body.is_object() {
        return Err(Trouble::bad("the order is not an object"));
    }
    serde_json::from_value(body).map_err(|error| Trouble::bad(format!("the order is not understood: {error}")))
}

fn name(request: &Request) -> String {
    request.visitor.acts_as().unwrap_or_default().to_owned()
}

/// Takes a problem.
pub fn ack(_: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    let id = number(request)?;
    let Ack { until, sticky, note } = order(request)?;
    if source.incident(id)?.is_none() {
        return Err(Trouble::missing(format!("no problem has the number {id}")));
    }
    words(&note, "note")?;
    source.acknowledge(&AckOrder { ids: vec![id], by: name(request), until, sticky, note })?;
    answer(json!({"id": id}))
}

/// Adds a silence.
pub fn silence(_: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    let Silence { hosts, groups, services, rules, r#for: span, reason } = order(request)?;
    words(&reason, "reason")?;
    let by = name(request);
    let id = source.silence(&SilenceOrder { hosts, groups, services, rules, by, span, reason })?;
    answer(json!({"id": id}))
}

/// Ends a silence.
pub fn end_silence(_: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    let id = number(request)?;
    let Nothing {} = order(request)?;
    source.end_silence(id)?;
    answer(json!({"id": id}))
}
