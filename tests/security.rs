//! What the programs refuse, seen from outside: open key files, secrets in readable files, damaged configurations,
//! stores of a newer program; and that what they write is their owner's alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test helper may fail the test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use support::fleet::{Fleet, Kind, header, shown};
use support::local::{Bench, files_below, mode};
use support::run::{must, sqlite3};

#[test]
fn d1_a_password_in_a_file_that_others_read_is_refused_and_not_repeated() {
    let bench = Bench::new();
    let alerts = "<alerts><smtp host=\"mail.invalid\" tls=\"implicit\" from=\"a@example.net\" user=\"u\" \
                  password=\"kanarienvogel\"/><to name=\"ops\" mail=\"ops@example.net\"/></alerts>";
    bench.configure(alerts, 0o644);
    for (name, args) in [("fleet-collector", &[][..]), ("fleet-alerter", &[]), ("fleet", &["check-config"])] {
        let said = bench.run(name, args).ends_with(78);
        assert!(!format!("{}{}", said.out, said.err).contains("kanarienvogel"), "{name} repeats the password");
    }
    bench.configure(alerts, 0o600);
    bench.run("fleet", &["check-config"]).ends_with(0);
}

#[test]
fn d2_an_identity_that_others_read_is_refused() {
    let bench = Bench::new();
    let key = bench.path("keys/fleet.key");
    assert_eq!(mode(&key), 0o600);
    bench.run("fleet-collector", &[]).ends_with(0);
    for open in [0o644, 0o640, 0o604, 0o660] {
        fs::set_permissions(&key, fs::Permissions::from_mode(open)).unwrap();
        let said = bench.run("fleet-collector", &[]);
        assert!(!matches!(said.code, Some(0 | 3) | None), "{open:o}: {said:?}");
        assert!(said.err.contains("chmod"), "the message does not say what to do: {}", said.err);
        assert!(!said.err.contains("AGE-SECRET-KEY"), "{}", said.err);
    }
    // The alerter never opens it (D2): it runs even when it could not.
    fs::remove_file(&key).unwrap();
    bench.run("fleet-alerter", &[]).ends_with(0);
}

#[test]
fn d3_what_is_written_is_its_owners_alone() {
    let bench = Bench::new();
    let alerts = "<alerts><to name=\"box\" directory=\"mail\"/><route to=\"box\"/></alerts>";
    bench.configure(alerts, 0o600);
    let copy = shown(&bench.path("copy.db"));
    // One after the other; what an earlier one left is looked at again.
    let commands: [(&str, &[&str]); 18] = [
        ("fleet-collector", &[]),
        ("fleet-alerter", &[]),
        ("fleet", &["check-config"]),
        ("fleet", &["config", "show", "self"]),
        // What this machine is like must not decide: no host fits.
        ("fleet", &["status", "--filter", "state=never"]),
        ("fleet", &["history", "self", "uptime"]),
        ("fleet", &["metrics"]),
        ("fleet", &["hosts", "list"]),
        ("fleet", &["hosts", "test", "self"]),
        ("fleet", &["mail", "test"]),
        ("fleet", &["keys", "list"]),
        ("fleet", &["keys", "rotate"]),
        ("fleet", &["consent", "grant", "self", "--by", "me", "--purpose", "test"]),
        ("fleet", &["consent", "list"]),
        ("fleet", &["paths"]),
        ("fleet", &["prune"]),
        ("fleet", &["backup", &copy]),
        ("fleet", &["consent", "revoke", "self", "--erase"]),
    ];
    for (program, args) in commands {
        bench.run(program, args).ends_with(0);
        for file in files_below(bench.dir.path()) {
            let name = shown(file.strip_prefix(bench.dir.path()).unwrap());
            // A mailbox may be a group's.
            let group = if name.starts_with("mail/") { 0o040 } else { 0 };
            if !name.starts_with("probes/") && !name.ends_with(".pub") {
                assert_eq!(mode(&file) & !group, 0o600, "after {program} {args:?}: {name} has mode {:o}", mode(&file));
            }
        }
    }
    assert_eq!(mode(&bench.path("state")), 0o700);
    // And the copy was whole.
    assert_ne!(sqlite3(&bench.path("copy.db"), "select count(*) from reading"), [["0"]]);
}

#[test]
fn o12_a_configuration_half_written_is_refused_whole() {
    let bench = Bench::new();
    let whole = fs::read_to_string(bench.path("config.xml")).unwrap();
    let example = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/config.xml")).unwrap();
    let end = example.windows(15).rposition(|window| window == b"</fleet-health>").unwrap() + 15;
    for cut in 0..end {
        fs::write(bench.path("half.xml"), &example[..cut]).unwrap();
        assert!(fleet_health::config::read(&bench.path("half.xml")).is_err(), "cut at {cut}");
    }
    // As the programs say it.
    for cut in (0..whole.trim_end().len()).step_by(97) {
        bench.write_config(&whole[..cut]);
        let said = bench.run("fleet", &["check-config"]);
        assert_eq!(said.code, Some(78), "cut at {cut}: {said:?}");
        assert!(!said.err.contains("panicked"), "cut at {cut}: {}", said.err);
    }
    bench.write_config(
        "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><fleet-health version=\"1\">&b;</fleet-health>",
    );
    let said = bench.run("fleet", &["check-config"]).ends_with(78);
    assert!(!said.err.contains("root:"), "{}", said.err);
    // Nothing was written meanwhile.
    assert!(!bench.path("fleet.db").exists());
}

#[test]
fn o20_a_store_of_a_newer_program_is_refused_and_left_as_it_is() {
    let bench = Bench::new();
    bench.run("fleet-collector", &[]).ends_with(0);
    let database = shown(&bench.path("fleet.db"));
    must("sqlite3", &[database.as_str(), "pragma user_version = 9999"]);
    for (name, args) in [
        ("fleet-collector", &[][..]),
        ("fleet-alerter", &[]),
        ("fleet", &["status"]),
        ("fleet", &["prune"]),
        ("fleet", &["consent", "list"]),
    ] {
        let said = bench.run(name, args).ends_with(74);
        assert!(said.err.contains("9999") && said.err.contains("upgrade"), "{name}: {}", said.err);
    }
    assert_eq!(sqlite3(&bench.path("fleet.db"), "pragma user_version"), [["9999"]]);
}

#[test]
fn c1_an_unknown_host_key_is_mailed_with_its_fingerprint_and_the_command() {
    let fleet = Fleet::start(&[Kind::Good, Kind::Good]);
    fleet.configure(|_| String::new(), &fleet.alerts());
    fleet.run("fleet", &["keys", "generate"]).ends_with(0);
    let file = fleet.dir.join("keys/known_hosts");
    let all = fs::read_to_string(&file).unwrap();
    // Somebody forgot the first host.
    let known: String = all.lines().skip(1).map(|line| format!("{line}\n")).collect();
    fs::write(&file, &known).unwrap();
    for _ in 0..2 {
        fleet.run("fleet-collector", &[]).ends_with(3);
        fleet.run("fleet-alerter", &[]).ends_with(0);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), known, "nothing is accepted by itself");
    let mails = fleet.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert!(header(&mails[0], "Subject").contains("[CRIT] h01"), "{}", mails[0]);
    let text = words(&mails[0]);
    let told = must("ssh-keygen", &["-lf", &shown(&fleet.dir.join("host_key.pub"))]);
    assert!(text.contains(told.split_whitespace().nth(1).unwrap()), "{text}");
    assert!(text.contains("fleet hosts accept h01"), "{text}");
}

#[test]
fn c2_a_changed_host_key_is_mailed_with_both_fingerprints_and_the_command() {
    let fleet = Fleet::start(&[Kind::ChangedKey, Kind::Good]);
    fleet.configure(|_| String::new(), &fleet.alerts());
    fleet.run("fleet", &["keys", "generate"]).ends_with(0);
    let known = fs::read_to_string(fleet.dir.join("keys/known_hosts")).unwrap();
    fleet.run("fleet-collector", &[]).ends_with(3);
    assert_eq!(fs::read_to_string(fleet.dir.join("keys/known_hosts")).unwrap(), known, "nothing is replaced by itself");
    fleet.run("fleet-alerter", &[]).ends_with(0);
    let mails = fleet.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    let text = words(&mails[0]);
    for key in ["host_key", "other_host_key"] {
        let told = must("ssh-keygen", &["-lf", &shown(&fleet.dir.join(format!("{key}.pub")))]);
        let fingerprint = told.split_whitespace().nth(1).unwrap();
        assert!(text.contains(fingerprint), "{fingerprint} is not in: {text}");
    }
    assert!(text.contains("fleet hosts accept h01"), "{text}");
}

/// A mail as a person reads it, one space between words.
fn words(mail: &str) -> String {
    let (head, body) =
        mail.replace("\r\n", "\n").split_once("\n\n").map(|(h, b)| (h.to_owned(), b.to_owned())).unwrap();
    let head = head.to_ascii_lowercase();
    let body = if head.contains("encoding: base64") {
        String::from_utf8(STANDARD.decode(body.split_whitespace().collect::<String>()).unwrap()).unwrap()
    } else if head.contains("quoted-printable") {
        body.replace("=\n", "").replace("=3D", "=")
    } else {
        body
    };
    body.split_whitespace().collect::<Vec<_>>().join(" ")
}
