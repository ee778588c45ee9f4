//! What keeper and dialer say to each other ([`crate::model::job`]), as bytes. Sealed files go as they are.
//!
//! The keeper takes what comes for hostile: the dialer may have become somebody else's. Lengths are looked at before
//! anything is kept, and a message has one form only.

use std::path::PathBuf;
use std::time::Duration;

use super::fence::Fence;
use super::fields::{Reader, Writer};
use crate::model::cause::Cause;
use crate::model::job::{FromDialer, Job, ToDialer, Traffic};
use crate::model::secret::{Secret, SecretSource};
use crate::model::spec::{Hop, SshSpec, Transport, UnknownHosts};
use crate::wire::MAX_FILE;
use crate::wire::task::MAX_TASK;

/// The longest message to the dialer: the first, where thousands of hosts have files of their own. Another holds a task,
/// and how the host is reached.
pub const MAX_ORDER: usize = 16 * 1024 * 1024;
/// The longest message from the dialer: a sealed file with its name.
pub const MAX_SAID: usize = MAX_FILE + 8 * 1024;

/// The dialer's first word, before any order: it is one, and of this version.
pub const READY: &[u8] = concat!("fleet-dialer ", env!("CARGO_PKG_VERSION")).as_bytes();

/// Its second: its fence is up, and the probes are read; hosts may be named. One that dies before would die of any host.
pub const SET: &[u8] = b"set";

/// A name of a host has 64 bytes at most; the name that a bastion is known by may be an address.
const MAX_NAME: usize = 255;
/// What a person typed, or a file said in a line.
const MAX_WORD: usize = 64 * 1024;
/// Files, bastions, names of files to delete.
const MAX_LIST: usize = 4096;

/// A key and a password file of its own for each host of a large fleet.
const MAX_FENCE: usize = 64 * 1024;

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(super) &'static str);

/// From the keeper to the dialer.
#[derive(Debug)]
pub enum Order {
    /// The first.
    Begin {
        /// How many visits there will be at once.
        width: u32,
        /// The folder with `<arch>-linux/fleet-probe`, to read them before the first host's time begins.
        probes: PathBuf,
        /// What the dialer must not touch from then on.
        fence: Fence,
    },
    /// Visit a host.
    Visit(Box<Job>),
    /// What a host may delete.
    Answer(ToDialer),
}

impl Order {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Begin { width, probes, fence: Fence { closed, open, write } } => {
                out.byte(0);
                out.small(*width);
                out.path(probes);
                for paths in [closed, open] {
                    out.list(paths, |out, path| out.path(path));
                }
                out.option(write.as_ref(), |out, paths| out.list(paths, |out, path| out.path(path)));
            }
            Self::Visit(job) => {
                out.byte(1);
                write_job(&mut out, job);
            }
            Self::Answer(ToDialer { host, acknowledged }) => {
                out.byte(2);
                out.text(host);
                out.list(acknowledged, |out, name| out.text(name));
            }
        }
        out.0
    }

    /// The message that the bytes are.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader(bytes);
        let order = match from.byte()? {
            0 => {
                let (width, probes) = (from.small()?, from.path()?);
                let closed = from.list(MAX_FENCE, Reader::path)?;
                let open = from.list(MAX_FENCE, Reader::path)?;
                let write = from.option(|from| from.list(MAX_FENCE, Reader::path))?;
                Self::Begin { width, probes, fence: Fence { closed, open, write } }
            }
            1 => Self::Visit(Box::new(read_job(&mut from)?)),
            2 => {
                let host = from.text(MAX_NAME)?;
                Self::Answer(ToDialer { host, acknowledged: from.list(MAX_LIST, |from| from.text(MAX_NAME))? })
            }
            _ => return Err(Malformed("an order of no known kind")),
        };
        from.end(order)
    }
}

/// From the dialer to the keeper: what it says, so long after the visit began.
#[derive(Debug)]
pub struct Said {
    /// What.
    pub what: FromDialer,
    /// How long the visit took until then.
    pub took: Duration,
}

impl Said {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match &self.what {
            FromDialer::Sealed { host, name, bytes } => {
                out.0.reserve(bytes.len() + 128);
                head(&mut out, 0, host, self.took);
                out.text(name);
                out.bytes(bytes);
            }
            FromDialer::Pulled { host, left, dropped } => {
                head(&mut out, 1, host, self.took);
                out.small(*left);
                out.large(*dropped);
            }
            FromDialer::Finished { host, traffic } => {
                head(&mut out, 2, host, self.took);
                write_traffic(&mut out, *traffic);
            }
            FromDialer::Failed { host, cause, text, traffic } => {
                head(&mut out, 3, host, self.took);
                out.text(cause.word());
                out.text(text);
                write_traffic(&mut out, *traffic);
            }
        }
        out.0
    }

    /// The message that the bytes are.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader(bytes);
        let kind = from.byte()?;
        let host = from.text(MAX_NAME)?;
        let took = Duration::from_micros(from.large()?);
        let what = match kind {
            0 => FromDialer::Sealed { host, name: from.text(MAX_NAME)?, bytes: from.bytes(MAX_SAID)?.to_vec() },
            1 => FromDialer::Pulled { host, left: from.small()?, dropped: from.large()? },
            2 => FromDialer::Finished { host, traffic: read_traffic(&mut from)? },
            3 => {
                let cause = Cause::from_word(&from.text(MAX_NAME)?).ok_or(Malformed("a cause that there is not"))?;
                FromDialer::Failed { host, cause, text: from.text(MAX_WORD)?, traffic: read_traffic(&mut from)? }
            }
            _ => return Err(Malformed("words of no known kind")),
        };
        from.end(Self { what, took })
    }
}

fn head(out: &mut Writer, kind: u8, host: &str, took: Duration) {
    out.byte(kind);
    out.text(host);
    out.large(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
}

fn write_traffic(out: &mut Writer, Traffic { sent, received, round_trips, shipped }: Traffic) {
    out.large(sent);
    out.large(received);
    out.small(round_trips);
    out.flag(shipped);
}

fn read_traffic(from: &mut Reader<'_>) -> Result<Traffic, Malformed> {
    Ok(Traffic { sent: from.large()?, received: from.large()?, round_trips: from.small()?, shipped: from.flag()? })
}

fn write_job(out: &mut Writer, job: &Job) {
    let Job { host, transport, nonce, task, pull_bytes, pull_files, probes, timeout } = job;
    out.text(host);
    out.text(nonce);
    out.text(task.expose());
    out.large(*pull_bytes);
    out.small(*pull_files);
    out.path(probes);
    write_time(out, *timeout);
    match transport {
        Transport::Local => out.byte(0),
        Transport::Ssh(spec) => {
            out.byte(1);
            write_spec(out, spec);
            out.list(&spec.jumps, |out, hop| {
                out.text(&hop.name);
                write_spec(out, &hop.ssh);
            });
        }
    }
}

fn read_job(from: &mut Reader<'_>) -> Result<Job, Malformed> {
    Ok(Job {
        host: from.text(MAX_NAME)?,
        nonce: from.text(MAX_NAME)?,
        task: Secret::new(from.text(MAX_TASK)?),
        pull_bytes: from.large()?,
        pull_files: from.small()?,
        probes: from.path()?,
        timeout: read_time(from)?,
        transport: match from.byte()? {
            0 => Transport::Local,
            1 => {
                let mut spec = read_spec(from)?;
                spec.jumps = from.list(MAX_LIST, |from| {
                    let name = from.text(MAX_WORD)?;
                    Ok(Hop { name, ssh: read_spec(from)? })
                })?;
                Transport::Ssh(spec)
            }
            _ => return Err(Malformed("a way of no known kind")),
        },
    })
}

fn write_time(out: &mut Writer, time: Duration) {
    out.large(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
}

fn read_time(from: &mut Reader<'_>) -> Result<Duration, Malformed> {
    from.large().map(Duration::from_micros)
}

/// All but the bastions: those of a bastion are none.
fn write_spec(out: &mut Writer, spec: &SshSpec) {
    let SshSpec {
        address,
        port,
        user,
        key_files,
        passphrase,
        password,
        agent,
        agent_socket,
        agent_keys,
        known_hosts,
        unknown_hosts,
        fingerprint,
        certificate_files,
        known_as,
        connect_timeout,
        jumps: _,
    } = spec;
    out.text(address);
    out.small(u32::from(*port));
    out.text(user);
    out.list(key_files, |out, file| out.path(file));
    out.option(passphrase.as_ref(), write_source);
    out.option(password.as_ref(), write_source);
    out.flag(*agent);
    out.option(agent_socket.as_deref(), Writer::path);
    out.list(agent_keys, |out, key| out.text(key));
    out.list(known_hosts, |out, file| out.path(file));
    out.flag(*unknown_hosts == UnknownHosts::AcceptNew);
    out.option(fingerprint.as_deref(), Writer::text);
    out.list(certificate_files, |out, file| out.path(file));
    out.option(known_as.as_deref(), Writer::text);
    out.option(*connect_timeout, write_time);
}

fn read_spec(from: &mut Reader<'_>) -> Result<SshSpec, Malformed> {
    Ok(SshSpec {
        address: from.text(MAX_WORD)?,
        port: u16::try_from(from.small()?).map_err(|_| Malformed("a port that there is not"))?,
        user: from.text(MAX_WORD)?,
        key_files: from.list(MAX_LIST, Reader::path)?,
        passphrase: from.option(read_source)?,
        password: from.option(read_source)?,
        agent: from.flag()?,
        agent_socket: from.option(Reader::path)?,
        agent_keys: from.list(MAX_LIST, |from| from.text(MAX_WORD))?,
        known_hosts: from.list(MAX_LIST, Reader::path)?,
        unknown_hosts: if from.flag()? { UnknownHosts::AcceptNew } else { UnknownHosts::Refuse },
        fingerprint: from.option(|from| from.text(MAX_WORD))?,
        certificate_files: from.list(MAX_LIST, Reader::path)?,
        known_as: from.option(|from| from.text(MAX_WORD))?,
        connect_timeout: from.option(read_time)?,
        jumps: Vec::new(),
    })
}

fn write_source(out: &mut Writer, source: &SecretSource) {
    match source {
        SecretSource::Inline(secret) => {
            out.byte(0);
            out.text(secret.expose());
        }
        SecretSource::File(file) => {
            out.byte(1);
            out.path(file);
        }
        SecretSource::Environment(name) => {
            out.byte(2);
            out.text(name);
        }
        SecretSource::Command(line) => {
            out.byte(3);
            out.text(line);
        }
        SecretSource::Credential(name) => {
            out.byte(4);
            out.text(name);
        }
    }
}

fn read_source(from: &mut Reader<'_>) -> Result<SecretSource, Malformed> {
    Ok(match from.byte()? {
        0 => SecretSource::Inline(Secret::new(from.text(MAX_WORD)?)),
        1 => SecretSource::File(from.path()?),
        2 => SecretSource::Environment(from.text(MAX_WORD)?),
        3 => SecretSource::Command(from.text(MAX_WORD)?),
        4 => SecretSource::Credential(from.text(MAX_WORD)?),
        _ => return Err(Malformed("a secret from no known place")),
    })
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
