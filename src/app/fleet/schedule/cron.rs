//! A block of lines in the crontab of this user; every other line stays as it is.

use std::path::Path;

use super::programs::heard;
use super::{Every, Plan, Prepared};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::model::amount::show_duration;

const BEGIN: &str = "# BEGIN fleet-health: written by fleet schedule install; changes inside are lost";
/// What of it marks the line, so that other versions know it too.
const BEGINS: &str = "# BEGIN fleet-health";
const END: &str = "# END fleet-health";

fn failed(text: impl Into<String>) -> Failure {
    Failure::new(Exit::Failed, text)
}

/// The lines, each with what it is for.
fn block(plan: &Plan) -> Result<String, Failure> {
    let when = match Every::of(plan.interval) {
        Some(Every::Minutes(1)) => "* * * * *".to_owned(),
        Some(Every::Minutes(n)) => format!("*/{n} * * * *"),
        Some(Every::Hours(1)) => "0 * * * *".to_owned(),
        Some(Every::Hours(24)) => "0 0 * * *".to_owned(),
        Some(Every::Hours(n)) => format!("0 */{n} * * *"),
        None => {
            let text = format!(
                "cron cannot start something every {}; write interval=\"5m\" (or 1, 10, 15, 20, 30 minutes, whole hours) \
                 in <collector>, or take: fleet schedule install --systemd",
                show_duration(plan.interval)
            );
            return Err(Failure::new(Exit::Usage, text));
        }
    };
    let config = word(&plan.config)?;
    let program = |name: &str| Ok::<_, Failure>(format!("{} --config {config}", word(&plan.programs.join(name))?));
    let (collector, alerter, fleet) = (program("fleet-collector")?, program("fleet-alerter")?, program("fleet")?);
    Ok(format!(
        "{BEGIN}\n\
         # A sweep, then what follows from it; exit code 3 only says that some hosts failed, which is told all the same.\n\
         {when} {collector} || [ $? -eq 3 ] && {alerter}\n\
         # The alerter by itself, for the day when the collector hangs or is broken.\n\
         3-59/10 * * * * {alerter}\n\
         # Hours are made of samples for charts of weeks, and old samples go.\n\
         17 3 * * * {fleet} prune\n\
         # Prints, and so mails, only when collector or alerter do not do their job.\n\
         41 * * * * {fleet} health >/dev/null || {fleet} health\n\
         {END}\n"
    ))
}

/// A word for the shell; cron takes a percent sign for a line break unless a backslash stands before it.
fn word(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control));
    let text = text.ok_or_else(|| failed(format!("{}: cron takes no such name", path.display())))?;
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+@:,=".contains(c)) {
        return Ok(text.to_owned());
    }
    Ok(format!("'{}'", text.replace('\'', "'\\''").replace('%', "\\%")))
}

/// The crontab as it is; empty where the user has none.
fn current() -> Result<String, Failure> {
    match heard("crontab", &["-l"], "") {
        Ok(text) => Ok(text),
        Err(text) if text.contains("no crontab for") => Ok(String::new()),
        Err(text) => Err(failed(format!("{text}; cron is a Debian package of that name, or take --systemd"))),
    }
}

/// What stands before our block, in it and behind it.
fn parts(text: &str) -> Result<(String, String, String), Failure> {
    let (mut before, mut inside, mut after) = (String::new(), String::new(), String::new());
    let mut state = 0;
    for line in text.split_inclusive('\n') {
        let plain = line.trim_end();
        match state {
            0 if plain.starts_with(BEGINS) => {
                state = 1;
                inside.push_str(line);
            }
            0 => before.push_str(line),
            1 => {
                inside.push_str(line);
                state += u8::from(plain == END);
            }
            _ => after.push_str(line),
        }
    }
    if state == 1 {
        return Err(failed(format!("the crontab has a line \"{BEGINS}\" without \"{END}\"; mend it with: crontab -e")));
    }
    Ok((before, inside, after))
}

/// The whole crontab with our block in it, or `None` where it is so already.
fn merged(current: &str, block: &str) -> Result<Option<String>, Failure> {
    let (mut before, inside, after) = parts(current)?;
    if inside == block {
        return Ok(None);
    }
    if let Some(line) = before.lines().chain(after.lines()).find(|line| starts_us(line)) {
        let text = format!("the crontab starts the collector already: {line}\ntake that line out with: crontab -e");
        return Err(failed(text));
    }
    if !before.is_empty() && !before.ends_with('\n') {
        before.push('\n');
    }
    Ok(Some(format!("{before}{block}{after}")))
}

/// Whether a line of a crontab starts the collector.
fn starts_us(line: &str) -> bool {
    !line.trim_start().starts_with('#') && line.contains("fleet-collector")
}

pub fn shown(plan: &Plan) -> Result<String, Failure> {
    Ok(format!("In the crontab of this user:\n\n{}", block(plan)?))
}

pub fn prepare(plan: &Plan) -> Result<Option<Prepared>, Failure> {
    let Some(whole) = merged(&current()?, &block(plan)?)? else { return Ok(None) };
    let write = move || {
        heard("crontab", &["-"], &whole).map_err(failed)?;
        Ok("written into the crontab of this user; look at it with: crontab -l".to_owned())
    };
    Ok(Some(Prepared { shown: shown(plan)?, write: Box::new(write) }))
}

pub fn remove() -> Outcome {
    let (before, inside, after) = parts(&current()?)?;
    if inside.is_empty() {
        return exit::print("nothing of fleet schedule is in the crontab of this user\n");
    }
    let rest = before + &after;
    let args: &[&str] = if rest.trim().is_empty() { &["-r"] } else { &["-"] };
    heard("crontab", args, &rest).map_err(failed)?;
    exit::print("taken out of the crontab of this user\n")
}

/// Crontabs that start the collector for this configuration, or do not say for which.
pub fn installed(config: &Path) -> Vec<String> {
    let config = config.to_string_lossy().into_owned();
    let ours =
        |text: &str| text.lines().any(|line| starts_us(line) && (line.contains(&config) || !line.contains("--config")));
    let mut found = Vec::new();
    if heard("crontab", &["-l"], "").is_ok_and(|text| ours(&text)) {
        found.push("the crontab of this user".to_owned());
    }
    let folder = std::fs::read_dir("/etc/cron.d").into_iter().flatten().flatten().map(|entry| entry.path());
    for file in folder.chain(["/etc/crontab".into()]) {
        if std::fs::read_to_string(&file).is_ok_and(|text| ours(&text)) {
            found.push(file.display().to_string());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;

    fn plan(config: &str, seconds: u64) -> Plan {
        let (config, programs) = (PathBuf::from(config), PathBuf::from("/opt/fleet/bin"));
        Plan { config, programs, interval: Duration::from_secs(seconds), writes: Vec::new() }
    }

    #[test]
    fn other_lines_stay_and_a_second_time_changes_nothing() {
        let old = "MAILTO=me\n0 1 * * * backup\n";
        let block = block(&plan("/etc/fleet.xml", 300)).unwrap();
        let once = merged(old, &block).unwrap().unwrap();
        assert!(once.starts_with(old) && once.ends_with("# END fleet-health\n"));
        assert_eq!(merged(&once, &block).unwrap(), None);
        // Another interval replaces the block where it stands.
        let more = format!("{once}5 5 * * * later");
        let other = super::block(&plan("/etc/fleet.xml", 600)).unwrap();
        let twice = merged(&more, &other).unwrap().unwrap();
        assert!(twice.contains("*/10 * * * *") && !twice.contains("*/5 *") && twice.ends_with("5 5 * * * later"));
        let (before, _, after) = parts(&twice).unwrap();
        assert_eq!(before + &after, format!("{old}5 5 * * * later"));
        assert!(merged("* * * * * fleet-collector\n", &block).unwrap_err().text.contains("crontab -e"));
        assert!(merged("# BEGIN fleet-health\nx\n", &block).unwrap_err().text.contains("crontab -e"));
        assert!(merged("0 1 * * * x", &block).unwrap().unwrap().starts_with("0 1 * * * x\n# BEGIN"));
    }

    #[test]
    fn names_are_words_of_the_shell_and_not_of_cron() {
        let text = block(&plan("/my fleet/50%/it's.xml", 3600)).unwrap();
        assert!(
            text.contains("--config '/my fleet/50\\%/it'\\''s.xml'") && text.contains("\n0 * * * * /opt"),
            "{text}"
        );
        assert!(block(&plan("/a\nb", 300)).is_err());
        assert!(block(&plan("/a", 420)).unwrap_err().text.contains("--systemd"));
    }
}
