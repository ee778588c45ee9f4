//! What every program of the monitoring machine does first.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// No core, neither as a file nor through a program that collects them, and no look into our memory by others of our
/// user: keys and passwords are in it (design/trust.md, D4).
pub fn no_core() {
    // Where one is refused there is nothing else that we could do.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
