//! How the parts of a mail are written (RFC 2045, 2046, 2387), and how the first of them is read again.

use lettre::message::header::{
    ContentDisposition, ContentId, ContentTransferEncoding, Header, HeaderName, HeaderValue,
};
use lettre::message::{Body, MultiPart, SinglePart};

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

/// A `Content-Type` as it is to stand there: lettre's own may fail, and drops what it does not know.
#[derive(Clone)]
struct Kind(String);

impl Header for Kind {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Content-Type")
    }
    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.to_owned()))
    }
    fn display(&self) -> HeaderValue {
        HeaderValue::dangerous_new_pre_encoded(Self::name(), self.0.replace("\r\n", ""), self.0.clone())
    }
}

pub(super) fn text(kind: &str, text: &str) -> SinglePart {
    let written = quoted(text);
    // The end of the last line is lettre's to write.
    let written = written.strip_suffix("\r\n").unwrap_or(&written).as_bytes().to_vec();
    let body = Body::dangerous_pre_encoded(written, ContentTransferEncoding::QuotedPrintable);
    SinglePart::builder().header(Kind(format!("text/{kind}; charset=utf-8"))).body(body)
}

pub(super) fn picture(picture: &Picture, name: &str) -> SinglePart {
    let body = Body::new_with_encoding(picture.png.clone(), ContentTransferEncoding::Base64).unwrap_or_else(Body::new);
    SinglePart::builder()
        .header(Kind(format!("image/png; name=\"{name}.png\"")))
        .header(ContentId::from(format!("<{}>", picture.cid)))
        .header(ContentDisposition::inline_with_name(&format!("{name}.png")))
        .body(body)
}

/// Several as one; `depth` tells boundaries inside one another apart.
pub(super) fn multipart(kind: &str, depth: u8) -> MultiPart {
    MultiPart::builder().header(Kind(format!("multipart/{kind};\r\n boundary=\"{BOUNDARY}-{depth}\""))).build()
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
