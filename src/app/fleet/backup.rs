//! `fleet backup`.

use std::io::IsTerminal;
use std::path::PathBuf;

use super::show;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Outcome};
use crate::view::units;

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
    // Silent under cron.
    if !common.quiet && (std::io::stdout().is_terminal() || common.verbose > 0) {
        let bytes = std::fs::metadata(&args.file).map_or(0, |meta| meta.len());
        let (file, size, store) = (args.file.display(), units::bytes(bytes as f64), &spec.store.location);
        // A log of the other one would be written over it.
        let back = format!(
            "To go back to it: stop the runs, take away {store}, {store}-wal and {store}-shm, and put it there."
        );
        let mut text = format!("{file}: {size}\n");
        show::sentence(&back, "", &mut text);
        return exit::print(&text);
    }
    Ok(Exit::Done)
}
