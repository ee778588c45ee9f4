//! `fleet consent`.

use super::show;
use crate::app::clock;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::model::clean::clean;
use crate::model::fleet::Consent;
use crate::model::spec::FleetSpec;
use crate::view::{Cell, Column, Page, Place};

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
                return Err(unknown(&spec, &host));
            }
            store.grant(&Consent { host, by, purpose, granted: clock::now(), revoked: None })?;
        }
        Action::Revoke { host, erase } => {
            // A host that left the configuration can still be revoked and erased.
            let recorded = store.consents()?.iter().any(|consent| consent.host == host);
            let stored = || store.now().map(|list| list.iter().any(|it| it.host == host));
            if !recorded && spec.host(&host).is_none() && !stored()? {
                return Err(unknown(&spec, &host));
            }
            let ended = store.revoke(&host, clock::now())?;
            if erase {
                let samples = store.forget(&host)?;
                let text = format!("{host}: {samples} samples removed; copies made by fleet backup still hold them\n");
                exit::print(&text)?;
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
    Column { name: "host", title: "HOST", place: Place::Left },
    Column { name: "by", title: "BY", place: Place::Left },
    Column { name: "purpose", title: "PURPOSE", place: Place::Left },
    Column { name: "granted", title: "GRANTED (UTC)", place: Place::Left },
    Column { name: "revoked", title: "REVOKED (UTC)", place: Place::Left },
];

fn page(list: &[Consent]) -> Page {
    let row = |it: &Consent| {
        let text = |text: &String| Cell::Text(text.clone());
        let revoked = it.revoked.map_or(Cell::Empty, Cell::Time);
        vec![text(&it.host), text(&it.by), text(&it.purpose), Cell::Time(it.granted), revoked]
    };
    Page { columns: COLUMNS, rows: list.iter().map(row).collect() }
}

fn unknown(spec: &FleetSpec, name: &str) -> Failure {
    let mut known: Vec<&str> = spec.hosts.iter().map(|host| host.name.as_str()).collect();
    known.sort_by_key(|host| distance(host, name));
    let text = match known.first() {
        Some(nearest) if distance(nearest, name) <= 2 => format!("; did you mean {nearest}?"),
        Some(_) => {
            let more = if known.len() > 10 { ", ..." } else { "" };
            let some: Vec<&str> = known.iter().copied().take(10).collect();
            format!("; there are: {}{more}", some.join(", "))
        }
        None => "; it has no hosts".to_string(),
    };
    Failure::new(Exit::Usage, format!("no host {} in {}{text}", clean(name), spec.file.display()))
}

/// Edits from one word to the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(255).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(255).enumerate() {
        let mut next = vec![i + 1];
        for ((&y, &above), &diagonal) in b.iter().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or_default();
            next.push((diagonal + usize::from(x != y)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distances() {
        for (a, b, edits) in [("web01", "web01", 0), ("web01", "web1", 1), ("db", "", 2), ("abc", "cab", 2)] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }
}
