//! `fleet man`: manual pages, made from the commands themselves.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::Command;
use clap_mangen::Man;

use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::{alerter, clock, collector};

/// What stands in the pages of the programs, beside what their flags say.
const BESIDE: &str = r#".SH "EXIT STATUS"
.TP
0
Done.
.TP
1
Something unexpected.
.TP
2
The command line is wrong.
.TP
3
Partly done: some hosts failed.
.TP
74
The store cannot be read or written.
.TP
75
Another run holds the lock.
.TP
78
The configuration is wrong.
.PP
.B fleet health\c
,
.B fleet nagios
and
.B fleet doctor
end as Nagios plugins do: 0 ok, 1 warning, 2 critical, 3 unknown.
.SH FILES
.TP
.I config.xml
In the current folder, in $XDG_CONFIG_HOME/fleet-health, /etc/fleet-health or /var/lib/fleet-health;
.B fleet paths
tells which one is used, and all that it names.
.SH "SEE ALSO"
.BR fleet (1),
.BR fleet\-collector (1),
.BR fleet\-alerter (1)
"#;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write all pages, those of collector and alerter too, into this folder instead of printing the first
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub fn run(args: Args, fleet: Command) -> Outcome {
    let failed = |error: std::io::Error| Failure::new(Exit::Failed, format!("man pages: {error}"));
    let day = day(std::env::var("SOURCE_DATE_EPOCH").ok().as_deref(), clock::now());
    let Some(folder) = args.dir else {
        return exit::print(&page(fleet.disable_help_subcommand(true), &day, true).map_err(failed)?);
    };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    for command in [fleet, collector::command(), alerter::command()] {
        let mut command = command.disable_help_subcommand(true);
        command.build();
        write(&folder, &command, &day, true).map_err(failed)?;
    }
    Ok(Exit::Done)
}

/// The day that pages carry: that of the source, where who builds says it, so that the same source makes the same pages.
fn day(source: Option<&str>, now: DateTime<Utc>) -> String {
    let told = source.and_then(|seconds| DateTime::from_timestamp(seconds.parse().ok()?, 0));
    told.unwrap_or(now).format("%Y-%m-%d").to_string()
}

/// A page for the command and one for each below it.
fn write(folder: &Path, command: &Command, day: &str, is_program: bool) -> std::io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    std::fs::write(folder.join(format!("{name}.1")), page(command.clone(), day, is_program)?)?;
    command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
        .try_for_each(|below| write(folder, below, day, false))
}

fn page(command: Command, day: &str, is_program: bool) -> std::io::Result<String> {
    let source = format!("fleet-health {}", env!("CARGO_PKG_VERSION"));
    let mut text = Vec::new();
    Man::new(command).date(day).source(source).manual("fleet-health").render(&mut text)?;
    // Of two line breaks around an empty line no formatter has a use for either.
    let mut text = String::from_utf8_lossy(&text).replace("\n.br\n\n.br\n", "\n.sp\n");
    if is_program {
        text.push_str(BESIDE);
    }
    Ok(text)
}
