//! Mail through a real SMTP server (aiosmtpd in target/venv), with TLS and login.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests start programs and fail loudly")]
#![cfg(feature = "server")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fleet_health::model::cause::Cause;
use fleet_health::model::fleet::{Attempt, Outcome};
use fleet_health::model::job::Traffic;
use fleet_health::model::secret::Secret;
use fleet_health::model::spec::{ChannelSpec, SmtpSpec, Tls};
use fleet_health::notify::message::{Letter, compose};
use fleet_health::notify::{self, Class, Parcel, Refusal, Setup};
use fleet_health::store::Store;
use fleet_health::store::sqlite::Sqlite;

#[path = "support/smtpd.rs"]
mod smtpd;
use smtpd::start;

fn send(spec: &SmtpSpec, password: &str, lines: &mut Vec<String>) -> Result<(), Refusal> {
    let password = Secret::new(password.into());
    let to = ChannelSpec::Mail(vec!["ops@example.net".into()]);
    let setup = Setup { smtp: Some(spec), channel: &to, password: Some(&password), timeout: Duration::from_secs(10) };
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
    spec.user = Some("busy".into());
    let busy = send(&spec, "right", &mut lines).unwrap_err();
    assert_eq!((busy.class, busy.stage), (Class::Transport, "auth"), "a 4xx is no wrong password: {busy:?}");
    spec.user = Some("fleet".into());
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

/// A store in which `web01` failed twice in the last minutes, and a configuration that mails through the server.
fn watched(folder: &Path, port: u16, password: &str) -> Sqlite {
    let file = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    file("smtp.pw", password);
    file(
        "config.xml",
        &format!(
            r#"<fleet-health version="1">
  <store url="sqlite:fleet.db"/>
  <host name="web01" address="127.0.0.1" user="nobody"/>
  <alerts>
    <smtp host="localhost" port="{port}" tls="implicit" from="fleet@example.net" user="fleet"
          password-file="smtp.pw" ca-file="ca.pem"/>
    <to name="ops" mail="ops@example.net"/>
  </alerts>
</fleet-health>"#
        ),
    );
    let mut store = Sqlite::open(&folder.join("fleet.db")).unwrap();
    for minutes in [6, 1] {
        let outcome = Outcome::Failed { cause: Cause::Refused, text: "nothing listens".into() };
        attempt(&mut store, minutes, outcome);
    }
    store
}

fn attempt(store: &mut Sqlite, minutes_ago: i64, outcome: Outcome) {
    let at = chrono::Utc::now() - chrono::TimeDelta::minutes(minutes_ago);
    let sweep = store.begin_sweep(at, 1).unwrap();
    let attempt = Attempt { host: "web01".into(), at, took: Duration::ZERO, outcome, traffic: Traffic::default() };
    store.record(sweep, &attempt, &[]).unwrap();
    store.end_sweep(sweep, at, 0).unwrap();
}

fn alerter(folder: &Path, flags: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet-alerter"));
    let output = command.arg("--config").arg(folder.join("config.xml")).args(flags).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
}

fn subjects(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder.join("box/new")) else { return Vec::new() };
    let text = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(entry.unwrap().path()).unwrap();
    let subject = |mail: String| mail.lines().find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned));
    let mut subjects: Vec<String> = entries.filter_map(|entry| subject(text(entry))).collect();
    subjects.sort();
    subjects
}

#[test]
fn a_wrong_password_is_said_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = start("implicit", folder);
    let mut store = watched(folder, server.1, "wrong-secret");
    let (code, said) = alerter(folder, &[]);
    assert_eq!(code, 1, "{said}");
    assert!(!said.is_empty() && !said.contains("wrong-secret"), "{said}");
    assert_eq!(store.queued().unwrap().len(), 1);

    std::fs::write(folder.join("smtp.pw"), "right").unwrap();
    // The outbox waits a while after a failure; a person who mended the password and tried it need not.
    assert_eq!(alerter(folder, &[]).0, 0);
    assert_eq!(store.queued().unwrap().len(), 1);
    let mut test = Command::new(env!("CARGO_BIN_EXE_fleet"));
    let tested = test.args(["alerts", "test-mail", "--config"]).arg(folder.join("config.xml")).output().unwrap();
    assert!(tested.status.success(), "{tested:?}");
    assert_eq!(alerter(folder, &[]), (0, String::new()), "a success is silent");
    assert_eq!(subjects(folder), ["[CRIT] web01 unreachable", "[OK] fleet-health test mail"]);
    assert_eq!(alerter(folder, &[]).0, 0);
    assert_eq!(subjects(folder).len(), 2, "told once");

    attempt(&mut store, 0, Outcome::Collected);
    assert_eq!(alerter(folder, &[]).0, 0);
    let all = ["[CRIT] web01 unreachable", "[OK] fleet-health test mail", "[OK] web01 unreachable"];
    assert_eq!(subjects(folder), all);
}

/// What the libraries below us say at their most talkative holds the password in no form (design/trust.md, D4).
#[test]
fn d4_no_log_at_any_level_shows_the_password() {
    let canary = "kanarienvogel-0b7d";
    let secret = |text: &str| {
        // As AUTH PLAIN and AUTH LOGIN send it.
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(text).trim_end_matches('=').to_owned()
    };
    for mode in ["implicit", "starttls"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let server = start(mode, folder);
        let store = watched(folder, server.1, canary);
        let text = std::fs::read_to_string(folder.join("config.xml")).unwrap();
        std::fs::write(folder.join("config.xml"), text.replace("tls=\"implicit\"", &format!("tls=\"{mode}\"")))
            .unwrap();
        let mut said = String::new();
        for (program, args) in [
            (env!("CARGO_BIN_EXE_fleet-alerter"), &["-vvv"][..]),
            (env!("CARGO_BIN_EXE_fleet"), &["-vvv", "mail", "test"]),
            (env!("CARGO_BIN_EXE_fleet"), &["-vvv", "config", "show", "web01"]),
        ] {
            let mut command = Command::new(program);
            command.arg("--config").arg(folder.join("config.xml")).args(args).env("RUST_LOG", "trace");
            let output = command.output().unwrap();
            said.push_str(&String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
        }
        assert!(said.contains("535") || said.to_lowercase().contains("auth"), "it never logged in: {said}");
        let error = &store.queued().unwrap()[0].error;
        assert!(!error.is_empty());
        for form in [canary.to_owned(), secret(canary), secret(&format!("\0fleet\0{canary}"))] {
            assert!(!said.contains(&form) && !error.contains(&form), "{mode}: {form}: {said}");
            for end in ["", "-wal"] {
                let bytes = std::fs::read(folder.join(format!("fleet.db{end}"))).unwrap_or_default();
                assert!(!bytes.windows(form.len()).any(|window| window == form.as_bytes()), "in fleet.db{end}");
            }
        }
    }
}

#[test]
fn a_dry_run_tells_and_changes_nothing_and_a_second_run_leaves_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Its certificates stay when the server ends: then nobody listens.
    let port = start("implicit", folder).1;
    let store = watched(folder, port, "right");
    let (code, said) = alerter(folder, &["--dry-run"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("[CRIT] web01 unreachable"), "{said}");
    assert_eq!((store.cursor().unwrap(), store.queued().unwrap().len()), (0, 0));

    // The mail waits, and that is no failure of this run yet.
    assert_eq!(alerter(folder, &[]).0, 0);
    assert_eq!(store.queued().unwrap().len(), 1);
    let lock = std::fs::OpenOptions::new().write(true).open(folder.join("state/alerter.lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(alerter(folder, &[]), (75, String::new()));
}
