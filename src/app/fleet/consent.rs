//! `fleet consent`.

use super::{erase, hosts, show};
use crate::app::clock;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::model::clean::clean;
use crate::model::fleet::Consent;
use crate::view::{Cell, Column, Page, Place, column};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Record that a machine's owner agreed
    Grant {
        /// The host's name in the configuration
        host: String,
        /// Who agreed
        #[arg(long, value_name = "WHO")]
        by: String,
        /// What for
        #[arg(long, value_name = "WHAT")]
        purpose: String,
    },
    /// End a consent: where consent is required, the host is not collected any more
    Revoke {
        /// The host's name
        host: String,
        /// Remove what was stored of the host too
        #[arg(long)]
        erase: bool,
    },
    /// All consents, ended ones too
    List {
        #[command(flatten)]
        format: show::FormatArgs,
    },
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let spec = common.spec()?;
    let mut store = open_store(&spec)?;
    match args.action {
        Action::Grant { host, by, purpose } => {
            let (by, purpose) = (clean(&by), clean(&purpose));
            if by.trim().is_empty() || purpose.trim().is_empty() {
                return Err(Failure::new(Exit::Usage, "--by and --purpose must say something"));
            }
            if spec.host(&host).is_none() {
                return Err(hosts::unknown(&spec, &host));
            }
            store.grant(&Consent { host, by, purpose, granted: clock::now(), revoked: None })?;
        }
        Action::Revoke { host, erase } => {
            // A host that left the configuration can still be revoked and erased.
            let recorded = store.consents()?.iter().any(|consent| consent.host == host);
            let stored = || store.now().map(|list| list.iter().any(|it| it.host == host));
            if !recorded && spec.host(&host).is_none() && !stored()? {
                return Err(hosts::unknown(&spec, &host));
            }
            let ended = store.revoke(&host, clock::now())?;
            if erase {
                // Nothing holds the store open while a sweep under way is waited for.
                drop(store);
                exit::print(&erase::erase(&spec, &host)?)?;
            }
            if !ended {
                exit::complain(&format!("fleet: {host}: no consent was in force"));
            }
        }
        Action::List { format } => return show::page(common, format.format(), &page(&store.consents()?)),
    }
    Ok(Exit::Done)
}

const COLUMNS: &[Column] = &[
    column("host", "HOST", Place::Left),
    column("by", "BY", Place::Left),
    column("purpose", "PURPOSE", Place::Left),
    column("granted", "GRANTED (UTC)", Place::Left),
    column("revoked", "REVOKED (UTC)", Place::Left),
];

fn page(list: &[Consent]) -> Page {
    let row = |it: &Consent| {
        let text = |text: &String| Cell::Text(text.clone());
        let revoked = it.revoked.map_or(Cell::Empty, Cell::Time);
        vec![text(&it.host), text(&it.by), text(&it.purpose), Cell::Time(it.granted), revoked]
    };
    Page { columns: COLUMNS, rows: list.iter().map(row).collect() }
}
