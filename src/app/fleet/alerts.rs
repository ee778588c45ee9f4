//! `fleet alerts`: what is wrong now and was lately, and one problem in full.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::show::sentence;
use super::{mail, show, views};
use crate::alert::hush::Why;
use crate::alert::words;
use crate::app::alerter::quiet::Quiet;
use crate::app::alerter::world::World;
use crate::app::alerter::{self, plan::Stored};
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::{clock, snapshot};
use crate::model::alert::{Incident, Mail, MailState};
use crate::model::back;
use crate::model::level::Level;
use crate::model::next;
use crate::model::snapshot::{Limits, Snapshot};
use crate::model::spec::FleetSpec;
use crate::store::Store;
use crate::view::alerts::{Listed, view};
use crate::view::json;

/// Flags.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// The last problems that ended too
    #[arg(long)]
    recent: bool,
    #[command(flatten)]
    choice: views::Choice,
    #[command(flatten)]
    rows: show::RowArgs,
    #[command(flatten)]
    format: show::FormatArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Problems in full: their history, who was told what, and why each is in this state
    Show {
        /// Numbers, as `fleet alerts` lists them
        #[arg(required = true, value_name = "ID", value_parser = show::number)]
        ids: Vec<i64>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// The same as `fleet mail test`
    TestMail(mail::TestArgs),
}

/// How many ended problems `--recent` shows.
const RECENT: usize = 20;

pub fn run(common: &Common, args: Args) -> Outcome {
    match args.command {
        Some(Command::Show { ids, json }) => show_all(common, &ids, json),
        Some(Command::TestMail(test)) => mail::test(common, test),
        None => list(common, &args),
    }
}

/// The present truth and what is known of it, without moving either.
pub struct Present<'a> {
    pub world: World<'a>,
    pub stored: Stored,
    pub now: DateTime<Utc>,
}

impl<'a> Present<'a> {
    pub fn read(spec: &'a FleetSpec, store: &dyn Store) -> Result<Self, Failure> {
        let (states, open, acks) = (store.states()?, store.open_incidents()?, store.acks()?);
        let now = clock::now();
        Ok(Self {
            world: World::new(spec, states, open, acks, store.last_incident()?),
            stored: alerter::stored(store, now)?,
            now,
        })
    }

    pub fn quiet<'b>(&'b self, spec: &'b FleetSpec) -> Quiet<'b> {
        Quiet::new(spec, &self.world, &self.stored.silences, &self.stored.closed, self.now)
    }

    /// Why an open problem is in the state that it is, in sentences.
    pub fn why(&self, quiet: &Quiet<'_>, incident: &Incident) -> Vec<String> {
        let mut out = Vec::new();
        if let Some(why) = quiet.why(&incident.subject) {
            out.push(format!("Nothing of it is told now: {}.", why.sentence()));
        }
        if quiet.flaps(&incident.subject) {
            out.push(format!("{}.", capital(&Why::Flapping.sentence())));
        }
        if let Some(ack) = self.world.acks.get(&incident.id).filter(|ack| ack.holds(incident.level, self.now)) {
            let until = ack.until.map_or_else(|| "until it ends".to_owned(), |until| format!("until {}", stamp(until)));
            let sticky = if ack.sticky { "even if it gets worse" } else { "unless it gets worse" };
            let note = if ack.note.is_empty() { String::new() } else { format!(": {}", ack.note) };
            out.push(format!("{} took it on {}{note}; it is not repeated {until}, {sticky}.", ack.by, stamp(ack.at)));
        }
        let told = self.stored.told.iter().filter(|(told, _)| told.incident == incident.id && told.level > Level::Ok);
        let mut heard = false;
        for (told, _) in told {
            heard = true;
            out.push(format!(
                "{} <{}> was told of {} on {}.",
                told.destination,
                told.recipient,
                told.level,
                stamp(told.at)
            ));
        }
        if !heard && incident.closed.is_none() {
            out.push("Nobody was told of it yet.".to_owned());
        }
        out
    }
}

pub fn stamp(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn list(common: &Common, args: &Args) -> Outcome {
    let spec = common.spec()?;
    let store = open_store(&spec)?;
    let present = Present::read(&spec, store.as_ref())?;
    let filter = args.choice.filter(&spec)?;
    // To be asked for, a problem is seen with its host.
    let read = || snapshot::read(&spec, store.as_ref(), present.now, &filter, Limits::default());
    let fleet = (!filter.is_empty()).then(read).transpose()?;
    let hosts = fleet.as_ref().map(Snapshot::by_name).unwrap_or_default();
    let asked = |incident: &Incident| filter.incident(incident, hosts.get(incident.subject.host.as_str()).copied());
    let quiet = present.quiet(&spec);
    let mut open: Vec<&Incident> = present.world.incidents.values().collect();
    open.sort_by_key(|incident| (std::cmp::Reverse(incident.level), incident.id));
    let ever = (DateTime::UNIX_EPOCH, DateTime::<Utc>::MAX_UTC);
    let part = |before, most| store.ended(None, ever, before, most);
    let recent = args.recent.then(|| back::look(None, RECENT, part, |it| it.id, asked)).transpose()?;
    let ended = recent.iter().flat_map(|recent| &recent.found);
    let rows: Vec<Listed> = open
        .into_iter()
        .filter(|incident| asked(incident))
        .chain(ended)
        .map(|incident| {
            let ack =
                present.world.acks.get(&incident.id).filter(|ack| ack.holds(incident.level, present.now)).cloned();
            let told =
                present.stored.told.iter().any(|(told, _)| told.incident == incident.id && told.level > Level::Ok);
            let state = match (incident.ending, &ack, quiet.why(&incident.subject)) {
                (Some(ending), ..) => ending.word(),
                (_, Some(_), _) => "taken",
                (_, _, Some(Why::Silenced { .. })) => "silenced",
                (_, _, Some(_)) => "held back",
                _ if told => "told",
                _ => "not told",
            };
            Listed { incident: incident.clone(), name: words::name(&incident.subject), state: state.to_owned(), ack }
        })
        .collect();
    let format = args.format.format();
    if rows.is_empty() && format == show::Format::Table {
        let what = if filter.is_empty() { "no open problems" } else { "no open problem fits" };
        return exit::print(&format!("{what}; those that ended: fleet alerts --recent\n"));
    }
    let mut page = view(present.now, &rows);
    let wrong = page.wrong();
    args.rows.apply(&mut page, None)?;
    show::page(common, format, &page)?;
    Ok(if wrong { Exit::Partly } else { Exit::Done })
}

/// The incident of a number, or what to type instead.
pub fn find(store: &dyn Store, id: i64) -> Result<Incident, Failure> {
    store.incident(id)?.ok_or_else(|| {
        Failure::new(Exit::Usage, format!("no problem has the number {id}; see which there are: fleet alerts --recent"))
    })
}

fn show_all(common: &Common, ids: &[i64], as_json: bool) -> Outcome {
    let spec = common.spec()?;
    let store = open_store(&spec)?;
    let present = Present::read(&spec, store.as_ref())?;
    let quiet = present.quiet(&spec);
    let mut rows = Vec::new();
    let mut text = String::new();
    for &id in ids {
        let incident = find(store.as_ref(), id)?;
        let events = store.events(id)?;
        let mails = store.mails_telling(id)?;
        let why = if incident.closed.is_none() { present.why(&quiet, &incident) } else { Vec::new() };
        if as_json {
            rows.push(json!({
                "id": id, "level": incident.level.word(), "worst": incident.worst.word(),
                "host": incident.subject.host, "rule": incident.subject.rule, "item": incident.subject.item,
                "opened": json::moment(incident.opened), "closed": incident.closed.map(json::moment),
                "ending": incident.ending.map(|ending| ending.word()), "value": incident.value, "text": incident.text,
                "why": why,
                "events": events.iter().map(|event| json!({
                    "at": json::moment(event.at), "level": event.level.word(), "value": event.value, "text": event.text,
                })).collect::<Vec<Value>>(),
                "mails": mails.iter().map(|mail| json!({
                    "at": json::moment(mail.created), "destination": mail.destination, "recipient": mail.recipient,
                    "subject": mail.subject, "state": mail.state.word(), "message_id": mail.message_id,
                    "error": mail.error,
                })).collect::<Vec<Value>>(),
            }));
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        let next = next::commands(&incident, incident.closed.is_some());
        let next = next.into_iter().map(|(what, command)| format!("{what}: {command}")).collect();
        let title = format!("{} [{}] {}", id, incident.level.tag(), words::name(&incident.subject));
        let history = events.iter().map(|event| format!("{} {:<4} {}", stamp(event.at), event.level.tag(), event.text));
        let parts = [
            (title, vec![incident.text.clone()]),
            ("History:".to_owned(), history.collect()),
            ("Mails:".to_owned(), mails.iter().map(|mail| sent(mail, id)).collect()),
            ("Now:".to_owned(), why),
            ("Next:".to_owned(), next),
        ];
        for (heading, lines) in parts.into_iter().filter(|(_, lines)| !lines.is_empty()) {
            sentence(&heading, "", &mut text);
            lines.iter().for_each(|line| sentence(line, "  ", &mut text));
        }
    }
    exit::print(&if as_json { json::text(&json!({"version": 1, "rows": rows})) } else { text })
}

fn sent(mail: &Mail, id: i64) -> String {
    let what = mail.tells.iter().find(|it| it.incident == id).map_or("", |it| it.action.as_str());
    let state = match mail.state {
        MailState::Queued if mail.error.is_empty() => "waits".to_owned(),
        MailState::Queued => format!("waits: {}", mail.error),
        MailState::Sent => "accepted".to_owned(),
        MailState::Dead => format!("given up: {}", mail.error),
        MailState::Superseded => "replaced by a newer one".to_owned(),
    };
    format!("{} {what} to {} <{}>, {state}", stamp(mail.created), mail.destination, mail.recipient)
}
