//! Timers of systemd, made from the units in contrib/: the system's for root, the user's own for others.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::programs::heard;
use super::{Every, Plan, Prepared};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::files;

/// What the first line of our units is: others are never replaced nor removed.
const MARK: &str = "# Written by fleet schedule install; changes are lost.\n";
const SYSTEM: &str = "/etc/systemd/system";
/// There while systemd runs the machine.
const RUNS: &str = "/run/systemd/system";
const UNITS: &[(&str, &str)] = &[
    ("fleet-collector.service", include_str!("../../../../contrib/systemd/fleet-collector.service")),
    ("fleet-collector.timer", include_str!("../../../../contrib/systemd/fleet-collector.timer")),
    ("fleet-alerter.service", include_str!("../../../../contrib/systemd/fleet-alerter.service")),
    ("fleet-alerter.timer", include_str!("../../../../contrib/systemd/fleet-alerter.timer")),
    ("fleet-prune.service", include_str!("../../../../contrib/systemd/fleet-prune.service")),
    ("fleet-prune.timer", include_str!("../../../../contrib/systemd/fleet-prune.timer")),
];
/// What a user's own manager can do without privileges.
const PLAIN: &[&str] = &[
    "Description",
    "OnSuccess",
    "Type",
    "ExecStart",
    "SuccessExitStatus",
    "TimeoutStartSec",
    "UMask",
    "NoNewPrivileges",
    "OnCalendar",
    "OnBootSec",
    "OnUnitActiveSec",
    "RandomizedDelaySec",
    "Persistent",
    "WantedBy",
];

fn failed(text: impl Into<String>) -> Failure {
    Failure::new(Exit::Failed, text)
}

/// Whether systemd runs this machine.
pub fn runs() -> bool {
    Path::new(RUNS).is_dir()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn folder() -> Result<PathBuf, Failure> {
    if is_root() {
        return Ok(PathBuf::from(SYSTEM));
    }
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let base = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or(home);
    base.map(|base| base.join("systemd/user")).ok_or_else(|| failed("$HOME is not set; units of a user lie below it"))
}

/// `systemctl`, of the manager that we write for.
fn systemctl(args: &[&str]) -> Result<String, Failure> {
    let user: &[&str] = if is_root() { &[] } else { &["--user"] };
    heard("systemctl", &[user, args].concat(), "").map_err(failed)
}

/// A name as it is: units have quotes, but not all lines take them.
fn plain(path: &Path) -> Result<&str, Failure> {
    let good = |text: &&str| text.chars().all(|c| c.is_alphanumeric() || "/._-+@:,".contains(c));
    path.to_str().filter(good).ok_or_else(|| {
        failed(format!(
            "{}: units take no such name; move it to a place of letters and digits, or take --cron",
            path.display()
        ))
    })
}

/// The name of a user, or the number.
fn user(id: u32, file: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let of = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        (fields.nth(1)?.parse() == Ok(id)).then_some(name)
    };
    text.lines().find_map(of).unwrap_or_else(|| id.to_string())
}

/// Every unit with its text.
fn units(plan: &Plan, is_root: bool) -> Result<Vec<(&'static str, String)>, Failure> {
    let config = plain(&plan.config)?;
    let home = plan.config.parent().unwrap_or(Path::new("/"));
    let own = Path::new("/var/lib/fleet-health");
    let meta = std::fs::metadata(&plan.config).map_err(|error| failed(format!("{config}: {error}")))?;
    let writes: Vec<&str> = plan.writes.iter().map(|folder| plain(folder)).collect::<Result<_, _>>()?;
    let programs = plain(&plan.programs)?;
    let when = match Every::of(plan.interval) {
        Some(Every::Minutes(n)) => format!("OnCalendar=*:0/{n}"),
        Some(Every::Hours(24)) => "OnCalendar=00:00".to_owned(),
        Some(Every::Hours(n)) => format!("OnCalendar=0/{n}:00"),
        None => format!("OnBootSec=1min\nOnUnitActiveSec={}ms", plan.interval.as_millis()),
    };
    let line = |unit: &str, key: &str, value: &str| -> Option<String> {
        Some(match key {
            "ExecStart" => {
                let (program, args) = value.split_once(' ').map_or((value, ""), |(program, args)| (program, args));
                let args = if args.is_empty() { String::new() } else { format!(" {args}") };
                format!("{}{args} --config {config}", program.replace("@PREFIX@/bin", programs))
            }
            "OnCalendar" if unit == "fleet-collector.timer" => return Some(when.clone()),
            _ if !is_root && !PLAIN.contains(&key) => return None,
            // The programs lie where they lie; so may their documents.
            "Documentation" | "Environment" => return None,
            "User" => user(meta.uid(), "/etc/passwd"),
            "Group" => user(meta.gid(), "/etc/group"),
            "StateDirectory" if home == own => value.to_owned(),
            "StateDirectory" => return Some(format!("ReadWritePaths={}", writes.join(" "))),
            "StateDirectoryMode" if home != own => return None,
            "WorkingDirectory" => home.display().to_string(),
            "PrivateTmp" if ["/tmp", "/var/tmp"].iter().any(|tmp| home.starts_with(tmp)) => "no".to_owned(),
            _ => value.to_owned(),
        })
        .map(|value| format!("{key}={value}"))
    };
    let unit = |(name, text): &(&'static str, &str)| {
        let mut out = MARK.to_owned();
        for given in text.lines() {
            match given.split_once('=').filter(|_| !given.starts_with(['#', '['])) {
                // What is left out is not for this manager.
                Some((key, value)) => out.extend(line(name, key, value).map(|made| made + "\n")),
                None => out.push_str(&format!("{given}\n")),
            }
        }
        (*name, out)
    };
    Ok(UNITS.iter().map(unit).collect())
}

fn timers() -> impl Iterator<Item = &'static str> {
    UNITS.iter().map(|(name, _)| *name).filter(|name| name.ends_with(".timer"))
}

pub fn shown(plan: &Plan) -> Result<String, Failure> {
    let folder = folder()?;
    let one = |(name, text): (&str, String)| format!("# --- {}\n{text}", folder.join(name).display());
    Ok(units(plan, is_root())?.into_iter().map(one).collect::<Vec<_>>().join("\n"))
}

pub fn prepare(plan: &Plan) -> Result<Option<Prepared>, Failure> {
    let folder = folder()?;
    let units = units(plan, is_root())?;
    let mut same = true;
    for (name, text) in &units {
        let file = folder.join(name);
        match std::fs::read_to_string(&file) {
            Ok(old) if old == *text => {}
            Ok(old) if !old.starts_with(MARK) => {
                let text = format!(
                    "{}: was not written by fleet schedule and stays as it is; take it away first",
                    file.display()
                );
                return Err(failed(text));
            }
            _ => same = false,
        }
    }
    let enabled = timers().all(|timer| folder.join("timers.target.wants").join(timer).exists());
    if same && enabled {
        return Ok(None);
    }
    let shown = shown(plan)?;
    let write = move || {
        let error = |error: std::io::Error| failed(format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(&folder).map_err(error)?;
        for (name, text) in &units {
            files::replace(&folder.join(name), text.as_bytes(), 0o644).map_err(error)?;
        }
        let names: Vec<&str> = timers().collect();
        let mut said = format!("{} units written to {}", units.len(), folder.display());
        if runs() {
            systemctl(&["daemon-reload"])?;
            systemctl(&[&["enable", "--now"][..], &names].concat())?;
            said.push_str(" and their timers started; look at them with: systemctl list-timers 'fleet-*'");
        } else {
            systemctl(&[&["enable"][..], &names].concat())?;
            said.push_str("; systemd does not run now, the timers start with it");
        }
        if !is_root() {
            said.push_str("\nThey run while you are logged in; for always: loginctl enable-linger");
        }
        Ok(said)
    };
    Ok(Some(Prepared { shown, write: Box::new(write) }))
}

pub fn remove() -> Outcome {
    let folder = folder()?;
    let ours = |name: &&str| std::fs::read_to_string(folder.join(name)).is_ok_and(|text| text.starts_with(MARK));
    let found: Vec<&str> = UNITS.iter().map(|(name, _)| *name).filter(ours).collect();
    if found.is_empty() {
        return exit::print(&format!("nothing of fleet schedule is in {}\n", folder.display()));
    }
    let timers: Vec<&str> = found.iter().copied().filter(|name| name.ends_with(".timer")).collect();
    let disable: &[&str] = if runs() { &["disable", "--now"] } else { &["disable"] };
    systemctl(&[disable, &timers].concat())?;
    for name in &found {
        std::fs::remove_file(folder.join(name)).map_err(|error| failed(format!("{}: {error}", folder.display())))?;
    }
    if runs() {
        systemctl(&["daemon-reload"])?;
    }
    exit::print(&format!("{} units taken out of {}\n", found.len(), folder.display()))
}

/// Folders in which the collector's timer is switched on.
pub fn installed() -> Vec<String> {
    let system = [PathBuf::from(SYSTEM), PathBuf::from("/lib/systemd/system"), PathBuf::from("/etc/systemd/user")];
    let mut found: Vec<String> = system
        .into_iter()
        .chain(folder().ok())
        .filter(|folder| folder.join("timers.target.wants/fleet-collector.timer").symlink_metadata().is_ok())
        .map(|folder| format!("the timers in {}", folder.display()))
        .collect();
    found.dedup();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn units_of_a_user_ask_for_no_privilege_and_those_of_the_system_may_write_what_they_must() {
        let dir = tempfile::Builder::new().prefix("units").tempdir().unwrap();
        let config = dir.path().join("config.xml");
        std::fs::write(&config, "").unwrap();
        let plan = |seconds| Plan {
            config: config.clone(),
            programs: "/opt/fleet".into(),
            interval: Duration::from_secs(seconds),
            writes: vec![dir.path().to_path_buf(), "/srv/mail".into()],
        };
        let text = |units: Vec<(&str, String)>, name: &str| units.into_iter().find(|unit| unit.0 == name).unwrap().1;
        let start = format!("ExecStart=/opt/fleet/fleet-collector --log-format text --config {}\n", config.display());
        let user = text(units(&plan(420), false).unwrap(), "fleet-collector.service");
        assert!(user.contains(&start) && !user.contains("Protect") && !user.contains("User="), "{user}");
        let timer = text(units(&plan(420), false).unwrap(), "fleet-collector.timer");
        assert!(timer.contains("OnUnitActiveSec=420000ms") && !timer.contains("OnCalendar"), "{timer}");
        let system = text(units(&plan(600), true).unwrap(), "fleet-collector.service");
        let writes = format!("ReadWritePaths={} /srv/mail\n", dir.path().display());
        assert!(
            system.contains(&writes) && system.contains("PrivateTmp=no") && system.contains("User=root"),
            "{system}"
        );
        assert!(!system.contains("StateDirectory") && !system.contains("@PREFIX"), "{system}");
        assert!(text(units(&plan(600), true).unwrap(), "fleet-collector.timer").contains("OnCalendar=*:0/10\n"));
        assert!(units(&Plan { programs: "/my programs".into(), ..plan(600) }, true).is_err());
    }
}
