use proptest::prelude::*;

use super::*;
use crate::model::secret::Secret;
use crate::model::spec::Transport;

const NAME: &str = "0d2f7d1a-0000000007.age";

fn job(host: &str) -> Job {
    Job {
        host: host.into(),
        transport: Transport::Local,
        nonce: String::new(),
        task: Secret::new(String::new()),
        pull_bytes: 1000,
        pull_files: 3,
        probes: std::path::PathBuf::new(),
        timeout: Duration::from_secs(20),
    }
}

fn visits(hosts: &[&str], now: Instant) -> Visits {
    let mut visits = Visits::default();
    hosts.iter().for_each(|host| visits.begin(job(host), false, 1, now));
    visits
}

fn sealed(host: &str, name: &str, size: usize) -> FromDialer {
    FromDialer::Sealed { host: host.into(), name: name.into(), bytes: vec![0; size] }
}

fn pulled(host: &str) -> FromDialer {
    FromDialer::Pulled { host: host.into(), left: 0, dropped: 0 }
}

fn finished(host: &str, traffic: Traffic) -> FromDialer {
    FromDialer::Finished { host: host.into(), traffic }
}

fn failed(host: &str, cause: Cause, text: &str) -> FromDialer {
    FromDialer::Failed { host: host.into(), cause, text: text.into(), traffic: Traffic::default() }
}

/// What is said of host "a" while "b" is under way too; the rule that the last word breaks.
fn broken(said: &[FromDialer]) -> String {
    let now = Instant::now();
    let mut visits = visits(&["a", "b"], now);
    let (last, before) = said.split_last().unwrap();
    for said in before {
        visits.hear(said, Duration::ZERO, now).unwrap();
    }
    visits.hear(last, Duration::ZERO, now).unwrap_err()
}

#[test]
fn a_visit_goes_its_way_and_is_over() {
    let now = Instant::now();
    let later = now + Duration::from_secs(2);
    let mut visits = visits(&["a", "b"], now);
    for said in [sealed("a", NAME, 600), sealed("a", "0d2f7d1a-0000000008.age", 0), pulled("a")] {
        let (took, _) = visits.hear(&said, Duration::from_secs(1), later).unwrap();
        assert_eq!(took, Duration::from_secs(1));
    }
    let lie = Duration::from_secs(9999);
    assert_eq!(visits.hear(&finished("a", Traffic::default()), lie, later).unwrap().0, Duration::from_secs(2));
    assert_eq!(visits.hear(&failed("b", Cause::Refused, "no"), Duration::ZERO, later).unwrap().0, Duration::ZERO);
    assert_eq!(visits.count(), 0);
}

#[test]
fn every_lie_of_a_dialer_is_told_apart() {
    let name = |number: u32| format!("0d2f7d1a-{number:010}.age");
    let large = 1000 + Limits::of(0, 0).file;
    let dear = Traffic { received: u64::MAX, ..Traffic::default() };
    for (said, rule) in [
        (vec![pulled("stranger")], "not told to visit"),
        (vec![failed("a", Cause::Refused, "no"), pulled("a")], "not told to visit"),
        (vec![sealed("a", "../../etc/passwd", 1)], "a name that none has"),
        (vec![sealed("a", NAME, 1), sealed("a", NAME, 1)], "twice"),
        (vec![sealed("a", NAME, large)], "more than was asked for"),
        (vec![sealed("a", NAME, large - 1000), sealed("a", &name(1), 1001)], "more than was asked for"),
        ((0..4).map(|number| sealed("a", &name(number), 1)).collect(), "more than was asked for"),
        (vec![pulled("a"), sealed("a", NAME, 1)], "went on"),
        (vec![pulled("a"), pulled("a")], "went on"),
        (vec![pulled("a"), failed("a", Cause::Refused, "no")], "went on"),
        (vec![finished("a", Traffic::default())], "without the last file"),
        (vec![pulled("a"), finished("a", dear)], "costs that no visit has"),
        (vec![failed("a", Cause::NoConsent, "no")], "cannot know"),
        (vec![failed("a", Cause::Refused, "two\nlines")], "a reason that is none"),
        (vec![failed("a", Cause::Refused, &"x".repeat(513))], "a reason that is none"),
    ] {
        let text = broken(&said);
        assert!(text.contains(rule), "{rule}: {text}");
    }
}

#[test]
fn who_is_late_is_known() {
    let now = Instant::now();
    let mut visits = visits(&["a"], now);
    visits.begin(Job { timeout: Duration::from_secs(60), ..job("b") }, false, 1, now);
    assert!(!visits.doubt_overdue(now + Duration::from_secs(21), 2));
    assert!(visits.doubt_overdue(now + Duration::from_secs(51), 2));
    let mut tries: Vec<(String, usize)> =
        visits.take_all().into_iter().map(|visit| (visit.job.host, visit.tries)).collect();
    tries.sort();
    assert_eq!(tries, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
}

proptest! {
    /// Whatever is said in whatever order: of each host at most one end is let through, and before it no more than was
    /// asked for.
    #[test]
    fn no_story_of_a_dialer_gives_a_host_two_ends(
        words in proptest::collection::vec((0_usize..3, 0_usize..5, 0_u32..4, 0_usize..600), 0..60)
    ) {
        let now = Instant::now();
        let hosts = ["a", "b", "stranger"];
        let mut visits = visits(&hosts[..2], now);
        let (mut ends, mut bytes, mut files) = ([0; 3], [0; 3], [0; 3]);
        for (host, kind, number, size) in words {
            let name = hosts[host];
            let said = match kind {
                0 | 1 => sealed(name, &format!("0d2f7d1a-{number:010}.age"), size),
                2 => pulled(name),
                3 => finished(name, Traffic::default()),
                _ => failed(name, Cause::Refused, "no"),
            };
            if visits.hear(&said, Duration::ZERO, now).is_ok() {
                ends[host] += usize::from(kind >= 3);
                if kind < 2 {
                    bytes[host] += size;
                    files[host] += 1;
                }
            }
        }
        prop_assert!(ends[0] <= 1 && ends[1] <= 1 && ends[2] == 0);
        prop_assert!(bytes.iter().all(|sum| *sum <= 1000 + Limits::of(0, 0).file) && files.iter().all(|sum| *sum <= 3));
        prop_assert_eq!(visits.count(), 2 - ends[0] - ends[1]);
    }
}
