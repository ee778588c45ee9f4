//! One SSH session to one host: connected, its key verified, logged in, one command.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use ssh2::{BlockDirections, ErrorCode, MethodType};

use super::bastions::Bastions;
use super::carrier::Carrier;
use super::hostkey::Shown;
use super::known_hosts::{self, Verdict};
use super::link::{Break, Link};
use super::{MAX_COMPLAINT, Secrets, SshError, Stream, auth, gate, jump};
use crate::model::cause::Cause;
use crate::model::job::Traffic;
use crate::model::spec::{SshSpec, UnknownHosts};

/// What may arrive before login: an honest server sends about 5 kB.
pub(super) const BEFORE_LOGIN: u64 = 512 * 1024;

/// Types of host keys in the order in which we ask for them when none is known; never SHA-1 or DSA.
const HOST_KEYS: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// Asked for before those where known_hosts names an authority for the host.
const CERTIFICATES: &str = "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,\
                            ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com,\
                            rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,";

/// Key exchanges, best first; no SHA-1 (group1, group14-sha1). libssh2 adds strict-kex and extension negotiation.
const KEXES: &str = "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,\
                     ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,\
                     diffie-hellman-group14-sha256";

/// Ciphers, those first that processors know and that cost least; no CBC, no RC4, no 3DES.
const CIPHERS: &str =
    "aes256-gcm@openssh.com,aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr";

/// Authentication codes, used with the counter modes only; no MD5, no SHA-1.
const MACS: &str = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512";

/// Why a step of the protocol did not succeed.
#[derive(Debug)]
pub(super) enum Problem {
    /// The line.
    Line(Break),
    /// What libssh2 says.
    Ssh(ssh2::Error),
}

/// A session. Dropping it never blocks.
pub struct Session {
    // The order matters: the line is cut before libssh2 takes its leave, so that there is nothing to wait for.
    link: Link,
    channel: Option<ssh2::Channel>,
    ssh: ssh2::Session,
    complaint: Vec<u8>,
    /// The handshake is over, the login service granted.
    opened: bool,
    /// Nothing is to be said any more: the conversation was ended in order, and cutting the line could overtake our last
    /// words; or another thread holds libssh2's session and asking for it would wait.
    parted: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.parted {
            let _ = self.ssh.disconnect(None, "done", None);
            self.link.close();
        }
    }
}

/// Connects, over its bastions where it has some, verifies the host key, and only then logs in.
///
/// # Errors
/// [`SshError`] with the cause of the stage at which it ended.
pub fn connect(spec: &SshSpec, secrets: &Secrets, bastions: &Bastions, deadline: Instant) -> Result<Session, SshError> {
    if let Some(why) = auth::hopeless(spec, secrets, &bastions.agents) {
        return Err(SshError::new(Cause::LocalSetup, why));
    }
    let knock = bastions.knock(spec, deadline)?;
    let mut whole = Instant::now() + jump::LET_IN;
    let session = jump::travel(spec, secrets, bastions, deadline).and_then(|carrier| {
        // It waited for others at the bastions before.
        if !spec.jumps.is_empty() {
            whole = Instant::now() + jump::LET_IN;
        }
        log_in_over(carrier, spec, secrets, bastions, deadline)
    });
    if let Err(error) = &session {
        knock.failed(error, jump::failure(error, whole, deadline));
    }
    session
}

/// [`connect`] from where the host can be spoken to.
pub(super) fn log_in_over(
    carrier: Carrier,
    spec: &SshSpec,
    secrets: &Secrets,
    bastions: &Bastions,
    deadline: Instant,
) -> Result<Session, SshError> {
    let known = known_hosts::read(&spec.known_hosts).map_err(|text| SshError::new(Cause::LocalSetup, text))?;
    let _computing = gate::enter();
    let (mut session, shown) = begin(carrier, &wanted_keys(spec, &known), deadline)?;
    if let Err((cause, text)) = verify(spec, &known, &shown) {
        return Err(session.fail(cause, text));
    }
    auth::log_in(&mut session, spec, secrets, &bastions.agents)?;
    Ok(session)
}

/// Looks at the key that a host shows, without logging in but at the bastions before it.
///
/// # Errors
/// [`SshError`] when it cannot be reached or does not speak SSH.
pub fn scan(spec: &SshSpec, secrets: &Secrets, bastions: &Bastions, deadline: Instant) -> Result<Shown, SshError> {
    let known = known_hosts::read(&spec.known_hosts).map_err(|text| SshError::new(Cause::LocalSetup, text))?;
    let carrier = jump::travel(spec, secrets, bastions, deadline)?;
    let _computing = gate::enter();
    begin(carrier, &wanted_keys(spec, &known), deadline).map(|(_, key)| key)
}

/// Up to the point where the host has proved its key and libssh2 asks for the login service.
fn begin(carrier: Carrier, wanted: &str, deadline: Instant) -> Result<(Session, Shown), SshError> {
    let local = |error: &dyn std::fmt::Display| SshError::new(Cause::LocalSetup, format!("no session: {error}"));
    let (link, far) = Link::new(carrier, deadline, BEFORE_LOGIN).map_err(|error| local(&error))?;
    let mut ssh = ssh2::Session::new().map_err(|error| local(&error))?;
    ssh.set_blocking(false);
    ssh.set_tcp_stream(far);
    for (method, list) in [
        (MethodType::Kex, KEXES),
        (MethodType::HostKey, wanted),
        (MethodType::CryptCs, CIPHERS),
        (MethodType::CryptSc, CIPHERS),
        (MethodType::MacCs, MACS),
        (MethodType::MacSc, MACS),
    ] {
        ssh.method_pref(method, list).map_err(|error| local(&error))?;
    }
    let mut session = Session { link, channel: None, ssh, complaint: Vec::new(), opened: false, parted: false };
    if let Err(problem) = session.exchange_keys() {
        return Err(session.error(Cause::Handshake, "during the SSH handshake", problem));
    }
    let key = session.ssh.host_key().and_then(|(blob, _)| Shown::from_blob(blob));
    match key {
        Some(key) => Ok((session, key)),
        None => Err(session.fail(Cause::Handshake, "the host shows a key of a type that is not supported")),
    }
}

/// The types of known keys first, so that a host with a known key is not taken for changed because of another one.
fn wanted_keys(spec: &SshSpec, known: &known_hosts::KnownHosts) -> String {
    let (host, port) = spec.known_name();
    let certificates = if known.has_authority(host, port) { CERTIFICATES } else { "" };
    let kinds = known.kinds(host, port);
    let (mut first, rest): (Vec<&str>, Vec<&str>) = HOST_KEYS.iter().partition(|name| kinds.contains(&kind_of(name)));
    first.extend(rest);
    format!("{certificates}{}", first.join(","))
}

/// The type of key that proves itself in that way.
fn kind_of(name: &str) -> &str {
    if name.starts_with("rsa-") { "ssh-rsa" } else { name }
}

fn verify(spec: &SshSpec, known: &known_hosts::KnownHosts, seen: &Shown) -> Result<(), (Cause, String)> {
    let (host, port) = spec.known_name();
    let at = known_hosts::name(host, port);
    let key = &seen.key;
    let shown = format!("{} {}", key.kind(), key.fingerprint());
    if let Some(weakness) = key.weakness() {
        return Err((Cause::Handshake, format!("{at} shows {weakness}: refused; give the host an ed25519 key")));
    }
    let revoked = || Err((Cause::HostKeyRevoked, format!("{at} shows the key {shown}, which is marked @revoked")));
    if known.is_revoked(host, port, seen) {
        return revoked();
    }
    if let Some(pinned) = &spec.fingerprint {
        // The pin is the configuration's word; known_hosts can only add a revocation.
        if *pinned == key.fingerprint() {
            return Ok(());
        }
        return Err((Cause::HostKeyChanged, format!("{at} shows {shown}, but the configuration pins {pinned}")));
    }
    // For the validity of certificates.
    let now = u64::try_from(known_hosts::now()).unwrap_or(0);
    match known.judge(host, port, seen, now) {
        Verdict::Known => Ok(()),
        Verdict::Revoked => revoked(),
        Verdict::Unproven(why) => {
            Err((Cause::HostKeyUnknown, format!("{at} shows {shown} with a certificate that proves nothing: {why}")))
        }
        Verdict::Changed(old) => {
            let old: Vec<String> = old.iter().take(4).map(|k| format!("{} {}", k.kind(), k.fingerprint())).collect();
            Err((Cause::HostKeyChanged, format!("{at} shows {shown}, but known is {}", old.join(", "))))
        }
        _ if spec.unknown_hosts == UnknownHosts::AcceptNew => {
            let Some(file) = spec.known_hosts.first() else {
                return Err((Cause::LocalSetup, "accept-new needs a known-hosts file to write to".to_owned()));
            };
            // It waits for the disk, and for others that write there.
            gate::outside(|| known_hosts::change(file, host, port, key, false))
                .map_err(|text| (Cause::LocalSetup, text))?;
            log::warn!("{at}: first seen, accepted its key {shown}");
            Ok(())
        }
        _ => Err((Cause::HostKeyUnknown, format!("{at} shows {shown}, which no known_hosts file has"))),
    }
}

impl Session {
    fn exchange_keys(&mut self) -> Result<(), Problem> {
        loop {
            match self.ssh.handshake() {
                Ok(()) => {
                    self.opened = true;
                    return Ok(());
                }
                Err(error) if !Self::must_wait(&error) => return Err(Problem::Ssh(error)),
                Err(_) if self.link.asks_to_log_in().map_err(Problem::Line)? => return Ok(()),
                Err(_) => self.step().map_err(Problem::Line)?,
            }
        }
    }

    /// Waits for the login service, if that was not done yet.
    pub(super) fn open(&mut self) -> Result<(), Problem> {
        if !self.opened {
            self.drive(ssh2::Session::handshake)?;
            self.opened = true;
        }
        Ok(())
    }

    /// As [`Session::drive`], for a login that needs to know nothing of the server: its first message goes out together
    /// with the question for the login service, if that was not answered yet.
    pub(super) fn drive_early<T>(
        &mut self,
        mut step: impl FnMut(&mut ssh2::Session) -> Result<T, ssh2::Error>,
    ) -> Result<T, Problem> {
        if !self.opened {
            match step(&mut self.ssh) {
                Err(error) if Self::must_wait(&error) => self.open()?,
                Err(error) => return Err(Problem::Ssh(error)),
                Ok(value) => return Ok(value),
            }
        }
        self.drive(step)
    }

    /// libssh2 can go on only after [`Session::step`] (LIBSSH2_ERROR_EAGAIN).
    pub(super) fn must_wait(error: &ssh2::Error) -> bool {
        error.code() == ErrorCode::Session(-37)
    }

    /// The time until the deadline.
    pub(super) fn left(&self) -> Duration {
        self.link.left()
    }

    /// Another thread holds libssh2's session for as long as it likes.
    pub(super) fn abandon(&mut self) {
        self.parted = true;
    }

    /// Runs one step of libssh2 to its end, moving bytes in between, until the deadline.
    pub(super) fn drive<T>(
        &mut self,
        mut step: impl FnMut(&mut ssh2::Session) -> Result<T, ssh2::Error>,
    ) -> Result<T, Problem> {
        loop {
            match step(&mut self.ssh) {
                Ok(value) => return Ok(value),
                Err(error) if Self::must_wait(&error) => self.step().map_err(Problem::Line)?,
                Err(error) => return Err(Problem::Ssh(error)),
            }
        }
    }

    /// Moves bytes both ways, waiting for some to come if need be.
    pub(super) fn step(&mut self) -> Result<(), Break> {
        let outbound = matches!(self.ssh.block_directions(), BlockDirections::Outbound | BlockDirections::Both);
        self.link.step(outbound)
    }

    pub(super) fn ssh(&self) -> &ssh2::Session {
        &self.ssh
    }

    pub(super) fn fail(&self, cause: Cause, text: impl Into<String>) -> SshError {
        SshError { cause, text: text.into(), traffic: self.link.traffic() }
    }

    /// Maps what happened at a stage; `cause` is the stage's own.
    pub(super) fn error(&self, cause: Cause, stage: &str, problem: Problem) -> SshError {
        let (cause, text) = match problem {
            Problem::Line(Break::Deadline) => {
                // Silence refuses nobody: no reason to stay away for an hour.
                let cause = if cause == Cause::Authentication { Cause::Deadline } else { cause };
                (cause, format!("no progress {stage} until the deadline"))
            }
            Problem::Line(Break::Closed) => (cause, format!("the server closed the connection {stage}")),
            Problem::Line(Break::Bastion(text)) => (Cause::Jump, text),
            Problem::Line(Break::Oversize) => (Cause::Oversize, format!("far too many bytes {stage}")),
            Problem::Line(Break::Io(error)) => (cause, format!("the connection broke {stage}: {error}")),
            Problem::Ssh(error) => (cause, format!("{} {stage}", error.message())),
        };
        self.fail(cause, text)
    }

    /// The key exchange and ciphers that were agreed on, for logs and tests.
    #[must_use]
    pub fn agreed(&self) -> String {
        [MethodType::Kex, MethodType::HostKey, MethodType::CryptCs]
            .into_iter()
            .filter_map(|method| self.ssh.methods(method))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Starts the session's one command.
    ///
    /// # Errors
    /// [`Cause::Exec`] when the server does not allow it.
    pub fn exec(&mut self, command: &str) -> Result<(), SshError> {
        let mut channel = match self.drive(|ssh| ssh.channel_session()) {
            Ok(channel) => channel,
            Err(problem) => return Err(self.error(Cause::Exec, "while a channel was opened", problem)),
        };
        if let Err(problem) = self.drive(|_| channel.exec(command)) {
            return Err(self.error(Cause::Exec, "while the command was started", problem));
        }
        self.channel = Some(channel);
        Ok(())
    }

    /// Opens a channel from the host on to another machine.
    pub(super) fn open_to(&mut self, address: &str, port: u16) -> Result<(), Problem> {
        let channel = self.drive(|ssh| ssh.channel_direct_tcpip(address, port, None))?;
        self.channel = Some(channel);
        Ok(())
    }

    /// Bounds the line, whatever runs over it.
    pub(super) fn bound_line(&mut self, deadline: Instant, receive: u64) {
        self.link.bound(deadline, receive);
    }

    /// What it cost so far on the network.
    pub(super) fn cost(&self) -> Traffic {
        self.link.traffic()
    }

    /// Writes without waiting; how much of it went.
    pub(super) fn offer(&mut self, bytes: &[u8]) -> usize {
        self.channel.as_mut().and_then(|channel| channel.write(bytes).ok()).unwrap_or(0)
    }

    /// Says over the channel that nothing more comes, and waits until the other end has done the same: a bastion that is
    /// left before that does not hand on the last words.
    pub(super) fn end_channel(&mut self) -> io::Result<()> {
        let Some(mut channel) = self.channel.take() else { return Ok(()) };
        let ended = self.drive(|_| channel.send_eof());
        self.channel = Some(channel);
        match ended {
            Ok(()) => {}
            Err(Problem::Line(problem)) => return Err(plain(problem)),
            Err(Problem::Ssh(error)) => return Err(error.into()),
        }
        self.flush()?;
        let mut rest = [0; 4096];
        while self.read(&mut rest)? > 0 {}
        Ok(())
    }

    /// Takes what is on standard error, so that a full window never stops standard output; whether there was anything.
    fn drain_complaint(&mut self) -> io::Result<bool> {
        let Some(channel) = &self.channel else { return Ok(false) };
        let mut stderr = channel.stderr();
        let mut buffer = [0; 4096];
        let mut any = false;
        while let Ok(count) = stderr.read(&mut buffer) {
            if count == 0 {
                break;
            }
            any = true;
            let room = MAX_COMPLAINT - self.complaint.len();
            self.complaint.extend_from_slice(&buffer[..count.min(room)]);
            if count > room {
                return Err(io::Error::new(ErrorKind::FileTooLarge, "over 16 KiB on standard error"));
            }
        }
        Ok(any)
    }

    fn wait(&mut self) -> io::Result<()> {
        // What stood there hid the end of the output, after which nothing more may come: look again first.
        if self.drain_complaint()? {
            return Ok(());
        }
        match self.step() {
            Ok(()) => Ok(()),
            Err(problem) => Err(plain(problem)),
        }
    }
}

/// What went wrong with the line, for those who read and write.
fn plain(problem: Break) -> io::Error {
    match problem {
        Break::Deadline => ErrorKind::TimedOut.into(),
        Break::Closed => ErrorKind::ConnectionReset.into(),
        Break::Bastion(text) => io::Error::new(ErrorKind::NetworkDown, text),
        Break::Oversize => io::Error::new(ErrorKind::FileTooLarge, "more bytes than allowed"),
        Break::Io(error) => error,
    }
}

impl Read for Session {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(channel) = &mut self.channel else { return Err(ErrorKind::NotConnected.into()) };
            match channel.read(buffer) {
                Ok(0) if buffer.is_empty() || channel.eof() => {
                    self.drain_complaint()?;
                    return Ok(0);
                }
                Ok(0) => self.wait()?,
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait()?,
                Err(error) => return Err(error),
            }
        }
    }
}

impl Write for Session {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let Some(channel) = &mut self.channel else { return Err(ErrorKind::NotConnected.into()) };
            match channel.write(bytes) {
                Ok(0) if !bytes.is_empty() => self.wait()?,
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait()?,
                Err(error) => return Err(error),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.link.flush().map(|_| ()).map_err(plain)
    }
}

impl Stream for Session {
    fn bound(&mut self, deadline: Instant, receive: u64) {
        self.link.bound(deadline, receive);
    }

    fn traffic(&self) -> Traffic {
        self.link.traffic()
    }

    fn complaint(&self) -> &[u8] {
        &self.complaint
    }

    fn part(&mut self) -> io::Result<()> {
        // No SSH_MSG_DISCONNECT and no close of the channel: sshd obeys them before it hands on what came just before.
        self.link.part().map_err(plain)?;
        self.parted = true;
        Ok(())
    }

    fn ending(&mut self) -> Option<String> {
        // The status comes between the end of the output and the close.
        let mut channel = self.channel.take()?;
        let _ = self.drive(|_| channel.wait_close());
        let signal = channel.exit_signal().ok().and_then(|signal| signal.exit_signal);
        let status = channel.exit_status().unwrap_or(0);
        self.channel = Some(channel);
        match (signal, status) {
            (Some(signal), _) => Some(format!("signal {signal}")),
            (None, 0) => None,
            (None, status) => Some(format!("exit status {status}")),
        }
    }
}
