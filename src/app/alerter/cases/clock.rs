//! A clock that is set: ahead by an hour or by ten years and right again, over a database file.

use super::*;
use crate::model::alert::MailState;
use crate::model::spec::{ChannelSpec, DestinationSpec};
use crate::store::sqlite::Sqlite;

const HOUR: i64 = 60;
const TEN_YEARS: i64 = 10 * 365 * 24 * 60;

/// Two hosts, two recipients, and a clock that may be wrong.
struct Wrong {
    spec: FleetSpec,
    store: Sqlite,
    server: Server,
    sequence: u64,
    /// Minutes by which the clock is ahead.
    ahead: i64,
    _folder: tempfile::TempDir,
}

impl Wrong {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&folder.path().join("fleet.db")).unwrap();
        let mut spec = spec(1, &[]);
        let to = |name: &str, address: &str| DestinationSpec {
            name: name.into(),
            channel: ChannelSpec::Mail(vec![address.into()]),
        };
        spec.alerts.destinations = vec![to("ops", "a@example.net"), to("dba", "b@example.net")];
        Self { spec, store, server: server(), sequence: 0, ahead: 0, _folder: folder }
    }

    fn clock(&self, minute: i64) -> DateTime<Utc> {
        at(minute + self.ahead)
    }

    /// A sweep that finds the disks so full.
    fn sweep(&mut self, minute: i64, disks: [f64; 2]) {
        let now = self.clock(minute);
        let sweep = self.store.begin_sweep(now, 2).unwrap();
        for (host, value) in ["web01", "web02"].into_iter().zip(disks) {
            self.sequence += 1;
            let sample = measured(host, ("b", self.sequence), now, &[("filesystem.used", "/", value)]);
            let visit = crate::model::fleet::Attempt { at: now, ..attempt(host, 0, None) };
            self.store.record(sweep, &visit, &[sample]).unwrap();
        }
        self.store.end_sweep(sweep, now, 0).unwrap();
    }

    /// A run; who was told what in it, the same bytes again left out.
    fn run(&mut self, minute: i64) -> Vec<String> {
        let (had, now) = (self.server.accepted.len(), self.clock(minute));
        let until = now + TimeDelta::minutes(5);
        turn(&mut self.store, &self.spec, &mut self.server, &|| now, until, false).unwrap();
        let known: Vec<String> = self.server.accepted[..had].iter().map(|mail| mail.message_id.clone()).collect();
        let new = self.server.accepted[had..].iter().filter(|mail| !known.contains(&mail.message_id));
        new.map(|mail| format!("{} {}", mail.destination, mail.subject)).collect()
    }

    fn both(&mut self, minute: i64, disks: [f64; 2]) -> Vec<String> {
        self.sweep(minute, disks);
        self.run(minute + 1)
    }
}

/// While the clock is ahead a second problem begins, and the server is in a mood.
fn story(jump: i64, weather: Weather) {
    let name = format!("{jump} minutes, {weather:?}");
    let sorted = |mut told: Vec<String>| {
        told.sort();
        told
    };
    let each = |subject: &str| [format!("dba {subject}"), format!("ops {subject}")];
    let mut wrong = Wrong::new();
    assert_eq!(wrong.both(0, [0.95, 0.2]), NONE, "{name}");
    assert_eq!(sorted(wrong.both(5, [0.95, 0.2])), each("[CRIT] web01 disk /"), "{name}");
    (wrong.ahead, wrong.server.weather) = (jump, weather);
    let mut told = Vec::new();
    for minute in [10, 15, 20, 25] {
        told.extend(wrong.both(minute, [0.95, 0.95]));
    }
    for minute in [47, 68, 69] {
        told.extend(wrong.run(minute));
    }
    (wrong.ahead, wrong.server.weather) = (0, Weather::Up);
    let from = wrong.server.accepted.len();
    let mut after: Vec<String> = [70, 75].into_iter().flat_map(|minute| wrong.both(minute, [0.95, 0.95])).collect();
    // What waited is there after two runs, and nothing is there twice.
    let all: Vec<String> = told.iter().chain(&after).cloned().collect();
    for line in each("[CRIT] web02 disk /") {
        assert_eq!(all.iter().filter(|told| **told == line).count(), 1, "{name}: {told:?} {after:?}");
    }
    // A reminder keeps its interval from when the clock was right again.
    for minute in (80..=115).step_by(5) {
        after.extend(wrong.both(minute, [0.95, 0.95]));
    }
    let reminded = |told: &[String]| told.iter().filter(|line| line.contains("[CRIT] web01")).count();
    assert!(reminded(&after) <= 2, "{name}: {after:?}");
    // Both end in the run that sees it.
    wrong.both(120, [0.2, 0.2]);
    let ends = wrong.both(125, [0.2, 0.2]);
    for line in each("[OK] web01 disk /").into_iter().chain(each("[OK] web02 disk /")) {
        assert!(ends.contains(&line), "{name}: {ends:?}");
    }
    assert_eq!(wrong.both(130, [0.2, 0.2]), NONE, "{name}");
    assert!(wrong.store.queued().unwrap().is_empty() && wrong.store.pauses().unwrap().is_empty(), "{name}");
    let mails = &wrong.server.accepted[from..];
    assert!(mails.iter().all(|mail| mail.created <= at(131)), "{name}");
    // A collector that dies now is missed.
    assert_eq!(wrong.run(146), NONE, "{name}");
    assert_eq!(sorted(wrong.run(151)), each("[CRIT] fleet collector-stalled"), "{name}");
}

const MOODS: [Weather; 8] = [
    Weather::Up,
    Weather::Down,
    Weather::WrongPassword,
    Weather::Refuses(0, false),
    Weather::Refuses(0, true),
    Weather::Swallows,
    Weather::Drops,
    Weather::Narrow,
];

#[test]
fn a_clock_that_was_an_hour_ahead_stops_no_mail_and_doubles_none() {
    MOODS.into_iter().for_each(|mood| story(HOUR, mood));
}

#[test]
fn a_clock_that_was_ten_years_ahead_stops_no_mail_and_doubles_none() {
    MOODS.into_iter().for_each(|mood| story(TEN_YEARS, mood));
}

/// By the clock that was wrong it was tried a moment ago, and by the right one it is to be tried in an hour.
#[test]
fn what_was_refused_once_by_a_clock_an_hour_ahead_is_tried_at_once() {
    let mut wrong = Wrong::new();
    wrong.server.weather = Weather::Refuses(0, false);
    for minute in [0, 5] {
        wrong.sweep(minute, [0.95, 0.2]);
    }
    assert_eq!(wrong.run(6), ["dba [CRIT] web01 disk /"]);
    wrong.ahead = HOUR;
    assert_eq!(wrong.run(10), NONE);
    (wrong.ahead, wrong.server.weather) = (0, Weather::Up);
    assert_eq!(wrong.run(16), ["ops [CRIT] web01 disk /"]);
}

#[test]
fn a_collector_that_died_while_the_clock_was_ahead_is_missed() {
    for jump in [HOUR, TEN_YEARS] {
        let mut wrong = Wrong::new();
        wrong.both(0, [0.2, 0.2]);
        wrong.ahead = jump;
        wrong.both(5, [0.2, 0.2]);
        wrong.ahead = 0;
        let told: Vec<String> = [20, 25].into_iter().flat_map(|minute| wrong.run(minute)).collect();
        assert_eq!(told, ["ops [CRIT] fleet collector-stalled", "dba [CRIT] fleet collector-stalled"], "{jump}");
        // That the time of its last sweep comes round is no sign of life.
        let told: Vec<String> = (30..=120).step_by(5).flat_map(|minute| wrong.run(minute)).collect();
        assert!(told.iter().all(|line| line.ends_with("[CRIT] fleet collector-stalled")), "{jump}: {told:?}");
        assert_eq!(told.len(), 2, "a reminder each: {jump}: {told:?}");
        let told = wrong.both(121, [0.2, 0.2]);
        assert_eq!(told, ["ops [OK] fleet collector-stalled", "dba [OK] fleet collector-stalled"], "{jump}");
    }
}

/// Where it is known from sweeps of the future only, one that begins none for an interval is missed too.
#[test]
fn a_collector_that_never_ran_by_a_right_clock_is_missed() {
    for jump in [HOUR, TEN_YEARS] {
        let mut wrong = Wrong::new();
        wrong.ahead = jump;
        wrong.both(0, [0.2, 0.2]);
        wrong.ahead = 0;
        let told: Vec<String> = [1, 2, 6].into_iter().flat_map(|minute| wrong.run(minute)).collect();
        assert_eq!(told, ["ops [CRIT] fleet collector-stalled", "dba [CRIT] fleet collector-stalled"], "{jump}");
        let told: Vec<String> = (11..=120).step_by(5).flat_map(|minute| wrong.run(minute)).collect();
        assert!(told.iter().all(|line| line.ends_with("[CRIT] fleet collector-stalled")), "{jump}: {told:?}");
    }
}

#[test]
fn what_came_and_went_while_the_clock_was_ahead_is_not_summed_up_every_day() {
    let mut wrong = Wrong::new();
    wrong.both(0, [0.2, 0.2]);
    // It comes and goes between two runs, ten years ahead; the summary of the day is of that time too.
    wrong.ahead = TEN_YEARS;
    for (minute, disk) in [(5, 0.95), (10, 0.95), (15, 0.2), (20, 0.2)] {
        wrong.sweep(minute, [disk, 0.2]);
    }
    let first = wrong.run(21);
    wrong.ahead = 0;
    let mut later = Vec::new();
    for day in 0..5 {
        later.extend(wrong.both(30 + day * 24 * 60, [0.2, 0.2]));
    }
    let lines = first.iter().chain(&later).filter(|line| line.ends_with("came and went")).count();
    assert!(lines <= 2, "one for each recipient: {first:?} {later:?}");
    // The next day's are summed up as ever.
    let day = 6 * 24 * 60;
    for (minute, disk) in [(5, 0.95), (10, 0.95), (15, 0.2), (20, 0.2)] {
        wrong.sweep(day + minute, [disk, 0.2]);
    }
    let mut told = wrong.run(day + 21);
    told.extend(wrong.both(day + 25 * 60, [0.2, 0.2]));
    assert_eq!(told.iter().filter(|line| line.ends_with("came and went")).count(), 2, "{told:?}");
    assert!(wrong.store.queued().unwrap().iter().all(|mail| mail.state == MailState::Sent));
}
