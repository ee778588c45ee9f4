//! The words of a mail: what, where, since when, value and threshold, and how to look further.

use std::collections::BTreeSet;

use crate::alert::reconcile::Action;
use crate::alert::words;
use crate::model::alert::{Ending, Incident, Told};
use crate::model::level::Level;
use crate::model::spec::{ChannelSpec, DestinationSpec, FleetSpec};
use crate::notify::message::Letter;

/// Lines of one mail.
const MAX_LINES: usize = 200;

/// One thing that a mail tells.
pub struct Entry {
    /// What kind of news it is.
    pub action: Action,
    /// Of what.
    pub incident: Incident,
    /// What the destination knew.
    pub before: Option<Told>,
}

fn tag(entry: &Entry) -> &'static str {
    if entry.action == Action::Recovered { Level::Ok.tag() } else { entry.incident.level.tag() }
}

fn plural(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

fn subject(entries: &[Entry]) -> String {
    let Some(first) = entries.first() else { return String::new() };
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
        (action, _) => action.word(),
    };
    let ended = incident.closed.map_or_else(String::new, |at| format!(" until {}", at.format("%Y-%m-%d %H:%M UTC")));
    format!("{:<4} {}: {} ({news}, since {since}{ended})", tag(entry), words::name(&incident.subject), incident.text)
}

/// The letter of one destination.
pub fn letter(
    spec: &FleetSpec,
    destination: &DestinationSpec,
    recipients: &[String],
    entries: &[Entry],
    history: &dyn Fn(&Incident) -> Option<String>,
) -> Letter {
    let mut text: Vec<String> = Vec::new();
    if let Some(first) = entries.first() {
        let subject = &first.incident.subject;
        let look = match subject.rule.as_str() {
            words::UNREACHABLE | words::SILENT => format!("fleet hosts test {}", subject.host),
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
        thread = Some(format!("incident-{}-{}", one.incident.id, one.incident.opened.timestamp()));
    }
    let to = match &destination.channel {
        ChannelSpec::Mail(_) => recipients.to_vec(),
        ChannelSpec::Directory(_) => vec![format!("{}@fleet-health.invalid", destination.name)],
    };
    let from = spec.alerts.smtp.as_ref().map_or("fleet-health <fleet@fleet-health.invalid>", |smtp| smtp.from.as_str());
    Letter { from: from.to_owned(), to, subject: subject(entries), headers, thread, text: text.join("\n") }
}
