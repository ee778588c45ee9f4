//! `fleet backup`.

use std::path::PathBuf;

use crate::app::context::{Common, open_store};
use crate::app::exit::{Exit, Outcome};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The copy; a file that exists is not replaced
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let spec = common.spec()?;
    open_store(&spec)?.backup(&args.file)?;
    Ok(Exit::Done)
}
