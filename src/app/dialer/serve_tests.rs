//! The dialer alone, led over its line by a keeper that is played.

use std::io::Read;
use std::path::PathBuf;

use super::*;
use crate::app::dialer::fence::Fence;
use crate::app::dialer::message::MAX_SAID;
use crate::model::secret::Secret;
use crate::model::spec::Transport;

const NAME: &str = "0d2f7d1a-0000000007.age";

fn job(host: &str) -> Job {
    let (host, timeout) = (host.to_owned(), Duration::from_secs(1));
    let (nonce, task, probes) = (String::new(), Secret::new(String::new()), PathBuf::new());
    Job { host, transport: Transport::Local, nonce, task, pull_bytes: 1, pull_files: 1, probes, timeout }
}

/// The keeper's end of the line.
struct Keeper {
    line: UnixStream,
    frames: Frames,
    dialer: Option<thread::JoinHandle<io::Result<()>>>,
}

impl Keeper {
    fn of(dial: Dial) -> Self {
        let (line, far) = UnixStream::pair().unwrap();
        line.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let dialer = Some(thread::spawn(move || serve(far, dial)));
        let mut keeper = Self { line, frames: Frames::new(MAX_SAID), dialer };
        assert_eq!(keeper.bytes(), READY);
        keeper
    }

    fn tell(&mut self, order: &Order) {
        self.line.write_all(&framed(&order.encode())).unwrap();
    }

    fn bytes(&mut self) -> Vec<u8> {
        loop {
            if let Some(bytes) = self.frames.next().unwrap() {
                return bytes.to_vec();
            }
            assert!(self.frames.fill(&mut self.line).unwrap() > 0, "the dialer has gone");
        }
    }

    fn hear(&mut self) -> FromDialer {
        let bytes = self.bytes();
        if bytes == SET { self.hear() } else { Said::decode(&bytes).unwrap().what }
    }

    fn ends(mut self) -> io::Result<()> {
        self.line.shutdown(std::net::Shutdown::Write).unwrap();
        self.dialer.take().unwrap().join().unwrap()
    }
}

fn host_of(said: &FromDialer) -> (String, Option<Cause>) {
    match said {
        FromDialer::Finished { host, .. } => (host.clone(), None),
        FromDialer::Failed { host, cause, .. } => (host.clone(), Some(*cause)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_visit_is_ordered_told_answered_and_ended_over_the_line() {
    let (heard, answers) = mpsc::channel();
    let heard = Mutex::new(heard);
    let mut keeper = Keeper::of(Box::new(move |job, say, answer| {
        let host = || job.host.clone();
        say(FromDialer::Sealed { host: host(), name: NAME.into(), bytes: vec![0, 255] });
        say(FromDialer::Pulled { host: host(), left: 1, dropped: 2 });
        heard.lock().unwrap().send(answer.recv().unwrap()).unwrap();
        say(FromDialer::Finished { host: host(), traffic: Traffic::default() });
    }));
    keeper.tell(&Order::Begin { width: 2, probes: PathBuf::new(), fence: Fence::default() });
    for round in 0..3 {
        for host in ["a", "b"] {
            keeper.tell(&Order::Visit(Box::new(job(host))));
        }
        let mut pulled = Vec::new();
        while pulled.len() < 2 {
            match keeper.hear() {
                FromDialer::Sealed { name, bytes, .. } => assert_eq!((name.as_str(), bytes), (NAME, vec![0, 255])),
                FromDialer::Pulled { host, left: 1, dropped: 2 } => pulled.push(host),
                other => panic!("{other:?}"),
            }
        }
        // In the other order, and one for a host that nobody visits.
        for host in ["nobody", &pulled[1], &pulled[0]] {
            let acknowledged = vec![format!("{host} {round}")];
            keeper.tell(&Order::Answer(ToDialer { host: host.to_owned(), acknowledged }));
        }
        let mut ended = vec![host_of(&keeper.hear()), host_of(&keeper.hear())];
        ended.sort();
        assert_eq!(ended, [("a".into(), None), ("b".into(), None)]);
        for _ in 0..2 {
            let answer = answers.recv().unwrap();
            assert_eq!(answer.acknowledged, [format!("{} {round}", answer.host)]);
        }
    }
    keeper.ends().unwrap();
}

#[test]
fn o18_a_panic_is_one_hosts_matter_and_told_once() {
    let mut keeper = Keeper::of(Box::new(|job, say, _| match job.host.as_str() {
        "a" => panic!("a defect"),
        "b" => {}
        _ => {
            say(FromDialer::Finished { host: job.host.clone(), traffic: Traffic::default() });
            panic!("too late to matter");
        }
    }));
    keeper.tell(&Order::Begin { width: 1, probes: PathBuf::new(), fence: Fence::default() });
    let mut ends = Vec::new();
    for host in ["a", "b", "c", "c"] {
        keeper.tell(&Order::Visit(Box::new(job(host))));
        ends.push(host_of(&keeper.hear()));
    }
    let internal = Some(Cause::Internal);
    assert_eq!(ends, [("a".into(), internal), ("b".into(), internal), ("c".into(), None), ("c".into(), None)]);
}

#[test]
fn what_is_no_order_ends_the_dialer_and_so_does_the_keepers_end() {
    for bytes in [&[0_u8, 0, 0, 0][..], &[255; 8], &framed(&[9])] {
        let mut keeper = Keeper::of(Box::new(|_, _, _| {}));
        keeper.line.write_all(bytes).unwrap();
        assert_eq!(keeper.line.read(&mut [0]).unwrap(), 0, "the line stays open");
        assert!(keeper.ends().is_err());
    }
    // Visits that wait for an answer do not wait for a keeper that is gone.
    let (say, gone) = mpsc::channel();
    let (begins, begun) = mpsc::channel();
    let say = Mutex::new((begins, say));
    let mut keeper = Keeper::of(Box::new(move |_, _, answer| {
        let (begins, say) = say.lock().unwrap().clone();
        begins.send(()).unwrap();
        say.send(answer.recv_timeout(Duration::from_secs(60)).is_err()).unwrap();
    }));
    keeper.tell(&Order::Visit(Box::new(job("a"))));
    // One that has not begun by the keeper's end never begins.
    begun.recv_timeout(Duration::from_secs(20)).unwrap();
    keeper.ends().unwrap();
    assert_eq!(gone.recv_timeout(Duration::from_secs(20)), Ok(true));
}

#[test]
fn a_large_file_and_many_small_ones_come_through_whole() {
    let large = vec![7; 250 * 1024];
    let file = large.clone();
    let mut keeper = Keeper::of(Box::new(move |job, say, _| {
        for number in 0..64 {
            let bytes = if number % 8 == 0 { file.clone() } else { vec![number; 3000] };
            say(FromDialer::Sealed { host: job.host.clone(), name: number.to_string(), bytes });
        }
        let (host, text) = (job.host.clone(), "and then it broke".to_owned());
        say(FromDialer::Failed { host, cause: Cause::Disconnected, text, traffic: Traffic::default() });
    }));
    keeper.tell(&Order::Visit(Box::new(job("a"))));
    for number in 0..64 {
        let FromDialer::Sealed { name, bytes, .. } = keeper.hear() else { panic!("no file") };
        assert_eq!(name, number.to_string());
        assert_eq!(bytes, if number % 8 == 0 { large.clone() } else { vec![number; 3000] });
    }
    assert_eq!(host_of(&keeper.hear()), ("a".into(), Some(Cause::Disconnected)));
}
