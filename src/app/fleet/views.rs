//! The commands of `view::VIEWS`: one for each view, with the flags that it has a use for.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use clap::{ArgMatches, Args as _, Command, Error, FromArgMatches};

use super::show;
use crate::alert::words;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::{clock, snapshot};
use crate::config;
use crate::model::clean::clean;
use crate::model::filter::{Field, Filter};
use crate::model::metric::Unit;
use crate::model::sample::Process;
use crate::model::snapshot::{Limits, Problem, Snapshot};
use crate::model::spec::{FleetSpec, HostSpec, RuleSpec};
use crate::model::{amount, pattern};
use crate::store::Store;
use crate::view::alerts::{self, Listed};
use crate::view::{self, Facts, Needs, Page, VIEWS, View, json};

/// Under the help of a table that says by its exit code what it shows.
pub const TELLS: &str = "Exit code 3: something that is shown is wrong.";

/// Which hosts are shown.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Choice {
    /// Only hosts whose name matches; may be given several times
    #[arg(long, value_name = "GLOB")]
    host: Vec<String>,
    /// Only hosts of this group; may be given several times
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// Only what fits: 'web* group=eu service=shop label=tier=db level>=warning cpu.used>80%'
    #[arg(long, value_name = "FILTER", value_parser = Filter::parse)]
    filter: Option<Filter>,
}

impl Choice {
    /// All of it as one filter.
    ///
    /// # Errors
    /// A name, group, service or label that no host of the configuration has: a fleet of which nothing is shown, because a
    /// letter is wrong, must not look as if all were well.
    pub fn filter(&self, spec: &FleetSpec) -> Result<Filter, Failure> {
        let filter = self.filter.clone().unwrap_or_default().and(&self.host, &self.group);
        if spec.hosts.is_empty() || filter.is_empty() {
            return Ok(filter);
        }
        if let Some((field, text)) = filter.nowhere(&snapshot::configured(spec, clock::now()).hosts) {
            return Err(nowhere(spec, field, &text));
        }
        let named = |host: &HostSpec| {
            (self.host.is_empty() || self.host.iter().any(|glob| pattern::matches(glob, &host.name)))
                && (self.group.is_empty()
                    || self.group.iter().any(|glob| host.groups.iter().any(|it| pattern::matches(glob, it))))
        };
        if !spec.hosts.iter().any(named) {
            return Err(Failure::new(Exit::Usage, "no host matches; see which there are: fleet hosts list"));
        }
        Ok(filter)
    }

    /// Keeps the names of hosts that are meant. One that is not configured any more can be chosen by its name only.
    ///
    /// # Errors
    /// As [`Choice::filter`], and the store's.
    pub fn retain(
        &self,
        spec: &FleetSpec,
        store: &dyn Store,
        now: DateTime<Utc>,
        names: &mut Vec<String>,
    ) -> Result<(), Failure> {
        if self.group.is_empty() && self.filter.is_none() {
            names.retain(|name| self.host.is_empty() || self.host.iter().any(|glob| pattern::matches(glob, name)));
            return Ok(());
        }
        let filter = self.filter(spec)?;
        let fleet = snapshot::read(spec, store, now, &filter, Limits::default())?;
        names.retain(|name| fleet.host(name).is_some_and(|host| filter.host(host)));
        Ok(())
    }
}

/// That no host has what was asked for, with the nearest that one has.
fn nowhere(spec: &FleetSpec, field: Field, text: &str) -> Failure {
    let hosts = || spec.hosts.iter();
    let (what, known): (&str, Vec<&str>) = match field {
        Field::Group => ("is in a group", hosts().flat_map(|host| &host.groups).map(String::as_str).collect()),
        Field::Service => {
            ("has a service", hosts().flat_map(|host| &host.services).map(|service| service.name.as_str()).collect())
        }
        Field::Label => ("has a label", hosts().flat_map(|host| host.labels.keys()).map(String::as_str).collect()),
        _ => ("is named", hosts().map(|host| host.name.as_str()).collect()),
    };
    let mend = config::did_you_mean(text, known, "see which there are: fleet hosts list");
    Failure::new(Exit::Usage, format!("no host {what} \"{}\"; {mend}", clean(text)))
}

/// Over which load a server is unhealthy.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Thresholds {
    /// Over which share of CPU a server is unhealthy
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value = "90%")]
    cpu_threshold: f64,
    /// Over which share of memory a server is unhealthy
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value = "90%")]
    mem_threshold: f64,
}

impl Thresholds {
    /// As a snapshot wants them.
    pub fn limits(self) -> Limits {
        Limits { cpu: self.cpu_threshold, memory: self.mem_threshold }
    }
}

/// `80%`; people leave the sign away, and it can mean nothing else.
fn percent(text: &str) -> Result<f64, String> {
    let whole = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let typed = if whole { format!("{text}%") } else { text.to_owned() };
    amount::level(&typed, "a threshold", Unit::Ratio).map_err(|wrong| format!("{}; {}", wrong.text, wrong.mend))
}

/// A view that was asked for, and how.
#[derive(Debug)]
pub struct Chosen {
    view: &'static View,
    asked: Asked,
}

/// Everything that can be said about a view.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Which hosts.
    pub choice: Choice,
    /// Over which load a server is unhealthy; `None` where the view has no use for it.
    pub thresholds: Option<Thresholds>,
    /// Which rows.
    pub rows: show::RowArgs,
    /// How they are written.
    pub format: show::FormatArgs,
}

impl Chosen {
    /// Gets what the view needs and prints it.
    pub fn run(&self, common: &Common) -> Outcome {
        show(common, self.view, &self.asked)
    }
}

/// Prints a view of what is asked for; exit 3 where something that is shown is wrong.
pub fn show(common: &Common, view: &View, asked: &Asked) -> Outcome {
    let now = clock::now();
    if view.needs == Needs::Nothing {
        let (fleet, defaults) =
            (Snapshot { now, interval: config::INTERVAL, hosts: Vec::new(), fleet: Vec::new() }, defaults());
        let facts =
            Facts { specs: &[], fleet: &fleet, filter: &Filter::default(), processes: &[], defaults: &defaults };
        return print(common, view, asked, &facts);
    }
    let spec = common.spec()?;
    let filter = asked.choice.filter(&spec)?;
    if spec.hosts.is_empty() && asked.format.format() == show::Format::Table {
        return exit::print("no hosts yet; add one with: fleet hosts add USER@HOST\n");
    }
    let limits = asked.thresholds.map_or_else(Limits::default, Thresholds::limits);
    let mut store = None;
    let fleet = if view.needs == Needs::Hosts && filter.is_of_configuration() {
        snapshot::configured(&spec, now)
    } else {
        let opened = store.insert(open_store(&spec)?);
        snapshot::read(&spec, opened.as_ref(), now, &filter, limits)?
    };
    let fitting: HashSet<&str> =
        fleet.hosts.iter().filter(|host| filter.host(host)).map(|host| host.name.as_str()).collect();
    let specs: Vec<&HostSpec> = spec.hosts.iter().filter(|host| fitting.contains(host.name.as_str())).collect();
    let mut processes: Vec<(&str, Vec<Process>)> = Vec::new();
    if let Some(store) = store.filter(|_| view.needs == Needs::Processes) {
        for host in &specs {
            processes.extend(store.top(&host.name, now)?.map(|(_, list)| (host.name.as_str(), list)));
        }
    }
    print(
        common,
        view,
        asked,
        &Facts { specs: &specs, fleet: &fleet, filter: &filter, processes: &processes, defaults: &[] },
    )
}

fn print(common: &Common, view: &View, asked: &Asked, facts: &Facts) -> Outcome {
    let mut page = view.page(facts);
    let fleets = view.fleet.then(|| of_fleet(facts.fleet));
    // What is cut off is still wrong.
    let wrong = page.wrong() || fleets.as_ref().is_some_and(Page::wrong);
    asked.rows.apply(&mut page, view.limit)?;
    let format = asked.format.format();
    if let (show::Format::Json, Some(fleets)) = (format, &fleets) {
        exit::print(&json::about(&page, [("fleet", json::rows(fleets))]))?;
        return Ok(if wrong { Exit::Partly } else { Exit::Done });
    }
    let note = if format == show::Format::Table { (view.note)(facts) } else { String::new() };
    if !page.rows.is_empty() || note.is_empty() {
        show::page(common, format, &page)?;
        if !note.is_empty() {
            exit::print("\n")?;
        }
    }
    exit::print(&note)?;
    Ok(if wrong { Exit::Partly } else { Exit::Done })
}

/// The fleet's own problems, as `fleet alerts` lists them.
fn of_fleet(fleet: &Snapshot) -> Page {
    let listed = |it: &Problem| {
        let state = match (&it.ack, &it.silenced) {
            (Some(_), _) => "taken",
            (None, Some(_)) => "silenced",
            (None, None) => "",
        };
        let name = words::name(&it.incident.subject);
        Listed { incident: it.incident.clone(), name, state: state.to_owned(), ack: it.ack.clone() }
    };
    alerts::view(fleet.now, &fleet.fleet.iter().map(listed).collect::<Vec<_>>())
}

/// What is written of each rule that ships, with the interval that a configuration has which says none.
fn defaults() -> Vec<(String, String)> {
    let plain =
        |name: &str, value: &str| matches!((name, value), ("item", "*") | ("raise" | "fall", "2") | ("of", "3"));
    let one = |rule: RuleSpec| {
        let written = config::written(&rule).into_iter().filter(|(name, value)| !plain(name, value));
        let words: Vec<String> = written.map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        (rule.metric, words.join(" "))
    };
    config::shipped(config::INTERVAL).into_iter().map(one).collect()
}

/// The views that have a command of their own name: `fleet hosts` does more than to show, and shows by `fleet hosts list`.
fn commands() -> impl Iterator<Item = &'static View> {
    VIEWS.iter().filter(|view| view.name != view::hosts::VIEW.name)
}

impl FromArgMatches for Chosen {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let asked = matches.subcommand().and_then(|(name, args)| Some((commands().find(|v| v.name == name)?, args)));
        let Some((view, args)) = asked else { return Err(Error::new(clap::error::ErrorKind::MissingSubcommand)) };
        let choice = if view.needs == Needs::Nothing { Choice::default() } else { Choice::from_arg_matches(args)? };
        let thresholds = view.thresholds.then(|| Thresholds::from_arg_matches(args)).transpose()?;
        let (rows, format) = (show::RowArgs::from_arg_matches(args)?, show::FormatArgs::from_arg_matches(args)?);
        Ok(Self { view, asked: Asked { choice, thresholds, rows, format } })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Subcommand for Chosen {
    fn augment_subcommands(command: Command) -> Command {
        commands().fold(command, |command, view| {
            let own = Command::new(view.name);
            let own = if view.needs == Needs::Nothing { own } else { Choice::augment_args(own) };
            let own = if view.thresholds { Thresholds::augment_args(own) } else { own };
            let own = show::FormatArgs::augment_args(show::RowArgs::augment_args(own));
            // Last: flags bring a help text of their own.
            command.subcommand(own.about(view.help).long_about(None).after_help(if view.judges() { TELLS } else { "" }))
        })
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        commands().any(|view| view.name == name)
    }
}
