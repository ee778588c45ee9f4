//! `<alerts>`: the mail server, who can be told, and who is told what.

use super::super::calendar;
use super::super::raw::{self, Typed, parsed, path, required, secret, text};
use super::super::report::{At, Report};
use super::super::tree::Node;
use super::destination::{destination, sender, url};
use crate::model::amount::{self, Wrong, words, wrong};
use crate::model::level::Level;
use crate::model::own_rule::BUILT_IN;
use crate::model::rule;
use crate::model::silence::Scope;
use crate::model::spec::{AlertSpec, ChannelSpec, DestinationSpec, HostSpec, RouteSpec, SmtpSpec, Tls};
use crate::model::suggest::did_you_mean;

pub(super) fn alerts(node: Option<&Node>, hosts: &[HostSpec], groups: &[String], report: &mut Report) -> AlertSpec {
    let mut spec = AlertSpec { cap: 3, recovered: true, ..AlertSpec::default() };
    let Some(node) = node else { return spec };
    spec.repeat = parsed(node, "repeat", report, interval).map(|typed| typed.value);
    if let Some(typed) = parsed(node, "cap", report, |text| amount::whole(text, 1, 1000)) {
        spec.cap = usize::try_from(typed.value).unwrap_or(3);
    }
    if let Some(typed) = parsed(node, "recovered", report, amount::flag) {
        spec.recovered = typed.value;
    }
    spec.zone = parsed(node, "time-zone", report, calendar::zone).map(|typed| typed.value);
    spec.heartbeat = parsed(node, "heartbeat", report, url).map(|typed| typed.value);
    let server = raw::only(&node.children, "smtp", report);
    spec.smtp = server.and_then(|node| smtp(node, report));
    let mut places: Vec<At> = Vec::new();
    for child in node.children.iter().filter(|child| child.name == "to") {
        let Some((found, at)) = destination(child, server, report) else { continue };
        if let Some(first) = spec.destinations.iter().position(|other| other.name == found.name) {
            let first = places.get(first).map(|at| report.named(*at)).unwrap_or_default();
            report.error(at, format!("a second destination \"{}\", first at {first}", found.name), "rename it");
            continue;
        }
        if matches!(found.channel, ChannelSpec::Mail(_)) && server.is_none() {
            report.error(child.at, "a mail destination, but no mail server", "add <smtp host=\"...\" from=\"...\"/>");
        }
        spec.destinations.push(found);
        places.push(at);
    }
    let mut all: Option<At> = None;
    for child in node.children.iter().filter(|child| child.name == "route") {
        let Some(route) = route(child, &spec.destinations, hosts, groups, report) else { continue };
        if let Some(first) = all.filter(|_| route.after.is_none()) {
            let named = report.named(first);
            report.warning(child.at, format!("this route is never reached: {named} takes everything"), "move it up");
        }
        let takes_all = route.hosts.iter().all(|host| host == "*")
            && route.groups.is_empty()
            && route.services.is_empty()
            && route.after.is_none()
            && !route.unless_acked
            && route.rules.iter().all(|rule| rule == "*")
            && route.severity.is_none_or(|level| level == Level::Warning);
        if takes_all && !route.goes_on && all.is_none() {
            all = Some(child.at);
        }
        spec.routes.push(route);
    }
    if !spec.routes.is_empty() {
        for (unused, at) in spec.destinations.iter().zip(places) {
            if !spec.routes.iter().any(|route| route.to.contains(&unused.name)) {
                report.warning(at, format!("no route leads to \"{}\"", unused.name), "it is never told");
            }
        }
    }
    spec
}

fn interval(value: &str) -> Result<std::time::Duration, Wrong> {
    let time = amount::duration(value)?;
    if time < std::time::Duration::from_secs(60) {
        return wrong(format!("repeating after {value} would flood a mailbox"), "write at least 1m");
    }
    Ok(time)
}

fn smtp(node: &Node, report: &mut Report) -> Option<SmtpSpec> {
    let host = required(node, "host", report);
    let from = required(node, "from", report).and_then(|_| parsed(node, "from", report, sender));
    let tls = parsed(node, "tls", report, |value| match value {
        "implicit" => Ok(Tls::Implicit),
        "starttls" => Ok(Tls::StartTls),
        "none" => Ok(Tls::None),
        _ => wrong(
            format!("\"{value}\" is not a kind of TLS"),
            did_you_mean(value, ["implicit", "starttls", "none"], "write implicit, starttls or none"),
        ),
    });
    let tls = tls.unwrap_or(Typed::built_in(Tls::Implicit));
    let port = raw::port(node, report).map_or(
        match tls.value {
            Tls::Implicit => 465,
            Tls::StartTls => 587,
            Tls::None => 25,
        },
        |typed| typed.value,
    );
    let user = text(node, "user", report);
    let password = secret(node, "password", report);
    match (&user, &password) {
        (Some(user), None) if !node.attrs.iter().any(|attr| attr.name.starts_with("password")) => {
            report.error(user.at, "a login name without a password", "give password-file=");
        }
        (None, Some(password)) => report.error(password.at, "a password without a login name", "give user="),
        (Some(user), Some(_)) if tls.value == Tls::None => {
            report.error(user.at, "a login over a line without TLS is refused", "write tls=\"starttls\" or remove it");
        }
        _ => {}
    }
    let ca_file = path(node, "ca-file", report).map(|typed| typed.value);
    let host = parsed(node, "host", report, |_| match &host {
        Some(host) => super::connection::address(&host.value),
        None => Ok(String::new()),
    });
    Some(SmtpSpec {
        host: host?.value,
        port,
        tls: tls.value,
        from: from?.value,
        user: user.map(|typed| typed.value),
        password: password.map(|typed| typed.value),
        ca_file,
    })
}

/// Words that are patterns, or names of something that is there.
fn list(
    node: &Node,
    name: &str,
    wild: bool,
    known: &mut dyn Iterator<Item = &str>,
    report: &mut Report,
) -> Vec<String> {
    let known: Vec<&str> = known.collect();
    let typed = parsed(node, name, report, |value| {
        let all = words(value);
        if all.is_empty() {
            return wrong(format!("{name}= is empty"), "give a value or remove it");
        }
        for word in &all {
            let fits = known.contains(&word.as_str()) || (wild && word.contains(['*', '?']));
            if !fits {
                let what = if name == "to" { "destination" } else { name };
                let mend = did_you_mean(word, known.iter().copied(), "it is nowhere in the configuration");
                return wrong(format!("there is no {what} \"{word}\""), mend);
            }
        }
        Ok(all)
    });
    typed.map(|typed| typed.value).unwrap_or_default()
}

/// host=, group=, service= and rule= of a route or silence.
pub(super) fn scope(node: &Node, hosts: &[HostSpec], groups: &[String], report: &mut Report) -> Scope {
    let services = parsed(node, "service", report, |value| match words(value) {
        names if names.is_empty() => wrong("service= is empty", "give a value or remove it"),
        names => Ok(names),
    });
    if let Some(typed) = &services {
        let known: Vec<&str> =
            hosts.iter().flat_map(|host| &host.services).map(|service| service.name.as_str()).collect();
        // One of a group without hosts is no mistake yet: said, not refused.
        for word in typed.value.iter().filter(|word| !word.contains(['*', '?']) && !known.contains(&word.as_str())) {
            let mend = did_you_mean(word, known.iter().copied(), "nothing is covered by it");
            report.warning(typed.at, format!("no host has a service \"{word}\""), mend);
        }
    }
    let named = rule::names();
    let rules = named.iter().map(String::as_str).chain(BUILT_IN.iter().copied());
    Scope {
        hosts: list(node, "host", true, &mut hosts.iter().map(|host| host.name.as_str()), report),
        groups: list(node, "group", false, &mut groups.iter().map(String::as_str), report),
        services: services.map(|typed| typed.value).unwrap_or_default(),
        rules: list(node, "rule", true, &mut rules.into_iter(), report),
    }
}

fn route(
    node: &Node,
    destinations: &[DestinationSpec],
    hosts: &[HostSpec],
    groups: &[String],
    report: &mut Report,
) -> Option<RouteSpec> {
    let scope = scope(node, hosts, groups, report);
    let _ = required(node, "to", report);
    let to = list(node, "to", false, &mut destinations.iter().map(|to| to.name.as_str()), report);
    let severity = parsed(node, "severity", report, |value| match value {
        "warning" => Ok(Level::Warning),
        "critical" => Ok(Level::Critical),
        _ => wrong(
            format!("\"{value}\" is not a severity"),
            did_you_mean(value, ["warning", "critical"], "write warning or critical"),
        ),
    });
    let repeat = parsed(node, "repeat", report, interval);
    let goes_on = parsed(node, "continue", report, amount::flag);
    let cap = parsed(node, "cap", report, |text| amount::whole(text, 1, 1000));
    let after = parsed(node, "after", report, amount::duration);
    let unless = parsed(node, "unless", report, |value| match value {
        "acked" => Ok(true),
        _ => wrong(format!("\"{value}\" is no reason to stay quiet"), "write unless=\"acked\""),
    });
    Some(RouteSpec {
        hosts: scope.hosts,
        groups: scope.groups,
        services: scope.services,
        rules: scope.rules,
        cap: cap.and_then(|typed| usize::try_from(typed.value).ok()),
        hours: super::silences::calendar(node, report),
        after: after.map(|typed| typed.value),
        unless_acked: unless.is_some_and(|typed| typed.value),
        severity: severity.map(|typed| typed.value),
        to,
        repeat: repeat.map(|typed| typed.value),
        goes_on: goes_on.is_some_and(|typed| typed.value),
    })
}
