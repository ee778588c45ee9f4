//! A host in full: what is wrong, key readings, filesystems, disks, networks, services, processes, facts, and all that
//! was measured.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use ratatui::style::Style;
use ratatui::text::Span;

use crate::model::catalogue;
use crate::model::fleet::Outcome;
use crate::model::forecast;
use crate::model::level::Level;
use crate::model::sample::By;
use crate::model::snapshot::HostRow;
use crate::view::table::text;
use crate::view::units::{self, cell};

use super::data::Host;
use super::paint::{self, FAINT, bar, left, right};
use super::rows::{Row, Target};

/// Readings that are shown first, as far as a host has them.
const KEY: &[&str] =
    &["cpu.used", "cpu.iowait", "cpu.steal", "memory.used", "swap.used", "load.1m", "load.per-core", "uptime"];
/// What a line of an item says: a metric and the word before its value.
type Said = &'static [(&'static str, &'static str)];
const FILESYSTEM: Said =
    &[("filesystem.available", "free"), ("filesystem.full-in", "full in"), ("filesystem.inodes.used", "inodes")];
const DISK: Said = &[
    ("disk.read.rate", "read"),
    ("disk.write.rate", "write"),
    ("disk.utilization", "busy"),
    ("disk.read.await", "await"),
];
const NETWORK: Said = &[
    ("network.receive.rate", "in"),
    ("network.transmit.rate", "out"),
    ("network.errors.ratio", "errors"),
    ("network.drops.ratio", "drops"),
];
/// How wide a bar is, in cells.
const BAR: usize = 20;
/// How wide the name of an item is at least, in cells.
const ITEM: usize = 16;

/// What a page is made of.
pub struct Told<'a> {
    /// The host's row.
    pub row: &'a HostRow,
    /// All of it, once it is read.
    pub whole: Option<&'a Host>,
    /// The moment.
    pub now: DateTime<Utc>,
    /// Columns.
    pub width: usize,
}

/// The page.
#[must_use]
pub fn rows(told: &Told<'_>) -> Vec<Row> {
    let mut out = Vec::new();
    wrong(told, &mut out);
    key(told, &mut out);
    let Some(whole) = told.whole else {
        out.push(Row::plain(" the rest is being read ..."));
        return out;
    };
    let wide = told.width.saturating_sub(64).clamp(ITEM, 40);
    shares(whole, "FILESYSTEMS", "filesystem.used", FILESYSTEM, wide, &mut out);
    items(whole, "DISKS", DISK, wide, &mut out);
    items(whole, "NETWORK", NETWORK, wide, &mut out);
    services(told, whole, &mut out);
    top(whole, &mut out);
    if !whole.facts.is_empty() {
        out.push(Row::heading("FACTS"));
    }
    for fact in &whole.facts {
        let name = if fact.item.is_empty() { fact.name.clone() } else { format!("{} {}", fact.name, fact.item) };
        out.push(Row::plain(&format!(" {} {}", left(&name, 26), fact.text)));
    }
    if !whole.faults.is_empty() {
        out.push(Row::heading("NOT MEASURED"));
    }
    for fault in &whole.faults {
        let what =
            if fault.item.is_empty() { fault.section.clone() } else { format!("{} {}", fault.section, fault.item) };
        out.push(Row::plain(&format!(" {} {}: {}", left(&what, 26), fault.kind.word(), fault.text)));
    }
    attempts(told, whole, &mut out);
    everything(whole, &mut out);
    out
}

/// What is wrong with it, wrapped so that all can be read.
fn wrong(told: &Told<'_>, out: &mut Vec<Row>) {
    let mut say = |look: Style, text: &str, target: Option<Target>| {
        for line in paint::wrap(text, told.width.saturating_sub(3)) {
            out.push(Row::of(vec![Span::styled(format!(" {line}"), look)], target.clone()));
        }
    };
    let sentences = told.row.sentences();
    if sentences.is_empty() && told.row.received.is_some() {
        say(paint::level(Some(Level::Ok)), "OK: nothing is wrong", None);
    }
    for sentence in sentences {
        let Some(problem) = told.row.problems.iter().find(|it| it.sentence() == sentence) else {
            say(paint::level(Some(Level::Warning)), &sentence, None);
            continue;
        };
        let it = &problem.incident;
        let since = units::seconds((told.now - it.opened).num_seconds().max(0) as f64);
        let text = format!("{sentence}; since {since}");
        say(paint::level(Some(it.level)), &text, Some(Target::Problem(it.id)));
    }
}

/// Shares as bars, the rest as values.
fn key(told: &Told<'_>, out: &mut Vec<Row>) {
    let value = |name: &str| {
        let whole = told.whole.and_then(|whole| {
            whole.readings.iter().find(|it| it.metric == name && it.item.is_empty()).map(|it| it.value)
        });
        whole.or_else(|| told.row.value(name))
    };
    let known: Vec<(&str, f64)> = KEY.iter().filter_map(|name| Some((*name, value(name)?))).collect();
    if known.is_empty() {
        return;
    }
    out.push(Row::heading("READINGS"));
    for (name, value) in known {
        let metric = catalogue::find(name);
        let shown = text(&cell(metric, value));
        let mut spans = vec![Span::raw(format!(" {} {} ", left(name, ITEM), right(&shown, 7)))];
        if metric.is_some_and(|metric| metric.unit == crate::model::metric::Unit::Ratio) {
            spans.extend(bar(value, BAR));
        }
        let more = match name {
            "memory.used" => of(told.row.value("memory.total").map(units::bytes)),
            "load.1m" => of(told.row.value("cpu.count").map(|count| format!("{} processors", units::number(count)))),
            _ => String::new(),
        };
        spans.push(Span::raw(more));
        out.push(Row::of(spans, past(name, "")));
    }
}

fn of(text: Option<String>) -> String {
    text.map(|text| format!(" of {text}")).unwrap_or_default()
}

fn past(metric: &str, item: &str) -> Option<Target> {
    Some(Target::Past { metric: metric.to_owned(), item: item.to_owned() })
}

/// `free 1.5GiB  inodes 3%`.
fn said(whole: &Host, item: &str, what: Said) -> String {
    let one = |(name, word): &(&str, &str)| {
        let value = whole.readings.iter().find(|it| it.metric == *name && it.item == item)?.value;
        // Where nothing fills up there is nothing to say.
        let never = forecast::FAR <= value && *name == "filesystem.full-in";
        (!never).then(|| format!("{word} {}", text(&cell(catalogue::find(name), value))))
    };
    what.iter().filter_map(one).collect::<Vec<_>>().join("  ")
}

/// Items of a share, fullest first.
fn shares(whole: &Host, title: &str, metric: &str, what: Said, wide: usize, out: &mut Vec<Row>) {
    let mut found: Vec<_> = whole.readings.iter().filter(|it| it.metric == metric).collect();
    found.sort_by(|a, b| b.value.total_cmp(&a.value).then_with(|| a.item.cmp(&b.item)));
    if !found.is_empty() {
        out.push(Row::heading(title));
    }
    for it in found {
        let mut spans = vec![Span::raw(format!(" {} {} ", left(&it.item, wide), right(&units::ratio(it.value), 7)))];
        spans.extend(bar(it.value, BAR));
        spans.push(Span::raw(format!(" {}", said(whole, &it.item, what))));
        out.push(Row::of(spans, past(metric, &it.item)));
    }
}

/// Items with several values each.
fn items(whole: &Host, title: &str, what: Said, wide: usize, out: &mut Vec<Row>) {
    let Some((first, _)) = what.first() else { return };
    let found: BTreeSet<&str> =
        whole.readings.iter().filter(|it| it.metric == *first).map(|it| it.item.as_str()).collect();
    if !found.is_empty() {
        out.push(Row::heading(title));
    }
    for item in found {
        let text = format!(" {} {}", left(item, wide), said(whole, item, what));
        out.push(Row::of(vec![Span::raw(paint::safe(&text))], past(first, item)));
    }
}

/// Services as configured, and below what their checks measured.
fn services(told: &Told<'_>, whole: &Host, out: &mut Vec<Row>) {
    if told.row.services.is_empty() {
        return;
    }
    out.push(Row::heading("SERVICES"));
    for service in &told.row.services {
        let memory = service.memory.map(|bytes| format!("memory {}  ", units::bytes(bytes))).unwrap_or_default();
        let spans = vec![
            Span::raw(format!(" {} ", left(&service.name, ITEM))),
            Span::styled(left(service.health.word(), 10), paint::health(service.health)),
            Span::raw(format!(" {memory}{}", paint::safe(&service.why.join("; ")))),
        ];
        out.push(Row::of(spans, None));
        let own =
            |item: &str| item == service.name || item.strip_prefix(&service.name).is_some_and(|it| it.starts_with('/'));
        let checks = whole.readings.iter().filter(|it| it.metric == "check.ok" && own(&it.item));
        for check in checks {
            let word = if check.value >= 1.0 { "OK" } else { "FAILS" };
            let took = said(whole, &check.item, &[("check.seconds", "took"), ("check.age", "age")]);
            let look = paint::level(Some(if check.value >= 1.0 { Level::Ok } else { Level::Critical }));
            let spans = vec![
                Span::raw(format!("   {} ", left(&check.item, 14))),
                Span::styled(left(word, 10), look),
                Span::raw(format!(" {took}")),
            ];
            out.push(Row::of(spans, past("check.ok", &check.item)));
        }
    }
}

fn top(whole: &Host, out: &mut Vec<Row>) {
    for by in By::ALL {
        let mut of: Vec<_> = whole.top.iter().filter(|it| it.by == *by).collect();
        if of.is_empty() {
            continue;
        }
        of.sort_by(|a, b| b.value.total_cmp(&a.value));
        out.push(Row::heading(&format!("TOP PROCESSES BY {}", by.word().to_uppercase())));
        for it in of {
            let value = match by {
                By::Cpu => units::ratio(it.value),
                By::Memory => units::bytes(it.value),
                By::Io => format!("{}/s", units::bytes(it.value)),
            };
            let command = if it.command.is_empty() { &it.unit } else { &it.command };
            out.push(Row::plain(&format!(
                " {} {} {} {} {}",
                right(&value, 10),
                right(&it.pid.to_string(), 7),
                left(&it.user, 10),
                left(&it.comm, 15),
                paint::safe(command)
            )));
        }
    }
}

fn attempts(told: &Told<'_>, whole: &Host, out: &mut Vec<Row>) {
    if !whole.attempts.is_empty() {
        out.push(Row::heading("LAST VISITS"));
    }
    for it in &whole.attempts {
        let ago = units::seconds((told.now - it.at).num_seconds().max(0) as f64);
        let (word, look) = match &it.outcome {
            Outcome::Collected => (format!("collected in {}", units::seconds(it.took.as_secs_f64())), Style::new()),
            Outcome::Failed { cause, text } => {
                (format!("{}: {}", cause.word(), paint::safe(text)), paint::level(Some(Level::Warning)))
            }
        };
        let at = it.at.format("%Y-%m-%d %H:%M:%S");
        out.push(Row::of(vec![Span::raw(format!(" {at}  {} ago  ", right(&ago, 4))), Span::styled(word, look)], None));
    }
}

/// Every reading, so that the history of each can be opened.
fn everything(whole: &Host, out: &mut Vec<Row>) {
    if !whole.readings.is_empty() {
        out.push(Row::heading("ALL READINGS"));
    }
    for it in &whole.readings {
        let name = if it.item.is_empty() { it.metric.clone() } else { format!("{}[{}]", it.metric, it.item) };
        let value = text(&cell(catalogue::find(&it.metric), it.value));
        let spans = vec![Span::raw(format!(" {} ", right(&value, 12))), Span::styled(paint::safe(&name), FAINT)];
        out.push(Row::of(spans, past(&it.metric, &it.item)));
    }
}
