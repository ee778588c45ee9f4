//! What carries a session's bytes: a TCP connection, or a channel of the session with the bastion before it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::sockopt;

use super::gate;
use super::link::Break;
use super::session::Session;
use crate::model::job::Traffic;

/// The longest single wait for the network. The deadline is looked at after each.
const GLANCE: Duration = Duration::from_millis(500);

/// What a bastion's session adds to the bytes that it carries: packets, and its own login.
const WRAPPING: u64 = 512 * 1024;

pub(super) enum Carrier {
    Tcp {
        stream: TcpStream,
        /// The timeouts that the socket has: setting them for each call would cost as much as the call.
        patience: [Option<Duration>; 2],
    },
    Through {
        /// The bastion's name.
        name: String,
        session: Box<Session>,
    },
}

impl Carrier {
    pub(super) fn tcp(stream: TcpStream) -> Self {
        Self::Tcp { stream, patience: [None, None] }
    }

    /// Reads what is there, or waits for some of the time; zero bytes came if that was in vain.
    pub(super) fn read(&mut self, buffer: &mut [u8], left: Duration) -> Result<usize, Break> {
        match self {
            Self::Tcp { stream, patience } => {
                set_patience(stream, patience, false, left)?;
                match gate::outside(|| stream.read(buffer)) {
                    Ok(0) => Err(Break::Closed),
                    Ok(count) => {
                        // The kernel takes this back by itself; without it, acknowledgements wait up to 40 ms for
                        // company, and a server that holds back small packets until then (Nagle) makes us wait as long.
                        let _ = sockopt::set_tcp_quickack(&*stream, true);
                        Ok(count)
                    }
                    Err(error) => passing(error),
                }
            }
            Self::Through { name, session } => match session.read(buffer) {
                Ok(0) => Err(Break::Closed),
                Ok(count) => Ok(count),
                Err(error) => Err(carried(name, error)),
            },
        }
    }

    /// Writes some of the bytes.
    pub(super) fn write(&mut self, bytes: &[u8], left: Duration) -> Result<usize, Break> {
        match self {
            Self::Tcp { stream, patience } => {
                set_patience(stream, patience, true, left)?;
                stream.write(bytes).or_else(passing)
            }
            Self::Through { name, session } => session.write(bytes).map_err(|error| carried(name, error)),
        }
    }

    /// Sends what was written.
    pub(super) fn flush(&mut self) -> Result<(), Break> {
        match self {
            Self::Tcp { .. } => Ok(()),
            Self::Through { name, session } => session.flush().map_err(|error| carried(name, error)),
        }
    }

    /// What all of it cost on the network, where the line itself cannot know.
    pub(super) fn traffic(&self) -> Option<Traffic> {
        match self {
            Self::Tcp { .. } => None,
            Self::Through { session, .. } => Some(session.cost()),
        }
    }

    pub(super) fn bound(&mut self, deadline: Instant, allowance: u64) {
        if let Self::Through { session, .. } = self {
            session.bound_line(deadline, allowance.saturating_add(allowance / 8).saturating_add(WRAPPING));
        }
    }

    /// Says that nothing more comes, without cutting off what is under way.
    pub(super) fn part(&mut self) -> Result<(), Break> {
        match self {
            Self::Tcp { stream, .. } => stream.shutdown(Shutdown::Write).map_err(Break::Io),
            Self::Through { name, session } => session.end_channel().map_err(|error| carried(name, error)),
        }
    }

    /// Ends it without waiting; the last bytes go if there is room for them. How many went.
    pub(super) fn close(&mut self, last: &[u8]) -> usize {
        match self {
            Self::Tcp { stream, .. } => {
                let sent = stream.set_nonblocking(true).and_then(|()| stream.write(last)).unwrap_or(0);
                let _ = stream.shutdown(Shutdown::Both);
                sent
            }
            // Its own end follows, when it is dropped.
            Self::Through { session, .. } => session.offer(last),
        }
    }
}

/// Lets the next read or write wait until the deadline, but not much over [`GLANCE`] at once.
fn set_patience(
    stream: &TcpStream,
    patience: &mut [Option<Duration>; 2],
    writing: bool,
    left: Duration,
) -> Result<(), Break> {
    let wanted = Some(left.min(GLANCE));
    let known = &mut patience[usize::from(writing)];
    if *known != wanted {
        *known = wanted;
        let set = if writing { stream.set_write_timeout(wanted) } else { stream.set_read_timeout(wanted) };
        set.map_err(Break::Io)?;
    }
    Ok(())
}

/// Errors after which one tries again, until the deadline says no.
fn passing(error: io::Error) -> Result<usize, Break> {
    match error.kind() {
        // A socket's timeout shows as WouldBlock on Linux; the caller's next look at the deadline ends it.
        ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(0),
        // TCP itself gave up. The kind would read as our own deadline.
        ErrorKind::TimedOut => {
            Err(Break::Io(io::Error::new(ErrorKind::ConnectionAborted, "the host is not there any more")))
        }
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Err(Break::Closed),
        _ => Err(Break::Io(error)),
    }
}

/// What an error of the bastion's session means for what it carries.
fn carried(name: &str, error: io::Error) -> Break {
    match error.kind() {
        ErrorKind::TimedOut => Break::Deadline,
        ErrorKind::FileTooLarge => Break::Oversize,
        // One before it, which it names.
        ErrorKind::NetworkDown => Break::Bastion(error.to_string()),
        ErrorKind::ConnectionReset => Break::Bastion(format!("bastion {name} closed the connection")),
        _ => Break::Bastion(format!("the connection to bastion {name} broke: {error}")),
    }
}
