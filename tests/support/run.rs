//! Runs programs: ours and those we test against.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// One of our programs, as cargo built it for this test.
pub fn program(name: &str) -> PathBuf {
    PathBuf::from(match name {
        "fleet" => env!("CARGO_BIN_EXE_fleet"),
        "fleet-collector" => env!("CARGO_BIN_EXE_fleet-collector"),
        "fleet-alerter" => env!("CARGO_BIN_EXE_fleet-alerter"),
        "fleet-probe" => env!("CARGO_BIN_EXE_fleet-probe"),
        other => panic!("{other} is not one of our programs"),
    })
}

/// What a program said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Insists on an exit code.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// The output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in:\n{}\n{}", self.out, self.err))
    }
}

/// A program of the system that must be there: a test that needs it fails without it, and says what to do.
#[track_caller]
pub fn system<S: AsRef<OsStr>>(name: &str, args: &[S]) -> Said {
    let output = Command::new(name)
        .args(args)
        .env("PATH", path())
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}; install it with: make deps"));
    Said::of(output)
}

/// As [`system`], and it must succeed.
#[track_caller]
pub fn must<S: AsRef<OsStr>>(name: &str, args: &[S]) -> String {
    let said = system(name, args);
    assert_eq!(said.code, Some(0), "{name}: {}{}", said.out, said.err);
    said.out
}

/// With the folders of sshd and losetup, which not everybody's path has.
pub fn path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// A child that ends with its owner.
pub struct Owned(pub Child);

impl Owned {
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks until the answer is yes; fails with `what` after a time.
#[track_caller]
pub fn until(what: &str, most: Duration, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < most, "after {most:?} still not: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A port of loopback that nobody uses now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Rows of a query by a stock sqlite3, cells split at `|`.
#[track_caller]
pub fn sqlite3(database: &Path, sql: &str) -> Vec<Vec<String>> {
    let args = ["-readonly", "-batch", "-noheader", "-list", &database.display().to_string(), sql];
    must("sqlite3", &args).lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
}
