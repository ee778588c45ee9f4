//! Where probes of this user may have worked before: a spool left there is still read, and what interrupted uploads
//! left is removed.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::spool::Spool;
use crate::wire::is_nonce;

/// An upload that is under way is younger than this.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The directories in which the collector may put the probe, in its order (`ssh/deploy.sh`).
fn known() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = format!("fleet-health-{}", rustix::process::geteuid().as_raw());
    let cache = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
    [
        cache.map(|path| path.join("fleet-health")),
        Some(Path::new("/var/tmp").join(&user)),
        variable("XDG_RUNTIME_DIR").map(|path| path.join("fleet-health")),
        Some(Path::new("/dev/shm").join(&user)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The spool where nobody names one: the first of those places, made where it is missing. What keeps it from being made
/// is told when the spool is opened.
pub fn own() -> PathBuf {
    let place = known().into_iter().next().unwrap_or_default();
    let _ = DirBuilder::new().recursive(true).mode(0o700).create(&place);
    place.join("spool")
}

/// A spool that is there already, for a run by hand.
pub fn found() -> Option<PathBuf> {
    known().into_iter().map(|place| place.join("spool")).find(|spool| spool.is_dir())
}

/// The spools beside `own`. None where `own` is not one of ours: a spool that a person chose is a matter of its own.
pub fn elsewhere(own: &Path) -> Vec<Spool> {
    let real = |path: &Path| fs::canonicalize(path).ok();
    let Some(here) = own.parent().and_then(real) else { return Vec::new() };
    let mut places: Vec<PathBuf> = known().iter().filter_map(|place| real(place)).collect();
    if !places.contains(&here) {
        return Vec::new();
    }
    places.dedup();
    places.iter().for_each(|place| sweep(place));
    places.iter().filter(|place| **place != here).filter_map(|place| Spool::found(&place.join("spool"))).collect()
}

/// Removes what uploads left that were cut off.
fn sweep(place: &Path) {
    let me = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(place).into_iter().flatten().flatten().take(1000) {
        let name = entry.file_name();
        let left = name.to_str().and_then(|name| name.strip_prefix(".new-")).is_some_and(is_nonce);
        let Ok(meta) = entry.metadata() else { continue };
        let age = meta.modified().ok().and_then(|at| now().duration_since(at).ok());
        if left && meta.is_file() && meta.uid() == me && age.is_some_and(|age| age > ABANDONED) {
            // What cannot be removed is tried again in the next run.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn now() -> SystemTime {
    crate::app::clock::now().into()
}
