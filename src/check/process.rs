//! `process`: processes by the name of their program: how many, memory, processor time, age.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::answer::small_file;
use super::{Check, Found, Occasion, Trouble};
use crate::model::pattern;
use crate::model::sample::FaultKind;

const MAX_PROCESSES: usize = 100_000;
/// The most open files of one process that are counted one by one, on kernels before 6.2.
const MAX_FILES: u64 = 100_000;
/// `PF_KTHREAD` of the flags of a process.
const KERNEL_THREAD: u64 = 0x0020_0000;
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
                // A thread of the kernel opens none, and its folder is root's alone.
                let files = if stat.is_kernel { Files::All(0) } else { open_files(&entry.path(), MAX_FILES) };
                all.add(&stat, &system, files);
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

/// How many files a process has open.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Files {
    All(u64),
    /// There may be more, which were not counted.
    AtLeast(u64),
    /// It may not be asked.
    Denied,
}

/// Since Linux 6.2 the folder's size tells everybody; before, it is zero. Who ended meanwhile has none.
fn open_files(folder: &Path, most: u64) -> Files {
    let files = folder.join("fd");
    let of_error = |error: std::io::Error| match error.kind() {
        ErrorKind::PermissionDenied => Files::Denied,
        _ => Files::All(0),
    };
    match fs::metadata(&files).map(|meta| meta.len()) {
        Ok(0) => fs::read_dir(files).map_or_else(of_error, |entries| counted(entries.map_while(Result::ok), most)),
        Ok(size) => Files::All(size),
        Err(error) => of_error(error),
    }
}

/// What is listed one by one, up to a bound.
fn counted(entries: impl Iterator, most: u64) -> Files {
    match (0..most).zip(entries).map(|(before, _)| before + 1).last().unwrap_or(0) {
        count if count == most => Files::AtLeast(count),
        count => Files::All(count),
    }
}

/// The last part of the first word of the command line.
fn first_word(folder: &Path) -> String {
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
    is_kernel: bool,
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
            is_kernel: words.get(6)?.parse::<u64>().is_ok_and(|flags| flags & KERNEL_THREAD != 0),
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
    /// How many did not tell their open files, and how many have more than were counted.
    closed: u64,
    cut: u64,
}

impl Sum {
    fn add(&mut self, stat: &Stat, system: &System, files: Files) {
        self.count += 1;
        match files {
            Files::All(count) => self.files += count,
            Files::AtLeast(count) => {
                self.files += count;
                self.cut += 1;
            }
            Files::Denied => self.closed += 1,
        }
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
                if self.cut > 0 {
                    let text =
                        format!("{} have more than {MAX_FILES} open files, which were not all counted", self.cut);
                    found.fault(FaultKind::Cut, text);
                }
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

    #[test]
    fn who_ended_meanwhile_and_threads_of_the_kernel_have_no_open_files() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(open_files(&root.path().join("77"), 9), Files::All(0));
        assert_eq!(
            (counted(0..3, 9), counted(0..0, 9), counted(0..9, 9)),
            (Files::All(3), Files::All(0), Files::AtLeast(9))
        );
        let of = |flags: u32| {
            let line =
                format!("2 (kthreadd) S 0 0 0 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 1 0 10 0 0 18446744073709551615");
            Stat::parse(line.as_bytes()).unwrap().is_kernel
        };
        assert!(of(2_129_984) && !of(4_194_560));
        let mut found = Found::new(&crate::model::check::Order::default());
        let stat = Stat::parse(b"1 (a) S 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 10 0 0 1").unwrap();
        let system = System { uptime: 9.0, tick: 100.0, page: 4096.0 };
        let mut sum = Sum::default();
        sum.add(&stat, &system, Files::AtLeast(MAX_FILES));
        sum.put(&mut found);
        assert_eq!(found.faults.iter().map(|fault| fault.kind).collect::<Vec<_>>(), [FaultKind::Cut]);
        sum.add(&stat, &system, Files::Denied);
        let mut found = Found::new(&crate::model::check::Order::default());
        sum.put(&mut found);
        assert_eq!(found.faults.iter().map(|fault| fault.kind).collect::<Vec<_>>(), [FaultKind::Denied]);
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read(line: Vec<u8>) {
            let _ = Stat::parse(&line);
        }
    }
}
