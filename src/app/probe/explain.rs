//! What is measured here as this user, what is not, why, and what would allow it.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::show::{fault, is_later, wrapped};
use crate::measure::{COLLECTORS, Measured, escaped};
use crate::model::sample::{Fault, FaultKind};

/// Who asks, and the program that would need the right.
pub struct Asker {
    /// Name, or number where the name is not known.
    pub user: String,
    /// Number.
    pub uid: u32,
    /// Where the probe lies.
    pub program: String,
    /// Its SHA-256, so that nobody who can write there gets the right for something else.
    pub digest: String,
}

/// SHA-256 of a file's bytes in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The whole text, at 80 columns.
pub fn text(measured: &Measured, asker: &Asker) -> String {
    let mut text = format!("As {} (uid {}):\n\n", asker.user, asker.uid);
    text.push_str("SECTION           MEASURED VALUES  WHAT\n");
    for collector in COLLECTORS {
        let values = measured.sections.iter().find(|(name, _)| *name == collector.name).map_or(0, |(_, count)| *count);
        let lacks = faults_of(measured, collector.name).next().is_some();
        let answer = match (values > 0, lacks) {
            (true, false) => "yes",
            (true, true) => "in part",
            (false, true) if faults_of(measured, collector.name).all(is_later) => "later",
            (false, _) => "no",
        };
        let _ = write!(text, "{:<18}{answer:<9}{values:>6}", collector.name);
        let mut help = String::new();
        wrapped(collector.help, &" ".repeat(35), &mut help);
        text.push_str(help.get(33..).unwrap_or_default());
    }
    for (title, wanted) in [
        ("Denied to this user", &[FaultKind::Denied][..]),
        ("Not offered by this system", &[FaultKind::Unsupported]),
        ("Not there", &[FaultKind::Absent]),
        ("Did not answer, was not understood, or was cut", &[FaultKind::Hung, FaultKind::Malformed, FaultKind::Cut]),
    ] {
        list(title, measured, |fault| wanted.contains(&fault.kind) && !is_later(fault), &mut text);
    }
    list("Asked in the background, because it takes long or root", measured, is_later, &mut text);
    if asker.uid != 0 {
        allow(measured, asker, &mut text);
    }
    text
}

fn list(title: &str, measured: &Measured, wanted: impl Fn(&Fault) -> bool, text: &mut String) {
    let list: Vec<&Fault> = measured.faults.iter().filter(|fault| wanted(fault)).collect();
    if !list.is_empty() {
        let _ = writeln!(text, "\n{title}:");
        list.into_iter().for_each(|one| fault(one, text));
    }
}

/// A section may name parts of itself: `memory.ecc`. What is a section by its own is no part.
fn faults_of<'a>(measured: &'a Measured, section: &'a str) -> impl Iterator<Item = &'a Fault> {
    measured.faults.iter().filter(move |fault| {
        let rest = fault.section.strip_prefix(section);
        let own = || COLLECTORS.iter().any(|collector| collector.name == fault.section);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.') && !own())
    })
}

/// Lines of sudoers: those that a section names because it would use them, and one for the rest.
fn allow(measured: &Measured, asker: &Asker, text: &mut String) {
    let denied = || measured.faults.iter().filter(|fault| fault.kind == FaultKind::Denied);
    let named: Vec<&str> = denied().filter_map(|fault| line_in(&fault.text)).collect();
    if !named.is_empty() {
        text.push_str("\nLines for /etc/sudoers.d/fleet-health (visudo -f), which the probe then uses:\n\n");
        named.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    }
    if denied().any(|fault| line_in(&fault.text).is_none()) {
        text.push_str("\nRoot may read the rest. This line of sudoers lets this user look by hand:\n\n");
        let _ = writeln!(text, "{}\n", sudoers(asker));
        let hint = "It holds for this very program only, by its digest, and for what it prints: sudo -n FILE --print. \
                    The collector runs the probe without it.";
        wrapped(hint, "", text);
    }
}

/// The line of sudoers that a reason ends with.
fn line_in(text: &str) -> Option<&str> {
    let at = text.find(" ALL=(root) NOPASSWD: ")?;
    let begin = text.get(..at)?.rfind(' ').map_or(0, |blank| blank + 1);
    text.get(begin..)
}

fn sudoers(asker: &Asker) -> String {
    let program = escaped(&asker.program);
    let once = |mode: &str| format!("sha256:{} {program} {mode}", asker.digest);
    format!("{} ALL=(root) NOPASSWD: {}, {}", escaped(&asker.user), once("--print"), once("--json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(uid: u32) -> Asker {
        let digest = digest(b"");
        Asker { user: "ada".into(), uid, program: "/home/ada/my probes/probe".into(), digest }
    }

    #[test]
    fn what_is_denied_names_its_line_and_nothing_else_does() {
        let fault = |section: &str, kind| Fault { section: section.into(), item: "x".into(), kind, text: "why".into() };
        let mut measured = Measured {
            faults: vec![fault("process", FaultKind::Denied), fault("raid", FaultKind::Absent)],
            sections: vec![("process", 12), ("cpu", 3)],
            ..Measured::default()
        };
        let told = text(&measured, &asker(1000));
        let line = told.lines().find(|line| line.starts_with("ada ALL=(root) NOPASSWD: ")).unwrap();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(line.matches(&format!("sha256:{empty} /home/ada/my\\ probes/probe --")).count(), 2);
        let row = |name: &str| told.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        assert!(row("process ").contains("in part") && row("process ").contains("    12  "));
        assert!(row("cpu ").contains("yes") && row("raid ").contains("no "));
        assert!(told.contains("Denied to this user:\n  process x: denied: why\n"));
        assert!(!text(&measured, &asker(0)).contains("sudoers"));
        assert!(told.lines().all(|line| line.chars().count() <= 80 || line.contains("NOPASSWD")), "{told}");
        measured.faults[1].text = format!("smartctl: {}", crate::measure::LATER);
        let told = text(&measured, &asker(1000));
        assert!(told.lines().any(|line| line.starts_with("raid              later ")), "{told}");
        let later = "takes long or root:\n  raid x: later: smartctl: asked now";
        assert!(told.contains(later) && !told.contains("Not there"), "{told}");
        measured.faults[0].text = "needs root: #7 ALL=(root) NOPASSWD: /x -j /dev/sda".into();
        let told = text(&measured, &asker(7));
        assert!(told.contains("\n#7 ALL=(root) NOPASSWD: /x -j /dev/sda\n") && !told.contains("sha256:"));
        measured.faults.remove(0);
        assert!(!text(&measured, &asker(1000)).contains("sudoers"));
    }
}
