//! Files that nothing of ours can open or understand are set aside, still sealed: they leave the host, and are not lost.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::app::files;

/// What may be set aside of one host, a few days of samples; beyond it files stay on the host. Each host has its own
/// room, so that none takes that of the others.
const MOST: u64 = 4 * 1024 * 1024;

/// The place of one host's files during a visit.
pub struct Aside {
    folder: PathBuf,
    /// Bytes in it, once they were counted.
    held: Option<u64>,
}

impl Aside {
    /// `state_dir/undecryptable/HOST`; nothing is made yet.
    pub fn of(state_dir: &Path, host: &str) -> Self {
        Self { folder: folder(state_dir, host), held: None }
    }

    /// Writes a file; once this returns it is safe on disk.
    ///
    /// # Errors
    /// A text for people: why the file has to stay on its host.
    pub fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), String> {
        // The file name is the client's and must not steer a path.
        let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
        let shown = self.folder.display().to_string();
        let held = self.count().map_err(|error| format!("{shown}: {error}"))?;
        let after = held + bytes.len() as u64;
        if after > MOST {
            return Err(format!("{shown} is full ({held} bytes); look at the files and remove them"));
        }
        files::replace(&self.folder.join(format!("{name}.age")), bytes, 0o600)
            .map_err(|error| format!("{shown}: {error}"))?;
        self.held = Some(after);
        Ok(())
    }

    fn count(&mut self) -> io::Result<u64> {
        if let Some(held) = self.held {
            return Ok(held);
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let mut held = 0;
        for entry in fs::read_dir(&self.folder)? {
            held += entry?.metadata()?.len();
        }
        self.held = Some(held);
        Ok(held)
    }
}

fn folder(state_dir: &Path, host: &str) -> PathBuf {
    // Names of hosts hold no slash; the configuration sees to it.
    state_dir.join("undecryptable").join(host)
}

/// Removes what was set aside of a host.
///
/// # Errors
/// The system's.
pub fn forget(state_dir: &Path, host: &str) -> io::Result<()> {
    match fs::remove_dir_all(folder(state_dir, host)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_the_folder_and_a_full_folder_refuses() {
        let state = tempfile::tempdir().unwrap();
        let mut aside = Aside::of(state.path(), "web1");
        aside.put("../../etc/passwd", b"x").unwrap();
        let place = state.path().join("undecryptable/web1");
        assert_eq!(fs::read(place.join("etcpasswd.age")).unwrap(), b"x");
        let whole = vec![b'x'; usize::try_from(MOST).unwrap()];
        assert!(aside.put("next", &whole).unwrap_err().contains("full (1 bytes)"));
        let big = fs::File::create(place.join("big")).unwrap();
        big.set_len(MOST).unwrap();
        assert!(Aside::of(state.path(), "web1").put("next", b"x").is_err());
        // The room of one is not that of another.
        Aside::of(state.path(), "web").put("next", b"x").unwrap();
        forget(state.path(), "web").unwrap();
        forget(state.path(), "web").unwrap();
        assert!(place.exists() && !state.path().join("undecryptable/web").exists());
    }
}
