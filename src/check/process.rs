//! `process`: processes by the name of their program: how many, memory, processor time, age.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::answer::small_file;
use super::{Check, Found, Occasion, Trouble};
use crate::model::pattern;
use crate::model::sample::FaultKind;

const MAX_PROCESSES: usize = 100_000;
/// The most open files of one process that are counted one by one, on kernels before 6.2.
const MAX_FILES: u64 = 100_000;
/// The kernel cuts names here.
const NAME: usize = 15;

pub(super) struct Process;

impl Check for Process {
    fn kind(&self) -> &'static str {
        "process"
    }

    fn look(&self, at: &Occasion, found: &mut Found) -> Result<(), Trouble> {
        let program = at.needed("program")?;
        let user = at.order.attribute("user").map(|name| uid(at, name)).transpose()?;
        let proc = at.path("/proc");
        let entries = fs::read_dir(&proc).map_err(|error| Trouble::denied(format!("/proc: {error}")))?;
        let system = System::read(at);
        let mut all = Sum::default();
        for entry in entries.flatten().take(MAX_PROCESSES) {
            let pid = entry.file_name();
            if !pid.to_string_lossy().bytes().all(|b| b.is_ascii_digit()) {
                continue;
            }
            let fits = user.is_none_or(|user| entry.metadata().is_ok_and(|meta| meta.uid() == user));
            if !fits {
                continue;
            }
            // Gone since it was listed: not a fault.
            let Some(stat) = Stat::parse(&small_file(&entry.path().join("stat"))) else { continue };
            let named = || match stat.name.len() < NAME {
                true => pattern::matches(program, &stat.name),
                // The whole name of one that the kernel cut stands in its command line.
                false => pattern::matches(program, &stat.name) || pattern::matches(program, &first_word(&entry.path())),
            };
            if stat.state != 'Z' && named() {
                all.add(&stat, &system, open_files(&entry.path()));
            }
        }
        all.put(found);
        if all.count == 0 {
            let hidden = !proc.join("1/stat").exists();
            let text = format!("no process is called {program}");
            return Err(if hidden {
                Trouble::denied(format!("{text}; /proc seems mounted with hidepid, which shows only own processes"))
            } else {
                Trouble::Bad(FaultKind::Absent, text)
            });
        }
        Ok(())
    }
}

/// How many files a process has open; `None` where it may not be asked. Since Linux 6.2 the folder's size tells everybody.
fn open_files(folder: &std::path::Path) -> Option<u64> {
    let files = folder.join("fd");
    match fs::metadata(&files).ok()?.len() {
        0 => (0..MAX_FILES).zip(fs::read_dir(files).ok()?).map(|(before, _)| before + 1).last().or(Some(0)),
        size => Some(size),
    }
}

/// The last part of the first word of the command line.
fn first_word(folder: &std::path::Path) -> String {
    let line = small_file(&folder.join("cmdline"));
    let word = line.split(|&b| b == 0 || b == b' ').next().unwrap_or_default();
    let word = String::from_utf8_lossy(word).into_owned();
    word.rsplit('/').next().unwrap_or_default().trim_end_matches(':').to_owned()
}

fn uid(at: &Occasion, name: &str) -> Result<u32, Trouble> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let users = small_file(&at.path("/etc/passwd"));
    let text = String::from_utf8_lossy(&users);
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let uid = line.and_then(|rest| rest.split(':').nth(1)?.parse().ok());
    uid.ok_or_else(|| Trouble::Unknown(FaultKind::Absent, format!("there is no user {name} in /etc/passwd")))
}

/// What turns the kernel's units into seconds and bytes.
struct System {
    uptime: f64,
    tick: f64,
    page: f64,
}

impl System {
    #[allow(clippy::cast_precision_loss, reason = "small constants of the system")]
    fn read(at: &Occasion) -> Self {
        let uptime = String::from_utf8_lossy(&small_file(&at.path("/proc/uptime"))).into_owned();
        Self {
            uptime: uptime.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0),
            tick: rustix::param::clock_ticks_per_second() as f64,
            page: rustix::param::page_size() as f64,
        }
    }
}

/// What one line of `stat` tells.
#[derive(Debug, PartialEq)]
struct Stat {
    name: String,
    state: char,
    ticks: f64,
    threads: f64,
    started: f64,
    pages: f64,
}

impl Stat {
    /// The name in parentheses may hold anything: the last `)` ends it.
    fn parse(line: &[u8]) -> Option<Self> {
        let open = line.iter().position(|&b| b == b'(')?;
        let close = line.iter().rposition(|&b| b == b')')?;
        let name = String::from_utf8_lossy(line.get(open + 1..close)?).into_owned();
        let rest = String::from_utf8_lossy(line.get(close + 1..)?).into_owned();
        let words: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| words.get(at)?.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
        Some(Self {
            name,
            state: words.first()?.chars().next()?,
            ticks: number(11)? + number(12)?,
            threads: number(17)?,
            started: number(19)?,
            pages: number(21)?,
        })
    }
}

#[derive(Default)]
struct Sum {
    count: u64,
    threads: f64,
    memory: f64,
    seconds: f64,
    oldest: f64,
    files: u64,
    /// How many did not tell their open files.
    closed: u64,
}

impl Sum {
    fn add(&mut self, stat: &Stat, system: &System, files: Option<u64>) {
        self.count += 1;
        self.files += files.unwrap_or(0);
        self.closed += u64::from(files.is_none());
        self.threads += stat.threads;
        self.memory += stat.pages * system.page;
        self.seconds += stat.ticks / system.tick;
        self.oldest = self.oldest.max(system.uptime - stat.started / system.tick);
    }

    fn put(&self, found: &mut Found) {
        found.whole("process.watched.count", self.count);
        if self.count > 0 {
            found.put("process.watched.threads", self.threads);
            found.put("process.watched.memory", self.memory);
            found.seconds("process.watched.cpu.seconds", self.seconds);
            found.seconds("process.watched.uptime", self.oldest);
            if self.closed == 0 {
                found.whole("process.watched.files", self.files);
            } else {
                let text = "/proc/PID/fd: open files of other users are shown to root only before Linux 6.2";
                found.fault(FaultKind::Denied, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::run::tests::look;
    use std::path::Path;

    fn run(root: &Path, attributes: &[(&str, &str)]) -> (Vec<(String, f64)>, Result<(), Trouble>) {
        let (found, result) = look(&Process, attributes, root);
        (found.readings.into_iter().map(|r| (r.metric, r.value)).collect(), result)
    }

    #[test]
    fn names_are_matched_even_where_the_kernel_cut_them() {
        let root = tempfile::tempdir().unwrap();
        let make = |pid: &str, name: &str, state: char, line: &[u8]| {
            let folder = root.path().join("proc").join(pid);
            fs::create_dir_all(&folder).unwrap();
            let stat = format!(
                "{pid} ({name}) {state} 1 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 3 0 1000 9999 10 18446744073709551615"
            );
            fs::write(folder.join("stat"), stat).unwrap();
            fs::write(folder.join("cmdline"), line).unwrap();
            for file in 0..3 {
                fs::create_dir_all(folder.join("fd").join(file.to_string())).unwrap();
            }
        };
        make("1", "init", 'S', b"/sbin/init\0");
        make("20", "shop) R (x", 'S', b"shop\0");
        make("21", "a-very-long-nam", 'S', b"/usr/bin/a-very-long-name-of-a-program\0--x\0");
        make("22", "gone", 'Z', b"");
        fs::write(root.path().join("proc/uptime"), "100.00 1\n").unwrap();
        let (readings, result) = run(root.path(), &[("program", "a-very-long-name-of-*")]);
        assert_eq!(result, Ok(()));
        let tick = rustix::param::clock_ticks_per_second() as f64;
        // A folder of a disk is never of size 0, as one of /proc is before Linux 6.2.
        let files = fs::metadata(root.path().join("proc/21/fd")).unwrap().len();
        let expected = [
            ("process.watched.count", 1.0),
            ("process.watched.threads", 3.0),
            ("process.watched.memory", 10.0 * rustix::param::page_size() as f64),
            ("process.watched.cpu.seconds", 200.0 / tick),
            ("process.watched.uptime", 100.0 - 1000.0 / tick),
            ("process.watched.files", files as f64),
        ];
        assert_eq!(readings, expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(run(root.path(), &[("program", "shop*")]).1, Ok(()));
        for none in ["gone", "none"] {
            assert!(matches!(run(root.path(), &[("program", none)]).1, Err(Trouble::Bad(FaultKind::Absent, _))));
        }
        let owner = fs::metadata(root.path().join("proc/1")).unwrap().uid();
        assert_eq!(run(root.path(), &[("program", "init"), ("user", &owner.to_string())]).1, Ok(()));
        assert!(run(root.path(), &[("program", "init"), ("user", "54321")]).1.is_err());
        assert!(matches!(run(root.path(), &[("program", "init"), ("user", "nobody?")]).1, Err(Trouble::Unknown(..))));
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read(line: Vec<u8>) {
            let _ = Stat::parse(&line);
        }
    }
}
