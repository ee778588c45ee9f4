//! What the system wants of the program while it has the terminal: to end, to pause, or to look at the new size.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::{flag, low_level};

/// Signals as they came, and a pipe that wakes whoever waits for keys.
#[derive(Debug)]
pub struct Signals {
    ends: Arc<AtomicUsize>,
    pauses: Arc<AtomicBool>,
    goes_on: Arc<AtomicBool>,
    wake: UnixStream,
    waker: UnixStream,
}

/// Wakes the loop of the screen from another thread.
#[derive(Debug)]
pub struct Waker(UnixStream);

impl Waker {
    /// Wakes it. Where the pipe is full it is awake already.
    pub fn wake(&mut self) {
        let _ = self.0.write(b"!");
    }
}

impl Signals {
    /// Takes them from the system's own treatment.
    ///
    /// # Errors
    /// The system's.
    pub fn take() -> io::Result<Self> {
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let taken = Self { ends: Arc::default(), pauses: Arc::default(), goes_on: Arc::default(), wake, waker };
        for signal in [SIGTERM, SIGHUP, SIGINT, SIGQUIT] {
            flag::register_usize(signal, Arc::clone(&taken.ends), signal.unsigned_abs() as usize)?;
        }
        flag::register(SIGTSTP, Arc::clone(&taken.pauses))?;
        flag::register(SIGCONT, Arc::clone(&taken.goes_on))?;
        for signal in [SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH] {
            low_level::pipe::register(signal, taken.waker.try_clone()?)?;
        }
        Ok(taken)
    }

    /// A waker for another thread.
    ///
    /// # Errors
    /// The system's.
    pub fn waker(&self) -> io::Result<Waker> {
        self.waker.try_clone().map(Waker)
    }

    /// The signal that wants an end.
    pub fn ends(&self) -> Option<i32> {
        i32::try_from(self.ends.load(Ordering::SeqCst)).ok().filter(|signal| *signal != 0)
    }

    /// Whether a pause is wanted, since this was asked before.
    pub fn pauses(&self) -> bool {
        self.pauses.swap(false, Ordering::SeqCst)
    }

    /// Whether we were stopped by force and go on, since this was asked before.
    pub fn goes_on(&self) -> bool {
        self.goes_on.swap(false, Ordering::SeqCst)
    }

    /// Asks for a pause of all that was started with us, as Ctrl-Z does on a terminal that is not ours. Not where the
    /// session began with us (`ssh -t HOST fleet watch`): no shell could make us go on.
    pub fn ask_for_pause(&self) {
        let group = rustix::process::getpgrp();
        if rustix::process::getsid(None).is_ok_and(|session| session != group) {
            let _ = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
        }
    }

    /// What the system would have done: returns only from a pause.
    pub fn treat(signal: i32) {
        let _ = low_level::emulate_default_handler(signal);
    }

    /// Readable when something happened.
    pub fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Makes it unreadable again.
    pub fn drain(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.wake).read(&mut bytes), Ok(length) if length > 0) {}
    }
}
