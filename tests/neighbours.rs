//! Others on a client machine (design/trust.md, B): what they could reach into is refused, what they could read is not there,
//! and who has stolen a locked key has no shell.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "support/bench.rs"]
mod bench;
#[path = "support/sshd.rs"]
mod sshd;
#[path = "support/visit.rs"]
mod visit;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use bench::{Bench, shown, single};
use fleet_health::model::cause::Cause;
use fleet_health::ssh::deploy::{self, Probe};
use fleet_health::wire::seal;
use sshd::{Options, Program, Sshd, sh};
use visit::{cause, folder, spec, visit};

const NOBODY: &str = "setpriv --reuid 65534 --regid 65534 --clear-groups";

#[test]
fn b1_directories_that_others_could_reach_into_are_refused_and_tmp_is_never_used() {
    let (_folder, probes) = folder();
    let mut sshd = Sshd::start(&Options { home: Some("size=64m".into()), ..Options::default() });
    sshd.only_home();
    let (home, user) = (shown(&sshd.home), sshd.user.clone());
    let cache = format!("{home}/.cache/fleet-health");
    let text = |wanted: &str| {
        let seen = visit(spec(&sshd), &probes);
        assert_eq!(cause(&seen), Cause::UnsafeDirectory, "{wanted}: {seen:?}");
        assert!(seen.failed.as_ref().unwrap().1.contains(wanted), "{wanted}: {seen:?}");
        assert_eq!(sh(&format!("find /tmp /var/tmp -user {user} -name '*fleet*' -newer {home}/since")), "");
    };
    sh(&format!("touch {home}/since; mkdir -p {cache}; chown -R {user} {home}; chmod 0777 {cache}"));
    text("writable by others");
    // Somebody else's link, to where he waits.
    sh(&format!("rmdir {cache} && ln -s /tmp {cache}"));
    text("symbolic link");
    sh(&format!("rm {cache} && mkdir -m 0700 {cache}"));
    text("belongs to another user");
    // A parent in which others can exchange it.
    sh(&format!("chown {user} {cache} && chmod 0777 {home}/.cache"));
    text("writable by others");
    sh(&format!("chmod 0755 {home}/.cache && chown 65534 {home}/.cache"));
    text("belongs to another user");
    sh(&format!("chown {user} {home}/.cache"));
    assert!(visit(spec(&sshd), &probes).pulled);
    assert_eq!(sh(&format!("stat -c '%a %U' {cache}")).trim(), format!("700 {user}"));
}

#[test]
fn b2_the_probe_is_written_under_another_name_verified_synced_and_only_then_named_by_its_hash() {
    let place = tempfile::Builder::new().prefix("fleet-swap").tempdir_in("/var/lib").unwrap();
    let home = shown(place.path());
    let bytes = b"#!/bin/sh\necho started\n".to_vec();
    fs::write(place.path().join("bytes"), &bytes).unwrap();
    let hash = sh(&format!("sha256sum <{home}/bytes"))[..64].to_owned();
    let arch = std::env::consts::ARCH.to_owned();
    let command = deploy::command("00", &[Probe { arch, hash: hash.clone(), bytes: Arc::new(bytes.clone()) }]);
    let run = || {
        let mut traced = Command::new("strace");
        traced.args(["-f", "-qq", "-o"]).arg(place.path().join("trace"));
        traced.args(["-e", "trace=open,openat,fsync,rename,renameat,renameat2,execve", "/bin/sh", "-c", &command]);
        traced.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", place.path());
        let mut child = traced.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(&[b"task\n", &bytes[..]].concat());
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    // What lies where the upload goes is never written through.
    let cache = place.path().join(".cache/fleet-health");
    fs::create_dir_all(&cache).unwrap();
    sh(&format!("chmod -R go-w {home}/.cache && chmod 700 {}", shown(&cache)));
    let target = place.path().join("target");
    std::os::unix::fs::symlink(&target, cache.join(".new-00")).unwrap();
    run();
    assert!(!target.exists());
    sh(&format!("rm -rf {home}/.cache /var/tmp/fleet-health-0 /dev/shm/fleet-health-0"));

    let said = run();
    assert!(said.ends_with("started\n"), "{said}");
    let trace = fs::read_to_string(place.path().join("trace")).unwrap();
    let lines: Vec<&str> = trace.lines().collect();
    let find = |what: &[&str]| {
        let place = lines.iter().rposition(|line| what.iter().all(|what| line.contains(what)));
        place.unwrap_or_else(|| panic!("{what:?} is not in {trace}"))
    };
    let named = format!("probe-{hash}");
    let steps = [
        find(&["open", ".new-00", "O_CREAT|O_EXCL"]),
        find(&["fsync("]),
        find(&["execve(", "sha256sum"]),
        find(&["rename", ".new-00", &named]),
        find(&["execve(", &named]),
    ];
    assert!(steps.is_sorted(), "{steps:?}\n{trace}");
}

#[test]
fn b3_what_waits_is_its_owners_alone_and_gone_after_the_pull() {
    let (_folder, probes) = folder();
    let sshd = Sshd::start(&Options::default());
    assert!(visit(spec(&sshd), &probes).pulled);
    let cache = format!("{}/.cache/fleet-health", shown(&sshd.home));
    let (_, key) = seal::generate();
    let as_user = format!("setpriv --reuid {} --clear-groups", sshd.user);
    sh(&format!("{as_user} {cache}/probe-* --spool {cache}/spool --recipient {key}"));
    let waiting = sh(&format!("ls {cache}/spool/*.age")).trim().to_owned();
    assert_eq!(sh(&format!("find {cache} -type d ! -perm 700")), "");
    assert_eq!(sh(&format!("find {cache}/spool -type f ! -perm 600")), "");
    let read = Command::new("/bin/sh").args(["-c", &format!("{NOBODY} cat {waiting}")]).output().unwrap();
    assert!(!read.status.success() && read.stdout.is_empty(), "{read:?}");
    let seen = visit(spec(&sshd), &probes);
    assert!(seen.files.iter().any(|(name, _)| waiting.ends_with(name)), "{seen:?}");
    let gone = format!("for n in $(seq 100); do [ -e {waiting} ] || exit 0; sleep 0.1; done; exit 1");
    sh(&gone);
}

#[test]
fn b5_the_probe_starts_no_program_that_others_put_in_its_way() {
    let place = tempfile::Builder::new().prefix("fleet-evil").tempdir_in("/var/lib").unwrap();
    let at = shown(place.path());
    // Every program of this system has a namesake that leaves a mark, first in the path and where the probe stands.
    sh(&format!(
        "chmod 755 {at}; mkdir {at}/evil {at}/spool; chmod 777 {at}/evil; chown 65534 {at}/spool; chmod 700 {at}/spool; \
         printf '#!/bin/sh\\ntouch {at}/evil/mark\\n' >{at}/evil/sh-; chmod 755 {at}/evil/sh-; \
         ls /usr/bin /usr/sbin | sort -u | while read -r name; do ln -f {at}/evil/sh- {at}/evil/$name; done; \
         cp {} {at}/probe",
        env!("CARGO_BIN_EXE_fleet-probe")
    ));
    let (_, key) = seal::generate();
    for arguments in ["--print".to_owned(), "--explain".to_owned(), format!("--spool {at}/spool --recipient {key}")] {
        sh(&format!(
            "cd {at}/evil && PATH={at}/evil:.:/usr/bin:/bin IFS=/ BASH_ENV={at}/evil/sh- ENV={at}/evil/sh- \
             /usr/bin/strace -f -qq -e trace=execve -o {at}/trace {NOBODY} {at}/probe {arguments} >/dev/null",
        )
        .replace(NOBODY, &format!("/usr/bin/{NOBODY}")));
        assert!(!Path::new(&format!("{at}/evil/mark")).exists(), "{arguments}: it ran");
        let trace = fs::read_to_string(place.path().join("trace")).unwrap();
        for line in trace.lines().filter(|line| line.contains("execve(")) {
            let program = line.split('"').nth(1).unwrap();
            let ours = [format!("{at}/probe"), "/proc/self/exe".to_owned()].iter().any(|own| own == program);
            let systems = ["/usr/", "/bin/", "/sbin/"].iter().any(|start| program.starts_with(start));
            assert!(ours || systems, "{arguments}: {line}");
        }
    }
}

/// A server at which our key may do one thing only, with a probe that was put there beforehand.
fn locked(program: Program) -> Sshd {
    let sshd = Sshd::start(&Options { program, ..Options::default() });
    let probe = sshd.folder.join("fleet-probe");
    fs::copy(env!("CARGO_BIN_EXE_fleet-probe"), &probe).unwrap();
    let key = fs::read_to_string(sshd.folder.join("id.pub")).unwrap();
    let line = format!("restrict,command=\"{} --serve --no-plugins\" {key}", shown(&probe));
    let file = if program == Program::OpenSsh { "authorized" } else { "home/.ssh/authorized_keys" };
    fs::write(sshd.folder.join(file), line).unwrap();
    sshd
}

fn ssh(sshd: &Sshd, words: &[&str]) -> Output {
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "ExitOnForwardFailure=yes", "-o"]);
    ssh.arg(format!("UserKnownHostsFile={}", shown(&sshd.known_hosts))).arg("-i").arg(&sshd.key);
    ssh.args(["-p", &sshd.port.to_string()]).stdin(Stdio::null());
    ssh.args(&words[..words.len() - 1]).arg(format!("{}@127.0.0.1", sshd.user)).arg(words[words.len() - 1]);
    ssh.output().unwrap()
}

#[test]
fn b6_a_locked_key_runs_the_probe_and_nothing_else() {
    let (_folder, probes) = folder();
    for program in [Program::OpenSsh, Program::Dropbear] {
        let sshd = locked(program);
        for _ in 0..2 {
            let seen = visit(spec(&sshd), &probes);
            assert!(seen.pulled && !seen.traffic.shipped, "{program:?}: {:?} {}", seen.failed, sshd.log_text());
            assert_eq!(seen.traffic.round_trips, 8, "{program:?}");
        }
        assert_eq!(sh(&format!("find {} -name 'probe-*'", shown(&sshd.home))), "", "{program:?}: none was shipped");
        let home = shown(&sshd.home);
        for words in [&["id"][..], &["-tt", "id"], &[&format!("touch {home}/mark")]] {
            let done = ssh(&sshd, words);
            let said = String::from_utf8_lossy(&done.stdout);
            assert!(!done.status.success() && !said.contains("uid="), "{program:?}: {words:?}: {said}");
        }
        assert!(!sshd.home.join("mark").exists(), "{program:?}");
        let through = ssh(&sshd, &["-W", "127.0.0.1:22", ""]);
        assert!(!through.status.success(), "{program:?}: it forwards");
    }
}

#[test]
fn b6_a_task_starts_no_program_where_the_key_is_locked() {
    let sshd = locked(Program::OpenSsh);
    let mark = sshd.home.join("mark");
    let plugin = sshd.folder.join("plugin");
    fs::write(&plugin, format!("#!/bin/sh\ntouch {}\necho fine\n", shown(&mark))).unwrap();
    sh(&format!("chmod 755 {}", shown(&plugin)));
    let host = format!(
        "<host name=\"h\" address=\"127.0.0.1\" port=\"{}\"><service name=\"s\"><nagios plugin=\"{}\"/>\
         <file path=\"/etc/passwd\"/></service></host>",
        sshd.port,
        shown(&plugin)
    );
    let login = format!(
        "user=\"{}\" key-file=\"{}\" known-hosts=\"{}\"",
        sshd.user,
        shown(&sshd.key),
        shown(&sshd.known_hosts)
    );
    let bench = Bench::new("20s", &login, &host);
    let unknown = || {
        let told = single(&mut bench.command(&[]));
        assert_eq!(told["outcome"], "collected", "{told}");
        // By the order of the samples: the moments of the view `reading` are whole seconds, and two visits may share one.
        let query = "select each.value from sample join layout on layout.id = sample.layout \
                     join json_each(sample.readings) as each \
                     where json_extract(layout.names, '$[' || each.key || '][0]') = 'check.unknown' \
                     and json_extract(layout.names, '$[' || each.key || '][1]') = 's/nagios' \
                     order by sample.id desc limit 1";
        let answer = Command::new("sqlite3").arg(bench.path("fleet.db")).arg(query).output().unwrap();
        String::from_utf8(answer.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(unknown(), "1");
    assert!(!mark.exists(), "the plugin ran");
    // The same task with a key that may.
    let line = fs::read_to_string(sshd.folder.join("authorized")).unwrap().replace(" --no-plugins", "");
    fs::write(sshd.folder.join("authorized"), line).unwrap();
    assert_eq!(unknown(), "0");
    assert!(mark.exists());
}
