//! What is cheap to know of the host's guard: mandatory access control, accounts with root's rights, files that matter.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::out::Out;
use super::root::Root;
use super::text::{lines, whole};

/// Files whose change somebody wants to know of; all are readable by everybody.
const WATCHED: [&str; 4] = ["/etc/passwd", "/etc/group", "/etc/ssh/sshd_config", "/etc/ld.so.preload"];

pub(super) fn collect(root: &Root, out: &mut Out) {
    let switch = |path: &str| root.read_at_most(path, 16).ok();
    if let Some(enforce) = switch("/sys/fs/selinux/enforce") {
        out.whole("security.selinux.enforcing", "", u64::from(enforce.trim_ascii() == b"1"));
    }
    if let Some(enabled) = switch("/sys/module/apparmor/parameters/enabled") {
        out.whole("security.apparmor.enabled", "", u64::from(enabled.trim_ascii() == b"Y"));
    }
    match root.read("/etc/passwd") {
        Ok(text) => {
            let roots = root_accounts(&text);
            out.whole("security.root-accounts", "", roots.len() as u64);
            out.fact("security.root-accounts", "", &roots.join(", "));
        }
        Err(error) => out.unread("", "/etc/passwd", &error),
    }
    for path in WATCHED {
        if let Ok(bytes) = root.read(path) {
            out.fact("security.digest", path, &digest(&bytes));
        }
    }
}

/// Names of accounts with the number 0.
fn root_accounts(passwd: &[u8]) -> Vec<String> {
    let account = |line: &[u8]| {
        let mut fields = line.split(|&b| b == b':');
        let name = fields.next()?;
        (fields.nth(1).and_then(whole)? == 0).then(|| String::from_utf8_lossy(name).into_owned())
    };
    lines(passwd).filter_map(account).collect()
}

/// Half of SHA-256 is enough to see a change.
fn digest(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(32);
    for byte in Sha256::digest(bytes).iter().take(16) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_with_the_number_of_root() {
        let text =
            b"root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/:/bin/sh\nada:x:1000:1000::/:/bin/sh\nodd\n#c:x:00:0:\n";
        assert_eq!(root_accounts(text), ["root", "toor", "#c"]);
        assert!(root_accounts(b"\xff:\xff:\xff\n::\n").is_empty());
    }

    #[test]
    fn guards_that_are_on_off_and_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        let run = || {
            let mut out = Out::default();
            collect(&Root::at(folder.path()), &mut out);
            let got = out.into_measured();
            let value = |metric: &str| got.readings.iter().find(|r| r.metric == metric).map(|r| r.value);
            let digest = got.facts.iter().find(|fact| fact.item == "/etc/passwd").map(|fact| fact.text.clone());
            (value("security.selinux.enforcing"), value("security.apparmor.enabled"), digest)
        };
        let (selinux, apparmor, first) = run();
        assert_eq!((selinux, apparmor), (None, None));
        write("sys/fs/selinux/enforce", "0");
        write("sys/module/apparmor/parameters/enabled", "Y\n");
        write("etc/passwd", "root:x:0:0::/root:/bin/sh\neve:x:0:0::/:/bin/sh\n");
        let (selinux, apparmor, second) = run();
        assert_eq!((selinux, apparmor), (Some(0.0), Some(1.0)));
        assert!(first != second && second.is_some_and(|digest| digest.len() == 32));
    }
}
