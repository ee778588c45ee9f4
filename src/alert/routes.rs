//! Routing: which destinations hear of a subject, when, and how often.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::ahead::is_ahead;
use super::calendar;
use super::hush::service;
use crate::model::alert::Subject;
use crate::model::level::Level;
use crate::model::pattern::matches;
use crate::model::spec::{AlertSpec, RouteSpec};

/// What a route is chosen by.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// What it is about.
    pub subject: &'a Subject,
    /// The host that it is about; empty for most of what is the fleet's own.
    pub host: &'a str,
    /// The groups of its host, or those that it is about.
    pub groups: &'a [String],
    /// How bad it is, or was when it was told.
    pub level: Level,
    /// Since when it stands.
    pub opened: DateTime<Utc>,
    /// Whether somebody has taken it.
    pub acked: bool,
    /// The time of the run.
    pub now: DateTime<Utc>,
}

/// One destination that is to hear of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name of the destination.
    pub destination: String,
    /// Until a standing problem is told again; `None`: by level.
    pub repeat: Option<Duration>,
    /// Threads of a run before one digest takes their place.
    pub cap: usize,
    /// Whether the route is within its hours.
    pub open: bool,
}

fn fits(route: &RouteSpec, case: &Case<'_>) -> bool {
    let subject = case.subject;
    let any = |patterns: &[String], text: &str| patterns.is_empty() || patterns.iter().any(|p| matches(p, text));
    any(&route.hosts, case.host)
        && (route.groups.is_empty() || route.groups.iter().any(|name| case.groups.contains(name)))
        && any(&route.services, service(subject))
        && any(&route.rules, &subject.rule)
        && route.severity.is_none_or(|least| case.level >= least)
}

fn due(route: &RouteSpec, after: Duration, case: &Case<'_>) -> bool {
    let stands = (case.now - case.opened).to_std().is_ok_and(|stands| stands >= after);
    // How long it stands nobody knows where the clock was ahead as it began.
    (stands || is_ahead(case.opened, case.now)) && !(route.unless_acked && case.acked)
}

/// Every destination, as if there were no routes.
#[must_use]
pub fn everybody(alerts: &AlertSpec) -> Vec<Target> {
    let target =
        |name: &str| Target { destination: name.to_owned(), repeat: alerts.repeat, cap: alerts.cap, open: true };
    alerts.destinations.iter().map(|to| target(&to.name)).collect()
}

/// Who hears of a subject: the first route that fits, and the next ones while it goes on. Routes with `after` escalate:
/// wherever they stand, they come beside what the others say and end nothing. Without routes everybody hears of
/// everything, and of what is the fleet's own and fits no route. Each destination is named once, by its first route
/// that is open now, or else by its first. A route outside of its hours still fits: what it would tell waits for them,
/// unless another one tells it to the same destination.
#[must_use]
pub fn targets(alerts: &AlertSpec, case: &Case<'_>) -> Vec<Target> {
    if alerts.routes.is_empty() {
        return everybody(alerts);
    }
    let mut out: Vec<Target> = Vec::new();
    let mut ended = false;
    for route in &alerts.routes {
        let escalates = route.after.map(|after| due(route, after, case));
        if escalates == Some(false) || (escalates.is_none() && ended) || !fits(route, case) {
            continue;
        }
        // `unless` without `after` keeps a route quiet as well.
        if escalates.is_none() && route.unless_acked && case.acked {
            continue;
        }
        let open = route.hours.as_ref().is_none_or(|hours| calendar::inside(hours, case.now));
        for name in &route.to {
            let target = Target {
                destination: name.clone(),
                repeat: route.repeat.or(alerts.repeat),
                cap: route.cap.unwrap_or(alerts.cap),
                open,
            };
            match out.iter_mut().find(|known| known.destination == *name) {
                None => out.push(target),
                Some(known) if open && !known.open => *known = target,
                Some(_) => {}
            }
        }
        ended |= escalates.is_none() && !route.goes_on;
    }
    // Routes by host or group must not make the fleet's own problems nobody's.
    if case.subject.host.is_empty() && out.is_empty() { everybody(alerts) } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::silence::Calendar;

    fn to(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }
    fn at(minutes: i64) -> DateTime<Utc> {
        // A Tuesday, 22:13 UTC.
        DateTime::from_timestamp(1_700_000_000 + minutes * 60, 0).unwrap()
    }
    fn who(alerts: &AlertSpec, host: &str, rule: &str, group: &str, level: Level, minutes: i64) -> Vec<String> {
        let subject = Subject { host: host.into(), rule: rule.into(), item: "shop/http".into() };
        let groups = [group.to_owned()];
        let case =
            Case { subject: &subject, host, groups: &groups, level, opened: at(0), acked: false, now: at(minutes) };
        targets(alerts, &case).into_iter().map(|target| target.destination).collect()
    }

    /// A warning of a host without groups that nobody took, opened at 0 and looked at so many minutes later.
    fn case(subject: &Subject, minutes: i64) -> Case<'_> {
        let (opened, now) = (at(0), at(minutes));
        Case { subject, host: "a", groups: &[], level: Level::Warning, opened, acked: false, now }
    }

    #[test]
    fn first_match_wins_unless_it_goes_on() {
        let critical = Some(Level::Critical);
        let mut alerts = AlertSpec {
            routes: vec![
                RouteSpec { groups: to(&["data"]), severity: critical, to: to(&["dba"]), ..RouteSpec::default() },
                RouteSpec {
                    hosts: to(&["web*"]),
                    rules: to(&["cpu.*"]),
                    to: to(&["web"]),
                    goes_on: true,
                    ..RouteSpec::default()
                },
                RouteSpec { services: to(&["cart"]), to: to(&["cart"]), ..RouteSpec::default() },
                RouteSpec { to: to(&["ops"]), ..RouteSpec::default() },
            ],
            ..AlertSpec::default()
        };
        assert_eq!(who(&alerts, "db1", "cpu.used", "data", Level::Critical, 0), ["dba"]);
        assert_eq!(who(&alerts, "db1", "cpu.used", "data", Level::Warning, 0), ["ops"]);
        assert_eq!(who(&alerts, "web1", "cpu.used", "x", Level::Warning, 0), ["web", "ops"]);
        assert_eq!(who(&alerts, "web1", "load.1m", "x", Level::Warning, 0), ["ops"]);
        alerts.routes.clear();
        assert!(who(&alerts, "web1", "load.1m", "x", Level::Warning, 0).is_empty());
    }

    #[test]
    fn escalation_comes_later_beside_the_others_and_not_when_somebody_took_it() {
        let alerts = AlertSpec {
            cap: 3,
            routes: vec![
                RouteSpec { to: to(&["ops"]), ..RouteSpec::default() },
                RouteSpec {
                    to: to(&["boss", "ops"]),
                    after: Some(Duration::from_secs(1800)),
                    unless_acked: true,
                    cap: Some(1),
                    ..RouteSpec::default()
                },
            ],
            ..AlertSpec::default()
        };
        assert_eq!(who(&alerts, "a", "b", "c", Level::Warning, 29), ["ops"]);
        assert_eq!(who(&alerts, "a", "b", "c", Level::Warning, 30), ["ops", "boss"]);
        let subject = Subject { host: "a".into(), rule: "b".into(), item: String::new() };
        let mut case = Case { acked: true, ..case(&subject, 60) };
        assert_eq!(targets(&alerts, &case).len(), 1);
        case.acked = false;
        assert_eq!(targets(&alerts, &case)[1].cap, 1);
        // A clock that was ahead as it began keeps nobody from it for years; one that is a bit off tells nobody sooner.
        let ahead = |minutes: i64| Case { opened: at(60 + minutes), ..case };
        assert_eq!((targets(&alerts, &ahead(4)).len(), targets(&alerts, &ahead(6)).len()), (1, 2));
    }

    #[test]
    fn outside_of_its_hours_a_route_still_fits() {
        let hours = Calendar { days: 127, from: 8 * 60, until: 18 * 60, zone: "UTC".into() };
        let route = RouteSpec { to: to(&["dba"]), hours: Some(hours), ..RouteSpec::default() };
        let alerts = AlertSpec { routes: vec![route], ..AlertSpec::default() };
        let subject = Subject { host: "a".into(), rule: "b".into(), item: String::new() };
        let mut case = case(&subject, 0);
        assert!(!targets(&alerts, &case)[0].open);
        case.now = at(600);
        assert!(targets(&alerts, &case)[0].open);
    }

    #[test]
    fn a_closed_route_keeps_no_open_one_quiet() {
        let office = Calendar { days: 127, from: 8 * 60, until: 18 * 60, zone: "UTC".into() };
        let day = RouteSpec { to: to(&["ops"]), hours: Some(office), goes_on: true, ..RouteSpec::default() };
        let critical =
            RouteSpec { to: to(&["ops"]), severity: Some(Level::Critical), cap: Some(1), ..RouteSpec::default() };
        let later = RouteSpec { after: Some(Duration::from_secs(1800)), severity: None, ..critical.clone() };
        let subject = Subject { host: "a".into(), rule: "b".into(), item: String::new() };
        let found = |second: &RouteSpec, level, minutes| {
            let alerts = AlertSpec { cap: 3, routes: vec![day.clone(), second.clone()], ..AlertSpec::default() };
            let case = Case { level, ..case(&subject, minutes) };
            targets(&alerts, &case).into_iter().map(|target| (target.open, target.cap)).collect::<Vec<_>>()
        };
        // It is 22:13.
        assert_eq!(found(&critical, Level::Critical, 0), [(true, 1)]);
        assert_eq!(found(&critical, Level::Warning, 0), [(false, 3)]);
        assert_eq!(found(&later, Level::Warning, 29), [(false, 3)]);
        assert_eq!(found(&later, Level::Warning, 30), [(true, 1)]);
        // In the office its own route says how.
        assert_eq!(found(&critical, Level::Critical, 600), [(true, 3)]);
    }
}
