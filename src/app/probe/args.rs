//! The command line; by hand, because the probe stays small.

use std::ffi::OsString;
use std::path::PathBuf;

use super::aside::REFRESH;
use crate::measure::ASK;

const COMMAND_LINES: &str = "--command-lines";
/// For keys that are locked to the probe: whoever has stolen one still starts no program.
const NO_PLUGINS: &str = "--no-plugins";

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Mode {
    /// Measure and print a table.
    Print { command_lines: bool },
    /// Measure and print JSON.
    Json { command_lines: bool },
    /// Measure and say what is measured, what is not, and why.
    Explain,
    /// Do the task on standard input.
    Serve { spool: Option<PathBuf>, plugins: bool },
    /// Measure into the spool.
    Spool { spool: PathBuf, recipients: Vec<String>, command_lines: bool },
    /// Ask the mounts named on standard input, in turns with others of the spool; started by the probe itself.
    AskMounts { spool: Option<PathBuf> },
    /// Ask what takes long and keep the answer in the spool; started by the probe itself.
    Refresh { spool: PathBuf },
    /// Print the version.
    Version,
    /// Print the help.
    Help,
}

/// The help.
pub fn help() -> String {
    let mut text = String::from(
        "Measures the machine it runs on; fleet-collector ships and drives it\n\n\
         Usage: fleet-probe --print | --json | --explain\n       \
                fleet-probe --spool DIR --recipient KEY [--recipient KEY]...\n       \
                fleet-probe --serve [--spool DIR] [--no-plugins]\n\n\
         Options:\n  \
           --print          Print what this machine measures, for a person\n  \
           --json           The same as JSON\n  \
           --explain        Say what is measured here as this user, what is not, and what would allow it\n  \
           --command-lines  With the command lines of the processes that take most; they may hold secrets\n  \
           --spool DIR      Where sealed stats wait for the collector; made with mode 0700.\n  \
                            --serve alone uses ~/.cache/fleet-health/spool\n  \
           --recipient KEY  Public key (age1...) to seal to; for runs by this machine's own cron\n  \
           --serve          Do the task on standard input; the collector's use\n  \
           --no-plugins     No task starts a program; for keys with command= in authorized_keys\n  \
           --version        Print the version\n  \
           --help           Print this help\n\nSections:\n",
    );
    for collector in crate::measure::COLLECTORS {
        text.push_str(&format!("  {:<13} {}\n", collector.name, collector.help));
    }
    text.push_str("\nChecks of services, as the task orders them:\n");
    for check in crate::check::CHECKS {
        let help = crate::model::check::find(check.kind()).map_or("", |kind| kind.help);
        text.push_str(&format!("  {:<11} {help}\n", check.kind()));
    }
    text
}

/// Reads the arguments behind the program's name.
///
/// # Errors
/// A text for the person.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Mode, String> {
    const HINT: &str = "see: fleet-probe --help";
    let (mut spool, mut recipients, mut modes, mut command_lines) = (None, Vec::new(), Vec::new(), false);
    let mut plugins = true;
    let mut args = args;
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy().into_owned();
        let (name, inline) = match text.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(OsString::from(value))),
            _ => (text.as_str(), None),
        };
        let mut value =
            || inline.clone().or_else(|| args.next()).ok_or_else(|| format!("{name} needs a value; {HINT}"));
        match name {
            "--spool" => spool = Some(PathBuf::from(value()?)),
            "--recipient" => recipients.push(value()?.to_string_lossy().into_owned()),
            "--print" | "--json" | "--explain" | "--serve" | ASK | REFRESH if inline.is_none() => {
                modes.push(name.to_owned())
            }
            COMMAND_LINES if inline.is_none() => command_lines = true,
            NO_PLUGINS if inline.is_none() => plugins = false,
            "--version" | "-V" => return Ok(Mode::Version),
            "--help" | "-h" => return Ok(Mode::Help),
            _ => return Err(format!("unknown argument {:?}; {HINT}", crate::model::clean::clean(&text))),
        }
    }
    let modes: Vec<&str> = modes.iter().map(String::as_str).collect();
    match (modes.as_slice(), spool, recipients.is_empty()) {
        (modes, ..) if !plugins && modes != ["--serve"] => Err(format!("{NO_PLUGINS} goes with --serve; {HINT}")),
        (["--print"], None, true) => Ok(Mode::Print { command_lines }),
        (["--json"], None, true) => Ok(Mode::Json { command_lines }),
        ([_, ..], ..) if command_lines => {
            Err(format!("{COMMAND_LINES} goes with --print, --json or --recipient; {HINT}"))
        }
        (["--explain"], None, true) => Ok(Mode::Explain),
        ([ASK], spool, true) => Ok(Mode::AskMounts { spool }),
        ([REFRESH], Some(spool), true) => Ok(Mode::Refresh { spool }),
        (["--serve"], spool, true) => Ok(Mode::Serve { spool, plugins }),
        ([], Some(spool), false) => Ok(Mode::Spool { spool, recipients, command_lines }),

        ([], Some(_), true) => Err(format!("--spool needs --recipient KEY or --serve; {HINT}")),
        _ => Err(format!("say one of --print, --json, --explain, --serve and --spool; {HINT}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Mode, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn modes() {
        assert_eq!(parsed("--print"), Ok(Mode::Print { command_lines: false }));
        assert_eq!(parsed("--json --command-lines"), Ok(Mode::Json { command_lines: true }));
        assert_eq!(parsed("--serve --spool=/x"), Ok(Mode::Serve { spool: Some("/x".into()), plugins: true }));
        assert_eq!(parsed("--ask-mounts --spool /x"), Ok(Mode::AskMounts { spool: Some("/x".into()) }));
        assert_eq!(parsed("--serve --no-plugins"), Ok(Mode::Serve { spool: None, plugins: false }));
        let spool = Mode::Spool { spool: "/x".into(), recipients: vec!["a".into(), "b".into()], command_lines: false };
        assert_eq!(parsed("--recipient a --spool /x --recipient b"), Ok(spool));
        for bad in [
            "",
            "--serve --spool /x --command-lines",
            "--explain --command-lines",
            "--serve --recipient a",
            "--spool",
            "--spool /x",
            "--print --json",
            "--print=1",
            "--print --no-plugins",
            "x",
            "--serve --spool /x --json",
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }
}
