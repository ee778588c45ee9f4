//! The way to systemd: its own socket for root, the system's bus for everybody. Nothing is started to ask, as
//! `systemctl` would be: that costs as much processor time as a third of a sample.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::message::{self, Call, Given, Reply};
use crate::measure::root::Root;

/// Root's own, which needs no bus.
const PRIVATE: &str = "/run/systemd/private";
const SYSTEM: &str = "/run/dbus/system_bus_socket";
/// The most bytes of one message: thousands of failed units.
const MAX_MESSAGE: usize = 4 << 20;
/// The most bytes of a line while we log in.
const MAX_LINE: usize = 512;

/// A connection that ends at its time.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    end: Instant,
    /// The number of the last call.
    number: u32,
    /// What is to be said before the next calls.
    ahead: Vec<u8>,
    /// What came and was not looked at yet.
    come: Vec<u8>,
}

impl Bus {
    /// Connects and logs in: to systemd itself where that is wanted and allowed, else to the bus.
    ///
    /// # Errors
    /// Those of the socket; `PermissionDenied` where we are not let in; `TimedOut`.
    pub(super) fn open(root: &Root, patience: Duration, itself: bool) -> io::Result<Self> {
        let own = rustix::process::geteuid();
        let end = Instant::now() + patience;
        let private = if itself && own.is_root() { UnixStream::connect(root.path(PRIVATE)).ok() } else { None };
        let on_bus = private.is_none();
        let stream = private.map_or_else(|| UnixStream::connect(root.path(SYSTEM)), Ok)?;
        let mut bus = Self { stream, end, number: 0, ahead: b"BEGIN\r\n".to_vec(), come: Vec::new() };
        let uid: String = own.as_raw().to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
        bus.say(format!("\0AUTH EXTERNAL {uid}\r\n").as_bytes())?;
        while !bus.come.ends_with(b"\r\n") {
            if bus.come.len() > MAX_LINE {
                return Err(nonsense());
            }
            bus.hear()?;
        }
        if !std::mem::take(&mut bus.come).starts_with(b"OK") {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the login was refused"));
        }
        if on_bus {
            let bus_itself = "org.freedesktop.DBus";
            let path = "/org/freedesktop/DBus";
            // Its answer, our name there, is of no use.
            let given = Given::Nothing;
            let hello = Call { destination: bus_itself, path, interface: bus_itself, member: "Hello", given };
            bus.number += 1;
            hello.put(bus.number, &mut bus.ahead);
        }
        Ok(bus)
    }

    /// Calls all at once; the answers come in the order of the calls. `None` for a call that was answered by an error,
    /// which is told where all were.
    ///
    /// # Errors
    /// Those of the connection; `PermissionDenied` and others where each call was refused.
    pub(super) fn ask(&mut self, calls: &[Call]) -> io::Result<Vec<Option<Reply>>> {
        let first = self.number + 1;
        let mut bytes = std::mem::take(&mut self.ahead);
        for call in calls {
            self.number += 1;
            call.put(self.number, &mut bytes);
        }
        self.say(&bytes)?;
        let mut answers: Vec<Option<Reply>> = calls.iter().map(|_| None).collect();
        let (mut missing, mut refused) = (calls.len(), Vec::new());
        while missing > 0 {
            let reply = self.next()?;
            let place = reply.to.checked_sub(first).and_then(|at| usize::try_from(at).ok());
            let Some(place) = place.and_then(|at| answers.get_mut(at)) else { continue };
            missing -= 1;
            match &reply.error {
                Some(error) => refused.push(error.clone()),
                None => *place = Some(reply),
            }
        }
        match refused.pop() {
            Some(error) if refused.len() + 1 == calls.len() => {
                let kind = match error.rsplit('.').next() {
                    Some("AccessDenied") => io::ErrorKind::PermissionDenied,
                    Some("UnknownProperty" | "UnknownMethod") => io::ErrorKind::Unsupported,
                    _ => io::ErrorKind::Other,
                };
                Err(io::Error::new(kind, error))
            }
            _ => Ok(answers),
        }
    }

    /// The next message, whoever it is for.
    fn next(&mut self) -> io::Result<Reply> {
        loop {
            let length = match self.come.first_chunk() {
                Some(head) => message::length(head).filter(|length| *length <= MAX_MESSAGE).ok_or_else(nonsense)?,
                None => usize::MAX,
            };
            if let Some(message) = self.come.get(..length) {
                let reply = Reply::parse(message).ok_or_else(nonsense);
                self.come.drain(..length);
                return reply;
            }
            self.hear()?;
        }
    }

    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write_all(bytes).map_err(late)
    }

    fn hear(&mut self) -> io::Result<()> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        let mut buffer = [0; 8192];
        match self.stream.read(&mut buffer).map_err(late)? {
            0 => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was closed")),
            length => {
                self.come.extend(buffer.iter().take(length));
                Ok(())
            }
        }
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(late(io::ErrorKind::TimedOut.into())) } else { Ok(left) }
    }
}

fn late(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
        }
        _ => error,
    }
}

fn nonsense() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what it says is not understood")
}
