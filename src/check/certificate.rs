//! `certificate`: how long the certificates of files, or of a server that speaks TLS, still last.

pub(super) mod der;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::answer::position;
use super::link::{Link, Place};
use super::tls::{self, Greeted};
use super::{Check, Found, Occasion, Trouble, glob};
use crate::model::sample::FaultKind;

/// The most certificates of one check.
const MOST: usize = 64;
/// A chain of several certificates fits; the first is the host's own.
const MAX_BYTES: u64 = 64 * 1024;
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END: &[u8] = b"-----END CERTIFICATE-----";

pub(super) struct Certificate;

impl Check for Certificate {
    fn kind(&self) -> &'static str {
        "certificate"
    }

    fn look(&self, at: &Occasion, found: &mut Found) -> Result<(), Trouble> {
        match at.order.attribute("files") {
            Some(files) => of_files(at, files, found),
            None => of_server(at, found),
        }
    }
}

fn of_files(at: &Occasion, files: &str, found: &mut Found) -> Result<(), Trouble> {
    let mut paths = glob::expand(at, files, found)?;
    if paths.len() > MOST {
        found.fault(FaultKind::Cut, format!("{} files, {MOST} were read", paths.len()));
        paths.truncate(MOST);
    }
    let (mut good, mut over, mut unread) = (0, Vec::new(), None);
    for path in &paths {
        let name = format!("/{}", path.strip_prefix(at.root).unwrap_or(path).display());
        let bytes = match read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let trouble = glob::said(&name, &error);
                // The first is told as the check's own trouble, for it could not see all it was to look at.
                if let (Some(_), Trouble::Bad(kind, text) | Trouble::Unknown(kind, text)) = (&unread, &trouble) {
                    found.fault(*kind, text);
                }
                unread.get_or_insert(trouble);
                continue;
            }
        };
        match first(&bytes).as_deref().and_then(der::ends) {
            Some(end) => {
                good += 1;
                over.extend(put(end, at.now, &name, found));
            }
            // A key beside its certificate is no fault of the host's.
            None if position(&bytes, b"PRIVATE KEY").is_some() => {}
            None => found.fault(FaultKind::Malformed, format!("{name}: not a certificate in PEM or DER")),
        }
    }
    match (over.first(), unread) {
        (Some(text), _) => Err(Trouble::wrong(text)),
        (None, Some(trouble)) => Err(trouble),
        (None, None) if good == 0 => Err(Trouble::Bad(FaultKind::Absent, format!("{files}: no certificate is there"))),
        (None, None) => Ok(()),
    }
}

fn of_server(at: &Occasion, found: &mut Found) -> Result<(), Trouble> {
    let place = Place::parse(at.needed("address")?, None)?;
    let name = at.order.attribute("server").map_or_else(|| place.name(), str::to_owned);
    let link = Link::open(&place, at.until, at.root)?;
    let said = |error| Trouble::line(&place.shown(), &error);
    let certificate = match tls::greet(link, &name, None).map_err(said)? {
        Greeted::Open(_, certificate) | Greeted::Older(certificate) => certificate,
    };
    let end = certificate.as_deref().and_then(der::ends);
    let end = end.ok_or_else(|| Trouble::wrong(format!("{}: showed no certificate", place.shown())))?;
    put(end, at.now, &place.shown(), found).map_or(Ok(()), |text| Err(Trouble::wrong(text)))
}

/// The time that is left; of one that is over, what is to be said.
#[allow(clippy::cast_precision_loss, reason = "seconds until a certificate ends")]
fn put(end: i64, now: i64, name: &str, found: &mut Found) -> Option<String> {
    found.put_part(
        "certificate.watched.remaining",
        name.trim_start_matches('/'),
        end.saturating_sub(now).max(0) as f64,
    );
    (end < now).then(|| format!("{name}: the certificate ended at {}", der::shown(end)))
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    // Before opening: a pipe without a writer would hold us until the timeout.
    if !fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The first certificate of a file, PEM or DER.
pub(super) fn first(bytes: &[u8]) -> Option<Vec<u8>> {
    let Some(begin) = position(bytes, BEGIN) else { return Some(bytes.to_vec()) };
    let text = bytes.get(begin + BEGIN.len()..)?;
    let text = text.get(..position(text, END)?)?;
    let text: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::run::tests::look;

    /// Made by openssl for 3,650 days; ends in 2036.
    const PEM: &str = include_str!("../measure/certificate/fleet.pem");

    #[test]
    fn files_are_read_and_what_is_none_is_told() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        write("live/a/cert.pem", format!("# ours\n{PEM}{PEM}").as_bytes());
        write("live/b/cert.pem", &first(PEM.as_bytes()).unwrap());
        let (found, result) = look(&Certificate, &[("files", "/live/*/cert.pem")], root.path());
        assert_eq!(result, Ok(()));
        let items: Vec<&str> = found.readings.iter().map(|reading| reading.item.as_str()).collect();
        assert_eq!(items, ["s/live/a/cert.pem", "s/live/b/cert.pem"]);
        assert!(found.readings.iter().all(|r| r.metric == "certificate.watched.remaining" && r.value > 1e8));
        write("keys/key.pem", b"-----BEGIN PRIVATE KEY-----\nx");
        write("keys/junk.pem", b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----");
        let (found, result) = look(&Certificate, &[("files", "/keys/*")], root.path());
        assert!(matches!(result, Err(Trouble::Bad(FaultKind::Absent, _))), "{result:?}");
        assert!(found.faults.len() == 1 && found.faults[0].text.contains("/keys/junk.pem"));
        write("many/x", PEM.as_bytes());
        (0..70).for_each(|n| write(&format!("many/{n}.pem"), PEM.as_bytes()));
        fs::create_dir(root.path().join("many/folder.pem")).unwrap();
        let (found, result) = look(&Certificate, &[("files", "/many/*.pem")], root.path());
        assert_eq!((found.readings.len(), found.faults[0].kind), (64, FaultKind::Cut));
        assert_eq!(result, Ok(()));
        let (_, result) = look(&Certificate, &[("files", "/many/folder.pem")], root.path());
        assert!(matches!(result, Err(Trouble::Unknown(..))), "{result:?}");
        let (_, result) = look(&Certificate, &[("files", "/none.pem")], root.path());
        assert!(matches!(result, Err(Trouble::Bad(FaultKind::Absent, _))), "{result:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_file_is_read(bytes: Vec<u8>, text in "(-----(BEGIN|END) CERTIFICATE-----|[A-Za-z0-9+/=\n]{0,9}){0,6}") {
            let _ = (first(&bytes), first(text.as_bytes()).as_deref().and_then(der::ends));
        }
    }
}
