//! From SQLite's error codes to errors that say what to do.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Error, ErrorCode, ffi};

use crate::store::StoreError;

/// How long a call waits for another program's transaction.
pub(super) const WAIT: Duration = Duration::from_secs(30);

/// Translates; `path` names the database.
pub(super) fn translate(path: &Path, error: &Error) -> StoreError {
    let location = path.display().to_string();
    let text = error.to_string();
    match error {
        Error::SqliteFailure(code, _) => match code.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy { location, waited: WAIT },
            ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => {
                StoreError::Full { location, text }
            }
            ErrorCode::SystemIoFailure if cannot_write(code.extended_code) => StoreError::Full { location, text },
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt { location, text },
            _ => StoreError::Other { location, text },
        },
        // A stored text that we did not write so.
        Error::FromSqlConversionFailure(..) | Error::InvalidColumnType(..) | Error::IntegralValueOutOfRange(..) => {
            StoreError::Corrupt { location, text }
        }
        _ => StoreError::Other { location, text },
    }
}

/// I/O errors that a full disk, a quota or a failing write give, as against failing reads.
fn cannot_write(extended: i32) -> bool {
    matches!(
        extended,
        ffi::SQLITE_IOERR_WRITE
            | ffi::SQLITE_IOERR_FSYNC
            | ffi::SQLITE_IOERR_TRUNCATE
            | ffi::SQLITE_IOERR_SHMSIZE
            | ffi::SQLITE_IOERR_SHMOPEN
            | ffi::SQLITE_IOERR_SHMMAP
    )
}

/// A text in the database that is not what was written.
pub(super) fn malformed(what: &str, error: impl std::fmt::Display) -> Error {
    Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, format!("{what}: {error}").into())
}

/// An error of the file system.
pub(super) fn file(path: &Path, error: &std::io::Error) -> StoreError {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let (location, text) = (path.display().to_string(), error.to_string());
    match error.kind() {
        StorageFull | QuotaExceeded | ReadOnlyFilesystem | PermissionDenied => StoreError::Full { location, text },
        _ => StoreError::Other { location, text },
    }
}
