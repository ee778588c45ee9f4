//! What is installed and what schedules it: the tree of `make install`, completions, man pages, units, crontab.
#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may stop where something is wrong, and starts programs"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::run::{Said, must, program, system};
use support::sshd;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// `make install` of the programs that cargo built for this test, staged below a folder.
fn install(folder: &Path, prefix: &str) -> PathBuf {
    let source = folder.join("source");
    fs::create_dir_all(source.join("dist")).unwrap();
    for part in ["scripts", "contrib", "docs"] {
        must("cp", &["-r", &shown(&root().join(part)), &shown(&source)]);
    }
    for entry in fs::read_dir(root()).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), source.join(entry.file_name())).unwrap();
        }
    }
    for name in ["fleet", "fleet-collector", "fleet-alerter"] {
        fs::copy(program(name), source.join("dist").join(name)).unwrap();
    }
    sshd::probes(&source.join("dist"), &program("fleet-probe"));
    let stage = folder.join("stage");
    let mut make = Command::new("make");
    make.current_dir(&source).arg("install").arg(format!("DESTDIR={}", shown(&stage))).arg(format!("PREFIX={prefix}"));
    Said::of(make.output().unwrap()).ends_with(0);
    stage
}

#[test]
fn what_is_installed_runs_from_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let stage = install(folder.path(), "/opt/fleet");
    let prefix = stage.join("opt/fleet");
    for name in ["fleet", "fleet-collector", "fleet-alerter"] {
        let version = must(&shown(&prefix.join("bin").join(name)), &["--version"]);
        assert_eq!(version.trim(), format!("{name} {}", env!("CARGO_PKG_VERSION")));
        let page = fs::read_to_string(prefix.join(format!("share/man/man1/{name}.1"))).unwrap();
        assert!(page.contains(".TH"), "{name}");
    }
    for script in
        ["bash-completion/completions/fleet", "zsh/site-functions/_fleet", "fish/vendor_completions.d/fleet.fish"]
    {
        assert!(fs::read_to_string(prefix.join("share").join(script)).unwrap().contains("FLEET_COMPLETE"), "{script}");
    }
    let config = folder.path().join("config.xml");
    fs::write(&config, "<fleet-health version=\"1\"><host name=\"self\" transport=\"local\"/></fleet-health>").unwrap();
    let paths = must(&shown(&prefix.join("bin/fleet")), &["paths", "--config", &shown(&config)]);
    let probes = fs::canonicalize(prefix.join("lib/fleet-health/probes")).unwrap();
    assert!(paths.contains(&shown(&probes)), "{paths}");
    let units = prefix.join("lib/systemd/system");
    let unit = fs::read_to_string(units.join("fleet-collector.service")).unwrap();
    assert!(unit.contains("ExecStart=/opt/fleet/bin/fleet-collector") && !unit.contains("@PREFIX"), "{unit}");
    assert_eq!(fs::read_dir(units).unwrap().count(), fs::read_dir(root().join("contrib/systemd")).unwrap().count());
    // What is copied names what is installed; what init writes does, too, and an editor can check it by that.
    let text = |file: &str| fs::read_to_string(prefix.join("share/doc/fleet-health").join(file)).unwrap();
    assert!(text("config.xml").contains("\"/opt/fleet/share/fleet-health/config.xsd\""));
    assert!(text("crontab.example").contains("\nPATH=/opt/fleet/bin:"));
    let dir = shown(&folder.path().join("new"));
    must(&shown(&prefix.join("bin/fleet")), &["init", "--yes", "--no-self", "--dir", &dir]);
    let schema = fs::canonicalize(prefix.join("share/fleet-health/config.xsd")).unwrap();
    let written = fs::read_to_string(format!("{dir}/config.xml")).unwrap();
    assert!(written.contains(&format!("xsi:noNamespaceSchemaLocation=\"{}\"", shown(&schema))), "{written}");
    must("xmllint", &["--noout", "--schema", &shown(&schema), &format!("{dir}/config.xml")]);
    let relative =
        Said::of(Command::new(folder.path().join("source/scripts/install")).env("PREFIX", "x").output().unwrap());
    assert!(relative.ends_with(2).err.contains("absolute"));
}

/// The commands of a program and theirs: `fleet hosts add`.
fn commands(words: &[&str]) -> Vec<Vec<String>> {
    let mut args: Vec<&str> = words[1..].to_vec();
    args.push("--help");
    let help = must(&shown(&program(words[0])), &args);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let mut all = vec![words.iter().map(|word| (*word).to_owned()).collect()];
    // What goes on in the next line stands deeper.
    for name in listed
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next().filter(|_| !line.starts_with("   ")))
    {
        if name != "help" {
            all.extend(commands(&[words, &[name]].concat()));
        }
    }
    all
}

#[test]
fn every_command_has_its_help_and_its_man_page() {
    let folder = tempfile::tempdir().unwrap();
    must(&shown(&program("fleet")), &["man", "--dir", &shown(folder.path())]);
    let all = commands(&["fleet"]);
    assert!(all.len() > 25, "{all:?}");
    for words in &all {
        let page = fs::read_to_string(folder.path().join(format!("{}.1", words.join("-")))).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{words:?}");
    }
    for view in fleet_health::view::VIEWS {
        let help = must(&shown(&program("fleet")), &[view.name, "--help"]);
        let listed = must(&shown(&program("fleet")), &["--help"]);
        if view.name != "hosts" {
            assert!(help.starts_with(view.help) && listed.contains(view.help), "{}: {help}", view.name);
        }
    }
}

/// The lines of a unit, by section and key.
fn unit(name: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("contrib/systemd").join(name)).unwrap();
    let mut section = String::new();
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match (line.strip_prefix('['), line.split_once('=')) {
            (Some(name), _) => section = name.trim_end_matches(']').to_owned(),
            (None, Some((key, value))) => drop(found.insert(format!("{section}.{key}"), value.to_owned())),
            (None, None) => panic!("{name}: {line}"),
        }
    }
    found
}

#[test]
fn the_units_start_our_programs_hardened_and_each_timer_has_its_service() {
    let mut hardening = Vec::new();
    for name in ["fleet-collector", "fleet-alerter", "fleet-prune", "fleet-serve"] {
        let service = unit(&format!("{name}.service"));
        let start = service["Service.ExecStart"].strip_prefix("@PREFIX@/bin/").unwrap();
        let words: Vec<&str> = start.split(' ').collect();
        let help = system(&shown(&program(words[0])), &[&words[1..], &["--help"]].concat());
        assert_eq!(help.code, Some(0), "{name} starts what its program does not know: {help:?}");
        let kind = if name == "fleet-serve" { "exec" } else { "oneshot" };
        assert_eq!((&*service["Service.Type"], &*service["Service.User"]), (kind, "fleet"));
        let started = service.get("Install.WantedBy").cloned();
        let same: Vec<(String, String)> = service
            .into_iter()
            .filter(|(key, _)| {
                !["ExecStart", "TimeoutStartSec", "ExitStatus", "Type", "Restart", "RestartSec"]
                    .iter()
                    .any(|own| key.ends_with(own))
            })
            .filter(|(key, _)| key.starts_with("Service."))
            .collect();
        hardening.push(same);
        if name == "fleet-serve" {
            assert_eq!(started.as_deref(), Some("multi-user.target"));
            continue;
        }
        let timer = unit(&format!("{name}.timer"));
        assert!(timer.contains_key("Timer.OnCalendar") && timer["Install.WantedBy"] == "timers.target", "{name}");
    }
    assert!(hardening[0].len() > 20 && hardening.iter().all(|other| *other == hardening[0]), "all are hardened alike");
    assert_eq!(unit("fleet-collector.service")["Service.SuccessExitStatus"], "3 75");
    assert_eq!(unit("fleet-collector.service")["Unit.OnSuccess"], "fleet-alerter.service");
}

/// A user of the system that ends with its owner.
struct User(String);

impl User {
    fn new(home: &str) -> Self {
        let name = format!("fh-unit-{}", std::process::id());
        must("useradd", &["--system", "--home-dir", home, "--shell", "/usr/sbin/nologin", &name]);
        Self(name)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        must("userdel", &[&self.0]);
    }
}

#[test]
fn what_the_readme_sets_up_runs_where_the_units_may_write_only_their_state() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let bin = shown(&install(folder.path(), "/opt/fleet").join("opt/fleet/bin"));
    let service = unit("fleet-collector.service");
    let home = format!("/var/lib/{}", service["Service.StateDirectory"]);
    let config = service["Service.Environment"].strip_prefix("FLEET_CONFIG=").unwrap().to_owned();
    assert_eq!(service["Service.WorkingDirectory"], home);
    let crontab = fs::read_to_string(root().join("crontab.example")).unwrap();
    assert!(crontab.contains(&format!("\nFLEET_CONFIG={config}\n")), "one place for both");
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains(&format!("fleet init --dir {home}\n")), "README: the units look at {home}");

    // The same in a view of the files where, as under ProtectSystem=strict, only that folder can be written.
    let user = User::new(&home);
    let start = |name: &str| unit(name)["Service.ExecStart"].replace("@PREFIX@/bin", &bin);
    let script = format!(
        "set -e
        as() {{ setpriv --reuid {user} --regid {user} --clear-groups env -i HOME={home} PATH=/usr/bin:/bin \"$@\"; }}
        mount -t tmpfs tmpfs /var/lib
        install -d -m 0700 -o {user} -g {user} {home}
        cd {home}
        as {bin}/fleet init --yes --dir {home} > init
        mount --bind {home} {home}
        mount -o remount,bind,ro /var/lib
        mount -o remount,bind,ro /
        cd {home}
        for place in /var/lib /etc; do
            if touch $place/fleet-test 2>/dev/null; then echo \"$place is not read-only\"; exit 1; fi
        done
        for start in '{collector} --quiet' '{alerter}' '{prune}'; do
            as FLEET_CONFIG={config} $start || {{ echo \"$start: $?\"; exit 1; }}
        done
        # Where nothing names the file it is found all the same.
        cd /
        as {bin}/fleet status --json || [ $? -eq 3 ]",
        user = user.0,
        collector = start("fleet-collector.service"),
        alerter = start("fleet-alerter.service"),
        prune = start("fleet-prune.service"),
    );
    let said = system("unshare", &["--mount", "--propagation", "private", "sh", "-c", &script]).ends_with(0);
    assert!(said.out.contains("\"self\"") && !said.out.contains("never"), "{}\n{}", said.out, said.err);
}

#[test]
fn the_crontab_runs_what_it_says() {
    let text = fs::read_to_string(root().join("crontab.example")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Programs that note that they ran, and end as they are told.
    for name in ["fleet", "fleet-collector", "fleet-alerter"] {
        let file = folder.path().join(name);
        let script = format!(
            "#!/bin/sh\necho {name} $* >> \"$NOTES\"\n[ {name} != fleet-collector ] || exit $CODE\n[ \"$1\" != health ] || exit $CODE\n"
        );
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let ran = |line: &str, code: i32| -> Vec<String> {
        let notes = folder.path().join("notes");
        fs::write(&notes, "").unwrap();
        let mut sh = Command::new("/bin/sh");
        sh.args(["-c", line]).env("NOTES", &notes).env("CODE", code.to_string());
        sh.env("PATH", format!("{}:/usr/bin:/bin", shown(folder.path()))).output().unwrap();
        fs::read_to_string(&notes).unwrap().lines().map(|line| line.trim().to_owned()).collect()
    };
    let mut lines = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.split_once('=').is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')) {
            continue;
        }
        let fields: Vec<&str> = line.split_whitespace().take(5).collect();
        assert!(fields.iter().all(|field| field.bytes().all(|b| b"0123456789*/-,".contains(&b))), "{line}");
        let mut command = line;
        for field in fields {
            command = command.trim_start().strip_prefix(field).unwrap();
        }
        // A percent sign would be a line break to cron.
        assert!(!command.contains('%'), "{line}");
        lines.push(command.trim().to_owned());
    }
    assert_eq!(lines.len(), 4, "{lines:?}");
    for code in [0, 3] {
        assert_eq!(ran(&lines[0], code), ["fleet-collector", "fleet-alerter"], "after {code}");
    }
    for code in [1, 74, 75, 78] {
        assert_eq!(ran(&lines[0], code), ["fleet-collector"], "after {code}");
    }
    assert_eq!((ran(&lines[1], 0), ran(&lines[2], 0)), (vec!["fleet-alerter".into()], vec!["fleet prune".into()]));
    assert_eq!((ran(&lines[3], 0).len(), ran(&lines[3], 2).len()), (1, 2), "says it only where something is wrong");
    for words in [&["fleet", "prune"][..], &["fleet", "health"], &["fleet-collector"], &["fleet-alerter"]] {
        must(&shown(&program(words[0])), &[&words[1..], &["--help"]].concat());
    }
}
