//! One host: how it is, its charts, the processes of a moment, filesystems, services, problems, readings.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::charts::{self, Range};
use super::frame::Frame;
use super::hosts::{about, tags};
use super::incidents::Line;
use super::parts::{Address, Choice, Figure, Moment, path, stamp, word};
use super::services::Served;
use crate::model::derive::AGE;
use crate::model::fleet::HostFact;
use crate::model::sample::{By, Process, Sample};
use crate::model::snapshot::{HostRow, Problem};
use crate::model::spec::{HostSpec, Transport};
use crate::model::{catalogue, figure};
use crate::web::request::Request;
use crate::web::response::{Answer, Trouble};
use crate::web::site::Site;
use crate::web::source::{Host, Source};

/// Incidents that are listed.
const LISTED: usize = 50;

#[derive(Debug, Serialize)]
struct Check {
    name: String,
    level: &'static str,
    answer: &'static str,
    took: Figure,
    age: String,
}

#[derive(Debug, Serialize)]
struct Named {
    name: String,
    href: String,
}

#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    text: String,
    title: String,
}

#[derive(Debug, Serialize)]
struct Open {
    id: i64,
    level: &'static str,
    text: String,
    tags: Vec<String>,
    opened: Moment,
}

#[derive(Debug, Serialize)]
struct Taker {
    value: String,
    comm: String,
    unit: String,
    command: String,
    user: String,
    pid: u32,
}

#[derive(Debug, Serialize)]
struct Top {
    by: &'static str,
    unit: &'static str,
    rows: Vec<Taker>,
}

#[derive(Debug, Serialize)]
struct Filesystem {
    mount: String,
    used: Figure,
    free: String,
    size: String,
    inodes: Figure,
    state: &'static str,
}

#[derive(Debug, Serialize)]
struct Unmeasured {
    what: String,
    kind: &'static str,
    text: String,
}

#[derive(Debug, Serialize)]
struct Read {
    metric: String,
    item: String,
    value: String,
    help: &'static str,
}

#[derive(Debug, Serialize)]
struct Page {
    name: String,
    level: &'static str,
    groups: Vec<Named>,
    labels: Vec<String>,
    state: &'static str,
    seen: Option<Moment>,
    tried: Option<Moment>,
    failure: String,
    remedy: String,
    problems: Vec<Open>,
    facts: Vec<Fact>,
    charts: Vec<charts::Shown>,
    charts_href: String,
    ranges: Vec<Choice>,
    from: Moment,
    to: Moment,
    top: Vec<Top>,
    top_at: Option<Moment>,
    chosen: bool,
    newest: String,
    filesystems: Vec<Filesystem>,
    services: Vec<Served>,
    checks: Vec<Check>,
    faults: Vec<Unmeasured>,
    incidents: Vec<Line>,
    incidents_href: String,
    readings: Vec<Read>,
}

/// The words for a host that nobody knows.
#[must_use]
pub fn missing(name: &str) -> Trouble {
    Trouble::missing(format!("the configuration has no host {name}; see which there are: /"))
}

/// A host.
///
/// # Errors
/// 404 for an unknown host, 400 for a time that is none, and the source's.
pub fn host(site: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    let name = request.capture("name");
    let fleet = source.fleet(&crate::model::filter::Filter::default())?;
    let host = source.host(name)?.ok_or_else(|| missing(name))?;
    let now = request.now;
    let range = Range::read(&request.query, now)?;
    let chosen = request.query.moment("at")?;
    let address = Address::new(&path("host", name), &request.query, &["from", "to", "span", "at"]);
    let (top_at, top) = match source.top(name, chosen.unwrap_or(range.to))? {
        Some((at, list)) => (Some(Moment::new(at, now)), by_kind(&list)),
        None => (None, Vec::new()),
    };
    let listed = source.incidents(range.incidents(name, LISTED))?;
    let sample = host.sample.as_ref();
    let row = &host.row;
    let (failure, remedy) = row.failure().map_or_else(Default::default, |(cause, text)| {
        let said = if text.is_empty() { cause.word().to_owned() } else { format!("{}: {text}", cause.word()) };
        (said, cause.remedy().replace("HOST", name))
    });
    let page = Page {
        name: name.to_owned(),
        level: word(row.level),
        groups: row.groups.iter().map(|it| Named { name: it.clone(), href: path("group", it) }).collect(),
        labels: row.labels.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        state: row.state.word(),
        seen: row.received.map(|at| Moment::new(at, now)),
        tried: row.attempt.as_ref().map(|it| Moment::new(it.at, now)),
        failure,
        remedy,
        problems: row.problems.iter().map(|it| open(it, now)).collect(),
        facts: facts(&host, now),
        charts: sample.into_iter().flat_map(charts::of).map(charts::Chart::shown).collect(),
        charts_href: format!("{}/charts", path("host", name)),
        ranges: Range::choices(&request.query, &address),
        from: Moment::new(range.from, now),
        to: Moment::new(range.to, now),
        top,
        top_at,
        chosen: chosen.is_some(),
        newest: address.with(&[("at", "")]),
        filesystems: sample.map(|sample| filesystems(sample, row)).unwrap_or_default(),
        services: row.services.iter().map(Served::new).collect(),
        checks: sample.map(checks).unwrap_or_default(),
        faults: sample.map(faults).unwrap_or_default(),
        incidents: listed.iter().map(|it| Line::new(it, now)).collect(),
        incidents_href: format!("/incidents?host={}", crate::web::percent::encode(name)),
        readings: sample.map(readings).unwrap_or_default(),
    };
    let frame = Frame::new(site, request, source, &fleet)?;
    site.pages.page("host.html", name, &frame, &page)
}

/// What each check of the newest sample found.
fn checks(sample: &Sample) -> Vec<Check> {
    let of = |metric: &str, item: &str| {
        let found = sample.readings.iter().find(|it| it.metric == metric && it.item == item)?;
        Some(found.value)
    };
    let one = |item: &str| {
        // What could not tell is no alarm about the service.
        let unsure = of("check.unknown", item).is_some_and(|value| value > 0.0);
        let (level, answer) = match of("check.ok", item) {
            _ if unsure => ("unknown", "cannot tell"),
            Some(value) if value >= 1.0 => ("ok", "ok"),
            Some(_) => ("critical", "fails"),
            None => ("unknown", "no answer"),
        };
        let took = Figure::new("check.seconds", of("check.seconds", item));
        // Only a check with an interval of its own has one.
        let age = of(AGE, item).map_or_else(String::new, figure::seconds);
        Check { name: item.to_owned(), level, answer, took, age }
    };
    let mut items: Vec<&str> = Vec::new();
    for it in sample.readings.iter().filter(|it| matches!(it.metric.as_str(), "check.ok" | "check.unknown")) {
        if !items.contains(&it.item.as_str()) {
            items.push(&it.item);
        }
    }
    items.into_iter().map(one).collect()
}

fn open(problem: &Problem, now: DateTime<Utc>) -> Open {
    let incident = &problem.incident;
    Open {
        id: incident.id,
        level: incident.level.word(),
        text: incident.text.clone(),
        tags: tags(problem),
        opened: Moment::new(incident.opened, now),
    }
}

/// What is asked first of a machine that one does not know by heart.
fn facts(host: &Host, now: DateTime<Utc>) -> Vec<Fact> {
    // Of a name and item the last holds.
    let last = |name: &str| host.facts.iter().rfind(|it| it.name == name && it.item.is_empty() && !it.text.is_empty());
    let text = |name: &str| last(name).map(|it| it.text.clone());
    let since = |it: Option<&HostFact>| it.map(|it| format!("since {}", stamp(it.since))).unwrap_or_default();
    let value = |metric: &str| host.sample.as_ref().and_then(|sample| sample.value(metric, ""));
    let joined = |parts: [Option<String>; 2]| {
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    };
    let updates = value("update.pending").map(|all| {
        let security = value("update.security").filter(|count| *count > 0.0);
        security.map_or_else(
            || figure::number(all),
            |count| format!("{}, {} for security", figure::number(all), figure::number(count)),
        )
    });
    let cores =
        text("host.cores").or_else(|| value("cpu.count").map(|count| format!("{} processors", figure::number(count))));
    let visit = host
        .attempts
        .first()
        .map(|it| format!("{} ago, {}", super::parts::lasted(it.at, now), figure::seconds(it.took.as_secs_f64())));
    let rows = [
        ("System", text("host.distribution.name"), since(last("host.distribution.name"))),
        ("Kernel", joined([text("host.kernel"), text("host.architecture")]), since(last("host.kernel"))),
        ("Machine", joined([text("host.vendor"), text("host.product")]), String::new()),
        ("Virtualization", text("host.virtualization"), String::new()),
        ("Processor", joined([text("host.processor"), cores]), String::new()),
        ("Memory", value("memory.total").map(figure::bytes), String::new()),
        ("Up", value("uptime").map(figure::seconds), String::new()),
        ("Updates", updates, String::new()),
        ("Reboot", value("reboot.required").filter(|it| *it > 0.0).map(|_| "required".to_owned()), String::new()),
        ("Calls itself", text("host.name").filter(|name| *name != host.spec.name), String::new()),
        ("Reached by", Some(reached(&host.spec)), String::new()),
        ("Last visit", visit, String::new()),
    ];
    rows.into_iter().filter_map(|(name, text, title)| Some(Fact { name, text: text?, title })).collect()
}

fn reached(spec: &HostSpec) -> String {
    match &spec.transport {
        Transport::Local => "this machine itself".to_owned(),
        Transport::Ssh(ssh) if ssh.port == 22 => format!("{}@{}", ssh.user, ssh.address),
        Transport::Ssh(ssh) => format!("{}@{} port {}", ssh.user, ssh.address, ssh.port),
    }
}

fn by_kind(list: &[Process]) -> Vec<Top> {
    let tables = By::ALL.iter().map(|&by| {
        let (title, unit, value): (_, _, fn(f64) -> String) = match by {
            By::Cpu => ("processor", "CPU", figure::ratio),
            By::Memory => ("memory", "Memory", figure::bytes),
            By::Io => ("disk traffic", "Bytes/s", figure::bytes),
        };
        let rows = list.iter().filter(|it| it.by == by).map(|it| Taker {
            value: value(it.value),
            comm: it.comm.clone(),
            unit: it.unit.clone(),
            command: it.command.clone(),
            user: it.user.clone(),
            pid: it.pid,
        });
        Top { by: title, unit, rows: rows.collect() }
    });
    tables.filter(|table| !table.rows.is_empty()).collect()
}

/// Fullest first; one that hangs has no numbers and stands before all.
fn filesystems(sample: &Sample, row: &HostRow) -> Vec<Filesystem> {
    let is = |metric: &str, item: &str| sample.value(metric, item).is_some_and(|value| value > 0.0);
    let mut mounts: Vec<(f64, &str)> = Vec::new();
    for reading in &sample.readings {
        match reading.metric.as_str() {
            "filesystem.used" => mounts.push((reading.value, &reading.item)),
            "filesystem.hung" if reading.value > 0.0 => mounts.push((f64::INFINITY, &reading.item)),
            _ => {}
        }
    }
    mounts.sort_by(|a, b| b.0.total_cmp(&a.0));
    let bytes = |metric: &str, mount: &str| sample.value(metric, mount).map(figure::bytes).unwrap_or_default();
    let one = |(_, mount): &(f64, &str)| Filesystem {
        mount: (*mount).to_owned(),
        used: Figure::share(sample.value("filesystem.used", mount)).at(about(row, "filesystem.used", Some(mount))),
        free: bytes("filesystem.available", mount),
        size: bytes("filesystem.size", mount),
        inodes: Figure::share(sample.value("filesystem.inodes.used", mount)).at(about(
            row,
            "filesystem.inodes",
            Some(mount),
        )),
        state: match () {
            () if is("filesystem.hung", mount) => "hangs",
            () if is("filesystem.readonly", mount) => "read-only",
            () => "",
        },
    };
    mounts.iter().map(one).collect()
}

fn faults(sample: &Sample) -> Vec<Unmeasured> {
    let one = |it: &crate::model::sample::Fault| Unmeasured {
        what: if it.item.is_empty() { it.section.clone() } else { format!("{} {}", it.section, it.item) },
        kind: it.kind.word(),
        text: it.text.clone(),
    };
    sample.faults.iter().map(one).collect()
}

fn readings(sample: &Sample) -> Vec<Read> {
    let mut all: Vec<Read> = sample
        .readings
        .iter()
        .map(|it| {
            let metric = catalogue::find(&it.metric);
            // A total as it was read: its rate needs the sample before, and stands in the charts.
            let total = metric.is_some_and(|metric| metric.kind == crate::model::metric::Kind::Counter);
            Read {
                value: if total { figure::number(it.value) } else { figure::of(metric, it.value) },
                help: metric.map_or("", |metric| metric.help),
                metric: it.metric.clone(),
                item: it.item.clone(),
            }
        })
        .collect();
    all.sort_by(|a, b| (&a.metric, &a.item).cmp(&(&b.metric, &b.item)));
    all
}
