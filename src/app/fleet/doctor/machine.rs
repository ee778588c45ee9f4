//! The monitoring machine itself: its clock, room on its disks, and the probes that it ships.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Look;
use crate::app::collector::plan;
use crate::measure::{self, Root};
use crate::model::level::Level;
use crate::ssh::deploy::MAX_PROBE;
use crate::view::units;

/// A clock further off than this misleads people, in seconds.
const OFF: f64 = 1.0;
/// Shares and bytes of a disk that are too little.
const LITTLE: (f64, f64) = (0.10, 1e9);
const VERY_LITTLE: (f64, f64) = (0.03, 100e6);

pub fn clock(look: &Look) {
    let found = measure::clock(&Root::default());
    let value = |metric: &str| found.readings.iter().find(|reading| reading.metric == metric).map(|it| it.value);
    let next = "timedatectl set-ntp true, or install chrony";
    match (value("time.synchronized"), value("time.offset")) {
        (None, _) => {
            let why = found.faults.first().map_or("nothing says so", |fault| fault.text.as_str());
            let text = format!("whether this machine's clock is right cannot be told: {why}");
            look.say(Level::Warning, text, next);
        }
        (Some(0.0), _) => look.say(Level::Critical, "this machine's clock follows no source of time", next),
        (_, Some(offset)) if offset > OFF => {
            look.say(Level::Warning, format!("this machine's clock is {} off", units::seconds(offset)), next);
        }
        (_, Some(offset)) => look.good(format!("follows a source of time, {} off", units::seconds(offset))),
        _ => look.good("follows a source of time"),
    }
}

pub fn disk(look: &Look) {
    let spec = &look.spec;
    let folder = |file: &Path| file.parent().map(Path::to_path_buf);
    let mut places: Vec<PathBuf> =
        [folder(&spec.file), Some(spec.collector.state_dir.clone())].into_iter().flatten().collect();
    if spec.store.backend == "sqlite" {
        places.extend(folder(Path::new(&spec.store.location)));
    }
    let mut seen = Vec::new();
    for place in places {
        let Some(there) = place.ancestors().find(|place| place.exists()) else { continue };
        let Ok(disk) = rustix::fs::statvfs(there) else { continue };
        if seen.contains(&disk.f_fsid) {
            continue;
        }
        seen.push(disk.f_fsid);
        let (left, whole) = ((disk.f_bavail * disk.f_frsize) as f64, (disk.f_blocks * disk.f_frsize) as f64);
        let under = |(share, bytes): (f64, f64)| left < bytes && left < whole * share || left < bytes / 10.0;
        let text = format!("{}: {} of {} left", there.display(), units::bytes(left), units::bytes(whole));
        let next = "free space, or keep less: keep= of <store>, then: fleet prune";
        match () {
            () if under(VERY_LITTLE) => look.say(Level::Critical, text, next),
            () if under(LITTLE) => look.say(Level::Warning, text, next),
            () => look.good(text),
        }
        if disk.f_files > 0 && disk.f_favail < 1000 {
            look.say(Level::Critical, format!("{}: no inodes left", there.display()), "df -i");
        }
    }
}

pub fn probes(look: &Look) {
    let folder = match plan::probe_folder(&look.spec.collector) {
        Ok(folder) => folder,
        Err(failure) => return look.fault(Level::Critical, &failure.text, "make build"),
    };
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut found: Vec<(String, PathBuf)> = entries
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path().join("fleet-probe")))
        .filter(|(_, file)| file.is_file())
        .collect();
    found.sort();
    for (machine, file) in &found {
        let size = std::fs::metadata(file).map_or(0, |meta| meta.len());
        match std::fs::read(file).map_err(|error| error.to_string()) {
            Ok(bytes) if size <= MAX_PROBE && bytes.starts_with(b"\x7fELF") => {
                // Enough to tell one from another, and it fits a line.
                let hash: String = Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
                look.good(format!("{machine}: {}, sha256 {hash}...", units::bytes(size as f64)));
            }
            Ok(_) => look.say(Level::Critical, format!("{}: is no program", file.display()), "make probes"),
            Err(error) => look.say(Level::Critical, format!("{}: {error}", file.display()), "make probes"),
        }
    }
    let own = format!("{}-linux", std::env::consts::ARCH);
    if !found.iter().any(|(machine, _)| *machine == own) {
        let text = format!("{}: no probe for {own}, this machine's own kind", folder.display());
        look.say(Level::Critical, text, "make probes");
    }
}
