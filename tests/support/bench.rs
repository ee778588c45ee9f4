//! Our programs with a configuration of their own, over hosts that the test brings.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fleet_health::wire::seal;
use serde_json::Value;

pub struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// `ssh` are the attributes of `<ssh>`, `hosts` the elements.
    pub fn new(timeout: &str, ssh: &str, hosts: &str) -> Self {
        Self::with(&eight_at_once(timeout), ssh, hosts)
    }

    /// As [`Bench::new`], with attributes of `<collector>`.
    pub fn with(collector: &str, ssh: &str, hosts: &str) -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        let place = bench.path(&format!("probes/{}-linux", std::env::consts::ARCH));
        fs::create_dir_all(&place).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_fleet-probe"), place.join("fleet-probe")).unwrap();
        let (identity, recipient) = seal::generate();
        bench.write("fleet.key", &format!("{identity}\n"));
        bench.write("fleet.pub", &format!("{recipient}\n"));
        bench.configure_with(collector, ssh, hosts);
        bench
    }

    pub fn configure(&self, timeout: &str, ssh: &str, hosts: &str) {
        self.configure_with(&eight_at_once(timeout), ssh, hosts);
    }

    pub fn configure_with(&self, collector: &str, ssh: &str, hosts: &str) {
        self.write(
            "config.xml",
            &format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<fleet-health version=\"1\">\n\
                 <collector {collector} state-dir=\"state\" probe-dir=\"probes\"/>\n\
                 <keys recipient-file=\"fleet.pub\" identity-file=\"fleet.key\"/>\n\
                 <store url=\"sqlite:fleet.db\"/>\n<ssh {ssh}/>\n{hosts}\n</fleet-health>\n"
            ),
        );
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that only its owner reads.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// The collector's command, started by other words where there are some (`ip netns exec NAME`).
    pub fn command(&self, before: &[&str]) -> Command {
        let words: Vec<&str> = before.iter().copied().chain([env!("CARGO_BIN_EXE_fleet-collector")]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("--config").arg(self.path("config.xml")).args(["--json", "--host", "*"]);
        command.stdin(Stdio::null()).current_dir(self.folder.path()).env_remove("SSH_AUTH_SOCK");
        command
    }
}

fn eight_at_once(timeout: &str) -> String {
    format!("jobs=\"8\" timeout=\"{timeout}\"")
}

/// Runs the collector; what it says of each host.
#[track_caller]
pub fn sweep(command: &mut Command) -> Vec<Value> {
    let done = command.output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    let told: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&done.stderr)));
    told["hosts"].as_array().unwrap().clone()
}

/// As [`sweep`], over a single host.
#[track_caller]
pub fn single(command: &mut Command) -> Value {
    let mut hosts = sweep(command);
    assert_eq!(hosts.len(), 1);
    hosts.remove(0)
}

pub fn shown(path: &Path) -> String {
    path.display().to_string()
}
