//! `fleet serve`: the dashboard, metrics and the API; and the hashes of its users' passwords.

use std::io::Read;
use std::net::SocketAddr;

use crate::app::context::Common;
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::serve::{self, Order};
use crate::config;
use crate::web::door::password;

use super::ask;

/// Flags.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// Address and port, instead of listen= of <web> [default: 127.0.0.1:8980]
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = config::address)]
    listen: Option<SocketAddr>,
    /// A proxy in front of it speaks TLS and names the client in X-Forwarded-For
    #[arg(long)]
    behind_proxy: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Read a password and print its hash, for password-hash-file= of a <user>
    HashPassword,
}

pub fn run(common: &Common, args: Args) -> Outcome {
    match args.action {
        Some(Action::HashPassword) => hash(),
        None => serve::run(common, &Order { listen: args.listen, behind_proxy: args.behind_proxy }),
    }
}

/// On a terminal it is typed twice and not shown; otherwise it is the first line of standard input.
fn hash() -> Outcome {
    let refused = |text: String| Failure::new(Exit::Usage, text);
    let typed = if ask::somebody() {
        let first = ask::hidden("Password:")?;
        if ask::hidden("Once more:")? != first {
            return Err(refused("the two are not the same; nothing was done".to_owned()));
        }
        first
    } else {
        let mut text = String::new();
        let read = std::io::stdin().lock().take(4096).read_to_string(&mut text);
        read.map_err(|error| Failure::new(Exit::Failed, format!("standard input: {error}")))?;
        text.lines().next().unwrap_or_default().to_owned()
    };
    exit::print(&format!("{}\n", password::hash(&typed).map_err(refused)?))
}
