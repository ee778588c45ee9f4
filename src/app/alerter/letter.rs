//! The words of a mail: what, where, since when, value and threshold, and how to look further.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::alert::reconcile::Action;
use crate::alert::words;
use crate::model::alert::{Ending, Incident, Mail, Told};
use crate::model::clean::is_hostile;
use crate::model::level::Level;
use crate::model::spec::{ChannelSpec, DestinationSpec, FleetSpec};
use crate::notify;
use crate::notify::message::{Letter, compose};

/// Lines of one mail.
const MAX_LINES: usize = 200;

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

/// Draws the last points of an incident's metric.
pub type History<'a> = &'a dyn Fn(&Incident) -> Option<String>;

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
    spec: &'a FleetSpec,
    now: DateTime<Utc>,
    history: History<'a>,
}

impl<'a> Letters<'a> {
    pub fn new(spec: &'a FleetSpec, now: DateTime<Utc>, history: History<'a>) -> Self {
        Self { spec, now, history }
    }

    /// A letter for each thread, or one digest where there are more than the cap; each with what it tells.
    pub fn write<'e>(
        &mut self,
        destination: &DestinationSpec,
        recipient: &str,
        entries: &'e [Entry],
        summary: &[Incident],
        cap: usize,
    ) -> Vec<(Written, &'e [Entry])> {
        let threads = entries.len() + usize::from(!summary.is_empty());
        if threads > cap {
            return vec![(self.letter(destination, recipient, entries, summary), entries)];
        }
        let mut out: Vec<_> =
            entries.chunks(1).map(|one| (self.letter(destination, recipient, one, &[]), one)).collect();
        if !summary.is_empty() {
            out.push((self.letter(destination, recipient, &[], summary), &[]));
        }
        out
    }

    fn letter(&self, to: &DestinationSpec, recipient: &str, entries: &[Entry], summary: &[Incident]) -> Written {
        // All recipients of a destination who hear the same get the same mail.
        let recipients = notify::of(&to.channel).map_or_else(|| vec![recipient.to_owned()], |(_, all)| all);
        let letter = letter(self.spec, to, &recipients, entries, summary, self.history);
        let (message_id, bytes) = compose(&letter, self.now);
        Written { message_id, subject: letter.subject, bytes }
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

fn line(entry: &Entry) -> String {
    let incident = &entry.incident;
    let since = incident.opened.format("%Y-%m-%d %H:%M UTC");
    let news = match (entry.action, incident.ending) {
        (Action::Recovered, Some(Ending::Gone | Ending::Config)) => "no longer monitored",
        (Action::Problem, _) => "new",
        (Action::Flapping, _) => "comes and goes: told again once it settles",
        (action, _) => action.word(),
    };
    let ended = incident.closed.map_or_else(String::new, |at| format!(" until {}", at.format("%Y-%m-%d %H:%M UTC")));
    let text = format!(
        "{:<4} {}: {} ({news}, since {since}{ended})",
        tag(entry),
        words::name(&incident.subject),
        incident.text
    );
    // One problem is one line, whatever a host calls its things.
    text.chars().map(|c| if is_hostile(c) { '?' } else { c }).collect()
}

/// A problem that nobody was told of while it stood.
fn passed(incident: &Incident) -> String {
    let at = |at: &DateTime<Utc>| at.format("%m-%d %H:%M").to_string();
    let until = incident.closed.as_ref().map_or_else(String::new, at);
    let text = format!(
        "{:<4} {} from {} until {until} UTC",
        incident.worst.tag(),
        words::name(&incident.subject),
        at(&incident.opened)
    );
    text.chars().map(|c| if is_hostile(c) { '?' } else { c }).collect()
}

/// The letter of one destination.
fn letter(
    spec: &FleetSpec,
    destination: &DestinationSpec,
    recipients: &[String],
    entries: &[Entry],
    summary: &[Incident],
    history: History<'_>,
) -> Letter {
    let mut text: Vec<String> = Vec::new();
    if let Some(first) = entries.first() {
        let subject = &first.incident.subject;
        let look = match subject.rule.as_str() {
            words::UNREACHABLE | words::SILENT => format!("fleet hosts test {}", subject.host),
            _ if subject.host.is_empty() => "fleet health".to_owned(),
            rule if words::BUILT_IN.contains(&rule) => format!("fleet explain {}", subject.host),
            metric => format!("fleet history {} {metric}", subject.host),
        };
        text.push(format!("Look further with: fleet status, or: {look}"));
        text.push(String::new());
    }
    for entry in entries.iter().take(MAX_LINES) {
        text.push(line(entry));
        // A long list is read as a list.
        if entries.len() <= 20
            && let Some(history) = history(&entry.incident)
        {
            text.push(format!("     {history}"));
        }
    }
    if entries.len() > MAX_LINES {
        text.push(format!("and {} more", entries.len() - MAX_LINES));
    }
    if !summary.is_empty() {
        text.push("Opened and closed since the last summary, too short to be told:".to_owned());
        text.extend(summary.iter().take(MAX_LINES).map(passed));
        if summary.len() > MAX_LINES {
            text.push(format!("and {} more", summary.len() - MAX_LINES));
        }
    }
    text.push(String::new());
    text.push("-- ".to_owned());
    text.push(format!("fleet-health, told to {}", destination.name));
    let mut headers = vec![(
        "X-Fleet-Severity",
        entries.iter().map(|entry| entry.incident.level).max().unwrap_or_default().word().to_owned(),
    )];
    let mut thread = None;
    if let [one] = entries {
        headers.push(("X-Fleet-Host", one.incident.subject.host.clone()));
        headers.push(("X-Fleet-Rule", one.incident.subject.rule.clone()));
        headers.push(("X-Fleet-Incident", one.incident.id.to_string()));
        thread = Some(format!("incident-{}", one.thread));
    }
    let to = match &destination.channel {
        ChannelSpec::Mail(_) => recipients.to_vec(),
        ChannelSpec::Directory(_) => vec![format!("{}@fleet-health.invalid", destination.name)],
    };
    let from = spec.alerts.smtp.as_ref().map_or("fleet-health <fleet@fleet-health.invalid>", |smtp| smtp.from.as_str());
    Letter { from: from.to_owned(), to, subject: subject(entries, summary), headers, thread, text: text.join("\n") }
}

/// The few words that take the place of a mail that the server did not want.
pub fn short(spec: &FleetSpec, mail: &Mail, now: DateTime<Utc>) -> Written {
    let numbers: Vec<String> = mail.tells.iter().take(20).map(|it| it.incident.to_string()).collect();
    let smtp = spec.alerts.smtp.as_ref();
    let letter = Letter {
        from: smtp.map_or("fleet-health <fleet@fleet-health.invalid>", |smtp| smtp.from.as_str()).to_owned(),
        to: vec![mail.recipient.clone()],
        subject: mail.subject.clone(),
        text: format!(
            "The mail server did not take the whole mail ({}).\nIt was about: {}\nRead it with: fleet alerts show {}",
            mail.error,
            mail.subject,
            numbers.join(" ")
        ),
        ..Letter::default()
    };
    let (message_id, bytes) = compose(&letter, now);
    Written { message_id, subject: letter.subject, bytes }
}
