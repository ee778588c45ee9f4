//! Opens encrypted key files, each once for a run. libssh2 would do it anew for each host, and OpenSSH's own format makes
//! that slow on purpose (bcrypt): a tenth of a second of the processor or more, where all the rest of a visit takes a few
//! thousandths.

use std::sync::{Arc, Mutex, PoisonError};

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use sha2::{Digest, Sha256};

use super::hostkey::field;
use crate::model::secret::Secret;

/// What begins a file of OpenSSH's own format.
const MAGIC: &[u8] = b"openssh-key-v1\0";
/// More rounds of bcrypt nobody asked ssh-keygen for.
const MOST_ROUNDS: u32 = 1024;
/// Keys that are kept; a fleet has a few.
const MOST: usize = 256;

/// A key file and a passphrase, by what they hash to; what came of them.
type Known = ([u8; 32], Option<Arc<Secret>>);

static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// The text of a key file, no longer encrypted; nothing where it is none that is known here, or the passphrase is wrong:
/// libssh2 then says so.
pub(super) fn unlocked(text: &str, passphrase: &str) -> Option<Arc<Secret>> {
    let id = Sha256::new().chain_update(Sha256::digest(text)).chain_update(passphrase).finalize().into();
    // Held meanwhile: all who want the same key wait for the one who opens it.
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, found)) = known.iter().find(|(its, _)| *its == id) {
        return found.clone();
    }
    let found = open(text, passphrase).map(Arc::new);
    known.truncate(MOST - 1);
    known.push((id, found.clone()));
    found
}

fn open(text: &str, passphrase: &str) -> Option<Secret> {
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let file = STANDARD.decode(body).ok()?;
    let (cipher, rest) = field(file.strip_prefix(MAGIC)?)?;
    let (derivation, rest) = field(rest)?;
    let (options, rest) = field(rest)?;
    let (public, rest) = field(rest.strip_prefix(&[0, 0, 0, 1])?)?;
    let (sealed, rest) = field(rest)?;
    if cipher != b"aes256-ctr" || derivation != b"bcrypt" || !rest.is_empty() {
        return None;
    }
    let (salt, rounds) = field(options)?;
    let rounds = u32::from_be_bytes(rounds.try_into().ok()?);
    if rounds > MOST_ROUNDS {
        return None;
    }
    let mut derived = [0; 48];
    bcrypt_pbkdf::bcrypt_pbkdf(passphrase, salt, rounds, &mut derived).ok()?;
    let (key, start) = derived.split_at(32);
    let mut private = sealed.to_vec();
    Ctr128BE::<Aes256>::new_from_slices(key, start).ok()?.apply_keystream(&mut private);
    // The same number twice shows that the passphrase was right.
    if private.get(..4)? != private.get(4..8)? {
        return None;
    }
    let mut open = MAGIC.to_vec();
    for part in [&b"none"[..], b"none", b""] {
        write(&mut open, part)?;
    }
    open.extend([0, 0, 0, 1]);
    write(&mut open, public)?;
    write(&mut open, &private)?;
    let mut lines = String::from("-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for line in STANDARD.encode(open).as_bytes().chunks(70) {
        lines.push_str(std::str::from_utf8(line).ok()?);
        lines.push('\n');
    }
    lines.push_str("-----END OPENSSH PRIVATE KEY-----\n");
    Some(Secret::new(lines))
}

fn write(out: &mut Vec<u8>, part: &[u8]) -> Option<()> {
    out.extend(u32::try_from(part.len()).ok()?.to_be_bytes());
    out.extend(part);
    Some(())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "asks ssh-keygen itself")]
mod tests {
    use std::fs;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    fn keygen(args: &[&str]) -> String {
        let done = Command::new("ssh-keygen").args(args).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// The text of a new key, and its public half.
    fn key(folder: &Path, more: &[&str]) -> (String, String) {
        let file = folder.join("id");
        let _ = fs::remove_file(&file);
        let shown = file.display().to_string();
        keygen(&[&["-q", "-N", "hunter2", "-a", "2", "-C", "of me", "-f", &shown][..], more].concat());
        (fs::read_to_string(&file).unwrap(), fs::read_to_string(format!("{shown}.pub")).unwrap())
    }

    #[test]
    fn what_ssh_keygen_encrypts_is_opened_and_ssh_keygen_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        for more in [&["-t", "ed25519"][..], &["-t", "ecdsa"], &["-t", "rsa", "-b", "2048"]] {
            let (text, public) = key(dir.path(), more);
            let open = unlocked(&text, "hunter2").unwrap();
            let file = dir.path().join("open");
            let _ = fs::remove_file(&file);
            let mut created = fs::File::options().write(true).create_new(true).mode(0o600).open(&file).unwrap();
            std::io::Write::write_all(&mut created, open.expose().as_bytes()).unwrap();
            assert_eq!(keygen(&["-y", "-P", "", "-f", &file.display().to_string()]), public, "{more:?}");
            assert!(Arc::ptr_eq(&open, &unlocked(&text, "hunter2").unwrap()), "opened once");
            assert!(unlocked(&text, "hunter3").is_none());
        }
    }

    #[test]
    fn what_is_no_such_key_is_left_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let (text, _) = key(dir.path(), &["-t", "ed25519"]);
        for more in [&["-t", "ed25519", "-Z", "aes256-gcm@openssh.com"][..], &["-t", "rsa", "-m", "PEM"]] {
            assert!(open(&key(dir.path(), more).0, "hunter2").is_none(), "{more:?}");
        }
        for cut in 0..text.len() {
            let _ = open(&text[..cut], "hunter2");
        }
        assert!(open("", "").is_none() && open("-----\n!!\n", "x").is_none());
        let plain = open(&text, "hunter2").unwrap();
        assert!(open(plain.expose(), "hunter2").is_none(), "it is open already");
    }
}
