//! Files that no identity of ours opens are set aside, still sealed: they leave the host, and are not lost.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::app::files;

/// What may be set aside in all; beyond it files stay on their hosts.
const MOST: u64 = 64 * 1024 * 1024;

/// Writes `bytes` below `state_dir/undecryptable/`; true once they are safe on disk.
pub fn set_aside(state_dir: &Path, host: &str, name: &str, bytes: &[u8]) -> bool {
    // The host name is from the configuration; the file name is the client's and must not steer a path.
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
    match write(&state_dir.join("undecryptable"), &format!("{host}-{name}.age"), bytes) {
        Ok(kept) => kept,
        Err(error) => {
            log::error!("{}/undecryptable: {error}", state_dir.display());
            false
        }
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<bool> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut held = 0;
    for entry in fs::read_dir(folder)? {
        held += entry?.metadata()?.len();
    }
    if held + bytes.len() as u64 > MOST {
        log::error!("{}: full ({held} bytes); look at the files and remove them", folder.display());
        return Ok(false);
    }
    files::replace(&folder.join(name), bytes, 0o600)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_the_folder_and_a_full_folder_refuses() {
        let state = tempfile::tempdir().unwrap();
        assert!(set_aside(state.path(), "web1", "../../etc/passwd", b"x"));
        assert_eq!(fs::read(state.path().join("undecryptable/web1-etcpasswd.age")).unwrap(), b"x");
        let big = fs::File::create(state.path().join("undecryptable/big")).unwrap();
        big.set_len(MOST).unwrap();
        assert!(!set_aside(state.path(), "web1", "next", b"x"));
    }
}
