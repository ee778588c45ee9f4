//! What every program of the monitoring machine does first.

use rustix::process::{Resource, Rlimit, setrlimit};

/// No core file: it would hold keys and passwords (design/trust.md, D4).
pub fn no_core() {
    // Where it is refused there is a limit of zero already, or nothing that we could do.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// What is written is ours alone, whatever the umask of cron (D3).
pub fn own_files() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}
