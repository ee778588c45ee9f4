//! `fleet compare HOST HOST`: what tells two machines apart.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{at, show};
use crate::app::clock;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::config;
use crate::model::clean::clean;
use crate::model::spec::{FleetSpec, Transport};
use crate::view::compare::{self, Side};
use crate::view::{hosts, json, units};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The one
    #[arg(value_name = "HOST")]
    first: String,
    /// The other; the same name with --at compares a host with itself
    #[arg(value_name = "HOST")]
    second: String,
    /// The first as it was then: 03:12, "yesterday 03:12", -2h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,
    /// Also what is alike
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    rows: show::RowArgs,
    #[command(flatten)]
    format: show::FormatArgs,
}

/// Runs `fleet compare`.
pub fn run(common: &Common, args: Args) -> Outcome {
    let spec = common.spec()?;
    let store = open_store(&spec)?;
    for host in [&args.first, &args.second] {
        at::known_host(&spec, store.as_ref(), host)?;
    }
    let now = clock::now();
    let past = |text: &String| config::moment::past(text, now, "UTC").map_err(|text| Failure::new(Exit::Usage, text));
    let asked = args.at.as_ref().map(past).transpose()?.unwrap_or(now);
    let (first, second) =
        (at::find(&spec, store.as_ref(), &args.first, asked)?, at::find(&spec, store.as_ref(), &args.second, now)?);
    let settings = [settings(&spec, &args.first), settings(&spec, &args.second)];
    let side = |n: usize, then| {
        let known = at::known(then);
        Side {
            settings: settings.get(n).map(Vec::as_slice).unwrap_or_default(),
            facts: known.facts,
            readings: known.readings,
        }
    };
    let (mut page, alike) = compare::page(side(0, &first), side(1, &second), args.all);
    args.rows.apply(&mut page, None)?;
    let format = args.format.format();
    if format == show::Format::Json {
        let one = |name: &str, at: DateTime<Utc>| json!({"host": name, "at": json::moment(at)});
        let sides = [("first", one(&args.first, first.at)), ("second", one(&args.second, second.at))];
        return exit::print(&json::about(&page, sides));
    }
    if format != show::Format::Table {
        return show::page(common, format, &page);
    }
    let ago = |at: DateTime<Utc>| units::seconds((now - at).as_seconds_f64().max(0.0).floor());
    exit::print(&format!(
        "first: {}, {} ago; second: {}, {} ago\n\n",
        clean(&args.first),
        ago(first.at),
        clean(&args.second),
        ago(second.at)
    ))?;
    if !page.rows.is_empty() {
        show::page(common, format, &page)?;
        exit::print("\n")?;
    }
    let more = if args.all { "" } else { "; to see them too: --all" };
    exit::print(&format!("{alike} lines are alike{more}\n"))
}

/// What the configuration says of a host.
fn settings(spec: &FleetSpec, name: &str) -> Vec<(&'static str, String)> {
    let Some(host) = spec.host(name) else { return Vec::new() };
    let labels: Vec<String> = host.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let services: Vec<&str> = host.services.iter().map(|service| service.name.as_str()).collect();
    let port = match &host.transport {
        Transport::Ssh(ssh) => format!("{} port {}", ssh.user, ssh.port),
        Transport::Local => hosts::reached(&host.transport),
    };
    vec![
        ("groups", host.groups.join(" ")),
        ("labels", labels.join(" ")),
        ("services", services.join(" ")),
        ("login", port),
        ("rules", host.rules.len().to_string()),
    ]
}
