//! What somebody types next about a problem: in its mail, on the screen, and below `fleet alerts show`.

use super::alert::{Incident, Subject};
use super::own_rule::{BUILT_IN, SERVICE_HEALTHY, SILENT, UNDELIVERABLE, UNREACHABLE};
use super::rule::{self, RuleKind};

/// Commands with the words before them; where a problem is over there is nothing left to take or to silence.
#[must_use]
pub fn commands(incident: &Incident, over: bool) -> Vec<(&'static str, String)> {
    let (host, rule) = (incident.subject.host.as_str(), incident.subject.rule.as_str());
    let service = service(&incident.subject);
    let mut out = Vec::new();
    if !over {
        out.push(("Take it with", format!("fleet ack {}", incident.id)));
        // What is the fleet's has no host: without the service it would silence that rule for every service.
        let place = match service {
            Some(service) => format!(" --service {service}"),
            None if host.is_empty() => String::new(),
            None => format!(" --host {host}"),
        };
        out.push(("Silence it with", format!("fleet silence add{place} --rule {rule} --for 2h --reason WHY")));
    }
    let look = match rule {
        UNREACHABLE | SILENT => format!("fleet hosts test {host}"),
        UNDELIVERABLE => {
            format!("fleet mail test --to {}", incident.subject.item.split(' ').next().unwrap_or_default())
        }
        _ if host.is_empty() => {
            service.map_or_else(|| "fleet health".to_owned(), |name| format!("fleet service {name}"))
        }
        _ if BUILT_IN.contains(&rule) => format!("fleet explain {host}"),
        _ => {
            let metric = rule::parse(rule).map_or(rule, |(metric, _)| metric.name);
            format!("fleet history {host} {metric}")
        }
    };
    out.push(("Look further with", look));
    out
}

/// The service over all its servers that a problem of the fleet is about: the item is its name, or begins with it.
fn service(subject: &Subject) -> Option<&str> {
    let over_all = || rule::parse(&subject.rule).is_some_and(|(_, kind)| kind == RuleKind::Average);
    let is_one = subject.host.is_empty() && (subject.rule == SERVICE_HEALTHY || over_all());
    let name = subject.item.split('/').next().filter(|name| !name.is_empty());
    name.filter(|_| is_one)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::level::Level;

    fn said(host: &str, rule: &str, item: &str) -> Vec<String> {
        let at = DateTime::UNIX_EPOCH;
        let incident = Incident {
            id: 7,
            subject: Subject { host: host.to_owned(), rule: rule.to_owned(), item: item.to_owned() },
            level: Level::Critical,
            worst: Level::Critical,
            opened: at,
            changed: at,
            closed: None,
            ending: None,
            value: 0.0,
            text: String::new(),
        };
        commands(&incident, false).into_iter().skip(1).map(|(_, command)| command).collect()
    }

    #[test]
    fn the_silence_of_a_service_covers_that_service_only() {
        let silence = |what: &str| format!("fleet silence add {what} --for 2h --reason WHY");
        let shop = |rule: &str, item: &str| {
            let wanted = silence(&format!("--service shop --rule {rule}"));
            assert_eq!(said("", rule, item), [wanted, "fleet service shop".to_owned()]);
        };
        shop(SERVICE_HEALTHY, "shop");
        shop("cpu.used.average", "shop");
        shop("http.latency.average", "shop/http");
        let of_host = [silence("--host web01 --rule cpu.used"), "fleet history web01 cpu.used".to_owned()];
        assert_eq!(said("web01", "cpu.used", ""), of_host);
        let stalled = [silence("--rule collector-stalled"), "fleet health".to_owned()];
        assert_eq!(said("", "collector-stalled", "2/3"), stalled);
    }
}
