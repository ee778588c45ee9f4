//! `fleet history`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{hosts, show};
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::{clock, past};
use crate::config;
use crate::model::catalogue;
use crate::model::fleet::{Grain, Point, Series};
use crate::model::metric::{Kind, Metric};
use crate::model::pattern;
use crate::view::{history, table, units};

/// Lines of the table of points, so that it fits a small terminal.
const LINES: usize = 16;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The host's name in the configuration
    #[arg(value_name = "HOST")]
    host: String,
    /// The metric, as `fleet metrics` lists it
    #[arg(value_name = "METRIC")]
    metric: String,
    /// Only items (mounts, disks, ...) that match
    #[arg(long, value_name = "PATTERN")]
    item: Option<String>,
    /// How far back: 90m, 24h, 14d
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = units::span)]
    since: Duration,
    #[command(flatten)]
    format: show::FormatArgs,
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let spec = common.spec()?;
    let store = open_store(&spec)?;
    // A host that is not configured any more may still have a past.
    let stored = || store.now().map(|hosts| hosts.iter().any(|known| known.host == args.host));
    if spec.host(&args.host).is_none() && !stored()? {
        return Err(hosts::unknown(&spec, &args.host));
    }
    let until = clock::now();
    let back = TimeDelta::from_std(args.since).unwrap_or_default();
    let since = until.checked_sub_signed(back).unwrap_or(DateTime::<Utc>::UNIX_EPOCH);
    let metric = catalogue::find(&args.metric);
    let mut series = past::series(store.as_ref(), &args.host, &args.metric, (since, until), Grain::Whole)?;
    if metric.is_none() && series.is_empty() {
        let known = catalogue::METRICS.iter().map(|metric| metric.name);
        let mend = config::did_you_mean(&args.metric, known, "see which there are: fleet metrics");
        let text = format!("no metric is named \"{}\"; {mend}", args.metric);
        return Err(Failure::new(Exit::Usage, text));
    }
    if let Some(item) = &args.item {
        series.retain(|series| pattern::matches(item, &series.item));
    }
    let format = args.format.format();
    if format != show::Format::Table {
        return show::page(common, format, &history::points(metric, &series));
    }
    exit::print(&page(metric, &args, &series, since, until, show::width()))
}

fn page(
    metric: Option<&Metric>,
    args: &Args,
    series: &[Series],
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    width: usize,
) -> String {
    let back = units::seconds(args.since.as_secs_f64());
    let full: Vec<&Series> = series.iter().filter(|series| !series.points.is_empty()).collect();
    if full.is_empty() {
        return format!("nothing was measured of {} on {} in the last {back}\n", args.metric, args.host);
    }
    let rate = if metric.is_some_and(|metric| metric.kind == Kind::Counter) { ", per second" } else { "" };
    let mut out = format!("{} of {}, last {back}{rate}\n", args.metric, args.host);
    for series in &full {
        let spans = history::fitting(&series.points, since, until, width.saturating_sub(2));
        let bars = history::bars(metric, &history::buckets(&series.points, since, until, spans));
        if !series.item.is_empty() {
            out.push_str(&format!("{}\n", table::text(&crate::view::Cell::Text(series.item.clone()))));
        }
        out.push_str(&format!("|{bars}|\n"));
    }
    out.push('\n');
    out.push_str(&table::render(&history::summary(metric, series), width, false));
    if let [only] = full[..] {
        let points: Vec<Point> = if only.points.len() <= LINES {
            only.points.clone()
        } else {
            history::buckets(&only.points, since, until, LINES).into_iter().flatten().collect()
        };
        out.push('\n');
        let one = Series { item: only.item.clone(), points };
        out.push_str(&table::render(&history::points(metric, &[one]), width, false));
    } else {
        out.push_str("\nfor the points of one item: --item PATTERN\n");
    }
    out
}
