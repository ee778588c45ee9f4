//! The table of stages: what each answer of a mail server means for the mail, for its server and for the exit.

use crate::app::alerter::tests::{at, disk, empty, go, smtp, spec};
use crate::model::alert::MailState;
use crate::model::spec::{FleetSpec, Tls};
use crate::store::Store;

/// What is to become of a mail.
#[derive(Debug, PartialEq)]
enum Fate {
    /// All that goes to the server waits, nothing is counted.
    Line,
    /// The same, and a person is called.
    Setting,
    /// It alone waits for so many minutes, and is counted.
    Row(i64),
    /// The same, and a person is called.
    Refused(i64),
    /// It went out in a few words after that.
    Short,
}

/// One run before a server that answers so at a stage, and what became of the mail in it.
fn fate(stage: &str, answer: &str) -> Fate {
    let server = smtp::Server::start();
    server.script.lock().unwrap().answers.insert(stage.into(), answer.into());
    before(&spec(server.port, &["ops@example.net"]), stage, answer)
}

/// One run with a mail to deliver as the configuration says.
fn before(spec: &FleetSpec, stage: &str, answer: &str) -> Fate {
    let mut store = empty();
    disk(&mut store, "web01", 0, "/var", 0.95);
    disk(&mut store, "web01", 5, "/var", 0.95);
    let report = go(&mut store, spec, 6);
    assert_eq!((report.sent, report.waiting), (0, 1), "{stage} {answer}");
    let mail = store.queued().unwrap().remove(0);
    assert!(mail.state == MailState::Queued && !mail.maybe, "{stage} {answer}: it was certainly not accepted");
    let (called, paused) = (!report.errors.is_empty(), !store.pauses().unwrap().is_empty());
    let minutes = (mail.next - at(6)).num_minutes();
    match (paused, mail.attempts, called) {
        (true, 0, false) => Fate::Line,
        (true, 0, true) => Fate::Setting,
        (false, 1, false) => Fate::Row(minutes),
        (false, 1, true) => Fate::Refused(minutes),
        (false, 0, false) if mail.short => Fate::Short,
        other => panic!("{stage} {answer}: {other:?} {mail:?}"),
    }
}

#[test]
fn each_answer_means_what_the_table_says() {
    for (stage, answer, wanted) in [
        ("BANNER", "421 too busy", Fate::Line),
        ("BANNER", "554 no service here", Fate::Line),
        ("EHLO", "421 shutting down", Fate::Line),
        ("EHLO", "502 what?", Fate::Line),
        ("MAIL", "421 shutting down", Fate::Line),
        ("MAIL", "451 later", Fate::Line),
        ("MAIL", "550 not you", Fate::Setting),
        ("RCPT", "421 shutting down", Fate::Line),
        ("RCPT", "450 greylisted", Fate::Row(1)),
        ("RCPT", "550 no such user", Fate::Refused(20)),
        ("DATA", "421 shutting down", Fate::Line),
        ("DATA", "451 later", Fate::Row(1)),
        ("DOT", "421 shutting down", Fate::Line),
        ("DOT", "452 no room", Fate::Row(1)),
        ("DOT", "552 too large", Fate::Short),
        ("DOT", "554 looks like spam", Fate::Short),
    ] {
        assert_eq!(fate(stage, answer), wanted, "{stage} {answer}");
    }
}

/// Names that do not resolve, nobody who listens, TLS with somebody who speaks none, and no STARTTLS where it is wanted.
#[test]
fn what_goes_wrong_before_the_first_mail_is_the_lines_or_a_setting() {
    let server = smtp::Server::start();
    let with = |host: &str, port: u16, tls: Tls| {
        let mut spec = spec(port, &["ops@example.net"]);
        let smtp = spec.alerts.smtp.as_mut().unwrap();
        (smtp.host, smtp.tls) = (host.to_owned(), tls);
        before(&spec, host, "")
    };
    // A name that no resolver asks for.
    assert_eq!(with("no..name.invalid", 25, Tls::None), Fate::Line);
    assert_eq!(with("127.0.0.1", 1, Tls::None), Fate::Line);
    assert_eq!(with("127.0.0.1", server.port, Tls::Implicit), Fate::Line);
    assert_eq!(with("127.0.0.1", server.port, Tls::StartTls), Fate::Setting);
}

#[test]
fn a_recipient_that_is_refused_for_now_is_tried_after_1_5_15_30_and_60_minutes() {
    let server = smtp::Server::start();
    server.script.lock().unwrap().answers.insert("RCPT".into(), "450 greylisted".into());
    let spec = spec(server.port, &["ops@example.net"]);
    let mut store = empty();
    disk(&mut store, "web01", 0, "/var", 0.95);
    disk(&mut store, "web01", 5, "/var", 0.95);
    let mut tried = Vec::new();
    for minute in 6..200 {
        let before = store.queued().unwrap().first().map_or(0, |mail| mail.attempts);
        go(&mut store, &spec, minute);
        if store.queued().unwrap()[0].attempts > before {
            tried.push(minute);
        }
    }
    assert_eq!(tried, [6, 7, 12, 27, 57, 117, 177]);
    server.script.lock().unwrap().answers.clear();
    // It is never given up; the reminder waited behind it.
    assert_eq!((go(&mut store, &spec, 237).sent, server.accepted().len()), (2, 2));
}
