//! TLS of the dashboard's own; a renewed certificate is taken without a restart.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::model::spec::TlsFiles;

/// When certificate and key were last written.
type Times = [Option<SystemTime>; 2];

/// Takes connections over TLS 1.2 and 1.3.
pub struct Tls {
    files: TlsFiles,
    read: Times,
    acceptor: TlsAcceptor,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Which file, and what is wrong with it.
    pub fn new(files: TlsFiles) -> Result<Self, String> {
        let read = times(&files);
        let acceptor = acceptor(&files)?;
        Ok(Self { files, read, acceptor })
    }

    /// For the next connection.
    pub fn acceptor(&mut self) -> TlsAcceptor {
        let now = times(&self.files);
        if now != self.read {
            self.read = now;
            match acceptor(&self.files) {
                Ok(acceptor) => {
                    log::info!("{}: a new certificate", self.files.cert.display());
                    self.acceptor = acceptor;
                }
                // Half of it is written yet, perhaps.
                Err(text) => log::warn!("{text}; going on with the old certificate"),
            }
        }
        self.acceptor.clone()
    }
}

fn times(files: &TlsFiles) -> Times {
    [&files.cert, &files.key].map(|path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok())
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, String> {
    let wrong = |path: &Path, text: String| format!("{}: {text}", path.display());
    let chain = CertificateDer::pem_file_iter(&files.cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| wrong(&files.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(wrong(&files.cert, "holds no certificate in PEM".to_owned()));
    }
    private(&files.key)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, error.to_string()))?;
    let config =
        ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?.with_no_client_auth().with_single_cert(chain, key);
    let mut config = config.map_err(|error| wrong(&files.cert, format!("does not go with its key: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Its group may read it: that is how Debian gives keys to servers.
fn private(key: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(key).map_err(|error| format!("{}: {error}", key.display()))?;
    if meta.mode() & 0o007 != 0 {
        let shown = key.display();
        return Err(format!(
            "{shown}: everybody can read this key (mode {:04o}); type: chmod o= {shown}",
            meta.mode() & 0o7777
        ));
    }
    Ok(())
}
