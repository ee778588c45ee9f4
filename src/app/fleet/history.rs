//! `fleet history`.

use chrono::{DateTime, TimeDelta, Utc};

use super::{at, show};
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::{clock, past};
use crate::config;
use crate::model::catalogue;
use crate::model::clean::clean;
use crate::model::fleet::{Grain, Point, Series};
use crate::model::metric::{Kind, Metric};
use crate::model::pattern;
use crate::view::{chart, history, table, units};

/// Lines of the table of points, so that it fits a small terminal.
const LINES: usize = 16;
/// Items that are named where none fits.
const NAMED: usize = 20;

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
    /// From when: so long ago (90m, 24h, 14d), or a moment ("yesterday 03:00", 2026-11-20)
    #[arg(long, value_name = "WHEN", default_value = "24h", allow_hyphen_values = true)]
    since: String,
    /// Until when, as --since [default: now]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    until: Option<String>,
    #[command(flatten)]
    rows: show::RowArgs,
    #[command(flatten)]
    format: show::FormatArgs,
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let spec = common.spec()?;
    let store = open_store(&spec)?;
    at::known_host(&spec, store.as_ref(), &args.host)?;
    let now = clock::now();
    let until = args.until.as_deref().map_or(Ok(now), |text| moment(text, now))?;
    let since = moment(&args.since, now)?;
    if since >= until {
        return Err(Failure::new(Exit::Usage, "--since is not before --until; give an earlier one"));
    }
    let metric = catalogue::find(&args.metric);
    let mut series = past::series(store.as_ref(), &args.host, &args.metric, (since, until), Grain::Whole)?;
    if metric.is_none() && series.is_empty() {
        let known = catalogue::METRICS.iter().map(|metric| metric.name);
        let mend = config::did_you_mean(&args.metric, known, "see which there are: fleet metrics");
        let text = format!("no metric is named \"{}\"; {mend}", args.metric);
        return Err(Failure::new(Exit::Usage, text));
    }
    if let Some(item) = &args.item {
        let known: Vec<String> = series.iter().map(|series| clean(&series.item)).collect();
        series.retain(|series| pattern::matches(item, &series.item));
        if series.is_empty() && !known.is_empty() {
            let list = if known.iter().all(String::is_empty) {
                format!("{} has none; leave --item away", args.metric)
            } else {
                format!("there are: {}", some(&known))
            };
            return Err(Failure::new(Exit::Usage, format!("no item fits \"{}\"; {list}", clean(item))));
        }
    }
    let format = args.format.format();
    if format != show::Format::Table {
        let mut page = history::points(metric, &series);
        args.rows.apply(&mut page, None)?;
        return show::page(common, format, &page);
    }
    exit::print(&page(metric, &args, &series, (since, until, now), show::width()))
}

/// The first of many names, and how many more there are: a host may have thousands.
fn some(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", first.join(", "))
}

/// A span before now, or a moment.
pub fn moment(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    if let Ok(span) = units::span(text) {
        let back = TimeDelta::from_std(span).unwrap_or_default();
        return Ok(now.checked_sub_signed(back).unwrap_or(DateTime::<Utc>::UNIX_EPOCH));
    }
    config::moment::past(text, now, "UTC")
        .map_err(|text| Failure::new(Exit::Usage, format!("{text}, or as a span: 90s, 5m, 24h, 14d")))
}

fn page(
    metric: Option<&Metric>,
    args: &Args,
    series: &[Series],
    (since, until, now): (DateTime<Utc>, DateTime<Utc>, DateTime<Utc>),
    width: usize,
) -> String {
    let span = match args.until {
        None if units::span(&args.since).is_ok() => {
            format!("last {}", units::seconds((now - since).as_seconds_f64().round()))
        }
        _ => format!("{} to {} UTC", since.format("%Y-%m-%d %H:%M"), until.format("%Y-%m-%d %H:%M")),
    };
    let full: Vec<&Series> = series.iter().filter(|series| !series.points.is_empty()).collect();
    if full.is_empty() {
        return format!("nothing was measured of {} on {}: {span}\n", args.metric, args.host);
    }
    let rate = if metric.is_some_and(|metric| metric.kind == Kind::Counter) { ", per second" } else { "" };
    let mut out = format!("{} of {}, {span}{rate}\n", args.metric, args.host);
    if let [only] = full[..] {
        out.push_str(&item(only));
        out.push_str(&chart::draw(metric, &only.points, since, until, width));
    } else {
        for series in &full {
            let bars = history::line(metric, &series.points, (since, until), width.saturating_sub(2));
            out.push_str(&item(series));
            out.push_str(&format!("|{bars}|\n"));
        }
    }
    out.push('\n');
    out.push_str(&table::render(&history::itemless(history::summary(metric, series)), width, false));
    if let [only] = full[..] {
        let points: Vec<Point> = if only.points.len() <= LINES {
            only.points.clone()
        } else {
            history::buckets(&only.points, since, until, LINES).into_iter().flatten().collect()
        };
        out.push('\n');
        let one = Series { item: only.item.clone(), points };
        out.push_str(&table::render(&history::itemless(history::points(metric, &[one])), width, false));
    } else {
        out.push_str("\nfor the chart and the points of one item: --item PATTERN\n");
    }
    out
}

/// A line with the item's name, where there is one.
fn item(series: &Series) -> String {
    if series.item.is_empty() {
        return String::new();
    }
    format!("{}\n", table::text(&crate::view::Cell::Text(series.item.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_thousands_of_items_the_first_are_named() {
        let names = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!((some(&names(0)), some(&names(2))), (String::new(), "0, 1".to_owned()));
        assert!(some(&names(NAMED)).ends_with(", 19"));
        assert!(some(&names(5000)).ends_with(", 19 and 4980 more"));
    }
}
