//! The line between libssh2 and the network: a socket pair on libssh2's side, TCP on the other, moved by hand.
//!
//! libssh2 never sees the network's socket. That is what makes the deadline absolute (`Session::set_timeout` bounds one
//! call, and a peer that drips a byte a second keeps one call running for ever), what makes dropping a session
//! unable to block, and what makes the counts of bytes and round trips exact.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::model::job::Traffic;

/// Why the line ended.
#[derive(Debug)]
pub(super) enum Break {
    /// The deadline passed.
    Deadline,
    /// The peer closed the connection.
    Closed,
    /// More bytes came than were allowed.
    Oversize,
    /// Something else happened to the connection.
    Io(io::Error),
}

pub(super) struct Link {
    tcp: TcpStream,
    near: UnixStream,
    deadline: Instant,
    allowance: u64,
    traffic: Traffic,
    /// Something was sent since the last wait, so that the next wait is a round trip.
    owed: bool,
    /// What came from the network and did not fit into libssh2's side yet.
    pending: Vec<u8>,
    buffer: Box<[u8]>,
}

impl Link {
    /// Wraps a connected socket; returns the end that libssh2 is given.
    pub(super) fn new(tcp: TcpStream, deadline: Instant, allowance: u64) -> io::Result<(Self, UnixStream)> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        let traffic = Traffic { round_trips: 1, ..Traffic::default() };
        let buffer = vec![0; 32 * 1024].into_boxed_slice();
        Ok((Self { tcp, near, deadline, allowance, traffic, owed: false, pending: Vec::new(), buffer }, far))
    }

    pub(super) fn bound(&mut self, deadline: Instant, allowance: u64) {
        self.deadline = deadline;
        self.allowance = allowance;
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.traffic
    }

    fn remaining(&self) -> Result<Duration, Break> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        // A timeout of zero would mean none at all.
        if left < Duration::from_millis(1) { Err(Break::Deadline) } else { Ok(left) }
    }

    /// Sends what libssh2 has written; true if there was anything.
    pub(super) fn flush(&mut self) -> Result<bool, Break> {
        let mut moved = false;
        loop {
            let count = match self.near.read(&mut self.buffer) {
                Ok(0) => return Ok(moved),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(moved),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Break::Io(error)),
            };
            let mut done = 0;
            while done < count {
                let left = self.remaining()?;
                self.tcp.set_write_timeout(Some(left)).map_err(Break::Io)?;
                match self.tcp.write(&self.buffer[done..count]) {
                    Ok(written) => {
                        done += written;
                        self.traffic.sent += written as u64;
                    }
                    Err(error) => passing(error)?,
                }
            }
            moved = true;
            self.owed = true;
        }
    }

    /// Called when libssh2 can do no more by itself: sends what it has written, then waits for the network unless
    /// libssh2 was only kept from writing.
    pub(super) fn step(&mut self, wants_to_write: bool) -> Result<(), Break> {
        self.remaining()?;
        let moved = self.flush()?;
        if self.deliver()? || (moved && wants_to_write) {
            return Ok(());
        }
        if !self.pending.is_empty() {
            // libssh2 takes nothing and gives nothing: wait a little instead of spinning; the deadline ends it.
            std::thread::sleep(Duration::from_millis(2));
            return Ok(());
        }
        if std::mem::take(&mut self.owed) {
            self.traffic.round_trips += 1;
        }
        let left = self.remaining()?;
        self.tcp.set_read_timeout(Some(left)).map_err(Break::Io)?;
        match self.tcp.read(&mut self.buffer) {
            Ok(0) => return Err(Break::Closed),
            Ok(count) => {
                self.traffic.received += count as u64;
                self.allowance = self.allowance.checked_sub(count as u64).ok_or(Break::Oversize)?;
                self.pending.extend_from_slice(&self.buffer[..count]);
            }
            Err(error) => return passing(error),
        }
        self.deliver().map(|_| ())
    }

    /// Hands to libssh2 what waits for it; true if anything went.
    fn deliver(&mut self) -> Result<bool, Break> {
        if self.pending.is_empty() {
            return Ok(false);
        }
        match self.near.write(&self.pending) {
            Ok(count) => {
                self.pending.drain(..count);
                Ok(count > 0)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(false),
            Err(error) => Err(Break::Io(error)),
        }
    }

    /// Ends the line for both sides without waiting; what libssh2 wrote last goes if there is room for it.
    pub(super) fn close(&mut self) {
        if self.tcp.set_nonblocking(true).is_ok()
            && let Ok(count) = self.near.read(&mut self.buffer)
            && let Ok(sent) = self.tcp.write(&self.buffer[..count])
        {
            self.traffic.sent += sent as u64;
        }
        let _ = self.tcp.shutdown(Shutdown::Both);
        let _ = self.near.shutdown(Shutdown::Both);
    }
}

/// Errors after which one tries again, until the deadline says no.
fn passing(error: io::Error) -> Result<(), Break> {
    match error.kind() {
        // A socket's timeout shows as WouldBlock on Linux; the caller's next look at the deadline ends it.
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(()),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Err(Break::Closed),
        _ => Err(Break::Io(error)),
    }
}
