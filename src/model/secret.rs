//! A text that never shows itself.

use std::fmt;

/// A password or passphrase. `Debug` prints `***`; there is no `Display`. Its memory is overwritten when it goes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for the one place that hands it to its peer.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        // What nobody reads any more a compiler would not write.
        std::hint::black_box(&bytes);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a secret comes from; read only when it is needed, by `app`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// Written in a configuration file of mode 0600.
    Inline(Secret),
    /// The first line of a file of mode 0600 or 0400.
    File(std::path::PathBuf),
    /// An environment variable.
    Environment(String),
    /// The first line that a command prints; run by `/bin/sh -c`.
    Command(String),
    /// `$CREDENTIALS_DIRECTORY/<name>` (systemd.exec(5), LoadCredential).
    Credential(String),
}
