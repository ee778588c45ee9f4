//! From the checks that are configured for a host to those that are ordered from its probe: secrets and scripts read.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use super::secrets::Secrets;
use crate::model::check::{MAX_SCRIPT, Order};
use crate::model::clean::clean;
use crate::model::service::CheckSpec;
use crate::model::spec::HostSpec;

/// Waiting for a command that another reads is not waiting for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes orders; a source of secrets that many hosts share is read once.
#[derive(Default)]
pub struct Orders {
    secrets: Secrets,
}

impl Orders {
    /// The orders of a host, in the order of the configuration. A secret or script that cannot be read spoils its own
    /// check only: the probe tells why.
    pub fn of(&mut self, host: &HostSpec) -> Vec<Order> {
        let mut all = Vec::new();
        for service in &host.services {
            for check in &service.checks {
                all.push(self.order(&service.name, check));
            }
        }
        all
    }

    fn order(&mut self, service: &str, check: &CheckSpec) -> Order {
        let item = check.name.as_ref().map_or_else(|| service.to_owned(), |name| format!("{service}/{name}"));
        let mut order = Order {
            service: service.to_owned(),
            check: check.label().to_owned(),
            item,
            kind: check.kind.clone(),
            attributes: check.attributes.clone(),
            timeout: check.timeout,
            every: check.every,
            ..Order::default()
        };
        for (name, source) in &check.secrets {
            match self.secrets.get(source, Instant::now() + PATIENCE) {
                Ok(secret) => {
                    order.secrets.insert(name.clone(), secret);
                }
                Err(text) => order.refused = Some(clean(&text)),
            }
        }
        match check.script.as_deref().map(script) {
            Some(Ok(text)) => order.script = Some(text),
            Some(Err(text)) => order.refused = Some(clean(&text)),
            None => {}
        }
        order
    }
}

fn script(path: &Path) -> Result<String, String> {
    let said = |error: std::io::Error| format!("the script {} cannot be read: {error}", path.display());
    // Before opening: a pipe without a writer would hold us for ever.
    if !std::fs::metadata(path).map_err(said)?.is_file() {
        return Err(format!("the script {} is not a regular file", path.display()));
    }
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(MAX_SCRIPT + 1).read_to_string(&mut text)).map_err(said)?;
    if text.len() as u64 > MAX_SCRIPT {
        return Err(format!("the script {} is over {} KiB", path.display(), MAX_SCRIPT / 1024));
    }
    Ok(text)
}
