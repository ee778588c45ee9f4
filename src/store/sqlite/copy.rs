//! Consistent copies: complete under a temporary name first, then in one step under their own.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::error::{WAIT, file, translate};
use crate::store::{Result, StoreError};

/// Whether a file of the target's name may be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Replace {
    /// It is replaced in one step.
    Yes,
    /// It is an error.
    No,
}

/// Copies the database at `from` with all that is committed, mode 0600.
pub(super) fn copy(from: &Path, target: &Path, replace: Replace) -> Result<()> {
    if replace == Replace::No && target.symlink_metadata().is_ok() {
        return Err(exists(target));
    }
    let mut name = target.as_os_str().to_os_string();
    name.push(format!(".part-{}", std::process::id()));
    let part = PathBuf::from(name);
    let done = fill(from, &part).and_then(|()| publish(&part, target, replace));
    if done.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    // SQLite's own helper beside the part; there only if something failed.
    let mut journal = part.into_os_string();
    journal.push("-journal");
    let _ = std::fs::remove_file(journal);
    done
}

fn exists(target: &Path) -> StoreError {
    let text = "is there already and stays as it is; name another file".to_string();
    StoreError::Other { location: target.display().to_string(), text }
}

fn fill(from: &Path, part: &Path) -> Result<()> {
    // A part of this name can only be a dead process's.
    let _ = std::fs::remove_file(part);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(part).map_err(|e| file(part, &e))?;
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags | OpenFlags::SQLITE_OPEN_READ_WRITE)
        .and_then(|conn| conn.busy_timeout(WAIT).map(|()| conn))
        .map_err(|e| translate(from, &e))?;
    let mut copy = Connection::open_with_flags(part, flags | OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(|e| translate(part, &e))?;
    let step = Backup::new(&source, &mut copy).and_then(|backup| backup.step(-1)).map_err(|e| translate(part, &e))?;
    if step != StepResult::Done {
        return Err(StoreError::Busy { location: from.display().to_string(), waited: WAIT });
    }
    copy.close().map_err(|(_, e)| translate(part, &e))?;
    File::open(part).and_then(|f| f.sync_all()).map_err(|e| file(part, &e))
}

fn publish(part: &Path, target: &Path, replace: Replace) -> Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let moved = match replace {
        Replace::Yes => std::fs::rename(part, target),
        Replace::No => match renameat_with(CWD, part, CWD, target, RenameFlags::NOREPLACE) {
            Err(rustix::io::Errno::EXIST) => return Err(exists(target)),
            // File systems that cannot refuse: looked first, then moved.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => std::fs::rename(part, target),
            other => other.map_err(std::io::Error::from),
        },
    };
    moved.map_err(|e| file(target, &e))?;
    let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| file(folder, &e))
}
