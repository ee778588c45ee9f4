//! The real probe, driven as the collector drives it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on panics")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use fleet_health::model::cause::Cause;
use fleet_health::model::sample::{FaultKind, Sample};
use fleet_health::wire::frame::{FrameError, Item, is_file_name};
use fleet_health::wire::task::Task;

#[path = "support/probed.rs"]
mod probed;

use probed::{Bench, NONCE, command, frames, probe, start};

/// A probe that works where the collector puts it, so that it knows the other places.
struct Home {
    folder: PathBuf,
}

impl Home {
    fn spool(&self, place: &str) -> PathBuf {
        self.folder.join(place).join("fleet-health/spool")
    }

    fn serve(&self, place: &str, task: &Task) -> Child {
        let mut command = probe();
        command.env("HOME", &self.folder).env_remove("XDG_CACHE_HOME").env("XDG_RUNTIME_DIR", self.folder.join("run"));
        fs::create_dir_all(self.spool(place).parent().unwrap()).unwrap();
        let mut child = command.args(["--serve", "--spool"]).arg(self.spool(place)).spawn().unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "{}", task.encode()).unwrap();
        child
    }
}

fn reported(bench: &Bench, spool: &Path) -> Cause {
    let mut child = start(spool, &bench.task.encode());
    let result = frames(&mut child).next();
    drop(child.stdin.take());
    child.wait().unwrap();
    match result {
        Err(FrameError::Reported { cause, .. }) => cause,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_visit_hands_over_the_sealed_sample_and_deletes_what_is_acknowledged() {
    let bench = Bench::new();
    let (files, left, dropped) = bench.visit(<[String]>::to_vec, true);
    assert_eq!((files.len(), left, dropped), (1, 0, 0));
    let (nonce, sample) = bench.open(&files[0].1);
    assert_eq!(nonce.as_deref(), Some(NONCE));
    assert!(sample.value("uptime", "").unwrap() > 0.0 && sample.value("cpu.used", "").is_some());
    assert!(bench.files().is_empty());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&bench.spool()), mode(&bench.spool().join("state"))), (0o700, 0o600));
    let (next, ..) = bench.visit(<[String]>::to_vec, true);
    assert!(bench.open(&next[0].1).1.key.sequence > sample.key.sequence);
}

#[test]
fn without_acknowledgement_files_stay_and_are_sent_again_oldest_first() {
    let bench = Bench::new();
    let (first, ..) = bench.visit(|_| vec![], true);
    let (second, ..) = bench.visit(|_| vec![], false);
    assert_eq!(second[0], first[0]);
    assert_eq!((second.len(), bench.files().len()), (2, 2));
    let (third, ..) = bench.visit(|names| vec![names[0].clone(), "../spool/state".into()], true);
    assert_eq!((third.len(), bench.files().len()), (3, 2));
    assert!(!bench.files().contains(&first[0].0) && bench.spool().join("state").exists());
}

#[test]
fn limits_leave_the_rest_for_later_but_always_send_the_newest() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        bench.visit(|_| vec![], true);
    }
    bench.task.pull_files = 2;
    let (files, left, _) = bench.visit(|_| vec![], true);
    assert_eq!((files.len(), left), (2, 2));
    let waiting = bench.files();
    assert_eq!((&files[0].0, &files[1].0), (&waiting[0], &waiting[3]));
}

#[test]
fn a_full_spool_drops_the_oldest_and_tells_until_it_is_acknowledged() {
    let mut bench = Bench::new();
    let (files, ..) = bench.visit(|_| vec![], true);
    bench.task.spool_bytes = files[0].1.len() as u64 * 5 / 2;
    bench.visit(|_| vec![], true);
    let (_, _, dropped) = bench.visit(|_| vec![], true);
    assert_eq!((bench.files().len(), dropped), (2, 1));
    assert!(!bench.files().contains(&files[0].0));
    assert_eq!(bench.visit(<[String]>::to_vec, true).2, 2);
    assert_eq!(bench.visit(<[String]>::to_vec, true).2, 0);
}

#[test]
fn the_machines_own_cron_fills_the_spool() {
    let bench = Bench::new();
    let args = ["--recipient", &bench.task.recipients[0], "--spool"];
    assert!(probe().args(args).arg(bench.spool()).status().unwrap().success());
    let (files, ..) = bench.visit(<[String]>::to_vec, true);
    assert_eq!((files.len(), bench.open(&files[0].1).0), (2, None));
}

#[test]
fn unsafe_directories_are_refused() {
    let bench = Bench::new();
    let base = bench.folder.path();
    for (name, mode) in [("open", 0o777), ("mine", 0o700)] {
        fs::create_dir(base.join(name)).unwrap();
        fs::set_permissions(base.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    symlink(base.join("mine"), base.join("link")).unwrap();
    for path in ["open", "open/spool", "link"] {
        assert_eq!(reported(&bench, &base.join(path)), Cause::UnsafeDirectory, "{path}");
    }
    assert!(fs::read_dir(base.join("mine")).unwrap().next().is_none());
}

#[test]
fn another_probe_at_work_is_a_deadline() {
    let bench = Bench::new();
    let mut holder = start(&bench.spool(), &bench.task.encode());
    let mut reader = frames(&mut holder);
    while !matches!(reader.next().unwrap(), Item::End { .. }) {}
    assert_eq!(reported(&bench, &bench.spool()), Cause::Deadline);
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
}

#[test]
fn hostile_task_lines_get_a_reason_or_an_end() {
    let bench = Bench::new();
    let foreign = bench.task.encode().replace("\"v\":1", "\"v\":9");
    let broken = bench.task.encode().replace("age1", "age1\\u001b");
    let long = "x".repeat(65_000);
    for (line, told) in [(foreign.as_str(), true), (&broken, true), ("", false), ("{}", false), (&long, false)] {
        let output = start(&bench.spool(), line).wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success());
        assert_eq!(text.contains("\nfail probe-failed "), told, "{text:?}");
        assert!(!text.contains('\u{1b}'));
    }
    assert!(bench.files().is_empty());
}

#[test]
fn killed_at_any_moment_files_are_whole_or_absent_and_no_sequence_is_used_twice() {
    let bench = Bench::new();
    // A run takes longer on a busy machine, and some must be killed after their file was written.
    let begun = std::time::Instant::now();
    bench.visit(<[String]>::to_vec, true);
    let span = begun.elapsed().mul_f64(1.5);
    let mut seen = std::collections::BTreeMap::new();
    for round in 0..40_u32 {
        let mut child = start(&bench.spool(), &bench.task.encode());
        std::thread::sleep(span * (round * 37 % 40) / 40);
        child.kill().unwrap();
        child.wait().unwrap();
        for name in bench.files() {
            let bytes = fs::read(bench.spool().join(&name)).unwrap();
            bench.open(&bytes);
            assert_eq!(*seen.entry(name).or_insert_with(|| bytes.clone()), bytes);
        }
    }
    let (files, ..) = bench.visit(<[String]>::to_vec, true);
    assert!(files.len() > 1, "no run was killed after its file was written");
    assert!(bench.files().is_empty() && !bench.spool().join(".new").exists());
}

#[test]
fn a_person_sees_a_table_and_json() {
    let run = |arg: &str| probe().arg(arg).output().unwrap();
    let table = String::from_utf8(run("--print").stdout).unwrap();
    assert!(table.contains("memory.used") && table.contains(" GiB"));
    assert!(table.lines().all(|line| line.chars().count() <= 80 || line.starts_with("  ")));
    assert!(table.contains("\nFACTS\n") && table.contains("\nPROCESSES BY MEMORY\n"), "{table}");
    let json: serde_json::Value = serde_json::from_slice(&run("--json").stdout).unwrap();
    assert!(json["readings"].as_array().unwrap().len() > 20);
    assert!(json["top"][0]["pid"].as_u64().is_some() && json["facts"][0]["text"].as_str().is_some());
    assert_eq!(run("--nonsense").status.code(), Some(2));
    assert!(run("--help").status.success() && run("--version").status.success());
}

#[test]
fn a_spool_in_a_place_that_was_left_is_still_read_and_cut_uploads_are_removed() {
    let bench = Bench::new();
    let home = Home { folder: bench.folder.path().to_owned() };
    let (old, ..) = bench.converse(home.serve("run", &bench.task), |_| vec![], true);
    let upload = |place: &str, name: &str, hours: u64| {
        let file = home.spool(place).with_file_name(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "half").unwrap();
        let then = fs::metadata(&file).unwrap().modified().unwrap() - Duration::from_secs(hours * 3600);
        fs::File::options().write(true).open(&file).unwrap().set_modified(then).unwrap();
        file
    };
    let cut = [upload("run", &format!(".new-{NONCE}"), 2), upload(".cache", &format!(".new-{NONCE}"), 2)];
    let kept = [upload(".cache", &format!(".new-{}", "a".repeat(32)), 0), upload(".cache", ".new-mine", 2)];

    let (files, left, _) = bench.converse(home.serve(".cache", &bench.task), <[String]>::to_vec, true);
    assert_eq!((files.len(), left), (2, 0));
    assert_eq!(files[0], old[0]);
    assert!(!home.spool("run").join(&old[0].0).exists(), "acknowledged and still there");
    assert!(cut.iter().all(|file| !file.exists()) && kept.iter().all(|file| file.exists()));
    // A spool that a person chose is nobody else's.
    bench.converse(home.serve("run", &bench.task), |_| vec![], true);
    assert_eq!(bench.visit(|_| vec![], true).0.len(), 1);
}

#[test]
fn what_is_not_measured_is_explained_with_the_line_that_would_allow_it() {
    let run = |command: &mut Command| String::from_utf8(command.arg("--explain").output().unwrap().stdout).unwrap();
    let root = run(&mut probe());
    assert!(root.starts_with("As root (uid 0):") && !root.contains("NOPASSWD"), "{root}");
    // Where the other user may run it.
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.path().join("probe");
    fs::copy(env!("CARGO_BIN_EXE_fleet-probe"), &copy).unwrap();
    let mut other = command("setpriv");
    other.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&copy);
    let nobody = run(&mut other);
    assert!(nobody.contains("\nDenied to this user:\n  process io: denied: "), "{nobody}");
    let line = nobody.lines().find(|line| line.contains(" ALL=(root) NOPASSWD: sha256:")).unwrap();
    assert!(line.starts_with("nobody ") && line.contains(&format!(" {} --print", copy.display())), "{line}");
    for text in [root, nobody] {
        assert!(text.lines().all(|line| line.chars().count() <= 80 || line.contains("NOPASSWD")), "{text}");
    }
}

/// The package manager of this machine is asked; nothing is fetched.
/// What came with Linux 3.3 and later is not there: the probe does without.
#[test]
fn o14_an_old_kernel_only_lacks_what_it_lacks() {
    let bench = Bench::new();
    let newer = "statx,getrandom,renameat2,copy_file_range,memfd_create,execveat,pidfd_open,pidfd_send_signal,clone3,\
                 faccessat2,openat2,close_range,preadv2,pwritev2,bpf";
    let inject = format!("inject={newer}:error=ENOSYS");
    let run = |arguments: &[&str]| {
        let mut strace = command("strace");
        strace.args(["-f", "-qq", "-o/dev/null", "-e", &inject, env!("CARGO_BIN_EXE_fleet-probe")]).args(arguments);
        let done = strace.output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    let told = run(&["--json"]);
    assert!(told.contains("memory.total") && told.contains("filesystem.used"), "{told}");
    run(&["--spool", bench.spool().to_str().unwrap(), "--recipient", &bench.task.recipients[0]]);
    assert_eq!(bench.files().len(), 1);
}

#[test]
fn pending_updates_are_asked_aside_and_shown_by_the_next_sample() {
    let bench = Bench::new();
    let shown = |bench: &Bench| {
        let (files, ..) = bench.visit(<[String]>::to_vec, true);
        let sample = bench.open(&files[0].1).1;
        (sample.value("update.pending", ""), sample.value("update.age", ""))
    };
    assert_eq!(shown(&bench), (None, None));
    assert!(probe().args(["--refresh", "--spool"]).arg(bench.spool()).status().unwrap().success());
    let (pending, age) = shown(&bench);
    assert!(pending.is_some_and(|count| count >= 0.0) && age.is_some_and(|age| age < 600.0), "{pending:?} {age:?}");
}

/// Needs root: a full and a read-only filesystem, mounted in a namespace of their own.
#[test]
fn on_full_and_read_only_disks_the_sample_is_sent_without_being_kept() {
    let bench = Bench::new();
    let full = "head -c 1048576 /dev/zero > \"$1/fill\" 2>/dev/null || :";
    let read_only = "mount -o remount,ro \"$1\"";
    for (options, trouble, told) in [("size=64k", full, "disk-full"), ("size=1m", read_only, "read-only")] {
        // A first run, not acknowledged, leaves a file; then the disk goes bad; the second run is the conversation.
        let script = format!(
            "mkdir -p \"$1\" && mount -t tmpfs -o mode=0755,{options} tmpfs \"$1\" || exit 9; read -r line; \
             printf '%s\\nbye\\n' \"$line\" | \"$2\" --serve --spool \"$1/spool\" >/dev/null || exit 8; {trouble}; \
             {{ printf '%s\\n' \"$line\"; cat; }} | \"$2\" --serve --spool \"$1/spool\"; ls \"$1/spool\" > \"$3\""
        );
        let (disk, list) = (bench.folder.path().join("disk"), bench.folder.path().join("list"));
        let mut unshare = command("unshare");
        unshare.args(["-m", "sh", "-c", &script, "sh"]).arg(disk).arg(env!("CARGO_BIN_EXE_fleet-probe")).arg(&list);
        let mut child = unshare.spawn().unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "{}", bench.task.encode()).unwrap();
        let (files, ..) = bench.converse(child, <[String]>::to_vec, true);

        let (nonce, newest) = bench.open(&files.last().unwrap().1);
        assert_eq!(nonce.as_deref(), Some(NONCE), "{told}");
        let fault = newest.faults.iter().find(|fault| fault.section == "spool").unwrap();
        assert!(fault.text.contains(told), "{fault:?}");
        // On a full disk what waits is handed over too, and its room comes free; a read-only one keeps what it has.
        let full = told == "disk-full";
        assert_eq!(files.len(), if full { 2 } else { 1 }, "{told}");
        assert!(!full || bench.open(&files[0].1).1.key.sequence < newest.key.sequence);
        let left = fs::read_to_string(&list).unwrap();
        assert_eq!(left.lines().filter(|name| is_file_name(name)).count(), usize::from(!full), "{told}: {left}");
    }
}

/// A filesystem whose server can be made to hang, in a mount namespace of its own.
struct Dead {
    server: Child,
    place: std::path::PathBuf,
}

impl Dead {
    fn mount(place: &Path, mode: &str) -> Self {
        fs::create_dir(place).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/fuse.py");
        let mut server = command("python3").arg(script).arg(place).arg(mode).spawn().unwrap();
        let mut said = [0; 6];
        server.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        assert_eq!(&said, b"ready\n");
        Self { server, place: place.to_owned() }
    }

    fn stop(&self) {
        assert!(command("kill").args(["-STOP", &self.server.id().to_string()]).status().unwrap().success());
    }

    /// One sample taken where the filesystem is mounted.
    fn sample(&self, bench: &Bench) -> Sample {
        let mut nsenter = command("nsenter");
        nsenter.args(["-m", "-t", &self.server.id().to_string(), env!("CARGO_BIN_EXE_fleet-probe")]);
        nsenter.arg("--spool").arg(bench.spool()).args(["--recipient", &bench.task.recipients[0]]);
        let begin = std::time::Instant::now();
        // Reads to the end of the output: whoever kept it open would keep the collector's channel open.
        let output = nsenter.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(begin.elapsed() < Duration::from_secs(20));
        let newest = bench.files().pop().unwrap();
        bench.open(&fs::read(bench.spool().join(newest)).unwrap()).1
    }

    /// How many processes that ask are in this namespace.
    fn asking(&self) -> usize {
        let namespace = |process: &Path| fs::read_link(process.join("ns/mnt")).ok();
        let own = namespace(Path::new(&format!("/proc/{}", self.server.id())));
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let asks = |process: &std::path::PathBuf| {
            let line = fs::read(process.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("--ask-mounts") && namespace(process) == own
        };
        processes.filter(asks).count()
    }

    /// Waits until at most so many are left.
    fn settles_at(&self, most: usize) {
        let begin = std::time::Instant::now();
        while self.asking() > most {
            assert!(begin.elapsed() < Duration::from_secs(10), "{} processes are stuck", self.asking());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn item(&self) -> &str {
        self.place.to_str().unwrap()
    }
}

impl Drop for Dead {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Needs root and /dev/fuse, as the next one does.
#[test]
fn a_mount_whose_server_stopped_is_told_and_all_the_rest_arrives() {
    let bench = Bench::new();
    let dead = Dead::mount(&bench.folder.path().join("dead"), "answer");
    let alive = dead.sample(&bench);
    assert_eq!(alive.value("filesystem.hung", dead.item()), Some(0.0));
    assert_eq!(alive.value("filesystem.used", dead.item()), Some(0.75));
    dead.stop();
    let sample = dead.sample(&bench);
    assert_eq!(sample.value("filesystem.hung", dead.item()), Some(1.0));
    assert_eq!(sample.value("filesystem.used", dead.item()), None);
    assert!(sample.faults.iter().any(|fault| fault.kind == FaultKind::Hung && fault.item == dead.item()));
    for metric in ["filesystem.used", "memory.used", "cpu.used", "probe.cpu"] {
        assert!(sample.readings.iter().any(|reading| reading.metric == metric), "{metric}");
    }
    // A question that its server has not read yet can be withdrawn.
    dead.settles_at(0);
}

/// Turns were sockets whose names anybody could guess and take: then no mount of a network or a program ever answered.
#[test]
fn nobody_else_can_take_the_turn_of_a_mount() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};
    let bench = Bench::new();
    let dead = Dead::mount(&bench.folder.path().join("dead"), "answer");
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", dead.server.id())).unwrap();
    let line = table.lines().find(|line| line.contains(dead.item())).unwrap();
    let name = format!("fleet-health-ask-0-{}", line.split(' ').nth(2).unwrap());
    let _taken = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
    assert_eq!(dead.sample(&bench).value("filesystem.hung", dead.item()), Some(0.0));
}

/// A server that took the question and never answers makes the asking task unkillable. As a thread of the probe it kept
/// the whole process, the spool's lock and the channel for as long as the server lived.
#[test]
fn a_question_that_cannot_be_withdrawn_holds_neither_the_probe_nor_its_spool_and_does_not_pile_up() {
    let bench = Bench::new();
    let dead = Dead::mount(&bench.folder.path().join("dead"), "hold");
    for _ in 0..3 {
        let sample = dead.sample(&bench);
        assert_eq!(sample.value("filesystem.hung", dead.item()), Some(1.0));
        assert!(sample.value("memory.used", "").is_some());
        dead.settles_at(1);
    }
    assert_eq!(bench.files().len(), 3);
}

/// The same, where the folder is told as cron does it, cannot be written to, or is not there.
#[test]
fn processes_take_turns_whatever_the_spool_is_like() {
    let relative = "cd \"$2\" && exec \"$1\" --spool spool --recipient \"$3\"";
    let readonly = "cd \"$2\" && { [ -d cache ] || { mkdir cache && mount -t tmpfs tmpfs cache && mkdir -p -m 0700 \
        cache/fleet-health/spool && mount -o remount,ro cache; }; } && XDG_CACHE_HOME=$2/cache exec \"$1\" --json";
    let none = "XDG_CACHE_HOME=/nowhere HOME=/nowhere exec \"$1\" --json";
    for script in [relative, readonly, none] {
        let bench = Bench::new();
        let dead = Dead::mount(&bench.folder.path().join("dead"), "hold");
        let is_relative = script == relative;
        for round in 0..2 {
            let mut nsenter = command("nsenter");
            let script = format!("[ {round} = 1 ] || mount -t tmpfs -o mode=1777 tmpfs /dev/shm || exit 9; {script}");
            nsenter.args(["-m", "-t", &dead.server.id().to_string(), "sh", "-c", &script, "sh"]);
            nsenter.args([env!("CARGO_BIN_EXE_fleet-probe"), bench.folder.path().to_str().unwrap()]);
            let output = nsenter.arg(&bench.task.recipients[0]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
            assert!(is_relative || said.contains("filesystem.hung"), "{said}");
            let taken = fs::read_dir(bench.folder.path().join("spool")).into_iter().flatten().flatten();
            let taken = taken.filter(|entry| entry.file_name().to_string_lossy().starts_with("ask-")).count();
            assert_eq!(taken, usize::from(is_relative), "{script}");
            dead.settles_at(1);
            assert_eq!(dead.asking(), 1, "{script}, {round}: the first one hangs");
        }
    }
}

/// Needs root and /dev/fuse: a disk whose controller never answers leaves smartctl where no signal ends it. The process that
/// asks waited for it until its alarm, every other answer was lost, and each visit started one more.
#[test]
fn a_program_that_cannot_be_killed_takes_no_other_answer_along_and_is_asked_by_one_process_at_a_time() {
    let bench = Bench::new();
    let dead = Dead::mount(&bench.folder.path().join("dead"), "hold");
    let asked = bench.folder.path().join("asked");
    let script = "mount -t tmpfs tmpfs /sys/block && mkdir -p /sys/block/sda/device && mount -t tmpfs tmpfs /usr/local/sbin && \
                  printf '#!/bin/sh\\necho x >>%s\\nexec stat -f %s\\n' \"$1\" \"$2\" >/usr/local/sbin/smartctl && \
                  chmod +x /usr/local/sbin/smartctl && exec \"$3\" --refresh --spool \"$4\"";
    let refresh = || {
        let mut nsenter = command("nsenter");
        nsenter.args(["-m", "-t", &dead.server.id().to_string(), "unshare", "--mount", "sh", "-c", script, "sh"]);
        nsenter.arg(&asked).arg(&dead.place).arg(env!("CARGO_BIN_EXE_fleet-probe")).arg(bench.spool());
        nsenter.spawn().unwrap()
    };
    let begin = std::time::Instant::now();
    let mut first = refresh();
    while !asked.exists() {
        assert!(begin.elapsed() < Duration::from_secs(60), "smartctl was not asked");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(refresh().wait().unwrap().success());
    assert_eq!(fs::read_to_string(&asked).unwrap(), "x\n", "the second left it to the first");
    while first.try_wait().unwrap().is_none() {
        if begin.elapsed() > Duration::from_secs(200) {
            first.kill().unwrap();
            panic!("it waits for what cannot be killed");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let kept = |name: &str| fs::read_to_string(bench.spool().join(name)).unwrap_or_default();
    assert!(kept("smart").contains("\"sda\"") && kept("smart").contains("\"late\""), "{}", kept("smart"));
    // The next round, as long after the last as one waits: the one that is stuck is not joined by another.
    let was = kept("smart");
    let (head, tail) = was.split_once("\"asked\":").unwrap();
    let asked_at = tail.split([',', '}']).next().unwrap();
    fs::write(bench.spool().join("smart"), format!("{head}\"asked\":1{}", &tail[asked_at.len()..])).unwrap();
    assert!(refresh().wait().unwrap().success());
    assert_eq!(fs::read_to_string(&asked).unwrap(), "x\n", "it was asked again");
    assert!(kept("smart").contains("\"late\"") && !kept("smart").contains("\"asked\":1,"), "{}", kept("smart"));
    assert!(kept("answers").contains("\"reboot.services\"") && !kept("updates").is_empty(), "{}", kept("answers"));
}

/// Needs root: a process, its user's unit and a mount with names that move cursors, break lines and are no UTF-8, in
/// namespaces of their own.
#[test]
fn hostile_names_reach_neither_a_terminal_nor_a_parser() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let hostile = std::ffi::OsStr::from_bytes(b"e\x1b[2J\n\xff\") R 1");
    let (program, place) = (folder.path().join(hostile), folder.path().join("mnt").join(hostile));
    fs::copy("/bin/sleep", &program).unwrap();
    fs::create_dir_all(&place).unwrap();
    let script = "mount -t tmpfs tmpfs \"$2\" || exit 9; \"$1\" 600 & until grep -q e /proc/$!/comm; do sleep 0.1; done; \
                  \"$3\" --json && \"$3\" --print >\"$4\" && \"$3\" --explain >>\"$4\"; kill -9 $!";
    let mut unshare = command("unshare");
    unshare.args(["--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", script, "sh"]);
    let told = folder.path().join("told");
    unshare.arg(&program).arg(&place).arg(env!("CARGO_BIN_EXE_fleet-probe")).arg(&told);
    let output = unshare.output().unwrap();
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let sample: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let shown = "e?[2J?\u{fffd}\") R 1";
    // The kernel itself writes a break as `\n` into its line of a process, and a backslash as two.
    let comms: Vec<&str> = sample["top"].as_array().unwrap().iter().map(|p| p["comm"].as_str().unwrap()).collect();
    assert!(comms.iter().any(|comm| comm.starts_with("e?[2J")), "{comms:?}");
    let readings = sample["readings"].as_array().unwrap();
    let mounts = || readings.iter().filter(|r| r["metric"] == "filesystem.size").map(|r| r["item"].as_str().unwrap());
    assert!(mounts().any(|item| item.ends_with(shown)), "{:?}", mounts().collect::<Vec<_>>());
    let told = fs::read_to_string(told).expect("what people read is UTF-8");
    assert!(told.contains("e?[2J") && !told.chars().any(|c| c.is_control() && c != '\n'), "{told:?}");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n') && !text.contains("\\u001b"));
}

#[test]
fn command_lines_come_only_where_the_task_wants_them() {
    let mut bench = Bench::new();
    let of = |bench: &Bench| -> Vec<String> {
        let top = bench.sample().top;
        assert!(!top.is_empty());
        top.into_iter().map(|process| process.command).filter(|command| !command.is_empty()).collect()
    };
    assert_eq!(of(&bench), Vec::<String>::new());
    bench.task.command_lines = true;
    assert!(!of(&bench).is_empty());
}

#[test]
fn what_is_denied_is_said_in_the_same_words_however_many_processes_there_are() {
    // A store keeps each list of faults once: a number in it that always changes would cost kilobytes with each sample.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("fleet-probe");
    fs::copy(env!("CARGO_BIN_EXE_fleet-probe"), &program).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let nobody = 65534;
    let faults = || -> Vec<serde_json::Value> {
        let done = command(&program).arg("--json").uid(nobody).gid(nobody).env("HOME", "/").output().unwrap();
        let mut told: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        let serde_json::Value::Array(all) = told["faults"].take() else { panic!("no faults: {told}") };
        all.into_iter().filter(|fault| fault["section"] == "process").collect()
    };
    let few = faults();
    assert!(few.iter().any(|fault| fault["item"] == "io" && fault["kind"] == "denied"), "{few:?}");
    let mut sleepers: Vec<Child> = (0..5).map(|_| command("sleep").arg("60").spawn().unwrap()).collect();
    let many = faults();
    for sleeper in &mut sleepers {
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }
    assert_eq!(few, many);
}
