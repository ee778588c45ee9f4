//! The smallest installation: this machine as the only host, collected without SSH.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fleet::shown;
use super::run::{Said, must, program};

pub struct Bench {
    pub dir: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        // Not below /tmp: the probe refuses a directory whose parents others may write to.
        let dir = tempfile::Builder::new().prefix("local").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let bench = Self { dir };
        fs::create_dir_all(bench.probe().parent().unwrap()).unwrap();
        fs::copy(program("fleet-probe"), bench.probe()).unwrap();
        bench.configure("", 0o600);
        bench.run("fleet", &["keys", "generate"]).ends_with(0);
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn database(&self) -> PathBuf {
        self.path("fleet.db")
    }

    /// The probe that the collector starts.
    pub fn probe(&self) -> PathBuf {
        self.path(&format!("probes/{}-linux/fleet-probe", std::env::consts::ARCH))
    }

    /// Puts a script in the probe's place; `$real` is the probe.
    pub fn wrap_probe(&self, script: &str) {
        let real = self.path("real-probe");
        fs::copy(program("fleet-probe"), &real).unwrap();
        let text = format!("#!/bin/sh\nreal={}\n{script}\n", shown(&real));
        // The collector may be running the old one: a new file, not new content.
        fs::remove_file(self.probe()).unwrap();
        fs::write(self.probe(), text).unwrap();
        fs::set_permissions(self.probe(), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn spool(&self) -> PathBuf {
        self.path(".cache/fleet-health/spool")
    }

    /// Sealed files that wait.
    pub fn spooled(&self) -> Vec<String> {
        let entries = fs::read_dir(self.spool()).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.retain(|name| name.ends_with(".age") && !name.starts_with('.'));
        names.sort();
        names
    }

    pub fn configure(&self, more: &str, mode: u32) {
        self.write_config(&format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<fleet-health version=\"1\">\n\
             <collector state-dir=\"state\" probe-dir=\"probes\"/>\n\
             <keys recipient-file=\"keys/fleet.pub\" identity-file=\"keys/fleet.key\"/>\n\
             <store url=\"sqlite:fleet.db\"/>\n{more}\n<host name=\"self\" transport=\"local\"/>\n</fleet-health>\n"
        ));
        fs::set_permissions(self.path("config.xml"), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn write_config(&self, text: &str) {
        fs::write(self.path("config.xml"), text).unwrap();
    }

    /// One of our programs under the usual umask of a login, which would leave files readable by everybody.
    pub fn command(&self, name: &str, args: &[&str]) -> Command {
        self.under(&[], name, args)
    }

    /// As [`Bench::command`], started by another program.
    pub fn under(&self, starter: &[&str], name: &str, args: &[&str]) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "umask 022; exec \"$0\" \"$@\""]).args(starter).arg(program(name)).args(args);
        command.current_dir(self.dir.path()).env_remove("XDG_CACHE_HOME").env_remove("XDG_RUNTIME_DIR");
        command.env_remove("RUST_LOG");
        command.env("FLEET_CONFIG", self.path("config.xml")).env("HOME", self.dir.path());
        command
    }

    pub fn run(&self, name: &str, args: &[&str]) -> Said {
        Said::of(self.command(name, args).output().unwrap())
    }
}

pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o777
}

pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

/// A small filesystem in memory, unmounted when it is dropped.
pub struct Mounted(PathBuf);

impl Mounted {
    pub fn new(place: &Path, size: &str) -> Self {
        assert_eq!(must("id", &["-u"]).trim(), "0", "this test mounts a small filesystem: run it as root");
        fs::create_dir(place).unwrap();
        must("mount", &["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs", &shown(place)]);
        Self(place.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        must("umount", &["-l", &shown(&self.0)]);
    }
}
