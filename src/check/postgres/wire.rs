//! PostgreSQL's wire protocol 3.0 as far as a check needs it: start, log in, simple queries.

use std::io::{self, ErrorKind, Read, Write};

use super::super::Trouble;
use super::super::answer::excerpt;
use super::login;
use crate::model::sample::FaultKind;

/// The most bytes of one message, and of all rows of one answer.
const MAX_MESSAGE: usize = 1 << 20;
const MAX_ROWS: usize = 1000;
/// Notices and parameters between two messages that mean something.
const MAX_MESSAGES: usize = 10_000;

/// Columns as text; `None` is NULL.
pub(super) type Row = Vec<Option<String>>;

/// A session that is logged in.
pub(super) struct Session<'a, L> {
    link: &'a mut L,
    place: String,
    version: u32,
}

/// One message from the server.
pub(super) struct Message {
    pub kind: u8,
    pub body: Vec<u8>,
}

/// Asks whether TLS may follow. One byte is read and no more: what an intruder put behind it in clear is no TLS.
pub(super) fn ask_for_tls(link: &mut (impl Read + Write)) -> io::Result<bool> {
    link.write_all(&[0, 0, 0, 8, 4, 210, 22, 47])?;
    let mut answer = [0];
    link.read_exact(&mut answer)?;
    match &answer {
        b"S" => Ok(true),
        // Refused, or by a server that does not know the question.
        b"N" | b"E" => Ok(false),
        _ => Err(io::Error::new(ErrorKind::InvalidData, "the answer is no PostgreSQL")),
    }
}

impl<'a, L: Read + Write> Session<'a, L> {
    /// Starts a session and logs in.
    pub fn begin(
        link: &'a mut L,
        user: &str,
        database: &str,
        password: Option<&str>,
        place: &str,
    ) -> Result<Self, Trouble> {
        let mut session = Session { link, place: place.to_owned(), version: 0 };
        let mut start = 196_608_u32.to_be_bytes().to_vec();
        for text in ["user", user, "database", database, "application_name", "fleet-health", ""] {
            start.extend_from_slice(text.as_bytes());
            start.push(0);
        }
        session.send(None, &start)?;
        let mut login = login::Login::new(user, password);
        for _ in 0..MAX_MESSAGES {
            let message = session.receive()?;
            match message.kind {
                b'R' => {
                    if let Some(answer) = login.answer(&message.body)? {
                        session.send(Some(b'p'), &answer)?;
                    }
                }
                b'S' => session.note_version(&message.body),
                b'Z' if login.is_done() => return Ok(session),
                b'Z' => return Err(Trouble::wrong(format!("{place}: ready before the login was over"))),
                b'E' => return Err(session.refused(&message.body)),
                _ => {}
            }
        }
        Err(Trouble::wrong(format!("{place}: talks without end")))
    }

    /// The server's major version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The rows of one statement.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Row>, Trouble> {
        let mut body = sql.as_bytes().to_vec();
        body.push(0);
        self.send(Some(b'Q'), &body)?;
        let mut rows = Vec::new();
        let mut refused = None;
        let mut bytes = 0;
        for _ in 0..MAX_MESSAGES {
            let message = self.receive()?;
            bytes += message.body.len();
            match message.kind {
                b'D' if rows.len() < MAX_ROWS && bytes <= MAX_MESSAGE => {
                    rows.push(row(&message.body).ok_or_else(|| self.damaged())?);
                }
                b'E' => refused = Some(self.refused(&message.body)),
                b'Z' => return refused.map_or(Ok(rows), Err),
                _ => {}
            }
        }
        Err(Trouble::wrong(format!("{}: talks without end", self.place)))
    }

    /// Says goodbye, so that the server's log holds no broken connection.
    pub fn end(mut self) {
        let _ = self.send(Some(b'X'), &[]);
    }

    fn note_version(&mut self, body: &[u8]) {
        let mut words = body.split(|&b| b == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        if words.next().as_deref() == Some("server_version") {
            let digits: String = words.next().unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
            self.version = digits.parse().unwrap_or(0);
        }
    }

    fn send(&mut self, kind: Option<u8>, body: &[u8]) -> Result<(), Trouble> {
        let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes();
        let message: Vec<u8> = kind.into_iter().chain(length).chain(body.iter().copied()).collect();
        self.link.write_all(&message).map_err(|error| Trouble::line(&self.place, &error))
    }

    fn receive(&mut self) -> Result<Message, Trouble> {
        receive(self.link).map_err(|error| Trouble::line(&self.place, &error))
    }

    fn damaged(&self) -> Trouble {
        Trouble::wrong(format!("{}: a message is damaged", self.place))
    }

    /// Logins and rights say nothing about the server's health; a server that takes nobody is not well.
    fn refused(&self, body: &[u8]) -> Trouble {
        let field = |wanted: u8| {
            let fields = body.split(|&b| b == 0).filter(|field| field.first() == Some(&wanted));
            fields.map(|field| excerpt(field.get(1..).unwrap_or_default())).next().unwrap_or_default()
        };
        let (code, text) = (field(b'C'), format!("{}: {}", self.place, field(b'M')));
        match code.get(..2).unwrap_or_default() {
            // Too many connections, starting or stopping, out of disk, internal errors.
            "53" | "57" | "58" | "XX" => Trouble::Bad(FaultKind::Malformed, text),
            "28" | "42" => Trouble::denied(text),
            _ => Trouble::unsupported(text),
        }
    }
}

fn receive(link: &mut impl Read) -> io::Result<Message> {
    let mut head = [0; 5];
    link.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    let known = b"RSKZTDCENIAntG123".contains(&head[0]);
    if !known || !(4..=MAX_MESSAGE).contains(&length) {
        return Err(io::Error::new(ErrorKind::InvalidData, "the answer is no PostgreSQL"));
    }
    let mut body = vec![0; length - 4];
    link.read_exact(&mut body)?;
    Ok(Message { kind: head[0], body })
}

/// The columns of a data row.
fn row(body: &[u8]) -> Option<Row> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut columns = Vec::new();
    for _ in 0..u16::from_be_bytes(*count).min(64) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        let length = i32::from_be_bytes(*length);
        if length < 0 {
            columns.push(None);
            continue;
        }
        let length = usize::try_from(length).ok()?;
        columns.push(Some(String::from_utf8_lossy(rest.get(..length)?).into_owned()));
        rest = rest.get(length..)?;
    }
    Some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::answer::Scripted;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [kind].into_iter().chain(length).chain(body.iter().copied()).collect()
    }

    fn error(code: &str) -> Vec<u8> {
        message(b'E', format!("SFATAL\0C{code}\0Mno such luck\0\0").as_bytes())
    }

    fn begin(bytes: &[u8]) -> Result<(), Trouble> {
        Session::begin(&mut Scripted::new(bytes), "fleet", "orders", None, "p").map(|_| ())
    }

    #[test]
    fn a_session_by_trust_and_a_row() {
        let ready = message(b'Z', b"I");
        let mut bytes = message(b'R', &[0, 0, 0, 0]);
        bytes.extend(message(b'S', b"server_version\x0015.18 (Debian)\0"));
        bytes.extend(&ready);
        bytes.extend(message(b'D', &[0, 2, 0, 0, 0, 2, b'4', b'2', 255, 255, 255, 255]));
        bytes.extend(&ready);
        let mut peer = Scripted::new(&bytes);
        let mut session = Session::begin(&mut peer, "fleet", "orders", None, "p").unwrap();
        assert_eq!(session.version(), 15);
        assert_eq!(session.query("select 42, null").unwrap(), [[Some("42".to_owned()), None]]);
        session.end();
        assert!(peer.said().contains("user\0fleet\0database\0orders\0"));
    }

    #[test]
    fn refusals_and_strangers() {
        assert!(matches!(begin(&error("28P01")), Err(Trouble::Unknown(FaultKind::Denied, _))));
        assert!(matches!(begin(&error("53300")), Err(Trouble::Bad(..))));
        assert!(matches!(begin(&error("3D000")), Err(Trouble::Unknown(FaultKind::Unsupported, _))));
        assert!(matches!(begin(b"HTTP/1.1 400 Bad"), Err(Trouble::Bad(FaultKind::Malformed, _))));
        assert!(matches!(begin(&[b'R', 255, 255, 255, 255]), Err(Trouble::Bad(..))));
        assert!(matches!(begin(&message(b'Z', b"I")), Err(Trouble::Bad(..))));
        assert!(begin(b"").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_session_or_an_error(bytes: Vec<u8>, kind in proptest::sample::select(b"RSKZTDCE".to_vec())) {
            let _ = (begin(&bytes), row(&bytes), begin(&message(kind, &bytes)));
        }
    }
}
