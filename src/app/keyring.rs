//! The age keys on disk: one key a line, owner and mode looked at on every read, never shown.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use chrono::{DateTime, Utc};

use super::exit::{Exit, Failure};
use super::files;
use crate::model::spec::KeySpec;
use crate::wire::task::MAX_RECIPIENTS;

pub mod change;

/// No key file is longer; a thousand keys would fit.
const MAX_FILE: u64 = 64 * 1024;

/// A private key of the identity file.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// `AGE-SECRET-KEY-1...`; goes only to `wire::seal`.
    pub identity: String,
    /// From the `# created:` comment above it, if there is one.
    pub created: Option<DateTime<Utc>>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("identity", &"***").field("created", &self.created).finish()
    }
}

/// The private keys, newest first.
///
/// # Errors
/// [`Exit::Config`] where the file is missing, can be read or changed by others, or holds something else than keys.
pub fn identities(keys: &KeySpec) -> Result<Vec<String>, Failure> {
    Ok(entries(keys)?.into_iter().map(|entry| entry.identity).collect())
}

/// The public keys that stats are sealed to.
///
/// # Errors
/// [`Exit::Config`] where the file is missing, can be changed by others, or holds something else than keys.
pub fn recipients(keys: &KeySpec) -> Result<Vec<String>, Failure> {
    let file = &keys.recipient_file;
    let text = recipient_lines(keys)?;
    let mut found = Vec::new();
    for (number, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !line.starts_with("age1") {
            let text = format!("{}:{}: not an age public key (age1...)", file.display(), number + 1);
            return Err(Failure::new(Exit::Config, text));
        }
        found.push(line.to_owned());
    }
    if found.is_empty() {
        return Err(empty(file));
    }
    if found.len() > MAX_RECIPIENTS {
        let text = format!("{}: {} keys, at most {MAX_RECIPIENTS} can be sealed to", file.display(), found.len());
        return Err(Failure::new(Exit::Config, text));
    }
    Ok(found)
}

/// The file of public keys as it is, comments and all.
fn recipient_lines(keys: &KeySpec) -> Result<String, Failure> {
    read(&keys.recipient_file, 0o022, "chmod go-w")
}

/// The private keys with their dates, newest first as they stand in the file.
///
/// # Errors
/// As [`identities`].
pub fn entries(keys: &KeySpec) -> Result<Vec<Entry>, Failure> {
    let file = &keys.identity_file;
    let text = read(file, 0o077, "chmod 600")?;
    let mut found = Vec::new();
    let mut created = None;
    for (number, line) in text.lines().map(str::trim).enumerate() {
        if let Some(comment) = line.strip_prefix('#') {
            if let Some(stamp) = comment.trim().strip_prefix("created:") {
                created = DateTime::parse_from_rfc3339(stamp.trim()).ok().map(|at| at.with_timezone(&Utc));
            }
        } else if line.starts_with("AGE-SECRET-KEY-1") {
            found.push(Entry { identity: line.to_owned(), created: created.take() });
        } else if !line.is_empty() {
            // The line itself is not shown: it may be a mistyped secret.
            let text = format!("{}:{}: not an age private key (AGE-SECRET-KEY-1...)", file.display(), number + 1);
            return Err(Failure::new(Exit::Config, text));
        }
    }
    if found.is_empty() {
        return Err(empty(file));
    }
    Ok(found)
}

fn empty(file: &Path) -> Failure {
    Failure::new(
        Exit::Config,
        format!(
            "{}: holds no key; put the backup back, or remove the file and run: fleet keys generate",
            file.display()
        ),
    )
}

/// Reads a key file that is a plain file, ours or root's, and has none of the `forbidden` mode bits. The checks are
/// made on the opened file, so that nobody can swap it in between.
fn read(file: &Path, forbidden: u32, mend: &str) -> Result<String, Failure> {
    let shown = file.display();
    let config = |text: String| Failure::new(Exit::Config, text);
    // Not blocking: a pipe put in the file's place must not hang the program.
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let opened = File::options().read(true).custom_flags(nonblock).open(file).map_err(|error| {
        let next = match error.kind() {
            std::io::ErrorKind::NotFound => "; make keys with: fleet keys generate",
            std::io::ErrorKind::PermissionDenied => "; run as the user who owns it",
            _ => "",
        };
        config(format!("{shown}: {error}{next}"))
    })?;
    let meta = opened.metadata().map_err(|error| config(format!("{shown}: {error}")))?;
    if !meta.is_file() {
        return Err(config(format!("{shown}: not a plain file; name the key file in <keys>")));
    }
    let us = rustix::process::geteuid().as_raw();
    if meta.uid() != us && meta.uid() != 0 {
        return Err(config(files::not_ours(&shown.to_string(), meta.uid())));
    }
    if meta.mode() & forbidden != 0 {
        let what = if forbidden == 0o022 { "changed" } else { "read or changed" };
        let mode = meta.mode() & 0o7777;
        return Err(config(format!("{shown}: mode {mode:04o} lets it be {what} by others; type: {mend} '{shown}'")));
    }
    let mut text = String::new();
    opened.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| config(format!("{shown}: {error}")))?;
    if text.len() as u64 > MAX_FILE {
        return Err(config(format!("{shown}: longer than {MAX_FILE} bytes; is this the key file?")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn spec(folder: &Path) -> KeySpec {
        KeySpec { recipient_file: folder.join("fleet.pub"), identity_file: folder.join("fleet.key") }
    }

    fn write(file: &Path, text: &str, mode: u32) {
        std::fs::write(file, text).unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn keys_are_read_with_their_dates_and_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        let keys = spec(dir.path());
        let text = "# fleet\n# created: 2026-11-02T00:00:00Z\nAGE-SECRET-KEY-1B\n\nAGE-SECRET-KEY-1A\n";
        write(&keys.identity_file, text, 0o400);
        let found = entries(&keys).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found[0].created.is_some() && found[1].created.is_none());
        assert_eq!(identities(&keys).unwrap(), ["AGE-SECRET-KEY-1B", "AGE-SECRET-KEY-1A"]);
        assert!(!format!("{found:?}").contains("SECRET"));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_chmod() {
        let dir = tempfile::tempdir().unwrap();
        let keys = spec(dir.path());
        for mode in [0o640, 0o604, 0o660, 0o610] {
            write(&keys.identity_file, "AGE-SECRET-KEY-1A\n", mode);
            let failure = identities(&keys).unwrap_err();
            assert_eq!(failure.exit, Exit::Config);
            assert!(failure.text.contains("chmod 600"), "{}", failure.text);
        }
        write(&keys.recipient_file, "age1x\n", 0o664);
        assert!(recipients(&keys).unwrap_err().text.contains("chmod go-w"));
        write(&keys.recipient_file, "age1x\n", 0o644);
        assert_eq!(recipients(&keys).unwrap(), ["age1x"]);
        write(&keys.recipient_file, &"age1x\n".repeat(32), 0o644);
        assert_eq!(recipients(&keys).unwrap().len(), 32);
        // No probe would take the task.
        write(&keys.recipient_file, &"age1x\n".repeat(33), 0o644);
        assert!(recipients(&keys).unwrap_err().text.contains("at most 32"));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        let dir = tempfile::tempdir().unwrap();
        let keys = spec(dir.path());
        write(&keys.identity_file, "AGE-SECRET-KEY-1A\nhunter2\n", 0o600);
        let text = identities(&keys).unwrap_err().text;
        assert!(text.contains(":2:") && !text.contains("hunter2"), "{text}");
        write(&keys.identity_file, "# nothing\n", 0o600);
        assert!(identities(&keys).unwrap_err().text.contains("no key"));
        write(&keys.identity_file, &"#".repeat(70_000), 0o600);
        assert!(identities(&keys).unwrap_err().text.contains("longer"));
        std::fs::remove_file(&keys.identity_file).unwrap();
        assert!(identities(&keys).unwrap_err().text.contains("fleet keys generate"));
        std::fs::create_dir(&keys.identity_file).unwrap();
        assert!(identities(&keys).is_err());
    }
}
