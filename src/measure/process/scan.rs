//! Looks at every process once: one open directory, one read for each.

use std::io;

use super::super::boot::uptime_millis;
use super::super::folder::Folder;
use super::super::root::Root;
use super::stat::{self, Stat};

/// The most processes that are looked at.
pub(super) const MAX_PROCESSES: usize = 100_000;
const PAGE: usize = 4096;
/// The most open files of one process that are counted one by one, on kernels before 6.2.
pub(super) const MAX_FILES: u64 = 100_000;

/// An open /proc.
pub(super) struct Place(Folder);

/// One process now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) pid: u32,
    pub(super) stat: Stat,
    /// Bytes read and written, where that was asked and answered.
    pub(super) io: Option<u64>,
    /// As `Known::blocked`.
    pub(super) blocked: u64,
}

/// All processes at one time.
#[derive(Debug)]
pub(in super::super) struct Scan {
    pub(super) at_millis: u64,
    pub(super) list: Vec<Seen>,
    /// The probe's own number.
    pub(super) own: u32,
    /// Lines that were not understood.
    pub(super) odd: u64,
    /// There were more.
    pub(super) cut: bool,
    ticks_a_second: u64,
}

impl Scan {
    /// Clock ticks in milliseconds.
    pub(super) fn millis(&self, ticks: u64) -> u64 {
        ticks.saturating_mul(1000) / self.ticks_a_second
    }
}

impl Place {
    /// Opens it.
    pub(super) fn open(root: &Root) -> io::Result<Self> {
        Folder::open(root, "/proc").map(Self)
    }

    /// All that are there.
    pub(super) fn scan(&self, root: &Root) -> Scan {
        let own = rustix::process::getpid().as_raw_nonzero().get().cast_unsigned();
        let ticks_a_second = rustix::param::clock_ticks_per_second().max(1);
        let at_millis = uptime_millis(root);
        let mut scan = Scan { at_millis, list: Vec::new(), own, odd: 0, cut: false, ticks_a_second };
        let mut buffer = [0; PAGE];
        self.0.each(|name| {
            let Some(pid) = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()) else { return true };
            if scan.list.len() == MAX_PROCESSES {
                scan.cut = true;
                return false;
            }
            // Gone since it was listed: not a fault.
            let Ok(line) = self.0.read(&[name, b"/stat"].concat(), &mut buffer) else { return true };
            match stat::parse(line) {
                Some(stat) => scan.list.push(Seen { pid, stat, io: None, blocked: 0 }),
                None => scan.odd += u64::from(!line.is_empty()),
            }
            true
        });
        scan
    }

    /// The first page of a file of a process.
    pub(super) fn read(&self, pid: u32, file: &str) -> Option<Vec<u8>> {
        self.try_read(pid, file).ok()
    }

    /// As [`Place::read`], with the reason.
    pub(super) fn try_read(&self, pid: u32, file: &str) -> io::Result<Vec<u8>> {
        self.0.read(format!("{pid}/{file}").as_bytes(), &mut [0; PAGE]).map(<[u8]>::to_vec)
    }

    /// The kernel's name of a process, `?` where it is gone.
    pub(super) fn name(&self, pid: u32) -> String {
        self.read(pid, "stat").map_or_else(|| "?".to_owned(), |line| stat::name(&line))
    }

    /// Whose a process is, by number.
    pub(super) fn owner(&self, pid: u32) -> Option<u32> {
        self.0.stat(format!("{pid}").as_bytes()).ok().map(|stat| stat.st_uid)
    }

    /// Whether the size of `fd` is the number of open files: we have some ourselves.
    pub(super) fn tells_open_files(&self, own: u32) -> bool {
        self.0.stat(format!("{own}/fd").as_bytes()).is_ok_and(|stat| stat.st_size > 0)
    }

    /// How many files a process has open. Since Linux 6.2 the directory's size says it to everybody, before that it is
    /// counted, which is for its user alone.
    pub(super) fn open_files(&self, pid: u32) -> io::Result<u64> {
        let path = format!("{pid}/fd");
        let size = self.0.stat(path.as_bytes())?.st_size;
        if size > 0 {
            return u64::try_from(size).map_err(io::Error::other);
        }
        let mut count = 0;
        self.0.folder(path.as_bytes())?.each(|name| {
            count += u64::from(!matches!(name, b"." | b".."));
            count < MAX_FILES
        });
        Ok(count)
    }
}
