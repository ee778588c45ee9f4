//! Passwords, kept as Argon2id hashes only.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};

/// Nobody types more; hashing a megabyte is work that others would wait for.
const LONGEST: usize = 1024;

/// Whether a password is the one of a hash; a hash that cannot be read fits nothing.
#[must_use]
pub fn fits(hash: &str, password: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    password.len() <= LONGEST && Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}

/// A hash in the PHC form, with a salt of its own.
///
/// # Errors
/// A text: too short, too long, or no random bytes.
pub fn hash(password: &str) -> Result<String, String> {
    if password.chars().count() < 8 || password.len() > LONGEST {
        return Err(format!("a password has at least 8 letters, and at most {LONGEST} bytes"));
    }
    let mut salt = [0u8; 16];
    getrandom::fill(&mut salt).map_err(|error| error.to_string())?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| error.to_string())?;
    let made = Argon2::default().hash_password(password.as_bytes(), &salt).map_err(|error| error.to_string())?;
    Ok(made.to_string())
}

/// Whether a text is a hash that [`fits`] can use.
///
/// # Errors
/// A text without the hash.
pub fn check(hash: &str) -> Result<(), String> {
    let said = || "is no Argon2 hash ($argon2id$v=19$...); make one with: fleet serve hash-password".to_owned();
    let read = PasswordHash::new(hash).map_err(|_| said())?;
    if !["argon2id", "argon2i", "argon2d"].contains(&read.algorithm.as_str()) || read.hash.is_none() {
        return Err(said());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_own_hash_only() {
        let made = hash("correct horse").unwrap();
        assert!(made.starts_with("$argon2id$v=19$") && check(&made).is_ok());
        assert!(fits(&made, "correct horse") && !fits(&made, "correct hors") && !fits(&made, ""));
        assert_ne!(made, hash("correct horse").unwrap(), "the salt");
        assert!(hash("short").is_err() && hash(&"x".repeat(1025)).is_err());
        for bad in ["", "hunter2", "$2y$10$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ"] {
            let said = check(bad).unwrap_err();
            assert!(!fits(bad, "x") && (bad.is_empty() || !said.contains(bad)), "{bad}");
        }
    }
}
