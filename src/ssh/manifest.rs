//! `SHA256SUMS` beside the probes: what the build left there, so that a damaged or exchanged probe is shipped to nobody.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// The file's name in the folder of the probes.
pub(super) const NAME: &str = "SHA256SUMS";
/// More would not be what the build writes.
const MAX: u64 = 64 * 1024;

/// The hashes that a manifest lists, in hexadecimal, by path below its folder.
pub(super) struct Manifest(BTreeMap<String, String>);

impl Manifest {
    /// That of a folder; `None` where it has none, as when a person put a single probe there by hand.
    ///
    /// # Errors
    /// What reading says, and `InvalidData` with the line that `sha256sum` would not have written.
    pub fn read(folder: &Path) -> io::Result<Option<Self>> {
        let file = folder.join(NAME);
        let invalid = |text: String| io::Error::new(ErrorKind::InvalidData, format!("{}{text}", file.display()));
        match fs::metadata(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
            Ok(facts) if facts.len() > MAX => return Err(invalid(": over 64 KiB".into())),
            Ok(_) => {}
        }
        parse(&fs::read_to_string(&file)?)
            .map(|hashes| Some(Self(hashes)))
            .map_err(|line| invalid(format!(":{line}: not a line of sha256sum; write it anew with: make probes")))
    }

    /// Whether a probe is the one that was built.
    ///
    /// # Errors
    /// `InvalidData` with what to do when it is another, or not listed.
    pub fn check(&self, path: &str, hash: &str) -> io::Result<()> {
        let what = match self.0.get(path) {
            Some(listed) if listed == hash => return Ok(()),
            Some(_) => format!("{path} is not the one that was built"),
            None => format!("{path} is not listed"),
        };
        let text = format!(
            "{what} ({NAME}); build again with: make probes, or, if you put it there, run in this folder: \
             sha256sum *-linux/fleet-probe > {NAME}"
        );
        Err(io::Error::new(ErrorKind::InvalidData, text))
    }
}

/// The hashes of a manifest's text, or the number of the first line that is wrong.
fn parse(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut hashes = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let (hash, path) = line.split_once(' ').ok_or(index + 1)?;
        // sha256sum marks what it read as binary with an asterisk in place of the second blank.
        let path = path.strip_prefix([' ', '*']).ok_or(index + 1)?;
        let path = path.strip_prefix("./").unwrap_or(path);
        if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) || path.is_empty() {
            return Err(index + 1);
        }
        hashes.insert(path.to_owned(), hash.to_ascii_lowercase());
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_sha256sum_writes() {
        let hash = "aB".repeat(32);
        let text = format!("{hash}  x86_64-linux/fleet-probe\n{hash} *./aarch64-linux/fleet-probe\n");
        let hashes = parse(&text).unwrap();
        let paths: Vec<&str> = hashes.keys().map(String::as_str).collect();
        assert_eq!(paths, ["aarch64-linux/fleet-probe", "x86_64-linux/fleet-probe"]);
        assert!(hashes.values().all(|value| *value == "ab".repeat(32)));
    }

    #[test]
    fn a_wrong_line_is_named() {
        let good = format!("{}  x\n", "0".repeat(64));
        for bad in ["", "abc  x", &"0".repeat(64), &format!("{}  ", "0".repeat(64)), &format!("{} x", "0".repeat(64))] {
            assert_eq!(parse(&format!("{good}{bad}\n")), Err(2), "{bad:?}");
        }
    }
}
