//! Machines made of files, for tests: `== /path` begins a file, what follows are its lines.

use std::path::Path;

use tempfile::TempDir;

use super::Root;

/// A machine from its text.
pub(super) fn machine(text: &str) -> (TempDir, Root) {
    let folder = tempfile::tempdir().unwrap();
    add(folder.path(), text);
    let root = Root::at(folder.path());
    (folder, root)
}

/// More files of a machine.
pub(super) fn add(folder: &Path, text: &str) {
    for file in text.split("== /").skip(1) {
        let (path, content) = file.split_once('\n').unwrap();
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}
