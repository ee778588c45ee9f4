//! The keeper's side alone, with dialers that are played: honest, dying and hostile ones.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::Receiver;

use super::super::played::ssh;
use super::*;
use crate::app::dialer::message::MAX_ORDER;
use crate::app::dialer::serve::serve;
use crate::model::secret::Secret;
use crate::model::spec::{Hop, SshSpec};

const NAME: &str = "0d2f7d1a-0000000007.age";

fn job(host: &str) -> Job {
    let (nonce, task, probes) = (String::new(), Secret::new(String::new()), PathBuf::new());
    let (transport, timeout) = (Transport::Ssh(ssh()), Duration::from_secs(5));
    Job { host: host.to_owned(), transport, nonce, task, pull_bytes: 1, pull_files: 1, probes, timeout }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("h{number:03}")).collect()
}

fn until(seconds: u64) -> Until {
    Until { ends: Instant::now() + Duration::from_secs(seconds), stop: Arc::new(|| false) }
}

/// A dialer in a thread: gets the dialer's end of the line.
type Played = Box<dyn FnMut(UnixStream) + Send>;

fn hire(mut play: Played) -> Hire {
    Box::new(move || {
        let (line, far) = UnixStream::pair()?;
        play(far);
        Ok(Hired::played(line))
    })
}

fn threads(dial: fn(&Job, &mut dyn FnMut(FromDialer), &Receiver<ToDialer>)) -> Hire {
    hire(Box::new(move |far| {
        thread::spawn(move || serve(far, Box::new(dial)));
    }))
}

fn collected(job: &Job, say: &mut dyn FnMut(FromDialer), answer: &Receiver<ToDialer>) {
    let host = || job.host.clone();
    say(FromDialer::Sealed { host: host(), name: NAME.into(), bytes: vec![1] });
    say(FromDialer::Pulled { host: host(), left: 0, dropped: 0 });
    if answer.recv().is_ok() {
        say(FromDialer::Finished { host: host(), traffic: Traffic::default() });
    }
}

/// A crew that has all its jobs at once.
fn start(jobs: Vec<Job>, width: usize, until: Until, dialers: Dialers, out: &SyncSender<Heard>) -> io::Result<Crew> {
    let mut crew = Crew::start(width, until, dialers, out)?;
    jobs.into_iter().for_each(|job| crew.give(job));
    crew.no_more();
    Ok(crew)
}

/// What became of each host: `None` for collected. Fails where a host has two ends or a file twice in a visit.
fn visit(hosts: &[String], width: usize, until: Until, hire: Hire) -> BTreeMap<String, Option<String>> {
    told(hosts, width, until, hire, true)
}

/// As [`visit`]; of a dialer that is not honest all is told.
fn told(hosts: &[String], width: usize, until: Until, hire: Hire, honest: bool) -> BTreeMap<String, Option<String>> {
    let ends = told_of(hosts.iter().map(|host| job(host)).collect(), width, until, hire, honest);
    assert_eq!(ends.keys().cloned().collect::<Vec<_>>(), hosts, "each has an end");
    ends
}

fn told_of(jobs: Vec<Job>, width: usize, until: Until, hire: Hire, honest: bool) -> BTreeMap<String, Option<String>> {
    let local: Dial = Box::new(|_, _, _| panic!("nothing is local here"));
    let (out, heard) = mpsc::sync_channel(WORDS);
    let crew = start(jobs, width, until, Dialers { hire, fence: Fence::default(), local }, &out).unwrap();
    drop(out);
    let (mut ends, mut files, mut pulled) = (BTreeMap::new(), HashSet::new(), HashSet::new());
    let mut answers = BTreeMap::new();
    for heard in &heard {
        let (host, end) = match heard {
            Heard::Started(host, its) => {
                files.remove(&host);
                answers.insert(host, its);
                continue;
            }
            Heard::Said(FromDialer::Sealed { host, .. }, _) => {
                assert!(files.insert(host));
                continue;
            }
            Heard::Said(FromDialer::Pulled { host, .. }, _) => {
                answers[&host].send(ToDialer { host: host.clone(), acknowledged: vec![NAME.into()] });
                assert!(pulled.insert(host), "what is committed is not visited again");
                continue;
            }
            Heard::Said(FromDialer::Finished { host, .. }, _) => (host, None),
            // As the keeper has it: the samples are committed.
            Heard::Said(FromDialer::Failed { host, .. }, _) if honest && pulled.contains(&host) => (host, None),
            Heard::Said(FromDialer::Failed { host, cause, text, .. }, _) => (host, Some(format!("{cause}: {text}"))),
            Heard::NoTurn(host) => (host, Some("no turn".to_owned())),
            Heard::Again(_) | Heard::Down(_) => continue,
        };
        assert!(ends.insert(host.clone(), end).is_none(), "{host} ends twice");
    }
    drop(heard);
    drop(crew);
    ends
}

#[test]
fn every_host_is_visited_once_however_many_at_once() {
    for width in [1, 7, 200] {
        let ends = visit(&names(40), width, until(60), threads(collected));
        assert!(ends.values().all(Option::is_none), "{ends:?}");
    }
}

/// A dialer that visits honestly until it is told the name of a host that kills it.
fn mortal(far: UnixStream, deadly: fn(&str) -> bool) {
    let line = far.try_clone().unwrap();
    let line = Mutex::new(Some(line));
    let dial = move |job: &Job, say: &mut dyn FnMut(FromDialer), answer: &Receiver<ToDialer>| {
        if deadly(&job.host) {
            let _ = line.lock().unwrap().take().map(|line| line.shutdown(std::net::Shutdown::Both));
            return;
        }
        collected(job, say, answer);
    };
    thread::spawn(move || serve(far, Box::new(dial)));
}

#[test]
fn a14_hosts_that_kill_dialers_harm_themselves_and_nobody_else() {
    let deadly = |host: &str| host.ends_with('7');
    let ends = visit(&names(100), 20, until(60), hire(Box::new(move |far| mortal(far, deadly))));
    for (host, end) in &ends {
        match end {
            Some(text) => {
                assert!(deadly(host) && text.starts_with("kills-dialer: every dialer"), "{host}: {text}")
            }
            None => assert!(!deadly(host), "{host}"),
        }
    }
}

#[test]
fn a14_a_dialer_that_dies_once_costs_nothing_but_time() {
    let mut first = true;
    let play = Box::new(move |far| {
        let deadly: fn(&str) -> bool = if std::mem::take(&mut first) { |host| host == "h005" } else { |_| false };
        mortal(far, deadly);
    });
    let ends = visit(&names(30), 10, until(60), hire(play));
    assert!(ends.values().all(Option::is_none), "{ends:?}");
}

#[test]
fn a_bastion_that_refused_is_not_asked_by_the_dialer_that_takes_over() {
    // Each dialer by itself asks a bastion once, as `ssh::Bastions` has it.
    let tries = Arc::new(AtomicUsize::new(0));
    let (count, mut first) = (Arc::clone(&tries), true);
    let play = Box::new(move |far: UnixStream| {
        let (tries, first) = (Arc::clone(&count), std::mem::take(&mut first));
        let (line, asked) = (far.try_clone().unwrap(), AtomicBool::new(false));
        let dial = move |job: &Job, say: &mut dyn FnMut(FromDialer), answer: &Receiver<ToDialer>| {
            let Transport::Ssh(ssh) = &job.transport else { return };
            if ssh.jumps.is_empty() {
                if first && job.host == "h005" {
                    let _ = line.shutdown(std::net::Shutdown::Both);
                    return;
                }
                return collected(job, say, answer);
            }
            if !asked.swap(true, Ordering::Relaxed) {
                tries.fetch_add(1, Ordering::Relaxed);
            }
            let text = "bastion gate: authentication: no".to_owned();
            let (host, traffic) = (job.host.clone(), Traffic::default());
            say(FromDialer::Failed { host, cause: Cause::Jump, text, traffic });
        };
        thread::spawn(move || serve(far, Box::new(dial)));
    });
    let hop = Hop { name: "gate".into(), ssh: SshSpec { address: "gate".into(), ..ssh() } };
    let jobs = names(12).into_iter().map(|host| {
        let behind = ["h000", "h004", "h009", "h011"].contains(&host.as_str());
        let jumps = if behind { vec![hop.clone()] } else { Vec::new() };
        Job { transport: Transport::Ssh(SshSpec { jumps, ..ssh() }), ..job(&host) }
    });
    let ends = told_of(jobs.collect(), 1, until(60), hire(play), true);
    for (host, end) in &ends {
        let behind = ["h000", "h004", "h009", "h011"].contains(&host.as_str());
        assert_eq!(end.as_deref(), behind.then_some("jump: bastion gate: authentication: no"), "{host}");
    }
    assert_eq!((ends.len(), tries.load(Ordering::Relaxed)), (12, 1));
}

#[test]
fn a_dialer_that_does_not_come_up_is_started_once_more() {
    let mut first = true;
    let play = Box::new(move |far| if std::mem::take(&mut first) { drop(far) } else { mortal(far, |_| false) });
    let ends = visit(&names(5), 4, until(60), hire(play));
    assert!(ends.len() == 5 && ends.values().all(Option::is_none), "{ends:?}");
}

#[test]
fn a_dialer_that_does_not_come_up_is_said_for_each_host_at_once() {
    let ends = visit(&names(50), 4, until(60), hire(Box::new(drop)));
    assert!(ends.values().flatten().all(|text| text.starts_with("internal: the dialer did not come up")), "{ends:?}");
    let play = Box::new(|mut far: UnixStream| far.write_all(&framed(b"another program")).unwrap());
    let ends = visit(&names(5), 4, until(60), hire(play));
    assert!(ends.values().flatten().all(|text| text.contains("did not come up: it is none")), "{ends:?}");
    let ends = visit(&names(5), 4, until(60), Box::new(|| Err(io::Error::other("no more processes"))));
    assert!(ends.values().flatten().all(|text| text.contains("cannot be started: no more processes")), "{ends:?}");
    assert_eq!(ends.len(), 5);
}

#[test]
fn a_dialer_is_told_nothing_before_it_listens() {
    let (say, told) = mpsc::channel();
    let play = Box::new(move |mut far: UnixStream| {
        let say = say.clone();
        thread::spawn(move || {
            far.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            say.send(far.read(&mut [0; 64]).ok()).unwrap();
            far.set_read_timeout(None).unwrap();
            serve(far, Box::new(collected))
        });
    });
    let ends = visit(&names(3), 2, until(60), hire(play));
    assert!(ends.values().all(Option::is_none), "{ends:?}");
    assert_eq!(told.recv().unwrap(), None, "it would not read it yet");
}

/// Takes half a minute: what a dialer may be late.
#[test]
fn a_keeper_that_stands_still_does_not_take_the_dialer_for_late() {
    let jobs = vec![Job { timeout: Duration::from_millis(1), ..job("h000") }];
    let (out, heard) = mpsc::sync_channel(1);
    let dial = |job: &Job, say: &mut dyn FnMut(FromDialer), _: &Receiver<ToDialer>| {
        let host = || job.host.clone();
        say(FromDialer::Pulled { host: host(), left: 0, dropped: 0 });
        // Not in one piece with the rest.
        thread::sleep(Duration::from_secs(1));
        say(FromDialer::Finished { host: host(), traffic: Traffic::default() });
    };
    let local: Dial = Box::new(|_, _, _| {});
    let crew =
        start(jobs, 1, until(60), Dialers { hire: threads(dial), fence: Fence::default(), local }, &out).unwrap();
    drop(out);
    thread::sleep(Duration::from_secs(32));
    let last = heard.iter().last();
    assert!(matches!(last, Some(Heard::Said(FromDialer::Finished { .. }, _))));
    drop(heard);
    drop(crew);
}

#[test]
fn where_the_sweep_is_over_nobody_is_begun() {
    let ends = visit(&names(5), 4, until(0), Box::new(|| panic!("nobody is needed")));
    assert!(ends.values().all(|end| end.as_deref() == Some("no turn")));
    let begun = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&begun);
    let play = Box::new(move |far| {
        begun.store(true, Ordering::Relaxed);
        thread::spawn(move || serve(far, Box::new(collected)));
    });
    let until = Until { stop: Arc::new(move || stop.load(Ordering::Relaxed)), ..until(60) };
    let ends = visit(&names(50), 4, until, hire(play));
    assert!(ends.values().all(|end| end.as_deref() == Some("no turn")), "{ends:?}");
}

/// Says these bytes after the first order, and reads on.
fn hostile(bytes: Vec<u8>) -> Played {
    Box::new(move |mut far| {
        let bytes = bytes.clone();
        thread::spawn(move || {
            far.write_all(&[framed(READY), framed(SET)].concat()).unwrap();
            let mut frames = Frames::new(MAX_ORDER);
            let mut told = false;
            while frames.fill(&mut far).is_ok_and(|count| count > 0) {
                while let Some(order) = frames.next().unwrap() {
                    if matches!(Order::decode(order).unwrap(), Order::Visit(_)) && !std::mem::replace(&mut told, true) {
                        let _ = far.write_all(&bytes);
                    }
                }
            }
        });
    })
}

#[test]
fn a14_no_word_of_a_hostile_dialer_harms_the_keeper() {
    let say = |what| framed(&Said { what, took: Duration::MAX }.encode());
    let pulled = |host: &str| say(FromDialer::Pulled { host: host.into(), left: 0, dropped: 0 });
    let sealed =
        |host: &str, name: &str| say(FromDialer::Sealed { host: host.into(), name: name.into(), bytes: vec![1] });
    let text = "no\u{1b}[2J".to_owned();
    let ugly = FromDialer::Failed { host: "h000".into(), cause: Cause::Refused, text, traffic: Traffic::default() };
    for (bytes, rule) in [
        (vec![0; 4], "impossible length"),
        (vec![255; 64], "impossible length"),
        (framed(&[77; 20]), "no message"),
        (framed(&[0]), "no message"),
        (pulled("elsewhere"), "not told to visit"),
        ([pulled("h000"), pulled("h000")].concat(), "went on"),
        ([sealed("h000", NAME), sealed("h000", NAME)].concat(), "twice"),
        (sealed("h000", "../x"), "a name that none has"),
        (say(FromDialer::Finished { host: "h000".into(), traffic: Traffic::default() }), "without the last file"),
        (say(ugly), "a reason that is none"),
    ] {
        let ends = told(&names(1), 1, until(60), hire(hostile(bytes)), false);
        let text = ends["h000"].as_deref().unwrap();
        // Where all was handed over before, there is nothing to try again.
        assert!(text.contains(rule), "{rule}: {text}");
    }
}

/// Takes a minute: what a dialer may be late, twice.
#[test]
fn a14_a_dialer_that_hangs_or_drips_is_charged_to_the_host_that_makes_it_so() {
    let run = |drips: bool| {
        let play = Box::new(move |far: UnixStream| {
            let line = Mutex::new(far.try_clone().unwrap());
            let dial = move |job: &Job, say: &mut dyn FnMut(FromDialer), answer: &Receiver<ToDialer>| {
                if job.host != "h000" {
                    return collected(job, say, answer);
                }
                // The others are done by then.
                thread::sleep(Duration::from_secs(2));
                let mut line = line.lock().unwrap().try_clone().unwrap();
                let mut rest = [200, 0, 0, 0].into_iter().chain(std::iter::repeat(1));
                while !drips || line.write_all(&[rest.next().unwrap()]).is_ok() {
                    thread::sleep(Duration::from_millis(150));
                }
            };
            thread::spawn(move || serve(far, Box::new(dial)));
        });
        let ends = visit(&names(9), 4, until(150), hire(play));
        assert!(ends["h000"].as_deref().unwrap().starts_with("kills-dialer: every dialer"), "{drips}: {ends:?}");
        assert_eq!(ends.values().flatten().count(), 1, "{drips}: {ends:?}");
    };
    thread::scope(|scope| {
        scope.spawn(|| run(true));
        run(false);
    });
}

#[test]
fn a_host_whose_time_the_sweeps_end_cut_short_had_no_turn() {
    let dial = |job: &Job, say: &mut dyn FnMut(FromDialer), _: &Receiver<ToDialer>| {
        let refused = job.host == "h001";
        thread::sleep(if refused { Duration::ZERO } else { job.timeout });
        let (cause, text) = if refused { (Cause::Refused, "no") } else { (Cause::Deadline, "late") };
        say(FromDialer::Failed { host: job.host.clone(), cause, text: text.into(), traffic: Traffic::default() });
    };
    let ends = visit(&names(2), 2, until(2), threads(dial));
    assert_eq!(ends["h000"].as_deref(), Some("no turn"));
    // What does not come of the time is true.
    assert_eq!(ends["h001"].as_deref(), Some("refused: no"));
}

#[test]
fn a_dialer_that_dies_of_its_own_fence_is_no_hosts_matter() {
    let mut hired = 0;
    let play = Box::new(move |mut far: UnixStream| {
        hired += 1;
        assert!(hired <= 2, "started too often");
        thread::spawn(move || {
            far.write_all(&framed(READY)).unwrap();
            let mut frames = Frames::new(MAX_ORDER);
            while frames.next().unwrap().is_none() && frames.fill(&mut far).is_ok_and(|count| count > 0) {}
        });
    });
    let ends = visit(&names(50), 4, until(60), hire(play));
    assert!(ends.values().flatten().all(|text| text.starts_with("internal: the dialer did not come up")), "{ends:?}");
    assert_eq!(ends.values().flatten().count(), 50);
}

#[test]
fn a_keeper_that_leaves_takes_the_dialer_along() {
    let (say, gone) = mpsc::channel();
    let play = Box::new(move |mut far: UnixStream| {
        let say = say.clone();
        thread::spawn(move || {
            far.write_all(&[framed(READY), framed(SET)].concat()).unwrap();
            let mut rest = Vec::new();
            let _ = far.read_to_end(&mut rest);
            say.send(()).unwrap();
        });
    });
    let (out, heard) = mpsc::sync_channel(WORDS);
    let local: Dial = Box::new(|_, _, _| {});
    let crew = start(vec![job("a")], 1, until(60), Dialers { hire: hire(play), fence: Fence::default(), local }, &out)
        .unwrap();
    assert!(matches!(heard.recv(), Ok(Heard::Started(..))));
    drop(heard);
    drop(crew);
    gone.recv_timeout(Duration::from_secs(20)).unwrap();
}
