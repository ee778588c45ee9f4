//! `fleet schedule` with the real crontab and systemd's own tools.
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

use support::run::{Said, must, program, system};

/// A user of the system with a folder, `fleet` and what it starts; nothing of it stays.
struct User {
    name: String,
    home: PathBuf,
}

impl User {
    fn new(tag: &str) -> Self {
        let name = format!("fh-{tag}-{}", std::process::id());
        let home = PathBuf::from(format!("/var/lib/{name}"));
        must("useradd", &["--system", "--create-home", "--home-dir", &shown(&home), "--shell", "/bin/sh", &name]);
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        let user = Self { name, home };
        fs::create_dir(user.home.join("bin")).unwrap();
        fs::copy(program("fleet"), user.home.join("bin/fleet")).unwrap();
        // They note that they ran, and with what.
        for other in ["fleet-collector", "fleet-alerter"] {
            let file = user.home.join("bin").join(other);
            fs::write(&file, format!("#!/bin/sh\necho {other} \"$@\" >> \"$NOTES\"\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        user.configure("5m");
        user
    }

    fn configure(&self, interval: &str) {
        let text = format!(
            "<fleet-health version=\"1\"><collector interval=\"{interval}\" deadline=\"30s\" timeout=\"10s\" state-dir=\"state\"/>\
             <store url=\"sqlite:fleet.db\"/><host name=\"self\" transport=\"local\"/></fleet-health>"
        );
        fs::write(self.home.join("config.xml"), text).unwrap();
        must("chown", &["-R", &format!("{0}:{0}", self.name), &shown(&self.home)]);
    }

    fn run(&self, words: &[&str]) -> Said {
        let (home, path) = (format!("HOME={}", shown(&self.home)), "PATH=/usr/bin:/bin".to_owned());
        let before = ["--reuid", &self.name, "--regid", &self.name, "--clear-groups", "env", "-i", &home, &path];
        system("setpriv", &[&before[..], words].concat())
    }

    fn fleet(&self, args: &[&str]) -> Said {
        let (fleet, config) = (shown(&self.home.join("bin/fleet")), shown(&self.home.join("config.xml")));
        self.run(&[&[&*fleet, "--config", &config][..], args].concat())
    }

    fn crontab(&self) -> String {
        self.run(&["crontab", "-l"]).out
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = system("crontab", &["-u", &self.name, "-r"]);
        let _ = system("userdel", &["-r", &self.name]);
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn the_crontab_gets_a_block_and_keeps_what_others_wrote() {
    let user = User::new("cron");
    let old = "MAILTO=me@example.net\n# mine\n1 2 3 4 5 echo one % two\n";
    fs::write(user.home.join("old"), old).unwrap();
    must("crontab", &["-u", &user.name, &shown(&user.home.join("old"))]);

    let show = user.fleet(&["schedule", "show", "--cron"]).ends_with(0).out;
    assert!(show.contains("\n*/5 * * * * ") && show.contains("Scheduled now: nothing"), "{show}");
    assert!(user.fleet(&["schedule", "install", "--cron"]).ends_with(2).err.contains("--yes"));
    assert_eq!(user.crontab(), old, "nothing was written without a yes");
    let doctor = user.fleet(&["doctor", "--json"]);
    assert!(doctor.out.contains("fleet schedule install"), "{doctor:?}");

    let done = user.fleet(&["schedule", "install", "--cron", "--yes"]).ends_with(0).out;
    assert!(done.contains("fleet schedule remove --cron"), "{done}");
    let installed = user.crontab();
    assert!(installed.starts_with(old) && installed.lines().last() == Some("# END fleet-health"), "{installed}");
    assert!(user.fleet(&["schedule", "install", "--cron", "--yes"]).ends_with(0).out.contains("nothing was changed"));
    assert_eq!(user.crontab(), installed);
    assert!(user.fleet(&["schedule", "show", "--cron"]).out.contains("Scheduled now: the crontab of this user"));
    let doctor = user.fleet(&["doctor", "--json"]);
    assert!(!doctor.out.contains("fleet schedule install"), "{doctor:?}");

    // What cron would hand to the shell starts what it should.
    let notes = user.home.join("notes");
    let commands: Vec<String> = installed
        .lines()
        .skip_while(|line| !line.starts_with("# BEGIN"))
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.splitn(6, ' ').nth(5).unwrap().replace("\\%", "%"))
        .collect();
    assert_eq!(commands.len(), 4);
    for command in &commands[..2] {
        let said = user.run(&["env", &format!("NOTES={}", shown(&notes)), "sh", "-c", command]);
        assert_eq!(said.code, Some(0), "{command}: {said:?}");
    }
    let config = shown(&user.home.join("config.xml"));
    let ran = format!(
        "fleet-collector --config {config}\nfleet-alerter --config {config}\nfleet-alerter --config {config}\n"
    );
    assert_eq!(fs::read_to_string(&notes).unwrap(), ran);

    user.configure("10m");
    user.fleet(&["schedule", "install", "--cron", "--yes"]).ends_with(0);
    let changed = user.crontab();
    assert!(changed.starts_with(old) && changed.contains("\n*/10 * * * * ") && !changed.contains("*/5"), "{changed}");
    user.configure("7m");
    assert!(user.fleet(&["schedule", "install", "--cron", "--yes"]).ends_with(2).err.contains("--systemd"));

    assert!(user.fleet(&["schedule", "remove", "--cron"]).ends_with(0).out.contains("taken out"));
    assert_eq!(user.crontab(), old);
    assert!(user.fleet(&["schedule", "remove", "--cron"]).ends_with(0).out.contains("nothing"));
    assert_eq!(user.crontab(), old);

    // A crontab that held nothing else is gone with it.
    must("crontab", &["-u", &user.name, "-r"]);
    user.configure("1h");
    user.fleet(&["schedule", "install", "--cron", "--yes"]).ends_with(0);
    assert!(user.crontab().contains("\n0 * * * * "));
    user.fleet(&["schedule", "remove", "--cron"]).ends_with(0);
    assert!(user.run(&["crontab", "-l"]).err.contains("no crontab"));
}

#[test]
fn a_line_by_hand_is_not_doubled() {
    let user = User::new("hand");
    fs::write(user.home.join("old"), "*/5 * * * * /opt/fleet-collector --config /etc/other.xml\n").unwrap();
    must("crontab", &["-u", &user.name, &shown(&user.home.join("old"))]);
    let said = user.fleet(&["schedule", "install", "--cron", "--yes"]).ends_with(1);
    assert!(said.err.contains("crontab -e") && said.err.contains("/etc/other.xml"), "{said:?}");
    assert_eq!(user.crontab().lines().count(), 1);
}

#[test]
fn units_are_written_verified_switched_on_and_taken_out() {
    let user = User::new("unit");
    let script = format!(
        "set -e
        fleet='{home}/bin/fleet --config {home}/config.xml schedule'
        mount -t tmpfs tmpfs /etc/systemd/system
        $fleet show --systemd >/dev/null
        [ -z \"$(ls /etc/systemd/system)\" ] || exit 11
        $fleet install --systemd --yes
        said=$(SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no /etc/systemd/system/fleet-*.service \
            /etc/systemd/system/fleet-*.timer 2>&1 | grep fleet- || true)
        [ -z \"$said\" ] || {{ echo \"$said\"; exit 12; }}
        for timer in collector alerter prune; do
            [ -e /etc/systemd/system/timers.target.wants/fleet-$timer.timer ] || exit 13
        done
        grep -qx 'User={user}' /etc/systemd/system/fleet-collector.service || exit 14
        grep -qx 'ReadWritePaths={home}' /etc/systemd/system/fleet-collector.service || exit 15
        $fleet install --systemd --yes | grep -q 'nothing was changed' || exit 16
        $fleet show --systemd | grep -q 'Scheduled now: the timers in /etc/systemd/system' || exit 17
        $fleet remove --systemd
        left=$(find /etc/systemd/system -name 'fleet-*')
        [ -z \"$left\" ] || {{ echo \"$left\"; exit 18; }}
        $fleet remove --systemd | grep -q nothing || exit 19
        echo mine >/etc/systemd/system/fleet-alerter.service
        if $fleet install --systemd --yes; then exit 20; fi
        [ \"$(cat /etc/systemd/system/fleet-alerter.service)\" = mine ] || exit 21
        [ \"$(ls /etc/systemd/system)\" = fleet-alerter.service ] || exit 22",
        home = shown(&user.home),
        user = user.name,
    );
    let said = system("unshare", &["--mount", "--propagation", "private", "sh", "-c", &script]).ends_with(0);
    assert!(said.out.contains("the timers start with it") && said.err.contains("stays as it is"), "{said:?}");
    // A user's own units ask for nothing that only the system may do.
    let shown = user.fleet(&["schedule", "show", "--systemd"]).ends_with(0).out;
    assert!(shown.contains(".config/systemd/user/fleet-collector.timer") && !shown.contains("Protect"), "{shown}");
}
