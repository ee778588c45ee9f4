//! `accesslog`: what came to a web server since the last sample, from its log in the combined format.
//!
//! Read on from where it stopped. A rotated log is told by its inode: the rest of the old one is read first; of one that
//! was copied and emptied, the rest of the copy.

mod line;

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::{Check, Found, Occasion, Trouble};
use crate::model::order;
use crate::model::sample::FaultKind;
use line::{Request, Unit};

/// The most bytes that are read in one run; of more the oldest are passed over, the rates are reckoned up, and that is
/// told.
const MAX_READ: u64 = 8 << 20;

pub(super) struct AccessLog;

impl Check for AccessLog {
    fn kind(&self) -> &'static str {
        "accesslog"
    }

    fn look(&self, at: &Occasion, found: &mut Found) -> Result<(), Trouble> {
        let path = at.needed("path")?;
        let unit = Unit::of(at.order.attribute("time").unwrap_or("s"));
        let said = |error: io::Error| match error.kind() {
            ErrorKind::PermissionDenied => Trouble::denied(format!("{path}: {error}; let this user read it")),
            ErrorKind::NotFound => Trouble::Unknown(FaultKind::Absent, format!("{path}: is not there")),
            _ => Trouble::Unknown(FaultKind::Malformed, format!("{path}: {error}")),
        };
        let place = at.path(path);
        // Before opening: a pipe without a writer would hold us until the timeout.
        if !std::fs::metadata(&place).map_err(said)?.is_file() {
            return Err(Trouble::unsupported(format!("{path}: is not a regular file")));
        }
        let file = File::open(&place).map_err(said)?;
        let meta = file.metadata().map_err(said)?;
        let earlier = Mark::parse(at.note);
        // Without an earlier time there is nothing to compare with: from here on.
        let since = earlier.map_or(0, |earlier| at.now - earlier.at);
        let Some(earlier) = earlier.filter(|_| since > 0) else {
            found.note = Mark::of(&file, meta.len(), at.now).map_err(said)?.text();
            return Ok(());
        };
        let mut sum = Sum::new(unit);
        let mut from = earlier.offset;
        if !earlier.is(&meta) {
            match rotated(&place, &earlier) {
                Some(old) => {
                    sum.read(&old, earlier.offset, true, found).map_err(said)?;
                }
                None => {
                    found.fault(FaultKind::Cut, "rotated away; what came to the old log since the last sample is lost")
                }
            }
            from = 0;
        } else if !earlier.is_within(&file) {
            // Emptied in place, perhaps after it was copied.
            match copied(&place, &earlier) {
                Some(old) => drop(sum.read(&old, earlier.offset, true, found).map_err(said)?),
                None => found.fault(FaultKind::Cut, "emptied; what came before that since the last sample may be lost"),
            }
            from = 0;
        }
        let end = sum.read(&file, from, false, found).map_err(said)?;
        found.note = Mark::of(&file, end, at.now).map_err(said)?.text();
        #[allow(clippy::cast_precision_loss, reason = "seconds between two samples are few")]
        sum.put(since as f64, found);
        Ok(())
    }
}

/// Where reading stopped, and when: device, inode, offset, seconds since 1970, and what stood there. The time is the
/// reading's own, for a run between may have been cut short and have read nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    offset: u64,
    at: i64,
    /// Of the last bytes before the offset; 0 where it is not known.
    tail: u64,
}

impl Mark {
    fn of(file: &File, offset: u64, at: i64) -> io::Result<Self> {
        let meta = file.metadata()?;
        // Emptied at this very moment: the next run will see that it is too short.
        let tail = tail(file, offset).unwrap_or(0);
        Ok(Self { device: meta.dev(), inode: meta.ino(), offset, at, tail })
    }

    /// Whether a file holds what stood before the offset: one that was emptied may have grown beyond it since.
    fn is_within(&self, file: &File) -> bool {
        let size = file.metadata().map_or(0, |meta| meta.len());
        size >= self.offset && (self.tail == 0 || tail(file, self.offset).is_ok_and(|tail| tail == self.tail))
    }

    fn is(&self, meta: &Metadata) -> bool {
        (self.device, self.inode) == (meta.dev(), meta.ino())
    }

    fn text(&self) -> String {
        format!("{} {} {} {} {}", self.device, self.inode, self.offset, self.at, self.tail)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let mut next = || words.next()?.parse().ok();
        let (device, inode, offset) = (next()?, next()?, next()?);
        let at = words.next()?.parse().ok()?;
        Some(Self { device, inode, offset, at, tail: words.next().and_then(|tail| tail.parse().ok()).unwrap_or(0) })
    }
}

/// The log of before under one of the names that rotation gives.
fn rotated(path: &Path, mark: &Mark) -> Option<File> {
    names_of_rotation(path).find_map(|name| {
        let meta = std::fs::metadata(&name).ok()?;
        (meta.is_file() && mark.is(&meta)).then(|| File::open(&name).ok())?
    })
}

/// The copy that was made of the log before it was emptied (copytruncate): it holds what we read, and perhaps more.
fn copied(path: &Path, mark: &Mark) -> Option<File> {
    if mark.offset == 0 || mark.tail == 0 {
        return None;
    }
    names_of_rotation(path).find_map(|name| {
        // Before opening, as for the log: a pipe may bear such a name.
        let meta = std::fs::metadata(&name).ok()?;
        let file = (meta.is_file() && meta.len() >= mark.offset).then(|| File::open(&name).ok())??;
        mark.is_within(&file).then_some(file)
    })
}

/// Files beside a log that may have been it: numbered, or (dateext) whatever starts as the log does.
fn names_of_rotation(path: &Path) -> impl Iterator<Item = PathBuf> {
    let mut names: Vec<PathBuf> = [".1", ".0"].iter().map(|end| appended(path, end)).collect();
    if let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(10_000);
        names.extend(entries.filter(|e| e.file_name().to_string_lossy().starts_with(name)).map(|entry| entry.path()));
    }
    names.into_iter()
}

/// A digest (FNV-1a) of the bytes before an offset, enough of them to hold the time of a line.
fn tail(file: &File, offset: u64) -> io::Result<u64> {
    let mut bytes = [0; 256];
    let length = offset.min(256);
    let bytes = bytes.get_mut(..usize::try_from(length).unwrap_or(0)).unwrap_or_default();
    file.read_exact_at(bytes, offset - length)?;
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    Ok(bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

fn appended(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// What the lines of one run add up to.
struct Sum {
    unit: Unit,
    requests: u64,
    errors: u64,
    client_errors: u64,
    /// Answered well, and sent elsewhere.
    well: u64,
    moved: u64,
    odd: u64,
    bytes: f64,
    times: Vec<f64>,
    /// Bytes of the logs that were looked at, and that were passed over.
    seen: u64,
    passed: u64,
}

impl Sum {
    fn new(unit: Unit) -> Self {
        Self {
            unit,
            requests: 0,
            errors: 0,
            client_errors: 0,
            well: 0,
            moved: 0,
            odd: 0,
            bytes: 0.0,
            times: Vec::new(),
            seen: 0,
            passed: 0,
        }
    }

    /// Reads whole lines from an offset on; returns where the next run begins. The last line of a log that is over
    /// counts without its break too.
    fn read(&mut self, mut file: &File, from: u64, over: bool, found: &mut Found) -> io::Result<u64> {
        let size = file.metadata()?.len();
        let start = from.max(size.saturating_sub(MAX_READ));
        let passed = start - from.min(start);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(MAX_READ).read_to_end(&mut bytes)?;
        let mut text = &bytes[..];
        if passed > 0 {
            let told = format!("{passed} bytes were passed over; the rates are reckoned from the last {MAX_READ}");
            found.fault(FaultKind::Cut, told);
            // The first line is half of one.
            text = text.iter().position(|&b| b == b'\n').map_or(&[][..], |end| &text[end + 1..]);
        }
        let whole = match text.iter().rposition(|&b| b == b'\n') {
            _ if over => text.len(),
            Some(last) => last + 1,
            // A line without an end as long as the bound is none.
            None if bytes.len() as u64 == MAX_READ => text.len(),
            None => 0,
        };
        self.passed += passed + (bytes.len() - text.len()) as u64;
        self.seen += whole as u64;
        for line in text[..whole].split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            self.add(line);
        }
        Ok(start + (bytes.len() - (text.len() - whole)) as u64)
    }

    fn add(&mut self, line: &[u8]) {
        let Some(Request { status, bytes, time }) = line::parse(line, self.unit) else {
            self.odd += 1;
            return;
        };
        self.requests += 1;
        self.errors += u64::from(status >= 500);
        self.client_errors += u64::from((400..500).contains(&status));
        // A page that is still fresh and a login that is asked for are right answers; a redirect is neither right nor
        // wrong, or a site that sends everybody to https would look broken.
        let well = matches!(status, 100..=299 | 304 | 401);
        self.well += u64::from(well);
        self.moved += u64::from(!well && (300..400).contains(&status));
        self.bytes += bytes;
        self.times.extend(time);
    }

    #[allow(clippy::cast_precision_loss, reason = "lines of one run are few")]
    fn put(mut self, since: f64, found: &mut Found) {
        let requests = self.requests as f64;
        // What was passed over was like what was read.
        let whole = if self.seen > 0 { 1.0 + self.passed as f64 / self.seen as f64 } else { 1.0 };
        let rate = |count: f64| (count * whole / since * 1e4).round() / 1e4;
        found.put("accesslog.requests", rate(requests));
        found.put("accesslog.errors.rate", rate(self.errors as f64));
        found.put("accesslog.bytes", rate(self.bytes));
        found.share("accesslog.errors", self.errors as f64, requests);
        found.share("accesslog.success", self.well as f64, (self.requests - self.moved) as f64);
        found.share("accesslog.client-errors", self.client_errors as f64, requests);
        if self.odd > 0 {
            found.fault(FaultKind::Malformed, format!("{} lines are not in the combined format", self.odd));
        }
        if self.times.is_empty() {
            return;
        }
        order::sort_by(&mut self.times, f64::total_cmp);
        let count = self.times.len();
        found.seconds("accesslog.latency", self.times.iter().sum::<f64>() / count as f64);
        for (share, metric) in [
            (50, "accesslog.latency.p50"),
            (95, "accesslog.latency.p95"),
            (99, "accesslog.latency.p99"),
            (100, "accesslog.latency.max"),
        ] {
            // The nearest rank: the least value that this share of the requests does not exceed.
            let rank = (count * share).div_ceil(100).max(1);
            if let Some(time) = self.times.get(rank - 1) {
                found.seconds(metric, *time);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::run::tests::{again, look};
    use crate::model::check::Order;
    use std::fs;
    use std::io::Write;

    fn line(status: u16, time: &str) -> String {
        format!("1.2.3.4 - - [21/Nov/2026:16:00:00 +0000] \"GET / HTTP/1.1\" {status} 100 \"-\" \"x\" {time}\n")
    }

    struct Log {
        root: tempfile::TempDir,
        note: String,
    }

    impl Log {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join("log"), line(500, "9")).unwrap();
            let (found, result) = look(&AccessLog, &[("path", "/log")], root.path());
            assert_eq!((result, found.readings.len()), (Ok(()), 0));
            Self { root, note: found.note }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        fn append(&self, name: &str, text: &str) {
            let mut file = fs::OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        /// Ten seconds later: requests, and the faults.
        fn run(&mut self) -> (f64, Found) {
            let mut order = Order { item: "s".into(), ..Order::default() };
            order.attributes.insert("path".into(), "/log".into());
            // From the last mark, for the clock goes on between.
            let mark = Mark::parse(&self.note).unwrap().at;
            let (found, result) = again(&AccessLog, &order, self.root.path(), mark + 10, &self.note);
            assert_eq!(result, Ok(()));
            self.note = found.note.clone();
            let rate = found.readings.iter().find(|r| r.metric == "accesslog.requests").unwrap().value;
            ((rate * 10.0).round(), found)
        }
    }

    #[test]
    fn reads_on_from_where_it_stopped_and_never_half_a_line() {
        let mut log = Log::new();
        log.append("log", &(line(200, "0.1") + &line(503, "0.3") + &line(404, "0.2") + "1.2.3.4 - - [half"));
        let (requests, found) = log.run();
        assert_eq!(requests, 3.0);
        let value = |metric: &str| found.readings.iter().find(|r| r.metric == metric).unwrap().value;
        assert_eq!((value("accesslog.errors"), value("accesslog.client-errors")), (0.33333, 0.33333));
        assert_eq!((value("accesslog.errors.rate"), value("accesslog.bytes")), (0.1, 30.0));
        assert_eq!(value("accesslog.success"), 0.33333);
        assert_eq!((value("accesslog.latency"), value("accesslog.latency.max")), (0.2, 0.3));
        assert_eq!((value("accesslog.latency.p50"), value("accesslog.latency.p99")), (0.2, 0.3));
        assert_eq!(log.run().0, 0.0);
        log.append("log", "] \"GET / HTTP/1.1\" 200 1 \"-\" \"x\" 0.1\n");
        assert_eq!(log.run().0, 1.0);
    }

    #[test]
    fn a_redirect_is_neither_success_nor_failure() {
        let mut log = Log::new();
        let of = |log: &mut Log, statuses: &[u16]| {
            log.append("log", &statuses.iter().map(|status| line(*status, "0.1")).collect::<String>());
            let found = log.run().1;
            found.readings.iter().find(|r| r.metric == "accesslog.success").map(|r| r.value)
        };
        assert_eq!(of(&mut log, &[301, 302, 308]), None);
        assert_eq!(of(&mut log, &[200, 206, 304, 401, 301]), Some(1.0));
        assert_eq!(of(&mut log, &[200, 404, 302, 500, 403]), Some(0.25));
    }

    #[test]
    fn rotation_loses_nothing_and_counts_nothing_twice() {
        let mut log = Log::new();
        log.append("log", &line(200, "0.1"));
        fs::rename(log.path("log"), log.path("log.1")).unwrap();
        log.append("log.1", &line(200, "0.1"));
        log.append("log", &line(200, "0.1").repeat(3));
        assert_eq!(log.run().0, 5.0);
        // By date, as some rotate.
        log.append("log", &line(200, "0.1"));
        fs::rename(log.path("log"), log.path("log-20261121")).unwrap();
        log.append("log", &line(200, "0.9"));
        assert_eq!(log.run().0, 2.0);
        // Emptied in place, and nobody kept what was in it: that is told.
        fs::write(log.path("log"), "").unwrap();
        let (requests, found) = log.run();
        assert_eq!((requests, found.faults[0].kind), (0.0, FaultKind::Cut));
        log.append("log", &line(200, "0.1"));
        assert_eq!(log.run().0, 1.0);
        // Gone without a trace: what is lost is told.
        fs::rename(log.path("log"), log.path("other")).unwrap();
        log.append("log", &line(200, "0.1"));
        let (requests, found) = log.run();
        assert_eq!((requests, found.faults[0].kind), (1.0, FaultKind::Cut));
    }

    #[test]
    fn a_log_that_is_copied_and_emptied_loses_nothing() {
        let mut log = Log::new();
        log.append("log", &line(200, "0.1").repeat(2));
        fs::copy(log.path("log"), log.path("log.1")).unwrap();
        fs::write(log.path("log"), line(200, "0.1")).unwrap();
        let (requests, found) = log.run();
        assert_eq!((requests, found.faults.len()), (3.0, 0), "{:?}", found.faults);
        // By date, as some rotate.
        log.append("log", &line(404, "0.2"));
        fs::copy(log.path("log"), log.path("log-20261121")).unwrap();
        fs::write(log.path("log"), line(200, "0.3").repeat(3)).unwrap();
        let (requests, found) = log.run();
        assert_eq!((requests, found.faults.len()), (4.0, 0), "{:?}", found.faults);
        // The copy of before is none of this log.
        fs::write(log.path("log"), line(404, "0.7")).unwrap();
        assert_eq!(log.run().1.faults[0].kind, FaultKind::Cut);
    }

    #[test]
    fn a_flood_is_bounded_told_and_its_rate_is_right() {
        let mut log = Log::new();
        let line = line(200, "0.1");
        let many = usize::try_from(MAX_READ).unwrap() / line.len() + 1000;
        log.append("log", &line.repeat(many));
        let (requests, found) = log.run();
        assert!((requests - many as f64).abs() < 5.0, "{requests} of {many}");
        assert_eq!(found.faults[0].kind, FaultKind::Cut);
        assert_eq!(log.run().0, 0.0);
    }
}
