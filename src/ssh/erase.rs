//! Takes away what a host was given: every directory that `deploy.sh` may have made, with probe and spool.

use std::io::Read;
use std::time::Instant;

use super::{Bastions, Secrets, SshError, Stream, connect};
use crate::model::cause::Cause;
use crate::model::spec::SshSpec;

/// A few paths, after whatever a start-up file prints.
const MAX_ANSWER: u64 = 64 * 1024;

/// What became of the directories that were there; not cleaned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Removed.
    pub gone: Vec<String>,
    /// Could not be removed, or not whole.
    pub left: Vec<String>,
}

/// Logs in and removes the directories. `nonce` tells our lines from those of start-up files.
///
/// # Errors
/// As [`connect`], and where the command does not come to its end.
pub fn remote(spec: &SshSpec, secrets: &Secrets, nonce: &str, deadline: Instant) -> Result<Erased, SshError> {
    let mut session = connect(spec, secrets, &Bastions::default(), deadline)?;
    session.exec(&command(nonce))?;
    session.bound(deadline, MAX_ANSWER);
    let mut answer = Vec::new();
    let read = session.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    parse(&text, nonce).ok_or_else(|| {
        let said = String::from_utf8_lossy(session.complaint()).trim().to_owned();
        let why = read.err().map_or(said, |error| error.to_string());
        SshError::new(Cause::Exec, format!("the removal did not come to its end: {why}"))
    })
}

fn command(nonce: &str) -> String {
    let lines: Vec<&str> = include_str!("erase.sh").lines().collect();
    let script = lines.join("; ").replace("do; ", "do ");
    format!("exec /bin/sh -c '{script}' fleet {nonce}")
}

fn parse(text: &str, nonce: &str) -> Option<Erased> {
    let mut erased = Erased::default();
    let (gone, left) = (format!("FLEET-GONE {nonce} "), format!("FLEET-LEFT {nonce} "));
    for line in text.lines() {
        if let Some(path) = line.strip_prefix(&gone) {
            erased.gone.push(path.to_owned());
        } else if let Some(path) = line.strip_prefix(&left) {
            erased.left.push(path.to_owned());
        } else if line == format!("FLEET-DONE {nonce}") {
            return Some(erased);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "asks the shells themselves")]
    fn only_our_own_directories_go_in_every_shell() {
        for shell in [&["dash"][..], &["bash", "--posix"], &["busybox", "sh"]] {
            let home = tempfile::tempdir().unwrap();
            let cache = home.path().join("cache");
            std::fs::create_dir_all(cache.join("fleet-health/spool")).unwrap();
            std::fs::create_dir_all(cache.join("other")).unwrap();
            let run = home.path().join("run");
            std::fs::create_dir(&run).unwrap();
            // A link is never followed.
            std::os::unix::fs::symlink(cache.join("other"), run.join("fleet-health")).unwrap();
            let done = std::process::Command::new(shell[0])
                .args(&shell[1..])
                .args(["-c", &command("00")])
                .env("XDG_CACHE_HOME", &cache)
                .env("XDG_RUNTIME_DIR", &run)
                .output()
                .unwrap();
            let text = format!("noise\n{}", String::from_utf8_lossy(&done.stdout));
            let erased = parse(&text, "00").unwrap_or_else(|| panic!("{shell:?} {done:?}"));
            assert!(erased.gone.contains(&cache.join("fleet-health").display().to_string()), "{shell:?} {text}");
            assert!(erased.left.is_empty() && !cache.join("fleet-health").exists());
            assert!(cache.join("other").exists() && run.join("fleet-health").exists());
        }
        assert_eq!(parse("FLEET-DONE 01\n", "00"), None);
        assert!(!include_str!("erase.sh").contains(['\'', '!', '\\']));
    }
}
