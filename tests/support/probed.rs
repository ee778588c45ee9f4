//! The real probe with a spool of its own, driven over standard input as the collector drives it.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::cell::RefCell;
use std::fs;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use fleet_health::model::sample::Sample;
use fleet_health::wire::frame::{Item, Limits, Reader, is_file_name, write_answer};
use fleet_health::wire::task::Task;
use fleet_health::wire::{seal, v1};

pub const NONCE: &str = "0123456789abcdef0123456789abcdef";

/// A host with a spool, and the task that its probe is given.
pub struct Bench {
    pub folder: tempfile::TempDir,
    pub task: Task,
    identity: String,
    /// What the last probe said on its standard error.
    pub said: RefCell<String>,
}

impl Bench {
    pub fn new() -> Self {
        let (identity, recipient) = seal::generate();
        let task = Task {
            v: 1,
            nonce: NONCE.into(),
            recipients: vec![recipient],
            pull_bytes: 4 << 20,
            pull_files: 100,
            spool_bytes: 4 << 20,
            deadline_secs: 20,
            command_lines: false,
            checks: Vec::new(),
        };
        Self { folder: tempfile::tempdir().unwrap(), identity, task, said: RefCell::default() }
    }

    pub fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    /// The stats files that wait in the spool.
    pub fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.spool())
            .map(|dir| dir.flatten().map(|e| e.file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        names.retain(|name| is_file_name(name));
        names.sort();
        names
    }

    pub fn open(&self, bytes: &[u8]) -> (Option<String>, Sample) {
        v1::decode(&seal::open(std::slice::from_ref(&self.identity), bytes).unwrap()).unwrap()
    }

    pub fn start(&self) -> Child {
        start(&self.spool(), &self.task.encode())
    }

    /// One visit; acknowledges what `ack` makes of the names, and answers at all only if `bye`. What came, what is left,
    /// what was dropped.
    pub fn visit(&self, ack: impl Fn(&[String]) -> Vec<String>, bye: bool) -> (Vec<(String, Vec<u8>)>, u32, u64) {
        self.converse(self.start(), ack, bye)
    }

    /// As [`Bench::visit`], with a probe that was started otherwise.
    pub fn converse(
        &self,
        mut child: Child,
        ack: impl Fn(&[String]) -> Vec<String>,
        bye: bool,
    ) -> (Vec<(String, Vec<u8>)>, u32, u64) {
        let mut reader = frames(&mut child);
        let mut files = Vec::new();
        loop {
            match reader.next().unwrap() {
                Item::File { name, bytes } => files.push((name, bytes)),
                Item::End { left, dropped } => {
                    let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
                    let mut input = child.stdin.take().unwrap();
                    if bye {
                        write_answer(&mut input, &ack(&names)).unwrap();
                    }
                    drop(input);
                    let output = child.wait_with_output().unwrap();
                    assert!(output.status.success());
                    *self.said.borrow_mut() = String::from_utf8_lossy(&output.stderr).into_owned();
                    return (files, left, dropped);
                }
            }
        }
    }

    /// One visit that takes everything; the sample that was just measured.
    pub fn sample(&self) -> Sample {
        let (mut files, ..) = self.visit(<[String]>::to_vec, true);
        self.open(&files.pop().unwrap().1).1
    }
}

pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn probe() -> Command {
    command(env!("CARGO_BIN_EXE_fleet-probe"))
}

/// A probe at work in a spool, the task already given.
pub fn start(spool: &Path, line: &str) -> Child {
    let mut child = probe().args(["--serve", "--spool"]).arg(spool).spawn().unwrap();
    writeln!(child.stdin.as_mut().unwrap(), "{line}").unwrap();
    child
}

pub fn frames(child: &mut Child) -> Reader<BufReader<ChildStdout>> {
    Reader::new(BufReader::new(child.stdout.take().unwrap()), NONCE, Limits::of(8 << 20, 64))
}
