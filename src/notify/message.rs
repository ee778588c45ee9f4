//! A mail as bytes: lettre's headers and parts, of texts that cannot break them, and a name made from its content.
//!
//! What lettre (0.11) does not guard is guarded before it: line ends in a name, which it panics on; text that looks like
//! an encoded word; a list of addresses that it would never fold; and a point at the start of a line.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use lettre::Address;
use lettre::message::header::{self, HeaderName, HeaderValue, Headers};
use lettre::message::{Mailbox, Mailboxes};
use sha2::{Digest, Sha256};

use crate::model::clean::is_hostile;

mod mime;

pub use mime::readable;

/// The longest subject, in characters.
pub const MAX_SUBJECT: usize = 120;

/// The longest address, and its longest domain (RFC 5321): a line of a mail has at most 998 characters.
const MAX_ADDRESS: usize = 320;
/// No Message-ID of ours is longer.
const MAX_ROOT: usize = 300;
const MAX_DOMAIN: usize = 253;

/// What a mail says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letter {
    /// Sender as configured: `Name <mail@example.net>` or bare.
    pub from: String,
    /// Addresses for the `To` header.
    pub to: Vec<String>,
    /// One line; cleaned and cut here.
    pub subject: String,
    /// Further headers; values are cleaned here.
    pub headers: Vec<(&'static str, String)>,
    /// The Message-ID (without brackets) of the mail that began the thread; none where this one does.
    pub root: Option<String>,
    /// Lines, any line ends.
    pub text: String,
    /// The same as a page; empty: none.
    pub html: String,
    /// What the page shows.
    pub pictures: Vec<Picture>,
}

/// A picture inside a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its name: the page asks for `cid:` and this. ASCII letters, digits, `.`, `-` and one `@`.
    pub cid: String,
    /// The file.
    pub png: Vec<u8>,
}

/// The address inside `Name <mail@example.net>`, or the text itself.
#[must_use]
pub fn address(text: &str) -> &str {
    match text.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')) {
        Some((address, _)) => address.trim(),
        None => text.trim(),
    }
}

fn line(text: &str) -> String {
    text.chars().map(|c| if is_hostile(c) { '?' } else { c }).collect()
}

/// A header value: ASCII as it is (folded at spaces), everything else as RFC 2047 encoded words.
fn value(text: &str) -> String {
    let text = line(text);
    let plain = text.is_ascii() && !text.contains("=?") && text.split(' ').all(|word| word.len() < 900);
    if plain {
        let mut out = String::new();
        let mut column = 20;
        for (n, word) in text.split(' ').enumerate() {
            if n > 0 {
                // Never fold before nothing: a line of blanks would end the headers for some readers.
                let fold = column + word.len() > 76 && !word.is_empty();
                out.push_str(if fold { "\r\n " } else { " " });
                column = if fold { 0 } else { column };
            }
            out.push_str(word);
            column += word.len() + 1;
        }
        return out;
    }
    let mut words: Vec<String> = Vec::new();
    let mut chunk = String::new();
    for c in text.chars() {
        if chunk.len() + c.len_utf8() > 36 {
            words.push(std::mem::take(&mut chunk));
        }
        chunk.push(c);
    }
    words.push(chunk);
    let words: Vec<String> = words.iter().map(|word| format!("=?UTF-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join("\r\n ")
}

/// `Name <address>` as it stands in a header; of a text without an address what is left of it.
fn mailbox(text: &str) -> String {
    let address = address(text).chars().filter(|c| c.is_ascii_graphic() && !"<>,;\"()".contains(*c));
    let address: String = address.take(MAX_ADDRESS).collect();
    let name = text.split_once('<').map_or("", |(name, _)| name).trim().trim_matches('"');
    let name: String = line(name).chars().take(MAX_SUBJECT).collect();
    let Some((user, domain)) = address.rsplit_once('@') else { return address };
    // The configuration takes no other addresses; one that lettre would refuse is no reason to tell nobody.
    let address = address.parse().unwrap_or_else(|_| Address::new_dangerous(user, domain));
    let mut one = Headers::new();
    one.set(header::To::from(Mailboxes::from(Mailbox::new((!name.is_empty()).then_some(name), address))));
    let one = one.to_string();
    one.strip_prefix("To: ").unwrap_or(&one).trim_end().to_owned()
}

/// Text first, for readers take the last part that they can show; the page with its pictures behind it.
fn body(letter: &Letter) -> Vec<u8> {
    let clean = |text: &str| text.chars().map(|c| if c != '\n' && is_hostile(c) { '?' } else { c }).collect::<String>();
    let text = mime::text("plain", &clean(&letter.text));
    if letter.html.is_empty() {
        return text.formatted();
    }
    let page = mime::text("html", &clean(&letter.html));
    let both = mime::multipart("alternative", 1).singlepart(text);
    if letter.pictures.is_empty() {
        return both.singlepart(page).formatted();
    }
    let related = mime::multipart("related; type=\"text/html\"", 2).singlepart(page);
    let pictures = letter.pictures.iter().map(|picture| mime::picture(picture, "history"));
    both.multipart(pictures.fold(related, lettre::message::MultiPart::singlepart)).formatted()
}

/// A header whose value is written as it is to stand there.
fn put(head: &mut Headers, name: &str, written: String) {
    match HeaderName::new_from_ascii(name.to_owned()) {
        Ok(name) => head.insert_raw(HeaderValue::dangerous_new_pre_encoded(name, String::new(), written)),
        Err(error) => log::debug!("{name}: {error}"),
    }
}

/// The message and its Message-ID (without brackets), which depends on nothing but the content.
#[must_use]
pub fn compose(letter: &Letter, at: DateTime<Utc>) -> (String, Vec<u8>) {
    let sender = address(&letter.from);
    let domain: String = sender
        .rsplit_once('@')
        .map_or("fleet-health.invalid", |(_, domain)| domain)
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || ".-".contains(*c))
        .take(MAX_DOMAIN)
        .collect();
    let subject: String = letter.subject.chars().take(MAX_SUBJECT).collect();
    let to: Vec<String> = letter.to.iter().map(|to| mailbox(to)).collect();
    let mut head = Headers::new();
    put(&mut head, "Date", at.format("%a, %d %b %Y %H:%M:%S +0000").to_string());
    put(&mut head, "From", mailbox(&letter.from));
    put(&mut head, "To", to.join(",\r\n "));
    put(&mut head, "Subject", value(&subject));
    // One that is cut would name another mail.
    let fits =
        |root: &&str| root.len() <= MAX_ROOT && root.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>');
    if let Some(root) = letter.root.as_deref().filter(fits) {
        put(&mut head, "In-Reply-To", format!("<{root}>"));
        put(&mut head, "References", format!("<{root}>"));
    }
    put(&mut head, "Auto-Submitted", "auto-generated".to_owned());
    put(&mut head, "X-Auto-Response-Suppress", "All".to_owned());
    put(&mut head, "List-Id", format!("<fleet-health.{domain}>"));
    for (name, text) in &letter.headers {
        put(&mut head, name, value(text));
    }
    head.set(header::MIME_VERSION_1_0);
    let rest = [head.to_string().into_bytes(), body(letter)].concat();
    let digest = Sha256::digest(&rest);
    let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let message_id = format!("{name}@{domain}");
    let bytes = [format!("Message-ID: <{message_id}>\r\n").into_bytes(), rest].concat();
    (message_id, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(subject: &str, text: &str) -> String {
        let letter = Letter {
            from: "Flotte ü <fleet@example.net>".into(),
            to: vec!["ops@example.net".into(), "x\r\nBcc: evil@example.net".into()],
            subject: subject.into(),
            headers: vec![("X-Fleet-Host", "a\r\nBcc: evil".into())],
            root: Some("0123@example.net".into()),
            text: text.into(),
            ..Letter::default()
        };
        String::from_utf8(compose(&letter, DateTime::from_timestamp(1_700_000_000, 0).unwrap()).1).unwrap()
    }

    #[test]
    fn nothing_injects_a_header_or_a_dot() {
        let mail = letter("[CRIT] web01\r\nBcc: evil@example.net \u{1b}[31m", ".\n.. x\r\n=\u{2581} end \n");
        assert!(!mail.contains("\r\nBcc:") && !mail.contains('\u{1b}'));
        assert!(mail.lines().all(|line| !line.starts_with('.') && line.len() < 100));
        assert!(!mail.replace("\r\n", "").contains(['\r', '\n']));
        assert!(mail.is_ascii());
        assert!(mail.ends_with("=2E\r\n=2E. x?\r\n=3D=E2=96=81 end=20\r\n"), "{mail}");
    }

    /// lettre panics on line ends in a name, takes what looks like an encoded word for one, and folds no list of addresses.
    #[test]
    fn what_lettre_does_not_guard_is_guarded() {
        let bad = "a\r\nBcc: evil@example.net, \"b\" =?utf-8?q?=0A?= \u{1b} é";
        let many: Vec<String> =
            (0..60).map(|n| format!("Person {n} <person{n}@a-rather-long-domain.example.net>")).collect();
        let letter = Letter {
            from: format!("{bad} <fleet@example.net>"),
            to: many,
            subject: bad.into(),
            headers: vec![("X-Fleet-Host", bad.into()), ("X-Fleet Rule:", "no such name".into())],
            text: ".\r.\n.".into(),
            ..Letter::default()
        };
        let mail = String::from_utf8(compose(&letter, DateTime::UNIX_EPOCH).1).unwrap();
        assert!(mail.is_ascii() && !mail.replace("\r\n", "").contains(['\r', '\n', '\u{1b}']), "{mail}");
        let (head, body) = mail.split_once("\r\n\r\n").unwrap();
        assert!(head.split("\r\n").all(|line| line.len() < 100 && !line.starts_with("Bcc")), "{head}");
        assert!(!head.contains("=?utf-8?q?") && !head.contains("no such name"), "{head}");
        assert_eq!(head.matches("@a-rather-long-domain.example.net>").count(), 60, "{head}");
        assert_eq!(body, "=2E?.\r\n=2E\r\n");
    }

    /// Found by fuzzing: only the subject was cut.
    #[test]
    fn no_text_makes_a_line_that_a_server_refuses() {
        let long = "x".repeat(3000);
        for from in [format!("a@{long}"), format!("{long}@example.net"), format!("{long} <a@example.net>")] {
            let letter = Letter {
                from: from.clone(),
                to: vec![from],
                subject: long.clone(),
                root: Some(long.clone()),
                headers: vec![("X-Fleet-Host", long.clone())],
                text: long.clone(),
                ..Letter::default()
            };
            let (id, mail) = compose(&letter, DateTime::UNIX_EPOCH);
            let mail = String::from_utf8(mail).unwrap();
            assert!(mail.split("\r\n").all(|line| line.len() <= 998), "{mail}");
            assert!(id.len() < 300);
        }
    }

    #[test]
    fn long_and_foreign_subjects_are_encoded() {
        let mail = letter(&format!("[OK] höst {}", "disk ".repeat(40)), "x");
        let subject = mail.split("\r\n").find(|line| line.starts_with("Subject: ")).unwrap();
        assert!(subject.starts_with("Subject: =?UTF-8?B?"));
        assert!(mail.contains("From: =?utf-8?b?RmxvdHRlIMO8?= <fleet@example.net>\r\n"), "{mail}");
    }

    #[test]
    fn a_page_stands_behind_the_text_and_the_text_is_read_again() {
        let long = format!("ä = {} end\n.dot\n", "x".repeat(200));
        let picture = Picture { cid: "history@example.net".into(), png: vec![0xff; 100] };
        let letter =
            Letter { text: long.clone(), html: "<p>=_fleet-1".into(), pictures: vec![picture], ..Letter::default() };
        let mail = String::from_utf8(compose(&letter, DateTime::UNIX_EPOCH).1).unwrap();
        assert_eq!(readable(mail.as_bytes()).trim_end(), long.trim_end());
        let kinds: Vec<&str> = mail.lines().filter_map(|line| line.strip_prefix("Content-Type: ")).collect();
        let related = "multipart/related; type=\"text/html\";";
        let html = "text/html; charset=utf-8";
        let png = "image/png; name=\"history.png\"";
        assert_eq!(kinds, ["multipart/alternative;", "text/plain; charset=utf-8", related, html, png]);
        assert!(mail.lines().all(|line| line.len() <= 78), "{mail}");
        assert!(letter.html.starts_with("<p>") && !mail.contains("<p>=_"), "no text can end a part");
        assert_eq!(readable(b"{}"), "{}");
    }

    #[test]
    fn same_content_same_name() {
        assert_eq!(letter("a", "b"), letter("a", "b"));
        assert_ne!(letter("a", "b").lines().next(), letter("a", "c").lines().next());
    }
}
