//! Logging in: nothing (peer, trust), md5, SCRAM-SHA-256. A password in clear is never sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::super::Trouble;
use super::super::mac::mac;

/// A server may not keep us busy for ever; PostgreSQL's default is 4,096.
const MAX_ROUNDS: u32 = 200_000;

/// A login under way.
pub(super) struct Login<'a> {
    user: &'a str,
    password: Option<&'a str>,
    scram: Option<Scram>,
    done: bool,
}

/// What SCRAM remembers between its messages.
struct Scram {
    nonce: String,
    /// What the server must prove at the end.
    proof: Option<String>,
}

impl<'a> Login<'a> {
    pub fn new(user: &'a str, password: Option<&'a str>) -> Self {
        Self { user, password, scram: None, done: false }
    }

    pub fn is_done(&self) -> bool {
        self.done
    }

    /// What is answered to a message of authentication.
    pub fn answer(&mut self, body: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        let wrong = || Trouble::wrong("a message of the login is damaged");
        let (code, rest) = body.split_first_chunk::<4>().ok_or_else(wrong)?;
        match u32::from_be_bytes(*code) {
            0 if self.scram.as_ref().is_some_and(|scram| scram.proof.is_some()) => {
                Err(Trouble::wrong("the server did not prove that it knows the password"))
            }
            0 => {
                self.done = true;
                Ok(None)
            }
            5 => {
                let salt = rest.get(..4).ok_or_else(wrong)?;
                let mut text = md5(self.user, self.password()?, salt);
                text.push('\0');
                Ok(Some(text.into_bytes()))
            }
            10 if rest.split(|&b| b == 0).any(|name| name == b"SCRAM-SHA-256") => self.first().map(Some),
            11 => self.second(std::str::from_utf8(rest).map_err(|_| wrong())?).map(Some),
            12 => {
                let told = String::from_utf8_lossy(rest).into_owned();
                let expected = self.scram.as_mut().and_then(|scram| scram.proof.take());
                if expected.is_some_and(|expected| told.split(',').any(|part| part == format!("v={expected}"))) {
                    return Ok(None);
                }
                Err(Trouble::wrong("the server's proof of the password is wrong"))
            }
            3 => Err(Trouble::unsupported("the server wants the password in clear; set it to scram-sha-256")),
            _ => Err(Trouble::unsupported(
                "the server wants a way of login that is not spoken: use scram-sha-256, md5 or peer",
            )),
        }
    }

    fn password(&self) -> Result<&'a str, Trouble> {
        self.password.ok_or_else(|| Trouble::denied("the server wants a password; give password-file="))
    }

    fn first(&mut self) -> Result<Vec<u8>, Trouble> {
        self.password()?;
        let mut random = [0; 18];
        getrandom::fill(&mut random).map_err(|error| Trouble::unsupported(format!("no random numbers: {error}")))?;
        let nonce = STANDARD.encode(random);
        let first = format!("n,,n=,r={nonce}");
        self.scram = Some(Scram { nonce, proof: None });
        let length = u32::try_from(first.len()).unwrap_or(u32::MAX).to_be_bytes();
        Ok([b"SCRAM-SHA-256\0", &length[..], first.as_bytes()].concat())
    }

    fn second(&mut self, told: &str) -> Result<Vec<u8>, Trouble> {
        let password = self.password()?;
        let wrong = || Trouble::wrong("a message of the login is damaged");
        let scram = self.scram.as_mut().ok_or_else(wrong)?;
        let field = |name: &str| told.split(',').find_map(|part| part.strip_prefix(name));
        let nonce = field("r=").filter(|nonce| nonce.starts_with(&scram.nonce) && nonce.len() > scram.nonce.len());
        let salt = field("s=").and_then(|salt| STANDARD.decode(salt).ok());
        let rounds = field("i=").and_then(|rounds| rounds.parse::<u32>().ok());
        let rounds = rounds.filter(|rounds| (1..=MAX_ROUNDS).contains(rounds));
        let (Some(nonce), Some(salt), Some(rounds)) = (nonce, salt, rounds) else { return Err(wrong()) };
        let bare = format!("c=biws,r={nonce}");
        let everything = format!("n=,r={},{told},{bare}", scram.nonce);
        let (proof, server) = prove(password, &salt, rounds, &everything);
        scram.proof = Some(STANDARD.encode(server));
        Ok(format!("{bare},p={}", STANDARD.encode(proof)).into_bytes())
    }
}

fn md5(user: &str, password: &str, salt: &[u8]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let inner = hex(&Md5::new().chain_update(password).chain_update(user).finalize());
    format!("md5{}", hex(&Md5::new().chain_update(inner).chain_update(salt).finalize()))
}

/// The client's proof and the server's signature (RFC 5802).
fn prove(password: &str, salt: &[u8], rounds: u32, everything: &str) -> ([u8; 32], [u8; 32]) {
    let key = password.as_bytes();
    let mut last = mac(key, &[salt, &[0, 0, 0, 1]]);
    let mut salted = last;
    for _ in 1..rounds {
        last = mac(key, &[&last]);
        salted.iter_mut().zip(last).for_each(|(sum, byte)| *sum ^= byte);
    }
    let client = mac(&salted, &[b"Client Key"]);
    let stored: [u8; 32] = Sha256::digest(client).into();
    let signature = mac(&stored, &[everything.as_bytes()]);
    let mut proof = client;
    proof.iter_mut().zip(signature).for_each(|(sum, byte)| *sum ^= byte);
    (proof, mac(&mac(&salted, &[b"Server Key"]), &[everything.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7677() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let everything = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                          s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let (proof, server) = prove("pencil", &salt, 4096, everything);
        assert_eq!(STANDARD.encode(proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        assert_eq!(STANDARD.encode(server), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn md5_as_psql_sends_it() {
        // printf %s "$(printf %s secretfleet | md5sum | cut -c-32)abcd" | md5sum
        assert_eq!(md5("fleet", "secret", b"abcd"), format!("md5{}", "00b3ef43e918d8e477f32c3e53bd21ba"));
    }

    #[test]
    fn a_server_that_cannot_prove_itself_is_not_believed() {
        let mut login = Login::new("fleet", Some("pencil"));
        let first = login.answer(b"\0\0\0\x0aSCRAM-SHA-256\0\0").unwrap().unwrap();
        let nonce = String::from_utf8_lossy(&first).split("r=").nth(1).unwrap().to_owned();
        let second = format!("\0\0\0\x0br={nonce}abc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        assert!(login.answer(second.as_bytes()).unwrap().is_some());
        assert!(login.answer(b"\0\0\0\0").is_err(), "logged in without a proof");
        assert!(login.answer(b"\0\0\0\x0cv=bm9uc2Vuc2U=").is_err());
        for bad in ["r=other,s=AAAA,i=1", "r=,s=,i=", "", &format!("r={nonce}x,s=AAAA,i=999999999")] {
            assert!(login.answer(format!("\0\0\0\x0b{bad}").as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_never_goes_in_clear() {
        assert!(matches!(Login::new("u", Some("pw")).answer(b"\0\0\0\x03"), Err(Trouble::Unknown(..))));
        assert!(matches!(Login::new("u", None).answer(b"\0\0\0\x05abcd"), Err(Trouble::Unknown(..))));
    }

    proptest::proptest! {
        #[test]
        fn any_message_is_answered_or_refused(code in 0u8..14, body: Vec<u8>) {
            let mut login = Login::new("u", Some("pw"));
            let _ = login.answer(b"\0\0\0\x0aSCRAM-SHA-256\0\0");
            let _ = login.answer(&[&[0, 0, 0, code], &body[..]].concat());
        }
    }
}
