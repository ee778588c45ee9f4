//! `fleet init` as a person meets it, on a real terminal (tmux), with a real sshd as the first machine.
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

use support::run::{self, Said, must, program};
use support::sshd::{self, Options, Sshd};
use support::terminal::Terminal;

const WHERE: &str = "Where shall configuration, keys and database go? [.]";
const WHO: &str = "Who gets mail? (addresses; empty: mails become files)";
const SERVER: &str = "Which mail server? (HOST:PORT) [localhost:25]";
const FIRST: &str = "Which machine first? (USER@HOST; empty: none yet)";

/// The tree that `make build` leaves, and a home.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let bin = place.path().join("dist");
        fs::create_dir(&bin).unwrap();
        sshd::probes(&bin, &program("fleet-probe"));
        for name in ["fleet", "fleet-collector"] {
            if fs::hard_link(program(name), bin.join(name)).is_err() {
                fs::copy(program(name), bin.join(name)).unwrap();
            }
        }
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn fleet(&self) -> PathBuf {
        self.path().join("dist/fleet")
    }

    /// On a terminal, in a folder of ours that is made here.
    fn terminal(&self, folder: &str, args: &str) -> Terminal {
        let folder = self.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        Terminal::start(&folder, self.path(), &format!("{} {args}", self.fleet().display()))
    }

    /// Without a terminal.
    fn run(&self, args: &[&str]) -> Said {
        let mut command = Command::new(self.fleet());
        command.args(args).stdin(Stdio::null()).current_dir(self.path()).env("HOME", self.path());
        command.env_remove("FLEET_CONFIG").env_remove("XDG_CACHE_HOME").env_remove("SSH_AUTH_SOCK");
        Said::of(command.output().unwrap())
    }

    /// Everything below a folder, sorted.
    fn files(&self, folder: &str) -> Vec<String> {
        let listed =
            run::system("find", &[self.path().join(folder).display().to_string(), "-printf".into(), "%P\n".into()]);
        let mut all: Vec<String> = listed.out.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        all.sort();
        all
    }
}

fn target(host: &Sshd) -> String {
    format!("{}@{}:{}", host.user, host.address, host.port)
}

fn fingerprint(host: &Sshd) -> String {
    let shown = must("ssh-keygen", &["-lf", &host.folder.join("hostkey.pub").display().to_string()]);
    shown.split_whitespace().nth(1).unwrap().to_owned()
}

const ALL: &[&str] = &[
    "config.xml",
    "fleet.db",
    "fleet.db.ballast",
    "keys",
    "keys/fleet.key",
    "keys/fleet.pub",
    "keys/id_ed25519",
    "keys/id_ed25519.pub",
    "state",
];

#[test]
fn a_person_is_led_from_nothing_to_the_first_readings() {
    let (place, host) = (Place::new(), Sshd::start(&Options { reject: true, ..Options::default() }));
    let terminal = place.terminal(".", "init");
    terminal.asks(WHERE);
    terminal.types("mine/fleet");
    terminal.asks(WHO);
    terminal.types("ops");
    terminal.shows("\"ops\" is not a mail address; write it as name@example.net");
    terminal.asks(WHO);
    terminal.types("ops@example.net dba@example.net");
    terminal.asks(SERVER);
    terminal.types("mail:0");
    terminal.shows("\"mail:0\" is not a mail server; write it as mail.example.net:465");
    terminal.asks(SERVER);
    terminal.types("mail.example.net:465");
    terminal.asks(FIRST);
    terminal.types("127.0.0.1");
    terminal.shows("write it as USER@HOST");
    terminal.asks(FIRST);
    assert!(!place.path().join("mine").exists(), "nothing before the last answer");
    terminal.types(&target(&host));

    terminal.asks("Is it the same? [y/N]");
    let screen = terminal.screen();
    assert!(screen.contains("Back up the private key, away from this machine: "), "{screen}");
    assert!(screen.contains(&fingerprint(&host)) && screen.contains("ssh-keygen -lf /etc/ssh/"), "{screen}");
    terminal.types("perhaps");
    terminal.shows("type y or n");
    terminal.types("y");
    terminal.asks("Done, shall I try again? [Y/n]");
    let folder = place.path().join("mine/fleet");
    let copy =
        format!("ssh-copy-id -i {}/keys/id_ed25519.pub -p {} {}@127.0.0.1", folder.display(), host.port, host.user);
    assert!(terminal.screen().contains(&copy), "{}", terminal.screen());
    // What ssh-copy-id does where the login allows it.
    fs::copy(folder.join("keys/id_ed25519.pub"), host.folder.join("authorized")).unwrap();
    terminal.types("");
    terminal.shows("ENDED 0");

    let screen = terminal.screen();
    let table: Vec<&str> = screen.lines().skip_while(|line| !line.starts_with("The first readings:")).collect();
    assert!(
        table[1].starts_with("HOST") && table[2].starts_with("127.0.0.1  OK") && table[3].starts_with("self"),
        "{screen}"
    );
    assert!(screen.contains("fleet mail test --config") && !screen.contains("fleet hosts add"), "{screen}");
    let config = fs::read_to_string(folder.join("config.xml")).unwrap();
    assert!(
        config.contains("mail=\"ops@example.net dba@example.net\"") && config.contains("tls=\"implicit\""),
        "{config}"
    );
    let config = folder.join("config.xml").display().to_string();
    place.run(&["check-config", "--config", &config]).ends_with(0);
    for (file, mode) in [("config.xml", 0o600), ("keys", 0o700), ("keys/fleet.key", 0o600), ("keys/id_ed25519", 0o600)]
    {
        assert_eq!(fs::metadata(folder.join(file)).unwrap().permissions().mode() & 0o777, mode, "{file}");
    }
}

#[test]
fn enter_takes_the_defaults_and_a_configuration_is_never_overwritten() {
    let place = Place::new();
    let terminal = place.terminal("here", "init");
    for question in [WHERE, WHO, FIRST] {
        terminal.asks(question);
        terminal.types("");
    }
    terminal.shows("ENDED 0");
    let screen = terminal.screen();
    assert!(screen.contains("self  OK") && screen.contains("  fleet hosts add USER@HOST\n"), "{screen}");
    let config = fs::read_to_string(place.path().join("here/config.xml")).unwrap();
    assert!(config.contains("<to name=\"box\" directory=\"mail\"/>"), "{config}");
    let before = place.files("here");

    let again = place.terminal("here", "init");
    again.asks(WHERE);
    again.types("");
    again.shows("is there already and is not overwritten");
    again.asks(WHERE);
    again.presses("C-d");
    again.shows("ENDED 2");
    assert!(again.screen().contains("no answer"));
    assert_eq!(place.files("here"), before);
    assert_eq!(fs::read_to_string(place.path().join("here/config.xml")).unwrap(), config);
    assert!(place.run(&["init", "--yes", "--dir", "here"]).ends_with(78).err.contains("not overwritten"));
}

#[test]
fn ctrl_c_at_any_question_leaves_nothing() {
    let place = Place::new();
    for at in 0..4 {
        let terminal = place.terminal(".", "init");
        for (question, answer) in
            [(WHERE, "new/place"), (WHO, "a@example.net"), (SERVER, ""), (FIRST, "")].iter().take(at)
        {
            terminal.asks(question);
            terminal.types(answer);
        }
        terminal.asks([WHERE, WHO, SERVER, FIRST][at]);
        terminal.presses("C-c");
        terminal.shows("ENDED 130");
        assert!(!place.path().join("new").exists(), "at question {at}");
    }
}

#[test]
fn ctrl_c_at_the_host_key_leaves_a_whole_configuration_without_that_host() {
    let (place, host) = (Place::new(), Sshd::start(&Options::default()));
    let terminal = place
        .terminal(".", &format!("init --dir new --mail a@example.net --smtp localhost:25 --host {}", target(&host)));
    terminal.asks("Is it the same? [y/N]");
    terminal.presses("C-c");
    terminal.shows("ENDED 130");
    assert_eq!(place.files("new"), ALL);
    place.run(&["check-config", "--config", "new/config.xml"]).ends_with(0);
    let list = place.run(&["hosts", "list", "--json", "--config", "new/config.xml"]).ends_with(0).json();
    assert_eq!(list["rows"].as_array().unwrap().len(), 1, "self only");
}

#[test]
fn what_is_broken_off_while_files_are_made_is_gone() {
    let place = Place::new();
    let bin = place.path().join("bin");
    fs::create_dir(&bin).unwrap();
    // The moment that no person hits for sure: Ctrl-C while ssh-keygen runs.
    fs::write(bin.join("ssh-keygen"), "#!/bin/sh\nkill -INT $PPID; sleep 0.2; exit 1\n").unwrap();
    fs::set_permissions(bin.join("ssh-keygen"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(place.path().join("old/keys")).unwrap();
    fs::write(place.path().join("old/notes"), "mine").unwrap();
    for folder in ["new/place", "old"] {
        let mut command = Command::new(place.fleet());
        command.args(["init", "--yes", "--dir", folder]).current_dir(place.path()).env("HOME", place.path());
        command.env("PATH", format!("{}:{}", bin.display(), run::path())).stdin(Stdio::null());
        let said = Said::of(command.output().unwrap()).ends_with(1);
        assert!(said.err.contains("interrupted; nothing was written"), "{said:?}");
    }
    assert!(!place.path().join("new").exists());
    assert_eq!(place.files("old"), ["keys", "notes"]);
}

#[test]
fn flags_answer_everything() {
    let (place, host) = (Place::new(), Sshd::start(&Options { reject: true, ..Options::default() }));
    let (target, key) = (target(&host), fingerprint(&host));
    let said = place.run(&["init", "--yes", "--dir", "one", "--host", &target, "--no-self"]).ends_with(3);
    assert!(said.out.contains(&key) && said.err.contains(&format!("--accept-fingerprint {key}")), "{said:?}");
    assert_eq!(place.files("one"), ALL, "all but the host is there");

    let login = ["init", "--yes", "--dir", "two", "--host", &target, "--accept-fingerprint", &key, "--no-self"];
    let said = place.run(&login).ends_with(3);
    let copy = format!("ssh-copy-id -i {}/two/keys/id_ed25519.pub -p {}", place.path().display(), host.port);
    assert!(said.err.contains(&copy) && said.err.contains(&format!("then: fleet hosts add {target}")), "{said:?}");
    fs::copy(place.path().join("two/keys/id_ed25519.pub"), host.folder.join("authorized")).unwrap();
    place.run(&["hosts", "add", &target, "--name", "first", "--config", "two/config.xml"]).ends_with(0);

    // A key that is there already is kept, and its host logs in at once.
    fs::create_dir_all(place.path().join("three/keys")).unwrap();
    for ending in ["", ".pub"] {
        let name = format!("keys/id_ed25519{ending}");
        fs::copy(place.path().join("two").join(&name), place.path().join("three").join(&name)).unwrap();
    }
    let said =
        place.run(&["init", "--yes", "--dir", "three", "--host", &target, "--accept-fingerprint", &key]).ends_with(0);
    assert!(said.out.contains("kept the SSH key") && said.out.contains("127.0.0.1  ok  cpu"), "{said:?}");
    assert!(said.out.contains("The first readings:") && said.out.contains("self  "), "{said:?}");

    for wrong in [&["--host", "x"][..], &["--mail", "x"], &["--smtp", "mx:25"], &["--mail", "a@b", "--smtp", "mx:x"]] {
        let said = place.run(&[&["init", "--yes", "--dir", "four"], wrong].concat()).ends_with(2);
        assert!(!said.err.is_empty() && !place.path().join("four").exists(), "{wrong:?}");
    }
}
