//! Any bytes are a configuration or a list of mistakes.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("fleet-fuzz-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder.join("config.xml")
});

fuzz_target!(|data: &[u8]| {
    std::fs::write(&*FILE, data).unwrap();
    match fleet_health::config::read(&FILE) {
        Ok(loaded) => assert!(loaded.files.contains(&*FILE)),
        Err(report) => assert!(!report.to_string().is_empty()),
    }
});
