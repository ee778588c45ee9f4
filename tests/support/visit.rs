//! Visits as the dialer makes them, without keeper and store.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use fleet_health::app::dialer;
use fleet_health::model::cause::Cause;
use fleet_health::model::job::{FromDialer, Job, ToDialer, Traffic};
use fleet_health::model::secret::Secret;
use fleet_health::model::spec::{SshSpec, Transport};
use fleet_health::ssh::deploy;
use fleet_health::wire::{seal, task::Task};

use crate::sshd::{self, Sshd};

pub fn spec(sshd: &Sshd) -> SshSpec {
    let (address, user) = (sshd.address.clone(), sshd.user.clone());
    let (key_files, known_hosts) = (vec![sshd.key.clone()], vec![sshd.known_hosts.clone()]);
    SshSpec { user, key_files, known_hosts, ..nobody(address, sshd.port) }
}

/// With a key that is nowhere, and nothing known of the host.
pub fn nobody(address: String, port: u16) -> SshSpec {
    SshSpec { address, port, user: "nobody".into(), key_files: vec!["/no/such/key".into()], ..SshSpec::default() }
}

pub struct Seen {
    pub files: Vec<(String, Vec<u8>)>,
    pub pulled: bool,
    pub failed: Option<(Cause, String)>,
    pub traffic: Traffic,
    pub took: Duration,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files: Vec<(&str, usize)> = self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.len())).collect();
        let Self { pulled, failed, traffic, took, .. } = self;
        write!(f, "files {files:?}, pulled {pulled}, failed {failed:?}, {traffic:?}, took {took:?}")
    }
}

pub fn visit_with(transport: Transport, probes: &Path, timeout: Duration) -> Seen {
    let (_, recipient) = seal::generate();
    let nonce = "0123456789abcdef0123456789abcdef".to_owned();
    let task = Task {
        v: 1,
        nonce: nonce.clone(),
        recipients: vec![recipient],
        pull_bytes: 8 << 20,
        pull_files: 64,
        spool_bytes: 16 << 20,
        deadline_secs: 20,
        command_lines: false,
        checks: Vec::new(),
    };
    let job = Job {
        host: "h".into(),
        transport,
        nonce,
        pull_bytes: task.pull_bytes,
        pull_files: task.pull_files,
        task: Secret::new(task.encode()),
        probes: probes.to_owned(),
        timeout,
    };
    let (sender, receiver) = mpsc::channel();
    let mut seen =
        Seen { files: Vec::new(), pulled: false, failed: None, traffic: Traffic::default(), took: Duration::ZERO };
    let mut ends = 0;
    let begun = Instant::now();
    dialer::visit(
        &job,
        &dialer::Run::default(),
        &mut |said| match said {
            FromDialer::Sealed { name, bytes, .. } => seen.files.push((name, bytes)),
            FromDialer::Pulled { .. } => {
                seen.pulled = true;
                let acknowledged = seen.files.iter().map(|(name, _)| name.clone()).collect();
                sender.send(ToDialer { host: "h".into(), acknowledged }).unwrap();
            }
            FromDialer::Finished { traffic, .. } => {
                seen.traffic = traffic;
                ends += 1;
            }
            FromDialer::Failed { cause, text, traffic, .. } => {
                assert!(text.len() <= 512 && !text.contains('\n'), "{text}");
                seen.failed = Some((cause, text));
                seen.traffic = traffic;
                ends += 1;
            }
        },
        &receiver,
    );
    seen.took = begun.elapsed();
    assert_eq!(ends, 1, "exactly one last message");
    assert!(seen.took < timeout + Duration::from_secs(1), "{:?} of {timeout:?}", seen.took);
    seen
}

pub fn visit(spec: SshSpec, probes: &Path) -> Seen {
    visit_with(Transport::Ssh(spec), probes, Duration::from_secs(20))
}

pub fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let probes = sshd::probes(folder.path(), Path::new(env!("CARGO_BIN_EXE_fleet-probe")));
    // Read and hashed once, outside of what is measured.
    deploy::probes(&probes).unwrap();
    (folder, probes)
}

pub fn cause(seen: &Seen) -> Cause {
    seen.failed.as_ref().unwrap_or_else(|| panic!("it did not fail: {seen:?}")).0
}
