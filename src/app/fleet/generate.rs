//! `fleet completions` and `fleet man`: made from the commands themselves.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::{alerter, collector};

/// Flags of `completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

/// Flags of `man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Write all pages, those of collector and alerter too, into this folder instead of printing the first
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

pub fn completions<C: CommandFactory>(args: CompletionsArgs) -> Outcome {
    let mut command = C::command();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "fleet", &mut script);
    exit::print(&String::from_utf8_lossy(&script))
}

pub fn man<C: CommandFactory>(args: ManArgs) -> Outcome {
    let failed = |error: std::io::Error| Failure::new(Exit::Failed, format!("man pages: {error}"));
    match args.output {
        Some(folder) => {
            std::fs::create_dir_all(&folder).map_err(failed)?;
            for command in [C::command(), collector::command(), alerter::command()] {
                clap_mangen::generate_to(command, &folder).map_err(failed)?;
            }
            Ok(Exit::Done)
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(C::command()).render(&mut page).map_err(failed)?;
            exit::print(&String::from_utf8_lossy(&page))
        }
    }
}
