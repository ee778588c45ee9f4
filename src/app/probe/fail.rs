//! Why the probe cannot do its work, in the causes that the collector stores.

use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::model::cause::Cause;

/// A cause and a text for the person.
#[derive(Clone, Debug)]
pub struct Fail {
    /// The cause.
    pub cause: Cause,
    /// What happened, where.
    pub text: String,
}

impl Fail {
    /// A failure.
    pub fn new(cause: Cause, text: impl Into<String>) -> Self {
        Self { cause, text: text.into() }
    }

    /// What an error of the filesystem means.
    pub fn io(path: &Path, error: &io::Error) -> Self {
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        let cause = match errno {
            Some(Errno::NOSPC | Errno::DQUOT) => Cause::DiskFull,
            Some(Errno::ROFS) => Cause::ReadOnly,
            Some(Errno::ACCESS | Errno::PERM | Errno::LOOP | Errno::NOTDIR) => Cause::UnsafeDirectory,
            _ => Cause::ProbeFailed,
        };
        Self::new(cause, format!("{}: {error}", path.display()))
    }
}
