//! A server that hangs up after the last dot, for days.

use std::collections::BTreeSet;

use super::*;
use crate::model::alert::Tells;

const DAY: i64 = 24 * 60;

impl Field {
    /// The problem was told; its end goes to a server that hangs up after the last dot.
    fn unclear(weather: Weather) -> Self {
        let mut field = Field::new(&["web01"]);
        for minute in [0, 5] {
            field.disk("web01", minute, 0.95);
        }
        assert_eq!(field.run(6), ["[CRIT] web01 disk"]);
        field.server.weather = weather;
        for minute in [10, 15] {
            field.disk("web01", minute, 0.2);
        }
        field
    }

    fn waiting(&self) -> Option<Mail> {
        self.store.queued().unwrap().pop()
    }

    /// Runs each minute or so; the minutes at which it tried, and the Message-IDs under which.
    fn tries(&mut self, minutes: std::ops::Range<i64>, step: usize) -> (Vec<i64>, BTreeSet<String>) {
        let (mut tried, mut ids) = (Vec::new(), BTreeSet::new());
        for minute in minutes.step_by(step) {
            let before = self.waiting().map_or(0, |mail| mail.unclear);
            self.run(minute);
            let Some(mail) = self.waiting() else { continue };
            ids.insert(mail.message_id);
            if mail.unclear != before {
                tried.push(minute);
            }
        }
        (tried, ids)
    }
}

#[test]
fn the_same_bytes_go_again_after_1_5_15_30_and_60_minutes_and_after_five_days_the_end_is_told_once_more() {
    let mut field = Field::unclear(Weather::Drops);
    let (tried, ids) = field.tries(16..200, 1);
    assert_eq!((tried, ids.len()), (vec![16, 17, 22, 37, 67, 127, 187], 1));
    let first = field.waiting().unwrap();
    assert!(first.maybe && first.attempts == 0);
    // Over six days: once an hour, then under a new name.
    let (tried, ids) = field.tries(200..6 * DAY, 10);
    assert!(tried.len() <= 6 * 24 + 8, "{}", tried.len());
    assert_eq!(ids.len(), 2, "given up once");
    let second = field.waiting().unwrap();
    assert_eq!(second.subject, first.subject);
    assert_eq!(second.tells.iter().map(|it: &Tells| it.action.as_str()).collect::<Vec<_>>(), ["recovered"]);
    // The server is mended: it is told, and nothing is left.
    field.server.weather = Weather::Up;
    let told: Vec<String> = (0..3).flat_map(|n| field.run(6 * DAY + 61 + n)).collect();
    assert_eq!(told, ["[OK] web01 disk"]);
    assert!(field.store.queued().unwrap().is_empty() && field.store.told().unwrap().is_empty());
}

#[test]
fn an_end_that_perhaps_arrived_every_time_is_not_told_for_ever() {
    let mut field = Field::unclear(Weather::Swallows);
    let (_, ids) = field.tries(16..16 * DAY, 30);
    assert_eq!(ids.len(), 2);
    assert!(field.store.queued().unwrap().is_empty() && field.store.told().unwrap().is_empty());
    let mails: BTreeSet<&str> = field.server.accepted[1..].iter().map(|mail| mail.message_id.as_str()).collect();
    assert_eq!(mails.len(), 2);
}

#[test]
fn an_end_of_what_began_again_is_not_told_once_more() {
    let mut field = Field::unclear(Weather::Drops);
    field.run(16);
    let day = 5 * DAY;
    for minute in [20, 25] {
        field.disk("web01", day + minute, 0.95);
    }
    field.server.weather = Weather::Up;
    assert_eq!(field.run(day + 26), ["[CRIT] web01 disk"]);
    assert_eq!(field.run(day + 27), NONE);
}

/// Nobody knows whether the end arrived, and then the mailbox takes nothing: after the day of rest it is told once more.
#[test]
fn an_end_that_perhaps_arrived_and_is_then_refused_for_good_is_told_once_more() {
    for begins_again in [false, true] {
        let mut field = Field::unclear(Weather::Drops);
        assert_eq!(field.run(16), NONE);
        field.server.weather = Weather::Refuses(b'o' - b'a', true);
        if begins_again {
            for minute in [17, 18] {
                field.disk("web01", minute, 0.95);
            }
        }
        for minute in [19, 40, 61] {
            assert_eq!(field.run(minute), NONE);
        }
        assert!(field.store.queued().unwrap().is_empty(), "given up");
        if begins_again {
            for minute in [100, 105] {
                field.disk("web01", minute, 0.2);
            }
        }
        field.server.weather = Weather::Up;
        let told = [120, 62 + DAY, 63 + DAY, 63 + 3 * DAY].into_iter().flat_map(|n| field.run(n));
        // Besides, what the mailbox itself had.
        let told: Vec<String> = told.filter(|subject| subject.contains("web01")).collect();
        assert_eq!(told, ["[OK] web01 disk"], "{begins_again}");
        assert!(field.store.queued().unwrap().is_empty() && field.store.told().unwrap().is_empty());
    }
}
