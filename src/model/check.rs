//! Checks of services: which kinds there are with their attributes, and one check as it is ordered from a probe.
//!
//! The table describes itself: the configuration, its schema and the help are read from it; `check/` runs the kinds.

use std::collections::BTreeMap;
use std::time::Duration;

use super::secret::Secret;

/// What the value of an attribute must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Any text but nothing.
    Text,
    /// `http://host:port/path` or `https://...`.
    Url,
    /// `host:port`, `[::1]:port`.
    Address,
    /// An absolute path on the host.
    Path,
    /// An absolute path on the host, with wildcards in any of its parts.
    Glob,
    /// A name, or a pattern with `*` and `?`.
    Pattern,
    /// Status numbers and ranges of them: `200`, `200-299 301`.
    Statuses,
    /// Series of a Prometheus endpoint: `up`, `http_requests_total{code="200"}`, separated by spaces.
    Series,
    /// The SHA-256 of a certificate: 64 hexadecimal digits, colons between them or not.
    Fingerprint,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A file beside the configuration; what it holds travels to the host.
    Shipped,
    /// `password` and its kin: `-file`, `-env`, `-command`, `-credential`.
    Secret,
}

/// One attribute of a kind of check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// As it is written in the configuration; for a secret its stem.
    pub name: &'static str,
    /// What its value must be.
    pub shape: Shape,
    /// One sentence for people.
    pub help: &'static str,
}

/// A kind of check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckKind {
    /// The element in the configuration, and the first word of its metrics.
    pub name: &'static str,
    /// One sentence for people.
    pub help: &'static str,
    /// Its own attributes; those of [`COMMON`] come to every kind.
    pub attributes: &'static [Attribute],
    /// Of each of these lists exactly one attribute is given.
    pub one_of: &'static [&'static [&'static str]],
}

impl CheckKind {
    /// The attribute of that name, a secret's by its stem.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }
}

/// Attributes of every kind of check.
pub const COMMON: &[&str] = &["name", "timeout", "every", "off"];

const fn a(name: &'static str, shape: Shape, help: &'static str) -> Attribute {
    Attribute { name, shape, help }
}

const USER: Attribute = a("user", Shape::Text, "Login name");
const PASSWORD: Attribute = a("password", Shape::Secret, "Login password");
const TLS: Attribute = a("tls", Shape::OneOf(&["true", "false"]), "Speak TLS 1.3 over an address; false unless given");
const FINGERPRINT: Attribute = a(
    "fingerprint",
    Shape::Fingerprint,
    "SHA-256 of the only certificate that is right, which the server must hold the key of; brings tls=\"true\"",
);
const SOCKET: Attribute = a("socket", Shape::Path, "Unix socket on the host");
const ADDRESS: Attribute = a("address", Shape::Address, "Where it listens, as the host sees it");

/// Every kind, in the order of documentation.
pub const KINDS: &[CheckKind] = &[
    CheckKind {
        name: "tcp",
        help: "Connects; may say something and wait for an answer",
        attributes: &[
            ADDRESS,
            SOCKET,
            a("send", Shape::Text, r"What to say first; \r, \n and \t stand for themselves"),
            a("expect", Shape::Text, "A text that the answer must hold"),
        ],
        one_of: &[&["address", "socket"]],
    },
    CheckKind {
        name: "http",
        help: "Asks for a page: status, time by phase, a text in it, days of the certificate",
        attributes: &[
            a("url", Shape::Url, "What to ask for, as the host sees it"),
            SOCKET,
            a("method", Shape::OneOf(&["GET", "HEAD"]), "GET unless given"),
            a("expect", Shape::Statuses, "Statuses that are right; 200-399 unless given"),
            a("contains", Shape::Text, "A text that the page must hold"),
            a("fingerprint", Shape::Fingerprint, "SHA-256 of the only certificate of https that is right"),
        ],
        one_of: &[&["url"]],
    },
    CheckKind {
        name: "redis",
        help: "Redis and its kin: memory, hits, clients, persistence, replication",
        attributes: &[ADDRESS, SOCKET, USER, PASSWORD, TLS, FINGERPRINT],
        one_of: &[&["address", "socket"]],
    },
    CheckKind {
        name: "postgres",
        help: "PostgreSQL: connections, hits, locks, transactions, replication, size",
        attributes: &[
            ADDRESS,
            a("socket", Shape::Path, "Folder of its unix socket"),
            a("database", Shape::Text, "The database to connect to; postgres unless given"),
            USER,
            PASSWORD,
            TLS,
            FINGERPRINT,
        ],
        one_of: &[&["address", "socket"]],
    },
    CheckKind {
        name: "prometheus",
        help: "Chosen series of any exporter's text endpoint",
        attributes: &[
            a("url", Shape::Url, "The exporter's page, such as http://127.0.0.1:9100/metrics"),
            SOCKET,
            a("series", Shape::Series, "Which series, labels that must fit included"),
        ],
        one_of: &[&["url"], &["series"]],
    },
    CheckKind {
        name: "nagios",
        help: "A Nagios plugin of the host, or a script shipped from here",
        attributes: &[
            a("plugin", Shape::Path, "The plugin's absolute path on the host"),
            a("script", Shape::Shipped, "A script beside the configuration, run from memory"),
            a("args", Shape::Text, "Its arguments, separated by spaces; never secrets"),
            a("format", Shape::OneOf(&["nagios", "checkmk"]), "How it answers; nagios unless given"),
        ],
        one_of: &[&["plugin", "script"]],
    },
    CheckKind {
        name: "process",
        help: "Processes by name: how many, memory, processor time",
        attributes: &[
            a("program", Shape::Pattern, "Name of the program, such as nginx or php-fpm*"),
            a("user", Shape::Text, "Only those of this user"),
        ],
        one_of: &[&["program"]],
    },
    CheckKind {
        name: "unit",
        help: "A systemd unit by name: active, processes, memory, processor time",
        attributes: &[a("unit", Shape::Text, "The unit, such as nginx.service")],
        one_of: &[&["unit"]],
    },
    CheckKind {
        name: "file",
        help: "Files by pattern: count, size, age",
        attributes: &[
            a("path", Shape::Glob, "Absolute path on the host, such as /var/backups/*.tar"),
            a("empty", Shape::OneOf(&["ok", "bad"]), "Whether it is right that nothing fits; bad unless given"),
        ],
        one_of: &[&["path"]],
    },
    CheckKind {
        name: "accesslog",
        help: "An access log of nginx or Apache, read on from where it stopped: requests, errors, latency",
        attributes: &[
            a("path", Shape::Path, "The log on the host, in the combined format"),
            a(
                "time",
                Shape::OneOf(&["s", "ms", "us", "none"]),
                "Unit of the request time behind the agent; s unless given",
            ),
        ],
        one_of: &[&["path"]],
    },
    CheckKind {
        name: "certificate",
        help: "How long certificates still last, of files or of a server that speaks TLS",
        attributes: &[
            a("files", Shape::Glob, "Absolute path on the host, such as /etc/letsencrypt/live/*/cert.pem"),
            ADDRESS,
            a("server", Shape::Text, "The name that the server is asked for; that of the address unless given"),
        ],
        one_of: &[&["files", "address"]],
    },
];

/// The kind of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static CheckKind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// The most checks of one host.
pub const MAX_CHECKS: usize = 64;
/// The most bytes of a shipped script.
pub const MAX_SCRIPT: u64 = 64 * 1024;

/// One check, ordered from a probe. Carries its secrets, and so stays in memory and on standard input.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Order {
    /// The service it belongs to.
    pub service: String,
    /// The check's own name, or its kind.
    pub check: String,
    /// What readings of it start their item with: `service`, or `service/name` where the check has a name.
    pub item: String,
    /// A name of [`KINDS`], or one that a newer collector brought.
    pub kind: String,
    /// Attributes as typed and checked.
    pub attributes: BTreeMap<String, String>,
    /// Secrets by their stem.
    pub secrets: BTreeMap<String, Secret>,
    /// What a shipped script holds.
    pub script: Option<String>,
    /// For the whole check.
    pub timeout: Duration,
    /// An interval of its own; `None`: with every sample.
    pub every: Option<Duration>,
    /// Why the collector could not make the order whole (a secret that cannot be read); it is not run then.
    pub refused: Option<String>,
}

impl Order {
    /// `service/check`: what makes it one, and the item of `check.*`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.service, self.check)
    }

    /// An attribute as typed.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::{COMMON, KINDS};

    #[test]
    fn kinds_describe_themselves() {
        for (i, kind) in KINDS.iter().enumerate() {
            assert!(KINDS[..i].iter().all(|other| other.name != kind.name), "{} twice", kind.name);
            assert!(!kind.help.is_empty() && !kind.help.ends_with('.'));
            for (j, attribute) in kind.attributes.iter().enumerate() {
                assert!(kind.attributes[..j].iter().all(|other| other.name != attribute.name), "{}", attribute.name);
                assert!(!COMMON.contains(&attribute.name) && !attribute.help.is_empty());
            }
            for name in kind.one_of.iter().flat_map(|list| list.iter()) {
                assert!(kind.attribute(name).is_some(), "{}: {name}", kind.name);
            }
        }
    }
}
