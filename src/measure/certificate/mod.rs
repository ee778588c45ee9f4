//! How long certificates on this host last.

mod der;
mod glob;

use super::out::Out;
use super::root::Root;
use crate::model::order;
use crate::model::sample::FaultKind;

const MAX_CERTIFICATES: usize = 64;
/// A chain of several certificates fits; the first is the host's own.
const MAX_BYTES: usize = 64 * 1024;
/// Where programs that get or serve certificates keep them.
const PATTERNS: &[&str] = &[
    "/etc/letsencrypt/live/*/cert.pem",
    "/etc/dehydrated/certs/*/cert.pem",
    "/var/lib/acme/*/cert.pem",
    "/etc/ssl/certs/ssl-cert-snakeoil.pem",
    "/etc/ssl/*.crt",
    "/etc/nginx/ssl/*.crt",
    "/etc/nginx/ssl/*.pem",
    "/etc/nginx/certs/*.crt",
    "/etc/apache2/ssl/*.crt",
    "/etc/haproxy/certs/*.pem",
    "/etc/pki/tls/certs/localhost.crt",
    "/etc/postfix/ssl/*.pem",
    "/etc/dovecot/*.pem",
    "/etc/kubernetes/pki/*.crt",
    "/var/lib/kubelet/pki/kubelet-client-current.pem",
];

pub(super) fn collect(root: &Root, out: &mut Out) {
    let mut paths = Vec::new();
    let mut denied = false;
    for pattern in PATTERNS {
        if let Err(path) = glob::expand(root, pattern, &mut paths) {
            denied = true;
            out.fault("", FaultKind::Denied, format!("{path}: may be looked into by root only"));
        }
    }
    order::sort(&mut paths);
    paths.dedup();
    if paths.is_empty() && !denied {
        return out.fault("", FaultKind::Absent, "no certificate at the usual places");
    }
    if paths.len() > MAX_CERTIFICATES {
        out.fault("", FaultKind::Cut, format!("{} certificates, {MAX_CERTIFICATES} were read", paths.len()));
        paths.truncate(MAX_CERTIFICATES);
    }
    for path in paths {
        match root.read_at_most(&path, MAX_BYTES) {
            Ok(bytes) => match der::read(&bytes) {
                Some(certificate) => {
                    #[allow(clippy::cast_precision_loss, reason = "seconds of centuries are far below 2^53")]
                    out.put("certificate.remaining", &path, certificate.ends.saturating_sub(out.past.now) as f64);
                    out.fact("certificate.subject", &path, &certificate.subject);
                    out.fact("certificate.issuer", &path, &certificate.issuer);
                }
                // A key beside its certificate is no fault of the host's.
                None if bytes.windows(11).any(|part| part == b"PRIVATE KEY") => {}
                None => out.malformed(&path, "not a certificate in PEM or DER"),
            },
            Err(error) => out.unread(&path, &path, &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by OpenSSL 3.0: `req -x509 -subj '/O=Fleet/CN=fleet.example' -days 3650` with an Ed25519 key.
    const PEM: &[u8] = include_bytes!("fleet.pem");

    fn run(folder: &std::path::Path, now: i64) -> super::super::Measured {
        let past = super::super::Past { now, ..Default::default() };
        let mut out = Out::beside(None, &std::sync::Arc::new(past));
        collect(&Root::at(folder), &mut out);
        out.into_measured()
    }

    #[test]
    fn certificates_are_found_read_and_may_be_over() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(run(folder.path(), 0).faults[0].kind, FaultKind::Absent);
        for (path, bytes) in [
            ("etc/letsencrypt/live/a.example/cert.pem", PEM),
            ("etc/letsencrypt/live/README", b"x"),
            ("etc/nginx/ssl/broken.crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            ("etc/nginx/ssl/key.pem", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"),
            ("etc/nginx/ssl/.hidden.pem", PEM),
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let ends = der::read(PEM).unwrap().ends;
        let got = run(folder.path(), ends + 60);
        let found: Vec<_> = got.readings.iter().map(|r| (r.item.as_str(), r.value)).collect();
        assert_eq!(found, [("/etc/letsencrypt/live/a.example/cert.pem", -60.0)]);
        let facts: Vec<_> = got.facts.iter().map(|fact| (fact.name.as_str(), fact.text.as_str())).collect();
        assert_eq!(facts, [("certificate.subject", "fleet.example"), ("certificate.issuer", "fleet.example")]);
        let faults: Vec<_> = got.faults.iter().map(|fault| (fault.item.as_str(), fault.kind)).collect();
        assert_eq!(faults, [("/etc/nginx/ssl/broken.crt", FaultKind::Malformed)]);
    }
}
