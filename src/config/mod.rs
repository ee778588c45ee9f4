//! config.xml: as typed and resolved; all mistakes at once, with line and column.

pub mod calendar;
pub mod convert;
mod defaults;
pub mod edit;
mod files;
mod mask;
pub mod moment;
mod range;
mod raw;
mod report;
mod resolve;
mod rule;
mod schema;
mod services;
mod ssh_config;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use crate::model::suggest::did_you_mean;
pub use report::Report;

use crate::model::amount;
use crate::model::catalogue;
use crate::model::metric::Unit;
use crate::model::rule::{Condition, RuleKind};
use crate::model::secret::SecretSource;
use crate::model::spec::{FleetSpec, Origin, RuleSpec};

/// Between two sweeps, where the configuration does not say.
pub const INTERVAL: std::time::Duration = std::time::Duration::from_secs(300);

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
    read_with(file, None)
}

/// [`read`] as if `text` stood in the file already, so that a change is tried before it is made.
///
/// # Errors
/// All mistakes at once.
pub fn try_text(file: &Path, text: &str) -> Result<Loaded, Report> {
    read_with(file, Some(text))
}

fn read_with(file: &Path, draft: Option<&str>) -> Result<Loaded, Report> {
    let mut report = Report::default();
    let nodes = files::read_all(file, draft, &mut report);
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

/// An address and port as `listen=` has it: `127.0.0.1:8980`, `[::1]:8980`, `localhost:8980`.
///
/// # Errors
/// What to write instead.
pub fn address(text: &str) -> Result<std::net::SocketAddr, String> {
    resolve::address(text).map_err(|wrong| format!("{}; {}", wrong.text, wrong.mend))
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
    did_you_mean(typed, known, fallback)
}

/// A value in the unit of its metric, as it is written in config.xml: `80%`, `10GiB`, `5m`.
#[must_use]
pub fn show_level(value: f64, unit: Unit) -> String {
    amount::show(value, unit)
}

/// The rules that ship, as a host has them whose configuration says nothing, for sweeps that far apart.
#[must_use]
pub fn shipped(interval: std::time::Duration) -> Vec<RuleSpec> {
    resolve::shipped(interval)
}

/// The attributes of a rule as they are written, in the order of the documentation.
#[must_use]
pub fn written(rule: &RuleSpec) -> Vec<(&'static str, String)> {
    let unit = catalogue::find(&rule.metric).map(|metric| rule.kind.unit(metric));
    let level = |value: Option<f64>| value.zip(unit).map(|(value, unit)| show_level(value, unit));
    let mut all = vec![("item", Some(rule.items.join(" ")))];
    all.push(("not-item", (!rule.not_items.is_empty()).then(|| rule.not_items.join(" "))));
    all.push(("warning", level(rule.warning)));
    all.push(("critical", level(rule.critical)));
    all.push(("clear", level(rule.clear)));
    match rule.hold {
        Some(hold) => all.push(("for", Some(show_duration(hold)))),
        None => {
            all.push(("raise", Some(rule.raise.to_string())));
            all.push(("of", Some(rule.of.to_string())));
        }
    }
    all.push(("fall", Some(rule.fall.to_string())));
    all.push(("scale", rule.scale.map(|scale| scale.to_string())));
    all.extend(rule.conditions.iter().map(|condition| (condition.attribute, Some(show_condition(condition)))));
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// A condition as it is written in config.xml: `pressure.some[cpu] 50%`, `10GiB`.
#[must_use]
pub fn show_condition(condition: &Condition) -> String {
    let metric = catalogue::find(&condition.metric);
    let unit = metric.map_or(Unit::Count, |metric| RuleKind::of(metric).unit(metric));
    let level = amount::show(condition.threshold, unit);
    match &condition.item {
        _ if condition.attribute == "and-below-free" => level,
        Some(item) => format!("{}[{item}] {level}", condition.metric),
        None => format!("{} {level}", condition.metric),
    }
}

/// A length of time as it is written in config.xml: `300ms`, `5m`, `14d`.
#[must_use]
pub fn show_duration(value: std::time::Duration) -> String {
    amount::show_duration(value)
}
