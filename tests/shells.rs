//! Completions in the shells themselves, and manual pages under the eyes of those who format them.
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
use std::path::Path;
use std::process::Command;

use support::run::{Said, must, program, system};
use support::terminal::Terminal;

const CONFIG: &str = "<fleet-health version=\"1\"><group name=\"web\">\
                      <service name=\"shop\"><tcp address=\"127.0.0.1:80\"/></service><host name=\"web1\" user=\"u\"/><host name=\"web2\" user=\"u\"/>\
                      </group><host name=\"backup\" user=\"u\"/></fleet-health>";

/// A folder with a configuration, and `fleet` where the scripts look for it.
fn home() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.xml"), CONFIG).unwrap();
    fs::create_dir(dir.path().join("bin")).unwrap();
    std::os::unix::fs::symlink(program("fleet"), dir.path().join("bin/fleet")).unwrap();
    dir
}

fn path(dir: &Path) -> String {
    format!("{}:/usr/bin:/bin", dir.join("bin").display())
}

fn said(dir: &Path, shell: &[&str], script: &str) -> String {
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).arg(script).current_dir(dir);
    command
        .env("PATH", path(dir))
        .env("HOME", dir)
        .env("FLEET_CONFIG", dir.join("config.xml"))
        .env("LC_ALL", "C.UTF-8");
    let output = command.output().unwrap_or_else(|error| panic!("{}: {error}; install it with: make deps", shell[0]));
    Said::of(output).ends_with(0).out
}

/// What is offered for the last of these words.
fn bash(dir: &Path, words: &[&str]) -> Vec<String> {
    let last = words.len() - 1;
    let script = format!(
        "source <(fleet completions bash); COMP_WORDS=({}); COMP_CWORD={last}; COMP_TYPE=9; \
         _clap_complete_fleet fleet '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words[last],
        words[last - 1],
    );
    said(dir, &["bash", "--norc", "-c"], &script).lines().map(str::to_owned).collect()
}

#[test]
fn bash_is_told_commands_flags_hosts_groups_and_metrics() {
    let dir = home();
    let offered = |words: &[&str]| bash(dir.path(), words);
    assert_eq!(offered(&["fleet", "stat"]), ["status"]);
    let help = must(&program("fleet").display().to_string(), &["--help"]);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let all = offered(&["fleet", ""]);
    for name in listed.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next()) {
        assert!(all.contains(&name.to_owned()), "{name} in {all:?}");
    }
    assert_eq!(offered(&["fleet", "hosts", "ac"]), ["accept"]);
    assert_eq!(offered(&["fleet", "explain", "web"]), ["web1", "web2"]);
    assert_eq!(offered(&["fleet", "hosts", "accept", "b"]), ["backup"]);
    assert_eq!(offered(&["fleet", "nagios", "w"]), ["web1", "web2"]);
    assert_eq!(
        offered(&["fleet", "service", ""]).iter().filter(|it| !it.starts_with('-')).collect::<Vec<_>>(),
        ["shop"]
    );
    assert_eq!(offered(&["fleet", "history", "web1", "cpu.u"]), ["cpu.used", "cpu.user"]);
    assert_eq!(offered(&["fleet", "export", "--metric", "load.1"]), ["load.15m", "load.1m"]);
    assert_eq!(offered(&["fleet", "export", "--host", "back"]), ["backup"]);
    assert_eq!(offered(&["fleet", "export", "--format", "open"]), ["openmetrics"]);
    assert!(offered(&["fleet", "doctor", "--ti"]).contains(&"--timeout".to_owned()));
    // Without a configuration there is nothing to offer, and nothing is said in the middle of the line.
    fs::write(dir.path().join("config.xml"), "<nonsense").unwrap();
    assert_eq!(offered(&["fleet", "explain", "web"]), [""]);
}

#[test]
fn fish_offers_hosts_with_their_groups() {
    let dir = home();
    let script = "fleet completions fish | source; complete -C 'fleet explain w'; complete -C 'fleet nagi'";
    let out = said(dir.path(), &["fish", "--no-config", "-c"], script);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(&lines[..2], ["web1\tweb", "web2\tweb"]);
    assert!(lines[2].starts_with("nagios\t"), "{out}");
}

/// A person at a shell presses Tab.
fn typed(start: &str, shell: &str) {
    let dir = home();
    let inside = format!(
        "PATH='{}' FLEET_CONFIG='{}' PS1='> ' {shell}",
        path(dir.path()),
        dir.path().join("config.xml").display()
    );
    let terminal = Terminal::start(dir.path(), dir.path(), &inside);
    terminal.types(start);
    terminal.types("echo rea''dy");
    terminal.shows("ready");
    terminal.presses("fleet hosts accept back");
    terminal.presses("Tab");
    terminal.shows("fleet hosts accept backup");
    terminal.presses("C-u");
    terminal.presses("fleet expl");
    terminal.presses("Tab");
    terminal.shows("fleet explain");
    terminal.presses("web");
    terminal.presses("Tab");
    terminal.presses("Tab");
    terminal.shows("web2");
}

#[test]
fn a_tab_completes_a_host_in_bash_with_its_completions_loaded() {
    typed("source /usr/share/bash-completion/bash_completion; source <(fleet completions bash)", "bash --norc -i");
}

#[test]
fn a_tab_completes_a_host_in_zsh() {
    typed("autoload -U compinit; compinit -u -d dump; source <(fleet completions zsh)", "zsh -f -i");
}

#[test]
fn manual_pages_are_formatted_without_a_complaint() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = |args: &[&str]| {
        let mut command = Command::new(program("fleet"));
        Said::of(command.args(args).env("SOURCE_DATE_EPOCH", "1760000000").output().unwrap()).ends_with(0).out
    };
    fleet(&["man", "--dir", &dir.path().display().to_string()]);
    let pages: Vec<String> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path().display().to_string()).collect();
    assert!(pages.len() > 40, "{pages:?}");
    let lint = system(
        "mandoc",
        &[&["-T", "lint", "-W", "warning"][..], &pages.iter().map(String::as_str).collect::<Vec<_>>()].concat(),
    );
    assert_eq!((lint.code, lint.out.as_str()), (Some(0), ""), "{}", lint.err);
    for name in ["fleet", "fleet-doctor", "fleet-export", "fleet-schedule-install", "fleet-collector", "fleet-alerter"]
    {
        let page = dir.path().join(format!("{name}.1")).display().to_string();
        let shown = system("man", &["--warnings", "-E", "UTF-8", "-l", &page]);
        assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""), "{name}");
        assert!(shown.out.contains("SYNOPSIS") && shown.out.contains("2025-10-09"), "{name}: {}", shown.out);
    }
    let first = fleet(&["man"]);
    assert!(first.starts_with(".ie \\n(.g") || first.contains(".TH fleet 1"), "{first}");
    assert_eq!(first, fs::read_to_string(dir.path().join("fleet.1")).unwrap());
}
