//! Handshakes with servers made of rustls: honest ones of either kind of key and group, and such as show a certificate whose
//! key they do not hold, which no real server can be made to do.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sha2::{Digest, Sha256};

use super::{Greeted, Pin, greet};

const P256: (&str, &str) = (include_str!("fixtures/p256.pem"), include_str!("fixtures/p256.key"));
const RSA: (&str, &str) = (include_str!("fixtures/rsa.pem"), include_str!("fixtures/rsa.key"));

#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Greets a server that shows a certificate, signs with a key and agrees in X25519 or else in P-256; what came back of what
/// was said.
fn served(certificate: &str, key: &str, x25519: bool, pin: Option<&Pin>) -> io::Result<Vec<u8>> {
    let group = if x25519 { ring::kx_group::X25519 } else { ring::kx_group::SECP256R1 };
    let provider = Arc::new(CryptoProvider { kx_groups: vec![group], ..ring::default_provider() });
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let shown = CertifiedKey::new(vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()], key);
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_cert_resolver(Arc::new(Shown(Arc::new(shown))));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || -> io::Result<()> {
        let mut line = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), listener.accept()?.0);
        let mut said = [0; 4];
        line.read_exact(&mut said)?;
        line.write_all(&said)?;
        line.conn.send_close_notify();
        line.flush()
    });
    let link = TcpStream::connect(address)?;
    link.set_read_timeout(Some(std::time::Duration::from_secs(20)))?;
    let result = greet(link, "served", pin).and_then(|greeted| match greeted {
        Greeted::Open(mut tls, _) => {
            let mut back = Vec::new();
            tls.write_all(b"ping")?;
            tls.read_to_end(&mut back).map(|_| back)
        }
        Greeted::Older(_) => Err(ErrorKind::Unsupported.into()),
    });
    assert_eq!(server.join().unwrap().is_ok(), result.is_ok());
    result
}

fn pin(certificate: &str) -> Pin {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let digits: Vec<String> = Sha256::digest(&der).iter().map(|byte| format!("{byte:02x}")).collect();
    Pin::parse(&digits.concat()).unwrap()
}

#[test]
fn either_key_in_either_group_with_and_without_a_pin() {
    for (certificate, key) in [P256, RSA] {
        for x25519 in [true, false] {
            assert_eq!(served(certificate, key, x25519, None).unwrap(), b"ping");
            assert_eq!(served(certificate, key, x25519, Some(&pin(certificate))).unwrap(), b"ping");
        }
    }
}

#[test]
fn who_shows_a_foreign_certificate_is_told_nothing() {
    for ((certificate, _), other) in
        [(P256, include_str!("fixtures/other-p256.key")), (RSA, include_str!("fixtures/other-rsa.key"))]
    {
        let told = served(certificate, other, true, Some(&pin(certificate))).unwrap_err();
        assert_eq!(told.kind(), ErrorKind::PermissionDenied);
        assert_eq!(told.to_string(), "the server shows a certificate whose key it does not hold");
        // Nobody who pins nothing would notice.
        assert!(served(certificate, other, true, None).is_ok());
    }
}

#[test]
fn another_certificate_is_told_nothing_either() {
    let told = served(P256.0, P256.1, true, Some(&pin(RSA.0))).unwrap_err();
    assert_eq!(told.kind(), ErrorKind::PermissionDenied);
    assert!(told.to_string().starts_with("the server is another"));
}
