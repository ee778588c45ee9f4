//! What bounds the probe itself, because nobody on the machine looks after it.

use std::io;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

/// Until the task says otherwise.
const FIRST_DEADLINE: u64 = 60;

/// Ends the process when its time is over, whatever it does.
#[derive(Clone)]
pub struct Alarm(Arc<AtomicU64>);

impl Alarm {
    /// Starts the alarm.
    pub fn start() -> Self {
        let alarm = Self(Arc::new(AtomicU64::new(FIRST_DEADLINE)));
        let watched = alarm.clone();
        let begin = Instant::now();
        // Without a thread to spare the limit on processor time remains.
        let _ = std::thread::Builder::new().stack_size(64 * 1024).spawn(move || {
            loop {
                std::thread::sleep(Duration::from_millis(500));
                if begin.elapsed().as_secs() >= watched.0.load(Ordering::Relaxed) {
                    #[allow(
                        clippy::disallowed_methods,
                        reason = "the alarm must end a process that is stuck elsewhere"
                    )]
                    std::process::exit(1);
                }
            }
        });
        alarm
    }

    /// Sets the end, in seconds since the start.
    pub fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

/// What each limit was, and what it is for the probe.
struct Limits {
    /// How many programs are being started.
    starting: u32,
    each: Vec<(Resource, Rlimit, Rlimit)>,
}

static LIMITS: Mutex<Limits> = Mutex::new(Limits { starting: 0, each: Vec::new() });

/// New files are ours alone; no core file, no runaway memory, files, descriptors or processor time.
pub fn limit() {
    umask(Mode::from_raw_mode(0o077));
    // A limit that cannot be set is no reason not to measure.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let mut limits = LIMITS.lock().unwrap_or_else(PoisonError::into_inner);
    for (resource, limit) in
        [(Resource::As, 1 << 30), (Resource::Fsize, 128 << 20), (Resource::Nofile, 256), (Resource::Cpu, 60)]
    {
        let before = getrlimit(resource);
        let ours = Rlimit { current: Some(before.current.map_or(limit, |most| most.min(limit))), ..before };
        let _ = setrlimit(resource, ours);
        limits.each.push((resource, before, ours));
    }
}

/// Starts a program, which has the limits that the probe was started with: what a plugin or a package manager needs is not
/// ours to say. Children take what their parent has, so that the probe has none of its own for that moment.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    lift(true);
    let child = command.spawn();
    lift(false);
    child
}

/// The lock is not held while a program starts: one that lies on a dead server would hold up all others.
fn lift(up: bool) {
    let mut limits = LIMITS.lock().unwrap_or_else(PoisonError::into_inner);
    let others = if up { limits.starting } else { limits.starting.saturating_sub(1) };
    limits.starting = if up { others.saturating_add(1) } else { others };
    if others == 0 {
        for (resource, before, ours) in &limits.each {
            let _ = setrlimit(*resource, if up { *before } else { *ours });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Limits are those of a whole process: this test is one of its own, started by itself.
    #[test]
    fn after_programs_were_started_at_once_the_limits_are_the_probes_again() {
        const ALONE: &str = "FLEET_TEST_LIMITS";
        if std::env::var_os(ALONE).is_none() {
            let name = "app::probe::guard::tests::after_programs_were_started_at_once_the_limits_are_the_probes_again";
            #[allow(clippy::disallowed_methods, reason = "a process to be limited")]
            let mut own = Command::new(std::env::current_exe().unwrap());
            let said = own.args(["--exact", name, "--nocapture"]).env(ALONE, "1").output().unwrap();
            let text = String::from_utf8_lossy(&said.stdout);
            assert!(
                said.status.success() && text.contains("1 passed"),
                "{text}{}",
                String::from_utf8_lossy(&said.stderr)
            );
            return;
        }
        let limits = || [Resource::As, Resource::Fsize, Resource::Nofile, Resource::Cpu].map(getrlimit);
        let before = limits();
        limit();
        let ours = limits();
        assert_ne!(ours.map(|limit| limit.current), before.map(|limit| limit.current));
        let start = || {
            for _ in 0..8 {
                #[allow(clippy::disallowed_methods, reason = "a program to be started")]
                let mut child = spawn(&mut Command::new("/bin/true")).unwrap();
                child.wait().unwrap();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(start);
            scope.spawn(start);
        });
        assert_eq!(limits(), ours);
        // One that cannot be started leaves none of them lifted either.
        #[allow(clippy::disallowed_methods, reason = "a program that is not there")]
        let failed = spawn(&mut Command::new("/nowhere/x"));
        assert!(failed.is_err() && limits() == ours);
    }
}
