//! What every program of the monitoring machine does first.

use rustix::fs::Mode;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior, set_parent_process_death_signal, setrlimit,
    umask,
};
use rustix::thread::set_no_new_privs;

/// No core, neither as a file nor through a program that collects them, and no look into our memory by others of our
/// user: keys and passwords are in it (design/trust.md, D4).
pub fn no_core() {
    // Where one is refused there is nothing else that we could do.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// What the dialer gives up besides: it ends with its keeper, gains no rights by what it starts, and leaves nothing that
/// others can read.
///
/// # Errors
/// The system's.
pub fn confine() -> std::io::Result<()> {
    set_no_new_privs(true)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    umask(Mode::RWXG | Mode::RWXO);
    Ok(())
}
