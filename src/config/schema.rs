//! Which elements and attributes there are, and where; what comes with later versions is named, not ignored.

use super::report::Report;
use super::tree::Node;
use crate::model::check::{self, CheckKind, Shape};
use crate::model::suggest::did_you_mean;

struct Element {
    name: &'static str,
    attrs: &'static [&'static str],
    /// Attributes that several elements have.
    shared: &'static [&'static str],
    children: &'static [&'static str],
    /// Whether every kind of check may stand in it.
    checks: bool,
    /// Attributes of the design that this version does not know yet.
    later: &'static [&'static str],
}

const fn element(
    name: &'static str,
    attrs: &'static [&'static str],
    children: &'static [&'static str],
    later: &'static [&'static str],
) -> Element {
    Element { name, attrs, shared: &[], children, checks: false, later }
}

/// An [`element`] that may also hold services and checks of every kind.
const fn with_checks(
    name: &'static str,
    attrs: &'static [&'static str],
    children: &'static [&'static str],
    later: &'static [&'static str],
) -> Element {
    Element { name, attrs, shared: &[], children, checks: true, later }
}

impl Element {
    const fn with(mut self, shared: &'static [&'static str]) -> Self {
        self.shared = shared;
        self
    }

    fn known(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.attrs.iter().chain(self.shared).copied()
    }
}

/// How a host is logged in to: on `<ssh>`, and on `<host>` itself.
const LOGIN: &[&str] = &[
    "user",
    "port",
    "key-file",
    "key-files",
    "agent",
    "known-hosts",
    "unknown-hosts",
    "use-ssh-config",
    "jump",
    "password",
    "password-file",
    "password-env",
    "password-command",
    "password-credential",
    "passphrase",
    "passphrase-file",
    "passphrase-env",
    "passphrase-command",
    "passphrase-credential",
];

const ELEMENTS: &[Element] = &[
    element(
        "fleet-health",
        &["version"],
        &[
            "collector",
            "keys",
            "store",
            "ssh",
            "defaults",
            "group",
            "host",
            "alerts",
            "silence",
            "consent",
            "web",
            "include",
        ],
        &[],
    ),
    element("collector", &["jobs", "timeout", "deadline", "interval", "state-dir", "probe-dir"], &[], &[]),
    element("keys", &["recipient-file", "identity-file"], &[], &[]),
    element("store", &["url", "keep", "keep-hourly"], &[], &[]),
    element("ssh", &[], &[], &[]).with(LOGIN),
    with_checks("defaults", &["command-lines"], &["rule", "service"], &[]),
    with_checks(
        "group",
        &["name", "description", "labels", "command-lines", "jump"],
        &["ssh", "rule", "service", "group", "host"],
        &[],
    ),
    with_checks("service", &["name", "description", "min-healthy", "unit", "off"], &["rule"], &[]),
    with_checks(
        "host",
        &["name", "address", "transport", "labels", "fingerprint", "parent", "command-lines"],
        &["ssh", "rule", "service"],
        &[],
    )
    .with(LOGIN),
    element(
        "rule",
        &[
            "metric",
            "kind",
            "item",
            "not-item",
            "warning",
            "critical",
            "clear",
            "for",
            "raise",
            "of",
            "fall",
            "scale",
            "and",
            "and-below-free",
            "and-critical",
            "unless",
            "off",
        ],
        &[],
        &[],
    ),
    element("alerts", &["repeat", "cap", "recovered", "heartbeat", "time-zone"], &["smtp", "to", "route"], &[]),
    element(
        "smtp",
        &[
            "host",
            "port",
            "tls",
            "from",
            "user",
            "password",
            "password-file",
            "password-env",
            "password-command",
            "password-credential",
            "ca-file",
        ],
        &[],
        &[],
    ),
    element(
        "to",
        &[
            "name",
            "mail",
            "sendmail",
            "from",
            "directory",
            "webhook",
            "format",
            "token",
            "token-file",
            "token-env",
            "token-command",
            "token-credential",
            "ca-file",
        ],
        &[],
        &[],
    ),
    element(
        "route",
        &[
            "host",
            "group",
            "service",
            "rule",
            "severity",
            "to",
            "repeat",
            "cap",
            "days",
            "hours",
            "time-zone",
            "after",
            "unless",
            "continue",
        ],
        &[],
        &[],
    ),
    element(
        "silence",
        &["host", "group", "service", "rule", "from", "until", "days", "hours", "time-zone", "reason"],
        &[],
        &[],
    ),
    element("consent", &["require"], &[], &[]),
    element("web", &["listen", "hosts", "tls-cert", "tls-key", "behind-proxy"], &["user", "token"], &[]),
    element(
        "user",
        &[
            "name",
            "password-hash",
            "password-hash-file",
            "password-hash-env",
            "password-hash-command",
            "password-hash-credential",
        ],
        &[],
        &[],
    ),
    element(
        "token",
        &["name", "acts", "token", "token-file", "token-env", "token-command", "token-credential"],
        &[],
        &[],
    ),
    element("include", &["file"], &[], &[]),
];

/// What an element may have and hold.
struct Known {
    attrs: Vec<&'static str>,
    children: Vec<&'static str>,
    later: &'static [&'static str],
}

fn find(name: &str) -> Option<Known> {
    if let Some(kind) = check::find(name) {
        return Some(Known { attrs: attributes(kind), children: Vec::new(), later: &[] });
    }
    let element = ELEMENTS.iter().find(|element| element.name == name)?;
    let kinds = check::KINDS.iter().filter(|_| element.checks).map(|kind| kind.name);
    let children = element.children.iter().copied().chain(kinds).collect();
    Some(Known { attrs: element.known().collect(), children, later: element.later })
}

/// Every attribute of a kind of check, as it is written.
fn attributes(kind: &CheckKind) -> Vec<&'static str> {
    let mut all = Vec::new();
    for attribute in kind.attributes {
        match attribute.shape {
            // Checks have one kind of secret.
            Shape::Secret => all.extend(PASSWORD),
            _ => all.push(attribute.name),
        }
    }
    all.extend(check::COMMON);
    all
}

const PASSWORD: &[&str] = &["password", "password-file", "password-env", "password-command", "password-credential"];

/// The elements that may hold one.
fn homes(name: &str) -> Vec<String> {
    let holds = |parent: &&Element| parent.children.contains(&name) || parent.checks && check::find(name).is_some();
    ELEMENTS.iter().filter(holds).map(|parent| format!("<{}>", parent.name)).collect()
}

/// Reports everything in the element that is unknown, misplaced or for later.
pub(super) fn examine(node: &Node, report: &mut Report) {
    let Some(element) = find(&node.name) else { return };
    for attr in &node.attrs {
        let name = attr.name.as_str();
        // The declarations that point editors to the schema.
        if node.name == "fleet-health" && (name == "xmlns:xsi" || name.starts_with("xsi:")) {
            continue;
        }
        if element.attrs.contains(&name) {
            continue;
        }
        if element.later.contains(&name) {
            let text = format!("{name}= of <{}> comes with a later version of fleet-health", node.name);
            report.error(attr.name_at, text, "remove it until then");
            continue;
        }
        let said = if element.attrs.is_empty() {
            "it has no attributes".to_owned()
        } else {
            format!("it has: {}", element.attrs.join(", "))
        };
        let mend = did_you_mean(name, element.attrs.iter().copied(), &said);
        report.error(attr.name_at, format!("<{}> has no attribute \"{name}\"", node.name), mend);
    }
    for child in &node.children {
        let name = child.name.as_str();
        if element.children.contains(&name) {
            examine(child, report);
        } else if find(name).is_some() {
            let homes = homes(name);
            let mend = if homes.is_empty() {
                "it is the outermost element".to_owned()
            } else {
                format!("it belongs into {}", homes.join(" or "))
            };
            report.error(child.at, format!("<{name}> cannot stand in <{}>", node.name), mend);
        } else {
            let fallback = if element.children.is_empty() {
                format!("<{}> holds no elements", node.name)
            } else {
                format!("<{}> holds: {}", node.name, element.children.join(", "))
            };
            let mend = did_you_mean(name, element.children.iter().copied(), &fallback);
            report.error(child.at, format!("unknown element <{name}>"), mend);
        }
    }
}
