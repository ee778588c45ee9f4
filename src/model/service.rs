//! Services of a host as configured, everything inherited already.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::secret::SecretSource;
use super::spec::Origin;

/// A service on one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Unique on its host, and the same on every host that has the service.
    pub name: String,
    /// For people.
    pub description: String,
    /// Fewer healthy hosts than this make the service unhealthy.
    pub min_healthy: Option<u32>,
    /// What is looked at from the host itself.
    pub checks: Vec<CheckSpec>,
    /// Where the service was written, nearest first.
    pub origin: Origin,
    /// For each attribute that was typed, where.
    pub origins: BTreeMap<String, Origin>,
}

/// One check of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckSpec {
    /// The kind: a name of `model::check::KINDS`.
    pub kind: String,
    /// Tells several of a kind in one service apart.
    pub name: Option<String>,
    /// Attributes as typed and checked.
    pub attributes: BTreeMap<String, String>,
    /// Secrets by their stem.
    pub secrets: BTreeMap<String, SecretSource>,
    /// The script that is shipped.
    pub script: Option<PathBuf>,
    /// For the whole check; default 5 s.
    pub timeout: Duration,
    /// An interval of its own on the host.
    pub every: Option<Duration>,
    /// Where the check was written, nearest first.
    pub origin: Origin,
    /// For each attribute that was typed, where; a secret's by its stem.
    pub origins: BTreeMap<String, Origin>,
}

impl CheckSpec {
    /// Its name, or its kind: the second half of `service/check`.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.kind)
    }
}
