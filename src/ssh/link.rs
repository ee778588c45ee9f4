//! The line between libssh2 and the network: a socket pair on libssh2's side, a carrier on the other, moved by hand.
//!
//! libssh2 never sees the network's socket. That is what makes the deadline absolute (`Session::set_timeout` bounds one
//! call, and a peer that drips a byte a second keeps one call running for ever), what makes dropping a session
//! unable to block, and what makes the counts of bytes and round trips exact.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::carrier::Carrier;
use super::opening::Opening;
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
    /// The bastion that carries the line, or one before it, is gone.
    Bastion(String),
    /// Something else happened to the connection.
    Io(io::Error),
}

pub(super) struct Link {
    carrier: Carrier,
    near: UnixStream,
    deadline: Instant,
    allowance: u64,
    traffic: Traffic,
    /// Something was sent since the last wait, so that the next wait is a round trip.
    owed: bool,
    /// What libssh2 has written and was not sent yet.
    outbox: Vec<u8>,
    opening: Opening,
    /// What came from the network and did not fit into libssh2's side yet.
    pending: Vec<u8>,
    buffer: Box<[u8]>,
}

impl Link {
    /// Wraps what is connected; returns the end that libssh2 is given.
    pub(super) fn new(carrier: Carrier, deadline: Instant, allowance: u64) -> io::Result<(Self, UnixStream)> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        let traffic = Traffic { round_trips: 1, ..Traffic::default() };
        let buffer = vec![0; 32 * 1024].into_boxed_slice();
        let link = Self {
            carrier,
            near,
            deadline,
            allowance,
            traffic,
            owed: false,
            outbox: Vec::new(),
            opening: Opening::new(),
            pending: Vec::new(),
            buffer,
        };
        Ok((link, far))
    }

    pub(super) fn bound(&mut self, deadline: Instant, allowance: u64) {
        self.deadline = deadline;
        self.allowance = allowance;
        self.carrier.bound(deadline, allowance);
    }

    /// What it cost on the network.
    pub(super) fn traffic(&self) -> Traffic {
        self.carrier.traffic().unwrap_or(self.traffic)
    }

    /// The time until the deadline.
    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn remaining(&self) -> Result<Duration, Break> {
        let left = self.left();
        // A timeout of zero would mean none at all.
        if left < Duration::from_millis(1) { Err(Break::Deadline) } else { Ok(left) }
    }

    /// Sends what libssh2 has written; true if there was anything.
    pub(super) fn flush(&mut self) -> Result<bool, Break> {
        let moved = self.send()?;
        if moved {
            // The server's key exchange proposal answers our version and is under way together with its version:
            // where ours was the last that we sent, waiting for its is no trip of its own.
            self.owed |= !self.opening.proposed();
        }
        Ok(moved)
    }

    fn send(&mut self) -> Result<bool, Break> {
        self.gather()?;
        let mut done = 0;
        while done < self.outbox.len() {
            let wait = self.remaining()?;
            let written = self.carrier.write(&self.outbox[done..], wait)?;
            done += written;
            self.traffic.sent += written as u64;
        }
        self.outbox.clear();
        if done > 0 {
            self.carrier.flush()?;
        }
        Ok(done > 0)
    }

    /// Takes what libssh2 has written, without sending it.
    fn gather(&mut self) -> Result<(), Break> {
        loop {
            match self.near.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    self.opening.see(&self.buffer[..count]);
                    self.outbox.extend_from_slice(&self.buffer[..count]);
                    // Less than there was room for: that was all.
                    if count < self.buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Break::Io(error)),
            }
        }
    }

    /// Whether libssh2 has asked for the login service, with nothing sent since.
    pub(super) fn asks_to_log_in(&mut self) -> Result<bool, Break> {
        self.gather()?;
        Ok(self.opening.asked())
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
        let wait = self.remaining()?;
        let count = self.carrier.read(&mut self.buffer, wait)?;
        self.traffic.received += count as u64;
        self.allowance = self.allowance.checked_sub(count as u64).ok_or(Break::Oversize)?;
        self.pending.extend_from_slice(&self.buffer[..count]);
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

    /// Sends what is left and says that nothing more comes, without cutting off what is under way.
    pub(super) fn part(&mut self) -> Result<(), Break> {
        self.flush()?;
        self.carrier.part()
    }

    /// Ends the line for both sides without waiting; what libssh2 wrote last goes if there is room for it.
    pub(super) fn close(&mut self) {
        let left = if self.gather().is_ok() { self.outbox.as_slice() } else { &[] };
        self.traffic.sent += self.carrier.close(left) as u64;
        let _ = self.near.shutdown(Shutdown::Both);
    }
}
