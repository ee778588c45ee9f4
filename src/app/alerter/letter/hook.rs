//! What webhooks are posted: JSON of our own, and what Alertmanager posts to its receivers (its webhook format, version 4).

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Entry, Written, tag};
use crate::alert::reconcile::Action;
use crate::alert::words;
use crate::model::alert::{Incident, Subject};
use crate::model::level::Level;
use crate::model::spec::{DestinationSpec, FleetSpec, HookFormat, HostSpec};

/// Name and value.
type Labels = BTreeMap<String, String>;

/// What stands in Alertmanager's payload for "not yet" (Go's zero time).
const NEVER: &str = "0001-01-01T00:00:00Z";

fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn hash(bytes: &[u8], count: usize) -> String {
    Sha256::digest(bytes).iter().take(count).map(|byte| format!("{byte:02x}")).collect()
}

/// A payload; its name depends on nothing but its content.
fn written(subject: String, payload: &Value) -> Written {
    let bytes = payload.to_string().into_bytes();
    Written { message_id: hash(&bytes, 16), subject, bytes }
}

/// What one post tells.
pub struct Post<'a> {
    pub spec: &'a FleetSpec,
    pub destination: &'a DestinationSpec,
    pub now: DateTime<Utc>,
    pub subject: String,
    pub entries: &'a [Entry],
    pub summary: &'a [Incident],
}

impl Post<'_> {
    /// The bytes; none where the format has no words for it.
    pub fn write(self, format: HookFormat) -> Option<Written> {
        let payload = match format {
            HookFormat::Json => self.own(),
            // It knows alerts that fire or are resolved, and nothing that came and went.
            HookFormat::Alertmanager if self.entries.is_empty() => return None,
            HookFormat::Alertmanager => {
                let alerts = self.entries.iter().map(|entry| self.alert(entry)).collect();
                alertmanager(&self.destination.name, alerts)
            }
        };
        Some(written(self.subject, &payload))
    }

    fn host(&self, subject: &Subject) -> Option<&HostSpec> {
        self.spec.host(&subject.host)
    }

    fn incident(&self, incident: &Incident) -> Value {
        let host = self.host(&incident.subject);
        json!({
            "id": incident.id,
            "name": words::name(&incident.subject),
            "host": incident.subject.host,
            "rule": incident.subject.rule,
            "item": incident.subject.item,
            "groups": host.map(|host| host.groups.clone()).unwrap_or_default(),
            "labels": host.map(|host| host.labels.clone()).unwrap_or_default(),
            "level": incident.level.word(),
            "worst": incident.worst.word(),
            "value": incident.value.is_finite().then_some(incident.value),
            "text": incident.text,
            "opened": stamp(incident.opened),
            "changed": stamp(incident.changed),
            "closed": incident.closed.map(stamp),
            "ending": incident.ending.map(|ending| ending.word()),
        })
    }

    fn own(&self) -> Value {
        let told = |entry: &Entry| {
            let mut it = self.incident(&entry.incident);
            it["action"] = json!(entry.action.word());
            it["before"] = json!(entry.before.as_ref().map(|told| told.level.word()));
            it["thread"] = json!(entry.thread);
            it
        };
        json!({
            "version": 1,
            "kind": kind(self.entries.is_empty()),
            "at": stamp(self.now),
            "destination": self.destination.name,
            "subject": self.subject,
            "incidents": self.entries.iter().map(told).collect::<Vec<_>>(),
            "passed": self.summary.iter().map(|it| self.incident(it)).collect::<Vec<_>>(),
            "left_out": 0,
        })
    }

    fn alert(&self, entry: &Entry) -> Value {
        let incident = &entry.incident;
        let subject = &incident.subject;
        let host = self.host(subject);
        // Labels of the configuration first: ours tell what it is.
        let mut labels = Labels::new();
        for (name, value) in host.iter().flat_map(|host| &host.labels) {
            let name = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "_");
            labels.insert(name, value.clone());
        }
        let level = if incident.level == Level::Ok { incident.worst } else { incident.level };
        let own = [
            ("alertname", subject.rule.as_str()),
            ("host", subject.host.as_str()),
            ("instance", subject.host.as_str()),
            ("item", subject.item.as_str()),
            ("severity", level.word()),
        ];
        labels.extend(
            own.iter().filter(|(_, value)| !value.is_empty()).map(|&(name, value)| (name.to_owned(), value.to_owned())),
        );
        let ended = entry.action == Action::Recovered;
        json!({
            "status": if ended { "resolved" } else { "firing" },
            "labels": labels,
            "annotations": {
                "summary": format!("[{}] {}", tag(entry), words::name(subject)),
                "description": incident.text,
                "news": entry.action.word(),
                "incident": incident.id.to_string(),
            },
            "startsAt": stamp(incident.opened),
            "endsAt": incident.closed.map_or_else(|| NEVER.to_owned(), stamp),
            "generatorURL": "",
            // Of what does not change while it lasts: a rise is the same alert.
            "fingerprint": hash(format!("{}\0{}\0{}", subject.host, subject.rule, subject.item).as_bytes(), 8),
        })
    }
}

fn kind(nothing_told: bool) -> &'static str {
    if nothing_told { "summary" } else { "alerts" }
}

/// Names and values of a part of an alert.
fn texts(alert: &Value, part: &str) -> Labels {
    let all = alert[part].as_object().into_iter().flatten();
    all.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// The payload around alerts.
fn alertmanager(receiver: &str, alerts: Vec<Value>) -> Value {
    let common = |part: &str| {
        let all = alerts.iter().map(|alert| texts(alert, part));
        all.reduce(|mut left, right| {
            left.retain(|name, value| right.get(name) == Some(value));
            left
        })
    };
    let labels = common("labels").unwrap_or_default();
    let group: BTreeMap<&String, &String> =
        labels.iter().filter(|(name, _)| ["alertname", "host", "item"].contains(&name.as_str())).collect();
    let words: Vec<String> = group.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    let fires = alerts.iter().any(|alert| alert["status"] == "firing");
    json!({
        "version": "4",
        "groupKey": format!("{{}}:{{{}}}", words.join(", ")),
        "truncatedAlerts": 0,
        "status": if fires { "firing" } else { "resolved" },
        "receiver": receiver,
        "groupLabels": group,
        "commonLabels": labels,
        "commonAnnotations": common("annotations").unwrap_or_default(),
        "externalURL": "",
        "alerts": alerts,
    })
}

/// Two posts of the same in the place of one, and how many things the first tells; `None` where it tells but one.
pub fn halves(format: HookFormat, subject: &str, body: &[u8]) -> Option<([Written; 2], usize)> {
    let whole: Value = serde_json::from_slice(body).ok()?;
    let list = |name: &str| whole[name].as_array().map_or(&[][..], Vec::as_slice);
    let (told, passed) = match format {
        HookFormat::Json => (list("incidents"), list("passed")),
        HookFormat::Alertmanager => (list("alerts"), &[][..]),
    };
    let first = (told.len() + passed.len()) / 2;
    if first == 0 {
        return None;
    }
    let post = |told: &[Value], passed: &[Value]| {
        let payload = match format {
            HookFormat::Json => {
                let mut own = whole.clone();
                own["kind"] = json!(kind(told.is_empty()));
                (own["incidents"], own["passed"]) = (json!(told), json!(passed));
                own
            }
            HookFormat::Alertmanager => alertmanager(whole["receiver"].as_str().unwrap_or_default(), told.to_vec()),
        };
        written(subject.to_owned(), &payload)
    };
    let (one, two) = told.split_at(first.min(told.len()));
    let (three, four) = passed.split_at(first - one.len());
    Some(([post(one, three), post(two, four)], first))
}

/// Labels that tell which alert it is.
const IDENTITY: [&str; 5] = ["alertname", "host", "instance", "item", "severity"];

/// The same without what may be long: texts, groups and the labels of the configuration. `None` where nothing of that is in it.
pub fn bare(format: HookFormat, subject: &str, body: &[u8]) -> Option<Written> {
    let mut whole: Value = serde_json::from_slice(body).ok()?;
    match format {
        HookFormat::Json => {
            for list in ["incidents", "passed"] {
                for it in whole[list].as_array_mut().into_iter().flatten() {
                    (it["text"], it["groups"], it["labels"]) = (json!(""), json!([]), json!({}));
                }
            }
        }
        HookFormat::Alertmanager => {
            let mut alerts = whole["alerts"].as_array().cloned().unwrap_or_default();
            for alert in &mut alerts {
                alert["annotations"]["description"] = json!("");
                if let Some(labels) = alert["labels"].as_object_mut() {
                    labels.retain(|name, _| IDENTITY.contains(&name.as_str()));
                }
            }
            whole = alertmanager(whole["receiver"].as_str().unwrap_or_default(), alerts);
        }
    }
    let bare = written(subject.to_owned(), &whole);
    (bare.bytes.len() < body.len()).then_some(bare)
}

/// A post that tells of no incident, and wakes nobody.
pub fn test(
    destination: &DestinationSpec,
    format: HookFormat,
    subject: &str,
    text: &str,
    now: DateTime<Utc>,
) -> Written {
    let payload = match format {
        HookFormat::Json => json!({
            "version": 1, "kind": "test", "at": stamp(now), "destination": destination.name, "subject": subject,
            "text": text, "incidents": [], "passed": [], "left_out": 0,
        }),
        HookFormat::Alertmanager => alertmanager(
            &destination.name,
            vec![json!({
                "status": "resolved",
                "labels": {"alertname": "fleet-test", "severity": "warning"},
                "annotations": {"summary": subject, "description": text},
                "startsAt": stamp(now),
                "endsAt": stamp(now),
                "generatorURL": "",
                "fingerprint": hash(b"test", 8),
            })],
        ),
    };
    written(subject.to_owned(), &payload)
}
