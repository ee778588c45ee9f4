//! Erasing what is kept of a host: the store, what was set aside of it, and where copies are left.

use std::path::{Path, PathBuf};

use crate::app::collector;
use crate::app::context::open_store;
use crate::app::exit::{Exit, Failure};
use crate::app::{files, lock};
use crate::model::spec::FleetSpec;

/// What a sweep may take beyond its deadline and the last host's time.
const GRACE: std::time::Duration = std::time::Duration::from_secs(15);

/// Erases a host and tells how many samples were removed, and what else may hold them. A sweep under way is waited for:
/// it would store once more what it has at hand.
pub fn erase(spec: &FleetSpec, host: &str) -> Result<String, Failure> {
    let state = &spec.collector.state_dir;
    let longest = spec.collector.deadline + spec.collector.timeout + GRACE;
    let mut held = Vec::new();
    for path in lock::of_collectors(state) {
        held.push(lock::wait(&path, longest).map_err(|error| {
            let text = format!("nothing of {host} was erased: {error}; try again when the sweep has ended");
            Failure::new(Exit::Busy, text)
        })?);
    }
    let samples = open_store(spec)?.forget(host)?;
    collector::forget(state, host)
        .map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", state.join("undecryptable").display())))?;
    let mut text = format!("{samples} samples of {host} were erased; ");
    let left = copies(Path::new(&spec.store.location));
    if !left.is_empty() {
        let shown: Vec<String> = left.iter().map(|path| path.display().to_string()).collect();
        text.push_str(&format!("remove what may still hold them: {}; ", shown.join(", ")));
    }
    text.push_str("copies made by fleet backup still hold them, and so does mail that was delivered\n");
    Ok(text)
}

/// Copies that the store made of itself: damaged ones, and those of before an upgrade.
fn copies(database: &Path) -> Vec<PathBuf> {
    let name = database.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let ours = |path: &PathBuf| {
        let found = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.strip_prefix(&name).is_some_and(|rest| rest.starts_with(".corrupt-") || rest.starts_with(".before-"))
    };
    let entries = std::fs::read_dir(files::folder(database)).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(ours).collect();
    found.sort();
    found
}
