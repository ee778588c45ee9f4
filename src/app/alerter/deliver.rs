//! The outbox: every recipient in order, "maybe" committed before a send, the answer after it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use super::letter::{self, Written};
use super::lines::Post;
use super::plan::{again, difference, restore, tellings, unsummed};
use super::world::{delta, mailbox};
use crate::model::alert::{Mail, MailState, Pause, Plan};
use crate::model::spec::FleetSpec;
use crate::notify::{Class, Refusal};
use crate::store::{self, Store};

/// Refusals of a recipient before a mail is given up: three within an hour.
const TRIES: u32 = 3;
/// Between two of them.
const TRY_AGAIN: TimeDelta = TimeDelta::minutes(20);
/// No mail waits for longer than this before it is tried again.
const LONGEST: TimeDelta = TimeDelta::hours(1);
/// Mail that waits for longer is a person not told.
const LATE: TimeDelta = TimeDelta::minutes(15);

/// What came of the outbox.
#[derive(Debug, Default)]
pub struct Delivered {
    /// Accepted mails.
    pub sent: usize,
    /// Mails that wait.
    pub waiting: usize,
    /// Things that a person must mend.
    pub errors: Vec<String>,
}

/// 1, 2, 4, 8, 15, 30 minutes between tries of a server.
fn line_pause(failures: u32) -> TimeDelta {
    TimeDelta::minutes([1, 2, 4, 8, 15].get(failures.saturating_sub(1) as usize).copied().unwrap_or(30))
}

/// 1, 5, 15, 30, 60 minutes between tries of one recipient, and before the same bytes go again to a server that did not say
/// whether it took them.
fn row_pause(attempts: u32) -> TimeDelta {
    TimeDelta::minutes([1, 5, 15, 30].get(attempts.saturating_sub(1) as usize).copied().unwrap_or(60))
}

/// Whose mail it is.
fn key_of(mail: &Mail) -> (String, String) {
    (mail.destination.clone(), mail.recipient.clone())
}

/// The delivery of one run.
struct Delivery<'a> {
    store: &'a mut dyn Store,
    spec: &'a FleetSpec,
    /// Ways that are paused, by name.
    pauses: BTreeMap<String, Pause>,
    /// A head that waits holds back what follows it, for its own recipient only.
    held: BTreeSet<(String, String)>,
    out: Delivered,
}

/// Delivers what is due; begins no mail after `deadline`. Where the clock was set back since the last run, all is due.
///
/// # Errors
/// The store's; a mail that was sent before it stays marked "maybe" and is sent again with the same Message-ID.
pub fn deliver(
    store: &mut dyn Store,
    spec: &FleetSpec,
    post: &mut dyn Post,
    clock: &dyn Fn() -> DateTime<Utc>,
    deadline: DateTime<Utc>,
    set_back: bool,
) -> store::Result<Delivered> {
    let pauses = store.pauses()?.into_iter().map(|pause| (pause.what.clone(), pause)).collect();
    let mut queued = store.queued()?;
    let troubled: BTreeSet<_> = queued.iter().filter(|mail| mail.maybe || !mail.error.is_empty()).map(key_of).collect();
    // A mailbox at which the server hangs up, or a run died, must not be the first in every run, before all others.
    queued.sort_by_key(|mail| (troubled.contains(&key_of(mail)), mail.id));
    let mut delivery = Delivery { store, spec, pauses, held: BTreeSet::new(), out: Delivered::default() };
    let mut queued = VecDeque::from(queued);
    while let Some(mut mail) = queued.pop_front() {
        let key = key_of(&mail);
        let line = post.line(&mail);
        let now = clock();
        let paused = delivery.pauses.get(&line).is_some_and(|pause| pause.holds(now));
        let waits = mail.next > now && mail.next - now <= LONGEST && !set_back;
        // One without content told of a host that was erased: the next plan takes it back.
        let erased = mail.body.is_empty();
        if erased || waits || paused || now >= deadline || delivery.held.contains(&key) {
            delivery.held.insert(key);
            continue;
        }
        let doubtful = mail.maybe;
        (mail.maybe, mail.created) = (true, mail.created.min(now));
        delivery.store.update_mail(&mail)?;
        let sent = post.send(&mail);
        let now = clock();
        match sent {
            Ok(()) => {
                (mail.state, mail.error) = (MailState::Sent, String::new());
                delivery.store.update_mail(&mail)?;
                delivery.out.sent += 1;
                log::info!("sent to {}: {}", mail.recipient, mail.subject);
                delivery.resume(&line)?;
                delivery.resume(&mailbox(&mail.destination, &mail.recipient))?;
            }
            Err(refusal) => {
                mail.maybe = doubtful || refusal.class == Class::Ambiguous;
                if delivery.refused(&mut mail, &line, &refusal, now)? {
                    queued.retain(|it| key_of(it) != key);
                    let anew = delivery.store.queued()?.into_iter().filter(|it| key_of(it) == key);
                    anew.rev().for_each(|it| queued.push_front(it));
                } else {
                    delivery.held.insert(key);
                }
            }
        }
    }
    post.close();
    delivery.end(clock())
}

impl Delivery<'_> {
    /// Something came through.
    fn resume(&mut self, what: &str) -> store::Result<()> {
        match self.pauses.remove(what) {
            Some(pause) => self.store.pause(&Pause { failures: 0, ..pause }),
            None => Ok(()),
        }
    }

    /// Since when nothing comes through.
    fn since(&self, what: &str, now: DateTime<Utc>) -> DateTime<Utc> {
        self.pauses.get(what).map_or(now, |pause| pause.since.min(now))
    }

    /// Whether the queue of this mailbox goes on at once, as it is now in the store.
    fn refused(&mut self, mail: &mut Mail, line: &str, refusal: &Refusal, now: DateTime<Utc>) -> store::Result<bool> {
        mail.error = format!("{}: {}", refusal.stage, refusal.text);
        let text = format!("mail to {} not delivered: {}", mail.recipient, mail.error);
        match refusal.class {
            Class::Ambiguous => {
                mail.unclear = mail.unclear.saturating_add(1);
                mail.next = now + row_pause(mail.unclear);
                log::info!("{text}; the same again after {}", mail.next.format("%H:%M:%S UTC"));
            }
            Class::Transport | Class::Configuration => {
                let failures = self.pauses.get(line).map_or(0, |pause| pause.failures).saturating_add(1);
                let since = self.since(line, now);
                let (what, until) = (line.to_owned(), now + line_pause(failures));
                let pause = Pause { what, since, failures, until, error: mail.error.clone() };
                self.store.pause(&pause)?;
                self.pauses.insert(line.to_owned(), pause);
                log::info!("{text}; again after {}", until.format("%H:%M:%S UTC"));
                if refusal.class == Class::Configuration {
                    let hint = format!("nothing is lost; try with: fleet mail test --to {}", mail.destination);
                    self.out.errors.push(format!("{text}; {hint}"));
                }
            }
            Class::RowTemporary | Class::Later(_) => {
                mail.attempts += 1;
                let asked = if let Class::Later(after) = refusal.class { delta(after) } else { TimeDelta::zero() };
                mail.next = now + row_pause(mail.attempts).max(asked);
                log::warn!("{text}; again after {}", mail.next.format("%H:%M:%S UTC"));
            }
            Class::RowDead => {
                mail.attempts += 1;
                mail.next = now + TRY_AGAIN;
                self.out.errors.push(text);
                let known = self.spec.alerts.destinations.iter().any(|to| to.name == mail.destination);
                if mail.attempts >= TRIES || !known {
                    return self.bury(mail, known, now).map(|()| false);
                }
            }
            Class::Content => return self.too_large(mail, text, now),
        }
        self.store.update_mail(mail).map(|()| false)
    }

    /// A post goes on in halves, then bare; one that is refused even so is left out, and a mail goes in a few words.
    fn too_large(&mut self, mail: &mut Mail, text: String, now: DateTime<Utc>) -> store::Result<bool> {
        if let Some((halves, first)) = letter::halves(self.spec, mail) {
            log::warn!("{text}; once more in two halves");
            return self.split(mail, halves, first, now).map(|()| true);
        }
        let bare = letter::bare(self.spec, mail);
        let at_once = bare.is_some();
        if let Some(other) = bare.or_else(|| letter::short(self.spec, mail, now)) {
            log::warn!("{text}; once more in a few words");
            (mail.message_id, mail.subject, mail.body) = (other.message_id, other.subject, other.bytes);
            (mail.short, mail.next) = (true, now);
            return self.store.rewrite_mail(mail).map(|()| at_once);
        }
        self.out.errors.push(text);
        let hook = letter::is_post(self.spec, mail);
        if hook && (self.behind(mail)?.next().is_some() || self.gets_through(mail, now)?) {
            // It counts as told, so that it is tried again when a reminder of it is due, and not in each run before all others.
            mail.state = MailState::Dead;
            return self.store.update_mail(mail).map(|()| true);
        }
        self.bury(mail, true, now).map(|()| false)
    }

    /// Whether a mailbox took something of what it was told in the last day.
    fn gets_through(&self, mail: &Mail, now: DateTime<Utc>) -> store::Result<bool> {
        let lately = |at: DateTime<Utc>| at > now - Pause::MAILBOX;
        for (told, _) in self.store.told()? {
            if (&told.destination, &told.recipient) != (&mail.destination, &mail.recipient) || !lately(told.at) {
                continue;
            }
            let took = |it: &Mail| it.state == MailState::Sent && key_of(it) == key_of(mail) && lately(it.created);
            if self.store.mails_telling(told.incident)?.iter().any(took) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A plan that takes back some mail to one mailbox, the last first: what it told is restored, what it summed up is
    /// summed up again, and an end that perhaps arrived is told once more.
    fn without(&self, lost: &[Mail], now: DateTime<Utc>) -> store::Result<Plan> {
        let mut plan = Plan::default();
        let known = tellings(self.store.told()?.iter().map(|(told, _)| told));
        let mut after = known.clone();
        for mail in lost.iter().rev() {
            restore(&mut after, mail);
            plan.mails.push(Mail { state: MailState::Superseded, ..mail.clone() });
        }
        // Also of what began again since: that was not told, and then a reminder or this end is.
        for mail in lost.iter().filter(|mail| mail.maybe) {
            for it in &mail.tells {
                let ended = self.store.incident(it.incident)?;
                if let Some(told) = ended.and_then(|incident| again(it, &incident, now)) {
                    after.insert((key_of(mail), told.incident), told);
                }
            }
        }
        difference(&mut plan, &known, &after, lost.iter());
        let unsummed: Vec<Option<DateTime<Utc>>> =
            lost.iter().map(|mail| unsummed(self.store, mail)).collect::<store::Result<_>>()?;
        if let (Some(mail), Some(first)) = (lost.first(), unsummed.into_iter().flatten().min()) {
            let mark = first - TimeDelta::milliseconds(1);
            plan.summaries.push((mail.destination.clone(), mail.recipient.clone(), mark));
        }
        Ok(plan)
    }

    /// What waits behind a mail for its mailbox.
    fn behind(&self, mail: &Mail) -> store::Result<impl Iterator<Item = Mail> + use<>> {
        let (id, key) = (mail.id, key_of(mail));
        Ok(self.store.queued()?.into_iter().filter(move |it| it.id > id && key_of(it) == key))
    }

    /// Puts two posts in the place of one that was too large. What waits behind it moves behind them, so that news of the
    /// same problem stays in order, the worst first, and nothing is taken back.
    fn split(&mut self, mail: &Mail, halves: [Written; 2], first: usize, now: DateTime<Utc>) -> store::Result<()> {
        let behind: Vec<Mail> = self.behind(mail)?.collect();
        let mut plan = Plan::default();
        let moved = std::iter::once(mail).chain(&behind);
        plan.mails.extend(moved.map(|it| Mail { state: MailState::Superseded, ..it.clone() }));
        let (one, two) = mail.tells.split_at(first.min(mail.tells.len()));
        for (half, tells) in halves.into_iter().zip([one, two]) {
            plan.mails.push(Mail {
                id: 0,
                message_id: half.message_id,
                subject: half.subject,
                body: half.bytes,
                attempts: 0,
                next: now,
                tells: tells.to_vec(),
                short: true,
                ..mail.clone()
            });
        }
        plan.mails.extend(behind.into_iter().map(|it| Mail { id: 0, ..it }));
        self.store.commit_plan(&plan)
    }

    /// Gives a mail up, and with it what follows it to this mailbox: what they told is restored, the mailbox is left
    /// alone for a day, and the alert about it goes to others.
    fn bury(&mut self, mail: &Mail, pause: bool, now: DateTime<Utc>) -> store::Result<()> {
        let lost: Vec<Mail> = std::iter::once(mail.clone()).chain(self.behind(mail)?).collect();
        let mut plan = self.without(&lost, now)?;
        plan.mails.iter_mut().filter(|it| it.id == mail.id).for_each(|it| it.state = MailState::Dead);
        if pause {
            let what = mailbox(&mail.destination, &mail.recipient);
            let since = self.since(&what, now);
            let failures = self.pauses.get(&what).map_or(0, |pause| pause.failures).saturating_add(1);
            plan.pauses.push(Pause { what, since, failures, until: now + Pause::MAILBOX, error: mail.error.clone() });
        }
        self.store.commit_plan(&plan)
    }

    /// What still waits, and for how long.
    fn end(mut self, now: DateTime<Utc>) -> store::Result<Delivered> {
        let queued = self.store.queued()?;
        self.out.waiting = queued.len();
        if let Some(oldest) = queued.iter().min_by_key(|mail| mail.created).filter(|mail| now - mail.created > LATE) {
            let paused = self.pauses.values().map(|pause| &pause.error);
            let error = std::iter::once(&oldest.error).chain(paused).find(|error| !error.is_empty());
            self.out.errors.push(format!(
                "mail to {} waits since {}{}",
                oldest.recipient,
                oldest.created.format("%Y-%m-%d %H:%M UTC"),
                error.map_or_else(String::new, |error| format!(": {error}"))
            ));
        }
        self.out.errors.dedup();
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_as_the_design_says() {
        assert_eq!([1, 2, 3, 4, 5, 6, 99].map(|n| line_pause(n).num_minutes()), [1, 2, 4, 8, 15, 30, 30]);
        assert_eq!([1, 2, 3, 4, 5, 99].map(|n| row_pause(n).num_minutes()), [1, 5, 15, 30, 60, 60]);
        assert!(line_pause(99) <= Pause::WAY && row_pause(99).max(TRY_AGAIN) <= LONGEST);
        assert!(TRY_AGAIN * (TRIES as i32 - 1) < TimeDelta::hours(1));
    }
}
