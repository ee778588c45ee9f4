//! Pending updates, by what the package manager already knows: nothing is ever fetched. Asking takes long, so a sample
//! shows the last answer with its age, and the next is asked for after the sample was handed over.

mod held;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use super::asked::LATER;
use super::command;
use super::out::Out;
use super::root::Root;
use super::text::{lines, whole, words};
use crate::model::order;
use crate::model::sample::FaultKind;

const PATIENCE: Duration = Duration::from_secs(60);
/// An answer serves this long, in seconds.
const FRESH: i64 = 6 * 3600;

/// dpkg keeps all that it knows of all packages in one file.
const MAX_STATUS: usize = 32 << 20;
/// The most held packages that are counted.
const MAX_HELD: usize = 128;
/// The most bytes of the file of the last answer.
pub const MAX_UPDATES_FILE: u64 = 16 * 1024;

/// The last answer of the package manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updates {
    /// When it was asked, in seconds since 1970.
    pub at: i64,
    /// What it said; `None` where it could not say.
    pub counts: Option<Counts>,
    /// Packages that somebody told it to leave as they are.
    pub held: Vec<String>,
}

/// Packages for which something newer is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub pending: u64,
    /// Those that mend a security problem; `None` where the package manager does not tell them apart.
    pub security: Option<u64>,
}

/// What is asked, and how the answer is counted.
type Second = (&'static [&'static str], fn(&[u8]) -> u64);

/// A file and how held packages are read from it.
type HeldFile = (&'static str, fn(&[u8]) -> Vec<String>);

/// A package manager: its program, what it is asked, how its answer is read, and where its lists lie.
struct Manager {
    program: &'static str,
    asked: &'static [&'static str],
    /// Exit statuses of an answer.
    answers: &'static [i32],
    read: fn(&[u8]) -> Counts,
    /// A second question, for those that mend a security problem.
    security: Option<Second>,
    lists: &'static [&'static str],
    /// The files that say which packages are held, and how they are read.
    held: &'static [HeldFile],
}

const MANAGERS: &[Manager] = &[
    Manager {
        program: "/usr/bin/apt-get",
        // A simulation: it locks nothing and changes nothing.
        asked: &["-s", "-q", "-o", "Debug::NoLocking=true", "-o", "APT::Get::Upgrade-Allow-New=true", "upgrade"],
        answers: &[0],
        read: apt,
        security: None,
        lists: &["/var/lib/apt/periodic/update-success-stamp", "/var/lib/apt/lists"],
        held: &[("/var/lib/dpkg/status", held::dpkg)],
    },
    Manager {
        program: "/usr/bin/dnf",
        asked: &["-C", "-q", "check-update"],
        answers: &[0, 100],
        read: dnf,
        // Without the last word it lists what is newer than the kernel that runs, installed or not (both dnf 4 and 5).
        security: Some((&["-C", "-q", "updateinfo", "list", "--security", "--updates"], dnf_security)),
        lists: &["/var/cache/dnf/last_makecache", "/var/cache/dnf", "/var/cache/libdnf5"],
        held: &[
            ("/etc/dnf/plugins/versionlock.list", held::listed),
            ("/etc/yum/pluginconf.d/versionlock.list", held::listed),
            ("/etc/dnf/versionlock.toml", held::toml),
        ],
    },
    Manager {
        program: "/usr/bin/zypper",
        asked: &["--non-interactive", "--no-refresh", "--quiet", "list-updates"],
        answers: &[0],
        read: zypper,
        security: Some((
            &["--non-interactive", "--no-refresh", "--quiet", "list-patches", "--category", "security"],
            rows,
        )),
        lists: &["/var/cache/zypp/raw"],
        held: &[("/etc/zypp/locks", held::zypp)],
    },
    Manager {
        program: "/sbin/apk",
        asked: &["--simulate", "--no-network", "upgrade"],
        answers: &[0],
        read: apk,
        security: None,
        lists: &["/var/cache/apk", "/lib/apk/db"],
        held: &[("/etc/apk/world", held::apk)],
    },
    Manager {
        program: "/usr/bin/pacman",
        asked: &["-Qu"],
        answers: &[0, 1],
        read: pacman,
        security: None,
        lists: &["/var/lib/pacman/sync"],
        held: &[("/etc/pacman.conf", held::pacman)],
    },
];

fn manager(root: &Root) -> Option<&'static Manager> {
    MANAGERS.iter().find(|manager| root.path(manager.program).is_file())
}

pub(super) fn collect(root: &Root, out: &mut Out) {
    let Some(manager) = manager(root) else {
        return out.fault("", FaultKind::Absent, "no package manager that is known: apt, dnf, zypper, apk, pacman");
    };
    let now = out.past.now;
    let age = |at: i64| now.saturating_sub(at).max(0).unsigned_abs();
    let lists = manager.lists.iter().find_map(|path| std::fs::metadata(root.path(path)).ok());
    if let Some(lists) = lists {
        out.whole("update.lists.age", "", age(lists.mtime()));
    }
    match out.past.updates.clone() {
        Some(Updates { at, counts: Some(counts), held }) => {
            out.whole("update.pending", "", counts.pending);
            if let Some(security) = counts.security {
                out.whole("update.security", "", security);
            }
            out.whole("update.held", "", held.len() as u64);
            out.fact("update.held", "", &held.join(", "));
            out.whole("update.age", "", age(at));
        }
        Some(Updates { counts: None, .. }) => {
            out.malformed("", format!("{} did not say which updates there are", manager.program));
        }
        None => {
            let text = format!("{}: {LATER}", manager.program);
            out.fault("", FaultKind::Absent, text);
        }
    }
}

impl Updates {
    /// True while the answer need not be asked for again.
    #[must_use]
    pub fn is_fresh(&self, now: i64) -> bool {
        (0..FRESH).contains(&now.saturating_sub(self.at))
    }

    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let word = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let pending = word(self.counts.map(|counts| counts.pending));
        let security = word(self.counts.and_then(|counts| counts.security));
        let held: String = self.held.iter().map(|name| format!(" {name}")).collect();
        format!("{} {pending} {security}{held}\n", self.at).into_bytes()
    }

    /// From the file's bytes; a damaged file is as none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut words = words(bytes.trim_ascii());
        let at = i64::try_from(whole(words.next()?)?).ok()?;
        let mut count = || {
            let word = words.next()?;
            Some(if word == b"-" { None } else { Some(whole(word)?) })
        };
        let (pending, security) = (count()?, count()?);
        let held = words.take(MAX_HELD).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        Some(Self { at, counts: pending.map(|pending| Counts { pending, security }), held })
    }
}

/// True where there is a package manager to ask and its last answer has grown old.
#[must_use]
pub fn updates_wait(root: &Root, last: Option<&Updates>, now: i64) -> bool {
    !last.is_some_and(|last| last.is_fresh(now)) && manager(root).is_some()
}

/// Asks the package manager, at the lowest priority; `None` where there is none. Takes up to a minute each question.
#[must_use]
pub fn ask_for_updates(root: &Root, now: i64) -> Option<Updates> {
    let manager = manager(root)?;
    // Nothing else is done after this.
    let _ = rustix::process::nice(19);
    let mut held: Vec<String> = Vec::new();
    for (path, read) in manager.held {
        held.extend(read(&root.read_at_most(path, MAX_STATUS).unwrap_or_default()));
    }
    // A name is a word, and the file of answers has an end.
    held.retain(|name| !name.is_empty() && name.len() <= 64 && !name.contains(char::is_whitespace));
    order::sort(&mut held);
    held.dedup();
    held.truncate(MAX_HELD);
    Some(Updates { at: now, counts: ask(root, manager).ok(), held })
}

fn ask(root: &Root, manager: &Manager) -> io::Result<Counts> {
    let answer = |question: &[&str]| {
        let said = command::run(root, manager.program, question, PATIENCE)?;
        // A part of it would count too few.
        let fits = !said.cut && said.status.is_some_and(|status| manager.answers.contains(&status));
        if fits { Ok(said.output) } else { Err(io::Error::other("not an answer")) }
    };
    let mut counts = (manager.read)(&answer(manager.asked)?);
    if let Some((question, read)) = manager.security {
        counts.security = answer(question).ok().map(|text| read(&text));
    }
    Ok(counts)
}

/// `Inst libc6 [2.36-9] (2.36-9+deb12u4 Debian-Security:12/stable-security [amd64])`: what has no old version is new.
fn apt(text: &[u8]) -> Counts {
    let is_upgrade =
        |line: &&[u8]| line.starts_with(b"Inst ") && words(line).nth(2).is_some_and(|word| word.starts_with(b"["));
    let upgrades: Vec<&[u8]> = lines(text).filter(is_upgrade).collect();
    let mends = |line: &&&[u8]| String::from_utf8_lossy(line).to_ascii_lowercase().contains("-security");
    Counts { pending: upgrades.len() as u64, security: Some(upgrades.iter().filter(mends).count() as u64) }
}

/// `bash.x86_64   5.1.8-9.el9   baseos`; what follows `Obsoleting Packages` is said twice. dnf 4 breaks a row that is longer
/// than its column, and the rest follows with blanks before it.
fn dnf(text: &[u8]) -> Counts {
    let (mut pending, mut fields) = (0, 0);
    for line in lines(text).take_while(|line| !line.starts_with(b"Obsoleting")).chain([&b"."[..]]) {
        if line.first().is_some_and(u8::is_ascii_whitespace) {
            fields += if fields == 0 { 0 } else { words(line).count() };
            continue;
        }
        pending += u64::from(fields == 3);
        // A name has its architecture behind it.
        fields = if words(line).next().is_some_and(|name| name.contains(&b'.')) { words(line).count() } else { 0 };
    }
    Counts { pending, security: None }
}

/// `RHSA-2024:1234 Important/Sec. openssl-3.0.7-27.el9.x86_64`, and of dnf 5 `FEDORA-2024-1a2b security Important
/// openssl-1:3.2.1-2.fc40.x86_64 2024-03-01 12:00:00`: one package may be named by several, in several versions.
fn dnf_security(text: &[u8]) -> u64 {
    let package = |line| words(line).skip(1).find_map(package);
    let mut names: Vec<(&[u8], &[u8])> = lines(text).filter_map(package).collect();
    order::sort(&mut names);
    names.dedup();
    names.len() as u64
}

/// Name and architecture of `name-version-release.architecture`.
fn package(word: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = word.rsplitn(3, |b| *b == b'-');
    let (release, _version, name) = (parts.next()?, parts.next()?, parts.next()?);
    let dot = release.iter().rposition(|b| *b == b'.')?;
    Some((name, release.get(dot..)?))
}

/// Rows of a table with bars, without its heading and rule.
fn rows(text: &[u8]) -> u64 {
    lines(text).skip_while(|line| !line.starts_with(b"--")).skip(1).filter(|line| line.contains(&b'|')).count() as u64
}

fn zypper(text: &[u8]) -> Counts {
    Counts { pending: rows(text), security: None }
}

/// `(1/3) Upgrading musl (1.2.4-r2 -> 1.2.4-r3)`.
fn apk(text: &[u8]) -> Counts {
    let pending = lines(text).filter(|line| words(line).nth(1) == Some(b"Upgrading")).count();
    Counts { pending: pending as u64, security: None }
}

/// `linux 6.9.7.arch1-1 -> 6.9.8.arch1-1`; those that are held end in `[ignored]`.
fn pacman(text: &[u8]) -> Counts {
    let pending = lines(text).filter(|line| words(line).nth(2) == Some(b"->") && words(line).nth(4).is_none()).count();
    Counts { pending: pending as u64, security: None }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_of_real_package_managers() {
        let apt = apt(b"NOTE: This is only a simulation!\nInst libc6 [2.36-9] (2.36-9+deb12u4 Debian-Security:12/stable-security [amd64])\n\
            Inst linux-image-6.1.0-20-amd64 (6.1.85-1 Debian:12.5/stable [amd64])\n\
            Inst linux-image-amd64 [6.1.76-1] (6.1.85-1 Debian:12.5/stable [amd64])\nConf libc6 (2.36-9+deb12u4 Debian:12.5 [amd64])\n");
        assert_eq!(apt, Counts { pending: 2, security: Some(1) });
        let ubuntu =
            super::apt(b"Inst vim [2:8.2] (2:8.2.1 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security [amd64])\n");
        assert_eq!(ubuntu, Counts { pending: 1, security: Some(1) });
        let dnf = dnf(b"\nbash.x86_64      5.1.8-9.el9     baseos\nkernel.x86_64  5.14.0-427.el9  baseos\n\
            Obsoleting Packages\ngrub2.x86_64  1:2.06  baseos\n");
        assert_eq!(dnf.pending, 2);
        let security = b"RHSA-2024:1 Important/Sec. openssl-3.0.7-27.el9.x86_64\nRHSA-2024:2 Low/Sec. openssl-3.0.7-27.el9.x86_64\n";
        assert_eq!(dnf_security(security), 1);
        let versions = b"RHSA-2024:1 Important/Sec. kernel-core-5.14.0-427.el9.x86_64\nRHSA-2024:2 Moderate/Sec. kernel-core-5.14.0-503.el9.x86_64\n";
        assert_eq!(dnf_security(versions), 1, "one update mends both");
        assert_eq!(
            zypper(
                b"S | Repository | Name | Current\n--+------+-----+----\nv | Main | bash | 4.4\nv | Main | vim | 9.0\n"
            )
            .pending,
            2
        );
        assert_eq!(zypper(b"No updates found.\n").pending, 0);
        assert_eq!(
            apk(b"(1/2) Upgrading musl (1.2.4-r2 -> 1.2.4-r3)\n(2/2) Upgrading ssl (3 -> 4)\nOK: 8 MiB\n").pending,
            2
        );
        assert_eq!(pacman(b"linux 6.9.7 -> 6.9.8\nfoo 1 -> 2 [ignored]\n").pending, 1);
    }

    /// At 80 columns, which older ones take where there is no terminal: a name, a version or both are too long. dnf 4.14.
    #[test]
    fn rows_that_dnf_4_breaks_are_rows_all_the_same() {
        let text = include_bytes!("fixtures/dnf4-check-update.txt");
        assert_eq!(dnf(text).pending, 6);
        assert_eq!(
            dnf(b"   9.el9  baseos\n\nSecurity: kernel-core-5.14.0-427.el9.x86_64 is an installed security update\n")
                .pending,
            0
        );
    }

    /// Not of a real system: made after the columns and the heading that users of dnf 5.2 show in its issues (628 and 1501 of
    /// rpm-software-management/dnf5); advisories, versions and days are made up.
    #[test]
    fn columns_of_dnf_5() {
        assert_eq!(dnf(include_bytes!("fixtures/dnf5-check-update.txt")).pending, 4);
        assert_eq!(dnf_security(include_bytes!("fixtures/dnf5-advisory-list.txt")), 3);
    }

    #[test]
    fn what_is_kept_comes_back_and_grows_old() {
        for counts in
            [None, Some(Counts { pending: 5, security: None }), Some(Counts { pending: 5, security: Some(2) })]
        {
            let updates = Updates { at: 1000, counts, held: vec!["linux".to_owned(), "vim".to_owned()] };
            assert_eq!(Updates::parse(&updates.bytes()), Some(updates));
        }
        for bad in [&b""[..], b"5", b"5 x -", b"-5 1 1", b"\xff"] {
            assert_eq!(Updates::parse(bad), None);
        }
        let updates = Updates { at: 1000, counts: None, held: vec![] };
        assert!(updates.is_fresh(1000) && updates.is_fresh(1000 + FRESH - 1));
        assert!(!updates.is_fresh(1000 + FRESH) && !updates.is_fresh(999), "nor after a clock that went back");
    }

    #[test]
    fn a_package_manager_is_asked_and_one_that_fails_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::at(folder.path());
        assert_eq!(ask_for_updates(&root, 5), None);
        assert!(!updates_wait(&root, None, 5), "nobody to ask");
        let program = folder.path().join("usr/bin/apt-get");
        std::fs::create_dir_all(program.parent().unwrap()).unwrap();
        let script = |text: &str| {
            std::fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        script("case \"$*\" in *update*) exit 9;; *'-s '*NoLocking=true*' upgrade') echo 'Inst a [1] (2 x)';; esac");
        let counts = Some(Counts { pending: 1, security: Some(0) });
        let answer = Updates { at: 5, counts, held: vec!["vim".to_owned()] };
        assert!(updates_wait(&root, None, 5) && !updates_wait(&root, Some(&answer), 5));
        std::fs::create_dir_all(folder.path().join("var/lib/dpkg")).unwrap();
        std::fs::write(folder.path().join("var/lib/dpkg/status"), "Package: vim\nStatus: hold ok installed\n").unwrap();
        assert_eq!(ask_for_updates(&root, 5), Some(answer.clone()));
        script("echo 'Inst a [1] (2 x)'; exit 100");
        let failed = ask_for_updates(&root, 6);
        assert_eq!(failed, Some(Updates { at: 6, counts: None, held: vec!["vim".to_owned()] }));
        let run = |updates: Option<Updates>| {
            let past = super::super::Past { now: 100, updates, ..Default::default() };
            let mut out = Out::beside(None, &std::sync::Arc::new(past));
            collect(&root, &mut out);
            let got = out.into_measured();
            let found: Vec<_> = got.readings.iter().map(|r| (r.metric.clone(), r.value)).collect();
            (found, got.faults.first().map(|fault| fault.kind))
        };
        let shown = [("update.pending", 1.0), ("update.security", 0.0), ("update.held", 1.0), ("update.age", 95.0)]
            .map(|(m, v)| (m.to_owned(), v));
        assert_eq!(run(Some(answer)), (shown.to_vec(), None));
        assert_eq!(run(failed), (vec![], Some(FaultKind::Malformed)));
        assert_eq!(run(None), (vec![], Some(FaultKind::Absent)));
    }

    proptest! {
        #[test]
        fn any_answer_is_counted(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for manager in MANAGERS {
                (manager.read)(&bytes);
                manager.held.iter().for_each(|(_, read)| drop(read(&bytes)));
            }
            let _ = (Updates::parse(&bytes), dnf_security(&bytes), rows(&bytes));
        }
    }
}
