//! Files that are there whole or not at all, also after a power cut: the one place that writes and renames.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Writes a file that must not be there yet; half a file is taken away again.
///
/// # Errors
/// The system's; `AlreadyExists` where something has the name.
pub fn create(file: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut handle = File::options().write(true).create_new(true).mode(mode).open(file)?;
    let written = handle.write_all(bytes).and_then(|()| handle.sync_all());
    written.inspect_err(|_| drop(fs::remove_file(file)))?;
    sync(file)
}

/// Replaces a file in one step, by a temporary one beside it; readers see the old text or the new one. What root
/// replaces stays with its owner: `sudo fleet hosts add` must not take the configuration away from the user of the runs.
///
/// # Errors
/// The system's; then the old file is as it was.
pub fn replace(file: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(format!(".{:016x}", u64::from_ne_bytes(random)));
    let temporary = file.with_file_name(name);
    create(&temporary, bytes, mode)?;
    let taken = keep_owner(file, &temporary).and_then(|()| fs::rename(&temporary, file));
    taken.inspect_err(|_| drop(fs::remove_file(&temporary)))?;
    sync(file)
}

/// Gives a new file to the owner of the one that it replaces, where we may.
fn keep_owner(old: &Path, new: &Path) -> io::Result<()> {
    match fs::metadata(old) {
        Ok(old) if rustix::process::geteuid().is_root() => {
            std::os::unix::fs::lchown(new, Some(old.uid()), Some(old.gid()))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// What to do about a file that belongs to another user: root becomes that user, for what it made its own would be lost
/// to the runs that cron starts.
#[must_use]
pub fn not_ours(shown: &str, owner: u32) -> String {
    let us = rustix::process::geteuid();
    if us.is_root() {
        format!("{shown}: belongs to user {owner}; run as that user: sudo -u '#{owner}' ...")
    } else {
        format!("{shown}: belongs to user {owner}, not to us; run as that user, or type: sudo chown {us} '{shown}'")
    }
}

/// Waits until nobody else changes files of that file's folder; ours until the answer is dropped.
///
/// # Errors
/// The system's.
pub fn lock(file: &Path) -> io::Result<File> {
    let handle = File::open(folder(file))?;
    handle.lock()?;
    Ok(handle)
}

/// The folder of a file.
#[must_use]
pub fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// A name is on disk only once its folder is.
fn sync(file: &Path) -> io::Result<()> {
    File::open(folder(file))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_cannot_be_written_leaves_nothing_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        create(&file, b"one", 0o600).unwrap();
        assert_eq!(create(&file, b"two", 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        replace(&file, b"three", 0o640).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"three");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        fs::create_dir(dir.path().join("folder")).unwrap();
        assert!(replace(&dir.path().join("folder"), b"x", 0o600).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_root_replaces_stays_its_owners() {
        assert!(rustix::process::geteuid().is_root(), "only root has files of others: run the tests as root");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.xml");
        create(&file, b"one", 0o600).unwrap();
        std::os::unix::fs::chown(&file, Some(4711), Some(4712)).unwrap();
        replace(&file, b"two", 0o600).unwrap();
        let meta = fs::metadata(&file).unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (4711, 4712, 0o600));
        assert!(!not_ours("x", meta.uid()).contains("chown"), "root is never told to take files away");
    }
}
