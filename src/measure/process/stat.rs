//! One line of /proc/PID/stat.

use super::super::text::{whole, words};

/// What a process is and has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) state: u8,
    pub(super) parent: u32,
    /// A thread of the kernel: no memory, files or I/O of its own.
    pub(super) kernel: bool,
    /// Clock ticks of processor time.
    pub(super) ticks: u64,
    pub(super) threads: u64,
    /// Clock ticks after boot.
    pub(super) start: u64,
    /// Resident pages.
    pub(super) pages: u64,
}

/// PF_KTHREAD of the kernel.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// The name in parentheses may hold blanks, parentheses and line breaks: the last `)` ends it.
pub(super) fn parse(stat: &[u8]) -> Option<Stat> {
    let end = stat.iter().rposition(|&b| b == b')')?;
    let mut words = words(stat.get(end + 1..)?);
    let state = *words.next()?.first()?;
    let mut next = |skip: usize| words.nth(skip).and_then(whole);
    let parent = next(0)?;
    let flags = next(4)?;
    let (user, system) = (next(4)?, next(0)?);
    let threads = next(4)?;
    let start = next(1)?;
    let pages = next(1)?;
    Some(Stat {
        state,
        parent: u32::try_from(parent).ok()?,
        kernel: flags & KERNEL_THREAD != 0,
        ticks: user.saturating_add(system),
        threads,
        start,
        pages,
    })
}

/// The name in the line.
pub(super) fn name(stat: &[u8]) -> String {
    let begin = stat.iter().position(|&b| b == b'(').map_or(0, |at| at + 1);
    let end = stat.iter().rposition(|&b| b == b')').unwrap_or(begin);
    String::from_utf8_lossy(stat.get(begin..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux 6.1, a shell; and the same kernel's ksoftirqd.
    const SHELL: &[u8] = b"4411 (bash) S 4410 4411 4411 34816 9127 4194304 3219 41812 0 12 7 4 55 21 20 0 1 0 90210 \
        8228864 1290 18446744073709551615 1 1 0 0 0 0 65536 3686404 1266761467 1 0 0 17 3 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
    const KERNEL: &[u8] = b"14 (ksoftirqd/0) S 2 0 0 0 -1 69238848 0 0 0 0 0 83 0 0 20 0 1 0 8 0 0 \
        18446744073709551615 0 0 0 0 0 0 0 2147483647 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    #[test]
    fn fields_are_the_right_ones() {
        let shell = parse(SHELL).unwrap();
        assert_eq!((shell.state, shell.parent, shell.kernel), (b'S', 4410, false));
        assert_eq!((shell.ticks, shell.threads, shell.start, shell.pages), (11, 1, 90210, 1290));
        let kernel = parse(KERNEL).unwrap();
        assert_eq!((kernel.kernel, kernel.ticks, kernel.pages, kernel.parent), (true, 83, 0, 2));
        assert_eq!((name(SHELL).as_str(), name(KERNEL).as_str()), ("bash", "ksoftirqd/0"));
    }

    #[test]
    fn names_cannot_fool_it() {
        let tail = " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 42 18 19 20 21 22";
        for text in ["sh", "a) R 1 (b", "x\ny) Z 0", ")", "((("] {
            let line = format!("77 ({text}) S{tail}");
            let got = parse(line.as_bytes()).unwrap();
            assert_eq!((got.state, got.parent, got.ticks, got.threads), (b'S', 1, 23, 42), "{text}");
            assert_eq!((got.start, got.pages), (19, 21));
            assert_eq!(name(line.as_bytes()), text);
        }
        for bad in [&b""[..], b"77 (x", b"77 (x)", b"77 (x) S 1 2", b"\xff)\xff", b"1 (x) S -1 2 3 4 5 6 7 8 9"] {
            assert_eq!(parse(bad), None);
            name(bad);
        }
    }
}
