//! What is answered, and what every answer carries.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What every response says to the browser: scripts, styles, pictures and requests only from this server, no framing, no
/// guessing of types, nothing told to other sites, nothing readable from other sites.
const EVERYWHERE: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // With "no-referrer" browsers send `Origin: null` with our own forms, and nobody could sign in.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];
/// Under this, packing saves nothing.
const SMALL: usize = 1024;

/// A response. [`finish`] makes it ready for the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 200 and so on.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body, unpacked.
    pub body: Vec<u8>,
    /// The body packed beforehand.
    pub packed: Option<Vec<u8>>,
}

impl Response {
    /// A body of a type.
    #[must_use]
    pub fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type", kind.to_owned())], body: body.into(), packed: None }
    }

    /// A page.
    #[must_use]
    pub fn html(status: u16, text: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "text/html; charset=utf-8", text)
    }

    /// JSON.
    #[must_use]
    pub fn json(status: u16, value: &Value) -> Self {
        Self::new(status, "application/json", format!("{value}\n"))
    }

    /// Plain text.
    #[must_use]
    pub fn text(status: u16, text: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text)
    }

    /// Go on with a GET of a path of this server.
    #[must_use]
    pub fn see_other(path: &str) -> Self {
        let mut response = Self::text(303, "");
        response.headers.push(("location", path.to_owned()));
        response
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// What a client is told where it gets nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// 400 and up.
    pub status: u16,
    /// What is wrong and what to do about it, for people.
    pub text: String,
    /// More headers: `retry-after`, `allow`, `www-authenticate`.
    pub headers: Vec<(&'static str, String)>,
}

impl Trouble {
    /// A status and what to say.
    #[must_use]
    pub fn new(status: u16, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), headers: Vec::new() }
    }

    /// 400: the request is wrong.
    #[must_use]
    pub fn bad(text: impl Into<String>) -> Self {
        Self::new(400, text)
    }

    /// 404: there is no such thing.
    #[must_use]
    pub fn missing(text: impl Into<String>) -> Self {
        Self::new(404, text)
    }

    /// 503: the store does not answer now.
    #[must_use]
    pub fn store(text: impl Into<String>) -> Self {
        Self::new(503, text).with("retry-after", "10")
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What a handler returns.
pub type Answer = Result<Response, Trouble>;

/// Packs with gzip.
#[must_use]
pub fn pack(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    // Into memory: it cannot fail, and where it did, the reader of nothing would notice.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// The first bytes of a digest in hexadecimal: names content, and changes with it.
#[must_use]
pub fn stamp(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What the client sent that decides about the form of the answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    /// `If-None-Match`.
    pub known: Option<&'a str>,
    /// `Accept-Encoding`.
    pub encodings: Option<&'a str>,
}

/// Ready for the socket: security headers, an ETag and 304 where the client has it already, gzip where it takes that.
#[must_use]
pub fn finish(mut response: Response, wishes: Wishes<'_>) -> Response {
    let all = EVERYWHERE.iter().filter(|(name, _)| response.header(name).is_none()).copied().collect::<Vec<_>>();
    response.headers.extend(all.into_iter().map(|(name, value)| (name, value.to_owned())));
    if response.header("cache-control").is_none() {
        // What is shown of a fleet stays in no shared cache; asked again, it costs a look at the ETag.
        response.headers.push(("cache-control", "private, no-cache".to_owned()));
    }
    if response.status != 200 || response.header("set-cookie").is_some() {
        return response;
    }
    if response.header("cache-control") != Some("no-store") {
        response = tagged(response, wishes.known);
    }
    let kind = response.header("content-type").unwrap_or_default();
    let worth = response.body.len() >= SMALL && !kind.starts_with("image/png") && !kind.starts_with("font/");
    if worth && wishes.encodings.is_some_and(takes_gzip) {
        response.body = response.packed.take().unwrap_or_else(|| pack(&response.body, Compression::fast()));
        response.headers.push(("content-encoding", "gzip".to_owned()));
    }
    response
}

/// With what names its content, and without it where the client has it already.
fn tagged(mut response: Response, known: Option<&str>) -> Response {
    response.headers.push(("vary", "accept-encoding, cookie, authorization".to_owned()));
    let tag = format!("W/\"{}\"", stamp(&response.body));
    let same = known.is_some_and(|known| known.split(',').any(|it| it.trim() == tag || it.trim() == "*"));
    response.headers.push(("etag", tag));
    if same {
        response.status = 304;
        response.body = Vec::new();
        response.packed = None;
        response.headers.retain(|(name, _)| *name != "content-type");
    }
    response
}

/// Whether an `Accept-Encoding` takes gzip: `gzip, br`, not `gzip;q=0`.
fn takes_gzip(header: &str) -> bool {
    header.split(',').any(|part| {
        let mut words = part.split(';').map(str::trim);
        let named = words.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        named && !words.any(|word| matches!(word.replace(' ', "").as_str(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn every_answer_carries_the_headers_that_keep_others_out() {
        for response in [Response::html(200, "x"), Response::text(404, "x"), Response::see_other("/")] {
            let done = finish(response, Wishes::default());
            assert!(done.header("content-security-policy").unwrap().starts_with("default-src 'self';"));
            assert!(!done.header("content-security-policy").unwrap().contains("unsafe"));
            assert_eq!(done.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(done.header("referrer-policy"), Some("same-origin"));
            assert_eq!(done.header("cache-control"), Some("private, no-cache"));
            assert!(done.headers.iter().all(|(name, _)| !name.starts_with("access-control")));
        }
    }

    #[test]
    fn what_the_client_has_is_not_sent_again_and_long_bodies_are_packed() {
        let page = Response::html(200, "x".repeat(5000));
        let plain = finish(page.clone(), Wishes::default());
        assert_eq!((plain.body.len(), plain.header("content-encoding")), (5000, None));
        let packed = finish(page.clone(), Wishes { known: None, encodings: Some("br, gzip;q=0.5") });
        assert!(packed.body.len() < 200 && packed.header("content-encoding") == Some("gzip"));
        let mut text = String::new();
        flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text.len(), 5000);
        let none = finish(page.clone(), Wishes { known: None, encodings: Some("gzip;q=0, identity") });
        assert_eq!(none.body.len(), 5000);
        let tag = plain.header("etag").unwrap();
        let same = finish(page, Wishes { known: Some(&format!("W/\"0\", {tag}")), encodings: Some("gzip") });
        assert_eq!((same.status, same.body.len(), same.header("etag")), (304, 0, Some(tag)));
    }
}
