//! The dialogue of SMTP (RFC 5321): one command, one whole reply, and no byte of the server's beyond it.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use crate::model::clean::clean;
use crate::notify::stream::Stream;

/// RFC 5321 asks for 512; some servers say more.
const MOST_LINE: usize = 2048;
const MOST_LINES: usize = 100;

/// What a server answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub code: u16,
    /// The text of each line, cleaned.
    pub lines: Vec<String>,
}

impl Reply {
    /// In one line, for people.
    pub fn text(&self) -> String {
        clean(&format!("{} {}", self.code, self.lines.join(" ")))
    }
}

/// Takes a reply from the front of what was received: none yet, how many bytes it took, or what is wrong with it.
fn parse(bytes: &[u8]) -> Result<Option<(Reply, usize)>, String> {
    let wrong = |line: &[u8]| format!("the server says what is no SMTP: \"{}\"", clean(&String::from_utf8_lossy(line)));
    let mut reply = Reply::default();
    let mut taken = 0;
    loop {
        let rest = bytes.get(taken..).unwrap_or_default();
        let Some(end) = rest.iter().position(|&b| b == b'\n') else {
            return if rest.len() > MOST_LINE { Err("the server's line has no end".to_owned()) } else { Ok(None) };
        };
        let line = rest.get(..end).unwrap_or_default();
        taken += end + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > MOST_LINE || reply.lines.len() >= MOST_LINES {
            return Err("the server's reply has no end".to_owned());
        }
        let (code, text) = line.split_at_checked(3).ok_or_else(|| wrong(line))?;
        let code = std::str::from_utf8(code).ok().filter(|code| code.bytes().all(|b| b.is_ascii_digit()));
        let code = code.and_then(|code| code.parse().ok()).filter(|code| (200..600).contains(code));
        let code: u16 = code.ok_or_else(|| wrong(line))?;
        if !reply.lines.is_empty() && reply.code != code {
            return Err(wrong(line));
        }
        reply.code = code;
        reply.lines.push(clean(&String::from_utf8_lossy(text.get(1..).unwrap_or_default())));
        match text.first() {
            None | Some(b' ') => return Ok(Some((reply, taken))),
            Some(b'-') => {}
            Some(_) => return Err(wrong(line)),
        }
    }
}

/// An open dialogue.
pub struct Talk {
    stream: Stream,
    timeout: Duration,
    heard: Vec<u8>,
    /// After a failure of the line nothing is said any more.
    pub broken: bool,
}

impl Talk {
    /// Nothing is said or read yet.
    pub fn new(stream: Stream, timeout: Duration) -> Self {
        Self { stream, timeout, heard: Vec::new(), broken: false }
    }

    /// Whether nobody on the way can read it.
    pub fn is_secure(&self) -> bool {
        self.stream.is_secure()
    }

    /// Our own name for EHLO: an address in brackets, which needs no DNS.
    pub fn name(&mut self) -> String {
        match self.stream.local() {
            Some(SocketAddr::V6(it)) => format!("[IPv6:{}]", it.ip()),
            Some(SocketAddr::V4(it)) => format!("[{}]", it.ip()),
            None => "[127.0.0.1]".to_owned(),
        }
    }

    /// Begins TLS in the place of the plain line.
    ///
    /// # Errors
    /// For people.
    pub fn secure(self, host: &str, authorities: Option<&std::path::Path>) -> Result<Self, String> {
        Ok(Self { stream: self.stream.secure(host, authorities)?, ..self })
    }

    /// Waits for one reply. What a server says before it was asked is refused: on a line without TLS it may be another's
    /// words, meant to be taken for the server's once the line is trusted.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn reply(&mut self) -> Result<Reply, String> {
        let heard = self.listen();
        self.broken |= heard.is_err();
        heard
    }

    fn listen(&mut self) -> Result<Reply, String> {
        loop {
            if let Some((reply, taken)) = parse(&self.heard)? {
                self.heard.drain(..taken);
                if !self.heard.is_empty() {
                    let text = clean(&String::from_utf8_lossy(&self.heard));
                    return Err(format!("the server spoke before it was asked: \"{text}\""));
                }
                return Ok(reply);
            }
            let mut chunk = [0; 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err("the server hung up".to_owned()),
                Ok(count) => self.heard.extend(chunk.iter().take(count)),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// One write, one reply, both within the time for a stage.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn say(&mut self, bytes: &[u8]) -> Result<Reply, String> {
        self.say_within(bytes, self.timeout)
    }

    /// As [`Talk::say`], with a time of its own.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn say_within(&mut self, bytes: &[u8], timeout: Duration) -> Result<Reply, String> {
        self.stream.allow(timeout);
        let sent = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
        if let Err(error) = sent {
            self.broken = true;
            return Err(error.to_string());
        }
        self.reply()
    }

    /// A command line.
    ///
    /// # Errors
    /// What is wrong with the line, or with the words.
    pub fn command(&mut self, words: &str) -> Result<Reply, String> {
        if words.contains(['\r', '\n', '\0']) {
            return Err("a line end inside a command".to_owned());
        }
        self.say(format!("{words}\r\n").as_bytes())
    }
}

/// The message with dots doubled, every kind of line end made CRLF, and the final dot: one write for all of it.
pub fn data(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 50 + 8);
    let mut start = true;
    let mut rest = bytes.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        // A bare CR or LF is a line end to some servers: then a dot behind it would end the mail.
        if byte == b'\r' || byte == b'\n' {
            if byte == b'\r' && rest.peek() == Some(&b'\n') {
                rest.next();
            }
            out.extend(b"\r\n");
            start = true;
            continue;
        }
        if start && byte == b'.' {
            out.push(b'.');
        }
        out.push(byte);
        start = false;
    }
    if !start {
        out.extend(b"\r\n");
    }
    out.extend(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn replies_are_taken_whole_or_refused() {
        let reply = |code, lines: &[&str]| Reply { code, lines: lines.iter().map(|&line| line.to_owned()).collect() };
        assert_eq!(parse(b"250 ok\r\n"), Ok(Some((reply(250, &["ok"]), 8))));
        assert_eq!(parse(b"250-a\r\n250-STARTTLS\r\n250 b\r\nx"), Ok(Some((reply(250, &["a", "STARTTLS", "b"]), 28))));
        assert_eq!(parse(b"354\n"), Ok(Some((reply(354, &[""]), 4))));
        assert_eq!(parse(b"550 \x1b[31mno\r\n"), Ok(Some((reply(550, &["?[31mno"]), 13))));
        assert_eq!(parse(b"250-a\r\n250"), Ok(None));
        for bad in
            ["HTTP/1.1 400 Bad\r\n", "\r\n", "25\r\n", "250-a\r\n354 b\r\n", "099 a\r\n", "250_a\r\n", "+25 a\r\n"]
        {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(parse(&[b'2'; 3000]).is_err());
        assert!(parse("250-a\r\n".repeat(200).as_bytes()).is_err());
    }

    #[test]
    fn dots_are_stuffed_and_line_ends_are_crlf() {
        assert_eq!(data(b"a\r\n.\r\n..b\nc"), b"a\r\n..\r\n...b\r\nc\r\n.\r\n");
        assert_eq!(data(b"a\r.\rb\n.\n"), b"a\r\n..\r\nb\r\n..\r\n.\r\n");
        assert_eq!(data(b""), b".\r\n");
    }

    proptest! {
        #[test]
        fn only_the_last_line_ends_a_mail(bytes in proptest::collection::vec(prop_oneof![Just(b'.'), Just(b'\r'), Just(b'\n'), any::<u8>()], 0..200)) {
            let out = data(&bytes);
            let end = out.windows(5).position(|five| five == b"\r\n.\r\n").map(|at| at + 5);
            prop_assert!(end == Some(out.len()) || out == b".\r\n");
            let bare = out.iter().enumerate().any(|(n, &b)| {
                b == b'\r' && out.get(n + 1) != Some(&b'\n') || b == b'\n' && (n == 0 || out[n - 1] != b'\r')
            });
            prop_assert!(!bare);
        }

        #[test]
        fn no_reply_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
