//! config.xml: as typed and resolved; all mistakes at once, with line and column.

pub mod calendar;
mod defaults;
pub mod edit;
mod files;
mod mask;
mod range;
mod raw;
mod report;
mod resolve;
mod schema;
mod suggest;
mod tree;
mod units;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use report::Report;

use crate::model::metric::Unit;
use crate::model::secret::SecretSource;
use crate::model::spec::{FleetSpec, Origin};

/// A value of a host and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The attribute.
    pub name: &'static str,
    /// As people write it; of a secret only where it comes from.
    pub value: String,
    /// Line 0: a default that ships.
    pub origin: Origin,
}

/// A configuration that can be used, and where its values were written.
#[derive(Debug)]
pub struct Loaded {
    /// What services are told.
    pub spec: FleetSpec,
    /// For each host, how it is reached and its labels.
    pub origins: BTreeMap<String, Vec<Shown>>,
    /// The main file and every included one.
    pub files: Vec<PathBuf>,
    /// What can be used but is hardly meant.
    pub warnings: Option<Report>,
}

/// Reads a configuration with its includes.
///
/// # Errors
/// All mistakes at once.
pub fn load(file: &Path) -> Result<FleetSpec, Report> {
    read(file).map(|loaded| loaded.spec)
}

/// [`load`] that also tells where each value was written, and warnings.
///
/// # Errors
/// All mistakes at once.
pub fn read(file: &Path) -> Result<Loaded, Report> {
    let mut report = Report::default();
    let nodes = files::read_all(file, &mut report);
    // Without a readable main file everything would be missing: say only why it cannot be read.
    if nodes.is_empty() && report.errors() > 0 {
        return Err(report);
    }
    let mut loaded = resolve::resolve(file, &nodes, &mut report);
    if report.errors() > 0 {
        return Err(report);
    }
    if report.warnings() > 0 {
        loaded.warnings = Some(report);
    }
    Ok(loaded)
}

/// Where a secret comes from, never the secret.
#[must_use]
pub fn describe(source: &SecretSource) -> String {
    match source {
        SecretSource::Inline(_) => "written in the configuration".to_owned(),
        SecretSource::File(path) => format!("from the file {}", path.display()),
        SecretSource::Environment(name) => format!("from the variable {name}"),
        SecretSource::Command(_) => "from a command".to_owned(),
        SecretSource::Credential(name) => format!("from the systemd credential {name}"),
    }
}

/// `did you mean "x"?` with the nearest of the words that are right, or the fallback.
#[must_use]
pub fn suggest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>, fallback: &str) -> String {
    suggest::did_you_mean(typed, known, fallback)
}

/// A value in the unit of its metric, as it is written in config.xml: `80%`, `10GiB`, `5m`.
#[must_use]
pub fn show_level(value: f64, unit: Unit) -> String {
    units::show(value, unit)
}

/// A length of time as it is written in config.xml: `300ms`, `5m`, `14d`.
#[must_use]
pub fn show_duration(value: std::time::Duration) -> String {
    units::show_duration(value)
}
