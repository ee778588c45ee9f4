//! What the dialer (who speaks SSH) and the keeper (who decrypts and stores) say to each other.
//!
//! Between the collector's two processes they travel over a line (`app::dialer::message`); where a person tests hosts, and
//! for this machine itself, threads exchange the same.

use std::path::PathBuf;
use std::time::Duration;

use super::cause::Cause;
use super::secret::Secret;
use super::spec::Transport;

/// One host to visit.
#[derive(Clone, Debug)]
pub struct Job {
    /// The host's name.
    pub host: String,
    /// How it is reached.
    pub transport: Transport,
    /// 32 hexadecimal digits, fresh for this host and run; comes back in the frame and inside the sealed stats.
    pub nonce: String,
    /// The task for the probe, encoded by `wire`: one line without line break. Checks carry their secrets in it.
    pub task: Secret,
    /// Bytes of files that the task asks for; one more file may come.
    pub pull_bytes: u64,
    /// Files that the task asks for.
    pub pull_files: u32,
    /// The folder with `<arch>-linux/fleet-probe`.
    pub probes: PathBuf,
    /// From connect to acknowledgement.
    pub timeout: Duration,
}

/// Bytes and round trips of one visit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes sent, the whole TCP stream.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// Times that we had to wait for an answer to what we had sent, TCP's own included: the host's latency is paid so often.
    pub round_trips: u32,
    /// Whether the probe had to be shipped.
    pub shipped: bool,
}

/// From the dialer to the keeper.
#[derive(Clone, Debug)]
pub enum FromDialer {
    /// One pending file, still sealed.
    Sealed {
        /// The host of the session, never of the payload.
        host: String,
        /// The file's name on the host.
        name: String,
        /// The age file.
        bytes: Vec<u8>,
    },
    /// The end marker came: all of the host's files were handed over. The dialer waits for [`ToDialer`].
    Pulled {
        /// The host.
        host: String,
        /// Files that stay on the host for the next sweep, because of the limit.
        left: u32,
        /// Files that the host's spool had to drop since the last pull.
        dropped: u64,
    },
    /// The visit is over and nothing more comes for this host, whether or not the acknowledgement got through.
    Finished {
        /// The host.
        host: String,
        /// What it cost.
        traffic: Traffic,
    },
    /// The visit failed before [`FromDialer::Pulled`]; nothing more comes for this host.
    Failed {
        /// The host.
        host: String,
        /// Why.
        cause: Cause,
        /// What happened, for people: one line, cleaned, at most 512 bytes, no secrets.
        text: String,
        /// What it cost.
        traffic: Traffic,
    },
}

/// From the keeper to the dialer, after [`FromDialer::Pulled`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToDialer {
    /// The host.
    pub host: String,
    /// Names of files that are committed, or that never can be: the probe deletes them. The others stay.
    pub acknowledged: Vec<String>,
}
