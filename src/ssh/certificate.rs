//! Certificates of OpenSSH (PROTOCOL.certkeys): what they say, and whether the authority that known_hosts names signed it.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512,
    RsaPublicKeyComponents, UnparsedPublicKey,
};

use super::hostkey::{HostKey, field};

/// What the names of certificates' types end with.
const SUFFIX: &str = "-cert-v01@openssh.com";

/// `SSH_CERT_TYPE_HOST`.
const HOST: u32 = 2;

/// A certificate, well formed; nothing in it is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The key that it is for.
    pub key: HostKey,
    /// The key that is said to have signed it.
    pub authority: HostKey,
    role: u32,
    principals: Vec<String>,
    after: u64,
    before: u64,
    has_critical_options: bool,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

impl Certificate {
    /// Reads SSH's wire form; `None` where it is not exactly a certificate for a key of a type that is known.
    #[must_use]
    pub fn from_blob(blob: &[u8]) -> Option<Self> {
        let (kind, rest) = field(blob)?;
        let kind = std::str::from_utf8(kind).ok()?.strip_suffix(SUFFIX)?;
        let fields = match kind {
            "ssh-ed25519" => 1,
            "ssh-rsa" | "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" | "ecdsa-sha2-nistp521" => 2,
            _ => return None,
        };
        let (_nonce, start) = field(rest)?;
        let after_key = (0..fields).try_fold(start, |rest, _| field(rest).map(|(_, rest)| rest))?;
        let mut plain = u32::try_from(kind.len()).ok()?.to_be_bytes().to_vec();
        plain.extend(kind.as_bytes());
        plain.extend(&start[..start.len() - after_key.len()]);
        let (_serial, rest) = after_key.split_first_chunk::<8>()?;
        let (role, rest) = rest.split_first_chunk::<4>()?;
        let (_key_id, rest) = field(rest)?;
        let (mut names, rest) = field(rest)?;
        let mut principals = Vec::new();
        while !names.is_empty() {
            let (name, more) = field(names)?;
            principals.push(String::from_utf8(name.to_vec()).ok()?);
            names = more;
        }
        let (after, rest) = rest.split_first_chunk::<8>()?;
        let (before, rest) = rest.split_first_chunk::<8>()?;
        let (critical, rest) = field(rest)?;
        let (_extensions, rest) = field(rest)?;
        let (_reserved, rest) = field(rest)?;
        let (authority, rest) = field(rest)?;
        let signed = blob[..blob.len() - rest.len()].to_vec();
        let (signature, rest) = field(rest)?;
        rest.is_empty().then_some(())?;
        Some(Self {
            key: HostKey::from_blob(&plain)?,
            authority: HostKey::from_blob(authority)?,
            role: u32::from_be_bytes(*role),
            principals,
            after: u64::from_be_bytes(*after),
            before: u64::from_be_bytes(*before),
            has_critical_options: !critical.is_empty(),
            signed,
            signature: signature.to_vec(),
        })
    }

    /// Whether it proves a host's key, at a time in seconds since 1970; else why not, for people. That its authority is
    /// to be trusted is another matter.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn proves(&self, host: &str, now: u64) -> Result<(), String> {
        if self.role != HOST {
            return Err("it is for a user, not for a host".to_owned());
        }
        // As ssh does (9.2, sshkey_cert_check_authority): a host's without names is for all hosts of its authority.
        if !self.principals.is_empty() && !self.principals.iter().any(|name| name.eq_ignore_ascii_case(host)) {
            return Err(format!("it is for {}, not for {host}", self.principals.join(", ")));
        }
        if now < self.after {
            return Err("it is not valid yet; are the clocks right?".to_owned());
        }
        if now >= self.before {
            return Err("it has expired; sign the key again".to_owned());
        }
        if self.has_critical_options {
            return Err("it has critical options, and a host's has none that are known".to_owned());
        }
        if let Some(weakness) = self.authority.weakness() {
            return Err(format!("its authority has {weakness}"));
        }
        if self.is_signed().is_none() {
            return Err(format!(
                "its signature is not one of {} {}, or of a kind that is not supported",
                self.authority.kind(),
                self.authority.fingerprint()
            ));
        }
        Ok(())
    }

    /// Verifies the authority's signature.
    fn is_signed(&self) -> Option<()> {
        let (algorithm, rest) = field(&self.signature)?;
        let (signature, rest) = field(rest)?;
        rest.is_empty().then_some(())?;
        let parts = self.authority.parts()?;
        match (self.authority.kind(), algorithm, parts.as_slice()) {
            ("ssh-ed25519", b"ssh-ed25519", [point]) => {
                UnparsedPublicKey::new(&ED25519, point).verify(&self.signed, signature).ok()
            }
            ("ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp256", [_, point]) => {
                let fixed = both::<32>(signature)?;
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(&self.signed, &fixed).ok()
            }
            ("ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp384", [_, point]) => {
                let fixed = both::<48>(signature)?;
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(&self.signed, &fixed).ok()
            }
            // SHA-1, which `ssh-rsa` stands for, is no signature any more.
            ("ssh-rsa", b"rsa-sha2-256" | b"rsa-sha2-512", [e, n]) => {
                let key = RsaPublicKeyComponents { n: positive(n), e: positive(e) };
                let scheme = match algorithm {
                    b"rsa-sha2-256" => &RSA_PKCS1_2048_8192_SHA256,
                    _ => &RSA_PKCS1_2048_8192_SHA512,
                };
                key.verify(scheme, &self.signed, signature).ok()
            }
            _ => None,
        }
    }
}

/// A number without the zeros before it.
fn positive(number: &[u8]) -> &[u8] {
    let start = number.iter().position(|&byte| byte != 0).unwrap_or(number.len());
    &number[start..]
}

/// The two numbers of an ECDSA signature, each in so many bytes.
fn both<const SIZE: usize>(signature: &[u8]) -> Option<Vec<u8>> {
    let (r, rest) = field(signature)?;
    let (s, rest) = field(rest)?;
    rest.is_empty().then_some(())?;
    let mut out = Vec::new();
    for number in [positive(r), positive(s)] {
        out.resize(out.len() + SIZE.checked_sub(number.len())?, 0);
        out.extend(number);
    }
    Some(out)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "ssh-keygen makes what is read here")]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// 2026-11-21.
    const NOW: u64 = 1_795_219_200;

    fn sign(folder: &Path, authority: &str, key: &str, more: &str) -> Certificate {
        let script = format!(
            "cd {} && rm -f ca* k* && ssh-keygen -q -t {authority} -N '' -f ca && ssh-keygen -q -t {key} -N '' -f k && \
             ssh-keygen -q -s ca -I id -V 20200101:20400101 {more} k.pub",
            folder.display()
        );
        assert!(Command::new("/bin/sh").args(["-c", &script]).status().unwrap().success(), "{script}");
        let text = fs::read_to_string(folder.join("k-cert.pub")).unwrap();
        let blob = STANDARD.decode(text.split(' ').nth(1).unwrap()).unwrap();
        let certificate = Certificate::from_blob(&blob).unwrap();
        let plain = fs::read_to_string(folder.join("k.pub")).unwrap();
        assert!(plain.starts_with(&certificate.key.words()), "{plain}");
        for end in 0..blob.len() {
            assert!(Certificate::from_blob(&blob[..end]).is_none());
        }
        certificate
    }

    #[test]
    fn authorities_of_every_kind_and_each_bit_counts() {
        let folder = tempfile::tempdir().unwrap();
        for authority in ["ed25519", "ecdsa -b 256", "ecdsa -b 384", "rsa -b 2048"] {
            for key in ["ed25519", "ecdsa -b 521", "rsa -b 2048"] {
                let good = sign(folder.path(), authority, key, "-h -n web,web.example.net");
                assert_eq!(good.proves("WEB", NOW), Ok(()), "{authority} {key}");
                for byte in [0, good.signed.len() / 2, good.signed.len() - 1] {
                    let mut bad = good.clone();
                    bad.signed[byte] ^= 1;
                    assert!(bad.proves("web", NOW).unwrap_err().contains("signature"), "{authority} {key} {byte}");
                }
            }
        }
        let sha1 = sign(folder.path(), "rsa -b 2048", "ed25519", "-t ssh-rsa -h -n web");
        assert!(sha1.proves("web", NOW).unwrap_err().contains("signature"));
    }

    #[test]
    fn what_is_not_for_this_host_now() {
        let folder = tempfile::tempdir().unwrap();
        let good = sign(folder.path(), "ed25519", "ed25519", "-h -n web");
        assert!(good.proves("db", NOW).unwrap_err().contains("for web, not for db"));
        assert!(good.proves("web", 1_000_000_000).unwrap_err().contains("not valid yet"));
        assert!(good.proves("web", 3_000_000_000).unwrap_err().contains("expired"));
        let user = sign(folder.path(), "ed25519", "ed25519", "-n web");
        assert!(user.proves("web", NOW).unwrap_err().contains("for a user"));
        let critical = sign(folder.path(), "ed25519", "ed25519", "-h -n web -O critical:x@y=z");
        assert!(critical.proves("web", NOW).unwrap_err().contains("critical"));
        let whoever = sign(folder.path(), "ed25519", "ed25519", "-h");
        assert_eq!(whoever.proves("web", NOW), Ok(()));
        let weak = sign(folder.path(), "rsa -b 1024", "ed25519", "-h -n web");
        assert!(weak.proves("web", NOW).unwrap_err().contains("1024 bits"));
    }
}
