//! `fleet silence`: maintenance windows, once or every week.

use chrono::{DateTime, Utc};

use super::ack::{moment, who};
use super::alerts::stamp;
use super::show;
use crate::alert::calendar::{holds, lives};
use crate::alert::words::BUILT_IN;
use crate::app::clock;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::config::{calendar, suggest};
use crate::model::clean::clean;
use crate::model::pattern::matches;
use crate::model::rule;
use crate::model::silence::{Scope, Silence, When};
use crate::model::spec::FleetSpec;
use crate::view::Page;
use crate::view::alerts::{covers, silences};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Tell nothing of some hosts, groups, services or rules for a time; what ends meanwhile is told all the same
    Add {
        #[command(flatten)]
        order: Box<Add>,
        /// The silence as JSON
        #[arg(long)]
        json: bool,
    },
    /// Those that hold or will
    List {
        /// Those that are over too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        format: show::FormatArgs,
    },
    /// End one before its time
    End {
        /// Its number, as `fleet silence list` shows it
        #[arg(value_name = "ID", value_parser = show::number)]
        id: i64,
        /// The silence as JSON
        #[arg(long)]
        json: bool,
    },
}

/// A silence as it is ordered, by flags or by a form of the dashboard.
#[derive(Debug, Default, clap::Args)]
#[group(skip)]
pub struct Add {
    /// Hosts, patterns allowed; may be given several times
    #[arg(long, value_name = "GLOB")]
    pub host: Vec<String>,
    /// Groups; may be given several times
    #[arg(long, value_name = "GROUP")]
    pub group: Vec<String>,
    /// Services, patterns allowed; may be given several times
    #[arg(long, value_name = "SERVICE")]
    pub service: Vec<String>,
    /// Rules (metrics), patterns allowed; may be given several times
    #[arg(long, value_name = "RULE")]
    pub rule: Vec<String>,
    /// The whole fleet
    #[arg(long, conflicts_with_all = ["host", "group", "service", "rule"])]
    pub all: bool,
    /// For how long from its start: 90m, 2h, 3d
    #[arg(long = "for", value_name = "SPAN", conflicts_with = "until")]
    pub span: Option<String>,
    /// Its start: 2026-11-22T02:00 [default: now]
    #[arg(long, value_name = "MOMENT")]
    pub from: Option<String>,
    /// Its end: 2026-11-22T04:00
    #[arg(long, value_name = "MOMENT")]
    pub until: Option<String>,
    /// Every week on these days: sun, mon-fri, "sat sun"
    #[arg(long, value_name = "DAYS", conflicts_with_all = ["span", "from", "until"])]
    pub days: Option<String>,
    /// Every week at these hours: 02:00-04:00
    #[arg(long, value_name = "HOURS", conflicts_with_all = ["span", "from", "until"])]
    pub hours: Option<String>,
    /// The zone of days, hours and moments: Europe/Paris
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub time_zone: String,
    /// Why, for the others
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Who [default: the login name]
    #[arg(long, value_name = "WHO")]
    pub by: Option<String>,
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let spec = common.spec()?;
    let mut store = open_store(&spec)?;
    let now = clock::now();
    match args.action {
        Action::Add { order, json } => {
            let made = silence(&spec, *order, now)?;
            let id = store.add_silence(&made)?;
            if json {
                return show::page(common, show::Format::Json, &listed([Silence { id, ..made }], now));
            }
            exit::print(&format!("silence {id} over {}; end it with: fleet silence end {id}\n", covers(&made)))
        }
        Action::List { all, format } => {
            let list = store.silences()?.into_iter().chain(spec.silences.clone());
            let list: Vec<_> = list.filter(|it| all || lives(it, now)).collect();
            if list.is_empty() && format.format() == show::Format::Table {
                return exit::print("no silences; add one with: fleet silence add --host NAME --for 2h --reason WHY\n");
            }
            show::page(common, format.format(), &listed(list, now))
        }
        Action::End { id, json } => {
            let ended = store.end_silence(id, now)?;
            match store.silences()?.into_iter().find(|silence| silence.id == id) {
                Some(silence) if ended && json => show::page(common, show::Format::Json, &listed([silence], now)),
                Some(_) if ended => Ok(Exit::Done),
                Some(_) => Err(usage(format!("silence {id} is over already; see which hold: fleet silence list"))),
                None => Err(usage(format!("no silence has the number {id}; see which there are: fleet silence list"))),
            }
        }
    }
}

/// Silences with what each does now.
fn listed(list: impl IntoIterator<Item = Silence>, now: DateTime<Utc>) -> Page {
    let state = |silence: &Silence| match (holds(silence, now), silence.ended, lives(silence, now)) {
        (Some(_), ..) => "holds",
        (_, Some(_), _) => "ended",
        (.., true) => "waits",
        _ => "over",
    };
    let list: Vec<_> = list.into_iter().map(|silence| (silence.clone(), state(&silence))).collect();
    silences(&list)
}

fn usage(text: impl Into<String>) -> Failure {
    Failure::new(Exit::Usage, text)
}

/// Each word must fit something that is there, or nothing would ever be silenced by it.
fn known(flag: &str, words: &[String], names: &[&str], wild: bool) -> Result<(), Failure> {
    for word in words {
        let fits = names.iter().any(|name| if wild { matches(word, name) } else { name == word });
        if !fits {
            let mend = suggest(word, names.iter().copied(), "it is nowhere in the configuration");
            return Err(usage(format!("--{flag}: there is no {flag} \"{}\"; {mend}", clean(word))));
        }
        if word.split_whitespace().count() != 1 {
            return Err(usage(format!(
                "--{flag}: \"{}\" is more than one word; give the flag several times",
                clean(word)
            )));
        }
    }
    Ok(())
}

/// The silence that is meant.
///
/// # Errors
/// [`Exit::Usage`] with what is wrong and what to write instead.
pub fn silence(spec: &FleetSpec, add: Add, now: DateTime<Utc>) -> Result<Silence, Failure> {
    let hosts: Vec<&str> = spec.hosts.iter().map(|host| host.name.as_str()).collect();
    let groups: Vec<&str> = spec.hosts.iter().flat_map(|host| &host.groups).map(String::as_str).collect();
    let named = rule::names();
    let rules: Vec<&str> = named.iter().map(String::as_str).chain(BUILT_IN.iter().copied()).collect();
    known("host", &add.host, &hosts, true)?;
    known("group", &add.group, &groups, false)?;
    let services = spec.hosts.iter().flat_map(|host| &host.services);
    known("service", &add.service, &services.map(|it| it.name.as_str()).collect::<Vec<_>>(), true)?;
    known("rule", &add.rule, &rules, true)?;
    let scope = Scope { hosts: add.host, groups: add.group, services: add.service, rules: add.rule };
    if scope == Scope::default() && !add.all {
        return Err(usage(
            "a silence over what? give --host, --group, --service or --rule, or --all for the whole fleet",
        ));
    }
    let when = if add.days.is_some() || add.hours.is_some() {
        let zone = Some(add.time_zone.as_str());
        When::Weekly(calendar::calendar(add.days.as_deref(), add.hours.as_deref(), zone).map_err(usage)?)
    } else {
        let from = add.from.as_deref().map_or(Ok(now), |text| moment(text, now, &add.time_zone))?;
        let until = match (&add.span, &add.until) {
            (Some(span), _) => moment(span, from, &add.time_zone)?,
            (_, Some(until)) => moment(until, now, &add.time_zone)?,
            _ => return Err(usage("until when? give --for 2h, --until 2026-11-22T04:00, or --days and --hours")),
        };
        if until <= from {
            let text = format!("this silence ends ({}) before it starts ({})", stamp(until), stamp(from));
            return Err(usage(format!("{text}; give a later --until, or its length with --for 2h")));
        }
        if until <= now {
            return Err(usage(format!("this silence was over on {}; give a later --until", stamp(until))));
        }
        When::Once { from, until }
    };
    let reason = clean(&add.reason);
    if reason.trim().is_empty() {
        return Err(usage("--reason must say something"));
    }
    Ok(Silence { id: 0, scope, when, by: who(add.by), reason, created: now, ended: None })
}
