//! The charts of a host: which there are, and their points for the time that is looked at, as many as pixels.

use std::borrow::Cow;
use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::parts::{Address, Choice};
use crate::model::fleet::{Point, Series, Steps};
use crate::model::level::Level;
use crate::model::metric::{Kind, Metric, Unit};
use crate::model::rule::{self, RuleKind};
use crate::model::sample::Sample;
use crate::model::spec::{HostSpec, RuleSpec};
use crate::model::{amount, catalogue, derive, pattern};
use crate::web::request::{Params, Request};
use crate::web::response::{Answer, Response, Trouble};
use crate::web::site::Site;
use crate::web::source::{Source, Stretch, Which};

/// What is looked at where the address says nothing.
const USUAL: &str = "24h";
const SPANS: &[&str] = &["1h", "6h", "24h", "7d", "30d", "90d"];
/// Lines in a chart: more cannot be told apart.
const LINES: usize = 6;
/// Incidents that are marked.
const MARKS: usize = 500;

/// A chart.
#[derive(Debug)]
pub struct Chart {
    /// As the page and the answer name it.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    unit: Unit,
    /// Where the axis ends, unless values go beyond.
    most: Option<f64>,
    /// The first line is drawn as a height: it is what the chart is about, the others are parts of it or beside it.
    area: bool,
    /// Metrics, and how their lines are called; what has items is called by them, with the name behind.
    lines: Cow<'static, [(&'static str, &'static str)]>,
}

const fn chart(
    id: &'static str,
    title: &'static str,
    unit: Unit,
    most: Option<f64>,
    lines: &'static [(&'static str, &'static str)],
) -> Chart {
    Chart { id, title, unit, most, area: false, lines: Cow::Borrowed(lines) }
}

/// Metrics that are seen in the line of another: what is left of what is used, and when nothing will be.
const SEEN_IN: &[(&str, &str)] =
    &[("filesystem.full-in", "filesystem.used"), ("filesystem.available", "filesystem.used")];

/// The metric that a rule is about.
fn metric_of(rule: &str) -> Option<&'static Metric> {
    rule::parse(rule).map(|(metric, _)| metric)
}

impl Chart {
    const fn area(mut self) -> Self {
        self.area = true;
        self
    }

    /// The chart of a metric that stands in none of [`CHARTS`].
    fn alone(metric: &'static Metric) -> Self {
        let unit = if metric.kind == Kind::Counter { metric.unit.per_second() } else { metric.unit };
        let most = (unit == Unit::Ratio).then_some(1.0);
        let lines = Cow::Owned(vec![(metric.name, "")]);
        Self { id: metric.name, title: metric.help, unit, most, area: false, lines }
    }

    /// Whether one of its lines shows what a rule is about.
    fn is_about(&self, rule: &str) -> bool {
        let metric = metric_of(rule).map(|metric| metric.name);
        let seen = SEEN_IN.iter().find(|(other, _)| metric == Some(*other)).map(|(_, line)| *line).or(metric);
        self.lines.iter().any(|(line, _)| seen == Some(*line))
    }

    /// For a page.
    #[must_use]
    pub fn shown(&self) -> Shown {
        Shown { id: self.id, title: self.title }
    }
}

/// A chart as a page frames it; `charts.js` asks for what is in it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Shown {
    id: &'static str,
    title: &'static str,
}

/// Every chart, in the order of the page; a host has those whose metrics it measures.
pub const CHARTS: &[Chart] = &[
    chart(
        "cpu",
        "Processor",
        Unit::Ratio,
        Some(1.0),
        &[("cpu.used", "used"), ("cpu.iowait", "waits for disks"), ("cpu.steal", "stolen")],
    )
    .area(),
    chart("load", "Load", Unit::Count, None, &[("load.1m", "1 min"), ("load.5m", "5 min"), ("load.15m", "15 min")]),
    chart("memory", "Memory", Unit::Ratio, Some(1.0), &[("memory.used", "used"), ("swap.used", "swap")]).area(),
    chart("pressure", "Pressure: share of time that something waited", Unit::Ratio, None, &[("pressure.some", "")]),
    chart("filesystem", "Filesystems", Unit::Ratio, Some(1.0), &[("filesystem.used", "")]),
    chart("disk", "Disks: share of time busy", Unit::Ratio, Some(1.0), &[("disk.utilization", "")]),
    chart(
        "traffic",
        "Disk traffic",
        Unit::BytesPerSecond,
        None,
        &[("disk.read.rate", "read"), ("disk.write.rate", "written")],
    ),
    chart(
        "network",
        "Network",
        Unit::BytesPerSecond,
        None,
        &[("network.receive.rate", "in"), ("network.transmit.rate", "out")],
    ),
    chart(
        "latency",
        "Answer times of services",
        Unit::Seconds,
        None,
        &[("http.latency", ""), ("tcp.latency", ""), ("redis.latency", ""), ("postgres.latency", "")],
    ),
    chart("temperature", "Temperature", Unit::Celsius, None, &[("temperature", "")]),
];

/// The charts of a host: one whose metrics its newest sample does not have would be empty for ever.
pub fn of(sample: &Sample) -> impl Iterator<Item = &'static Chart> {
    let measured = measured(sample);
    CHARTS.iter().filter(move |chart| chart.lines.iter().any(|(metric, _)| measured(metric)))
}

/// Whether a sample has a metric, or what it is derived from.
fn measured(sample: &Sample) -> impl Fn(&str) -> bool {
    let known: BTreeSet<&str> = sample.readings.iter().map(|reading| reading.metric.as_str()).collect();
    move |metric: &str| match derive::find(metric) {
        Some(derived) => derived.formula.inputs().any(|input| known.contains(input)),
        None => known.contains(metric),
    }
}

/// The chart of a host that shows what a rule is about: the one with its metric, or the metric's own; none where it is not
/// measured.
#[must_use]
pub fn about(sample: &Sample, rule: &str) -> Option<Shown> {
    let common = of(sample).find(|chart| chart.is_about(rule)).map(Chart::shown);
    let own = || metric_of(rule).filter(|metric| measured(sample)(metric.name));
    common.or_else(|| Some(Chart::alone(own()?).shown()))
}

/// The time that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Its begin.
    pub from: DateTime<Utc>,
    /// Its end.
    pub to: DateTime<Utc>,
}

impl Range {
    /// `from=` and `to=`, or `span=` up to `to=` or now.
    ///
    /// # Errors
    /// 400 with what is wrong.
    pub fn read(query: &Params, now: DateTime<Utc>) -> Result<Self, Trouble> {
        let to = query.moment("to")?.unwrap_or(now);
        let from = match query.moment("from")? {
            Some(from) => from,
            None => {
                let span = query.get("span").filter(|span| !span.is_empty()).unwrap_or(USUAL);
                let length = amount::duration(span)
                    .map_err(|wrong| Trouble::bad(format!("span= is wrong: {}; {}", wrong.text, wrong.mend)))?;
                let length = TimeDelta::from_std(length).unwrap_or(TimeDelta::days(1));
                to.checked_sub_signed(length).unwrap_or(to)
            }
        };
        if from >= to {
            return Err(Trouble::bad("from= is not before to=; exchange them"));
        }
        Ok(Self { from, to })
    }

    /// The incidents of a host that were open in it.
    #[must_use]
    pub fn incidents(self, host: &str, most: usize) -> Which<'_> {
        Which { host: Some(host), since: Some(self.from), until: Some(self.to), ended: true, before: None, most }
    }

    /// Links to the usual lengths of time, up to now.
    #[must_use]
    pub fn choices(query: &Params, address: &Address) -> Vec<Choice> {
        let free = query.get("from").is_some_and(|from| !from.is_empty());
        let shown = if free { "" } else { query.get("span").filter(|span| !span.is_empty()).unwrap_or(USUAL) };
        let link = |span: &&str| Choice {
            href: address.with(&[
                ("from", ""),
                ("to", ""),
                ("at", ""),
                ("span", if *span == USUAL { "" } else { span }),
            ]),
            text: (*span).to_owned(),
            here: *span == shown,
        };
        SPANS.iter().map(link).collect()
    }
}

/// The points of every chart of a host, and its incidents in that time: what `charts.js` draws.
///
/// # Errors
/// 404 for an unknown host, 400 for a time that is none, and the source's.
pub fn charts(_: &Site, request: &Request, source: &mut dyn Source) -> Answer {
    let name = request.capture("name");
    let range = Range::read(&request.query, request.now)?;
    let points = request.query.number("points", 10, 4000)?.unwrap_or(600);
    let most = usize::try_from(points).unwrap_or(600);
    let only = request.query.get("only").filter(|only| !only.is_empty());
    let host = source.host(name)?.ok_or_else(|| super::host::missing(name))?;
    let shown = host.sample.iter().flat_map(of).filter(|chart| only.is_none_or(|only| only == chart.id));
    let mut shown: Vec<&Chart> = shown.collect();
    // A page about a problem asks for its metric where no chart has it.
    let alone = only.filter(|_| shown.is_empty()).and_then(catalogue::find).map(Chart::alone);
    shown.extend(&alone);
    let metrics: Vec<&str> = shown.iter().flat_map(|chart| chart.lines.iter()).map(|(metric, _)| *metric).collect();
    let stretch = Stretch { host: name, metrics: &metrics, item: None, since: range.from, until: range.to, most };
    let mut found = source.series(&stretch)?.into_iter();
    let drawn: Vec<Value> = shown.iter().map(|chart| draw(chart, &host.spec, &mut found)).collect();
    let marks = source.incidents(range.incidents(name, MARKS))?;
    let marks: Vec<Value> = marks
        .iter()
        .map(|it| &it.incident)
        .map(|it| {
            let rule = it.subject.rule.as_str();
            let own: Vec<&str> = shown.iter().filter(|it| it.is_about(rule)).map(|it| it.id).collect();
            json!({"id": it.id, "own": own, "rule": rule, "level": it.worst.word(), "text": it.text,
                "opened": it.opened.timestamp(), "closed": it.closed.map(|at| at.timestamp())})
        })
        .collect();
    let body = json!({"from": range.from.timestamp(), "to": range.to.timestamp(), "charts": drawn, "incidents": marks});
    Ok(Response::json(200, &body))
}

struct Drawn {
    name: String,
    at: Vec<i64>,
    values: Vec<Option<f64>>,
    /// Least and greatest of each point, where points stand for more than one sample.
    band: Option<[Vec<Option<f64>>; 2]>,
    min: f64,
    /// Over time: points of hours count as hours.
    mean: f64,
    max: f64,
}

/// A chart, from what was found of its metrics.
fn draw(chart: &Chart, host: &HostSpec, found: &mut impl Iterator<Item = Vec<Series>>) -> Value {
    let mut lines: Vec<Drawn> = Vec::new();
    let mut first: Option<(&str, Vec<String>)> = None;
    for (metric, name) in chart.lines.iter() {
        for series in found.next().unwrap_or_default() {
            if series.points.is_empty() {
                continue;
            }
            match &mut first {
                None => first = Some((metric, vec![series.item.clone()])),
                Some((known, items)) if known == metric => items.push(series.item.clone()),
                Some(_) => {}
            }
            let name = match (series.item.as_str(), *name) {
                ("", "") => (*metric).to_owned(),
                (item, "") => item.to_owned(),
                ("", name) => name.to_owned(),
                (item, name) => format!("{item} {name}"),
            };
            lines.push(line(name, &series.points));
        }
    }
    // The lines that go highest are those that somebody looks for.
    let left = lines.len().saturating_sub(LINES);
    if left > 0 {
        let mut tops: Vec<f64> = lines.iter().map(|line| line.max).collect();
        tops.sort_by(|a, b| b.total_cmp(a));
        let least = tops.get(LINES - 1).copied().unwrap_or(f64::NEG_INFINITY);
        lines.retain(|line| line.max >= least);
        lines.truncate(LINES);
    }
    let levels = first.map(|(metric, items)| levels(host, metric, &items)).unwrap_or_default();
    // Lines of one host mostly share their moments: those are sent once.
    let first = lines.first().map(|line| line.at.clone()).unwrap_or_default();
    let series: Vec<Value> = lines
        .into_iter()
        .map(|line| {
            let at = (line.at != first).then_some(line.at);
            json!({"name": line.name, "at": at, "values": line.values, "band": line.band, "min": line.min,
                "mean": line.mean, "max": line.max})
        })
        .collect();
    json!({"id": chart.id, "unit": chart.unit.word(), "most": chart.most, "area": chart.area || series.len() == 1,
        "levels": levels, "at": first, "series": series, "left": left})
}

/// From which values on the host's rules call its first metric a problem: where one and the same rule judges all of its
/// items. Of each kind the first rule that fits an item judges it.
fn levels(host: &HostSpec, metric: &str, items: &[String]) -> Vec<(&'static str, f64)> {
    let matched = |patterns: &[String], item: &String| patterns.iter().any(|it| pattern::matches(it, item));
    let judge = |kind: RuleKind, item: &String| {
        let fits = |rule: &&RuleSpec| matched(&rule.items, item) && !matched(&rule.not_items, item);
        host.rules.iter().filter(|rule| rule.metric == metric && rule.kind == kind).find(fits)
    };
    let common = |kind: RuleKind| {
        let rule = judge(kind, items.first()?)?;
        let is_same = |item: &String| judge(kind, item).is_some_and(|other| std::ptr::eq(other, rule));
        items.iter().all(is_same).then_some(rule)
    };
    // What follows the size of an item is another value for each.
    let known = [RuleKind::Above, RuleKind::Below].into_iter().filter_map(common).filter(|rule| rule.scale.is_none());
    let both = |rule: &RuleSpec| [(Level::Warning, rule.warning), (Level::Critical, rule.critical)];
    known.flat_map(both).filter_map(|(level, value)| Some((level.word(), value?))).collect()
}

fn line(name: String, points: &[Point]) -> Drawn {
    let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
    for point in points {
        (min, max) = (min.min(point.min), max.max(point.max));
    }
    let mean = few(Steps::of(points).mean(points).unwrap_or_default());
    let (at, all) = gaps(points);
    let one = |n: usize| all.iter().map(|it| it.and_then(|it| it.get(n).copied())).collect::<Vec<_>>();
    let wide = all.iter().flatten().any(|[_, least, most]| least < most);
    Drawn { name, at, values: one(0), band: wide.then(|| [one(1), one(2)]), min: few(min), mean, max: few(max) }
}

/// Four digits: more are not seen, and weigh.
fn few(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let scale = 10f64.powi(3 - value.abs().log10().floor() as i32);
    // At the ends of what a number holds, rounding leads out of it.
    Some((value * scale).round() / scale).filter(|few| few.is_finite()).unwrap_or(value)
}

/// When, and mean, least and greatest.
type Broken = (Vec<i64>, Vec<Option<[f64; 3]>>);

/// Where points are missing the line is broken: nothing was measured there, and a line would say otherwise.
fn gaps(points: &[Point]) -> Broken {
    let steps = Steps::of(points);
    let (mut at, mut values) = (Vec::with_capacity(points.len()), Vec::with_capacity(points.len()));
    let mut before: Option<&Point> = None;
    for point in points {
        if let Some(last) = before.filter(|last| steps.apart(last, point)) {
            at.push((last.at + steps.step(last)).timestamp());
            values.push(None);
        }
        at.push(point.at.timestamp());
        values.push(Some([point.mean, point.min, point.max].map(few)));
        before = Some(point);
    }
    (at, values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::{Reading, SampleKey};

    fn unit(metric: &str) -> Option<Unit> {
        let metric = catalogue::find(metric)?;
        Some(if metric.kind == Kind::Counter { metric.unit.per_second() } else { metric.unit })
    }

    #[test]
    fn every_line_is_a_metric_in_the_unit_of_its_chart() {
        for chart in CHARTS {
            for (metric, _) in chart.lines.iter() {
                assert_eq!(unit(metric), Some(chart.unit), "{metric} in {}", chart.id);
            }
        }
    }

    #[test]
    fn a_line_is_broken_where_nothing_was_measured() {
        let sample = |(second, value)| Point::new(DateTime::from_timestamp(second, 0).unwrap(), value);
        let points = [(0, 1.0), (300, 2.0), (600, 3.0), (3600, 4.0), (3900, 5.0)].map(sample);
        let (at, values) = gaps(&points);
        assert_eq!(at, [0, 300, 600, 900, 3600, 3900]);
        let means: Vec<Option<f64>> = values.into_iter().map(|it| it.map(|it| it[0])).collect();
        assert_eq!(means, [Some(1.0), Some(2.0), Some(3.0), None, Some(4.0), Some(5.0)]);
        assert_eq!(gaps(&[sample((7, 1.0))]), (vec![7], vec![Some([1.0; 3])]));
        assert_eq!(gaps(&[]), (vec![], vec![]));
        // Hours before many samples: only the hour that is missing is a gap.
        let hours = [0, 1, 2, 6, 7].map(|hour| Point { hour: true, ..sample((hour * 3600, 1.0)) });
        let mixed: Vec<Point> = hours.into_iter().chain((96..150).map(|n| sample((n * 300, 1.0)))).collect();
        let (at, values) = gaps(&mixed);
        let broken: Vec<i64> = at.into_iter().zip(values).filter(|(_, it)| it.is_none()).map(|(at, _)| at).collect();
        assert_eq!(broken, [3 * 3600]);
        let two = [Point { hour: true, ..sample((0, 1.0)) }, sample((3600, 4.0)), sample((5400, 4.0))];
        assert_eq!(line("x".into(), &two).mean, 2.5);
    }

    #[test]
    fn points_of_more_than_one_sample_have_a_band() {
        let point = |hour: i64, values: [f64; 3]| {
            let [min, mean, max] = values;
            Point { min, max, ..Point::new(DateTime::from_timestamp(3600 * hour, 0).unwrap(), mean) }
        };
        let hours = [point(0, [1.0, 2.0, 3.0]), point(1, [2.0; 3]), point(9, [0.5, 2.0, 4.0])];
        let drawn = line("x".into(), &hours);
        assert_eq!(drawn.values, [Some(2.0), Some(2.0), None, Some(2.0)]);
        let [least, most] = drawn.band.unwrap();
        assert_eq!(least, [Some(1.0), Some(2.0), None, Some(0.5)]);
        assert_eq!((most, drawn.min, drawn.max), (vec![Some(3.0), Some(2.0), None, Some(4.0)], 0.5, 4.0));
        assert!(line("x".into(), &[point(0, [1.0; 3]), point(1, [2.0; 3])]).band.is_none());
    }

    #[test]
    fn a_problem_is_seen_in_the_chart_of_its_own_metric() {
        let metrics = ["cpu.used", "memory.used", "filesystem.used", "filesystem.available", "filesystem.inodes.used"];
        let reading = |metric: &str| Reading { metric: metric.to_owned(), item: String::new(), value: 0.5 };
        let sample = Sample {
            key: SampleKey { boot: "b".to_owned(), sequence: 1 },
            taken: DateTime::UNIX_EPOCH,
            hostname: String::new(),
            probe: String::new(),
            readings: metrics.into_iter().map(reading).collect(),
            faults: Vec::new(),
            facts: Vec::new(),
            top: Vec::new(),
        };
        let id = |rule: &str| about(&sample, rule).map(|shown| shown.id);
        for (rule, chart) in [
            ("cpu.used", "cpu"),
            ("cpu.used.absent", "cpu"),
            ("filesystem.used", "filesystem"),
            ("filesystem.full-in", "filesystem"),
            ("filesystem.available", "filesystem"),
            // In no chart of the host's page: one of its own.
            ("filesystem.inodes.used", "filesystem.inodes.used"),
        ] {
            assert_eq!(id(rule), Some(chart), "{rule}");
        }
        assert_eq!((id("filesystem.readonly"), id("cpu.steal"), id("unreachable")), (None, Some("cpu"), None));
        let own = Chart::alone(catalogue::find("filesystem.inodes.used").unwrap());
        assert!(own.is_about("filesystem.inodes.used") && !own.is_about("filesystem.used"));
        assert_eq!((own.unit, own.most), (Unit::Ratio, Some(1.0)));
        let cpu = &CHARTS[0];
        assert!(cpu.is_about("cpu.iowait") && !cpu.is_about("cpu.user") && !cpu.is_about("unreachable"));
    }

    #[test]
    fn levels_are_those_that_hold_for_every_line() {
        let rule = |metric: &str, items: &[&str], warning: f64| RuleSpec {
            items: items.iter().map(|it| (*it).to_owned()).collect(),
            warning: Some(warning),
            critical: Some(2.0 * warning),
            ..RuleSpec::new(catalogue::find(metric).unwrap(), RuleKind::Above)
        };
        let mut sized = rule("filesystem.used", &["*"], 0.4);
        sized.scale = Some(0.8);
        let host = HostSpec {
            name: "a".to_owned(),
            groups: Vec::new(),
            labels: std::collections::BTreeMap::new(),
            transport: crate::model::spec::Transport::Local,
            parents: Vec::new(),
            command_lines: false,
            rules: vec![
                rule("cpu.used", &["*"], 0.4),
                rule("http.latency", &["shop"], 1.0),
                sized,
                rule("filesystem.inodes.used", &["/var"], 0.2),
                rule("filesystem.inodes.used", &["*"], 0.4),
            ]
            .into(),
            services: Vec::new(),
            origin: crate::model::spec::Origin::default(),
        };
        let of = |metric: &str, items: &[&str]| {
            levels(&host, metric, &items.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(of("cpu.used", &[""]), [("warning", 0.4), ("critical", 0.8)]);
        assert_eq!(of("http.latency", &["shop"]), [("warning", 1.0), ("critical", 2.0)]);
        assert!(of("http.latency", &["shop", "api"]).is_empty(), "one line for two that differ would be wrong");
        // The first that fits judges: each filesystem has its own here, and no line is true for both.
        assert_eq!(of("filesystem.inodes.used", &["/"]), [("warning", 0.4), ("critical", 0.8)]);
        assert_eq!(of("filesystem.inodes.used", &["/var"]), [("warning", 0.2), ("critical", 0.4)]);
        assert!(of("filesystem.inodes.used", &["/", "/var"]).is_empty());
        assert!(of("filesystem.used", &["/"]).is_empty() && of("load.1m", &[""]).is_empty());
    }

    #[test]
    fn four_digits_are_kept() {
        assert_eq!([0.123456, 98765.4, -0.00012345, 0.0].map(few), [0.1235, 98770.0, -0.0001235, 0.0]);
        assert_eq!([f64::MAX, f64::MIN_POSITIVE, f64::INFINITY].map(few).map(f64::is_finite), [true; 3]);
    }

    #[test]
    fn the_address_says_which_time_is_seen() {
        let now = DateTime::from_timestamp(1_795_291_200, 0).unwrap();
        let read = |text: &str| Range::read(&Params::read(text).unwrap(), now);
        assert_eq!(read("").unwrap(), Range { from: now - TimeDelta::days(1), to: now });
        assert_eq!(read("span=7d").unwrap().from, now - TimeDelta::days(7));
        let both = read("from=2026-11-20T00:00:00Z&to=1795291100&span=nonsense").unwrap();
        assert_eq!((both.from.timestamp(), both.to.timestamp()), (1_795_132_800, 1_795_291_100));
        for wrong in ["span=soon", "from=x", "from=1795291200", "from=2026-11-22T00:00:00Z&to=2026-11-21T00:00:00Z"] {
            assert_eq!(read(wrong).unwrap_err().status, 400, "{wrong}");
        }
    }
}
