//! How the parts of a mail are written (RFC 2045, 2046, 2387), and how the first of them is read again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Picture;

/// No line of quoted-printable or base64 can hold it.
const BOUNDARY: &str = "=_fleet";

/// Quoted-printable (RFC 2045) with CRLF. A point at the start of a line is encoded, so that no dot-stuffing is needed.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for row in text.lines() {
        let row = row.strip_suffix('\r').unwrap_or(row);
        let mut column = 0;
        let bytes = row.as_bytes();
        for (n, &byte) in bytes.iter().enumerate() {
            let last = n + 1 == bytes.len();
            let literal = match byte {
                b'=' => false,
                b'.' => column > 0,
                b' ' | b'\t' => !last,
                33..=126 => true,
                _ => false,
            };
            let width = if literal { 1 } else { 3 };
            if column + width > 75 {
                out.push_str("=\r\n");
                column = 0;
            }
            if literal && !(byte == b'.' && column == 0) {
                out.push(char::from(byte));
                column += 1;
            } else {
                out.push_str(&format!("={byte:02X}"));
                column += 3;
            }
        }
        out.push_str("\r\n");
    }
    out
}

/// Head lines of a part and what follows the blank line.
pub(super) struct Part {
    pub head: String,
    pub body: String,
}

pub(super) fn text(kind: &str, text: &str) -> Part {
    let head = format!("Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n");
    Part { head, body: quoted(text) }
}

pub(super) fn picture(picture: &Picture, name: &str) -> Part {
    let bytes = STANDARD.encode(&picture.png);
    let mut body = String::with_capacity(bytes.len() + bytes.len() / 38);
    for line in bytes.as_bytes().chunks(76) {
        body.push_str(&String::from_utf8_lossy(line));
        body.push_str("\r\n");
    }
    let head = format!(
        "Content-Type: image/png; name=\"{name}.png\"\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <{}>\r\n\
         Content-Disposition: inline; filename=\"{name}.png\"\r\n",
        picture.cid
    );
    Part { head, body }
}

/// Several as one; `depth` tells boundaries inside one another apart.
pub(super) fn multipart(kind: &str, depth: u8, parts: &[Part]) -> Part {
    let boundary = format!("{BOUNDARY}-{depth}");
    let mut body = String::new();
    for part in parts {
        body.push_str(&format!("--{boundary}\r\n{}\r\n{}\r\n", part.head, part.body.trim_end_matches("\r\n")));
    }
    body.push_str(&format!("--{boundary}--\r\n"));
    Part { head: format!("Content-Type: multipart/{kind};\r\n boundary=\"{boundary}\"\r\n"), body }
}

fn unquoted(text: &str) -> String {
    let joined = text.replace("=\r\n", "");
    let mut bytes = Vec::with_capacity(joined.len());
    let mut rest = joined.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| first == b'=').and_then(|two| std::str::from_utf8(two).ok());
        match code.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).replace("\r\n", "\n")
}

/// The text of a message of ours, as a person reads it; anything else as it is.
#[must_use]
pub fn readable(message: &[u8]) -> String {
    let message = String::from_utf8_lossy(message);
    let part = match message.split_once("Content-Type: text/plain") {
        Some((_, rest)) => rest.split_once("\r\n\r\n").map_or(rest, |(_, body)| body),
        None => return message.into_owned(),
    };
    unquoted(part.split(&format!("\r\n--{BOUNDARY}")).next().unwrap_or_default())
}
