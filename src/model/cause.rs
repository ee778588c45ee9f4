//! Why an attempt to collect from a host failed: a closed set, each with its remedy.

use std::fmt;

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $remedy:literal;)*) => {
        /// The cause of a failed attempt.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Cause { $($(#[$doc])* $name,)* }

        impl Cause {
            /// Every cause, in the order of a connection's life.
            pub const ALL: &'static [Cause] = &[$(Cause::$name,)*];

            /// The word that is stored and shown.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Cause::$name => $word,)* }
            }

            /// What a person does next; `HOST` stands for the host's name.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self { $(Cause::$name => $remedy,)* }
            }
        }
    };
}

causes! {
    /// Consent is required and none is recorded.
    NoConsent = "no-consent", "record it with: fleet consent grant HOST";
    /// A key, password file or agent on this side cannot be used.
    LocalSetup = "local-setup", "mend what the text names, then: fleet hosts test HOST";
    /// A bastion on the way to the host does not answer or lets nobody through.
    Jump = "jump", "mend the bastion that the text names; every host behind it waits for that";
    /// The name does not resolve.
    Dns = "dns", "check the address of HOST in config.xml and the resolver of this machine";
    /// Nothing listens on the port.
    Refused = "refused", "check that sshd runs on HOST and the port in config.xml";
    /// No route to the host or network.
    NoRoute = "no-route", "check the network between this machine and HOST";
    /// No answer to the connection attempt.
    ConnectTimeout = "connect-timeout", "check that HOST is up and that no firewall drops the port";
    /// The SSH handshake failed or stuck.
    Handshake = "handshake", "try: ssh -v HOST";
    /// The host key is in no known_hosts file.
    HostKeyUnknown = "host-key-unknown", "compare the fingerprint, then: fleet hosts accept HOST";
    /// The host shows another key than the one known.
    HostKeyChanged = "host-key-changed", "find out why the key changed; only then: fleet hosts accept HOST";
    /// The host shows a key marked @revoked.
    HostKeyRevoked = "host-key-revoked", "treat HOST as compromised until proven otherwise";
    /// The server took none of our keys or passwords.
    Authentication = "authentication", "try: ssh-copy-id, or check user and key of HOST in config.xml";
    /// Not tried, because a recent attempt failed to authenticate, or the host flooded, lied or hung.
    BackOff = "back-off", "mend what the text names, then: fleet-collector --host HOST";
    /// Authentication passed but no command could be run.
    Exec = "exec", "check the login shell and forced commands of the user on HOST";
    /// No directory on the host can hold and run the probe.
    NoExec = "no-exec", "give the user one directory on HOST that is writable and not mounted noexec";
    /// The host's disk is full, so that probe or stats cannot be written.
    DiskFull = "disk-full", "free space in the home directory of the user on HOST";
    /// The directories of the host's user are mounted read-only.
    ReadOnly = "read-only", "give the user one writable directory on HOST";
    /// No probe for this architecture.
    NoProbe = "no-probe", "build it with: make probes; where that lacks the tools: scripts/deps probes";
    /// The probe's directory on the host is not safe (owner, mode or a link).
    UnsafeDirectory = "unsafe-directory", "make the directory on HOST owned by the user and not writable by others";
    /// The probe ended without its end marker.
    ProbeFailed = "probe-failed", "run the probe by hand on HOST with --print";
    /// A deadline passed while logging in or after.
    Deadline = "deadline", "see what keeps HOST busy; collector timeout= bounds each host";
    /// The connection broke after login.
    Disconnected = "disconnected", "look at the sshd log of HOST";
    /// The process that speaks with hosts died at each try, in the last one with nobody but this host.
    KillsDialer = "kills-dialer", "treat HOST as hostile; report this with the log of: fleet-collector -vv --host HOST";
    /// More bytes than allowed.
    Oversize = "oversize", "look at what the login shell of the user on HOST prints, and at the probe";
    /// The frame or the stats inside do not fit the format.
    BadEnvelope = "bad-envelope", "remove ~/.cache/fleet-health on HOST; if it comes back, treat HOST as hostile";
    /// The stats file is not for any of our identities, or damaged.
    Undecryptable = "undecryptable", "check keys/ on this machine: fleet keys list";
    /// The store did not take the sample.
    Store = "store", "look at: fleet health";
    /// The sweep ended before the host's turn or answer.
    SweepDeadline = "sweep-deadline", "raise jobs= or deadline= of the collector";
    /// A defect of fleet-health.
    Internal = "internal", "please report this with the log of: fleet-collector -vv --host HOST";
}

impl Cause {
    /// The reverse of [`Cause::word`].
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|cause| cause.word() == word)
    }

    /// Whether it ended an attempt that was the host's turn; otherwise the host was left alone, or this side never came to
    /// it, and it is owed one still.
    #[must_use]
    pub fn is_turn(self) -> bool {
        let left_alone = matches!(self, Self::BackOff | Self::NoConsent | Self::SweepDeadline);
        !left_alone && !matches!(self, Self::LocalSetup | Self::Store | Self::Internal)
    }

    /// Whether the host refused us, flooded, lied or killed dialers: who hurries back is punished, or robs the others of their time.
    #[must_use]
    pub fn refuses(self) -> bool {
        matches!(
            self,
            Self::Authentication | Self::KillsDialer | Self::Oversize | Self::BadEnvelope | Self::Undecryptable
        )
    }

    /// Whether it held a thread for as long as a visit may take.
    #[must_use]
    pub fn hangs(self) -> bool {
        matches!(self, Self::Handshake | Self::Deadline)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::Cause;

    #[test]
    fn words_go_both_ways() {
        for &cause in Cause::ALL {
            assert_eq!(Cause::from_word(cause.word()), Some(cause));
        }
    }
}
