//! Small helpers for what services answer: bounded reading, searching, escapes.

use std::io::{self, ErrorKind, Read};

/// Reads until the end, the limit or what `enough` says of the bytes so far.
pub(super) fn gather(from: &mut impl Read, limit: usize, mut enough: impl FnMut(&[u8]) -> bool) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    while bytes.len() < limit && !enough(&bytes) {
        let room = buffer.len().min(limit - bytes.len());
        match from.read(&mut buffer[..room]) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// The first MiB of a file; of one that cannot be read, nothing.
pub(super) fn small_file(path: &std::path::Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        let _ = file.take(1 << 20).read_to_end(&mut bytes);
    }
    bytes
}

/// Where `needle` starts.
pub(super) fn position(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// The start of an answer, for people.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(240)]).into_owned();
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.trim().chars().take(60).collect()
}

/// `\r`, `\n`, `\t` and `\\` of a configuration value as what they stand for.
pub(super) fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'r') => out.push(b'\r'),
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(other) => out.push(other),
            None => out.push(byte),
        }
    }
    out
}

/// A peer that says what it was told to say, one answer for each question.
#[cfg(test)]
pub(super) struct Scripted {
    answers: std::collections::VecDeque<Vec<u8>>,
    said: Vec<u8>,
}

#[cfg(test)]
impl Scripted {
    pub fn new(answer: &[u8]) -> Self {
        Self { answers: [answer.to_vec()].into(), said: Vec::new() }
    }

    pub fn answers(all: &[&str]) -> Self {
        Self { answers: all.iter().map(|answer| answer.as_bytes().to_vec()).collect(), said: Vec::new() }
    }

    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }
}

#[cfg(test)]
impl Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(answer) = self.answers.front_mut() else { return Ok(0) };
        let count = buffer.len().min(answer.len());
        buffer[..count].copy_from_slice(&answer[..count]);
        answer.drain(..count);
        if answer.is_empty() {
            self.answers.pop_front();
        }
        Ok(count)
    }
}

#[cfg(test)]
impl io::Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.said.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_searches_and_excerpts() {
        assert_eq!(unescaped(r"EHLO x\r\n\\n\"), b"EHLO x\r\n\\n\\");
        assert_eq!(position(b"220 ready", b"ready"), Some(4));
        assert_eq!(position(b"22", b"ready"), None);
        assert_eq!(excerpt(b"  a\x1bb\r\n"), "a b");
    }

    #[test]
    fn reading_stops_where_it_should() {
        let endless = &mut io::repeat(b'x');
        assert_eq!(gather(endless, 10_000, |_| false).unwrap().len(), 10_000);
        assert!(gather(endless, 100_000, |bytes| bytes.len() > 5).unwrap().len() <= 8192);
        assert_eq!(gather(&mut &b"abc"[..], 10, |_| false).unwrap(), b"abc");
    }
}
