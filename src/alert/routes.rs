//! Routing: which destinations hear of a subject, and how often.

use std::time::Duration;

use crate::model::alert::Subject;
use crate::model::level::Level;
use crate::model::pattern::matches;
use crate::model::spec::{AlertSpec, RouteSpec};

/// One destination that is to hear of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name of the destination.
    pub destination: String,
    /// Until a standing problem is told again; `None`: by level.
    pub repeat: Option<Duration>,
}

fn fits(route: &RouteSpec, subject: &Subject, groups: &[String], level: Level) -> bool {
    (route.hosts.is_empty() || route.hosts.iter().any(|pattern| matches(pattern, &subject.host)))
        && (route.groups.is_empty() || route.groups.iter().any(|name| groups.contains(name)))
        && (route.rules.is_empty() || route.rules.iter().any(|pattern| matches(pattern, &subject.rule)))
        && route.severity.is_none_or(|least| level >= least)
}

/// Who hears of a subject that is at this level: the first route that fits, and the next ones while it goes on. Without
/// routes everybody hears of everything. Each destination is named once, by its first route.
#[must_use]
pub fn targets(alerts: &AlertSpec, subject: &Subject, groups: &[String], level: Level) -> Vec<Target> {
    let mut out: Vec<Target> = Vec::new();
    if alerts.routes.is_empty() {
        out.extend(alerts.destinations.iter().map(|to| Target { destination: to.name.clone(), repeat: alerts.repeat }));
        return out;
    }
    for route in &alerts.routes {
        if !fits(route, subject, groups, level) {
            continue;
        }
        for name in &route.to {
            if out.iter().all(|target| target.destination != *name) {
                out.push(Target { destination: name.clone(), repeat: route.repeat.or(alerts.repeat) });
            }
        }
        if !route.goes_on {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_match_wins_unless_it_goes_on() {
        let to = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let mut alerts = AlertSpec {
            routes: vec![
                RouteSpec {
                    groups: to(&["data"]),
                    severity: Some(Level::Critical),
                    to: to(&["dba"]),
                    ..RouteSpec::default()
                },
                RouteSpec {
                    hosts: to(&["web*"]),
                    rules: to(&["cpu.*"]),
                    to: to(&["web"]),
                    goes_on: true,
                    ..RouteSpec::default()
                },
                RouteSpec { to: to(&["ops"]), ..RouteSpec::default() },
            ],
            ..AlertSpec::default()
        };
        let subject = |host: &str, rule: &str| Subject { host: host.into(), rule: rule.into(), item: String::new() };
        let who = |alerts: &AlertSpec, host, rule, group: &str, level| -> Vec<String> {
            targets(alerts, &subject(host, rule), &[group.to_owned()], level)
                .into_iter()
                .map(|t| t.destination)
                .collect()
        };
        assert_eq!(who(&alerts, "db1", "cpu.used", "data", Level::Critical), ["dba"]);
        assert_eq!(who(&alerts, "db1", "cpu.used", "data", Level::Warning), ["ops"]);
        assert_eq!(who(&alerts, "web1", "cpu.used", "x", Level::Warning), ["web", "ops"]);
        assert_eq!(who(&alerts, "web1", "load.1m", "x", Level::Warning), ["ops"]);
        alerts.routes.clear();
        assert!(who(&alerts, "web1", "load.1m", "x", Level::Warning).is_empty());
    }
}
