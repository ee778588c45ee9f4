//! What bounds the probe itself, because nobody on the machine looks after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// New files are ours alone; no core file, no runaway memory, files, descriptors or processor time.
pub fn limit() {
    umask(Mode::from_raw_mode(0o077));
    let limits = [
        (Resource::Core, 0),
        (Resource::As, 1 << 30),
        (Resource::Fsize, 128 << 20),
        (Resource::Nofile, 256),
        (Resource::Cpu, 60),
    ];
    for (resource, limit) in limits {
        let limit = getrlimit(resource).maximum.map_or(limit, |most| most.min(limit));
        // A limit that cannot be set is no reason not to measure.
        let _ = setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) });
    }
}
