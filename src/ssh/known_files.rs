//! The known_hosts files of a run: read and understood once, and again when they change, if they still can be.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::known_hosts::{self, KnownHosts};

/// Lists of files that differ; a configuration has one or two.
const MOST: usize = 64;

/// What of a file changes with its content; nothing for one that is not there.
type Stamp = Option<[i64; 6]>;

struct Known {
    files: Vec<PathBuf>,
    stamps: Vec<Stamp>,
    lines: Arc<KnownHosts>,
}

static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// As [`known_hosts::read`].
///
/// # Errors
/// As [`known_hosts::read`].
pub(super) fn read(files: &[PathBuf]) -> Result<Arc<KnownHosts>, String> {
    // Before reading: what changes meanwhile is read once more.
    let stamps: Vec<Stamp> = files.iter().map(stamp).collect();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.iter().find(|known| known.files == files && known.stamps == stamps) {
        return Ok(Arc::clone(&found.lines));
    }
    let lines = match (known_hosts::read(files), known.iter().find(|known| known.files == files)) {
        (Ok(lines), _) => Arc::new(lines),
        // The dialer may read what was there when it came up, and not what takes its place (`app::dialer::fence`).
        (Err(text), Some(old)) => {
            log::debug!("{text}; what it said before holds");
            return Ok(Arc::clone(&old.lines));
        }
        (Err(text), None) => return Err(text),
    };
    known.retain(|known| known.files != files);
    known.truncate(MOST - 1);
    known.push(Known { files: files.to_vec(), stamps, lines: Arc::clone(&lines) });
    Ok(lines)
}

fn stamp(file: &PathBuf) -> Stamp {
    let facts = fs::metadata(file).ok()?;
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (inode, size) = (whole(facts.ino()), whole(facts.size()));
    Some([inode, size, facts.mtime(), facts.mtime_nsec(), facts.ctime(), facts.ctime_nsec()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_is_read_again_and_one_that_stays_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        let files = [file.clone(), dir.path().join("none")];
        let kinds = || read(&files).unwrap().kinds("h", 22).join(" ");
        assert_eq!(kinds(), "");
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";
        fs::write(&file, format!("h {key}\n")).unwrap();
        assert_eq!(kinds(), "ssh-ed25519");
        assert!(Arc::ptr_eq(&read(&files).unwrap(), &read(&files).unwrap()));
        // Replaced by one of the same length, as those do who write files whole.
        let other = dir.path().join("other");
        fs::write(&other, format!("g {key}\n")).unwrap();
        fs::rename(&other, &file).unwrap();
        assert_eq!(kinds(), "");
        // A file that cannot be read any more; root could read any other.
        fs::write(&file, format!("h {key}\n")).unwrap();
        assert_eq!(kinds(), "ssh-ed25519");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(kinds(), "ssh-ed25519");
        fs::remove_dir(&file).unwrap();
        assert_eq!(kinds(), "");
    }
}
