//! The outbox: every destination in order, "maybe" committed before a send, the answer after it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::secrets;
use crate::model::alert::{Mail, MailState, Plan};
use crate::model::secret::Secret;
use crate::model::spec::{AlertSpec, FleetSpec};
use crate::notify::{self, Class, Parcel, Refusal, Session, Setup};
use crate::store::{self, Store};

/// For each stage of SMTP; after the final dot ten times as long.
pub const STAGE: std::time::Duration = std::time::Duration::from_secs(30);

/// Refusals of a recipient before a mail is given up.
const TRIES: u32 = 3;

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

/// 1, 2, 4, 8, 15, 30 minutes: the longer a mail has waited for the server, the longer the next pause.
fn pause(mail: &Mail, now: DateTime<Utc>) -> TimeDelta {
    let waited = (now - mail.created).num_minutes();
    let step = [30, 15, 8, 4, 2].into_iter().find(|&step| waited >= step);
    TimeDelta::minutes(step.unwrap_or(1))
}

/// The pauses of one recipient.
fn row_pause(attempts: u32) -> TimeDelta {
    TimeDelta::minutes([1, 5, 15, 30, 60].get(attempts.saturating_sub(1) as usize).copied().unwrap_or(60))
}

/// The SMTP password, if one is configured.
///
/// # Errors
/// What is wrong with its source, for people.
pub fn password(alerts: &AlertSpec) -> Result<Option<Secret>, String> {
    let source = alerts.smtp.as_ref().and_then(|smtp| smtp.password.as_ref());
    source.map(secrets::read).transpose()
}

/// Sessions of one run: opened once, and once only if that fails.
struct Lines<'a> {
    spec: &'a FleetSpec,
    open: BTreeMap<&'static str, Box<dyn Session>>,
    broken: BTreeMap<&'static str, Refusal>,
}

impl Lines<'_> {
    fn send(&mut self, mail: &Mail) -> Result<(), Refusal> {
        let setting = |text: String| Refusal { class: Class::Configuration, stage: "connect", text };
        let destination = self.spec.alerts.destinations.iter().find(|to| to.name == mail.destination);
        let destination = destination.ok_or_else(|| Refusal {
            class: Class::RowDead,
            stage: "connect",
            text: "the destination is no longer in the configuration".to_owned(),
        })?;
        let (channel, _) =
            notify::of(&destination.channel).ok_or_else(|| setting("no channel for this destination".to_owned()))?;
        let name = channel.name();
        if let Some(refusal) = self.broken.get(name) {
            return Err(refusal.clone());
        }
        let mut say = |line: &str| log::debug!("{name}: {line}");
        let result = match self.open.entry(name) {
            std::collections::btree_map::Entry::Occupied(open) => Ok(open.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                let password = if name == "smtp" {
                    password(&self.spec.alerts).map_err(|text| Refusal {
                        class: Class::Configuration,
                        stage: "auth",
                        text,
                    })
                } else {
                    Ok(None)
                };
                password
                    .and_then(|password| {
                        let smtp = self.spec.alerts.smtp.as_ref();
                        channel.open(&Setup { smtp, password: password.as_ref(), timeout: STAGE }, &mut say)
                    })
                    .map(|session| place.insert(session))
            }
        };
        let parcel = Parcel { recipient: &mail.recipient, message_id: &mail.message_id, bytes: &mail.body };
        let sent = result.and_then(|session| session.send(&parcel, &mut say));
        if let Err(refusal) = &sent
            && matches!(refusal.class, Class::Transport | Class::Configuration | Class::Ambiguous)
            && refusal.stage != "write"
        {
            self.open.remove(name);
            // What the line could not do for one it cannot do for the next; a lost answer says nothing of the line.
            if refusal.class != Class::Ambiguous {
                self.broken.insert(name, refusal.clone());
            }
        }
        sent
    }
}

/// Delivers what is due.
///
/// # Errors
/// The store's; a mail that was sent before it stays marked "maybe" and is sent again with the same Message-ID.
pub fn deliver(store: &mut dyn Store, spec: &FleetSpec, clock: &dyn Fn() -> DateTime<Utc>) -> store::Result<Delivered> {
    let mut out = Delivered::default();
    let mut lines = Lines { spec, open: BTreeMap::new(), broken: BTreeMap::new() };
    // A head that waits holds back what follows it, for its own recipient only.
    let mut held: BTreeSet<(String, String)> = BTreeSet::new();
    for mut mail in store.queued()? {
        let key = (mail.destination.clone(), mail.recipient.clone());
        let now = clock();
        if mail.next > now || held.contains(&key) {
            if !mail.error.is_empty() && now - mail.created > TimeDelta::minutes(15) {
                out.errors.push(format!(
                    "mail to {} waits since {}: {}",
                    mail.recipient,
                    mail.created.format("%Y-%m-%d %H:%M UTC"),
                    mail.error
                ));
            }
            held.insert(key);
            out.waiting += 1;
            continue;
        }
        let doubtful = mail.maybe;
        mail.maybe = true;
        store.update_mail(&mail)?;
        let sent = lines.send(&mail);
        let now = clock();
        match sent {
            Ok(()) => {
                (mail.state, mail.error) = (MailState::Sent, String::new());
                store.update_mail(&mail)?;
                out.sent += 1;
                log::info!("sent to {}: {}", mail.recipient, mail.subject);
            }
            Err(refusal) => {
                held.insert(key);
                mail.maybe = doubtful || refusal.class == Class::Ambiguous;
                refused(store, spec, &mut mail, &refusal, now, &mut out)?;
            }
        }
    }
    for (name, session) in &mut lines.open {
        session.close(&mut |line| log::debug!("{name}: {line}"));
    }
    out.errors.dedup();
    Ok(out)
}

fn refused(
    store: &mut dyn Store,
    spec: &FleetSpec,
    mail: &mut Mail,
    refusal: &Refusal,
    now: DateTime<Utc>,
    out: &mut Delivered,
) -> store::Result<()> {
    mail.error = format!("{}: {}", refusal.stage, refusal.text);
    let text = format!("mail to {} not delivered: {}", mail.recipient, mail.error);
    match refusal.class {
        Class::Transport | Class::Ambiguous => {
            mail.next = now + pause(mail, now);
            log::info!("{text}; again after {}", mail.next.format("%H:%M:%S UTC"));
            if now - mail.created > TimeDelta::minutes(15) {
                out.errors.push(text);
            }
        }
        Class::Configuration => {
            mail.next = now + pause(mail, now);
            out.errors.push(format!("{text}; nothing is lost; try with: fleet mail test --to {}", mail.destination));
        }
        Class::RowTemporary => {
            mail.attempts += 1;
            mail.next = now + row_pause(mail.attempts);
            log::warn!("{text}; again after {}", mail.next.format("%H:%M:%S UTC"));
        }
        Class::RowDead | Class::Content => {
            mail.attempts += 1;
            mail.next = now + TimeDelta::minutes(20);
            out.errors.push(text);
            let known = spec.alerts.destinations.iter().find(|to| to.name == mail.destination);
            if mail.attempts >= TRIES || known.is_none() {
                return bury(store, spec, mail);
            }
        }
    }
    out.waiting += 1;
    store.update_mail(mail)
}

/// Gives a mail up. Where nobody else of the destination had it, what was told is forgotten, so that a later run tells
/// it anew.
fn bury(store: &mut dyn Store, spec: &FleetSpec, mail: &mut Mail) -> store::Result<()> {
    (mail.state, mail.maybe) = (MailState::Dead, false);
    let mut plan = Plan { mails: vec![mail.clone()], ..Plan::default() };
    let destination = spec.alerts.destinations.iter().find(|to| to.name == mail.destination);
    let alone = destination.and_then(|to| notify::of(&to.channel)).is_none_or(|(_, all)| all.len() == 1);
    if alone {
        for (incident, before) in &mail.before {
            match before {
                Some(told) => plan.told.push(told.clone()),
                None => plan.untold.push((*incident, mail.destination.clone())),
            }
        }
    }
    store.commit_plan(&plan)
}
