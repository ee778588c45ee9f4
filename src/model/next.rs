//! What somebody types next about a problem: in its mail, on the screen, and below `fleet alerts show`.

use super::alert::Incident;
use super::own_rule::{BUILT_IN, SILENT, UNDELIVERABLE, UNREACHABLE};
use super::rule;

/// Commands with the words before them; where a problem is over there is nothing left to take or to silence.
#[must_use]
pub fn commands(incident: &Incident, over: bool) -> Vec<(&'static str, String)> {
    let (host, rule) = (incident.subject.host.as_str(), incident.subject.rule.as_str());
    let mut out = Vec::new();
    if !over {
        out.push(("Take it with", format!("fleet ack {}", incident.id)));
        let place = if host.is_empty() { String::new() } else { format!(" --host {host}") };
        out.push(("Silence it with", format!("fleet silence add{place} --rule {rule} --for 2h --reason WHY")));
    }
    let look = match rule {
        UNREACHABLE | SILENT => format!("fleet hosts test {host}"),
        UNDELIVERABLE => {
            format!("fleet mail test --to {}", incident.subject.item.split(' ').next().unwrap_or_default())
        }
        _ if host.is_empty() => "fleet health".to_owned(),
        _ if BUILT_IN.contains(&rule) => format!("fleet explain {host}"),
        _ => {
            let metric = rule::parse(rule).map_or(rule, |(metric, _)| metric.name);
            format!("fleet history {host} {metric}")
        }
    };
    out.push(("Look further with", look));
    out
}
