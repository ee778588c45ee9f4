//! What travels between probe and collector: the task, the stats, their seal, and how pending files are framed.

pub mod frame;
mod orders;
pub mod seal;
pub mod task;
pub mod v1;

/// The most bytes of one stats file, sealed or not.
pub const MAX_FILE: usize = 256 * 1024;

/// Why something that came over the wire is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// More than the bounds allow.
    #[error("{what}: more than {limit}")]
    Oversize {
        /// What is too big.
        what: &'static str,
        /// The bound, in bytes or pieces.
        limit: usize,
    },
    /// Not the JSON that belongs there; the parser's words.
    #[error("not the expected JSON: {0}")]
    Json(String),
    /// Written in another version of the format.
    #[error("version {found} of the format; this program reads {known}: let collector and probe be of one build")]
    Version {
        /// The version that was found.
        found: u64,
        /// The version that is known.
        known: u8,
    },
    /// A field whose value cannot be.
    #[error("{field}: {text}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        text: String,
    },
}

impl WireError {
    pub(crate) fn field(field: &'static str, text: impl Into<String>) -> Self {
        Self::Field { field, text: text.into() }
    }
}

/// True for a nonce: 32 hexadecimal digits in lower case.
#[must_use]
pub fn is_nonce(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
