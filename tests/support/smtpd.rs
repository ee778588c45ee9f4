//! A real SMTP server (aiosmtpd in target/venv) with TLS and login: `smtpd.py`.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests start programs and fail loudly")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running server and its port; it ends when this is dropped.
pub struct Server(pub Child, pub u16);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn shell(script: &str, folder: &Path) {
    let done = Command::new("sh").args(["-ec", script]).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// `ca.pem`, `cert.pem` for a name and `key.pem` in a folder; a negative number of days makes it expired.
pub fn certificates(folder: &Path, name: &str, days: &str) {
    let ec = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let script = format!(
        "openssl req -x509 {ec} -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2
         openssl req {ec} -keyout key.pem -out csr.pem -subj /CN={name}
         printf 'subjectAltName=DNS:{name}\\nbasicConstraints=CA:FALSE\\n' > ext
         openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} -extfile ext -out cert.pem"
    );
    shell(&script, folder);
}

/// Starts it in a folder, with `ca.pem` there and mails in `box/new`; `starttls` or `implicit`, user fleet, password right.
pub fn start(mode: &str, folder: &Path) -> Server {
    start_as(mode, folder, "localhost", "2")
}

/// As [`start`], with a certificate for this name that holds for so many days.
pub fn start_as(mode: &str, folder: &Path, name: &str, days: &str) -> Server {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/venv/bin/python");
    static VENV: std::sync::Once = std::sync::Once::new();
    VENV.call_once(|| {
        if !root.join("target/venv/bin/aiosmtpd").exists() {
            shell("python3 -m venv target/venv && target/venv/bin/pip install -q aiosmtpd", root);
        }
    });
    certificates(folder, name, days);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut child = Command::new(python)
        .arg(root.join("tests/support/smtpd.py"))
        .args([mode, &port.to_string(), "cert.pem", "key.pem", "box"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let server = Server(child, port);
    assert_eq!(line.trim(), "ready");
    server
}
