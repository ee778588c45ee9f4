//! Mail and webhooks against real servers: certificates that are not right, servers that lie, HTTP in every mood, and the
//! machine's own mail program.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests start programs and fail loudly"
)]
#![cfg(feature = "server")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fleet_health::model::secret::Secret;
use fleet_health::model::spec::{ChannelSpec, HookFormat, SendmailSpec, SmtpSpec, Tls, WebhookSpec};
use fleet_health::notify::{self, Class, Parcel, Refusal, Setup};

#[allow(dead_code, reason = "helpers of other tests too")]
#[path = "support/smtpd.rs"]
mod smtpd;

const BYTES: &[u8] = b"Subject: x\r\n\r\nbody\r\n.\r\nend\r\n";

/// Opens the channel and sends one parcel.
fn send(channel: &ChannelSpec, smtp: Option<&SmtpSpec>, password: Option<&str>, wait: Duration) -> Result<(), Refusal> {
    let password = password.map(|text| Secret::new(text.into()));
    let setup = Setup { smtp, channel, password: password.as_ref(), timeout: wait };
    let (way, recipients) = notify::of(channel).unwrap();
    let mut said = Vec::new();
    let mut say = |line: &str| said.push(line.to_owned());
    let mut session = way.open(&setup, &mut say)?;
    let sent = session.send(&Parcel { recipient: &recipients[0], message_id: "1@x", bytes: BYTES }, &mut say);
    session.close(&mut say);
    assert!(said.iter().all(|line| !line.contains("secret")), "{said:?}");
    sent
}

fn mail() -> ChannelSpec {
    ChannelSpec::Mail(vec!["ops@example.net".into()])
}

fn smtp(port: u16, tls: Tls, ca: Option<&Path>) -> SmtpSpec {
    SmtpSpec {
        host: "localhost".into(),
        port,
        tls,
        from: "Fleet <fleet@example.net>".into(),
        user: Some("fleet".into()),
        password: None,
        ca_file: ca.map(Path::to_path_buf),
    }
}

const WAIT: Duration = Duration::from_secs(10);

#[test]
fn a_certificate_that_is_not_right_gets_nothing() {
    for (mode, tls) in [("implicit", Tls::Implicit), ("starttls", Tls::StartTls)] {
        for (name, days, known, says) in [
            ("localhost", "2", true, None),
            ("other.example.net", "2", true, Some("not valid for")),
            ("localhost", "-1", true, Some("xpired")),
            ("localhost", "2", false, Some("UnknownIssuer")),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let server = smtpd::start_as(mode, folder.path(), name, days);
            let ca = folder.path().join("ca.pem");
            let sent = send(&mail(), Some(&smtp(server.1, tls, known.then_some(&ca))), Some("right"), WAIT);
            let mails = std::fs::read_dir(folder.path().join("box/new")).unwrap().count();
            match says {
                None => assert_eq!((sent, mails), (Ok(()), 1)),
                Some(says) => {
                    let refused = sent.unwrap_err();
                    assert_eq!((refused.class, refused.stage, mails), (Class::Transport, "tls", 0), "{refused:?}");
                    assert!(refused.text.contains(says), "{name} {days}: {}", refused.text);
                }
            }
        }
    }
}

/// A server that says these lines, each after a line of the client's was read, and tells what it heard.
fn liar(lines: &'static [&'static str]) -> (u16, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut heard = String::new();
        for (n, line) in lines.iter().enumerate() {
            if n > 0 && reader.read_line(&mut heard).unwrap_or_default() == 0 {
                break;
            }
            if stream.write_all(line.as_bytes()).is_err() {
                break;
            }
        }
        let mut rest = Vec::new();
        // What TLS says is no text; who hangs up in anger resets the line.
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = reader.read_to_end(&mut rest);
        heard + &String::from_utf8_lossy(&rest)
    });
    (port, thread)
}

#[test]
fn plain_words_ahead_of_starttls_are_refused_and_nothing_is_sent() {
    let (port, heard) = liar(&["220 x\r\n", "250-x\r\n250 STARTTLS\r\n", "220 go\r\n250-x\r\n250 AUTH PLAIN\r\n"]);
    let refused = send(&mail(), Some(&smtp(port, Tls::StartTls, None)), Some("secret"), WAIT).unwrap_err();
    assert!(refused.text.contains("spoke before it was asked"), "{refused:?}");
    let heard = heard.join().unwrap();
    assert!(heard.ends_with("STARTTLS\r\n") && !heard.contains("AUTH") && !heard.contains("MAIL"), "{heard:?}");
}

#[test]
fn starttls_taken_out_of_the_offer_sends_nothing() {
    let (port, heard) = liar(&["220 x\r\n", "250-x\r\n250 AUTH PLAIN\r\n"]);
    let refused = send(&mail(), Some(&smtp(port, Tls::StartTls, None)), Some("secret"), WAIT).unwrap_err();
    assert_eq!((refused.class, refused.stage), (Class::Configuration, "starttls"));
    let heard = heard.join().unwrap();
    assert!(heard.starts_with("EHLO ") && heard.lines().count() == 1, "{heard:?}");
}

#[test]
fn a_reply_without_end_ends() {
    // One that floods.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let flood = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut count = 0;
        while stream.write_all(&[b'2'; 4096]).is_ok() {
            count += 4096;
        }
        count
    });
    let plain = SmtpSpec { user: None, ..smtp(port, Tls::None, None) };
    let refused = send(&mail(), Some(&plain), None, WAIT).unwrap_err();
    assert!(refused.class == Class::Transport && refused.text.contains("no end"), "{refused:?}");
    assert!(flood.join().unwrap() < 64 * 1024 * 1024);
    // One that drips: each byte comes in time, the reply does not.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while stream.write_all(b"2").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let (plain, begun) = (SmtpSpec { user: None, ..smtp(port, Tls::None, None) }, Instant::now());
    let refused = send(&mail(), Some(&plain), None, Duration::from_secs(1)).unwrap_err();
    assert!(refused.class == Class::Transport && refused.text.contains("too long"), "{refused:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "the stage has one end");
}

/// Python's HTTP server, plain or with TLS, which answers with the status that the path names and writes down what came.
fn web(folder: &Path, tls: bool) -> (smtpd::Server, String) {
    smtpd::certificates(folder, "localhost", "2");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("target/venv/bin/python"));
    command.arg(root.join("tests/support/hookd.py")).args(if tls { &["cert.pem", "key.pem"][..] } else { &[] });
    let mut child = command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port: u16 = line.trim().parse().unwrap();
    let url = format!("http{}://localhost:{port}", if tls { "s" } else { "" });
    (smtpd::Server(child, port), url)
}

fn hook(url: String, ca: Option<&Path>) -> ChannelSpec {
    ChannelSpec::Webhook(WebhookSpec { url, format: HookFormat::Json, token: None, ca_file: ca.map(Path::to_path_buf) })
}

#[test]
fn webhooks_are_posted_over_tls_and_answers_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let (_server, url) = web(folder.path(), true);
    let post = |path: &str| send(&hook(format!("{url}/{path}"), Some(&ca)), None, Some("secret-token"), WAIT);
    post("200").unwrap();
    post("204/secret-path?x=1").unwrap();
    let log = std::fs::read_to_string(folder.path().join("posts")).unwrap();
    let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(first["body"], String::from_utf8_lossy(BYTES).as_ref());
    assert_eq!(first["authorization"], "Bearer secret-token");
    assert_eq!((&first["type"], &first["key"]), (&"application/json".into(), &"\"1@x\"".into()));
    for (path, class) in [
        ("301", Class::RowDead),
        ("400", Class::RowDead),
        ("404/secret-path", Class::RowDead),
        ("401", Class::Configuration),
        ("408", Class::RowTemporary),
        ("413", Class::Content),
        ("429?after=90", Class::Later(Duration::from_secs(90))),
        ("500", Class::RowTemporary),
        ("503?after=999999", Class::Later(Duration::from_secs(3600))),
        ("hangup", Class::Ambiguous),
    ] {
        let refused = post(path).unwrap_err();
        assert_eq!(refused.class, class, "{path}: {refused:?}");
        assert!(!refused.text.contains("secret"), "{}", refused.text);
    }
    // A certificate that nobody vouches for, and nobody there.
    let posts = || std::fs::read_to_string(folder.path().join("posts")).unwrap().lines().count();
    let before = posts();
    let refused = send(&hook(format!("{url}/200"), None), None, Some("secret"), WAIT).unwrap_err();
    assert!(refused.class == Class::Transport && refused.text.contains("UnknownIssuer"), "{refused:?}");
    assert_eq!(posts(), before);
    let refused = send(&hook("http://127.0.0.1:1/".into(), None), None, None, WAIT).unwrap_err();
    assert_eq!(refused.class, Class::Transport);
}

#[test]
fn a_webhook_that_never_answers_is_left_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, url) = web(folder.path(), false);
    let begun = Instant::now();
    let refused = send(&hook(format!("{url}/slow"), None), None, None, Duration::from_secs(1)).unwrap_err();
    assert_eq!(refused.class, Class::Ambiguous, "{refused:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// A mail program that does what the line says, after it wrote down what it was given.
fn program(folder: &Path, line: &str) -> ChannelSpec {
    let path = folder.join("sendmail");
    let script = format!("#!/bin/sh\ncd {}\necho \"$@\" >args\ncat >mail\n{line}\n", folder.display());
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let from = "Fleet <fleet@example.net>".to_owned();
    ChannelSpec::Sendmail(SendmailSpec { program: path, addresses: vec!["ops@example.net".into()], from })
}

#[test]
fn the_mail_program_is_run_and_its_exit_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    send(&program(folder, "exit 0"), None, None, WAIT).unwrap();
    assert_eq!(std::fs::read_to_string(folder.join("args")).unwrap(), "-i -f fleet@example.net -- ops@example.net\n");
    assert_eq!(std::fs::read(folder.join("mail")).unwrap(), b"Subject: x\n\nbody\n.\nend\n");
    for (line, class) in [
        ("exit 75", Class::RowTemporary),
        ("exit 67", Class::RowDead),
        ("exit 65", Class::Content),
        ("exit 78", Class::Configuration),
        ("exit 69", Class::Transport),
        ("kill -9 $$", Class::Ambiguous),
    ] {
        let refused = send(&program(folder, line), None, None, WAIT).unwrap_err();
        assert_eq!(refused.class, class, "{line}: {refused:?}");
    }
    let refused = send(&program(folder, "printf 'no \\033[31mspool\\n' >&2; exit 71"), None, None, WAIT).unwrap_err();
    assert!(refused.text.contains("exit 71: no ?[31mspool"), "{}", refused.text);
    let none = SendmailSpec { program: folder.join("none"), addresses: vec!["a@b".into()], from: "a@b".into() };
    assert_eq!(send(&ChannelSpec::Sendmail(none), None, None, WAIT).unwrap_err().class, Class::Configuration);
}

#[test]
fn a_mail_program_that_hangs_is_ended_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let hangs = program(folder.path(), "sleep 61 & echo $! >child; sleep 61");
    let refused = send(&hangs, None, None, Duration::from_millis(500)).unwrap_err();
    assert_eq!(refused.class, Class::Ambiguous, "{refused:?}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    let child = std::fs::read_to_string(folder.path().join("child")).unwrap();
    // The signal is sent; the kernel takes its time.
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    while !state().is_empty() && !state().contains(") Z ") {
        assert!(begun.elapsed() < Duration::from_secs(40), "{}", state());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_server_that_hangs_up_in_the_middle_loses_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _): (TcpStream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        stream.write_all(b"220 x\r\n").unwrap();
        for answer in ["250 x\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"] {
            reader.read_line(&mut line).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let plain = SmtpSpec { user: None, ..smtp(port, Tls::None, None) };
    let refused = send(&mail(), Some(&plain), None, WAIT).unwrap_err();
    assert_eq!((refused.class, refused.stage), (Class::Ambiguous, "message"), "{refused:?}");
}
