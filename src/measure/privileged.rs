//! Programs of the host that need root: a plain user asks them through sudo, where a line of sudoers allows it.

use std::io;
use std::time::Duration;

use super::command::{self, Said};
use super::root::Root;

const SUDO: &str = "/usr/bin/sudo";
/// Where the lines lie that let a plain user ask. Without it sudo is not tried: its refusals are mailed to root.
pub(super) const ALLOWED: &str = "/etc/sudoers.d/fleet-health";

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
/// `PermissionDenied` without the right; those of [`command::run`].
pub(super) fn run(root: &Root, program: &str, arguments: &[&str], patience: Duration) -> io::Result<Said> {
    match right(root) {
        Right::Root => command::run(root, program, arguments, patience),
        Right::Sudo => {
            let mut words = vec!["-n", program];
            words.extend(arguments);
            command::run(root, SUDO, &words, patience)
        }
        Right::None => Err(io::ErrorKind::PermissionDenied.into()),
    }
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
    use super::*;

    #[test]
    fn a_line_of_sudoers_has_its_signs_escaped() {
        let line = denied("/sbin/lvs", &["-o", "vg_name,lv_name"]);
        assert!(line.ends_with(" ALL=(root) NOPASSWD: /sbin/lvs -o vg_name\\,lv_name"), "{line}");
        assert!(denied("/usr/bin/dmesg", &[]).ends_with(": /usr/bin/dmesg \"\""));
        assert_eq!(escaped("/home/a b:c"), "/home/a\\ b\\:c");
    }
}
