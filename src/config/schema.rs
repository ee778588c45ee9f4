//! Which elements and attributes there are, and where; what comes with later versions is named, not ignored.

use super::report::Report;
use super::suggest::did_you_mean;
use super::tree::Node;

struct Element {
    name: &'static str,
    attrs: &'static [&'static str],
    children: &'static [&'static str],
    /// Attributes of the design that this version does not know yet.
    later: &'static [&'static str],
}

const fn element(
    name: &'static str,
    attrs: &'static [&'static str],
    children: &'static [&'static str],
    later: &'static [&'static str],
) -> Element {
    Element { name, attrs, children, later }
}

const ELEMENTS: &[Element] = &[
    element(
        "fleet-health",
        &["version"],
        &["collector", "keys", "store", "ssh", "defaults", "group", "host", "alerts", "silence", "consent", "include"],
        &[],
    ),
    element("collector", &["jobs", "timeout", "deadline", "interval", "state-dir", "probe-dir"], &[], &[]),
    element("keys", &["recipient-file", "identity-file"], &[], &[]),
    element("store", &["url", "keep", "keep-hourly"], &[], &[]),
    element(
        "ssh",
        &[
            "user",
            "port",
            "key-file",
            "key-files",
            "agent",
            "known-hosts",
            "unknown-hosts",
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
        ],
        &[],
        &["use-ssh-config", "jump"],
    ),
    element("defaults", &[], &["rule"], &[]),
    element("group", &["name", "description", "labels"], &["ssh", "rule", "group", "host"], &["jump"]),
    element(
        "host",
        &[
            "name",
            "address",
            "transport",
            "labels",
            "fingerprint",
            "parent",
            "user",
            "port",
            "key-file",
            "key-files",
            "agent",
            "known-hosts",
            "unknown-hosts",
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
        ],
        &["ssh", "rule"],
        &["jump", "use-ssh-config"],
    ),
    element(
        "rule",
        &["metric", "item", "not-item", "warning", "critical", "clear", "for", "raise", "of", "fall", "off"],
        &[],
        &[],
    ),
    element("alerts", &["repeat", "cap", "recovered", "heartbeat"], &["smtp", "to", "route"], &[]),
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
    element("to", &["name", "mail", "directory"], &[], &["webhook", "format", "sendmail"]),
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
    element("include", &["file"], &[], &[]),
];

/// Elements of the design that this version does not know yet.
const LATER: &[&str] = &["service", "http", "redis", "postgres", "web", "check", "log"];

fn find(name: &str) -> Option<&'static Element> {
    ELEMENTS.iter().find(|element| element.name == name)
}

/// Reports everything in the element that is unknown, misplaced or for later.
pub(super) fn check(node: &Node, report: &mut Report) {
    let Some(element) = find(&node.name) else { return };
    for attr in &node.attrs {
        let name = attr.name.as_str();
        // The declarations that point editors to the schema.
        if element.name == "fleet-health" && (name == "xmlns:xsi" || name.starts_with("xsi:")) {
            continue;
        }
        if element.attrs.contains(&name) {
            continue;
        }
        if element.later.contains(&name) {
            let text = format!("{name}= of <{}> comes with a later version of fleet-health", element.name);
            report.error(attr.name_at, text, "remove it until then");
            continue;
        }
        let known = if element.attrs.is_empty() {
            "it has no attributes".to_owned()
        } else {
            format!("it has: {}", element.attrs.join(", "))
        };
        let mend = did_you_mean(name, element.attrs.iter().copied(), &known);
        report.error(attr.name_at, format!("<{}> has no attribute \"{name}\"", element.name), mend);
    }
    for child in &node.children {
        let name = child.name.as_str();
        if element.children.contains(&name) {
            check(child, report);
        } else if find(name).is_some() {
            let homes: Vec<String> = ELEMENTS
                .iter()
                .filter(|parent| parent.children.contains(&name))
                .map(|parent| format!("<{}>", parent.name))
                .collect();
            let mend = if homes.is_empty() {
                "it is the outermost element".to_owned()
            } else {
                format!("it belongs into {}", homes.join(" or "))
            };
            report.error(child.at, format!("<{name}> cannot stand in <{}>", element.name), mend);
        } else if LATER.contains(&name) {
            let text = format!("<{name}> comes with a later version of fleet-health");
            report.error(child.at, text, "remove it until then");
        } else {
            let fallback = if element.children.is_empty() {
                format!("<{}> holds no elements", element.name)
            } else {
                format!("<{}> holds: {}", element.name, element.children.join(", "))
            };
            let mend = did_you_mean(name, element.children.iter().copied(), &fallback);
            report.error(child.at, format!("unknown element <{name}>"), mend);
        }
    }
}
