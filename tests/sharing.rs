//! Several real collectors before one store, over real sshd: leases, parts of a fleet, and sweeps that are cut short.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test helper may fail the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

mod support;

use support::fleet::{Fleet, Kind, shown};
use support::run::{Owned, Said, must, sqlite3, until};

/// A fleet with keys, whose collector has these attributes instead of the usual ones.
fn ready(kinds: &[Kind], collector: &str) -> Fleet {
    let fleet = Fleet::start(kinds);
    fleet.configure(|_| String::new(), "");
    let text = fs::read_to_string(fleet.config()).unwrap();
    let usual = "jobs=\"8\" timeout=\"20s\" deadline=\"4m\"";
    assert!(text.contains(usual));
    fs::write(fleet.config(), text.replace(usual, collector)).unwrap();
    fleet.run("fleet", &["keys", "generate"]).ends_with(0);
    fleet
}

/// The same configuration for another collector, which keeps its state elsewhere.
fn second(fleet: &Fleet) -> PathBuf {
    let file = fleet.config().with_file_name("second.xml");
    let text = fs::read_to_string(fleet.config()).unwrap().replace("state-dir=\"state\"", "state-dir=\"second\"");
    fs::write(&file, text).unwrap();
    must_be_private(&file);
    file
}

fn must_be_private(file: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn outcomes(said: &Said) -> BTreeMap<String, String> {
    let json = said.json();
    let row = |host: &serde_json::Value| {
        (host["host"].as_str().unwrap().to_owned(), host["outcome"].as_str().unwrap().to_owned())
    };
    json["hosts"].as_array().unwrap().iter().map(row).collect()
}

/// How often each host was visited.
fn visits(fleet: &Fleet) -> BTreeMap<String, u32> {
    let sql = "select h.name, count(*) from attempt a join host h on h.id = a.host group by h.name";
    sqlite3(&fleet.database(), sql).into_iter().map(|row| (row[0].clone(), row[1].parse().unwrap())).collect()
}

fn spawned(mut command: Command) -> Owned {
    Owned(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

#[test]
fn two_collectors_at_once_visit_each_host_exactly_once() {
    let fleet = ready(&[Kind::Good; 12], "jobs=\"2\" timeout=\"20s\" deadline=\"4m\"");
    let other = shown(&second(&fleet));
    let first = fleet.command("fleet-collector", &["--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let second = fleet.command("fleet-collector", &["--json", "--config", &other]).output().unwrap();
    let said = [Said::of(first.wait_with_output().unwrap()), Said::of(second)].map(|said| said.ends_with(0));
    let each = [outcomes(&said[0]), outcomes(&said[1])];
    for host in &fleet.hosts {
        let mut both = [each[0][&host.name].as_str(), each[1][&host.name].as_str()];
        both.sort_unstable();
        assert_eq!(both, ["collected", "elsewhere"], "{}", host.name);
    }
    let times = visits(&fleet);
    assert!(times.len() == 12 && times.values().all(|times| *times == 1), "{times:?}");
    let samples = sqlite3(&fleet.database(), "select count(*), count(distinct host) from sample");
    assert_eq!(samples, [["12", "12"]]);
    // Right after it what the first one did is not due; of the second one's own it may make sure.
    let of_first = each[0].values().filter(|outcome| *outcome == "collected").count();
    let again = fleet.run("fleet-collector", &["--config", &other, "-v"]).ends_with(0);
    let told = format!("{} hosts collected, 0 failed, {of_first} of other collectors, ", 12 - of_first);
    assert!(of_first == 0 || again.out.contains(&told), "{}", again.out);
}

#[test]
fn killed_in_the_middle_its_hosts_are_taken_over_when_its_leases_end() {
    let kinds = [Kind::HangsAfterLogin, Kind::HangsAfterLogin, Kind::Good, Kind::Good, Kind::Good];
    let fleet = ready(&kinds, "jobs=\"4\" timeout=\"6s\" deadline=\"2m\"");
    let other = shown(&second(&fleet));
    let doomed = spawned(fleet.command("fleet-collector", &[]));
    let leases = || -> BTreeSet<String> {
        if !fleet.database().exists() {
            return BTreeSet::new();
        }
        let sql = "select host from lease";
        let args = ["-readonly", &shown(&fleet.database()), sql];
        // It may not be made yet.
        let found = support::run::system("sqlite3", &args);
        found.out.lines().map(str::to_owned).collect()
    };
    let mut held = BTreeSet::new();
    until("hosts are leased", Duration::from_secs(30), || {
        held = leases();
        !held.is_empty()
    });
    // SIGKILL.
    drop(doomed);
    let before = visits(&fleet);
    let held: BTreeSet<String> = leases();
    assert!(!held.is_empty(), "it was killed while it visited: {before:?}");
    let ends: i64 = sqlite3(&fleet.database(), "select max(until) from lease")[0][0].parse().unwrap();
    let told = outcomes(&fleet.run("fleet-collector", &["--json", "--config", &other]));
    for host in &fleet.hosts {
        let (outcome, was_done) = (told[&host.name].as_str(), before.contains_key(&host.name));
        assert_eq!(outcome == "elsewhere", was_done, "{:?}: {outcome}", host.kind);
        // On a machine that is busy a good host may need longer than its time.
        assert!(was_done || host.kind == Kind::Good || outcome == "failed", "{:?}: {outcome}", host.kind);
    }
    assert!(visits(&fleet).values().all(|times| *times == 1), "{:?}", visits(&fleet));
    let sql = "select h.name, a.at - a.took / 1000 from attempt a join host h on h.id = a.host";
    for row in sqlite3(&fleet.database(), sql).into_iter().filter(|row| held.contains(&row[0])) {
        let begun: i64 = row[1].parse().unwrap();
        // A lease is checked by the clock, a visit is measured from its begin.
        assert!(begun + 100 >= ends, "{} was visited at {begun}, and the dead one's lease ended at {ends}", row[0]);
    }
    assert!(leases().is_empty());
}

#[test]
fn parts_cover_the_fleet_once_and_a_missing_one_is_told() {
    let fleet = ready(&[Kind::Good; 8], "jobs=\"8\" timeout=\"20s\" deadline=\"4m\"");
    let first = outcomes(&fleet.run("fleet-collector", &["--json", "--shard", "1/2"]).ends_with(0));
    let health = fleet.run("fleet", &["health"]);
    assert!(health.out.contains("1 collector, the last ") && health.out.contains("1 yet to run"), "{}", health.out);
    // An interval later its turn was there.
    let database = fleet.database();
    must("sqlite3", &[database.as_os_str(), "update sweep set started = started - 360000".as_ref()]);
    let health = fleet.run("fleet", &["health"]).ends_with(2);
    assert!(
        health.out.contains("collector 2/2 never ran; put it into cron: fleet-collector --shard 2/2"),
        "{}",
        health.out
    );
    let second = outcomes(&fleet.run("fleet-collector", &["--json", "--shard", "2/2"]).ends_with(0));
    assert_eq!(first.len() + second.len(), 8, "hosts of another part are nobody's concern");
    let times = visits(&fleet);
    assert!(times.len() == 8 && times.values().all(|times| *times == 1), "{times:?}");
    let health = fleet.run("fleet", &["health"]);
    assert!(
        health.out.contains("2 collectors, the last ") && health.out.contains("(8 hosts, 0 failed)"),
        "{}",
        health.out
    );
    let sweeps = sqlite3(&fleet.database(), "select shard, hosts from sweep order by id");
    let counted =
        [("1/2", first.len()), ("2/2", second.len())].map(|(part, hosts)| vec![part.into(), hosts.to_string()]);
    assert_eq!(sweeps, counted);
    for (wrong, why) in [("0/5", "1/5 to 5/5"), ("6/5", "1/5 to 5/5"), ("2", "2/5"), ("1/0", "1 to 1000 parts")] {
        let said = fleet.run("fleet-collector", &["--shard", wrong]);
        assert!(said.code == Some(2) && said.err.contains(why), "{wrong}: {said:?}");
    }
    let name = first.keys().next().unwrap();
    let said = fleet.run("fleet-collector", &["--host", name, "--shard", "2/2"]).ends_with(2);
    assert!(said.err.contains(&format!("{name} is in part 1/2")), "{}", said.err);
    // The parts of one machine do not lock each other out, nor does a person's look; a second run of a part leaves.
    let state = fleet.config().with_file_name("state");
    assert!(state.join("collector-1-of-2.lock").exists() && state.join("collector-2-of-2.lock").exists());
    let name = &fleet.hosts[0].name;
    fleet.run("fleet-collector", &["--host", name]).ends_with(0);
    assert_eq!(visits(&fleet)[name], 2);
}

#[test]
fn a_sweep_goes_on_where_the_last_one_had_to_stop() {
    let hangs = Kind::HangsAfterLogin;
    let fleet =
        ready(&[hangs, hangs, hangs, hangs, Kind::Good, Kind::Good], "jobs=\"1\" timeout=\"2s\" deadline=\"5s\"");
    let sweep = |number: u32| -> (Vec<String>, BTreeSet<String>) {
        fleet.run("fleet-collector", &[]);
        let sql = format!(
            "select h.name, coalesce(a.cause, '') from attempt a join host h on h.id = a.host
             where a.sweep = {number} order by a.id"
        );
        let rows = sqlite3(&fleet.database(), &sql);
        let (late, visited): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row[1] == "sweep-deadline");
        (visited.into_iter().map(|row| row[0].clone()).collect(), late.into_iter().map(|row| row[0].clone()).collect())
    };
    let mut had: BTreeSet<String> = BTreeSet::new();
    let (visited, mut late) = sweep(1);
    had.extend(visited);
    assert!(!late.is_empty(), "four that hang for two seconds each do not fit into five");
    for number in 2..=3 {
        let (visited, still) = sweep(number);
        // One at a time: rows stand in the order of the visits.
        for host in visited.iter().take(late.len()) {
            assert!(late.contains(host), "sweep {number} visited {visited:?}, and {late:?} had waited");
        }
        had.extend(visited);
        late = still;
    }
    let all: BTreeSet<String> = fleet.hosts.iter().map(|host| host.name.clone()).collect();
    assert_eq!(had, all, "three sweeps reach everybody");
    let health = fleet.run("fleet", &["health"]);
    assert!(late.is_empty() || health.out.contains("hosts had no turn within deadline="), "{}", health.out);
}
