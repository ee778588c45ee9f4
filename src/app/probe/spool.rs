//! The spool: where sealed stats wait for the collector. Every file is whole or absent, ours alone, never a link.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::fail::Fail;
use super::state::State;
use crate::check::Memory;
use crate::model::cause::Cause;
use crate::model::order;
use crate::wire::MAX_FILE;
use crate::wire::frame::is_file_name;

/// How long another probe may keep the lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// A sealed file is its plain text and at most 5 KiB.
const MAX_SEALED: u64 = MAX_FILE as u64 + 5 * 1024;
/// 256 processors, three numbers of at most twenty digits each, restarts of 32 services, and the rest.
const MAX_STATE: u64 = 256 * 1024;
const TEMPORARY: &str = ".new";
/// Where checks remember.
const MEMORY: &str = "checks";
/// 64 checks with 256 readings each.
const MAX_MEMORY: u64 = 2 << 20;

/// A spool directory that was found safe, locked for this process.
pub struct Spool {
    dir: PathBuf,
    _lock: File,
}

/// A file that waits.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Its name; the strict form of `wire::frame`.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// When it was written; older ones go first.
    pub age: (i64, i64),
}

impl Spool {
    /// Checks (or makes) the directory and takes its lock.
    pub fn open(path: &Path) -> Result<Self, Fail> {
        Self::locked(safe_dir(path, true)?, LOCK_PATIENCE)
    }

    /// A spool that the probe used before, if there is one and nobody is at it.
    pub fn found(path: &Path) -> Option<Self> {
        Self::locked(safe_dir(path, false).ok()?, Duration::ZERO).ok()
    }

    fn locked(dir: PathBuf, patience: Duration) -> Result<Self, Fail> {
        let end = Instant::now() + patience;
        let lock = loop {
            if let Some(lock) = turn(&dir, "lock").map_err(|error| Fail::io(&dir.join("lock"), &error))? {
                break lock;
            }
            if Instant::now() >= end {
                let text = format!("{}: another probe holds it", dir.join("lock").display());
                return Err(Fail::new(Cause::Deadline, text));
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        // Left by a run that was killed; under the lock nobody is writing it.
        let _ = fs::remove_file(dir.join(TEMPORARY));
        Ok(Self { dir, _lock: lock })
    }

    /// What was remembered.
    pub fn state(&self) -> State {
        State::parse(&read_bounded(&self.dir, "state", MAX_STATE).unwrap_or_default())
    }

    /// Remembers, durably.
    pub fn set_state(&self, state: &State) -> Result<(), Fail> {
        let bytes = state.bytes();
        // On a full disk the old file's own block takes the new words; one that is torn counts as none.
        self.write("state", &bytes).or_else(|fail| self.overwrite("state", &bytes).map_err(|_| fail))
    }

    fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = ours(OpenOptions::new().write(true)).open(self.dir.join(name))?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a file"));
        }
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_all()
    }

    /// What checks remember of the last sample.
    pub fn memory(&self) -> Memory {
        Memory::parse(&self.kept(MEMORY, MAX_MEMORY).unwrap_or_default())
    }

    /// Remembers for checks. Losing it costs one run of each.
    pub fn set_memory(&self, memory: &Memory) {
        self.keep(MEMORY, &memory.bytes());
    }

    /// Writes a file: temporary name, flushed to the disk, renamed, the directory flushed.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Fail> {
        let (temporary, target) = (self.dir.join(TEMPORARY), self.dir.join(name));
        let written = || -> io::Result<()> {
            let mut file = ours(OpenOptions::new().write(true).create_new(true)).open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &target)?;
            File::open(&self.dir)?.sync_all()
        };
        written().map_err(|error| {
            let _ = fs::remove_file(&temporary);
            Fail::io(&target, &error)
        })
    }

    /// What the last run of this boot or of the package manager left under a name, at most `limit` bytes.
    pub fn kept(&self, name: &str, limit: u64) -> Option<Vec<u8>> {
        kept(&self.dir, name, limit)
    }

    /// What the process that asks aside left, by how it is read.
    pub fn aside<T>(&self, read: fn(&Path) -> Option<T>) -> Option<T> {
        read(&self.dir)
    }

    /// Keeps what may be lost: renamed whole, but not flushed to the disk.
    pub fn keep(&self, name: &str, bytes: &[u8]) {
        keep(&self.dir, name, bytes);
    }

    /// All files that wait, oldest first.
    pub fn pending(&self) -> Result<Vec<Pending>, Fail> {
        let entries = fs::read_dir(&self.dir).map_err(|error| Fail::io(&self.dir, &error))?;
        let mut files = Vec::new();
        for entry in entries.flatten().take(100_000) {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let Ok(meta) = entry.metadata() else { continue };
            if is_file_name(&name) && meta.is_file() {
                files.push(Pending { name, size: meta.len(), age: (meta.mtime(), meta.mtime_nsec()) });
            }
        }
        order::sort_by(&mut files, |a, b| (a.age, &a.name).cmp(&(b.age, &b.name)));
        Ok(files)
    }

    /// Drops the oldest until `more` bytes fit into `room`; returns how many went.
    pub fn make_room(&self, room: u64, more: u64) -> Result<u64, Fail> {
        let files = self.pending()?;
        let mut total = files.iter().fold(more, |sum, file| sum.saturating_add(file.size));
        let mut dropped = 0;
        for file in &files {
            if total <= room {
                break;
            }
            self.remove(&file.name);
            total = total.saturating_sub(file.size);
            dropped += 1;
        }
        Ok(dropped)
    }

    /// A waiting file's bytes; `None` where it is not what a probe wrote.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        read_bounded(&self.dir, name, MAX_SEALED).ok()
    }

    /// Removes a waiting file; one that is gone already is no matter.
    pub fn remove(&self, name: &str) {
        if is_file_name(name) {
            let _ = fs::remove_file(self.dir.join(name));
        }
    }
}

fn read_bounded(dir: &Path, name: &str, limit: u64) -> io::Result<Vec<u8>> {
    let file = ours(OpenOptions::new().read(true)).open(dir.join(name))?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(io::Error::other("too long")) } else { Ok(bytes) }
}

/// What was kept under a name, at most `limit` bytes, read without a lock.
pub fn kept(dir: &Path, name: &str, limit: u64) -> Option<Vec<u8>> {
    read_bounded(dir, name, limit).ok()
}

/// Writes a file that may be lost: whole or not at all, without a lock.
pub fn keep(dir: &Path, name: &str, bytes: &[u8]) {
    let temporary = dir.join(format!(".{name}.new"));
    // Left by a run that was killed.
    let _ = fs::remove_file(&temporary);
    let written = || -> io::Result<()> {
        ours(OpenOptions::new().write(true).create_new(true)).open(&temporary)?.write_all(bytes)?;
        fs::rename(&temporary, dir.join(name))
    };
    if written().is_err() {
        let _ = fs::remove_file(&temporary);
    }
}

/// The lock that a file of the spool stands for, as long as it is kept; `None` while another process has it.
pub fn turn(dir: &Path, name: &str) -> io::Result<Option<File>> {
    let file = ours(OpenOptions::new().write(true).create(true).truncate(false)).open(dir.join(name))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        // Whoever had it before may have removed it: then it is nobody's.
        Ok(()) => Ok((file.metadata()?.nlink() > 0).then_some(file)),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Mode 0600, never through a link, never waiting for the other end of a pipe.
fn ours(options: &mut OpenOptions) -> &mut OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    options.mode(0o600).custom_flags(flags.bits().cast_signed())
}

/// The directory's real path: ours, writable by nobody else, and so are the directories above it.
pub fn safe_dir(path: &Path, make: bool) -> Result<PathBuf, Fail> {
    let unsafe_dir = |path: &Path, text: &str| Fail::new(Cause::UnsafeDirectory, format!("{}: {text}", path.display()));
    let name = path.file_name().ok_or_else(|| unsafe_dir(path, "has no name"))?;
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let above = fs::canonicalize(above).map_err(|error| Fail::io(above, &error))?;
    let me = rustix::process::geteuid().as_raw();
    for dir in above.ancestors() {
        let meta = fs::symlink_metadata(dir).map_err(|error| Fail::io(dir, &error))?;
        if meta.uid() != me && meta.uid() != 0 {
            return Err(unsafe_dir(dir, "belongs to another user"));
        }
        // In a sticky directory others cannot rename or remove what is ours.
        if meta.mode() & 0o022 != 0 && meta.mode() & 0o1000 == 0 {
            return Err(unsafe_dir(dir, "is writable by others; chmod go-w it"));
        }
    }
    let dir = above.join(name);
    // Looked at first: on a full or read-only disk the answer to making it would hide that it is there.
    if make && fs::symlink_metadata(&dir).is_err() {
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(Fail::io(&dir, &error)),
            _ => {}
        }
    }
    let meta = fs::symlink_metadata(&dir).map_err(|error| Fail::io(&dir, &error))?;
    if !meta.is_dir() {
        return Err(unsafe_dir(&dir, "is a link or a file, not a directory"));
    }
    if meta.uid() != me {
        return Err(unsafe_dir(&dir, "belongs to another user"));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(unsafe_dir(&dir, "is writable by others; chmod 0700 it"));
    }
    Ok(dir)
}
