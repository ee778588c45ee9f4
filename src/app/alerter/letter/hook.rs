//! What webhooks are posted: JSON of our own, and what Alertmanager posts to its receivers (its webhook format, version 4).

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::page::MAX_LINES;
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
            HookFormat::Alertmanager => self.alertmanager(),
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
        let all = self.entries.len().max(self.summary.len());
        json!({
            "version": 1,
            "kind": if self.entries.is_empty() { "summary" } else { "alerts" },
            "at": stamp(self.now),
            "destination": self.destination.name,
            "subject": self.subject,
            "incidents": self.entries.iter().take(MAX_LINES).map(told).collect::<Vec<_>>(),
            "passed": self.summary.iter().take(MAX_LINES).map(|it| self.incident(it)).collect::<Vec<_>>(),
            "left_out": all.saturating_sub(MAX_LINES),
        })
    }

    fn alertmanager(&self) -> Value {
        let told = &self.entries[..self.entries.len().min(MAX_LINES)];
        let alerts: Vec<(Labels, Value)> = told.iter().map(|entry| self.alert(entry)).collect();
        let common = |of: fn(&(Labels, Value)) -> Labels| {
            let all = alerts.iter().map(of);
            all.reduce(|mut left, right| {
                left.retain(|name, value| right.get(name) == Some(value));
                left
            })
        };
        let labels = common(|(labels, _)| labels.clone()).unwrap_or_default();
        let group: BTreeMap<&String, &String> =
            labels.iter().filter(|(name, _)| ["alertname", "host", "item"].contains(&name.as_str())).collect();
        let fires = self.entries.iter().any(|entry| entry.action != Action::Recovered);
        let words: Vec<String> = group.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let annotations = common(|(_, alert)| {
            let all = alert["annotations"].as_object().into_iter().flatten();
            all.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
        });
        json!({
            "version": "4",
            "groupKey": format!("{{}}:{{{}}}", words.join(", ")),
            "truncatedAlerts": self.entries.len() - told.len(),
            "status": if fires { "firing" } else { "resolved" },
            "receiver": self.destination.name,
            "groupLabels": group,
            "commonLabels": labels,
            "commonAnnotations": annotations.unwrap_or_default(),
            "externalURL": "",
            "alerts": alerts.iter().map(|(_, alert)| alert).collect::<Vec<_>>(),
        })
    }

    fn alert(&self, entry: &Entry) -> (Labels, Value) {
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
        let alert = json!({
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
        });
        (labels, alert)
    }
}

/// A post that tells no incident in full: the test, and the few words in the place of what was too long.
pub fn notice(
    destination: &DestinationSpec,
    format: HookFormat,
    kind: &str,
    subject: &str,
    text: &str,
    now: DateTime<Utc>,
) -> Written {
    let payload = match format {
        HookFormat::Json => json!({
            "version": 1, "kind": kind, "at": stamp(now), "destination": destination.name, "subject": subject,
            "text": text, "incidents": [], "passed": [], "left_out": 0,
        }),
        HookFormat::Alertmanager => {
            // A test must wake nobody.
            let test = kind == "test";
            let (labels, group) = (
                json!({"alertname": format!("fleet-{kind}"), "severity": "warning"}),
                json!({"alertname": format!("fleet-{kind}")}),
            );
            let (status, ends) = if test { ("resolved", stamp(now)) } else { ("firing", NEVER.to_owned()) };
            let annotations = json!({"summary": subject, "description": text});
            json!({
                "version": "4", "groupKey": format!("{{}}:{{alertname=\"fleet-{kind}\"}}"), "truncatedAlerts": 0,
                "status": status, "receiver": destination.name, "groupLabels": group, "commonLabels": labels,
                "commonAnnotations": annotations, "externalURL": "",
                "alerts": [{
                    "status": status, "labels": labels, "annotations": annotations, "startsAt": stamp(now),
                    "endsAt": ends, "generatorURL": "", "fingerprint": hash(kind.as_bytes(), 8),
                }],
            })
        }
    };
    written(subject.to_owned(), &payload)
}
