//! Programs of the host that need root: a plain user asks them through sudo, where a line of sudoers allows it.

use std::io;
use std::time::Duration;

use super::command::{self, Said};
use super::root::Root;
use super::text::lines;

const SUDO: &str = "/usr/bin/sudo";
/// Where the lines lie that let a plain user ask. Without it sudo is not tried: its refusals are mailed to root.
pub(super) const ALLOWED: &str = "/etc/sudoers.d/fleet-health";

/// What sudo, or sudo-rs, says where it runs nothing.
const REFUSALS: [&str; 12] = [
    "a password is required",
    "a terminal is required",
    "no tty present",
    "you must have a tty",
    "authentication is required",
    "not allowed",
    "not in the sudoers file",
    "may not run",
    "I'm afraid",
    "account validation failure",
    "command not found",
    "no valid sudoers",
];

/// Whether questions that need root can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// We are root.
    Root,
    /// Through sudo, or only trying can tell: the folder of sudo's lines is closed to us.
    Sudo,
    /// Not at all.
    None,
}

/// The right of this user on this machine.
pub(super) fn right(root: &Root) -> Right {
    if rustix::process::geteuid().is_root() {
        return Right::Root;
    }
    match std::fs::symlink_metadata(root.path(ALLOWED)) {
        Ok(_) => Right::Sudo,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Right::Sudo,
        Err(_) => Right::None,
    }
}

/// Runs a program as root.
///
/// # Errors
/// `PermissionDenied` without the right and where sudo refuses; those of [`command::run`].
pub(super) fn run(root: &Root, program: &str, arguments: &[&str], patience: Duration) -> io::Result<Said> {
    match right(root) {
        Right::Root => command::run(root, program, arguments, patience),
        Right::Sudo => by_sudo(root, program, arguments, patience),
        Right::None => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

fn by_sudo(root: &Root, program: &str, arguments: &[&str], patience: Duration) -> io::Result<Said> {
    let refusal = || io::ErrorKind::PermissionDenied.into();
    if !root.path(SUDO).is_file() {
        return Err(refusal());
    }
    let mut words = vec!["-n", program];
    words.extend(arguments);
    let said = command::run(root, SUDO, &words, patience)?;
    let refused = said.status == Some(1) && said.output.is_empty() && lines(&said.complaint).any(refuses);
    if refused { Err(refusal()) } else { Ok(said) }
}

/// Whether sudo says this, and not the program, whose own failures look the same otherwise: `sudo: a password is required`,
/// `Sorry, user x is not allowed to execute ...`, `x is not in the sudoers file.`
fn refuses(line: &[u8]) -> bool {
    // Of all else that it says (a host without a name, a limit that it cannot set, a file of mode 0666) it only warns, and
    // runs the program.
    let sudo = [b"sudo: ".as_slice(), b"sudo-rs: "].iter().find_map(|name| line.strip_prefix(*name));
    let says = sudo.map(String::from_utf8_lossy).unwrap_or_default();
    REFUSALS.iter().any(|refusal| says.contains(refusal))
        || line.starts_with(b"Sorry, user ")
        || line.ends_with(b"sudoers file.")
}

/// The reason why a question was not answered, with the line that would allow it.
pub(super) fn denied(program: &str, arguments: &[&str]) -> String {
    let uid = rustix::process::geteuid().as_raw();
    // A command without words would be allowed with any.
    let none = arguments.is_empty().then(|| "\"\"".to_owned());
    let words: Vec<String> = arguments.iter().map(|word| escaped(word)).chain(none).collect();
    format!("it needs root; in {ALLOWED}: #{uid} ALL=(root) NOPASSWD: {} {}", escaped(program), words.join(" "))
}

/// A word of a command as sudoers wants it.
#[must_use]
pub fn escaped(word: &str) -> String {
    word.chars().fold(String::new(), |mut out, c| {
        if matches!(c, ',' | ':' | '=' | '\\' | ' ' | '#' | '!' | '*' | '?' | '[' | ']' | '"') {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Any program that failed was called denied, with a line of sudoers that was there already.
    #[test]
    fn what_sudo_refuses_is_told_from_what_a_program_fails_at() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::at(folder.path());
        let ask = || by_sudo(&root, "/sbin/lvs", &["-a"], Duration::from_secs(20)).map_err(|error| error.kind());
        assert_eq!(ask().map(|said| said.status), Err(io::ErrorKind::PermissionDenied), "no sudo at all");
        let sudo = folder.path().join("usr/bin/sudo");
        std::fs::create_dir_all(sudo.parent().unwrap()).unwrap();
        let says = |script: &str| {
            std::fs::write(&sudo, format!("#!/bin/sh\n[ \"$*\" = '-n /sbin/lvs -a' ] || exit 9\n{script}\n")).unwrap();
            std::fs::set_permissions(&sudo, std::fs::Permissions::from_mode(0o755)).unwrap();
            ask().map(|said| said.status)
        };
        for refusal in [
            "sudo: a password is required",
            "sudo: sorry, you must have a tty to run sudo",
            "Sorry, user fleet is not allowed to execute '/sbin/lvs -a' as root on web1.",
            "fleet is not in the sudoers file.",
            "sudo-rs: interactive authentication is required",
            "sudo-rs: I'm sorry fleet. I'm afraid I can't do that",
            "sudo: no tty present and no askpass program specified",
            "sudo: account validation failure, is your account locked?",
            "sudo: /sbin/lvs: command not found",
        ] {
            let said = says(&format!("echo \"{refusal}\" >&2; exit 1"));
            assert_eq!(said, Err(io::ErrorKind::PermissionDenied), "{refusal}");
        }
        for warning in [
            "sudo: unable to resolve host web1: Name or service not known",
            "sudo: setrlimit(RLIMIT_CORE): Operation not permitted",
            "sudo: /etc/sudoers.d/x is world writable",
            "sudo-rs: /etc/sudoers.d/x cannot be world-writable",
        ] {
            let said = says(&format!("echo '{warning}' >&2; echo 'lvs: failed' >&2; exit 1"));
            assert_eq!(said, Ok(Some(1)), "{warning}");
        }
        assert_eq!(says("echo 'sudo: a password is required' >&2; echo v; exit 1"), Ok(Some(1)), "it spoke");
        assert_eq!(says("exit 5"), Ok(Some(5)));
    }

    #[test]
    fn a_line_of_sudoers_has_its_signs_escaped() {
        let line = denied("/sbin/lvs", &["-o", "vg_name,lv_name"]);
        assert!(line.ends_with(" ALL=(root) NOPASSWD: /sbin/lvs -o vg_name\\,lv_name"), "{line}");
        assert!(denied("/usr/bin/dmesg", &[]).ends_with(": /usr/bin/dmesg \"\""));
        assert_eq!(escaped("/home/a b:c"), "/home/a\\ b\\:c");
    }
}
