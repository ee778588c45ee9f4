//! Output that is kept: compared byte for byte, and written anew with UPDATE_GOLDEN=1.

use std::path::Path;

/// Compares with a file of `tests/golden`.
#[track_caller]
pub fn golden(name: &str, found: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, found).unwrap();
    }
    let wanted = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == wanted,
        "{name} differs; if it is meant so: UPDATE_GOLDEN=1\n--- found\n{found}\n--- wanted\n{wanted}"
    );
}
