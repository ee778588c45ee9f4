//! Room kept back on the database's disk: when the disk is full it is given up, and the alerter can still write down
//! whom it told what.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::open::beside;

/// Enough for what some hundred alerts write.
const SIZE: u64 = 4 << 20;
const SUFFIX: &str = ".ballast";

/// Keeps the room, where it is not kept already and the disk has plenty. A store without it is a store all the same.
pub(super) fn hold(path: &Path) {
    let name = beside(path, SUFFIX);
    if std::fs::metadata(&name).is_ok_and(|found| found.len() >= SIZE) {
        return;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !statvfs(folder).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) > 4 * SIZE) {
        return;
    }
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&name);
    let kept = file.and_then(|file| Ok(fallocate(file, FallocateFlags::empty(), 0, SIZE)?));
    if let Err(error) = kept {
        log::debug!("{}: no room is kept back: {error}", name.display());
        let _ = std::fs::remove_file(&name);
    }
}

/// Gives the room up; false where none was kept.
pub(super) fn release(path: &Path) -> bool {
    std::fs::remove_file(beside(path, SUFFIX)).is_ok()
}
