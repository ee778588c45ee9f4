//! Webhooks before a scripted server of HTTP: nothing is cut, and one hook's trouble is its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

use serde_json::Value;

use super::*;
use crate::model::spec::{HookFormat, WebhookSpec};

/// What was posted: the path, the body, and the answer's code.
type Posts = Arc<Mutex<Vec<(String, Value, u16)>>>;

struct Receiver {
    port: u16,
    posts: Posts,
}

impl Receiver {
    /// Answers by path, length of the body and number of posts before; 0 hangs up.
    fn start(code: impl Fn(&str, usize, usize) -> u16 + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, posts) = (listener.local_addr().unwrap().port(), Posts::default());
        let kept = Arc::clone(&posts);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                take(stream, &code, &kept);
            }
        });
        Self { port, posts }
    }

    fn hook(&self, name: &str, format: HookFormat) -> DestinationSpec {
        let url = format!("http://127.0.0.1:{}/{name}", self.port);
        let hook = WebhookSpec { url, format, token: None, ca_file: None };
        DestinationSpec { name: name.into(), channel: ChannelSpec::Webhook(hook) }
    }

    /// Bodies that a path took.
    fn took(&self, path: &str) -> Vec<Value> {
        let posts = self.posts.lock().unwrap();
        posts.iter().filter(|(at, _, code)| at == path && *code == 200).map(|(_, body, _)| body.clone()).collect()
    }

    fn tries(&self, path: &str) -> usize {
        self.posts.lock().unwrap().iter().filter(|(at, ..)| at == path).count()
    }
}

fn take(mut stream: TcpStream, code: &dyn Fn(&str, usize, usize) -> u16, posts: &Posts) {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 65536]);
    let (head, body) = loop {
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "a request that ends early");
        bytes.extend(&chunk[..count]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        if bytes.len() == end + 4 + length.parse::<usize>().unwrap() {
            break (head, bytes.split_off(end + 4));
        }
    };
    let path = head.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
    let code = code(&path, body.len(), posts.lock().unwrap().len());
    posts.lock().unwrap().push((path, serde_json::from_slice(&body).unwrap(), code));
    if code == 0 {
        return;
    }
    write!(stream, "HTTP/1.1 {code} so\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
}

impl Field {
    /// A run over the real ways out.
    fn post(&mut self, minutes: i64) -> Report {
        let now = at(minutes);
        let sweep = self.store.begin_sweep(now, 1).unwrap();
        self.store.end_sweep(sweep, now, 0).unwrap();
        turn(&mut self.store, &self.spec, &mut Lines::new(&self.spec), &|| now, now + TimeDelta::minutes(5), false)
            .unwrap()
    }

    fn all_disks(&mut self, minutes: [i64; 2], value: f64) {
        for name in self.names() {
            for minute in minutes {
                self.disk(&name, minute, value);
            }
        }
    }
}

/// What a receiver of Alertmanager's format has as firing after these posts, and how many posts there were.
fn firing(posts: &[Value]) -> BTreeSet<String> {
    let mut firing = BTreeMap::new();
    for alert in posts.iter().flat_map(|post| post["alerts"].as_array().unwrap()) {
        firing.insert(alert["labels"]["host"].as_str().unwrap().to_owned(), alert["status"] == "firing");
    }
    firing.into_iter().filter(|(_, fires)| *fires).map(|(host, _)| host).collect()
}

fn sizes(posts: &[Value], list: &str) -> Vec<usize> {
    posts.iter().map(|post| post[list].as_array().unwrap().len()).collect()
}

#[test]
fn two_hundred_and_fifty_problems_are_all_told_and_so_are_their_ends() {
    let receiver = Receiver::start(|_, _, _| 200);
    let mut field = Field::many(250);
    field.spec.alerts.destinations =
        vec![receiver.hook("am", HookFormat::Alertmanager), receiver.hook("own", HookFormat::Json)];
    field.all_disks([0, 5], 0.95);
    assert_eq!(field.post(6).sent, 4);
    assert_eq!(firing(&receiver.took("am")).len(), 250);
    field.all_disks([10, 15], 0.2);
    assert_eq!(field.post(16).sent, 4);
    let posts = receiver.took("am");
    assert_eq!(sizes(&posts, "alerts"), [200, 50, 200, 50]);
    assert!(firing(&posts).is_empty());
    assert!(posts.iter().all(|post| post["truncatedAlerts"] == 0));
    let own = receiver.took("own");
    assert_eq!(sizes(&own, "incidents"), [200, 50, 200, 50]);
    assert!(own.iter().all(|post| post["left_out"] == 0 && post["kind"] == "alerts"));
    assert_eq!((field.post(17).sent, field.store.queued().unwrap().len()), (0, 0));
}

/// What came and went is cut as little.
#[test]
fn a_long_summary_is_several_posts() {
    let receiver = Receiver::start(|_, _, _| 200);
    let mut field = Field::many(250);
    field.spec.alerts.destinations = vec![receiver.hook("own", HookFormat::Json)];
    field.post(0);
    field.all_disks([5, 10], 0.95);
    field.all_disks([15, 20], 0.2);
    field.post(21);
    assert_eq!(field.post(24 * 60).sent, 2);
    let posts = receiver.took("own");
    assert_eq!(sizes(&posts, "passed"), [200, 50]);
    assert!(posts.iter().all(|post| post["kind"] == "summary"));
}

/// 413 from 20,000 bytes on.
#[test]
fn what_is_too_large_is_halved_until_it_is_taken() {
    let receiver = Receiver::start(|_, length, _| if length > 20_000 { 413 } else { 200 });
    let mut field = Field::many(250);
    field.spec.alerts.destinations =
        vec![receiver.hook("am", HookFormat::Alertmanager), receiver.hook("own", HookFormat::Json)];
    field.all_disks([0, 5], 0.95);
    assert_eq!(field.post(6).errors, NONE);
    assert!(field.store.queued().unwrap().is_empty(), "in one run");
    assert_eq!(firing(&receiver.took("am")).len(), 250);
    let hosts = |posts: &[Value]| -> Vec<String> {
        let all = posts.iter().flat_map(|post| post["incidents"].as_array().unwrap());
        all.map(|it| it["host"].as_str().unwrap().to_owned()).collect()
    };
    let told = hosts(&receiver.took("own"));
    assert_eq!(told, field.names(), "each once, in order");
    field.all_disks([30, 35], 0.2);
    field.post(36);
    assert!(firing(&receiver.took("am")).is_empty() && field.store.told().unwrap().is_empty());
}

/// Nobody knows whether the problems arrived, then their post is too large, while their ends are planned behind it, the run's
/// time is over and the next run plans nothing: the ends come last all the same.
#[test]
fn an_end_is_not_posted_before_the_half_that_tells_of_its_beginning() {
    let receiver = Receiver::start(|_, length, before| match before {
        0 => 0,
        _ if length > 2_000 => 413,
        _ => 200,
    });
    let mut field = Field::many(8);
    field.spec.alerts.destinations = vec![receiver.hook("am", HookFormat::Alertmanager)];
    field.all_disks([0, 5], 0.95);
    field.post(6);
    assert!(field.store.queued().unwrap()[0].maybe);
    field.all_disks([7, 8], 0.2);
    let sweep = field.store.begin_sweep(at(9), 1).unwrap();
    field.store.end_sweep(sweep, at(9), 0).unwrap();
    let clock = || if receiver.tries("am") < 2 { at(9) } else { at(14) };
    turn(&mut field.store, &field.spec, &mut Lines::new(&field.spec), &clock, at(14), false).unwrap();
    assert_eq!(receiver.posts.lock().unwrap().last().unwrap().2, 413);
    let waiting: Vec<bool> = field.store.queued().unwrap().iter().map(|mail| mail.short).collect();
    assert_eq!(waiting, [true, true, false], "the halves, and the ends behind them");
    let sweep = field.store.begin_sweep(at(15), 1).unwrap();
    turn(&mut field.store, &field.spec, &mut Lines::new(&field.spec), &|| at(15), at(20), false).unwrap();
    field.store.end_sweep(sweep, at(15), 0).unwrap();
    field.post(21);
    let posts = receiver.took("am");
    assert!(firing(&posts).is_empty() && !posts.is_empty(), "{posts:?}");
    assert!(field.store.queued().unwrap().is_empty() && field.store.told().unwrap().is_empty());
}

/// One problem alone that is too large is no post without an end: it is given up, and others are told of it.
#[test]
fn a_single_problem_that_is_too_large_is_given_up_and_that_is_told_elsewhere() {
    let receiver = Receiver::start(|path, _, _| if path == "am" { 413 } else { 200 });
    let mut field = Field::new(&["web01"]);
    field.spec.alerts.destinations =
        vec![receiver.hook("am", HookFormat::Alertmanager), receiver.hook("own", HookFormat::Json)];
    field.all_disks([0, 5], 0.95);
    assert_eq!(field.post(6).sent, 1);
    field.post(7);
    assert_eq!(receiver.tries("am"), 2, "whole, and bare");
    let rules: Vec<Value> = receiver.took("own").iter().map(|post| post["incidents"][0]["rule"].clone()).collect();
    assert_eq!(rules, ["filesystem.used", "mail-undeliverable"]);
}

/// What came and went is halved as well, and given once: what waits behind moves no mark.
#[test]
fn a_summary_that_is_too_large_is_halved_and_given_once() {
    let receiver = Receiver::start(|_, length, _| if length > 20_000 { 413 } else { 200 });
    let mut field = Field::many(250);
    field.spec.alerts.destinations = vec![receiver.hook("own", HookFormat::Json)];
    field.post(0);
    field.all_disks([5, 10], 0.95);
    field.all_disks([15, 20], 0.2);
    for minute in [21, 24 * 60, 24 * 60 + 1, 48 * 60 + 5, 72 * 60 + 10] {
        field.post(minute);
    }
    let posts = receiver.took("own");
    let passed = posts.iter().flat_map(|post| post["passed"].as_array().unwrap());
    let mut hosts: Vec<&str> = passed.map(|it| it["host"].as_str().unwrap()).collect();
    hosts.sort_unstable();
    assert_eq!(hosts, field.names());
}

/// Labels or a text that are too long are left out, and the alert is the same one.
#[test]
fn a_problem_whose_own_post_is_too_large_is_posted_bare_and_ends() {
    for format in [HookFormat::Json, HookFormat::Alertmanager] {
        let receiver = Receiver::start(|_, length, _| if length > 2_000 { 413 } else { 200 });
        let mut field = Field::new(&["web01", "web02"]);
        field.spec.hosts[0].labels.insert("note".into(), "x".repeat(5_000));
        field.spec.alerts.destinations = vec![receiver.hook("am", format)];
        field.all_disks([0, 5], 0.95);
        assert_eq!(field.post(6).errors, NONE);
        field.all_disks([10, 15], 0.2);
        assert_eq!(field.post(16).errors, NONE);
        let posts = receiver.took("am");
        assert_eq!(posts.len(), 4, "{posts:?}");
        match format {
            HookFormat::Json => {
                let of = |post: &Value| format!("{} {}", post["incidents"][0]["host"], post["incidents"][0]["action"]);
                assert_eq!(
                    (of(&posts[0]), of(&posts[2])),
                    (r#""web01" "problem""#.into(), r#""web01" "recovered""#.into())
                );
            }
            HookFormat::Alertmanager => {
                assert!(firing(&posts).is_empty() && firing(&posts[..2]).len() == 2);
                assert_eq!(posts[0]["alerts"][0]["fingerprint"], posts[2]["alerts"][0]["fingerprint"]);
                assert_eq!(posts[0]["alerts"][0]["labels"]["severity"], "critical");
            }
        }
    }
}

/// What no post can hold is left out, and silences nothing that comes after it.
#[test]
fn a_problem_that_no_post_can_hold_does_not_silence_its_hook() {
    let receiver = Receiver::start(|_, length, _| if length > 5_000 { 413 } else { 200 });
    let mut field = Field::new(&[&"a".repeat(3_000), "web02", "web03", "web04"]);
    field.spec.alerts.destinations = vec![receiver.hook("am", HookFormat::Alertmanager)];
    for name in field.names().into_iter().take(3) {
        field.disk(&name, 0, 0.95);
        field.disk(&name, 5, 0.95);
    }
    let report = field.post(6);
    assert_eq!((report.sent, report.errors.len()), (2, 1), "{:?}", report.errors);
    assert_eq!((receiver.tries("am"), field.store.pauses().unwrap().len()), (4, 0));
    // It is tried again when a reminder is due, and not before all others in each run.
    assert_eq!((field.post(7).errors, receiver.tries("am")), (Vec::new(), 4));
    field.disk("web04", 10, 0.95);
    field.disk("web04", 15, 0.95);
    assert_eq!(field.post(16).sent, 1);
    let report = field.post(67);
    assert_eq!((report.sent, report.errors.len()), (2, 1), "{:?}", report.errors);
    assert!(field.store.pauses().unwrap().is_empty() && field.store.queued().unwrap().is_empty());
    // Alone it is left out as well while others get through.
    field.all_disks([70, 75], 0.2);
    field.post(76);
    assert!(firing(&receiver.took("am")).is_empty());
}

/// A wrong token of one hook is no trouble of another at the same server.
#[test]
fn of_two_hooks_at_one_server_one_that_is_refused_holds_up_nothing_of_the_other() {
    let receiver = Receiver::start(|path, _, _| if path == "bad" { 403 } else { 200 });
    let mut field = Field::new(&["web01"]);
    field.spec.alerts.destinations =
        vec![receiver.hook("bad", HookFormat::Json), receiver.hook("good", HookFormat::Json)];
    field.all_disks([0, 5], 0.95);
    let report = field.post(6);
    assert_eq!((report.sent, report.waiting), (1, 1));
    assert!(report.errors[0].contains("look at token-file="), "{:?}", report.errors);
    field.all_disks([7, 8], 0.2);
    assert_eq!(field.post(9).sent, 1);
    let actions = |posts: &[Value]| posts.iter().map(|it| it["incidents"][0]["action"].clone()).collect::<Vec<_>>();
    assert_eq!(actions(&receiver.took("good")), ["problem", "recovered"]);
    // The problem that it never heard of passed meanwhile; until something comes through its way is paused.
    assert_eq!((receiver.tries("bad"), field.store.queued().unwrap().len()), (1, 0));
    let paused: Vec<String> = field.store.pauses().unwrap().into_iter().map(|pause| pause.what).collect();
    assert_eq!(paused, [format!("webhook bad http://127.0.0.1:{}", receiver.port)]);
}

/// The answer about the end is lost, then the receiver is gone for an hour: it does not show the problem for ever.
#[test]
fn an_end_that_a_hook_perhaps_has_and_then_refuses_for_good_is_posted_once_more() {
    for format in [HookFormat::Json, HookFormat::Alertmanager] {
        let receiver = Receiver::start(|_, _, before| match before {
            1 => 0,
            2..=4 => 404,
            _ => 200,
        });
        let mut field = Field::new(&["web01"]);
        field.spec.alerts.destinations = vec![receiver.hook("am", format)];
        field.all_disks([0, 5], 0.95);
        assert_eq!(field.post(6).sent, 1);
        field.all_disks([10, 15], 0.2);
        for minute in [16, 18, 39, 60] {
            assert_eq!(field.post(minute).sent, 0, "{minute}");
        }
        assert!(field.store.queued().unwrap().is_empty(), "given up");
        for day in 1..4 {
            field.post(61 + day * 24 * 60);
        }
        // Besides, what the hook itself had.
        let mut posts = receiver.took("am");
        posts.retain(|post| post.to_string().contains("filesystem.used"));
        assert_eq!(posts.len(), 2, "{posts:?}");
        match format {
            HookFormat::Json => assert_eq!(posts[1]["incidents"][0]["action"], "recovered"),
            HookFormat::Alertmanager => assert!(firing(&posts).is_empty()),
        }
        assert!(field.store.told().unwrap().is_empty());
    }
}
