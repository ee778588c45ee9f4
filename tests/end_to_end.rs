//! The real programs over a fleet of real sshd on loopback, with every kind of bad host, killed at random, and with a
//! real filesystem that fills and a real mail server that is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test helper may fail the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

mod support;

use support::fleet::{Fleet, Host, Kind, header, shown};
use support::given::{given, stored};
use support::run::{Owned, Said, must, sqlite3, system};

fn nothing(_: &Host) -> String {
    String::new()
}

/// Keys and configuration, ready for the first sweep.
fn ready(kinds: &[Kind]) -> Fleet {
    let fleet = Fleet::start(kinds);
    fleet.configure(nothing, "");
    fleet.run("fleet", &["keys", "generate"]).ends_with(0);
    fleet
}

/// What `fleet-collector --json` says of each host.
fn by_host(said: &Said) -> BTreeMap<String, serde_json::Value> {
    let json = said.json();
    let hosts = json["hosts"].as_array().unwrap();
    hosts.iter().map(|host| (host["host"].as_str().unwrap().to_owned(), host.clone())).collect()
}

fn number(host: &serde_json::Value, what: &str) -> u64 {
    host[what].as_u64().unwrap_or_else(|| panic!("no {what} in {host}"))
}

#[test]
fn twenty_hosts_answer_and_the_second_sweep_ships_nothing() {
    let fleet = ready(&[Kind::Good; 20]);
    let first = by_host(&fleet.run("fleet-collector", &["--json"]).ends_with(0));
    let second = by_host(&fleet.run("fleet-collector", &["--json"]).ends_with(0));
    assert_eq!((first.len(), second.len()), (20, 20));
    for (name, warm) in &second {
        let cold = &first[name];
        assert_eq!(cold["probe_shipped"], true, "{cold}");
        assert_eq!(warm["probe_shipped"], false, "{warm}");
        assert_eq!(warm["samples"], 1, "{warm}");
        assert!(number(warm, "sent_bytes") * 10 < number(cold, "sent_bytes"), "{cold} {warm}");
        assert!(number(warm, "round_trips") <= number(cold, "round_trips"), "{cold} {warm}");
    }
    // Any sqlite3 reads both sweeps.
    let rows = sqlite3(&fleet.database(), "select host, count(*) from reading where metric = 'uptime' group by host");
    assert_eq!(rows.len(), 20);
    assert!(rows.iter().all(|row| row[1] == "2"), "{rows:?}");
    // Without a terminal a success is silent, so that cron mails nothing.
    let silent = fleet.run("fleet-collector", &[]).ends_with(0);
    assert_eq!((silent.out.as_str(), silent.err.as_str()), ("", ""));
    // -v shows what each host cost.
    let told = fleet.run("fleet-collector", &["-v"]).ends_with(0);
    assert!(told.out.contains("round trips") && told.out.contains("bytes sent"), "{}", told.out);
}

/// The word that the store must hold for a host of that kind.
fn expected(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Good | Kind::Noisy | Kind::NoExecHome | Kind::ReadOnlyHome => None,
        Kind::Refusing => Some("refused"),
        Kind::HangsAtConnect => Some("handshake"),
        Kind::HangsAfterLogin => Some("deadline"),
        Kind::ChangedKey => Some("host-key-changed"),
        Kind::RejectsKey => Some("authentication"),
        Kind::NoExec => Some("no-exec"),
        Kind::DiskFull => Some("disk-full"),
        Kind::ReadOnly => Some("read-only"),
        Kind::Floods => Some("oversize"),
        Kind::Lies => Some("oversize"),
        Kind::Drips => Some("handshake"),
    }
}

#[test]
fn each_bad_host_has_its_cause_and_the_others_do_not_notice() {
    let mut kinds = vec![Kind::Good; 16];
    let bad = [
        Kind::Refusing,
        Kind::HangsAtConnect,
        Kind::HangsAfterLogin,
        Kind::ChangedKey,
        Kind::RejectsKey,
        Kind::NoExec,
        Kind::DiskFull,
        Kind::ReadOnly,
    ];
    kinds.extend(bad);
    kinds.extend([Kind::Noisy, Kind::NoExecHome, Kind::ReadOnlyHome]);
    let fleet = ready(&kinds);
    let start = Instant::now();
    let hosts = by_host(&fleet.run("fleet-collector", &["--json"]).ends_with(3));
    assert!(start.elapsed() < Duration::from_secs(100), "{:?}", start.elapsed());
    assert_eq!(hosts.len(), kinds.len(), "the hosts told of are not the hosts configured");
    for host in &fleet.hosts {
        let told = &hosts[&host.name];
        assert_eq!(told["cause"].as_str(), expected(host.kind), "{:?}: {told}", host.kind);
        assert_eq!(told["outcome"], if expected(host.kind).is_none() { "collected" } else { "failed" });
        // 20 s are configured. How exactly that is kept is tests/ssh.rs's matter; here two processors serve a whole fleet.
        assert!(told["seconds"].as_f64().unwrap() < 22.0, "{told}");
    }
    // The store says the same to anybody.
    let causes = "select host.name, attempt.cause from attempt join host on host.id = attempt.host order by 1";
    let stored = sqlite3(&fleet.database(), causes);
    assert_eq!(stored.len(), kinds.len());
    for (host, row) in fleet.hosts.iter().zip(&stored) {
        assert_eq!((&host.name, row[1].as_str()), (&row[0], expected(host.kind).unwrap_or_default()), "{stored:?}");
    }
    let status = fleet.run("fleet", &["status", "--json"]);
    for (kind, word) in bad.iter().map(|&kind| (kind, expected(kind).unwrap())) {
        assert!(status.out.contains(word), "{kind:?}: no {word} in {}", status.out);
    }
    let rows = sqlite3(&fleet.database(), "select distinct host from reading order by host");
    let stored: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    let good: Vec<&str> =
        fleet.hosts.iter().filter(|host| expected(host.kind).is_none()).map(|host| host.name.as_str()).collect();
    assert_eq!(stored, good);

    // A refused login is not hurried: the next sweep leaves the host alone and says so. Nothing of the changed key was
    // replaced by itself.
    let again = by_host(&fleet.run("fleet-collector", &["--json"]).ends_with(3));
    let of = |kind: Kind| &again[&fleet.hosts.iter().find(|host| host.kind == kind).unwrap().name];
    assert_eq!(of(Kind::RejectsKey)["cause"], "back-off");
    assert_eq!(of(Kind::ChangedKey)["cause"], "host-key-changed");
    assert!(again.values().all(|host| host["probe_shipped"] == false));
}

#[test]
fn a12_hostile_hosts_cost_the_others_nothing_and_are_left_alone() {
    let mut kinds = vec![Kind::Good; 25];
    let hostile = [Kind::Floods, Kind::Lies, Kind::Drips, Kind::HangsAfterLogin, Kind::HangsAtConnect];
    kinds.extend(hostile);
    let fleet = ready(&kinds);
    let text = fs::read_to_string(fleet.config()).unwrap();
    fs::write(fleet.config(), text.replace("timeout=\"20s\"", "timeout=\"10s\"")).unwrap();
    for sweep in 1..=4 {
        let start = Instant::now();
        let hosts = by_host(&fleet.run("fleet-collector", &["--json"]).ends_with(3));
        // Inside the interval of five minutes, and by far.
        assert!(start.elapsed() < Duration::from_secs(100), "sweep {sweep}: {:?}", start.elapsed());
        for host in &fleet.hosts {
            let told = &hosts[&host.name];
            // Who floods or lies is left alone at once; who hangs may only be busy, and has two more tries.
            let waits = match host.kind {
                Kind::Floods | Kind::Lies => sweep > 1,
                _ => sweep > 3,
            };
            let wanted = expected(host.kind).map(|cause| if waits { "back-off" } else { cause });
            assert_eq!(told["cause"].as_str(), wanted, "sweep {sweep}, {:?}: {told}", host.kind);
        }
    }
    let rows = sqlite3(&fleet.database(), "select host, count(*) from reading where metric = 'uptime' group by host");
    assert_eq!(rows.len(), 25);
    assert!(rows.iter().all(|row| row[1] == "4"), "{rows:?}");
}

#[test]
fn a_second_run_leaves_quietly() {
    let fleet = ready(&[Kind::HangsAfterLogin]);
    let first = Owned(fleet.command("fleet-collector", &[]).stderr(Stdio::null()).spawn().unwrap());
    // Asked of the lock file, not by starting another run: that one could be quicker and be the first itself.
    let lock = fleet.config().with_file_name("state").join("collector.lock");
    let holder = format!("{} ", first.id());
    support::run::until("the first run holds the lock", Duration::from_secs(10), || {
        fs::read_to_string(&lock).is_ok_and(|text| text.starts_with(&holder))
    });
    let second = fleet.run("fleet-collector", &[]).ends_with(75);
    assert_eq!((second.out.as_str(), second.err.as_str()), ("", ""));
    drop(first);
    // A killed holder leaves no lock behind.
    fleet.run("fleet-collector", &["--dry-run"]).ends_with(0);
    assert_ne!(fleet.run("fleet-collector", &[]).code, Some(75));
}

// --- kill -9 ---

/// Numbers that look random and can be had again: xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Sealed files that lie in the spools of the hosts now.
fn spooled(hosts: &[Host]) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for host in hosts {
        let mut folders = vec![host.home.join(".cache/fleet-health")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(entry.path());
                } else if name.ends_with(".age") && !name.starts_with('.') {
                    found.insert((host.name.clone(), name));
                }
            }
        }
    }
    found
}

/// Watches the spools from beside: every sealed file that it ever sees must be stored in the end.
struct Watch {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<BTreeSet<(String, String)>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watch {
    fn start(hosts: &[Host]) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeSet::new())));
        let (ended, kept, hosts) = (Arc::clone(&stop), Arc::clone(&seen), hosts.to_vec());
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                kept.lock().unwrap().extend(spooled(&hosts));
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        Self { stop, seen, thread: Some(thread) }
    }

    fn end(mut self) -> BTreeSet<(String, String)> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

#[test]
fn killed_at_random_everything_is_stored_exactly_once() {
    let fleet = ready(&[Kind::Good; 4]);
    fleet.record_given();
    fleet.run("fleet-collector", &[]).ends_with(0);
    let watch = Watch::start(&fleet.hosts);
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for round in 0..40 {
        let mut run = Owned(fleet.command("fleet-collector", &["-q"]).stderr(Stdio::null()).spawn().unwrap());
        std::thread::sleep(Duration::from_millis(dice.below(900)));
        if round % 2 == 0 {
            // SIGKILL to the collector, wherever it is.
            drop(run);
        } else {
            // SIGKILL to whatever runs on the hosts; the collector must name it and go on.
            for pid in fleet.client_processes() {
                system("kill", &["-9", &pid.to_string()]);
            }
            let code = run.0.wait().unwrap().code();
            assert!(matches!(code, Some(0 | 3)), "round {round}: {code:?}");
        }
    }
    // Probes of killed runs may still be at it; they are bounded.
    support::run::until("no probe is left running", Duration::from_secs(30), || fleet.client_processes().is_empty());
    support::run::until("all spools are empty after clean sweeps", Duration::from_secs(60), || {
        fleet.run("fleet-collector", &[]).ends_with(0);
        spooled(&fleet.hosts).is_empty()
    });

    let seen = watch.end();
    for host in &fleet.hosts {
        // Whatever a probe ever wrote or said is stored, and nothing twice.
        let kept = stored(&fleet.database(), &host.name);
        assert!(kept.values().all(|&count| count == 1), "{}: stored twice: {kept:?}", host.name);
        let said = given(&host.home.join("given"));
        let lain = seen.iter().filter(|(name, _)| *name == host.name).map(|(_, file)| file.clone());
        let all: BTreeSet<String> = lain.chain(said.iter().cloned()).collect();
        assert!(said.len() >= 5, "{}: only {} files left its probe: the test shows nothing", host.name, said.len());
        let lost: Vec<&String> = all.iter().filter(|name| !kept.contains_key(*name)).collect();
        assert!(lost.is_empty(), "{}: {lost:?} of {} files are not stored", host.name, all.len());
    }
    assert_eq!(sqlite3(&fleet.database(), "pragma integrity_check"), [["ok"]]);
}

/// Subject and Message-ID of each mail.
fn told(fleet: &Fleet) -> Vec<(String, String)> {
    fleet.mails().iter().map(|mail| (header(mail, "Subject"), header(mail, "Message-ID"))).collect()
}

/// A rule that `disk` crosses when it is more than 70 % full, on the first host only. All hosts are this machine, so
/// the rules that ship are off, lest its load or the same disk raises them as well.
fn with_disk(fleet: &Fleet, disk: &Path) {
    let shipped =
        ["cpu.used", "memory.used", "swap.used", "filesystem.inodes.used", "load.per-core", "process.zombies"];
    let mut off: String = shipped.iter().map(|name| format!("<rule metric=\"{name}\" off=\"true\"/>")).collect();
    for (name, item) in [("pressure.full", "memory"), ("pressure.full", "io"), ("pressure.some", "cpu")] {
        off.push_str(&format!("<rule metric=\"{name}\" item=\"{item}\" off=\"true\"/>"));
    }
    let on = format!(
        "<rule metric=\"filesystem.used\" item=\"{}\" warning=\"70%\" critical=\"85%\" for=\"0s\"/>",
        shown(disk)
    );
    off.push_str("<rule metric=\"filesystem.used\" off=\"true\"/>");
    fleet.configure(|host| off.clone() + if host.name == "h01" { &on } else { "" }, &fleet.alerts());
}

/// Takes nineteen of twenty bytes that are free.
fn fill(disk: &Path) -> PathBuf {
    let ballast = disk.join("ballast");
    let file = fs::File::create(&ballast).unwrap();
    let told = rustix::fs::statvfs(disk).unwrap();
    let size = told.f_bavail * told.f_frsize / 20 * 19;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size).unwrap();
    file.sync_all().unwrap();
    ballast
}

#[test]
fn a_full_disk_is_mailed_and_so_is_its_recovery() {
    let mut fleet = ready(&[Kind::Good, Kind::Good]);
    let disk = fleet.disk("32M");
    with_disk(&fleet, &disk);
    fleet.run("fleet-collector", &[]).ends_with(0);
    fleet.run("fleet-alerter", &[]).ends_with(0);
    assert_eq!(told(&fleet), [], "a mail without a problem");

    let ballast = fill(&disk);
    fleet.run("fleet-collector", &[]).ends_with(0);
    fleet.run("fleet-alerter", &[]).ends_with(0);
    let mails = fleet.mails();
    assert_eq!(mails.len(), 1, "{:?}", told(&fleet));
    let subject = header(&mails[0], "Subject");
    assert!(subject.starts_with("[CRIT] h01"), "{subject}");
    assert_eq!(header(&mails[0], "X-Rcpt-To"), "ops@example.net");
    assert_eq!(header(&mails[0], "Auto-Submitted"), "auto-generated");

    // Nothing new, nothing told.
    fleet.run("fleet-collector", &[]).ends_with(0);
    fleet.run("fleet-alerter", &[]).ends_with(0);
    assert_eq!(fleet.mails().len(), 1, "{:?}", told(&fleet));

    fs::remove_file(ballast).unwrap();
    for _ in 0..3 {
        fleet.run("fleet-collector", &[]).ends_with(0);
        fleet.run("fleet-alerter", &[]).ends_with(0);
    }
    let mails = fleet.mails();
    assert_eq!(mails.len(), 2, "{:?}", told(&fleet));
    assert!(header(&mails[1], "Subject").starts_with("[OK] h01"), "{:?}", told(&fleet));
    // Mail clients show one thread: the problem itself is the root, or both hang from the same one.
    let root = header(&mails[1], "References");
    assert!(!root.is_empty());
    let of_problem = [header(&mails[0], "Message-ID"), header(&mails[0], "References")];
    assert!(of_problem.contains(&root), "the recovery is not in the problem's thread: {root} {of_problem:?}");
}

#[test]
fn an_alerter_killed_at_random_tells_everything() {
    let mut fleet = ready(&[Kind::Good, Kind::Good]);
    let disk = fleet.disk("32M");
    with_disk(&fleet, &disk);
    let mut dice = Dice(0xD1B5_4A32_D192_ED03);
    // A third cycle within two hours would be flapping, whose end is told once it has settled.
    for cycle in 1..=2 {
        let ballast = fill(&disk);
        fleet.run("fleet-collector", &[]).ends_with(0);
        killed_then_whole(&fleet, &mut dice);
        fs::remove_file(ballast).unwrap();
        for _ in 0..3 {
            fleet.run("fleet-collector", &[]).ends_with(0);
        }
        killed_then_whole(&fleet, &mut dice);
        // One thing may be sent twice when it dies between sending and writing that down, but then as the same mail.
        let distinct: BTreeSet<(String, String)> = told(&fleet).into_iter().collect();
        let problems = distinct.iter().filter(|(subject, _)| subject.starts_with("[CRIT]")).count();
        let ends = distinct.iter().filter(|(subject, _)| subject.starts_with("[OK]")).count();
        assert_eq!((problems, ends), (cycle, cycle), "{distinct:?}");
        let ids: BTreeSet<&String> = distinct.iter().map(|(_, id)| id).collect();
        assert_eq!(ids.len(), distinct.len(), "one Message-ID for two mails: {distinct:?}");
    }
}

/// Kills the alerter a few times at random points, then lets it run to its end.
fn killed_then_whole(fleet: &Fleet, dice: &mut Dice) {
    for _ in 0..6 {
        let run = Owned(fleet.command("fleet-alerter", &["-q"]).stderr(Stdio::null()).spawn().unwrap());
        std::thread::sleep(Duration::from_millis(dice.below(60)));
        drop(run);
    }
    fleet.run("fleet-alerter", &[]).ends_with(0);
}

// --- secrets ---

/// Argument lists of every process of the machine while it lives, and what its environment holds.
fn watch_arguments(stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<BTreeSet<String>> {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let mut seen = BTreeSet::new();
        while !stop.load(Ordering::Relaxed) {
            for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
                for file in ["cmdline", "environ"] {
                    if let Ok(line) = fs::read(entry.path().join(file)) {
                        seen.insert(String::from_utf8_lossy(&line).replace('\0', " "));
                    }
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        seen
    })
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files_below(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

#[test]
fn b4_d4_no_secret_is_where_others_look() {
    let canary = "kanarienvogel-7f3a9c51e2";
    let fleet = ready(&[Kind::Good, Kind::Good, Kind::RejectsKey, Kind::Refusing]);
    let password = fleet.dir.join("keys/password");
    fs::write(&password, format!("{canary}\n")).unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    // The password is tried where the key is refused; sshd takes neither.
    let text = fs::read_to_string(fleet.config()).unwrap();
    let text = text
        .replace("<ssh key-file", "<ssh password-file=\"keys/password\" passphrase-file=\"keys/passphrase\" key-file");
    let phrase = "kanarienkaefig-51e2";
    fs::write(fleet.dir.join("keys/passphrase"), format!("{phrase}\n")).unwrap();
    fs::set_permissions(fleet.dir.join("keys/passphrase"), fs::Permissions::from_mode(0o600)).unwrap();
    must("ssh-keygen", &["-q", "-p", "-P", "", "-N", phrase, "-f", &shown(&fleet.dir.join("keys/id_ed25519"))]);
    fs::write(fleet.config(), text.replace("</fleet-health>", &format!("{}</fleet-health>", fleet.alerts()))).unwrap();

    let identity = fs::read_to_string(fleet.dir.join("keys/fleet.key")).unwrap();
    let identity = identity.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap().to_owned();
    let ssh_key = fs::read_to_string(fleet.dir.join("keys/id_ed25519")).unwrap();
    let ssh_key = ssh_key.lines().nth(2).unwrap().to_owned();
    let secrets = [canary.to_owned(), phrase.to_owned(), identity, ssh_key];

    let stop = Arc::new(AtomicBool::new(false));
    let watched = watch_arguments(&stop);
    let mut said = String::new();
    let runs: [(&str, &[&str]); 8] = [
        ("fleet-collector", &["-vvv"]),
        ("fleet-collector", &["-vv", "--json", "--log-format", "json"]),
        ("fleet-collector", &["-vvv", "--dry-run"]),
        ("fleet-alerter", &["-vvv"]),
        ("fleet", &["-vvv", "hosts", "test"]),
        ("fleet", &["-vv", "status"]),
        ("fleet", &["-vv", "config", "show", "h01"]),
        ("fleet", &["-vv", "keys", "list"]),
    ];
    for (program, args) in runs {
        let output = fleet.command(program, args).env("RUST_LOG", "trace").output().unwrap();
        let run = Said::of(output);
        said.push_str(&run.out);
        said.push_str(&run.err);
    }
    stop.store(true, Ordering::Relaxed);
    let arguments = watched.join().unwrap();
    assert!(arguments.iter().any(|line| line.contains("--serve")), "the watch never saw a probe: it shows nothing");
    assert!(said.contains("\"collected\""), "the key with its passphrase opened no host: {said}");

    for secret in &secrets {
        assert!(!said.contains(secret.as_str()), "in the output or the logs");
        assert!(!arguments.iter().any(|line| line.contains(secret.as_str())), "in an argument list or an environment");
        let files = files_below(&fleet.dir);
        for file in files.iter().filter(|file| !file.starts_with(fleet.dir.join("keys"))) {
            let bytes = fs::read(file).unwrap();
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "in {}", file.display());
        }
    }
    // What we keep is ours alone (D3).
    for file in files_below(&fleet.dir.join("state")).iter().chain(&[fleet.database()]) {
        let mode = fs::metadata(file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", file.display());
    }
}
