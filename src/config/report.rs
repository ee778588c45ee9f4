//! Every mistake at once: where it is, the line itself, and the form that is right.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::mask;
use crate::model::clean::is_hostile;
use crate::model::spec::Origin;

/// More mistakes than a person reads at once are counted, not shown.
const SHOWN: usize = 100;
/// The widest piece of a source line that is shown.
const WIDTH: usize = 110;

/// A place in one of the files: bytes `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct At {
    pub file: u32,
    pub start: u32,
    pub end: u32,
}

impl At {
    /// Not written anywhere: a default that ships with the program.
    pub const BUILT_IN: At = At { file: u32::MAX, start: 0, end: 0 };

    pub fn new(file: usize, start: usize, end: usize) -> Self {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX - 1);
        Self { file: small(file), start: small(start), end: small(end.max(start)) }
    }

    pub fn is_built_in(self) -> bool {
        self.file == u32::MAX
    }
}

/// One file that was read.
#[derive(Debug)]
pub(super) struct Source {
    /// As people know it.
    pub path: PathBuf,
    /// Absolute; relative paths inside start here.
    pub folder: PathBuf,
    /// Whether only its owner can read it.
    pub private: bool,
    pub text: Arc<str>,
    /// Where each line after the first starts.
    lines: Vec<u32>,
}

impl Source {
    pub fn new(path: PathBuf, folder: PathBuf, private: bool, text: Arc<str>) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        let lines = breaks.map(|(at, _)| u32::try_from(at + 1).unwrap_or(u32::MAX)).collect();
        Self { path, folder, private, text, lines }
    }

    /// From 1. Quick, for every value of every host is asked where it was written.
    fn line(&self, offset: u32) -> usize {
        self.lines.partition_point(|start| *start <= offset) + 1
    }
}

#[derive(Debug)]
struct Mistake {
    error: bool,
    at: Option<At>,
    text: String,
    mend: String,
}

/// Every mistake of a configuration; `Display` prints them with line, column, the line itself and the mended form.
#[derive(Debug, Default)]
pub struct Report {
    sources: Vec<Source>,
    mistakes: Vec<Mistake>,
    seen: HashSet<(Option<At>, String)>,
    errors: usize,
    warnings: usize,
}

impl Report {
    /// How many errors; with none the configuration can be used.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many warnings.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// The files that were read, in that order.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().map(|source| source.path.as_path())
    }

    pub(super) fn add_source(&mut self, source: Source) -> usize {
        self.sources.push(source);
        self.sources.len() - 1
    }

    pub(super) fn source(&self, file: usize) -> Option<&Source> {
        self.sources.get(file)
    }

    pub(super) fn error(&mut self, at: At, text: impl Into<String>, mend: impl Into<String>) {
        self.push(true, Some(at), text.into(), mend.into());
    }

    pub(super) fn warning(&mut self, at: At, text: impl Into<String>, mend: impl Into<String>) {
        self.push(false, Some(at), text.into(), mend.into());
    }

    /// A mistake of the whole, such as a file that cannot be read.
    pub(super) fn general(&mut self, text: impl Into<String>) {
        self.push(true, None, text.into(), String::new());
    }

    /// The same mistake, met again for each host of a group, is said once.
    fn push(&mut self, error: bool, at: Option<At>, text: String, mend: String) {
        if self.mistakes.len() < SHOWN && !self.seen.insert((at, text.clone())) {
            return;
        }
        if error {
            self.errors += 1;
        } else {
            self.warnings += 1;
        }
        if self.mistakes.len() < SHOWN {
            self.mistakes.push(Mistake { error, at, text, mend });
        }
    }

    /// File and line of a place, as other parts of the program show it.
    pub(super) fn origin(&self, at: At) -> Origin {
        match self.sources.get(at.file as usize) {
            Some(source) => Origin { file: source.path.clone(), line: source.line(at.start) },
            None => Origin::default(),
        }
    }

    /// `config.xml:12`, or `built in`.
    pub(super) fn named(&self, at: At) -> String {
        let origin = self.origin(at);
        if origin.line == 0 { "built in".to_owned() } else { format!("{}:{}", origin.file.display(), origin.line) }
    }
}

/// A place for people: column from 1, and the bytes of the line.
struct Position {
    column: usize,
    from: usize,
    to: usize,
}

fn position(text: &str, offset: usize) -> Position {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let from = before.rfind('\n').map_or(0, |at| at + 1);
    let to = text[offset..].find('\n').map_or(text.len(), |at| offset + at);
    Position { column: text[from..offset].chars().count() + 1, from, to }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut secrets: HashMap<u32, Vec<Range<usize>>> = HashMap::new();
        for mistake in &self.mistakes {
            let kind = if mistake.error { "error" } else { "warning" };
            let source = mistake.at.and_then(|at| Some((at, self.sources.get(at.file as usize)?)));
            match source {
                Some((at, source)) => {
                    let place = position(&source.text, at.start as usize);
                    writeln!(
                        f,
                        "{}:{}:{}: {kind}: {}",
                        source.path.display(),
                        source.line(at.start),
                        place.column,
                        printable(&mistake.text)
                    )?;
                    let secrets = secrets.entry(at.file).or_insert_with(|| mask::secrets(&source.text));
                    excerpt(f, source, &place, at, secrets, &mistake.mend)?;
                }
                None => writeln!(f, "{kind}: {}", printable(&mistake.text))?,
            }
        }
        let more = (self.errors + self.warnings).saturating_sub(self.mistakes.len());
        if more > 0 {
            writeln!(f, "... and {more} more")?;
        }
        let s = |n: usize| if n == 1 { "" } else { "s" };
        write!(f, "{} error{}, {} warning{}", self.errors, s(self.errors), self.warnings, s(self.warnings))?;
        f.write_str(if self.errors > 0 { "; nothing was done." } else { "." })
    }
}

impl std::error::Error for Report {}

fn printable(text: &str) -> String {
    text.chars().map(|c| if is_hostile(c) { '?' } else { c }).collect()
}

/// The line with the secret parts masked, cut to the width of a screen, and the caret under the place.
fn excerpt(
    f: &mut fmt::Formatter<'_>,
    source: &Source,
    place: &Position,
    at: At,
    secrets: &[Range<usize>],
    mend: &str,
) -> fmt::Result {
    let masked = mask::line(&source.text, place.from..place.to, at.start as usize..at.end as usize, secrets);
    let chars: Vec<char> = masked.text.trim_end().chars().map(|c| if is_hostile(c) { ' ' } else { c }).collect();
    let caret = masked.caret.min(chars.len());
    let carets = masked.carets.clamp(1, WIDTH).min(chars.len().saturating_sub(caret).max(1));
    // A long line is shown around the caret.
    let skip = if caret + carets > WIDTH { caret.saturating_sub(20) } else { 0 };
    let lead = if skip > 0 { "... " } else { "" };
    let mut shown: String = lead.to_owned();
    shown.extend(chars.iter().skip(skip).take(WIDTH));
    if chars.len() > skip + WIDTH {
        shown.push_str(" ...");
    }
    let number = source.line(at.start).to_string();
    writeln!(f, " {number} | {shown}")?;
    let mut under = String::new();
    let _ = write!(
        under,
        " {} | {}{}",
        " ".repeat(number.len()),
        " ".repeat(lead.len() + caret - skip),
        "^".repeat(carets)
    );
    if !mend.is_empty() {
        let _ = write!(under, " {}", printable(mend));
    }
    writeln!(f, "{under}")
}
