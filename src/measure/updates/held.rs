//! Packages that somebody told the package manager to leave as they are, from its own files.

use super::super::text::{lines, words};

fn word(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Blocks with `Package: vim` and `Status: hold ok installed`.
pub(super) fn dpkg(text: &[u8]) -> Vec<String> {
    let (mut package, mut held) = (&b""[..], Vec::new());
    for line in lines(text) {
        if let Some(name) = line.strip_prefix(b"Package: ") {
            package = name;
        } else if line.starts_with(b"Status: hold ") {
            held.push(word(package.trim_ascii()));
        }
    }
    held
}

/// A package a line, `kernel-0:5.14.0-427.el9.*`; what begins with `!` must not be installed, `#` is a remark.
pub(super) fn listed(text: &[u8]) -> Vec<String> {
    lines(text).map(<[u8]>::trim_ascii).filter(|line| !line.is_empty() && !line.starts_with(b"#")).map(word).collect()
}

/// `name = "kernel"` of dnf 5.
pub(super) fn toml(text: &[u8]) -> Vec<String> {
    let name = |line: &[u8]| {
        let rest = line.trim_ascii().strip_prefix(b"name")?.trim_ascii_start().strip_prefix(b"=")?.trim_ascii();
        Some(word(rest.strip_prefix(b"\"")?.strip_suffix(b"\"")?))
    };
    lines(text).filter_map(name).collect()
}

/// `solvable_name: kernel-default`.
pub(super) fn zypp(text: &[u8]) -> Vec<String> {
    lines(text).filter_map(|line| line.strip_prefix(b"solvable_name:")).map(|name| word(name.trim_ascii())).collect()
}

/// The wanted packages, of which those with a version are held to it: `nginx=1.26.2-r0`, `php<8.3`.
pub(super) fn apk(text: &[u8]) -> Vec<String> {
    let pinned = |line: &[u8]| {
        let end = line.iter().position(|b| b"=<>~".contains(b))?;
        Some(word(line.get(..end)?.trim_ascii()))
    };
    lines(text).filter_map(pinned).collect()
}

/// `IgnorePkg   = linux nvidia`, as often as one likes.
pub(super) fn pacman(text: &[u8]) -> Vec<String> {
    let ignored = |line: &'_ [u8]| {
        let rest = line.trim_ascii().strip_prefix(b"IgnorePkg")?.trim_ascii_start().strip_prefix(b"=")?.to_vec();
        Some(words(&rest).map(word).collect::<Vec<_>>())
    };
    lines(text).filter_map(ignored).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_real_package_managers() {
        let status = b"Package: bash\nStatus: install ok installed\n\nPackage: linux-image-amd64\nStatus: hold ok installed\nVersion: 6\n";
        assert_eq!(dpkg(status), ["linux-image-amd64"]);
        let list = b"# Added lock on Mon Jan 1\nkernel-0:5.14.0-427.13.1.el9_4.*\n\n";
        assert_eq!(listed(list), ["kernel-0:5.14.0-427.13.1.el9_4.*"]);
        let five = b"version = \"1.0\"\n[[packages]]\nname = \"kernel\"\ncomment = \"name = x\"\n";
        assert_eq!(toml(five), ["kernel"]);
        let locks = b"\ntype: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: kernel-default\n";
        assert_eq!(zypp(locks), ["kernel-default"]);
        assert_eq!(apk(b"alpine-base\nnginx=1.26.2-r0\nphp83<8.3.9\n"), ["nginx", "php83"]);
        assert_eq!(pacman(b"#IgnorePkg = no\nIgnorePkg   = linux nvidia\nIgnorePkg=zfs\n"), ["linux", "nvidia", "zfs"]);
    }
}
