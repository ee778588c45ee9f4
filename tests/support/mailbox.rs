//! The real mail server of the demo on a port of its own: keeps what comes as files.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::run::{Owned, free_port, until};

pub struct Mailbox {
    pub port: u16,
    folder: PathBuf,
    // Kept for its Drop.
    _server: Owned,
}

impl Mailbox {
    /// Starts it; mails come into `folder`.
    pub fn start(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let log = fs::File::create(folder.with_extension("log")).unwrap();
        let port = free_port();
        let child = Command::new(root.join("target/venv/bin/python"))
            .arg(root.join("scripts/mailbox.py"))
            .args([port.to_string(), folder.display().to_string()])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("target/venv: {error}; make it with: make deps"));
        let server = Owned(child);
        until("the mail server listens", Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { port, folder: folder.to_owned(), _server: server }
    }

    /// The `<alerts>` block that sends to it.
    pub fn alerts(&self) -> String {
        format!(
            "<alerts recovered=\"true\"><smtp host=\"127.0.0.1\" port=\"{}\" tls=\"none\" from=\"fleet@example.net\"/>\
             <to name=\"ops\" mail=\"ops@example.net\"/><route to=\"ops\"/></alerts>\n",
            self.port
        )
    }

    /// The mails that arrived, in order.
    pub fn mails(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "eml")).collect();
        files.sort();
        files.iter().map(|file| String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned()).collect()
    }
}
