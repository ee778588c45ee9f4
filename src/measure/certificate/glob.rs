//! Files that fit a pattern with `*` in its parts.

use std::io::ErrorKind;

use super::super::folder::{Folder, shown};
use super::super::root::Root;
use crate::model::pattern;

/// The most files that are gathered.
const MOST: usize = 1024;

/// Adds the files that fit. What is not there is no file; a folder that may not be read comes back as the error.
pub(super) fn expand(root: &Root, wanted: &str, found: &mut Vec<String>) -> Result<(), String> {
    let mut paths = vec![String::new()];
    for part in wanted.split('/').filter(|part| !part.is_empty()) {
        if !part.contains('*') {
            paths.iter_mut().for_each(|path| *path = format!("{path}/{part}"));
            continue;
        }
        let mut next = Vec::new();
        for path in &paths {
            let names = match Folder::open(root, path) {
                Ok(folder) => folder.names(),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(path.clone()),
                Err(_) => continue,
            };
            // As for a shell, `*` does not stand for a dot at the beginning.
            let fits = |name: &String| !name.starts_with('.') && pattern::matches(part, name);
            next.extend(names.iter().map(|name| shown(name)).filter(fits).map(|name| format!("{path}/{name}")));
            next.truncate(MOST);
        }
        paths = next;
    }
    found.extend(paths.into_iter().filter(|path| root.path(path).is_file()));
    found.truncate(MOST);
    Ok(())
}
