//! The matrix of hostile servers (design/trust.md): a simulated fleet does what no real sshd can be made to do, at every
//! stage of a visit and at the scale of a sweep.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "support/bench.rs"]
mod bench;
#[path = "support/simulated/mod.rs"]
mod simulated;
#[path = "support/sshd.rs"]
mod sshd;
#[path = "support/visit.rs"]
mod visit;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bench::{Bench, shown, sweep};
use fleet_health::model::cause::Cause;
use fleet_health::model::spec::{SshSpec, Transport};
use serde_json::Value;
use simulated::site::{site, write_probe};
use simulated::{Behaviour, Fleet, Host, Options, USER};
use visit::{Seen, nobody, visit_with};

/// Every way to be hostile, and what a visit may end with; nothing where it is a success all the same.
const MATRIX: &[(Behaviour, &[Cause])] = &[
    (Behaviour::Refuses, &[Cause::Refused]),
    (Behaviour::BlackHole, &[Cause::ConnectTimeout]),
    (Behaviour::Silent, &[Cause::Handshake]),
    (Behaviour::DripsBanner, &[Cause::Handshake]),
    (Behaviour::FloodsBanner, &[Cause::Handshake, Cause::Oversize]),
    (Behaviour::HangsAfterVersion, &[Cause::Handshake]),
    (Behaviour::HangsInKeyExchange, &[Cause::Handshake]),
    (Behaviour::DripsKeyExchange, &[Cause::Handshake]),
    (Behaviour::FloodsKeyExchange, &[Cause::Oversize]),
    (Behaviour::WrongKey, &[Cause::HostKeyChanged]),
    (Behaviour::RefusesLogin, &[Cause::Authentication]),
    // Silence refuses nobody.
    (Behaviour::HangsAtLogin, &[Cause::Deadline]),
    (Behaviour::HangsAtChannel, &[Cause::Exec]),
    (Behaviour::HangsAtCommand, &[Cause::Exec]),
    (Behaviour::HangsBeforeFrame, &[Cause::Deadline]),
    (Behaviour::HangsInFrame, &[Cause::Deadline]),
    (Behaviour::DripsFrame, &[Cause::Deadline]),
    (Behaviour::Vanishes, &[Cause::Disconnected, Cause::ProbeFailed]),
    (Behaviour::IgnoresWindow, &[Cause::Deadline]),
    (Behaviour::FloodsOutput, &[Cause::Oversize]),
    (Behaviour::FloodsErrors, &[Cause::Oversize]),
    (Behaviour::FloodsRequests, &[Cause::Deadline, Cause::Oversize]),
    (Behaviour::LiesOfSize, &[Cause::Oversize]),
    (Behaviour::Grows, &[Cause::Oversize]),
    (Behaviour::Replays, &[]),
    (Behaviour::HangsAfterFrame, &[]),
];

fn each(count: usize) -> Vec<(Behaviour, usize)> {
    MATRIX.iter().map(|&(behaviour, _)| (behaviour, count)).collect()
}

/// What visits need of a fleet, without a collector.
struct Ground {
    folder: tempfile::TempDir,
    probes: PathBuf,
}

impl Ground {
    fn new(fleet: &Fleet) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let probes = folder.path().join("probes");
        write_probe(&probes);
        for (name, text) in [("login", fleet.login_key()), ("known_hosts", fleet.known_hosts())] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        sshd::sh(&format!("chmod 600 {}", shown(&folder.path().join("login"))));
        Self { folder, probes }
    }

    fn visit(&self, host: &Host, timeout: Duration) -> Seen {
        let path = |name: &str| self.folder.path().join(name);
        let spec = SshSpec {
            user: USER.into(),
            key_files: vec![path("login")],
            known_hosts: vec![path("known_hosts")],
            ..nobody(host.address.to_string(), host.port)
        };
        visit_with(Transport::Ssh(spec), &self.probes, timeout)
    }
}

#[test]
fn a_good_host_of_the_simulated_fleet_is_as_a_real_one_behind_a_line_with_latency() {
    let one_way = Duration::from_millis(20);
    let fleet = Fleet::start(&Options { one_way, ..Options::default() });
    let ground = Ground::new(&fleet);
    let first = ground.visit(&fleet.hosts[0], Duration::from_secs(30));
    assert!(first.pulled && first.traffic.shipped, "{first:?}");
    let warm = ground.visit(&fleet.hosts[0], Duration::from_secs(30));
    assert!(warm.pulled && !warm.traffic.shipped, "{warm:?}");
    assert_eq!((first.files.len(), warm.files.len()), (1, 1), "what was acknowledged is gone");
    assert_ne!(first.files[0].0, warm.files[0].0);
    assert_eq!((warm.traffic.round_trips, first.traffic.round_trips), (8, 9), "{first:?} {warm:?}");
    // Each of them is paid.
    assert!(warm.took >= one_way * 2 * warm.traffic.round_trips, "{warm:?}");
}

#[test]
fn the_seed_says_which_host_does_what() {
    let behaviours = |seed| -> Vec<Behaviour> { simulated::behaviour::spread(seed, 500, &each(2)) };
    assert_eq!(behaviours(1), behaviours(1));
    assert_ne!(behaviours(1), behaviours(2));
    assert_eq!(behaviours(3).iter().filter(|&&it| it == Behaviour::Good).count(), 500 - 2 * MATRIX.len());
}

#[test]
fn a11_each_stage_ends_with_its_cause_a_second_after_the_deadline() {
    let fleet = Fleet::start(&Options { hosts: MATRIX.len(), odd: each(1), ..Options::default() });
    let ground = Ground::new(&fleet);
    std::thread::scope(|scope| {
        for &(behaviour, causes) in MATRIX {
            let (fleet, ground) = (&fleet, &ground);
            scope.spawn(move || {
                // That it ends a second after its deadline, with one last word, is asked in `visit_with`.
                let seen = ground.visit(fleet.one(behaviour), Duration::from_secs(4));
                let cause = seen.failed.as_ref().map(|(cause, _)| *cause);
                match causes {
                    [] => assert!(seen.pulled, "{behaviour:?}: {seen:?}"),
                    _ => assert!(cause.is_some_and(|cause| causes.contains(&cause)), "{behaviour:?}: {seen:?}"),
                }
            });
        }
    });
}

/// The most memory that a process of the collector took, in KiB, beside what it says of the hosts.
fn measured(command: &Command) -> (u64, Vec<Value>) {
    let measure = "import resource, subprocess, sys\nsubprocess.call(sys.argv[1:])\n\
                   print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)";
    let mut python = Command::new("python3");
    python.args(["-c", measure]).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        python.current_dir(folder);
    }
    let done = python.env_remove("SSH_AUTH_SOCK").output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let told: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let most = said.lines().last().and_then(|line| line.trim().parse().ok()).unwrap_or_else(|| panic!("{said}"));
    (most, told["hosts"].as_array().unwrap().clone())
}

fn by_name(told: &[Value]) -> BTreeMap<&str, &Value> {
    told.iter().map(|host| (host["host"].as_str().unwrap(), host)).collect()
}

#[test]
fn a1_a2_floods_and_lies_cost_less_than_50_mb_and_end_as_oversize() {
    let kinds = [
        Behaviour::FloodsOutput,
        Behaviour::FloodsErrors,
        Behaviour::FloodsBanner,
        Behaviour::FloodsKeyExchange,
        Behaviour::LiesOfSize,
        Behaviour::Grows,
    ];
    let odd = kinds.map(|behaviour| (behaviour, 8)).to_vec();
    let fleet = Fleet::start(&Options { hosts: 56, odd, deployed: true, ..Options::default() });
    let bench = site(&fleet, "jobs=\"16\" timeout=\"30s\"");
    let (most, told) = measured(&bench.command(&[]));
    assert!(most < 50 * 1024, "{most} KiB");
    let told = by_name(&told);
    for host in fleet.hosts.iter() {
        let it = told[host.name.as_str()];
        // A flood of lines in the place of a version line may be given up earlier.
        match host.behaviour {
            Behaviour::Good => assert_eq!(it["outcome"], "collected", "{it}"),
            Behaviour::FloodsBanner => assert_eq!(it["outcome"], "failed", "{it}"),
            other => assert_eq!(it["cause"], "oversize", "{other:?}: {it}"),
        }
        let received = it["received_bytes"].as_u64().unwrap();
        assert!(received < 4 << 20, "{it}");
    }
}

/// As `Cause` is written in the store.
fn words(causes: &[Cause]) -> Vec<String> {
    causes.iter().map(ToString::to_string).collect()
}

#[test]
fn a12_fifty_hostile_among_five_hundred_cost_the_others_nothing() {
    // All kinds of them, two of most: the last few once.
    let mut odd = each(2);
    for (_, count) in odd.iter_mut().rev().take(2 * MATRIX.len() - 50) {
        *count = 1;
    }
    assert_eq!(odd.iter().map(|(_, count)| count).sum::<usize>(), 50);
    let fleet = Fleet::start(&Options { hosts: 500, odd, deployed: true, ..Options::default() });
    let bench = site(&fleet, "jobs=\"64\" timeout=\"6s\" interval=\"5m\" deadline=\"4m\"");
    let begun = Instant::now();
    let told = sweep(&mut bench.command(&[]));
    assert!(begun.elapsed() < Duration::from_secs(240), "not inside the interval: {:?}", begun.elapsed());
    assert_eq!(told.len(), 500);
    let told = by_name(&told);
    for host in fleet.hosts.iter() {
        let it = told[host.name.as_str()];
        let causes = match host.behaviour {
            // Sealed for another run: it is stored, and no success.
            Behaviour::Replays => vec!["bad-envelope".to_owned()],
            other => words(MATRIX.iter().find(|(its, _)| *its == other).map_or(&[][..], |(_, causes)| causes)),
        };
        match causes.as_slice() {
            [] => assert_eq!(it["outcome"], "collected", "{:?}: {it}", host.behaviour),
            causes => assert!(causes.iter().any(|cause| it["cause"] == **cause), "{:?}: {it}", host.behaviour),
        }
        // Nobody is asked twice in one run, and no secret is used before the host has proved who it is.
        let logins = host.logins.load(Ordering::Relaxed);
        assert!(logins <= u64::from(host.behaviour != Behaviour::WrongKey), "{:?}: {logins} logins", host.behaviour);
        assert!(host.connections.load(Ordering::Relaxed) <= 1, "{:?}", host.behaviour);
    }
    stored_is_what_was_told(&bench, &told);
}

/// The store has a row for every host, and a sample of each that was collected.
fn stored_is_what_was_told(bench: &Bench, told: &BTreeMap<&str, &Value>) {
    let query = "select distinct host from reading";
    let rows = Command::new("sqlite3").arg("-readonly").arg(bench.path("fleet.db")).arg(query).output().unwrap();
    let rows = String::from_utf8(rows.stdout).unwrap();
    let stored: BTreeSet<&str> = rows.lines().collect();
    for (host, it) in told {
        // What was replayed is new to the store all the same.
        let known = it["outcome"] == "collected" || it["cause"] == "bad-envelope";
        assert_eq!(stored.contains(host), known, "{it}");
    }
}

#[test]
fn o10_black_holes_cost_five_seconds_each_and_only_themselves() {
    let odd = vec![(Behaviour::BlackHole, 30), (Behaviour::Refuses, 30)];
    let fleet = Fleet::start(&Options { hosts: 160, odd, deployed: true, ..Options::default() });
    let bench = site(&fleet, "jobs=\"64\" timeout=\"60s\"");
    let told = sweep(&mut bench.command(&[]));
    let told = by_name(&told);
    for host in fleet.hosts.iter() {
        let it = told[host.name.as_str()];
        match host.behaviour {
            Behaviour::BlackHole => {
                assert_eq!(it["cause"], "connect-timeout", "{it}");
                // Five are its share; the rest is for a busy machine, and still far from the host's whole minute.
                assert!((5.0..20.0).contains(&it["seconds"].as_f64().unwrap()), "{it}");
            }
            Behaviour::Refuses => assert_eq!(it["cause"], "refused", "{it}"),
            _ => assert_eq!(it["outcome"], "collected", "{it}"),
        }
    }
}

#[test]
fn o17_few_descriptors_make_a_large_sweep_slower_and_never_incomplete() {
    let fleet = Fleet::start(&Options { hosts: 200, deployed: true, ..Options::default() });
    let bench = site(&fleet, "jobs=\"100\" timeout=\"60s\"");
    for limit in ["--nofile=100:100", "--nofile=100:4096"] {
        let told = sweep(&mut bench.command(&["prlimit", limit]));
        assert_eq!(told.len(), 200);
        assert!(told.iter().all(|host| host["outcome"] == "collected"), "{limit}: {told:?}");
    }
}
