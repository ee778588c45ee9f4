//! `fleet export`: every value that is kept, in a format that other programs read.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use clap::ValueEnum;

use super::history;
use super::views::Choice;
use crate::app::clock;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::model::catalogue;
use crate::model::fleet::Point;
use crate::model::pattern;
use crate::store::{Place, Store};

mod influx;
mod openmetrics;
mod rows;

/// Written at once.
const CHUNK: usize = 64 << 10;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How values are written
    #[arg(long, value_enum, default_value = "csv", value_name = "FORMAT")]
    format: Format,
    /// Only metrics that match; may be given several times
    #[arg(long, value_name = "GLOB")]
    metric: Vec<String>,
    /// From when: so long ago (90m, 24h, 14d), or a moment ("yesterday 03:00", 2026-11-20) [default: all that is kept]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    since: Option<String>,
    #[command(flatten)]
    choice: Choice,
}

/// What other programs read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// RFC 4180 with a line of names; texts that a spreadsheet would run are guarded
    Csv,
    /// A JSON object a line
    Jsonl,
    /// InfluxDB's line protocol, times in nanoseconds
    Influx,
    /// OpenMetrics, for promtool tsdb create-blocks-from openmetrics
    Openmetrics,
}

/// One value.
struct Value<'a> {
    host: &'a str,
    metric: &'a str,
    item: &'a str,
    point: Point,
}

impl Value<'_> {
    /// Whether it stands for an hour rather than a moment.
    fn is_hour(&self) -> bool {
        self.point.min != self.point.mean || self.point.max != self.point.mean
    }
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let spec = common.spec()?;
    let store = open_store(&spec)?;
    let now = clock::now();
    let since = match &args.since {
        Some(text) => history::moment(text, now)?,
        None => {
            let back = TimeDelta::from_std(spec.store.keep.max(spec.store.keep_hourly) * 2).unwrap_or(TimeDelta::MAX);
            now.checked_sub_signed(back).unwrap_or(DateTime::<Utc>::UNIX_EPOCH)
        }
    };
    // A host that is not configured any more may still have a past.
    let mut hosts: Vec<String> = store.tried()?.into_iter().map(|attempt| attempt.host).collect();
    let all = hosts.len();
    args.choice.retain(&spec, store.as_ref(), now, &mut hosts)?;
    if hosts.is_empty() && all > 0 {
        let text = "nothing is stored of a host that fits; see which there are: fleet hosts list";
        return Err(Failure::new(Exit::Usage, text));
    }
    // A clock that is a little ahead is no reason to leave a value out.
    let span = (since, now + TimeDelta::hours(1));
    let metrics = args.metric;
    let export = Export {
        store: store.as_ref(),
        span,
        hosts,
        wanted: Box::new(move |metric| metrics.is_empty() || metrics.iter().any(|glob| pattern::matches(glob, metric))),
    };
    let mut out = Out::default();
    let done = match args.format {
        Format::Csv => export.rows(&mut out, rows::CSV_HEAD, rows::csv),
        Format::Jsonl => export.rows(&mut out, "", rows::jsonl),
        Format::Influx => export.rows(&mut out, "", influx::line),
        Format::Openmetrics => export.families(&mut out),
    };
    match done {
        Err(Stop::Closed) => Ok(Exit::Done),
        Err(Stop::Failed(failure)) => Err(failure),
        Ok(()) => Ok(Exit::Done),
    }
}

/// Why an export ended early.
enum Stop {
    /// The reader has seen enough.
    Closed,
    Failed(Failure),
}

impl From<crate::store::StoreError> for Stop {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// Standard output, in large pieces.
#[derive(Default)]
struct Out(String);

impl Out {
    fn flush(&mut self) -> Result<(), Stop> {
        let open = exit::stream(&self.0).map_err(Stop::Failed)?;
        self.0.clear();
        if open { Ok(()) } else { Err(Stop::Closed) }
    }
}

/// By metric and item.
type Points = BTreeMap<(String, String), Vec<(DateTime<Utc>, f64)>>;

struct Export<'a> {
    store: &'a dyn Store,
    span: (DateTime<Utc>, DateTime<Utc>),
    hosts: Vec<String>,
    wanted: Box<dyn Fn(&str) -> bool>,
}

impl Export<'_> {
    /// Value after value, host after host; in memory is one part of one host.
    fn rows(&self, out: &mut Out, head: &str, line: fn(&mut String, &Value<'_>)) -> Result<(), Stop> {
        out.0.push_str(head);
        for host in &self.hosts {
            let mut place = Place::default();
            loop {
                let mut each =
                    |metric: &str, item: &str, point: Point| line(&mut out.0, &Value { host, metric, item, point });
                let more = self.store.part(host, self.span, &self.wanted, &mut place, &mut each)?;
                if out.0.len() >= CHUNK {
                    out.flush()?;
                }
                if !more {
                    break;
                }
            }
        }
        out.flush()
    }

    /// Family after family, and in it series after series, as OpenMetrics wants it; in memory are the series of one
    /// metric of one host. The store is read once for each family.
    fn families(&self, out: &mut Out) -> Result<(), Stop> {
        for metric in catalogue::METRICS.iter().filter(|metric| (self.wanted)(metric.name)) {
            let mut head = Some(openmetrics::head(metric));
            for host in &self.hosts {
                for ((_, item), points) in self.series(host, &|name| name == metric.name)? {
                    out.0.push_str(&head.take().unwrap_or_default());
                    openmetrics::series(&mut out.0, metric, host, &item, &points);
                }
                if out.0.len() >= CHUNK {
                    out.flush()?;
                }
            }
        }
        // What a newer probe brought: nothing is known of it but its name.
        let mut head = Some(openmetrics::UNKNOWN_HEAD);
        for host in &self.hosts {
            let unknown = |name: &str| (self.wanted)(name) && catalogue::measured(name).is_none();
            let mut names = BTreeSet::new();
            self.each(host, &unknown, &mut |name, _, _| {
                let _ = names.insert(name.to_owned());
            })?;
            for name in names {
                for ((_, item), points) in self.series(host, &|metric| metric == name)? {
                    out.0.push_str(head.take().unwrap_or_default());
                    openmetrics::unknown(&mut out.0, &name, host, &item, &points);
                }
                out.flush()?;
            }
        }
        out.0.push_str(openmetrics::END);
        out.flush()
    }

    /// The points of each metric and item, oldest first.
    fn series(&self, host: &str, wanted: &dyn Fn(&str) -> bool) -> Result<Points, Stop> {
        let mut found = Points::new();
        self.each(host, wanted, &mut |metric, item, point| {
            found.entry((metric.to_owned(), item.to_owned())).or_default().push((point.at, point.mean));
        })?;
        for points in found.values_mut() {
            points.sort_by_key(|(at, _)| *at);
            points.dedup_by_key(|(at, _)| *at);
        }
        Ok(found)
    }

    fn each(
        &self,
        host: &str,
        wanted: &dyn Fn(&str) -> bool,
        each: &mut dyn FnMut(&str, &str, Point),
    ) -> Result<(), Stop> {
        let mut place = Place::default();
        while self.store.part(host, self.span, wanted, &mut place, each)? {}
        Ok(())
    }
}
