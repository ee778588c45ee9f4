//! Mail through a real SMTP server (aiosmtpd in target/venv), with TLS and login.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests start programs and fail loudly")]
#![cfg(feature = "server")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fleet_health::model::secret::Secret;
use fleet_health::model::spec::{ChannelSpec, SmtpSpec, Tls};
use fleet_health::notify::message::{Letter, compose};
use fleet_health::notify::{self, Class, Parcel, Refusal, Setup};

struct Server(Child, u16);

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

fn start(mode: &str, folder: &Path) -> Server {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/venv/bin/python");
    static VENV: std::sync::Once = std::sync::Once::new();
    VENV.call_once(|| {
        if !root.join("target/venv/bin/aiosmtpd").exists() {
            shell("python3 -m venv target/venv && target/venv/bin/pip install -q aiosmtpd", root);
        }
    });
    let ec = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let script = format!(
        "openssl req -x509 {ec} -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2
         openssl req {ec} -keyout key.pem -out csr.pem -subj /CN=localhost
         printf 'subjectAltName=DNS:localhost\\nbasicConstraints=CA:FALSE\\n' > ext
         openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem"
    );
    shell(&script, folder);
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

fn send(spec: &SmtpSpec, password: &str, lines: &mut Vec<String>) -> Result<(), Refusal> {
    let password = Secret::new(password.into());
    let setup = Setup { smtp: Some(spec), password: Some(&password), timeout: Duration::from_secs(10) };
    let to = ChannelSpec::Mail(vec!["ops@example.net".into()]);
    let (channel, recipients) = notify::of(&to).unwrap();
    let letter = Letter {
        from: spec.from.clone(),
        to: recipients.clone(),
        subject: "[CRIT] wéb01 disk /var".into(),
        text: ".\nvalue ▁█\n".into(),
        ..Letter::default()
    };
    let (message_id, bytes) = compose(&letter, chrono::DateTime::UNIX_EPOCH);
    let mut say = |line: &str| lines.push(line.to_owned());
    let mut session = channel.open(&setup, &mut say)?;
    session.send(&Parcel { recipient: &recipients[0], message_id: &message_id, bytes: &bytes }, &mut say)?;
    session.close(&mut say);
    Ok(())
}

fn both_ways(mode: &str, tls: Tls) {
    let folder = tempfile::tempdir().unwrap();
    let server = start(mode, folder.path());
    let mut spec = SmtpSpec {
        host: "localhost".into(),
        port: server.1,
        tls,
        from: "Fleet <fleet@example.net>".into(),
        user: Some("fleet".into()),
        password: None,
        ca_file: Some(folder.path().join("ca.pem")),
    };
    let mut lines = Vec::new();
    let wrong = send(&spec, "wrong-secret", &mut lines).unwrap_err();
    assert_eq!((wrong.class, wrong.stage), (Class::Configuration, "auth"), "{wrong:?}");
    send(&spec, "right", &mut lines).unwrap();
    assert!(lines.iter().all(|line| !line.contains("secret")), "{lines:?}");
    let mail = std::fs::read_dir(folder.path().join("box/new")).unwrap().next().unwrap().unwrap();
    let mail = std::fs::read_to_string(mail.path()).unwrap();
    assert!(mail.contains("=2E\n") || mail.contains("=2E\r\n"), "{mail}");
    spec.ca_file = None;
    assert_eq!(send(&spec, "right", &mut lines).unwrap_err().class, Class::Transport);
}

#[test]
fn starttls_with_login() {
    both_ways("starttls", Tls::StartTls);
}

#[test]
fn implicit_tls_with_login() {
    both_ways("implicit", Tls::Implicit);
}
