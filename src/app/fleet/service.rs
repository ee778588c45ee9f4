//! `fleet service NAME`: one service over all its servers, and each of them.

use super::{show, views};
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::{clock, snapshot};
use crate::config;
use crate::model::clean::clean;
use crate::model::filter::Chosen;
use crate::model::level::Level;
use crate::model::snapshot::{HostRow, ServiceRow, Snapshot};
use crate::view::{Page, json, services, unhealthy};

/// Flags.
#[derive(Debug, clap::Args)]
#[command(after_help = views::TELLS)]
pub struct Args {
    /// The service's name in the configuration
    #[arg(value_name = "SERVICE")]
    name: String,
    #[command(flatten)]
    choice: views::Choice,
    #[command(flatten)]
    thresholds: views::Thresholds,
    #[command(flatten)]
    rows: show::RowArgs,
    #[command(flatten)]
    format: show::FormatArgs,
}

/// Runs `fleet service`: the service, over all its servers, and those of them that are asked for. A file of CSV holds one table only, the service's; the servers are
/// rows of `fleet services --filter service=NAME`. Exit 3 where too few servers are healthy.
pub fn run(common: &Common, args: Args) -> Outcome {
    let spec = common.spec()?;
    let names: Vec<&str> =
        spec.hosts.iter().flat_map(|host| &host.services).map(|service| service.name.as_str()).collect();
    if !names.contains(&args.name.as_str()) {
        let mend = config::did_you_mean(&args.name, names, "see which there are: fleet services");
        return Err(Failure::new(Exit::Usage, format!("no service is named {}; {mend}", clean(&args.name))));
    }
    let store = open_store(&spec)?;
    let filter = args.choice.filter(&spec)?;
    let fleet = snapshot::read(&spec, store.as_ref(), clock::now(), &filter, args.thresholds.limits())?;
    let all = Snapshot::services(&fleet.hosts);
    let Some(service) = all.iter().find(|service| service.name == args.name) else {
        return Err(Failure::new(Exit::Failed, format!("{}: it has no servers", clean(&args.name))));
    };
    let sum = unhealthy::sum(service);
    let fits = |(host, it): &&(&HostRow, &ServiceRow)| {
        filter.any(&Chosen { host: Some(host), service: Some(it), problem: None })
    };
    let rows = service.servers.iter().filter(fits).map(|(host, it)| services::row(host, it)).collect();
    let mut servers = Page { columns: services::COLUMNS, rows };
    args.rows.apply(&mut servers, None)?;
    match args.format.format() {
        show::Format::Json => exit::print(&json::about(&sum, [("servers", json::rows(&servers))]))?,
        show::Format::Table => {
            show::page(common, show::Format::Table, &sum)?;
            exit::print("\n")?;
            show::page(common, show::Format::Table, &servers)?
        }
        format => show::page(common, format, &sum)?,
    };
    Ok(if service.level() == Level::Ok { Exit::Done } else { Exit::Partly })
}
