//! Bastions: machines in namespaces behind each other, each with a user, a key and a host key of its own.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/bench.rs"]
mod bench;
#[path = "support/sshd.rs"]
mod sshd;
#[path = "support/visit.rs"]
mod visit;

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agent::{Agent, Token};
use bench::{Bench, shown, single, sweep};
use fleet_health::model::cause::Cause;
use fleet_health::model::spec::{Hop, SshSpec};
use fleet_health::ssh::{self, Bastions, Secrets};
use serde_json::Value;
use sshd::{Options, Sshd, sh};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Machines in a row: the first is ours, each sees only its neighbours. Number `n` has 10.66.n.2 towards us and
/// 10.66.(n+1).1 away from us.
struct Row {
    names: Vec<String>,
}

impl Row {
    fn new(machines: usize) -> Self {
        let tag = format!("{}x{}", std::process::id() % 100_000, NUMBER.fetch_add(1, Ordering::Relaxed));
        let row = Self { names: (0..machines).map(|number| format!("fhj{number}-{tag}")).collect() };
        for name in &row.names {
            sh(&format!("ip netns add {name} && ip -n {name} link set lo up"));
        }
        for (number, pair) in row.names.windows(2).enumerate() {
            let (near, far, net) = (&pair[0], &pair[1], format!("10.66.{}", number + 1));
            sh(&format!(
                "ip -n {near} link add out type veth peer name in netns {far} && \
                 ip -n {near} address add {net}.1/24 dev out && ip -n {near} link set out up && \
                 ip -n {far} address add {net}.2/24 dev in && ip -n {far} link set in up && \
                 ip -n {near} neigh add {net}.9 lladdr 02:00:00:00:00:09 dev out nud permanent"
            ));
        }
        row
    }

    /// The words that start a program on our machine.
    fn here(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.names[0]]
    }

    fn sshd(&self, number: usize, options: Options) -> Sshd {
        let namespace = Some(self.names[number].clone());
        Sshd::start(&Options { address: format!("10.66.{number}.2"), namespace, ..options })
    }

    /// Ends everything that runs on a machine.
    fn kill(&self, number: usize) {
        sh(&format!("ip netns pids {} | xargs -r kill -KILL", self.names[number]));
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "delete", name]).stderr(Stdio::null()).status();
        }
    }
}

fn host(name: &str, sshd: &Sshd, more: &str) -> String {
    format!(
        "<host name=\"{name}\" address=\"{}\" port=\"2222\" user=\"{}\" key-file=\"{}\" known-hosts=\"{}\" {more}/>",
        sshd.address,
        sshd.user,
        shown(&sshd.key),
        shown(&sshd.known_hosts)
    )
}

/// The same machine as many hosts.
fn many(count: usize, sshd: &Sshd, more: &str) -> String {
    (0..count).map(|number| host(&format!("h{number}"), sshd, more)).collect()
}

fn count(sshd: &Sshd, what: &str) -> usize {
    sshd.log_text().lines().filter(|line| line.contains(what)).count()
}

#[track_caller]
fn collected(told: &Value) {
    assert_eq!(told["outcome"], "collected", "{told}");
}

#[track_caller]
fn one_cause(told: &[Value]) -> String {
    for host in told {
        assert_eq!(host["cause"], "jump", "{host}");
        assert_eq!(host["text"], told[0]["text"]);
    }
    told[0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_sweep_over_two_bastions_with_keys_of_their_own() {
    let row = Row::new(4);
    let [outer, inner, far] = [1, 2, 3].map(|number| row.sshd(number, Options::default()));
    let hosts = [
        host("outer", &outer, ""),
        host("inner", &inner, "jump=\"outer\""),
        host("far", &far, "jump=\"inner\""),
        host("also", &far, "jump=\"outer,inner\""),
        host("wrong", &far, "jump=\"outer\""),
    ];
    let bench = Bench::new("20s", "", &hosts.concat());
    // The first visits ship the probe through both.
    for _ in 0..2 {
        for told in sweep(&mut bench.command(&row.here())) {
            if told["host"] == "wrong" {
                // The bastion is fine; from there the host cannot be reached.
                assert_eq!(told["cause"], "connect-timeout", "{told}");
                assert!(told["text"].as_str().unwrap().contains("bastion outer cannot connect to 10.66.3.2"), "{told}");
            } else {
                collected(&told);
            }
        }
    }
    assert!(far.log_text().contains("Connection from 10.66.3.1 port"), "{}", far.log_text());
    for sshd in [&outer, &inner, &far] {
        assert_eq!(count(sshd, "Failed "), 0, "each is offered its own key only: {}", sshd.log_text());
    }
    // The key of a bastion is verified under its own name, before anything is said to it.
    let accepted = count(&inner, "Accepted publickey");
    inner.know_another();
    for told in sweep(&mut bench.command(&row.here())) {
        match told["host"].as_str().unwrap() {
            "outer" => collected(&told),
            "inner" => assert_eq!(told["cause"], "host-key-changed", "{told}"),
            "wrong" => assert_eq!(told["cause"], "connect-timeout", "{told}"),
            _ => {
                assert_eq!(told["cause"], "jump", "{told}");
                assert!(told["text"].as_str().unwrap().starts_with("bastion inner: host-key-changed: "), "{told}");
            }
        }
    }
    assert_eq!(count(&inner, "Accepted publickey"), accepted);
}

#[test]
fn a_dead_bastion_costs_its_time_once_and_a_refusing_one_a_single_login() {
    let row = Row::new(3);
    let bastion = row.sshd(1, Options { reject: true, ..Options::default() });
    let far = row.sshd(2, Options::default());
    let hole = host("hole", &bastion, "").replace("10.66.1.2", "10.66.1.9");
    let bench = Bench::new("60s", "", &(hole + &many(20, &far, "jump=\"hole\"")));
    let begun = Instant::now();
    let mut told = sweep(&mut bench.command(&row.here()));
    told.retain(|host| host["host"] != "hole");
    assert_eq!(told.len(), 20);
    let text = one_cause(&told);
    assert!(text.starts_with("bastion hole: connect-timeout: "), "{text}");
    // Five seconds each, eight at once, would be twelve and more.
    assert!(told.iter().all(|host| host["seconds"].as_f64().unwrap() < 9.0), "{told:?}");
    assert!(begun.elapsed() < Duration::from_secs(30));

    bench.configure("60s", "", &(host("bastion", &bastion, "") + &many(20, &far, "jump=\"bastion\"")));
    let told = sweep(&mut bench.command(&row.here()));
    let (itself, told): (Vec<Value>, Vec<Value>) = told.into_iter().partition(|host| host["host"] == "bastion");
    let text = one_cause(&told);
    assert!(text.starts_with("bastion bastion: authentication: "), "{text}");
    assert_eq!(itself[0]["cause"], "authentication", "{itself:?}");
    // For itself and for those behind it together.
    assert_eq!(count(&bastion, "Connection from"), 1, "{}", bastion.log_text());
    assert_eq!(count(&far, "Connection from"), 0);
}

#[test]
fn a_bastion_that_dies_in_the_middle_is_one_cause_and_one_mail_not_fifty() {
    let row = Row::new(3);
    let bastion = row.sshd(1, Options::default());
    let far = row.sshd(2, Options { lines: vec!["ForceCommand sleep 1000".into()], ..Options::default() });
    let jump = format!("{}@10.66.1.2:2222", bastion.user);
    let bench = Bench::new("60s", "", "");
    let known = [&bastion, &far].map(|sshd| fs::read_to_string(&sshd.known_hosts).unwrap()).concat();
    let known = shown(&bench.write("known_hosts", &known));
    // A bastion that is no host has the keys of the hosts behind it.
    sh(&format!("cat {}/id.pub >> {}/authorized", shown(&far.folder), shown(&bastion.folder)));
    let hosts = many(50, &far, "").replace(&shown(&far.known_hosts), &known);
    let alerts = "<alerts><to name=\"box\" directory=\"mail\"/><route to=\"box\"/></alerts>";
    bench.configure("60s", "", &format!("<group name=\"behind\" jump=\"{jump}\">{hosts}</group>{alerts}"));
    let mut command = bench.command(&row.here());
    let told = thread::scope(|scope| {
        let running = scope.spawn(|| sweep(&mut command));
        let until = Instant::now() + Duration::from_secs(40);
        // As many as are visited at once; the others have still to come.
        while count(&far, "Accepted publickey") < 8 {
            assert!(Instant::now() < until, "{}{}", bastion.log_text(), far.log_text());
            thread::sleep(Duration::from_millis(20));
        }
        row.kill(1);
        running.join().unwrap()
    });
    assert_eq!(told.len(), 50);
    for host in &told {
        assert_eq!(host["cause"], "jump", "{host}");
        assert!(host["text"].as_str().unwrap().starts_with(&format!("bastion {jump}")), "{host}");
    }
    let broken = format!("bastion {jump} closed the connection");
    assert_eq!(told.iter().filter(|host| host["text"] == broken).count(), 8, "{told:?}");
    assert!(told.iter().all(|host| host["seconds"].as_f64().unwrap() < 50.0), "their time was not waited for");
    // Once may be chance; the second sweep is evidence.
    sweep(&mut bench.command(&row.here()));
    let mut alerter = Command::new(env!("CARGO_BIN_EXE_fleet-alerter"));
    let done = alerter.arg("--config").arg(bench.path("config.xml")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mails = sh(&format!("grep -rh '^Subject:' {}/mail", shown(&bench.path("."))));
    assert_eq!(mails.lines().count(), 1, "{mails}");
    assert!(mails.contains("bastion-unreachable"), "{mails}");
}

#[test]
fn a_bastion_that_forwards_nothing_is_named() {
    let row = Row::new(3);
    let bastion = row.sshd(1, Options { lines: vec!["AllowTcpForwarding no".into()], ..Options::default() });
    let far = row.sshd(2, Options::default());
    let bench = Bench::new("20s", "", &(host("bastion", &bastion, "") + &host("far", &far, "jump=\"bastion\"")));
    for told in sweep(&mut bench.command(&row.here())) {
        if told["host"] == "bastion" {
            collected(&told);
        } else {
            assert_eq!(told["cause"], "jump", "{told}");
            let text = told["text"].as_str().unwrap();
            assert!(text.contains("bastion bastion does not forward to 10.66.2.2 port 2222"), "{told}");
        }
    }
}

#[test]
fn the_way_that_ssh_knows() {
    let row = Row::new(3);
    let bastion = row.sshd(1, Options::default());
    let far = row.sshd(2, Options::default());
    let bench = Bench::new("20s", "", "");
    let key = fs::read_to_string(far.folder.join("hostkey.pub")).unwrap();
    let known = bench.write("known", &format!("the-far-one {key}"));
    let more = bench.write(
        "more.conf",
        &format!(
            "Host gate\n  HostName 10.66.1.2\n  Port 2222\n  User {}\n  IdentityFile {}\n  UserKnownHostsFile {}\n",
            bastion.user,
            shown(&bastion.key),
            shown(&bastion.known_hosts)
        ),
    );
    let file = bench.write(
        "ssh_config",
        &format!(
            "Include {}\nHost far\n  HostName 10.66.2.2\n  User {}\n  HostKeyAlias the-far-one\n  ConnectTimeout 9\n  \
             IdentityFile {}\n  UserKnownHostsFile {}\n  ProxyJump gate\nMatch originalhost far exec \"true\"\n  Port 2222\n\
             Host *\n  IdentitiesOnly yes\n  Port 9\n",
            shown(&more),
            far.user,
            shown(&far.key),
            shown(&known)
        ),
    );
    let ssh = format!("use-ssh-config=\"{}\"", shown(&file));
    bench.configure("20s", &ssh, "<host name=\"far\"/>");
    collected(&single(&mut bench.command(&row.here())));
    let show = |more: &[&str]| {
        let mut fleet = Command::new(env!("CARGO_BIN_EXE_fleet"));
        fleet.arg("--config").arg(bench.path("config.xml")).args(more).output().unwrap()
    };
    let text = String::from_utf8(show(&["config", "show", "far"]).stdout).unwrap();
    for (name, value) in [
        ("address", "10.66.2.2"),
        ("port", "2222"),
        ("agent", "false"),
        ("HostKeyAlias", "the-far-one"),
        ("ConnectTimeout", "9s"),
        ("jump", "gate"),
    ] {
        let line = text.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{text}"));
        assert!(line.contains(value) && line.contains("ssh -G"), "{line}");
    }
    // What is typed here wins.
    bench.configure("20s", &ssh, "<host name=\"far\" port=\"2223\"/>");
    let text = String::from_utf8(show(&["config", "show", "far"]).stdout).unwrap();
    let port = text.lines().find(|line| line.trim_start().starts_with("port ")).unwrap();
    assert!(port.contains("2223") && port.contains("config.xml:"), "{text}");
    bench.write("ssh_config", "Host far\n  ProxyCommand nc %h %p\n");
    let refused = show(&["check-config"]);
    let text = String::from_utf8_lossy(&refused.stdout) + String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && text.contains("ProxyCommand"), "{text}");
    bench.write("ssh_config", "Host far\n  HostName 10.66.2.2\n  RevokedHostKeys /etc/ssh/revoked\n");
    let refused = show(&["check-config"]);
    let text = String::from_utf8_lossy(&refused.stdout) + String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && text.contains("@revoked * TYPE KEY"), "{text}");
}

/// A port before another, where each connection waits before it gets on.
fn slow(port: u16, wait: Duration) -> u16 {
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = door.local_addr().unwrap().port();
    thread::spawn(move || {
        for near in door.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                thread::sleep(wait);
                let far = TcpStream::connect(("127.0.0.1", port)).unwrap();
                let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                thread::spawn(move || io::copy(&mut from, &mut to));
                let _ = io::copy(&mut &far, &mut &near);
            });
        }
    });
    at
}

#[test]
fn who_comes_late_to_a_slow_bastion_shuts_it_for_nobody() {
    let (gate, far) = (Sshd::start(&Options::default()), Sshd::start(&Options::default()));
    let mut hop = visit::spec(&gate);
    hop.port = slow(gate.port, Duration::from_secs(2));
    // The key is known for the port of sshd itself.
    let line = fs::read_to_string(&gate.known_hosts).unwrap();
    fs::write(&gate.known_hosts, line.replace(&gate.port.to_string(), &hop.port.to_string())).unwrap();
    let spec = SshSpec { jumps: vec![Hop { name: "gate".into(), ssh: hop }], ..visit::spec(&far) };
    let bastions = Bastions::default();
    let visit =
        |time| ssh::connect(&spec, &Secrets::default(), &bastions, Instant::now() + Duration::from_millis(time));
    let crowd = || {
        thread::scope(|scope| {
            let all: Vec<_> = (0..12).map(|_| scope.spawn(|| visit(500).err().unwrap())).collect();
            for error in all.into_iter().map(|one| one.join().unwrap()) {
                assert_eq!(error.cause, Cause::Jump, "{error}");
            }
        });
    };
    // First where nobody got in yet, then where somebody did.
    for _ in 0..2 {
        crowd();
        visit(30_000).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn nobody_goes_to_an_open_bastion_that_only_an_agent_has_the_key_of_once_that_hangs() {
    let (gate, far) = (Sshd::start(&Options::default()), Sshd::start(&Options::default()));
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start(folder.path(), &gate, 0);
    let token = Token::before(&agent, folder.path().join("token.sock"), Duration::ZERO);
    let by_agent = |sshd: &Sshd| {
        let (key_files, agent_socket) = (Vec::new(), Some(token.socket.clone()));
        SshSpec { key_files, agent: true, agent_socket, ..visit::spec(sshd) }
    };
    let behind = SshSpec { jumps: vec![Hop { name: "gate".into(), ssh: by_agent(&gate) }], ..visit::spec(&far) };
    let bastions = Bastions::default();
    let visit = |spec: &SshSpec| {
        ssh::connect(spec, &Secrets::default(), &bastions, Instant::now() + Duration::from_secs(14)).map(drop)
    };
    visit(&behind).unwrap_or_else(|error| panic!("{error}"));
    token.asleep.store(true, Ordering::Relaxed);
    let error = visit(&by_agent(&far)).unwrap_err();
    assert!(error.text.contains("did not answer within"), "{error}");
    for _ in 0..3 {
        let error = visit(&behind).unwrap_err();
        assert_eq!(error.cause, Cause::LocalSetup, "{error}");
        assert!(error.text.starts_with("for bastion gate: the ssh-agent did not answer"), "{error}");
    }
    assert_eq!(count(&gate, "Connection from"), 1, "{}", gate.log_text());
}
