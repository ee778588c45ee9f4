//! `fleet completions` and `fleet man`: made from the commands themselves.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::app::exit::{Exit, Failure, Outcome};

/// Flags of `completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

/// Flags of `man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Write all pages into this folder instead of printing the first
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

pub fn completions<C: CommandFactory>(args: CompletionsArgs) -> Outcome {
    let mut command = C::command();
    clap_complete::generate(args.shell, &mut command, "fleet", &mut std::io::stdout());
    Ok(Exit::Done)
}

pub fn man<C: CommandFactory>(args: ManArgs) -> Outcome {
    let failed = |error: std::io::Error| Failure::new(Exit::Failed, format!("man pages: {error}"));
    match args.output {
        Some(folder) => {
            std::fs::create_dir_all(&folder).map_err(failed)?;
            clap_mangen::generate_to(C::command(), &folder).map_err(failed)?;
        }
        None => clap_mangen::Man::new(C::command()).render(&mut std::io::stdout()).map_err(failed)?,
    }
    Ok(Exit::Done)
}
