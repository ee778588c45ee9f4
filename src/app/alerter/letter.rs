//! Letters: what a destination is sent of what it must hear, as mail or as JSON.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::alert::reconcile::Action;
use crate::alert::words;
use crate::model::alert::{Incident, Mail, Told};
use crate::model::level::Level;
use crate::model::spec::{ChannelSpec, DestinationSpec, FleetSpec};
use crate::notify;
use crate::notify::message::{Letter, Picture, compose};
use crate::notify::picture::draw;

mod hook;
mod html;
pub mod look;
mod page;
mod plain;
mod time;

use look::Look;
use page::{Page, Section, Writer};
use time::Zone;

/// Who writes where the configuration names nobody.
const NOBODY: &str = "fleet-health <fleet@fleet-health.invalid>";
/// The picture's name inside a mail.
const PICTURE: &str = "history@fleet-health.invalid";

/// One thing that a mail tells.
pub struct Entry {
    /// What kind of news it is.
    pub action: Action,
    /// Of what.
    pub incident: Incident,
    /// What the recipient knew.
    pub before: Option<Told>,
    /// The incident whose mails began the thread.
    pub thread: i64,
}

/// A letter as it goes over the wire.
pub struct Written {
    /// Derived from the content.
    pub message_id: String,
    /// For lists.
    pub subject: String,
    /// The whole message.
    pub bytes: Vec<u8>,
}

/// Writes the letters of one run.
pub struct Letters<'a> {
    writer: Writer<'a>,
}

impl<'a> Letters<'a> {
    /// `open` is what is wrong in the fleet.
    pub fn new(spec: &'a FleetSpec, now: DateTime<Utc>, look: &'a dyn Look, open: &'a [&'a Incident]) -> Self {
        Self { writer: Writer { spec, now, zone: Zone::of(&spec.alerts), look, open } }
    }

    /// A letter for each thread, or one digest where there are more than the cap; each with what it tells, and what it sums
    /// up. A digest for a webhook is as many posts as hold all of it.
    pub fn write<'e>(
        &mut self,
        destination: &DestinationSpec,
        recipient: &str,
        entries: &'e [Entry],
        summary: &'e [Incident],
        cap: usize,
    ) -> Vec<(Written, &'e [Entry], &'e [Incident])> {
        // A person reads the worst and that there is more; a program never hears of what is left out, nor that it ended.
        let most = if let ChannelSpec::Webhook(_) = destination.channel { page::MAX_LINES } else { usize::MAX };
        let threads = entries.len() + usize::from(!summary.is_empty());
        let mut parts: Vec<(&'e [Entry], &'e [Incident])> = Vec::new();
        if threads > cap {
            let posts = entries.len().max(summary.len()).div_ceil(most);
            parts.extend((0..posts).map(|n| (part(entries, n, most), part(summary, n, most))));
        } else {
            parts.extend(entries.chunks(1).map(|one| (one, &[] as &[Incident])));
            parts.extend(summary.chunks(most).map(|some| (&[] as &[Entry], some)));
        }
        let written = parts
            .into_iter()
            .filter_map(|(told, passed)| Some((self.letter(destination, recipient, told, passed)?, told, passed)));
        written.collect()
    }

    fn letter(
        &self,
        to: &DestinationSpec,
        recipient: &str,
        entries: &[Entry],
        summary: &[Incident],
    ) -> Option<Written> {
        let Writer { spec, now, look, .. } = self.writer;
        let subject = subject(entries, summary);
        if let ChannelSpec::Webhook(hook) = &to.channel {
            return hook::Post { spec, destination: to, now, subject, entries, summary }.write(hook.format);
        }
        let page = self.writer.page(&to.name, entries, summary);
        let mut letter = Letter { headers: headers(entries), ..letter(spec, to, recipient, subject, &page) };
        // Only what this recipient had before makes a thread.
        if let [Entry { before: Some(_), thread, .. }] = entries {
            letter.root = look.root(&to.name, recipient, *thread);
        }
        Some(sealed(&letter, now))
    }
}

/// One of the parts of so many.
fn part<T>(all: &[T], number: usize, most: usize) -> &[T] {
    all.chunks(most).nth(number).unwrap_or_default()
}

fn sealed(letter: &Letter, now: DateTime<Utc>) -> Written {
    let (message_id, bytes) = compose(letter, now);
    Written { message_id, subject: letter.subject.clone(), bytes }
}

fn headers(entries: &[Entry]) -> Vec<(&'static str, String)> {
    let level = entries.iter().map(|entry| entry.incident.level).max().unwrap_or_default();
    let mut headers = vec![("X-Fleet-Severity", level.word().to_owned())];
    if let [one] = entries {
        headers.push(("X-Fleet-Host", one.incident.subject.host.clone()));
        headers.push(("X-Fleet-Rule", one.incident.subject.rule.clone()));
        headers.push(("X-Fleet-Incident", one.incident.id.to_string()));
    }
    headers.retain(|(_, value)| !value.is_empty());
    headers
}

/// The page as a mail to a destination.
fn letter(spec: &FleetSpec, to: &DestinationSpec, recipient: &str, subject: String, page: &Page) -> Letter {
    let chart = page.sections.iter().find_map(|part| match part {
        Section::Past(past) => draw(&past.chart),
        _ => None,
    });
    let html = html::render(page, chart.as_ref().map(|_| PICTURE));
    let pictures = chart.into_iter().map(|png| Picture { cid: PICTURE.to_owned(), png }).collect();
    Letter {
        from: sender(spec, &to.channel).to_owned(),
        to: addressees(to, recipient),
        subject,
        text: plain::render(page),
        html,
        pictures,
        ..Letter::default()
    }
}

fn sender<'s>(spec: &'s FleetSpec, channel: &'s ChannelSpec) -> &'s str {
    match channel {
        ChannelSpec::Sendmail(it) => &it.from,
        _ => spec.alerts.smtp.as_ref().map_or(NOBODY, |smtp| smtp.from.as_str()),
    }
}

/// All recipients of a destination who hear the same get the same mail.
fn addressees(to: &DestinationSpec, recipient: &str) -> Vec<String> {
    match &to.channel {
        ChannelSpec::Directory(_) => vec![format!("{}@fleet-health.invalid", to.name)],
        channel => notify::of(channel).map_or_else(|| vec![recipient.to_owned()], |(_, all)| all),
    }
}

fn tag(entry: &Entry) -> &'static str {
    if entry.action == Action::Recovered { Level::Ok.tag() } else { entry.incident.level.tag() }
}

fn plural(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

fn subject(entries: &[Entry], summary: &[Incident]) -> String {
    let Some(first) = entries.first() else {
        return format!("[OK] {} came and went", plural(summary.len(), "problem"));
    };
    if entries.len() == 1 {
        return format!("[{}] {}", tag(first), words::name(&first.incident.subject));
    }
    let ended = entries.iter().filter(|entry| entry.action == Action::Recovered).count();
    let hosts: BTreeSet<&str> = entries
        .iter()
        .filter(|entry| ended == entries.len() || entry.action != Action::Recovered)
        .map(|entry| entry.incident.subject.host.as_str())
        .collect();
    let hosts = plural(hosts.len(), "host");
    match entries.len() - ended {
        0 => format!("[{}] {ended} ended on {hosts}", tag(first)),
        1 => format!("[{}] {}, {ended} ended", tag(first), words::name(&first.incident.subject)),
        open if ended == 0 => format!("[{}] {open} problems on {hosts}", tag(first)),
        open => format!("[{}] {open} problems on {hosts}, {ended} ended", tag(first)),
    }
}

fn destination<'s>(spec: &'s FleetSpec, mail: &Mail) -> Option<&'s DestinationSpec> {
    spec.alerts.destinations.iter().find(|to| to.name == mail.destination)
}

/// A post that was too large as two that tell the same, with how many of its tellings are in the first; `None` where it
/// tells one thing, or is no post.
pub fn halves(spec: &FleetSpec, mail: &Mail) -> Option<([Written; 2], usize)> {
    match &destination(spec, mail)?.channel {
        ChannelSpec::Webhook(hook) => hook::halves(hook.format, &mail.subject, &mail.body),
        _ => None,
    }
}

/// Whether it is a post to a webhook.
pub fn is_post(spec: &FleetSpec, mail: &Mail) -> bool {
    matches!(destination(spec, mail).map(|to| &to.channel), Some(ChannelSpec::Webhook(_)))
}

/// A post that was too large and cannot be halved without all that may be long in it; `None` where it is that already, or
/// no post.
pub fn bare(spec: &FleetSpec, mail: &Mail) -> Option<Written> {
    match &destination(spec, mail)?.channel {
        ChannelSpec::Webhook(hook) => hook::bare(hook.format, &mail.subject, &mail.body),
        _ => None,
    }
}

/// The few words that take the place of a mail that the server did not want; a post has none, for a program would take
/// them for a problem without an end.
pub fn short(spec: &FleetSpec, mail: &Mail, now: DateTime<Utc>) -> Option<Written> {
    let to = destination(spec, mail);
    if mail.short || is_post(spec, mail) {
        return None;
    }
    let numbers: Vec<String> = mail.tells.iter().take(20).map(|it| it.incident.to_string()).collect();
    let text = format!(
        "The server did not take the whole mail ({}).\nIt was about: {}\nRead it with: fleet alerts show {}",
        mail.error,
        mail.subject,
        numbers.join(" ")
    );
    let from = to.map_or(NOBODY, |to| sender(spec, &to.channel)).to_owned();
    let (to, subject) = (vec![mail.recipient.clone()], mail.subject.clone());
    Some(sealed(&Letter { from, to, subject, text, ..Letter::default() }, now))
}

/// What `fleet mail test` sends.
pub fn test(spec: &FleetSpec, to: &DestinationSpec, now: DateTime<Utc>) -> Written {
    let zone = Zone::of(&spec.alerts);
    let subject = "[OK] fleet-health test mail".to_owned();
    // With its time to the millisecond: what is the same to the letter is one mail to a server, and shown once.
    let when = format!("{} ({})", zone.moment(now), now.format("%T%.3f UTC"));
    let text = format!("This is the test that `fleet mail test` sent to {}.", to.name);
    if let ChannelSpec::Webhook(hook) = &to.channel {
        return hook::test(to, hook.format, &subject, &format!("{text} {when}"), now);
    }
    let page = Page {
        title: "fleet-health test mail".to_owned(),
        lead: vec![text, format!("Sent on {when}.")],
        sections: vec![Section::Commands(vec![("See who is told what with", "fleet explain HOST".to_owned())])],
        foot: format!("fleet-health, told to {}", to.name),
        ..Page::default()
    };
    sealed(&letter(spec, to, "", subject, &page), now)
}

#[cfg(test)]
mod tests;
