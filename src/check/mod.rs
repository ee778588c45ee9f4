//! Checks of services from the host itself: each kind speaks its protocol over any `Read + Write` and says what it
//! found. Which kinds and attributes there are is the table of `model::check`; here is what they do.

mod accesslog;
mod answer;
mod certificate;
mod file;
mod found;
mod glob;
mod http;
mod link;
mod mac;
mod memory;
mod nagios;
mod postgres;
mod process;
mod prometheus;
mod redis;
mod resolve;
mod run;
mod secure;
mod tcp;
mod tls;
mod unit;

use std::path::Path;
use std::time::Instant;

pub use found::{Found, Trouble};
pub use memory::Memory;
pub use run::{Done, Running, start};

use crate::model::check::Order;
use crate::model::start::Starter;

/// A kind of check.
pub trait Check: Sync {
    /// Its name in `model::check::KINDS`, which also holds its attributes and help.
    fn kind(&self) -> &'static str;
    /// Looks once. Readings that were made before the trouble count.
    ///
    /// # Errors
    /// [`Trouble`]: the service is bad, or it could not be told.
    fn look(&self, at: &Occasion, found: &mut Found) -> Result<(), Trouble>;
}

/// Every check, in the order of the documentation.
pub const CHECKS: &[&dyn Check] = &[
    &tcp::Tcp,
    &http::Http,
    &redis::Redis,
    &postgres::Postgres,
    &prometheus::Prometheus,
    &nagios::Nagios,
    &process::Process,
    &unit::Unit,
    &file::File,
    &accesslog::AccessLog,
    &certificate::Certificate,
];

/// The only kind that starts a program.
pub const PLUGIN: &str = "nagios";

/// One run of one check.
pub struct Occasion<'a> {
    /// What is asked.
    pub order: &'a Order,
    /// The end of its time; links end there by themselves.
    pub until: Instant,
    /// Seconds since 1970 by the host's clock.
    pub now: i64,
    /// What the last run wanted to remember.
    pub note: &'a str,
    /// What stands for `/`.
    pub root: &'a Path,
    /// How programs are started.
    pub starter: Starter,
}

impl Occasion<'_> {
    /// An attribute that the configuration made sure of; a task that lacks it all the same is not understood.
    ///
    /// # Errors
    /// [`Trouble::Unknown`].
    pub fn needed(&self, name: &str) -> Result<&str, Trouble> {
        self.order.attribute(name).ok_or_else(|| Trouble::unsupported(format!("the task gives no {name}=")))
    }

    /// Where an absolute path of the machine is found.
    #[must_use]
    pub fn path(&self, absolute: &str) -> std::path::PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::CHECKS;
    use crate::model::catalogue::METRICS;
    use crate::model::check::KINDS;

    fn sources(folder: &Path) -> String {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let read = |path: std::path::PathBuf| match path.is_dir() {
            true => sources(&path),
            false => std::fs::read_to_string(path).unwrap().split("#[cfg(test)]").next().unwrap().to_owned(),
        };
        entries.map(read).collect()
    }

    #[test]
    fn every_metric_of_services_has_a_source() {
        let text = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/check"));
        let told = |name: &str| text.contains(&format!("\"{name}\""));
        let without: Vec<&str> =
            METRICS.iter().filter(|metric| metric.is_of_service() && !told(metric.name)).map(|m| m.name).collect();
        assert!(without.is_empty(), "{without:?}");
    }

    #[test]
    fn every_kind_of_the_table_is_run_by_one_check() {
        let run: Vec<&str> = CHECKS.iter().map(|check| check.kind()).collect();
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(run, known);
    }
}
