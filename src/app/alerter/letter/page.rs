//! What a letter says, before it becomes text, a page or a picture.

use chrono::{DateTime, TimeDelta, Utc};

use super::super::readings::governing;
use super::look::{Look, Points};
use super::time::{Zone, span};
use super::{Entry, subject, tag};
use crate::alert::reconcile::Action;
use crate::alert::words;
use crate::model::alert::{Ending, Incident, Subject};
use crate::model::clean::is_hostile;
use crate::model::level::Level;
use crate::model::next;
use crate::model::rule::RuleKind;
use crate::model::sample::{By, Process};
use crate::model::spec::FleetSpec;
use crate::notify::picture::Chart;
use crate::rule::sized;

/// Lines of one mail.
pub const MAX_LINES: usize = 200;
/// Bytes of a list in the text of a mail: text and page together stay under the 102 kB at which Gmail cuts.
const MAX_LIST: usize = 36_000;
/// A longer list is read as a list, without the past of each.
const WITH_PAST: usize = 20;
/// Bars of a sparkline.
const BARS: usize = 40;
/// Processes of a kind.
const PROCESSES: usize = 3;
/// Other problems of the host.
const OTHERS: usize = 10;

/// A letter.
#[derive(Debug, Default, PartialEq)]
pub struct Page {
    /// The worst it tells; ok for good news.
    pub level: Level,
    /// What it is about.
    pub title: String,
    /// What is so, since when: the first lines.
    pub lead: Vec<String>,
    /// What follows.
    pub sections: Vec<Section>,
    /// The last line.
    pub foot: String,
}

/// A part of a letter.
#[derive(Debug, PartialEq)]
pub enum Section {
    /// The past of a metric.
    Past(Past),
    /// Problems.
    List { title: String, rows: Vec<Row>, more: usize },
    /// Plain lines under a title.
    Notes { title: String, lines: Vec<String> },
    /// Of what, how much, name, user, unit.
    Processes { title: String, rows: Vec<[String; 5]> },
    /// What for, and the command.
    Commands(Vec<(&'static str, String)>),
}

/// One problem in a list.
#[derive(Debug, PartialEq)]
pub struct Row {
    pub level: Level,
    pub text: String,
    pub past: String,
}

/// The past of a metric, for eyes.
#[derive(Debug, PartialEq)]
pub struct Past {
    pub title: String,
    pub bars: String,
    pub first: String,
    pub last: String,
    pub range: String,
    pub from: String,
    pub until: String,
    /// What is drawn.
    pub chart: Chart,
}

impl PartialEq for Chart {
    fn eq(&self, other: &Self) -> bool {
        (&self.points, self.color) == (&other.points, other.color)
    }
}

/// Writes pages.
pub struct Writer<'a> {
    pub spec: &'a FleetSpec,
    pub now: DateTime<Utc>,
    pub zone: Zone,
    pub look: &'a dyn Look,
    /// The problems of the fleet.
    pub open: &'a [&'a Incident],
}

/// One line is one line, whatever a host calls its things.
fn line(text: &str) -> String {
    text.chars().map(|c| if is_hostile(c) { '?' } else { c }).collect()
}

/// What a text takes inside a mail: quoted-printable needs three bytes for what is not ASCII.
pub fn cost(text: &str) -> usize {
    let bytes: usize = text.bytes().map(|b| if b.is_ascii() && b != b'=' { 1 } else { 3 }).sum();
    bytes + bytes / 25
}

/// A list within its bounds, and how many it leaves out.
fn list(title: &str, rows: impl Iterator<Item = Row>) -> Section {
    let (mut kept, mut room, mut more) = (Vec::new(), MAX_LIST, 0);
    for row in rows {
        let size = cost(&row.text) + cost(&row.past) + 12;
        if more == 0 && kept.len() < MAX_LINES && size <= room {
            room -= size;
            kept.push(row);
        } else {
            more += 1;
        }
    }
    Section::List { title: title.to_owned(), rows: kept, more }
}

/// At most `count` values for a line of bars: of each stretch the worst, so that no peak is lost.
fn squeeze(values: &[f64], count: usize, low_is_bad: bool) -> Vec<f64> {
    let size = values.len().div_ceil(count).max(1);
    let worst = if low_is_bad { f64::min } else { f64::max };
    values.chunks(size).filter_map(|part| part.iter().copied().reduce(worst)).collect()
}

impl Writer<'_> {
    /// One problem in full, several as a list, and what came and went.
    pub fn page(&self, destination: &str, entries: &[Entry], summary: &[Incident]) -> Page {
        let foot = format!("fleet-health, told to {destination}");
        if let ([one], []) = (entries, summary) {
            let foot = format!("{foot}; problem {}", one.incident.id);
            return Page { foot, ..self.one(one) };
        }
        let mut page = Page { foot, title: untagged(&subject(entries, summary)), ..Page::default() };
        page.level = entries.iter().map(shown).max().unwrap_or_default();
        if !entries.is_empty() {
            let count = |level| entries.iter().filter(|entry| shown(entry) == level).count();
            let all = [(Level::Critical, "critical"), (Level::Warning, "warning"), (Level::Ok, "ended")];
            let all = all.map(|(level, word)| (count(level), word));
            let all: Vec<String> = all.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
            page.lead.push(format!("{}; as of {}", all.join(", "), self.zone.moment(self.now)));
            page.sections.push(self.list(entries));
        }
        if !summary.is_empty() {
            let title = "Opened and closed since the last summary, too short to be told:";
            page.sections.push(list(title, summary.iter().map(|incident| self.passed(incident))));
        }
        let take = entries.iter().filter(|entry| shown(entry) > Level::Ok).take(10);
        let ids: Vec<String> = take.map(|entry| entry.incident.id.to_string()).collect();
        let mut commands = Vec::new();
        if !ids.is_empty() {
            commands.push(("Take them with", format!("fleet ack {}", ids.join(" "))));
        }
        commands.push(("Look further with", "fleet alerts".to_owned()));
        commands.push(("", "fleet status".to_owned()));
        page.sections.push(Section::Commands(commands));
        page
    }

    fn one(&self, entry: &Entry) -> Page {
        let incident = &entry.incident;
        let mut page = Page {
            level: shown(entry),
            title: line(&words::name(&incident.subject)),
            lead: std::iter::once(line(&incident.text)).chain(self.when(entry)).collect(),
            ..Page::default()
        };
        let points = self.look.history(incident);
        if let Some((at, value)) = points.last().filter(|_| entry.action != Action::Recovered) {
            let amount = |value| words::amount(&incident.subject.rule, value);
            if amount(*value) != amount(incident.value) {
                page.lead.push(format!("Now {} (at {}).", amount(*value), self.zone.brief(*at)));
            }
        }
        page.sections.extend(self.past(incident, page.level, points).map(Section::Past));
        let host = incident.subject.host.as_str();
        if !host.is_empty() {
            let at = incident.closed.unwrap_or(self.now);
            if entry.action != Action::Recovered
                && let Some((taken, top)) = self.look.top(host, at)
            {
                let title = format!("Top processes on {host}, {}", self.zone.brief(taken));
                page.sections.push(Section::Processes { title, rows: processes(&top) });
            }
            page.sections.extend(self.also(incident));
        }
        page.sections.push(Section::Commands(commands(entry)));
        page
    }

    /// What kind of news it is, and since when.
    fn when(&self, entry: &Entry) -> Vec<String> {
        let incident = &entry.incident;
        let began = self.zone.moment(incident.opened);
        let for_ = span(self.now - incident.opened);
        let before = entry.before.as_ref().map_or(Level::Ok, |told| told.level);
        let said = match entry.action {
            Action::Recovered => {
                let closed = incident.closed.unwrap_or(self.now);
                let word = match incident.ending {
                    Some(Ending::Gone | Ending::Config) => "Ended",
                    _ => "Recovered",
                };
                let lasted = span(closed - incident.opened);
                let ended = format!("{word} {}, after {lasted}.", self.zone.moment(closed));
                return vec![ended, format!("It was {} at worst, since {began}.", incident.worst)];
            }
            Action::Problem => format!("New, since {began} ({for_})."),
            Action::Escalated => {
                format!("Worse than told: was {before}, is {} now; since {began} ({for_}).", incident.level)
            }
            Action::Lowered => {
                format!("Less bad than told: was {before}, is {} now; since {began} ({for_}).", incident.level)
            }
            Action::Flapping => format!("Comes and goes, since {began}: told again once it settles."),
            Action::Reminder => {
                let times = entry.before.as_ref().map_or(0, |told| told.reminders).saturating_add(1);
                let times = if times == 1 { "first reminder".to_owned() } else { format!("reminder {times}") };
                format!("Still so ({times}), since {began} ({for_}).")
            }
        };
        vec![said]
    }

    fn past(&self, incident: &Incident, level: Level, points: Points) -> Option<Past> {
        let (&(from, first), &(until, last)) = (points.first()?, points.last()?);
        if points.len() < 3 {
            return None;
        }
        let subject = &incident.subject;
        let rule = self.spec.host(&subject.host).and_then(|host| governing(host, &subject.rule, &subject.item));
        let rule = rule.map(|rule| sized(rule, |metric| self.look.beside(subject, metric)));
        let rule = rule.as_deref();
        let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
        let low_is_bad = rule.is_some_and(|rule| rule.kind == RuleKind::Below);
        let amount = |value: f64| words::amount(&subject.rule, value);
        let least = values.iter().copied().fold(f64::MAX, f64::min);
        let most = values.iter().copied().fold(f64::MIN, f64::max);
        let chart = Chart {
            points: points.iter().map(|(at, value)| (at.timestamp() as f64, *value)).collect(),
            gap: (self.spec.collector.interval.as_secs_f64() * 3.0)
                .max(7200.0 * f64::from(u8::from(until - from > TimeDelta::days(2)))),
            warning: rule.and_then(|rule| rule.warning),
            critical: rule.and_then(|rule| rule.critical),
            color: super::html::ink(level),
        };
        Some(Past {
            title: format!("Last {}", span(until - from)),
            bars: words::sparkline(&squeeze(&values, BARS, low_is_bad)),
            first: amount(first),
            last: amount(last),
            range: format!("between {} and {}, {} samples", amount(least), amount(most), values.len()),
            from: self.zone.brief(from),
            until: self.zone.brief(until),
            chart,
        })
    }

    /// What else is wrong on that host.
    fn also(&self, incident: &Incident) -> Option<Section> {
        let host = incident.subject.host.as_str();
        let mut others: Vec<&Incident> = self.open.to_vec();
        others.retain(|other| other.subject.host == host && other.id != incident.id && other.closed.is_none());
        others.sort_by_key(|other| (std::cmp::Reverse(other.level), other.id));
        let text = |other: &&Incident| {
            let since = self.zone.brief(other.opened);
            line(&format!("{} {}, since {since}", other.level.tag(), other.text))
        };
        let mut lines: Vec<String> = others.iter().take(OTHERS).map(text).collect();
        if others.len() > OTHERS {
            lines.push(format!("and {} more", others.len() - OTHERS));
        }
        let told: Vec<&Subject> = others.iter().map(|other| &other.subject).chain([&incident.subject]).collect();
        lines.extend(self.look.notes(host, &told).iter().map(|note| line(note)));
        (!lines.is_empty()).then(|| Section::Notes { title: format!("Also on {host}"), lines })
    }

    fn list(&self, entries: &[Entry]) -> Section {
        let past = |incident: &Incident| {
            let values: Vec<f64> = self.look.history(incident).iter().map(|(_, value)| *value).collect();
            if values.len() < 3 { String::new() } else { words::sparkline(&squeeze(&values, BARS, false)) }
        };
        let row = |entry: &Entry| Row {
            level: shown(entry),
            text: self.news(entry),
            past: if entries.len() <= WITH_PAST { past(&entry.incident) } else { String::new() },
        };
        list("", entries.iter().map(row))
    }

    /// One problem in one line.
    fn news(&self, entry: &Entry) -> String {
        let incident = &entry.incident;
        let news = match (entry.action, incident.ending) {
            (Action::Recovered, Some(Ending::Gone | Ending::Config)) => "no longer monitored",
            (Action::Problem, _) => "new",
            (Action::Flapping, _) => "comes and goes: told again once it settles",
            (action, _) => action.word(),
        };
        let ended = incident.closed.map_or_else(String::new, |at| format!(" until {}", self.zone.brief(at)));
        let since = self.zone.brief(incident.opened);
        line(&format!("{}: {} ({news}, since {since}{ended})", words::name(&incident.subject), incident.text))
    }

    /// A problem that nobody was told of while it stood.
    fn passed(&self, incident: &Incident) -> Row {
        let lasted = incident.closed.map_or_else(String::new, |at| format!(" for {}", span(at - incident.opened)));
        let text = format!("{}: {}{lasted}", words::name(&incident.subject), self.zone.brief(incident.opened));
        Row { level: incident.worst, text: line(&text), past: String::new() }
    }
}

/// The level that a letter shows for it.
fn shown(entry: &Entry) -> Level {
    if tag(entry) == Level::Ok.tag() { Level::Ok } else { entry.incident.level }
}

fn untagged(subject: &str) -> String {
    subject.split_once("] ").map_or(subject, |(_, rest)| rest).to_owned()
}

fn processes(top: &[Process]) -> Vec<[String; 5]> {
    let mut rows = Vec::new();
    for by in By::ALL {
        for it in top.iter().filter(|it| it.by == *by && it.value > 0.0).take(PROCESSES) {
            let amount = match by {
                By::Cpu => words::amount("cpu.used", it.value),
                By::Memory => words::amount("memory.available", it.value),
                By::Io => format!("{}/s", words::amount("memory.available", it.value)),
            };
            // Never the command line: it may hold secrets, and mail is read by many.
            rows.push([by.word().to_owned(), amount, line(&it.comm), line(&it.user), line(&it.unit)]);
        }
    }
    rows
}

fn commands(entry: &Entry) -> Vec<(&'static str, String)> {
    let mut out = next::commands(&entry.incident, entry.action == Action::Recovered);
    out.push(("", format!("fleet alerts show {}", entry.incident.id)));
    out
}
