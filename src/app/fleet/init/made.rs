//! What `fleet init` made so far: gone again unless all of it was made.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::app::exit::{Exit, Failure};

/// Files and folders that were not there before. Ctrl-C only raises a flag until [`Made::keep`].
pub struct Made {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    interrupted: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

impl Made {
    /// Begins, and takes the signals that would end the program.
    ///
    /// # Errors
    /// The system's.
    pub fn watch() -> Result<Self, Failure> {
        let made = Self { files: Vec::new(), folders: Vec::new(), interrupted: Arc::default(), over: Arc::default() };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // First the one that ends the program as ever once `over` is set.
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&made.over))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&made.interrupted)))
                .map_err(|error| Failure::new(Exit::Failed, format!("signals: {error}")))?;
        }
        Ok(made)
    }

    /// A file that is about to be made.
    pub fn file(&mut self, file: PathBuf) {
        if file.symlink_metadata().is_err() {
            self.files.push(file);
        }
    }

    /// A folder that is about to be made, with those around it.
    pub fn folders(&mut self, folder: &Path) {
        for missing in folder.ancestors().take_while(|place| place.symlink_metadata().is_err()) {
            self.folders.push(missing.to_path_buf());
        }
    }

    /// All was made: it stays, and Ctrl-C ends the program again.
    ///
    /// # Errors
    /// Ctrl-C was pressed meanwhile: nothing stays.
    pub fn keep(mut self) -> Result<(), Failure> {
        self.over.store(true, Ordering::SeqCst);
        if self.interrupted.load(Ordering::SeqCst) {
            return Err(Failure::new(Exit::Failed, "interrupted; nothing was written"));
        }
        self.files.clear();
        self.folders.clear();
        Ok(())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        // The inner ones first; one that holds something else stays.
        self.folders.sort();
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
        self.over.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_finished_is_gone_and_what_was_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("old"), "x").unwrap();
        let make = || {
            let mut made = Made::watch().unwrap();
            let folder = dir.path().join("a/b/c");
            made.folders(&folder);
            fs::create_dir_all(&folder).unwrap();
            for name in ["old", "new", "a/b/c/key", "never"] {
                made.file(dir.path().join(name));
            }
            fs::write(dir.path().join("new"), "x").unwrap();
            fs::write(folder.join("key"), "x").unwrap();
            made
        };
        drop(make());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let made = make();
        made.interrupted.store(true, Ordering::SeqCst);
        assert!(made.keep().unwrap_err().text.contains("nothing was written"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        make().keep().unwrap();
        assert!(dir.path().join("a/b/c/key").exists() && dir.path().join("new").exists());
    }
}
