//! `fleet ack`: somebody takes a problem, so that it is not repeated to anybody.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::alerts::{find, stamp};
use super::show;
use crate::app::clock;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::config::calendar;
use crate::model::alert::{Ack, Event};
use crate::model::clean::clean;
use crate::store::Store;
use crate::view::{json, units};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Numbers, as `fleet alerts` lists them
    #[arg(required = true, value_name = "ID", value_parser = show::number)]
    ids: Vec<i64>,
    /// For how long (2h, 3d) or until when (2026-11-22T08:00 in UTC) [default: until the problem ends]
    #[arg(long, value_name = "SPAN|MOMENT")]
    until: Option<String>,
    /// Hold even when the problem gets worse
    #[arg(long)]
    sticky: bool,
    /// For the others
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// Who takes it [default: the login name]
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// What was taken, as JSON
    #[arg(long)]
    json: bool,
}

/// Who runs this, for records.
pub fn who(given: Option<String>) -> String {
    let login = || ["SUDO_USER", "LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok());
    let name = given.or_else(login).map(|name| clean(&name)).filter(|name| !name.trim().is_empty());
    name.unwrap_or_else(|| "somebody".to_owned())
}

/// A span from now, or a moment.
pub fn moment(text: &str, now: DateTime<Utc>, zone: &str) -> Result<DateTime<Utc>, Failure> {
    if let Ok(span) = units::span(text) {
        let span = TimeDelta::from_std(span).ok().and_then(|span| now.checked_add_signed(span));
        return span.ok_or_else(|| Failure::new(Exit::Usage, format!("\"{text}\" is too long; write 2h or 3d")));
    }
    calendar::moment(text, zone).map_err(|text| Failure::new(Exit::Usage, format!("{text}, or as a span: 2h, 3d")))
}

/// What somebody takes, and for how long.
#[derive(Debug)]
pub struct Taking<'a> {
    /// Numbers of open problems.
    pub ids: &'a [i64],
    /// Who, cleaned.
    pub by: &'a str,
    /// A span or a moment; `None`: until it ends.
    pub until: Option<&'a str>,
    /// Even when it gets worse.
    pub sticky: bool,
    /// For the others.
    pub note: &'a str,
}

/// Takes problems: all of them or, where something is wrong with one, none.
///
/// # Errors
/// [`Exit::Usage`] for what cannot be done, [`Exit::Store`].
pub fn take(store: &mut dyn Store, taking: &Taking<'_>, now: DateTime<Utc>) -> Result<(), Failure> {
    let until = taking.until.map(|text| moment(text, now, "UTC")).transpose()?;
    if let Some(until) = until.filter(|until| *until <= now) {
        let text = format!("{} is over already; give a later --until, or a span: --until 2h", stamp(until));
        return Err(Failure::new(Exit::Usage, text));
    }
    let (by, note) = (taking.by, clean(taking.note));
    // All are looked at before one is written.
    let incidents = taking.ids.iter().map(|id| find(store, *id)).collect::<Result<Vec<_>, _>>()?;
    if let Some((over, at)) = incidents.iter().find_map(|incident| Some((incident.id, incident.closed?))) {
        let text = format!("problem {over} ended on {}; see what is open: fleet alerts", stamp(at));
        return Err(Failure::new(Exit::Usage, text));
    }
    for incident in incidents {
        let (id, level, value) = (incident.id, incident.level, incident.value);
        let said = if note.is_empty() { String::new() } else { format!(": {note}") };
        let event = Event { incident: id, at: now, level, value, text: format!("taken by {by}{said}") };
        let sticky = taking.sticky;
        let ack = Ack { incident: id, by: by.to_owned(), at: now, until, sticky, level, note: note.clone() };
        store.acknowledge(&ack, &event)?;
    }
    Ok(())
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let spec = common.spec()?;
    let mut store = open_store(&spec)?;
    let (by, until) = (who(args.by), args.until.as_deref());
    let taking = Taking { ids: &args.ids, by: &by, until, sticky: args.sticky, note: &args.note };
    take(store.as_mut(), &taking, clock::now())?;
    if !args.json {
        return Ok(Exit::Done);
    }
    let acks = store.acks()?;
    let rows = acks.iter().filter(|ack| args.ids.contains(&ack.incident)).map(|ack| {
        json!({
            "id": ack.incident, "by": ack.by, "at": json::moment(ack.at), "until": ack.until.map(json::moment),
            "sticky": ack.sticky, "level": ack.level.word(), "note": ack.note,
        })
    });
    exit::print(&json::text(&json!({"version": 1, "rows": rows.collect::<Vec<_>>()})))
}
