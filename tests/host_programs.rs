//! The host's own programs, real ones: package managers over repositories of this test's, a booted systemd, a clock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on panics")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fleet_health::measure::{Past, Root, Updates, ask_for_updates, ask_questions, measure};

#[allow(clippy::disallowed_methods, reason = "the test drives the real programs")]
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

fn run(program: &str, arguments: &[&str]) -> String {
    let out = command(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{program} {arguments:?}: {text} {}", String::from_utf8_lossy(&out.stderr));
    text
}

/// A machine whose only package manager is the real one, which looks at a root of this test's.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new(made_by: &str) -> Self {
        // Locks and long paths: /tmp is short.
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/host").join(made_by);
        run("sh", &[script.to_str().unwrap(), folder.path().to_str().unwrap()]);
        Self(folder)
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    /// Puts a program in the place where the probe looks for it; it calls the real one with these arguments first.
    fn install(&self, program: &str, arguments: &str) {
        let place = self.0.path().join("machine").join(program.trim_start_matches('/'));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, format!("#!/bin/sh\nexec {program} {arguments} \"$@\"\n")).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn updates(&self) -> Updates {
        ask_for_updates(&Root::at(self.0.path().join("machine")), 1000).expect("there is a package manager")
    }
}

fn counts(updates: &Updates) -> (u64, Option<u64>) {
    updates.counts.map(|counts| (counts.pending, counts.security)).expect("it answered")
}

#[test]
fn dnf_says_what_is_pending_and_what_of_it_mends_a_security_problem() {
    let machine = Machine::new("rpm.sh");
    let root = format!("{}/root", machine.path());
    let own = format!("--installroot={root} --releasever=1 --setopt=reposdir={root}/etc/yum.repos.d");
    machine.install("/usr/bin/dnf", &own);
    // An advisory for a version that nobody can install mends nothing that is pending.
    let advise = "cd \"$1\" && sed 's,</updates>,,' updateinfo.xml >both && \
                  sed '1d; s,<updates>,,; s,FH-1,FH-2,; s,hello,still,g' updateinfo.xml >>both && mv both updateinfo.xml && \
                  modifyrepo_c --mdtype=updateinfo updateinfo.xml repo/repodata && grep -c still-2 updateinfo.xml";
    run("sh", &["-c", advise, "sh", machine.path()]);
    run(&format!("{}/machine/usr/bin/dnf", machine.path()), &["-q", "makecache"]);
    let updates = machine.updates();
    assert_eq!((counts(&updates), updates.held), ((1, Some(1)), vec![]));
}

#[test]
fn zypper_says_so_too_and_what_is_locked() {
    let machine = Machine::new("rpm.sh");
    let root = format!("{}/root", machine.path());
    machine.install("/usr/bin/zypper", &format!("--root {root}"));
    let zypper =
        |arguments: &[&str]| run("zypper", &[&["--root", &root, "--non-interactive", "-q"], arguments].concat());
    zypper(&["addrepo", "--no-gpgcheck", &format!("file://{}/repo", machine.path()), "r"]);
    zypper(&["refresh"]);
    zypper(&["addlock", "kernel-default"]);
    fs::create_dir_all(format!("{}/machine/etc/zypp", machine.path())).unwrap();
    fs::copy(format!("{root}/etc/zypp/locks"), format!("{}/machine/etc/zypp/locks", machine.path())).unwrap();
    let updates = machine.updates();
    assert_eq!((counts(&updates), updates.held), ((1, Some(1)), vec!["kernel-default".to_owned()]));
}

#[test]
fn pacman_says_what_is_pending() {
    let machine = Machine::new("pacman.sh");
    let at = machine.path();
    let own = format!("--config {at}/pacman.conf --root {at}/root --dbpath {at}/db --logfile {at}/log");
    machine.install("/usr/bin/pacman", &own);
    run("sh", &["-c", &format!("pacman {own} -Sy >/dev/null")]);
    assert_eq!(counts(&machine.updates()), (1, None));
}

/// Needs root: a systemd that is the first process of namespaces of its own, with a unit for each trouble.
#[test]
fn a_booted_systemd_tells_of_failed_slow_and_restarted_units() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/host/systemd.sh");
    let text = run("unshare", &["--mount", "sh", script.to_str().unwrap(), env!("CARGO_BIN_EXE_fleet-probe")]);
    let samples = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>();
    let samples: Vec<_> = samples.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{error}: {text}"));
    let [sample, plain] = samples.as_slice() else { panic!("{text}") };
    let value = |metric: &str, item: &str| {
        let all = sample["readings"].as_array().unwrap().iter();
        all.clone().find(|r| r["metric"] == metric && r["item"] == item).and_then(|r| r["value"].as_f64())
    };
    let faults = &sample["faults"];
    assert!(value("systemd.units.failed", "").is_some_and(|count| count >= 2.0), "{faults}");
    assert_eq!(value("systemd.unit.failed", "broken.service"), Some(1.0), "{faults}");
    assert_eq!(value("systemd.timers.failed", ""), Some(1.0), "nightly.service has a timer: {faults}");
    assert!(value("systemd.unit.restarts", "flaky.service").is_some_and(|count| count >= 3.0), "{faults}");
    assert!(value("systemd.unit.activating", "slow.service").is_some(), "{faults}");
    assert_eq!(value("systemd.unit.activating", "broken.service"), None);
    let facts = sample["facts"].as_array().unwrap();
    assert!(facts.iter().any(|fact| fact["name"] == "systemd.state"), "{facts:?}");
    assert!(value("cgroup.cpu.seconds", "system.slice").is_some(), "{faults}");
    // A plain user over the system's bus.
    assert_eq!(plain["hostname"], sample["hostname"]);
    assert!(plain["facts"].as_array().unwrap().iter().any(|fact| fact["name"] == "systemd.state"), "{plain}");
    for metric in ["systemd.unit.failed", "systemd.unit.activating"] {
        assert!(plain["readings"].as_array().unwrap().iter().any(|r| r["metric"] == metric), "{metric}: {plain}");
    }
}

/// chronyd of this machine's package, which follows its own clock and changes none.
#[test]
fn chrony_says_that_its_clock_is_right() {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let at = folder.path().to_str().unwrap();
    // It opens no socket where others might look.
    fs::set_permissions(at, fs::Permissions::from_mode(0o700)).unwrap();
    let socket = format!("{at}/chronyd.sock");
    let configuration = format!(
        "local stratum 5\nserver 127.0.0.1 offline\nport 0\ncmdport 0\nbindcmdaddress {socket}\npidfile {at}/pid\n"
    );
    fs::write(format!("{at}/chrony.conf"), configuration).unwrap();
    let mut chronyd = command("/usr/sbin/chronyd");
    chronyd.args(["-x", "-n", "-u", "root", "-f", &format!("{at}/chrony.conf")]).stderr(Stdio::null());
    let mut chronyd = chronyd.spawn().expect("chronyd is installed");
    let program = folder.path().join("usr/bin/chronyc");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::write(&program, format!("#!/bin/sh\nexec /usr/bin/chronyc -h {socket} \"$@\"\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(folder.path().join("run/chrony")).unwrap();
    fs::write(folder.path().join("run/chrony/chronyd.sock"), "").unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    let found = loop {
        let got = measure(&Root::at(folder.path()), Past::default());
        let value = |metric: &str| got.readings.iter().find(|r| r.metric == metric).map(|r| r.value);
        let found = (value("time.synchronized"), value("time.stratum"), value("time.error").is_some());
        if found.0 == Some(1.0) || Instant::now() > end {
            break found;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    chronyd.kill().unwrap();
    chronyd.wait().unwrap();
    assert_eq!(found, (Some(1.0), Some(5.0), true));
}

/// Needs root: chronyd as distributions ship it, on the port that is its own, in a network of this test's.
#[test]
fn chrony_answers_on_its_own_port_too_and_says_the_same() {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let at = folder.path().to_str().unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(format!("{at}/chrony.conf"), format!("local stratum 5\nport 0\nbindcmdaddress /\npidfile {at}/pid\n"))
        .unwrap();
    let script = "ip link set lo up; /usr/sbin/chronyd -x -n -u root -f \"$1/chrony.conf\" 2>/dev/null & tries=0; \
                  until /usr/bin/chronyc -h 127.0.0.1 -n -c tracking >\"$1/said\" && grep -q Normal \"$1/said\"; do \
                  tries=$((tries + 1)); [ $tries -lt 300 ] || break; sleep 0.2; done; \
                  strace -f -e trace=execve -o \"$1/started\" \"$2\" --json; kill %1";
    let text = run("unshare", &["--net", "bash", "-mc", script, "bash", at, env!("CARGO_BIN_EXE_fleet-probe")]);
    let sample: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let value = |metric: &str| {
        sample["readings"].as_array().unwrap().iter().find(|r| r["metric"] == metric).and_then(|r| r["value"].as_f64())
    };
    let said = fs::read_to_string(format!("{at}/said")).unwrap();
    let fields: Vec<&str> = said.trim().split(',').collect();
    assert_eq!((value("time.synchronized"), value("time.stratum")), (Some(1.0), fields[2].parse().ok()), "{said}");
    let real = |at: usize| fields[at].parse::<f64>().unwrap();
    assert!((value("time.offset").unwrap() - real(4).abs()).abs() < 1e-5, "{said}");
    assert!((value("time.error").unwrap() - (real(10) / 2.0 + real(11) + real(4).abs())).abs() < 1e-4, "{said}");
    assert!(sample["facts"].as_array().unwrap().iter().any(|fact| fact["text"] == "chrony"), "{said}");
    // No program was started for that.
    let started = fs::read_to_string(format!("{at}/started")).unwrap();
    assert!(!started.contains("chronyc"), "{started}");
}

/// What this machine's own programs answer as root: the kernel's log, served ports, rules, sshd.
#[test]
fn questions_of_this_machine_are_answered_and_shown() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let root = Root::default();
    let answers = ask_questions(&root, None, 1000, &mut |_| {}).expect("nothing was asked before");
    let got = measure(&root, Past { now: 1060, answers: Some(answers), ..Past::default() });
    let fact = |name: &str, item: &str| got.facts.iter().find(|fact| fact.name == name && fact.item == item);
    let names = fact("port.process", &format!("tcp/{port}")).map(|fact| fact.text.as_str());
    assert!(names.is_some_and(|names| names.contains("host_programs")), "{names:?} {:?}", got.faults);
    assert!(fact("security.sshd.root-login", "").is_some(), "{:?}", got.faults);
    let value = |metric: &str, item: &str| got.readings.iter().find(|r| r.metric == metric && r.item == item);
    for section in ["port", "kernel.log", "reboot.services", "security.sshd", "security.firewall"] {
        assert_eq!(value("probe.answer.age", section).map(|r| r.value), Some(60.0), "{section}: {:?}", got.faults);
    }
    assert!(value("security.firewall.rules", "").is_some() && value("kernel.crashes", "").is_some());
}
