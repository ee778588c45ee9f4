//! Who a process is, for people: its user, its unit, its command line. Asked only of the few that are shown.

use super::super::root::Root;
use super::super::text::{lines, whole};

/// A container's number is recognised by this many of its digits.
const ID_DIGITS: usize = 12;

/// The name of a user, or the number where /etc/passwd does not know it.
pub(super) fn user(passwd: &[u8], uid: u32) -> String {
    let found = lines(passwd).find_map(|line| {
        let mut fields = line.split(|&b| b == b':');
        let name = fields.next()?;
        (fields.nth(1).and_then(whole)? == u64::from(uid)).then(|| String::from_utf8_lossy(name).into_owned())
    });
    found.filter(|name| !name.is_empty()).unwrap_or_else(|| uid.to_string())
}

/// The unit, container or slice of /proc/PID/cgroup, in few words: `nginx.service`, `docker-0123456789ab`.
pub(in super::super) fn unit(cgroup: &[u8]) -> String {
    // The unified tree, else systemd's own, else whatever says more than the root.
    let path = |want: &dyn Fn(&str) -> bool| {
        lines(cgroup).find_map(|line| {
            let line = String::from_utf8_lossy(line).into_owned();
            let mut fields = line.splitn(3, ':');
            let controllers = fields.nth(1)?;
            let path = fields.next()?;
            (want(controllers) && path != "/").then(|| path.to_owned())
        })
    };
    let path = path(&|c| c.is_empty()).or_else(|| path(&|c| c == "name=systemd")).or_else(|| path(&|_| true));
    let path = path.unwrap_or_default();
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != "..").collect();
    // Sessions come and go; what stays is their user.
    if parts.len() > 1 && parts.last().is_some_and(|part| part.starts_with("session-")) {
        parts.pop();
    }
    shortened(parts.last().copied().unwrap_or_default())
}

/// Without the greater part of a container's number.
fn shortened(name: &str) -> String {
    let name = name.strip_suffix(".scope").filter(|name| digits(name).is_some()).unwrap_or(name);
    match digits(name) {
        Some((begin, _)) => name.get(..begin + ID_DIGITS).unwrap_or(name).to_owned(),
        None => name.to_owned(),
    }
}

/// Where a run of at least 32 hexadecimal digits begins and ends.
fn digits(name: &str) -> Option<(usize, usize)> {
    let mut begin = 0;
    for (at, byte) in name.bytes().chain([b'-']).enumerate() {
        if !byte.is_ascii_hexdigit() {
            if at - begin >= 32 {
                return Some((begin, at));
            }
            begin = at + 1;
        }
    }
    None
}

/// The command line, its parts joined by blanks; empty where there is none.
pub(super) fn command(root: &Root, pid: u32) -> String {
    let mut bytes = root.read_at_most(format!("/proc/{pid}/cmdline"), 512).unwrap_or_default();
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_of_real_machines() {
        let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        for (text, name) in [
            ("0::/system.slice/nginx.service\n".to_owned(), "nginx.service"),
            ("0::/user.slice/user-1000.slice/session-3.scope\n".to_owned(), "user-1000.slice"),
            ("0::/init.scope\n".to_owned(), "init.scope"),
            (format!("0::/system.slice/docker-{id}.scope\n"), "docker-0123456789ab"),
            (format!("12:cpu:/docker/{id}\n1:name=systemd:/docker/{id}\n0::/\n"), "0123456789ab"),
            ("9:name=systemd:/\n4:memory:/pool/x\n0::/\n".to_owned(), "x"),
            (
                format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"),
                "cri-containerd-0123456789ab",
            ),
            ("0::/\n".to_owned(), ""),
            ("0::/../../x.service\n".to_owned(), "x.service"),
            (String::new(), ""),
        ] {
            assert_eq!(unit(text.as_bytes()), name);
        }
    }

    #[test]
    fn users_have_names_where_they_are_known() {
        let passwd = b"root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/:/bin/sh\nbroken\n:x:7::::\n";
        assert_eq!(user(passwd, 1000), "ada");
        assert_eq!((user(passwd, 7), user(passwd, 8), user(b"", 0)), ("7".into(), "8".into(), "0".into()));
    }

    proptest! {
        #[test]
        fn any_text_is_a_name(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            unit(&bytes);
            user(&bytes, 0);
        }
    }
}
