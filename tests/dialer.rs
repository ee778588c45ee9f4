//! The collector's two processes (design/trust.md, point 2 and A14): the one that speaks with strangers has nothing of the
//! other, and may die.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test helper may fail the test"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

mod support;

use support::fleet::{Fleet, Kind, shown};
use support::given::{given, stored};
use support::run::{Said, program, sqlite3, system, until};

const SOON: Duration = Duration::from_secs(60);

/// A fleet of good hosts whose probes keep what they say, and take so many seconds.
fn slow_fleet(hosts: usize, seconds: &str) -> Fleet {
    let fleet = Fleet::start(&vec![Kind::Good; hosts]);
    fleet.configure(|_| String::new(), "");
    fleet.run("fleet", &["keys", "generate"]).ends_with(0);
    slow(&fleet, seconds);
    fleet
}

fn slow(fleet: &Fleet, seconds: &str) {
    let real = fleet.dir.join("real-probe");
    fs::copy(program("fleet-probe"), &real).unwrap();
    let script = format!("#!/bin/sh\nsleep {seconds}\n{} \"$@\" | tee -a \"$HOME/given\"\n", shown(&real));
    fs::write(fleet.dir.join(format!("probes/{}-linux/fleet-probe", std::env::consts::ARCH)), script).unwrap();
}

/// A sweep under way.
struct Sweep(Child);

impl Sweep {
    fn of(fleet: &Fleet, flags: &[&str]) -> Self {
        let mut command = fleet.command("fleet-collector", flags);
        command.env("MAIL_PASSWORD", "canary-in-the-environment");
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// The dialer, once it is there.
    fn dialer(&self) -> u32 {
        let mut found = None;
        until("there is a dialer", SOON, || {
            let children = system("ps", &["-o", "pid=,args=", "--ppid", &self.0.id().to_string()]).out;
            found = children.lines().find(|line| line.contains("fleet-collector --dial")).and_then(number);
            found.is_some()
        });
        found.unwrap()
    }

    /// The dialer, once it is logged in at this many hosts.
    fn at_work(&self, fleet: &Fleet, hosts: usize) -> u32 {
        let dialer = self.dialer();
        let began = || fleet.hosts.iter().filter(|host| system("pgrep", &["-u", &host.user, "sleep"]).code == Some(0));
        until("hosts are measured", SOON, || began().count() >= hosts);
        dialer
    }

    fn end(self) -> Said {
        Said::of(self.0.wait_with_output().unwrap())
    }
}

fn number(line: &str) -> Option<u32> {
    line.split_whitespace().next()?.parse().ok()
}

fn signal(process: u32, name: &str) {
    assert_eq!(system("kill", &[name, &process.to_string()]).code, Some(0));
}

fn is_there(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// What became of the hosts, by cause; `""` for collected.
fn outcomes(json: &serde_json::Value) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for host in json["hosts"].as_array().unwrap() {
        *counts.entry(host["cause"].as_str().unwrap_or_default().to_owned()).or_insert(0) += 1;
    }
    counts
}

fn collected(hosts: usize) -> BTreeMap<String, usize> {
    BTreeMap::from([(String::new(), hosts)])
}

#[test]
fn a14_killing_the_dialer_costs_only_hosts_under_way_and_these_only_time() {
    let fleet = slow_fleet(14, "1");
    let sweep = Sweep::of(&fleet, &["--json"]);
    let dialer = sweep.at_work(&fleet, 3);
    signal(dialer, "-KILL");
    let said = sweep.end().ends_with(0);
    assert_eq!(outcomes(&said.json()), collected(14));
    assert!(said.err.contains("the dialer died (signal: 9 (SIGKILL))"), "{}", said.err);
    // jobs= is 8: the other six were visited once, by the second dialer.
    let starts = |home: &Path| fs::read(home.join("given")).unwrap().windows(7).filter(|it| *it == b"FLEET1 ").count();
    let twice = fleet.hosts.iter().filter(|host| starts(&host.home) > 1).count();
    assert!(twice <= 8, "{twice} hosts were visited again");
    // What was acknowledged is stored, once; what was not comes in the next sweep.
    slow(&fleet, "0");
    fleet.run("fleet-collector", &[]).ends_with(0);
    for host in &fleet.hosts {
        let (given, stored) = (given(&host.home.join("given")), stored(&fleet.database(), &host.name));
        assert!(stored.values().all(|count| *count == 1), "{}: {stored:?}", host.name);
        assert_eq!(stored.into_keys().collect::<std::collections::BTreeSet<_>>(), given, "{}", host.name);
    }
}

#[test]
fn a14_a_dialer_that_is_killed_again_and_again_ends_in_a_cause_and_not_in_a_loop() {
    let fleet = slow_fleet(2, "5");
    let sweep = Sweep::of(&fleet, &["--json"]);
    let mut killed = 0;
    let mut last = 0;
    // Both at once, both at once again, then each alone.
    while killed < 4 {
        let dialer = sweep.dialer();
        if dialer != last {
            last = sweep.at_work(&fleet, 1);
            signal(last, "-KILL");
            killed += 1;
            // What it left running must not be taken for the work of the next, which would die before it is up.
            for host in &fleet.hosts {
                system("pkill", &["-KILL", "-u", &host.user, "sleep"]);
            }
        }
    }
    let json = sweep.end().ends_with(3).json();
    assert_eq!(outcomes(&json), BTreeMap::from([("kills-dialer".to_owned(), 2)]));
    let text = json["hosts"][0]["text"].as_str().unwrap();
    assert!(text.contains("every dialer that visited this host died; the last: signal: 9"), "{text}");
    let next = fleet.run("fleet-collector", &["--json"]).ends_with(3).json();
    assert_eq!(outcomes(&next), BTreeMap::from([("back-off".to_owned(), 2)]), "they are left alone");
}

/// The memory of a process that can be read.
fn memory(process: u32) -> Vec<Vec<u8>> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut found = Vec::new();
    for line in maps.lines().filter(|line| !line.contains("[vvar") && !line.contains("[vsyscall]")) {
        let (range, rest) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let address = |text: &str| u64::from_str_radix(text, 16).unwrap();
        if rest.starts_with('r') {
            let mut bytes = vec![0; usize::try_from(address(to) - address(from)).unwrap()];
            if memory.read_exact_at(&mut bytes, address(from)).is_ok() {
                found.push(bytes);
            }
        }
    }
    found
}

fn holds(memory: &[Vec<u8>], text: &str) -> bool {
    let first = text.as_bytes()[0];
    memory.iter().any(|bytes| bytes.windows(text.len()).any(|window| window[0] == first && window == text.as_bytes()))
}

#[test]
fn the_dialer_has_no_key_no_store_and_no_password_but_those_of_ssh() {
    let fleet = slow_fleet(3, "20");
    let more = "<alerts><smtp host=\"mail.test\" from=\"a@b.test\" user=\"a\" password-env=\"MAIL_PASSWORD\"/>\
                <to name=\"ops\" mail=\"a@b.test\"/></alerts>";
    fleet.configure(|_| String::new(), more);
    let sweep = Sweep::of(&fleet, &[]);
    let dialer = sweep.at_work(&fleet, 3);

    let environment = fs::read_to_string(format!("/proc/{dialer}/environ")).unwrap();
    assert!(environment.contains("PATH=") && !environment.contains("MAIL") && !environment.contains("FLEET"));
    let folder = shown(&fleet.dir);
    for entry in fs::read_dir(format!("/proc/{dialer}/fd")).unwrap() {
        let target = shown(&fs::read_link(entry.unwrap().path()).unwrap_or_default());
        assert!(!target.starts_with(&folder), "{target} is open");
    }
    let maps = fs::read_to_string(format!("/proc/{dialer}/maps")).unwrap();
    assert!(!maps.contains(&folder), "{maps}");
    let status = fs::read_to_string(format!("/proc/{dialer}/status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Umask:\t0077"), "{status}");
    let limits = fs::read_to_string(format!("/proc/{dialer}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");

    // Secrets that it must not have; that they are found where they must be shows that the search finds them.
    let identities = fs::read_to_string(fleet.dir.join("keys/fleet.key")).unwrap();
    let identity = identities.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).unwrap();
    let (its, keepers) = (memory(dialer), memory(sweep.0.id()));
    assert!(holds(&keepers, identity) && holds(&keepers, "canary-in-the-environment"));
    assert!(holds(&its, &fleet.hosts[0].user), "who logs in is known to it");
    assert!(!holds(&its, identity) && !holds(&its, &identity[16..40]), "the age identity is in the dialer's memory");
    assert!(!holds(&its, "canary-in-the-environment"), "the mail password is in the dialer's memory");

    // It ends with its keeper, however that ends.
    signal(sweep.0.id(), "-KILL");
    until("the dialer is gone", SOON, || !is_there(dialer));
    let _ = sweep.end();
}

#[test]
fn what_the_dialer_starts_cannot_read_the_keys_either() {
    let fleet = Fleet::start(&[Kind::Good]);
    let host = &fleet.hosts[0];
    let with = |name: &str, command: &str| {
        format!(
            "<host name=\"{name}\" address=\"{}\" user=\"{}\" password-command=\"/bin/cat {command}\"/>",
            host.address, host.user
        )
    };
    let at = |name: &str| shown(&fleet.dir.join(name));
    let (key, store) = (with("key", &at("keys/fleet.key")), with("store", &at("fleet.db")));
    let (config, state) = (with("config", &at("config.xml")), with("state", &at("state/collector.lock")));
    // Copies that migrations, repairs and editors leave, what is included, and what only others need.
    let copies = ["fleet.db.before-4", "fleet.db.corrupt-20260101", "config.xml~", "more.xml", "tls.key"];
    for name in copies {
        fs::write(fleet.dir.join(name), "x").unwrap();
        fs::set_permissions(fleet.dir.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let included = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<fleet-health version=\"1\">\n</fleet-health>\n";
    fs::write(fleet.dir.join("more.xml"), included).unwrap();
    let others = "<include file=\"more.xml\"/><web tls-cert=\"host_key.pub\" tls-key=\"tls.key\"/>";
    let copied: String =
        copies.iter().map(|name| with(&format!("copy-{}", name.replace('~', "-old")), &at(name))).collect();
    let fine = with("fine", &at("host_key.pub"));
    fleet.configure(|_| String::new(), &[key, store, config, state, fine, copied, others.to_owned()].concat());
    fleet.run("fleet", &["keys", "generate"]).ends_with(0);
    let json = fleet.run("fleet-collector", &["--json"]).ends_with(3).json();
    let hosts = json["hosts"].as_array().unwrap();
    assert_eq!(hosts.len(), 6 + copies.len());
    for host in hosts.iter().filter(|host| host["host"] != "fine" && host["host"] != "h01") {
        let name = &host["host"];
        assert_eq!(host["cause"], "local-setup", "{name}: {host}");
        assert!(host["text"].as_str().unwrap().contains("the command for a secret failed"), "{host}");
    }
    let fine = hosts.iter().find(|host| host["host"] == "fine").unwrap();
    assert_eq!(fine["outcome"], "collected", "its key logs in: {fine}");
}

#[test]
fn a_bastion_that_refuses_is_asked_once_however_many_dialers_die() {
    let fleet = Fleet::start(&[Kind::RejectsKey, Kind::Good, Kind::Good, Kind::Good]);
    let (bastion, far) = (&fleet.hosts[0], &fleet.hosts[1]);
    let behind = |number| {
        let (address, user, gate) = (&far.address, &far.user, &bastion.name);
        format!("<host name=\"b{number}\" address=\"{address}\" user=\"{user}\" jump=\"{gate}\"/>")
    };
    fleet.configure(|_| String::new(), &(0..4).map(behind).collect::<String>());
    let text = fs::read_to_string(fleet.config()).unwrap();
    fs::write(fleet.config(), text.replace("jobs=\"8\"", "jobs=\"1\"")).unwrap();
    fleet.run("fleet", &["keys", "generate"]).ends_with(0);
    slow(&fleet, "2");
    let sweep = Sweep::of(&fleet, &["--json"]);
    // One host at once: nobody is at the bastion meanwhile.
    for _ in 0..3 {
        signal(sweep.at_work(&fleet, 1), "-KILL");
        for host in &fleet.hosts {
            system("pkill", &["-KILL", "-u", &host.user, "sleep"]);
        }
    }
    let said = sweep.end().ends_with(3);
    let told = [(String::new(), 3), ("authentication".to_owned(), 1), ("jump".to_owned(), 4)];
    assert_eq!(outcomes(&said.json()), BTreeMap::from(told), "{}", said.err);
    assert_eq!(said.err.matches("the dialer died").count(), 3, "{}", said.err);
    let log = fs::read_to_string(fleet.dir.join("sshd.main0.log")).unwrap();
    let refused = log.lines().filter(|line| line.contains(&format!("authenticating user {}", bastion.user)));
    assert_eq!(refused.count(), 1, "{log}");
}

#[test]
fn what_the_dialer_started_ends_with_it_however_that_ends() {
    let fleet = Fleet::start(&[Kind::Good]);
    let (host, note) = (&fleet.hosts[0], tempfile::tempdir().unwrap());
    let file = note.path().join("id");
    let command = format!("echo $$ &gt;{0}.new; mv {0}.new {0}; sleep 300", shown(&file));
    let asks = format!(
        "<host name=\"asks\" address=\"{}\" user=\"{}\" password-command=\"{command}\"/>",
        host.address, host.user
    );
    fleet.configure(|_| String::new(), &asks);
    fleet.run("fleet", &["keys", "generate"]).ends_with(0);
    let sweep = Sweep::of(&fleet, &[]);
    let started = || {
        until("the command runs", SOON, || file.exists());
        let id = fs::read_to_string(&file).unwrap().trim().to_owned();
        fs::remove_file(&file).unwrap();
        let group = move || system("pgrep", &["-g", &id]).out;
        until("all of it runs", SOON, || group().lines().count() >= 3);
        group
    };
    let group = started();
    signal(sweep.dialer(), "-KILL");
    until("the command ended with the dialer", SOON, || group().is_empty());
    // The next one asks again.
    let group = started();
    signal(sweep.0.id(), "-KILL");
    until("the command ended with the collector", SOON, || group().is_empty());
    drop(sweep.end());
}

#[test]
fn keys_of_new_hosts_are_written_down_and_a_file_that_changes_meanwhile_is_no_trouble() {
    let fleet = slow_fleet(6, "1");
    for (file, jobs) in [("keys/new_hosts", 1), ("not/there/yet/new_hosts", 6)] {
        fleet.configure(|_| String::new(), "");
        let text = fs::read_to_string(fleet.config()).unwrap();
        let text = text.replace("\"refuse\"", "\"accept-new\"").replace("keys/known_hosts", file);
        fs::write(fleet.config(), text.replace("jobs=\"8\"", &format!("jobs=\"{jobs}\""))).unwrap();
        let said = fleet.run("fleet-collector", &["--json"]).ends_with(0);
        assert_eq!(outcomes(&said.json()), collected(6), "{}", said.err);
        assert_eq!(fs::read_to_string(fleet.dir.join(file)).unwrap().lines().count(), 6);
    }
    for folder in ["not", "not/there/yet"] {
        assert_eq!(fs::metadata(fleet.dir.join(folder)).unwrap().permissions().mode() & 0o777, 0o700);
    }
    // As `fleet hosts accept` does during a sweep: another file takes its place, which the dialer cannot open.
    fleet.configure(|_| String::new(), "");
    let text = fs::read_to_string(fleet.config()).unwrap();
    fs::write(fleet.config(), text.replace("jobs=\"8\"", "jobs=\"2\"")).unwrap();
    let sweep = Sweep::of(&fleet, &["--json"]);
    sweep.at_work(&fleet, 2);
    let known = fleet.dir.join("keys/known_hosts");
    fs::copy(&known, fleet.dir.join("keys/other")).unwrap();
    fs::rename(fleet.dir.join("keys/other"), &known).unwrap();
    let said = sweep.end().ends_with(0);
    assert_eq!(outcomes(&said.json()), collected(6), "{}", said.err);
}

#[test]
fn signals_end_the_sweep_in_order_also_when_both_processes_get_them() {
    let fleet = slow_fleet(12, "3");
    for name in ["-INT", "-TERM"] {
        let sweep = Sweep::of(&fleet, &["--json"]);
        let dialer = sweep.at_work(&fleet, 3);
        // As systemd does.
        signal(dialer, name);
        signal(sweep.0.id(), name);
        let json = sweep.end().ends_with(3).json();
        let counts = outcomes(&json);
        assert_eq!(counts.values().sum::<usize>(), 12, "{counts:?}");
        assert!(counts[""] >= 3 && counts["sweep-deadline"] >= 1 && counts.len() == 2, "{counts:?}");
        assert!(!is_there(dialer));
        assert!(json["hosts"].to_string().contains("a signal ended the sweep before its turn"));
    }
}

#[test]
fn a_dialer_that_cannot_be_started_is_a_failure_of_the_collector() {
    let fleet = Fleet::start(&[Kind::Good]);
    fleet.configure(|_| String::new(), "");
    fleet.run("fleet", &["keys", "generate"]).ends_with(0);
    // Without /proc it does not find itself.
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", "mount -t tmpfs none /proc && exec \"$0\""]).arg(program("fleet-collector"));
    command.env("FLEET_CONFIG", fleet.config()).current_dir(&fleet.dir).stdin(Stdio::null());
    let said = Said::of(command.output().unwrap()).ends_with(1);
    assert!(said.err.contains("the dialer cannot be started"), "{}", said.err);
    let beat = sqlite3(&fleet.database(), "select ok, text from heartbeat where role = 'collector'");
    assert!(beat[0][0] == "0" && beat[0][1].starts_with("the dialer cannot be started"), "{beat:?}");
    fleet.run("fleet-collector", &[]).ends_with(0);
}

#[test]
fn a_person_who_starts_the_dialer_is_told_what_it_is() {
    let fleet = Fleet::start(&[]);
    let said = fleet.run("fleet-collector", &["--dial"]).ends_with(2);
    assert!(said.err.contains("second process"), "{}", said.err);
    assert!(!fleet.run("fleet-collector", &["--help"]).out.contains("--dial"));
    let mode = fs::metadata(program("fleet-collector")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7000, 0, "no rights are needed that only root can give");
}
