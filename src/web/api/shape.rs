//! How things look in JSON.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::model::fleet::{Attempt, HostFact, Outcome, Point};
use crate::model::sample::Process;
use crate::model::silence::When;
use crate::model::snapshot::{HostRow, Problem, Service};
use crate::web::source::{Hush, Listed};

/// `2026-11-21T20:00:00.000Z`.
pub fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A host as lists show it.
pub fn row(host: &HostRow) -> Value {
    let level = host.level.map_or("unknown", |level| level.word());
    let fullest = host.fullest().map(|(mount, used)| json!({"mount": mount, "used": used}));
    let services = host.services.iter().map(|it| json!({"name": it.name, "health": it.health.word(), "why": it.why}));
    json!({
        "host": host.name, "level": level, "state": host.state.word(), "groups": host.groups, "labels": host.labels,
        "received": host.received.map(time), "age": host.age, "hostname": host.hostname,
        "cause": host.failure().map(|(cause, _)| cause.word()), "sentences": host.sentences(),
        "cpu": host.value("cpu.used"), "memory": host.value("memory.used"), "swap": host.value("swap.used"),
        "load": host.value("load.1m"), "uptime": host.value("uptime"), "filesystem": fullest,
        "problems": host.problems.iter().map(problem).collect::<Vec<_>>(),
        "services": services.collect::<Vec<_>>(),
    })
}

fn problem(problem: &Problem) -> Value {
    let it = &problem.incident;
    json!({
        "id": it.id, "level": it.level.word(), "rule": it.subject.rule, "item": it.subject.item,
        "opened": time(it.opened), "value": it.value, "text": it.text,
        "taken_by": problem.ack.as_ref().map(|ack| &ack.by),
        "silenced_until": problem.silenced.as_ref().map(|(until, _)| time(*until)),
    })
}

/// A service over its servers.
pub fn service(service: &Service<'_>) -> Value {
    let servers = service
        .servers
        .iter()
        .map(|(host, it)| json!({"host": host.name, "health": it.health.word(), "why": it.why, "memory": it.memory}));
    json!({
        "service": service.name, "level": service.level().word(), "healthy": service.healthy,
        "wanted": service.wanted(), "cpu": service.cpu, "memory": service.memory,
        "servers": servers.collect::<Vec<_>>(),
    })
}

/// An incident as lists show it.
pub fn listed(listed: &Listed) -> Value {
    let it = &listed.incident;
    let ack = listed.ack.as_ref().map(|ack| {
        json!({"by": ack.by, "at": time(ack.at), "until": ack.until.map(time), "sticky": ack.sticky, "note": ack.note})
    });
    json!({
        "id": it.id, "host": it.subject.host, "rule": it.subject.rule, "item": it.subject.item, "name": listed.name,
        "level": it.level.word(), "worst": it.worst.word(), "state": listed.state, "opened": time(it.opened),
        "changed": time(it.changed), "closed": it.closed.map(time), "value": it.value, "text": it.text, "ack": ack,
    })
}

/// A silence.
pub fn hush(hush: &Hush) -> Value {
    let it = &hush.silence;
    let when = match &it.when {
        When::Once { from, until } => json!({"from": time(*from), "until": time(*until)}),
        When::Weekly(week) => json!({
            "days": week.days, "minutes_from": week.from, "minutes_until": week.until, "time_zone": week.zone,
        }),
    };
    json!({
        "id": it.id, "state": hush.state, "hosts": it.scope.hosts, "groups": it.scope.groups,
        "services": it.scope.services, "rules": it.scope.rules, "when": when, "by": it.by, "reason": it.reason,
        "created": time(it.created),
    })
}

/// `[milliseconds since 1970, least, mean, greatest]`: short, for there are many.
pub fn point(point: &Point) -> Value {
    json!([point.at.timestamp_millis(), point.min, point.mean, point.max])
}

/// One of the processes that took most.
pub fn process(it: &Process) -> Value {
    json!({
        "by": it.by.word(), "pid": it.pid, "user": it.user, "name": it.comm, "unit": it.unit, "command": it.command,
        "value": it.value,
    })
}

/// What holds now of a host's facts.
pub fn held(facts: &[HostFact]) -> impl Iterator<Item = &HostFact> {
    let last = facts
        .iter()
        .enumerate()
        .filter(|(n, fact)| facts.get(n + 1).is_none_or(|next| (&next.name, &next.item) != (&fact.name, &fact.item)));
    last.map(|(_, fact)| fact).filter(|fact| !fact.text.is_empty())
}

/// A visit.
pub fn attempt(attempt: &Attempt) -> Value {
    let mut body = Map::new();
    body.insert("at".to_owned(), json!(time(attempt.at)));
    body.insert("seconds".to_owned(), json!(attempt.took.as_secs_f64()));
    let (cause, text) = match &attempt.outcome {
        Outcome::Collected => (None, None),
        Outcome::Failed { cause, text } => (Some(cause.word()), Some(text)),
    };
    body.insert("cause".to_owned(), json!(cause));
    body.insert("text".to_owned(), json!(text));
    Value::Object(body)
}
