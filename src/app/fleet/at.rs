//! `fleet at TIME HOST`: the machine as it was then.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{hosts, show};
use crate::app::clock;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::then::{self, Source, Then};
use crate::config;
use crate::model::clean::clean;
use crate::model::spec::FleetSpec;
use crate::store::Store;
use crate::view::moment::{self, Known};
use crate::view::{json, units};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// When: 03:12, "yesterday 03:12", "mon 18:00", "2026-11-20 03:12", -2h
    #[arg(value_name = "TIME", allow_hyphen_values = true)]
    time: String,
    /// The host's name in the configuration
    #[arg(value_name = "HOST")]
    host: String,
    /// The zone of TIME: Europe/Paris
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
    #[command(flatten)]
    rows: show::RowArgs,
    #[command(flatten)]
    format: show::FormatArgs,
}

/// Runs `fleet at`.
pub fn run(common: &Common, args: Args) -> Outcome {
    let spec = common.spec()?;
    let store = open_store(&spec)?;
    known_host(&spec, store.as_ref(), &args.host)?;
    let now = clock::now();
    let asked =
        config::moment::past(&args.time, now, &args.time_zone).map_err(|text| Failure::new(Exit::Usage, text))?;
    let then = find(&spec, store.as_ref(), &args.host, asked)?;
    let known = known(&then);
    let format = args.format.format();
    if format == show::Format::Table {
        let head = format!("{}\n\n", heading(&args.host, asked, &then));
        return exit::print(&(head + &moment::people(&known, show::width(), show::color(common))));
    }
    let mut page = moment::rows(&known);
    args.rows.apply(&mut page, None)?;
    if format == show::Format::Json {
        let source = if then.source == Source::Sample { "sample" } else { "hour" };
        let common = [
            ("host", json!(args.host)),
            ("asked", json!(json::moment(asked))),
            ("at", json!(json::moment(then.at))),
            ("source", json!(source)),
        ];
        return exit::print(&json::about(&page, common));
    }
    show::page(common, format, &page)
}

/// That a host is configured, or was once: it may still have a past.
pub fn known_host(spec: &FleetSpec, store: &dyn Store, host: &str) -> Result<(), Failure> {
    let stored = || store.tried().map(|all| all.iter().any(|attempt| attempt.host == host));
    if spec.host(host).is_none() && !stored()? {
        return Err(hosts::unknown(spec, host));
    }
    Ok(())
}

/// What is known of a moment, or where to look instead.
pub fn find(spec: &FleetSpec, store: &dyn Store, host: &str, asked: DateTime<Utc>) -> Result<Then, Failure> {
    then::read(store, host, asked, spec.collector.interval)?.ok_or_else(|| {
        let when = asked.format("%Y-%m-%d %H:%M:%S UTC");
        let text = format!(
            "nothing is stored of {host} at {when} or before; see what is: fleet history {host} cpu.used --since 30d"
        );
        Failure::new(Exit::Usage, text)
    })
}

/// For views.
pub fn known(then: &Then) -> Known<'_> {
    Known { readings: &then.readings, processes: &then.processes, facts: &then.facts, problems: &then.problems }
}

/// `web1 on 2026-11-21 03:12:00 UTC, by its sample of 03:10:04, 116s before`.
fn heading(host: &str, asked: DateTime<Utc>, then: &Then) -> String {
    let stamp = asked.format("%Y-%m-%d %H:%M:%S UTC");
    let host = clean(host);
    match then.source {
        Source::Hour => {
            let hour = then.at.format("%H:%M");
            format!("{host} on {stamp}, by the means of the hour from {hour}: whole samples of then are gone")
        }
        Source::Sample => {
            let before = units::seconds((asked - then.at).as_seconds_f64().max(0.0).floor());
            let day = if asked.date_naive() == then.at.date_naive() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
            format!("{host} on {stamp}, by its sample of {}, {before} before", then.at.format(day))
        }
    }
}
