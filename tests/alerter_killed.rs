//! The real alerter on a file database, killed with `kill -9` at random moments, before a mail server in every mood.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests start programs and fail loudly")]
#![cfg(feature = "server")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use fleet_health::model::alert::Pause;
use fleet_health::model::cause::Cause;
use fleet_health::model::fleet::{Attempt, Outcome};
use fleet_health::model::job::Traffic;
use fleet_health::model::sample::Sample;
use fleet_health::store::Store;
use fleet_health::store::sqlite::Sqlite;

#[path = "support/smtp.rs"]
mod smtp;

const HOSTS: usize = 12;
/// What the server does by turns, once of each eight times nothing out of the usual.
const MOOD_WORDS: [&str; 7] = ["refused", "refused", "refused", "delayed", "dripped", "dropped", "lost"];
const MOODS: u64 = 8;
/// How long the kills may take together: nobody hangs on how quick a run is, as each is killed within the time of the last
/// one that came to its end.
const MOST: Duration = Duration::from_secs(600);

fn configure(folder: &Path, port: u16) {
    let hosts: String =
        (0..HOSTS).map(|n| format!("  <host name=\"h{n:02}\" address=\"127.0.0.1\" user=\"nobody\"/>\n")).collect();
    let text = format!(
        r#"<fleet-health version="1">
  <store url="sqlite:fleet.db"/>
  <defaults><rule metric="host.silent" off="true"/></defaults>
{hosts}  <alerts cap="20">
    <smtp host="127.0.0.1" port="{port}" tls="none" from="fleet@example.net"/>
    <to name="ops" mail="a@example.net b@example.net c@example.net"/>
  </alerts>
</fleet-health>"#
    );
    std::fs::write(folder.join("config.xml"), text).unwrap();
    std::fs::set_permissions(folder.join("config.xml"), std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A folder in memory, where there is one: `kill -9` takes nothing from the kernel's hands, and no story waits for a disk.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// One row for each host; those of `down` fail. Never a mass: at most five of twelve.
fn sweep(store: &mut Sqlite, ago: TimeDelta, down: &BTreeSet<usize>) {
    let at = Utc::now() - ago;
    // The collector works; that its rows are old is how stories of days fit into seconds.
    let sweep = store.begin_sweep(Utc::now(), HOSTS as u32).unwrap();
    let visit = |n: usize| {
        let outcome = if down.contains(&n) {
            Outcome::Failed { cause: Cause::Refused, text: "nothing listens".into() }
        } else {
            Outcome::Collected
        };
        let (host, took, traffic) = (format!("h{n:02}"), Duration::ZERO, Traffic::default());
        Attempt { host, at, took, outcome, traffic }
    };
    let visits: Vec<Attempt> = (0..HOSTS).map(visit).collect();
    let none: &[Sample] = &[];
    store.record_all(sweep, &visits.iter().map(|visit| (visit, none)).collect::<Vec<_>>()).unwrap();
    store.end_sweep(sweep, Utc::now(), down.len() as u32).unwrap();
}

/// Starts the alerter and kills it after a while, but not before `ready`; how long it took where it came to its end before
/// that.
fn alerter(folder: &Path, life: Option<Duration>, ready: &dyn Fn() -> bool) -> Option<Duration> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet-alerter"));
    command.arg("--config").arg(folder.join("config.xml")).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let started = Instant::now();
    loop {
        if child.try_wait().unwrap().is_some() {
            return Some(started.elapsed());
        }
        if life.is_some_and(|life| started.elapsed() >= life) && ready() {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Nobody waits for the pauses of a server in a test.
fn hurry(folder: &Path) {
    let mut store = Sqlite::open(&folder.join("fleet.db")).unwrap();
    for pause in store.pauses().unwrap() {
        store.pause(&Pause { failures: 0, ..pause }).unwrap();
    }
    for mut mail in store.queued().unwrap() {
        mail.next = Utc::now();
        store.update_mail(&mail).unwrap();
    }
}

fn field<'a>(data: &'a str, name: &str) -> &'a str {
    data.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim()
}

/// What each recipient knows of each host by the mails that were accepted, duplicates left out.
fn known(mails: &[smtp::Got]) -> BTreeMap<(String, String), String> {
    let mut seen = BTreeSet::new();
    let mut bytes: BTreeMap<String, String> = BTreeMap::new();
    let mut known = BTreeMap::new();
    for mail in mails {
        let id = field(&mail.data, "Message-ID:").to_owned();
        let before = bytes.insert(id.clone(), mail.data.clone());
        assert!(before.is_none_or(|before| before == mail.data), "I6: {id} has two contents");
        if !seen.insert((mail.to.clone(), id)) {
            continue;
        }
        let subject = field(&mail.data, "Subject:");
        let (tag, host) = subject.split_once(' ').unwrap();
        let host = host.split(' ').next().unwrap().to_owned();
        let before = known.insert((mail.to.clone(), host.clone()), tag.to_owned());
        if tag == "[OK]" {
            assert_eq!(before.as_deref(), Some("[CRIT]"), "I4: {} hears of the end of {host} alone", mail.to);
        }
    }
    known
}

/// How many runs are killed in the test: that many fit into about a minute of two processors.
const KILLS: u32 = 1000;
/// Stories that are told side by side, each with half of the kills.
const STORIES: u64 = 2;

#[test]
fn killed_at_any_moment_it_loses_nothing_and_doubles_only_the_same() {
    let kills: u32 = std::env::var("FLEET_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let each = kills.div_ceil(STORIES as u32);
    let killed_in: Vec<BTreeMap<&str, u32>> = std::thread::scope(|scope| {
        let stories: Vec<_> = (0..STORIES).map(|story| scope.spawn(move || killed(story, each))).collect();
        stories.into_iter().map(|story| story.join().unwrap()).collect()
    });
    println!("killed, by what the server had done: {killed_in:?}");
}

/// A story with so many kills, in every mood of the server; how many were in each.
fn killed(story: u64, kills: u32) -> BTreeMap<&'static str, u32> {
    let folder = folder();
    let folder = folder.path();
    let server = smtp::Server::start();
    configure(folder, server.port);
    // The story is always the same (xorshift); when the kill strikes in it is the machine's chance.
    let mut dice: u64 = 0x9e37_79b9_7f4a_7c15 ^ story;
    let mut roll = |sides: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % sides
    };
    let mut down: BTreeSet<usize> = BTreeSet::new();
    let mut killed_in: BTreeMap<&'static str, u32> = BTreeMap::new();
    let mut died = 0;
    let all_moods = |killed_in: &BTreeMap<&str, u32>| MOOD_WORDS.iter().all(|mood| killed_in.contains_key(mood));
    // Runs that are quicker than their death count for nothing.
    let (began, mut quick) = (Instant::now(), Duration::from_millis(20));
    let most = u64::from(kills) * 6 + 400;
    for round in 0..most {
        if died >= kills && all_moods(&killed_in) || began.elapsed() > MOST {
            break;
        }
        // Others fail now; two sweeps, so that it is sure.
        down = down.iter().copied().filter(|_| roll(3) > 0).collect();
        while down.len() < 4 && roll(3) > 0 {
            down.insert(roll(HOSTS as u64) as usize);
        }
        let mut store = Sqlite::open(&folder.join("fleet.db")).unwrap();
        // An hour apart: nothing flaps.
        let ago = TimeDelta::hours((most - round) as i64);
        sweep(&mut store, ago + TimeDelta::minutes(5), &down);
        sweep(&mut store, ago, &down);
        drop(store);
        {
            let mut script = server.script.lock().unwrap();
            *script = smtp::Script::default();
            let mut says = |when: &str, what: &str| {
                script.answers.insert(when.to_owned(), what.to_owned());
            };
            match round % MOODS {
                0 => says("BANNER", "421 not now"),
                1 => says("RCPT TO:<b@", "451 later"),
                2 => says("MAIL", "550 no"),
                3 => script.delay = Duration::from_millis(roll(20)),
                4 => script.drip = Duration::from_micros(200),
                5 => script.drop_after_dot = true,
                6 => script.lose_after_dot = true,
                _ => {}
            }
        }
        let mood = MOOD_WORDS.get((round % MOODS) as usize).copied();
        let before = mood.map_or(0, |mood| server.times(mood));
        // Every other time the kill comes when the server has just shown its mood; else at any moment.
        let shown = || mood.is_none_or(|mood| server.times(mood) > before);
        let any = || true;
        let ready: &dyn Fn() -> bool = if (round / MOODS).is_multiple_of(2) { &shown } else { &any };
        let life = Duration::from_micros(roll((quick * 6 / 5).as_micros().max(1) as u64));
        match alerter(folder, Some(life), ready) {
            // Where it waited for the server that is no measure.
            Some(took) => quick = took.min(quick * 2),
            None => {
                died += 1;
                let mood = mood.filter(|mood| server.times(mood) > before).unwrap_or("nothing");
                *killed_in.entry(mood).or_default() += 1;
            }
        }
        hurry(folder);
    }
    assert!(
        died >= kills && all_moods(&killed_in),
        "{died} runs were killed, by what the server had done: {killed_in:?}"
    );
    *server.script.lock().unwrap() = smtp::Script::default();
    for _ in 0..3 {
        alerter(folder, None, &|| true);
        hurry(folder);
    }
    let store = Sqlite::open(&folder.join("fleet.db")).unwrap();
    assert_eq!(store.queued().unwrap(), [], "nothing is left");
    let known = known(&server.accepted());
    for n in 0..HOSTS {
        for to in ["a@example.net", "b@example.net", "c@example.net"] {
            let knows = known.get(&(to.to_owned(), format!("h{n:02}"))).map(String::as_str);
            let truth = if down.contains(&n) { "[CRIT]" } else { "[OK]" };
            assert!(knows == Some(truth) || knows.is_none() && truth == "[OK]", "{to}: h{n:02} {knows:?} {truth}");
        }
    }
    killed_in
}

/// What hangs beyond every timeout of its own must be ended: each run has somebody who does that.
#[test]
fn a_run_that_waits_for_a_server_is_watched() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = smtp::Server::start();
    server.script.lock().unwrap().delay = Duration::from_secs(3600);
    configure(folder, server.port);
    let mut store = Sqlite::open(&folder.join("fleet.db")).unwrap();
    for minutes in [6, 1] {
        sweep(&mut store, TimeDelta::minutes(minutes), &BTreeSet::from([3]));
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet-alerter"));
    let mut child = command.arg("--config").arg(folder.join("config.xml")).stderr(Stdio::null()).spawn().unwrap();
    let threads = || -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
        tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default()).collect()
    };
    let started = Instant::now();
    while server.times("delayed") == 0 && started.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let threads = threads();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(server.times("delayed") > 0 && threads.contains(&"watchdog\n".to_owned()), "{threads:?}");
}

#[test]
fn two_runs_at_once_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = smtp::Server::start();
    server.script.lock().unwrap().delay = Duration::from_millis(5);
    configure(folder, server.port);
    let mut store = Sqlite::open(&folder.join("fleet.db")).unwrap();
    for minutes in [6, 1] {
        sweep(&mut store, TimeDelta::minutes(minutes), &BTreeSet::from([3, 4]));
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| alerter(folder, None, &|| true));
        }
    });
    alerter(folder, None, &|| true);
    assert_eq!(server.accepted().len(), 2 * 3, "two problems, three recipients");
}

#[test]
fn the_dead_man_switch_is_asked_for_after_a_good_run_over_tls_too() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let ec = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let script = format!(
        "openssl req -x509 {ec} -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2
         openssl req {ec} -keyout key.pem -out csr.pem -subj /CN=localhost
         printf 'subjectAltName=DNS:localhost\\nbasicConstraints=CA:FALSE\\n' > ext
         openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem"
    );
    let done = Command::new("sh").args(["-ec", &script]).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Command::new("openssl")
        .args(["s_server", "-accept", &port.to_string(), "-cert", "cert.pem", "-key", "key.pem", "-www", "-quiet"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let text = format!(
        r#"<fleet-health version="1"><store url="sqlite:fleet.db"/>
<alerts heartbeat="https://localhost:{port}/secret"><to name="box" directory="mail"/></alerts></fleet-health>"#
    );
    std::fs::write(folder.join("config.xml"), text).unwrap();
    let run = |trusted: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleet-alerter"));
        command.arg("--config").arg(folder.join("config.xml"));
        if trusted {
            command.env("SSL_CERT_FILE", folder.join("ca.pem"));
        }
        let done = command.output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let started = Instant::now();
    let mut good = run(true);
    while good.0 != Some(0) && started.elapsed() < Duration::from_secs(10) {
        good = run(true);
    }
    let strange = run(false);
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(good, (Some(0), String::new()));
    assert!(strange.0 == Some(1) && strange.1.contains("heartbeat"), "an unknown certificate: {strange:?}");
    let gone = run(true);
    assert!(gone.0 == Some(1) && !gone.1.contains("secret"), "{gone:?}");
}
