//! `fleet keys`.

use std::time::Duration;

use super::show;
use crate::app::clock;
use crate::app::context::Common;
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::keyring::{self, change};
use crate::model::spec::KeySpec;
use crate::view::{Cell, Column, Page, Place, column, units};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make the first key pair; never overwrites one
    Generate,
    /// The public keys, when they were made, and which are in use
    List {
        #[command(flatten)]
        format: show::FormatArgs,
    },
    /// Seal to a new key from now on; what was sealed to the old ones can still be opened
    Rotate {
        /// Instead of making a new key, drop private keys made longer ago than this (90d) that are not in use.
        /// Stats sealed to them, also those that still wait on clients, can then never be opened
        #[arg(long, value_name = "SPAN", value_parser = units::span)]
        retire: Option<Duration>,
        /// Do it; without this, --retire only shows what would be dropped
        #[arg(long, requires = "retire")]
        yes: bool,
    },
}

const COLUMNS: &[Column] = &[
    column("recipient", "PUBLIC KEY", Place::Left),
    column("created", "", Place::Left),
    column("day", "CREATED", Place::Left),
    column("in_use", "", Place::Left),
    column("note", "NOTE", Place::Below),
];

pub fn run(common: &Common, args: Args) -> Outcome {
    let keys = common.spec()?.keys;
    let now = clock::now();
    match args.command {
        Command::Generate => {
            let recipient = change::generate(&keys, now)?;
            exit::print(&format!("public key: {recipient}\n{}", backup(&keys)))
        }
        Command::List { format } => show::page(common, format.format(), &list(&keys)?),
        Command::Rotate { retire: None, .. } => {
            let recipient = change::rotate(&keys, now)?;
            exit::print(&format!(
                "public key in use from the next collection on: {recipient}\n\
                 The old private keys stay, so that nothing sealed before is lost.\n{}",
                backup(&keys)
            ))
        }
        Command::Rotate { retire: Some(older), yes } => {
            let old = change::retirable(&keys, now, older)?;
            if old.is_empty() {
                return exit::print("no private key is that old and out of use; nothing to drop\n");
            }
            if yes {
                let dropped = change::retire(&keys, now, older)?;
                return exit::print(&format!("{dropped} private keys dropped\n"));
            }
            let mut text = String::from("These private keys would be dropped; what is sealed to them is lost then:\n");
            for entry in &old {
                text.push_str(&format!("  {}\n", change::recipient_of(entry)?));
            }
            text.push_str("Collect from every host first (fleet-collector), then add --yes.");
            Err(Failure::new(Exit::Usage, text))
        }
    }
}

/// The sentence about the one file that cannot be made again.
pub fn backup(keys: &KeySpec) -> String {
    format!(
        "Back up the private key, away from this machine: {}\nWithout it, collected and waiting stats cannot be opened.\n",
        keys.identity_file.display()
    )
}

fn list(keys: &KeySpec) -> Result<Page, Failure> {
    let mut used = keyring::recipients(keys)?;
    let mut rows = Vec::new();
    for entry in keyring::entries(keys)? {
        let recipient = change::recipient_of(&entry)?;
        let in_use = used.contains(&recipient);
        used.retain(|other| *other != recipient);
        let note = if in_use { "in use" } else { "kept to open what was sealed before" };
        rows.push(row(recipient, entry.created, in_use, note));
    }
    // Sealing to a key of somebody else is meant sometimes (an auditor); that we lack it must be seen.
    rows.extend(
        used.into_iter().map(|other| row(other, None, true, "in use, but its private key is not in the identity file")),
    );
    Ok(Page { columns: COLUMNS, rows })
}

fn row(recipient: String, created: Option<chrono::DateTime<chrono::Utc>>, in_use: bool, note: &str) -> Vec<Cell> {
    vec![
        Cell::Text(recipient),
        created.map_or(Cell::Empty, Cell::Time),
        created.map_or(Cell::Empty, |at| Cell::Text(at.format("%Y-%m-%d").to_string())),
        Cell::Flag(in_use),
        Cell::Text(note.to_owned()),
    ]
}
