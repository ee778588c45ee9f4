//! The resolved configuration: what each service is told, with every default and inheritance already applied.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::level::Level;
use super::metric::Metric;
use super::rule::{self, Condition, RuleKind};
use super::secret::SecretSource;
use super::service::ServiceSpec;
use super::silence::{Calendar, Silence};

/// Where in the configuration something was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The file, or empty for a default that ships with the program.
    pub file: PathBuf,
    /// Line, from 1; 0 for a default that ships, and for what another program says: then `file` is its command.
    pub line: usize,
}

/// The whole configuration, resolved.
#[derive(Clone, Debug)]
pub struct FleetSpec {
    /// The main file that was read.
    pub file: PathBuf,
    /// It and every included one.
    pub files: Vec<PathBuf>,
    /// How sweeps are made.
    pub collector: CollectorSpec,
    /// Where the age keys are.
    pub keys: KeySpec,
    /// Where samples go and how long they stay.
    pub store: StoreSpec,
    /// In the order of the file.
    pub hosts: Vec<HostSpec>,
    /// Who is told what.
    pub alerts: AlertSpec,
    /// Silences that the configuration names.
    pub silences: Vec<Silence>,
    /// `<consent require="true"/>`: hosts without a recorded consent are not collected.
    pub consent_required: bool,
    /// How the dashboard is served.
    pub web: WebSpec,
}

impl FleetSpec {
    /// The host of that name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&HostSpec> {
        self.hosts.iter().find(|host| host.name == name)
    }
}

/// `<collector>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectorSpec {
    /// Hosts at once, 1 to 1024.
    pub jobs: usize,
    /// For one host, from connect to acknowledgement.
    pub timeout: Duration,
    /// For the whole sweep.
    pub deadline: Duration,
    /// Between two sweeps: what cron is set to.
    pub interval: Duration,
    /// Locks, and sealed files that nobody could open; created with mode 0700.
    pub state_dir: PathBuf,
    /// Folder with `<arch>-linux/fleet-probe`; `None`: beside the running program.
    pub probe_dir: Option<PathBuf>,
}

/// `<keys>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Public keys to seal to, one a line.
    pub recipient_file: PathBuf,
    /// Private keys, one a line; only the collector opens it.
    pub identity_file: PathBuf,
}

/// `<store>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSpec {
    /// Name of the backend: the scheme of the url (`sqlite`, `memory`).
    pub backend: String,
    /// What follows the scheme; for sqlite a path, already made absolute.
    pub location: String,
    /// Samples stay whole for this long.
    pub keep: Duration,
    /// Hourly minimum, mean and maximum stay for this long; zero keeps none.
    pub keep_hourly: Duration,
}

/// One machine.
#[derive(Clone, Debug)]
pub struct HostSpec {
    /// Unique; at most 64 bytes of letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// The groups around it, outermost first.
    pub groups: Vec<String>,
    /// From groups and the host, the nearest wins.
    pub labels: BTreeMap<String, String>,
    /// How it is reached.
    pub transport: Transport,
    /// What it cannot be reached without, in the order of the way from here: hosts of the configuration, and bastions by
    /// whatever name the way to them has. While one of them fails, nothing of this one is told.
    pub parents: Vec<String>,
    /// Whether the processes that take most are told with their command lines, which may hold secrets; off by default.
    pub command_lines: bool,
    /// What it is judged by, defaults and inheritance applied; `off` rules are gone. Hosts that inherit the same share it:
    /// for thousands of them it would be most of the memory.
    pub rules: Arc<Vec<RuleSpec>>,
    /// What runs on it and how that is looked at, in the order of the file.
    pub services: Vec<ServiceSpec>,
    /// Where the host was written.
    pub origin: Origin,
}

/// How a host is reached.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a fleet has one local machine, and thousands over SSH")]
pub enum Transport {
    /// The monitoring machine itself, without SSH.
    Local,
    /// Over SSH.
    Ssh(SshSpec),
}

/// What a connection to one host needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SshSpec {
    /// Name or IP address, without port.
    pub address: String,
    /// 1 to 65535.
    pub port: u16,
    /// The login name.
    pub user: String,
    /// Private key files, tried in this order.
    pub key_files: Vec<PathBuf>,
    /// For encrypted key files.
    pub passphrase: Option<SecretSource>,
    /// Password login, only when one is configured.
    pub password: Option<SecretSource>,
    /// Ask the agent.
    pub agent: bool,
    /// Where the agent listens (ssh's `IdentityAgent`); `None`: at `SSH_AUTH_SOCK`.
    pub agent_socket: Option<PathBuf>,
    /// The keys of the agent that may be offered, each as the second word of its public half (ssh's `IdentitiesOnly`); none:
    /// whatever it holds.
    pub agent_keys: Vec<String>,
    /// Files with known host keys; the first is the one that `fleet hosts accept` writes to.
    pub known_hosts: Vec<PathBuf>,
    /// What happens with a host whose key is not known.
    pub unknown_hosts: UnknownHosts,
    /// `SHA256:...` of the only key that is right for this host, if pinned.
    pub fingerprint: Option<String>,
    /// Certificates for the keys, besides those that lie beside them (`KEY-cert.pub`).
    pub certificate_files: Vec<PathBuf>,
    /// The name under which known_hosts has it, where that is not its address (ssh's `HostKeyAlias`).
    pub known_as: Option<String>,
    /// For resolving and connecting; `None`: 5 s.
    pub connect_timeout: Option<Duration>,
    /// The bastions on the way to it, the nearest to us first; these have none of their own here.
    pub jumps: Vec<Hop>,
}

impl SshSpec {
    /// Name and port by which known_hosts has its key. An alias stands for itself, whatever the port, as ssh has it.
    #[must_use]
    pub fn known_name(&self) -> (&str, u16) {
        self.known_as.as_deref().map_or((&self.address, self.port), |alias| (alias, 22))
    }
}

/// A bastion on the way to a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Hop {
    /// The name that people know it by: a host of the configuration, or as the way has it.
    pub name: String,
    /// Its own identity, its own host key.
    pub ssh: SshSpec,
}

/// What happens with a host whose key is not known. There is no "accept any".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownHosts {
    /// No connection.
    #[default]
    Refuse,
    /// The first key is written down and logged; a changed one is still refused.
    AcceptNew,
}

/// One threshold for one metric on one host.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSpec {
    /// The rule's name in incidents: the metric, with the kind behind it where that is not the metric's own.
    pub name: String,
    /// The metric.
    pub metric: String,
    /// How it looks at the metric.
    pub kind: RuleKind,
    /// Patterns of items it holds for (`*`, `/var*`); one of them must match. `["*"]` by default.
    pub items: Vec<String>,
    /// Patterns of items it does not hold for.
    pub not_items: Vec<String>,
    /// In base units; of a counter each second.
    pub warning: Option<f64>,
    /// In base units.
    pub critical: Option<f64>,
    /// The value that ends a warning, in base units; `None`: by the engine's default hysteresis.
    pub clear: Option<f64>,
    /// How long it must hold; zero opens on the first sample; `None`: `raise` of `of` samples.
    pub hold: Option<Duration>,
    /// X of "X of the last Y samples"; default 2.
    pub raise: u32,
    /// Y of "X of the last Y samples"; default 3, at most 64.
    pub of: u32,
    /// Samples beyond the clear threshold that close it; default 2.
    pub fall: u32,
    /// How levels rise with the size of the item, over 0 and under 1 (see `rule::sized`); `None`: they do not.
    pub scale: Option<f64>,
    /// What else must be so.
    pub conditions: Vec<Condition>,
    /// For each attribute that was typed, where: `warning` -> config.xml:12.
    pub origins: BTreeMap<String, Origin>,
}

impl RuleSpec {
    /// A rule that holds for every item, with no threshold yet.
    #[must_use]
    pub fn new(metric: &Metric, kind: RuleKind) -> Self {
        Self {
            name: rule::name(metric, kind),
            metric: metric.name.to_owned(),
            kind,
            items: vec!["*".to_owned()],
            not_items: Vec::new(),
            warning: None,
            critical: None,
            clear: None,
            hold: None,
            raise: 2,
            of: 3,
            fall: 2,
            scale: None,
            conditions: Vec::new(),
            origins: BTreeMap::new(),
        }
    }
}

/// `<alerts>`.
#[derive(Clone, Debug, Default)]
pub struct AlertSpec {
    /// Until a standing problem is told again; `None`: critical 1 h, warning 4 h. Doubles up to 24 h.
    pub repeat: Option<Duration>,
    /// Threads for a destination and run before one digest takes their place; default 3.
    pub cap: usize,
    /// Whether the end of a problem is told.
    pub recovered: bool,
    /// The mail server.
    pub smtp: Option<SmtpSpec>,
    /// Who can be told.
    pub destinations: Vec<DestinationSpec>,
    /// First match wins, unless it says `continue`. Empty: everything to every destination.
    pub routes: Vec<RouteSpec>,
    /// The zone in which mails tell times, `Europe/Paris`; `None`: the machine's.
    pub zone: Option<String>,
    /// A dead-man switch: asked for after each run that did all it should.
    pub heartbeat: Option<String>,
}

/// `<smtp>`.
#[derive(Clone, Debug)]
pub struct SmtpSpec {
    /// Server name; also the name that its certificate must carry.
    pub host: String,
    /// 465 for implicit TLS, 587 for STARTTLS, 25 without TLS, unless given.
    pub port: u16,
    /// How the line is protected.
    pub tls: Tls,
    /// Sender, as `Name <mail@example.net>` or bare.
    pub from: String,
    /// Login name; never sent over a line without TLS.
    pub user: Option<String>,
    /// Login password.
    pub password: Option<SecretSource>,
    /// A PEM file of certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// How the line to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS, required.
    StartTls,
    /// Plain; only when asked for.
    None,
}

/// `<to>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationSpec {
    /// The name that routes use.
    pub name: String,
    /// How it is told.
    pub channel: ChannelSpec,
}

/// How a destination is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelSpec {
    /// By SMTP, one outbox row for each address.
    Mail(Vec<String>),
    /// As .eml files in a directory.
    Directory(PathBuf),
    /// By the machine's own mail program.
    Sendmail(SendmailSpec),
    /// As JSON by HTTP.
    Webhook(WebhookSpec),
}

/// `<to mail="..." sendmail="...">`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendmailSpec {
    /// Absolute.
    pub program: PathBuf,
    /// One outbox row for each.
    pub addresses: Vec<String>,
    /// Sender, as `Name <mail@example.net>` or bare.
    pub from: String,
}

/// `<to webhook="...">`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSpec {
    /// Where; its path may be a secret.
    pub url: String,
    /// What is posted.
    pub format: HookFormat,
    /// Sent as `Authorization: Bearer`; never over a line without TLS, but on this machine.
    pub token: Option<SecretSource>,
    /// A PEM file of certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// What a webhook is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookFormat {
    /// Our own, with its version.
    Json,
    /// What Alertmanager posts to its webhooks (version 4).
    Alertmanager,
}

/// `<route>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteSpec {
    /// Host name patterns; empty matches all.
    pub hosts: Vec<String>,
    /// Group names; empty matches all.
    pub groups: Vec<String>,
    /// Service names; empty matches all.
    pub services: Vec<String>,
    /// Rule (metric) patterns; empty matches all.
    pub rules: Vec<String>,
    /// Only this level and above.
    pub severity: Option<Level>,
    /// Names of destinations.
    pub to: Vec<String>,
    /// Overrides the alerts' `repeat`.
    pub repeat: Option<Duration>,
    /// Overrides the alerts' `cap`.
    pub cap: Option<usize>,
    /// Nothing is told outside of these hours; what still stands is told when they begin.
    pub hours: Option<Calendar>,
    /// Escalation: only what stands for as long as this, and beside what the other routes say.
    pub after: Option<Duration>,
    /// Not while somebody has acknowledged it.
    pub unless_acked: bool,
    /// Go on with the next route after a match.
    pub goes_on: bool,
}

/// `<web>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSpec {
    /// Address and port.
    pub listen: SocketAddr,
    /// Names by which browsers reach it, besides `localhost` and bare addresses; lower case, without port.
    pub names: Vec<String>,
    /// Certificate chain and private key, PEM.
    pub tls: Option<TlsFiles>,
    /// A proxy in front of it speaks TLS and names the client in `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// Who may sign in. With none and no tokens whoever reaches the address reads, and nobody acts.
    pub users: Vec<UserSpec>,
    /// Programs that read.
    pub tokens: Vec<TokenSpec>,
}

/// Where a dashboard with TLS of its own has it from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates, the server's first.
    pub cert: PathBuf,
    /// Its private key; readable by its owner only.
    pub key: PathBuf,
}

/// `<user>` of `<web>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSpec {
    /// As it is typed, and as acknowledgements carry it.
    pub name: String,
    /// Argon2 in the PHC form, `$argon2id$v=19$...`.
    pub hash: SecretSource,
}

/// `<token>` of `<web>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSpec {
    /// As acknowledgements carry it.
    pub name: String,
    /// Sent as `Authorization: Bearer`.
    pub token: SecretSource,
    /// Whether it may acknowledge and silence too.
    pub acts: bool,
}

impl Default for WebSpec {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8980)),
            names: Vec::new(),
            tls: None,
            behind_proxy: false,
            users: Vec::new(),
            tokens: Vec::new(),
        }
    }
}

impl WebSpec {
    /// Why it must not listen where it should: others could reach it, and nothing keeps them out or their words secret.
    /// What is wrong, and what to do about it.
    #[must_use]
    pub fn too_open(&self) -> Option<(String, &'static str)> {
        if self.listen.ip().is_loopback() {
            return None;
        }
        let at = self.listen;
        if self.users.is_empty() && self.tokens.is_empty() {
            return Some((
                format!("{at} is open to other machines, and nobody would have to sign in"),
                "add <user name=\"...\" password-hash-file=\"...\"/> to <web>; fleet serve hash-password makes the hash",
            ));
        }
        if self.tls.is_none() && !self.behind_proxy {
            return Some((
                format!("{at} is open to other machines, and passwords would cross the network in the clear"),
                "give tls-cert= and tls-key=, or behind-proxy=\"true\" where a proxy speaks TLS",
            ));
        }
        None
    }
}
