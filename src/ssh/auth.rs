//! Logging in: once for a host and run, with as few refused attempts as possible, because OpenSSH 9.8 and later locks out
//! machines that fail often.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ssh2::{KeyboardInteractivePrompt, Prompt};

use super::agent::{self, Agent, Agents};
use super::certificate::Certificate;
use super::hostkey::field;
use super::session::{Problem, Session};
use super::{Secrets, SshError, unlock};
use crate::model::cause::Cause;
use crate::model::clean::clean;
use crate::model::spec::SshSpec;

/// The largest key file that is read.
const MAX_KEY: u64 = 64 * 1024;

/// What the types of certificates have in their names.
const CERTIFICATE: &str = "-cert-v01@openssh.com";

/// Of a host that nothing can be offered to.
const NOTHING: &str = "no key file, agent or password is configured";

/// Logs in with the key files in their order, then the agent, then the password, whichever are configured.
pub(super) fn log_in(
    session: &mut Session,
    spec: &SshSpec,
    secrets: &Secrets,
    agents: &Agents,
) -> Result<(), SshError> {
    let mut refused: Vec<String> = Vec::new();
    let mut unusable: Vec<String> = Vec::new();
    for file in &spec.key_files {
        let text = match read_key(file) {
            Ok(text) => text,
            Err(text) => {
                unusable.push(text);
                continue;
            }
        };
        let passphrase = secrets.passphrase.as_ref().map(|secret| secret.expose());
        let public = public_half(&text);
        let unlocked = passphrase.and_then(|passphrase| unlock::unlocked(&text, passphrase));
        let (text, passphrase) = match &unlocked {
            Some(unlocked) => (unlocked.expose(), None),
            None => (text.as_str(), passphrase),
        };
        // What a certificate proves is tried before the bare key, as ssh does.
        let halves = certificates(spec, file, public.as_deref()).into_iter().map(Some).chain([public]);
        for public in halves {
            match offer(session, spec, text, public.as_deref(), passphrase) {
                Ok(()) => return Ok(()),
                Err(Problem::Ssh(error)) if refusal(&error) && !unsigned(&error) => {
                    let what =
                        if public.is_some_and(|public| public.contains(CERTIFICATE)) { "certificate of " } else { "" };
                    refused.push(format!("{what}key {}", file.display()));
                }
                Err(Problem::Ssh(error)) if key_trouble(&error) || unsigned(&error) => {
                    unusable.push(format!(
                        "{}: not a private key that can be used ({}); if it is encrypted, give its passphrase",
                        file.display(),
                        error.message()
                    ));
                    // The same private half would not sign another time either.
                    break;
                }
                Err(problem) => return Err(session.error(Cause::Authentication, "while logging in", problem)),
            }
        }
    }
    if (spec.agent || secrets.password.is_some())
        && let Err(problem) = session.open()
    {
        return Err(session.error(Cause::Handshake, "after the key exchange", problem));
    }
    if spec.agent {
        match agent::log_in(session, spec, agents)? {
            Agent::In => return Ok(()),
            Agent::Refused(text) => refused.push(text),
            Agent::Unusable(text) => unusable.push(text),
        }
    }
    if let Some(password) = &secrets.password {
        match with_password(session, &spec.user, password.expose())? {
            Ok(()) => return Ok(()),
            Err(text) => refused.push(text),
        }
    }
    if refused.is_empty() {
        let why = if unusable.is_empty() { NOTHING.to_owned() } else { unusable.join("; ") };
        return Err(session.fail(Cause::LocalSetup, why));
    }
    let mut text = format!("the server refused for user {}: {}", spec.user, refused.join(", "));
    if !unusable.is_empty() {
        text.push_str(&format!("; not tried: {}", unusable.join("; ")));
    }
    Err(session.fail(Cause::Authentication, text))
}

/// Why nothing could be offered, where that is known before: who connects and then offers nothing looks like a scanner.
pub(super) fn hopeless(spec: &SshSpec, secrets: &Secrets, agents: &Agents) -> Option<&'static str> {
    if !spec.key_files.is_empty() || secrets.password.is_some() {
        return None;
    }
    if !spec.agent {
        return Some(NOTHING);
    }
    agents.hangs(spec.agent_socket.as_deref()).then_some(agent::HANGS)
}

/// Offers one key, or the certificate for it, which is then its public half.
fn offer(
    session: &mut Session,
    spec: &SshSpec,
    text: &str,
    public: Option<&str>,
    passphrase: Option<&str>,
) -> Result<(), Problem> {
    let step = |ssh: &mut ssh2::Session| ssh.userauth_pubkey_memory(&spec.user, public, text, passphrase);
    // An RSA key waits for the server's word: it says whether SHA-2 may be used.
    if public.is_some_and(|public| !public.starts_with("ssh-rsa")) {
        return session.drive_early(step);
    }
    session.open()?;
    session.drive(step)
}

/// Certificates for a key: the one beside its file, and those that are named. As in their files, `TYPE BASE64`.
fn certificates(spec: &SshSpec, key: &Path, public: Option<&str>) -> Vec<String> {
    let Some(public) = public else { return Vec::new() };
    let mut beside = key.as_os_str().to_owned();
    beside.push("-cert.pub");
    let mut found: Vec<String> = Vec::new();
    for file in spec.certificate_files.iter().map(PathBuf::as_path).chain([Path::new(&beside)]) {
        let mut text = String::new();
        let read = File::open(file).and_then(|file| file.take(MAX_KEY).read_to_string(&mut text));
        let mut words = text.split_ascii_whitespace();
        let (Ok(_), Some(kind), Some(base64)) = (read, words.next(), words.next()) else { continue };
        let certificate = STANDARD.decode(base64).ok().and_then(|blob| Certificate::from_blob(&blob));
        let line = format!("{kind} {base64}");
        if certificate.is_some_and(|it| it.key.words() == public)
            && kind.contains(CERTIFICATE)
            && !found.contains(&line)
        {
            found.push(line);
        }
    }
    found
}

/// libssh2's code for "the server says no" (LIBSSH2_ERROR_AUTHENTICATION_FAILED), and for a key that the server refuses.
fn refusal(error: &ssh2::Error) -> bool {
    matches!(error.code(), ssh2::ErrorCode::Session(-18 | -19))
}

/// libssh2 has one code for a key that the server refuses and for one that could not sign (a wrong passphrase).
fn unsigned(error: &ssh2::Error) -> bool {
    error.message() == "Callback returned error"
}

/// libssh2's codes for a key that cannot be read (FILE) or a method that does not fit (METHOD_NONE, METHOD_NOT_SUPPORTED,
/// ALGO_UNSUPPORTED, KEYFILE_AUTH_FAILED), all before anything was refused.
fn key_trouble(error: &ssh2::Error) -> bool {
    matches!(error.code(), ssh2::ErrorCode::Session(-16 | -17 | -33 | -48 | -51 | -1))
}

/// Reads a private key, if nobody else can.
fn read_key(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| format!("{shown}: {error}"))?;
    let facts = file.metadata().map_err(|error| format!("{shown}: {error}"))?;
    if !facts.is_file() {
        return Err(format!("{shown}: is not a file"));
    }
    let me = rustix::process::geteuid().as_raw();
    if facts.uid() != me && facts.uid() != 0 {
        let owner = facts.uid();
        // Root is not told to take it away from those who run with it.
        let or = if me == 0 { String::new() } else { format!(", or make it yours: sudo chown {me} {shown}") };
        return Err(format!("{shown}: belongs to user {owner}; run as that user{or}"));
    }
    if facts.mode() & 0o077 != 0 {
        return Err(format!("{shown}: others may read this private key; mend it: chmod 600 {shown}"));
    }
    let mut text = String::new();
    file.take(MAX_KEY).read_to_string(&mut text).map_err(|error| format!("{shown}: {error}"))?;
    Ok(text)
}

/// The public half of a private key file, as a line of authorized_keys has it.
///
/// # Errors
/// A text for people that names the file.
pub fn public_key(file: &Path) -> Result<String, String> {
    let text = read_key(file)?;
    let beside = || {
        let text = std::fs::read_to_string(format!("{}.pub", file.display())).ok()?;
        let words: Vec<&str> = text.split_ascii_whitespace().take(2).collect();
        (words.len() == 2).then(|| words.join(" "))
    };
    public_half(&text).or_else(beside).ok_or_else(|| {
        let shown = file.display();
        format!("{shown}: its public half is not known; write it: ssh-keygen -y -f {shown} > {shown}.pub")
    })
}

/// The public half of a key file in OpenSSH's own format, as `ssh-ed25519 AAAA...`; it is in the clear even where the private
/// half is encrypted. libssh2 would read (and decrypt) the private half once more to find it.
fn public_half(text: &str) -> Option<String> {
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let file = STANDARD.decode(body).ok()?;
    let rest = file.strip_prefix(b"openssh-key-v1\0")?;
    // Cipher, key derivation, its options; then how many keys follow.
    let rest = (0..3).try_fold(rest, |rest, _| field(rest).map(|(_, rest)| rest))?;
    let (blob, _) = field(rest.strip_prefix(&[0, 0, 0, 1])?)?;
    let kind = std::str::from_utf8(field(blob)?.0).ok()?;
    kind.is_ascii().then(|| format!("{kind} {}", STANDARD.encode(blob)))
}

/// Says the password once, in the way that the server offers. The outer error ends the visit; the inner one says what was
/// refused.
fn with_password(session: &mut Session, user: &str, password: &str) -> Result<Result<(), String>, SshError> {
    let offered = match session.drive(|ssh| ssh.auth_methods(user).map(str::to_owned)) {
        Ok(offered) => offered,
        Err(Problem::Ssh(_)) if session.ssh().authenticated() => return Ok(Ok(())),
        Err(problem) => return Err(session.error(Cause::Authentication, "while logging in", problem)),
    };
    let has = |method: &str| offered.split(',').any(|one| one == method);
    let outcome = if has("password") {
        session.drive(|ssh| ssh.userauth_password(user, password))
    } else if has("keyboard-interactive") {
        session.drive(|ssh| ssh.userauth_keyboard_interactive(user, &mut Answer(password)))
    } else {
        return Ok(Err(format!("a password at all (it offers {})", clean(&offered))));
    };
    match outcome {
        Ok(()) => Ok(Ok(())),
        Err(Problem::Ssh(error)) if refusal(&error) || key_trouble(&error) => Ok(Err("the password".to_owned())),
        Err(problem) => Err(session.error(Cause::Authentication, "while logging in", problem)),
    }
}

/// Gives the password to a single hidden question and nothing to any other, so that a server cannot ask it out of us
/// twice in one round.
struct Answer<'a>(&'a str);

impl KeyboardInteractivePrompt for Answer<'_> {
    fn prompt<'a>(&mut self, _user: &str, _instructions: &str, prompts: &[Prompt<'a>]) -> Vec<String> {
        match prompts {
            [only] if !only.echo => vec![self.0.to_owned()],
            other => vec![String::new(); other.len()],
        }
    }
}
