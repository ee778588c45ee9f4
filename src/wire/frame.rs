//! How pending files travel from probe to collector, and the acknowledgement back.
//!
//! After at most 64 KiB of noise (banners, a chatty .bashrc): `FLEET1 <nonce>`, then for each file
//! `file <name> <length> <sha256>` and its bytes, then `end <nonce> <files> <left> <dropped>`; at any point after the
//! start `fail <cause> <text>` may take the place of what follows. Back come `ack <name>` lines and `bye`.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read, Write};

use sha2::{Digest, Sha256};

use super::MAX_FILE;
use crate::model::cause::Cause;
use crate::model::clean::{clean, clean_bytes};

/// The longest line of a frame, in bytes.
const MAX_LINE: usize = 1024;

/// What a host may report. Other causes are this side's to find: a host must not mute its alerts, cry that its key has
/// changed, or blame us.
const REPORTED: &[Cause] = &[
    Cause::DiskFull,
    Cause::ReadOnly,
    Cause::UnsafeDirectory,
    Cause::NoExec,
    Cause::NoProbe,
    Cause::ProbeFailed,
    Cause::Deadline,
];

/// Bounds of what a reader takes from a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes before the start line.
    pub noise: usize,
    /// Bytes of one file.
    pub file: usize,
    /// Bytes of all files.
    pub total: u64,
    /// Files.
    pub files: u32,
}

impl Limits {
    /// Those of a visit that asks for at most `bytes` and `files`: the file that passes the bytes may be one more.
    #[must_use]
    pub fn of(bytes: u64, files: u32) -> Self {
        // A sealed file is its plain text and at most 5 KiB.
        let file = MAX_FILE + 5 * 1024;
        Self { noise: 64 * 1024, file, total: bytes.saturating_add(file as u64), files }
    }
}

/// One thing that a frame carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A pending file, whole: its digest was compared.
    File {
        /// The name in the host's spool; [`is_file_name`] holds.
        name: String,
        /// The sealed bytes.
        bytes: Vec<u8>,
    },
    /// The end marker: the run was a success.
    End {
        /// Files that stay for the next run.
        left: u32,
        /// Files that the spool had to drop since they were last told.
        dropped: u64,
    },
}

/// Why a frame could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The line broke.
    #[error("reading from the probe: {0}")]
    Io(#[from] io::Error),
    /// That many bytes came without a start line.
    #[error("{0} bytes came and no start of a frame among them")]
    Noise(usize),
    /// More than the limits.
    #[error("more than allowed: {0}")]
    Oversize(String),
    /// Not a frame.
    #[error("not a frame: {0}")]
    Malformed(String),
    /// The probe says why it cannot do its work.
    #[error("the probe reports {cause}: {text}")]
    Reported {
        /// The cause.
        cause: Cause,
        /// The probe's words, cleaned.
        text: String,
    },
    /// The stream ended before the end marker, or was read on after it.
    #[error("the stream ended before the frame's end")]
    Ended,
}

/// True for the name of a pending file: eight of `a-z0-9`, a dash, ten digits, `.age`. It holds no path.
#[must_use]
pub fn is_file_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() == 23
        && bytes[..8].iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && bytes[8] == b'-'
        && bytes[9..19].iter().all(u8::is_ascii_digit)
        && &bytes[19..] == b".age"
}

/// Writes the start line.
///
/// # Errors
/// Those of the writer.
pub fn write_start(out: &mut impl Write, nonce: &str) -> io::Result<()> {
    writeln!(out, "FLEET1 {nonce}")
}

/// Writes one file.
///
/// # Errors
/// Those of the writer.
pub fn write_file(out: &mut impl Write, name: &str, bytes: &[u8]) -> io::Result<()> {
    writeln!(out, "file {name} {} {}", bytes.len(), digest(bytes))?;
    out.write_all(bytes)
}

/// Writes the end marker and flushes.
///
/// # Errors
/// Those of the writer.
pub fn write_end(out: &mut impl Write, nonce: &str, files: u32, left: u32, dropped: u64) -> io::Result<()> {
    writeln!(out, "end {nonce} {files} {left} {dropped}")?;
    out.flush()
}

/// Writes why there is no more, and flushes.
///
/// # Errors
/// Those of the writer.
pub fn write_fail(out: &mut impl Write, cause: Cause, text: &str) -> io::Result<()> {
    writeln!(out, "fail {cause} {}", clean(text))?;
    out.flush()
}

/// Writes the acknowledgement of these files and the farewell, and flushes. An empty list keeps all files.
///
/// # Errors
/// Those of the writer.
pub fn write_answer(out: &mut impl Write, names: &[String]) -> io::Result<()> {
    // One write: over SSH each would be a packet of its own.
    let mut text = String::new();
    for name in names.iter().filter(|name| is_file_name(name)) {
        text.push_str("ack ");
        text.push_str(name);
        text.push('\n');
    }
    text.push_str("bye\n");
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Reads the acknowledged names up to `bye`. A stream that ends or breaks before keeps what was said so far;
/// lines that are no acknowledgement are passed over.
///
/// # Errors
/// A line over the bounds, or more than 65,536 lines.
pub fn read_answer(input: &mut impl BufRead) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for _ in 0..65_536 {
        let Ok(Some(line)) = read_line(input) else { return Ok(names) };
        match line.strip_prefix(b"ack ").and_then(|name| std::str::from_utf8(name).ok()) {
            Some(name) if is_file_name(name) => names.push(name.to_owned()),
            _ if line == b"bye" => return Ok(names),
            _ => {}
        }
    }
    Err(io::Error::other("too many acknowledgements"))
}

/// Reads one frame, never more than its limits.
pub struct Reader<R: Read> {
    input: BufReader<R>,
    nonce: String,
    limits: Limits,
    noise: Vec<u8>,
    state: State,
    seen: HashSet<String>,
    total: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    Within,
    Over,
}

impl<R: Read> Reader<R> {
    /// A reader of the frame that carries this nonce.
    pub fn new(read: R, nonce: &str, limits: Limits) -> Self {
        Self {
            input: BufReader::new(read),
            nonce: nonce.to_owned(),
            limits,
            noise: Vec::new(),
            state: State::Before,
            seen: HashSet::new(),
            total: 0,
        }
    }

    /// What came before the start line: cleaned and cut, to show a person why there was none.
    #[must_use]
    pub fn noise(&self) -> String {
        clean_bytes(&self.noise)
    }

    /// Whether the start line came.
    #[must_use]
    pub fn started(&self) -> bool {
        self.state != State::Before
    }

    /// The next file, or the end.
    ///
    /// # Errors
    /// [`FrameError`]; after one, and after [`Item::End`], every further call is [`FrameError::Ended`].
    #[allow(clippy::should_implement_trait, reason = "an end that is an item, and errors that are final")]
    pub fn next(&mut self) -> Result<Item, FrameError> {
        let result = self.step();
        if !matches!(result, Ok(Item::File { .. })) && self.state != State::Before {
            self.state = State::Over;
        }
        result
    }

    fn step(&mut self) -> Result<Item, FrameError> {
        match self.state {
            State::Over => return Err(FrameError::Ended),
            State::Before => self.find_start()?,
            State::Within => {}
        }
        let line = read_line(&mut self.input)?.ok_or(FrameError::Ended)?;
        let text = std::str::from_utf8(&line).map_err(|_| malformed(&line))?;
        let words: Vec<&str> = text.split(' ').collect();
        match words.as_slice() {
            ["file", name, length, sum] => self.file(name, length, sum).map_err(|e| e.unwrap_or(malformed(&line))),
            ["end", nonce, files, left, dropped] => {
                let numbers = (files.parse::<usize>(), left.parse(), dropped.parse());
                match numbers {
                    (Ok(files), Ok(left), Ok(dropped)) if *nonce == self.nonce && files == self.seen.len() => {
                        Ok(Item::End { left, dropped })
                    }
                    _ => Err(malformed(&line)),
                }
            }
            ["fail", word, ..] => {
                let cause = Cause::from_word(word).filter(|cause| REPORTED.contains(cause));
                let cause = cause.unwrap_or(Cause::ProbeFailed);
                let text = text.splitn(3, ' ').nth(2).unwrap_or_default();
                Err(FrameError::Reported { cause, text: clean(text) })
            }
            _ => Err(malformed(&line)),
        }
    }

    /// Looks for the start line anywhere: a banner need not end with a line break.
    fn find_start(&mut self) -> Result<(), FrameError> {
        let start = format!("FLEET1 {}\n", self.nonce).into_bytes();
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if chunk.is_empty() {
                return Err(FrameError::Ended);
            }
            let mut used = 0;
            let mut found = false;
            for &byte in chunk {
                used += 1;
                self.noise.push(byte);
                if byte == b'\n' && self.noise.ends_with(&start) {
                    found = true;
                    break;
                }
                if self.noise.len() > self.limits.noise + start.len() {
                    break;
                }
            }
            self.input.consume(used);
            if found {
                self.noise.truncate(self.noise.len() - start.len());
                self.state = State::Within;
                return Ok(());
            }
            if self.noise.len() > self.limits.noise + start.len() {
                return Err(FrameError::Noise(self.noise.len()));
            }
        }
    }

    fn file(&mut self, name: &str, length: &str, sum: &str) -> Result<Item, Option<FrameError>> {
        let length: u64 = length.parse().map_err(|_| None)?;
        if !is_file_name(name) || !self.seen.insert(name.to_owned()) {
            return Err(None);
        }
        let over = |what: String| Err(Some(FrameError::Oversize(what)));
        if length > self.limits.file as u64 {
            return over(format!("file {name} has {length} bytes, the limit is {}", self.limits.file));
        }
        self.total += length;
        if self.total > self.limits.total || self.seen.len() > self.limits.files as usize {
            return over(format!("{} files, {} bytes", self.seen.len(), self.total));
        }
        let mut bytes = Vec::new();
        (&mut self.input).take(length).read_to_end(&mut bytes).map_err(|error| Some(error.into()))?;
        if bytes.len() as u64 != length {
            return Err(Some(FrameError::Ended));
        }
        if digest(&bytes) != sum {
            return Err(Some(FrameError::Malformed(format!("the digest of {name} differs"))));
        }
        Ok(Item::File { name: name.to_owned(), bytes })
    }
}

fn malformed(line: &[u8]) -> FrameError {
    FrameError::Malformed(clean_bytes(line.get(..line.len().min(80)).unwrap_or_default()))
}

/// A line without its break; `None` at the end of the stream, also when it ends within a line.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    input.take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
    if line.pop() == Some(b'\n') {
        return Ok(Some(line));
    }
    if line.len() + 1 >= MAX_LINE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a line over {MAX_LINE} bytes")));
    }
    Ok(None)
}

fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
