//! The directory that stands for `/`, so that tests can measure a machine that is made of files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::model::start::Starter;

/// The most bytes that are read of one file unless a collector says otherwise.
pub const MAX_READ: usize = 1 << 20;

/// A directory that stands for `/`.
#[derive(Clone, Debug)]
pub struct Root {
    prefix: PathBuf,
    helper: Option<PathBuf>,
    turns: Option<PathBuf>,
    starter: Starter,
}

impl Default for Root {
    fn default() -> Self {
        Self::at("/")
    }
}

impl Root {
    /// A machine whose `/` is this directory.
    pub fn at(prefix: impl Into<PathBuf>) -> Self {
        Self { prefix: prefix.into(), helper: None, turns: None, starter: Command::spawn }
    }

    /// With the program that asks, called with [`ASK`](super::ASK), what may never answer. Without it a thread does,
    /// which can keep its process from ending. Such programs take turns in an absolute folder that is this user's alone,
    /// so that those that hang do not pile up.
    #[must_use]
    pub fn helped_by(self, program: impl Into<PathBuf>, turns: Option<PathBuf>) -> Self {
        Self { helper: Some(program.into()), turns, ..self }
    }

    /// With the way in which programs of the machine are started.
    #[must_use]
    pub fn starting_by(self, starter: Starter) -> Self {
        Self { starter, ..self }
    }

    pub(super) fn start(&self, command: &mut Command) -> io::Result<Child> {
        (self.starter)(command)
    }

    pub(super) fn helper(&self) -> Option<(&Path, Option<&Path>)> {
        Some((self.helper.as_deref()?, self.turns.as_deref()))
    }

    /// False for a machine that is made of files: then the kernel that runs here is not its own.
    pub(super) fn is_this_machine(&self) -> bool {
        self.prefix == Path::new("/")
    }

    /// Where an absolute path of the machine is found.
    #[must_use]
    pub fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let absolute = absolute.as_ref();
        self.prefix.join(absolute.strip_prefix("/").unwrap_or(absolute))
    }

    /// The first `MAX_READ` bytes of a file.
    ///
    /// # Errors
    /// Those of opening and reading.
    pub fn read(&self, absolute: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        self.read_at_most(absolute, MAX_READ)
    }

    /// The first bytes of a file.
    ///
    /// # Errors
    /// Those of opening and reading.
    pub fn read_at_most(&self, absolute: impl AsRef<Path>, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(limit.min(4096));
        File::open(self.path(absolute))?.take(limit as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The entries of a directory.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn list(&self, absolute: impl AsRef<Path>) -> io::Result<fs::ReadDir> {
        fs::read_dir(self.path(absolute))
    }
}
