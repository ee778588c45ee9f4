//! `fleet explain HOST`: why it is red, in sentences: each rule with its value, thresholds and samples so far, what keeps it
//! back, and who was told.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::alerts::{Present, capital, stamp};
use super::show::{self, Format, sentence};
use crate::alert::words;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::past;
use crate::config::suggest;
use crate::model::clean::clean;
use crate::model::fleet::{Attempt, Outcome as Ended};
use crate::model::level::Level;
use crate::model::rule::{RuleKind, size_of};
use crate::model::spec::HostSpec;
use crate::rule;
use crate::view::{Cell, Column, Page, Place, column, json};

mod sentences;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The host's name in the configuration
    #[arg(value_name = "HOST")]
    host: String,
    /// Only rules (metrics) that match, in full
    #[arg(long, value_name = "PATTERN")]
    rule: Option<String>,
    /// In full what is well too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    format: show::FormatArgs,
}

/// Of what is judged, for spreadsheets.
const COLUMNS: &[Column] = &[
    column("host", "HOST", Place::Left),
    column("rule", "RULE", Place::Left),
    column("item", "ITEM", Place::Left),
    column("level", "LEVEL", Place::Left),
    column("value", "VALUE", Place::Right),
    column("warning", "WARNING", Place::Right),
    column("critical", "CRITICAL", Place::Right),
    column("last", "LAST", Place::Left),
    column("incident", "PROBLEM", Place::Right),
    column("sentences", "WHY", Place::Below),
];

/// What is said of one subject.
struct Part {
    level: Level,
    /// `web01 disk /var`, and the number of its problem.
    title: String,
    sentences: Vec<String>,
    row: Value,
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let spec = common.spec()?;
    let store = open_store(&spec)?;
    let Some(host) = spec.host(&args.host) else {
        let names = spec.hosts.iter().map(|host| host.name.as_str());
        let mend = suggest(&args.host, names, "see which there are: fleet hosts list");
        return Err(Failure::new(Exit::Usage, format!("no host \"{}\"; {mend}", clean(&args.host))));
    };
    let present = Present::read(&spec, store.as_ref())?;
    let quiet = present.quiet(&spec);
    let wanted = |name: &str| args.rule.as_ref().is_none_or(|glob| crate::model::pattern::matches(glob, name));
    let mut parts: Vec<Part> = Vec::new();
    for (subject, state, rule) in present.world.subjects(&host.name) {
        if !wanted(&subject.rule) {
            continue;
        }
        let beside = |metric: &str| past::newest(store.as_ref(), &host.name, metric, &subject.item, present.now);
        let sized = rule.map(|rule| rule::sized(rule, beside));
        let risen =
            matches!(sized, Some(Cow::Owned(_))).then(|| rule.and_then(|rule| size_of(&rule.metric, rule.kind)));
        let risen = risen.flatten().and_then(beside).zip(rule);
        let rule = sized.as_deref();
        let incident = state.incident.and_then(|id| present.world.incidents.get(&id));
        let mut sentences = sentences::judged(subject, state, rule, risen, incident);
        let mut title = words::name(subject);
        if let Some(incident) = incident {
            title.push_str(&format!(" (problem {})", incident.id));
            sentences.extend(present.why(&quiet, incident));
        } else if let Some(why) = quiet.why(subject) {
            sentences.push(format!("If it became a problem, it would not be told: {}.", why.sentence()));
        }
        let row = json!({
            "host": subject.host, "rule": subject.rule, "item": subject.item, "level": state.level.word(),
            "value": state.value, "warning": rule.and_then(|rule| rule.warning),
            "critical": rule.and_then(|rule| rule.critical), "last": state.last.map(json::moment),
            "incident": state.incident, "sentences": sentences,
        });
        parts.push(Part { level: state.level, title, sentences, row });
    }
    parts.sort_by_key(|part| std::cmp::Reverse(part.level));
    let judged: BTreeSet<&str> = parts.iter().filter_map(|part| part.row["rule"].as_str()).collect();
    // Means over servers are the fleet's.
    let names = host.rules.iter().filter(|rule| rule.kind != RuleKind::Average).map(|rule| rule.name.as_str());
    let idle: BTreeSet<&str> = names.filter(|name| wanted(name) && !judged.contains(name)).collect();
    let attempt = store.attempts(&host.name, 1)?.into_iter().next();
    let first = opening(host, &parts, attempt.as_ref(), args.rule.is_some());
    match args.format.format() {
        Format::Table => {}
        Format::Json => {
            let rows: Vec<&Value> = parts.iter().map(|part| &part.row).collect();
            let all = json!({"version": 1, "host": host.name, "text": first, "rows": rows, "not_judged": idle});
            return exit::print(&json::text(&all));
        }
        format => {
            let row = |part: &Part| COLUMNS.iter().map(|column| cell(&part.row[column.name])).collect();
            return show::page(common, format, &Page { columns: COLUMNS, rows: parts.iter().map(row).collect() });
        }
    }
    let mut text = String::new();
    sentence(&first, "", &mut text);
    let full = |part: &&Part| part.level > Level::Ok || args.all || args.rule.is_some();
    for part in parts.iter().filter(full) {
        text.push_str(&format!("\n[{}] {}\n", part.level.tag(), clean(&part.title)));
        part.sentences.iter().for_each(|said| sentence(said, "  ", &mut text));
    }
    let list = |text: &mut String, what: &str, names: Vec<&str>, more: &str| {
        if !names.is_empty() {
            text.push('\n');
            sentence(&format!("{what} ({}): {}.{more}", names.len(), names.join(", ")), "", text);
        }
    };
    let short = |part: &&Part| !full(part);
    let well: Vec<&str> = parts.iter().filter(short).map(|part| part.title.as_str()).collect();
    let well: Vec<&str> =
        well.iter().map(|title| title.strip_prefix(&format!("{} ", host.name)).unwrap_or(title)).collect();
    list(&mut text, "Well", well, &format!(" In full: fleet explain {} --all", host.name));
    let idle: Vec<&str> = idle.into_iter().collect();
    if args.all || args.rule.is_some() {
        list(&mut text, "Rules that no sample was judged by yet", idle, "");
    } else if !idle.is_empty() && !parts.is_empty() {
        let more = format!("Another {} rules wait for what is not measured here; their names: --all", idle.len());
        text.push('\n');
        sentence(&more, "", &mut text);
    }
    exit::print(&text)
}

/// A value of a row in a table.
fn cell(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::Empty,
        Value::Number(number) => number.as_f64().map_or(Cell::Empty, Cell::Number),
        Value::Array(list) => Cell::Text(list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")),
        value => value.as_str().filter(|text| !text.is_empty()).map_or(Cell::Empty, |text| Cell::Text(text.to_owned())),
    }
}

/// `web01 is critical, because of 2 of 34 things judged. It was last collected on ...`
fn opening(host: &HostSpec, parts: &[Part], attempt: Option<&Attempt>, chosen: bool) -> String {
    let name = &host.name;
    let visit = match attempt.map(|attempt| (stamp(attempt.at), &attempt.outcome)) {
        None => return format!("{name} was never collected; try: fleet hosts test {name}"),
        Some((at, Ended::Collected)) => format!("It was last collected on {at}."),
        Some((at, Ended::Failed { cause, text })) => {
            let remedy = capital(&cause.remedy().replace("HOST", name));
            format!("It could not be collected on {at}: {cause}: {text}. {remedy}.")
        }
    };
    let bad = parts.iter().filter(|part| part.level > Level::Ok).count();
    let worst = parts.iter().map(|part| part.level).max().unwrap_or_default();
    let things = format!("{} {}things", parts.len(), if chosen { "matching " } else { "" });
    match (parts.len(), bad, worst) {
        (0, ..) if chosen => format!("Nothing of {name} that fits is judged. {visit}"),
        (0, ..) => format!("Nothing of {name} is judged yet; what was collected is judged by: fleet-alerter. {visit}"),
        (1, 0, _) => format!("{name} is well in the one thing judged. {visit}"),
        (1, ..) => format!("{name} is {worst}, by the one thing judged. {visit}"),
        (_, 0, _) => format!("{name} is well in {things} judged. {visit}"),
        _ => format!("{name} is {worst}, because of {bad} of {things} judged. {visit}"),
    }
}
