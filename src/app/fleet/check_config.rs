//! `fleet check-config`.

use std::io::IsTerminal;

use crate::app::context::Common;
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::config;
use crate::model::figure::counted;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(common: &Common, _args: Args) -> Outcome {
    let file = common.config_file()?;
    let loaded = match config::read(&file) {
        Ok(loaded) => loaded,
        Err(report) => {
            // As it is, without the program's name before it: editors jump to `file:line:column`.
            exit::complain(&report.to_string());
            return Err(Failure::new(Exit::Config, ""));
        }
    };
    if let Some(warnings) = &loaded.warnings {
        exit::complain(&warnings.to_string());
    }
    // Silent under cron.
    if !common.quiet && (std::io::stdout().is_terminal() || common.verbose > 0) {
        let rules: usize = loaded.spec.hosts.iter().map(|host| host.rules.len()).sum();
        let (file, hosts) = (file.display(), loaded.spec.hosts.len());
        let (hosts, rules) = (counted(hosts, "host"), counted(rules, "rule"));
        return exit::print(&format!("{file}: {hosts}, {rules}; no mistakes\n"));
    }
    Ok(Exit::Done)
}
