//! known_hosts: our verdict is ssh's own (design/trust.md, C3), for files by hand and for generated ones.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "support/sshd.rs"]
mod sshd;
#[path = "support/visit.rs"]
mod visit;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use fleet_health::model::cause::Cause;
use fleet_health::ssh::hostkey::HostKey;
use fleet_health::ssh::known_hosts::{KnownHosts, Verdict};
use fleet_health::ssh::{Bastions, Secrets};
use sshd::{Options, Sshd, sh};

/// A server, and the keys that files name: its own, another of the same type, one of another type.
struct Scene {
    sshd: Sshd,
    keys: [String; 3],
}

impl Scene {
    fn new() -> Self {
        let sshd = Sshd::start(&Options::default());
        sh(&format!("ssh-keygen -q -t ecdsa -N '' -f {}/ecdsa", sshd.folder.display()));
        let keys = ["hostkey.pub", "id.pub", "ecdsa.pub"].map(|file| {
            let text = fs::read_to_string(sshd.folder.join(file)).unwrap();
            text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
        });
        Self { sshd, keys }
    }

    /// A line whose name is hashed, as ssh-keygen does it.
    fn hashed(&self, name: &str, key: &str) -> String {
        let file = self.sshd.folder.join("hash");
        fs::write(&file, format!("{name} {key}\n")).unwrap();
        let file = file.display();
        sh(&format!("ssh-keygen -q -H -f {file} >/dev/null 2>&1; cat {file}")).trim().to_owned()
    }

    /// What ssh makes of a file, and what it says.
    fn theirs(&self, text: &str, alias: Option<&str>) -> (&'static str, String) {
        let sshd = &self.sshd;
        fs::write(&sshd.known_hosts, format!("{text}\n")).unwrap();
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=/dev/null"])
            .args(["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "KexAlgorithms=curve25519-sha256", "-o"])
            .arg(format!("UserKnownHostsFile={}", sshd.known_hosts.display()));
        if let Some(alias) = alias {
            ssh.arg("-o").arg(format!("HostKeyAlias={alias}"));
        }
        ssh.arg("-i").arg(&sshd.key).args(["-p", &sshd.port.to_string()]);
        let done = ssh.args([&format!("{}@{}", sshd.user, sshd.address), "true"]).output().expect("ssh");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        let verdict = match () {
            () if done.status.success() => "known",
            () if said.contains("REVOKED") => "revoked",
            () if said.contains("HOST IDENTIFICATION HAS CHANGED") => "changed",
            () if said.contains("host key is known for") => "unknown",
            () => panic!("{text}\n{said}"),
        };
        (verdict, said)
    }

    #[track_caller]
    fn agree(&self, text: &str, alias: Option<&str>) -> &'static str {
        let (kind, base64) = self.keys[0].split_once(' ').unwrap();
        let known = KnownHosts::default();
        known.add(text);
        let (host, port) = alias.map_or((self.sshd.address.as_str(), self.sshd.port), |alias| (alias, 22));
        let ours = match known.check(host, port, &HostKey::from_words(kind, base64).unwrap()) {
            Verdict::Known => "known",
            Verdict::Revoked => "revoked",
            Verdict::Changed(_) => "changed",
            Verdict::Unknown | Verdict::Unproven(_) => "unknown",
        };
        let (theirs, said) = self.theirs(text, alias);
        assert_eq!(ours, theirs, "{alias:?}\n{text}\nssh: {said}");
        theirs
    }
}

#[test]
fn c3_verdicts_are_those_of_ssh_for_files_by_hand() {
    let scene = Scene::new();
    let [mine, other, ecdsa] = &scene.keys;
    let hashed = |name: &str, key: &str| scene.hashed(name, key);
    let (address, port) = (&scene.sshd.address, scene.sshd.port);
    let full = format!("[{address}]:{port}");
    let files = [
        String::new(),
        format!("{full} {mine}"),
        format!("{full} {other}"),
        format!("{address} {mine}"),
        format!("{address} {other}"),
        format!("{full} {other}\n{address} {mine}"),
        format!("{full} {other}\n{full} {mine}"),
        format!("[{address}]:1 {mine}"),
        format!("* {mine}"),
        format!("[*]:{port} {mine}"),
        format!("[127.0.0.?]:{port} {mine}"),
        format!("[127.0.0.*]:{port},!{full} {mine}"),
        format!("!{full},* {mine}"),
        format!("!other,* {mine}"),
        format!("a,b,{full} {mine} comment here"),
        format!("\t{full}\t{mine}"),
        format!("# {full} {mine}"),
        format!("nonsense\n\n{full} {mine}"),
        format!("{full} ssh-ed25519 AAAA\n{full} {mine}"),
        format!("{full} ssh-ed25519 AAAA"),
        format!("{full} ssh-rsa {}", mine.split(' ').nth(1).unwrap()),
        format!("@revoked {full} {mine}\n{full} {mine}"),
        format!("{full} {mine}\n@revoked * {mine}"),
        format!("@revoked * {other}\n{full} {mine}"),
        format!("@cert-authority * {other}\n{full} {mine}"),
        format!("@cert-authority * {mine}"),
        format!("@odd {full} {mine}"),
        format!("{full} {ecdsa}"),
        format!("{full} {ecdsa}\n{full} {mine}"),
        format!("{full} {mine}x"),
        format!("{full} {mine}\r"),
        hashed(&full, mine),
        hashed(&full, other),
        hashed(address, mine),
        format!("|1|AAAA|BBBB {mine}"),
        full.clone(),
        format!("{full},{} {mine}", "x".repeat(1500)),
        format!("{address},{full} {mine}"),
        format!("{address} {other}\n{full} {mine}"),
        format!("{address} {mine}\n{full} {other}"),
        format!("* {other}\n{full} {mine}"),
        format!("* {other}"),
        format!("*:{port} {mine}"),
        format!("[127.*]:{port} {mine}"),
        format!("[127.0.0.1]:* {mine}"),
        format!("[???.0.0.1]:{port} {mine}"),
        format!("127.0.0.? {mine}"),
        format!("!{address} {mine}"),
        format!("!{full} {mine}"),
        format!("!{full} {mine}\n{full} {mine}"),
        format!("{full},!{full} {mine}"),
        format!("!*,{full} {mine}"),
        format!("{full}, {mine}"),
        format!(",{full} {mine}"),
        format!("{full} , {mine}"),
        format!("{full}   {mine}   "),
        format!("{full} {mine}\n{full} {mine}"),
        format!("  # comment\n\t \n{full} {mine}"),
        format!("{full} # {mine}"),
        format!("@revoked {address} {mine}\n{full} {mine}"),
        format!("@revoked [*]:{port} {mine}\n* {mine}"),
        format!("@revoked {full} {other}"),
        format!("@revoked {full} {other}\n{full} {other}"),
        format!("@REVOKED {full} {mine}\n{full} {mine}"),
        format!(" @revoked {full} {mine}\n{full} {mine}"),
        format!("@cert-authority {full} {mine}\n{full} {mine}"),
        hashed(&full, ecdsa),
        format!("{}\n{}", hashed(&full, other), hashed(&full, mine)),
        hashed("another.example", mine),
        format!("{full} {}", mine.to_uppercase()),
        format!("{full} {}", mine.replace("ssh-ed25519", "ecdsa-sha2-nistp256")),
        format!("{} {mine}", "y".repeat(70_000)),
    ];
    assert!(files.len() >= 60, "{}", files.len());
    for text in &files {
        scene.agree(text, None);
    }
}

/// Numbers that look random and are the same in each run (xorshift).
struct Dice(u64);

impl Dice {
    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        &all[usize::try_from(self.0 >> 16).unwrap() % all.len()]
    }
}

/// Lines of every mark, with hashed and listed names, of three keys, one to four in a file.
fn generated(scene: &Scene, dice: &mut Dice, names: &[String], patterns: &[String]) -> String {
    let mut text = String::new();
    for _ in 0..*dice.of(&[1, 1, 2, 2, 3, 4]) {
        let mark = *dice.of(&["", "", "", "", "", "@revoked ", "@cert-authority ", "@odd "]);
        // The host's own key more often, and revoked less, so that all verdicts come up.
        let key = dice.of(&[0, 0, 0, 1, 1, 2]);
        let key = &scene.keys[if mark == "@revoked " { *dice.of(&[*key, 1, 2]) } else { *key }];
        let line = if *dice.of(&[true, false, false, false]) {
            let name: &String = dice.of(names);
            scene.hashed(name, key)
        } else {
            let list: Vec<&str> = (0..*dice.of(&[1, 1, 2, 3])).map(|_| dice.of(patterns).as_str()).collect();
            format!("{} {key}", list.join(","))
        };
        text.push_str(&format!("{mark}{line}\n"));
    }
    text
}

#[test]
fn c3_verdicts_are_those_of_ssh_for_generated_files() {
    let scene = Scene::new();
    let (address, port) = (&scene.sshd.address, scene.sshd.port);
    let full = format!("[{address}]:{port}");
    let owned = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
    let by_address = owned(&[
        &full,
        &full,
        address,
        "*",
        "other.example",
        &format!("[*]:{port}"),
        "[127.0.0.?]:*",
        &format!("!{full}"),
        &format!("!{address}"),
        &format!("[{address}]:1"),
        "127.*",
        "!127.*",
        "?",
    ]);
    let by_alias = owned(&[
        "web1.example.net",
        "WEB1.Example.NET",
        "*.example.net",
        "web?.example.net",
        "!web1*",
        "!*.other.net",
        "*",
        "[web1.example.net]:22",
        "web1",
        &full,
    ]);
    let mut dice = Dice(0x5eed_0006);
    let mut seen = std::collections::BTreeMap::new();
    for number in 0..90 {
        let verdict = if number % 3 == 2 {
            let names = owned(&["web1.example.net", "web2.example.net"]);
            let text = generated(&scene, &mut dice, &names, &by_alias);
            scene.agree(&text, Some(*dice.of(&["web1.example.net", "Web1.Example.net"])))
        } else {
            let text = generated(&scene, &mut dice, &owned(&[&full, address, "other.example"]), &by_address);
            scene.agree(&text, None)
        };
        *seen.entry(verdict).or_insert(0) += 1;
    }
    assert!(seen.len() == 4 && seen.values().all(|&count| count >= 4), "{seen:?}");
}

/// A server with keys of two types, and a file in which thousands of others have their names hashed.
#[test]
fn a_host_among_thousands_of_hashed_lines_is_known_by_whichever_key_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let ecdsa = folder.path().join("ecdsa");
    sh(&format!("ssh-keygen -q -t ecdsa -N '' -f {}", ecdsa.display()));
    let sshd = Sshd::start(&Options { lines: vec![format!("HostKey {}", ecdsa.display())], ..Options::default() });
    let scene = Scene { keys: Default::default(), sshd };
    let sshd = &scene.sshd;
    let mut spec = visit::spec(sshd);
    spec.known_hosts = vec![folder.path().join("known_hosts")];
    let key = |file: &Path| {
        let text = fs::read_to_string(file).unwrap();
        text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    let keys @ [mine, second, other] =
        &[sshd.folder.join("hostkey.pub"), ecdsa.with_extension("pub"), sshd.folder.join("id.pub")].map(|it| key(&it));
    let name = format!("[{}]:{}", sshd.address, sshd.port);
    let mut dice = Dice(0x5eed_0016);
    let mut nobody = || (0..27).map(|_| *dice.of(b"AEIMQUYcgk")).map(char::from).collect::<String>();
    let mut others = |key: &String| format!("|1|{}=|{}= {key}\n", nobody(), nobody());
    // Both types are there, so that nothing can be told of a host by them.
    let others: String = (0..2_000).map(|number| others(&keys[number % 2])).collect();
    let came = || sshd.log_text().matches("Connection from").count();
    let write = |lines: &str, age: u64| {
        let file = &spec.known_hosts[0];
        fs::write(file, format!("{others}{lines}\n")).unwrap();
        let at = SystemTime::now() - Duration::from_secs(age);
        fs::File::options().write(true).open(file).unwrap().set_modified(at).unwrap();
    };
    let connect = |lines: &str, age: u64| {
        write(lines, age);
        let before = came();
        let deadline = Instant::now() + Duration::from_secs(20);
        let done = fleet_health::ssh::connect(&spec, &Secrets::default(), &Bastions::default(), deadline);
        (done.err().map(|error| error.cause), came() - before)
    };
    assert_eq!(connect(&scene.hashed(&name, mine), 1_000), (None, 1));
    assert_eq!(connect(&scene.hashed(&name, second), 2_000), (None, 1), "it is asked for that one first");
    let both = format!("{}\n{}", scene.hashed(&name, other), scene.hashed(&name, second));
    assert_eq!(connect(&both, 3_000), (Some(Cause::HostKeyChanged), 1), "as with ssh");
    assert_eq!(connect(&scene.hashed(&name, other), 4_000), (Some(Cause::HostKeyChanged), 1));
    assert_eq!(connect("", 5_000), (Some(Cause::HostKeyUnknown), 1));
    assert_eq!(connect(&format!("{name} {second}"), 6_000), (None, 1), "by a name in the clear");
}
