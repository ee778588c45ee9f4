//! The state folder that collector and alerter share: locks and what was set aside, its owner's alone.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::exit::{Exit, Failure};
use super::files;

/// Makes the folder with mode 0700 where it is missing.
///
/// # Errors
/// A folder that belongs to another user, or that others may enter, with what to type.
pub fn ready(folder: &Path) -> Result<(), Failure> {
    let shown = folder.display();
    let failed = |text: String| Failure::new(Exit::Failed, text);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| failed(format!("{shown}: cannot be made: {error}")))?;
    let meta = fs::metadata(folder).map_err(|error| failed(format!("{shown}: {error}")))?;
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(failed(files::not_ours(&shown.to_string(), meta.uid())));
    }
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(failed(format!("{shown}: open to other users; type: chmod 700 {shown}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_folder_that_others_may_enter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("a/state");
        ready(&state).unwrap();
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
        fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
        let failure = ready(&state).unwrap_err();
        assert!(failure.text.contains("chmod 700"), "{}", failure.text);
    }
}
