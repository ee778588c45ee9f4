//! Makes, adds and drops age keys; at every moment of it all files that were ever sealed can be opened.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use super::{Entry, entries};
use crate::app::exit::{Exit, Failure};
use crate::app::files;
use crate::model::spec::KeySpec;
use crate::wire::seal;

/// Makes the first key pair, or writes the public key anew where only that file is gone; returns the public key.
///
/// # Errors
/// [`Exit::Config`] where a private key is there already: nothing is overwritten.
pub fn generate(keys: &KeySpec, now: DateTime<Utc>) -> Result<String, Failure> {
    for file in [&keys.identity_file, &keys.recipient_file] {
        DirBuilder::new().recursive(true).mode(0o700).create(files::folder(file)).map_err(failed(file))?;
    }
    let _lock = lock(keys)?;
    let there = keys.identity_file.symlink_metadata().is_ok();
    if there && keys.recipient_file.symlink_metadata().is_ok() {
        let text = format!(
            "{}: there is a key already and it is not overwritten; for a new one type: fleet keys rotate",
            keys.identity_file.display()
        );
        return Err(Failure::new(Exit::Config, text));
    }
    let entry = if there {
        entries(keys)?.swap_remove(0)
    } else {
        let (identity, _) = seal::generate();
        let entry = Entry { identity, created: Some(now) };
        let text = identity_text(std::slice::from_ref(&entry));
        files::create(&keys.identity_file, text.as_bytes(), 0o600).map_err(failed(&keys.identity_file))?;
        entry
    };
    let recipient = recipient_of(&entry)?;
    // An older public key file may be there while the private one is lost; files sealed to it could never be opened.
    let mut text = recipient_text(&recipient);
    for older in present(keys)?.lines().filter(|line| line.trim().starts_with("age1")) {
        text.push_str(&format!("# Not sealed to any more, for the private key was not here: {}\n", older.trim()));
    }
    files::replace(&keys.recipient_file, text.as_bytes(), 0o644).map_err(failed(&keys.recipient_file))?;
    Ok(recipient)
}

/// Puts a new private key before the old ones, then its public key in the place of theirs; returns that. Public keys of
/// others (an auditor's) stay.
///
/// # Errors
/// [`Exit::Config`] where the present keys cannot be read or the files not written; then nothing has changed, or only
/// a key more is known than is used.
pub fn rotate(keys: &KeySpec, now: DateTime<Utc>) -> Result<String, Failure> {
    let _lock = lock(keys)?;
    let mut all = entries(keys)?;
    let ours = all.iter().map(recipient_of).collect::<Result<Vec<_>, _>>()?;
    let (identity, recipient) = seal::generate();
    let text = in_place_of(&ours, &recipient, &present(keys)?);
    all.insert(0, Entry { identity, created: Some(now) });
    files::replace(&keys.identity_file, identity_text(&all).as_bytes(), 0o600).map_err(failed(&keys.identity_file))?;
    files::replace(&keys.recipient_file, text.as_bytes(), 0o644).map_err(failed(&keys.recipient_file))?;
    Ok(recipient)
}

/// The present file of public keys; nothing where there is none.
fn present(keys: &KeySpec) -> Result<String, Failure> {
    if keys.recipient_file.symlink_metadata().is_ok() { super::recipient_lines(keys) } else { Ok(String::new()) }
}

/// The file with the new key where the first of ours stood; all that is not ours stays as it is.
fn in_place_of(ours: &[String], new: &str, present: &str) -> String {
    let is_ours = |line: &&str| ours.iter().any(|key| key == line.trim());
    if !present.lines().any(|line| is_ours(&line)) {
        let foreign: String =
            present.lines().filter(|line| line.trim().starts_with("age1")).map(|line| format!("{line}\n")).collect();
        return recipient_text(new) + &foreign;
    }
    let mut text = String::new();
    let mut put = false;
    for line in present.lines() {
        if !is_ours(&line) {
            text.push_str(line);
        } else if !std::mem::replace(&mut put, true) {
            text.push_str(new);
        } else {
            continue;
        }
        text.push('\n');
    }
    text
}

/// The private keys that [`retire`] would drop: created before `now - older`, never the newest one, never one whose
/// public key is in use, never one without a date.
///
/// # Errors
/// As [`entries`].
pub fn retirable(keys: &KeySpec, now: DateTime<Utc>, older: Duration) -> Result<Vec<Entry>, Failure> {
    let used = super::recipients(keys)?;
    let mut old = Vec::new();
    for entry in entries(keys)?.into_iter().skip(1) {
        let age = entry.created.and_then(|created| (now - created).to_std().ok());
        if age.is_some_and(|age| age > older) && !used.contains(&recipient_of(&entry)?) {
            old.push(entry);
        }
    }
    Ok(old)
}

/// Drops what [`retirable`] lists; returns how many. Files sealed to these keys can never be opened again.
///
/// # Errors
/// As [`rotate`].
pub fn retire(keys: &KeySpec, now: DateTime<Utc>, older: Duration) -> Result<usize, Failure> {
    let _lock = lock(keys)?;
    let old = retirable(keys, now, older)?;
    if !old.is_empty() {
        let rest: Vec<Entry> = entries(keys)?.into_iter().filter(|entry| !old.contains(entry)).collect();
        files::replace(&keys.identity_file, identity_text(&rest).as_bytes(), 0o600)
            .map_err(failed(&keys.identity_file))?;
    }
    Ok(old.len())
}

/// The public key of a private one.
///
/// # Errors
/// [`Exit::Config`] where the private key is damaged; its text is not shown.
pub fn recipient_of(entry: &Entry) -> Result<String, Failure> {
    seal::recipient_of(&entry.identity)
        .map_err(|error| Failure::new(Exit::Config, format!("a private key of the identity file: {error}")))
}

fn identity_text(all: &[Entry]) -> String {
    let mut text = String::from("# Private keys of fleet-health, newest first. Keep a copy in a safe place.\n");
    for entry in all {
        if let Some(created) = entry.created {
            text.push_str(&format!("# created: {}\n", created.to_rfc3339_opts(SecondsFormat::Secs, true)));
        }
        if let Ok(recipient) = seal::recipient_of(&entry.identity) {
            text.push_str(&format!("# public key: {recipient}\n"));
        }
        text.push_str(&format!("{}\n", entry.identity));
    }
    text
}

fn recipient_text(recipient: &str) -> String {
    format!("# Public keys that the probes seal to, one a line.\n{recipient}\n")
}

fn failed(file: &Path) -> impl Fn(std::io::Error) -> Failure {
    let shown = file.display().to_string();
    move |error| Failure::new(Exit::Config, format!("{shown}: {error}"))
}

/// Two changes at once would lose the key that one of them made.
fn lock(keys: &KeySpec) -> Result<File, Failure> {
    files::lock(&keys.identity_file).map_err(failed(&keys.identity_file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::keyring::{identities, recipients};
    use std::os::unix::fs::PermissionsExt;

    fn at(day: u32) -> DateTime<Utc> {
        format!("2026-11-{day:02}T00:00:00Z").parse().unwrap()
    }

    fn spec(folder: &Path) -> KeySpec {
        KeySpec { recipient_file: folder.join("keys/fleet.pub"), identity_file: folder.join("keys/fleet.key") }
    }

    fn mode(file: &Path) -> u32 {
        file.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_first_key_is_private_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let keys = spec(dir.path());
        let recipient = generate(&keys, at(1)).unwrap();
        assert_eq!(recipients(&keys).unwrap(), std::slice::from_ref(&recipient));
        assert_eq!((mode(&keys.identity_file), mode(&dir.path().join("keys"))), (0o600, 0o700));
        let before = std::fs::read(&keys.identity_file).unwrap();
        assert!(generate(&keys, at(2)).unwrap_err().text.contains("fleet keys rotate"));
        assert_eq!(std::fs::read(&keys.identity_file).unwrap(), before);
        std::fs::remove_file(&keys.recipient_file).unwrap();
        assert_eq!(generate(&keys, at(2)).unwrap(), recipient);
        assert_eq!(std::fs::read(&keys.identity_file).unwrap(), before);
    }

    #[test]
    fn after_a_rotation_what_was_sealed_before_still_opens() {
        let dir = tempfile::tempdir().unwrap();
        let keys = spec(dir.path());
        generate(&keys, at(1)).unwrap();
        let old = seal::seal(&recipients(&keys).unwrap(), b"old").unwrap();
        let newest = rotate(&keys, at(10)).unwrap();
        assert_eq!(recipients(&keys).unwrap(), [newest]);
        let new = seal::seal(&recipients(&keys).unwrap(), b"new").unwrap();
        let all = identities(&keys).unwrap();
        assert_eq!(seal::open(&all, &old).unwrap(), b"old");
        assert_eq!(seal::open(&all[..1], &new).unwrap(), b"new");
        assert_eq!(mode(&keys.identity_file), 0o600);
        assert_eq!(std::fs::read_dir(dir.path().join("keys")).unwrap().count(), 2);
    }

    #[test]
    fn public_keys_of_others_outlive_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let keys = spec(dir.path());
        let first = generate(&keys, at(1)).unwrap();
        let (_, auditor) = seal::generate();
        let text = std::fs::read_to_string(&keys.recipient_file).unwrap();
        std::fs::write(&keys.recipient_file, format!("{text}# an auditor\n{auditor}\n")).unwrap();
        let second = rotate(&keys, at(10)).unwrap();
        assert_eq!(recipients(&keys).unwrap(), [second.clone(), auditor.clone()]);
        let text = std::fs::read_to_string(&keys.recipient_file).unwrap();
        assert!(text.contains("# an auditor\n") && !text.contains(&first), "{text}");
        // Also where none of ours is in it, and where both are.
        std::fs::write(&keys.recipient_file, format!("{auditor}\n")).unwrap();
        let third = rotate(&keys, at(11)).unwrap();
        assert_eq!(recipients(&keys).unwrap(), [third.clone(), auditor.clone()]);
        std::fs::write(&keys.recipient_file, format!("{second}\n{third}\n{auditor}\n")).unwrap();
        let fourth = rotate(&keys, at(12)).unwrap();
        assert_eq!(recipients(&keys).unwrap(), [fourth, auditor.clone()]);
        // With the private keys lost nobody can tell whose they are: they are named, and no longer sealed to.
        std::fs::remove_file(&keys.identity_file).unwrap();
        let fifth = generate(&keys, at(13)).unwrap();
        assert_eq!(recipients(&keys).unwrap(), [fifth]);
        assert!(std::fs::read_to_string(&keys.recipient_file).unwrap().contains(&auditor));
    }

    #[test]
    fn only_old_and_unused_keys_retire() {
        let dir = tempfile::tempdir().unwrap();
        let keys = spec(dir.path());
        generate(&keys, at(1)).unwrap();
        let week = Duration::from_secs(7 * 86400);
        assert_eq!(retire(&keys, at(28), week).unwrap(), 0, "the one in use stays whatever its age");
        rotate(&keys, at(10)).unwrap();
        rotate(&keys, at(20)).unwrap();
        assert_eq!(retire(&keys, at(16), week).unwrap(), 1);
        assert_eq!(entries(&keys).unwrap().len(), 2);
        assert_eq!(retire(&keys, at(28), week).unwrap(), 1);
        assert_eq!(recipients(&keys).unwrap().len(), 1);
    }
}
