//! The two programs that `fleet init` starts, and what lies beside them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Makes an SSH key pair without passphrase; `ssh-keygen` writes it with mode 0600.
#[allow(clippy::disallowed_methods, reason = "init makes the first SSH key with OpenSSH's own program")]
pub fn ssh_key(file: &Path) -> Result<(), String> {
    let by_hand = format!("make one with: ssh-keygen -t ed25519 -f '{}'", file.display());
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "fleet-health", "-f"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("ssh-keygen: {error}; install openssh-client, then {by_hand}"))?;
    if status.success() { Ok(()) } else { Err(format!("ssh-keygen failed ({status}); {by_hand}")) }
}

/// Runs the collector beside this program for all hosts that there are.
#[allow(clippy::disallowed_methods, reason = "the first collection is a run of the real collector")]
pub fn collect(config: &Path) -> Result<(), String> {
    let us = std::env::current_exe().map_err(|error| format!("this program's folder is not known: {error}"))?;
    let collector = us.with_file_name("fleet-collector");
    let by_hand = format!("type: fleet-collector --config '{}'", config.display());
    let status = Command::new(&collector)
        .args(["--quiet", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("{}: {error}; {by_hand}", collector.display()))?;
    if status.success() { Ok(()) } else { Err(format!("the collector failed ({status}); {by_hand}")) }
}

/// The schema of the configuration where `make install` puts it, if these programs are installed.
pub fn schema() -> Option<PathBuf> {
    let us = std::env::current_exe().ok()?;
    let prefix = us.parent()?.parent()?.parent()?;
    Some(prefix.join("share/fleet-health/config.xsd")).filter(|file| file.is_file())
}
