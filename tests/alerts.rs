//! `fleet alerts`, `ack`, `silence` and `explain` as people type them; and what they are told when they mistype.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests start programs and fail loudly")]
#![cfg(feature = "server")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use fleet_health::model::cause::Cause;
use fleet_health::model::fleet::{Attempt, Outcome};
use fleet_health::model::job::Traffic;
use fleet_health::model::sample::{Reading, Sample, SampleKey};
use fleet_health::store::Store;
use fleet_health::store::sqlite::Sqlite;
use serde_json::Value;

fn configure(folder: &Path, more: &str) {
    let text = format!(
        r#"<fleet-health version="1">
  <store url="sqlite:fleet.db"/>
  <group name="web"><host name="web01" address="127.0.0.1" user="nobody"/></group>
  <host name="db1" address="127.0.0.1" user="nobody" parent="web01"/>
  {more}
</fleet-health>"#
    );
    std::fs::write(folder.join("config.xml"), text).unwrap();
}

/// `web01` failed twice, `db1` has a full disk.
fn story(folder: &Path) -> Sqlite {
    let mut store = Sqlite::open(&folder.join("fleet.db")).unwrap();
    for minutes in [6, 1] {
        let at = Utc::now() - TimeDelta::minutes(minutes);
        let sweep = store.begin_sweep(at, 2).unwrap();
        let visit = |host: &str, outcome| Attempt {
            host: host.into(),
            at,
            took: Duration::ZERO,
            outcome,
            traffic: Traffic::default(),
        };
        let failed = Outcome::Failed { cause: Cause::Refused, text: "nothing listens".into() };
        store.record(sweep, &visit("web01", failed), &[]).unwrap();
        let reading = |metric: &str, value| Reading { metric: metric.into(), item: "/var".into(), value };
        let sample = Sample {
            key: SampleKey { boot: "b".into(), sequence: minutes as u64 },
            taken: at,
            hostname: "db1".into(),
            probe: "1".into(),
            readings: vec![
                reading("filesystem.used", 0.95),
                reading("filesystem.available", 1e9),
                Reading { item: "/srv".into(), ..reading("filesystem.used", 0.5) },
                Reading { item: "/srv".into(), ..reading("filesystem.size", 640.0 * 1024f64.powi(3)) },
            ],
            faults: Vec::new(),
            facts: Vec::new(),
            top: Vec::new(),
        };
        store.record(sweep, &visit("db1", Outcome::Collected), &[sample]).unwrap();
        store.end_sweep(sweep, at, 1).unwrap();
    }
    store
}

fn run(folder: &Path, program: &str, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(program).args(args).env("FLEET_CONFIG", folder.join("config.xml")).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn fleet(folder: &Path, args: &[&str]) -> (i32, String, String) {
    run(folder, env!("CARGO_BIN_EXE_fleet"), args)
}

fn says(folder: &Path, args: &[&str]) -> String {
    let (code, out, err) = fleet(folder, args);
    // The list of what is wrong says with its exit code whether something is.
    let listed = args[0] == "alerts" && args.get(1) != Some(&"show");
    let wrong = listed && (out.contains("CRIT") || out.contains("WARN") || out.contains("\"level\":\"critical\""));
    assert_eq!(code, if wrong { 3 } else { 0 }, "{args:?}: {out}{err}");
    out
}

fn json(folder: &Path, args: &[&str]) -> Value {
    let value: Value = serde_json::from_str(&says(folder, args)).unwrap();
    assert_eq!(value["version"], 1);
    value
}

#[test]
fn a_problem_from_list_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    configure(folder, r#"<alerts><to name="box" directory="mail"/></alerts>"#);
    assert!(says(folder, &["alerts"]).contains("no open problems"));
    let mut store = story(folder);
    assert_eq!(run(folder, env!("CARGO_BIN_EXE_fleet-alerter"), &[]), (0, String::new(), String::new()));

    let list = json(folder, &["alerts", "--json"]);
    let rows = list["rows"].as_array().unwrap();
    let states: Vec<(&str, &str)> =
        rows.iter().map(|row| (row["problem"].as_str().unwrap(), row["state"].as_str().unwrap())).collect();
    assert_eq!(states, [("web01 unreachable", "told"), ("db1 disk /var", "held back")]);
    let table = says(folder, &["alerts"]);
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");

    let shown = says(folder, &["alerts", "show", "1", "2"]);
    assert!(shown.lines().all(|line| line.chars().count() <= 80 || line.contains("<")), "{shown}");
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains("problem to box <") && shown.contains("accepted"), "{shown}");
    assert!(shown.contains("its parent web01 does not answer") && shown.contains("Nobody was told"), "{shown}");
    let explained = says(folder, &["explain", "db1"]);
    assert!(explained.starts_with("db1 is critical, because of 1 of "), "{explained}");
    let told = explained.split_whitespace().collect::<Vec<_>>().join(" ");
    for sentence in [
        "[CRIT] db1 disk /var (problem 2) filesystem.used of /var is 95 % (critical from 90 %).",
        "Warning begins at 80 % (as shipped), critical begins at 90 % (as shipped).",
        "It counts only while filesystem.available is at 10 GiB or worse.",
        "It ends with 2 samples in a row at 70 % or better.",
        "Samples so far, newest right: CC (C critical, W warning), the last on ",
        "Nothing of it is told now: its parent web01 does not answer, so nothing below it is told.",
        "Nobody was told of it yet.",
    ] {
        assert!(told.contains(sentence), "{sentence}: {explained}");
    }
    assert!(explained.lines().all(|line| line.chars().count() <= 80), "{explained}");
    let whole = says(folder, &["explain", "db1", "--all"]);
    assert!(whole.len() > explained.len() && whole.contains("[OK] db1"), "{whole}");
    let great = says(folder, &["explain", "db1", "--rule", "filesystem.used"]);
    let great = great.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = "Warning begins at 90 % (as shipped), critical begins at 95 % (as shipped). \
                    A size of 640 GiB raised them from 80 % and 90 % (scale=).";
    assert!(great.contains(sentence), "{great}");
    let explained = json(folder, &["explain", "db1", "--rule", "filesystem.*", "--json"]);
    assert_eq!(explained["rows"][0]["critical"], 0.9);
    assert!(explained["rows"][0]["sentences"].as_array().unwrap().len() >= 4);

    let taken = json(folder, &["ack", "1", "--until", "2h", "--note", "on it", "--by", "ada", "--json"]);
    assert_eq!((&taken["rows"][0]["id"], &taken["rows"][0]["by"]), (&1.into(), &"ada".into()));
    let shown = says(folder, &["alerts", "show", "1"]);
    assert!(shown.contains("ada took it") && shown.contains("taken by ada: on it"), "{shown}");
    assert_eq!(json(folder, &["alerts", "show", "1", "--json"])["rows"][0]["mails"][0]["state"], "sent");

    assert!(
        says(folder, &["silence", "add", "--host", "db*", "--for", "2h", "--reason", "new disk"]).contains("silence 1")
    );
    assert_eq!(json(folder, &["silence", "list", "--json"])["rows"][0]["state"], "holds");
    let ended = json(folder, &["silence", "end", "1", "--json"]);
    assert_eq!((&ended["rows"][0]["id"], &ended["rows"][0]["state"]), (&1.into(), &"ended".into()));
    let again = json(folder, &["silence", "add", "--all", "--for", "1h", "--reason", "x", "--json"]);
    assert_eq!((&again["rows"][0]["id"], &again["rows"][0]["state"]), (&2.into(), &"holds".into()));
    says(folder, &["silence", "end", "2"]);
    let mailed = json(folder, &["alerts", "test-mail", "--json"]);
    assert!(mailed["rows"][0]["ok"] == true && mailed["dialogue"].as_array().unwrap().len() == 1, "{mailed}");
    assert!(says(folder, &["silence", "list"]).contains("no silences"));

    let at = Utc::now();
    let sweep = store.begin_sweep(at, 2).unwrap();
    let (took, traffic) = (Duration::ZERO, Traffic::default());
    let visit = Attempt { host: "web01".into(), at, took, outcome: Outcome::Collected, traffic };
    store.record(sweep, &visit, &[]).unwrap();
    store.end_sweep(sweep, at, 0).unwrap();
    assert_eq!(run(folder, env!("CARGO_BIN_EXE_fleet-alerter"), &[]).0, 0);
    let recent = says(folder, &["alerts", "--recent"]);
    assert!(recent.contains("recovered"), "{recent}");
    let asked = says(folder, &["alerts", "--recent", "--filter", "web01 level>=warning"]);
    assert!(asked.contains("recovered"), "one that ended is asked for by its worst level: {asked}");
    let (code, _, err) = fleet(folder, &["ack", "1"]);
    assert!(code == 2 && err.contains("problem 1 ended on"), "{err}");
}

#[test]
fn silences_of_every_scope_once_and_every_week() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let shop = r#"<service name="shop"><tcp address="127.0.0.1:1"/></service>"#;
    configure(folder, &format!(r#"<host name="shop1" address="127.0.0.1" user="nobody">{shop}</host>"#));
    let add = |flags: &[&str]| {
        let made = json(folder, &[&["silence", "add", "--reason", "x", "--json"], flags].concat());
        let word = |name: &str| made["rows"][0][name].as_str().unwrap_or_default().to_owned();
        [word("covers"), word("state"), word("when"), word("from")]
    };
    for (flags, covers) in [
        (&["--host", "web*"][..], "host=web*"),
        (&["--group", "web"], "group=web"),
        (&["--service", "sh*"], "service=sh*"),
        (&["--rule", "cpu.*", "--host", "db1", "--host", "web01"], "host=db1,web01 rule=cpu.*"),
        (&["--all"], "everything"),
    ] {
        let [covered, state, ..] = add(&[flags, &["--for", "2h"]].concat());
        assert_eq!((covered.as_str(), state.as_str()), (covers, "holds"));
    }
    let [_, _, when, _] =
        add(&["--service", "shop", "--days", "mon-fri", "--hours", "22:00-06:00", "--time-zone", "Europe/Paris"]);
    assert_eq!(when, "mon-fri 22:00-06:00 Europe/Paris");
    let zone = ["--host", "db1", "--time-zone", "Europe/Paris"];
    // Summer: two hours before UTC.
    let [_, state, _, from] =
        add(&[&zone[..], &["--from", "2090-07-01T10:00", "--until", "2090-07-01T11:00"]].concat());
    assert!(state == "waits" && from.starts_with("2090-07-01T08:00:00"), "{state} {from}");
    assert_eq!(json(folder, &["silence", "list", "--json"])["rows"].as_array().unwrap().len(), 7);
}

#[test]
fn what_is_mistyped_is_answered_with_what_to_type() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    configure(folder, "");
    for (args, wanted) in [
        (
            &[
                "silence",
                "add",
                "--host",
                "web01",
                "--from",
                "2030-01-01T10:00",
                "--until",
                "2030-01-01T09:00",
                "--reason",
                "x",
            ][..],
            &["ends (2030-01-01 09:00 UTC) before it starts (2030-01-01 10:00 UTC)", "--for 2h"][..],
        ),
        (&["silence", "add", "--all", "--until", "2020-01-01T10:00", "--reason", "x"], &["before it starts"]),
        (&["silence", "add", "--host", "wb01", "--for", "1h", "--reason", "x"], &["did you mean \"web01\"?"]),
        (&["silence", "add", "--group", "data", "--for", "1h", "--reason", "x"], &["there is no group \"data\""]),
        (&["silence", "add", "--service", "shop", "--for", "1h", "--reason", "x"], &["there is no service \"shop\""]),
        (&["silence", "add", "--rule", "cpu.usd", "--for", "1h", "--reason", "x"], &["did you mean \"cpu.used\"?"]),
        (&["silence", "add", "--for", "1h", "--reason", "x"], &["a silence over what?", "--all"]),
        (&["silence", "add", "--all", "--reason", "x"], &["until when?", "--for 2h"]),
        (&["silence", "add", "--all", "--days", "funday", "--reason", "x"], &["did you mean \"sun\"?", "funday"]),
        (&["silence", "add", "--all", "--hours", "8-18", "--reason", "x"], &["write it as 08:00-18:00"]),
        (
            &["silence", "add", "--all", "--hours", "08:00-18:00", "--time-zone", "Europe/Pari", "--reason", "x"],
            &["did you mean \"Europe/Paris\"?"],
        ),
        (&["silence", "add", "--all", "--for", "1h", "--reason", " "], &["--reason must say something"]),
        (&["silence", "end", "9"], &["no silence has the number 9", "fleet silence list"]),
        (&["alerts", "test-mail", "--to", "nobody"], &["no destination \"nobody\"", "config.xml has"]),
        (&["ack", "9"], &["no problem has the number 9", "fleet alerts --recent"]),
        (&["ack", "9", "--until", "yesterday"], &["2026-11-22T02:00", "2h"]),
        (&["alerts", "show", "9"], &["no problem has the number 9"]),
        (&["explain", "web1"], &["did you mean \"web01\"?"]),
    ] {
        let (code, _, err) = fleet(folder, args);
        assert_eq!(code, 2, "{args:?}: {err}");
        // "funday" is too far from any day to guess.
        let missing = wanted.iter().filter(|text| !err.contains(**text)).count();
        assert!(missing == 0 || args.contains(&"funday") && err.contains("write mon tue"), "{args:?}: {err}");
    }
}

/// docs/alerting.md is true: its example is taken as it stands, and it names all that can be written and each rule of our own.
#[test]
fn the_document_for_people_is_right_and_whole() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/alerting.md")).unwrap();
    let example = text.split_once("```xml\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
    let folder = tempfile::tempdir().unwrap();
    for secret in ["smtp.pw", "hook.token"] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(folder.path().join(secret), "x").unwrap();
        std::fs::set_permissions(folder.path().join(secret), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    configure(folder.path(), example);
    let (code, out, err) = fleet(folder.path(), &["check-config"]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""), "not even a warning");
    for rule in fleet_health::alert::words::BUILT_IN {
        assert!(text.contains(&format!("| `{rule}` |")), "no line for {rule}");
    }
    let schema = std::fs::read_to_string(root.join("config.xsd")).unwrap();
    for element in ["alerts", "route", "silence"] {
        let (_, of) = schema.split_once(&format!("<xs:complexType name=\"{element}\">")).unwrap();
        let of = of.split("</xs:complexType>").next().unwrap();
        for attribute in of.split("<xs:attribute name=\"").skip(1) {
            let name = attribute.split('"').next().unwrap();
            assert!(text.contains(&format!("{name}=")), "{element} {name}= is not explained");
        }
    }
}

#[test]
fn a_configuration_that_leads_nowhere_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let to = r#"<to name="box" directory="mail"/>"#;
    for (more, wanted) in [
        (format!(r#"<alerts>{to}<route service="shop" to="box"/></alerts>"#), "no host has a service \"shop\""),
        (r#"<silence service="shop" days="sun"/>"#.into(), "no host has a service \"shop\""),
    ] {
        // Said, not refused: the group that has it may have no host yet.
        configure(folder, &more);
        let (code, out, err) = fleet(folder, &["check-config"]);
        let said = out + &err;
        assert!(code == 0 && said.contains(wanted) && said.contains("config.xml:5:"), "{more}: {said}");
    }
    for (more, wanted) in [
        (format!(r#"<alerts>{to}<route to="bx"/></alerts>"#), "there is no destination \"bx\""),
        (format!(r#"<alerts>{to}<route to="box" hours="8"/></alerts>"#), "write it as 08:00-18:00"),
        (format!(r#"<alerts>{to}<route to="box" days="mon-fry"/></alerts>"#), "\"fry\" is not a day"),
        (
            format!(r#"<alerts>{to}<route to="box" time-zone="Europe/Paris"/></alerts>"#),
            "a time zone without days= or hours=",
        ),
        (format!(r#"<alerts>{to}<route to="box" unless="ack"/></alerts>"#), "write unless=\"acked\""),
        (format!(r#"<alerts heartbeat="hc.example.net">{to}</alerts>"#), "write it as https://"),
        (r#"<silence host="web01" from="2026-12-02T10:00" until="2026-12-01T10:00"/>"#.into(), "ends before it starts"),
        (r#"<silence host="web01"/>"#.into(), "this silence has no time"),
        (r#"<silence host="web02" days="sun"/>"#.into(), "did you mean \"web01\"?"),
        (r#"<silence days="sun" until="2026-12-01T10:00"/>"#.into(), "weekly or once, not both"),
        (r#"<host name="x" address="a" user="b" parent="x"/>"#.into(), "is its own parent"),
        (r#"<host name="x" address="a" user="b" parent="web02"/>"#.into(), "there is no host \"web02\""),
    ] {
        configure(folder, &more);
        let (code, out, err) = fleet(folder, &["check-config"]);
        let said = out + &err;
        assert_eq!(code, 78, "{more}: {said}");
        assert!(said.contains(wanted) && said.contains("config.xml:5:"), "{more}: {said}");
    }
}
