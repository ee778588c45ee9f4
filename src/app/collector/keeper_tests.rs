//! The keeper against a store in memory and hosts that are played.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::Receiver;

use chrono::TimeDelta;

use super::*;
use crate::app::dialer::Dial;
use crate::config;
use crate::model::fleet::{Consent, HostNow};
use crate::model::job::Job;
use crate::model::sample::SampleKey;
use crate::model::secret::Secret;
use crate::model::spec::{HostSpec, Transport};
use crate::model::turn::Begun;
use crate::store::memory::Memory;

const NONCE: &str = "0123456789abcdef0123456789abcdef";
const NAME: &str = "0d2f7d1a-0000000007.age";

struct Bench {
    dir: tempfile::TempDir,
    spec: FleetSpec,
    identities: Vec<String>,
    recipients: Vec<String>,
    store: Memory,
    stop: Arc<AtomicBool>,
}

/// What was acknowledged, by host.
type Acknowledged = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.xml");
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<fleet-health version=\"1\">\
                    <host name=\"a\" transport=\"local\"/></fleet-health>";
        std::fs::write(&file, text).unwrap();
        let spec = config::load(&file).unwrap();
        let (identity, recipient) = seal::generate();
        Self {
            dir,
            spec,
            identities: vec![identity],
            recipients: vec![recipient],
            store: Memory::default(),
            stop: Arc::new(AtomicBool::new(false)),
        }
    }

    fn sealed(&self, nonce: Option<&str>, sample: &Sample) -> Vec<u8> {
        seal::seal(&self.recipients, &v1::encode(nonce, sample)).unwrap()
    }

    /// A sweep over hosts of which each hands over the one file.
    fn sweep(&mut self, hosts: &[&str], file: Vec<u8>) -> (SweepResult, BTreeMap<String, Vec<String>>) {
        let acknowledged = Acknowledged::default();
        let heard = Arc::clone(&acknowledged);
        let dial = move |job: &Job, say: &mut dyn FnMut(FromDialer), answer: &Receiver<ToDialer>| {
            let host = || job.host.clone();
            say(FromDialer::Sealed { host: host(), name: NAME.into(), bytes: file.clone() });
            say(FromDialer::Pulled { host: host(), left: 0, dropped: 0 });
            let answer = answer.recv().unwrap();
            heard.lock().unwrap().insert(answer.host, answer.acknowledged);
            say(FromDialer::Finished { host: host(), traffic: Traffic::default() });
        };
        let result = self.dialled(hosts, Box::new(dial));
        let acknowledged = acknowledged.lock().unwrap().clone();
        (result, acknowledged)
    }

    fn dialled(&mut self, hosts: &[&str], dial: Dial) -> SweepResult {
        let hosts = named(&self.spec, hosts);
        let plan = planned(&hosts, Begun::plain(clock::now(), 1));
        let mut progress = Progress(None);
        sweep(&self.spec, plan, &self.identities, here(dial), &mut self.store, &self.stop, &mut progress).unwrap()
    }

    fn now(&self) -> HostNow {
        self.store.now().unwrap().remove(0)
    }

    fn failure(&self) -> Option<(Cause, String)> {
        match self.store.attempts("a", 1).unwrap().remove(0).outcome {
            Outcome::Collected => None,
            Outcome::Failed { cause, text } => Some((cause, text)),
        }
    }

    fn aside(&self) -> usize {
        std::fs::read_dir(self.dir.path().join("state/undecryptable/a")).map_or(0, Iterator::count)
    }
}

/// All hosts are this machine.
pub fn here(dial: Dial) -> Dialers {
    Dialers { hire: Box::new(|| panic!("nothing is far")), fence: Default::default(), local: dial }
}

/// Hosts of these names.
pub fn named(spec: &FleetSpec, names: &[&str]) -> Vec<HostSpec> {
    names.iter().map(|name| HostSpec { name: (*name).to_owned(), ..spec.hosts[0].clone() }).collect()
}

/// A plan to visit hosts in this order.
pub fn planned(hosts: &[HostSpec], begun: Begun) -> Plan<'_> {
    let make = |host: &HostSpec| {
        Ok(Job {
            host: host.name.clone(),
            transport: Transport::Local,
            nonce: NONCE.into(),
            task: Secret::new(String::new()),
            pull_bytes: 1,
            pull_files: 1,
            probes: "probes".into(),
            timeout: Duration::from_secs(5),
        })
    };
    Plan { begun, visits: hosts.iter().collect(), skipped: Vec::new(), make: Box::new(make) }
}

fn sample(sequence: u64, hostname: &str) -> Sample {
    Sample {
        key: SampleKey { boot: "0d2f7d1a-9f3b-4c8e-8a51-6f2f1f0a7c11".into(), sequence },
        taken: clock::now(),
        hostname: hostname.into(),
        probe: "0.1.0".into(),
        readings: Vec::new(),
        faults: Vec::new(),
        facts: Vec::new(),
        top: Vec::new(),
    }
}

#[test]
fn a7_the_row_is_the_sessions_and_a_changed_name_is_kept_with_its_time() {
    let mut bench = Bench::new();
    let lie = Fact { name: "host.name".into(), item: String::new(), text: "a".into() };
    for (sequence, hostname) in [(1, "a"), (2, "other"), (3, "other")] {
        let mut said = sample(sequence, hostname);
        said.facts.push(lie.clone());
        let file = bench.sealed(Some(NONCE), &said);
        let (result, acknowledged) = bench.sweep(&["a"], file);
        assert_eq!((result.failed(), acknowledged["a"].as_slice()), (0, &[NAME.to_owned()][..]));
    }
    let hosts: Vec<String> = bench.store.now().unwrap().into_iter().map(|it| it.host).collect();
    assert_eq!(hosts, ["a"], "no host came into being by its own word");
    let facts = bench.store.facts("a").unwrap();
    let names: Vec<&str> = facts.iter().filter(|it| it.name == "host.name").map(|it| it.text.as_str()).collect();
    assert_eq!(names, ["a", "other"]);
}

#[test]
fn a8_a_wrong_clock_is_a_fault_and_both_times_are_kept() {
    let mut bench = Bench::new();
    for (sequence, off, wrong) in [(1, 0, false), (2, 60, false), (3, 3600, true), (4, -3600, true)] {
        let mut said = sample(sequence, "a");
        said.taken += TimeDelta::seconds(off);
        let file = bench.sealed(Some(NONCE), &said);
        assert_eq!(bench.sweep(&["a"], file).0.failed(), 0);
        let (received, stored) = bench.now().sample.unwrap();
        assert!((stored.taken - said.taken).abs() < TimeDelta::seconds(1));
        assert!((received - clock::now()).abs() < TimeDelta::seconds(60));
        let faults: Vec<&str> = stored.faults.iter().map(|fault| fault.section.as_str()).collect();
        assert_eq!(faults, if wrong { vec!["clock"] } else { vec![] }, "{off}");
    }
}

#[test]
fn a8_a_replayed_frame_is_a_failure_and_changes_nothing() {
    let mut bench = Bench::new();
    let file = bench.sealed(Some(NONCE), &sample(1, "a"));
    assert_eq!(bench.sweep(&["a"], file).0.failed(), 0);
    let replayed = bench.sealed(Some("fedcba9876543210fedcba9876543210"), &sample(1, "a"));
    assert_eq!(bench.sweep(&["a"], replayed).0.failed(), 1);
    let (cause, text) = bench.failure().unwrap();
    assert!(cause == Cause::BadEnvelope && text.contains("replay"), "{cause} {text}");
    let samples: usize = bench.store.rows_after(0, 10).unwrap().iter().map(|row| row.samples.len()).sum();
    assert_eq!(samples, 1);
}

#[test]
fn what_cannot_be_read_is_acknowledged_only_once_it_is_safe() {
    let mut bench = Bench::new();
    let newer = String::from_utf8(v1::encode(Some(NONCE), &sample(1, "a"))).unwrap().replacen(":1,", ":9,", 1);
    let newer = seal::seal(&bench.recipients, newer.as_bytes()).unwrap();
    let stranger = seal::seal(&[seal::generate().1], b"x").unwrap();
    for (file, expected) in [(&newer, Cause::BadEnvelope), (&stranger, Cause::Undecryptable)] {
        let (_, acknowledged) = bench.sweep(&["a"], file.clone());
        assert_eq!(acknowledged["a"], [NAME], "{expected}");
        let (cause, text) = bench.failure().unwrap();
        assert_eq!(cause, expected);
        assert!(text.ends_with("the sealed file was set aside"), "{text}");
        assert_eq!(
            std::fs::read(bench.dir.path().join("state/undecryptable/a/0d2f7d1a-0000000007age.age")).unwrap(),
            *file
        );
    }
    // No room: it stays where it is, and the row says so.
    let full = std::fs::File::create(bench.dir.path().join("state/undecryptable/a/full")).unwrap();
    full.set_len(1 << 30).unwrap();
    let (_, acknowledged) = bench.sweep(&["a"], newer);
    assert!(acknowledged["a"].is_empty());
    let text = bench.failure().unwrap().1;
    assert!(text.contains("stays on the host") && text.contains("is full"), "{text}");
    assert_eq!(bench.aside(), 2);
}

#[test]
fn a_consent_that_ends_during_the_sweep_is_heeded() {
    let mut bench = Bench::new();
    bench.spec.consent_required = true;
    let file = bench.sealed(Some(NONCE), &sample(1, "a"));
    let (_, acknowledged) = bench.sweep(&["a"], file.clone());
    assert!(acknowledged["a"].is_empty() && bench.now().sample.is_none());
    assert_eq!(bench.failure().unwrap().0, Cause::NoConsent);
    let consent =
        Consent { host: "a".into(), by: "Ann".into(), purpose: "x".into(), granted: clock::now(), revoked: None };
    bench.store.grant(&consent).unwrap();
    assert_eq!(bench.sweep(&["a"], file).0.failed(), 0);
    assert!(bench.now().sample.is_some());
}

#[test]
fn a_sweep_that_a_person_ends_says_nothing_of_the_hosts_it_did_not_reach() {
    let mut bench = Bench::new();
    bench.spec.collector.jobs = 1;
    let stop = Arc::clone(&bench.stop);
    let dial = move |job: &Job, say: &mut dyn FnMut(FromDialer), _: &Receiver<ToDialer>| {
        stop.store(true, Ordering::Relaxed);
        let (host, traffic) = (job.host.clone(), Traffic::default());
        say(FromDialer::Failed { host, cause: Cause::Refused, text: "down".into(), traffic });
    };
    let result = bench.dialled(&["a", "b", "c"], Box::new(dial));
    assert_eq!((result.hosts.len(), result.failed(), result.stopped), (3, 3, true));
    assert_eq!(bench.store.rows_after(0, 10).unwrap().len(), 1);
    assert!(result.trouble().contains("signal"));
}

#[test]
fn a_host_without_a_job_has_its_row_and_harms_no_other() {
    let mut bench = Bench::new();
    let hosts = named(&bench.spec, &["a", "b", "c"]);
    let mut plan = planned(&hosts, Begun::plain(clock::now(), 3));
    let mut make = std::mem::replace(&mut plan.make, Box::new(|_| panic!("not yet")));
    plan.make = Box::new(move |host| match host.name.as_str() {
        "b" => Err(Skip { host: "b".into(), cause: Cause::LocalSetup, text: "too much".into() }),
        _ => make(host),
    });
    plan.skipped.push(Skip { host: "d".into(), cause: Cause::BackOff, text: "waits".into() });
    let dial = |job: &Job, say: &mut dyn FnMut(FromDialer), _: &Receiver<ToDialer>| {
        let (host, traffic) = (job.host.clone(), Traffic::default());
        say(FromDialer::Failed { host, cause: Cause::Refused, text: "down".into(), traffic });
    };
    let (mut progress, stop) = (Progress(None), Arc::new(AtomicBool::new(false)));
    let result =
        sweep(&bench.spec, plan, &bench.identities, here(Box::new(dial)), &mut bench.store, &stop, &mut progress)
            .unwrap();
    assert_eq!((result.hosts.len(), result.failed()), (4, 4));
    let mut rows: Vec<(String, String)> = bench
        .store
        .tried()
        .unwrap()
        .into_iter()
        .map(|it| match it.outcome {
            Outcome::Failed { cause, .. } => (it.host, cause.to_string()),
            Outcome::Collected => (it.host, String::new()),
        })
        .collect();
    rows.sort();
    let row = |host: &str, cause: &str| (host.to_owned(), cause.to_owned());
    let expected = [row("a", "refused"), row("b", "local-setup"), row("c", "refused"), row("d", "back-off")];
    assert_eq!(rows, expected);
}
