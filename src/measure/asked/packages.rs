//! Packages of RPM systems that only a reboot puts to use and that were installed after the boot, as `needs-restarting -r`
//! reckons; systems of Debian and SUSE leave marks instead.

use super::{Answer, Question, Who};
use crate::measure::command::Said;
use crate::measure::root::Root;
use crate::measure::text::{keyed, lines, whole, words};
use crate::model::order;
use crate::model::sample::FaultKind;

pub(super) const QUESTION: Question = Question {
    name: "reboot.packages",
    who: Who::Anybody,
    idle: |_| None,
    asked: &[("/usr/bin/rpm", ARGUMENTS)],
    from: "rpm",
    fresh: 6 * 3600,
    read,
};

/// The list of `needs-restarting`; what is not installed is said to be so.
const ARGUMENTS: &[&str] = &[
    "-q",
    "--queryformat",
    "%{INSTALLTIME} %{NAME}\\n",
    "kernel",
    "kernel-core",
    "kernel-rt",
    "glibc",
    "linux-firmware",
    "microcode_ctl",
    "systemd",
    "dbus",
    "dbus-broker",
    "dbus-daemon",
    "openssl-libs",
    "gnutls",
];

fn read(root: &Root, said: &Said) -> Option<Answer> {
    let boot = keyed(&root.read("/proc/stat").ok()?, "btime")?;
    let mut newer: Vec<(u64, String)> = Vec::new();
    let mut known = false;
    for line in lines(&said.output) {
        let mut words = words(line);
        let Some((at, name)) = words.next().and_then(whole).zip(words.next()) else { continue };
        known = true;
        if at > boot {
            newer.push((at, String::from_utf8_lossy(name).into_owned()));
        }
    }
    order::sort(&mut newer);
    let since = newer.first().and_then(|(at, _)| i64::try_from(*at).ok()).unwrap_or(0);
    let mut answer = Answer { since, ..Answer::default() };
    let mut names: Vec<String> = newer.into_iter().map(|(_, name)| name).collect();
    order::sort(&mut names);
    names.dedup();
    answer.fact("reboot.packages", "", &names.join(", "));
    // rpm beside another package manager knows of none: then nothing is known of a reboot.
    Some(Answer { silent: (!known).then_some(FaultKind::Malformed), ..answer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::machine;

    #[test]
    fn what_was_installed_after_the_boot() {
        let (_folder, root) = machine("== /proc/stat\nbtime 1000\n");
        let ask =
            |text: &str| read(&root, &Said { output: text.as_bytes().to_vec(), status: Some(3), ..Said::default() });
        // rpm 4.16.
        let text = "900 kernel\n1500 kernel\n800 glibc\n1400 systemd\npackage dbus-broker is not installed\n";
        let answer = ask(text).unwrap_or_default();
        assert_eq!((answer.since, answer.facts[0].2.as_str()), (1400, "kernel, systemd"));
        assert_eq!(ask("900 kernel\n").map(|answer| answer.since), Some(0));
        assert!(
            ask("package kernel is not installed\n").is_some_and(|answer| answer.silent == Some(FaultKind::Malformed))
        );
    }
}
