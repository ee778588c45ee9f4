//! The store: whether it is there, whole, of this version, and how large.

use std::path::Path;

use super::Look;
use crate::model::level::Level;
use crate::store::{self, Condition, Store, StoreError};
use crate::view::units;

/// A log this long was not emptied for a long time: somebody holds an old snapshot open.
const LONG_LOG: u64 = 256 << 20;

pub fn look(look: &Look) {
    let Some(condition) = condition(look) else { return };
    let spec = &look.spec.store;
    let said = (units::bytes(condition.bytes as f64), units::bytes(condition.log_bytes as f64), condition.schema);
    look.good(format!("{}: {}, log {}, schema {}", spec.location, said.0, said.1, said.2));
    if condition.log_bytes > LONG_LOG {
        let next = format!("look who holds it open: fuser -v '{}'", spec.location);
        look.say(Level::Warning, format!("its log has grown to {}", said.1), next);
    }
    if condition.schema < condition.known {
        let text = format!("schema {} is older than this program's {}", said.2, condition.known);
        look.say(Level::Warning, text, "the next run brings it up to date: fleet-collector");
    }
    for file in &condition.set_aside {
        let text = format!("a damaged store was set aside as {}", file.display());
        look.say(
            Level::Critical,
            text,
            format!("look why (dmesg, smartctl), save what you need, then: rm '{}'", file.display()),
        );
    }
    match store::backend(spec).and_then(|backend| (backend.faults)(spec)) {
        Ok(faults) if faults.is_empty() => look.good("SQLite finds it whole (quick_check)"),
        Ok(faults) => look.say(
            Level::Critical,
            format!("it is damaged: {}", faults.join("; ")),
            "the next run sets it aside and begins anew; put a copy back that fleet backup wrote",
        ),
        Err(error) => failed(look, &error),
    }
}

fn condition(look: &Look) -> Option<Condition> {
    let spec = &look.spec.store;
    if spec.backend == "sqlite" && !Path::new(&spec.location).exists() {
        look.say(Level::Warning, format!("{}: is not there yet", spec.location), "fleet-collector");
        return None;
    }
    match store::backend(spec).and_then(|backend| (backend.condition)(spec)) {
        Ok(condition) if condition.schema > condition.known => {
            let text = format!("schema {} is of a newer version than this program", condition.schema);
            look.say(Level::Critical, text, "upgrade fleet-health on this machine");
            None
        }
        Ok(condition) => Some(condition),
        Err(error) => {
            failed(look, &error);
            None
        }
    }
}

fn failed(look: &Look, error: &StoreError) {
    let next = match error {
        StoreError::Busy { .. } => format!("look who holds it: fuser -v '{}'", look.spec.store.location),
        StoreError::Full { .. } => "df -h, and who owns the file: ls -l".to_owned(),
        StoreError::Corrupt { .. } => "the next run sets it aside; put a copy back that fleet backup wrote".to_owned(),
        StoreError::Newer { .. } => "upgrade fleet-health on this machine".to_owned(),
        StoreError::Other { .. } => "mend url= of <store>".to_owned(),
    };
    look.say(Level::Critical, error.to_string(), next);
}

/// The store for others to read, where that changes nothing: it is there, of this version, and looks whole. What is wrong
/// with it the look at the store itself says.
pub fn open(look: &Look) -> Option<Box<dyn Store>> {
    let spec = &look.spec.store;
    let backend = store::backend(spec).ok()?;
    let condition = (backend.condition)(spec).ok()?;
    // To set a damaged one aside is not for us.
    if condition.schema != condition.known || (condition.is_checked && !(backend.faults)(spec).ok()?.is_empty()) {
        return None;
    }
    (backend.open)(spec).ok()
}
