//! A directory of small files, as sysfs and cgroups are: opened once, each file read by one system call.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, SeekFrom, Stat, openat, seek, statat};

use super::root::Root;
use super::text::whole;
use crate::model::order;

/// A file of sysfs is a page at most.
const PAGE: usize = 4096;
/// Room for names, in bytes: those of 400 processes come in one call.
const LISTED: usize = 16 * 1024;
/// The most entries of a directory that are looked at.
const MAX_ENTRIES: usize = 4096;

/// An open directory.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// A device file in the place of a text must not stop us.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

impl Folder {
    /// Opens a directory of the machine.
    pub(super) fn open(root: &Root, absolute: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self(openat(CWD, root.path(absolute), FOLDER, Mode::empty())?))
    }

    /// Opens a directory below.
    pub(super) fn folder(&self, name: &[u8]) -> io::Result<Self> {
        Ok(Self(openat(&self.0, name, FOLDER, Mode::empty())?))
    }

    /// Owner, size and more of what is below; links are followed.
    pub(super) fn stat(&self, name: &[u8]) -> io::Result<Stat> {
        Ok(statat(&self.0, name, AtFlags::empty())?)
    }

    /// The first page of a file, without blanks and breaks at its ends.
    pub(super) fn read<'a>(&self, name: &[u8], buffer: &'a mut [u8; PAGE]) -> io::Result<&'a [u8]> {
        let file = openat(&self.0, name, FILE, Mode::empty())?;
        let length = rustix::io::read(&file, &mut buffer[..])?;
        Ok(buffer[..length].trim_ascii())
    }

    /// A file's text; `None` where it cannot be read or is empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let mut buffer = [0; PAGE];
        let text = self.read(name.as_bytes(), &mut buffer).ok()?;
        (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
    }

    /// A file that holds one whole number.
    pub(super) fn whole(&self, name: &str) -> Option<u64> {
        let mut buffer = [0; PAGE];
        whole(self.read(name.as_bytes(), &mut buffer).ok()?)
    }

    /// A file that holds one whole number, possibly negative.
    pub(super) fn signed(&self, name: &str) -> Option<i64> {
        let mut buffer = [0; PAGE];
        std::str::from_utf8(self.read(name.as_bytes(), &mut buffer).ok()?).ok()?.parse().ok()
    }

    /// Shows the names of what is in it, as they come, until the answer is no.
    pub(super) fn each(&self, mut show: impl FnMut(&[u8]) -> bool) {
        self.entries(|name, _| show(name));
    }

    /// Read through the folder's own descriptor: one opened anew would cost two calls more.
    fn entries(&self, mut show: impl FnMut(&[u8], FileType) -> bool) {
        if seek(&self.0, SeekFrom::Start(0)).is_err() {
            return;
        }
        let mut buffer = [const { MaybeUninit::uninit() }; LISTED];
        let mut dir = RawDir::new(&self.0, &mut buffer);
        while let Some(Ok(entry)) = dir.next() {
            if !show(entry.file_name().to_bytes(), entry.file_type()) {
                return;
            }
        }
    }

    /// The names of what is in it, sorted; at most 4096.
    pub(super) fn names(&self) -> Vec<Vec<u8>> {
        self.list(|_| true)
    }

    /// The names of the directories in it, sorted; at most 4096.
    pub(super) fn folders(&self) -> Vec<Vec<u8>> {
        self.list(|kind| kind == FileType::Directory)
    }

    fn list(&self, wanted: fn(FileType) -> bool) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        self.entries(|name, kind| {
            if wanted(kind) && !matches!(name, b"." | b"..") {
                names.push(name.to_vec());
            }
            names.len() < MAX_ENTRIES
        });
        order::sort(&mut names);
        names
    }
}

/// The names in a directory; none where it is not there or cannot be read.
pub(super) fn names(root: &Root, absolute: &str) -> Vec<Vec<u8>> {
    Folder::open(root, absolute).map(|folder| folder.names()).unwrap_or_default()
}

/// `sda` of `b"sda"`, for an item.
pub(super) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
