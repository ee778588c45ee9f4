//! `<service>` and checks as typed: each attribute through its shape of `model::check`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::raw::{self, Rule, Typed, parsed, required};
use super::report::{At, Report};
use super::tree::Node;
use crate::model::amount::{self, Wrong, words, wrong};
use crate::model::check::{self, Attribute, CheckKind, MAX_SCRIPT, Shape};
use crate::model::secret::SecretSource;
use crate::model::series;
use crate::model::suggest::did_you_mean;

/// The longest value of an attribute of a check.
const MAX_VALUE: usize = 2048;

/// A check as typed.
#[derive(Clone, Debug)]
pub(super) struct Check {
    pub kind: &'static CheckKind,
    pub at: At,
    pub name: Option<Typed<String>>,
    pub attributes: BTreeMap<&'static str, Typed<String>>,
    pub secrets: BTreeMap<&'static str, Typed<SecretSource>>,
    pub script: Option<Typed<PathBuf>>,
    pub timeout: Option<Typed<Duration>>,
    pub every: Option<Typed<Duration>>,
    pub off: bool,
}

impl Check {
    /// What makes two checks of a service the same.
    pub fn key(&self) -> (&'static str, Option<&str>) {
        (self.kind.name, self.name.as_ref().map(|name| name.value.as_str()))
    }

    /// A check of which only one attribute is known.
    pub fn implied(kind: &'static CheckKind, name: &'static str, value: Typed<String>) -> Self {
        Self {
            kind,
            at: value.at,
            name: None,
            attributes: BTreeMap::from([(name, value)]),
            secrets: BTreeMap::new(),
            script: None,
            timeout: None,
            every: None,
            off: false,
        }
    }

    fn read(node: &Node, kind: &'static CheckKind, report: &mut Report) -> Self {
        let mut check = Self {
            kind,
            at: node.at,
            name: parsed(node, "name", report, raw::name),
            attributes: BTreeMap::new(),
            secrets: BTreeMap::new(),
            script: None,
            timeout: parsed(node, "timeout", report, |text| at_least(text, Duration::from_millis(10))),
            every: parsed(node, "every", report, |text| at_least(text, Duration::from_secs(1))),
            off: parsed(node, "off", report, amount::flag).is_some_and(|typed| typed.value),
        };
        for attribute in kind.attributes {
            match attribute.shape {
                Shape::Secret => {
                    if let Some(secret) = raw::secret(node, attribute.name, report) {
                        check.secrets.insert(attribute.name, secret);
                    }
                }
                Shape::Shipped => check.script = script(node, attribute.name, report),
                _ => {
                    if let Some(typed) = parsed(node, attribute.name, report, |text| shaped(attribute, text)) {
                        check.attributes.insert(attribute.name, typed);
                    }
                }
            }
        }
        let kept = |name: &str| matches!(name, "name" | "off");
        if check.off && node.attrs.iter().any(|attr| !kept(&attr.name)) {
            report.error(node.at, "off=\"true\" together with other attributes", "a removed check has only a name");
        }
        check
    }
}

/// A service as typed.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub name: String,
    pub at: At,
    pub description: Option<Typed<String>>,
    pub min_healthy: Option<Typed<u32>>,
    pub unit: Option<Typed<String>>,
    pub off: bool,
    pub checks: Vec<Check>,
}

/// Services and checks directly inside of an element, and the rules of these services, made to fit their items only.
pub(super) fn services(node: &Node, report: &mut Report) -> (Vec<Service>, Vec<Rule>) {
    let (mut all, mut rules): (Vec<Service>, Vec<Rule>) = (Vec::new(), Vec::new());
    for child in &node.children {
        let service = if child.name == "service" {
            service(child, &mut rules, report)
        } else {
            check::find(&child.name).map(|kind| alone(Check::read(child, kind, report)))
        };
        let Some(service) = service else { continue };
        if let Some(first) = all.iter().find(|other| other.name == service.name) {
            let text = format!("a second service \"{}\", first at {}", service.name, report.named(first.at));
            report.error(child.at, text, "put both into one, or give the check a name= of its own");
            continue;
        }
        all.push(service);
    }
    (all, rules)
}

/// A check outside of a service is a service of its own, called as the check.
fn alone(mut check: Check) -> Service {
    let name = check.name.take().map_or_else(|| check.kind.name.to_owned(), |name| name.value);
    let off = check.off;
    let checks = if off { Vec::new() } else { vec![check.clone()] };
    Service { name, at: check.at, description: None, min_healthy: None, unit: None, off, checks }
}

fn service(node: &Node, rules: &mut Vec<Rule>, report: &mut Report) -> Option<Service> {
    required(node, "name", report)?;
    let name = parsed(node, "name", report, raw::name)?.value;
    let mut checks: Vec<Check> = Vec::new();
    for child in &node.children {
        let Some(kind) = check::find(&child.name) else { continue };
        let check = Check::read(child, kind, report);
        if let Some(first) = checks.iter().find(|other| other.key() == check.key()) {
            let text = format!("a second <{}> in service \"{name}\", first at {}", kind.name, report.named(first.at));
            report.error(child.at, text, "give it a name= of its own");
            continue;
        }
        checks.push(check);
    }
    for mut rule in raw::rules(node, report) {
        if !rule.metric.is_of_service() {
            let text = format!("{} is no reading of a service", rule.metric.name);
            report.error(rule.at, text, "put the rule into the host or group around");
            continue;
        }
        let within = |items: &[String]| items.iter().map(|item| format!("{name}/{item}")).collect::<Vec<_>>();
        rule.items = Some(match rule.items {
            Some(Typed { value, at }) => Typed { value: within(&value), at },
            None => Typed { value: vec![name.clone(), format!("{name}/*")], at: rule.at },
        });
        if let Some(typed) = &mut rule.not_items {
            typed.value = within(&typed.value);
        }
        rules.push(rule);
    }
    let off = parsed(node, "off", report, amount::flag).is_some_and(|typed| typed.value);
    if off && (node.attrs.len() > 2 || !node.children.is_empty()) {
        report.error(node.at, "off=\"true\" together with checks or attributes", "a removed service has only its name");
    }
    let min_healthy = parsed(node, "min-healthy", report, |text| amount::whole(text, 0, 10_000))
        .map(|typed| Typed { value: u32::try_from(typed.value).unwrap_or(u32::MAX), at: typed.at });
    Some(Service {
        name,
        at: node.at,
        description: raw::text(node, "description", report),
        min_healthy,
        unit: parsed(node, "unit", report, unit),
        off,
        checks,
    })
}

fn at_least(text: &str, least: Duration) -> Result<Duration, Wrong> {
    let value = amount::duration(text)?;
    if value < least {
        return wrong(format!("\"{text}\" is too short"), format!("write at least {}", amount::show_duration(least)));
    }
    Ok(value)
}

/// A systemd unit; a bare name is a service, as for systemctl.
fn unit(text: &str) -> Result<String, Wrong> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
    if text.is_empty() || text.len() > 255 || text.starts_with('.') || !text.bytes().all(fits) {
        return wrong(format!("\"{text}\" is not the name of a unit"), "write it as nginx.service");
    }
    Ok(if text.contains('.') { text.to_owned() } else { format!("{text}.service") })
}

/// The script's path; that it can be shipped is looked at now, for nobody reads the probe's complaint before.
fn script(node: &Node, name: &str, report: &mut Report) -> Option<Typed<PathBuf>> {
    let typed = raw::path(node, name, report)?;
    match std::fs::metadata(&typed.value) {
        Ok(meta) if meta.is_file() && meta.len() <= MAX_SCRIPT => return Some(typed),
        Ok(meta) if meta.is_file() => {
            report.error(typed.at, format!("the script is over {} KiB", MAX_SCRIPT / 1024), "ship a smaller one");
        }
        Ok(_) => report.error(typed.at, "the script is not a regular file", ""),
        Err(error) => report.error(typed.at, format!("the script cannot be read: {error}"), ""),
    }
    None
}

fn shaped(attribute: &Attribute, text: &str) -> Result<String, Wrong> {
    let name = attribute.name;
    if text.trim().is_empty() {
        return wrong(format!("{name}= is empty"), "give a value or remove it");
    }
    if text.len() > MAX_VALUE {
        return wrong(format!("{name}= is over {MAX_VALUE} bytes"), "");
    }
    if name == "unit" {
        return unit(text);
    }
    match attribute.shape {
        Shape::Text | Shape::Secret | Shape::Shipped => Ok(text.to_owned()),
        Shape::Pattern if text.contains(char::is_whitespace) => {
            wrong(format!("\"{text}\" is not one name"), "write a name, or a pattern such as php-fpm*")
        }
        Shape::Pattern => Ok(text.to_owned()),
        Shape::Url => url(text),
        Shape::Address => address(text),
        Shape::Path if text.contains(['*', '?']) => {
            wrong(format!("\"{text}\" holds a wildcard"), "write the one path on the host")
        }
        Shape::Path | Shape::Glob => path(text),
        Shape::Statuses => statuses(text),
        Shape::Fingerprint => fingerprint(text),
        Shape::Series => match series::selectors(text) {
            Ok(_) => Ok(text.trim().to_owned()),
            Err(why) => wrong(format!("\"{text}\" names no series: {why}"), "write it as up node_load1{a=\"b\"}"),
        },
        Shape::OneOf(known) if known.contains(&text) => Ok(text.to_owned()),
        Shape::OneOf(known) => {
            let mend = format!("write {}", known.join(", "));
            wrong(format!("\"{text}\" is not known for {name}="), did_you_mean(text, known.iter().copied(), &mend))
        }
    }
}

fn url(text: &str) -> Result<String, Wrong> {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else {
        return wrong(format!("\"{text}\" is not a URL"), "write it as http://127.0.0.1:8080/healthz");
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = &rest[..end];
    if host.contains('@') {
        return wrong("a URL with a login", "remove what stands before the @");
    }
    let port = host.rsplit_once(':').filter(|_| !host.ends_with(']')).map(|(_, port)| port);
    let sound = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if host.is_empty() || host.starts_with(':') || !sound || !text.bytes().all(|b| (0x21..0x7f).contains(&b)) {
        return wrong(format!("\"{text}\" is not a URL"), "write it as http://127.0.0.1:8080/healthz");
    }
    Ok(text.to_owned())
}

fn address(text: &str) -> Result<String, Wrong> {
    let mend = "write it as 127.0.0.1:6379 or [::1]:6379";
    let Some((host, port)) = text.rsplit_once(':') else {
        return wrong(format!("\"{text}\" has no port"), mend);
    };
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let good = inside.map_or_else(
        || !host.is_empty() && host.bytes().all(named),
        |inside| inside.parse::<std::net::Ipv6Addr>().is_ok(),
    );
    if !good || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return wrong(format!("\"{text}\" is not host:port"), mend);
    }
    Ok(text.to_owned())
}

fn path(text: &str) -> Result<String, Wrong> {
    if !text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return wrong(format!("\"{text}\" is not an absolute path"), "write the whole path on the host, from /");
    }
    Ok(text.to_owned())
}

fn fingerprint(text: &str) -> Result<String, Wrong> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    if digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text.to_owned());
    }
    wrong(
        format!("\"{text}\" is not the fingerprint of a certificate"),
        "64 hexadecimal digits: openssl x509 -noout -fingerprint -sha256 -in FILE",
    )
}

fn statuses(text: &str) -> Result<String, Wrong> {
    let status = |text: &str| text.parse::<u16>().ok().filter(|n| (100..600).contains(n));
    for word in words(text) {
        let (low, high) = word.split_once('-').unwrap_or((&word, &word));
        if !matches!((status(low), status(high)), (Some(low), Some(high)) if low <= high) {
            return wrong(format!("\"{word}\" is not an HTTP status"), "write them as 200 or 200-299 301");
        }
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        for good in ["http://127.0.0.1:8080/healthz", "https://[::1]/x?y=1", "http://db"] {
            assert!(url(good).is_ok(), "{good}");
        }
        for bad in ["ftp://x", "http://", "http://a b/", "http://u:p@h/", "http://h:0/", "http://h:x/", "http://:80/"] {
            assert!(url(bad).is_err(), "{bad}");
        }
        for bad in ["6379", "a:", ":1", "a:0", "a:70000", "::1:80", "[x]:1", "a b:1"] {
            assert!(address(bad).is_err(), "{bad}");
        }
        assert!(address("[::1]:80").is_ok() && address("db.lan:5432").is_ok());
        assert!(path("/a*/*.x").is_ok() && path("a").is_err() && path("/a/../b").is_err());
        assert!(statuses("200-299 301").is_ok() && statuses("299-200").is_err() && statuses("2xx").is_err());
        assert_eq!(unit("nginx").unwrap(), "nginx.service");
        assert!(unit("a/b").is_err());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in ".{0,40}") {
            let _ = (url(&text), address(&text), path(&text), statuses(&text), unit(&text));
        }
    }
}
