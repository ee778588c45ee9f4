//! Files and folders that fit a path with wildcards in any of its parts.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use super::{Found, Occasion, Trouble};
use crate::model::order;
use crate::model::pattern;
use crate::model::sample::FaultKind;

/// The most entries that are looked at, in all folders together, and with them the most that are found.
const MOST: usize = 100_000;

/// Whether a part of a path stands for several names.
fn wild(part: &str) -> bool {
    part.contains(['*', '?'])
}

/// What fits, in order; a path without wildcards as it is, whether it is there or not.
pub(super) fn expand(at: &Occasion, wanted: &str, found: &mut Found) -> Result<Vec<PathBuf>, Trouble> {
    let parts: Vec<&str> = wanted.split('/').filter(|part| !part.is_empty()).collect();
    let first = parts.iter().position(|part| wild(part)).unwrap_or(parts.len());
    let mut paths = vec![at.path(&parts[..first].join("/"))];
    let mut seen = 0;
    for (depth, part) in parts.iter().enumerate().skip(first) {
        if !wild(part) {
            // What a folder does not hold fits nothing; the last part may be what nobody may look at, which is told.
            paths.iter_mut().for_each(|path| path.push(part));
            let denied = |error: std::io::Error| error.kind() == ErrorKind::PermissionDenied;
            paths.retain(|path| fs::symlink_metadata(path).map_or_else(denied, |_| true));
            continue;
        }
        let mut next = Vec::new();
        for folder in &paths {
            let entries = match fs::read_dir(folder) {
                Ok(entries) => entries,
                // Of many folders each may be a file, or gone since.
                Err(error) if depth > first && error.kind() != ErrorKind::PermissionDenied => continue,
                Err(error) => return Err(said(&folder.display().to_string(), &error)),
            };
            for entry in entries.flatten() {
                if seen == MOST {
                    break;
                }
                seen += 1;
                let name = entry.file_name();
                let name = name.to_string_lossy();
                // As for a shell, a wildcard does not stand for a dot at the beginning.
                let hidden = name.starts_with('.') && !part.starts_with('.');
                if !hidden && pattern::matches(part, &name) {
                    next.push(entry.path());
                }
            }
        }
        order::sort(&mut next);
        paths = next;
    }
    if seen == MOST {
        found.fault(FaultKind::Cut, format!("{wanted}: more than {MOST} entries to look through"));
    }
    Ok(paths)
}

/// What an error at a path means: that it is not there is bad, that it may not be read says nothing.
pub(super) fn said(path: &str, error: &std::io::Error) -> Trouble {
    match error.kind() {
        ErrorKind::NotFound => Trouble::Bad(FaultKind::Absent, format!("{path}: is not there")),
        ErrorKind::PermissionDenied => Trouble::denied(format!("{path}: {error}")),
        _ => Trouble::Unknown(FaultKind::Malformed, format!("{path}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use super::*;
    use crate::model::check::Order;

    fn fits(root: &Path, wanted: &str) -> Result<Vec<String>, Trouble> {
        let order = Order::default();
        let occasion = Occasion {
            order: &order,
            until: Instant::now(),
            now: 0,
            note: "",
            root,
            starter: std::process::Command::spawn,
        };
        let paths = expand(&occasion, wanted, &mut Found::new(&order))?;
        Ok(paths.iter().map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect())
    }

    #[test]
    fn wildcards_stand_in_any_part() {
        let root = tempfile::tempdir().unwrap();
        for file in ["live/b/cert.pem", "live/a/cert.pem", "live/a/key.pem", "live/.old/cert.pem", "live/README", "x"] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::create_dir(root.path().join("live/empty")).unwrap();
        assert_eq!(fits(root.path(), "/live/*/cert.pem").unwrap(), ["live/a/cert.pem", "live/b/cert.pem"]);
        assert_eq!(fits(root.path(), "/l*/?/*.pem").unwrap().len(), 3);
        assert_eq!(fits(root.path(), "/live/.*/cert.pem").unwrap(), ["live/.old/cert.pem"]);
        assert_eq!(fits(root.path(), "/x").unwrap(), ["x"]);
        assert_eq!(fits(root.path(), "/nowhere").unwrap(), ["nowhere"]);
        assert!(fits(root.path(), "/live/z*").unwrap().is_empty());
        assert!(matches!(fits(root.path(), "/none/*.pem"), Err(Trouble::Bad(FaultKind::Absent, _))));
    }
}
