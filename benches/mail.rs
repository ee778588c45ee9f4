//! What a mail costs on loopback: ours beside lettre's SmtpTransport and Python's smtplib, same server, same mail, one
//! session each, interleaved. `cargo bench --bench mail` prints a table; without `--bench` it only runs once.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark fails loudly, and is about the clock")]

use std::process::Command;
use std::time::{Duration, Instant};

use fleet_health::model::spec::{ChannelSpec, SmtpSpec, Tls};
use fleet_health::notify::message::{Letter, Picture, compose};
use fleet_health::notify::{self, Parcel, Setup};
use lettre::Transport;

#[allow(dead_code, reason = "shared with the tests")]
#[path = "../tests/support/smtp.rs"]
mod smtp;

const TO: &str = "ops@example.net";
const FROM: &str = "fleet@example.net";
const PYTHON: &str = "
import smtplib, sys, time
port, count, data = int(sys.argv[1]), int(sys.argv[2]), open(sys.argv[3], 'rb').read()
server = smtplib.SMTP('127.0.0.1', port)
server.ehlo()
begun = time.perf_counter()
for _ in range(count):
    server.sendmail('fleet@example.net', ['ops@example.net'], data)
print((time.perf_counter() - begun) * 1e6 / count)
server.quit()
";

/// As large as an alert: text, a page, a picture of some kilobytes.
fn mail() -> Vec<u8> {
    let line = "filesystem.used of /var is 91.2 % (critical from 90 %) since Sat 21 Nov 2026 18:04 +01:00\n";
    let letter = Letter {
        from: FROM.into(),
        to: vec![TO.into()],
        subject: "[CRIT] web01 disk /var".into(),
        text: line.repeat(12),
        html: format!("<p>{}</p>", line.repeat(90)),
        pictures: vec![Picture { cid: "a@b".into(), png: vec![7; 2000] }],
        ..Letter::default()
    };
    compose(&letter, chrono::DateTime::UNIX_EPOCH).1
}

fn ours(port: u16, count: u32, bytes: &[u8]) -> f64 {
    let spec = SmtpSpec {
        host: "127.0.0.1".into(),
        port,
        tls: Tls::None,
        from: FROM.into(),
        user: None,
        password: None,
        ca_file: None,
    };
    let channel = ChannelSpec::Mail(vec![TO.into()]);
    let (way, _) = notify::of(&channel).unwrap();
    let setup = Setup { smtp: Some(&spec), channel: &channel, password: None, timeout: Duration::from_secs(10) };
    let mut session = way.open(&setup, &mut |_| {}).unwrap();
    let begun = Instant::now();
    for _ in 0..count {
        session.send(&Parcel { recipient: TO, message_id: "1@x", bytes }, &mut |_| {}).unwrap();
    }
    let took = begun.elapsed();
    session.close(&mut |_| {});
    took.as_secs_f64() * 1e6 / f64::from(count)
}

fn lettre(port: u16, count: u32, bytes: &[u8]) -> f64 {
    let transport = lettre::SmtpTransport::builder_dangerous("127.0.0.1").port(port).build();
    let envelope = lettre::address::Envelope::new(Some(FROM.parse().unwrap()), vec![TO.parse().unwrap()]).unwrap();
    // The first opens the session that its pool keeps.
    transport.send_raw(&envelope, bytes).unwrap();
    let begun = Instant::now();
    for _ in 0..count {
        transport.send_raw(&envelope, bytes).unwrap();
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}

fn python(port: u16, count: u32, bytes: &[u8]) -> f64 {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("target/venv/bin/python"));
    let output = command.args(["-c", PYTHON, &port.to_string(), &count.to_string()]).arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn main() {
    let real = std::env::args().any(|word| word == "--bench");
    let (rounds, count) = if real { (5, 100) } else { (1, 2) };
    let server = smtp::Server::start();
    let bytes = mail();
    let mut all: [Vec<f64>; 3] = Default::default();
    for _ in 0..rounds {
        all[0].push(ours(server.port, count, &bytes));
        all[1].push(python(server.port, count, &bytes));
        all[2].push(lettre(server.port, count, &bytes));
    }
    let [ours, python, lettre] = all.map(median);
    println!("| a mail of {} bytes on loopback | ms | beside ours |\n|---|---|---|", bytes.len());
    for (name, cost) in [("fleet-alerter", ours), ("Python's smtplib", python), ("lettre 0.11 SmtpTransport", lettre)] {
        println!("| {name} | {:.3} | {:.1} |", cost / 1000.0, cost / ours);
    }
}
