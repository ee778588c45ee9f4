//! SSH: sessions bounded by a deadline, host keys with OpenSSH's semantics, the probe's deployment, and the same
//! conversation with a child process for the monitoring machine itself.

use std::io::{self, Read, Write};
use std::time::Instant;

use crate::model::cause::Cause;
use crate::model::job::Traffic;
use crate::model::secret::Secret;

mod agent;
mod auth;
mod bastions;
mod carrier;
pub mod certificate;
mod connect;
pub mod deploy;
pub mod erase;
mod gate;
pub mod hostkey;
mod jump;
pub mod known_hosts;
mod link;

pub mod local;
mod manifest;
mod opening;
mod session;
mod unlock;

pub use auth::public_key;
pub use bastions::Bastions;
pub use jump::{is_lasting, lasting_blame};
pub use session::{Session, connect, scan};

/// Secrets for one host, read by `app` where the configuration says they are.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// For password and keyboard-interactive login; without it neither is tried.
    pub password: Option<Secret>,
    /// For encrypted key files.
    pub passphrase: Option<Secret>,
    /// Those for the bastions on the way to it, in their order.
    pub hops: Vec<Secrets>,
}

/// Why a host could not be reached, logged into, or talked to.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct SshError {
    /// The cause, for the store.
    pub cause: Cause,
    /// For people; may hold bytes from the peer, so it must be cleaned before it is shown.
    pub text: String,
    /// What it cost until then.
    pub traffic: Traffic,
}

impl SshError {
    /// An error that cost nothing yet.
    pub fn new(cause: Cause, text: impl Into<String>) -> Self {
        Self { cause, text: text.into(), traffic: Traffic::default() }
    }
}

/// A conversation with a command on a host; reads and writes end with `TimedOut` at the deadline.
pub trait Stream: Read + Write {
    /// Sets until when every further read and write must be done, and how many bytes more may arrive.
    fn bound(&mut self, deadline: Instant, receive: u64);
    /// What it cost so far.
    fn traffic(&self) -> Traffic;
    /// What arrived on standard error so far, at most 16 KiB, not cleaned.
    fn complaint(&self) -> &[u8];
    /// Sends what was written and ends the conversation, so that the command reads all of it and then the end of its
    /// input. Waits for nothing that would cost a round trip.
    ///
    /// # Errors
    /// As for writing.
    fn part(&mut self) -> io::Result<()>;
    /// How the command ended, for people, if that is known: `signal KILL`, `exit status 126`.
    fn ending(&mut self) -> Option<String>;
}

/// The most that is read of a command's standard error; more ends the visit.
pub const MAX_COMPLAINT: usize = 16 * 1024;
