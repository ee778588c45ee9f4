use std::collections::BTreeMap;

use chrono::DateTime;
use proptest::prelude::*;

use super::*;
use crate::model::alert::{Incident, Subject};
use crate::model::sample::Reading;
use crate::model::snapshot::Health;

fn host() -> HostRow {
    let reading = |metric: &str, item: &str, value| Reading { metric: metric.into(), item: item.into(), value };
    let at = DateTime::from_timestamp(0, 0).unwrap();
    let incident = Incident {
        id: 1,
        subject: Subject { host: "web01".into(), rule: "http.latency".into(), item: "shop/http".into() },
        level: Level::Warning,
        worst: Level::Warning,
        opened: at,
        changed: at,
        closed: None,
        ending: None,
        value: 1.0,
        text: String::new(),
    };
    HostRow {
        name: "web01".into(),
        groups: vec!["eu".into(), "web".into()],
        labels: BTreeMap::from([("tier".into(), "front end".into())]),
        level: Some(Level::Warning),
        state: State::Fresh,
        attempt: None,
        received: None,
        age: Some(90.0),
        hostname: String::new(),
        readings: vec![
            reading("cpu.used", "", 0.85),
            reading("filesystem.used", "/", 0.2),
            reading("filesystem.used", "/var", 0.95),
        ],
        problems: vec![Problem { incident, ack: None, silenced: None }],
        services: ["shop", "nginx"]
            .map(|name| ServiceRow {
                name: name.into(),
                health: Health::Healthy,
                why: Vec::new(),
                min_healthy: None,
                memory: None,
            })
            .to_vec(),
    }
}

fn chosen(text: &str) -> bool {
    Filter::parse(text).unwrap_or_else(|error| panic!("{error}")).host(&host())
}

#[test]
fn a_problem_that_ended_is_chosen_by_the_worst_that_it_was() {
    let host = host();
    let mut it = host.problems[0].incident.clone();
    (it.level, it.worst, it.closed) = (Level::Ok, Level::Critical, Some(it.opened));
    let chosen = |text: &str| Filter::parse(text).unwrap().incident(&it, Some(&host));
    assert!(chosen("") && chosen("level=critical") && chosen("web* rule=http.*"));
    assert!(!chosen("level=ok") && !chosen("level=warning") && !chosen("db*"));
}

#[test]
fn all_terms_must_hold() {
    for text in [
        "",
        "  ",
        "web",
        "WEB0",
        "web*",
        "*01",
        "!db",
        "!db*",
        "host=web01",
        "host=db*,web*",
        "group=web level>=warning",
        "group=eu,us service=shop",
        "service!=redis",
        "label=tier",
        "label=\"tier=front end\"",
        "label=tier=front*",
        "level=warning",
        "level=WARN",
        "level<critical level>ok level!=unknown",
        "state=fresh",
        "state!=stale",
        "rule=http.*",
        "cpu.used>80%",
        "cpu>=85%",
        "CPU<90%",
        "age<2m",
        "filesystem.used>90%",
        "disk[/var]>90%",
        "filesystem.used[/]<=20%",
        "filesystem.used[\"/v*\"]>90%",
        "group=web cpu.used>80% disk>90%",
    ] {
        assert!(chosen(text), "{text}");
    }
    for text in [
        "db",
        "!web",
        "host=web",
        "group=we",
        "label=tier=db",
        "level>warning",
        "level=ok",
        "state=stale",
        "cause=dns",
        "rule=cpu.used",
        "cpu.used>85%",
        "memory.used>0%",
        "filesystem.used[/]>90%",
        "age>2m",
        "group=web cpu>90%",
    ] {
        assert!(!chosen(text), "{text}");
    }
}

#[test]
fn a_problem_and_a_service_are_chosen_for_themselves() {
    let host = host();
    let filter = |text: &str| Filter::parse(text).unwrap();
    let problem = Chosen { host: Some(&host), service: None, problem: host.problems.first() };
    assert!(filter("service=shop level=warning rule=http.latency").any(&problem));
    assert!(!filter("service=nginx").any(&problem));
    let service = Chosen { host: Some(&host), service: host.services.get(1), problem: None };
    assert!(filter("service=nginx").any(&service) && !filter("service=shop").any(&service));
    let fleet = Chosen { host: None, service: None, problem: host.problems.first() };
    assert!(filter("fleet level>=warning").any(&fleet) && !filter("group=web").any(&fleet));
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let said = |text: &str| Filter::parse(text).unwrap_err().to_string();
    assert_eq!(
        said("web* grop=web"),
        "\"grop\" is nothing to filter by\n  web* grop=web\n       ^^^^ did you mean \"group\"?"
    );
    assert_eq!(
        said("level>=wraning"),
        "\"wraning\" is not a level\n  level>=wraning\n         ^^^^^^^ did you mean \"warning\"?"
    );
    assert_eq!(
        said("cpu.used>0.8"),
        "\"0.8\" cannot be compared with cpu.used\n  cpu.used>0.8\n           ^^^ write it as 80%"
    );
    assert_eq!(
        said("x cpu.used"),
        "cpu.used is a metric and is compared with nothing\n  x cpu.used\n    ^^^^^^^^ write as cpu.used>80%"
    );
    assert_eq!(said("cpu[a]>1%"), "cpu.used has no items\n  cpu[a]>1%\n     ^^^ write it without [a]");
    assert_eq!(
        said("group=web,,db"),
        "a pattern is empty\n  group=web,,db\n            ^ write patterns with one comma between two"
    );
    assert_eq!(said("state=stal"), "\"stal\" is never so\n  state=stal\n        ^^^^ did you mean \"stale\"?");
    assert_eq!(said("group>web"), "group has no order\n  group>web\n       ^ write group=web or group!=web");
    assert_eq!(said("level>="), "nothing stands after level\n  level>=\n       ^^ write as level>=warning");
    assert_eq!(said("=web"), "nothing stands before the sign\n  =web\n  ^ write as level>=warning or cpu.used>80%");
    assert_eq!(said("a \"b"), "a quote is not closed\n  a \"b\n    ^ write \" at its end");
    assert_eq!(said("!"), "no name is written here\n  !\n  ^ write a part of a host's name, or !name for all others");
    assert!(said("zzz=1\u{1b}[2J").contains("zzz=1?[2J"));
    assert!(Filter::parse(&"a ".repeat(600)).is_err());
}

#[test]
fn it_tells_which_metrics_it_wants() {
    let filter = Filter::parse("cpu>1% age>1m disk.read.rate>5MiB/s web").unwrap();
    assert_eq!(filter.metrics().collect::<Vec<_>>(), ["cpu.used", "disk.read.rate"]);
    assert!(!filter.is_empty() && Filter::default().is_empty());
}

proptest! {
    #[test]
    fn nothing_panics_and_every_mark_stands_under_the_filter(text in r#"[a-z!=<>\[\]",*?.0-9% é\u{202e}]{0,40}"#) {
        match Filter::parse(&text) {
            Ok(filter) => {
                let _ = filter.host(&host());
            }
            Err(error) => {
                prop_assert!(error.at + error.length <= text.chars().count() + 1, "{}", error);
                prop_assert!(!error.mend.is_empty());
            }
        }
    }
}
