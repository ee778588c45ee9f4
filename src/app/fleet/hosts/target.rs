//! What people type to name a machine: `user@address`, with `:port` where it is not 22.

use std::path::Path;

/// A machine to log in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Login name.
    pub user: String,
    /// Name or IP address, without brackets.
    pub address: String,
    /// 22 unless given.
    pub port: u16,
}

impl Target {
    /// Reads it.
    ///
    /// # Errors
    /// A text that says how it is written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a machine; write it as USER@HOST or USER@HOST:PORT");
        let (user, rest) = text.split_once('@').ok_or_else(wrong)?;
        let (address, port) = match rest.rsplit_once(':') {
            // More than one colon without brackets is an IPv6 address without port.
            Some((address, port)) if address.ends_with(']') || !address.contains(':') => {
                (address, port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong)?)
            }
            _ => (rest, 22),
        };
        let address = address.trim_matches(['[', ']']);
        let good = |text: &str| fits(text) && !text.starts_with('-');
        if !good(user) || !good(address) {
            return Err(wrong());
        }
        Ok(Self { user: user.to_owned(), address: address.to_owned(), port })
    }

    /// The `<host>` element.
    pub fn element(&self, name: &str) -> String {
        let Self { user, address, port } = self;
        let port = if *port == 22 { String::new() } else { format!(" port=\"{port}\"") };
        format!("<host name=\"{name}\" address=\"{address}\"{port} user=\"{user}\"/>")
    }

    /// The one line that puts our key on the machine.
    pub fn copy_key(&self, key: Option<&Path>) -> String {
        let Self { user, address, port } = self;
        let key = key.map_or_else(String::new, |key| format!(" -i {}", quoted(&format!("{}.pub", key.display()))));
        let port = if *port == 22 { String::new() } else { format!(" -p {port}") };
        format!("ssh-copy-id{key}{port} {user}@{address}")
    }
}

/// Whether a text can be a name, login or address: nothing that XML or a shell would take for something else.
pub fn fits(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-:%".contains(c))
}

/// A word for a shell, in quotes only where it needs them.
pub fn quoted(text: &str) -> String {
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c)) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_read_as_people_type_them() {
        let parsed = |text: &str| Target::parse(text).map(|t| (t.user, t.address, t.port));
        let is = |user: &str, address: &str, port| Ok((user.to_owned(), address.to_owned(), port));
        assert_eq!(parsed("deploy@web1"), is("deploy", "web1", 22));
        assert_eq!(parsed("deploy@10.0.0.1:2222"), is("deploy", "10.0.0.1", 2222));
        assert_eq!(parsed("a@fe80::1%eth0"), is("a", "fe80::1%eth0", 22));
        assert_eq!(parsed("a@[::1]:22"), is("a", "::1", 22));
        for wrong in
            ["", "web1", "@web1", "a@", "a@b:0", "a@b:x", "a@b:99999", "-o@b", "a@-b", "a@b c", "a\"@b", "a@<b"]
        {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_line_to_type_can_be_typed() {
        let target = Target::parse("a@b:2222").unwrap();
        assert_eq!(target.copy_key(Some(Path::new("/k/id"))), "ssh-copy-id -i /k/id.pub -p 2222 a@b");
        let target = Target::parse("a@b").unwrap();
        assert_eq!(target.copy_key(Some(Path::new("/my k/i'd"))), "ssh-copy-id -i '/my k/i'\\''d.pub' a@b");
        assert_eq!(target.copy_key(None), "ssh-copy-id a@b");
    }
}
