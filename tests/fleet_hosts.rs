//! `fleet hosts`, `fleet keys` and `fleet consent` against a real sshd: what is typed, and what is on disk afterwards.
#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may stop where something is wrong, and starts programs"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::run::{self, Said, program, sqlite3};
use support::sshd::{self, Options, Sshd};
use support::terminal::Terminal;

/// A configuration with comments and a group, for one sshd whose key is not known yet.
struct Desk {
    folder: tempfile::TempDir,
    host: Sshd,
}

const BEFORE: &str = "  <!-- Ours; ask Ann before you change it. -->\n  <group name=\"web\" description='front'>\n\
    \t\t<!-- <host name=\"old\"/> -->\n    <rule metric=\"cpu.used\"   critical=\"97%\"/> <!-- odd   spaces -->\n  </group>\n";

impl Desk {
    fn new(options: &Options, more: &str) -> Self {
        let host = Sshd::start(options);
        fs::remove_file(&host.known_hosts).unwrap();
        let desk = Self { folder: tempfile::tempdir().unwrap(), host };
        sshd::probes(desk.path(), &program("fleet-probe"));
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<fleet-health version=\"1\">\n  \
             <collector state-dir=\"state\" probe-dir=\"probes\" timeout=\"20s\"/>\n  \
             <keys recipient-file=\"keys/fleet.pub\" identity-file=\"keys/fleet.key\"/>\n  \
             <store url=\"sqlite:fleet.db\"/>\n  <ssh key-file=\"{}\" known-hosts=\"{}\"/>\n{BEFORE}{more}</fleet-health>\n",
            desk.host.key.display(),
            desk.host.known_hosts.display()
        );
        fs::write(desk.config(), text).unwrap();
        fs::set_permissions(desk.config(), fs::Permissions::from_mode(0o600)).unwrap();
        desk.fleet(&["keys", "generate"]).ends_with(0);
        desk
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn config(&self) -> PathBuf {
        self.path().join("config.xml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.config()).unwrap()
    }

    fn run(&self, name: &str, args: &[&str]) -> Said {
        let mut command = Command::new(program(name));
        command.arg("--config").arg(self.config()).args(args).stdin(Stdio::null());
        command.env("HOME", self.path()).env_remove("SSH_AUTH_SOCK").env_remove("XDG_CACHE_HOME");
        Said::of(command.output().unwrap())
    }

    fn fleet(&self, args: &[&str]) -> Said {
        self.run("fleet", args)
    }

    fn target(&self) -> String {
        format!("{}@{}:{}", self.host.user, self.host.address, self.host.port)
    }

    /// As ssh-keygen shows it on the host itself.
    fn fingerprint(&self) -> String {
        let shown = run::must("ssh-keygen", &["-lf", &self.host.folder.join("hostkey.pub").display().to_string()]);
        shown.split_whitespace().nth(1).unwrap().to_owned()
    }

    /// Adds the host as `name`.
    fn add(&self, name: &str) {
        let key = self.fingerprint();
        self.fleet(&["hosts", "add", &self.target(), "--name", name, "--fingerprint", &key]).ends_with(0);
    }

    /// What the probe has on the host.
    fn cache(&self) -> PathBuf {
        self.host.home.join(".cache/fleet-health")
    }

    fn samples(&self) -> String {
        sqlite3(&self.path().join("fleet.db"), "SELECT count(*) FROM sample")[0][0].clone()
    }
}

#[test]
fn a_host_is_added_by_its_fingerprint_into_its_group_and_nothing_else_moves() {
    let desk = Desk::new(&Options::default(), "");
    let (before, target, key) = (desk.text(), desk.target(), desk.fingerprint());
    let add =
        |more: &[&str]| desk.fleet(&[&["hosts", "add", &target, "--name", "w1", "--group", "web"], more].concat());

    let asked = add(&[]).ends_with(2);
    assert!(asked.out.contains(&key) && asked.err.contains(&format!("--accept-fingerprint {key}")), "{asked:?}");
    let wrong = format!("SHA256:{}", "A".repeat(43));
    assert!(add(&["--fingerprint", &wrong]).ends_with(1).err.contains(&wrong));
    assert!(!desk.host.known_hosts.exists() && !desk.cache().exists(), "nothing is accepted, nobody logged in");
    let misspelt = desk.fleet(&["hosts", "add", &target, "--group", "wep"]).ends_with(78);
    assert!(misspelt.err.contains("did you mean") && misspelt.err.contains("web"), "{misspelt:?}");
    assert_eq!(desk.text(), before);

    let added = add(&["--accept-fingerprint", &key]).ends_with(0);
    assert!(added.out.contains("cpu") && added.out.contains("was added"), "{added:?}");
    let user = &desk.host.user;
    let line = format!("    <host name=\"w1\" address=\"127.0.0.1\" port=\"{}\" user=\"{user}\"/>\n", desk.host.port);
    let after = desk.text();
    assert_eq!(after.replacen(&line, "", 1), before, "every other byte is as it was");
    assert!(after.find(&line).unwrap() < after.find("</group>").unwrap());
    assert_eq!(fs::metadata(desk.config()).unwrap().permissions().mode() & 0o777, 0o600);
    let left: Vec<String> =
        fs::read_dir(desk.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|name| !name.contains("new") && !name.starts_with(".config")), "{left:?}");
    assert!(add(&["--fingerprint", &key]).ends_with(78).err.contains("already"));

    let list = desk.fleet(&["hosts", "list", "--json"]).ends_with(0).json();
    assert_eq!(list["rows"][0]["host"], "w1");
    assert_eq!(list["rows"][0]["groups"], serde_json::json!(["web"]));
    assert_eq!(list["rows"][0]["reached"], desk.target());
    assert!(desk.fleet(&["hosts", "list"]).ends_with(0).out.starts_with("HOST  REACHED"));
    let scan = desk.fleet(&["hosts", "scan", "--json"]).ends_with(0).json();
    assert_eq!(
        (scan["rows"][0]["state"].as_str(), scan["rows"][0]["fingerprint"].as_str()),
        (Some("known"), Some(&*key))
    );
    let test = desk.fleet(&["hosts", "test", "w*", "--json"]).ends_with(0).json();
    assert_eq!((&test["rows"][0]["ok"], &test["rows"][0]["shipped"]), (&true.into(), &false.into()));
    assert!(test["rows"][0]["memory"].as_f64().is_some_and(|used| used > 0.0 && used < 1.0));
    assert!(desk.fleet(&["hosts", "test", "x*"]).ends_with(2).err.contains("fleet hosts list"));
    // Where nobody listens: what to do next calls the host by its name.
    let silent = after.replace(&format!("port=\"{}\"", desk.host.port), "port=\"1\"");
    fs::write(desk.config(), silent).unwrap();
    let scan = desk.fleet(&["hosts", "scan"]).ends_with(3);
    assert!(scan.out.contains("runs on w1"), "{scan:?}");
}

#[test]
fn a_changed_key_is_refused_until_its_fingerprint_is_accepted() {
    let desk = Desk::new(&Options::default(), "");
    desk.add("w1");
    desk.host.know_another();
    let known = fs::read_to_string(&desk.host.known_hosts).unwrap();
    let test = desk.fleet(&["hosts", "test"]).ends_with(3);
    assert!(test.out.contains("host-key-changed") && test.out.contains("fleet hosts accept w1"), "{test:?}");
    let scan = desk.fleet(&["hosts", "scan"]).ends_with(3);
    assert!(scan.out.contains("CHANGED") && scan.out.contains("fleet hosts accept w1"), "{scan:?}");
    assert_eq!(desk.fleet(&["hosts", "scan", "--json"]).ends_with(3).json()["rows"][0]["state"], "changed");

    let key = desk.fingerprint();
    let asked = desk.fleet(&["hosts", "accept", "w1"]).ends_with(2);
    assert!(asked.out.contains("was known with") && asked.out.contains(&key), "{asked:?}");
    let wrong = format!("SHA256:{}", "B".repeat(43));
    desk.fleet(&["hosts", "accept", "w1", "--fingerprint", &wrong]).ends_with(1);
    assert_eq!(fs::read_to_string(&desk.host.known_hosts).unwrap(), known, "nothing was accepted silently");
    // A person is asked; everything but a yes changes nothing.
    for (answer, code) in [("", 1), ("n", 1), ("y", 0)] {
        assert_eq!(fs::read_to_string(&desk.host.known_hosts).unwrap(), known);
        let command = format!("{} hosts accept w1 --config {}", program("fleet").display(), desk.config().display());
        let terminal = Terminal::start(desk.path(), desk.path(), &command);
        terminal.asks("Is it the same? [y/N]");
        terminal.types(answer);
        terminal.shows(&format!("ENDED {code}"));
    }
    let again = desk.fleet(&["hosts", "accept", "w1", "--fingerprint", &key]).ends_with(0);
    assert!(again.out.contains("is known already"), "{again:?}");
    assert!(desk.fleet(&["hosts", "test"]).ends_with(0).out.contains("w1  ok"));
    assert!(desk.fleet(&["hosts", "accept", "nobody"]).ends_with(2).err.contains("fleet hosts list"));
}

#[test]
fn where_the_login_fails_the_one_line_to_type_is_printed() {
    let desk = Desk::new(&Options { reject: true, ..Options::default() }, "");
    let (before, key) = (desk.text(), desk.fingerprint());
    let failed = desk.fleet(&["hosts", "add", &desk.target(), "--fingerprint", &key]).ends_with(1);
    let copy =
        format!("ssh-copy-id -i {}.pub -p {} {}@127.0.0.1", desk.host.key.display(), desk.host.port, desk.host.user);
    assert!(failed.err.contains("authentication") && failed.err.contains(&copy), "{failed:?}");
    assert_eq!(failed.err.matches("ssh-copy-id").count(), 1);
    assert_eq!(desk.text(), before);
}

#[test]
fn b6_the_line_that_locks_a_key_is_printed_and_works() {
    let desk = Desk::new(&Options::default(), "");
    desk.add("web1");
    let said = desk.fleet(&["hosts", "lock", "web1"]).ends_with(0);
    let line =
        said.out.lines().find(|line| line.starts_with("restrict,command=")).unwrap_or_else(|| panic!("{said:?}"));
    let copy = said.out.lines().find(|line| line.starts_with("scp ")).unwrap();
    assert!(
        copy.contains(&format!("-P {} ", desk.host.port)) && copy.ends_with(":/usr/local/bin/fleet-probe"),
        "{copy}"
    );
    let key = fs::read_to_string(desk.host.folder.join("id.pub")).unwrap();
    assert!(line.contains(key.split(' ').nth(1).unwrap()), "{line}");
    // As a person would, but not into this machine's own /usr/local.
    let probe = desk.host.folder.join("fleet-probe");
    fs::copy(copy.split(' ').nth(3).unwrap(), &probe).unwrap();
    let line = line.replace("/usr/local/bin/fleet-probe", &probe.display().to_string());
    fs::write(desk.host.folder.join("authorized"), line).unwrap();
    fs::remove_dir_all(desk.cache()).unwrap();
    desk.fleet(&["hosts", "test", "web1"]).ends_with(0);
    desk.run("fleet-collector", &[]).ends_with(0);
    assert_eq!(desk.samples(), "2", "its own, and what the look left there");
    assert!(
        fs::read_dir(desk.cache()).unwrap().flatten().all(|entry| entry.file_name() == "spool"),
        "none was shipped"
    );
    desk.fleet(&["hosts", "lock", "web2"]).ends_with(2);
}

#[test]
fn a_host_that_is_purged_leaves_nothing_here_and_nothing_there() {
    let desk = Desk::new(&Options::default(), "");
    desk.add("w1");
    desk.run("fleet-collector", &[]).ends_with(0);
    // What `hosts add` measured waited on the host, and came with the sweep's own.
    assert!(desk.cache().join("spool").exists());
    assert_eq!(desk.samples(), "2");
    let before = desk.text();

    let removed = desk.fleet(&["hosts", "remove", "w1"]).ends_with(0);
    assert!(removed.out.contains("--purge") && desk.cache().exists() && desk.samples() == "2", "{removed:?}");
    fs::write(desk.config(), &before).unwrap();

    // Two names for one account share its directory.
    let twin = before.replace("name=\"w1\"", "name=\"w2\"");
    let twin = twin.lines().find(|line| line.contains("name=\"w2\"")).unwrap();
    fs::write(desk.config(), before.replace("</fleet-health>", &format!("{twin}\n</fleet-health>"))).unwrap();
    let kept = desk.fleet(&["hosts", "remove", "w2", "--purge"]).ends_with(0);
    assert!(kept.out.contains("which is also w1") && desk.cache().exists(), "{kept:?}");
    assert_eq!(desk.text(), before);

    let purged = desk.fleet(&["hosts", "remove", "w1", "--purge"]).ends_with(0);
    assert!(purged.out.contains("2 samples of w1 were erased"), "{purged:?}");
    assert!(purged.out.contains(&desk.cache().display().to_string()), "{purged:?}");
    assert!(!desk.cache().exists() && desk.samples() == "0");
    assert!(!desk.text().contains("<host name=\"w1\"") && desk.text().contains(BEFORE));
    assert!(desk.fleet(&["hosts", "remove", "w1"]).ends_with(2).err.contains("no host is named w1"));
}

#[test]
fn a_host_that_cannot_be_reached_is_purged_here_and_what_to_type_is_said() {
    let port = sshd::free_port("127.0.0.1");
    let gone = format!("  <host name=\"gone\" address=\"127.0.0.1\" port=\"{port}\" user=\"u\"/>\n");
    let desk = Desk::new(&Options::default(), &gone);
    desk.run("fleet-collector", &[]).ends_with(3);
    let attempts = || sqlite3(&desk.path().join("fleet.db"), "SELECT count(*) FROM attempt")[0][0].clone();
    assert_eq!(attempts(), "1");
    let purged = desk.fleet(&["hosts", "remove", "gone", "--purge"]).ends_with(3);
    assert!(
        purged.err.contains("refused") && purged.err.contains(&format!("ssh -p {port} u@127.0.0.1 rm -rf")),
        "{purged:?}"
    );
    assert!(!desk.text().contains("gone") && attempts() == "0");
}

#[test]
fn hosts_that_are_taken_out_at_once_are_all_gone_and_nothing_else_is() {
    let lines: String = (0..8).map(|n| format!("  <host name=\"h{n}\" address=\"127.0.0.1\" user=\"u\"/>\n")).collect();
    let desk = Desk::new(&Options::default(), &lines);
    let before = desk.text();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let desk = &desk;
            scope.spawn(move || desk.fleet(&["hosts", "remove", &format!("h{n}")]).ends_with(0));
        }
    });
    assert_eq!(desk.text(), before.replace(&lines, ""));
}

#[test]
fn a_rotation_loses_nothing_that_waits_on_a_host() {
    let desk = Desk::new(&Options::default(), "");
    desk.add("w1");
    // A visit that acknowledges nothing: what it measured waits in the host's spool, sealed to the first key.
    let waiting = || {
        fs::read_dir(desk.cache().join("spool"))
            .unwrap()
            .filter(|it| it.as_ref().unwrap().path().extension().is_some_and(|ending| ending == "age"))
            .count()
    };
    desk.fleet(&["hosts", "test"]).ends_with(0);
    let old = waiting();
    assert!(old >= 1);

    let keys = || desk.fleet(&["keys", "list", "--json"]).ends_with(0).json()["rows"].as_array().unwrap().clone();
    let first = keys();
    assert_eq!((first.len(), &first[0]["in_use"]), (1, &true.into()));
    let rotated = desk.fleet(&["keys", "rotate"]).ends_with(0);
    assert!(rotated.out.contains("Back up the private key"), "{rotated:?}");
    let both = keys();
    assert_eq!(both.iter().map(|key| &key["in_use"]).collect::<Vec<_>>(), [&true, &false]);
    assert_eq!(both[1]["recipient"], first[0]["recipient"]);
    assert!(desk.fleet(&["keys", "list", "--csv"]).ends_with(0).out.contains(",false,"));

    desk.run("fleet-collector", &[]).ends_with(0);
    assert_eq!(desk.samples(), (old + 1).to_string(), "those of before and the new one");
    assert_eq!(waiting(), 0);
    assert!(!desk.path().join("state/undecryptable").exists());

    // The old key is still needed by nobody, but it is young; and never is the one in use dropped.
    assert!(desk.fleet(&["keys", "rotate", "--retire", "1d"]).ends_with(0).out.contains("nothing to drop"));
    std::thread::sleep(std::time::Duration::from_secs(2));
    let shown = desk.fleet(&["keys", "rotate", "--retire", "1s"]).ends_with(2);
    assert!(shown.err.contains(first[0]["recipient"].as_str().unwrap()) && keys().len() == 2);
    desk.fleet(&["keys", "rotate", "--retire", "1s", "--yes"]).ends_with(0);
    assert_eq!(keys().len(), 1);
    assert!(desk.fleet(&["keys", "generate"]).ends_with(78).err.contains("fleet keys rotate"));
}

#[test]
fn without_consent_nobody_logs_in_and_what_was_stored_can_be_erased() {
    let desk = Desk::new(&Options::default(), "  <consent require=\"true\"/>\n");
    let key = desk.fingerprint();
    let added = desk.fleet(&["hosts", "add", &desk.target(), "--name", "w1", "--fingerprint", &key]).ends_with(0);
    assert!(added.out.contains("fleet consent grant w1") && !desk.cache().exists(), "{added:?}");
    let refused = desk.fleet(&["hosts", "test", "--json"]).ends_with(3).json();
    assert_eq!(refused["rows"][0]["cause"], "no-consent");
    assert!(!desk.cache().exists() && !desk.host.log_text().contains("Accepted publickey"));

    assert!(desk.fleet(&["consent", "grant", "w2", "--by", "Ann", "--purpose", "x"]).ends_with(2).err.contains("w1"));
    desk.fleet(&["consent", "grant", "w1", "--by", "Ann Owner", "--purpose", "watching"]).ends_with(0);
    desk.run("fleet-collector", &[]).ends_with(0);
    assert_eq!(desk.samples(), "1");
    let list = desk.fleet(&["consent", "list", "--json"]).ends_with(0).json();
    assert_eq!((&list["rows"][0]["by"], &list["rows"][0]["revoked"]), (&"Ann Owner".into(), &serde_json::Value::Null));
    assert!(desk.fleet(&["consent", "list"]).ends_with(0).out.starts_with("HOST  BY"));

    let revoked = desk.fleet(&["consent", "revoke", "w1", "--erase"]).ends_with(0);
    assert!(revoked.out.contains("1 samples of w1 were erased") && desk.samples() == "0", "{revoked:?}");
    assert!(desk.fleet(&["consent", "list", "--json"]).ends_with(0).json()["rows"][0]["revoked"].is_string());
    desk.run("fleet-collector", &[]).ends_with(3);
    assert_eq!(desk.samples(), "0");
}
