//! What every server command starts from: the common flags, the configuration, the store.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::exit::{self, Exit, Failure};
use crate::config;
use crate::model::spec::FleetSpec;
use crate::store::{self, Store, StoreError};

/// How logs look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What stands over them, so that a command's own flags stand together.
const OF_ALL: &str = "General options";

/// Flags of every command.
#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    /// Configuration [default: $FLEET_CONFIG, ./config.xml, $XDG_CONFIG_HOME/fleet-health/config.xml,
    /// /etc/fleet-health/config.xml, /var/lib/fleet-health/config.xml]
    #[arg(long, global = true, help_heading = OF_ALL, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Say more; twice for everything
    #[arg(short, long, global = true, help_heading = OF_ALL, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say only errors
    #[arg(short, long, global = true, help_heading = OF_ALL)]
    pub quiet: bool,
    /// How log lines on standard error look
    #[arg(long, global = true, help_heading = OF_ALL, value_enum, default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// When to use colour
    #[arg(long, global = true, help_heading = OF_ALL, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: Color,
}

impl Common {
    /// The configuration file that is used: the first of the flag, `$FLEET_CONFIG` and the usual places that exists.
    ///
    /// # Errors
    /// [`Exit::Config`] when none is there, with all places that were looked at.
    pub fn config_file(&self) -> Result<PathBuf, Failure> {
        let mut places: Vec<PathBuf> = Vec::new();
        if let Some(file) = self.config.clone().or_else(|| std::env::var_os("FLEET_CONFIG").map(PathBuf::from)) {
            places.push(file);
        } else {
            places.push(PathBuf::from("config.xml"));
            let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
            if let Some(folder) = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or(home) {
                places.push(folder.join("fleet-health/config.xml"));
            }
            places.push(PathBuf::from("/etc/fleet-health/config.xml"));
            // Where the units look: what `fleet init` writes lies beside the configuration, and they may write only there.
            places.push(PathBuf::from("/var/lib/fleet-health/config.xml"));
        }
        if let Some(found) = places.iter().find(|place| place.is_file()) {
            return Ok(found.clone());
        }
        let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        Err(Failure::new(
            Exit::Config,
            format!("no configuration at {}; write one with: fleet init", looked.join(", ")),
        ))
    }

    /// Reads and resolves the configuration.
    ///
    /// # Errors
    /// [`Exit::Config`] with every mistake of the file.
    pub fn spec(&self) -> Result<FleetSpec, Failure> {
        let file = self.config_file()?;
        let loaded = config::read(&file).map_err(|report| Failure::new(Exit::Config, report.to_string()))?;
        // To a person, each time; to cron never, which would mail it every five minutes: fleet check-config tells it there.
        if let Some(warnings) = loaded.warnings
            && !self.quiet
            && (std::io::stderr().is_terminal() || self.verbose > 0)
        {
            exit::complain(&warnings.to_string());
        }
        Ok(loaded.spec)
    }
}

/// Opens the store that the configuration names.
///
/// # Errors
/// [`Exit::Store`].
pub fn open_store(spec: &FleetSpec) -> Result<Box<dyn Store>, Failure> {
    Ok(store::open(&spec.store)?)
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::new(Exit::Store, error.to_string())
    }
}
