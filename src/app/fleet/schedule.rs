//! `fleet schedule`: puts sweeps, alerts and upkeep into cron or systemd, and takes them out again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ask;
use crate::app::context::Common;
use crate::app::exit::{self, Exit, Failure, Outcome};

mod cron;
mod programs;
mod systemd;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the lines or units, ask, and write them; what else is scheduled stays as it is
    Install {
        #[command(flatten)]
        way: WayArgs,
        /// Ask nothing
        #[arg(short, long)]
        yes: bool,
    },
    /// Show the lines or units that would be written, and what is scheduled now
    Show {
        #[command(flatten)]
        way: WayArgs,
    },
    /// Take out what install wrote
    Remove {
        #[command(flatten)]
        way: WayArgs,
    },
}

/// By what [default: systemd where it runs this machine, else cron].
#[derive(Clone, Copy, Debug, clap::Args)]
struct WayArgs {
    /// The crontab of this user
    #[arg(long)]
    cron: bool,
    /// Timers of systemd: the system's for root, this user's for others
    #[arg(long, conflicts_with = "cron")]
    systemd: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Cron,
    Systemd,
}

impl WayArgs {
    fn way(self) -> Way {
        match (self.cron, self.systemd) {
            (true, _) => Way::Cron,
            (_, true) => Way::Systemd,
            _ if systemd::runs() => Way::Systemd,
            _ => Way::Cron,
        }
    }
}

/// What is to be started, and how often.
struct Plan {
    /// Absolute.
    config: PathBuf,
    /// The folder with `fleet`, `fleet-collector` and `fleet-alerter`.
    programs: PathBuf,
    interval: Duration,
    /// Folders that the programs write to.
    writes: Vec<PathBuf>,
}

/// How often, as far as a calendar can say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Every {
    /// Minutes, a divisor of 60.
    Minutes(u64),
    /// Hours, a divisor of 24.
    Hours(u64),
}

impl Every {
    fn of(interval: Duration) -> Option<Self> {
        let (minutes, rest) = (interval.as_secs() / 60, interval.as_secs() % 60);
        match minutes {
            0 => None,
            _ if rest != 0 || interval.subsec_nanos() != 0 => None,
            1..60 if 60 % minutes == 0 => Some(Self::Minutes(minutes)),
            60..=1440 if minutes % 60 == 0 && 1440 % minutes == 0 => Some(Self::Hours(minutes / 60)),
            _ => None,
        }
    }
}

pub fn run(common: &Common, args: Args) -> Outcome {
    match args.command {
        Command::Remove { way } => match way.way() {
            Way::Cron => cron::remove(),
            Way::Systemd => systemd::remove(),
        },
        Command::Show { way } => {
            let plan = plan(common)?;
            let shown = match way.way() {
                Way::Cron => cron::shown(&plan)?,
                Way::Systemd => systemd::shown(&plan)?,
            };
            let now = match &installed(&plan.config)[..] {
                [] => "Scheduled now: nothing; next: fleet schedule install".to_owned(),
                found => format!("Scheduled now: {}", found.join(", ")),
            };
            exit::print(&format!("{shown}\n{now}\n"))
        }
        Command::Install { way, yes } => {
            let (plan, way) = (plan(common)?, way.way());
            let prepared = match way {
                Way::Cron => cron::prepare(&plan)?,
                Way::Systemd => systemd::prepare(&plan)?,
            };
            let Some(prepared) = prepared else { return exit::print("already scheduled so; nothing was changed\n") };
            if !yes {
                if !ask::somebody() {
                    let text =
                        "no terminal to ask on; look with: fleet schedule show, then: fleet schedule install --yes";
                    return Err(Failure::new(Exit::Usage, text));
                }
                exit::print(&format!("{}\n", prepared.shown))?;
                if !ask::yes("Write this?", true)? {
                    return exit::print("nothing was changed\n");
                }
            }
            let done = (prepared.write)()?;
            exit::print(&format!("{done}\nTake it out again with: fleet schedule remove --{}\n", way.word()))
        }
    }
}

impl Way {
    fn word(self) -> &'static str {
        match self {
            Self::Cron => "cron",
            Self::Systemd => "systemd",
        }
    }
}

/// What is about to be written.
struct Prepared {
    /// For people.
    shown: String,
    /// Writes it; says what was done.
    write: Box<dyn FnOnce() -> Result<String, Failure>>,
}

fn plan(common: &Common) -> Result<Plan, Failure> {
    let failed = |text: String| Failure::new(Exit::Failed, text);
    let spec = common.spec()?;
    let config =
        std::path::absolute(&spec.file).map_err(|error| failed(format!("{}: {error}", spec.file.display())))?;
    let us = std::env::current_exe().map_err(|error| failed(format!("this program's folder is not known: {error}")))?;
    let programs = us.parent().unwrap_or(Path::new("/")).to_path_buf();
    for name in ["fleet", "fleet-collector", "fleet-alerter"] {
        if !programs.join(name).exists() {
            let text =
                format!("{} is not there; install all programs together: make install", programs.join(name).display());
            return Err(failed(text));
        }
    }
    let folder = |file: &Path| file.parent().map(Path::to_path_buf);
    let mut writes: Vec<PathBuf> =
        [folder(&config), Some(spec.collector.state_dir.clone())].into_iter().flatten().collect();
    if spec.store.backend == "sqlite" {
        writes.extend(folder(Path::new(&spec.store.location)));
    }
    writes.extend(spec.alerts.destinations.iter().filter_map(|to| match &to.channel {
        crate::model::spec::ChannelSpec::Directory(path) => Some(path.clone()),
        _ => None,
    }));
    // One inside of another needs no line of its own.
    writes.sort();
    let mut kept: Vec<PathBuf> = Vec::new();
    for folder in writes {
        if !kept.iter().any(|outer| folder.starts_with(outer)) {
            kept.push(folder);
        }
    }
    Ok(Plan { config, programs, interval: spec.collector.interval, writes: kept })
}

/// What starts the collector for this configuration or for one that is not named, as far as this user may see.
pub fn installed(config: &Path) -> Vec<String> {
    let mut found = cron::installed(config);
    found.extend(systemd::installed());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calendar_says_only_what_divides_it() {
        let every = |seconds| Every::of(Duration::from_secs(seconds));
        assert_eq!(every(60), Some(Every::Minutes(1)));
        assert_eq!(every(300), Some(Every::Minutes(5)));
        assert_eq!(every(3600), Some(Every::Hours(1)));
        assert_eq!(every(86_400), Some(Every::Hours(24)));
        for other in [0, 30, 90, 420, 5400, 5 * 3600, 48 * 3600] {
            assert_eq!(every(other), None, "{other}");
        }
    }
}
