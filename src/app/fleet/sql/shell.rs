//! Hands over to SQLite's own shell.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::app::exit::{Exit, Failure, Outcome};

/// Becomes `sqlite3 -readonly FILE`; returns only where that cannot be.
#[allow(clippy::disallowed_methods, reason = "a person who gives no query wants SQLite's own shell")]
pub fn open(database: &Path) -> Outcome {
    if !database.exists() {
        let text = format!("{}: is not there yet; the first sweep makes it: fleet-collector", database.display());
        return Err(Failure::new(Exit::Store, text));
    }
    let error = Command::new("sqlite3").arg("-readonly").arg(database).exec();
    let text = format!("sqlite3: {error}; install it, or give a query: fleet sql \"SELECT * FROM reading LIMIT 9\"");
    Err(Failure::new(Exit::Failed, text))
}
