//! `fleet check-config`.

use crate::app::context::Common;
use crate::app::exit::{Exit, Failure, Outcome};
use crate::config;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(common: &Common, _args: Args) -> Outcome {
    let file = common.config_file()?;
    let loaded = match config::read(&file) {
        Ok(loaded) => loaded,
        Err(report) => {
            // As it is, without the program's name before it: editors jump to `file:line:column`.
            eprintln!("{report}");
            return Err(Failure::new(Exit::Config, ""));
        }
    };
    if let Some(warnings) = &loaded.warnings {
        eprintln!("{warnings}");
    }
    if !common.quiet {
        let rules: usize = loaded.spec.hosts.iter().map(|host| host.rules.len()).sum();
        let (file, hosts) = (file.display(), loaded.spec.hosts.len());
        let s = |n: usize| if n == 1 { "" } else { "s" };
        println!("{file}: {hosts} host{}, {rules} rule{}; no mistakes", s(hosts), s(rules));
    }
    Ok(Exit::Done)
}
