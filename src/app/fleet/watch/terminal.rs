//! The terminal while the screen has it, and its way back however the program ends. It is opened anew, so that not to
//! wait for it is no matter of the shell's: one that stands still (Ctrl-S, a line that is down) holds us only until we
//! are told to end.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use log::LevelFilter;
use ratatui::layout::Size;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::cells::Glass;
use super::signals::Signals;
use crate::app::exit::{Exit, Failure};

/// Another screen, no cursor, and pasted text marked as such; then the reverse.
const TAKE: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?2004h";
const GIVE_BACK: &[u8] = b"\x1b[?2004l\x1b[0m\x1b[?25h\x1b[?1049l";
/// A terminal that says no size has this one.
const USUAL: Size = Size { width: 80, height: 24 };
/// Screens beyond are not drawn: no terminal has them, and a hostile size must not take our memory.
const MOST: u16 = 1000;

/// The controlling terminal.
#[derive(Debug)]
pub struct Terminal {
    file: File,
    before: Termios,
    logs: LevelFilter,
    signals: Signals,
    taken: Cell<bool>,
}

impl Terminal {
    /// Opens the terminal, without changing it yet.
    ///
    /// # Errors
    /// [`Exit::Usage`] where there is none that can be drawn on, with what to use instead.
    pub fn open() -> Result<Self, Failure> {
        let refuse = |what: &str| {
            let text = format!("{what}; fleet watch draws on a terminal: without one use fleet status");
            Failure::new(Exit::Usage, text)
        };
        if !io::stdout().is_terminal() {
            return Err(refuse("standard output is not a terminal"));
        }
        if matches!(std::env::var("TERM").as_deref(), Err(_) | Ok("" | "dumb" | "unknown")) {
            return Err(refuse("TERM names no terminal that can be drawn on"));
        }
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() | rustix::fs::OFlags::NOCTTY.bits();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nonblocking.cast_signed())
            .open("/dev/tty")
            .map_err(|error| refuse(&format!("/dev/tty: {error}")))?;
        let before = tcgetattr(&file).map_err(|error| refuse(&format!("/dev/tty: {error}")))?;
        let signals = Signals::take().map_err(|error| Failure::new(Exit::Failed, format!("signals: {error}")))?;
        Ok(Self { file, before, logs: log::max_level(), signals, taken: Cell::new(false) })
    }

    /// What the system wants of us.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Makes it ours: keys come one by one, and the shell's lines wait below.
    ///
    /// # Errors
    /// The system's: it is gone.
    pub fn take(&self) -> io::Result<()> {
        let mut raw = self.before.clone();
        raw.make_raw();
        self.taken.set(true);
        tcsetattr(&self.file, OptionalActions::Now, &raw)?;
        if io::stderr().is_terminal() {
            // A line of the log would stand in the middle of the screen.
            log::set_max_level(LevelFilter::Off);
        }
        self.write(TAKE)
    }

    /// Gives it back as it was. Never waits, and nobody is left to be told of an error.
    pub fn give_back(&self) {
        if !self.taken.replace(false) {
            return;
        }
        let _ = (&self.file).write(GIVE_BACK);
        let _ = tcsetattr(&self.file, OptionalActions::Now, &self.before);
        log::set_max_level(self.logs);
    }

    /// Waits for keys, news or a signal, and gives the bytes that were typed; none after `most`.
    ///
    /// # Errors
    /// The system's; `UnexpectedEof` where the terminal is gone.
    pub fn read(&self, most: Duration) -> io::Result<Vec<u8>> {
        let wake = self.signals.wake();
        let mut ready = [PollFd::new(&self.file, PollFlags::IN), PollFd::from_borrowed_fd(wake, PollFlags::IN)];
        wait(&mut ready, most)?;
        let (typed, woken) = (!ready[0].revents().is_empty(), !ready[1].revents().is_empty());
        if woken {
            self.signals.drain();
        }
        let mut bytes = [0; 1024];
        match typed.then(|| (&self.file).read(&mut bytes)) {
            Some(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(Ok(length)) => Ok(bytes.get(..length).unwrap_or_default().to_vec()),
            Some(Err(error)) if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Err(error)
            }
            _ => Ok(Vec::new()),
        }
    }
}

impl Glass for Terminal {
    fn size(&self) -> Size {
        let told = tcgetwinsize(&self.file).map(|size| Size { width: size.ws_col, height: size.ws_row });
        let told = told.unwrap_or(USUAL);
        let or = |told: u16, usual: u16| if told == 0 { usual } else { told.min(MOST) };
        Size { width: or(told.width, USUAL.width), height: or(told.height, USUAL.height) }
    }

    /// Waits where the terminal stands still, until we are told to end: that is `Interrupted`.
    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match (&self.file).write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.signals.ends().is_some() {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                    wait(&mut [PollFd::new(&self.file, PollFlags::OUT)], Duration::from_secs(1))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Waits; a signal ends it early.
fn wait(ready: &mut [PollFd<'_>], most: Duration) -> io::Result<()> {
    let most =
        Timespec { tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX), tv_nsec: most.subsec_nanos().into() };
    match poll(ready, Some(&most)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
