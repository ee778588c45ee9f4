//! Mail through Postfix: both ways of TLS, login, certificates that are not right, a mailbox that is not there.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests start programs and fail loudly")]
#![cfg(feature = "server")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use fleet_health::model::alert::Pause;
use fleet_health::model::cause::Cause;
use fleet_health::model::fleet::{Attempt, Outcome};
use fleet_health::model::job::Traffic;
use fleet_health::model::secret::Secret;
use fleet_health::model::spec::{ChannelSpec, SmtpSpec, Tls};
use fleet_health::notify::{self, Class, Parcel, Refusal, Setup};
use fleet_health::store::Store;
use fleet_health::store::sqlite::Sqlite;

#[path = "support/postfix.rs"]
mod postfix;
#[allow(dead_code, reason = "helpers of other tests too")]
#[path = "support/smtpd.rs"]
mod smtpd;

use postfix::{LARGEST, Postfix};

struct Try<'a> {
    port: u16,
    tls: Tls,
    authorities: Option<&'a Path>,
    password: &'a str,
}

impl Try<'_> {
    fn send(&self, to: &str, bytes: &[u8]) -> Result<(), Refusal> {
        let spec = SmtpSpec {
            host: "localhost".into(),
            port: self.port,
            tls: self.tls,
            from: "Fleet <fleet@example.net>".into(),
            user: Some("fleet".into()),
            password: None,
            ca_file: self.authorities.map(Path::to_path_buf),
        };
        let (password, channel) = (Secret::new(self.password.into()), ChannelSpec::Mail(vec![to.into()]));
        let timeout = Duration::from_secs(30);
        let setup = Setup { smtp: Some(&spec), channel: &channel, password: Some(&password), timeout };
        let (way, recipients) = notify::of(&channel).unwrap();
        let mut session = way.open(&setup, &mut |_| {})?;
        session.send(&Parcel { recipient: &recipients[0], message_id: "1@x", bytes }, &mut |_| {})?;
        session.close(&mut |_| {});
        Ok(())
    }
}

const MAIL: &[u8] = b"Subject: dots\r\n\r\nfirst\r\n.\r\n..\r\nlast\r\n";

#[test]
fn postfix_takes_what_is_right_and_says_what_is_not() {
    let server = Postfix::start();
    let (ca, old_ca) = (server.authorities(), server.old_authorities());
    for (port, tls, old) in
        [(server.starttls, Tls::StartTls, server.expired[0]), (server.implicit, Tls::Implicit, server.expired[1])]
    {
        let good = Try { port, tls, authorities: Some(&ca), password: "right" };
        good.send("ops@example.net", MAIL).unwrap();
        let refused = |attempt: Try<'_>, to: &str, bytes: &[u8]| {
            let refusal = attempt.send(to, bytes).unwrap_err();
            (refusal.class, refusal.stage, refusal.text)
        };
        let (class, stage, text) = refused(Try { password: "wrong", ..good }, "ops@example.net", MAIL);
        assert!((class, stage) == (Class::Configuration, "auth") && !text.contains("wrong"), "{text}");
        let (class, stage, text) =
            refused(Try { port: old, authorities: Some(&old_ca), ..good }, "ops@example.net", MAIL);
        assert!((class, stage) == (Class::Transport, "tls") && text.contains("xpired"), "{stage}: {text}");
        let (class, stage, text) = refused(Try { authorities: None, ..good }, "ops@example.net", MAIL);
        assert!((class, stage) == (Class::Transport, "tls") && text.contains("UnknownIssuer"), "{stage}: {text}");
        let (class, stage, text) = refused(Try { ..good }, "nobody@example.net", MAIL);
        assert!((class, stage) == (Class::RowDead, "rcpt") && text.contains("550 5.1.1"), "{stage}: {text}");
        let large = [b"Subject: x\r\n\r\n".as_slice(), "0123456789abcdef\r\n".repeat(LARGEST / 16).as_bytes()].concat();
        let (class, stage, text) = refused(Try { ..good }, "ops@example.net", &large);
        assert!(class == Class::Content && text.contains("552"), "{stage}: {text}");
    }
    let mails = server.mails("ops", 2);
    assert_eq!(mails.len(), 2, "one for each way, and none of those that were refused");
    assert!(mails.iter().all(|mail| mail.ends_with("\n\nfirst\n.\n..\nlast\n")), "{mails:?}");
}

/// Nobody waits twenty minutes between two tries in a test.
fn hurry(store: &mut Sqlite) {
    for pause in store.pauses().unwrap().into_iter().filter(|pause| !pause.what.starts_with("mailbox ")) {
        store.pause(&Pause { failures: 0, ..pause }).unwrap();
    }
    for mut mail in store.queued().unwrap() {
        mail.next = Utc::now();
        store.update_mail(&mail).unwrap();
    }
}

#[test]
fn one_bad_recipient_of_three_at_postfix_stops_nobody_and_is_told_to_the_others() {
    let server = Postfix::start();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text = format!(
        r#"<fleet-health version="1">
  <store url="sqlite:fleet.db"/>
  <host name="web01" address="127.0.0.1" user="nobody"/>
  <alerts>
    <smtp host="localhost" port="{}" tls="starttls" from="fleet@example.net" user="fleet" password="right"
          ca-file="{}"/>
    <to name="all" mail="ops@example.net nobody@example.net dba@example.net"/>
  </alerts>
</fleet-health>"#,
        server.starttls,
        server.authorities().display()
    );
    std::fs::write(folder.join("config.xml"), text).unwrap();
    std::fs::set_permissions(folder.join("config.xml"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut store = Sqlite::open(&folder.join("fleet.db")).unwrap();
    for minutes in [6, 1] {
        let at = Utc::now() - TimeDelta::minutes(minutes);
        let sweep = store.begin_sweep(at, 1).unwrap();
        let outcome = Outcome::Failed { cause: Cause::Refused, text: "nothing listens".into() };
        let (took, traffic) = (Duration::ZERO, Traffic::default());
        store.record(sweep, &Attempt { host: "web01".into(), at, took, outcome, traffic }, &[]).unwrap();
        store.end_sweep(sweep, at, 1).unwrap();
    }
    let mut run = || {
        let done =
            Command::new(env!("CARGO_BIN_EXE_fleet-alerter")).arg("--config").arg(folder.join("config.xml")).output();
        let done = done.unwrap();
        hurry(&mut store);
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    for _ in 0..3 {
        let (code, said) = run();
        assert!(code == Some(1) && said.contains("nobody@example.net") && said.contains("550"), "{said}");
    }
    assert_eq!(run(), (Some(0), String::new()), "given up for a day, and the others are told");
    assert_eq!(run(), (Some(0), String::new()));
    for mailbox in ["ops", "dba"] {
        let mut subjects: Vec<String> = server
            .mails(mailbox, 2)
            .iter()
            .filter_map(|mail| mail.lines().find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned)))
            .collect();
        subjects.sort();
        assert_eq!(
            subjects,
            ["[CRIT] fleet mail-undeliverable all nobody@example.net", "[CRIT] web01 unreachable"],
            "{mailbox}"
        );
    }
}
