//! What alerting keeps: evaluations, plans, mail, what people do, and what is left of a host that is forgotten.

use super::*;

#[test]
fn evaluations_plans_and_mail_come_back() {
    each(|store| {
        let subject = incident(1, "a", None).subject;
        let state = RuleState {
            warning_bits: u64::MAX,
            last: Some(at(3)),
            bad: Some(at(2)),
            missed: Some(at(4)),
            incident: Some(1),
            ..RuleState::default()
        };
        let event = Event { incident: 1, at: at(2), level: Level::Warning, value: 1.5, text: "t".into() };
        let it = Evaluation {
            cursor: 7,
            states: vec![(Cow::Borrowed(&subject), Some(Cow::Borrowed(&state)))],
            incidents: vec![incident(1, "a", None), incident(2, "b", Some(60))],
            events: vec![event.clone()],
            unacked: vec![],
        };
        store.commit_evaluation(&it).unwrap();
        assert_eq!((store.cursor().unwrap(), store.last_incident().unwrap()), (7, 2));
        assert_eq!(store.states().unwrap(), [(subject.clone(), state.clone())]);
        assert_eq!(store.open_incidents().unwrap(), [incident(1, "a", None)]);
        assert_eq!(store.incidents(1).unwrap(), [incident(2, "b", Some(60))]);
        assert_eq!(store.events(1).unwrap(), [event]);
        let told = vec![told(1, Level::Ok), told(2, Level::Ok)];
        let mails = vec![mail(0, MailState::Queued), mail(0, MailState::Queued)];
        let plan = Plan { told, mails, ..Plan::default() };
        store.commit_plan(&plan).unwrap();
        assert_eq!(store.told().unwrap().len(), 1, "what ended and was told so is no news");
        assert_eq!(store.queued().unwrap(), [mail(1, MailState::Queued), mail(2, MailState::Queued)]);
        store.update_mail(&mail(1, MailState::Sent)).unwrap();
        assert_eq!(store.queued().unwrap().len(), 1);
        store
            .commit_evaluation(&Evaluation { cursor: 8, states: vec![(Cow::Borrowed(&subject), None)], ..it.clone() })
            .unwrap();
        assert!(store.states().unwrap().is_empty());
    });
}

#[test]
fn a_closed_incident_tells_who_knew_of_it_and_mails_are_found_by_what_they_tell() {
    each(|store| {
        let incidents = vec![incident(1, "a", Some(50)), incident(2, "b", Some(60)), incident(3, "c", None)];
        store.commit_evaluation(&Evaluation { incidents, ..evaluation(1) }).unwrap();
        let other = Told { recipient: "b@example.net".into(), ..told(2, Level::Ok) };
        let plan = Plan {
            told: vec![told(1, Level::Ok), told(2, Level::Critical), other.clone()],
            mails: vec![mail(0, MailState::Queued)],
            pauses: vec![pause("smtp x:25", 1), pause("mailbox ops a", 1)],
            summaries: vec![("ops".into(), "a".into(), at(1)), ("ops".into(), "a".into(), at(2))],
            ..Plan::default()
        };
        store.commit_plan(&plan).unwrap();
        assert_eq!(store.closed_since(at(50)).unwrap(), [incident(2, "b", Some(60))]);
        let open = |host: &str, since, until| {
            let list = store.incidents_of(host, at(since), at(until)).unwrap();
            list.iter().map(|it| it.id).collect::<Vec<_>>()
        };
        assert_eq!((open("b", 60, 99), open("b", 61, 99), open("b", -9, 1)), (vec![2], vec![], vec![]));
        assert_eq!((open("b", -9, 2), open("c", 900, 900), open("a", 10, 10)), (vec![2], vec![3], vec![1]));
        let ended = |host: Option<&str>, since, until, limit| {
            let list = store.ended(host, (at(since), at(until)), None, limit).unwrap();
            list.iter().map(|it| it.id).collect::<Vec<_>>()
        };
        assert_eq!(
            (ended(None, 0, 99, 9), ended(None, 0, 99, 1), ended(None, 0, 99, 0)),
            (vec![2, 1], vec![2], vec![])
        );
        assert_eq!((ended(Some("a"), 0, 99, 9), ended(Some("c"), 0, 99, 9)), (vec![1], vec![]), "c is open");
        // To the moment of its end, and not where it only begins.
        assert_eq!(
            (ended(None, 50, 99, 9), ended(None, 51, 99, 9), ended(None, 61, 99, 9)),
            (vec![2, 1], vec![2], vec![])
        );
        let opened = |id| store.incident(id).unwrap().unwrap().opened;
        let until = |until: DateTime<Utc>| store.ended(Some("b"), (at(0), until), None, 9).unwrap().len();
        assert_eq!((until(opened(2)), until(opened(2) + TimeDelta::milliseconds(1))), (0, 1));
        // Before a number, with a time that began and without one, of a host and of all.
        let before = |host: Option<&str>, since, before| {
            let list = store.ended(host, (since, at(99)), Some(before), 9).unwrap();
            list.iter().map(|it| it.id).collect::<Vec<_>>()
        };
        for since in [DateTime::UNIX_EPOCH, at(0)] {
            assert_eq!((before(None, since, 2), before(None, since, 1)), (vec![1], vec![]), "{since}");
            assert_eq!((before(None, since, 9), before(None, since, i64::MAX)), (vec![2, 1], vec![2, 1]), "{since}");
            assert_eq!((before(Some("b"), since, 3), before(Some("b"), since, 2)), (vec![2], vec![]), "{since}");
        }
        assert_eq!(store.told_since(at(50)).unwrap(), [told(2, Level::Critical), other]);
        assert_eq!(store.incident(3).unwrap(), Some(incident(3, "c", None)));
        assert_eq!(store.incident(4).unwrap(), None);
        let gone = Plan { untold: vec![(2, "ops".into(), "b@example.net".into())], ..Plan::default() };
        store.commit_plan(&gone).unwrap();
        assert_eq!(store.told_since(at(50)).unwrap().len(), 1);
        assert_eq!(store.mails_telling(2).unwrap(), [mail(1, MailState::Queued)]);
        assert!(store.mails_telling(3).unwrap().is_empty());
        let mut short = Mail { message_id: "2@x".into(), body: vec![1], short: true, ..mail(1, MailState::Queued) };
        short.subject = "less".into();
        store.rewrite_mail(&short).unwrap();
        assert_eq!(store.queued().unwrap(), [short]);
        store.pause(&pause("smtp x:25", 0)).unwrap();
        assert_eq!(store.pauses().unwrap(), [pause("mailbox ops a", 1)]);
        assert_eq!(store.summaries().unwrap(), [("ops".into(), "a".into(), at(2))]);
    });
}

fn pause(what: &str, failures: u32) -> Pause {
    Pause { what: what.into(), since: at(1), failures, until: at(2), error: "e".into() }
}

#[test]
fn what_people_do_is_kept() {
    each(|store| {
        let incidents = vec![incident(1, "a", None), incident(2, "b", None), incident(3, "c", Some(60))];
        store.commit_evaluation(&Evaluation { incidents, ..evaluation(1) }).unwrap();
        let ack = |id| Ack {
            incident: id,
            by: "ada".into(),
            at: at(3),
            until: (id == 1).then(|| at(9)),
            sticky: id == 2,
            level: Level::Warning,
            note: "mine".into(),
        };
        for id in 1..4 {
            let event = Event { incident: id, at: at(3), level: Level::Warning, value: 0.5, text: "taken".into() };
            store.acknowledge(&ack(id), &event).unwrap();
            assert_eq!(store.events(id).unwrap(), [event]);
        }
        assert_eq!(store.acks().unwrap(), [ack(1), ack(2)], "the third has ended");
        store.commit_evaluation(&Evaluation { unacked: vec![1], ..evaluation(2) }).unwrap();
        assert_eq!(store.acks().unwrap(), [ack(2)]);

        let words = |text: &str| vec![text.to_owned(), "z*".to_owned()];
        let scope = Scope { hosts: words("a"), groups: words("b"), services: words("c"), rules: words("d") };
        let weekly = Calendar { days: 65, from: 1, until: 1440, zone: "Europe/Paris".into() };
        let silence = |id, when| Silence {
            id,
            scope: scope.clone(),
            when,
            by: "ada".into(),
            reason: "vacuum".into(),
            created: at(1),
            ended: None,
        };
        let list = [silence(1, When::Once { from: at(1), until: at(5) }), silence(2, When::Weekly(weekly))];
        for (n, it) in list.iter().enumerate() {
            assert_eq!(store.add_silence(it).unwrap(), n as i64 + 1);
        }
        assert_eq!(store.silences().unwrap(), list);
        assert!(!store.end_silence(1, at(5)).unwrap() && store.end_silence(2, at(5)).unwrap());
        assert!(!store.end_silence(2, at(6)).unwrap() && !store.end_silence(3, at(6)).unwrap());
        assert_eq!(store.silences().unwrap()[1].ended, Some(at(5)));
        let day = 86_400;
        store.prune(at(500 * day), span(60), span(60)).unwrap();
        assert!(store.silences().unwrap().is_empty(), "what is over goes as old history does");
    });
}

#[test]
fn mail_that_may_tell_of_a_forgotten_host_goes_with_it_unless_it_is_queued() {
    each(|store| {
        let incidents = vec![incident(1, "a", None), incident(2, "b", None)];
        let opened = Evaluation { incidents, ..Evaluation::default() };
        store.commit_evaluation(&opened).unwrap();
        let sent = |ids: &[i64], state| {
            let tells = ids.iter().map(|id| tells(*id, None)).collect();
            Mail { tells, ..mail(0, state) }
        };
        use MailState::{Dead, Queued};
        let mails = vec![sent(&[1, 2], Dead), sent(&[2], Dead), sent(&[], Dead), sent(&[1], Queued)];
        store.commit_plan(&Plan { mails, ..Plan::default() }).unwrap();
        store.forget("a").unwrap();
        let left = |incident| store.mails_telling(incident).unwrap().iter().map(|mail| mail.id).collect::<Vec<_>>();
        assert_eq!((left(1), left(2)), (vec![4], vec![2]));
        let waits = store.queued().unwrap();
        assert!(waits.len() == 1 && waits[0].body.is_empty() && waits[0].subject.is_empty(), "{waits:?}");
        assert_eq!(waits[0].tells.len(), 1, "what it would have told of others is restored by a plan");
    });
}

#[test]
fn consents_stay_when_a_host_is_forgotten() {
    each(|store| {
        let consent =
            Consent { host: "a".into(), by: "Ada".into(), purpose: "tests".into(), granted: at(1), revoked: None };
        store.grant(&consent).unwrap();
        store.record(1, &attempt("a", 1, None), &[sample("b", 1, 1, 1.0)]).unwrap();
        store.record(1, &attempt("z", 1, None), &[sample("b", 1, 1, 1.0)]).unwrap();
        assert!(store.revoke("a", at(2)).unwrap());
        assert!(!store.revoke("a", at(3)).unwrap());
        let tried: Vec<_> = store.tried().unwrap().into_iter().map(|it| (it.host, it.at)).collect();
        assert_eq!(tried, [("a".to_owned(), at(1)), ("z".to_owned(), at(1))]);
        assert_eq!(store.forget("a").unwrap(), 1);
        assert_eq!(store.tried().unwrap().len(), 1);
        assert_eq!(store.consents().unwrap(), [Consent { revoked: Some(at(2)), ..consent }]);
        assert_eq!(store.now().unwrap().len(), 1);
        assert_eq!(store.rows_after(0, 9).unwrap().len(), 1);
        let beat = Heartbeat { role: "collector".into(), at: at(4), ok: true, text: String::new() };
        store.beat(&beat).unwrap();
        assert_eq!(store.beats().unwrap(), [beat]);
    });
}
