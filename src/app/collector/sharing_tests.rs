//! Several collectors before one store, and sweeps that end before all had their turn.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::keeper::sweep;
use super::played::{here, named, planned};
use super::report::{Progress, SweepResult};
use crate::app::clock;
use crate::app::dialer::Dial;
use crate::config;
use crate::model::cause::Cause;
use crate::model::fleet::{Attempt, Outcome};
use crate::model::job::{FromDialer, Job, ToDialer, Traffic};
use crate::model::spec::{FleetSpec, HostSpec};
use crate::model::turn::{Begun, Claim};
use crate::store::Store;
use crate::store::sqlite::Sqlite;

/// Visits as they were: host, begin and end.
type Visits = Arc<Mutex<Vec<(String, Instant, Instant)>>>;

fn spec(folder: &Path) -> FleetSpec {
    let file = folder.join("config.xml");
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<fleet-health version=\"1\">\
                <collector jobs=\"4\"/><host name=\"a\" transport=\"local\"/></fleet-health>";
    std::fs::write(&file, text).unwrap();
    config::load(&file).unwrap()
}

/// Takes its time with each host, which then turns out to hang: another collector need not find out the same.
fn dial(visits: &Visits, each: Duration) -> Dial {
    let visits = Arc::clone(visits);
    Box::new(move |job: &Job, say: &mut dyn FnMut(FromDialer), _: &Receiver<ToDialer>| {
        let begun = Instant::now();
        std::thread::sleep(each);
        visits.lock().unwrap().push((job.host.clone(), begun, Instant::now()));
        let (host, traffic) = (job.host.clone(), Traffic::default());
        say(FromDialer::Failed { host, cause: Cause::Deadline, text: "hangs".into(), traffic });
    })
}

fn begun(collector: &str) -> Begun {
    Begun { collector: collector.into(), ..Begun::plain(clock::now(), 1) }
}

fn swept(spec: &FleetSpec, hosts: &[HostSpec], begun: Begun, dial: Dial, store: &mut dyn Store) -> SweepResult {
    let stop = Arc::new(AtomicBool::new(false));
    sweep(spec, planned(hosts, begun), &[], here(dial), store, &stop, &mut Progress(None)).unwrap()
}

fn hosts(spec: &FleetSpec, count: usize) -> Vec<HostSpec> {
    let names: Vec<String> = (0..count).map(|n| format!("h{n:03}")).collect();
    named(spec, &names.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn three_collectors_at_once_visit_each_host_once() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, path) = (spec(dir.path()), dir.path().join("fleet.db"));
    drop(Sqlite::open(&path).unwrap());
    let (hosts, visits) = (hosts(&spec, 150), Visits::default());
    let (spec, hosts, visits, path) = (&spec, &hosts, &visits, &path);
    let results: Vec<SweepResult> = std::thread::scope(|scope| {
        let all: Vec<_> = ["A", "B", "C"]
            .map(|name| {
                scope.spawn(move || {
                    let mut store = Sqlite::open(path).unwrap();
                    swept(spec, hosts, begun(name), dial(visits, Duration::from_millis(10)), &mut store)
                })
            })
            .into_iter()
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let visits = visits.lock().unwrap();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for (host, ..) in visits.iter() {
        *times.entry(host).or_default() += 1;
    }
    assert!(times.len() == 150 && times.values().all(|times| *times == 1), "{times:?}");
    for result in &results {
        assert_eq!(result.hosts.len() + result.elsewhere.len(), 150, "the counts add up");
        assert!(result.elsewhere.iter().all(|(_, text)| text.starts_with("the collector at ")));
    }
    let done: Vec<usize> = results.iter().map(|result| result.hosts.len()).collect();
    assert_eq!(done.iter().sum::<usize>(), 150, "{done:?}");
    let store = Sqlite::open(path).unwrap();
    assert_eq!(store.rows_after(0, 1000).unwrap().len(), 150);
}

#[test]
fn the_hosts_of_a_dead_collector_are_taken_over_in_the_same_sweep_once_its_leases_end() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(dir.path());
    let mut store = Sqlite::open(&dir.path().join("fleet.db")).unwrap();
    let (hosts, visits) = (hosts(&spec, 6), Visits::default());
    let dead = store.begin(&begun("dead")).unwrap();
    let (now, ends) = (clock::now(), Instant::now() + Duration::from_millis(1500));
    let claim = Claim { sweep: dead, now, until: now + TimeDelta::milliseconds(1500), since: now };
    store.lease(&claim, &["h000", "h001"]).unwrap();
    let result = swept(&spec, &hosts, begun("alive"), dial(&visits, Duration::ZERO), &mut store);
    assert_eq!((result.hosts.len(), result.elsewhere.len()), (6, 0));
    let visits = visits.lock().unwrap();
    let late: Vec<&str> = visits.iter().filter(|it| it.1 >= ends).map(|it| it.0.as_str()).collect();
    assert_eq!((visits.len(), late.len()), (6, 2), "the others did not wait: {late:?}");
    assert!(late.contains(&"h000") && late.contains(&"h001"), "{late:?}");
}

#[test]
fn what_another_collector_did_within_the_interval_is_not_done_again_unless_somebody_asks() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(dir.path());
    let mut store = Sqlite::open(&dir.path().join("fleet.db")).unwrap();
    let (hosts, visits) = (hosts(&spec, 3), Visits::default());
    let quick = |visits: &Visits| dial(visits, Duration::ZERO);
    let other = store.begin(&begun("other")).unwrap();
    // What one could not reach, because its network is broken perhaps, is tried by the other.
    let down = Outcome::Failed { cause: Cause::Refused, text: String::new() };
    let ago = |seconds| clock::now() - TimeDelta::seconds(seconds);
    let (took, traffic) = (Duration::ZERO, Traffic::default());
    let visit = |host: &str, at, outcome| Attempt { host: host.into(), at, took, outcome, traffic };
    store.record(other, &visit("h000", ago(100), Outcome::Collected), &[]).unwrap();
    store.record(other, &visit("h001", ago(290), Outcome::Collected), &[]).unwrap();
    store.record(other, &visit("h002", ago(100), down), &[]).unwrap();
    store.end_sweep(other, ago(90), 0).unwrap();
    let result = swept(&spec, &hosts, begun("ours"), quick(&visits), &mut store);
    assert_eq!((result.hosts.len(), result.elsewhere.len(), result.failed()), (2, 1, 2));
    let (host, text) = &result.elsewhere[0];
    assert!(host == "h000" && text.starts_with("the collector at other visited it 10"), "{host} {text}");
    let asked = Begun { asked: true, ..begun("person") };
    let result = swept(&spec, &hosts, asked, quick(&visits), &mut store);
    assert_eq!((result.hosts.len(), result.elsewhere.len()), (3, 0));
    // Our own regular visit comes again, however soon.
    assert_eq!(swept(&spec, &hosts[2..], begun("person"), quick(&visits), &mut store).hosts.len(), 1);
    assert_eq!(visits.lock().unwrap().len(), 6);
}

#[test]
fn a_sweep_that_is_cut_short_counts_every_host_and_leaves_no_lease() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(dir.path());
    spec.collector.jobs = 1;
    spec.collector.deadline = Duration::from_millis(400);
    let path = dir.path().join("fleet.db");
    let mut store = Sqlite::open(&path).unwrap();
    let (hosts, visits) = (hosts(&spec, 40), Visits::default());
    let other = store.begin(&begun("other")).unwrap();
    let now = clock::now();
    let claim = Claim { sweep: other, now, until: now + TimeDelta::minutes(5), since: now };
    store.lease(&claim, &["h038", "h039"]).unwrap();
    let result = swept(&spec, &hosts, begun("ours"), dial(&visits, Duration::from_millis(50)), &mut store);
    let visited = visits.lock().unwrap().len();
    assert!((1..20).contains(&visited), "{visited}");
    assert_eq!((result.hosts.len(), result.elsewhere.len()), (38, 2));
    let rows = store.rows_after(0, 100).unwrap();
    let is_late = |attempt: &Attempt| matches!(attempt.outcome, Outcome::Failed { cause: Cause::SweepDeadline, .. });
    let late = rows.iter().filter(|row| is_late(&row.attempt)).count();
    // The last one that was begun used up what was left, and no more.
    assert!(rows.len() == 38 && (38 - visited..=39 - visited).contains(&late), "{visited} {late}");
    assert!(result.trouble().contains(&format!("{late} hosts had no turn")), "{}", result.trouble());
    // Everything is free but what the other holds.
    let free = Claim { sweep: store.begin(&begun("ours")).unwrap(), now: clock::now(), ..claim };
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    let answers = store.lease(&free, &names).unwrap();
    assert_eq!(answers.iter().filter(|it| **it == crate::model::turn::Leased::Ours).count(), 38);
}
