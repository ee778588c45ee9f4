//! What of the disk the dialer may read and write: not what is the keeper's. By Landlock, where the kernel has it (5.13),
//! because the dialer runs as the same user, whose files it could open otherwise.
//!
//! Landlock knows only what is allowed. So everything is that does not lie on the way to a closed file, and beside that way
//! all that was there when the dialer came up.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use landlock::{ABI, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus};

/// More entries beside the way mean that somebody keeps a heap of files there.
const MOST: usize = 20_000;

/// What is closed and what stays open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fence {
    /// Files and folders that cannot be read: keys, store, state. With a file goes what is called after it (`fleet.db-wal`,
    /// `fleet.db.before-4`, `config.xml~`).
    pub closed: Vec<PathBuf>,
    /// Files and folders that can be read all the same.
    pub open: Vec<PathBuf>,
    /// The only folders whose files can be written, and then read, whoever lies in them; made where they are not there
    /// yet. `None`: those of the user.
    pub write: Option<Vec<PathBuf>>,
}

impl Fence {
    /// Puts it up around this thread and those that it starts, for ever. Whether it stands in all its parts: an older
    /// kernel has less of it or none.
    ///
    /// # Errors
    /// A text for people, where it cannot be put up.
    pub fn put_up(&self) -> Result<bool, String> {
        if self.closed.is_empty() {
            return Ok(true);
        }
        let said = |error: &dyn std::fmt::Display| format!("no fence around the dialer: {error}");
        // Those of known_hosts come with the first key that is written down, which is too late for a rule.
        for folder in self.write.iter().flatten() {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            // A host with a new key hears of it.
            let _ = made.inspect_err(|error| log::info!("{}: cannot be made: {error}", folder.display()));
        }
        // Before there is a fence, because looking is what it forbids.
        let mut readable = Vec::new();
        let closed: Vec<PathBuf> = self.closed.iter().filter_map(|path| real(path)).collect();
        beside(Path::new("/"), &closed, &mut readable).map_err(|error| said(&error))?;
        readable.extend(self.open.iter().filter_map(|path| fs::canonicalize(path).ok()));
        let read = BitFlags::from(AccessFs::ReadFile);
        let change = AccessFs::from_write(ABI::V3);
        let handled = if self.write.is_some() { read | change } else { read };
        let mut rules =
            Ruleset::default().handle_access(handled).and_then(Ruleset::create).map_err(|error| said(&error))?;
        let in_folder = read | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg | AccessFs::RemoveFile;
        let writable = self.write.iter().flatten().filter_map(|folder| fs::canonicalize(folder).ok());
        let all = readable.into_iter().map(|path| (path, read)).chain(writable.map(|path| (path, in_folder)));
        for (path, access) in all {
            // What vanished meanwhile, or cannot be opened anyway, needs no rule.
            if let Ok(opened) = PathFd::new(&path) {
                rules = rules.add_rule(PathBeneath::new(opened, access)).map_err(|error| said(&error))?;
            }
        }
        let status = rules.restrict_self().map_err(|error| said(&error))?;
        Ok(status.ruleset == RulesetStatus::FullyEnforced)
    }
}

/// Without links, also of what is not there yet.
fn real(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok().or_else(|| Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?)))
}

/// All that lies beside the ways from a folder to what is closed.
fn beside(folder: &Path, closed: &[PathBuf], found: &mut Vec<PathBuf>) -> io::Result<()> {
    // A folder that we may pass and not list has nothing for us beside the way.
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let path = entry.path();
        // What a link leads to has a place of its own.
        if entry.file_type().is_ok_and(|kind| kind.is_symlink()) || closed.iter().any(|it| goes_with(&path, it)) {
            continue;
        }
        if closed.iter().any(|it| it.starts_with(&path)) {
            beside(&path, closed, found)?;
        } else if found.len() < MOST {
            found.push(path);
        } else {
            return Err(io::Error::other(format!("over {MOST} files beside the way to {}", folder.display())));
        }
    }
    Ok(())
}

/// A closed file, or what is called after it.
fn goes_with(path: &Path, closed: &Path) -> bool {
    let rest = path.as_os_str().as_bytes().strip_prefix(closed.as_os_str().as_bytes());
    rest.is_some_and(|rest| rest.first().is_none_or(|next| b"-.~".contains(next)))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// The store, and what is left beside it.
    const COPIES: [&str; 5] = ["fleet.db", "fleet.db-wal", "fleet.db.before-4", "fleet.db.corrupt-1", "fleet.db~"];

    #[test]
    fn what_is_the_keepers_cannot_be_read_and_nothing_else_written() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["keys", "state/deep", "known"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for name in ["keys/fleet.key", "keys/fleet.key.pub", "keys/id", "keys/pinned", "state/deep/x", "state/open"]
            .into_iter()
            .chain(COPIES)
        {
            fs::write(at(name), "x").unwrap();
        }
        std::os::unix::fs::symlink(at("keys/fleet.key"), at("keys/link")).unwrap();
        let fence = Fence {
            closed: ["keys/fleet.key", "fleet.db", "state", "not/there"].map(at).to_vec(),
            open: vec![at("state/open"), at("keys/fleet.key.pub"), at("nothing")],
            write: Some(vec![at("known"), at("not/yet")]),
        };
        // Only this thread is fenced.
        thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(fence.put_up(), Ok(true), "this kernel has Landlock");
                let denied =
                    |name: &str| fs::read(at(name)).is_err_and(|it| it.kind() == io::ErrorKind::PermissionDenied);
                for closed in ["keys/fleet.key", "keys/link", "state/deep/x"].into_iter().chain(COPIES) {
                    assert!(denied(closed), "{closed}");
                }
                for open in ["keys/id", "keys/pinned", "keys/fleet.key.pub", "state/open"] {
                    fs::read(at(open)).unwrap();
                }
                fs::read("/etc/passwd").unwrap();
                fs::read("/dev/null").unwrap();
                assert!(fs::read_dir(at("keys")).unwrap().count() > 2);
                assert!(fs::write(at("keys/fleet.key"), "y").is_err() && fs::write(at("new"), "y").is_err());
                assert!(fs::remove_file(at("fleet.db")).is_err());
                // As known_hosts are changed.
                fs::write(at("known/new"), "y").unwrap();
                fs::rename(at("known/new"), at("known/known_hosts")).unwrap();
                fs::read(at("known/known_hosts")).unwrap();
                fs::create_dir_all(at("not/yet")).unwrap();
                fs::write(at("not/yet/known_hosts"), "y").unwrap();
            });
        });
        assert_eq!(fs::read(at("fleet.db")).unwrap(), b"x");
    }

    #[test]
    fn where_a_command_is_asked_for_secrets_it_may_write() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("fleet.key"), "x").unwrap();
        let fence = Fence { closed: vec![at("fleet.key")], ..Fence::default() };
        thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(fence.put_up(), Ok(true), "this kernel has Landlock");
                assert!(fs::read(at("fleet.key")).is_err());
                fs::write(at("lock"), "y").unwrap();
            });
        });
    }
}
